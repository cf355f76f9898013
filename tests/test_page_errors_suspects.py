"""The view of suspected label errors, on the sample set: decisions, undo, ways on, and the same from the shell."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from app_page import fine, press
from conftest import ShellOn
from errors_page import PROJECT, captions, keys, members, progress, says, visit, write_run
from filelock import FileLock
from streamlit.testing.v1 import AppTest

import maskdet.decisions
from maskdet.decisions import load_decisions, save_decisions
from maskdet.facetable import load_faces
from maskdet.quality import apply_filters, load_filtered
from maskdet.runs import find_run
from maskdet.split import load_split
from maskdet.suspects import find_suspects
from maskdet.workspace import Workspace, write_table


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
    whose = "svm-1 (cross-validated models of options that were not noted; not this run's weights)"
    assert says(app, f"Probabilities are out of sample: {whose}. Choose")
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


def test_the_shell_lists_errors_and_suspects(
    sample: Workspace, suspected: list[str], tmp_path: Path, shell_on: ShellOn
) -> None:
    test = members(sample, "test")
    write_run(sample, "cnn-1", test[1:4], created="2026-02-01")
    out, err = shell_on(sample, "errors", "svm-1", "cnn-1", "--csv", tmp_path / "errors.csv")
    rows = pd.read_csv(tmp_path / "errors.csv")
    assert rows["run"].value_counts().to_dict() == {"cnn-1": 3, "svm-1": 2}
    assert rows["confidence"].is_monotonic_decreasing
    assert f"3 of {len(test)} common test faces are judged differently." in out
    assert "5 wrong verdicts on test faces" in err
    save_decisions(sample, {suspected[0]: "confirm"})
    out, err = shell_on(sample, "suspects", "--csv", tmp_path / "suspects.csv")  # the cross-validated run
    listed: Any = pd.read_csv(tmp_path / "suspects.csv", keep_default_na=False)
    assert listed["face_id"].tolist() == suspected
    assert listed["decision"].tolist() == ["confirm", *[""] * 5]
    said = "svm-1: cross-validated models of options that were not noted; not this run's weights"
    assert out.startswith(f"{said}\n")
    assert listed["predicted_by"].unique().tolist() == [said]
    assert "1 of 6 looked at; 2 are test faces" in out
    assert "6 suspects among" in err
    out, _ = shell_on(sample, "decisions")
    assert "By hand: 1 confirmed; `filter` takes them into account." in out


def test_the_filters_see_what_the_shell_imports(
    sample: Workspace, suspected: list[str], tmp_path: Path, shell_on: ShellOn
) -> None:
    table = tmp_path / "decisions.csv"
    table.write_text(f"face_id,decision\n{suspected[0]},incorrect_mask\n{suspected[1]},confirm\n")
    shell_on(sample, "decisions", "--import", table)
    shell_on(sample, "filter")
    filtered = load_filtered(sample, load_faces(sample)).table.set_index("face_id")
    assert filtered.loc[suspected[0], ["label", "removed_by"]].tolist() == ["incorrect_mask", "incorrect_mask"]
    assert filtered.loc[suspected[1], "removed_by"] == ""
    assert apply_filters(load_faces(sample)).table.set_index("face_id").loc[suspected[0], "removed_by"] == ""
