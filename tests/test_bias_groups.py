"""Metrics by group: values by hand, who is too few, gaps that are found, and none where nothing is planted."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from judged_faces import Cells, faces_of

from maskdet.bias.groups import GroupOptions, GroupReport, judge_all, judge_groups, load_groups, save_groups
from maskdet.errors import MaskDetError, WorkspaceError
from maskdet.labels import CLASSES

FEW = GroupOptions(fewest=10, resamples=200, permutations=200)


def two_groups(dark: int = 20, light: int = 5) -> Cells:
    """100 faces of each group and label; some of the unmasked ones misjudged."""
    return {
        ("a", "dark", "with_mask"): (100, 10), ("a", "dark", "without_mask"): (100, dark),
        ("a", "light", "with_mask"): (100, 10), ("a", "light", "without_mask"): (100, light),
    }  # fmt: skip


@pytest.fixture(scope="module")
def report() -> GroupReport:
    return judge_groups(*faces_of(two_groups()), "skin_tone", FEW)


def test_values_by_hand(report: GroupReport) -> None:
    dark, light = report.groups.to_dict("records")
    assert (dark["group"], dark["n"], dark["with_mask"], dark["without_mask"], dark["groups"]) == (
        "dark", 200, 100, 100, 200
    )  # fmt: skip
    assert dark["accuracy"] == pytest.approx(170 / 200)
    assert dark["false_mask_rate"] == pytest.approx(0.20)
    assert dark["false_no_mask_rate"] == pytest.approx(0.10)
    # F1 = 2 hits / (actual + predicted): with mask 180 / (100 + 110), without 160 / (100 + 90).
    assert dark["macro_f1"] == pytest.approx((180 / 210 + 160 / 190) / 2)
    assert light["false_mask_rate"] == pytest.approx(0.05)


def test_the_values_are_those_of_fairlearn_from_a_row_a_face() -> None:
    from fairlearn.metrics import MetricFrame, false_negative_rate
    from sklearn.metrics import f1_score

    predictions, groups = faces_of(two_groups())
    report = judge_groups(predictions, groups, "skin_tone", FEW)
    found = MetricFrame(
        metrics={"f1": lambda y, p: f1_score(y, p, average="macro"), "fnr": false_negative_rate},
        y_true=(predictions["label"] == CLASSES[1]).astype(int),
        y_pred=(predictions["logit"] > 0).astype(int),
        sensitive_features=groups.to_numpy(),
    )
    assert report.groups["macro_f1"].tolist() == pytest.approx(found.by_group["f1"].tolist())
    assert report.gap("false_mask_rate")["difference"] == pytest.approx(found.difference()["fnr"])
    assert report.gap("false_mask_rate")["ratio"] == pytest.approx(found.ratio()["fnr"])


def test_every_value_lies_in_its_interval(report: GroupReport) -> None:
    for row in report.groups.to_dict("records"):
        for metric in ("accuracy", "macro_f1", "false_mask_rate", "false_no_mask_rate"):
            assert row[f"{metric}_low"] < row[metric] < row[f"{metric}_high"]


def test_the_interval_is_as_wide_as_a_share_of_unrelated_faces_has(report: GroupReport) -> None:
    row = report.groups.iloc[0]
    width = 2 * 1.96 * math.sqrt(0.2 * 0.8 / 100)
    assert row["false_mask_rate_high"] - row["false_mask_rate_low"] == pytest.approx(width, rel=0.2)


def test_related_faces_widen_the_interval() -> None:
    """Ten faces a cluster, all right or all wrong, say as much as a tenth of them: an interval 3 times as wide."""
    widths = []
    for related in (1, 10):
        row = judge_groups(*faces_of(two_groups(dark=30), related), "skin_tone", FEW).groups.iloc[0]
        widths.append(row["false_mask_rate_high"] - row["false_mask_rate_low"])
    assert widths[1] / widths[0] == pytest.approx(math.sqrt(10), rel=0.25)


def test_a_group_without_errors_has_the_exact_interval() -> None:
    report = judge_groups(*faces_of(two_groups(light=0)), "skin_tone", FEW)
    light = report.groups.iloc[1]
    assert light["false_mask_rate_low"] == 0
    assert light["false_mask_rate_high"] == pytest.approx(1 - 0.025 ** (1 / 100))  # Clopper-Pearson without a hit
    gap = report.gap("false_mask_rate")
    assert gap["difference_low"] < 0.2 < gap["difference_high"]
    # Newcombe: the group without errors takes part with its own interval, upwards 0.2 + sqrt(upper^2 + 0^2).
    dark = report.groups.iloc[0]
    assert gap["difference_high"] == pytest.approx(dark["false_mask_rate_high"])
    below = math.hypot(0.2 - dark["false_mask_rate_low"], light["false_mask_rate_high"])
    assert gap["difference_low"] == pytest.approx(0.2 - below)


def test_the_gap_and_its_sentence(report: GroupReport) -> None:
    gap = report.gap("false_mask_rate")
    assert (gap["lowest"], gap["highest"], gap["verdict"]) == ("light", "dark", "gap")
    assert gap["difference"] == pytest.approx(0.15)
    assert gap["ratio"] == pytest.approx(0.25)
    assert 0 < gap["difference_low"] < 0.15 < gap["difference_high"]
    assert gap["sentence"].startswith("Of unmasked faces, 20.0 % (")
    assert "n = 100) of group dark are judged masked, 5.0 % (" in gap["sentence"]
    assert "of group light: a gap of 15.0 points that chance hardly explains (p" in gap["sentence"]


def test_one_error_is_never_told_apart_better_than_none() -> None:
    """Of 200 faces with one error the percentiles said at most 1.5 %, of 200 without any at most 1.83 %."""
    cells: Cells = {("a", "one", "with_mask"): (200, 1), ("a", "none", "with_mask"): (200, 0)}
    groups = judge_groups(*faces_of(cells), "x", FEW).groups.set_index("group")
    assert groups.loc["none", "false_no_mask_rate_high"] == pytest.approx(0.018275, abs=5e-6)
    assert groups.loc["one", "false_no_mask_rate_high"] == pytest.approx(0.027542, abs=5e-6)  # Clopper-Pearson


def test_equal_groups_have_no_gap(report: GroupReport) -> None:
    gap = report.gap("false_no_mask_rate")
    assert (gap["verdict"], gap["difference"], gap["ratio"], gap["p_value"]) == ("no gap found", 0, 1, 1)
    assert {gap["lowest"], gap["highest"]} == {"dark", "light"}


def test_accuracy_and_macro_f1_name_the_worse_group_first(report: GroupReport) -> None:
    assert report.gap("accuracy")["sentence"].startswith("Of group dark, 85.0 % (")
    assert report.gap("macro_f1")["sentence"].startswith("Macro F1 is 0.850 (")
    assert "in group dark and 0.925 (" in report.gap("macro_f1")["sentence"]


def test_small_groups_say_nothing_and_are_in_no_gap() -> None:
    cells = two_groups(dark=5) | {("a", "tiny", "with_mask"): (4, 4), ("a", "tiny", "without_mask"): (5, 5)}
    report = judge_groups(*faces_of(cells), "skin_tone", FEW)
    tiny = report.groups.set_index("group").loc["tiny"]
    assert tiny["reason"] == "too few to say: 9 faces"
    assert tiny[["accuracy", "macro_f1", "false_mask_rate", "false_no_mask_rate"]].isna().all()
    assert report.gap("false_mask_rate")["highest"] != "tiny"
    assert report.gap("false_mask_rate")["compared"] == 2


def test_a_rate_needs_faces_of_its_label() -> None:
    cells = two_groups() | {("a", "masked", "with_mask"): (50, 5), ("a", "masked", "without_mask"): (1, 0)}
    masked = judge_groups(*faces_of(cells), "x", FEW).groups.set_index("group").loc["masked"]
    assert masked["accuracy"] == pytest.approx(46 / 51)
    assert masked["false_no_mask_rate"] == pytest.approx(0.1)
    assert np.isnan(masked["false_mask_rate"])
    assert np.isnan(masked["macro_f1"])
    assert masked["reason"] == "too few to say the macro F1 and false mask rate: 1 unmasked face"


def test_one_label_has_no_macro_f1_and_says_why() -> None:
    cells: Cells = {("a", name, "with_mask"): (50, wrong) for name, wrong in (("blue", 5), ("white", 15))}
    report = judge_groups(*faces_of(cells), "mask_colour", FEW)
    assert report.groups["macro_f1"].isna().all()
    assert report.groups["reason"].unique().tolist() == [
        "too few to say the macro F1 and false mask rate: no unmasked face"
    ]
    assert report.gap("macro_f1")["verdict"] == "too few to say"
    assert report.gap("macro_f1")["sentence"] == (
        "Too few to say of the macro F1: fewer than two groups have 10 faces of each label, of at least 10 "
        "photos or look-alikes."
    )
    assert report.gap("false_no_mask_rate")["difference"] == pytest.approx(0.2)


def test_few_clusters_have_no_interval() -> None:
    report = judge_groups(*faces_of(two_groups(), related=50), "x", FEW)
    assert report.groups["groups"].tolist() == [4, 4]
    assert report.groups["accuracy_low"].isna().all()
    assert report.groups["reason"].str.startswith("no interval of accuracy").all()
    sentence = "fewer than two groups have 10 faces, of at least 10 photos or look-alikes."
    assert report.gap("accuracy")["sentence"].endswith(sentence)


def test_faces_without_a_group_are_left_out_and_counted() -> None:
    predictions, groups = faces_of(two_groups())
    groups.iloc[:30] = ""  # dark, with mask
    groups.iloc[100:105] = np.nan  # dark, without mask
    report = judge_groups(predictions, groups.drop(groups.index[-1]), "x", FEW)
    assert report.left_out.to_dict("records") == [
        {"label": "with_mask", "faces": 30, "of": 200}, {"label": "without_mask", "faces": 6, "of": 200}
    ]  # fmt: skip
    assert report.faces == 364
    assert report.groups["n"].tolist() == [165, 199]


def test_no_known_group_is_too_few_to_say() -> None:
    predictions, _ = faces_of(two_groups())
    report = judge_groups(predictions, pd.Series(dtype=object), "x", FEW)
    assert report.groups.empty
    assert report.by_dataset.empty
    assert set(report.gaps["verdict"]) == {"too few to say"}
    assert report.left_out["faces"].tolist() == [200, 200]


def test_groups_come_in_the_order_of_their_categories() -> None:
    predictions, groups = faces_of(two_groups())
    ordered = pd.Series(pd.Categorical(groups, ["light", "tan", "dark"], ordered=True), index=groups.index)
    assert judge_groups(predictions, ordered, "x", FEW).groups["group"].tolist() == ["light", "dark"]


def test_the_dataset_explains_what_it_explains() -> None:
    """Dark faces come from the dataset that is hard for all: a large difference, but none within datasets."""
    cells: Cells = {
        ("easy", "dark", "without_mask"): (20, 1), ("easy", "light", "without_mask"): (200, 10),
        ("hard", "dark", "without_mask"): (200, 60), ("hard", "light", "without_mask"): (20, 6),
    }  # fmt: skip
    report = judge_groups(*faces_of(cells), "skin_tone", FEW)
    gap = report.gap("false_mask_rate")
    assert report.controlled
    assert gap["difference"] == pytest.approx(61 / 220 - 16 / 220)
    assert gap["difference_low"] > 0
    assert gap["within"] == pytest.approx(0)  # 5 % in both groups of the easy one, 30 % in both of the hard one
    assert gap["within_low"] < 0 < gap["within_high"]
    assert gap["within_faces"] == 440
    assert gap["verdict"] == "no gap found"
    assert "with labels and datasets held fixed" in gap["sentence"]
    assert "Within datasets it is 0.0 points (" in gap["sentence"]


def test_a_gap_that_the_datasets_hide_is_found() -> None:
    """Within each dataset dark faces fare worse; pooled, both groups fare alike (Simpson's paradox)."""
    cells: Cells = {
        ("easy", "dark", "without_mask"): (300, 45), ("easy", "light", "without_mask"): (100, 0),
        ("hard", "dark", "without_mask"): (100, 40), ("hard", "light", "without_mask"): (300, 84),
    }  # fmt: skip
    gap = judge_groups(*faces_of(cells), "skin_tone", FEW).gap("false_mask_rate")
    assert gap["difference"] == pytest.approx(85 / 400 - 84 / 400)
    # Weights 300 * 100 / 400 in both: mean of 0.15 and 0.12.
    assert gap["within"] == pytest.approx(0.135)
    assert gap["verdict"] == "gap"


def test_groups_that_share_no_dataset_cannot_be_held_apart_from_it() -> None:
    """Each dataset has a group of its own and a few faces of a third, too few to be compared."""
    cells: Cells = {
        ("one", "dark", "without_mask"): (100, 20), ("one", "tan", "without_mask"): (4, 0),
        ("two", "light", "without_mask"): (100, 2), ("two", "tan", "without_mask"): (4, 0),
    }  # fmt: skip
    gap = judge_groups(*faces_of(cells), "skin_tone", FEW).gap("false_mask_rate")
    assert np.isnan(gap["within"])
    assert "No dataset has faces of both, so what sets them apart may be the dataset." in gap["sentence"]


def test_of_several_groups_the_one_that_departs_is_named_beside_the_others() -> None:
    """Errors of 10, 10 and 40 of 100 in three groups: 40 % beside 20 of 200."""
    cells: Cells = {("a", name, "with_mask"): (100, wrong) for name, wrong in (("p", 10), ("q", 9), ("r", 40))}
    gap = judge_groups(*faces_of(cells), "x", GroupOptions(fewest=10, permutations=1000)).gap("false_no_mask_rate")
    assert (gap["apart"], gap["rest_faces"], gap["verdict"]) == ("r", 200, "gap")
    assert gap["rest"] == pytest.approx(19 / 200)
    assert gap["apart_difference"] == pytest.approx(0.4 - 19 / 200)
    assert 0 < gap["apart_difference_low"] < 0.305 < gap["apart_difference_high"]
    assert (gap["lowest"], gap["highest"], gap["difference"]) == ("q", "r", pytest.approx(0.31))
    assert gap["p_at_most"]
    assert gap["apart_at_most"]
    assert gap["p_value"] == pytest.approx(1 / (gap["permutations"] + 1))
    # Of 19 of 200 the exact interval is 5.8 to 14.4 %, of 40 of 100 it is 30.3 to 50.3 %.
    assert gap["sentence"] == (
        "The false no-mask rate differs between the 3 groups: a gap that chance hardly explains (p < 0.001). Group r "
        "departs most: 40.0 % (30.3–50.3, n = 100) of its masked faces are judged unmasked, 9.5 % (5.8–14.4, n = 200) "
        "of those of the other groups, a difference of 30.5 points "
        f"({100 * gap['apart_difference_low']:.1f} to {100 * gap['apart_difference_high']:.1f}); chance hardly moves "
        "any group so far (p < 0.001). Of all pairs, q and r lie furthest apart, by 31.0 points; they were picked for "
        "it, which is no test."
    )


def test_where_no_group_is_sure_to_be_the_one_the_sentence_says_so() -> None:
    """Half of ten groups at 3 %, half at 12 %: they differ, but each departs from the others alike."""
    cells: Cells = {("a", f"g{n}", "with_mask"): (100, 3 if n < 5 else 12) for n in range(10)}
    gap = judge_groups(*faces_of(cells), "x", GroupOptions(fewest=10, permutations=1000)).gap("false_no_mask_rate")
    assert gap["verdict"] == "gap"
    assert gap["p_adjusted"] < 0.05 < gap["apart_p_adjusted"]
    assert "; that it is this group is not sure (p = " in gap["sentence"]


def test_datasets_themselves_can_be_compared() -> None:
    cells: Cells = {("one", "one", "without_mask"): (100, 20), ("two", "two", "without_mask"): (100, 2)}
    report = judge_groups(*faces_of(cells), "dataset", FEW)
    assert not report.controlled
    assert report.gap("false_mask_rate")["verdict"] == "gap"


def test_by_dataset() -> None:
    cells = two_groups() | {("b", "dark", "without_mask"): (40, 10), ("b", "light", "with_mask"): (3, 0)}
    rows = judge_groups(*faces_of(cells), "x", FEW).by_dataset.set_index(["dataset", "group"])
    assert rows.index.tolist() == [("a", "dark"), ("a", "light"), ("b", "dark"), ("b", "light")]
    assert rows.loc[("a", "dark"), "false_mask_rate"] == pytest.approx(0.2)
    assert rows.loc[("b", "dark"), "false_mask_rate"] == pytest.approx(0.25)
    assert rows.loc[("b", "light"), "reason"] == "too few to say: 3 faces"


def test_all_attributes_are_corrected_together() -> None:
    predictions, groups = faces_of(two_groups(dark=15))
    rng = np.random.default_rng(0)
    attributes = pd.DataFrame({"face_id": groups.index, "skin_tone": groups.to_numpy(), "empty": "", "one": "x"})
    for number in range(3):
        attributes[f"chance{number}"] = rng.choice(["p", "q"], len(groups))
    reports = judge_all(predictions, attributes, FEW)
    assert list(reports) == ["skin_tone", "chance0", "chance1", "chance2"]  # of the others there are no two groups
    gap = reports["skin_tone"].gap("false_mask_rate")
    assert gap["p_value"] < 0.05 < gap["p_adjusted"]
    assert gap["verdict"] == "no gap found"
    assert f"would count alone (p = {gap['p_value']:.3f}), but not among so many (p = " in gap["sentence"]
    assert gap["sentence"].endswith(" after correction for 16 tests).")
    assert judge_groups(predictions, groups, "skin_tone", FEW).gap("false_mask_rate")["verdict"] == "gap"
    assert list(judge_all(predictions, attributes, FEW, ["empty"])) == ["empty"]


def test_the_same_seed_gives_the_same_report() -> None:
    one, other = (judge_groups(*faces_of(two_groups()), "x", FEW) for _ in range(2))
    pd.testing.assert_frame_equal(one.groups, other.groups)
    pd.testing.assert_frame_equal(one.gaps, other.gaps)


def test_reports_are_kept(report: GroupReport, tmp_path: Path) -> None:
    few = judge_groups(*faces_of({("a", "x", "with_mask"): (3, 0)}), "few", FEW)
    nobody = judge_groups(faces_of(two_groups())[0], pd.Series(dtype=object), "nobody", FEW)
    save_groups(tmp_path / "groups.json", {"skin_tone": report, "few": few, "nobody": nobody})
    kept = load_groups(tmp_path / "groups.json")
    assert list(kept) == ["skin_tone", "few", "nobody"]
    assert kept["skin_tone"].options == report.options
    for name in ("left_out", "groups", "gaps", "by_dataset"):
        pd.testing.assert_frame_equal(getattr(kept["skin_tone"], name), getattr(report, name), check_dtype=False)
    assert kept["few"].gap("accuracy")["verdict"] == "too few to say"


@pytest.mark.parametrize(
    "text",
    [
        "", "{}", "[1]", '[{"attribute": "x"}]', '[{"attribute": "x", "options": {"fewest": 0}}]',
        '[{"attribute": "x", "options": {}, "faces": Infinity}]',
    ],
)  # fmt: skip
def test_a_damaged_file_is_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "groups.json").write_text(text)
    with pytest.raises(WorkspaceError, match=r"groups\.json"):
        load_groups(tmp_path / "groups.json")


