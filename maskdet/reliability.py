"""When not to believe a verdict: calibrated probabilities, a band of "not sure", and "not like the training data".

Everything is fitted on a run's training and validation faces and lies in its folder; test faces choose nothing.

- The probability is the logistic function of the logit divided by a *temperature* (Guo et al., 2017), which leaves
  every verdict as it is.
- The *band* of probabilities between ``low`` and ``high`` is "not sure": outside of it, at most `TARGET` of the
  validation faces that are said to be of a label are of the other.
- A face is *not like the training data* where its features are farther from the nearest training faces than those of
  99 % of the validation faces (deep nearest neighbours; Sun et al., 2022).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from maskdet.errors import MaskDetError, RunError
from maskdet.models.base import Features, Logits, probability
from maskdet.workspace import read_json, replacing, write_json

RELIABILITY_FILE: Final = "reliability.json"
INDEX_FILE: Final = "reliability.npz"
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
        Dimensions that features are reduced to; fewer if there are fewer faces.
    neighbour : int
        The distance to the training faces is that to the so-manieth nearest.
    quantile : float
        Share of validation faces that are like the training faces.
    """

    target: float = 0.005
    least: tuple[float, float] = (0.4, 0.6)
    most: tuple[float, float] = (0.02, 0.98)
    components: int = 32
    neighbour: int = 5
    quantile: float = 0.99

    def __post_init__(self) -> None:
        if not 0 < self.target < 1 or not 0 < self.quantile < 1:
            raise MaskDetError(f"target and quantile must be between 0 and 1, not {self.target} and {self.quantile}.")
        if not 0 <= self.most[0] <= self.least[0] <= 0.5 <= self.least[1] <= self.most[1] <= 1:
            raise MaskDetError(f"The band must lie around 0.5 and within 0..1, not {self.least} and {self.most}.")
        if self.components < 1 or self.neighbour < 1:
            raise MaskDetError(
                f"components and neighbour must be at least 1, not {self.components} and {self.neighbour}."
            )


