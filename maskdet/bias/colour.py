"""Colour as people see it: CIELAB from sRGB pixels, hue, chroma, and the colour that most of some pixels share."""

from typing import Final

import numpy as np
import numpy.typing as npt
from skimage.color import deltaE_ciede2000, rgb2lab

Lab = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float64]

#: Standard deviations of the kernel that finds the dominant colour, in L*, a* and b*: light falls on a face unevenly,
#: so lightness spreads further than colour does.
_SPREAD: Final = np.array((8.0, 5.0, 5.0))
#: Pixels that are compared with one another; neighbours are alike, so more say little more.
_MOST_PIXELS: Final = 300
_STEPS: Final = 12
#: Pixels within so many standard deviations of a colour are explained by it.
_EXPLAINED: Final = 2.0


def to_lab(pixels: npt.NDArray[np.uint8]) -> Lab:
    """CIELAB of sRGB pixels, for the D65 white of that space and the 2 degree observer.

    Parameters
    ----------
    pixels : array of uint8, shape (..., 3)

    Returns
    -------
    array of float64, shape (..., 3)
        L* in 0..100, a* and b* in about -128..127.

    References
    ----------
    IEC 61966-2-1:1999 (sRGB to XYZ) and CIE 15:2004 (XYZ to CIELAB), as scikit-image has them.
    """
    return np.asarray(rgb2lab(pixels, illuminant="D65", observer="2"), dtype=np.float64)


def chroma(lab: Lab) -> Floats:
    """C* = sqrt(a*^2 + b*^2) (CIE 15:2004): 0 is grey."""
    return np.asarray(np.hypot(lab[..., 1], lab[..., 2]))


def hue_angle(lab: Lab) -> Floats:
    """Hue angle h = atan2(b*, a*) in degrees, 0..360 (CIE 15:2004): 0 is red, 90 yellow, 180 green, 270 blue."""
    return np.asarray(np.degrees(np.arctan2(lab[..., 2], lab[..., 1])) % 360)


def difference(first: Lab, second: Lab) -> float:
    """How different two colours look, as CIEDE2000 (CIE 142:2001; Sharma, Wu and Dalal 2005): 1 can just be seen."""
    return float(deltaE_ciede2000(first, second))


def dominant_colours(lab: Lab, weights: Floats, most: int) -> Lab:
    """The colours around which the most pixels lie: the highest modes of their density, the highest first.

    A mean would mix skin with hair, or the cloth with its print. Each is found by mean shift (Comaniciu and Meer,
    IEEE PAMI 24, 2002) with a Gaussian kernel, from the pixel in the densest place that none before it explains.

    Parameters
    ----------
    lab : array of shape (n, 3)
        At least one pixel.
    weights : array of shape (n,)
        How much each pixel counts, above 0.
    most : int
        Colours at most, at least 1.

    Returns
    -------
    array of shape (1..most, 3)
    """
    chosen = np.unique(np.linspace(0, len(lab) - 1, _MOST_PIXELS).astype(np.int64))
    points, counts = lab[chosen] / _SPREAD, weights[chosen]
    squares = (points**2).sum(axis=1)
    apart = squares[:, None] + squares[None, :] - 2 * points @ points.T
    density = np.exp(-apart / 2) @ counts
    left = np.ones(len(points), dtype=bool)
    modes: list[Floats] = []
    while left.any() and len(modes) < most:
        place = points[int(np.argmax(np.where(left, density, -1)))]
        for _ in range(_STEPS):
            near = np.exp(-((points - place) ** 2).sum(axis=1) / 2) * counts
            place = near @ points / near.sum()
        left &= ((points - place) ** 2).sum(axis=1) > _EXPLAINED**2
        if modes and np.sqrt(((np.array(modes) - place) ** 2).sum(axis=1)).min() < 1:  # it ran to the same colour
            break
        modes.append(place)
    return np.asarray(np.array(modes) * _SPREAD)


def near(lab: Lab, colour: Lab, lightness: float, plane: float) -> npt.NDArray[np.bool_]:
    """Which pixels lie no further from a colour than so much in L*, and in the plane of a* and b*.

    Parameters
    ----------
    lab : array of shape (..., 3)
        Pixels in CIELAB; the result has their shape without the last axis.
    colour : array of shape (3,)
    lightness, plane : float
        Largest distances.
    """
    beside = np.hypot(lab[..., 1] - colour[1], lab[..., 2] - colour[2]) <= plane
    return np.asarray(beside & (np.abs(lab[..., 0] - colour[0]) <= lightness))
