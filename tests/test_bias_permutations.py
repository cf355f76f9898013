"""The permutation test: exact p-values, who departs, the design effect and Holm's correction by hand, false alarms."""

import numpy as np
import pandas as pd
import pytest
from judged_faces import Cells, faces_of
from scipy.stats import fisher_exact

from maskdet.bias.gap_sentences import chance, verdict_of
from maskdet.bias.judged import GroupOptions, Judged, judged_of
from maskdet.bias.permutations import GapTest, Permutations, design_effects, holm, settle

MANY = GroupOptions(fewest=10, permutations=20_000)


def judged(cells: Cells, related: int = 1) -> Judged:
    return judged_of(*faces_of(cells, related), "x")


def found_in(faces: Judged, options: GroupOptions) -> dict[str, GapTest]:
    return Permutations(faces, options).tests()


def permutation_test(faces: Judged, options: GroupOptions) -> dict[str, float]:
    return {metric: test.p_value for metric, test in found_in(faces, options).items()}


@pytest.mark.parametrize(("dark", "light"), [(13, 5), (20, 5), (6, 0), (9, 9)])
def test_two_groups_are_fishers_exact_test(dark: int, light: int) -> None:
    cells: Cells = {("a", "dark", "without_mask"): (100, dark), ("a", "light", "without_mask"): (100, light)}
    exact = fisher_exact([[dark, 100 - dark], [light, 100 - light]]).pvalue
    assert permutation_test(judged(cells), MANY)["false_mask_rate"] == pytest.approx(exact, abs=0.006)


def test_outcomes_that_mirror_each_other_tie_whatever_the_seed() -> None:
    """Five errors, all in one of two groups of 30: Fisher's p is 2 C(30, 5) / C(60, 5) = 285,012 / 5,461,512 = 0.0522.

    Centred on the mean of the permutations, the mirror outcome did not tie, and p was 0.026 with every second seed.
    """
    cells: Cells = {("a", "p", "with_mask"): (30, 5), ("a", "q", "with_mask"): (30, 0)}
    for seed in range(12):
        options = GroupOptions(fewest=10, permutations=4000, seed=seed)
        # 4 standard errors of 4,000 permutations: 4 * sqrt(0.052 * 0.948 / 4000) = 0.014.
        p = permutation_test(judged(cells), options)["false_no_mask_rate"]
        assert p == pytest.approx(0.05219, abs=0.0142)


def test_three_groups_of_one_size_tie_too() -> None:
    """Three errors in one of three groups of 20: 3 * C(20, 3) / C(60, 3) = 3,420 / 34,220 = 0.0999, all as far."""
    cells: Cells = {("a", name, "with_mask"): (20, 3 if name == "p" else 0) for name in "pqr"}
    for seed in range(6):
        test = found_in(judged(cells), GroupOptions(fewest=10, permutations=4000, seed=seed))["false_no_mask_rate"]
        assert test.p_value == pytest.approx(0.0999, abs=0.019)  # 4 standard errors
        assert test.apart_p == pytest.approx(0.0999, abs=0.019)
        assert test.apart == 0


def test_who_departs_is_tested_and_not_the_furthest_pair() -> None:
    """2 % of three large groups and 20 % of a fourth; a small fifth has 0 %, and lies furthest from the fourth."""
    sizes = {"p": (500, 10), "q": (500, 10), "r": (500, 10), "s": (100, 20), "t": (40, 0)}
    cells: Cells = {("a", name, "with_mask"): cell for name, cell in sizes.items()}
    test = found_in(judged(cells), MANY)["false_no_mask_rate"]
    assert (test.apart, test.at_most, test.apart_at_most) == (3, True, True)
    assert test.p_value == test.apart_p == 1 / 20_001


def test_the_groups_may_differ_and_none_for_sure() -> None:
    """Ten groups, half of them at 4 % and half at 10 %: together they differ, and none departs far from the others."""
    cells: Cells = {("a", f"g{n}", "with_mask"): (100, 4 if n < 5 else 10) for n in range(10)}
    test = found_in(judged(cells), MANY)["false_no_mask_rate"]
    # Chi-squared: errors 70 of 1,000, so 10 * 3^2 / (100 * 0.07 * 0.93) = 13.8 with 9 degrees of freedom: p = 0.13.
    assert test.p_value == pytest.approx(0.13, abs=0.02)
    assert test.apart_p > 2 * test.p_value


