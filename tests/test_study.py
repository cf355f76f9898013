"""The study by one command: every step once, whatever cuts it, and nothing of another study."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from factories import STUDY, Cut, cut_after, small_study
from filelock import FileLock

from maskdet import study
from maskdet.crossval import LEFT_OUT_FILE, OUT_OF_SAMPLE_FILE
from maskdet.errors import MaskDetError, RunError, WorkspaceError
from maskdet.facetable import load_faces
from maskdet.runs import open_run, unfinished_runs
from maskdet.split import load_split
from maskdet.study import STATE_FILE, Recipe, StudyOptions, recipes, run_study
from maskdet.workspace import Workspace, read_json

STEPS = [
    "inceptionv3", "svm", "pre-training", "cnn", "cnn-transfer without 2.2", "cnn-transfer", "svm: other sources",
    "inceptionv3: other sources", "inceptionv3: cross-validation",
]  # fmt: skip


@pytest.fixture
def done(studied: Path, workspace: Workspace) -> Workspace:
    """The workspace of the study that is done, which may be changed."""
    shutil.copytree(studied / "home", workspace.home)
    return workspace


@pytest.fixture
def _nothing_is_done_again(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("train", "resume", "leave_one_dataset_out", "cross_validate"):
        monkeypatch.setattr(study, name, lambda *_a, _n=name, **_k: pytest.fail(f"{_n} was called"))


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    """The datasets, drawn anew, and small networks."""
    with small_study(tmp_path / "data") as folder:
        yield folder


def state_of(workspace: Workspace) -> dict[str, Any]:
    return dict(read_json(workspace.path(STATE_FILE), version=1))


# --- what is trained -------------------------------------------------------------------------------------------------


def test_recipes() -> None:
    plain = recipes(StudyOptions())
    assert [(name, recipe.model) for name, recipe in plain.items()] == [
        ("inceptionv3", "inceptionv3"), ("svm", "svm"), ("pre-training", "cnn"), ("cnn", "cnn"),
        ("cnn-transfer", "cnn-transfer"),
    ]  # fmt: skip
    assert plain["inceptionv3"].options["weights"] == "imagenet"
    assert plain["pre-training"].plan == {"pool": "pre-training"}
    assert plain["pre-training"].options["augmentation"] == {"plan": "study"}
    assert plain["cnn"].options["schedule"] == "cosine"
    assert plain["svm"] == Recipe("svm")
    quick = recipes(StudyOptions(weights="none", cut="mixed5", epochs=1))
    assert {name: recipe.options.get("epochs") for name, recipe in quick.items()} == dict.fromkeys(quick, 1) | {
        "svm": None
    }
    assert {"weights": "none", "cut": "mixed5"}.items() <= quick["inceptionv3"].options.items()


def test_every_step_is_done_and_noted(studied: Path) -> None:
    workspace = Workspace(studied / "home")
    state = state_of(workspace)
    # Both datasets of the main pool are as large; the first is left out to tell how long to train.
    assert list(state["steps"]) == STEPS
    assert all(step["seconds"] >= 0 for step in state["steps"].values())
    assert state["environment"]["packages"]["keras"]
    assert state["fingerprint"] == load_split(workspace, load_faces(workspace)).fingerprint
    runs = {name: open_run(workspace.path("runs", state["steps"][name]["run"])) for name in STEPS[:6]}
    assert len({run.id for run in runs.values()}) == 6
    for run in runs.values():
        assert (run.fingerprint, run.record["limit"], run.record["seed"]) == (state["fingerprint"], 24, 0)
    assert [runs[name].record["data"]["watched"] for name in STEPS[:6]] == [["1"], [], [], [], ["2.2"], []]
    assert runs["pre-training"].record["data"]["pool"] == "pre-training"
    assert runs["cnn-transfer"].record["base"] == runs["pre-training"].id
    assert unfinished_runs(workspace) == []
    said = (studied / "said.txt").read_text().splitlines()
    assert said[0].startswith("Scanning ")
    for name, run in runs.items():
        assert said.index(f"{name}: training") + 1 == next(
            i for i, t in enumerate(said) if t.startswith(f"{name}: {run.id}, ")
        )


def test_the_transfer_is_trained_for_as_long_as_was_best_without_a_dataset(studied: Path) -> None:
    workspace = Workspace(studied / "home")
    steps = state_of(workspace)["steps"]
    trial, transfer = (open_run(workspace.path("runs", steps[n]["run"])) for n in STEPS[4:6])
    kept = trial.history[trial.history["kept"] == 1].index[0]
    epochs = max(1, int((trial.history.loc[:kept, "phase"] == 2).sum()))
    assert transfer.record["options"]["epochs"] == epochs
    assert transfer.record["options"]["keep_best"] is False
    assert transfer.history["kept"].tolist() == [0] * (len(transfer.history) - 1) + [1]


def test_other_sources_and_cross_validation_lie_with_their_runs(studied: Path) -> None:
    workspace = Workspace(studied / "home")
    steps = state_of(workspace)["steps"]
    for name in ("svm", "inceptionv3"):
        (found,) = json.loads(workspace.path("runs", steps[name]["run"], LEFT_OUT_FILE).read_text())
        assert found["model"] == name
        assert [row["dataset"] for row in found["rows"]] == ["1", "2.2", "3.2"]
    assert found["options"]["frozen"] is True
    run = open_run(workspace.path("runs", steps["inceptionv3"]["run"]))
    table = pd.read_parquet(run.folder / OUT_OF_SAMPLE_FILE)
    assert set(table["face_id"]) == set(run.predictions["face_id"])


# --- again, and on ---------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("_nothing_is_done_again")
def test_what_is_done_is_not_done_again(done: Workspace, studied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "_FEWEST_WATCHED", 10)
    before, said = state_of(done), []
    assert run_study(done, studied / "data", STUDY, say=said.append) == before == state_of(done)
    for name in STEPS[:6]:
        assert f"{name}: done already, {before['steps'][name]['run']}" in said


def test_a_run_that_was_removed_is_trained_again_alone(
    done: Workspace, studied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = state_of(done)
    shutil.rmtree(done.path("runs", state["steps"]["cnn"]["run"]))
    trained: list[str] = []

    def train(_workspace: Workspace, model: str, _options: Any, **_more: Any) -> None:
        trained.append(model)
        raise Cut

    monkeypatch.setattr(study, "train", train)
    with pytest.raises(Cut):
        run_study(done, studied / "data", STUDY)
    assert trained == ["cnn"]


@pytest.mark.parametrize(
    "other", [{"cut": "mixed8"}, {"limit": None}, {"seed": 1}, {"epochs": 2}, {"weights": "imagenet"}]
)
@pytest.mark.usefixtures("_nothing_is_done_again")
def test_other_options_are_refused(done: Workspace, studied: Path, other: dict[str, Any]) -> None:
    before = state_of(done)
    with pytest.raises(
        MaskDetError, match=r"was begun with other options \(.*'mixed5'.*\); use those, or another work"
    ):
        run_study(done, studied / "data", StudyOptions(**STUDY.__dict__ | other))
    assert state_of(done) == before


def test_a_study_that_was_cut_goes_on_with_the_training_that_was_cut(
    data: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr("maskdet.train.FolderCheckpoint", cut_after(1))
        with pytest.raises(Cut):
            run_study(workspace, data, STUDY, started=ids.append)
    assert state_of(workspace)["steps"] == {"inceptionv3": {"run": ids[0]}}
    (cut,) = unfinished_runs(workspace)
    assert (cut.id, len(cut.history)) == (ids[0], 1)

    def train(_workspace: Workspace, model: str, _options: Any, **_more: Any) -> None:
        raise Cut(model)

    monkeypatch.setattr(study, "train", train)
    with pytest.raises(Cut, match="svm"):  # what comes after it
        run_study(workspace, data, STUDY, started=ids.append)
    assert ids == [ids[0]] * 2
    run = open_run(workspace.path("runs", ids[0]))
    assert len(run.history) == 2
    assert state_of(workspace)["steps"]["inceptionv3"] == {"run": run.id, "seconds": run.record["seconds"]["fit"]}


def test_one_that_was_cut_before_its_first_epoch_is_trained_anew(
    data: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a killed process leaves it: a folder without a checkpoint, which nothing else would remove."""
    with monkeypatch.context() as patch:
        patch.setattr("maskdet.train.FolderCheckpoint.save", lambda *_: (_ for _ in ()).throw(Cut()))
        with pytest.raises(Cut):
            run_study(workspace, data, STUDY)
    run_id = state_of(workspace)["steps"]["inceptionv3"]["run"]
    partial = workspace.path("runs", f".{run_id}.partial")
    partial.mkdir(parents=True)
    (partial / "plan.json").write_text(json.dumps({"id": run_id, "model": "inceptionv3"}))
    trained: list[str] = []

    def train(_workspace: Workspace, model: str, _options: Any, **_more: Any) -> None:
        trained.append(model)
        raise Cut

    monkeypatch.setattr(study, "train", train)
    with pytest.raises(Cut):
        run_study(workspace, data, STUDY)
    assert trained == ["inceptionv3"]
    assert unfinished_runs(workspace) == []


