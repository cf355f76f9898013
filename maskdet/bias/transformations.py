"""What is done to a face to ask whether a verdict hangs on it: one property of a normalised face is changed.

Each transformation is a pure function of a normalised face, uint8 of shape (150, 150, 3), and of where the parts of the
face lie. It answers "what would the model say if only this were different" (counterfactuals in the sense of Goyal et
al., 2019, Explaining classifiers with causal concept effect). The study claims that training on white masks makes a
model look for light patches (6.2): patches of one shape, light and dark, on the lower face, on the forehead and in the
background, tell whether it does, and whether it cares where they are.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from typing import Final, Literal

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from maskdet.bias.regions import (
    FaceGeometry,
    Region,
    background,
    face_coordinates,
    lower_face,
    middle_of_mask,
    upper_face,
)
from maskdet.detection import DetectedFace
from maskdet.drawn_masks import MASK_COLOURS, SKIN, draw_mask, light_strength, mask_variants
from maskdet.errors import MaskDetError
from maskdet.labels import CLASSES, WITH_MASK, WITHOUT_MASK
from maskdet.photos import FACE_SIZE, RgbImage
from maskdet.whatif import SWEEPS

#: What a model that looks at masks would do: keep its verdict, see a mask, or nothing that one could say.
Expected = Literal["same", "with_mask", "none"]
Change = Callable[[RgbImage, FaceGeometry], RgbImage]
Floats = npt.NDArray[np.float64]
Layer = npt.NDArray[np.float32]

#: How much brighter, and how much darker.
BRIGHTER: Final = 1.5
#: Shorter side, in px, that a face is shrunk to.
SMALL: Final = 32.0
#: Of Pillow's JPEG encoder: blocks can be seen.
JPEG_QUALITY: Final = 20
_GREY: Final = 127
#: Middles down the face, and half axes across and down, of a patch; in coordinates of the face (see
#: `maskdet.bias.regions`). It covers mouth and chin, or the forehead, and is about half as large as a mask.
_PLACES: Final = {"lower-face": 1.0, "forehead": -0.6}
_PATCH: Final = (0.55, 0.33)
#: What of a patch must be in the picture, as a share.
_ENOUGH: Final = 0.5
#: Standard deviation, in px, of the soft edge of a tint: a sharp one would be a cue of its own.
_SOFT: Final = 1.5
#: The percentile of lightness that is taken for the mask in full light.
_LIT: Final = 90.0
#: Distance in CIELAB below which a mask and the skin are not told apart.
_NEAR: Final = 12.0
#: Sides, in px, of the median filter that takes single pixels out of the region of a mask, and of the folds it closes.
_CLEAN: Final = 7
_FOLD: Final = 15


@dataclass(frozen=True)
class Transformation:
    """One change of a face.

    Attributes
    ----------
    name, title : str
        The key in `TRANSFORMATIONS`, and the name for people.
    explanation : str
        What is done, one sentence.
    expected : {"same", "with_mask", "none"}
        What a model that looks at masks would do: "same" keeps its verdict, so that each flip is a fault; "with_mask"
        says that there is a mask, so that a flip is what is wanted; "none": what the label is about is hidden, and no
        verdict is right.
    applies_to : tuple of str
        Labels of the faces for which it makes sense.
    change : callable
        From a face and its `FaceGeometry` to the changed face; the face itself is left as it is. Raises MaskDetError
        where it cannot be done.
    """

    name: str
    title: str
    explanation: str
    expected: Expected
    applies_to: tuple[str, ...]
    change: Change


def transformed(face: RgbImage, geometry: FaceGeometry, names: Iterable[str]) -> dict[str, RgbImage]:
    """A face after each of some transformations; drawn masks of several colours are fitted once.

    Parameters
    ----------
    face : array of uint8, shape (150, 150, 3)
    names : iterable of str
        Keys of `TRANSFORMATIONS`.

    Returns
    -------
    dict
        By name, in the order asked for. What cannot be done to this face is missing: a mask that cannot be drawn by its
        landmarks, a patch on a forehead that is not in the picture.

    Raises
    ------
    MaskDetError
        If there is no such transformation.
    """
    names = tuple(names)
    check_names(names)
    colours = {f"mask-{colour}": colour for colour in MASK_COLOURS}
    masked: dict[str, RgbImage] = {}
    if any(name in colours for name in names):
        seen = DetectedFace(_whole_box(geometry), 1.0, geometry.landmarks)
        with suppress(MaskDetError):  # its landmarks lie on one another
            masked = mask_variants(face, seen, (0, 0, FACE_SIZE, FACE_SIZE))
    found: dict[str, RgbImage] = {}
    for name in names:
        if name not in colours:
            with suppress(MaskDetError):  # there is no room for a patch
                found[name] = TRANSFORMATIONS[name].change(face, geometry)
        elif masked:
            found[name] = masked[colours[name]]
    return found


def check_names(names: Iterable[str]) -> None:
    """Raise MaskDetError if one of these is no key of `TRANSFORMATIONS`."""
    for name in names:
        if name not in TRANSFORMATIONS:
            raise MaskDetError(f"A transformation is {', '.join(TRANSFORMATIONS)}, not {name!r}.")


def patch_region(geometry: FaceGeometry, place: str) -> Region:
    """Where a patch lies, shape (150, 150): an ellipse on the ``lower-face`` or the ``forehead``.

    In the ``background`` there is seldom room for it: there the patch is as many pixels as an ellipse has, those
    farthest from the face.

    Raises
    ------
    MaskDetError
        If less than half of it would be in the picture.
    """
    across, down = face_coordinates(geometry)
    wide, high = _PATCH
    (dx, dy), (ex, ey) = ((each[0, 1] - each[0, 0], each[1, 0] - each[0, 0]) for each in (across, down))
    whole = np.pi * wide * high / abs(dx * ey - dy * ex)  # px
    if place == "background":
        behind = background(geometry)
        away = cv2.distanceTransform(behind.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        region = np.zeros(behind.size, dtype=np.bool_)
        region[np.argsort(-away.ravel(), kind="stable")[: round(whole)]] = True
        region = region.reshape(behind.shape) & behind
    else:
        region = (across / wide) ** 2 + ((down - _PLACES[place]) / high) ** 2 <= 1
    if region.sum() < _ENOUGH * whole:
        raise MaskDetError(f"There is no room for a patch: {place} lies outside the picture.")
    return np.asarray(region)


def skin_colour(face: RgbImage, geometry: FaceGeometry) -> Floats:
    """Median colour of the upper face, R, G, B in 0..255; of the whole picture if that is not in it."""
    pixels = face[upper_face(geometry)]
    return np.asarray(np.median(pixels if len(pixels) else face.reshape(-1, 3), axis=0), dtype=np.float64)


def tinted(face: RgbImage, region: Region, colour: npt.ArrayLike) -> RgbImage:
    """Give a region another colour and keep its folds and shadows.

    In CIELAB: a* and b* become those of the colour, and so does the lightness of the light parts of the region (its
    90th percentile). The rest is darker than that by as much as it was, or by less where the colour is a darker one.

    Parameters
    ----------
    face : array of uint8, shape (height, width, 3)
    region : array of bool, shape (height, width)
        Its edge becomes soft.
    colour : array_like of 3 numbers
        R, G, B in 0..255.
    """
    if not region.any():
        return face.copy()
    lab, target = _lab(face), _lab(colour)[0, 0]
    lit = max(float(np.percentile(lab[region][:, 0], _LIT)), 1.0)
    painted = np.empty_like(lab)
    deep = min(1.0, float(target[0]) / lit)
    painted[..., 0] = np.clip(target[0] + deep * (lab[..., 0] - lit), 0, 100)
    painted[..., 1:] = target[1:]
    colours = np.clip(cv2.cvtColor(painted, cv2.COLOR_LAB2RGB), 0, 1) * 255
    weight = cv2.GaussianBlur(region.astype(np.float32), (0, 0), _SOFT)[..., None]
    return np.asarray(face * (1 - weight) + colours * weight + 0.5).astype(np.uint8)


def mask_region(face: RgbImage, geometry: FaceGeometry) -> Region:
    """The pixels of the lower face of a masked face that are mask, not skin. Shape (150, 150).

    A pixel is mask if it is nearer in CIELAB to the colour of the middle of the mask than to that of the skin of the
    upper face. Where the two are so near that this tells nothing, it is the whole of the lower face.
    """
    region, middle = lower_face(geometry), middle_of_mask(geometry)
    if not middle.any():
        return region
    lab, skin = _lab(face), _lab(skin_colour(face, geometry))[0, 0]
    mask = np.median(lab[middle], axis=0)
    if np.linalg.norm(mask - skin) < _NEAR:
        return region
    nearer = np.linalg.norm(lab - mask, axis=-1) <= np.linalg.norm(lab - skin, axis=-1)
    clean = cv2.medianBlur(nearer.astype(np.uint8), _CLEAN)
    folds = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_FOLD, _FOLD))  # whose shadow may be nearer to the skin
    return np.asarray(region & (cv2.morphologyEx(clean, cv2.MORPH_CLOSE, folds) > 0))


def _lab(colours: npt.ArrayLike) -> Layer:
    """CIELAB (L* 0..100) of R, G, B in 0..255, shape (..., 3); a single colour becomes a picture of one pixel."""
    pixels = np.asarray(colours, dtype=np.float32) / 255
    return np.asarray(cv2.cvtColor(pixels.reshape(1, 1, 3) if pixels.ndim == 1 else pixels, cv2.COLOR_RGB2LAB))


def _whole_box(geometry: FaceGeometry) -> tuple[int, int, int, int]:
    left, top, right, bottom = (round(edge) for edge in geometry.box)
    return left, top, right, bottom


def _swept(face: RgbImage, geometry: FaceGeometry, *, sweep: str, value: float) -> RgbImage:
    return SWEEPS[sweep].apply(face, value)


def _compressed(face: RgbImage, geometry: FaceGeometry) -> RgbImage:
    file = BytesIO()
    Image.fromarray(face).save(file, "JPEG", quality=JPEG_QUALITY)
    with Image.open(file) as photo:
        return np.asarray(photo.convert("RGB"), dtype=np.uint8)


def _grey(face: RgbImage, geometry: FaceGeometry) -> RgbImage:
    return np.asarray(Image.fromarray(face).convert("L").convert("RGB"), dtype=np.uint8)


def _tinted_mask(face: RgbImage, geometry: FaceGeometry, *, colour: str) -> RgbImage:
    return tinted(face, mask_region(face, geometry), _in_its_light(face, geometry, colour))


def _in_its_light(face: RgbImage, geometry: FaceGeometry, colour: str) -> Floats:
    """A colour of `MASK_COLOURS` in the light of this face; skin is seen in it already."""
    full = MASK_COLOURS[colour]
    return skin_colour(face, geometry) if full is None else np.array(full) * light_strength(face)


def _with_drawn_mask(face: RgbImage, geometry: FaceGeometry, *, colour: str) -> RgbImage:
    return draw_mask(face, geometry.landmarks, _whole_box(geometry), colour)


def _without_background(face: RgbImage, geometry: FaceGeometry) -> RgbImage:
    region = background(geometry)
    return _filled(face, region, face[region].mean(axis=0)) if region.any() else face.copy()


def _without_lower_face(face: RgbImage, geometry: FaceGeometry) -> RgbImage:
    return _filled(face, lower_face(geometry), _GREY)


def _with_patch(face: RgbImage, geometry: FaceGeometry, *, place: str, colour: str) -> RgbImage:
    return _filled(face, patch_region(geometry, place), _in_its_light(face, geometry, colour))


def _filled(face: RgbImage, region: Region, colour: npt.ArrayLike) -> RgbImage:
    changed = face.copy()
    changed[region] = np.rint(np.asarray(colour)).astype(np.uint8)
    return changed


def _everywhere() -> list[Transformation]:
    """Changes of the whole picture, which say nothing of a mask."""
    return [
        Transformation(
            "brighten", "Brighter", f"All pixels are multiplied by {BRIGHTER:g}.", "same", CLASSES,
            partial(_swept, sweep="brightness", value=BRIGHTER),
        ),
        Transformation(
            "darken", "Darker", f"All pixels are divided by {BRIGHTER:g}.", "same", CLASSES,
            partial(_swept, sweep="brightness", value=1 / BRIGHTER),
        ),
        Transformation(
            "shrink", "Smaller", f"The face is shrunk to {SMALL:g} px and enlarged again.", "same", CLASSES,
            partial(_swept, sweep="size", value=SMALL),
        ),
        Transformation(
            "jpeg", "JPEG-compressed", f"The face is saved as a JPEG of quality {JPEG_QUALITY}.", "same", CLASSES,
            _compressed,
        ),
        Transformation("grey", "Grey", "The face loses its colours, not its lightness.", "same", CLASSES, _grey),
        Transformation(
            "cover-background", "Background covered",
            "What is outside the ellipse of the face is covered with its own mean colour.", "same", CLASSES,
            _without_background,
        ),
        Transformation(
            "cover-lower-face", "Lower face covered",
            "The part of the face where a mask is worn is covered in mid-grey, so that neither verdict is right.",
            "none", CLASSES, _without_lower_face,
        ),
    ]  # fmt: skip


def _tints() -> list[Transformation]:
    return [
        Transformation(
            f"tint-{colour}", f"Mask tinted {_called(colour)}",
            f"What is mask of the lower face is tinted {_called(colour)}, and keeps its folds and shadows.",
            "same", (WITH_MASK,), partial(_tinted_mask, colour=colour),
        )
        for colour in ("white", "black", SKIN)
    ]  # fmt: skip


def _drawn() -> list[Transformation]:
    return [
        Transformation(
            f"mask-{colour}", f"Mask drawn on: {_called(colour)}",
            f"A {_called(colour)} mask is drawn on, so that the verdict should become with mask.",
            "with_mask", (WITHOUT_MASK,), partial(_with_drawn_mask, colour=colour),
        )
        for colour in MASK_COLOURS
    ]  # fmt: skip


def _called(colour: str) -> str:
    return "skin-coloured" if colour == SKIN else colour


def _patches() -> list[Transformation]:
    return [
        Transformation(
            f"{shade}-patch-{place}", f"{shade.title()} patch {where}",
            f"A flat patch as {shade} as a {colour} mask lies {where}; it is no mask.", "same", (WITHOUT_MASK,),
            partial(_with_patch, place=place, colour=colour),
        )
        for place, where in (
            ("lower-face", "on mouth and chin"), ("forehead", "on the forehead"), ("background", "in the background"),
        )
        for shade, colour in (("light", "white"), ("dark", "black"))
    ]  # fmt: skip


_ALL: Final = (*_everywhere(), *_tints(), *_drawn(), *_patches())
#: All transformations, by name.
TRANSFORMATIONS: Final[dict[str, Transformation]] = {each.name: each for each in _ALL}