def test_more_is_drawn_where_the_verdict_hangs_on_it() -> None:
    """Fisher's p of 14 and 5 of 100 is 0.051: a thousand permutations cannot tell it from 0.05."""
    cells: Cells = {("a", "p", "with_mask"): (100, 14), ("a", "q", "with_mask"): (100, 5)}
    exact = fisher_exact([[14, 86], [5, 95]]).pvalue
    assert exact == pytest.approx(0.051, abs=0.0005)
    verdicts = set()
    for seed in range(3):
        test = Permutations(judged(cells), GroupOptions(fewest=10, seed=seed))
        settle([test], corrected=False)
        found = test.tests()["false_no_mask_rate"]
        assert 1000 < found.permutations <= 25_000
        verdicts.add(found.permutations == 25_000 or found.p_value > 0.05)
    assert verdicts == {True}
    clear: Cells = {("a", "p", "with_mask"): (100, 30), ("a", "q", "with_mask"): (100, 5)}
    test = Permutations(judged(clear), GroupOptions(fewest=10))
    settle([test], corrected=False)
    assert test.drawn == 1000


def test_a_floor_above_holms_level_is_lowered() -> None:
    """Forty tests need p below 0.05 / 40 = 0.00125; that none of 1,000 permutations is as far says p < 0.0069 only."""
    cells: Cells = {("a", "p", "with_mask"): (100, 30), ("a", "q", "with_mask"): (100, 5)}
    alike: Cells = {("a", "p", "with_mask"): (100, 9), ("a", "q", "with_mask"): (100, 9)}
    first = Permutations(judged(cells), GroupOptions(fewest=10))
    others = [Permutations(judged(alike), GroupOptions(fewest=10)) for _ in range(39)]
    settle([first, *others], corrected=True)
    assert first.drawn == 8000  # 3.09^2 / 0.00125 = 7,638 are needed
    assert {test.drawn for test in others} == {1000}


def test_the_same_seed_gives_the_same_p() -> None:
    cells: Cells = {("a", "p", "with_mask"): (100, 14), ("a", "q", "with_mask"): (100, 5)}
    found = []
    for _ in range(2):
        test = Permutations(judged(cells), GroupOptions(fewest=10))
        settle([test], corrected=False)
        found.append(test.tests())
    assert found[0] == found[1]


def test_labels_are_held_fixed() -> None:
    """One group is of the harder label only, the other of the easier: accuracy differs, but not for the group."""
    cells: Cells = {
        ("a", "p", "without_mask"): (100, 30), ("a", "p", "with_mask"): (20, 1),
        ("a", "q", "without_mask"): (20, 6), ("a", "q", "with_mask"): (100, 5),
    }  # fmt: skip
    assert permutation_test(judged(cells), MANY)["accuracy"] > 0.5


def test_without_an_error_there_is_nothing_to_explain() -> None:
    cells: Cells = {("a", "p", "with_mask"): (50, 0), ("a", "q", "with_mask"): (50, 0)}
    p_values = permutation_test(judged(cells), MANY)
    assert p_values["false_no_mask_rate"] == 1
    assert np.isnan(p_values["false_mask_rate"])


def test_the_design_effect_by_hand() -> None:
    """Five faces a cluster, all right or all wrong: a correlation of nearly 1, so 1 + (5 - 1)."""
    cells: Cells = {("a", "p", "with_mask"): (500, 50), ("a", "q", "with_mask"): (500, 50)}
    assert design_effects("accuracy", judged(cells, related=5)) == pytest.approx([5, 5])
    assert design_effects("accuracy", judged(cells)).tolist() == [1, 1]


def test_the_design_effect_counts_related_faces_of_one_group_and_label() -> None:
    """Two clusters: faces 1, 1 wrong, and 0, 0 wrong, a share of 1/2: each pair's product is (1/2)^2, correlation 1."""
    predictions, groups = faces_of({("a", "p", "with_mask"): (4, 2), ("a", "q", "with_mask"): (4, 2)})
    alone = predictions.assign(group=[0, 0, 1, 1, 2, 3, 4, 5])
    # Pairs in clusters: (1/2)(1/2) and (-1/2)(-1/2), of at most 1/4 each. Group p: 2 of its 4 faces in each cluster.
    assert design_effects("accuracy", judged_of(alone, groups, "x")).tolist() == [2, 1]
    against = predictions.assign(group=[0, 1, 0, 1, 2, 3, 4, 5])  # a right with a wrong one: below 0 counts as 0
    assert design_effects("accuracy", judged_of(against, groups, "x")).tolist() == [1, 1]


