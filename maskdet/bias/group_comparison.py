"""Two models on the same groups of faces, before and after balancing say: whether gaps close, and what it costs."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from maskdet.bias.gap_sentences import points
from maskdet.bias.group_metrics import (
    METRICS,
    Resamples,
    enough,
    faces_of,
    measure_of,
    metric_values,
    resample,
    span,
)
from maskdet.bias.judged import GroupOptions, Judged, check_predictions, judged_of
from maskdet.bootstrap import FEWEST_GROUPS, Values
from maskdet.intervals import has_width
from maskdet.metrics import Difference, joined_groups, macro_f1_difference
from maskdet.wording import number

_NAN: Final = float("nan")
_GROUP_COLUMNS: Final = ["group", "metric", "n", "first", "second", "change", "low", "high", "reason"]
_COLUMNS: Final = ["face_id", "dataset", "label", "group", "logit"]


@dataclass(frozen=True)
class Comparison:
    """Two models by the groups of an attribute, on the faces that both judged.

    Attributes
    ----------
    attribute : str
    options : GroupOptions
    faces : int
        Faces that both judged, with the same label, and whose group is known.
    groups : DataFrame
        A row a group and metric: group, metric, n (faces that it is a figure of), first, second, change (second less
        first), low, high (of the change), reason (why there is no figure, or no interval).
    gaps : DataFrame
        A row a metric: metric, compared (groups that are large enough), first, second (the highest less the lowest
        group of each model), change, low, high, reason, sentence.
    macro_f1 : Difference
        What it costs, or brings: macro F1 over all faces that both judged, also those whose group is not known.
    sentence : str
        The same in words.
    """

    attribute: str
    options: GroupOptions
    faces: int
    groups: pd.DataFrame
    gaps: pd.DataFrame
    macro_f1: Difference
    sentence: str


def compare_groups(
    first: pd.DataFrame,
    second: pd.DataFrame,
    groups: "pd.Series[Any]",
    attribute: str,
    options: GroupOptions | None = None,
) -> Comparison:
    """Compare two models by group.

    Intervals are those of the paired cluster bootstrap: each sample draws the same faces for both, so what is hard for
    both cancels out. Faces are related if either table has them in one group. Each model's gap is between its own
    highest and lowest group: were the groups those of the first model's gap, the second would look better by luck
    alone, since a gap that was picked for being large is smaller wherever else one looks.

    Parameters
    ----------
    first, second : DataFrame
        Predictions as in `maskdet.bias.groups.judge_groups`; those of the second are named after.
    groups : Series
        The group of each face id.

    Raises
    ------
    MaskDetError
        As `maskdet.bias.groups.judge_groups`.
    """
    options = options or GroupOptions()
    one, other = _on_the_same_faces(first, second)
    before, after = judged_of(one, groups, attribute), judged_of(other, groups, attribute)
    cost = macro_f1_difference(first, second, seed=options.seed, resamples=options.resamples)
    rows: list[dict[str, Any]] = []
    gaps = [{"metric": metric, "compared": 0, **_nothing("no group is known")} for metric in METRICS]
    if before.names:
        values = [_values(judged) for judged in (before, after)]
        drawn = [resample(judged, options) for judged in (before, after)]
        rows = [
            _group_row(metric, i, before, values, drawn, options.fewest)
            for i in range(len(before.names))
            for metric in METRICS
        ]
        gaps = [_gap_row(metric, before, values, drawn, options.fewest) for metric in METRICS]
    return Comparison(
        attribute=attribute,
        options=options,
        faces=len(before.group),
        groups=pd.DataFrame(rows, columns=_GROUP_COLUMNS),
        gaps=pd.DataFrame([row | {"sentence": _gap_sentence(row, options.fewest)} for row in gaps]),
        macro_f1=cost,
        sentence=_cost_sentence(cost),
    )


def _on_the_same_faces(first: pd.DataFrame, second: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Both tables on the faces that both have with the same label, with groups of faces that either relates."""
    check_predictions(first)
    check_predictions(second)
    both = first[_COLUMNS].merge(
        second[["face_id", "label", "group", "logit"]], on=["face_id", "label"], suffixes=("_1", "_2")
    )
    faces = both[["face_id", "dataset", "label"]].assign(group=joined_groups(both))
    return faces.assign(logit=both["logit_1"]), faces.assign(logit=both["logit_2"])


