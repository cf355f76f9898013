"""What is said of a gap, in plain words and with all its numbers."""

from collections.abc import Mapping
from typing import Any, Final, Literal

import numpy as np

from maskdet.bias.gaps import SIGNIFICANT
from maskdet.bias.group_metrics import METRICS, RATES
from maskdet.bootstrap import FEWEST_GROUPS
from maskdet.wording import number

GapVerdict = Literal["gap", "no gap found", "too few to say"]
#: Of which faces a rate is, what they are judged as, and the column that counts them.
_RATE: Final = {
    "false_mask_rate": ("unmasked", "masked", "without_mask"),
    "false_no_mask_rate": ("masked", "unmasked", "with_mask"),
}


def verdict_of(p_value: float) -> GapVerdict:
    """What a p-value, adjusted for all that was judged together, says of a gap; NaN where too few groups have one."""
    if np.isnan(p_value):
        return "too few to say"
    return "gap" if p_value < SIGNIFICANT else "no gap found"


def gap_sentence(
    gap: Mapping[str, Any], groups: Mapping[str, Mapping[str, Any]], fewest: int, controlled: bool, together: int
) -> str:
    """A gap as plain sentences.

    Parameters
    ----------
    gap : mapping
        A row of `maskdet.bias.groups.GroupReport.gaps`, with p_adjusted.
    groups : mapping
        The rows of the groups by their names.
    fewest : int
        Faces that a group needs.
    controlled : bool
        Whether the test held the dataset fixed.
    together : int
        How many tests were judged together.
    """
    metric = gap["metric"]
    if not gap["applies"]:
        return f"Only faces of one label have a group here, so the {METRICS[metric]} says what their error rate says."
    if verdict_of(gap["p_adjusted"]) == "too few to say":
        kind = {"macro_f1": "faces of each label", "accuracy": "faces"}.get(metric) or f"{_RATE[metric][0]} faces"
        return (
            f"Too few to say of the {METRICS[metric]}: fewer than two groups have {fewest} {kind}, of at least "
            f"{FEWEST_GROUPS} photos or look-alikes."
        )
    lowest, highest = ((name, groups[name]) for name in (gap["lowest"], gap["highest"]))
    first, second = (highest, lowest) if metric in RATES else (lowest, highest)
    unjudged = f"Too few faces to be judged: {gap['not_compared']}." if gap["not_compared"] else ""
    parts = [_finding(gap, first, second, controlled, together), _within(gap, controlled), unjudged]
    return " ".join(filter(None, parts))


def chance(p_value: float) -> str:
    """A p-value in short, such as ``p = 0.031``; never rounded up to the level."""
    if p_value < 0.001:
        return "p < 0.001"
    return f"p = {p_value:.3f}" if p_value < 0.1 else f"p = {p_value:.2f}"


def points(metric: str, value: float) -> str:
    """A difference in words: percentage points of a share, the figure itself of macro F1."""
    return f"{value:.3f}" if metric == "macro_f1" else f"{100 * value:.1f} points"


def figure(metric: str, value: float, low: float, high: float, faces: int) -> str:
    """A group's metric with its interval and number of faces, such as ``9.1 % (5.2–14.0, n = 143)``."""
    if metric == "macro_f1":
        interval = "no interval" if np.isnan(low) else f"{low:.3f}–{high:.3f}"
        return f"{value:.3f} ({interval}, n = {faces:,})"
    interval = "no interval" if np.isnan(low) else f"{100 * low:.1f}–{100 * high:.1f}"
    return f"{100 * value:.1f} % ({interval}, n = {faces:,})"


def _finding(
    gap: Mapping[str, Any],
    first: tuple[str, Mapping[str, Any]],
    second: tuple[str, Mapping[str, Any]],
    controlled: bool,
    together: int,
) -> str:
    """The two groups, the gap and whether chance explains it."""
    metric = gap["metric"]
    count = _RATE[metric][2] if metric in RATES else "n"
    one, other = (
        figure(metric, row[metric], row[f"{metric}_low"], row[f"{metric}_high"], row[count])
        for row in (first[1], second[1])
    )
    if metric in RATES:
        kind, judged, _ = _RATE[metric]
        start = f"Of {kind} faces, {one} of group {first[0]} are judged {judged}, {other} of group {second[0]}"
    elif metric == "accuracy":
        start = f"Of group {first[0]}, {one} are judged rightly, of group {second[0]} {other}"
    else:
        start = f"Macro F1 is {one} in group {first[0]} and {other} in group {second[0]}"
    size = points(metric, gap["difference"])
    p = chance(gap["p_adjusted"]) + (f" after correction for {together} tests" if together > 1 else "")
    if verdict_of(gap["p_adjusted"]) == "gap":
        return f"{start}: a gap of {size} that chance hardly explains ({p})."
    fixed = ", with labels and datasets held fixed" if controlled else ""
    if gap["p_value"] < SIGNIFICANT:
        alone = chance(gap["p_value"])
        return f"{start}: no gap found; the {size} would count alone{fixed} ({alone}), but not among so many ({p})."
    return f"{start}: no gap found, chance may explain the {size}{fixed} ({p})."


def _within(gap: Mapping[str, Any], controlled: bool) -> str:
    """The same two groups with the dataset held fixed."""
    if not controlled:
        return ""
    if np.isnan(gap["within"]):
        return "No dataset has faces of both, so what sets them apart may be the dataset."
    metric, scale = gap["metric"], 1 if gap["metric"] == "macro_f1" else 100
    digits = 3 if metric == "macro_f1" else 1
    low, high = gap["within_low"], gap["within_high"]
    interval = "no interval" if np.isnan(low) else f"{number(scale * low, digits)} to {number(scale * high, digits)}"
    return f"Within datasets it is {points(metric, gap['within'])} ({interval}, n = {gap['within_faces']:,})."
