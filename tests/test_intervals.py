"""Exact intervals of shares, by their closed forms and by tables."""

import numpy as np
import pytest

from maskdet.intervals import has_spread, none_or_all, share_interval


def test_none_and_all_have_closed_forms() -> None:
    # P(no event in n draws) = (1 - p) ** n is 2.5 % where p is the upper end.
    assert share_interval(0, 80) == pytest.approx((0.0, 1 - 0.025 ** (1 / 80)))
    assert share_interval(80, 80) == pytest.approx((0.025 ** (1 / 80), 1.0))
    assert share_interval(0, 1) == pytest.approx((0.0, 0.975))
    assert share_interval(0, 80, level=0.9)[1] == pytest.approx(1 - 0.05 ** (1 / 80))
    # One-sided at 95 %, it were the rule of three, 3 / n, nearly.
    assert share_interval(0, 300, level=0.9)[1] == pytest.approx(3 / 300, rel=0.01)
    assert share_interval(0, 300)[1] == pytest.approx(3.7 / 300, rel=0.01)


def test_some_events_as_in_tables() -> None:
    # 4 of 20: Clopper & Pearson give 0.057 and 0.437 (R, binom.test(4, 20)); 1 of 10: 0.0025 and 0.4450.
    assert share_interval(4, 20) == pytest.approx((0.05733, 0.43661), abs=1e-5)
    assert share_interval(1, 10) == pytest.approx((0.00253, 0.44502), abs=1e-5)
    low, high = share_interval(16, 20)
    assert (1 - high, 1 - low) == pytest.approx(share_interval(4, 20))


def test_related_faces_count_for_fewer_draws() -> None:
    # 8 of 40 faces, in pairs that are alike: as 4 of 20.
    assert share_interval(8, 40, 2) == pytest.approx(share_interval(4, 20))
    assert share_interval(0, 160, 2) == pytest.approx((0.0, 1 - 0.025 ** (1 / 80)))
    assert share_interval(1, 3, 1.5)[1] > share_interval(1, 3)[1]  # 2/3 of an event in 2 draws


def test_of_none_nothing_is_known() -> None:
    assert share_interval(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(
    "wrong", [(-1, 3), (4, 3), (1, float("nan")), (float("nan"), 3), (1, float("inf")), (0, 3, 0), (0, 3, 1, 1.0)]
)
def test_what_is_no_share(wrong: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="no share"):
        share_interval(*wrong)


def test_none_or_all_faces_by_their_groups() -> None:
    pairs = np.arange(40) // 2
    assert none_or_all(np.zeros(40, bool), pairs) == pytest.approx((0.0, 1 - 0.025 ** (1 / 20)))
    assert none_or_all(np.ones(40, bool), pairs) == pytest.approx((0.025 ** (1 / 20), 1.0))
    assert none_or_all(np.arange(40) == 3, pairs) is None
    assert none_or_all(np.zeros(0, bool), np.zeros(0)) is None


def test_rounding_is_no_spread() -> None:
    assert not has_spread(0.04742587317756677, 0.047425873177566774)  # the bootstrap of 50 equal logits
    assert not has_spread(0.0, 0.0)
    assert has_spread(0.047, 0.0471)
