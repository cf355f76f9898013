"""The cluster bootstrap: whole groups are drawn, and intervals are percentiles of what is defined."""

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import binomtest

from maskdet.bootstrap import LEVEL, RESAMPLES, Values, bootstrap, measured, percentiles

#: One face of one photo, three of another.
GROUPS = np.array(["photo 7", "photo 3", "photo 3", "photo 3"])


def counts(groups: npt.NDArray[np.str_], resamples: int = RESAMPLES, seed: int = 0) -> npt.NDArray[np.float64]:
    """How often each face counts in each resample, shape (resamples, faces)."""

    def measure(times: Values) -> dict[str, Values]:
        return {str(face): times[:, face] for face in range(times.shape[1])}

    return np.stack(list(bootstrap(groups, measure, seed=seed, resamples=resamples).values()), axis=1)


def test_groups_are_drawn_whole_and_as_many_as_there_are() -> None:
    times = counts(GROUPS)
    assert times.shape == (1000, 4)
    assert (times[:, 1:] == times[:, 1:2]).all()
    assert (times[:, 0] + times[:, 1] == 2).all()  # two groups, drawn twice with replacement
    assert {tuple(row) for row in times} == {(2, 0, 0, 0), (1, 1, 1, 1), (0, 2, 2, 2)}


def test_every_group_is_drawn_alike() -> None:
    """Of two draws from two groups, half bring one of each, a quarter the first one twice."""
    first = counts(GROUPS, 4000)[:, 0]
    assert binomtest(int((first == 1).sum()), 4000, 1 / 2).pvalue > 1e-3
    assert binomtest(int((first == 2).sum()), 4000, 1 / 4).pvalue > 1e-3


def test_a_single_group_comes_as_it_is() -> None:
    assert (counts(np.array(["a", "a"]), 3) == 1).all()


def test_resamples_come_in_portions() -> None:
    """So many at once as memory allows: the last portion is what is left, and no resample is drawn twice."""
    rows = []

    def measure(times: Values) -> dict[str, Values]:
        rows.append(times.shape)
        return {"first": times @ np.arange(1.0, 41.0)}

    found = bootstrap(np.arange(40), measure, resamples=250)["first"]
    assert rows == [(100, 40), (100, 40), (50, 40)]
    assert found.shape == (250,)
    assert len(set(found)) > 150


def test_the_seed_alone_decides() -> None:
    """Without one it is 0, so that a report that is made again has the same intervals."""
    groups = np.arange(30).astype(str)
    np.testing.assert_array_equal(counts(groups, 5), counts(groups, 5))
    assert (counts(groups, 5) != counts(groups, 5, seed=1)).any()
    drawn = bootstrap(groups, lambda times: {"first": times[:, 0]})["first"]
    np.testing.assert_array_equal(drawn, counts(groups, RESAMPLES, seed=0)[:, 0])


def test_figures_and_their_intervals() -> None:
    """Of 100 photos of one face each, 20 are wrong: the share's interval is that of a binomial, within chance."""
    wrong = np.repeat([1.0, 0.0], [20, 80])

    def measure(times: Values) -> dict[str, Values]:
        none = np.full(len(times), np.nan)
        return {"share": times @ wrong / times.sum(axis=1), "undefined": none}

    values, intervals = measured(np.arange(100), measure)
    assert values == {"share": 0.2, "undefined": None}
    assert intervals["undefined"] is None
    spread = 1.96 * np.sqrt(0.2 * 0.8 / 100)
    assert intervals["share"] == pytest.approx([0.2 - spread, 0.2 + spread], abs=0.02)


def test_of_no_face_nothing_is_known() -> None:
    def measure(times: Values) -> dict[str, Values]:
        assert times.shape == (1, 0)
        return {"share": np.array([np.nan]), "count": times.sum(axis=1)}

    assert measured(np.array([]), measure) == ({"share": None, "count": 0.0}, {"share": None, "count": None})


def test_percentiles_by_hand() -> None:
    assert LEVEL == 0.95
    assert percentiles(np.arange(1001.0)) == pytest.approx([25, 975])
    assert percentiles(np.array([np.nan, 3.0, np.nan])) == [3, 3]  # where it is defined
    assert percentiles(np.array([np.nan])) is None
