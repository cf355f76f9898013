"""Means over faces: figures and intervals by hand, and how faces are put into groups."""

import numpy as np
import pandas as pd
import pytest

from maskdet.bias.means import means, split_by
from maskdet.bootstrap import bootstrap, percentiles
from maskdet.intervals import paired_interval, share_interval


def test_each_column_is_what_it_would_be_alone() -> None:
    rng = np.random.default_rng(0)
    values = np.stack([rng.normal(2, 1, 80), rng.random(80) < 0.3], axis=1)
    groups = np.arange(80) // 2
    found = means(values, groups)
    np.testing.assert_allclose(found.mean, values.mean(axis=0))
    assert found.n.tolist() == [80, 80]
    assert found.reason == ["", ""]
    for at in (0, 1):
        column = values[:, at]
        drawn = bootstrap(groups, lambda times, column=column: {"mean": times @ column / times.sum(axis=1)})["mean"]
        assert [found.low[at], found.high[at]] == pytest.approx(percentiles(drawn))


def test_shares_and_changes_of_verdicts_have_intervals_of_their_own() -> None:
    rng = np.random.default_rng(0)
    shares, groups = rng.random((80, 2)) < 0.05, np.arange(80) // 2
    found = means(shares, groups, kind="shares")
    assert [found.low[1], found.high[1]] == pytest.approx(share_interval(shares[:, 1], groups))
    changed = shares[:, :1].astype(float) - shares[:, 1:]
    found = means(changed, groups, kind="changes")
    assert [found.low[0], found.high[0]] == pytest.approx(paired_interval(changed[:, 0], groups))


def test_faces_without_a_value_do_not_count() -> None:
    values = np.full((50, 2), np.nan)
    values[:40, 0] = np.arange(40)
    found = means(values, np.arange(50))
    assert found.n.tolist() == [40, 0]
    assert found.mean[0] == 19.5
    assert found.low[0] < 19.5 < found.high[0]
    assert np.isnan([found.mean[1], found.low[1], found.high[1]]).all()
    assert found.reason == ["", "too few to say: 0 faces"]


def test_where_no_face_or_every_face_has_it_the_interval_is_exact() -> None:
    values = np.stack([np.zeros(40), np.ones(40)], axis=1)
    found = means(values, np.arange(40), kind="shares")
    # Clopper-Pearson: of 40 without one, the upper end is 1 - 0.025^(1/40).
    assert (found.low[0], found.high[0]) == pytest.approx((0, 1 - 0.025 ** (1 / 40)))
    assert (found.low[1], found.high[1]) == pytest.approx((0.025 ** (1 / 40), 1))


def test_without_spread_there_is_no_interval() -> None:
    """The mean of 40 times 0.3 is no more than rounding away from 0.3 in any sample: that is no certainty."""
    for value in (0.3, 0.25, 0.0):
        same = means(np.full((40, 1), value), np.arange(40))
        assert same.mean[0] == pytest.approx(value)
        assert np.isnan([same.low[0], same.high[0]]).all()
        assert same.reason == ["no interval: no two faces differ"]


def test_too_few_faces_or_clusters_have_no_interval_and_a_reason() -> None:
    few = means(np.ones((12, 1)), np.arange(12))
    assert (few.mean[0], few.reason) == (1, ["too few to say: 12 faces"])
    assert np.isnan([few.low[0], few.high[0]]).all()
    assert means(np.ones((12, 1)), np.arange(12), fewest=12, kind="shares").reason == [""]
    assert means(np.ones((1, 1)), np.arange(1)).reason == ["too few to say: 1 face"]
    related = means(np.ones((60, 1)), np.arange(60) // 10)
    assert related.reason == ["too few to say: 6 groups of related faces"]
    none = means(np.ones((0, 2)), np.arange(0))
    assert none.n.tolist() == [0, 0]
    assert none.reason == ["too few to say: 0 faces"] * 2


FACES = pd.DataFrame({"face_id": list("abcd")})


def parts(groups: "pd.Series | None") -> dict[str, str]:
    return {name: "".join(FACES.loc[inside, "face_id"]) for name, inside in split_by(FACES, groups)}


def test_all_faces_come_first_and_then_each_group_by_name() -> None:
    assert parts(None) == {"all": "abcd"}
    found = parts(pd.Series({"c": "light", "a": "dark", "d": "light", "elsewhere": "medium"}))
    assert list(found.items()) == [("all", "abcd"), ("dark", "a"), ("light", "cd")]


def test_faces_without_a_group_are_in_all_alone() -> None:
    assert parts(pd.Series({"a": "", "b": None, "c": "x"})) == {"all": "abcd", "x": "c"}


def test_categories_keep_their_order() -> None:
    dtype = pd.CategoricalDtype(["small", "large", "huge"], ordered=True)
    groups = pd.Series(["large", "small", "large"], index=["a", "b", "d"]).astype(dtype)
    assert list(parts(groups).items()) == [("all", "abcd"), ("small", "b"), ("large", "ad")]


def test_a_group_that_is_called_all_is_no_second_all() -> None:
    faces = pd.DataFrame({"face_id": ["p", "q"]})
    groups = pd.Series(["all", "some"], index=["p", "q"])
    assert [name for name, _ in split_by(faces, groups)] == ["all", "all (group)", "some"]
