"""Intervals of shares: textbook values, never narrower than without an error, and how often they hold the truth."""

import math

import numpy as np
import pytest

from maskdet.intervals import (
    effective_draws,
    exact_interval,
    has_width,
    paired_interval,
    share_interval,
    share_interval_of_counts,
    share_intervals,
)


def of(events: int, faces: int, related: int = 1) -> tuple[float, float]:
    return share_interval(np.arange(faces) < events, np.arange(faces) // related)


def test_of_unrelated_faces_it_is_the_exact_interval() -> None:
    # Clopper-Pearson, as tables and R's binom.test have it.
    assert of(10, 100) == pytest.approx((0.0490, 0.1762), abs=5e-5)
    assert of(1, 200) == pytest.approx((0.000127, 0.027542), abs=5e-7)
    assert of(0, 50) == pytest.approx((0, 1 - 0.025 ** (1 / 50)))
    assert of(50, 50) == pytest.approx((0.025 ** (1 / 50), 1))


def test_one_error_is_never_better_than_none() -> None:
    """Percentiles of a bootstrap said up to 1.83 % of 200 faces without an error, and up to 1.50 % with one."""
    for faces, related in ((200, 1), (30, 1), (200, 4), (600, 20)):
        ends = [of(events, faces, related) for events in range(faces + 1)]
        assert all(high >= ends[0][1] for _, high in ends)
        assert all(low <= ends[-1][0] for low, _ in ends)
        if related == 1:
            assert all(np.diff(end).min() > 0 for end in ([low for low, _ in ends], [high for _, high in ends]))


def test_clusters_that_go_wrong_together_are_one_draw_each() -> None:
    """100 clusters of 5 faces, 20 of them all wrong: the variance of a cluster's share is 0.2 * 0.8 / 100."""
    faces = np.full(100, 5)
    hits = np.where(np.arange(100) < 20, 5, 0)
    # Effect: 100/99 * (0.16 / 100) / (0.16 / 499) = 5.040, and t quantiles 1.96473 (499) and 1.98422 (99).
    assert effective_draws(hits.astype(float), faces.astype(float)) == pytest.approx(
        500 / 5.040404 * 0.980455, rel=1e-4
    )
    assert share_interval_of_counts(hits, faces) == pytest.approx(exact_interval(19.45, 97.26), abs=1e-3)


def test_few_clusters_have_no_interval() -> None:
    few = np.arange(18) // 2
    assert all(math.isnan(end) for end in share_interval(few == 3, few))  # nine clusters
    assert all(math.isnan(end) for end in share_interval(np.zeros(0, bool), np.zeros(0)))
    assert share_interval(np.zeros(50, bool), np.zeros(50)) == pytest.approx((0, 0.975))  # one draw
    low, high = share_interval(np.arange(100) < 10, np.arange(100) // 10)  # one of ten clusters is all wrong
    assert low < 0.01
    assert high > 0.4


@pytest.mark.parametrize("rate", [0.0155, 0.02, 0.05])
@pytest.mark.parametrize("together", [0.0, 0.3])
def test_the_truth_lies_in_95_of_100_intervals(rate: float, together: float) -> None:
    """Of 200 faces in photos of 1 to 5; percentiles hold it in 86 of 100 where 3.1 errors are to be expected."""
    rng = np.random.default_rng(0)
    photo = np.repeat(np.arange(100), rng.permutation(np.repeat([1, 1, 1, 2, 5], 20)))
    hits = 0
    for _ in range(400):
        own, shared = rng.random(len(photo)) < rate, (rng.random(100) < rate)[photo]
        low, high = share_interval(np.where(rng.random(len(photo)) < together**0.5, shared, own), photo)
        hits += low <= rate <= high
    assert hits >= 370  # of 400 at 95 %, fewer come once in 1,100 times


def test_changes_of_verdicts_reach_to_both_sides() -> None:
    none = 1 - 0.025 ** (1 / 100)
    assert paired_interval(np.zeros(100), np.arange(100)) == pytest.approx((-none, none))
    rose = np.where(np.arange(1000) < 3, 1, 0)  # three up, none down: McNemar's exact p is 0.25
    low, high = paired_interval(rose, np.arange(1000))
    assert low < 0 < high
    assert paired_interval(-rose, np.arange(1000)) == pytest.approx((-high, -low))


def test_every_share_of_faces_that_are_judged_right() -> None:
    """20 faces a label, of which 5 with mask are judged wrong; the values of R's binom.test."""
    actual, predicted = np.repeat([0, 1], 20), np.repeat([True, False, True], [5, 15, 20])
    assert share_intervals(np.arange(40), actual, predicted) == {
        "accuracy": pytest.approx((0.7320, 0.9581), abs=5e-5),  # 35 of 40
        "recall with_mask": pytest.approx((0.5090, 0.9134), abs=5e-5),  # 15 of 20
        "precision with_mask": pytest.approx((0.7820, 1), abs=5e-5),  # 15 of 15
        "recall without_mask": pytest.approx((0.8316, 1), abs=5e-5),  # 20 of 20
        "precision without_mask": pytest.approx((0.5930, 0.9317), abs=5e-5),  # 20 of 25
    }
    assert share_intervals(np.arange(40) // 20, actual, predicted) == {}  # two groups


def test_rounding_is_no_width() -> None:
    assert not has_width(0.3, 0.30000000000000004)
    assert not has_width(float("nan"), float("nan"))
    assert has_width(0.3, 0.3001)
