"""Shipping a study: small, judged as it ships, without a photo, and careful with what lies in its way."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from factories import use_small_networks

from maskdet import bundle
from maskdet.bundle import BUNDLE_FILE, write_bundle
from maskdet.crossval import LEFT_OUT_FILE
from maskdet.errors import MaskDetError
from maskdet.facetable import load_faces
from maskdet.images import stored_images
from maskdet.metrics import evaluate_predictions
from maskdet.runs import open_run
from maskdet.seals import sealed
from maskdet.study import STATE_FILE
from maskdet.workspace import Workspace

FILES = {
    "reliability.json",
    "reliability.npz",
    "run.json",
    "history.json",
    "metrics.json",
    "predictions.parquet",
    "weights",
}


@pytest.fixture(scope="module")
def _small() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        use_small_networks(patch)
        yield


@pytest.fixture(scope="module")
def shipped(studied: Path, _small: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """A bundle, and what was said of it; not to be changed."""
    target = tmp_path_factory.mktemp("bundle") / "study"
    return target, write_bundle(Workspace(studied / "home"), target)


@pytest.fixture
def svm_alone(studied: Path, workspace: Workspace) -> Workspace:
    """The workspace of a study of one step, which may be changed."""
    shutil.copytree(studied / "home", workspace.home)
    state = json.loads(workspace.path(STATE_FILE).read_text())
    state["steps"] = {"svm": state["steps"]["svm"]}
    workspace.path(STATE_FILE).write_text(json.dumps(state))
    return workspace


def state_of(home: Path) -> dict[str, Any]:
    return dict(json.loads((home / STATE_FILE).read_text()))


def test_a_bundle_holds_the_runs_of_the_study(shipped: tuple[Path, list[dict[str, Any]]], studied: Path) -> None:
    """But not the trial that only tells how long to train."""
    target, said = shipped
    state = state_of(studied / "home")
    steps = ["inceptionv3", "svm", "pre-training", "cnn", "cnn-transfer"]
    assert [row["step"] for row in said] == steps
    assert [row["run"] for row in said] == [state["steps"][step]["run"] for step in steps]
    assert {path.name for path in target.iterdir()} == {BUNDLE_FILE, *(row["run"] for row in said)}
    described = json.loads((target / BUNDLE_FILE).read_text())
    assert {name: described[name] for name in state} == state
    assert described["shipped"] == said
    extra = {"inceptionv3": {"left_out.json", "out_of_sample.json", "out_of_sample.parquet"}, "svm": {"left_out.json"}}
    for row in said:
        assert {path.name for path in (target / row["run"]).iterdir()} == FILES | extra.get(row["step"], set())


def test_no_photo_is_in_a_bundle(shipped: tuple[Path, list[dict[str, Any]]]) -> None:
    target, _ = shipped
    kinds = {path.suffix for path in target.rglob("*") if path.is_file()}
    assert kinds == {".json", ".parquet", ".h5", ".skops", ".onnx", ".npz"}
    for path in target.rglob("*.npz"):  # of each face only what a model saw in it, as some numbers
        with np.load(path) as arrays:
            assert set(arrays) == {"mean", "components", "index", "face_ids"}
            assert max(array.shape[-1] for name, array in arrays.items() if name == "index") <= 64
    for path in target.rglob("*.parquet"):
        columns = {"face_id", "dataset", "label", "group", "split", "logit", "p_without_mask", "fold"}
        assert set(pd.read_parquet(path)) <= columns


def test_predictions_are_those_of_the_weights_that_ship(
    shipped: tuple[Path, list[dict[str, Any]]], studied: Path
) -> None:
    target, said = shipped
    workspace = Workspace(studied / "home")
    faces = load_faces(workspace)
    for row in said:
        run = open_run(target / row["run"])
        images = stored_images(workspace, faces, run.predictions["face_id"])
        expected = run.load_model().predict_logit(images)
        np.testing.assert_allclose(run.predictions["logit"], expected, rtol=1e-4, atol=1e-4)
        test = run.predictions[run.predictions["split"] == "test"]
        figures = evaluate_predictions(test)
        assert {name: run.metrics[name] for name in figures} == json.loads(json.dumps(figures))
        assert run.record["bundle"]["macro_f1_as_shipped"] == row["macro_f1_as_shipped"] == run.metrics["macro_f1"]
        original = open_run(workspace.path("runs", row["run"]))
        assert row["macro_f1_as_trained"] == original.metrics["macro_f1"]
        assert row["precision"] == "float16"
        assert abs(row["macro_f1_as_shipped"] - row["macro_f1_as_trained"]) <= 0.002
        assert set(original.metrics) == set(run.metrics)  # what is judged apart stays
        assert (run.history == original.history).all(axis=None)
        size = sum(path.stat().st_size for path in (run.folder / "weights").iterdir())
        assert row["megabytes"] == round(size / 1e6, 1)
        whole = sum(path.stat().st_size for path in (original.folder / "weights").iterdir())
        assert size < 0.75 * whole


@pytest.mark.parametrize(("moved", "precision"), [(0.0019, "float16"), (0.0021, "float32")])
def test_half_precision_ships_only_where_it_changes_next_to_nothing(
    svm_alone: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moved: float, precision: str
) -> None:
    run = open_run(svm_alone.path("runs", state_of(svm_alone.home)["steps"]["svm"]["run"]))
    metrics = {**run.metrics, "macro_f1": 0.5}
    (run.folder / "metrics.json").write_text(json.dumps(metrics))
    (run.folder / "run.json").write_text(json.dumps(sealed(run.folder, run.record)))
    judged = bundle._judged
    monkeypatch.setattr(
        bundle, "_judged", lambda *a: (judged(*a)[0].assign(logit=9.0), metrics | {"macro_f1": 0.5 - moved})
    )
    (row,) = write_bundle(svm_alone, tmp_path / "out")
    assert row["precision"] == precision
    ships = open_run(tmp_path / "out" / run.id)
    half = precision == "float16"
    assert ships.metrics["macro_f1"] == row["macro_f1_as_shipped"] == (0.5 - moved if half else 0.5)
    assert (ships.predictions["logit"] == 9).all() == half
    if not half:
        pd.testing.assert_frame_equal(ships.predictions, run.predictions)
        for path in (run.folder / "weights").iterdir():
            assert (ships.folder / "weights" / path.name).read_bytes() == path.read_bytes()


def test_what_ships_names_no_folder_of_the_machine(svm_alone: Workspace, tmp_path: Path) -> None:
    """Weights given by a path are named by their file alone."""
    state = state_of(svm_alone.home)
    run = open_run(svm_alone.path("runs", state["steps"]["svm"]["run"]))
    weights = str(tmp_path / "secret/inception.weights.h5")
    state["options"]["weights"] = weights
    svm_alone.path(STATE_FILE).write_text(json.dumps(state))
    (run.folder / LEFT_OUT_FILE).write_text(
        json.dumps([{"model": "inceptionv3", "options": {"weights": weights}, "rows": []}])
    )
    write_bundle(svm_alone, tmp_path / "out")
    for path in (tmp_path / "out").rglob("*.json"):
        assert str(tmp_path) not in path.read_text()
    described = json.loads((tmp_path / "out" / BUNDLE_FILE).read_text())
    assert described["options"]["weights"] == "inception.weights.h5"


def test_what_an_earlier_bundle_held_is_removed(svm_alone: Workspace, tmp_path: Path) -> None:
    target = tmp_path / "out"
    first = write_bundle(svm_alone, target)
    shutil.copytree(target / first[0]["run"], target / "svm-older")
    (target / ".svm-older.partial/weights").mkdir(parents=True)  # of one that was cut
    (target / first[0]["run"] / "stale").write_text("x")
    assert write_bundle(svm_alone, target) == first
    assert {path.name for path in target.iterdir()} == {BUNDLE_FILE, first[0]["run"]}
    assert not (target / first[0]["run"] / "stale").exists()


@pytest.mark.parametrize("place", ["documents", "runs", "home"])
def test_a_folder_of_other_things_is_not_touched(svm_alone: Workspace, tmp_path: Path, place: str) -> None:
    """A mistyped --out must not cost anybody their files, nor a workspace its own runs."""
    target = {"documents": tmp_path / "documents", "runs": svm_alone.path("runs"), "home": svm_alone.home}[place]
    (target / "holiday").mkdir(parents=True)
    (target / "holiday/photo.txt").write_text("x")
    before = {path: path.stat().st_mtime_ns for path in target.rglob("*")}
    with pytest.raises(MaskDetError, match=f"{target} holds other things than a study; choose a folder that is empty"):
        write_bundle(svm_alone, target)
    assert {path: path.stat().st_mtime_ns for path in target.rglob("*")} == before


def test_folders_beside_the_runs_of_a_bundle_stay(svm_alone: Workspace, tmp_path: Path) -> None:
    target = tmp_path / "out"
    write_bundle(svm_alone, target)
    (target / "notes").mkdir()
    (target / "notes/text").write_text("x")
    write_bundle(svm_alone, target)
    assert (target / "notes/text").is_file()


def test_without_a_study(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(MaskDetError, match=r"There is no study in .*: run `python -m maskdet study DIR` first"):
        write_bundle(workspace, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_unfinished_study_does_not_ship(svm_alone: Workspace, tmp_path: Path) -> None:
    run_id = state_of(svm_alone.home)["steps"]["svm"]["run"]
    svm_alone.path("runs", run_id).rename(svm_alone.path("runs", f".{run_id}.partial"))
    with pytest.raises(
        MaskDetError, match=r"The study in .* is not finished \(svm\): `python -m maskdet study DIR` goes on"
    ):
        write_bundle(svm_alone, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_target_that_cannot_be_written_is_one_sentence(svm_alone: Workspace, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(MaskDetError, match=r"out cannot be written \("):
        write_bundle(svm_alone, tmp_path / "out")
