"""Draw a portrait from a `FaceLook`, which says everything about the picture.

A head in flat colours, part by part, is lit by the relief of a face, so that nose, cheeks and sockets look as a model
trained on photos expects. The same look and size always give the same pixels, to the byte for one Pillow version.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from maskdet.looks import FaceLook, MaskLook, check
from maskdet.outlines import Outline, between, curve, ellipse, mirrored, outline, stroke, whole
from maskdet.pen import EDGES, Paint, Pen, blend, mix

# Hair: how far it goes down the sides, the hairline left and right, height over the crown, width beyond the head.
_CUTS: Final[dict[str, tuple[float, ...]]] = {
    "short": (0.02, -0.60, -0.60, 0.10, 0.03),
    "parted": (0.05, -0.42, -0.66, 0.16, 0.05),
    "fringe": (0.25, -0.34, -0.36, 0.13, 0.08),
    "long": (0.75, -0.50, -0.64, 0.12, 0.10),
    "curly": (0.10, -0.52, -0.55, 0.36, 0.27),
    "bun": (-0.02, -0.62, -0.60, 0.06, 0.02),
    "hat": (-0.22, -0.36, -0.36, 0.22, 0.06),
    "scarf": (0.98, -0.55, -0.55, 0.14, 0.10),
}
# Right halves of the masks, from the middle of the upper edge (0i, at the nose's bridge higher by PEAK) to that of the
# lower edge (1i); x = 1 is the side of the head.
_SHAPES: Final[dict[str, str]] = {
    "surgical": "{0}i 0.22{1}i 0.60+0.06i 0.93+0.12i 0.96+0.40i 0.86+0.62i 0.60+0.90i 0.30+1.0i 1.02i",
    "cloth": "{0}i 0.20{1}i 0.55+0.10i 0.97+0.16i 0.98+0.36i 0.80+0.70i 0.50+0.96i 0.22+1.02i 1.04i",
    "respirator": "{0}i 0.20{1}i 0.50+0.12i 0.76+0.34i 0.80+0.55i 0.66+0.82i 0.40+0.98i 1.03i",
    "flat": "0i 0.3+0i 0.62+0.05i 0.95+0.12i 0.93+0.45i 0.78+0.75i 0.42+0.97i 1.0i",
}


def draw_face(look: FaceLook, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Draw one portrait; the same look and size always give the same pixels.

    Parameters
    ----------
    look : FaceLook
        What to draw.
    size : (int, int)
        Width and height in pixels, 16 to 4096 each.

    Returns
    -------
    array of uint8, shape (height, width, 3)
        RGB in 0..255.

    Raises
    ------
    ValueError
        If the size is out of range.

    """
    for name, side in zip(("width", "height"), size, strict=True):
        check(name, side, 16, 4096)
    canvas = draw_backdrop(look, size)
    unit = look.scale * min(canvas.width / 1.75, canvas.height / 2.15)
    draw_person(canvas, look, complex(canvas.width, canvas.height * 1.04) / 2 + unit * complex(*look.shift), unit)
    return develop(canvas, look, size)


def draw_person(canvas: Image.Image, look: FaceLook, centre: complex, unit: float) -> Outline:
    """Draw a person on a canvas; the middle of the face and the head unit are in pixels, as the returned outline."""
    pen = Pen(canvas, look, centre, unit)
    for part in _PARTS:
        part(pen)
    pen.shine()
    return pen.place(_head(look))


def draw_backdrop(look: FaceLook, size: tuple[int, int]) -> Image.Image:
    """A canvas, larger than the photo so that edges come out smooth, with the background on it."""
    grow = 2.0 if max(size) <= 128 else 1.5 if max(size) <= 256 else 1.25
    canvas_size = (round(size[0] * grow), round(size[1] * grow))
    cells = {"plain": (2, 2), "soft": (5, 4), "panels": (9, 1), "busy": (22, 18)}[look.backdrop]
    share = np.random.default_rng((look.grain, 0)).uniform(0, 1, (cells[1], cells[0]))
    small = blend(look.walls[0], look.walls[1], share)
    if look.backdrop == "panels":
        flat = small.resize((160, 160), Image.Resampling.NEAREST).filter(ImageFilter.GaussianBlur(1.5))
        return flat.resize(canvas_size, Image.Resampling.BILINEAR)
    return small.resize(canvas_size, Image.Resampling.BICUBIC)