@pytest.mark.parametrize(
    "options",
    [{"fewest": 1}, {"seed": -1}, {"resamples": 10}, {"permutations": 19}],
    ids=lambda options: next(iter(options)),
)
def test_options_out_of_range(options: dict[str, int]) -> None:
    with pytest.raises(MaskDetError):
        GroupOptions(**options)


def test_what_are_no_predictions() -> None:
    predictions, groups = faces_of(two_groups())
    broken = {
        "lack the columns logit": predictions.drop(columns="logit"),
        "judge a face twice": pd.concat([predictions, predictions.head(1)]),
        "labelled neither": predictions.assign(label="incorrect_mask"),
        "without a logit": predictions.assign(logit=np.nan),
    }
    for words, table in broken.items():
        with pytest.raises(MaskDetError, match=words):
            judge_groups(table, groups, "x", FEW)
    with pytest.raises(MaskDetError, match="at most 100 groups"):
        judge_groups(predictions, pd.Series(groups.index, index=groups.index), "x", FEW)
    with pytest.raises(MaskDetError, match="several values"):
        judge_groups(predictions, pd.concat([groups, groups.head(1)]), "x", FEW)


def test_groups_may_be_numbers_or_truth_values() -> None:
    predictions, groups = faces_of(two_groups())
    for kind in (lambda name: name == "dark", lambda name: int(name == "dark")):
        report = judge_groups(predictions, groups.map(kind), "x", FEW)
        assert report.gap("accuracy")["verdict"] in ("gap", "no gap found")
        assert set(report.groups["group"]) in ({"True", "False"}, {"0", "1"})
