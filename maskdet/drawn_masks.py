"""Draw a mask on the photo of a face, to ask a model what it would say if this person wore one.

A mask is a surface in space: a tent over nose and chin that wraps around the cheeks. It is turned as the head is (the
head's pose is fitted to the five landmarks by scaled orthographic projection), stretched to this face's chin and
cheeks, shaded by the light that falls on this face, and laid over the photo with soft edges. It covers whatever is
there; a hand or hair before the mouth disappears under it.

MaskedFace-Net (Cabani et al., 2021) fits a flat picture of a mask to 12 points instead, which needs landmarks along the
jaw.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from maskdet.errors import MaskDetError
from maskdet.photos import Box, RgbImage

if TYPE_CHECKING:
    from maskdet.detection import DetectedFace

Floats = npt.NDArray[np.float64]
Layer = npt.NDArray[np.float32]

#: The colour that is measured on each face.
SKIN: Final = "skin"
#: Colours of the masks by name, R, G, B under full light; None is the colour of the face's own skin.
MASK_COLOURS: Final[dict[str, tuple[int, int, int] | None]] = {
    "white": (240, 241, 240), "blue": (128, 178, 214), "black": (34, 34, 38), SKIN: None,
}  # fmt: skip
#: Where the landmarks of a photo that is one face are taken to be, in shares of its width and height: the medians that
#: a detector found on 300 such faces of Datasets 2.1 and 2.2, made symmetric.
USUAL_LANDMARKS: Final = np.array([(0.31, 0.395), (0.69, 0.395), (0.5, 0.615), (0.335, 0.76), (0.665, 0.76)])
#: The box that belongs to them: left, top, right, bottom.
USUAL_BOX: Final = (0.08, 0.0, 0.92, 1.0)

# A grown-up's head in mm, seen from the front: x to the right in the picture, y down, z towards the viewer; the origin
# lies between the eyes. After the means of Farkas, Anthropometry of the Head and Face (1994).
_LANDMARKS: Final = np.array(
    [(-31.5, 0, 0), (31.5, 0, 0), (0, 37, 30), (-27.5, 66, 4), (27.5, 66, 4)], dtype=np.float64
)
_CHIN: Final = 113.0
_MOUTH: Final = 66.0
_CHEEK: Final = 68.0  # half the width of the face
_HEAD_DEPTH: Final = 84.0  # half of what is seen of a face from the side
_PATCHES: Final = np.array([(-36.0, 42, -2), (36, 42, -2), (0, -30, 2), (0, 37, 30)])  # cheeks, forehead, nose
_EARS: Final = ((17.0, -74.0), (50.0, -72.0))  # y and z of where the loops go, at the side of the head
_EYES_APART: Final = 150.0  # px between the eyes on the canvas on which the mask is drawn
_ROWS, _COLUMNS = 48, 72  # of the surface
_SIDE: Final = np.deg2rad(74)  # how far the mask goes around the face, to each side
_PLEATS: Final = (0.36, 0.53, 0.70)  # where they lie between upper and lower edge
_ONE_CHEEK: Final = 0.35  # sine of the turn from which on one cheek is out of sight
_SHADOW: Final = 0.28  # opacity of the shadow that the mask casts on the skin


@dataclass(frozen=True)
class Pose:
    """How a head lies in a photo: ``photo point = offset + scale * (rotation @ head point)[:2]``.

    Attributes
    ----------
    rotation : array of shape (3, 3)
    scale : float
        Pixels a mm.
    offset : array of shape (2,)
        Where the middle between the eyes lies, in px.
    tall : float
        How much longer than the average this face is from eyes to mouth, as a factor.
    """

    rotation: Floats
    scale: float
    offset: Floats
    tall: float

    def place(self, points: Floats) -> Floats:
        """Points of the head in mm, shape (..., 3), in px of the photo; the third value is the depth in px."""
        turned = (points * (1, self.tall, 1)) @ self.rotation.T * self.scale
        turned[..., :2] += self.offset
        return turned


def fit_pose(landmarks: npt.ArrayLike) -> Pose:
    """The pose whose projection comes closest to the five landmarks, shape (5, 2), in px.

    Five points say little of how far a head is turned; mild priors (most heads are turned little, and most faces are
    of about average length) decide where they leave it open.

    Raises
    ------
    MaskDetError
        If the landmarks are not five finite points that lie apart.
    """
    points = np.asarray(landmarks, dtype=np.float64)
    if points.shape != (5, 2) or not np.isfinite(points).all():
        raise MaskDetError("A mask is drawn by five landmarks, each with x and y.")
    eyes, mouth = points[:2].mean(axis=0), points[3:].mean(axis=0)
    across, down = points[1] - points[0], mouth - eyes
    size = max(np.hypot(*across) / 63, np.hypot(*down) / _MOUTH)
    if size < 0.02:
        raise MaskDetError("The landmarks of this face lie on one another: no mask can be drawn by them.")
    roll = np.arctan2(across[1], across[0]) if np.hypot(*across) > 20 * size else np.arctan2(-down[0], down[1])

    def pose(values: Floats) -> Pose:
        turned = Rotation.from_euler("ZYX", (roll + values[0], values[1], values[2])).as_matrix()
        return Pose(turned, size * np.exp(values[3]), eyes + size * 10 * values[4:6], float(np.exp(values[6])))

    def misfit(values: Floats) -> Floats:
        apart = (pose(values).place(_LANDMARKS)[:, :2] - points) / (2 * size)  # in units of 2 mm, a detector's error
        priors = values[[0, 1, 2, 6]] / np.deg2rad([60, 40, 15, 9])
        return np.concatenate((apart.ravel(), priors))

    return pose(least_squares(misfit, np.zeros(7), method="lm").x)


def draw_mask(photo: RgbImage, landmarks: npt.ArrayLike, box: Box, colour: str) -> RgbImage:
    """Draw a mask on a face.

    Parameters
    ----------
    photo : array of uint8, shape (height, width, 3)
        It is left as it is.
    landmarks : array of shape (5, 2)
        Right eye, left eye, tip of the nose, right and left corner of the mouth, in px of the photo.
    box : Box
        The face's box from forehead to chin; it says where the chin is and how wide the face.
    colour : str
        One of `MASK_COLOURS`; ``skin`` is measured on the face's cheeks and forehead.

    Raises
    ------
    MaskDetError
        If there is no such colour, or no mask can be drawn by these landmarks.
    """
    if colour not in MASK_COLOURS:
        raise MaskDetError(f"A mask is {', '.join(MASK_COLOURS)}, not {colour!r}.")
    return _draw(photo, landmarks, box, (colour,))[colour]


def mask_variants(photo: RgbImage, detected: "DetectedFace | None", crop_box: Box) -> dict[str, RgbImage]:
    """The crop of a face with a mask of each colour drawn on.

    Parameters
    ----------
    photo : array of uint8, shape (height, width, 3)
    detected : DetectedFace or None
        None if the crop was taken as one face without looking for it: the mask is drawn by `USUAL_LANDMARKS` then.
    crop_box : Box
        What of the photo a model sees.

    Returns
    -------
    dict
        By the name of the colour, in the order of `MASK_COLOURS`: uint8, the crop at its own size.
    """
    left, top, right, bottom = crop_box
    start, size = np.array((left, top)), np.array((right - left, bottom - top))
    if detected is None:
        landmarks, edges = USUAL_LANDMARKS * size, np.reshape(USUAL_BOX, (2, 2)) * size
    else:
        landmarks = detected.landmarks - start
        edges = np.array(detected.box).reshape(2, 2) - start
    (x0, y0), (x1, y1) = np.round(edges).astype(int).tolist()
    # On the crop alone: a photo of a crowd is not copied for each of its faces.
    return _draw(photo[top:bottom, left:right], landmarks, (x0, y0, x1, y1), tuple(MASK_COLOURS))


def light_strength(face: RgbImage) -> float:
    """How strong the light on a face is, by its brightest parts: 0.4..1, a factor of the colours of `MASK_COLOURS`."""
    bright = float(np.percentile(face.max(axis=-1), 97)) if face.size else 235.0
    return float(np.clip((bright + 15) / 250, 0.4, 1))


def _draw(photo: RgbImage, landmarks: npt.ArrayLike, box: Box, names: Sequence[str]) -> dict[str, RgbImage]:
    pose = fit_pose(landmarks)
    light = _light_on(photo, pose, box)
    layers = _layers(pose, _surface(*_outline(pose, box)), light.from_right, photo.shape[:2])
    colours = {name: MASK_COLOURS[name] for name in names}
    return {
        name: _lay_over(photo, layers, light.skin if colour is None else np.array(colour) * light.strength)
        for name, colour in colours.items()
    }


def _outline(pose: Pose, box: Box) -> tuple[float, float]:
    """Chin and half the width of the cheeks of this face in mm, so that the head fills the ellipse in its box."""
    corners = np.array(box, dtype=np.float64).reshape(2, 2)
    middle, half = corners.mean(axis=0), np.maximum((corners[1] - corners[0]) / 2, 1)
    mouth, below = pose.place(np.array([(0, _MOUTH, 4), (0, _CHIN, 8)], dtype=np.float64))[:, :2]
    start, step = (mouth - middle) / half, (below - mouth) / half
    # The ray from the mouth over the chin leaves the ellipse at start + reach * step: a quadratic equation.
    a, b, c = float(step @ step), float(start @ step), float(start @ start) - 1
    reach = (-b + math.sqrt(b * b - a * c)) / a if c < 0 < a else 1.0
    chin = _MOUTH + (_CHIN - _MOUTH) * float(np.clip(reach, 0.75, 1.35))
    across = pose.rotation[:2, 0]
    flat = max(float(np.linalg.norm(across)), 1e-6)  # 1 if seen from the front, 0 from the side
    deep = math.sqrt(max(0.0, 1 - flat * flat))
    seen = 1 / float(np.linalg.norm(across / flat / half))  # half the ellipse along the line through the eyes
    wide = seen / (pose.scale * math.hypot(_CHEEK * flat, _HEAD_DEPTH * deep))
    return chin, _CHEEK * float(np.clip(wide, 0.9, 1.15))


def _surface(chin: float, cheek: float) -> Floats:
    """The mask in mm: shape (rows, columns, 3), rows from the upper edge down, columns from left to right."""
    angle = np.linspace(-_SIDE, _SIDE, _COLUMNS)
    out = np.abs(angle) / _SIDE
    upper = 19 + 13 * (1 - np.exp(-((out / 0.24) ** 2))) + 13 * out**2
    lower = chin + 8 - (chin - 80) * out**2.4
    y = upper + np.linspace(0, 1, _ROWS)[:, None] * (lower - upper)
    # How far the tent stands out over the middle, and how wide it is there: bridge, tip of the nose, mouth, chin.
    knots = (18, 38, 55, 75, 98, chin, chin + 8)
    ridge = np.interp(y, knots, (12, 33, 31, 25, 20, 15, 0))
    width = np.interp(y, knots, (0.18, 0.30, 0.42, 0.50, 0.52, 0.52, 0.52))
    half = cheek * np.interp(y, (50, 86, chin + 8), (1.0, 0.90, 0.70))
    x = half * np.sin(angle)
    z = 2 + 76 * (np.cos(angle) - 1) + ridge * np.exp(-((angle / width) ** 2))
    return np.stack((x, y, z), axis=-1)


@dataclass(frozen=True)
class _Light:
    """Strength 0.4..1, how much more comes from the right (-0.5..0.5), and the colour of the skin in it."""

    strength: float
    from_right: float
    skin: Floats


def _light_on(photo: RgbImage, pose: Pose, box: Box) -> _Light:
    left, top, right, bottom = (max(edge, 0) for edge in box)
    patches = [_patch(photo, point, 7 * pose.scale) for point in pose.place(_PATCHES)[:, :2]]
    skin = _skin(patches)
    from_right = 0.0
    if len(patches[0]) and len(patches[1]) and abs(pose.rotation[2, 0]) < _ONE_CHEEK:
        left_cheek, right_cheek = patches[0].mean(), patches[1].mean()
        from_right = float(np.clip((right_cheek - left_cheek) / (left_cheek + right_cheek + 1), -0.3, 0.3))
    return _Light(light_strength(photo[top:bottom, left:right]), from_right, skin)


def _skin(patches: Sequence[Floats]) -> Floats:
    """The median colour of the patches that are about as bright as the last, the nose: no hair, hat or background."""
    lights = [float(np.median(patch)) if len(patch) else np.nan for patch in patches]
    seen = [patch for patch, light in zip(patches, lights, strict=True) if 0.6 <= light / max(lights[-1], 1) <= 1.6]
    return np.asarray(np.median(np.concatenate(seen or [np.full((1, 3), 128.0)]), axis=0))


def _patch(photo: RgbImage, point: Floats, radius: float) -> Floats:
    """Pixels of a square around a point, shape (n, 3); none where it lies outside the photo."""
    (x, y), reach = point, max(radius, 1.0)
    rows = slice(max(0, round(y - reach)), max(0, round(y + reach) + 1))
    columns = slice(max(0, round(x - reach)), max(0, round(x + reach) + 1))
    return photo[rows, columns].reshape(-1, 3).astype(np.float64)


@dataclass(frozen=True)
class _Layers:
    """A mask without its colour, over the rows and columns of the photo that it touches; each of shape (h, w, 1)."""

    inside: tuple[slice, slice]
    shade: Layer
    alpha: Layer
    cast: Layer


def _layers(pose: Pose, surface: Floats, from_right: float, shape: tuple[int, ...]) -> _Layers:
    points, loops = pose.place(surface), _loops(pose, surface)
    flat = np.concatenate([points[..., :2].reshape(-1, 2), *loops])
    margin = 16 * pose.scale + 2
    left, top = np.floor(flat.min(axis=0) - margin).astype(int).tolist()
    right, bottom = np.ceil(flat.max(axis=0) + margin).astype(int).tolist()
    size = (right - left, bottom - top)
    grow = _EYES_APART / (63 * pose.scale)
    canvas = (max(1, round(size[0] * grow)), max(1, round(size[1] * grow)))
    stretch = np.array(canvas) / size
    points = np.concatenate(((points[..., :2] - (left, top)) * stretch, points[..., 2:] * grow), axis=-1)
    shade, alpha = _paint(points, [(loop - (left, top)) * stretch for loop in loops], from_right, canvas)
    mm = _EYES_APART / 63
    cast = cv2.GaussianBlur(np.roll(alpha, round(3 * mm), axis=0), (0, 0), 3.5 * mm) * np.float32(_SHADOW)

    height, width = shape[:2]
    rows, columns = (
        slice(min(max(low, 0), limit), min(max(high, 0), limit))
        for low, high, limit in ((top, bottom, height), (left, right, width))
    )
    own = (slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left))
    how = cv2.INTER_AREA if grow > 1 else cv2.INTER_LINEAR
    shade, alpha, cast = (
        np.asarray(cv2.resize(layer, size, interpolation=how), np.float32)[own][..., None]
        for layer in (shade, alpha, cast)
    )
    return _Layers((rows, columns), shade, alpha, cast)


def _lay_over(photo: RgbImage, layers: _Layers, colour: Floats) -> RgbImage:
    result = photo.copy()
    below = photo[layers.inside] * (1 - layers.cast)
    mixed = below * (1 - layers.alpha) + colour * layers.shade * layers.alpha
    result[layers.inside] = np.clip(mixed + 0.5, 0, 255).astype(np.uint8)
    return result


def _loops(pose: Pose, surface: Floats) -> list[Floats]:
    """The ear loops that are in sight, each a polyline in px of the photo, shape (n, 2)."""
    loops = []
    for side, column in ((-1, 0), (1, -1)):
        if side * pose.rotation[2, 0] < -0.25:  # this ear is turned away
            continue
        for row, (y, z) in zip((2, -3), _EARS, strict=True):
            start, ear = surface[row, column], np.array((side * 1.08 * abs(surface[2, column, 0]), y, z))
            bend = (start + ear) / 2 + (side * 2.0, 0, 0)
            share = np.linspace(0, 1, 9)[:, None]
            loops.append(pose.place((1 - share) ** 2 * start + 2 * share * (1 - share) * bend + share**2 * ear)[:, :2])
    return loops


def _paint(points: Floats, loops: Sequence[Floats], from_right: float, canvas: tuple[int, int]) -> tuple[Layer, Layer]:
    """Shade (a factor of the colour, about 1) and opacity 0..1 of the mask on a canvas of (width, height) px."""
    shade, alpha = np.ones(canvas[::-1], np.float32), np.zeros(canvas[::-1], np.float32)
    for loop in loops:
        line = [np.round(loop * 16).astype(np.int32)]
        for layer, value in ((shade, 0.97), (alpha, 0.95)):
            cv2.polylines(layer, line, False, value, max(1, round(2.2 * _EYES_APART / 63)), cv2.LINE_AA, 4)
    normals = np.cross(np.gradient(points, axis=1), np.gradient(points, axis=0))
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True) + 1e-9
    lamp = np.array((1.6 * from_right, -0.45, 0.9))
    lit = 0.64 + 0.40 * np.clip(normals @ (lamp / np.linalg.norm(lamp)), 0, 1)
    lit = lit * _cloth()
    quads = np.stack((points[:-1, :-1], points[:-1, 1:], points[1:, 1:], points[1:, :-1]), axis=2).reshape(-1, 4, 3)
    tones, facing = (((grid[:-1, :-1] + grid[1:, 1:]) / 2).ravel() for grid in (lit, normals[..., 2]))
    for index in np.argsort(quads[:, :, 2].mean(axis=1)):  # the farthest first, as the nearer covers it
        if facing[index] > 0:
            corners = np.round(quads[index, :, :2] * 16).astype(np.int32)
            cv2.fillConvexPoly(shade, corners, float(tones[index]), cv2.LINE_8, 4)
            cv2.fillConvexPoly(alpha, corners, 1.0, cv2.LINE_8, 4)
    # Away from the mask the shade is that of its edge, so that no other tone shines in where both are shrunk.
    weight = cv2.GaussianBlur(alpha, (0, 0), 2.2)
    smooth = cv2.GaussianBlur(shade * alpha, (0, 0), 2.2) / np.maximum(weight, 1e-3)
    soft = np.asarray(cv2.GaussianBlur(alpha, (0, 0), 1.6), np.float32)
    return np.where(weight > 1e-3, smooth, shade).astype(np.float32), soft


@lru_cache(maxsize=1)
def _cloth() -> Floats:
    """Brightness of the cloth, about 1, shape (rows, columns): pleats, a hem, and an uneven weave."""
    down, across = np.linspace(0, 1, _ROWS)[:, None], np.linspace(-1, 1, _COLUMNS)[None]
    tone = np.ones((_ROWS, _COLUMNS))
    for place in _PLEATS:
        off = (down - place - 0.03 * (1 - across**2)) / 0.022
        tone += np.where(np.abs(across) < 0.93, -0.085 * np.exp(-(off**2)) + 0.04 * np.exp(-((off + 1.8) ** 2)), 0)
    edge = np.minimum(np.minimum(down, 1 - down), (1 - np.abs(across)) / 2)
    tone -= 0.05 * np.exp(-((edge / 0.025) ** 2))
    return tone + np.random.default_rng(0).normal(0, 0.006, tone.shape)
