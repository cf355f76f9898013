"""Metrics of groups of faces, from how many faces of each label a group has and how many of them are misjudged.

Points come from `fairlearn.metrics.MetricFrame`. Their intervals do not: fairlearn's own bootstrap draws faces one by
one, and faces of one photo are alike, so its intervals are too narrow. Here whole groups of related faces are drawn
(`maskdet.bootstrap.bootstrap`), or, for shares, the exact interval takes fewer draws than there are faces
(`maskdet.intervals`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from maskdet.bias.judged import Counts, GroupOptions, Judged
from maskdet.bootstrap import FEWEST_GROUPS, LEVEL, Values, bootstrap
from maskdet.intervals import has_width, share_interval
from maskdet.metrics import scores

#: The metrics of a group, with their names for people. The positive class is *without mask*, so the false mask rate is
#: the false negative rate (of unmasked faces, the share that is judged masked) and the false no-mask rate the false
#: positive rate (of masked faces, the share that is judged unmasked).
METRICS: Final[dict[str, str]] = {
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "false_mask_rate": "false mask rate",
    "false_no_mask_rate": "false no-mask rate",
}
#: The metrics that are low where a model is good.
RATES: Final = ("false_mask_rate", "false_no_mask_rate")
#: Of which label (index in `CLASSES`) a metric counts faces; None: of both together; "each": of both apart.
_LABEL: Final[dict[str, int | str | None]] = {
    "accuracy": None, "macro_f1": "each", "false_mask_rate": 1, "false_no_mask_rate": 0
}  # fmt: skip
_WORDS: Final = {0: "masked", 1: "unmasked"}


@dataclass(frozen=True, eq=False)
class Resamples:
    """Bootstrap samples of some judged faces.

    Attributes
    ----------
    faces, wrong : array, shape (resamples, datasets, groups, 2)
        Faces of each dataset, group and label, and those of them that are misjudged.
    """

    faces: Values
    wrong: Values

    @cached_property
    def groups(self) -> dict[str, Values]:
        """Each metric of each group, shape (resamples, groups)."""
        return metric_values(self.faces.sum(axis=1), self.wrong.sum(axis=1))

    @cached_property
    def by_dataset(self) -> dict[str, Values]:
        """Each metric of each dataset and group, shape (resamples, datasets, groups)."""
        return metric_values(self.faces, self.wrong)


def metric_values(faces: npt.NDArray[Any], wrong: npt.NDArray[Any]) -> dict[str, Values]:
    """Each metric, from faces and misjudged faces by label.

    Parameters
    ----------
    faces, wrong : array, shape (..., 2)
        With mask, without mask.

    Returns
    -------
    dict
        By the names of `METRICS`, shape (...), 0 to 1; NaN where a label is missing that the metric needs.
    """
    faces, wrong = np.asarray(faces, dtype=np.float64), np.asarray(wrong, dtype=np.float64)
    right = faces - wrong
    rows = [np.stack([right[..., 0], wrong[..., 0]], axis=-1), np.stack([wrong[..., 1], right[..., 1]], axis=-1)]
    macro_f1 = scores(np.stack(rows, axis=-2))["macro_f1"]
    return {
        "accuracy": 1 - _share(wrong.sum(axis=-1), faces.sum(axis=-1)),
        "macro_f1": np.where((faces > 0).all(axis=-1), macro_f1, np.nan),
        "false_mask_rate": _share(wrong[..., 1], faces[..., 1]),
        "false_no_mask_rate": _share(wrong[..., 0], faces[..., 0]),
    }


def resample(judged: Judged, options: GroupOptions) -> Resamples:
    """Draw clusters of the judged faces with replacement, and count."""
    place = 2 * (2 * judged.cell + judged.actual) + judged.wrong
    ones = np.ones(len(place))
    indicator = sparse.csr_array((ones, (place, np.arange(len(place)))), shape=(4 * judged.cells, len(place)))

    def measure(weights: Values) -> dict[str, Values]:
        return {"counts": np.asarray((indicator @ weights.T).T)}

    drawn = bootstrap(judged.cluster, measure, seed=options.seed, resamples=options.resamples)["counts"]
    counts = drawn.reshape(-1, len(judged.datasets), len(judged.names), 2, 2)
    return Resamples(faces=counts.sum(axis=-1), wrong=counts[..., 1])


@lru_cache(maxsize=4)
def frame(judged: Judged, groups: tuple[int, ...], *, by_dataset: bool = False) -> Any:
    """A `fairlearn.metrics.MetricFrame` of the faces of some groups (indices), with the dataset as control or not.

    It gets a row for each dataset, group, label and verdict with the number of such faces as its weight, which gives
    the same figures as a row a face, in a small part of the time. The latest are kept: most metrics need the same one.
    """
    from fairlearn.metrics import MetricFrame

    right = judged.faces_by_dataset - judged.wrong_by_dataset
    counts = np.stack([right, judged.wrong_by_dataset], axis=-1)[:, list(groups)]
    dataset, group, actual, wrong = np.nonzero(counts)
    weights = {"sample_weight": counts[dataset, group, actual, wrong]}
    return MetricFrame(
        metrics={metric: _metric_function(metric) for metric in METRICS},
        y_true=actual,
        y_pred=np.where(wrong == 1, 1 - actual, actual),
        sensitive_features=pd.Series(np.asarray(groups)[group], name="group"),
        control_features=pd.Series(dataset, name="dataset") if by_dataset else None,
        sample_params=dict.fromkeys(METRICS, weights),
    )


def measure_of(metric: str, counts: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """How many faces, or clusters, a metric rests on; shape (..., 2) becomes (...).

    Of its label for a rate, of the rarer label for macro F1, of both together for accuracy.
    """
    label = _LABEL[metric]
    if isinstance(label, int):
        return np.asarray(counts[..., label])
    return np.asarray(counts.sum(axis=-1) if label is None else counts.min(axis=-1))


def faces_of(metric: str, faces: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """How many faces a metric is a figure of, those of its label or all; shape (..., 2) becomes (...)."""
    label = _LABEL[metric]
    return np.asarray(faces[..., label] if isinstance(label, int) else faces.sum(axis=-1))


def enough(metric: str, counts: npt.NDArray[Any], fewest: int) -> npt.NDArray[np.bool_]:
    """Where there are faces enough for a metric; shape (..., 2) becomes (...)."""
    return np.asarray(measure_of(metric, counts) >= fewest)


def group_row(
    values: Mapping[str, float], drawn: Mapping[str, Values], judged: Judged, inside: npt.NDArray[np.bool_], fewest: int
) -> dict[str, Any]:
    """The figures of a group: each metric with its interval, and what is not said, and why.

    Parameters
    ----------
    values : mapping
        Each metric's value; may lack those of which there are too few faces.
    drawn : mapping
        Each metric's values in the bootstrap samples.
    inside : array of bool, shape (faces,)
        Which of the judged faces the group has.
    """
    faces = np.bincount(judged.actual[inside], minlength=2)
    row: dict[str, Any] = {
        "n": int(faces.sum()), "with_mask": int(faces[0]), "without_mask": int(faces[1]),
        "groups": len(np.unique(judged.cluster[inside])),
    }  # fmt: skip
    narrow: list[str] = []
    for metric in METRICS:
        value, low, high = float("nan"), float("nan"), float("nan")
        if enough(metric, faces, fewest):
            value = float(values[metric])
            low, high = bounds_of(metric, judged, inside & of_metric(metric, judged), value, drawn[metric])
            if np.isnan(low):
                narrow.append(METRICS[metric])
        row |= {metric: value, f"{metric}_low": low, f"{metric}_high": high}
    reasons = [_too_few(faces, fewest), _no_interval(narrow)]
    return row | {"reason": "; ".join(filter(None, reasons))}


def bounds_of(
    metric: str, judged: Judged, inside: npt.NDArray[np.bool_], value: float, drawn: Values
) -> tuple[float, float]:
    """The interval of a metric at `maskdet.bootstrap.LEVEL`; NaN where nothing can be said.

    Of a share that of `maskdet.intervals.share_interval`, of macro F1 percentiles of the bootstrap.

    Parameters
    ----------
    inside : array of bool, shape (faces,)
        The faces that the metric is of.
    drawn : array, shape (resamples,)
        Its values in the bootstrap samples.
    """
    cluster = judged.cluster[inside]
    if metric != "macro_f1":
        counted = judged.wrong[inside] == (metric in RATES)
        return share_interval(counted, cluster)
    clusters = min(len(np.unique(cluster[judged.actual[inside] == label])) for label in (0, 1))
    low, high = span(drawn)
    return (low, high) if clusters >= FEWEST_GROUPS and has_width(low, high) else (float("nan"), float("nan"))


def of_metric(metric: str, judged: Judged) -> npt.NDArray[np.bool_]:
    """Which of the judged faces a metric is a figure of, those of its label or all; shape (faces,)."""
    label = _LABEL[metric]
    return np.asarray(judged.actual == label) if isinstance(label, int) else np.ones(len(judged.actual), dtype=np.bool_)


def span(drawn: Values) -> tuple[float, float]:
    """The percentiles of bootstrap samples at `maskdet.bootstrap.LEVEL`; NaN where none is defined."""
    defined = drawn[~np.isnan(drawn)]
    if not len(defined):
        return float("nan"), float("nan")
    tail = 50 * (1 - LEVEL)
    low, high = np.percentile(defined, [tail, 100 - tail])
    return float(low), float(high)


def count_text(number: int, word: str = "") -> str:
    """A number of faces in words, such as ``1 masked face``."""
    return f"{number:,} {word}{' ' if word else ''}{'face' if number == 1 else 'faces'}"


def _metric_function(metric: str) -> Callable[..., float]:
    """A metric as a function of labels, verdicts and weights, as fairlearn wants it."""

    def measure(y_true: Values, y_pred: Values, sample_weight: Values) -> float:
        faces = np.bincount(y_true, weights=sample_weight, minlength=2)
        wrong = np.bincount(y_true, weights=sample_weight * (y_true != y_pred), minlength=2)
        return float(metric_values(faces, wrong)[metric])

    return measure


def _share(part: Values, whole: Values) -> Values:
    share = np.full(np.broadcast(part, whole).shape, np.nan)
    np.divide(part, whole, out=share, where=whole > 0)
    return share


def _too_few(faces: Counts, fewest: int) -> str:
    """Why metrics of a group are not said."""
    if faces.sum() < fewest:
        return f"too few to say: {count_text(int(faces.sum()))}"
    few = {label: int(number) for label, number in enumerate(faces) if number < fewest}
    parts = [
        count_text(number, _WORDS[label]) if number else f"no {_WORDS[label]} face" for label, number in few.items()
    ]
    if not parts:
        return ""
    silent = ["macro F1", *(METRICS[metric] for metric in RATES if _LABEL[metric] in few)]
    return f"too few to say the {' and '.join(silent)}: {' and '.join(parts)}"


def _no_interval(metrics: list[str]) -> str:
    return f"no interval of {', '.join(metrics)}: too few groups of related faces, or no spread" if metrics else ""
