"""What is said of a gap, in plain words and with all its numbers.

What was tested is told apart from what was not: whether the groups differ at all, then the group that departs most
beside all others, then the two that lie furthest apart, which were picked. Of two groups all three are the same.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal

import numpy as np

from maskdet.bias.group_metrics import METRICS, RATES
from maskdet.bias.permutations import SIGNIFICANT
from maskdet.bootstrap import FEWEST_GROUPS
from maskdet.wording import capital, number

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
        A row of `maskdet.bias.groups.GroupReport.gaps`, with verdict.
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
    if gap["verdict"] == "too few to say":
        kind = {"macro_f1": "faces of each label", "accuracy": "faces"}.get(metric) or f"{_RATE[metric][0]} faces"
        return (
            f"Too few to say of the {METRICS[metric]}: fewer than two groups have {fewest} {kind}, of at least "
            f"{FEWEST_GROUPS} photos or look-alikes."
        )
    found = _of_two if gap["compared"] == 2 else _of_several
    unjudged = f"Too few faces to be judged: {gap['not_compared']}." if gap["not_compared"] else ""
    parts = [found(gap, groups, controlled, together), _within(gap, controlled), unjudged]
    return " ".join(filter(None, parts))


def chance(p_value: float, *, at_most: bool = False) -> str:
    """A p-value in short, such as ``p = 0.031``, or ``p ≤ 0.009`` of an upper bound; never rounded up to the level."""
    if p_value < 0.001:
        return "p < 0.001"
    digits = 3 if p_value < 0.1 else 2
    if at_most:  # a bound is rounded up, or it would be none
        return f"p ≤ {min(1.0, np.ceil(p_value * 10**digits - 1e-9) / 10**digits):.{digits}f}"
    return f"p = {p_value:.{digits}f}"


def points(metric: str, value: float) -> str:
    """A difference in words: percentage points of a share, the figure itself of macro F1."""
    return number(value, 3) if metric == "macro_f1" else f"{number(100 * value, 1)} points"


def figure(metric: str, value: float, low: float, high: float, faces: int) -> str:
    """A group's metric with its interval and number of faces, such as ``9.1 % (5.2–14.0, n = 143)``."""
    if metric == "macro_f1":
        interval = "no interval" if np.isnan(low) else f"{low:.3f}–{high:.3f}"
        return f"{value:.3f} ({interval}, n = {faces:,})"
    interval = "no interval" if np.isnan(low) else f"{100 * low:.1f}–{100 * high:.1f}"
    return f"{100 * value:.1f} % ({interval}, n = {faces:,})"


def _of_two(gap: Mapping[str, Any], groups: Mapping[str, Mapping[str, Any]], controlled: bool, together: int) -> str:
    """The two groups, the gap and whether chance explains it: here the test is of this very difference."""
    metric = gap["metric"]
    names = (gap["highest"], gap["lowest"]) if metric in RATES else (gap["lowest"], gap["highest"])
    one, other = (_of_group(metric, groups[name]) for name in names)
    if metric in RATES:
        kind, judged, _ = _RATE[metric]
        start = f"Of {kind} faces, {one} of group {names[0]} are judged {judged}, {other} of group {names[1]}"
    elif metric == "accuracy":
        start = f"Of group {names[0]}, {one} are judged rightly, of group {names[1]} {other}"
    else:
        start = f"Macro F1 is {one} in group {names[0]} and {other} in group {names[1]}"
    size, p = points(metric, gap["difference"]), _chance(gap, together)
    if gap["verdict"] == "gap":
        return f"{start}: a gap of {size} that chance hardly explains ({p})."
    fixed = ", with labels and datasets held fixed" if controlled else ""
    if gap["p_value"] < SIGNIFICANT:
        alone = chance(gap["p_value"], at_most=gap["p_at_most"])
        return f"{start}: no gap found; the {size} would count alone{fixed} ({alone}), but not among so many ({p})."
    return f"{start}: no gap found, chance may explain the {size}{fixed} ({p})."


