"""The Datasets page: the same numbers as the shell, the gallery, large views, and ways to add and remove."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import write_class_folders, write_photo
from datasets_page import button, captions, cards, choice, count_shown, named, visit

from maskdet.cli import main
from maskdet.errors import MaskDetError
from maskdet.explore import FaceFilter, in_order, narrow
from maskdet.facetable import has_faces, load_faces, scan
from maskdet.labels import IncorrectMask
from maskdet.starter import sample_workspace
from maskdet.workspace import Workspace
from ui.cached import table_of, thumbnails
from ui.explorer import _csv
from ui.sources import folder_named

ODD = "![x](y) `c` <b> _u_"
ODD_SHOWN = r"\!\[x\](y) \`c\` \<b\> \_u\_"


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
    assert any(widget.label == f"Yes, forget {ODD_SHOWN}" for widget in app.checkbox)
    assert any(f"`` {oddly_named.home.parent / 'odd' / ODD} ``" in text.value for text in app.markdown)
    cards_open = button(app, "open_explorer_0").click().run()
    assert any(text.value == f"**With mask** · dataset {ODD_SHOWN}" for text in cards_open.markdown)


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
    assert named(app, "Forget").disabled
    app.checkbox(key="forget_sure_group").check().run()
    named(app, "Forget").click().run()
    assert not app.exception
    assert set(load_faces(own).roots) == {"medical", "web"}
    assert app.dataframe[0].value["Dataset"].tolist() == ["medical", "web", "Total", "% of total"]
    assert len(list((datasets / "group").rglob("*.png"))) == 3
    for dataset in ("medical", "web"):
        app.selectbox[0].set_value(dataset).run()
        app.checkbox(key=f"forget_sure_{dataset}").check().run()
        named(app, "Forget").click().run()
        assert not app.exception
    assert not has_faces(own)
    assert "Synthetic" in app.info[0].value
