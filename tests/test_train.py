"""Trainings end to end, on drawn faces: what a run holds, how it is judged, what is an error, what was cut goes on."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from factories import CATALOG, Cut, cut_after, prepared, resplit, scanned_and_split, use_small_networks, write_tiny
from quick_trainings import NETWORK, RELIABILITY, SAME, SMALL, copies_drawn, logits

import maskdet.runs
from maskdet.augment import METHODS
from maskdet.errors import MaskDetError, RunError, WorkspaceError
from maskdet.facetable import load_faces
from maskdet.images import FaceImages, stored_images
from maskdet.models.cnn import Cnn
from maskdet.models.svm import Svm
from maskdet.quality import FilterOptions, apply_filters, save_filtered
from maskdet.runs import Run, find_run, find_unfinished, list_runs, open_run, runs_table, unfinished_runs
from maskdet.split import SplitOptions, load_split, save_split, split_faces
from maskdet.train import evaluate, resume, train
from maskdet.workspace import Workspace, write_json

pytestmark = pytest.mark.usefixtures("no_bundled_runs")


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The copies that networks are shown in training: face and copy."""
    return copies_drawn(monkeypatch)


@pytest.fixture(scope="module")
def trained_home(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A workspace with forty faces of one dataset and one run; not to be changed."""
    folder = tmp_path_factory.mktemp("trained")
    home = Workspace(folder / "home")
    prepared(home, folder / "data", {"with_mask": 20, "without_mask": 20})
    return home.home, train(home, "svm", SMALL).id


@pytest.fixture
def trained(workspace: Workspace, trained_home: tuple[Path, str]) -> Run:
    """The run of `trained_home`, in a workspace that may be changed."""
    shutil.copytree(trained_home[0], workspace.home)
    return open_run(workspace.path("runs", trained_home[1]))


# --- runs ------------------------------------------------------------------------------------------------------------


def test_a_run_folder_holds_everything(trained: Run) -> None:
    names = {path.relative_to(trained.folder).as_posix() for path in trained.folder.rglob("*") if path.is_file()}
    figures = {"run.json", "history.json", "metrics.json", "predictions.parquet"}
    assert names == figures | RELIABILITY | {"weights/model.skops"}
    assert trained.record["seed"] == 0
    assert trained.record["data"]["faces"] == {"train": 24, "validation": 8, "test": 8}
    assert trained.record["options"]["components"] == 4
    assert set(trained.record["seconds"]) == {"fit", "predict_train", "predict_validation", "predict_test"}
    assert len(trained.predictions) == 40
    assert trained.metrics["faces"] == 8
    assert len(trained.history) == 2
    assert {name: trained.record[name] for name in ("model", "limit", "base")} == {
        "model": "svm", "limit": None, "base": None
    }  # fmt: skip
    data = trained.record["data"]
    assert (data["pool"], data["datasets"], data["left_out"], data["watched"]) == ("main", ["tiny"], [], [])
    assert trained.record["seconds"]["fit"] >= round(trained.history["seconds"].sum(), 3)


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


def test_a_dataset_that_is_gone_is_no_training_data(workspace: Workspace, tmp_path: Path) -> None:
    prepared(workspace, tmp_path / "data", {"with_mask": 20, "without_mask": 20})
    trained = train(workspace, "svm", SMALL)
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
        write_json(folder / "run.json", trained.record | {"id": name, "digests": {}})
        write_json(folder / "metrics.json", trained.metrics | {"macro_f1": score})
    assert find_run(workspace, "svm").id == "better"
    assert find_run(workspace, "svm").is_bundled


def test_damaged_runs_are_passed_over_and_later_formats_refused(workspace: Workspace, trained: Run) -> None:
    broken = trained.folder.with_name("broken")
    broken.mkdir()
    (broken / "run.json").write_text("{")
    assert [run.id for run in list_runs(workspace)] == [trained.id]
    (broken / "run.json").write_text(json.dumps(trained.record | {"format": 99}))
    with pytest.raises(WorkspaceError, match="later version"):
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


@pytest.mark.parametrize(
    ("plan", "copies"), [("none", ["original"]), ("on-the-fly", ["variant"]), ("study", ["original", *METHODS])]
)
def test_training_draws_copies_of_training_faces_only(
    plan: str, copies: list[str], workspace: Workspace, trained: Run, drawn: list[tuple[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    judged: list[bytes] = []

    def predict(self: Cnn, images: FaceImages, *_args: Any) -> np.ndarray:
        judged.extend(image.tobytes() for image in images.take(np.arange(len(images))))
        return np.where(np.arange(len(images)) % 2, 1.0, -1.0)

    use_small_networks(monkeypatch)
    monkeypatch.setattr(Cnn, "predict_logit", predict)
    run = train(workspace, "cnn", NETWORK | {"epochs": 1, "augmentation": {"plan": plan}})

    in_training = run.predictions.loc[run.predictions["split"] == "train", "face_id"]
    assert len(in_training) == 24
    assert sorted(drawn) == sorted((face_id, copy) for face_id in in_training for copy in copies)
    assert run.record["options"]["augmentation"]["plan"] == plan
    faces = load_faces(workspace)
    stock = stored_images(workspace, faces, faces.table["face_id"]).take(np.arange(40))
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


@pytest.mark.parametrize("part", ["validation", "test"])
def test_an_empty_part_is_an_error_before_any_work(
    workspace: Workspace, trained: Run, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where all faces of a label are in one photo, for example."""
    split = load_split(workspace, load_faces(workspace))
    table = split.table.assign(split=split.table["split"].replace(part, "train"))
    monkeypatch.setattr("maskdet.training_data.load_split", lambda *_: type(split)(table, split.options, "", "", {}))
    monkeypatch.setattr(Svm, "fit", lambda *_a, **_k: pytest.fail("work started"))
    with pytest.raises(MaskDetError, match=f"The {part} split has no face with_mask; a model needs both labels"):
        train(workspace, "svm", SMALL)
    assert [path.name for path in workspace.path("runs").iterdir()] == [trained.id]


def test_without_faces_training_says_what_comes_first(workspace: Workspace) -> None:
    with pytest.raises(WorkspaceError, match="maskdet scan"):
        train(workspace, "svm", SMALL)


def test_an_earlier_split_by_its_fingerprint(workspace: Workspace, trained: Run) -> None:
    """The filters that its faces passed are noted with it, whatever was filtered since."""
    faces = load_faces(workspace)
    save_filtered(workspace, apply_filters(faces, FilterOptions(small=True, min_side=999, rgb=False)))
    resplit(workspace, faces, SplitOptions(seed=5))
    again = train(workspace, "svm", SMALL, fingerprint=trained.fingerprint)
    assert again.record["data"] == trained.record["data"]
    np.testing.assert_allclose(logits(again), logits(trained), rtol=SAME, atol=SAME)
    with pytest.raises(WorkspaceError, match="There is no split 0123456789ab"):
        train(workspace, "svm", SMALL, fingerprint="0123456789ab")


# --- going on --------------------------------------------------------------------------------------------------------


def test_a_training_that_was_cut_goes_on(workspace: Workspace, trained: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the split that it was begun on, though another is in force by now."""
    with monkeypatch.context() as patch:
        patch.setattr("maskdet.train.FolderCheckpoint", cut_after(1))
        with pytest.raises(Cut):
            train(workspace, "svm", SMALL)
    (cut,) = unfinished_runs(workspace)
    assert (cut.resumable, cut.active, len(cut.history)) == (True, False, 1)
    assert [run.id for run in list_runs(workspace)] == [trained.id]
    resplit(workspace, load_faces(workspace), SplitOptions(seed=5))
    ids: list[str] = []
    run = resume(workspace, cut.id, started=ids.append)
    assert ids == [run.id] == [cut.id]
    assert unfinished_runs(workspace) == []
    np.testing.assert_allclose(logits(run), logits(trained), rtol=SAME, atol=SAME)
    assert {**run.record["data"]} == {**trained.record["data"]}
    assert run.record["options"] == trained.record["options"]
    assert run.history["f1_macro"].tolist() == pytest.approx(trained.history["f1_macro"].tolist())
    assert run.record["seconds"]["fit"] >= round(run.history["seconds"].sum(), 3)  # of both processes
    files = {path.relative_to(run.folder).as_posix() for path in run.folder.rglob("*") if path.is_file()}
    assert files == {
        path.relative_to(trained.folder).as_posix() for path in trained.folder.rglob("*") if path.is_file()
    }
    with pytest.raises(RunError, match=f"There is no unfinished training '{run.id}'"):
        resume(workspace, run.id)


def test_a_resume_that_fails_may_be_tried_again(
    workspace: Workspace, trained: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("maskdet.train.FolderCheckpoint", cut_after(1))
        with pytest.raises(Cut):
            train(workspace, "svm", SMALL)
    (cut,) = unfinished_runs(workspace)
    shutil.move(workspace.path("shards"), tmp_path / "away")
    with pytest.raises(WorkspaceError, match="incomplete"):
        resume(workspace, cut.id)
    shutil.move(tmp_path / "away", workspace.path("shards"))
    assert find_unfinished(workspace, cut.id).resumable
    assert resume(workspace, cut.id).id == cut.id


def test_a_full_disk_is_one_sentence_and_leaves_no_half_run(
    workspace: Workspace, trained: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_args: Any, **_kwargs: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for target, left in (("numpy.savez", 0), ("maskdet.models.svm.Svm.save", 1)):
        with monkeypatch.context() as patch:
            patch.setattr(target, full)
            with pytest.raises(WorkspaceError, match=r"cannot be written \(No space left on device\)\.$"):
                train(workspace, "svm", SMALL)
        assert [run.id for run in list_runs(workspace)] == [trained.id]
        assert len(unfinished_runs(workspace)) == left
    (cut,) = unfinished_runs(workspace)  # fitted, and only the weights are still to be written
    np.testing.assert_allclose(logits(resume(workspace, cut.id)), logits(trained), rtol=SAME, atol=SAME)


def test_a_workspace_that_cannot_be_written_is_told_first(workspace: Workspace, trained: Run) -> None:
    shutil.rmtree(workspace.home)
    workspace.home.write_text("a file where the folder should be")
    with pytest.raises(WorkspaceError, match="cannot be written"):
        train(workspace, "svm", SMALL)


@pytest.fixture
def killed(workspace: Workspace, tmp_path: Path) -> str:
    """The id of a real training of the CNN that was killed after an epoch, in a process of its own."""
    write_tiny(tmp_path / "data/tiny", {"with_mask": 15, "without_mask": 15})
    scanned_and_split(workspace, tmp_path / "data")
    command = [sys.executable, "-m", "maskdet", "train", "cnn", "--home", workspace.home, "--epochs", "6", "--seed",
               "3", "--set", "batch_size=3", "--set", "precision=float32"]  # fmt: skip
    project = Path(__file__).resolve().parents[1]
    with subprocess.Popen(command, cwd=project, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        runs = workspace.path("runs")
        while process.poll() is None and not list(runs.glob(".*.partial/checkpoint.npz")):
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        assert process.stderr
        said = process.stderr.read().decode()
        assert process.wait() == -signal.SIGKILL, said
    (cut,) = unfinished_runs(workspace)
    return cut.id


def test_a_process_that_was_killed_is_gone_on_with(workspace: Workspace, killed: str) -> None:
    cut = find_unfinished(workspace, killed)
    assert 1 <= len(cut.history) < 6
    resumed = resume(workspace, killed)
    options = {"epochs": 6, "batch_size": 3, "precision": "float32"}
    whole = train(workspace, "cnn", options, seed=3)
    np.testing.assert_allclose(logits(resumed), logits(whole), rtol=SAME, atol=SAME)
    assert resumed.history["loss"].tolist() == pytest.approx(whole.history["loss"].tolist(), rel=SAME)
    assert sorted(path.name for path in resumed.folder.iterdir()) == sorted(
        path.name for path in whole.folder.iterdir()
    )
