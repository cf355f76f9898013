"""Which pixels of a normalised face are forehead and cheeks, which lie where a mask is worn, and which are background.

A region is given in the coordinates of the face: 0 across is the line from the middle between the eyes to the middle of
the mouth, and the eyes are at -0.5 and 0.5; 0 down is the line through the eyes, and the mouth is at 1. The five
landmarks say where that is in the picture, so a region turns, shrinks and leans with the face. The bounds are rounded
from the means of Farkas, Anthropometry of the Head and Face (1994), as `maskdet.drawn_masks` has them, on which eyes
and mouth are 66 mm apart and the pupils 63 mm.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from maskdet.drawn_masks import USUAL_BOX, USUAL_LANDMARKS
from maskdet.errors import MaskDetError
from maskdet.photos import FACE_SIZE

Region = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

#: Columns of the table of `maskdet.bias.appearance` that hold the landmarks, x before y, and the box.
LANDMARK_COLUMNS: Final = tuple(f"{axis}{number}" for number in range(5) for axis in "xy")
BOX_COLUMNS: Final = ("box_left", "box_top", "box_right", "box_bottom")

#: Bounds in coordinates of the face: from and to across (on both sides, so from 0 is one piece), from and to down.
#: Brows lie at -0.2 to -0.4, most hairlines above -0.9; a worn mask begins at 0.3 on the nose and 0.45 on the cheeks.
_FOREHEAD: Final = (0.0, 0.55, -0.85, -0.42)
_BETWEEN_THE_EYES: Final = (0.0, 0.14, -0.28, 0.12)
_UNDER_THE_EYES: Final = (0.2, 0.75, 0.18, 0.34)
#: What of the lower face is mask on nearly every masked face, and neither neck nor edge.
_MIDDLE_OF_MASK: Final = (0.0, 0.6, 0.62, 1.35)
_MASK_BEGINS: Final = (0.32, 0.48)
#: Half the width of the lower face in the same units, as a bound where the box is too wide.
_LOWER_FACE_WIDE: Final = 1.15
#: How far the ellipse around the face goes beyond its box, which ends at hairline and cheeks.
_ELLIPSE: Final = 1.08
#: In widths of the box: eyes closer than this are those of a head turned to its side, and say little of its width.
_EYES_APART: Final = 0.25


@dataclass(frozen=True, eq=False)
class FaceGeometry:
    """Where the parts of a face lie on its normalised picture.

    Attributes
    ----------
    landmarks : array of float32, shape (5, 2)
        x, y in px of the 150x150 face: right eye, left eye, tip of the nose, right and left corner of the mouth.
    box : tuple of float
        Left, top, right, bottom in the same px, from forehead to chin.
    found : bool
        True if a detector saw them, False if they are where they are on most faces.

    Raises
    ------
    MaskDetError
        If the landmarks are not five finite points, or the eyes lie on the mouth, or the box has no area.
    """

    landmarks: npt.NDArray[np.float32]
    box: tuple[float, float, float, float]
    found: bool

    def __post_init__(self) -> None:
        """Refuse what no region can be laid out by."""
        if self.landmarks.shape != (5, 2) or not np.isfinite(self.landmarks).all():
            raise MaskDetError("Regions of a face are laid out by five landmarks, each with x and y.")
        left, top, right, bottom = self.box
        if not (right - left >= 1 and bottom - top >= 1):
            raise MaskDetError("The box of this face has no area.")
        if np.hypot(*_eyes_to_mouth(self)) < 0.1 * (bottom - top):
            raise MaskDetError("The landmarks of this face lie on one another: it has no regions.")

    @classmethod
    def usual(cls) -> "FaceGeometry":
        """Where most faces have their parts, for a face on which no detector found any."""
        left, top, right, bottom = (FACE_SIZE * share for share in USUAL_BOX)
        return cls((USUAL_LANDMARKS * FACE_SIZE).astype(np.float32), (left, top, right, bottom), found=False)

    @classmethod
    def of(cls, row: "Mapping[str, Any]") -> "FaceGeometry":
        """The geometry of a row of the table of `maskdet.bias.appearance` (a Series, or a dict of its columns)."""
        points = np.array([row[name] for name in LANDMARK_COLUMNS], dtype=np.float32).reshape(5, 2)
        left, top, right, bottom = (float(row[name]) for name in BOX_COLUMNS)
        return cls(points, (left, top, right, bottom), found=bool(row["landmarks"]))


def upper_face(geometry: FaceGeometry) -> Region:
    """Forehead between brows and hairline, the root of the nose, and cheeks from under the eyes to where masks begin.

    Shape (150, 150). Hair, glasses and shadow may lie on it: see `maskdet.bias.skin_tone`.
    """
    across, down = face_coordinates(geometry)
    parts = (_FOREHEAD, _BETWEEN_THE_EYES, _UNDER_THE_EYES)
    region = np.logical_or.reduce([_within(across, down, part) for part in parts])
    return np.asarray(region & ~background(geometry))


def forehead_in_picture(geometry: FaceGeometry) -> float:
    """How much of the forehead's area, 0..1, the picture shows: tight crops end at the brows."""
    across, down = face_coordinates(geometry)
    (a, b), (c, d) = (((grid[0, 1] - grid[0, 0]), (grid[1, 0] - grid[0, 0])) for grid in (across, down))
    _, half, upper, lower = _FOREHEAD
    whole = 2 * half * (lower - upper) / abs(a * d - b * c)  # in px
    return float(min(_within(across, down, _FOREHEAD).sum() / whole, 1))


