"""Intervals of shares of faces, where faces of one photo go right or wrong together and errors may be few.

Percentiles of a bootstrap are too narrow where errors are few: of 200 faces, none wrong says "at most 1.8 %" by the
exact interval, and one wrong "at most 1.5 %" by the percentiles. Here every share has the exact binomial interval
(Clopper & Pearson 1934) of as many draws as its faces are worth: faces by the design effect, 1 where faces have nothing
to do with each other (Korn & Graubard 1998). Of the intervals that suit clustered faces it is the one that keeps its
level where a share is near 0 or 1, at the price of some width (Brown, Cai & DasGupta 2001; Dean & Pagano 2015).

References
----------
E. L. Korn and B. I. Graubard, Confidence intervals for proportions with small expected number of positive counts
estimated from survey data, Survey Methodology 24, 1998.
L. D. Brown, T. T. Cai and A. DasGupta, Interval estimation for a binomial proportion, Statistical Science 16, 2001.
N. Dean and M. Pagano, Evaluating confidence interval methods for binomial proportions in clustered surveys, Journal of
Survey Statistics and Methodology 3, 2015.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from maskdet.bootstrap import FEWEST_GROUPS, LEVEL, Values
from maskdet.labels import CLASSES

#: Of fewer faces no figure of a group or an outcome is said, or it is said to be of too few (our choice).
FEWEST_FACES: Final = 30
#: Fewer clusters with (or without) what is counted don't tell how related faces go together (our choice).
FEW_EVENTS: Final = 10
_NAN: Final = float("nan")
_ROUNDING: Final = 1e-9


def share_interval(flags: npt.NDArray[Any], clusters: npt.NDArray[Any]) -> tuple[float, float]:
    """The interval of the share of faces with a flag (see the module), at `maskdet.bootstrap.LEVEL`.

    Parameters
    ----------
    flags : array of bool, shape (n,)
    clusters : array, shape (n,)
        Which faces are related: those of one photo or of look-alikes.

    Returns
    -------
    low, high : float
        0 to 1; NaN without a face, and where a share other than 0 and 1 rests on fewer than
        `maskdet.bootstrap.FEWEST_GROUPS` clusters.
    """
    if not len(flags):
        return _NAN, _NAN
    _, cluster = np.unique(clusters, return_inverse=True)
    faces = np.bincount(cluster)
    return share_interval_of_counts(np.bincount(cluster, weights=np.asarray(flags, dtype=np.float64)), faces)


def share_interval_of_counts(hits: npt.NDArray[Any], faces: npt.NDArray[Any]) -> tuple[float, float]:
    """As `share_interval`, from how many faces a cluster has and how many of them have the flag; shape (clusters,).

    Where no face or every face has it, a cluster is one draw. Where fewer than `FEW_EVENTS` clusters have a face with
    it, or one without, the interval reaches at least as far as it would with none: an error makes no model look better.
    """
    hits, faces = (np.asarray(each, dtype=np.float64)[np.asarray(faces) > 0] for each in (hits, faces))
    total, events, count = float(faces.sum()), float(hits.sum()), len(faces)
    if not count:
        return _NAN, _NAN
    if events in (0.0, total):
        return exact_interval(count if events else 0, count)
    if count < FEWEST_GROUPS:
        return _NAN, _NAN
    draws = effective_draws(hits, faces)
    low, high = exact_interval(draws * events / total, draws)
    if (hits > 0).sum() < FEW_EVENTS:
        high = max(high, exact_interval(0, count)[1])
    if (hits < faces).sum() < FEW_EVENTS:
        low = min(low, exact_interval(count, count)[0])
    return low, high


def share_intervals(
    groups: npt.NDArray[Any], actual: npt.NDArray[np.int64], predicted: npt.NDArray[np.bool_]
) -> dict[str, tuple[float, float]]:
    """`share_interval` of each metric that is a share of faces judged right.

    Parameters
    ----------
    groups, actual, predicted : array, shape (faces,)
        Labels are 1 for without mask, and predicted is true for it.

    Returns
    -------
    dict
        ``accuracy``, a share of all faces, ``"recall with_mask"`` and so on, of the faces of a label, and ``"precision
        with_mask"`` and so on, of those that are said to be of it; without those that rest on too few groups.
    """
    right = predicted == (actual == 1)
    among = {"accuracy": np.ones(len(groups), dtype=np.bool_)}
    for value, label in enumerate(CLASSES):
        among |= {f"recall {label}": actual == value, f"precision {label}": predicted == bool(value)}
    enough = {name: of for name, of in among.items() if len(np.unique(groups[of])) >= FEWEST_GROUPS}
    return {name: share_interval(right[of], groups[of]) for name, of in enough.items()}


def paired_interval(changes: npt.NDArray[Any], clusters: npt.NDArray[Any]) -> tuple[float, float]:
    """The interval of the mean of changes that are -1, 0 or 1, as of two verdicts on each face; shapes (n,).

    From those of the share that rose and of the share that fell (Newcombe, Interval estimation for the difference
    between independent proportions, Statistics in Medicine 17, 1998, method 10, which takes them for independent).
    Without any change, it reaches as far to either side. NaN as of `share_interval`.
    """
    rose, fell = (np.asarray(changes) == sign for sign in (1, -1))
    ends = [share_interval(flags, clusters) for flags in (rose, fell)]
    up, down = (float(flags.mean()) if len(flags) else _NAN for flags in (rose, fell))
    below = np.hypot(up - ends[0][0], ends[1][1] - down)
    above = np.hypot(ends[0][1] - up, down - ends[1][0])
    return float(up - down - below), float(up - down + above)


def has_width(low: float, high: float) -> bool:
    """False of an interval whose ends differ by rounding alone: resampling showed no spread, which is no certainty."""
    return high - low > _ROUNDING * max(1.0, abs(low), abs(high))


def effective_draws(hits: Values, faces: Values) -> float:
    """How many unrelated faces a share is worth: as many as there are, at most, by the design effect.

    The variance of the share between clusters, by that of unrelated faces, and the quantiles of Student's t for so many
    clusters and so many faces, as Korn & Graubard (1998). The fewer than `FEW_EVENTS` clusters have a face with what is
    counted, or one without, the more a cluster is taken for one draw: one error alone shows no other beside it.

    Parameters
    ----------
    hits, faces : array, shape (clusters,)
        At least two clusters with faces, and a share that is neither 0 nor 1.
    """
    from scipy.special import stdtrit

    total, count = faces.sum(), len(faces)
    share = hits.sum() / total
    between = count / (count - 1) * ((hits - share * faces) ** 2).sum() / total**2
    effect = max(1.0, float(between * (total - 1) / (share * (1 - share))))
    upper = (1 + LEVEL) / 2
    draws = float(total / effect * (stdtrit(total - 1, upper) / stdtrit(count - 1, upper)) ** 2)
    known = min(1.0, float(min((hits > 0).sum(), (hits < faces).sum())) / FEW_EVENTS)
    return 1 / (known / draws + (1 - known) / min(draws, count))


def exact_interval(events: float, draws: float) -> tuple[float, float]:
    """The exact binomial interval (Clopper & Pearson 1934) at `maskdet.bootstrap.LEVEL`; draws may be fractions."""
    from scipy.special import betaincinv

    tail = (1 - LEVEL) / 2
    low = 0.0 if events <= 0 else float(betaincinv(events, draws - events + 1, tail))
    high = 1.0 if events >= draws else float(betaincinv(events + 1, draws - events, 1 - tail))
    return low, high
