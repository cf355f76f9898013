"""Gaps between groups: whether groups differ at all, which one departs from the others, and by how much.

A gap is judged by the permutation test of `maskdet.bias.permutations`, which asks whether the metric differs between
the groups at all. Named is the group that departs most from what labels and datasets alone make of it, beside all other
groups that are compared, and a second test says whether chance moves any group so far. The largest difference between
two groups is told too, as a description: the two were picked from all pairs for being far apart, and no test is theirs.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from maskdet.bias.group_metrics import (
    Resamples,
    bounds_of,
    faces_of,
    frame,
    measure_of,
    metric_values,
    of_metric,
    span,
)
from maskdet.bias.judged import Judged
from maskdet.bias.permutations import applies, large_enough
from maskdet.bootstrap import FEWEST_GROUPS, Values
from maskdet.intervals import FEW_EVENTS, has_width

_NAN: Final = float("nan")
#: Figures of a gap, NaN where fewer than two groups are compared.
FIGURES: Final = (
    *("difference", "difference_low", "difference_high", "ratio", "rest", "rest_low", "rest_high"),
    *("apart_difference", "apart_difference_low", "apart_difference_high", "within", "within_low", "within_high"),
)


@dataclass(frozen=True)
class Control:
    """A difference between two groups within datasets.

    Attributes
    ----------
    value, low, high : float
        NaN where no dataset has faces of both groups, or, of the interval, too few clusters.
    faces : int
        Faces of both groups in the datasets that have both.
    """

    value: float = _NAN
    low: float = _NAN
    high: float = _NAN
    faces: int = 0


def gap_row(
    metric: str, judged: Judged, drawn: Resamples, rows: list[dict[str, Any]], apart: int, fewest: int
) -> dict[str, Any]:
    """The gap of one metric over the groups that are large enough.

    Parameters
    ----------
    rows : list
        Those of `maskdet.bias.group_metrics.group_row`.
    apart : int
        The group that departs most (see `maskdet.bias.permutations.GapTest`).
    """
    large = large_enough(metric, judged, fewest)
    row: dict[str, Any] = {
        "metric": metric, "compared": len(large), "not_compared": _not_compared(metric, judged, large),
        "applies": applies(metric, judged), "lowest": "", "highest": "", "apart": "", "rest_faces": 0,
        "within_faces": 0, **dict.fromkeys(FIGURES, _NAN),
    }  # fmt: skip
    if len(large) < 2:
        return row
    found = frame(judged, tuple(large.tolist()))
    values = found.by_group[metric]
    lowest, highest = int(values.idxmin()), int(values.idxmax())
    if lowest == highest:  # all the same: name two
        lowest, highest = int(large[0]), int(large[1])
    difference = float(found.difference(method="between_groups")[metric])
    samples = drawn.groups[metric][:, highest] - drawn.groups[metric][:, lowest]
    low, high = _difference_interval(metric, _End.of(metric, rows[lowest]), _End.of(metric, rows[highest]), samples)
    return row | {
        "difference": difference, "difference_low": low, "difference_high": high,
        "ratio": float(found.ratio(method="between_groups")[metric]),
        "lowest": judged.names[lowest], "highest": judged.names[highest],
        **_against_the_others(metric, judged, drawn, rows[apart], apart, large),
    }  # fmt: skip


@dataclass(frozen=True)
class _End:
    """A group's figure, as one end of a difference: the value, its interval, and the faces it is of."""

    value: float
    low: float
    high: float
    faces: int

    @staticmethod
    def of(metric: str, row: dict[str, Any]) -> "_End":
        faces = int(faces_of(metric, np.array([row["with_mask"], row["without_mask"]])))
        return _End(row[metric], row[f"{metric}_low"], row[f"{metric}_high"], faces)

    @property
    def is_rare(self) -> bool:
        """Whether few of the faces are, or few are not, what the share counts."""
        return self.faces * min(self.value, 1 - self.value) < FEW_EVENTS


def _against_the_others(
    metric: str, judged: Judged, drawn: Resamples, row: dict[str, Any], apart: int, large: npt.NDArray[np.intp]
) -> dict[str, Any]:
    """The group that departs most beside all faces of the other groups that are compared, together."""
    others = large[large != apart]
    faces, wrong = (_pair(counts, apart, others) for counts in (judged.faces_by_dataset, judged.wrong_by_dataset))
    value = float(metric_values(faces[:, 0].sum(axis=0), wrong[:, 0].sum(axis=0))[metric])
    many_faces, many_wrong = _pair(drawn.faces, apart, others), _pair(drawn.wrong, apart, others)
    samples = metric_values(many_faces.sum(axis=1), many_wrong.sum(axis=1))[metric]
    inside = np.isin(judged.group, others) & of_metric(metric, judged)
    low, high = bounds_of(metric, judged, inside, value, samples[:, 0])
    rest = _End(value, low, high, int(inside.sum()))
    ends = _difference_interval(metric, rest, _End.of(metric, row), samples[:, 1] - samples[:, 0])
    control = _within_datasets(metric, faces, wrong, (many_faces, many_wrong), _clusters(judged, apart, others))
    return {
        "apart": judged.names[apart], "rest": value, "rest_low": low, "rest_high": high, "rest_faces": rest.faces,
        "apart_difference": row[metric] - value, "apart_difference_low": ends[0], "apart_difference_high": ends[1],
        "within": control.value, "within_low": control.low, "within_high": control.high, "within_faces": control.faces,
    }  # fmt: skip


