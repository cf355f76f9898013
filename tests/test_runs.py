"""Finding, listing and making run folders; most are written by hand."""

from pathlib import Path
from typing import Any

import pytest

from maskdet import runs
from maskdet.augment import AugmentOptions
from maskdet.catalog import DATA_DIR
from maskdet.errors import RunError, WorkspaceError
from maskdet.models import MODELS
from maskdet.models.cnn import CnnOptions
from maskdet.runs import FORMAT, find_run, list_runs, new_run_folder, open_run, runs_table
from maskdet.workspace import Workspace, write_json


@pytest.fixture(autouse=True)
def bundled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in the place of the runs that ship with MaskDet."""
    folder = tmp_path / "bundled"
    folder.mkdir()
    monkeypatch.setattr(runs, "BUNDLED", folder)
    return folder


def write_run(parent: Path, name: str, *, macro_f1: float = 0.9, **record: Any) -> Path:
    """A run's folder without weights."""
    folder = parent / name
    data = {"fingerprint": "abc", "faces": {"train": 30, "validation": 10, "test": 10}}
    whole = {
        "format": 1, "id": name, "model": "svm", "created": "2024-01-01T00:00:00Z", "options": {}, "data": data,
        "seconds": {"fit": 1.5},
    } | record  # fmt: skip
    write_json(folder / "run.json", whole)
    intervals = {"macro_f1": [0.8, 0.95]}
    write_json(folder / "metrics.json", {"macro_f1": macro_f1, "faces": 10, "intervals": intervals})
    return folder


@pytest.fixture
def own(workspace: Workspace) -> Path:
    """The workspace's folder of runs."""
    return workspace.path("runs")


def test_no_runs(workspace: Workspace) -> None:
    assert list_runs(workspace) == []
    assert not workspace.home.exists()
    with pytest.raises(RunError, match="none yet"):
        find_run(workspace)
    with pytest.raises(RunError, match="train svm"):
        find_run(workspace, "svm")


def test_find_by_id_model_and_nothing(workspace: Workspace, own: Path) -> None:
    write_run(own, "svm-1", created="2024-01-02T00:00:00Z")
    write_run(own, "cnn-1", model="cnn", created="2024-01-03T00:00:00Z")
    assert find_run(workspace, "svm-1").id == "svm-1"
    assert find_run(workspace, "svm").id == "svm-1"
    assert find_run(workspace, "cnn").title == "CNN (AlexNet-like)"
    assert find_run(workspace).id == "cnn-1"


def test_unknown_name(workspace: Workspace, own: Path) -> None:
    write_run(own, "svm-1")
    with pytest.raises(RunError, match=r"no run 'svm-2'.*\(svm-1\)"):
        find_run(workspace, "svm-2")
    with pytest.raises(RunError, match="no run of cnn yet"):
        find_run(workspace, "cnn")


def test_newest_wins(workspace: Workspace, own: Path) -> None:
    # By the time of its making: neither the name nor the score counts.
    write_run(own, "svm-a", created="2024-01-02T00:00:00Z", macro_f1=0.5)
    write_run(own, "svm-b", created="2024-01-01T00:00:00Z", macro_f1=0.99)
    assert find_run(workspace, "svm").id == "svm-a"
    assert find_run(workspace).id == "svm-a"


def test_bundled_wins_over_newer(workspace: Workspace, own: Path, bundled: Path) -> None:
    write_run(own, "svm-own", created="2025-01-01T00:00:00Z", macro_f1=0.99)
    write_run(own, "cnn-own", model="cnn")
    write_run(bundled, "svm-good", macro_f1=0.8)
    write_run(bundled, "svm-best", macro_f1=0.9)
    write_run(bundled, "svm-fair", macro_f1=0.7, created="2024-06-01T00:00:00Z")
    assert find_run(workspace, "svm").id == "svm-best"
    assert find_run(workspace).id == "svm-best"
    assert find_run(workspace, "svm").is_bundled
    assert find_run(workspace, "svm-own").id == "svm-own"
    assert not find_run(workspace, "svm-own").is_bundled
    assert find_run(workspace, "cnn").id == "cnn-own"


def test_list_passes_damaged_folders_over(workspace: Workspace, own: Path, bundled: Path) -> None:
    write_run(bundled, "cnn-z", model="cnn")
    write_run(own, "svm-1")
    write_run(own, "svm-3")
    (own / "empty").mkdir()
    write_run(own, "svm-2", format=FORMAT + 1)
    write_run(own, "svm-4", options=[1])
    (write_run(own, "svm-0") / "run.json").write_text('{"format": 1, "id"')
    write_json(own / "list" / "run.json", [1])
    write_json(own / "lacking" / "run.json", {"format": 1, "id": "lacking"})
    assert [run.id for run in list_runs(workspace)] == ["cnn-z", "svm-1", "svm-3"]


