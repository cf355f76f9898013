"""Apparent skin tone: the colour in which a photo shows forehead, nose root and cheeks, or why it cannot be told.

It is a measure of pixels. The same skin comes out lighter or darker, redder or yellower with the light, the camera, the
make-up and how the photo was edited, so it groups *photos* by how their faces look, and says nothing of who is on them.
Lightness L* and hue are given side by side, after Thong, Joniak and Xiang, Beyond Skin Tone (ICCV 2023); the individual
typology angle, the usual measure of dermatology, stands beside them, but it mixes the two and advises little alone.
docs/skin_tone.md has how it was checked and whom it leaves out.
"""

from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt

from maskdet.bias.colour import Floats, Lab, chroma, dominant_colours, hue_angle, near, to_lab
from maskdet.bias.regions import FaceGeometry, face_coordinates, forehead_in_picture, upper_face
from maskdet.bias.tones import typology_angle
from maskdet.errors import MaskDetError
from maskdet.photos import FACE_SIZE, RgbImage

#: Why a tone is not measurable, as it stands in the tables.
TOO_SMALL: Final = "face too small"
NOT_FOUND: Final = "no eyes, nose and mouth found"
GREY: Final = "photo without colour"
TOO_DARK: Final = "too dark"
TOO_BRIGHT: Final = "too bright"
NO_SKIN: Final = "too little skin to be seen"
CAST: Final = "strong colour cast"
PARTS_DIFFER: Final = "forehead, nose and cheeks show no common colour"
UNEVEN: Final = "light very uneven"
REASONS: Final = (TOO_SMALL, NOT_FOUND, GREY, TOO_DARK, TOO_BRIGHT, NO_SKIN, CAST, PARTS_DIFFER, UNEVEN)

T = TypeVar("T", float, npt.NDArray[np.float64])

_FEW: Final = 50  # pixels below which a part of the face says nothing
_CHEEKS: Final = 2
_SURELY_COLOURED: Final = 0.15  # C*/L* above which cloth is seldom white in a warm light
_CANDIDATES: Final = 4  # colours that may be skin: skin, hair, glasses or cap, mask


@dataclass(frozen=True)
class SkinOptions:
    """What counts as skin, and when its tone is not measurable. None of them asks that skin be light.

    Attributes
    ----------
    least_side : int
        Shorter side in px of the face in its photo: smaller ones are enlarged blurs in which skin and hair mix.
    landmarks : bool
        True to measure faces only whose landmarks were found: on others the usual place of the forehead is often hair,
        a hood or a wall, and most of what was measured there was wrong (docs/skin_tone.md).
    pixel_hues, hues : (float, float)
        Degrees (-180..180) between which a pixel can be skin in some light, and between which the skin as a whole lies
        in a light that leaves its colour to be told. The first is wider, so that the median is not cut on one side.
    least_saturation, least_chroma : float
        C*/L* and C* of a pixel that can be skin. The ratio stays the same when light goes down, so that dark skin and
        shadow are not asked for more colour than light skin.
    clipped : int
        From this value of two of R, G and B on, 0..255, a pixel's colour is lost; of one alone, the red of light skin
        most often, it is a little off.
    near_light, near_colour : float
        How far in `light`, and in the plane of a* and b*, skin lies from the dominant colour. Shade takes the same
        share of the light from any skin, so differences of lightness are asked for as shares (`light`).
    least_share, least_pixels : float, int
        Of the region, and on the 150x150 face, that must be skin.
    part_share : float
        A part of the face in which so much is skin agrees; two of forehead, nose root and cheeks must.
    least_forehead, hidden_share : float
        Share of the forehead that the picture must show. Where it does not, or the forehead is covered, both others
        must agree by this share: around the eyes lie shadow, brows and the frames of glasses.
    darkest : float
        L* of the skin below which 8 bits hold no colour.
    darkest_photo : float
        L* that the brightest fiftieth of the picture must reach.
    most_clipped : float
        Share of the region that may be clipped.
    most_uneven : float
        Difference in `light` between left and right.
    most_lighter, lighter_share : float
        Where so much of a part of the face has another colour that skin may have, lighter by more than this in `light`,
        the darker one may be that of hair or glasses, and neither is taken.
    grey : float
        Chroma that a twentieth of the picture must reach in a colour photo.

    Raises
    ------
    MaskDetError
        If a share is not in 0..1 or a range is empty.
    """

    least_side: int = 20
    landmarks: bool = True
    pixel_hues: tuple[float, float] = (-30.0, 105.0)
    hues: tuple[float, float] = (10.0, 90.0)
    least_saturation: float = 0.09
    least_chroma: float = 2.5
    clipped: int = 254
    near_light: float = 0.23
    near_colour: float = 9.0
    least_share: float = 0.08
    least_pixels: int = 100
    part_share: float = 0.25
    least_forehead: float = 0.3
    hidden_share: float = 0.45
    darkest: float = 10.0
    darkest_photo: float = 30.0
    most_clipped: float = 0.5
    most_uneven: float = 0.33
    most_lighter: float = 0.38
    lighter_share: float = 0.4
    grey: float = 5.0

    def __post_init__(self) -> None:
        """Refuse what can never be met."""
        if not all(
            0 <= share <= 1 for share in (self.least_share, self.part_share, self.hidden_share, self.most_clipped)
        ):
            raise MaskDetError("Shares of the skin lie between 0 and 1.")
        empty = any(low >= high for low, high in (self.pixel_hues, self.hues))
        if empty or self.near_light <= 0 or self.near_colour <= 0:
            raise MaskDetError("Skin is looked for in a range of hues and within a distance of its colour.")


