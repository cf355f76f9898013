"""A small synthetic sample set, drawn here, for a machine without any dataset.

The portraits are drawn from a `FaceLook`, which says everything about one picture: a head in flat colours, part by
part, then lit by the relief of a face, so that nose, cheeks and sockets look as a model trained on photos expects.
Both classes are drawn from the same distributions of people, sizes, aspect ratios, light and backgrounds; only the
mask tells them apart. Real sets differ: there size, background or age often give the class away, and a score on the
sample set says nothing of a score on photos. Everything follows from the seed, to the byte for one Pillow version.

Outlines are arrays of complex numbers x + iy in *head units*: the crown lies at -1i, the eyes at 0, the chin at +1i.
"""

import itertools
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal, TypeVar, get_args

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageDraw, ImageFilter

Rgb = tuple[int, int, int]
Outline = npt.NDArray[np.complex128]
Floats = npt.NDArray[np.float64]
T = TypeVar("T")
Paint = Rgb | Callable[[tuple[int, int]], Image.Image]
HairStyle = Literal["bald", "short", "parted", "fringe", "long", "curly", "bun", "hat", "scarf"]
Backdrop = Literal["plain", "soft", "panels", "busy"]
MaskKind = Literal["surgical", "cloth", "respirator", "flat"]
Pattern = Literal["plain", "dots", "stripes", "checks"]
Worn = Literal["right", "below_nose", "below_chin"]
Beard = Literal["none", "stubble", "moustache", "full"]
Glasses = Literal["none", "thin", "thick", "dark"]


def _palette(colours: str) -> tuple[Rgb, ...]:
    return tuple((n >> 16, n >> 8 & 255, n & 255) for n in (int(colour, 16) for colour in colours.split()))


