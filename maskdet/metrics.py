"""Metrics of the study (4.4), ROC and calibration, each with its interval.

Everything is computed from how often each face counts: once for a figure, as often as it was drawn for its interval.
Confusion matrices have actual labels as rows and predicted ones as columns, both in the order of
`maskdet.labels.CLASSES`; the positive class is *without mask*.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from maskdet.bootstrap import FEWEST_GROUPS, LEVEL, RESAMPLES, Measure, Values, bootstrap, measured, percentiles
from maskdet.curves import BINS, Counts, actual_of, bin_of, probability_of, reliability
from maskdet.duplicates import join
from maskdet.errors import MaskDetError
from maskdet.intervals import exact_interval, has_width, share_intervals
from maskdet.labels import CLASSES

#: Figures of both labels together, in the order in which they are shown, with their names for people.
FIGURE_TITLES: Final = {
    "macro_f1": "macro F1",
    "macro_precision": "macro precision",
    "macro_recall": "macro recall",
    "accuracy": "accuracy",
    "roc_auc": "ROC-AUC",
    "ece": "expected calibration error before calibration",
    "brier": "Brier score before calibration",
}
#: What a reader must know of the calibration error.
ECE_NOTE: Final = (
    "The expected calibration error (ECE) is of the probability of no mask, in 15 bins; that of Guo et al. (2017) is "
    "of the verdict's confidence. Before calibration: of the logit as it is, not yet divided by the temperature. "
    "Resampling adds a little to it, so that its interval lies high, and may lie above it."
)
#: Figures of each label.
BY_LABEL: Final = ("precision", "recall", "f1")
#: Where more than this share of the resamples lack a label, those left say little.
_MOST_LACKING: Final = 0.05


@dataclass(frozen=True)
class Difference:
    """Macro F1 of a second model less that of a first, on the same faces.

    Attributes
    ----------
    faces, groups : int
        The faces that both were judged on, and groups of related ones among them.
    difference : float or None
        In -1..1; None where ``reason`` says why.
    low, high : float or None
        Its interval at `LEVEL`, by the paired cluster bootstrap.
    """

    faces: int
    groups: int
    first: float | None
    second: float | None
    difference: float | None
    low: float | None
    high: float | None
    reason: str = ""

    @property
    def differs(self) -> bool:
        """True where the interval holds values of one sign only."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def confusion_matrix(labels: npt.ArrayLike, predictions: npt.ArrayLike) -> Counts:
    """Count faces by actual (row) and predicted (column) label, both given as 0 and 1; shape (2, 2)."""
    cells = 2 * np.asarray(labels, dtype=np.int64) + np.asarray(predictions, dtype=np.int64)
    return np.bincount(cells, minlength=4).reshape(2, 2).astype(np.int64)


def scores(confusion: npt.NDArray[Any]) -> dict[str, Values]:
    """Precision, recall and F1 of each label, macro F1 and accuracy.

    Parameters
    ----------
    confusion : array, shape (..., 2, 2)

    Returns
    -------
    dict
        ``precision``, ``recall``, ``f1`` with shape (..., 2); ``macro_f1`` and ``accuracy`` with shape (...). Where
        nothing was predicted, or nothing is there, the ratio 0 / 0 counts as 0, as in scikit-learn.
    """
    hits = np.diagonal(confusion, axis1=-2, axis2=-1).astype(np.float64)
    actual, predicted = confusion.sum(axis=-1), confusion.sum(axis=-2)
    f1 = _ratio(2 * hits, actual + predicted)
    return {
        "precision": _ratio(hits, predicted),
        "recall": _ratio(hits, actual),
        "f1": f1,
        "macro_f1": f1.mean(axis=-1),
        "accuracy": _ratio(hits.sum(axis=-1), confusion.sum(axis=(-2, -1))),
    }


def resampled_confusions(
    labels: Counts, predictions: Counts, groups: npt.NDArray[Any], seed: int = 0, resamples: int = RESAMPLES
) -> Counts:
    """Confusion matrices of bootstrap samples (see `bootstrap`), shape (resamples, 2, 2)."""

    def measure(weights: Values) -> dict[str, Values]:
        return {"confusion": _confusions(labels, predictions, weights)}

    drawn = bootstrap(groups, measure, seed=seed, resamples=resamples)["confusion"]
    return drawn.round().astype(np.int64)


