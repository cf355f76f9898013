"""The views of errors, on the sample set and drawn predictions: what they show, decisions, undo, and ways on."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock
from streamlit.testing.v1 import AppTest

import maskdet.decisions
from maskdet.cli import main
from maskdet.decisions import load_decisions, save_decisions
from maskdet.facetable import load_faces
from maskdet.models.base import probability
from maskdet.quality import apply_filters, load_filtered
from maskdet.runs import find_run
from maskdet.split import load_split
from maskdet.suspects import find_suspects
from maskdet.workspace import Workspace, write_json, write_table

PROJECT = Path(__file__).resolve().parents[1]
#: A page with nothing but the views of errors, beside the others.
PAGE = """
import streamlit as st
from ui.cached import runs_of
from ui.errors import show_errors
from ui.session import workspace_in_sight

def errors():
    workspace = workspace_in_sight()
    show_errors(workspace, [run for run in runs_of(workspace) if not run.is_bundled])

others = [st.Page(f"pages/{name}.py") for name in ("home", "datasets", "quality", "training", "explain")]
st.navigation([st.Page(errors, default=True), *others]).run()
"""


def write_run(
    workspace: Workspace, name: str, wrong: Sequence[int] = (), *, folds: bool = False, created: str = "2026-01-01"
) -> pd.DataFrame:
    """A run on the sample set's split that is sure of every label, and of the other label of some faces, by position.

    Returns its predictions. Faces of the pre-training pool are left out, as in training.
    """
    split = load_split(workspace, load_faces(workspace))
    table = split.table[split.table["pool"] == "main"].reset_index(drop=True)
    says_without = (table["label"] == "without_mask").to_numpy().copy()
    says_without[list(wrong)] ^= True
    strength = 4 + np.arange(len(table)) / len(table)
    table["logit"] = np.where(says_without, strength, -strength)
    table["p_without_mask"] = probability(table["logit"])
    predictions = table.drop(columns="pool")
    folder = workspace.path("runs", name)
    write_table(folder / "predictions.parquet", predictions)
    if folds:
        write_table(folder / "out_of_sample.parquet", predictions.drop(columns="split").assign(fold=0))
    write_json(folder / "metrics.json", {"macro_f1": 0.9, "faces": 1, "intervals": {"macro_f1": [0.8, 1.0]}})
    data = {"fingerprint": split.fingerprint, "datasets": ["sample-web"], "faces": {"train": 1}}
    record = {
        "format": 2, "id": name, "model": name.split("-")[0], "created": created, "options": {}, "data": data,
        "seconds": {"fit": 1.0},
    }  # fmt: skip
    write_json(folder / "run.json", record)
    return predictions


def members(workspace: Workspace, split: str) -> list[int]:
    """Positions of the main pool's faces of a split."""
    table = load_split(workspace, load_faces(workspace)).table
    return np.flatnonzero(table.loc[table["pool"] == "main", "split"].to_numpy() == split).tolist()


def visit(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, view: str = "Wrong faces") -> AppTest:
    monkeypatch.setenv(
        "MASKDET_HOME", str(workspace.home.parent if workspace.home.name == "sample" else workspace.home)
    )
    if not (tmp_path / "app.py").exists():
        (tmp_path / "app.py").write_text(PAGE)
        (tmp_path / "pages").symlink_to(PROJECT / "pages")
    app = fine(AppTest.from_file(str(tmp_path / "app.py"), default_timeout=120).run())
    return fine(app.segmented_control(key="errors_view").set_value(view).run())


def fine(app: AppTest) -> AppTest:
    assert not app.exception, app.exception
    assert not app.error, [error.value for error in app.error]
    return app


def press(app: AppTest, key: str) -> AppTest:
    return fine(app.button(key=key).click().run())


def captions(app: AppTest, key: str) -> list[str]:
    """Captions of the faces of a gallery."""
    start = f"open_{key}_"
    return [button.label.removeprefix("Open: ") for button in app.button if (button.key or "").startswith(start)]


