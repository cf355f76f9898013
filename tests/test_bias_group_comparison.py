"""Two models by group: changes by hand, gaps that close or don't, what it costs."""

import re

import numpy as np
import pandas as pd
import pytest
from judged_faces import Cells, faces_of

from maskdet.bias.groups import Comparison, GroupOptions, compare_groups

FEW = GroupOptions(fewest=10, resamples=300)


def cells(dark: int, light: int = 4, masked: int = 10) -> Cells:
    return {
        ("a", "dark", "with_mask"): (200, masked), ("a", "dark", "without_mask"): (200, dark),
        ("a", "light", "with_mask"): (200, masked), ("a", "light", "without_mask"): (200, light),
    }  # fmt: skip


def compared(before: Cells, after: Cells, related: int = 1) -> Comparison:
    first, groups = faces_of(before, related)
    return compare_groups(first, faces_of(after, related)[0], groups, "skin_tone", FEW)


def test_a_gap_that_closes() -> None:
    found = compared(cells(dark=40), cells(dark=8))
    row = found.groups.set_index(["group", "metric"]).loc[("dark", "false_mask_rate")]
    assert row["n"] == 200
    assert row[["first", "second", "change"]].tolist() == pytest.approx([0.20, 0.04, -0.16])
    assert row["low"] < -0.16 < row["high"] < 0
    gap = found.gaps.set_index("metric").loc["false_mask_rate"]
    assert gap[["first", "second", "change"]].tolist() == pytest.approx([0.18, 0.02, -0.16])
    assert gap["low"] < -0.16 < gap["high"] < 0
    assert gap["sentence"].startswith("The gap in the false mask rate goes from 18.0 to 2.0 points (change −")
    assert gap["sentence"].endswith("): it closes.")
    assert found.macro_f1.difference > 0
    assert found.sentence.endswith("n = 800): a gain.")


def test_a_gap_that_widens_and_costs() -> None:
    found = compared(cells(dark=8), cells(dark=40))
    assert found.gaps.set_index("metric").loc["macro_f1", "sentence"].endswith("): it widens.")
    assert found.sentence.endswith("): a loss.")


def test_the_gap_is_between_each_models_own_extremes() -> None:
    """The second model fails the other group: as large a gap as before, which is no gain."""
    gap = compared(cells(dark=40, light=4), cells(dark=4, light=40)).gaps.set_index("metric").loc["false_mask_rate"]
    assert gap["change"] == pytest.approx(0)
    assert gap["sentence"].endswith("no clear change.")


def test_the_same_model_twice() -> None:
    found = compared(cells(dark=40), cells(dark=40))
    assert (found.gaps["change"] == 0).all()
    assert found.gaps["reason"].unique().tolist() == ["no interval: both models judge these faces alike"]
    assert (
        "goes from 18.0 to 18.0 points (no interval"
        in found.gaps.set_index("metric").loc["false_mask_rate", "sentence"]
    )


def test_what_is_hard_for_both_cancels_out() -> None:
    """Of 40 errors 36 are the same faces: the change is far surer than either rate alone would say."""
    row = (
        compared(cells(dark=40), cells(dark=36)).groups.set_index(["group", "metric"]).loc[("dark", "false_mask_rate")]
    )
    assert row["high"] - row["low"] < 0.05  # 2 * 1.96 * sqrt(2 * 0.19 * 0.81 / 200) = 0.15 if they were unrelated


def test_small_groups_say_nothing() -> None:
    small: Cells = {("a", "tiny", "without_mask"): (3, 3)}
    found = compared(cells(dark=40) | small, cells(dark=8) | small)
    rows = found.groups[found.groups["group"] == "tiny"].set_index("metric")
    assert rows["first"].isna().all()
    assert rows.loc["false_mask_rate", "reason"] == "too few to say: 3 faces"
    assert rows.loc["macro_f1", "reason"] == "too few to say: 0 faces of the rarer label"
    assert (found.gaps["compared"] == 2).all()


def test_what_it_costs_has_a_minus_as_long_as_a_plus_and_the_digits_of_the_rest() -> None:
    gain, loss = compared(cells(dark=40), cells(dark=8)), compared(cells(dark=8), cells(dark=40))
    found = r"Macro F1 changes by {0}0\.\d{{3}} \({0}0\.\d{{3}} to {0}0\.\d{{3}}, n = \d+\): {1}\."
    assert re.fullmatch(found.format(r"\+", "a gain"), gain.sentence)
    assert re.fullmatch(found.format("−", "a loss"), loss.sentence)
    closing = gain.gaps.set_index("metric").loc["accuracy", "sentence"]
    assert re.search(r"\(change −\d+\.\d to −\d+\.\d\): it closes", closing)


def test_few_clusters_have_no_interval() -> None:
    found = compared(cells(dark=40), cells(dark=8), related=50)
    assert found.groups["low"].isna().all()
    assert found.groups["reason"].str.startswith("no interval: only").all()


def test_only_faces_that_both_judged_count() -> None:
    first, groups = faces_of(cells(dark=40))
    second = faces_of(cells(dark=8))[0].iloc[100:]
    relabelled = second.assign(label=np.where(second["face_id"] == "f00100", "without_mask", second["label"]))
    found = compare_groups(first, relabelled, groups, "x", FEW)
    assert found.faces == 699
    assert found.groups.set_index(["group", "metric"]).loc[("dark", "false_no_mask_rate"), "n"] == 99


def test_faces_are_related_if_either_table_says_so() -> None:
    first, groups = faces_of(cells(dark=40))
    second = faces_of(cells(dark=8), related=100)[0]
    assert compare_groups(first, second, groups, "x", FEW).groups["low"].isna().all()


def test_no_known_group() -> None:
    first, _ = faces_of(cells(dark=40))
    found = compare_groups(first, first, pd.Series(dtype=object), "x", FEW)
    assert found.groups.empty
    assert found.gaps["sentence"].str.startswith("Too few to say").all()


def test_no_face_in_common() -> None:
    first, groups = faces_of(cells(dark=40))
    found = compare_groups(first, first.assign(face_id="other" + first["face_id"]), groups, "x", FEW)
    assert found.faces == 0
    assert found.sentence == "They share no test face."