@dataclass(frozen=True)
class SkinTone:
    """The apparent tone of a face, or why there is none.

    Attributes
    ----------
    lightness, a, b : float
        The median skin pixel of forehead and nose root in CIELAB, or with the cheeks where these show too little; NaN
        where it is not measurable.
    share : float
        Share 0..1 of the upper face that counts as skin; NaN where that was not looked for.
    reason : str
        One of `REASONS`, "" where the tone was measured.
    """

    lightness: float
    a: float
    b: float
    share: float
    reason: str = ""

    @property
    def lab(self) -> Lab:
        """L*, a* and b*, shape (3,)."""
        return np.array((self.lightness, self.a, self.b))

    @property
    def hue(self) -> float:
        """Hue angle in degrees; NaN where it is not measurable."""
        return float(hue_angle(self.lab))

    @property
    def ita(self) -> float:
        """Individual typology angle in degrees; NaN where it is not measurable."""
        return typology_angle(self.lightness, self.b)


def measure_skin(
    face: RgbImage, geometry: FaceGeometry, source_side: float = FACE_SIZE, options: SkinOptions = SkinOptions()
) -> SkinTone:
    """The apparent skin tone of a normalised face.

    Parameters
    ----------
    face : array of uint8, shape (150, 150, 3)
    geometry : FaceGeometry
    source_side : float
        Shorter side in px that the face had in its photo.
    """
    if source_side < options.least_side:
        return _not_measurable(TOO_SMALL)
    if options.landmarks and not geometry.found:
        return _not_measurable(NOT_FOUND)
    if reason := _light_reason(face, options):
        return _not_measurable(reason)
    region = upper_face(geometry)
    pixels = face[region]
    if len(pixels) < options.least_pixels:  # forehead and cheeks lie outside the picture
        return _not_measurable(NO_SKIN)
    across, down = (values[region] for values in face_coordinates(geometry))
    clipped = (pixels >= options.clipped).sum(axis=1) > 1
    if clipped.mean() > options.most_clipped:
        return _not_measurable(TOO_BRIGHT)
    lab = to_lab(pixels)
    plausible = could_be_skin(lab, options) & ~clipped
    if plausible.sum() < options.least_pixels:
        return _not_measurable(NO_SKIN, float(plausible.mean()))
    parts = _parts(down)
    bare = forehead_in_picture(geometry) >= options.least_forehead
    colour, agreed, doubtful = _common_colour(lab, plausible, parts, options, bare=bare)
    skin = plausible & _near(lab, colour, options)
    reason = "" if agreed else PARTS_DIFFER
    reason = reason or _skin_reason(lab, skin, plausible & _in_any_light(lab, colour, options), across, options)
    reason = reason or (PARTS_DIFFER if doubtful else "")  # after the light: shadow on one side is doubtful too
    share = float(skin.mean())
    if reason:
        return _not_measurable(reason, share)
    # A mask may hide the cheeks, which are lit otherwise than the forehead: where that shows enough, it alone counts,
    # with a mask and without.
    upper = skin & (parts < _CHEEKS)
    lightness, a, b = np.median(lab[upper if upper.sum() >= options.least_pixels else skin], axis=0).tolist()
    return SkinTone(lightness, a, b, share)


def could_be_skin(lab: Lab, options: SkinOptions = SkinOptions()) -> npt.NDArray[np.bool_]:
    """Which pixels have a hue and saturation that skin has in some usual light; shape as ``lab`` without its last axis.

    White cloth and grey hair lack colour, blue and green ones have another hue; brown hair passes.
    """
    colour, hue = chroma(lab), signed_hue(lab)
    coloured = (colour >= options.least_chroma) & (colour >= options.least_saturation * lab[..., 0])
    return np.asarray(coloured & (hue >= options.pixel_hues[0]) & (hue <= options.pixel_hues[1]))