def develop(canvas: Image.Image, look: FaceLook, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Shrink a canvas to the photo, with the light of the room, the lens's softness and the sensor's noise.

    Of a size (width, height) comes an RGB photo of shape (height, width, 3).
    """
    photo = canvas.resize(size, Image.Resampling.BOX if canvas.width == 2 * size[0] else Image.Resampling.BILINEAR)
    photo = photo.filter(ImageFilter.BoxBlur(1.2 * look.blur * min(size) / 1000))
    side = np.linspace(-1, 1, size[0], dtype=np.float32) * np.float32(np.sin(np.deg2rad(look.light)))
    down = np.linspace(1, -1, size[1], dtype=np.float32)[:, None]
    room = look.exposure * (1 + look.contrast * (0.22 * side + 0.10 * down))
    tint = np.array((1 + 0.10 * look.warmth, 1, 1 - 0.16 * look.warmth), dtype=np.float32)
    noise = np.random.default_rng((look.grain, 1)).standard_normal((size[1], size[0]), dtype=np.float32)
    pixels = np.asarray(photo) * tint
    pixels *= room[..., None]
    pixels += (look.noise * noise)[..., None]
    return pixels.clip(0, 255, out=pixels).astype(np.uint8)


def _draw_body(pen: Pen) -> None:
    look = pen.look
    if look.hair_style == "long":
        mane = mirrored("-1.08i 0.55-0.98i 0.92-0.5i 0.98+0.2i 1.02+0.9i 0.9+1.5i 0.4+1.7i 1.7i", look.width / 0.73)
        pen.fill(mane, pen.weave(look.hair_colour, 2, (60, 5), 0.16))
    pen.fill(mirrored("0.6i 0.44+0.6i 0.42+1.1i 0.55+1.3i 0.9+1.9i 1.9i"), mix(look.skin, (40, 15, 10), 0.35))
    pen.fill(mirrored("1.0i 0.36+1.0i 0.36+1.25i 0.2+1.4i 1.45i"), look.skin, 0.6, 0.1)
    trunk = mirrored("1.48i 0.3+1.4i 0.46+1.22i 0.85+1.36i 1.4+1.5i 1.7+1.9i 1.8+3i 1.8+5i 1.8+9i 1.8+18i 1.8+36i 36i")
    pen.fill(trunk, pen.weave(look.clothes, 3, (40, 30), 0.05))
    collar = mirrored("1.52i 0.3+1.44i 0.47+1.25i 0.52+1.27i 0.34+1.5i 1.6i")
    pen.fill(collar, mix(look.clothes, (0, 0, 0), 0.4), 1, 0.02)
    if look.hair_style == "scarf":
        folds = pen.weave(look.clothes, 4, (9, 14), 0.12)
        pen.fill(mirrored("0.5i 0.8+0.4i 0.86+0.9i 0.95+1.3i 1.2+1.7i 1.7i"), folds)


def _draw_head(pen: Pen) -> None:
    look = pen.look
    w, red = look.width, mix(look.skin, (165, 45, 35), 0.28)
    pen.both(ellipse((w + 0.02) + 0.12j, 0.10, 0.21), red)
    pen.both(ellipse((w + 0.03) + 0.13j, 0.05, 0.13), mix(red, (40, 10, 10), 0.4), 1, 0.03)
    pen.fill(_head(look), pen.weave(look.skin, 5, (14, 18), 0.012), lit=1)
    pen.both(ellipse(0.42 + 0.32j, 0.18, 0.14), red, 0.5, 0.09)
    pen.fill(ellipse(0.38j, 0.11, 0.1), red, 0.4, 0.06)


def _draw_eyes(pen: Pen) -> None:
    look = pen.look
    wide, high = 0.148 * look.eyes, 0.064 * look.eyes
    dark, ring = mix(look.skin, (25, 8, 5), 0.72), mix(look.eye_colour, (0, 0, 0), 0.55)
    across = np.linspace(-1, 1, 15)
    lid, under = -high * (1 - across**2) ** 0.7, 0.75 * high * (1 - across**2)
    gaze = np.random.default_rng((look.grain, 6)).uniform(-0.03, 0.03)
    for middle in (-0.30, 0.30):
        upper, lower = middle + wide * across + 1j * lid, middle + wide * across + 1j * under
        pen.fill(ellipse(middle - 0.02j, 0.19, 0.11), mix(look.skin, (70, 25, 25), 0.5), 0.55, 0.05)
        pen.fill(between(upper, lower), (226, 221, 215), 1, 0.006)
        for size, colour in ((0.073, ring), (0.060, look.eye_colour), (0.03, (8, 6, 6))):
            iris = ellipse(middle + gaze - 0.008j, size, size)
            place = (iris.real - middle) / wide
            iris.imag = iris.imag.clip(np.interp(place, across, lid), np.interp(place, across, under))
            pen.fill(iris, colour, 1, 0.004)
        pen.fill(between(upper, upper + 0.028j), (30, 15, 12), 0.35, 0.012)
        pen.fill(stroke(upper - 0.004j, 0.024), dark, 1, 0.006)
        pen.fill(stroke(lower, 0.009), mix(dark, look.skin, 0.4), 1, 0.006)
        pen.fill(stroke(upper - 0.045j, 0.010), dark, 0.5, 0.010)
        glint = middle + gaze + 0.022 * np.sin(np.deg2rad(look.light)) - 0.03j
        pen.fill(ellipse(glint, 0.013, 0.013), (250, 250, 250), 1, 0.004)
    brow = stroke(outline("0.13-0.12i 0.24-0.19i 0.37-0.205i 0.50-0.13i"), 0.055)
    pen.both(brow, mix(look.hair_colour, (30, 18, 12), 0.55), 0.85, 0.012)


def _draw_nose_and_mouth(pen: Pen) -> None:
    look = pen.look
    if look.mask is not None and look.mask.worn == "right":
        return  # all of it would be covered
    dark, lip = mix(look.skin, (30, 8, 5), 0.6), mix(look.skin, (150, 35, 45), 0.42)
    cast = -0.07 * np.sin(np.deg2rad(look.light))  # the shadow falls away from the light
    pen.fill(ellipse(cast + 0.45j, 0.13 * look.nose, 0.045), dark, 0.45, 0.03)
    pen.both(ellipse(0.055 * look.nose + 0.425j, 0.030 * look.nose, 0.016), dark, 1, 0.010)
    pen.both(stroke(outline("0.10+0.44i 0.145+0.42i 0.14+0.35i", look.nose), 0.016), dark, 0.5, 0.012)
    pen.both(stroke(outline("0.17+0.40i 0.25+0.50i 0.29+0.60i"), 0.02), dark, 0.25, 0.02)
    pen.fill(ellipse(0.735j, 0.15, 0.03), dark, 0.35, 0.03)
    across = np.linspace(-1, 1, 17)
    belly = (1 - across**2) ** 0.8
    line = (0.24 + 0.03 * look.smile) * across + 1j * (0.615 - 0.035 * look.smile * (across**2 - 0.3))
    bow = np.sqrt(1 - across**2) * (0.052 - 0.014 * np.exp(-((across / 0.15) ** 2))) * look.lips
    opened = line + 0.125j * max(0.0, look.smile - 0.6) * belly
    if look.smile > 0.6:
        pen.fill(between(line, opened), (60, 20, 20), 1, 0.006)
        teeth = between(line[2:-2], 0.25 * line[2:-2] + 0.75 * opened[2:-2])
        pen.fill(teeth, (232, 226, 215), 1, 0.006)
    pen.fill(between(line - 1j * bow, line), mix(lip, (40, 5, 10), 0.18), 1, 0.010)
    pen.fill(between(opened, opened + 0.075j * look.lips * belly), lip, 1, 0.012)
    pen.fill(stroke(line, 0.014), mix(lip, (30, 0, 0), 0.65), 1, 0.008)


def _draw_beard(pen: Pen) -> None:
    look = pen.look
    if look.beard == "none":
        return
    hair = pen.weave(mix(look.hair_colour, look.skin, 0.12), 7, (50, 40), 0.18)
    alpha = 0.28 if look.beard == "stubble" else 0.92
    pen.both(outline("0.51i 0.14+0.50i 0.26+0.58i 0.27+0.68i 0.22+0.62i 0.10+0.56i 0.55i"), hair, alpha, 0.015)
    if look.beard != "moustache":
        jaw = _head(look)
        low = 1.015 * jaw[jaw.imag > 0.22]
        low = low[np.argsort(low.real)]  # along the jaw from ear to ear
        cheek = outline("0.78i 0.24+0.74i 0.29+0.62i 0.40+0.55i 0.55+0.32i")
        pen.fill(between(low, np.concatenate((-cheek[:0:-1].conj(), cheek))), hair, alpha, 0.03)


def _draw_mask(pen: Pen) -> None:
    mask, w = pen.look.mask, pen.look.width
    if mask is None:
        return
    top, low = EDGES[mask.worn]
    peak = 0.10 if mask.worn == "right" else 0.0

    def place(points: str) -> Outline:
        given = outline(points)
        return w * given.real + 1j * (top + (low - top) * given.imag)

    shape = whole(place(_SHAPES[mask.kind].format(-peak, f"{-peak / 3:+.3f}")))
    shadow, light = mix(mask.colour, (20, 20, 35), 0.45), mix(mask.colour, (255, 255, 255), 0.5)
    if mask.kind == "flat":
        pen.fill(shape, mask.colour, lit=0)
        pen.both(stroke(place("0.93+0.14i 1.02-0.05i"), 0.02), mask.colour)
        return
    pen.fill(shape + 0.03j, (25, 12, 10), 0.45, 0.045)  # its shadow on the skin
    pen.fill(shape, _fabric(pen, mask), 1, 0.006, lit=1)
    if mask.kind == "surgical":
        for fold in (0.26, 0.45, 0.64):
            crease = place(f"-0.9+{fold}i -0.4+{fold + 0.05}i {fold + 0.06}i 0.4+{fold + 0.05}i 0.9+{fold}i")
            pen.fill(stroke(crease, 0.028), shadow, 0.55, 0.012)
            pen.fill(stroke(crease - 0.03j, 0.02), light, 0.5, 0.012)
    elif mask.kind == "cloth":
        pen.fill(stroke(place(f"{0.02 - peak}i 0.5i 1.0i"), 0.014), shadow, 0.7, 0.008)
        pen.both(stroke(place("0.86+0.17i 0.84+0.4i 0.74+0.68i"), 0.012), shadow, 0.6, 0.008)
        pen.both(stroke(place("0.80+0.3i 0.5+0.42i 0.2+0.42i"), 0.03), shadow, 0.35, 0.03)
    else:
        pen.fill(stroke(place("-0.7+0.5i -0.3+0.46i 0.45i 0.3+0.46i 0.7+0.5i"), 0.016), shadow, 0.6, 0.008)
        pen.fill(stroke(shape, 0.03, taper=False), shadow, 0.35, 0.012)
        valve = complex(0.16, top + 0.62 * (low - top))
        pen.fill(ellipse(valve, 0.085, 0.085), shadow, 0.5, 0.01)
        pen.fill(ellipse(valve, 0.068, 0.068), light, 1, 0.006)
    # Loops go to the ears from the upper and the lower corner, wherever the mask sits.
    for start, ear in (("0.92+0.14i", 0.97 * w - 0.04j), ("0.84+0.60i", w + 0.32j)):
        loop = np.append(place(start), ear)
        pen.both(stroke(loop + 0.012j, 0.026, taper=False), (30, 15, 12), 0.35, 0.012)
        pen.both(stroke(loop, 0.022, taper=False), light if mask.colour[1] > 90 else shadow, 1, 0.005)


def _fabric(pen: Pen, mask: MaskLook) -> Paint:
    if mask.pattern == "plain":
        return pen.weave(mask.colour, 8, (36, 26), 0.018)
    other = mix(mask.colour, (20, 30, 60) if sum(mask.colour) > 330 else (250, 245, 235), 0.7)

    def paint(size: tuple[int, int]) -> Image.Image:
        x, y = (np.arange(side) / abs(pen.unit) * 7 % 1 for side in size)
        across, down = np.meshgrid(x, y)
        if mask.pattern == "dots":
            share = 1.0 * ((across - 0.5) ** 2 + (down - 0.5) ** 2 < 0.08)
        else:
            share = (down < 0.4) * 1.0 if mask.pattern == "stripes" else 0.5 * (across < 0.4) + 0.5 * (down < 0.4)
        return blend(mask.colour, other, share)

    return paint


def _draw_glasses(pen: Pen) -> None:
    kind = pen.look.glasses
    if kind == "none":
        return
    frame = {"thin": (120, 110, 95), "thick": (28, 22, 20), "dark": (22, 22, 24)}[kind]
    line = 0.018 if kind == "thin" else 0.04
    lens = curve(outline("0.08-0.07i 0.20-0.13i 0.42-0.12i 0.52-0.06i 0.50+0.08i 0.38+0.16i 0.20+0.15i 0.10+0.07i"))
    pen.both(lens, (25, 25, 30) if kind == "dark" else (235, 240, 250), 0.93 if kind == "dark" else 0.10)
    pen.both(stroke(np.append(lens, lens[:2]), line, taper=False), frame, 1, 0.004)
    pen.fill(stroke(outline("-0.09-0.03i -0.06i 0.09-0.03i"), line, taper=False), frame, 1, 0.004)
    pen.both(stroke(np.array((0.51 - 0.05j, pen.look.width + 0.02 - 0.03j)), line, taper=False), frame, 1, 0.004)


def _draw_hair(pen: Pen) -> None:
    look = pen.look
    w, style = look.width, look.hair_style
    if style == "bald":
        return
    side, left, right, lift, swell = _CUTS[style]
    worn = style in ("hat", "scarf")
    cells, contrast = ((26, 22), 0.2) if style == "curly" else ((12, 16), 0.06) if worn else ((70, 5), 0.18)
    paint = pen.weave(look.clothes if worn else look.hair_colour, 9, cells, contrast)
    if style == "bun":
        pen.fill(ellipse(-1.2j, 0.27, 0.22), paint, 1, 0.01, lit=0.3)
    wide, inner = w + swell, (0.80 if style in ("long", "scarf", "fringe") else 0.94) * w
    skull = np.array(
        [-0.98 * wide + 1j * side, -wide - 0.3j, -0.84 * wide - 0.72j, -0.45 * wide - (0.96 + 0.8 * lift) * 1j]
    )
    brim = np.array([-inner + 1j * side, -0.93 * inner - 0.25j, -0.68 * w + (left + 0.08) * 1j, -0.3 * w + left * 1j])
    other = -brim.conj() + 1j * (right - left) * (brim.imag < -0.3)
    line = curve(np.concatenate((brim, [0.5j * (left + right)], other[::-1])), closed=False)
    crown = curve(np.concatenate((skull, [-1j * (1 + lift)], -skull[::-1].conj())), closed=False)
    pen.fill(stroke(line + 0.03j, 0.07, taper=False), (30, 12, 8), 0.35, 0.035)  # its shadow on the forehead
    edge = between(line, crown)
    if style == "curly":
        edge = edge * (1 + np.random.default_rng((look.grain, 10)).normal(0, 0.012, len(edge)))
    pen.fill(edge, paint, 1, 0.004 if worn else 0.018, lit=0.75)
    if style == "hat":
        pen.fill(stroke(line - 0.03j, 0.15, taper=False), mix(look.clothes, (0, 0, 0), 0.25), 1, 0.008, lit=0.75)


#: The parts of a portrait in the order they cover each other.
_PARTS: Final = (
    *(_draw_body, _draw_head, _draw_eyes, _draw_nose_and_mouth),
    *(_draw_beard, _draw_mask, _draw_glasses, _draw_hair),
)


def _head(look: FaceLook) -> Outline:
    jaw = look.jaw
    chin = [0.82 + 0.10 * jaw + 0.50j, 0.50 + 0.18 * jaw + 0.80j, 0.24 + 0.08 * jaw + 0.97j, 1j]
    half = np.concatenate((outline("-1i 0.62-0.88i 0.92-0.55i 1-0.1i 0.98+0.2i"), chin))
    return whole(look.width * half.real + 1j * half.imag)
