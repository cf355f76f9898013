"""The Results page: its head, every view, by which faces it judges, files to take along, runs with pieces missing."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from app_page import fine
from factories import prepared
from streamlit.testing.v1 import AppTest
from written_runs import predictions, write_run

from maskdet.evaluations import Evaluation, save_evaluation
from maskdet.metrics import evaluate_predictions
from maskdet.runs import Run
from maskdet.seals import sealed
from maskdet.workspace import Workspace, read_json, read_table, write_json, write_table
from ui.results_data import COMMON, IN_FORCE, OWN

APP = str(Path(__file__).resolve().parents[1] / "app.py")
VIEWS = [
    "Metrics", "Confusion", "Calibration", "Learning", "Running times", "Other sources", "Options", "Errors",
]  # fmt: skip
pytestmark = pytest.mark.usefixtures("no_bundled_runs")


@pytest.fixture
def home(tmp_path: Path) -> Workspace:
    """A workspace of drawn faces, scanned and split."""
    workspace = Workspace(tmp_path / "home")
    prepared(workspace, tmp_path / "data", {"with_mask": 20, "without_mask": 20})
    return workspace


def of_split(home: Workspace, wrong: int = 0) -> tuple[pd.DataFrame, str]:
    """Predictions of the workspace's own faces, the first ``wrong`` test faces misjudged, and the fingerprint."""
    table = read_table(home.path("split.parquet")).drop(columns="pool")
    table["logit"] = table["label"].map({"with_mask": -2.0, "without_mask": 2.0})
    test = table.index[table["split"] == "test"][:wrong]
    table.loc[test, "logit"] *= -1
    return table.assign(p_without_mask=0.5), read_json(home.path("split.json"))["fingerprint"]


def four(home: Workspace) -> list[Run]:
    """A run of each of the study's models."""
    return [
        write_run(home, "inceptionv3-1", "inceptionv3", table=predictions(wrong=[0])),
        write_run(home, "cnn-1", "cnn", table=predictions(wrong=[0, 1])),
        write_run(home, "cnn-transfer-1", "cnn-transfer", table=predictions(wrong=[0, 1, 2])),
        write_run(home, "svm-1", "svm", table=predictions(wrong=[0, 1, 2, 3, 4]), options={"folds": 5}),
    ]