def signed_hue(lab: Lab) -> Floats:
    """The hue angle in -180..180 degrees: reddish skin lies on both sides of 0."""
    return np.asarray((hue_angle(lab) + 180) % 360 - 180)


def light(lightness: T, reference: float) -> T:
    """How much lighter than a reference a lightness is, as a share that is the same for light and dark skin.

    L* + 16 grows with the cube root of the light that comes back (CIE 15:2004; above L* = 8), so the same shade divides
    it by the same factor whatever lies in it: 0.2 is 1.2^3 = 1.7 times as much light.
    """
    return (lightness - reference) / (reference + 16)


def _near(lab: Lab, colour: Lab, options: SkinOptions) -> npt.NDArray[np.bool_]:
    return near(lab, colour, options.near_light * (colour[0] + 16), options.near_colour)


def _not_measurable(reason: str, share: float = float("nan")) -> SkinTone:
    return SkinTone(float("nan"), float("nan"), float("nan"), share, reason)


def _light_reason(face: RgbImage, options: SkinOptions) -> str:
    """Whether the photo has light and colour at all, judged on all of the picture: dark skin needs no dark photo."""
    lab = to_lab(face[::3, ::3]).reshape(-1, 3)  # enough for percentiles
    if np.percentile(lab[:, 0], 98) < options.darkest_photo:
        return TOO_DARK
    return GREY if np.percentile(chroma(lab), 95) < options.grey else ""


def _parts(down: Floats) -> npt.NDArray[np.int64]:
    """Of each pixel of the upper face: 0 forehead, 1 nose root, 2 `_CHEEKS`."""
    return np.digitize(down, (-0.37, 0.15))


def _common_colour(
    lab: Lab, plausible: npt.NDArray[np.bool_], parts: npt.NDArray[np.int64], options: SkinOptions, *, bare: bool
) -> tuple[Lab, bool, bool]:
    """Of the colours that are frequent, the one that most of two parts of the face have.

    ``bare`` says that the forehead is in the picture; it is still covered where it has another colour.

    Also whether enough of both has it, and whether it is doubtful that it is skin: hair, brows and dark glasses may be
    on two parts too, and lie beside skin that is much lighter. White cloth is no such sign.

    Hair and hats cover the forehead, glasses the nose root, a mask that is worn high the cheeks: what lies on one of
    them is no reason to take it for skin.
    """
    counts = np.bincount(parts, minlength=3)
    each = 1.0 / np.maximum(counts, 1)  # every part counts as much as the others
    colours = dominant_colours(lab[plausible], each[parts][plausible], _CANDIDATES)
    members = [plausible & _near(lab, colour, options) for colour in colours]
    shares = np.array([np.bincount(parts, weights=member, minlength=3) * each for member in members])
    shares[:, counts < _FEW] = 0
    agreed = np.sort(shares, axis=1)[:, 1]  # what the second best part still has of it
    best = int(np.argmax(agreed))
    bare = bare and shares[best, 0] >= options.part_share
    enough = agreed[best] >= (options.part_share if bare else options.hidden_share)
    lighter = light(colours[:, 0], colours[best, 0]) > options.most_lighter
    lighter &= chroma(colours) >= _SURELY_COLOURED * colours[:, 0]
    doubtful = lighter.any() and shares[lighter].max() >= options.lighter_share
    return colours[best], bool(enough), bool(doubtful)


def _in_any_light(lab: Lab, colour: Lab, options: SkinOptions) -> npt.NDArray[np.bool_]:
    """Which pixels would have this colour in the light that makes them as light: a* and b* go down with L*."""
    lit = colour[0] / np.maximum(lab[:, :1], 1)
    return np.asarray(np.hypot(*(lab[:, 1:] * lit - colour[1:]).T) <= options.near_colour)


def _skin_reason(
    lab: Lab, skin: npt.NDArray[np.bool_], coloured: npt.NDArray[np.bool_], across: Floats, options: SkinOptions
) -> str:
    """Why skin that was found has no tone, or ""; ``coloured`` has its colour in any light."""
    if skin.sum() < options.least_pixels or skin.mean() < options.least_share:
        return NO_SKIN
    middle = np.median(lab[skin], axis=0)
    if middle[0] < options.darkest:
        return TOO_DARK
    if not options.hues[0] <= signed_hue(middle) <= options.hues[1]:
        return CAST
    sides = [lab[coloured & side, 0] for side in (across < -0.08, across > 0.08)]
    if min(map(len, sides)) < _FEW:  # one side is out of sight
        return ""
    # Hair that hangs into one side is most often darker than skin: the lighter quarter of each side is compared.
    left, right = (float(np.percentile(side, 75)) for side in sides)
    return UNEVEN if abs(light(left, middle[0]) - light(right, middle[0])) > options.most_uneven else ""
