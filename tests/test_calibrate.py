"""Reliability of runs: what training writes, what is fitted again for older runs, and which faces it may see."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from factories import ArrayImages, draw_faces, prepared, use_small_networks

from maskdet.calibrate import calibrate, calibrate_and_save, reliability_of
from maskdet.cli import main
from maskdet.errors import RunError, WorkspaceError
from maskdet.models.base import Features, Logits
from maskdet.models.onnx_graph import GRAPH_FILE
from maskdet.photos import RgbImage
from maskdet.reliability import INDEX_FILE, RELIABILITY_FILE, ReliabilityOptions
from maskdet.runs import Run, open_run
from maskdet.runtime import open_runtime
from maskdet.train import train
from maskdet.workspace import Workspace

OPTIONS = {"epochs": 1, "batch_size": 8, "precision": "float32", "augmentation": {"plan": "none"}}


@pytest.fixture(scope="module")
def trained_home(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A workspace with forty faces and a small CNN; not to be changed."""
    folder = tmp_path_factory.mktemp("calibrated")
    with pytest.MonkeyPatch.context() as patch:
        use_small_networks(patch)
        prepared(Workspace(folder / "home"), folder / "data", {"with_mask": 20, "without_mask": 20})
        return folder / "home", train(Workspace(folder / "home"), "cnn", OPTIONS).id


@pytest.fixture
def run(workspace: Workspace, trained_home: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> Run:
    use_small_networks(monkeypatch)
    shutil.copytree(trained_home[0], workspace.home)
    return open_run(workspace.path("runs", trained_home[1]))


def brightness(faces: RgbImage) -> tuple[Logits, Features]:
    """The lower half's brightness decides; features are the mean colours."""
    logits = faces[:, 75:].mean(axis=(1, 2, 3)) - 128.0
    return logits, faces.mean(axis=(1, 2)).astype(np.float32)


def rows(train: int, validation: int) -> pd.DataFrame:
    """Faces with and without mask in turn."""
    count = train + validation
    labels = ["with_mask" if n % 2 == 0 else "without_mask" for n in range(count)]
    split = ["train"] * train + ["validation"] * validation
    return pd.DataFrame({"face_id": [f"a/{n}" for n in range(count)], "label": labels, "split": split})


def test_training_writes_what_calibrating_gives(run: Run, workspace: Workspace) -> None:
    """With another engine: Keras while it is trained, ONNX Runtime afterwards."""
    written, again = run.reliability, calibrate(workspace, run)
    assert written is not None
    assert open_runtime(run).engine == "onnxruntime"
    assert set(again.face_ids) == set(run.predictions.query("split == 'train'")["face_id"])
    for name in ("temperature", "low", "high", "distance_threshold"):
        assert getattr(again, name) == pytest.approx(getattr(written, name), rel=0.02)


def test_an_older_run_gets_its_reliability_and_its_graph(run: Run, workspace: Workspace) -> None:
    graph = run.folder / "weights" / GRAPH_FILE
    for path in (graph, run.folder / RELIABILITY_FILE, run.folder / INDEX_FILE):
        path.unlink()
    older = open_run(run.folder)
    assert older.reliability is None
    assert open_runtime(older).engine == "tensorflow"
    with pytest.raises(SystemExit) as ended:
        main(["calibrate", run.id, "--home", str(workspace.home)])
    assert ended.value.code == 0
    calibrated = open_run(run.folder)
    assert calibrated.reliability is not None
    assert open_runtime(calibrated).engine == "onnxruntime"


def test_the_record_says_what_was_held_back() -> None:
    table, calls = rows(40, 10), []
    images = ArrayImages(draw_faces((table["label"] == "without_mask").astype(int).tolist()))
    options = ReliabilityOptions(quantile=0.5)
    found = reliability_of(table, images, brightness, lambda *call: calls.append(call), options)
    record = found.record
    assert record["options"]["quantile"] == 0.5
    assert record["faces"] == {"train": 40, "validation": 10}
    seen = record["validation"]
    assert seen["not_like_training_data"] == 5  # the half beyond the median
    assert (seen["wrong"], seen["wrong_of_given"], seen["reached"]) == (0, 0, True)
    outside = sum(side["faces"] for side in seen["outside_band"].values())
    assert outside == 10 - found.not_sure(found.probability(brightness(images.take(np.arange(40, 50)))[0])).sum()
    assert calls[-1][:2] == (50, 50)
    assert found.face_ids == tuple(f"a/{n}" for n in range(40))


def test_test_faces_are_refused() -> None:
    table = rows(4, 2)
    table.loc[5, "split"] = "test"
    with pytest.raises(ValueError, match="not to test"):
        reliability_of(table, ArrayImages(draw_faces([0, 1] * 3)), brightness)


def test_without_validation_faces_there_is_none() -> None:
    with pytest.raises(RunError, match="needs training and validation faces"):
        reliability_of(rows(4, 0), ArrayImages(draw_faces([0, 1] * 2)), brightness)


def test_faces_that_are_not_here(run: Run, workspace: Workspace, tmp_path: Path) -> None:
    elsewhere = Workspace(tmp_path / "elsewhere")
    prepared(elsewhere, tmp_path / "data", {"with_mask": 12, "without_mask": 12}, seed=5)
    with pytest.raises(WorkspaceError, match="is not in this workspace"):
        calibrate_and_save(elsewhere, run)


def test_a_new_graph_does_not_vouch_for_a_damaged_file(run: Run, workspace: Workspace) -> None:
    """Only the graph's own digest is taken anew: figures whose bits had flipped must stay known as damaged."""
    (run.folder / "weights" / GRAPH_FILE).unlink()
    path = run.folder / "metrics.json"
    path.write_bytes(path.read_bytes().replace(b"0.", b"1.", 1))
    calibrate_and_save(workspace, open_run(run.folder))
    again = open_run(run.folder)
    with pytest.raises(RunError, match=r"metrics\.json cannot be read \(it is not as it was written\)"):
        _ = again.metrics
    assert open_runtime(again).engine == "onnxruntime"


def test_deleting_a_damaged_graph_and_calibrating_mends_it(run: Run, workspace: Workspace) -> None:
    graph = run.folder / "weights" / GRAPH_FILE
    graph.write_bytes(b"flipped")
    with pytest.raises(RunError, match=r"delete it, then `python -m maskdet calibrate RUN` makes it again"):
        _ = run.weights
    graph.unlink()
    calibrate_and_save(workspace, open_run(run.folder))
    assert open_runtime(open_run(run.folder)).engine == "onnxruntime"