def evaluate_predictions(predictions: pd.DataFrame) -> dict[str, Any]:
    """All figures of some predicted faces, as plain values for JSON: no NaN among them.

    Parameters
    ----------
    predictions : DataFrame
        Columns ``label`` (with_mask, without_mask), ``logit``, ``group`` and ``dataset``.

    Returns
    -------
    dict
        ``faces``, ``groups``, ``confusion``; ``labels`` (for each: faces, precision, recall, f1); ``macro_f1``,
        ``macro_precision``, ``macro_recall`` (means over both labels), ``accuracy``, ``roc_auc``, ``ece`` (expected
        calibration error), ``brier`` (mean squared error of the probability), both of the probability of no mask
        before any temperature (Guo et al. 2017 take the verdict's confidence); ``level`` and ``intervals``, percentiles
        of the cluster bootstrap for each of these, those of a label as ``"f1 with_mask"``, and of accuracy, precisions
        and recalls the exact one (see `maskdet.intervals.share_intervals`); ``calibration``, the bins of `reliability`;
        ``datasets``, the same for macro F1 and accuracy of each dataset. A figure that is not defined
        is None and ``reasons`` says why; an interval that says nothing is left out and ``cautions`` says why.
    """
    actual, logit = actual_of(predictions), predictions["logit"].to_numpy(np.float64)
    confusion = confusion_matrix(actual, logit > 0)
    groups = predictions["group"].to_numpy()
    values, intervals = measured(groups, _all_figures(actual, logit, probability_of(predictions)))
    defined = {name: interval for name, interval in intervals.items() if values[name] is not None}
    trusted, cautions = _trusted(groups, actual, logit > 0, defined)
    return {
        "faces": len(predictions),
        "groups": len(np.unique(groups)),
        "confusion": confusion.tolist(),
        "labels": {
            label: {"faces": int(confusion[i].sum()), **{name: values[f"{name} {label}"] for name in BY_LABEL}}
            for i, label in enumerate(CLASSES)
        },
        **{name: values[name] for name in FIGURE_TITLES},
        "level": LEVEL,
        "intervals": trusted,
        "calibration": reliability(predictions).to_dict("records"),
        "reasons": _reasons(confusion, values),
        "cautions": cautions,
        "datasets": {
            str(dataset): _dataset(rows) for dataset, rows in predictions.groupby("dataset", sort=True, observed=True)
        },
    }


def at_threshold(predictions: pd.DataFrame, threshold: float = 0.5) -> dict[str, Any]:
    """What becomes of the verdicts if faces count as without mask above another probability than 0.5.

    Returns
    -------
    dict
        ``faces``, ``confusion``, ``macro_f1`` and its ``interval``, None where a label is missing or too few faces are.

    Raises
    ------
    MaskDetError
        If the threshold is not between 0 and 1.
    """
    if not 0 < threshold < 1:
        raise MaskDetError(f"The threshold must be above 0 and below 1, not {threshold}.")
    actual = actual_of(predictions)
    # In logits, so that 0.5 is the models' own rule, a logit above 0, also where a probability is rounded to 1.
    predicted = predictions["logit"].to_numpy(np.float64) > np.log(threshold / (1 - threshold))
    groups, confusion = predictions["group"].to_numpy(), confusion_matrix(actual, predicted)
    values, intervals = measured(groups, _threshold_figures(actual, predicted))
    trusted, _ = _trusted(groups, actual, predicted, intervals)
    return {
        "faces": len(predictions),
        "confusion": confusion.tolist(),
        "macro_f1": values["macro_f1"],
        "interval": trusted.get("macro_f1"),
    }