def _of_several(
    gap: Mapping[str, Any], groups: Mapping[str, Mapping[str, Any]], controlled: bool, together: int
) -> str:
    """Whether the groups differ at all, which one departs most and whether that is sure, and the furthest apart."""
    metric, p = gap["metric"], _chance(gap, together)
    what = f"the {METRICS[metric]} differs between the {gap['compared']} groups"
    fixed = ", with labels and datasets held fixed" if controlled else ""
    if gap["verdict"] == "gap":
        start = f"{capital(what)}: a gap that chance hardly explains ({p})."
    elif gap["p_value"] < SIGNIFICANT:
        alone = chance(gap["p_value"], at_most=gap["p_at_most"])
        start = f"No gap found: that {what} would count alone{fixed} ({alone}), but not among so many ({p})."
    else:
        start = f"No gap found: chance may explain that {what}{fixed} ({p})."
    pair = (
        f"Of all pairs, {gap['lowest']} and {gap['highest']} lie furthest apart, by "
        f"{points(metric, gap['difference'])}; they were picked for it, which is no test."
    )
    return " ".join([start, _departs(gap, groups[gap["apart"]], together), pair])


def _departs(gap: Mapping[str, Any], row: Mapping[str, Any], together: int) -> str:
    """The group that departs most, beside all others that are compared."""
    metric, name = gap["metric"], gap["apart"]
    own = _of_group(metric, row)
    rest = figure(metric, gap["rest"], gap["rest_low"], gap["rest_high"], gap["rest_faces"])
    if metric in RATES:
        kind, judged, _ = _RATE[metric]
        told = f"{own} of its {kind} faces are judged {judged}, {rest} of those of the other groups"
    elif metric == "accuracy":
        told = f"{own} are judged rightly, {rest} of the other groups"
    else:
        told = f"macro F1 is {own}, {rest} in the other groups"
    difference = _difference(gap, "apart_difference")
    one = chance(gap["apart_p_adjusted"], at_most=gap["apart_at_most"]) + (", corrected too" if together > 1 else "")
    if gap["verdict"] != "gap":
        sure = ""
    elif gap["apart_p_adjusted"] < SIGNIFICANT:
        sure = f"; chance hardly moves any group so far ({one})"
    else:
        sure = f"; that it is this group is not sure ({one})"
    return f"Group {name} departs most: {told}, a difference of {difference}{sure}."


def _of_group(metric: str, row: Mapping[str, Any]) -> str:
    count = _RATE[metric][2] if metric in RATES else "n"
    return figure(metric, row[metric], row[f"{metric}_low"], row[f"{metric}_high"], row[count])


def _chance(gap: Mapping[str, Any], together: int) -> str:
    p = chance(gap["p_adjusted"], at_most=gap["p_at_most"])
    return p + (f" after correction for {together} tests" if together > 1 else "")


def _within(gap: Mapping[str, Any], controlled: bool) -> str:
    """The group that departs most and the others, with the dataset held fixed."""
    if not controlled:
        return ""
    if np.isnan(gap["within"]):
        both = "both" if gap["compared"] == 2 else f"{gap['apart']} and of other groups"
        return f"No dataset has faces of {both}, so what sets them apart may be the dataset."
    of = "it" if gap["compared"] == 2 else f"the difference of {gap['apart']}"
    return f"Within datasets {of} is {_difference(gap, 'within')[:-1]}, n = {gap['within_faces']:,})."


def _difference(gap: Mapping[str, Any], name: str) -> str:
    """A difference with its interval, such as ``10.4 points (4.9 to 16.0)``."""
    metric = gap["metric"]
    scale, digits = (1, 3) if metric == "macro_f1" else (100, 1)
    low, high = gap[f"{name}_low"], gap[f"{name}_high"]
    interval = "no interval" if np.isnan(low) else f"{number(scale * low, digits)} to {number(scale * high, digits)}"
    return f"{points(metric, gap[name])} ({interval})"
