"""How far a heatmap can be trusted: deletion and insertion curves against random maps (Petsiuk et al., 2018, RISE).

The hottest pixels of a face are replaced first (deletion), or are the first to come back into a face that is replaced
as a whole (insertion). If the map shows what the model looks at, the probability of the label falls soon in the one
and rises soon in the other: a small area under the first curve, a large one under the second. What is soon, random
maps of the same face tell, and a spot in the middle: faces are there, so that it does well while it knows neither the
face nor the model.
"""

from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import numpy as np
import numpy.typing as npt

from maskdet.attribution.heatmap import Heatmap, RawMaps, resized
from maskdet.attribution.subject import LogitsOf
from maskdet.errors import MaskDetError
from maskdet.labels import WITHOUT_MASK
from maskdet.models.base import probability
from maskdet.photos import FACE_SIZE, RgbImage
from maskdet.progress import Progress, silent

Fill = Literal["blur", "mean"]
Curve = npt.NDArray[np.float64]
#: A map is better than random where at most this share of random ones would be as good.
LEVEL: Final = 0.05
#: Percentiles of the band of the random curves.
BAND: Final = (5.0, 95.0)
_AT_ONCE: Final = 64
#: Standard deviation of the spot in the middle, in pixels (our choice).
_SPOT: Final = 30.0


@dataclass(frozen=True)
class FaithfulnessOptions:
    """How the curves are made.

    Attributes
    ----------
    fill : {"blur", "mean"}
        What takes the place of a pixel: the blurred face, or the face's mean colour (our choice, see
        ``docs/explaining.md``).
    blur : float
        Standard deviation of the blur, in pixels.
    steps : int
        Steps of a curve, each an equal share of the pixels.
    random_maps : int
        Random maps, of which the verdict needs at least 19: of fewer, none could be at `LEVEL`.
    smoothness : float
        Standard deviation of the blur that makes a random map of noise, in pixels.
    seed : int
        Of the random maps, and of the order of pixels that are equally hot.
    """

    fill: Fill = "mean"
    blur: float = 10.0
    steps: int = 12
    random_maps: int = 20
    smoothness: float = 12.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.fill not in get_args(Fill):
            raise MaskDetError(f"fill must be one of {', '.join(get_args(Fill))}, not {self.fill!r}.")
        if not (self.blur > 0 and self.smoothness > 0):
            raise MaskDetError(f"blur and smoothness must be above 0, not {self.blur} and {self.smoothness}.")
        if not 2 <= self.steps <= FACE_SIZE**2:
            raise MaskDetError(f"steps must be at least 2, not {self.steps}.")
        if self.random_maps < round(1 / LEVEL) - 1:
            raise MaskDetError(f"random_maps must be at least {round(1 / LEVEL) - 1}, not {self.random_maps}.")


@dataclass(frozen=True)
class Faithfulness:
    """Deletion and insertion curves of a heatmap, of random maps, and of a spot in the middle of the face.

    Attributes
    ----------
    share : array
        Share of the pixels that are replaced or have come back, 0 to 1, shape (steps + 1,).
    deletion, insertion : array
        Probability of the heatmap's label at each share, shape (steps + 1,); not calibrated.
    random_deletion, random_insertion : array
        The same of each random map, shape (random maps, steps + 1).
    middle_deletion, middle_insertion : array
        The same of the spot in the middle (see `middle_spot`), shape (steps + 1,).
    """

    share: Curve
    deletion: Curve
    insertion: Curve
    random_deletion: Curve
    random_insertion: Curve
    middle_deletion: Curve
    middle_insertion: Curve

    @property
    def deletion_area(self) -> float:
        """Area under the deletion curve, 0..1: the smaller the better."""
        return float(area(self.deletion))

    @property
    def insertion_area(self) -> float:
        """Area under the insertion curve, 0..1: the larger the better."""
        return float(area(self.insertion))

    @property
    def gap(self) -> float:
        """Insertion area less deletion area, less the mean of the same of the random maps: above 0 is better."""
        return self.insertion_area - self.deletion_area - float(self._random_gaps.mean())

    @property
    def p_value(self) -> float:
        """Share of maps as good as this one, by insertion area less deletion area, among it and the random ones."""
        as_good = self._random_gaps >= self.insertion_area - self.deletion_area
        return float((1 + as_good.sum()) / (1 + len(as_good)))

    @property
    def better_than_random(self) -> bool:
        """Whether the p-value is at most `LEVEL`: a permutation test of one face."""
        return self.p_value <= LEVEL

    @property
    def better_than_middle(self) -> bool:
        """Whether the area between the curves is larger than that of the spot, so that the map adds something to it."""
        return self.insertion_area - self.deletion_area > float(
            area(self.middle_insertion) - area(self.middle_deletion)
        )

    def band(self, curve: Literal["deletion", "insertion"]) -> tuple[Curve, Curve]:
        """The 5th and 95th percentile of the random curves at each share."""
        curves = self.random_deletion if curve == "deletion" else self.random_insertion
        low, high = np.percentile(curves, BAND, axis=0)
        return low, high

    @property
    def _random_gaps(self) -> Curve:
        return area(self.random_insertion) - area(self.random_deletion)


