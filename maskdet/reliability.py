"""When not to believe a verdict: calibrated probabilities, a band of "not sure", and "not like the training data".

Everything is fitted on a run's training and validation faces and lies in its folder; test faces choose nothing.

- The probability is the logistic function of the logit divided by a *temperature* (Guo et al., 2017), which leaves
  every verdict as it is.
- The *band* of probabilities between ``low`` and ``high`` is "not sure": outside of it, at most the ``target``
  of the validation faces that are said to be of a label are of the other.
- A face is *not like the training data* where its features are farther from the nearest training faces than those of
  99 % of the validation faces (deep nearest neighbours; Sun et al., 2022).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from maskdet.errors import MaskDetError, RunError
from maskdet.models.base import Features, Logits, probability
from maskdet.workspace import read_arrays, read_json, replacing, unreadable, write_json

RELIABILITY_FILE: Final = "reliability.json"
INDEX_FILE: Final = "reliability.npz"
_INDEX_PARTS: Final = ("mean", "components", "index", "face_ids")
#: What must be known of the temperature of a model whose logit is fitted (`maskdet.models.base.Model.logit_is_fitted`).
FITTED_TWICE: Final = "fitted to the validation faces to which its logit is scaled already, so that 1.00 says little"
#: A mean of fewer faces would still look like one of them.
FEWEST_IN_GROUP: Final = 10
_MOST_BYTES: Final = 200_000_000  # a million training faces take as much
_END_OF_ID: Final = "\0"
_NUMBERS: Final = ("temperature", "low", "high", "distance_threshold")
Distances = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ReliabilityOptions:
    """How verdicts are kept from being believed too much; all our choice.

    Attributes
    ----------
    target : float
        Largest share of wrong verdicts outside the band, of each label.
    least, most : (float, float)
        The band is never narrower or wider than these. Where no validation face is judged wrong, verdicts near 0.5
        are not sure all the same; and an error that a model is certain of, such as a wrong label, cannot be caught by
        a band, which would only swallow the right verdicts as well.
    components : int
        Principal components that features are reduced to; fewer if there are fewer faces.
    length_weight : float
        How many times as far the length of the features spreads as a component does on the mean.
    sample : int
        About this many training faces, evenly taken, which the distance is measured to.
    neighbour : int
        The distance is that to the so-manieth nearest of them.
    quantile : float
        Share of validation faces that are like the training faces.
    centres : int or None
        None keeps every training face, of which the distance takes a sample. Else only the means of so many groups of
        alike faces are kept (k-means), and the distance is that to the nearest mean: for a run that is given to others
        though its features show the faces. Groups of fewer than `FEWEST_IN_GROUP` faces are left out.
    """

    target: float = 0.005
    least: tuple[float, float] = (0.4, 0.6)
    most: tuple[float, float] = (0.02, 0.98)
    components: int = 64
    length_weight: float = 4.0
    sample: int = 1000
    neighbour: int = 5
    quantile: float = 0.99
    centres: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.target < 1 or not 0 < self.quantile < 1:
            raise MaskDetError(f"target and quantile must be between 0 and 1, not {self.target} and {self.quantile}.")
        if not 0 <= self.most[0] <= self.least[0] <= 0.5 <= self.least[1] <= self.most[1] <= 1:
            raise MaskDetError(f"The band must lie around 0.5 and within 0..1, not {self.least} and {self.most}.")
        for name in ("components", "sample", "neighbour", "centres"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise MaskDetError(f"{name} must be at least 1, not {getattr(self, name)}.")
        if self.length_weight < 0:
            raise MaskDetError(f"length_weight must be at least 0, not {self.length_weight}.")


@dataclass(frozen=True, eq=False)
class FeatureSpace:
    """The space in which faces are compared.

    Features are brought to length 1, as Sun et al. (2022) do, and reduced to their principal components. Two further
    coordinates keep what is lost so: how far the features are from what the components can express, and the logarithm
    of their length, times ``stretch``.

    Attributes
    ----------
    mean : array, shape (d,)
    components : array, shape (d, c - 2)
    stretch : float
    """

    mean: npt.NDArray[np.float32]
    components: npt.NDArray[np.float32]
    stretch: float

    def __call__(self, features: Features) -> Features:
        """Features of shape (n, d) in this space, shape (n, c)."""
        if features.ndim != 2 or features.shape[1] != len(self.mean):
            raise ValueError(f"features must be of shape (n, {len(self.mean)}), not {features.shape}")
        length = _length(features)
        centred = features / length - self.mean
        reduced = _products(centred, self.components.T)
        lost = (centred**2).sum(axis=1, keepdims=True) - (reduced**2).sum(axis=1, keepdims=True)
        return np.hstack([reduced, np.sqrt(np.maximum(lost, 0)), self.stretch * np.log(length)], dtype=np.float32)


@dataclass(frozen=True, eq=False)
class Reliability:
    """What tells how far a run's verdicts can be believed.

    Attributes
    ----------
    temperature : float
        Above 0; logits are divided by it.
    low, high : float
        Probabilities of no mask between which a verdict is "not sure".
    distance_threshold : float
        A face farther from the training faces than this is not like them.
    space : FeatureSpace
    index : array, shape (m, c)
        The training faces in that space, or means of groups of them.
    face_ids : tuple of str
        Their ids; none for means.
    step, neighbour : int
        The distance is that to the so-manieth nearest of every so-manieth of them.
    record : dict
        The options, and what was found on the validation faces, for people (see `maskdet.calibrate`).
    """

    temperature: float
    low: float
    high: float
    distance_threshold: float
    space: FeatureSpace
    index: Features
    face_ids: tuple[str, ...]
    step: int
    neighbour: int
    record: dict[str, Any] = field(default_factory=dict)

    def probability(self, logits: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Calibrated probability of being without mask, in 0..1, from logits of shape (n,)."""
        return probability(np.asarray(logits, dtype=np.float64) / self.temperature)

    def not_sure(self, probabilities: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Which of some calibrated probabilities, shape (n,), are within the band."""
        values = np.asarray(probabilities)
        return np.asarray((values > self.low) & (values < self.high))

    def distance(self, features: Features) -> Distances:
        """Distance to the training faces, shape (n,), of features of shape (n, d)."""
        squares = _squared_distances(self.space(features), self.index[:: self.step])
        place = min(self.neighbour, squares.shape[1]) - 1
        return np.sqrt(np.partition(squares, place, axis=1)[:, place])

    def nearest(self, features: Features, k: int) -> tuple[npt.NDArray[np.object_], Distances]:
        """The ids of the k nearest training faces, nearest first, and their distances; both of shape (n, k).

        Raises
        ------
        RunError
            If only means of the training faces are known.
        """
        if not self.face_ids:
            raise RunError("This run keeps means of its training faces alone, since its features show the faces.")
        squares = _squared_distances(self.space(features), self.index)
        order = np.argsort(squares, axis=1, kind="stable")[:, :k]
        return np.array(self.face_ids, dtype=object)[order], np.sqrt(np.take_along_axis(squares, order, axis=1))


def fit_reliability(
    train: Features,
    face_ids: Sequence[str],
    validation: Features,
    logits: Logits,
    labels: Labels,
    options: ReliabilityOptions | None = None,
) -> Reliability:
    """Fit to a run's training faces, and to its validation faces.

    Parameters
    ----------
    train, validation : array, shape (n, d)
        Features of the training and of the validation faces.
    face_ids : sequence of str
        Of the training faces.
    logits, labels : array, shape (n,)
        Of the validation faces; a label is 1 for without mask, else 0.

    Returns
    -------
    Reliability
        Its record is empty (see `maskdet.calibrate`).
    """
    options = options or ReliabilityOptions()
    temperature = fit_temperature(logits, labels)
    calibrated = probability(logits / temperature)
    low = _edge(calibrated, labels == 1, options.target, options.least[0], options.most[0])
    high = 1 - _edge(1 - calibrated, labels == 0, options.target, 1 - options.least[1], 1 - options.most[1])
    space = _fit_space(train, options)
    index, ids, neighbour = space(train), tuple(face_ids), options.neighbour
    if options.centres:
        index, ids, neighbour = _centres(index, options.centres), (), 1
    index = index.astype(np.float16).astype(np.float32)  # as it is stored
    step = max(1, len(index) // options.sample)
    neighbour = max(1, min(neighbour, len(index[::step]) // 10))
    found = Reliability(temperature, low, high, np.inf, space, index, ids, step, neighbour)
    threshold = float(np.quantile(found.distance(validation), options.quantile))
    return replace(found, distance_threshold=threshold)


def fit_temperature(logits: Logits, labels: Labels) -> float:
    """The likeliest temperature (Guo et al., 2017), above 0.

    Faces that are all judged right would be the likelier the lower it is. So it is taken to be near 1 beforehand: twice
    or half of that is one standard deviation (our choice), which a few hundred faces outweigh.

    Of a model whose logit is scaled to the same validation faces (`maskdet.models.base.Model.logit_is_fitted`) it comes
    out as 1 nearly for certain, which tells nothing of its calibration.
    """
    from scipy.optimize import minimize_scalar

    def loss(log_temperature: float) -> float:
        scaled = logits / np.exp(log_temperature)
        surprise = np.logaddexp(0, scaled) - (labels == 1) * scaled
        return float(surprise.sum() + (log_temperature / np.log(2)) ** 2 / 2)

    return float(np.exp(minimize_scalar(loss, bounds=(-5, 5), method="bounded").x))


def save_reliability(folder: Path, reliability: Reliability) -> None:
    """Write into a run's folder. Raises WorkspaceError if it cannot be written."""
    # No file's name holds this end, as it may hold any of a line.
    space, ids = reliability.space, "".join(f"{face_id}{_END_OF_ID}" for face_id in reliability.face_ids)
    with replacing(folder / INDEX_FILE) as temporary, temporary.open("wb") as file:
        np.savez_compressed(
            file, mean=space.mean.astype(np.float16), components=space.components.astype(np.float16),
            index=reliability.index.astype(np.float16), face_ids=np.frombuffer(ids.encode(), np.uint8),
        )  # fmt: skip
    stored = {name: getattr(reliability, name) for name in (*_NUMBERS, "step", "neighbour")}
    write_json(folder / RELIABILITY_FILE, stored | {"stretch": space.stretch, "record": reliability.record}, version=1)


def load_reliability(folder: Path) -> Reliability | None:
    """Read what `save_reliability` wrote; None where there is nothing.

    Raises
    ------
    WorkspaceError
        If a file is damaged, or a later version of MaskDet wrote it.
    RunError
        If what they hold does not fit.
    """
    path = folder / RELIABILITY_FILE
    if not path.is_file():
        return None
    stored = read_json(path, version=1)
    arrays = read_arrays(folder / INDEX_FILE, _INDEX_PARTS, most_bytes=_MOST_BYTES)
    try:
        mean, components, index = (arrays[name].astype(np.float32) for name in _INDEX_PARTS[:3])
        face_ids = tuple(_split_ids(arrays["face_ids"].tobytes().decode()))
        space = FeatureSpace(mean, components, float(stored["stretch"]))
        numbers: dict[str, Any] = {name: float(stored[name]) for name in _NUMBERS}
        numbers |= {name: int(stored[name]) for name in ("step", "neighbour")}
        fits = len(face_ids) in (0, len(index)) and mean.ndim == 1 and components.ndim == 2
        if not fits or len(mean) != len(components) or index.shape[1:] != (components.shape[1] + 2,) or not len(index):
            raise ValueError("its parts do not belong together")
        if not all(np.isfinite(array).all() for array in (mean, components, index, space.stretch)):
            raise ValueError("a number in it is none")
        band, least = (0 <= numbers["low"] <= numbers["high"] <= 1), min(numbers["step"], numbers["neighbour"])
        if not band or least < 1 or not 0 < numbers["temperature"] < np.inf or not numbers["distance_threshold"] > 0:
            raise ValueError("a number in it is out of its range")
        return Reliability(**numbers, space=space, index=index, face_ids=face_ids, record=dict(stored["record"]))
    except Exception as error:  # whatever NumPy raises of values of any kind
        raise RunError(str(unreadable(path, error))) from error


def calibrated_probability(folder: Path, logits: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The probability of no mask that people are shown: calibrated where a run's reliability was fitted.

    As `Reliability.probability`, without reading what only distances need.

    Parameters
    ----------
    folder : Path
        The run's.
    logits : array, shape (n,)

    Returns
    -------
    array, shape (n,)
        0 to 1.

    Raises
    ------
    WorkspaceError
        If the reliability is damaged, or a later version of MaskDet wrote it.
    """
    values, path = np.asarray(logits, dtype=np.float64), folder / RELIABILITY_FILE
    if not path.is_file():
        return probability(values)
    temperature = read_json(path, version=1, needs=("temperature",))["temperature"]
    if not isinstance(temperature, int | float) or not 0 < temperature < np.inf:
        raise unreadable(path, "its temperature is out of its range")
    return probability(values / temperature)


def _split_ids(text: str) -> list[str]:
    """Ids as they were stored; earlier versions set them apart by line feeds."""
    if _END_OF_ID in text:
        return text.removesuffix(_END_OF_ID).split(_END_OF_ID)
    return text.split("\n") if text else []


def _edge(
    probabilities: npt.NDArray[np.float64], wrong: npt.NDArray[np.bool_], target: float, least: float, most: float
) -> float:
    """The highest probability up to which at most a target's share of the verdicts is wrong, within ``most..least``."""
    side = np.flatnonzero(probabilities < 0.5)
    side = side[np.argsort(probabilities[side], kind="stable")]
    share = np.cumsum(wrong[side]) / np.arange(1, len(side) + 1)
    held = np.flatnonzero(share <= target)
    if not len(side) or (len(held) and held[-1] == len(side) - 1):  # all verdicts of this side may be believed
        return least
    reached = float(probabilities[side[held[-1]]]) if len(held) else 0.0
    return float(np.clip(reached, most, least))


def _fit_space(train: Features, options: ReliabilityOptions) -> FeatureSpace:
    from sklearn.decomposition import PCA

    length = _length(train)
    solver = "covariance_eigh" if train.shape[0] > train.shape[1] else "full"  # the quicker one, both without chance
    pca = PCA(min(options.components, *train.shape), svd_solver=solver).fit(train / length)
    spread, mean_spread = float(np.log(length).std()), float(np.sqrt(pca.explained_variance_.mean()))
    stretch = options.length_weight * mean_spread / spread if spread > 0 else 0.0
    mean, components = (np.asarray(v, dtype=np.float16).astype(np.float32) for v in (pca.mean_, pca.components_.T))
    return FeatureSpace(mean, components, stretch)


def _centres(points: Features, count: int) -> Features:
    """Means of groups of alike points, the same in every call; at least one, be it the mean of all."""
    from sklearn.cluster import KMeans

    groups = KMeans(min(count, max(1, len(points) // FEWEST_IN_GROUP)), n_init=3, random_state=0).fit_predict(points)
    large = [group for group in np.unique(groups) if (groups == group).sum() >= FEWEST_IN_GROUP]
    means = [points[groups == group].mean(axis=0) for group in large] or [points.mean(axis=0)]
    return np.asarray(means, dtype=np.float32)


def _length(features: Features) -> npt.NDArray[np.float32]:
    """Shape (n, 1); never 0, so that one can divide by it."""
    length = np.linalg.norm(features.astype(np.float32), axis=1, keepdims=True)
    return np.asarray(np.maximum(length, 1e-6), dtype=np.float32)


def _squared_distances(points: Features, index: Features) -> Distances:
    """Of each point to each row of the index, shape (n, m)."""
    squares = (points**2).sum(axis=1)[:, None] + (index**2).sum(axis=1)[None] - 2 * _products(points, index)
    return np.asarray(np.maximum(squares, 0), dtype=np.float32)


def _products(rows: Features, others: Features) -> Features:
    """Of each row with each of the others, shape (n, m).

    Not by BLAS, whose threads wait for more work at full speed for a while and take the cores from what comes next: the
    next 100 faces took the CNN 90 ms instead of 47. The millisecond it saves is little beside that.
    """
    return np.asarray(np.einsum("ij,kj->ik", rows, others), dtype=np.float32)