def says(app: AppTest, text: str) -> bool:
    return any(text in element.value for element in [*app.markdown, *app.caption, *app.info, *app.success])


def keys(app: AppTest, start: str) -> list[str]:
    return [button.key for button in app.button if (button.key or "").startswith(start)]


def progress(app: AppTest) -> str:
    return str(app.get("progress")[0].proto.text)


def test_without_a_run_there_is_a_way_on(sample: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASKDET_HOME", str(sample.home.parent))
    (tmp_path / "app.py").write_text(PAGE)
    (tmp_path / "pages").symlink_to(PROJECT / "pages")
    app = fine(AppTest.from_file(str(tmp_path / "app.py"), default_timeout=120).run())
    assert says(app, "No model is trained yet")
    assert app.get("page_link")


def test_wrong_faces_with_their_probability(sample: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    test = members(sample, "test")
    table = write_run(sample, "svm-1", [test[2], test[5], members(sample, "train")[0]])
    app = visit(sample, tmp_path, monkeypatch)
    rates, wrong = (frame.value for frame in app.dataframe)
    assert rates[["faces", "wrong"]].to_numpy().tolist() == [[len(test), 2]]
    assert rates["share"].iloc[0] == pytest.approx(200 / len(test))
    assert rates["low"].iloc[0] < rates["share"].iloc[0] < rates["high"].iloc[0]
    expected = table.iloc[[test[5], test[2]]]  # the more confident first
    assert wrong["face_id"].tolist() == expected["face_id"].tolist()
    titles = {"with_mask": "with mask", "without_mask": "without mask"}
    assert captions(app, "wrong") == [
        f"is {titles[row.label]}, p without mask {row.p_without_mask:.2f}" for row in expected.itertuples()
    ]
    label = str(expected["label"].iloc[0])
    fine(app.multiselect(key="errors_labels").set_value([label]).run())
    shown = app.dataframe[1].value["face_id"].tolist()
    assert shown == expected.loc[expected["label"] == label, "face_id"].tolist()
    dataset = str(expected["dataset"].iloc[0])
    fine(app.multiselect(key="errors_labels").set_value([]).run())
    fine(app.multiselect(key="errors_datasets").set_value([dataset]).run())
    inside = int((expected["dataset"] == dataset).sum())
    assert app.dataframe[0].value["wrong"].tolist() == [inside]
    save_decisions(sample, {str(expected["face_id"].iloc[0]): "drop"})
    fine(app.multiselect(key="errors_datasets").set_value([]).run())
    assert captions(app, "wrong")[0].endswith(" · **dropped by hand**")


def test_wrong_faces_of_several_runs_and_of_one(
    sample: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    test = members(sample, "test")
    write_run(sample, "svm-1", test[:8])
    write_run(sample, "cnn-1", test[4:12], created="2026-02-01")
    app = visit(sample, tmp_path, monkeypatch)
    assert len(app.dataframe[1].value) == 16
    assert len(captions(app, "wrong")) == 12  # a page
    names = {caption.split(" · ")[1] for caption in captions(app, "wrong")}
    assert len(names) == 2
    fine(app.multiselect(key="errors_runs").set_value(["svm-1"]).run())
    assert app.dataframe[1].value["run"].unique().tolist() == ["svm-1"]
    assert len(captions(app, "wrong")) == 8
    write_run(sample, "svm-2", created="2026-03-01")
    fine(app.multiselect(key="errors_runs").set_value(["svm-2"]).run())
    assert says(app, "No test face of these is judged wrongly")


def test_photos_that_are_not_here(sample: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    predictions = write_run(sample, "svm-1", members(sample, "test")[:3])
    elsewhere = predictions.assign(face_id="elsewhere/" + predictions["face_id"])
    write_table(sample.path("runs", "svm-1", "predictions.parquet"), elsewhere)
    app = visit(sample, tmp_path, monkeypatch)
    assert says(app, "The photos of these faces are not on this computer; scan their datasets")
    assert len(app.dataframe[1].value) == 3
    assert not captions(app, "wrong")
    fine(app.segmented_control(key="errors_view").set_value("Suspected label errors").run())
    assert says(app, "The photos of these faces are not on this computer")
    assert not keys(app, "suspect_")


def test_models_disagree(sample: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    test = members(sample, "test")
    table = write_run(sample, "svm-1", test[:2])
    app = visit(sample, tmp_path, monkeypatch, "Models disagree")
    assert says(app, "Two runs can disagree")
    write_run(sample, "cnn-1", test[1:4], created="2026-02-01")
    app = visit(sample, tmp_path, monkeypatch, "Models disagree")
    assert says(app, f"**3 of {len(test)} common test faces** are judged differently by the 2 runs: ")
    shown = app.dataframe[0].value
    assert sorted(shown["face_id"]) == sorted(table["face_id"].iloc[[test[0], test[2], test[3]]])
    assert {"svm-1", "cnn-1", "right", "spread"} <= set(shown)
    assert shown["right"].tolist() == [1, 1, 1]
    assert all("SVM " in caption and "CNN " in caption for caption in captions(app, "disagree"))


def test_runs_of_one_split_are_compared(sample: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    test = members(sample, "test")
    write_run(sample, "svm-1", test[:2])
    write_run(sample, "svm-2", created="2026-02-01")
    other = write_run(sample, "svm-3", created="2026-03-01").assign(split="train")
    write_table(sample.path("runs", "svm-3", "predictions.parquet"), other)
    path = sample.path("runs", "svm-3", "run.json")
    path.write_text(path.read_text().replace('"fingerprint": "', '"fingerprint": "x'))
    app = visit(sample, tmp_path, monkeypatch, "Models disagree")
    assert set(app.multiselect(key="errors_compared").value) == {"svm-1", "svm-2"}
    assert says(app, "**2 of ")
    fine(app.multiselect(key="errors_compared").set_value(["svm-1", "svm-2", "svm-3"]).run())
    assert says(app, "No face is a test face of all these runs")


@pytest.fixture
def suspected(sample: Workspace) -> list[str]:
    """A cross-validated run that suspects four training faces and two test faces; their ids, the surest first."""
    positions = [*members(sample, "train")[:4], *members(sample, "test")[:2]]
    write_run(sample, "svm-1", positions, folds=True)
    return find_suspects([find_run(sample, "svm-1")]).table["face_id"].tolist()


def test_suspects_are_worked_through(
    sample: Workspace, suspected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(suspected) == 6
    app = visit(sample, tmp_path, monkeypatch, "Suspected label errors")
    assert says(app, "**6 suspects** among ")
    assert says(app, "Probabilities are out of sample: svm-1 (cross-validation). Choose")
    assert not says(app, "Training faces are left out")
    assert progress(app) == "**0 of 6** looked at"
    assert sum("**test face**" in caption for caption in captions(app, "suspects")) == 2
    assert keys(app, "suspect_right_") == [f"suspect_right_{face_id}" for face_id in suspected]
    labels = load_faces(sample).table.set_index("face_id")["label"]
    other = {"with_mask": "without_mask", "without_mask": "with_mask"}

    press(app, f"suspect_right_{suspected[0]}")
    press(app, f"suspect_relabel_{suspected[1]}")
    press(app, f"suspect_drop_{suspected[2]}")
    assert load_decisions(sample) == {
        suspected[0]: "confirm", suspected[1]: other[labels[suspected[1]]], suspected[2]: "drop"
    }  # fmt: skip
    assert progress(app) == "**3 of 6** looked at"
    assert keys(app, "suspect_right_") == [f"suspect_right_{face_id}" for face_id in suspected[3:]]
    assert says(app, "**2 decisions by hand wait:**")  # to confirm a label changes nothing
    assert any(link.proto.page == "quality" for link in app.get("page_link"))

    press(app, "suspects_undo")
    assert suspected[2] not in load_decisions(sample)
    assert progress(app) == "**2 of 6** looked at"
    fine(app.segmented_control(key="suspects_which").set_value("Looked at").run())
    assert [caption.split(" · ")[-1] for caption in captions(app, "suspects_done")] == [
        "**label confirmed by hand**", f"**relabelled by hand: {other[labels[suspected[1]]].replace('_', ' ')}**"
    ]  # fmt: skip
    press(app, f"suspect_back_{suspected[1]}")
    assert load_decisions(sample) == {suspected[0]: "confirm"}
    assert not says(app, "by hand wait")


def test_several_suspects_at_once(
    sample: Workspace, suspected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = visit(sample, tmp_path, monkeypatch, "Suspected label errors")
    assert app.button(key="suspects_all_drop").disabled
    for face_id in suspected[:2]:
        app.checkbox(key=f"suspect_chosen_{face_id}").check()
    fine(app.run())
    assert app.button(key="suspects_all_drop").label == "Drop (2)"
    press(app, "suspects_all_drop")
    assert load_decisions(sample) == dict.fromkeys(suspected[:2], "drop")
    assert app.button(key="suspects_all_drop").disabled
    press(app, "suspects_select")
    press(app, "suspects_all_relabel")
    decisions = load_decisions(sample)
    assert len(decisions) == 6
    assert says(app, "All of these are looked at")
    press(app, "suspects_undo")
    assert load_decisions(sample) == dict.fromkeys(suspected[:2], "drop")
    press(app, "suspects_select")
    press(app, "suspects_all_right")
    assert list(load_decisions(sample).values()).count("confirm") == 4


def test_filters_of_suspects(
    sample: Workspace, suspected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = visit(sample, tmp_path, monkeypatch, "Suspected label errors")
    test = len(members(sample, "test"))
    fine(app.multiselect(key="errors_splits").set_value(["test"]).run())
    assert says(app, f"**2 suspects** among {test} faces examined ({200 / test:.2f} %).")
    assert len(captions(app, "suspects")) == 2
    fine(app.multiselect(key="errors_splits").set_value(["validation"]).run())
    assert says(app, "No label of these looks wrong")


def test_without_cross_validation_training_faces_are_left_out(
    sample: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    test, train = members(sample, "test"), members(sample, "train")
    table = write_run(sample, "svm-1", [*train[:5], *test[:2]])
    app = visit(sample, tmp_path, monkeypatch, "Suspected label errors")
    assert says(app, f"**2 suspects** among {len(table) - len(train)} faces examined")
    assert says(app, "svm-1 (validation and test faces). Training faces are left out")
    assert set(keys(app, "suspect_drop_")) == {f"suspect_drop_{face_id}" for face_id in table["face_id"].iloc[test[:2]]}


def test_too_few_faces_are_a_sentence(sample: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = write_run(sample, "svm-1")
    write_table(sample.path("runs", "svm-1", "predictions.parquet"), table.assign(split="train"))
    app = visit(sample, tmp_path, monkeypatch, "Suspected label errors")
    assert says(app, "Of the faces that svm-1 was not trained on, only 0 with_mask and 0 without_mask")


def test_a_relabelled_face_reaches_the_split_and_the_next_run(
    sample: Workspace, suspected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faces = load_faces(sample)
    before = load_split(sample, faces).fingerprint
    published = str(faces.table.set_index("face_id")["label"][suspected[0]])
    app = visit(sample, tmp_path, monkeypatch, "Suspected label errors")
    press(app, f"suspect_relabel_{suspected[0]}")
    quality = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=120).run()
    quality = fine(quality.switch_page("pages/quality.py").run())
    press(quality, "quality_apply")
    split = load_split(sample, faces)
    assert split.fingerprint != before
    assert split.table.set_index("face_id").loc[suspected[0], "label"] != published
    assert load_filtered(sample, faces).decisions == load_decisions(sample)
    assert faces.table.set_index("face_id").loc[suspected[0], "label"] == published
    # The next run learns the new label; it is confirmed by a decision already, whatever that run says.
    next_run = write_run(sample, "svm-2", created="2026-02-01").set_index("face_id")
    assert next_run.loc[suspected[0], "label"] != published
    app = visit(sample, tmp_path, monkeypatch, "Suspected label errors")
    assert not says(app, "by hand wait")
    assert progress(app) == "**1 of 6** looked at"


def test_a_decision_that_cannot_be_stored_is_a_sentence(
    sample: Workspace, suspected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = visit(sample, tmp_path, monkeypatch, "Suspected label errors")
    monkeypatch.setattr(maskdet.decisions, "_PATIENCE", 0)
    with FileLock(sample.path(".decisions.lock")):
        app.button(key=f"suspect_drop_{suspected[0]}").click().run()
    assert not app.exception
    assert [error.value for error in app.error] == [
        "Another session is storing decisions by hand; try again in a moment."
    ]
    assert progress(app) == "**0 of 6** looked at"


def test_damaged_decisions_can_be_given_up(
    sample: Workspace, suspected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = visit(sample, tmp_path, monkeypatch, "Suspected label errors")
    sample.path("decisions.json").write_text('{"a": "maybe"}')
    app.run()
    assert "holds no decisions" in app.error[0].value
    press(app, "decisions_mend")
    assert load_decisions(sample) == {}
    assert progress(app) == "**0 of 6** looked at"


def test_names_are_shown_as_they_are(sample: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    positions = members(sample, "test")[:2]
    table = write_run(sample, "svm-1", positions).assign(dataset="![x](https://a.b)")
    write_table(sample.path("runs", "svm-1", "predictions.parquet"), table)
    app = visit(sample, tmp_path, monkeypatch, "Suspected label errors")
    shown = captions(app, "suspects")
    assert len(shown) == 2
    assert all(r"\!\[x\]" in caption for caption in shown)


def shell(workspace: Workspace, capfd: pytest.CaptureFixture[str], *arguments: object) -> tuple[str, str]:
    with pytest.raises(SystemExit) as ended:
        main([*map(str, arguments), "--home", str(workspace.home)])
    out, err = capfd.readouterr()
    assert ended.value.code in (0, None), err
    return out, err


def test_the_shell_lists_errors_and_suspects(
    sample: Workspace, suspected: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    test = members(sample, "test")
    write_run(sample, "cnn-1", test[1:4], created="2026-02-01")
    out, err = shell(sample, capfd, "errors", "svm-1", "cnn-1", "--csv", tmp_path / "errors.csv")
    rows = pd.read_csv(tmp_path / "errors.csv")
    assert rows["run"].value_counts().to_dict() == {"cnn-1": 3, "svm-1": 2}
    assert rows["confidence"].is_monotonic_decreasing
    assert f"3 of {len(test)} common test faces are judged differently." in out
    assert "5 wrong verdicts on test faces" in err
    save_decisions(sample, {suspected[0]: "confirm"})
    out, err = shell(sample, capfd, "suspects", "--csv", tmp_path / "suspects.csv")  # the cross-validated run
    listed: Any = pd.read_csv(tmp_path / "suspects.csv", keep_default_na=False)
    assert listed["face_id"].tolist() == suspected
    assert listed["decision"].tolist() == ["confirm", *[""] * 5]
    assert "svm-1: cross-validation" in out
    assert "1 of 6 looked at; 2 are test faces" in out
    assert "6 suspects among" in err
    out, _ = shell(sample, capfd, "decisions")
    assert "By hand: 1 confirmed; `filter` takes them into account." in out


def test_the_filters_see_what_the_shell_imports(
    sample: Workspace, suspected: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "decisions.csv"
    table.write_text(f"face_id,decision\n{suspected[0]},incorrect_mask\n{suspected[1]},confirm\n")
    shell(sample, capfd, "decisions", "--import", table)
    shell(sample, capfd, "filter")
    filtered = load_filtered(sample, load_faces(sample)).table.set_index("face_id")
    assert filtered.loc[suspected[0], ["label", "removed_by"]].tolist() == ["incorrect_mask", "incorrect_mask"]
    assert filtered.loc[suspected[1], "removed_by"] == ""
    assert apply_filters(load_faces(sample)).table.set_index("face_id").loc[suspected[0], "removed_by"] == ""