def visit(home: Workspace, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setenv("MASKDET_HOME", str(home.home))
    app = AppTest.from_file(APP, default_timeout=120).run().switch_page("pages/results.py").run()
    assert not app.exception, app.exception
    return app


def choose(app: AppTest, key: str, value: Any) -> AppTest:
    widgets = app.multiselect if key == "results_runs" else app.segmented_control
    widgets(key=key).set_value(value).run()
    assert not app.exception, app.exception
    return app


def texts(app: AppTest) -> str:
    return "\n".join(str(text.value) for text in [*app.markdown, *app.caption, *app.info, *app.warning])


def test_without_runs_there_are_ways_on(home: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    app = fine(visit(home, monkeypatch))
    assert app.info[0].value == "No model is trained yet."
    assert not app.multiselect


def test_the_ranking_comes_first_with_its_interval_and_a_comparison(
    home: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    four(home)
    app = fine(visit(home, monkeypatch))
    assert app.multiselect(key="results_runs").value == ["inceptionv3-1", "cnn-1", "cnn-transfer-1", "svm-1"]
    head = app.markdown[0].value
    assert head.startswith("## InceptionV3: macro F1 0.950 (")  # 19 of 20 right, 1 of 10 with a mask wrong
    assert "Against CNN, on the 20 test faces that both were judged by: a difference of 0.050 (" in head
    assert "Chance may explain it" in head
    assert "n = 20 test faces" in texts(app)
    assert "Test faces chose nothing" in texts(app)
    assert not app.warning


def test_the_bundled_study_is_chosen_at_first(home: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(tmp_path / "bundled", "cnn-study", "cnn")
    write_run(home, "cnn-own", "cnn", created="2027-01-01T00:00:00Z")
    app = fine(visit(home, monkeypatch))
    chosen = app.multiselect(key="results_runs")
    assert chosen.value == ["cnn-study"]
    assert chosen.options == ["CNN 01 Jan 00:00", "CNN 02 Jan 03:04 · bundled"]
    assert not app.warning


def test_every_view(home: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    four(home)
    app = visit(home, monkeypatch)
    assert app.segmented_control(key="results_view").options == VIEWS
    tables = {
        "Metrics": 4, "Confusion": 0, "Calibration": 1, "Learning": 0, "Running times": 1, "Other sources": 1,
        "Options": 1,
    }  # fmt: skip
    for view in VIEWS:
        fine(choose(app, "results_view", view))
        assert len(app.dataframe) == tables.get(view, len(app.dataframe))


def test_metrics_are_table_3_with_the_studys_figures(home: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    four(home)
    app = visit(home, monkeypatch)
    table = app.dataframe[0].value
    assert table["Model"].tolist()[::3] == ["InceptionV3", "CNN", "CNN transfer", "PCA + SVM"]
    assert table["Label"].tolist()[:3] == ["With mask", "Without mask", "Both, macro"]
    assert table["Study"].tolist()[2::3] == ["0.993", "0.981", "0.969", "0.927"]
    assert table["Recall"][0].startswith("0.900 (")
    overall = app.dataframe[1].value.set_index("Model")
    assert overall.loc["CNN", "Accuracy"].startswith("0.900 (")
    assert overall.loc["CNN", "ROC-AUC"].startswith("0.900 (")  # 81 of 100 pairs, and 18 ties
    pairs = app.dataframe[3].value
    assert len(pairs) == 6
    assert pairs.loc[0, ["Model", "less", "Common faces"]].tolist() == ["InceptionV3", "CNN", "20"]
    exports = app.get("download_button")
    assert [button.label for button in exports] == ["CSV", "Markdown", "LaTeX"]
    # Made with the page: what is made on a click is gone if another visitor's page was drawn in between.
    assert not any(button.proto.deferred_file_id for button in exports)


def test_the_threshold_moves_all_matrices(home: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    four(home)
    app = choose(visit(home, monkeypatch), "results_view", "Confusion")
    assert "macro F1 0.950 (" in texts(app)
    app.slider(key="results_threshold").set_value(0.95).run()  # above every probability: all are judged with mask
    assert texts(app).count("macro F1 0.333 (") == 4  # F1 of with mask is 2/3, of the other 0
    assert "not chosen on test faces" in texts(app)
    fine(choose(app, "results_colour", "count"))
    assert "Colour: 0 to 10 faces" in texts(app)


def test_running_times_and_options(home: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    four(home)
    app = choose(visit(home, monkeypatch), "results_view", "Running times")
    times = app.dataframe[0].value.set_index("Model")
    assert times.loc["CNN", ["Fit", "ms a face", "× SVM", "× SVM in the study"]].tolist() == [
        "1 min 40 s", "1.00", "1.0", "5.0",
    ]  # fmt: skip
    choose(app, "results_view", "Options")
    assert sorted(app.dataframe[0].value["option"]) == ["folds", "model"]
    app.toggle(key="results_all_options").set_value(True).run()
    assert "package numpy" in app.dataframe[0].value["option"].tolist()
    choose(app, "results_runs", ["cnn-1"])
    app.toggle(key="results_all_options").set_value(False).run()
    assert "Choose two runs" in app.info[0].value


def test_learning_says_what_a_run_kept_and_chose(home: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    four(home)
    app = fine(choose(visit(home, monkeypatch), "results_view", "Learning"))
    assert "5-fold cross-validation on the training faces: rbf kernel, C 10, gamma 0.01, macro F1 0.920 ± 0.010" in (
        texts(app)
    )
    assert "keep 87.0 % of the variance" in texts(app)


def test_other_faces_are_said_and_common_ones_offered(home: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(home, "cnn-1", "cnn", table=predictions(60))
    write_run(home, "svm-1", "svm", table=predictions(60, first=30), data={"fingerprint": "other"})
    app = fine(visit(home, monkeypatch))
    assert "different test faces" in app.warning[0].value
    choose(app, "results_basis", COMMON)
    assert not app.warning
    assert "n = 10 test faces" in texts(app)
    choose(app, "results_basis", OWN)
    assert "n = 20 test faces" in texts(app)


def test_a_run_of_other_data_is_judged_in_red(home: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    table, fingerprint = of_split(home, wrong=1)
    write_run(home, "cnn-1", "cnn", table=table, data={"fingerprint": fingerprint})
    seen = table.index[table["split"] == "test"][:2]
    other = table.assign(split=table["split"].mask(table.index.isin(seen), "train"))
    write_run(home, "svm-1", "svm", table=other, data={"fingerprint": "feedface"})
    app = choose(visit(home, monkeypatch), "results_basis", IN_FORCE)
    assert len(app.error) == 1
    assert "**PCA + SVM** was trained on data `feedface` but is judged here on other data" in app.error[0].value
    assert f"`{fingerprint}`. 2 test faces are left out" in app.error[0].value
    assert app.dataframe[0].value["n"].tolist()[2::3] == ["8", "6"]
    assert not [button for button in app.button if "Predict" in button.label]


def test_faces_without_a_prediction_can_be_predicted_once(
    home: Workspace, begun: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    table, fingerprint = of_split(home)
    test = table[table["split"] == "test"]
    few = table[(table["split"] != "test") | table["face_id"].isin(test["face_id"][:5])]
    run = write_run(home, "cnn-1", "cnn", table=few, data={"fingerprint": "feedface"})
    app = choose(visit(home, monkeypatch), "results_basis", IN_FORCE)
    assert "has not predicted 3 of 8 test faces in force" in texts(app)
    app.button(key="evaluate_cnn-1").click().run()
    assert begun == [["evaluate", "cnn-1"]]
    assert app.button(key="evaluate_cnn-1").disabled
    evaluation = Evaluation(evaluate_predictions(test), test, fingerprint, False, 0, 1.0)
    save_evaluation(home, run, fingerprint, evaluation)
    app.run()
    assert "has not predicted" not in texts(app)
    assert app.dataframe[0].value["n"][2] == "8"
    home.path("evaluations", f"cnn-1-{fingerprint}.json").write_text("{")
    app.run()
    assert not app.exception
    assert any("cannot be read" in warning.value for warning in app.warning)
    assert "has not predicted" in texts(app)


def test_no_data_in_force_is_a_sentence(home: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    four(home)
    home.path("split.json").unlink()
    app = choose(visit(home, monkeypatch), "results_basis", IN_FORCE)
    assert "not split yet" in app.error[0].value
    fine(choose(app, "results_basis", OWN))


def test_synthetic_and_limited_runs_are_marked(home: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(home, "cnn-1", "cnn", table=predictions(datasets=("sample-web", "sample-group")))
    write_run(home, "svm-1", "svm", table=predictions(datasets=("sample-web", "sample-group")), limit=40)
    app = fine(visit(home, monkeypatch))
    assert app.info[0].value.startswith("**CNN, PCA + SVM**: Trained and judged on the synthetic sample set")
    assert app.warning[0].value.startswith("**PCA + SVM**: A quick try, limited to 40 training faces")


def test_no_choice_and_a_run_that_is_gone(home: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    made = four(home)
    app = visit(home, monkeypatch)
    choose(app, "results_runs", [])
    assert "Choose at least one run" in app.info[0].value
    choose(app, "results_runs", ["cnn-1", "svm-1"])
    made[1].folder.rename(home.path("away"))
    app.run()
    assert not app.exception
    assert app.multiselect(key="results_runs").value == ["svm-1"]


def test_a_run_asked_for_in_the_address_is_chosen(home: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    four(home)
    write_run(home, "cnn-2", "cnn", created="2025-01-01T00:00:00Z")
    monkeypatch.setenv("MASKDET_HOME", str(home.home))
    app = AppTest.from_file(APP, default_timeout=120).run()
    app.query_params["run"] = ["cnn-2", "nothing"]
    app.switch_page("pages/results.py").run()
    assert app.multiselect(key="results_runs").value[0] == "cnn-2"
    assert len(app.multiselect(key="results_runs").value) == 5
    choose(app, "results_runs", ["svm-1"])
    assert app.multiselect(key="results_runs").value == ["svm-1"]  # it is asked for once
    app.query_params["run"] = ["cnn-1"]
    app.run()
    assert app.multiselect(key="results_runs").value == ["cnn-1", "svm-1"]


DAMAGE = {
    "no predictions": ("predictions.parquet", None),
    "damaged predictions": ("predictions.parquet", "x"),
    "no history": ("history.json", None),
    "empty history": ("history.json", "[]"),
    "odd history": ("history.json", '{"a": 1}'),
    "history of another kind": ("history.json", '[{"epoch": 1}]'),
    "damaged left-out figures": ("left_out.json", "{"),
    "figures of another kind": ("metrics.json", "{}"),
    "bare record": ("run.json", None),
}


@pytest.mark.parametrize("damage", list(DAMAGE))
def test_a_missing_piece_of_a_run_breaks_no_view(damage: str, home: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(home, "svm-1", "svm")
    run = write_run(home, "cnn-1", "cnn")
    name, text = DAMAGE[damage]
    if damage == "bare record":
        record = read_json(run.folder / name)
        write_json(run.folder / name, record | {"data": {}, "seconds": {}})
    elif text is None:
        (run.folder / name).unlink()
    else:
        (run.folder / name).write_text(text)
    app = fine(visit(home, monkeypatch))
    for view in VIEWS:
        fine(choose(app, "results_view", view))
        if "predictions" in damage:
            assert any("Its figures are those kept when it was trained" in warning.value for warning in app.warning)
        if view == "Learning" and "history" in damage:
            assert len(app.info) == 1
        if view == "Other sources" and damage == "damaged left-out figures":
            assert "left_out.json" in app.warning[0].value


def test_predictions_that_are_not_as_they_were_written_are_told(
    home: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(home, "svm-1", "svm")
    run = write_run(home, "cnn-1", "cnn")
    write_json(run.folder / "run.json", sealed(run.folder, run.record))
    with (run.folder / "predictions.parquet").open("r+b") as file:
        file.write(b"x")
    app = fine(visit(home, monkeypatch))
    assert any("Its figures are those kept when it was trained" in warning.value for warning in app.warning)


def test_without_predictions_and_figures_a_run_is_left_out(home: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    run = write_run(home, "cnn-1", "cnn")
    (run.folder / "predictions.parquet").unlink()
    write_json(run.folder / "metrics.json", {"macro_f1": 0.5, "faces": 20, "intervals": {}})
    app = fine(visit(home, monkeypatch))
    assert "CNN cannot be judged" in app.warning[0].value
    assert not app.dataframe


def test_one_label_only_is_said(home: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    table = predictions()
    write_run(home, "cnn-1", "cnn", table=table[(table["split"] != "test") | (table["label"] == "with_mask")])
    app = fine(visit(home, monkeypatch))
    assert "None of these runs has a macro F1 on these faces" in app.info[0].value
    for view in VIEWS:
        choose(app, "results_view", view)
        fine(app)


def test_a_damaged_table_is_read_anew_once_it_is_whole(home: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    run = write_run(home, "cnn-1", "cnn")
    (run.folder / "predictions.parquet").write_text("x")
    app = visit(home, monkeypatch)
    assert app.warning
    write_table(run.folder / "predictions.parquet", predictions())
    app.run()
    assert not app.warning