def test_clustered_errors_are_less_of_a_proof() -> None:
    cells: Cells = {("a", "p", "with_mask"): (200, 30), ("a", "q", "with_mask"): (200, 10)}
    alone, together = (permutation_test(judged(cells, related), MANY)["false_no_mask_rate"] for related in (1, 10))
    assert alone < 0.01 < 0.1 < together


def test_a_small_group_hides_no_gap_between_large_ones() -> None:
    """1 and 4 % of 800 faces each are a gap by themselves, whatever two groups of 40 do."""
    cells: Cells = {
        ("a", name, "with_mask"): cell
        for name, cell in {"p": (800, 8), "q": (800, 32), "r": (40, 1), "s": (35, 1)}.items()
    }
    assert permutation_test(judged(cells), MANY)["false_no_mask_rate"] < 0.01


def test_groups_of_few_clusters_are_not_compared() -> None:
    cells: Cells = {("a", "p", "with_mask"): (60, 30), ("a", "q", "with_mask"): (60, 1)}
    assert np.isnan(permutation_test(judged(cells, related=10), MANY)["false_no_mask_rate"])


def test_accuracy_is_no_test_of_its_own_where_one_label_has_groups() -> None:
    cells: Cells = {("a", "p", "with_mask"): (200, 30), ("a", "q", "with_mask"): (200, 10)}
    p_values = permutation_test(judged(cells), MANY)
    assert np.isnan(p_values["accuracy"])
    assert p_values["false_no_mask_rate"] < 0.01


def test_holm_by_hand() -> None:
    # Sorted 0.01, 0.02, 0.03, 0.5 times 4, 3, 2, 1, never falling.
    adjusted = holm(np.array([0.02, 0.5, np.nan, 0.01, 0.03]))
    assert adjusted[[3, 0, 4, 1]] == pytest.approx([0.04, 0.06, 0.06, 0.5])
    assert np.isnan(adjusted[2])
    assert holm(np.array([0.6, 0.7])).tolist() == [1, 1]
    assert holm(np.array([])).tolist() == []


def test_verdicts() -> None:
    assert [verdict_of(p) for p in (0.01, 0.05, 0.5, np.nan)] == [
        "gap", "no gap found", "no gap found", "too few to say"
    ]  # fmt: skip
    assert [chance(p) for p in (0.0004, 0.002, 0.0481, 1.0)] == ["p < 0.001", "p = 0.002", "p = 0.048", "p = 1.00"]
    # Where no permutation is as far, p is a bound, and rounded up.
    assert [chance(p, at_most=True) for p in (0.0004, 0.0092, 0.009, 0.123)] == [
        "p < 0.001", "p ≤ 0.010", "p ≤ 0.009", "p ≤ 0.13"
    ]  # fmt: skip


def test_false_alarms_stay_at_the_level() -> None:
    """Errors that know nothing of the group, in photos whose verdicts go wrong together and datasets of two rates."""
    rng = np.random.default_rng(0)
    photo = np.repeat(np.arange(300), 4)
    dataset = np.where(photo < 150, "easy", "hard")
    label = np.where(rng.random(len(photo)) < 0.5, "with_mask", "without_mask")
    alarms, options = 0, GroupOptions(fewest=10, permutations=200)
    for _ in range(100):
        group = rng.choice(["p", "q", "r"], 300, p=[0.6, 0.3, 0.1])[photo]  # all faces of a photo in one group
        luck = np.where(rng.random(len(photo)) < 0.7, rng.random(300)[photo], rng.random(len(photo)))
        wrong = luck < np.where(dataset == "hard", 0.10, 0.03)
        actual = (label == "without_mask").astype(np.int64)
        codes = [pd.factorize(values, sort=True) for values in (group, dataset)]
        faces = Judged(
            tuple(codes[0][1]),
            tuple(codes[1][1]),
            codes[0][0],
            codes[1][0],
            photo,
            actual,
            np.where(wrong, 1 - actual, actual),
        )
        alarms += permutation_test(faces, options)["accuracy"] < 0.05
    assert alarms <= 12  # 5 are to be expected; more than 12 come by chance once in 700 times
