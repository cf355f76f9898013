"""The charts of the Bias page, and the tables that they are drawn from: their values, order, and names of all kinds."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import written_findings
from written_runs import predictions, write_run

from maskdet.bias.counterfactuals import CounterfactualOptions, Counterfactuals
from maskdet.bias.groups import GroupOptions, compare_groups, judge_groups
from maskdet.compare import own_faces
from maskdet.workspace import Workspace
from ui.bias_attention import share_rows
from ui.bias_change import DARK, LIGHT, claim_answer, claim_sentences
from ui.bias_charts import (
    Guide,
    cross_heatmap,
    interval_chart,
    mask_colour_chart,
    spread_chart,
    tone_scatter,
)
from ui.bias_groups import group_rows, overview, within_table
from ui.bias_remedy import change_rows, default_pair, gap_table
from ui.bias_shortcuts import auc_rows, family_rows, feature_title, importance_rows
from ui.bias_tone import colour_counts, left_out_rows

QUICK = GroupOptions(fewest=5, resamples=100, permutations=100)


def rows(*values: tuple[Any, ...]) -> pd.DataFrame:
    return pd.DataFrame(values, columns=["row", "series", "value", "low", "high", "n"])


def test_intervals_are_dots_with_bars_a_series_beside_the_other() -> None:
    table = rows(("a", "x", 0.5, 0.4, 0.7, 10), ("a", "y", 0.6, None, None, 1200), ("b", "x", None, None, None, 3))
    figure = interval_chart(table, {"x": "#111111", "y": "#222222"}, title="t", guides=[Guide(0.5, "chance")])
    first, second = figure.data
    assert (first.name, second.name) == ("x", "y")
    assert list(first.x) == [0.5]  # the line b has no value
    assert first.error_x.array[0] == pytest.approx(0.2)
    assert first.error_x.arrayminus[0] == pytest.approx(0.1)
    assert first.y[0] < 0 < second.y[0]  # beside each other on line 0
    assert np.isnan(second.error_x.array[0])
    assert list(second.customdata[0]) == ["a", "0.600, no interval", "1,200"]
    assert list(first.customdata[0]) == ["a", "0.500 (0.400–0.700)", "10"]
    ticks = figure.layout.yaxis.ticktext
    assert "n = 10 to 1,200" in ticks[0]
    assert ticks[1].startswith("b<br>")
    assert figure.layout.shapes[0].x0 == 0.5
    assert figure.layout.annotations[0].text == "chance"


def test_shares_are_shown_in_percent_and_one_series_needs_no_legend() -> None:
    figure = interval_chart(rows(("a", "x", 0.5, 0.4, 0.7, 10)), {"x": "#111111"}, title="t", shares=True,
                            guides=[Guide(0.6, "even")], span=(0.0, 1.0))  # fmt: skip
    assert figure.data[0].customdata[0][1] == "50.0 % (40.0–70.0)"
    assert figure.layout.xaxis.ticksuffix == " %"
    assert list(figure.data[0].x) == [50.0]
    assert figure.data[0].error_x.array[0] == pytest.approx(20)
    assert figure.data[0].error_x.arrayminus[0] == pytest.approx(10)
    assert figure.layout.shapes[0].x0 == 60.0
    assert list(figure.layout.xaxis.range) == [0.0, 100.0]
    assert figure.data[0].showlegend is False
    assert not interval_chart(rows(), {"x": "#111111"}, title="t").data  # nothing is no error


def test_names_are_short_and_no_html() -> None:
    name = "<b>" + "very long " * 10
    figure = interval_chart(rows((name, "<i>", 0.5, 0.4, 0.7, 10)), {"<i>": "#111111"}, title="t", counts=False)
    tick = figure.layout.yaxis.ticktext[0]
    assert tick.startswith("&lt;b&gt;very long")
    assert tick.count("<") == 1  # the line break
    assert tick.endswith("…")
    assert figure.data[0].name == "&lt;i&gt;"


def test_the_heatmap_has_a_cell_a_pair_and_says_why_one_is_empty() -> None:
    matrix = written_findings.cross().rows
    figure = cross_heatmap(matrix, ["a", "b", "all"], ["a", "b", "pooled"])
    cells = np.array(figure.data[0].z, dtype=float)
    assert cells[0].tolist()[:2] == [0.95, 0.61]
    assert np.isnan(cells[1, 0])
    assert np.isnan(cells[2, 0])
    assert cells[2, 2] == 0.97
    hover = figure.data[0].customdata
    assert hover[0][1] == "trained on a, tested on b: macro F1 0.610 (0.550–0.670), n = 300"
    assert hover[1][0] == "trained on b, tested on a: Too few to say: 8 faces."
    assert hover[2][0].endswith("not measured")
    assert [note.text for note in figure.layout.annotations] == [
        "0.950",
        "0.610",
        "–",
        "–",
        "0.900",
        "–",
        "–",
        "–",
        "0.970",
    ]


def test_tones_lie_in_four_quadrants_whose_shares_are_of_all() -> None:
    tones = pd.DataFrame(
        [
            ("with_mask", 40.0, 70.0),
            ("with_mask", 70.0, 70.0),
            ("without_mask", 40.0, 30.0),
            ("without_mask", 55.0, 60.0),
        ],
        columns=["label", "skin_hue", "skin_lightness"],
    )  # fmt: skip
    figure = tone_scatter(tones, light=60.0, yellow=55.0)
    assert [len(trace.x) for trace in figure.data] == [2, 2]
    said = {note.text for note in figure.layout.annotations}
    # As in Thong et al., light and yellow begin above the threshold: 55 and 60 are red and dark.
    assert said == {
        "<b>light, red: 25 %</b>",
        "<b>light, yellow: 25 %</b>",
        "<b>dark, red: 50 %</b>",
        "<b>dark, yellow: 0 %</b>",
    }


def test_of_many_tones_a_sample_is_drawn() -> None:
    tones = pd.DataFrame({"label": "with_mask", "skin_hue": np.arange(9000) % 90.0, "skin_lightness": 50.0})
    figure = tone_scatter(tones, light=60.0, yellow=55.0)
    assert len(figure.data[0].x) == 2500


def test_boxes_hold_percentiles_by_dataset_and_label() -> None:
    values = pd.DataFrame({"row": "a", "label": "with_mask", "value": np.arange(101.0)})
    figure = spread_chart(values, "t")
    box = figure.data[0]
    figures = [box.lowerfence[0], box.q1[0], box.median[0], box.q3[0], box.upperfence[0]]
    assert figures == [5.0, 25.0, 50.0, 75.0, 95.0]
    assert list(figure.data[1].y or []) == []  # no face without mask


def test_mask_colours_are_shares_of_each_dataset() -> None:
    faces = pd.DataFrame(
        {
            "dataset": ["a", "a", "a", "b", "b"], "label": ["with_mask"] * 4 + ["without_mask"],
            "mask_colour": ["white", "blue", "white", "", "blue"],
        }
    )  # fmt: skip
    counts = colour_counts(faces)
    assert counts.to_dict("list") == {"row": ["a", "a"], "colour": ["white", "blue"], "faces": [2, 1]}
    figure = mask_colour_chart(counts)
    assert [trace.name for trace in figure.data] == ["white", "blue"]
    assert figure.data[0].x[0] == pytest.approx(200 / 3)


def test_probes_become_rows() -> None:
    probes = [written_findings.probe("pooled", 0.8), written_findings.probe("a", 0.9)]
    table = auc_rows(probes)
    assert table["row"].tolist() == ["Dataset a", "All datasets together"]
    assert table["value"].tolist() == [0.9, 0.8]
    assert family_rows(probes[:1])[["row", "value", "n"]].to_numpy().tolist() == [["Size", 0.87, 1006]]
    importance = importance_rows(probes[0])
    assert importance["row"].tolist() == ["Square-root size", "Brightness"]
    assert importance.loc[0, ["low", "high"]].tolist() == pytest.approx([0.19, 0.21])


@pytest.mark.parametrize(
    ("name", "title"),
    [("normalised_mean_red", "Mean red"), ("jpeg_quantisation", "JPEG quantisation"), ("width", "Width"),
     ("normalised_jpeg_bytes_per_pixel", "JPEG bytes per pixel")],
)  # fmt: skip
def test_measurements_have_names_for_people(name: str, title: str) -> None:
    assert feature_title(name) == title


def test_those_left_out_begin_with_all_datasets() -> None:
    table = pd.DataFrame(
        [("with_mask", "z", 10, 0.1, None, None), ("with_mask", "all", 20, 0.2, 0.1, 0.3)],
        columns=["label", "dataset", "faces", "share", "low", "high"],
    )
    found = left_out_rows(table)
    assert found["row"].tolist() == ["All datasets", "z"]
    assert found["series"].tolist() == ["With mask"] * 2


def judged(workspace: Workspace) -> tuple[pd.DataFrame, "pd.Series[str]"]:
    """100 test faces of two datasets, of which half of the 52 in group dark are judged wrongly."""
    faces = own_faces(write_run(workspace, "cnn-1", table=predictions(300, [n for n in range(100) if n % 8 in (0, 3)])))
    return faces, pd.Series(np.where(np.arange(100) % 8 < 4, "dark", "light"), index=faces["face_id"])


def test_groups_become_rows_and_texts(workspace: Workspace) -> None:
    faces, groups = judged(workspace)
    report = judge_groups(faces, groups, "tone", QUICK)
    table = group_rows(report, "accuracy", "CNN").set_index("row")
    assert table.loc["dark", ["value", "n"]].tolist() == [0.5, 52]
    assert group_rows(report, "false_mask_rate", "CNN").set_index("row").loc["dark", "n"] == 26  # unmasked ones alone
    seen = overview({"tone": report})
    assert seen["Verdict"].tolist() == ["gap"] * 4
    accuracy = seen.set_index("Metric").loc["Accuracy"]
    assert accuracy["Largest difference"].startswith("50.0 points (")
    assert (accuracy["Lowest"], accuracy["Highest"], accuracy["n"]) == ("dark", "light", 100)
    assert (accuracy["Departs most"], accuracy["p"]) == ("dark", "≤ 0.005")  # none of 200 permutations: 1 / 201
    assert accuracy["Against the others"].startswith("−50.0 points (")
    within = within_table(report, "accuracy")
    assert within.columns.tolist() == ["Dataset", "dark", "light"]
    assert within["Dataset"].tolist() == ["a", "b"]
    assert within.loc[0, "light"].endswith(", n = 24")


def test_before_and_after_become_rows_and_texts(workspace: Workspace) -> None:
    faces, groups = judged(workspace)
    mended = faces.assign(logit=np.where(faces["label"] == "without_mask", 2.0, -2.0))
    found = compare_groups(faces, mended, groups, "tone", QUICK)
    changes = change_rows(found, "accuracy").set_index("row")["value"]
    assert changes.to_dict() == pytest.approx({"dark": 0.5, "light": 0.0})
    table = gap_table(found).set_index("Metric")
    assert table.loc["Accuracy", ["Gap before", "Gap after"]].tolist() == ["50.0 points", "0.0 points"]
    assert table.loc["Accuracy", "Change"].startswith("−50.0 points (−")
    assert "points" not in table.loc["Macro F1", "Change"]


def test_the_first_pair_is_a_balanced_run_and_its_like(workspace: Workspace) -> None:
    balance = {"attribute": "size", "target": "equal"}
    svm = write_run(workspace, "svm-1", "svm", created="2026-09-01")
    old = write_run(workspace, "cnn-1", "cnn", created="2026-01-01")
    new = write_run(workspace, "cnn-2", "cnn", created="2026-02-01", balance=balance)
    assert default_pair([svm, old, new], svm, None) == (old, new)
    assert default_pair([svm, old], svm, old) == (svm, old)
    assert default_pair([svm, new], svm, None) == (svm, None)  # nothing to compare the balanced one with


def test_attention_is_of_right_and_wrong_with_evidence() -> None:
    table = pd.DataFrame(
        [("all", "with_mask", "all", 9, 0.6, 0.5, 0.7, 1), ("all", "with_mask", "right", 8, 0.6, 0.5, 0.7, 2)],
        columns=["group_name", "label", "outcome", "n", "share", "low", "high", "no_evidence"],
    )
    assert share_rows(table)[["row", "series", "n"]].to_numpy().tolist() == [["All faces", "Verdict right", 8]]


def patched(name: str, light: float, dark: float) -> Counterfactuals:
    """60 unmasked faces whose logits fall to these values, and a masked one that gives the logits a spread."""
    count = 60
    faces = pd.DataFrame(
        {
            "face_id": [f"{n}.png" for n in range(count)], "dataset": "a", "label": "without_mask",
            "group": range(count), "found": True, "logit": np.where(np.arange(count) % 2, 2.0, 3.0),
            LIGHT: light - np.arange(count) % 3, DARK: dark - np.arange(count) % 5 / 10,
        }
    )  # fmt: skip
    return Counterfactuals(name, "abc", CounterfactualOptions(names=(LIGHT, DARK)), faces)


def test_the_studys_claim_is_answered_from_the_data(workspace: Workspace) -> None:
    cnn = write_run(workspace, "cnn-1", "cnn")
    transfer = write_run(workspace, "cnn-transfer-1", "cnn-transfer")
    labels = {cnn.id: "CNN", transfer.id: "CNN transfer"}
    strong, weak, even = patched(transfer.id, -5.0, 2.0), patched(cnn.id, 1.0, 2.0), patched(cnn.id, 1.5, 0.7)
    said = claim_sentences([strong], labels)[0]
    assert said.startswith("**CNN transfer**: **light patches pull more towards *with mask***.")
    assert "flips 100.0 % (" in said
    assert "a dark one 0.0 % (" in said
    assert "n = 60." in said
    answer = claim_answer([weak, strong], [cnn, transfer], labels)
    assert answer.startswith("Light patches, against dark ones, pull CNN transfer more than CNN.")
    assert "This supports" in answer
    other = [patched(cnn.id, -5.0, 2.0), patched(transfer.id, 1.0, 2.0)]
    assert "less than CNN. **This does not set" in claim_answer(other, [cnn, transfer], labels)
    assert claim_answer([even], [cnn], labels) == ""
    assert "not light ones" in claim_sentences([patched(cnn.id, 2.0, -3.0)], labels)[0]
