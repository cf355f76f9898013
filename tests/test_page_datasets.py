"""The Datasets page: the same numbers as the shell, filters, picked faces, the gallery, and ways to add and remove."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import write_class_folders, write_photo
from factories import make_faces
from streamlit.testing.v1 import AppTest

from maskdet.cli import main
from maskdet.errors import MaskDetError
from maskdet.explore import FaceFilter, in_order, label_bars, narrow
from maskdet.facetable import has_faces, load_faces, scan
from maskdet.labels import IncorrectMask
from maskdet.starter import sample_workspace
from maskdet.workspace import Workspace
from ui.cached import stamp_of, table_of, thumbnails
from ui.dataset_charts import bar_chart, scatter_chart
from ui.explorer import _csv
from ui.selection import Selection, picked
from ui.sources import folder_named

APP = str(Path(__file__).resolve().parents[1] / "app.py")
ODD = "![x](y) `c` <b> _u_"
ODD_SHOWN = r"\!\[x\](y) \`c\` \<b\> \_u\_"


@pytest.fixture
def own(workspace: Workspace, datasets: Path) -> Workspace:
    """A workspace with the three tiny datasets."""
    scan(workspace, datasets, jobs=1)
    return workspace


def visit(home: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setenv("MASKDET_HOME", str(home))
    app = AppTest.from_file(APP, default_timeout=120).run().switch_page("pages/datasets.py").run()
    assert not app.exception, app.exception
    return app


def choice(app: AppTest, key: str) -> Any:
    return next(widget for widget in app.segmented_control if widget.key == key)


def button(app: AppTest, key: str) -> Any:
    return next(widget for widget in app.button if widget.key == key)


def named(app: AppTest, label: str) -> Any:
    return next(widget for widget in app.button if widget.label == label)


def count_shown(app: AppTest) -> str:
    return next(text.value for text in app.markdown if text.value.startswith("**") and " faces" in text.value)


def captions(app: AppTest) -> str:
    return "\n".join(caption.value for caption in app.caption)


def cards(app: AppTest) -> list[str]:
    return [widget.label for widget in app.button if (widget.key or "").startswith("open_explorer_")]


# Tables


@pytest.mark.parametrize("treatment", ["drop", "without_mask", "class"])
def test_the_page_shows_what_the_shell_prints(
    treatment: IncorrectMask, real_home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["datasets", "--home", str(real_home), "--incorrect-mask", treatment, "--study"])
    assert ended.value.code == 0
    out = capfd.readouterr().out
    app = visit(real_home, monkeypatch)
    choice(app, "incorrect_mask").set_value(treatment).run()
    table = app.dataframe[0].value.set_index("Dataset")
    counts = ["Photos", "Faces", "With mask", "Without mask"] + (["Incorrect mask"] if treatment == "class" else [])
    for line in out.split("of all faces")[0].splitlines()[1:]:
        words = line.split()
        here = [str(int(value)) for value in table.loc[words[0], counts]]
        assert f" {' '.join(here)} " in f" {' '.join(words)} "
    percent = table.loc["% of total"]
    assert f"{percent['With mask']:.1f} % with_mask, {percent['Without mask']:.1f} % without_mask" in out
    sentence = next(line for line in out.splitlines() if "worn incorrectly" in line)
    assert sentence in captions(app)
    assert sentence.startswith("163 faces")
    assert ("Incorrect mask" in table.columns) == (treatment == "class")
    compared = app.dataframe[1].value
    lines = out.split("difference\n")[1].splitlines()
    study = {line.split()[0]: line.split()[-3:] for line in lines if " without_mask " in line}
    assert list(study) == ["1", "2.1", "2.2", "3.1", "3.2"]
    for dataset, words in study.items():
        row = compared.loc[next(name for name in compared.index if name.startswith(f"{dataset} "))]
        assert [str(row["Without mask"][part]) for part in ("loaded", "study", "difference")] == words


def test_real_counts(real_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = visit(real_home, monkeypatch)
    table = app.dataframe[0].value.set_index("Dataset")
    assert table.loc["3.2", ["Photos", "Faces", "With mask", "Without mask"]].tolist() == [853, 3949, 3232, 717]
    assert count_shown(app) == f"**{table.loc['Total', 'Faces']:,.0f}** of {table.loc['Total', 'Faces']:,.0f} faces"
    choice(app, "incorrect_mask").set_value("without_mask").run()
    assert app.dataframe[0].value.set_index("Dataset").loc["3.2", "Without mask"] == 717 + 123


def test_the_sample_set_is_shown_until_there_are_own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sample_workspace(Workspace(tmp_path))
    app = visit(tmp_path, monkeypatch)
    assert "Synthetic" in app.info[0].value
    assert app.expander[0].proto.expanded
    assert [tab.label for tab in app.tabs] == ["From a folder", "From Kaggle"]
    assert len(cards(app)) == 24


def test_a_folder_that_is_gone_is_named(own: Workspace, datasets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (datasets / "web").rename(datasets.parent / "elsewhere")
    app = visit(own.home, monkeypatch)
    assert str(datasets / "web") in app.warning[0].value
    assert app.dataframe[0].value["Dataset"].tolist() == ["group", "medical", "web", "Total", "% of total"]


def test_the_treatment_holds_on_other_pages(own: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    app = visit(own.home, monkeypatch)
    choice(app, "incorrect_mask").set_value("class").run()
    app.switch_page("pages/home.py").run().switch_page("pages/datasets.py").run()
    assert choice(app, "incorrect_mask").value == "class"
    assert "Incorrect mask" in app.dataframe[0].value.columns


@pytest.fixture
def oddly_named(workspace: Workspace, tmp_path: Path) -> Workspace:
    """A workspace with a dataset whose name is Markdown and HTML."""
    write_class_folders(tmp_path / "odd" / ODD, {"with_mask": 2, "without_mask": 2})
    scan(workspace, tmp_path / "odd", jobs=1)
    return workspace


def test_a_name_is_shown_as_it_is(oddly_named: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    app = visit(oddly_named.home, monkeypatch)
    assert cards(app)[0] == rf"Open: {ODD_SHOWN} · with mask"
    assert any(widget.label == f"Yes, remove {ODD_SHOWN}" for widget in app.checkbox)
    assert any(f"`` {oddly_named.home.parent / 'odd' / ODD} ``" in text.value for text in app.markdown)
    cards_open = button(app, "open_explorer_0").click().run()
    assert any(text.value == f"**With mask** · dataset {ODD_SHOWN}" for text in cards_open.markdown)


# Filters and picked faces


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
    app.checkbox(key="remove_sure_group").check().run()
    named(app, "Remove").click().run()
    assert not app.exception
    app.multiselect(key="filter_datasets").set_value(["medical"]).run()
    app.selectbox[0].set_value("medical").run()
    app.checkbox(key="remove_sure_medical").check().run()
    named(app, "Remove").click().run()
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


# Gallery, large view, export


def test_the_gallery_leafs_and_sorts(real_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = visit(real_home, monkeypatch)
    assert len(cards(app)) == 24
    app.selectbox(key="explorer_sort").set_value("sharpness")
    choice(app, "explorer_order").set_value("Descending").run()
    table = load_faces(Workspace(real_home)).table
    best = in_order(table, narrow(table, FaceFilter(incorrect_mask="drop")), "sharpness", ascending=False)
    first = table.iloc[best[0]]
    assert cards(app)[0].endswith(f"· {first['sharpness']:,.0f}")
    button(app, "explorer_page_next").click().run()
    assert cards(app)[0].endswith(f"· {table.iloc[best[24]]['sharpness']:,.0f}")


def test_a_thumbnail_is_encoded_once(own: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    import ui.cached

    encoded: list[int] = []
    jpeg = ui.cached.jpeg
    monkeypatch.setattr(ui.cached, "jpeg", lambda image, quality: encoded.append(1) or jpeg(image, quality))
    faces = load_faces(own).table.head(3)
    assert thumbnails(own, faces) == thumbnails(own, faces)
    assert len(encoded) == 3


def test_a_face_opens_large(own: Workspace, datasets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = visit(own.home, monkeypatch)
    faces = load_faces(own).table
    face = faces.iloc[0]
    button(app, "open_explorer_0").click().run()
    assert not app.exception
    assert [code.value for code in app.code] == [str(datasets / "group" / face["photo"])]
    measured = app.table[0].value["value"]
    assert measured["Square-root size (px)"] == f"{face['sqrt_size']:,.0f}"
    assert measured["Box"] == "left {left}, top {top}, right {right}, bottom {bottom}".format_map(face)
    assert f"Other faces of the photo: {(faces['photo'] == face['photo']).sum() - 1}" in captions(app)


@pytest.mark.parametrize(
    ("change", "says"), [("delete", "The photo cannot be shown: no such file."), ("replace", "The photo has changed")]
)
def test_a_photo_that_is_gone_or_another(
    change: str, says: str, own: Workspace, datasets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = datasets / "group" / load_faces(own).table.iloc[0]["photo"]
    photo.unlink()
    if change == "replace":
        write_photo(photo, (20, 20), seed=77)
    app = visit(own.home, monkeypatch)
    button(app, "open_explorer_0").click().run()
    assert not app.exception
    assert app.warning[0].value.startswith(says)
    assert len(app.table) == 1


def test_an_export_holds_the_chosen_faces_and_no_formula(workspace: Workspace, tmp_path: Path) -> None:
    folder = write_class_folders(tmp_path / "tiny", {"with_mask": 1, "without_mask": 1})
    (folder / "with_mask" / "0.png").rename(folder / "with_mask" / "=HYPERLINK(0).png")
    (folder / "with_mask").rename(folder / "@mask")
    scan(workspace, folder, jobs=1)
    table = table_of(workspace)
    exported = pd.read_csv(io.BytesIO(_csv(table, np.array([0]), "drop")))
    assert exported["photo"].tolist() == ["'@mask/=HYPERLINK(0).png"]
    assert exported.loc[0, "brightness"] == pytest.approx(table.loc[0, "brightness"])


# Add and remove


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that the page starts."""
    commands: list[list[str]] = []
    monkeypatch.setattr("ui.sources.start", lambda workspace, command: commands.append(list(command)))
    return commands


