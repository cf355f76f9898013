"""Runs and trainings, end to end with the SVM on drawn faces."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from factories import CATALOG, mean_network, prepared, resplit

import maskdet.runs
from maskdet.augment import METHODS, draw_copy
from maskdet.errors import MaskDetError, RunError, WorkspaceError
from maskdet.facetable import load_faces
from maskdet.images import FaceImages, stored_images
from maskdet.models import cnn
from maskdet.models.cnn import Cnn
from maskdet.models.svm import Svm
from maskdet.quality import FilterOptions, apply_filters, save_filtered
from maskdet.runs import Run, find_run, list_runs, open_run, runs_table
from maskdet.split import SplitOptions, save_split, split_faces
from maskdet.train import evaluate, train
from maskdet.workspace import Workspace, write_json

SMALL = {"components": 4, "C": [1.0], "gamma": ["scale"], "folds": 2, "jobs": 1}


@pytest.fixture
def _no_bundled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maskdet.runs, "BUNDLED", tmp_path / "bundled")


@pytest.fixture
def trained(workspace: Workspace, tmp_path: Path, _no_bundled: None) -> Run:
    prepared(workspace, tmp_path / "data", {"with_mask": 20, "without_mask": 20})
    return train(workspace, "svm", SMALL)


def test_a_run_folder_holds_everything(trained: Run) -> None:
    names = {path.relative_to(trained.folder).as_posix() for path in trained.folder.rglob("*") if path.is_file()}
    assert names == {"run.json", "history.json", "metrics.json", "predictions.parquet", "weights/model.skops"}
    assert trained.record["seed"] == 0
    assert trained.record["data"]["faces"] == {"train": 24, "validation": 8, "test": 8}
    assert trained.record["options"]["components"] == 4
    assert set(trained.record["seconds"]) == {"fit", "predict_train", "predict_validation", "predict_test"}
    assert len(trained.predictions) == 40
    assert trained.metrics["faces"] == 8
    assert len(trained.history) == 1


def test_evaluate_on_the_same_split_gives_the_same_figures(workspace: Workspace, trained: Run) -> None:
    evaluation = evaluate(workspace, trained)
    assert evaluation.metrics == trained.metrics
    assert (evaluation.same_data, evaluation.left_out) == (True, 0)


def test_evaluate_on_another_split_leaves_out_what_the_run_saw(workspace: Workspace, trained: Run) -> None:
    resplit(workspace, load_faces(workspace), SplitOptions(seed=5))
    evaluation = evaluate(workspace, trained)
    assert not evaluation.same_data
    assert evaluation.left_out > 0
    seen = set(trained.predictions.loc[trained.predictions["split"] != "test", "face_id"])
    assert not seen & set(evaluation.predictions["face_id"])
    assert len(evaluation.predictions) + evaluation.left_out == 8


@pytest.mark.usefixtures("_no_bundled")
def test_incorrect_masks_as_a_class_are_judged_apart(workspace: Workspace, tmp_path: Path) -> None:
    counts = {"with_mask": 20, "without_mask": 20, "incorrect_mask": 10}
    faces = prepared(workspace, tmp_path / "data", counts)
    filtered = apply_filters(faces, FilterOptions(incorrect_mask="class"))
    save_filtered(workspace, filtered)
    split = split_faces(faces, filtered, CATALOG)
    save_split(workspace, split)
    run = train(workspace, "svm", SMALL)
    assert run.record["data"]["faces"] == {"train": 24, "validation": 8, "test": 8}
    assert set(run.predictions["label"]) == {"with_mask", "without_mask"}
    assert run.metrics["faces"] == 8
    # Drawn like faces with a mask (see `prepared`), so that is what the model takes them for.
    assert run.metrics["incorrect_mask"] == {"faces": 2, "judged_without_mask": 0}
    assert evaluate(workspace, run).metrics == run.metrics


def test_a_dataset_that_is_gone_is_no_training_data(workspace: Workspace, trained: Run, tmp_path: Path) -> None:
    (tmp_path / "data/tiny").rename(tmp_path / "data/away")
    with pytest.raises(MaskDetError, match=r"The folder of tiny is gone .*data/tiny\): bring it back, or filter and"):
        train(workspace, "svm", SMALL)
    with pytest.raises(MaskDetError, match="The folder of tiny is gone"):
        evaluate(workspace, trained)
    (tmp_path / "data/away").rename(tmp_path / "data/tiny")
    assert evaluate(workspace, trained).metrics == trained.metrics


def test_a_split_of_other_filters_is_no_training_data(workspace: Workspace, trained: Run) -> None:
    """A run says which filters its faces passed: they must be those that the split was made of."""
    faces = load_faces(workspace)
    save_filtered(workspace, apply_filters(faces, FilterOptions(small=True, min_side=1)))  # keeps the very same faces
    assert train(workspace, "svm", SMALL).record["data"]["filter"]["min_side"] == 1
    for options, decisions in (
        (FilterOptions(small=True, min_side=999), {}),
        (None, {faces.table["face_id"][0]: "drop"}),
    ):
        save_filtered(workspace, apply_filters(faces, options, decisions))
        with pytest.raises(MaskDetError, match="filtered again after they were split: run `python -m maskdet split`"):
            train(workspace, "svm", SMALL)


def test_find_run_by_id_by_model_and_without_a_name(workspace: Workspace, trained: Run) -> None:
    newer = train(workspace, "svm", SMALL, seed=1)
    write_json(newer.folder / "run.json", newer.record | {"created": "2999-01-01T00:00:00Z"})
    assert find_run(workspace, trained.id).id == trained.id
    assert find_run(workspace, "svm").id == newer.id
    assert find_run(workspace).id == newer.id
    assert runs_table(list_runs(workspace))["run"].tolist() == sorted([trained.id, newer.id])
    with pytest.raises(RunError, match="no run of cnn yet"):
        find_run(workspace, "cnn")
    with pytest.raises(RunError, match="no run 'nonsense'"):
        find_run(workspace, "nonsense")


def test_the_best_bundled_run_stands_for_its_model(workspace: Workspace, trained: Run) -> None:
    maskdet.runs.BUNDLED.mkdir()
    for name, score in (("good", 0.9), ("better", 0.95)):
        folder = maskdet.runs.BUNDLED / name
        folder.mkdir()
        write_json(folder / "run.json", trained.record | {"id": name})
        write_json(folder / "metrics.json", trained.metrics | {"macro_f1": score})
    assert find_run(workspace, "svm").id == "better"
    assert find_run(workspace, "svm").is_bundled


def test_damaged_runs_are_passed_over_and_later_formats_refused(workspace: Workspace, trained: Run) -> None:
    broken = trained.folder.with_name("broken")
    broken.mkdir()
    (broken / "run.json").write_text("{")
    assert [run.id for run in list_runs(workspace)] == [trained.id]
    (broken / "run.json").write_text(json.dumps(trained.record | {"format": 99}))
    with pytest.raises(RunError, match="later version"):
        open_run(broken)
    for damage in ({"format": "1"}, {"created": None}):
        record = {key: value for key, value in (trained.record | damage).items() if value is not None}
        (broken / "run.json").write_text(json.dumps(record))
        assert [run.id for run in list_runs(workspace)] == [trained.id]
    (broken / "run.json").write_text(json.dumps(trained.record))  # whole, but without its metrics
    assert [run.id for run in list_runs(workspace)] == [trained.id]


def test_a_failing_fit_leaves_no_folder(workspace: Workspace, trained: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object, **_kwargs: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Svm, "fit", fail)
    with pytest.raises(MemoryError):
        train(workspace, "svm", SMALL)
    assert [path.name for path in workspace.path("runs").iterdir()] == [trained.id]


@pytest.mark.usefixtures("_no_bundled")
@pytest.mark.parametrize(
    ("plan", "copies"), [("none", ["original"]), ("on-the-fly", ["variant"]), ("study", ["original", *METHODS])]
)
def test_training_draws_copies_of_training_faces_only(
    plan: str, copies: list[str], workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faces = prepared(workspace, tmp_path / "data", {"with_mask": 10, "without_mask": 10})
    drawn, judged = [], []

    def draw(image: np.ndarray, copy: Any, *, face_id: str, **about: Any) -> np.ndarray:
        drawn.append((face_id, copy))
        return draw_copy(image, copy, face_id=face_id, **about)

    def predict(self: Cnn, images: FaceImages, *_args: Any) -> np.ndarray:
        judged.extend(image.tobytes() for image in images.take(np.arange(len(images))))
        return np.where(np.arange(len(images)) % 2, 1.0, -1.0)

    monkeypatch.setattr(cnn, "build_cnn", mean_network)
    monkeypatch.setattr(cnn, "draw_copy", draw)
    monkeypatch.setattr(Cnn, "predict_logit", predict)
    run = train(workspace, "cnn", {"epochs": 1, "augmentation": {"plan": plan}})

    in_training = run.predictions.loc[run.predictions["split"] == "train", "face_id"]
    assert len(in_training) == 12
    assert sorted(drawn) == sorted((face_id, copy) for face_id in in_training for copy in copies)
    assert run.record["options"]["augmentation"]["plan"] == plan
    stock = stored_images(workspace, faces, faces.table["face_id"]).take(np.arange(20))
    assert set(judged) == {image.tobytes() for image in stock}  # judged is each face as it is


def test_a_limited_run_says_so(workspace: Workspace, trained: Run) -> None:
    run = train(workspace, "svm", SMALL, limit=12)
    assert run.record["limit"] == 12
    assert run.record["data"]["faces"]["train"] == 12


@pytest.mark.parametrize("counts", [{"with_mask": 20}, {"without_mask": 20}])
def test_one_class_is_an_error_before_any_work(
    workspace: Workspace, tmp_path: Path, counts: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared(workspace, tmp_path / "data", counts)
    monkeypatch.setattr(Svm, "fit", lambda *_a, **_k: pytest.fail("work started"))
    with pytest.raises(MaskDetError, match="no face with"):
        train(workspace, "svm", SMALL)


def test_without_faces_training_says_what_comes_first(workspace: Workspace) -> None:
    with pytest.raises(WorkspaceError, match="maskdet scan"):
        train(workspace, "svm", SMALL)
