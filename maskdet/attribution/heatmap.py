"""Heatmaps: evidence for one label over one face, and how it is laid over a photo."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from maskdet.errors import MaskDetError
from maskdet.photos import RgbImage

#: Below this largest value a map holds no evidence: nothing was left for that label.
EMPTY: Final = 1e-8
#: Plotly's names of the colour maps, the first being the default; all but turbo read well in grey too.
COLOUR_MAPS: Final = ("inferno", "viridis", "cividis", "magma", "turbo")
_SHADES: Final = 256

#: Maps as a method computes them: float32 of shape (n, h, w), at least 0, not scaled.
RawMaps = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Heatmap:
    """Evidence for one label over one face.

    Attributes
    ----------
    values : array of float32
        Shape (h, w), 0..1: scaled by the map's largest value (see `scaled`); all 0 if there is no evidence. It covers
        the whole face, however coarse it is (see `maskdet.attribution.placement`).
    label : str
        The label whose evidence it shows.
    layer : str or None
        The layer it was taken from; None for a method that uses none.
    method : str
        Key of `maskdet.attribution.METHODS`.
    """

    values: npt.NDArray[np.float32]
    label: str
    layer: str | None
    method: str = "grad-cam"

    @property
    def has_evidence(self) -> bool:
        """False where nothing speaks for the label, or the map is a single place: there is nothing to draw."""
        return bool(self.values.size > 1 and self.values.max(initial=0) > 0)


def scaled(raw: npt.NDArray[np.float32], cap: float = 100.0) -> npt.NDArray[np.float32]:
    """One raw map of any shape in 0..1: divided by its percentile ``cap``, which is its largest value by default.

    A map of gradients of single pixels has a few of very large value, beside which all others are black; Smilkov et
    al. (2017) cap such maps at the 99th percentile.
    """
    largest = float(raw.max(initial=0))
    if largest <= EMPTY:
        return np.zeros_like(raw)
    top = float(np.percentile(raw, cap)) if cap < 100 else largest
    return np.asarray(np.minimum(raw / (top if top > EMPTY else largest), 1), dtype=np.float32)


def resized(values: npt.NDArray[np.float32], width: int, height: int) -> npt.NDArray[np.float32]:
    """A map at the size of a photo, bicubic; shape (height, width), 0..1."""
    grown = Image.fromarray(values.astype(np.float32)).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(np.clip(np.asarray(grown), 0, 1), dtype=np.float32)


def overlay(photo: RgbImage, heatmap: Heatmap, opacity: float = 0.6, colour_map: str = COLOUR_MAPS[0]) -> RgbImage:
    """Lay a heatmap over a photo of the face, at the photo's size.

    Parameters
    ----------
    photo : array of uint8, shape (height, width, 3)
    opacity : float
        Opacity of the hottest place, 0..1; cold places stay clear, so that the face remains visible.
    colour_map : str
        One of `COLOUR_MAPS`.

    Raises
    ------
    MaskDetError
        For an opacity out of range or an unknown colour map.
    """
    if not 0 <= opacity <= 1:
        raise MaskDetError(f"The opacity must be 0 to 1, not {opacity}.")
    if colour_map not in COLOUR_MAPS:
        raise MaskDetError(f"The colour map must be one of {', '.join(COLOUR_MAPS)}, not {colour_map!r}.")
    if not heatmap.has_evidence:
        return photo.copy()
    height, width = photo.shape[:2]
    values = resized(heatmap.values, width, height)
    colours = _table(colour_map)[np.rint(values * (_SHADES - 1)).astype(np.intp)]
    alpha = (opacity * values)[..., None]
    return np.asarray(photo * (1 - alpha) + colours * alpha + 0.5).astype(np.uint8)


@lru_cache(maxsize=len(COLOUR_MAPS))
def _table(colour_map: str) -> npt.NDArray[np.float32]:
    """Colours from little to much heat: R, G, B in 0..255, shape (256, 3)."""
    from plotly.colors import sample_colorscale

    return np.array(sample_colorscale(colour_map, _SHADES, colortype="tuple"), dtype=np.float32) * 255
