"""The permutation test of gaps: whether groups differ in a metric at all, and which one departs from the others.

The wrong verdicts are dealt anew, at random, among the faces of the same label and dataset (a permutation test in
strata, as the exact test of Cochran, Mantel and Haenszel), so labels and sources that are harder than others don't look
like a gap. Where an attribute only tells datasets apart, they are dealt among all faces of the label.

A group's deviation is its metric less what it is if verdicts are dealt evenly, in standard deviations of the dealing,
both by the hypergeometric distribution, so that outcomes that mirror each other tie (of macro F1, of which they are not
known exactly, the value at the mean and its first derivatives there). Two statistics are asked, of the same dealings:

- The sum of the squared deviations of all groups: whether the metric differs between the groups *at all*. A gap is
  judged by this. It says nothing of any two groups.
- The largest deviation of any group, either way: whether *the one group* that departs most does so by chance. Since the
  largest is taken anew in each dealing, that the group was picked is allowed for (max-T, Westfall & Young 1993).

Verdicts on related faces go wrong together, which leaves a group less of a say than its number of faces. So each
observed deviation is divided by the square root of the group's design effect, 1 + (m - 1) r, with m the number of faces
in a face's cluster, on average, and r the correlation of errors within clusters (Kish 1965; for shares Rao & Scott
1992). Exchanging whole clusters with the same make-up would need no such estimate, but a photo of eight faces mostly
has no other of its make-up to be exchanged with, and a gap in such photos would never be found.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from maskdet.bias.group_metrics import METRICS, RATES, enough, faces_of, measure_of, metric_values
from maskdet.bias.judged import Counts, GroupOptions, Judged
from maskdet.bootstrap import FEWEST_GROUPS, Values

#: Of the tests (the usual level).
SIGNIFICANT: Final = 0.05
_NAN: Final = float("nan")
#: More are drawn while a p-value is within so many standard errors of where its verdict turns: the verdict of other
#: permutations would differ in at most two of a thousand such tests.
_STANDARD_ERRORS: Final = 3.09
#: But at most so many times as many as at first (our choice).
_MOST_TIMES: Final = 25
#: Memory for so many permutations at once.
_AT_ONCE: Final = 5000
_ROUNDING: Final = 1e-9


@dataclass(frozen=True)
class GapTest:
    """What the permutations say of a metric.

    Attributes
    ----------
    p_value : float
        That chance alone makes the groups differ so much; NaN where fewer than two groups are large enough. At least
        1 / (permutations + 1), since the observed verdicts count as one (Phipson & Smyth 2010).
    at_most : bool
        True where no permutation differs so much: the p-value is an upper bound.
    apart : int
        The group that departs most, the worse one of two that depart alike; -1 where nothing is compared.
    apart_p, apart_at_most
        The same of chance alone moving any group so far.
    permutations : int
        How many were drawn; 0 where nothing is compared.
    """

    p_value: float = _NAN
    at_most: bool = False
    apart: int = -1
    apart_p: float = _NAN
    apart_at_most: bool = False
    permutations: int = 0


class Permutations:
    """The tests of an attribute's four metrics, of which more permutations can be drawn at any time."""

    def __init__(self, judged: Judged, options: GroupOptions) -> None:
        """Draw as many as the options say."""
        self._judged = judged
        self._first = options.permutations
        self._rng = np.random.default_rng(options.seed)
        self._large = {metric: large_enough(metric, judged, options.fewest) for metric in METRICS}
        self._large = {metric: groups for metric, groups in self._large.items() if len(groups) > 1}
        strata = [judged.faces_by_dataset, judged.wrong_by_dataset]
        if tells_datasets_apart(judged):
            strata = [counts.sum(axis=0, keepdims=True) for counts in strata]
        self._strata = (strata[0], strata[1])
        self._centre, self._spread = _moments(judged.faces, *self._strata)
        wrong = judged.wrong_by_dataset.sum(axis=0, dtype=np.float64)
        self._observed = {
            metric: units[0] / np.sqrt(design_effects(metric, judged)[self._large[metric]])
            for metric, units in self._units(wrong[None]).items()
        }
        self._as_far = {metric: np.zeros(2, dtype=np.int64) for metric in self._large}
        self.drawn = 0
        if self._large:
            self.draw(options.permutations)

    @property
    def can_go_on(self) -> bool:
        """False where the bound is reached, or nothing is compared."""
        return bool(self._large) and self.drawn < _MOST_TIMES * self._first

    def draw(self, count: int) -> None:
        """Draw more permutations."""
        for begin in range(0, count, _AT_ONCE):
            dealt = self._dealt(min(_AT_ONCE, count - begin))
            for metric, units in self._units(dealt).items():
                reached = zip(_statistics(units), _statistics(self._observed[metric][None]), strict=True)
                self._as_far[metric] += [int((each >= own[0] * (1 - _ROUNDING) - _ROUNDING).sum())
                                         for each, own in reached]  # fmt: skip
        self.drawn += count

    def double(self) -> None:
        """Draw as many again, up to the bound."""
        self.draw(min(self.drawn, _MOST_TIMES * self._first - self.drawn))

    def tests(self) -> dict[str, GapTest]:
        """What the permutations say so far, by metric."""
        return {metric: self._test(metric) if metric in self._large else GapTest() for metric in METRICS}

    def _test(self, metric: str) -> GapTest:
        all_groups, one = (int(number) for number in self._as_far[metric])
        of = self.drawn + 1
        apart = int(self._large[metric][_most_apart(metric, self._observed[metric])])
        return GapTest((all_groups + 1) / of, all_groups == 0, apart, (one + 1) / of, one == 0, self.drawn)

    def _units(self, wrong: Values) -> dict[str, Values]:
        """Deviations of the groups that are compared, shape (n, compared), from misjudged faces (n, groups, 2)."""
        values = metric_values(self._judged.faces[None], wrong)
        found = {}
        for metric, groups in self._large.items():
            off, spread = (values[metric] - self._centre[metric])[:, groups], self._spread[metric][groups]
            # Without a spread there is no error to be dealt.
            found[metric] = np.divide(off, spread, out=np.zeros_like(off), where=spread > 0)
        return found

    def _dealt(self, count: int) -> Values:
        """Misjudged faces of each group and label in so many permutations, shape (count, groups, 2)."""
        faces, wrong = self._strata
        dealt = np.zeros((count, faces.shape[1], 2))
        errors = wrong.sum(axis=1)
        for dataset, label in np.ndindex(errors.shape):
            dealt[:, :, label] += self._rng.multivariate_hypergeometric(
                faces[dataset, :, label], int(errors[dataset, label]), size=count, method="marginals"
            )
        return dealt