def macro_f1_difference(
    first: pd.DataFrame, second: pd.DataFrame, *, seed: int = 0, resamples: int = RESAMPLES
) -> Difference:
    """Whether two models really differ: the paired bootstrap of their macro F1 on the faces that both were judged on.

    Each sample draws the same groups for both models, so what is hard for both cancels out. Faces are related if
    either table has them in one group; faces whose label differs between the tables are left out.

    Parameters
    ----------
    first, second : DataFrame
        Columns ``face_id``, ``label``, ``logit`` and ``group``.

    Returns
    -------
    Difference
        Without an interval, and with the reason, where groups are too few, or no resample differs from another, as
        where both models judge every common face alike.
    """
    columns = ["face_id", "label", "logit", "group"]
    both = first[columns].merge(second[columns], on=["face_id", "label"], suffixes=("_1", "_2"))
    groups = joined_groups(both)
    actual = actual_of(both)
    count = len(np.unique(groups))
    if len(np.unique(actual)) < 2:
        reason = "They share no test face." if both.empty else "The test faces that they share have one label only."
        return Difference(len(both), count, None, None, None, None, None, reason)
    models = [_threshold_figures(actual, both[name].to_numpy(np.float64) > 0) for name in ("logit_1", "logit_2")]

    def measure(weights: Values) -> dict[str, Values]:
        one, other = (model(weights)["macro_f1"] for model in models)
        return {"first": one, "second": other, "difference": other - one}

    values = {name: float(value[0]) for name, value in measure(np.ones((1, len(both)))).items()}
    interval = percentiles(bootstrap(groups, measure, seed=seed, resamples=resamples)["difference"])
    reason = "" if count >= FEWEST_GROUPS else f"Only {count} groups of related faces: too few for an interval."
    if not reason and interval and not has_width(*interval):
        reason = "Resampling shows no spread of the difference: no interval."
    low, high = interval if interval and not reason else (None, None)
    return Difference(len(both), count, values["first"], values["second"], values["difference"], low, high, reason)


def _all_figures(actual: Counts, logit: Values, probability: Values) -> Measure:
    """Every figure of the faces, as a function of how often each counts."""
    by_threshold = _threshold_figures(actual, logit > 0)
    in_bin = np.eye(BINS)[bin_of(probability)]
    excess = in_bin * (actual - probability)[:, None]  # a bin's sum of it is faces x (share - mean probability)
    squared = (actual - probability) ** 2
    auc = weighted_auc(actual, logit)

    def measure(weights: Values) -> dict[str, Values]:
        faces = weights.sum(axis=1)
        return by_threshold(weights) | {
            "roc_auc": auc(weights),
            "ece": _defined(np.abs(weights @ excess).sum(axis=1), faces),
            "brier": _defined(weights @ squared, faces),
        }

    return measure


def _threshold_figures(actual: Counts, predicted: npt.NDArray[np.bool_]) -> Measure:
    """What a confusion matrix gives; recall and F1 are not defined for a label that no face has."""

    def measure(weights: Values) -> dict[str, Values]:
        confusion = _confusions(actual, predicted, weights)
        ratios = scores(confusion)
        there = confusion.sum(axis=2) > 0
        figures = {"accuracy": np.where(there.any(axis=1), ratios["accuracy"], np.nan)}
        for name in BY_LABEL:
            defined = np.where(there | ((name == "precision") & (confusion.sum(axis=1) > 0)), ratios[name], np.nan)
            figures |= {f"{name} {label}": defined[:, i] for i, label in enumerate(CLASSES)}
            figures[f"macro_{name}"] = np.where(there.all(axis=1), ratios[name].mean(axis=1), np.nan)
        return figures

    return measure


def _confusions(actual: Counts, predicted: npt.NDArray[Any], weights: Values) -> Values:
    cells: Values = weights @ np.eye(4)[2 * actual + predicted]
    return cells.reshape(-1, 2, 2)


def weighted_auc(actual: Counts, logit: Values) -> Callable[[Values], Values]:
    """Area under the ROC curve as a function of how often each face counts, shape (resamples, faces) -> (resamples,).

    It is how often a face of class 1 has the higher logit of a pair, ties counting half; NaN where a class is missing.
    """
    from scipy.sparse import csr_array

    levels, at = np.unique(logit, return_inverse=True)
    rows = [np.flatnonzero((actual == 1) == positive) for positive in (True, False)]
    # Which faces have each logit, of class 1 and of the others: one product counts them for all resamples.
    ups_of, downs_of = (
        csr_array((np.ones(len(row)), (at[row], row)), shape=(len(levels), len(actual))) for row in rows
    )

    def measure(weights: Values) -> Values:
        if not len(levels):
            return np.full(len(weights), np.nan)
        ups, downs = (np.asarray(each @ weights.T).T for each in (ups_of, downs_of))
        below = np.cumsum(downs, axis=1) - downs
        return _defined((ups * (below + downs / 2)).sum(axis=1), ups.sum(axis=1) * downs.sum(axis=1))

    return measure