def test_open_refuses_later_formats_and_other_folders(own: Path) -> None:
    with pytest.raises(RunError, match="svm-2 was written by a later version"):
        open_run(write_run(own, "svm-2", format=FORMAT + 1))
    write_json(own / "x" / "run.json", {"format": 1})
    with pytest.raises(RunError, match="x is no run"):
        open_run(own / "x")
    with pytest.raises(WorkspaceError, match="cannot be read"):
        open_run(own / "nowhere")


@pytest.mark.parametrize(("augment", "plan"), [(True, "on-the-fly"), (False, "none")])
def test_runs_of_format_1_are_read_with_the_options_of_today(own: Path, augment: bool, plan: str) -> None:
    old = {"epochs": 3, "augment": augment, "augmentation": {"rotation": 20.0, "probability": 0.4}}
    folder = write_run(own, "cnn-1", model="cnn", format=1, options=old)
    written = (folder / "run.json").read_text()
    run = open_run(folder)
    assert run.record["format"] == FORMAT
    assert run.record["options"] == {"epochs": 3, "augmentation": {"rotation": 20.0, "probability": 0.4, "plan": plan}}
    options = CnnOptions(**run.record["options"])
    assert options.augmentation == AugmentOptions(plan=plan, rotation=20, probability=0.4)  # type: ignore[arg-type]
    assert (folder / "run.json").read_text() == written


def test_options_of_other_runs_stay_as_they_are(own: Path) -> None:
    for options in ({}, {"components": 4, "C": [1.0]}):
        assert open_run(write_run(own, "svm-1", options=options)).record["options"] == options
    today = {"augmentation": {"plan": "study"}}
    assert open_run(write_run(own, "cnn-1", format=FORMAT, options=today)).record["options"] == today


def test_the_bundled_run_opens() -> None:
    folders = [path.parent for path in (DATA_DIR / "runs").glob("*/run.json")]
    assert folders
    for folder in folders:
        run = open_run(folder)
        kind = MODELS[run.model_name].options_type()
        assert kind(**run.record["options"]).as_dict().keys() >= run.record["options"].keys()


def test_load_model_without_weights(own: Path) -> None:
    with pytest.raises(RunError, match="weights"):
        open_run(write_run(own, "svm-1")).load_model()


def test_runs_table(workspace: Workspace, own: Path, bundled: Path) -> None:
    write_run(own, "svm-1")
    write_run(bundled, "cnn-1", model="cnn", macro_f1=0.75)
    table = runs_table(list_runs(workspace))
    assert table.to_dict("records")[0] == {
        "run": "cnn-1", "model": "cnn", "created": "2024-01-01T00:00:00Z", "place": "bundled", "train_faces": 30,
        "test_faces": 10, "macro_f1": 0.75, "low": 0.8, "high": 0.95, "fit_seconds": 1.5, "data": "abc",
    }  # fmt: skip
    assert table["place"].tolist() == ["bundled", "workspace"]


def test_new_run_folder(workspace: Workspace, own: Path) -> None:
    with new_run_folder(workspace, "svm") as (run_id, folder):
        (folder / "file").write_text("x")
        assert not (own / run_id).exists()
        assert list_runs(workspace) == []
    assert [path.name for path in own.iterdir()] == [run_id]
    assert (own / run_id / "file").read_text() == "x"


def test_new_run_folders_at_the_same_time(workspace: Workspace, own: Path) -> None:
    ids = []
    for _ in range(3):
        with new_run_folder(workspace, "svm") as (first, _one), new_run_folder(workspace, "svm") as (second, _two):
            ids += [first, second]
    assert len(set(ids)) == 6
    assert sorted(path.name for path in own.iterdir()) == sorted(ids)


def test_new_run_folder_goes_away_if_the_block_fails(workspace: Workspace, own: Path) -> None:
    with pytest.raises(ZeroDivisionError), new_run_folder(workspace, "svm"):
        raise ZeroDivisionError
    assert list(own.iterdir()) == []


def test_full_disk_is_one_sentence(workspace: Workspace, own: Path) -> None:
    with pytest.raises(WorkspaceError, match="No space left"), new_run_folder(workspace, "svm"):
        raise OSError(28, "No space left on device")
    assert list(own.iterdir()) == []