def settle(tests: Sequence[Permutations], *, corrected: bool) -> None:
    """Draw more permutations until none of the verdicts hangs on which ones were drawn, or there are enough.

    A sequential Monte Carlo test (Besag & Clifford 1991; Gandy 2009): drawing goes on, twice as many each time, for the
    attributes with a p-value near the level, of all groups or of the one that departs most.

    Parameters
    ----------
    corrected : bool
        Whether verdicts are Holm's over all of them; else each has the level for itself.
    """
    while undecided := [test for test in _undecided(tests, corrected) if test.can_go_on]:
        for test in undecided:
            test.double()


def holm(p_values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """P-values, shape (n,), adjusted so that the chance of any false alarm among them stays at the level; NaN stays.

    Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6, 1979.
    """
    adjusted = p_values.copy()
    order, factors = _ranked(p_values)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(p_values[order] * factors))
    return adjusted


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


def _moments(faces: Counts, strata: Counts, wrong: Counts) -> tuple[dict[str, Values], dict[str, Values]]:
    """Each metric of each group where verdicts are dealt evenly, and its standard deviation; shape (groups,).

    Parameters
    ----------
    faces : array of int, shape (groups, 2)
    strata, wrong : array of int, shape (strata, groups, 2)
        Faces among which errors are dealt, and those that are misjudged.
    """
    of, errors = (counts.sum(axis=1, keepdims=True) for counts in (strata, wrong))
    share = strata / np.maximum(of, 1)
    expected = (share * errors).sum(axis=0)
    variance = (errors * share * (1 - share) * (of - errors) / np.maximum(of - 1, 1)).sum(axis=0)
    squares = dict.fromkeys(METRICS, np.zeros(len(faces)))
    for label in (0, 1):  # a derivative a label: exact but for macro F1, since the others are linear
        step = 0.5 * (np.arange(2) == label)
        up, down = metric_values(faces, expected + step), metric_values(faces, expected - step)
        squares = {
            metric: squares[metric] + (up[metric] - down[metric]) ** 2 * variance[:, label] for metric in METRICS
        }
    return metric_values(faces, expected), {metric: np.sqrt(square) for metric, square in squares.items()}


def _statistics(units: Values) -> tuple[Values, Values]:
    """Of all groups together and of the one that departs most; shape (n, groups) becomes (n,)."""
    return (units**2).sum(axis=1), np.abs(units).max(axis=1)


def _most_apart(metric: str, units: Values) -> int:
    """The group that departs most; of several that do so alike, the worst."""
    worse = units if metric in RATES else -units
    far = np.abs(units) >= np.abs(units).max() * (1 - _ROUNDING) - _ROUNDING
    return int(np.argmax(np.where(far, np.round(worse, 6), -np.inf)))


def _undecided(tests: Sequence[Permutations], corrected: bool) -> list[Permutations]:
    """The attributes of which a p-value lies within Monte Carlo error of where its verdict turns."""
    found = [(test, each) for test in tests for each in test.tests().values()]
    unsure = np.zeros(len(found), dtype=np.bool_)
    drawn = np.array([max(each.permutations, 1) for _, each in found])
    for p_values in (np.array([each.p_value for _, each in found]), np.array([each.apart_p for _, each in found])):
        order, factors = _ranked(p_values)
        turns = SIGNIFICANT / (factors if corrected else 1)
        share = (p_values[order] * (drawn[order] + 1) - 1) / drawn[order]  # of the permutations, without the observed
        error = _STANDARD_ERRORS * np.sqrt(turns * (1 - turns) / drawn[order])
        unsure[order] |= np.abs(share - turns) < error
    chosen = {id(test) for (test, _), one in zip(found, unsure, strict=True) if one}
    return [test for test in tests if id(test) in chosen]


def _ranked(p_values: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.int64]]:
    """Positions of the p-values that are known, the smallest first, and Holm's factor of each."""
    known = np.flatnonzero(~np.isnan(p_values))
    order = known[np.argsort(p_values[known], kind="stable")]
    return order, np.arange(len(order), 0, -1)


def _pairs(values: Values, cluster: Counts) -> float:
    """Sum of the products of all pairs of values in one cluster."""
    sums = np.bincount(cluster, weights=values)
    return float((sums @ sums - values @ values) / 2)
