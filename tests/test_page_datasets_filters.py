"""Filters and picked faces on the Datasets page: how they combine, what is forgotten, and what its charts stand for."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from datasets_page import button, cards, choice, count_shown, named, visit
from factories import make_faces

from maskdet.explore import FaceFilter, label_bars, narrow
from maskdet.facetable import load_faces
from maskdet.workspace import Workspace
from ui.cached import stamp_of
from ui.dataset_charts import bar_chart, scatter_chart
from ui.selection import Selection, picked


def test_filters_combine_and_are_taken_back(real_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = visit(real_home, monkeypatch)
    table = load_faces(Workspace(real_home)).table
    total = int((table["label"] != "incorrect_mask").sum())
    app.multiselect(key="filter_datasets").set_value(["3.1", "3.2"]).run()
    app.multiselect(key="filter_labels").set_value(["without_mask"]).run()
    app.number_input(key="filter_sqrt_size_low").set_value(50.0).run()
    wanted = FaceFilter(
        datasets=("3.1", "3.2"), labels=("without_mask",), ranges=(("sqrt_size", 50, np.inf),), incorrect_mask="drop"
    )
    expected = len(narrow(table, wanted))
    assert 0 < expected < 732
    assert count_shown(app) == f"**{expected:,}** of {total:,} faces"
    assert any(f"of {expected:,}" in caption.value for caption in app.caption)
    button(app, "filter_reset").click().run()
    assert count_shown(app) == f"**{total:,}** of {total:,} faces"
    # A new widget: the browser does not clear one in a closed popover, and would send its old value again.
    assert "filter_sqrt_size_low" not in [widget.key for widget in app.number_input]
    app.number_input(key="filter_sqrt_size_low 1").set_value(50.0).run()
    assert count_shown(app) != f"**{total:,}** of {total:,} faces"
    button(app, "filter_reset").click().run()
    app.text_input(key="filter_name").set_value("no such file").run()
    assert any("No face meets all of these filters" in info.value for info in app.info)


def test_a_range_the_wrong_way_round_is_one_sentence(own: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    app = visit(own.home, monkeypatch)
    app.number_input(key="filter_brightness_low").set_value(200.0)
    app.number_input(key="filter_brightness_high").set_value(100.0).run()
    assert [warning.value for warning in app.warning] == [
        "Brightness: the least value (200) is above the largest (100). Set it right, or reset the filters."
    ]
    button(app, "filter_reset").click().run()
    assert not app.warning


def test_a_filter_on_a_dataset_that_was_removed_is_dropped(own: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    app = visit(own.home, monkeypatch)
    app.multiselect(key="filter_datasets").set_value(["web"]).run()
    assert count_shown(app).startswith("**8** of")
    app.checkbox(key="forget_sure_group").check().run()
    named(app, "Forget").click().run()
    assert not app.exception
    app.multiselect(key="filter_datasets").set_value(["medical"]).run()
    app.selectbox[0].set_value("medical").run()
    app.checkbox(key="forget_sure_medical").check().run()
    named(app, "Forget").click().run()
    assert not app.exception
    assert app.multiselect(key="filter_datasets").value == []


@pytest.mark.parametrize("chart", ["Distributions", "Class balance", "Colour", "Faces per photo", "File formats"])
def test_every_chart_is_drawn(chart: str, own: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    app = visit(own.home, monkeypatch)
    choice(app, "chart").set_value(chart).run()
    assert not app.exception
    assert not app.error
    assert len(app.get("plotly_chart")) == 1


def test_picked_faces_combine_with_filters_and_can_be_cleared(own: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    app = visit(own.home, monkeypatch)
    table = load_faces(own).table
    web = np.flatnonzero(table["dataset"] == "web")
    app.session_state["selected_faces"] = Selection(web, "Class balance", stamp_of(own))
    app.run()
    assert count_shown(app) == "**8 faces selected** in *Class balance*, of 17 that match"
    assert len(cards(app)) == 8
    app.multiselect(key="filter_labels").set_value(["with_mask"]).run()
    assert count_shown(app).startswith("**4 faces selected**")
    app.multiselect(key="filter_datasets").set_value(["group"]).run()
    assert any("None of the selected faces meets the filters" in info.value for info in app.info)
    button(app, "selection_clear").click().run()
    assert count_shown(app) == "**2** of 17 faces"


def test_what_was_picked_in_another_table_is_forgotten(own: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    app = visit(own.home, monkeypatch)
    app.session_state["selected_faces"] = Selection(np.array([999]), "Class balance", "another table")
    app.run()
    assert count_shown(app) == "**17** of 17 faces"


def test_points_stand_for_faces() -> None:
    keys = [np.array([5, 6, 7]), np.array([9])]
    points = [
        {"curve_number": 0, "point_index": 2}, {"curve_number": 1, "point_index": 0},
        {"curve_number": 0, "point_index": 2},
    ]  # fmt: skip
    assert picked(points, keys).tolist() == [7, 9]
    assert picked([], keys).tolist() == []


def charted() -> pd.DataFrame:
    return make_faces(
        {"dataset": "a", "label": "with_mask", "width": 10},
        {"dataset": "b", "label": "with_mask", "width": 20},
        {"dataset": "b", "label": "without_mask", "width": 40},
        {"dataset": "b", "label": "without_mask", "width": 80},
    ).table


def test_points_of_the_scatter_are_the_faces_that_were_drawn() -> None:
    table = charted()
    positions = np.array([1, 2, 3])
    labels = table["label"].take(positions)
    chart = scatter_chart(table, positions, labels, "width", "height", {"b": "B"})
    assert [trace.name for trace in chart.figure.data] == ["With mask", "Without mask"]
    assert chart.figure.data[1].x.tolist() == [40, 80]
    assert chart.faces_of([{"curve_number": 1, "point_index": 1}]).tolist() == [3]
    together = scatter_chart(table, np.arange(4), table["label"], "width", "height", {"": ""})
    assert together.figure.data[0].x.tolist() == [10, 20]


def test_bars_are_the_faces_they_count() -> None:
    table = charted()
    positions = np.array([1, 2, 3])
    faces = table.take(positions)
    chart = bar_chart(label_bars(faces, faces["label"]), positions, {"": ""}, stacking="stack", share=True)
    assert [(trace.name, trace.y.tolist()) for trace in chart.figure.data] == [
        ("With mask", [pytest.approx(100 / 3)]), ("Without mask", [pytest.approx(200 / 3)]),
    ]  # fmt: skip
    assert chart.faces_of([{"curve_number": 1, "point_index": 0}]).tolist() == [2, 3]


def test_forty_thousand_points_are_less_than_a_megabyte() -> None:
    rng = np.random.default_rng(0)
    count = 40_000
    table = pd.DataFrame(
        {
            "dataset": rng.choice(["a", "b"], count), "label": rng.choice(["with_mask", "without_mask"], count),
            "sqrt_size": rng.lognormal(4, 1, count), "aspect_ratio": rng.normal(1, 0.1, count),
        }
    )  # fmt: skip
    chart = scatter_chart(table, np.arange(count), table["label"], "sqrt_size", "aspect_ratio", {"a": "", "b": ""})
    assert len(chart.figure.to_json()) < 1_000_000