def _values(judged: Judged) -> dict[str, Values]:
    return metric_values(judged.faces, judged.wrong_by_dataset.sum(axis=0))


def _group_row(
    metric: str, group: int, judged: Judged, values: list[dict[str, Values]], drawn: list[Resamples], fewest: int
) -> dict[str, Any]:
    faces = judged.faces[group]
    start = {"group": judged.names[group], "metric": metric, "n": int(faces_of(metric, faces))}
    if not enough(metric, faces, fewest):
        rests = int(measure_of(metric, faces))
        few = " of the rarer label" if metric == "macro_f1" else ""
        return start | _nothing(f"too few to say: {rests} {'face' if rests == 1 else 'faces'}{few}")
    samples = [of.groups[metric][:, group] for of in drawn]
    clusters = int(measure_of(metric, judged.clusters[group]))
    first, second = (float(of[metric][group]) for of in values)
    return start | _change(first, second, samples[1] - samples[0], clusters)


def _gap_row(
    metric: str, judged: Judged, values: list[dict[str, Values]], drawn: list[Resamples], fewest: int
) -> dict[str, Any]:
    large = np.flatnonzero(enough(metric, judged.faces, fewest))
    start = {"metric": metric, "compared": len(large)}
    if len(large) < 2:
        return start | _nothing("too few to say")
    first, second = (float(np.ptp(of[metric][large])) for of in values)
    samples = [_range(of.groups[metric][:, large]) for of in drawn]
    clusters = int(measure_of(metric, judged.clusters[large]).min())
    return start | _change(first, second, samples[1] - samples[0], clusters)


def _range(values: npt.NDArray[np.float64]) -> Values:
    """The largest less the least of each row; NaN where one is missing."""
    return np.asarray(values.max(axis=1) - values.min(axis=1))


def _change(first: float, second: float, drawn: Values, clusters: int) -> dict[str, Any]:
    low, high = span(drawn)
    reason = ""
    if clusters < FEWEST_GROUPS:
        low, high, reason = _NAN, _NAN, f"no interval: only {clusters} groups of related faces"
    elif not has_width(low, high):
        low, high, reason = _NAN, _NAN, "no interval: both models judge these faces alike"
    return {
        "first": first, "second": second, "change": second - first, "low": low, "high": high, "reason": reason
    }  # fmt: skip


def _nothing(reason: str) -> dict[str, Any]:
    return {**dict.fromkeys(("first", "second", "change", "low", "high"), _NAN), "reason": reason}


def _gap_sentence(row: dict[str, Any], fewest: int) -> str:
    metric, title = row["metric"], METRICS[row["metric"]]
    if np.isnan(row["change"]):
        return f"Too few to say of the gap in the {title}: fewer than two groups have {fewest} such faces."
    scale = 1 if metric == "macro_f1" else 100
    sizes = f"from {scale * row['first']:.{_digits(metric)}f} to {points(metric, row['second'])}"
    if np.isnan(row["low"]):
        return f"The gap in the {title} goes {sizes} ({row['reason']})."
    interval = " to ".join(number(scale * row[end], _digits(metric), plus=True) for end in ("low", "high"))
    verdict = "it closes" if row["high"] < 0 else "it widens" if row["low"] > 0 else "no clear change"
    return f"The gap in the {title} goes {sizes} (change {interval}): {verdict}."


def _cost_sentence(cost: Difference) -> str:
    if cost.difference is None:
        return cost.reason
    change, low, high = (
        None if value is None else number(value, _digits("macro_f1"), plus=True)
        for value in (cost.difference, cost.low, cost.high)
    )
    if low is None or high is None:
        return f"Macro F1 changes by {change} on {cost.faces:,} faces. {cost.reason}".strip()
    verdict = "no clear change" if not cost.differs else "a gain" if cost.difference > 0 else "a loss"
    return f"Macro F1 changes by {change} ({low} to {high}, n = {cost.faces:,}): {verdict}."


def _digits(metric: str) -> int:
    return 3 if metric == "macro_f1" else 1