def lower_face(geometry: FaceGeometry) -> Region:
    """Nose, mouth, chin and lower cheeks: where a mask lies. Shape (150, 150)."""
    across, down = face_coordinates(geometry)
    begins, beside = _MASK_BEGINS
    edge = begins + (beside - begins) * np.clip(np.abs(across) / 0.5, 0, 1)
    return np.asarray((down >= edge) & (np.abs(across) <= _LOWER_FACE_WIDE) & ~background(geometry))


def middle_of_mask(geometry: FaceGeometry) -> Region:
    """The part of the lower face on which nothing but the mask is seen where one is worn. Shape (150, 150)."""
    across, down = face_coordinates(geometry)
    return np.asarray(_within(across, down, _MIDDLE_OF_MASK) & ~background(geometry))


def background(geometry: FaceGeometry) -> Region:
    """Everything outside the ellipse around the face: hair, ears, clothes and what is behind. Shape (150, 150)."""
    left, top, right, bottom = geometry.box
    x, y = _pixel_centres()
    x = (x - (left + right) / 2) / (_ELLIPSE * (right - left) / 2)
    y = (y - (top + bottom) / 2) / (_ELLIPSE * (bottom - top) / 2)
    return np.asarray(x**2 + y**2 > 1)


def face_coordinates(geometry: FaceGeometry) -> tuple[Floats, Floats]:
    """Across and down (see above) of the centre of each pixel, each of shape (150, 150)."""
    eyes = geometry.landmarks[:2].astype(np.float64).mean(axis=0)
    down, across = _eyes_to_mouth(geometry), _eye_to_eye(geometry)
    x, y = (centres - eye for centres, eye in zip(_pixel_centres(), eyes, strict=True))
    area = across[0] * down[1] - across[1] * down[0]
    return (x * down[1] - y * down[0]) / area, (y * across[0] - x * across[1]) / area


def _pixel_centres() -> tuple[Floats, Floats]:
    centres = np.arange(FACE_SIZE, dtype=np.float64) + 0.5
    return centres[None, :], centres[:, None]


def _eyes_to_mouth(geometry: FaceGeometry) -> Floats:
    points = geometry.landmarks.astype(np.float64)
    return np.asarray(points[3:].mean(axis=0) - points[:2].mean(axis=0))


def _eye_to_eye(geometry: FaceGeometry) -> Floats:
    """From the right eye to the left, but as long as a face is wide, where the head is turned to its side."""
    right, left = geometry.landmarks[:2].astype(np.float64)
    between, down = left - right, _eyes_to_mouth(geometry)
    square = np.array((down[1], -down[0])) / np.hypot(*down)
    least = _EYES_APART * (geometry.box[2] - geometry.box[0])
    # Only what lies square to the line down widens the face; less would lay all regions on one line.
    if (apart := float(between @ square)) >= least:
        return np.asarray(between)
    return np.asarray(between + (least - apart) * square)


def _within(across: Floats, down: Floats, bounds: tuple[float, float, float, float]) -> Region:
    inner, outer, upper, lower = bounds
    beside = np.abs(across)
    return np.asarray((beside >= inner) & (beside <= outer) & (down >= upper) & (down <= lower))