@dataclass(frozen=True, eq=False)
class FeatureSpace:
    """The space in which faces are compared: features at length 1, then their principal components.

    Attributes
    ----------
    mean : array, shape (d,)
    components : array, shape (d, c)
    """

    mean: npt.NDArray[np.float32]
    components: npt.NDArray[np.float32]

    def __call__(self, features: Features) -> Features:
        """Features of shape (n, d) in this space, shape (n, c)."""
        if features.ndim != 2 or features.shape[1] != len(self.mean):
            raise ValueError(f"features must be of shape (n, {len(self.mean)}), not {features.shape}")
        return np.asarray((_at_length_one(features) - self.mean) @ self.components, dtype=np.float32)


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
        The training faces in that space.
    face_ids : tuple of str
        Their ids.
    neighbour : int
        The distance is that to the so-manieth nearest of them.
    record : dict
        The options, and what was found on the validation faces, for people (see `fit_reliability`).
    """

    temperature: float
    low: float
    high: float
    distance_threshold: float
    space: FeatureSpace
    index: Features
    face_ids: tuple[str, ...]
    neighbour: int
    record: dict[str, Any] = field(default_factory=dict)

    def probability(self, logits: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Calibrated probability of being without mask, in 0..1, from logits of shape (n,)."""
        return probability(np.asarray(logits, dtype=np.float64) / self.temperature)

    def not_sure(self, probabilities: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Which of some calibrated probabilities are within the band."""
        values = np.asarray(probabilities)
        return np.asarray((values > self.low) & (values < self.high))

    def distance(self, features: Features) -> Distances:
        """Distance to the training faces, shape (n,), of features of shape (n, d)."""
        squares = _squared_distances(self.space(features), self.index)
        place = min(self.neighbour, len(self.index)) - 1
        return np.sqrt(np.partition(squares, place, axis=1)[:, place])

    def nearest(self, features: Features, k: int) -> tuple[npt.NDArray[np.object_], Distances]:
        """The ids of the k nearest training faces, nearest first, and their distances; both of shape (n, k)."""
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
    """Fit to a run's training faces, and to its validation faces with their logits and labels (1 is without mask)."""
    options = options or ReliabilityOptions()
    temperature = fit_temperature(logits, labels)
    calibrated = probability(logits / temperature)
    low = _edge(calibrated, labels == 1, options)
    high = 1 - _edge(1 - calibrated, labels == 0, options, mirrored=True)
    space = _fit_space(train, options.components)
    index = space(train).astype(np.float16).astype(np.float32)  # as it is stored
    found = Reliability(temperature, low, high, np.inf, space, index, tuple(face_ids), options.neighbour)
    threshold = float(np.quantile(found.distance(validation), options.quantile))
    return Reliability(temperature, low, high, threshold, space, index, tuple(face_ids), options.neighbour)


def fit_temperature(logits: Logits, labels: Labels) -> float:
    """The temperature of the greatest likelihood (Guo et al., 2017), above 0.

    Faces that are all judged right would be the likelier the lower it is. So labels count as Platt (1999) has them: as
    if one face more of each label had been seen with either label, which leaves some doubt, the less the more faces.
    """
    from scipy.optimize import minimize_scalar

    positive, negative = int((labels == 1).sum()), int((labels == 0).sum())
    targets = np.where(labels == 1, (positive + 1) / (positive + 2), 1 / (negative + 2))

    def loss(log_temperature: float) -> float:
        scaled = logits / np.exp(log_temperature)
        return float(np.mean(np.logaddexp(0, scaled) - targets * scaled))

    return float(np.exp(minimize_scalar(loss, bounds=(-5, 5), method="bounded").x))


def save_reliability(folder: Path, reliability: Reliability) -> None:
    """Write into a run's folder. Raises WorkspaceError if it cannot be written."""
    ids = np.frombuffer("\n".join(reliability.face_ids).encode(), np.uint8)
    with replacing(folder / INDEX_FILE) as temporary, temporary.open("wb") as file:
        np.savez_compressed(
            file, mean=reliability.space.mean.astype(np.float16), index=reliability.index.astype(np.float16),
            components=reliability.space.components.astype(np.float16), face_ids=ids,
        )  # fmt: skip
    stored = {name: getattr(reliability, name) for name in _NUMBERS}
    write_json(folder / RELIABILITY_FILE, stored | {"neighbour": reliability.neighbour, "record": reliability.record})


def load_reliability(folder: Path) -> Reliability | None:
    """Read what `save_reliability` wrote; None where there is nothing. Raises RunError if it is damaged."""
    if not (folder / RELIABILITY_FILE).is_file():
        return None
    try:
        stored = read_json(folder / RELIABILITY_FILE)
        with np.load(folder / INDEX_FILE, allow_pickle=False) as arrays:
            mean, components, index = (arrays[name].astype(np.float32) for name in ("mean", "components", "index"))
            face_ids = tuple(arrays["face_ids"].tobytes().decode().split("\n"))
        numbers = {name: float(stored[name]) for name in _NUMBERS}
        space, neighbour = FeatureSpace(mean, components), int(stored["neighbour"])
        return Reliability(**numbers, space=space, index=index, face_ids=face_ids, neighbour=neighbour,
                           record=dict(stored["record"]))  # fmt: skip
    except (MaskDetError, OSError, ValueError, KeyError, TypeError, BadZipFile) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise RunError(f"{folder / RELIABILITY_FILE} or what belongs to it is damaged ({reason}).") from error


_NUMBERS: Final = ("temperature", "low", "high", "distance_threshold")


def _edge(
    probabilities: npt.NDArray[np.float64], wrong: npt.NDArray[np.bool_], options: ReliabilityOptions,
    mirrored: bool = False,
) -> float:  # fmt: skip
    """The highest probability up to which at most the target's share of verdicts is wrong, within the options."""
    side = probabilities < 0.5
    order = np.argsort(probabilities[side])
    share = np.cumsum(wrong[side][order]) / np.arange(1, side.sum() + 1)
    held = np.flatnonzero(share <= options.target)
    reached = float(probabilities[side][order][held[-1]]) if len(held) else 0.0
    least, most = options.least[0], options.most[0]
    if mirrored:
        least, most = 1 - options.least[1], 1 - options.most[1]
    return float(np.clip(reached, most, least))


def _fit_space(train: Features, components: int) -> FeatureSpace:
    from sklearn.decomposition import PCA

    unit = _at_length_one(train)
    pca = PCA(min(components, *unit.shape), svd_solver="full" if unit.shape[1] <= 2000 else "auto").fit(unit)
    half = [np.asarray(value, dtype=np.float16).astype(np.float32) for value in (pca.mean_, pca.components_.T)]
    return FeatureSpace(*half)


def _at_length_one(features: Features) -> Features:
    length = np.linalg.norm(features, axis=1, keepdims=True)
    return np.asarray(features / np.maximum(length, np.finfo(np.float32).tiny), dtype=np.float32)


def _squared_distances(points: Features, index: Features) -> Distances:
    """Of each point to each row of the index, shape (n, m)."""
    squares = (points**2).sum(axis=1)[:, None] + (index**2).sum(axis=1)[None] - 2 * (points @ index.T)
    return np.asarray(np.maximum(squares, 0), dtype=np.float32)
