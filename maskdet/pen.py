"""The pen that draws a portrait's parts, and the light that falls on them.

Outlines come in *head units*: the crown lies at -1i, the eyes at 0, the chin at +1i.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from maskdet.looks import FaceLook, Rgb
from maskdet.outlines import Outline

Floats = npt.NDArray[np.float64]
Paint = Rgb | Callable[[tuple[int, int]], Image.Image]

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
#: Upper and lower edge of a mask, in head units down from the eyes.
EDGES: Final = {"right": (0.13, 1.06), "below_nose": (0.49, 1.14), "below_chin": (0.93, 1.32)}


class Pen:
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


def _light(look: FaceLook, pen: Pen) -> npt.NDArray[np.uint8]:
    """Brightness of the relief of a face (128 where it faces the viewer), `_CELLS` cells in a head unit."""
    x = np.arange(-_SPAN[0], _SPAN[0], 1 / _CELLS)
    y = np.arange(-_SPAN[1], _SPAN[1], 1 / _CELLS)[:, None]
    ball = 1 - (x / (1.1 * look.width)) ** 2 - (y / 1.2) ** 2
    worn = None if look.mask is None or look.mask.kind == "flat" else look.mask
    top = EDGES[worn.worn][0] if worn else 9.0
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


def _swell(pen: Pen, x: Floats, y: Floats, bumps: Sequence[tuple[float, ...]]) -> Floats:
    both = [*bumps, *((-bump[0], *bump[1:]) for bump in bumps if bump[0] > 0)]
    across, down, wide, high, out = np.array(both).T[..., None]
    middle = pen.turned(across + 1j * down).real
    rows = out * np.exp(-(((y.T - down) / high) ** 2) / 2)
    total: Floats = rows.T @ np.exp(-(((x - middle) / wide) ** 2) / 2)
    return total


def blend(first: Rgb, second: Rgb, share: npt.NDArray[np.floating[Any]]) -> Image.Image:
    """A picture that runs from the first colour to the second as the share, shape (rows, columns), goes from 0 to 1."""
    pixels = np.array(first) + share[..., None] * (np.array(second) - np.array(first))
    return Image.fromarray(pixels.astype(np.uint8))


def mix(first: Rgb, second: Rgb, share: float) -> Rgb:
    """A colour between two: the first at share 0, the second at share 1."""
    red, green, blue = (round((1 - share) * a + share * b) for a, b in zip(first, second, strict=True))
    return red, green, blue
