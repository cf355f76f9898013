"""Metrics of the study (4.4) from confusion matrices, and their intervals.

Everything is computed from the four counts of a confusion matrix, for one matrix or for thousands of resampled ones
at once. Rows are actual labels, columns predicted ones, both in the order of `maskdet.labels.CLASSES`.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from maskdet.labels import CLASSES

#: Confidence level of all intervals.
LEVEL: Final = 0.95
_RESAMPLES: Final = 1000

Counts = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]


def confusion_matrix(labels: npt.ArrayLike, predictions: npt.ArrayLike) -> Counts:
    """Count faces by actual (row) and predicted (column) label, both given as 0 and 1; shape (2, 2)."""
    cells = 2 * np.asarray(labels, dtype=np.int64) + np.asarray(predictions, dtype=np.int64)
    return np.bincount(cells, minlength=4).reshape(2, 2).astype(np.int64)


def scores(confusion: Counts) -> dict[str, Values]:
    """Precision, recall and F1 of each label, macro F1 and accuracy.

    Parameters
    ----------
    confusion : array of int, shape (..., 2, 2)

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
    labels: Counts, predictions: Counts, groups: npt.NDArray[Any], seed: int = 0, resamples: int = _RESAMPLES
) -> Counts:
    """Confusion matrices of bootstrap samples, shape (resamples, 2, 2).

    Whole groups are drawn, not faces: faces of one photo are alike, and drawing them apart would make the intervals
    too narrow (the cluster bootstrap, Davison & Hinkley 1997, section 3.8).
    """
    _, group = np.unique(groups, return_inverse=True)
    size = int(group.max()) + 1
    cells = np.zeros((size, 4), dtype=np.int64)
    np.add.at(cells, (group, 2 * labels + predictions), 1)
    rng = np.random.default_rng(seed)
    drawn = np.stack([rng.multinomial(size, np.full(size, 1 / size)) @ cells for _ in range(resamples)])
    return drawn.reshape(-1, 2, 2)


def evaluate_predictions(predictions: pd.DataFrame) -> dict[str, Any]:
    """All metrics of some predicted faces, as plain values for JSON.

    Parameters
    ----------
    predictions : DataFrame
        Columns ``label`` (with_mask, without_mask), ``logit``, ``group`` and ``dataset``.

    Returns
    -------
    dict
        ``faces``, ``groups``, ``confusion``, ``labels`` (for each: faces, precision, recall, f1), ``macro_f1``,
        ``accuracy``; ``intervals``, percentiles of the cluster bootstrap at `LEVEL` for the last two and each label's
        f1; ``datasets``, faces and macro F1 of each dataset that holds both labels.
    """
    actual = (predictions["label"] == CLASSES[1]).to_numpy().astype(np.int64)
    predicted = (predictions["logit"] > 0).to_numpy().astype(np.int64)
    confusion = confusion_matrix(actual, predicted)
    measured = scores(confusion)
    resampled = scores(resampled_confusions(actual, predicted, predictions["group"].to_numpy()))
    return {
        "faces": len(predictions),
        "groups": int(predictions["group"].nunique()),
        "confusion": confusion.tolist(),
        "labels": {
            label: {
                "faces": int(confusion[i].sum()),
                **{name: float(measured[name][i]) for name in ("precision", "recall", "f1")},
            }
            for i, label in enumerate(CLASSES)
        },
        "macro_f1": float(measured["macro_f1"]),
        "accuracy": float(measured["accuracy"]),
        "level": LEVEL,
        "intervals": {
            "macro_f1": _interval(resampled["macro_f1"]),
            "accuracy": _interval(resampled["accuracy"]),
            **{f"f1 {label}": _interval(resampled["f1"][:, i]) for i, label in enumerate(CLASSES)},
        },
        "datasets": _by_dataset(predictions["dataset"].to_numpy(), actual, predicted),
    }


def _by_dataset(datasets: npt.NDArray[Any], actual: Counts, predicted: Counts) -> dict[str, dict[str, Any]]:
    result = {}
    for dataset in np.unique(datasets):
        confusion = confusion_matrix(actual[datasets == dataset], predicted[datasets == dataset])
        one_sided = (confusion.sum(axis=1) == 0).any()  # macro F1 of a label that is not there says nothing
        measured = scores(confusion)
        result[str(dataset)] = {
            "faces": int(confusion.sum()),
            "accuracy": float(measured["accuracy"]),
            "macro_f1": None if one_sided else float(measured["macro_f1"]),
        }
    return result


def _interval(values: Values) -> list[float]:
    tail = 50 * (1 - LEVEL)
    return [float(value) for value in np.percentile(values, [tail, 100 - tail])]


def _ratio(part: Values, whole: npt.NDArray[Any]) -> Values:
    ratio = np.zeros(np.broadcast(part, whole).shape)
    np.divide(part, whole, out=ratio, where=whole > 0)
    return ratio