def deletion_insertion(
    logits: LogitsOf,
    face: RgbImage,
    heatmap: Heatmap,
    options: FaithfulnessOptions | None = None,
    progress: Progress = silent,
) -> Faithfulness:
    """Measure how much of what a model looks at in a face a heatmap shows.

    Parameters
    ----------
    logits : callable
        The model: `maskdet.attribution.Explainer.logits`, or a quicker way to the same.
    face : array of uint8, shape (150, 150, 3)

    Raises
    ------
    MaskDetError
        If the heatmap holds no evidence.
    """
    options = options or FaithfulnessOptions()
    if not heatmap.has_evidence:
        raise MaskDetError(f"There is no evidence for {heatmap.label} in this heatmap, so that none can be deleted.")
    maps = np.stack([resized(heatmap.values, FACE_SIZE, FACE_SIZE), middle_spot(), *random_maps(options)])
    deletion, insertion = curves(logits, face, maps, heatmap.label, options, progress)
    share = np.linspace(0, 1, options.steps + 1)
    return Faithfulness(share, deletion[0], insertion[0], deletion[2:], insertion[2:], deletion[1], insertion[1])


def curves(
    logits: LogitsOf,
    face: RgbImage,
    maps: npt.NDArray[Any],
    label: str,
    options: FaithfulnessOptions,
    progress: Progress = silent,
) -> tuple[Curve, Curve]:
    """Deletion and insertion curves of some maps of one face.

    Parameters
    ----------
    maps : array, shape (maps, 150, 150)

    Returns
    -------
    deletion, insertion : array
        Probability of the label, shape (maps, steps + 1), after each step from 0 to all of the pixels.
    """
    rng = np.random.default_rng(options.seed)
    share = np.linspace(0, 1, options.steps + 1)
    ranks = np.stack([hottest_first(each, rng) for each in maps])
    filled = replacement(face, options)
    # Which pixels are replaced. All maps have the same two ends: nothing, and all.
    replaced = ranks[:, None] < share[1:-1, None, None] * FACE_SIZE**2
    inner = _probabilities(logits, face, filled, replaced, label, progress)
    ends = probability(_sign(label) * np.asarray(logits(np.stack([face, filled])), dtype=np.float64))
    return _with_ends(inner[0], ends[0], ends[1]), _with_ends(inner[1], ends[1], ends[0])


def area(curve: Curve) -> Curve:
    """Area under curves whose steps are equal and go from 0 to 1: of shape (..., steps + 1), 0..1."""
    return np.asarray(np.trapezoid(curve, dx=1 / (curve.shape[-1] - 1), axis=-1), dtype=np.float64)


def lower_half_share(heatmap: Heatmap) -> float:
    """Share of the heat that lies on the lower half of the face, 0..1, where a mask is; NaN without evidence.

    Heat all over the face gives 0.5.
    """
    return float(lower_half_shares(heatmap.values[None])[0]) if heatmap.has_evidence else float("nan")


def lower_half_shares(raw: RawMaps) -> Curve:
    """As `lower_half_share` of maps of shape (n, h, w), shape (n,). Of an odd number of rows the middle counts half."""
    height = raw.shape[1]
    below = np.clip(np.arange(1, height + 1) - height / 2, 0, 1)  # share of each row that is in the lower half
    rows = raw.sum(axis=2, dtype=np.float64)
    total = rows.sum(axis=1)
    shares = np.full(len(raw), np.nan)
    np.divide(rows @ below, total, out=shares, where=total > 0)
    return shares


def random_maps(options: FaithfulnessOptions, count: int | None = None) -> npt.NDArray[np.float64]:
    """Smooth random maps of a face's size, shape (random maps, 150, 150): noise under a Gaussian filter."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(options.seed)
    noise = rng.normal(size=(count or options.random_maps, FACE_SIZE, FACE_SIZE))
    return np.stack([gaussian_filter(each, options.smoothness, mode="wrap") for each in noise])


def middle_spot() -> npt.NDArray[np.float64]:
    """A spot in the middle of a face, the same for all: a Gaussian of 30 pixels, shape (150, 150), 0..1."""
    distance = np.square(np.arange(FACE_SIZE) - (FACE_SIZE - 1) / 2)
    return np.asarray(np.exp(-(distance[:, None] + distance) / (2 * _SPOT**2)))


def hottest_first(values: npt.NDArray[Any], rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Rank of each pixel, 0 the hottest; equally hot ones come in random order, not row by row."""
    order = np.lexsort((rng.random(values.size), -values.ravel()))
    ranks = np.empty(values.size, np.int64)
    ranks[order] = np.arange(values.size)
    return ranks.reshape(values.shape)


def replacement(face: RgbImage, options: FaithfulnessOptions) -> RgbImage:
    """The face as it is when all is replaced."""
    if options.fill == "mean":
        return np.broadcast_to(np.rint(face.mean(axis=(0, 1))).astype(np.uint8), face.shape)
    from scipy.ndimage import gaussian_filter

    return np.rint(gaussian_filter(face.astype(np.float64), (options.blur, options.blur, 0))).astype(np.uint8)


def _probabilities(
    logits: LogitsOf,
    face: RgbImage,
    filled: RgbImage,
    replaced: npt.NDArray[np.bool_],
    label: str,
    progress: Progress,
) -> Curve:
    """Probabilities of a label after deletion, then after insertion; shape (2, maps, steps - 1)."""
    masks = np.concatenate([replaced, ~replaced]).reshape(-1, FACE_SIZE, FACE_SIZE, 1)
    found = np.empty(len(masks))
    for begin in range(0, len(masks), _AT_ONCE):
        chosen = slice(begin, begin + _AT_ONCE)
        found[chosen] = logits(np.where(masks[chosen], filled, face))
        progress(min(begin + _AT_ONCE, len(masks)), len(masks), "deletion and insertion")
    return probability(_sign(label) * found).reshape(2, *replaced.shape[:2])


def _sign(label: str) -> float:
    return 1.0 if label == WITHOUT_MASK else -1.0


def _with_ends(inner: Curve, first: float, last: float) -> Curve:
    ends = np.ones((len(inner), 1))
    return np.concatenate([first * ends, inner, last * ends], axis=1)
