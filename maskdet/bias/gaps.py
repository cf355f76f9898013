"""Gaps between groups: how far the lowest and the highest lie apart, and whether chance or the datasets explain it.

The test asks whether verdicts go wrong without regard to the attribute. The wrong verdicts are dealt anew, at random,
among the faces of the same label and dataset (a permutation test in strata, as the exact test of Cochran, Mantel and
Haenszel), so labels and sources that are harder than others don't look like a gap. Where an attribute only tells
datasets apart, they are dealt among all faces of the label. The statistic is the largest less the least over the groups
that are large enough, of the metric less what it is if the verdicts are dealt evenly: what labels and datasets alone
make of it.

Verdicts on related faces go wrong together, which leaves a group less of a say than its number of faces. So each
group's spread over the permutations is widened by the square root of its design effect, 1 + (m - 1) r, with m the
number of faces in a face's cluster, on average, and r the correlation of errors within clusters (Kish 1965; for shares
Rao & Scott 1992). Exchanging whole clusters with the same make-up would need no such estimate, but a photo of eight
faces mostly has no other of its make-up to be exchanged with, and a gap in such photos would never be found.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from maskdet.bias.group_metrics import (
    METRICS,
    Resamples,
    enough,
    faces_of,
    frame,
    measure_of,
    metric_values,
    span,
)
from maskdet.bias.judged import Counts, GroupOptions, Judged
from maskdet.bootstrap import FEWEST_GROUPS, Values

#: Of the tests (the usual level).
SIGNIFICANT: Final = 0.05
_NAN: Final = float("nan")


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


def tells_datasets_apart(judged: Judged) -> bool:
    """True where each dataset has faces of one group only: then no gap is one within datasets."""
    return bool(((judged.faces_by_dataset.sum(axis=-1) > 0).sum(axis=1) <= 1).all())


def large_enough(metric: str, judged: Judged, fewest: int) -> npt.NDArray[np.intp]:
    """Positions of the groups that are compared: of enough faces, in enough clusters for an interval."""
    clusters = measure_of(metric, judged.clusters) >= FEWEST_GROUPS
    return np.flatnonzero(enough(metric, judged.faces, fewest) & clusters & applies(metric, judged))


def applies(metric: str, judged: Judged) -> bool:
    """False where only faces of one label have a group, as of mask colours: accuracy then says what the rate says."""
    return metric != "accuracy" or bool((judged.faces.sum(axis=0) > 0).all())


def gap_row(
    metric: str, judged: Judged, drawn: Resamples, rows: list[dict[str, Any]], p: float, fewest: int
) -> dict[str, Any]:
    """The gap of one metric over the groups that are large enough.

    ``rows`` are those of `maskdet.bias.group_metrics.group_row`.
    """
    large = large_enough(metric, judged, fewest)
    row: dict[str, Any] = {
        "metric": metric, "compared": len(large), "not_compared": _not_compared(metric, judged, large),
        "applies": applies(metric, judged),
    }  # fmt: skip
    if len(large) < 2:
        return row | {
            "difference": _NAN, "difference_low": _NAN, "difference_high": _NAN, "ratio": _NAN, "lowest": "",
            "highest": "", "p_value": _NAN, "within": _NAN, "within_low": _NAN, "within_high": _NAN, "within_faces": 0,
        }  # fmt: skip
    found = frame(judged, tuple(large.tolist()))
    values = found.by_group[metric]
    lowest, highest = int(values.idxmin()), int(values.idxmax())
    if lowest == highest:  # all the same: name two
        lowest, highest = int(large[0]), int(large[1])
    difference = float(found.difference(method="between_groups")[metric])
    low, high = _difference_interval(metric, rows, drawn, lowest, highest)
    control = within_datasets(metric, judged, drawn, lowest, highest)
    return row | {
        "difference": difference, "difference_low": low, "difference_high": high,
        "ratio": float(found.ratio(method="between_groups")[metric]),
        "lowest": judged.names[lowest], "highest": judged.names[highest], "p_value": p,
        "within": control.value, "within_low": control.low, "within_high": control.high, "within_faces": control.faces,
    }  # fmt: skip


def _not_compared(metric: str, judged: Judged, large: npt.NDArray[np.intp]) -> str:
    """The groups that have faces of the metric, but too few to be compared, with their numbers."""
    faces = faces_of(metric, judged.faces)
    small = [at for at in np.flatnonzero(faces > 0) if at not in large]
    return ", ".join(f"{judged.names[at]} (n = {faces[at]:,})" for at in small)


def within_datasets(metric: str, judged: Judged, drawn: Resamples, lowest: int, highest: int) -> Control:
    """The difference between two groups with the dataset held fixed: its mean over the datasets that have both.

    Datasets weigh n1 n2 / (n1 + n2), with n1 and n2 faces of the two groups, as in the stratified risk difference of
    Mantel and Haenszel (Greenland & Robins 1985).
    """
    pair = [lowest, highest]
    faces = measure_of(metric, judged.faces_by_dataset[:, pair])
    both = (faces > 0).all(axis=1)
    if not both.any():
        return Control()
    value = _weighted(metric, judged.faces_by_dataset[None, :, pair], judged.wrong_by_dataset[None, :, pair])[0]
    clusters = measure_of(metric, judged.clusters_by_dataset[:, pair])[both].sum(axis=0)
    low, high = span(_weighted(metric, drawn.faces[:, :, pair], drawn.wrong[:, :, pair]))
    if clusters.min() < FEWEST_GROUPS or not high > low:
        low, high = _NAN, _NAN
    return Control(float(value), low, high, int(faces_of(metric, judged.faces_by_dataset[:, pair][both]).sum()))


def permutation_test(judged: Judged, options: GroupOptions) -> dict[str, float]:
    """The p-value of each metric's gap (see the module); NaN where fewer than two groups are large enough.

    At least 1 / (permutations + 1), since the observed verdicts count as one permutation (Phipson & Smyth 2010), and 1
    where all verdicts are right.
    """
    large = {metric: large_enough(metric, judged, options.fewest) for metric in METRICS}
    if all(len(groups) < 2 for groups in large.values()):
        return dict.fromkeys(METRICS, _NAN)
    dealt, expected = _dealt_anew(judged, options)
    values, centre = metric_values(judged.faces[None], dealt), metric_values(judged.faces, expected)
    return {
        metric: _p_value((values[metric] - centre[metric])[:, groups], np.sqrt(design_effects(metric, judged)[groups]))
        for metric, groups in large.items()
    }


def design_effects(metric: str, judged: Judged) -> Values:
    """How many times the variance of each group's metric is that of unrelated faces; shape (groups,), at least 1.

    The correlation is that of all pairs of related faces, each face's error taken less the share of errors in its
    dataset and label; one below 0 counts as 0.
    """
    chosen = np.flatnonzero(faces_of(metric, np.eye(2, dtype=np.int64)[judged.actual]))
    stratum = (2 * judged.dataset + judged.actual)[chosen]
    share = (judged.wrong_by_dataset.sum(axis=1) / np.maximum(judged.faces_by_dataset.sum(axis=1), 1)).ravel()[stratum]
    cluster = judged.cluster[chosen]
    together = _pairs(judged.wrong[chosen] - share, cluster)
    most = _pairs(np.sqrt(share * (1 - share)), cluster)
    correlation = min(1.0, max(0.0, together / most)) if most > 0 else 0.0
    (group, _), sizes = np.unique(np.stack([judged.group[chosen], cluster]), axis=1, return_counts=True)
    related = np.bincount(group, weights=sizes * (sizes - 1), minlength=len(judged.names))
    faces = np.bincount(judged.group[chosen], minlength=len(judged.names))
    return np.asarray(1 + correlation * related / np.maximum(faces, 1))


def holm(p_values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """P-values, shape (n,), adjusted so that the chance of any false alarm among them stays at the level; NaN stays.

    Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6, 1979.
    """
    adjusted = p_values.copy()
    known = np.flatnonzero(~np.isnan(p_values))
    order = known[np.argsort(p_values[known], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(p_values[order] * factors))
    return adjusted


def _p_value(values: Values, widening: Values) -> float:
    """Share of the permutations whose groups differ at least as much as those of the first row.

    Parameters
    ----------
    values : array, shape (1 + permutations, groups)
    widening : array, shape (groups,)
        By how much the spread of the observed verdicts is larger than that of the permutations.
    """
    if values.shape[1] < 2:
        return _NAN
    centred = values - values.mean(axis=0)
    spread = centred.std(axis=0)
    units = np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 0)  # no spread: no error to be dealt
    units[0] /= widening
    distance = (units**2).sum(axis=1)
    return float((distance >= distance[0] - 1e-9).mean())


def _dealt_anew(judged: Judged, options: GroupOptions) -> tuple[Values, Values]:
    """Misjudged faces of each group and label: as observed and then of each permutation, and to be expected.

    Shapes (1 + permutations, groups, 2) and (groups, 2).
    """
    rng = np.random.default_rng(options.seed)
    faces, wrong = judged.faces_by_dataset, judged.wrong_by_dataset
    dealt = np.zeros((1 + options.permutations, len(judged.names), 2))
    dealt[0] = wrong.sum(axis=0)
    if tells_datasets_apart(judged):
        faces, wrong = faces.sum(axis=0, keepdims=True), wrong.sum(axis=0, keepdims=True)
    errors, of = wrong.sum(axis=1), faces.sum(axis=1)
    for dataset, label in np.ndindex(errors.shape):
        dealt[1:, :, label] += rng.multivariate_hypergeometric(
            faces[dataset, :, label], int(errors[dataset, label]), size=options.permutations, method="marginals"
        )
    expected = (faces * (errors / np.maximum(of, 1))[:, None, :]).sum(axis=0)
    return dealt, expected


def _pairs(values: Values, cluster: Counts) -> float:
    """Sum of the products of all pairs of values in one cluster."""
    sums = np.bincount(cluster, weights=values)
    return float((sums @ sums - values @ values) / 2)


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


def _difference_interval(
    metric: str, rows: list[dict[str, Any]], drawn: Resamples, lowest: int, highest: int
) -> tuple[float, float]:
    """Interval of the difference between two groups, named before the resampling.

    Percentiles of the bootstrap. Where one of them shows no spread (none misjudged), it is put together of their own
    intervals instead (Newcombe 1998, method 10), since the bootstrap would take that one for certain.

    The two are the extremes of several, so their difference is larger than it will be on other faces; the permutation
    test allows for that, the interval does not.
    """
    low, high = rows[lowest], rows[highest]
    bounds = [row[f"{metric}_{end}"] for row in (low, high) for end in ("low", "high")]
    if np.isnan(bounds).any():
        return _NAN, _NAN
    if metric != "macro_f1" and any(row[metric] in (0.0, 1.0) for row in (low, high)):
        difference = high[metric] - low[metric]
        below = np.hypot(high[metric] - bounds[2], bounds[1] - low[metric])
        above = np.hypot(bounds[3] - high[metric], low[metric] - bounds[0])
        return float(difference - below), float(difference + above)
    return span(drawn.groups[metric][:, highest] - drawn.groups[metric][:, lowest])