def _dataset(rows: pd.DataFrame) -> dict[str, Any]:
    """Macro F1 and accuracy on one dataset's faces; intervals only where enough groups and resamples tell them."""
    actual, groups, predicted = actual_of(rows), rows["group"].to_numpy(), rows["logit"].to_numpy() > 0
    values, intervals = measured(groups, _threshold_figures(actual, predicted))
    confusion = confusion_matrix(actual, predicted)
    count = len(np.unique(groups))
    names = [name for name in ("accuracy", "macro_f1") if values[name] is not None]
    trusted, cautions = _trusted(groups, actual, predicted, {name: intervals[name] for name in names})
    return {
        "faces": len(rows),
        "groups": count,
        "confusion": confusion.tolist(),
        **{name: values[name] for name in ("accuracy", "macro_f1")},
        "intervals": {name: trusted.get(name) for name in ("accuracy", "macro_f1")},
        "reason": " ".join(filter(None, [_reasons(confusion, values).get("macro_f1"), *cautions])),
    }


def _reasons(confusion: Counts, values: dict[str, float | None]) -> dict[str, str]:
    """Why figures are not defined."""
    missing = [
        label.replace("_", " ") for label, faces in zip(CLASSES, confusion.sum(axis=1), strict=True) if not faces
    ]
    why = "No face was judged." if len(missing) == 2 else f"No face that was judged is {' or '.join(missing)}."
    return {name: why for name, value in values.items() if value is None}


def _trusted(
    groups: npt.NDArray[Any],
    actual: Counts,
    predicted: npt.NDArray[np.bool_],
    intervals: dict[str, list[float] | None],
) -> tuple[dict[str, list[float]], list[str]]:
    """The intervals that say something, and why the others do not, as sentences.

    From few groups, or few of a label, they come out too narrow, and with no width at all where no resample has
    another value than the faces themselves. Shares of faces that are judged right have exact ones in any case.
    """
    faces, count = len(groups), len(np.unique(groups))
    of_label = [len(np.unique(groups[actual == label])) for label in (0, 1)]
    if not faces:
        return {}, []
    if count < FEWEST_GROUPS:
        return {}, [f"{faces} faces in {count} groups: too few for an interval."]
    # A missing label leaves figures undefined, and `_reasons` says so.
    if min(of_label) and (1 - min(of_label) / count) ** count > _MOST_LACKING:  # how often a sample draws none of them
        name = CLASSES[int(np.argmin(of_label))].replace("_", " ")
        return {}, [f"Faces {name} are in {min(of_label)} groups only: too few for an interval."]
    known = {name: interval for name, interval in intervals.items() if interval is not None}
    shares = share_intervals(groups, actual, predicted)
    trusted = {name: list(shares.get(name, ends)) for name, ends in known.items() if name in shares or has_width(*ends)}
    if (predicted == (actual == 1)).all():
        most = 100 * exact_interval(0, count)[1]
        return trusted, [
            f"None of {faces} faces in {count} groups is misjudged, so resampling shows no spread; up to {most:.1f} % "
            "may still be."
        ]
    flat = [FIGURE_TITLES.get(name, name.replace("_", " ")) for name in known.keys() - trusted.keys()]
    return trusted, [f"Resampling shows no spread of {', '.join(sorted(flat))}: no interval."] if flat else []


def _defined(part: Values, whole: Values) -> Values:
    return np.where(whole > 0, _ratio(part, whole), np.nan)


def _ratio(part: Values, whole: npt.NDArray[Any]) -> Values:
    ratio = np.zeros(np.broadcast(part, whole).shape)
    np.divide(part, whole, out=ratio, where=whole > 0)
    return ratio


def joined_groups(both: pd.DataFrame) -> Counts:
    """Groups of faces that either of two tables relates: columns group_1 and group_2 become one, shape (faces,)."""
    count = len(both)
    one, other = (pd.factorize(both[name])[0] for name in ("group_1", "group_2"))
    first = count + one
    second = first.max(initial=count) + 1 + other
    nodes = int(second.max(initial=count)) + 1
    return join(nodes, np.tile(np.arange(count), 2), np.concatenate([first, second]))[:count]


__all__ = [
    "BY_LABEL",
    "ECE_NOTE",
    "FIGURE_TITLES",
    "LEVEL",
    "Difference",
    "at_threshold",
    "confusion_matrix",
    "evaluate_predictions",
    "joined_groups",
    "macro_f1_difference",
    "resampled_confusions",
    "scores",
    "weighted_auc",
]