def _check(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise ValueError(f"{name}: expected {least} to {most}, got {value!r}")


def _check_choice(name: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise ValueError(f"{name}: expected one of {', '.join(known)}, got {value!r}")


def _check_colour(name: str, colour: Rgb) -> None:
    if len(colour) != 3 or not all(0 <= value <= 255 for value in colour):
        raise ValueError(f"{name}: expected three values from 0 to 255, got {colour!r}")


def _pick(rng: np.random.Generator, choices: Sequence[T]) -> T:
    return choices[int(rng.integers(len(choices)))]


#: Skin tones from light to dark; `write_sample` deals them out evenly over both classes.
SKINS: Final = _palette("f3cfb8 e6b596 d29c78 b47c56 8c5a3c 5e3b28")
_HAIRS: Final = _palette("1a1512 2c1d15 46301f 6b4a2c 74381f b8925a d9c089 9a9894 dcd9d4")
_EYES: Final = _palette("3a2415 54361d 6d5a30 4d6b4a 58809c 7d93a1")
_FABRICS: Final = _palette("e9e6df 27282c 24385e 7b2430 2f5a4a c9a13b 8d8f96 b9577a 4f7fb5 d8c3a5 5a4a7a a34d2c")
_WALLS: Final = _palette("e8e4dc c9d3da 9fb0a2 b79f86 5c6670 3a3f4a 86754f 4f6b58 d7c0ad 6f86a8 a05f4d f4f4f2")
_MASKS: Final = _palette("f4f5f3 a8cfe6 9fd3cf 1d1e22 efb6c4 d6d9de 32456e 8fbf8a 7a2c3d e8dcc0")

# Relief of a face: x, y, width and height of a swelling in head units, and how far it stands out. One with x > 0 has a
# twin on the other side.
_BUMPS: Final = (
    *((0.0, 0.14, 0.055, 0.17, 0.060), (0.0, 0.35, 0.085, 0.075, 0.085), (0.12, 0.40, 0.045, 0.045, 0.030)),
    *((0.30, -0.03, 0.15, 0.09, -0.060), (0.28, -0.21, 0.20, 0.06, 0.030), (0.30, 0.0, 0.10, 0.06, 0.028)),
    *((0.40, 0.26, 0.16, 0.13, 0.030), (0.0, 0.55, 0.16, 0.03, 0.014), (0.0, 0.68, 0.13, 0.04, 0.022)),
    *((0.0, 0.77, 0.12, 0.04, -0.020), (0.0, 0.88, 0.15, 0.09, 0.035), (0.27, 0.47, 0.035, 0.11, -0.012)),
)
# How a mask stands away from the face instead: a tent over the nose and a dome over the mouth.
_TENT: Final = ((0.0, 0.22, 0.16, 0.20, 0.10), (0.0, 0.55, 0.38, 0.30, 0.09))
_CELLS: Final = 36  # of the relief, in a head unit
_SPAN: Final = (1.5, 1.8)  # head units from the middle to the relief's border, across and down
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
#: Upper and lower edge of a mask, in head units down from the eyes.
_EDGES: Final = {"right": (0.13, 1.06), "below_nose": (0.49, 1.14), "below_chin": (0.93, 1.32)}
_CIRCLE: Final = np.exp(2j * np.pi * np.arange(28) / 28)  # points of an ellipse
_STEPS: Final = np.arange(6) / 6  # from one point of a curve towards the next
_PALETTES: Final = {"skin": SKINS, "hair_colour": _HAIRS, "eye_colour": _EYES, "clothes": _FABRICS}
_CHOICES: Final = {"hair_style": HairStyle, "backdrop": Backdrop, "beard": Beard, "glasses": Glasses}
# Numbers of a look: what is allowed, from and to, and what `FaceLook.random` draws, from and to.
_NUMBERS: Final = (
    *(("scale", 0.2, 1.5, 0.88, 1.12), ("tilt", -45, 45, -14, 14), ("turn", -1, 1, -0.5, 0.5)),
    *(("light", -80, 80, -70, 70), ("contrast", 0, 1, 0.2, 0.8), ("exposure", 0.02, 2, 0.5, 1.3)),
    *(("warmth", -1, 1, -0.6, 0.8), ("width", 0.6, 0.85, 0.64, 0.74), ("jaw", 0, 1, 0.1, 1)),
    *(("eyes", 0.5, 1.5, 0.85, 1.15), ("nose", 0.5, 1.5, 0.8, 1.25), ("lips", 0.5, 1.5, 0.7, 1.35)),
    *(("smile", -1, 1, -0.3, 1), ("blur", 0, 20, 0.5, 6), ("noise", 0, 40, 1, 5)),
)


@dataclass(frozen=True)
class MaskLook:
    """A mask: its RGB colour in 0..255, kind, how it is worn, and a printed pattern (cloth).

    A ``flat`` mask is a white shape laid over the photo without light or folds, as in simulated sets.
    """

    colour: Rgb
    kind: MaskKind = "surgical"
    worn: Worn = "right"
    pattern: Pattern = "plain"

    def __post_init__(self) -> None:
        _check_colour("mask colour", self.colour)
        for name, value, known in (
            ("mask kind", self.kind, MaskKind),
            ("worn", self.worn, Worn),
            ("pattern", self.pattern, Pattern),
        ):
            _check_choice(name, value, get_args(known))


@dataclass(frozen=True)
class FaceLook:
    """Everything about one drawn face. Colours are RGB in 0..255, lengths are head units (half a head's height).

    Attributes
    ----------
    backdrop, walls : str, (RGB, RGB)
        Kind of background and the colours it runs through.
    scale : float
        Size of the head, 0.2 to 1.5; at 1 it just fits the frame.
    shift : (float, float)
        Of the head from the middle, right and down, -1 to 1.
    tilt, turn : float
        Tilt of the head in degrees, clockwise, -45 to 45; turn to the side, -1 to 1.
    light, contrast, exposure, warmth : float
        Where the light comes from in degrees, -80 (left) to 80 (right); how hard it is, 0 to 1; brightness of the
        photo, 0.02 to 2 with 1 as usual; -1 (blue) to 1 (yellow).
    width, jaw, eyes, nose, lips, smile : float
        Half the head's width, 0.6 to 0.85; the others relative: jaw 0 to 1, eyes, nose and lips around 1, from 0.5
        to 1.5, smile -1 to 1 (above 0.6 it shows teeth).
    blur, noise : float
        Softness in thousandths of the shorter side, 0 to 20; standard deviation of the grain in 0..255 steps, 0 to 40.
    grain : int
        Seed of all texture and noise, at least 0.
    mask : MaskLook or None
        The mask, if one is worn.

    Raises
    ------
    ValueError
        If a value is out of range or unknown.

    """

    skin: Rgb
    hair_colour: Rgb = _HAIRS[1]
    hair_style: HairStyle = "short"
    eye_colour: Rgb = _EYES[0]
    clothes: Rgb = _FABRICS[2]
    backdrop: Backdrop = "soft"
    walls: tuple[Rgb, Rgb] = (_WALLS[0], _WALLS[1])
    scale: float = 0.9
    shift: tuple[float, float] = (0.0, 0.0)
    tilt: float = 0.0
    turn: float = 0.0
    light: float = 30.0
    contrast: float = 0.5
    exposure: float = 1.0
    warmth: float = 0.0
    width: float = 0.69
    jaw: float = 0.5
    eyes: float = 1.0
    nose: float = 1.0
    lips: float = 1.0
    smile: float = 0.2
    beard: Beard = "none"
    glasses: Glasses = "none"
    blur: float = 2.0
    noise: float = 4.0
    grain: int = 0
    mask: MaskLook | None = None

    def __post_init__(self) -> None:
        for name, least, most, *_ in _NUMBERS:
            _check(name, getattr(self, name), least, most)
        _check("grain", self.grain, 0, 2**63)
        for value in self.shift:
            _check("shift", value, -1, 1)
        for name in _PALETTES:
            _check_colour(name, getattr(self, name))
        for colour in self.walls:
            _check_colour("walls", colour)
        for name, known in _CHOICES.items():
            _check_choice(name, getattr(self, name), get_args(known))

    @classmethod
    def random(cls, rng: np.random.Generator, *, mask: bool) -> "FaceLook":
        """A look drawn at random; all but the mask is drawn the same way whether ``mask`` is true or not."""
        drawn: dict[str, Any] = {name: float(rng.uniform(low, high)) for name, _, _, low, high in _NUMBERS}
        drawn |= {name: _pick(rng, colours) for name, colours in _PALETTES.items()}
        drawn |= {name: _pick(rng, get_args(known)) for name, known in _CHOICES.items()}
        drawn["walls"] = (_pick(rng, _WALLS), _pick(rng, _WALLS))
        drawn["shift"] = (float(rng.uniform(-0.12, 0.12)), float(rng.uniform(-0.08, 0.12)))
        drawn["grain"] = int(rng.integers(2**31))
        bare_eyes, shaved, near = (rng.random(3) < (0.65, 0.5, 0.7)).tolist()
        if bare_eyes:
            drawn["glasses"] = "none"
        if shaved or drawn["hair_style"] in ("long", "bun", "scarf", "fringe"):
            drawn["beard"] = "none"
        if not near:  # most crops are tight, some show more of the background
            drawn["scale"] *= 0.72
        kind: MaskKind = _pick(rng, ("surgical", "surgical", "cloth", "cloth", "respirator"))
        colour = _pick(rng, _MASKS[:6] if kind == "surgical" else _MASKS)
        pattern: Pattern = _pick(rng, get_args(Pattern)) if kind == "cloth" else "plain"
        return cls(**drawn, mask=MaskLook(colour, kind, "right", pattern) if mask else None)


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
        _check(name, side, 16, 4096)
    canvas = _draw_backdrop(look, size)
    unit = look.scale * min(canvas.width / 1.75, canvas.height / 2.15)
    _draw_person(canvas, look, complex(canvas.width, canvas.height * 1.04) / 2 + unit * complex(*look.shift), unit)
    return _develop(canvas, look, size)


def _draw_person(canvas: Image.Image, look: FaceLook, centre: complex, unit: float) -> Outline:
    """Draw a person on a canvas; the middle of the face and the head unit are in pixels, as the returned outline."""
    pen = _Pen(canvas, look, centre, unit)
    for part in _PARTS:
        part(pen)
    pen.shine()
    return pen.place(_head(look))


class _Pen:
    """Draws in head units on a canvas in pixels, and notes which parts the light of the relief falls on."""

    def __init__(self, canvas: Image.Image, look: FaceLook, centre: complex, unit: float) -> None:
        self.canvas, self.look, self.centre = canvas, look, centre
        self.unit = unit * complex(np.exp(1j * np.deg2rad(look.tilt)))
        self.lit = Image.new("L", canvas.size)

    def turned(self, points: Outline) -> Outline:
        """Points on the face as they move when the head turns: the nose most, the outline not at all."""
        depth = np.clip(1 - (points.real / self.look.width) ** 2 - (points.imag / 1.1) ** 2, 0, 1)
        return points + 0.22 * self.look.turn * depth

    def place(self, points: Outline) -> Outline:
        """Where points in head units lie on the canvas, in pixels."""
        return self.centre + self.unit * self.turned(points)

    def fill(self, outline: Outline, paint: Paint, alpha: float = 1, blur: float = 0, lit: float | None = None) -> None:
        """Fill an outline; ``blur`` in head units, ``lit`` 0..1 is how far the relief's light counts there."""
        points = self.place(outline)
        radius = blur * abs(self.unit)
        margin = 2 * radius + 2
        left, top = (max(int(low - margin), 0) for low in (points.real.min(), points.imag.min()))
        right = min(int(points.real.max() + margin) + 1, self.canvas.width)
        bottom = min(int(points.imag.max() + margin) + 1, self.canvas.height)
        if left >= right or top >= bottom:
            return
        stencil = Image.new("L", (right - left, bottom - top))
        corners = (points - complex(left, top)).view(np.float64).tolist()  # x and y in turn
        ImageDraw.Draw(stencil).polygon(corners, fill=round(255 * alpha))
        if radius > 0.4:
            stencil = stencil.filter(ImageFilter.BoxBlur(1.5 * radius))
        self.canvas.paste(paint(stencil.size) if callable(paint) else paint, (left, top, right, bottom), stencil)
        if lit is not None:
            self.lit.paste(round(255 * lit), (left, top, right, bottom), stencil)

    def both(self, outline: Outline, paint: Paint, alpha: float = 1, blur: float = 0) -> None:
        """Fill an outline and its mirror image."""
        self.fill(outline, paint, alpha, blur)
        self.fill(-outline.conj(), paint, alpha, blur)

    def weave(self, colour: Rgb, part: int, cells: tuple[int, int], contrast: float) -> Paint:
        """A paint of random texture, of cells (across, down); a part's texture depends on no other part's."""
        noise = np.random.default_rng((self.look.grain, part)).normal(1, contrast, (cells[1], cells[0], 1))
        texture = Image.fromarray((np.array(colour) * noise).clip(0, 255).astype(np.uint8))
        return lambda size: texture.resize(size, Image.Resampling.BILINEAR)

    def shine(self) -> None:
        """Light the parts noted as lit."""
        box = self.lit.getbbox()
        if box is None:
            return
        # The relief's cell for a pixel: first back to head units, then from the relief's corner.
        back = _CELLS / self.unit
        start = back * (complex(box[0], box[1]) - self.centre) + _CELLS * complex(*_SPAN)
        matrix = (back.real, -back.imag, start.real, back.imag, back.real, start.imag)
        size = (box[2] - box[0], box[3] - box[1])
        light = Image.fromarray(_light(self.look, self)).transform(
            size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR, fillcolor=128
        )
        factor = Image.composite(light, Image.new("L", size, 128), self.lit.crop(box))
        pixels = np.asarray(self.canvas.crop(box)).astype(np.uint16) * np.asarray(factor)[..., None] >> 7
        self.canvas.paste(Image.fromarray(np.minimum(pixels, 255).astype(np.uint8)), box)


def _light(look: FaceLook, pen: _Pen) -> npt.NDArray[np.uint8]:
    """Brightness of the relief of a face (128 where it faces the viewer), `_CELLS` cells in a head unit."""
    x = np.arange(-_SPAN[0], _SPAN[0], 1 / _CELLS)
    y = np.arange(-_SPAN[1], _SPAN[1], 1 / _CELLS)[:, None]
    ball = 1 - (x / (1.1 * look.width)) ** 2 - (y / 1.2) ** 2
    worn = None if look.mask is None or look.mask.kind == "flat" else look.mask
    top = _EDGES[worn.worn][0] if worn else 9.0
    # Below its upper edge a mask hides the face's relief and has its own.
    covered = 1 / (1 + np.exp((top + 0.05 - y) / 0.02))
    height = 0.85 * np.sqrt(ball.clip(0.06)) + _swell(pen, x, y, _BUMPS) * (1 - covered)
    if worn and worn.worn != "below_chin":
        height = height + _swell(pen, x, y, _TENT) * covered
    slope_y, slope_x = np.gradient(height, 1 / _CELLS)
    angle = np.deg2rad(look.light)
    toward = np.array((np.sin(angle), -0.45, 0.35 + np.cos(angle)))
    toward /= np.linalg.norm(toward)
    length = np.sqrt(slope_x**2 + slope_y**2 + 1)
    falling = (-slope_x * toward[0] - slope_y * toward[1] + toward[2]) / length / toward[2]
    hard = 0.4 + 0.5 * look.contrast
    light = 1 - hard + hard * falling.clip(0, 1.5) + 0.25 * look.contrast * (falling.clip(0) * toward[2]) ** 24
    pixels: npt.NDArray[np.uint8] = (128 * light).clip(0, 255).astype(np.uint8)
    return pixels


def _swell(pen: _Pen, x: Floats, y: Floats, bumps: Sequence[tuple[float, ...]]) -> Floats:
    both = [*bumps, *((-bump[0], *bump[1:]) for bump in bumps if bump[0] > 0)]
    across, down, wide, high, out = np.array(both).T[..., None]
    middle = pen.turned(across + 1j * down).real
    rows = out * np.exp(-(((y.T - down) / high) ** 2) / 2)
    total: Floats = rows.T @ np.exp(-(((x - middle) / wide) ** 2) / 2)
    return total


def _draw_backdrop(look: FaceLook, size: tuple[int, int]) -> Image.Image:
    """A canvas, larger than the photo so that edges come out smooth, with the background on it."""
    grow = 2.0 if max(size) <= 128 else 1.5 if max(size) <= 256 else 1.25
    canvas_size = (round(size[0] * grow), round(size[1] * grow))
    cells = {"plain": (2, 2), "soft": (5, 4), "panels": (9, 1), "busy": (22, 18)}[look.backdrop]
    share = np.random.default_rng((look.grain, 0)).uniform(0, 1, (cells[1], cells[0]))
    small = _blend(look.walls[0], look.walls[1], share)
    if look.backdrop == "panels":
        flat = small.resize((160, 160), Image.Resampling.NEAREST).filter(ImageFilter.GaussianBlur(1.5))
        return flat.resize(canvas_size, Image.Resampling.BILINEAR)
    return small.resize(canvas_size, Image.Resampling.BICUBIC)


def _develop(canvas: Image.Image, look: FaceLook, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Shrink a canvas to the photo, with the light of the room, the lens's softness and the sensor's noise."""
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


def _draw_body(pen: _Pen) -> None:
    look = pen.look
    if look.hair_style == "long":
        mane = _mirrored("-1.08i 0.55-0.98i 0.92-0.5i 0.98+0.2i 1.02+0.9i 0.9+1.5i 0.4+1.7i 1.7i", look.width / 0.73)
        pen.fill(mane, pen.weave(look.hair_colour, 2, (60, 5), 0.16))
    pen.fill(_mirrored("0.6i 0.44+0.6i 0.42+1.1i 0.55+1.3i 0.9+1.9i 1.9i"), _mix(look.skin, (40, 15, 10), 0.35))
    pen.fill(_mirrored("1.0i 0.36+1.0i 0.36+1.25i 0.2+1.4i 1.45i"), look.skin, 0.6, 0.1)
    trunk = _mirrored("1.48i 0.3+1.4i 0.46+1.22i 0.85+1.36i 1.4+1.5i 1.7+1.9i 1.8+3i 1.8+5i 1.8+9i 1.8+18i 1.8+36i 36i")
    pen.fill(trunk, pen.weave(look.clothes, 3, (40, 30), 0.05))
    collar = _mirrored("1.52i 0.3+1.44i 0.47+1.25i 0.52+1.27i 0.34+1.5i 1.6i")
    pen.fill(collar, _mix(look.clothes, (0, 0, 0), 0.4), 1, 0.02)
    if look.hair_style == "scarf":
        folds = pen.weave(look.clothes, 4, (9, 14), 0.12)
        pen.fill(_mirrored("0.5i 0.8+0.4i 0.86+0.9i 0.95+1.3i 1.2+1.7i 1.7i"), folds)


def _draw_head(pen: _Pen) -> None:
    look = pen.look
    w, red = look.width, _mix(look.skin, (165, 45, 35), 0.28)
    pen.both(_ellipse((w + 0.02) + 0.12j, 0.10, 0.21), red)
    pen.both(_ellipse((w + 0.03) + 0.13j, 0.05, 0.13), _mix(red, (40, 10, 10), 0.4), 1, 0.03)
    pen.fill(_head(look), pen.weave(look.skin, 5, (14, 18), 0.012), lit=1)
    pen.both(_ellipse(0.42 + 0.32j, 0.18, 0.14), red, 0.5, 0.09)
    pen.fill(_ellipse(0.38j, 0.11, 0.1), red, 0.4, 0.06)


def _draw_eyes(pen: _Pen) -> None:
    look = pen.look
    wide, high = 0.148 * look.eyes, 0.064 * look.eyes
    dark, ring = _mix(look.skin, (25, 8, 5), 0.72), _mix(look.eye_colour, (0, 0, 0), 0.55)
    across = np.linspace(-1, 1, 15)
    lid, under = -high * (1 - across**2) ** 0.7, 0.75 * high * (1 - across**2)
    gaze = np.random.default_rng((look.grain, 6)).uniform(-0.03, 0.03)
    for middle in (-0.30, 0.30):
        upper, lower = middle + wide * across + 1j * lid, middle + wide * across + 1j * under
        pen.fill(_ellipse(middle - 0.02j, 0.19, 0.11), _mix(look.skin, (70, 25, 25), 0.5), 0.55, 0.05)
        pen.fill(_between(upper, lower), (226, 221, 215), 1, 0.006)
        for size, colour in ((0.073, ring), (0.060, look.eye_colour), (0.03, (8, 6, 6))):
            iris = _ellipse(middle + gaze - 0.008j, size, size)
            place = (iris.real - middle) / wide
            iris.imag = iris.imag.clip(np.interp(place, across, lid), np.interp(place, across, under))
            pen.fill(iris, colour, 1, 0.004)
        pen.fill(_between(upper, upper + 0.028j), (30, 15, 12), 0.35, 0.012)
        pen.fill(_stroke(upper - 0.004j, 0.024), dark, 1, 0.006)
        pen.fill(_stroke(lower, 0.009), _mix(dark, look.skin, 0.4), 1, 0.006)
        pen.fill(_stroke(upper - 0.045j, 0.010), dark, 0.5, 0.010)
        glint = middle + gaze + 0.022 * np.sin(np.deg2rad(look.light)) - 0.03j
        pen.fill(_ellipse(glint, 0.013, 0.013), (250, 250, 250), 1, 0.004)
    brow = _stroke(_outline("0.13-0.12i 0.24-0.19i 0.37-0.205i 0.50-0.13i"), 0.055)
    pen.both(brow, _mix(look.hair_colour, (30, 18, 12), 0.55), 0.85, 0.012)


def _draw_nose_and_mouth(pen: _Pen) -> None:
    look = pen.look
    if look.mask is not None and look.mask.worn == "right":
        return  # all of it would be covered
    dark, lip = _mix(look.skin, (30, 8, 5), 0.6), _mix(look.skin, (150, 35, 45), 0.42)
    cast = -0.07 * np.sin(np.deg2rad(look.light))  # the shadow falls away from the light
    pen.fill(_ellipse(cast + 0.45j, 0.13 * look.nose, 0.045), dark, 0.45, 0.03)
    pen.both(_ellipse(0.055 * look.nose + 0.425j, 0.030 * look.nose, 0.016), dark, 1, 0.010)
    pen.both(_stroke(_outline("0.10+0.44i 0.145+0.42i 0.14+0.35i", look.nose), 0.016), dark, 0.5, 0.012)
    pen.both(_stroke(_outline("0.17+0.40i 0.25+0.50i 0.29+0.60i"), 0.02), dark, 0.25, 0.02)
    pen.fill(_ellipse(0.735j, 0.15, 0.03), dark, 0.35, 0.03)
    across = np.linspace(-1, 1, 17)
    belly = (1 - across**2) ** 0.8
    line = (0.24 + 0.03 * look.smile) * across + 1j * (0.615 - 0.035 * look.smile * (across**2 - 0.3))
    bow = np.sqrt(1 - across**2) * (0.052 - 0.014 * np.exp(-((across / 0.15) ** 2))) * look.lips
    opened = line + 0.125j * max(0.0, look.smile - 0.6) * belly
    if look.smile > 0.6:
        pen.fill(_between(line, opened), (60, 20, 20), 1, 0.006)
        teeth = _between(line[2:-2], 0.25 * line[2:-2] + 0.75 * opened[2:-2])
        pen.fill(teeth, (232, 226, 215), 1, 0.006)
    pen.fill(_between(line - 1j * bow, line), _mix(lip, (40, 5, 10), 0.18), 1, 0.010)
    pen.fill(_between(opened, opened + 0.075j * look.lips * belly), lip, 1, 0.012)
    pen.fill(_stroke(line, 0.014), _mix(lip, (30, 0, 0), 0.65), 1, 0.008)


def _draw_beard(pen: _Pen) -> None:
    look = pen.look
    if look.beard == "none":
        return
    hair = pen.weave(_mix(look.hair_colour, look.skin, 0.12), 7, (50, 40), 0.18)
    alpha = 0.28 if look.beard == "stubble" else 0.92
    pen.both(_outline("0.51i 0.14+0.50i 0.26+0.58i 0.27+0.68i 0.22+0.62i 0.10+0.56i 0.55i"), hair, alpha, 0.015)
    if look.beard != "moustache":
        jaw = _head(look)
        low = 1.015 * jaw[jaw.imag > 0.22]
        low = low[np.argsort(low.real)]  # along the jaw from ear to ear
        cheek = _outline("0.78i 0.24+0.74i 0.29+0.62i 0.40+0.55i 0.55+0.32i")
        pen.fill(_between(low, np.concatenate((-cheek[:0:-1].conj(), cheek))), hair, alpha, 0.03)


def _draw_mask(pen: _Pen) -> None:
    mask, w = pen.look.mask, pen.look.width
    if mask is None:
        return
    top, low = _EDGES[mask.worn]
    peak = 0.10 if mask.worn == "right" else 0.0

    def place(points: str) -> Outline:
        given = _outline(points)
        return w * given.real + 1j * (top + (low - top) * given.imag)

    shape = _whole(place(_SHAPES[mask.kind].format(-peak, f"{-peak / 3:+.3f}")))
    shadow, light = _mix(mask.colour, (20, 20, 35), 0.45), _mix(mask.colour, (255, 255, 255), 0.5)
    if mask.kind == "flat":
        pen.fill(shape, mask.colour, lit=0)
        pen.both(_stroke(place("0.93+0.14i 1.02-0.05i"), 0.02), mask.colour)
        return
    pen.fill(shape + 0.03j, (25, 12, 10), 0.45, 0.045)  # its shadow on the skin
    pen.fill(shape, _fabric(pen, mask), 1, 0.006, lit=1)
    if mask.kind == "surgical":
        for fold in (0.26, 0.45, 0.64):
            crease = place(f"-0.9+{fold}i -0.4+{fold + 0.05}i {fold + 0.06}i 0.4+{fold + 0.05}i 0.9+{fold}i")
            pen.fill(_stroke(crease, 0.028), shadow, 0.55, 0.012)
            pen.fill(_stroke(crease - 0.03j, 0.02), light, 0.5, 0.012)
    elif mask.kind == "cloth":
        pen.fill(_stroke(place(f"{0.02 - peak}i 0.5i 1.0i"), 0.014), shadow, 0.7, 0.008)
        pen.both(_stroke(place("0.86+0.17i 0.84+0.4i 0.74+0.68i"), 0.012), shadow, 0.6, 0.008)
        pen.both(_stroke(place("0.80+0.3i 0.5+0.42i 0.2+0.42i"), 0.03), shadow, 0.35, 0.03)
    else:
        pen.fill(_stroke(place("-0.7+0.5i -0.3+0.46i 0.45i 0.3+0.46i 0.7+0.5i"), 0.016), shadow, 0.6, 0.008)
        pen.fill(_stroke(shape, 0.03, taper=False), shadow, 0.35, 0.012)
        valve = complex(0.16, top + 0.62 * (low - top))
        pen.fill(_ellipse(valve, 0.085, 0.085), shadow, 0.5, 0.01)
        pen.fill(_ellipse(valve, 0.068, 0.068), light, 1, 0.006)
    # Loops go to the ears from the upper and the lower corner, wherever the mask sits.
    for start, ear in (("0.92+0.14i", 0.97 * w - 0.04j), ("0.84+0.60i", w + 0.32j)):
        loop = np.append(place(start), ear)
        pen.both(_stroke(loop + 0.012j, 0.026, taper=False), (30, 15, 12), 0.35, 0.012)
        pen.both(_stroke(loop, 0.022, taper=False), light if mask.colour[1] > 90 else shadow, 1, 0.005)


def _fabric(pen: _Pen, mask: MaskLook) -> Paint:
    if mask.pattern == "plain":
        return pen.weave(mask.colour, 8, (36, 26), 0.018)
    other = _mix(mask.colour, (20, 30, 60) if sum(mask.colour) > 330 else (250, 245, 235), 0.7)

    def paint(size: tuple[int, int]) -> Image.Image:
        x, y = (np.arange(side) / abs(pen.unit) * 7 % 1 for side in size)
        across, down = np.meshgrid(x, y)
        if mask.pattern == "dots":
            share = 1.0 * ((across - 0.5) ** 2 + (down - 0.5) ** 2 < 0.08)
        else:
            share = (down < 0.4) * 1.0 if mask.pattern == "stripes" else 0.5 * (across < 0.4) + 0.5 * (down < 0.4)
        return _blend(mask.colour, other, share)

    return paint


def _draw_glasses(pen: _Pen) -> None:
    kind = pen.look.glasses
    if kind == "none":
        return
    frame = {"thin": (120, 110, 95), "thick": (28, 22, 20), "dark": (22, 22, 24)}[kind]
    line = 0.018 if kind == "thin" else 0.04
    lens = _curve(_outline("0.08-0.07i 0.20-0.13i 0.42-0.12i 0.52-0.06i 0.50+0.08i 0.38+0.16i 0.20+0.15i 0.10+0.07i"))
    pen.both(lens, (25, 25, 30) if kind == "dark" else (235, 240, 250), 0.93 if kind == "dark" else 0.10)
    pen.both(_stroke(np.append(lens, lens[:2]), line, taper=False), frame, 1, 0.004)
    pen.fill(_stroke(_outline("-0.09-0.03i -0.06i 0.09-0.03i"), line, taper=False), frame, 1, 0.004)
    pen.both(_stroke(np.array((0.51 - 0.05j, pen.look.width + 0.02 - 0.03j)), line, taper=False), frame, 1, 0.004)


def _draw_hair(pen: _Pen) -> None:
    look = pen.look
    w, style = look.width, look.hair_style
    if style == "bald":
        return
    side, left, right, lift, swell = _CUTS[style]
    worn = style in ("hat", "scarf")
    cells, contrast = ((26, 22), 0.2) if style == "curly" else ((12, 16), 0.06) if worn else ((70, 5), 0.18)
    paint = pen.weave(look.clothes if worn else look.hair_colour, 9, cells, contrast)
    if style == "bun":
        pen.fill(_ellipse(-1.2j, 0.27, 0.22), paint, 1, 0.01, lit=0.3)
    wide, inner = w + swell, (0.80 if style in ("long", "scarf", "fringe") else 0.94) * w
    skull = np.array(
        [-0.98 * wide + 1j * side, -wide - 0.3j, -0.84 * wide - 0.72j, -0.45 * wide - (0.96 + 0.8 * lift) * 1j]
    )
    brim = np.array([-inner + 1j * side, -0.93 * inner - 0.25j, -0.68 * w + (left + 0.08) * 1j, -0.3 * w + left * 1j])
    other = -brim.conj() + 1j * (right - left) * (brim.imag < -0.3)
    line = _curve(np.concatenate((brim, [0.5j * (left + right)], other[::-1])), closed=False)
    crown = _curve(np.concatenate((skull, [-1j * (1 + lift)], -skull[::-1].conj())), closed=False)
    pen.fill(_stroke(line + 0.03j, 0.07, taper=False), (30, 12, 8), 0.35, 0.035)  # its shadow on the forehead
    edge = _between(line, crown)
    if style == "curly":
        edge = edge * (1 + np.random.default_rng((look.grain, 10)).normal(0, 0.012, len(edge)))
    pen.fill(edge, paint, 1, 0.004 if worn else 0.018, lit=0.75)
    if style == "hat":
        pen.fill(_stroke(line - 0.03j, 0.15, taper=False), _mix(look.clothes, (0, 0, 0), 0.25), 1, 0.008, lit=0.75)


#: The parts of a portrait in the order they cover each other.
_PARTS: Final = (
    *(_draw_body, _draw_head, _draw_eyes, _draw_nose_and_mouth),
    *(_draw_beard, _draw_mask, _draw_glasses, _draw_hair),
)


def _head(look: FaceLook) -> Outline:
    jaw = look.jaw
    chin = [0.82 + 0.10 * jaw + 0.50j, 0.50 + 0.18 * jaw + 0.80j, 0.24 + 0.08 * jaw + 0.97j, 1j]
    half = np.concatenate((_outline("-1i 0.62-0.88i 0.92-0.55i 1-0.1i 0.98+0.2i"), chin))
    return _whole(look.width * half.real + 1j * half.imag)


@lru_cache(maxsize=512)
def _outline(points: str, widen: float = 1.0) -> Outline:
    """Points written as ``0.5-0.1i``, their x multiplied by ``widen``."""
    given = np.array([complex(point.replace("i", "j")) for point in points.split()])
    return widen * given.real + 1j * given.imag


@lru_cache(maxsize=512)
def _mirrored(points: str, widen: float = 1.0) -> Outline:
    """A closed curve through points, the first and last on the middle line, and their mirror images."""
    return _whole(_outline(points, widen))


def _whole(half: Outline) -> Outline:
    return _curve(np.concatenate((half, -half[-2:0:-1].conj())))


def _between(first: Outline, second: Outline) -> Outline:
    return np.concatenate((first, second[::-1]))


def _curve(points: Outline, *, closed: bool = True) -> Outline:
    """A smooth curve (Catmull-Rom) through points."""
    around = np.concatenate((points[-1:], points, points[:2]) if closed else (points[:1], points, points[-1:]))
    a, b, c, d = (around[k : len(around) - 3 + k, None] for k in range(4))
    bend, swing = 2 * a - 5 * b + 4 * c - d, 3 * (b - c) + d - a
    curve: Outline = b + 0.5 * _STEPS * (c - a + _STEPS * (bend + _STEPS * swing))
    return curve.ravel() if closed else np.concatenate((curve.ravel(), points[-1:]))


def _ellipse(centre: complex, across: float, down: float) -> Outline:
    outline: Outline = centre + across * _CIRCLE.real + 1j * down * _CIRCLE.imag
    return outline


def _stroke(points: Outline, thick: float, *, taper: bool = True) -> Outline:
    """The outline of a line drawn through points, thinner at its ends if it tapers."""
    path = _curve(points, closed=False) if len(points) < 8 else points
    along = np.concatenate((path[1:2], path[2:], path[-1:])) - np.concatenate((path[:1], path[:-2], path[-2:-1]))
    profile = np.sin(np.linspace(0.15, np.pi - 0.15, len(path))) ** 0.6 if taper else 1.0
    off = 0.5j * thick * profile * along / np.maximum(np.abs(along), 1e-9)
    return _between(path + off, path - off)


def _blend(first: Rgb, second: Rgb, share: npt.NDArray[np.floating[Any]]) -> Image.Image:
    """A picture that runs from the first colour to the second as the share, shape (rows, columns), goes from 0 to 1."""
    pixels = np.array(first) + share[..., None] * (np.array(second) - np.array(first))
    return Image.fromarray(pixels.astype(np.uint8))


def _mix(first: Rgb, second: Rgb, share: float) -> Rgb:
    red, green, blue = (round((1 - share) * a + share * b) for a, b in zip(first, second, strict=True))
    return red, green, blue


@dataclass(frozen=True)
class SampleOptions:
    """What `write_sample` writes.

    Attributes
    ----------
    seed : int
        At least 0; the same seed gives the same files.
    faces_per_class : int
        Photos of each class in ``sample-web`` before its oddities are added, 6 to 2000; ``sample-simulated`` gets
        half as many pairs.
    group_photos : int
        Photos in ``sample-group``, 1 to 200.

    Raises
    ------
    ValueError
        If a value is out of range.

    """

    seed: int = 0
    faces_per_class: int = 36
    group_photos: int = 3

    def __post_init__(self) -> None:
        _check("seed", self.seed, 0, 2**63)
        _check("faces_per_class", self.faces_per_class, 6, 2000)
        _check("group_photos", self.group_photos, 1, 200)


#: What `write_sample` writes unless told otherwise.
DEFAULT_OPTIONS: Final = SampleOptions()
_ODDITIES: Final = 10  # photos that `_write_oddities` adds


def write_sample(
    root: Path, options: SampleOptions = DEFAULT_OPTIONS, progress: Callable[[int, int, str], None] | None = None
) -> None:
    """Write the sample set as three datasets, each in the layout of a published one.

    ``sample-simulated`` holds pairs of one face without and with a flat drawn mask; ``sample-web`` nested splits with
    near-duplicates (one of them leaks from Train to Test), a copy, a black, a white, two elongated, a turned and a
    truncated photo; ``sample-group`` photos of six to ten people with PASCAL VOC boxes. They are written into a
    folder beside ``root`` and moved when complete, so that ``root`` never holds half a set.

    Parameters
    ----------
    root : Path
        Folder to make; its parents are made too.
    options : SampleOptions
        Seed and counts.
    progress : callable or None
        Called after each photo with photos done, all photos and the file's name; may raise to cancel.

    Raises
    ------
    FileExistsError
        If ``root`` exists; it is left as it is.
    OSError
        If the folder cannot be written.

    """
    if os.path.lexists(root):
        raise FileExistsError(f"{root} exists already: expected the name of a folder yet to be made")
    root.parent.mkdir(parents=True, exist_ok=True)
    total = 2 * (options.faces_per_class // 2) + 2 * options.faces_per_class + _ODDITIES + options.group_photos
    with tempfile.TemporaryDirectory(prefix=f".{root.name}-", dir=root.parent) as temporary:
        folder = Path(temporary) / root.name
        written = itertools.chain(
            _write_simulated(folder / "sample-simulated", options),
            _write_web(folder / "sample-web", options),
            _write_groups(folder / "sample-group", options),
        )
        for done, path in enumerate(written, start=1):
            if progress is not None:
                progress(done, total, path.name)
        folder.rename(root)


def _write_simulated(folder: Path, options: SampleOptions) -> Iterator[Path]:
    rng = np.random.default_rng((options.seed, 1))
    for number in range(options.faces_per_class // 2):
        bare = replace(FaceLook.random(rng, mask=False), skin=SKINS[number % len(SKINS)])
        masked = replace(bare, mask=MaskLook((247, 247, 245), "flat"))
        side = int(rng.integers(96, 225))
        for look, name in ((bare, "without_mask/{:03}.jpg"), (masked, "with_mask/{:03}-with-mask.jpg")):
            yield _save(folder / name.format(number), _picture(look, (side, side)))


def _write_web(folder: Path, options: SampleOptions) -> Iterator[Path]:
    rng = np.random.default_rng((options.seed, 2))
    count = options.faces_per_class
    held = max(1, count // 6)
    splits = ["Train"] * (count - 2 * held) + ["Validation"] * held + ["Test"] * held
    for kind in ("WithMask", "WithoutMask"):
        # Both classes get the same spread of sizes, dealt at random so that no split gets the small ones.
        for number, rank in enumerate(rng.permutation(count)):
            look = replace(FaceLook.random(rng, mask=kind == "WithMask"), skin=SKINS[number % len(SKINS)])
            side = 40 * 16 ** (((rank + 0.5) / count) ** 1.6)
            stretch = np.exp(rng.uniform(-0.2, 0.2))
            suffix = "png" if number % 9 == 4 and side < 200 else "jpg"
            size = (round(side / stretch), round(side * stretch))
            yield _save(folder / splits[number] / kind / f"{number:04}.{suffix}", _picture(look, size))
    yield from _write_oddities(folder, rng)


def _write_oddities(folder: Path, rng: np.random.Generator) -> Iterator[Path]:
    masked, bare = folder / "Train/WithMask", folder / "Train/WithoutMask"
    # The second and third largest: the largest would make the set needlessly large.
    for kind in (masked, bare):
        _, first, second, *_ = sorted(kind.glob("*.jpg"), key=lambda path: (-path.stat().st_size, path.name))
        if kind == masked:
            yield _save_again(first, masked / "near-duplicate-smaller.jpg", 0.7, 80)
            yield _save_again(second, folder / "Test/WithMask/near-duplicate-leak.jpg", 0.85, 70)
        else:
            yield _save_again(first, bare / "near-duplicate-coarser.jpg", 1.0, 35)
            (bare / "exact-duplicate.jpg").write_bytes(second.read_bytes())
            yield bare / "exact-duplicate.jpg"

    def portrait(size: tuple[int, int], *, mask: bool) -> Image.Image:
        return _picture(FaceLook.random(rng, mask=mask), size)

    yield _save(masked / "nearly-black.jpg", portrait((180, 200), mask=True).point(lambda value: value * 0.018))
    yield _save(bare / "nearly-white.jpg", portrait((190, 180), mask=False).point(lambda value: 251 + value * 0.015))
    yield _save(masked / "elongated-tall.jpg", portrait((56, 270), mask=True))
    yield _save(bare / "elongated-wide.jpg", portrait((280, 60), mask=False))
    turned, exif = portrait((200, 260), mask=True).transpose(Image.Transpose.ROTATE_90), Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # "turn by 90 degrees clockwise to see it upright"
    turned.save(masked / "exif-rotated.jpg", quality=88, exif=exif)
    yield masked / "exif-rotated.jpg"
    cut = _save(folder / "Validation/WithoutMask/truncated.jpg", portrait((220, 220), mask=False))
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    yield cut


def _write_groups(folder: Path, options: SampleOptions) -> Iterator[Path]:
    for number in range(options.group_photos):
        rng = np.random.default_rng((options.seed, 3, number))
        size = (int(rng.integers(860, 941)), int(rng.integers(570, 631)))
        room = replace(FaceLook.random(rng, mask=False), exposure=rng.uniform(0.75, 1.15), blur=1.0)
        canvas = _draw_backdrop(room, size)
        grow = canvas.width / size[0]
        faces = []
        for place, (centre, unit) in enumerate(_seats(rng, size, last=number == options.group_photos - 1)):
            look = FaceLook.random(rng, mask=bool(rng.random() < 0.55))
            careless = rng.random() < 0.12 or (number == 0 and place == 2)
            if careless:
                worn: Worn = _pick(rng, ("below_nose", "below_chin"))
                look = replace(look, mask=MaskLook(_pick(rng, _MASKS[:6]), "surgical", worn))
            look = replace(look, light=room.light, contrast=room.contrast)
            outline = _draw_person(canvas, look, centre * grow, unit * grow) / grow
            name = "mask_weared_incorrect" if careless else "with_mask" if look.mask else "without_mask"
            faces.append((name, outline))
        path = _save(folder / f"images/group{number}.jpg", Image.fromarray(_develop(canvas, room, size)))
        _save_boxes(folder / f"annotations/group{number}.xml", path.name, size, faces)
        yield path


def _seats(rng: np.random.Generator, size: tuple[int, int], *, last: bool) -> Iterator[tuple[complex, float]]:
    """Middle and head unit, in pixels, of the people in a group photo, the farthest first."""
    width, height = size
    yield complex(width * rng.uniform(0.1, 0.9), 0.10 * height), 9.0  # somebody far behind
    back, front = int(rng.integers(2, 5)), int(rng.integers(3, 6))
    for people, down, least, most in ((back, 0.30, 42, 58), (front, 0.66, 62, 82)):
        room = width / people
        for seat in range(people):
            unit = min(rng.uniform(least, most), 0.4 * room)
            across = room * (seat + 0.5 + rng.uniform(-0.1, 0.1))
            if last and down > 0.5 and seat == people - 1:
                across = width - 0.3 * unit  # the photo's edge cuts this face, as in real annotations
            yield complex(across, height * (down + rng.uniform(-0.03, 0.03))), unit


def _save_boxes(path: Path, photo: str, size: tuple[int, int], faces: Sequence[tuple[str, Outline]]) -> None:
    lines = ["<annotation>", "  <folder>images</folder>", f"  <filename>{photo}</filename>"]
    lines.append(f"  <size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>")
    for label, outline in faces:
        x, y = outline.real, outline.imag
        edges = {"xmin": x.min(), "ymin": y.min(), "xmax": x.max(), "ymax": y.max()}
        box = "".join(f"<{name}>{round(edge)}</{name}>" for name, edge in edges.items())
        lines.append(f"  <object><name>{label}</name><bndbox>{box}</bndbox></object>")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*lines, "</annotation>\n"]), encoding="utf-8", newline="\n")


def _picture(look: FaceLook, size: tuple[int, int]) -> Image.Image:
    return Image.fromarray(draw_face(look, size))


def _save(path: Path, photo: Image.Image) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    photo.save(path, quality=88)  # PNG has no quality and ignores it
    return path


def _save_again(source: Path, path: Path, shrink: float, quality: int) -> Path:
    with Image.open(source) as photo:
        photo.resize((round(photo.width * shrink), round(photo.height * shrink))).save(path, quality=quality)
    return path
