"""The views of wrong faces and of models that disagree, on the sample set and drawn predictions: what they show."""

from pathlib import Path

import pytest
from app_page import fine
from errors_page import PAGE, PROJECT, captions, keys, members, says, visit, write_run
from streamlit.testing.v1 import AppTest

from maskdet.decisions import save_decisions
from maskdet.workspace import Workspace, write_table
from ui.charts import LABEL_TITLES


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
    assert captions(app, "wrong") == [
        f"**{LABEL_TITLES[row.label]}**, but probability of no mask {row.p_without_mask:.2f}"
        for row in expected.itertuples()
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