def test_one_that_another_process_trains_is_not_trained_twice(done: Workspace, studied: Path) -> None:
    state = state_of(done)
    run_id = state["steps"]["svm"]["run"]
    shutil.rmtree(done.path("runs", run_id))
    partial = done.path("runs", f".{run_id}.partial")
    partial.mkdir()
    (partial / "plan.json").write_text(json.dumps({"id": run_id, "model": "svm"}))
    with FileLock(partial / ".lock"), pytest.raises(RunError, match=f"{run_id} is being trained right now"):
        run_study(done, studied / "data", STUDY)
    assert partial.is_dir()


# --- other data ------------------------------------------------------------------------------------------------------


def test_without_simulated_masks_there_is_no_transfer(
    data: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(data / "1")
    kept = ("pre-training", "cnn-transfer")
    plain = study.recipes
    monkeypatch.setattr(study, "recipes", lambda options: {name: plain(options)[name] for name in kept})
    monkeypatch.setattr(study, "train", lambda *_a, **_k: pytest.fail("trained"))
    said: list[str] = []
    assert run_study(workspace, data, STUDY, say=said.append)["steps"] == {}
    assert said[-1] == "No dataset of simulated masks with both labels: no pre-training and no transfer learning."


def test_a_folder_without_datasets_is_told_first(tmp_path: Path, workspace: Workspace) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(MaskDetError, match="No dataset found"):
        run_study(workspace, tmp_path / "empty", STUDY)
    assert not workspace.path(STATE_FILE).exists()


def test_faces_that_changed_in_between_are_told(done: Workspace, tmp_path: Path) -> None:
    """The split that the study was begun on is of the faces that were there then."""
    with small_study(tmp_path / "data") as data:
        (data / "2.2/with_mask/000.png").unlink()
        with pytest.raises(WorkspaceError, match="The faces changed since they were split"):
            run_study(done, data, STUDY)