def test_a_folder_is_checked_before_anything_starts(
    own: Workspace, datasets: Path, started: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = visit(own.home, monkeypatch)
    for typed, says in (
        ("/nowhere/at all", "There is no folder /nowhere/at all."),
        ("  ", "Name a folder first."),
        (str(datasets / "group" / "images" / "a.png"), "a.png is a file; name the folder that holds the datasets."),
        ("/" + "x" * 900, "cannot be read: File name too long."),
    ):
        app.text_input[0].set_value(typed)
        named(app, "Scan").click().run()
        assert len(app.error) == 1
        assert app.error[0].value.endswith(says)
    assert started == []
    app.text_input[0].set_value(f' "{datasets}" ')
    named(app, "Scan").click().run()
    app.text_input[1].set_value("mine")
    named(app, "Scan").click().run()
    assert started == [["scan", "--", str(datasets)], ["scan", "--as", "mine", "--", str(datasets)]]


def test_a_typed_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "my photos").mkdir()
    assert folder_named("'~/my photos'") == tmp_path / "my photos"
    with pytest.raises(MaskDetError, match="There is no folder"):
        folder_named("~/other")


def test_kaggle_by_button_and_by_handle(
    own: Workspace, started: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = visit(own.home, monkeypatch)
    button(app, "download_3.2").click().run()
    field = next(widget for widget in app.text_input if widget.label == "Another public dataset")
    field.set_value("no handle")
    submit = [widget for widget in app.button if widget.label == "Download"][-1]
    submit.click().run()
    assert "has the form owner/name" in app.error[0].value
    field.set_value("https://www.kaggle.com/datasets/owner/masks")
    submit.click().run()
    assert not app.error
    assert started == [["download", "andrewmvd/face-mask-detection"], ["download", "owner/masks"]]


def test_a_removed_dataset_leaves_its_photos(own: Workspace, datasets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = visit(own.home, monkeypatch)
    assert named(app, "Remove").disabled
    app.checkbox(key="remove_sure_group").check().run()
    named(app, "Remove").click().run()
    assert not app.exception
    assert set(load_faces(own).roots) == {"medical", "web"}
    assert app.dataframe[0].value["Dataset"].tolist() == ["medical", "web", "Total", "% of total"]
    assert len(list((datasets / "group").rglob("*.png"))) == 3
    for dataset in ("medical", "web"):
        app.selectbox[0].set_value(dataset).run()
        app.checkbox(key=f"remove_sure_{dataset}").check().run()
        named(app, "Remove").click().run()
        assert not app.exception
    assert not has_faces(own)
    assert "Synthetic" in app.info[0].value