def _pair(counts: npt.NDArray[Any], apart: int, others: npt.NDArray[np.intp]) -> npt.NDArray[Any]:
    """The other groups together and the one that departs: shape (..., groups, 2) becomes (..., 2, 2)."""
    return np.stack([counts[..., others, :].sum(axis=-2), counts[..., apart, :]], axis=-2)


def _clusters(judged: Judged, apart: int, others: npt.NDArray[np.intp]) -> npt.NDArray[Any]:
    """Clusters of each dataset, as `_pair`, and label; those with faces in several of the others count once."""
    inside = np.isin(judged.group, others)
    side = np.where(judged.group == apart, 1, 0)[inside | (judged.group == apart)]
    chosen = inside | (judged.group == apart)
    place = (2 * judged.dataset[chosen] + side) * 2 + judged.actual[chosen]
    pairs = np.unique(np.stack([judged.cluster[chosen], place]), axis=1)
    return np.bincount(pairs[1], minlength=4 * len(judged.datasets)).reshape(-1, 2, 2)


def _not_compared(metric: str, judged: Judged, large: npt.NDArray[np.intp]) -> str:
    """The groups that have faces of the metric, but too few to be compared, with their numbers."""
    faces = faces_of(metric, judged.faces)
    small = [at for at in np.flatnonzero(faces > 0) if at not in large]
    return ", ".join(f"{judged.names[at]} (n = {faces[at]:,})" for at in small)


def _within_datasets(
    metric: str,
    faces: npt.NDArray[Any],
    wrong: npt.NDArray[Any],
    drawn: tuple[Values, Values],
    clusters: npt.NDArray[Any],
) -> Control:
    """The difference between two groups with the dataset held fixed: its mean over the datasets that have both.

    Datasets weigh n1 n2 / (n1 + n2), with n1 and n2 faces of the two groups, as in the stratified risk difference of
    Mantel and Haenszel (Greenland & Robins 1985).

    Parameters
    ----------
    faces, wrong, clusters : array of int, shape (datasets, 2 groups, 2 labels)
    drawn : pair of arrays, shape (samples, datasets, 2 groups, 2 labels)
        Faces and misjudged faces of the bootstrap samples.
    """
    both = (measure_of(metric, faces) > 0).all(axis=1)
    if not both.any():
        return Control()
    value = _weighted(metric, faces[None], wrong[None])[0]
    low, high = span(_weighted(metric, *drawn))
    if measure_of(metric, clusters)[both].sum(axis=0).min() < FEWEST_GROUPS or not has_width(low, high):
        low, high = _NAN, _NAN
    return Control(float(value), low, high, int(faces_of(metric, faces[both]).sum()))


def _weighted(metric: str, faces: npt.NDArray[Any], wrong: npt.NDArray[Any]) -> Values:
    """Weighted mean over datasets of the second group's metric less the first's, shape (samples,).

    Faces and misjudged faces have shape (samples, datasets, 2 groups, 2 labels).
    """
    values = metric_values(faces, wrong)[metric]
    sizes = faces_of(metric, faces)
    difference = values[..., 1] - values[..., 0]
    there = ~np.isnan(difference)
    weight = np.where(there, sizes.prod(axis=-1) / np.maximum(sizes.sum(axis=-1), 1), 0.0)
    total = weight.sum(axis=1)
    mean = np.full(len(total), np.nan)
    np.divide((weight * np.where(there, difference, 0)).sum(axis=1), total, out=mean, where=total > 0)
    return mean


def _difference_interval(metric: str, first: _End, second: _End, samples: Values) -> tuple[float, float]:
    """Interval of the second figure less the first's: percentiles of the bootstrap samples of it, shape (samples,).

    Where few faces of one of them are counted, or are not, the bootstrap takes it for surer than it is; there the
    interval is put together of their own (Newcombe 1998, method 10).
    """
    if np.isnan([first.low, second.low]).any():
        return _NAN, _NAN
    if metric != "macro_f1" and (first.is_rare or second.is_rare):
        difference = second.value - first.value
        below = np.hypot(second.value - second.low, first.high - first.value)
        above = np.hypot(second.high - second.value, first.value - first.low)
        return float(difference - below), float(difference + above)
    low, high = span(samples)
    return (low, high) if has_width(low, high) else (_NAN, _NAN)
