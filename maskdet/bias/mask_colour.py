"""The colour of a worn mask, named: what covers the middle of the lower face, if one colour does.

The names are ours, chosen to be told apart at a glance; docs/skin_tone.md says how often they were found wrong.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from maskdet.bias.colour import Lab, chroma, difference, dominant_colours, hue_angle, near, to_lab
from maskdet.bias.regions import FaceGeometry, background, middle_of_mask
from maskdet.errors import MaskDetError
from maskdet.photos import FACE_SIZE, RgbImage

SKIN_COLOURED: Final = "skin-coloured"
PATTERNED: Final = "patterned"
#: Names of colours in the order in which they are shown.
COLOURS: Final = (
    "white", "grey", "black", "blue", "green", "red or pink", "yellow or brown", SKIN_COLOURED, PATTERNED,
)  # fmt: skip

TOO_SMALL: Final = "face too small"
GREY_PHOTO: Final = "photo without colour"
TOO_DARK: Final = "too dark"
TOO_LITTLE: Final = "too little of the mask in the picture"
REASONS: Final = (TOO_SMALL, GREY_PHOTO, TOO_DARK, TOO_LITTLE)


@dataclass(frozen=True)
class MaskColourOptions:
    """When a mask has a colour, and which.

    Attributes
    ----------
    least_side : int
        Shorter side in px of the face in its photo.
    least_pixels : int
        Of the middle of the mask, on the 150x150 face.
    near_lightness, near_colour : float
        How far in L*, and in the plane of a* and b*, the mask's colour lies from the dominant one: folds and shadow
        change the lightness more than the colour.
    least_share : float
        Of the mask that must have that colour, else it is patterned.
    like_skin : float
        CIEDE2000 to the face's own skin below which the mask is skin-coloured.
    least_like_skin : float
        C* that a skin-coloured mask has at least: white is near to very light skin.
    white_above, black_below : float
        L* of a mask without colour.
    dim_white : float
        L* above which a mask without colour is white if nothing on the face is much lighter (`lightest`, a share of the
        L* of the brightest fiftieth): dim light makes white cloth as dark as grey cloth.
    lightest : float
    least_chroma : float
        C* from which a mask has a colour.
    least_blue : float
        The same for blue and green hues: surgical masks are often pale.
    least_yellow : float
        The same for yellow hues, as a share of L*: white cloth takes on the warm tint of the light.
    darkest_face : float
        L* that the brightest fiftieth of the face must reach.
    grey : float
        Chroma that a twentieth of the face must reach in a colour photo.

    Raises
    ------
    MaskDetError
        If a share is not in 0..1 or a distance not above 0.
    """

    least_side: int = 20
    least_pixels: int = 300
    near_lightness: float = 18.0
    near_colour: float = 11.0
    least_share: float = 0.65
    like_skin: float = 10.0
    least_like_skin: float = 9.0
    white_above: float = 62.0
    black_below: float = 28.0
    dim_white: float = 42.0
    lightest: float = 0.85
    least_chroma: float = 12.0
    least_blue: float = 8.0
    least_yellow: float = 0.19
    darkest_face: float = 30.0
    grey: float = 5.0

    def __post_init__(self) -> None:
        """Refuse what can never be met."""
        if not 0 < self.least_share <= 1:
            raise MaskDetError("The share of a mask's colour lies between 0 and 1.")
        if min(self.near_lightness, self.near_colour) <= 0 or self.black_below >= self.white_above:
            raise MaskDetError("A mask's colour lies within a distance above 0, and black below white.")


@dataclass(frozen=True)
class MaskColour:
    """The colour of a mask, or why there is none.

    Attributes
    ----------
    lightness, chroma, hue : float
        L*, C* and hue angle in degrees of the dominant colour; NaN where it is not measurable or patterned.
    name : str
        One of `COLOURS`, "" where it is not measurable.
    reason : str
        One of `REASONS`, "" where there is a name.
    """

    lightness: float
    chroma: float
    hue: float
    name: str
    reason: str = ""


def measure_mask(
    face: RgbImage,
    geometry: FaceGeometry,
    skin: Lab | None,
    source_side: float = FACE_SIZE,
    options: MaskColourOptions = MaskColourOptions(),
) -> MaskColour:
    """The colour of what covers the lower face.

    Parameters
    ----------
    face : array of uint8, shape (150, 150, 3)
    geometry : FaceGeometry
    skin : array of shape (3,), or None
        The face's own skin in CIELAB; without it no mask is called skin-coloured.
    source_side : float
        Shorter side in px that the face had in its photo.
    """
    if source_side < options.least_side:
        return _not_measurable(TOO_SMALL)
    whole = to_lab(face[~background(geometry)][::7])  # enough for percentiles
    brightest = float(np.percentile(whole[:, 0], 98))
    if brightest < options.darkest_face:
        return _not_measurable(TOO_DARK)
    if np.percentile(chroma(whole), 95) < options.grey:
        return _not_measurable(GREY_PHOTO)
    lab = to_lab(face[middle_of_mask(geometry)])
    if len(lab) < options.least_pixels:
        return _not_measurable(TOO_LITTLE)
    middle = dominant_colours(lab, np.ones(len(lab)), 1)[0]
    cloth = near(lab, middle, options.near_lightness, options.near_colour)
    nan = float("nan")
    if cloth.mean() < options.least_share:
        return MaskColour(nan, nan, nan, PATTERNED)
    colour = np.median(lab[cloth], axis=0)
    name = colour_name(colour, skin, brightest, options)
    return MaskColour(float(colour[0]), float(chroma(colour)), float(hue_angle(colour)), name)


def colour_name(
    lab: Lab, skin: Lab | None = None, brightest: float = 100.0, options: MaskColourOptions = MaskColourOptions()
) -> str:
    """The name of a colour: one of `COLOURS`, but not "patterned".

    Parameters
    ----------
    lab : array of shape (3,)
    skin : array of shape (3,), or None
        What to call skin-coloured.
    brightest : float
        L* of the brightest things on the face.
    """
    lightness, colour, hue = float(lab[0]), float(chroma(lab)), float(hue_angle(lab))
    if skin is not None and colour >= options.least_like_skin and difference(lab, skin) < options.like_skin:
        return SKIN_COLOURED
    if colour < _least_chroma(lightness, hue, options):
        dim = lightness >= options.dim_white and lightness >= options.lightest * brightest
        if dim or lightness >= options.white_above:
            return "white"
        return "black" if lightness < options.black_below else "grey"
    if hue < 45 or hue >= 315:
        return "red or pink"
    if hue < 105:
        return "yellow or brown"
    return "green" if hue < 190 else "blue"


def _least_chroma(lightness: float, hue: float, options: MaskColourOptions) -> float:
    """C* from which a colour of this lightness and hue is no longer white, grey or black."""
    if 45 <= hue < 105:
        return max(options.least_chroma, options.least_yellow * lightness)
    return options.least_blue if 150 <= hue < 290 and lightness >= options.black_below else options.least_chroma


def _not_measurable(reason: str) -> MaskColour:
    return MaskColour(float("nan"), float("nan"), float("nan"), "", reason)
