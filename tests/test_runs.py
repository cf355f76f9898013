"""Finding, listing and making run folders; most are written by hand."""

import errno
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from written_runs import validated

from maskdet import runs
from maskdet.augment import AugmentOptions
from maskdet.catalog import DATA_DIR
from maskdet.errors import RunError, WorkspaceError
from maskdet.models import MODELS
from maskdet.models.checkpoint import CHECKPOINT_FILE, HISTORY_FILE
from maskdet.models.cnn import CnnOptions
from maskdet.runs import (
    FORMAT,
    discard_unfinished,
    find_run,
    find_unfinished,
    list_runs,
    new_run_folder,
    open_run,
    run_folder,
    runs_table,
    unfinished_runs,
    write_plan,
)
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
    validated(write_run(bundled, "svm-good", macro_f1=0.95), 2)
    validated(write_run(bundled, "svm-best", macro_f1=0.9), 1)  # on validation faces; test faces choose nothing
    validated(write_run(bundled, "svm-fair", macro_f1=0.99, created="2024-06-01T00:00:00Z"), 3)
    write_run(bundled, "svm-none", macro_f1=1.0, created="2024-07-01T00:00:00Z")  # nothing is known of it
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
    with pytest.raises(WorkspaceError, match=r"svm-2/run\.json was written by a later version"):
        open_run(write_run(own, "svm-2", format=FORMAT + 1))
    write_json(own / "x" / "run.json", {"format": 1})
    with pytest.raises(RunError, match=r"x/run\.json cannot be read \(it is of another kind\): bring it back"):
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


@pytest.mark.parametrize("augmentation", [None, True, "study", [1]])
def test_a_run_whose_augmentation_is_of_another_kind_is_passed_over(
    workspace: Workspace, own: Path, augmentation: object
) -> None:
    write_run(own, "cnn-1", model="cnn", format=1, options={"augment": True, "augmentation": augmentation})
    write_run(own, "svm-1")
    with pytest.raises(RunError, match=r"cnn-1/run\.json cannot be read \(it is of another kind\)"):
        open_run(own / "cnn-1")
    assert [run.id for run in list_runs(workspace)] == ["svm-1"]


def test_options_of_other_runs_stay_as_they_are(own: Path) -> None:
    for options in ({}, {"components": 4, "C": [1.0]}):
        assert open_run(write_run(own, "svm-1", options=options)).record["options"] == options
    today = {"augmentation": {"plan": "study"}}
    assert open_run(write_run(own, "cnn-1", format=FORMAT, options=today)).record["options"] == today


def test_the_bundled_runs_open() -> None:
    folders = [path.parent for path in DATA_DIR.glob("*/*/run.json")]
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
        "run": "cnn-1", "model": "cnn", "pool": "main", "created": "2024-01-01T00:00:00Z", "place": "bundled",
        "train_faces": 30, "test_faces": 10, "macro_f1": 0.75, "low": 0.8, "high": 0.95, "fit_seconds": 1.5,
        "data": "abc",
    }  # fmt: skip
    assert table["place"].tolist() == ["bundled", "workspace"]


def test_a_run_without_an_interval_is_listed(workspace: Workspace, own: Path) -> None:
    """Macro F1 has none where every resample lacks a label."""
    metrics = {"macro_f1": 0.5, "faces": 2}
    for number, intervals in enumerate(({"macro_f1": None}, {})):
        write_json(write_run(own, f"svm-{number}") / "metrics.json", metrics | {"intervals": intervals})
    table = runs_table(list_runs(workspace))
    assert table["macro_f1"].tolist() == [0.5, 0.5]
    assert table[["low", "high"]].isna().all(axis=None)


# --- while it is trained ---------------------------------------------------------------------------------------------

#: What trains leaves behind; the lock stays until the folder's name changes.
PLAN = {"model": "svm", "options": {}, "seed": 0, "limit": None, "base": None, "created": "2024-01-01T00:00:00Z"}


@contextmanager
def training(workspace: Workspace, *, checkpoint: bool = False) -> Iterator[tuple[str, Path]]:
    """A folder as `maskdet.train.train` fills it."""
    with new_run_folder(workspace, "svm") as (run_id, folder):
        write_plan(folder, PLAN | {"id": run_id})
        if checkpoint:
            (folder / CHECKPOINT_FILE).write_bytes(b"a state")
            write_json(folder / HISTORY_FILE, [{"C": 1.0, "f1_macro": 0.5}])
        yield run_id, folder


def cut(workspace: Workspace) -> str:
    """The id of a training that was cut after its first grid point."""
    with pytest.raises(ZeroDivisionError), training(workspace, checkpoint=True) as (run_id, _):
        raise ZeroDivisionError
    return run_id


def test_new_run_folder(workspace: Workspace, own: Path) -> None:
    with training(workspace, checkpoint=True) as (run_id, folder):
        (folder / "file").write_text("x")
        assert folder == own / f".{run_id}.partial"
        assert not (own / run_id).exists()
        assert list_runs(workspace) == []
        (unfinished,) = unfinished_runs(workspace)
        assert (unfinished.id, unfinished.model_name, unfinished.active) == (run_id, "svm", True)
    assert [path.name for path in own.iterdir()] == [run_id]
    assert sorted(path.name for path in (own / run_id).iterdir()) == ["file", HISTORY_FILE]
    assert unfinished_runs(workspace) == []


def test_what_a_killed_process_was_writing_is_no_part_of_a_run(workspace: Workspace, own: Path) -> None:
    """Half a checkpoint, which nobody else removes once its process is gone, may be as large as the weights twice."""
    run_id = cut(workspace)
    partial = own / f".{run_id}.partial"
    (partial / f".{CHECKPOINT_FILE}.0123456789ab.tmp").write_bytes(b"half a state")
    with run_folder(partial, run_id):
        (partial / "run.json").write_text("{}")
    assert sorted(path.name for path in (own / run_id).iterdir()) == [HISTORY_FILE, "run.json"]


def test_new_run_folders_at_the_same_time(workspace: Workspace, own: Path) -> None:
    ids = []
    for _ in range(3):
        with new_run_folder(workspace, "svm") as (first, _one), new_run_folder(workspace, "svm") as (second, _two):
            ids += [first, second]
    assert len(set(ids)) == 6
    assert sorted(path.name for path in own.iterdir()) == sorted(ids)


def test_a_failure_before_the_first_checkpoint_leaves_nothing(workspace: Workspace, own: Path) -> None:
    with pytest.raises(ZeroDivisionError), training(workspace):
        raise ZeroDivisionError
    assert list(own.iterdir()) == []


def test_a_failure_after_it_leaves_what_to_go_on_from(workspace: Workspace, own: Path) -> None:
    run_id = cut(workspace)
    (unfinished,) = unfinished_runs(workspace)
    assert unfinished.folder == own / f".{run_id}.partial"
    assert (unfinished.id, unfinished.resumable, unfinished.active) == (run_id, True, False)
    assert unfinished.plan == PLAN | {"id": run_id}
    assert unfinished.history.to_dict("records") == [{"C": 1.0, "f1_macro": 0.5}]
    assert find_unfinished(workspace, run_id) == unfinished
    assert list_runs(workspace) == []


def test_one_that_was_killed_before_it_cannot_go_on_but_be_discarded(workspace: Workspace, own: Path) -> None:
    folder = own / ".svm-1.partial"
    folder.mkdir(parents=True)
    write_plan(folder, PLAN | {"id": "svm-1"})
    (unfinished,) = unfinished_runs(workspace)
    assert (unfinished.resumable, unfinished.active, len(unfinished.history)) == (False, False, 0)
    with pytest.raises(RunError, match="svm-1 was cut before its first epoch or grid point was done; train it anew"):
        find_unfinished(workspace, "svm-1")
    discard_unfinished(workspace, "svm-1")
    assert list(own.iterdir()) == []


def test_damaged_folders_of_trainings_are_passed_over(workspace: Workspace, own: Path) -> None:
    run_id = cut(workspace)
    for name, content in (("a", "{"), ("b", "[1]"), ("c", json.dumps({"id": "c"}))):
        (own / f".{name}.partial").mkdir()
        (own / f".{name}.partial/plan.json").write_text(content)
    (own / ".d.partial").mkdir()
    assert [unfinished.id for unfinished in unfinished_runs(workspace)] == [run_id]
    for name in "abc":
        discard_unfinished(workspace, name)  # which is what mends it
    assert {path.name for path in own.iterdir()} == {f".{run_id}.partial", ".d.partial"}


def test_an_unknown_training(workspace: Workspace) -> None:
    with pytest.raises(RunError, match=r"There is no unfinished training 'svm-9' \(there are none\)"):
        find_unfinished(workspace, "svm-9")
    run_id = cut(workspace)
    with pytest.raises(RunError, match=rf"There is no unfinished training 'svm-9' \({run_id}\)"):
        find_unfinished(workspace, "svm-9")
    with pytest.raises(RunError, match="There is no unfinished training 'svm-9'"):
        discard_unfinished(workspace, "svm-9")


def test_discard(workspace: Workspace, own: Path) -> None:
    write_run(own, "svm-1")
    discard_unfinished(workspace, cut(workspace))
    assert [path.name for path in own.iterdir()] == ["svm-1"]


def test_one_that_cannot_be_deleted_is_told(workspace: Workspace, own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = cut(workspace)

    def refuse(folder: Path) -> None:
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr("shutil.rmtree", refuse)
    with pytest.raises(WorkspaceError, match=rf"\.{run_id}\.partial cannot be deleted \(Permission denied\)\.$"):
        discard_unfinished(workspace, run_id)


@pytest.fixture
def held_elsewhere(workspace: Workspace, own: Path) -> Iterator[str]:
    """The id of a training whose lock another process holds."""
    run_id = cut(workspace)
    code = (
        "import sys; from filelock import FileLock; lock = FileLock(sys.argv[1]); lock.acquire(); "
        "print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(own / f".{run_id}.partial/.lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        yield run_id
        process.communicate(timeout=30)


def test_one_that_another_process_trains(workspace: Workspace, own: Path, held_elsewhere: str) -> None:
    (unfinished,) = unfinished_runs(workspace)
    assert unfinished.active
    with pytest.raises(RunError, match=f"{held_elsewhere} is being trained right now"):
        find_unfinished(workspace, held_elsewhere)
    with pytest.raises(RunError, match=f"{held_elsewhere} is being trained right now; stop it first"):
        discard_unfinished(workspace, held_elsewhere)
    with (
        pytest.raises(RunError, match=f"{held_elsewhere} is being trained right now"),
        run_folder(own / f".{held_elsewhere}.partial", held_elsewhere),
    ):
        pytest.fail("two processes in one folder")
    assert unfinished.resumable


def test_to_look_whether_it_runs_keeps_nobody_from_going_on(workspace: Workspace, own: Path) -> None:
    """A page that asks holds the lock for an instant."""
    run_id = cut(workspace)
    lock = FileLock(own / f".{run_id}.partial/.lock", thread_local=False)
    lock.acquire()
    threading.Thread(target=lambda: (time.sleep(0.2), lock.release())).start()
    with run_folder(own / f".{run_id}.partial", run_id):
        pass
    assert (own / run_id).is_dir()


@pytest.mark.parametrize("checkpoint", [False, True])
@pytest.mark.parametrize(
    "said", ["No space left on device", "Can't write data (file write failed: time = now\n, buf = 0x5)"]
)
def test_full_disk_is_one_sentence(workspace: Workspace, own: Path, checkpoint: bool, said: str) -> None:
    """Also where HDF5 says it, in lines of its own."""
    sentence = r"^Run svm-[0-9-]+ cannot be written \(No space left on device\)\.$"
    with pytest.raises(WorkspaceError, match=sentence), training(workspace, checkpoint=checkpoint):
        raise OSError(errno.ENOSPC, said)
    assert list_runs(workspace) == []
    assert len(unfinished_runs(workspace)) == len(list(own.iterdir())) == int(checkpoint)


def test_a_workspace_that_cannot_be_written(workspace: Workspace) -> None:
    workspace.home.mkdir()
    (workspace.home / "runs").write_text("a file where the folder should be")
    with pytest.raises(WorkspaceError, match=r"runs/\.svm-.*\.partial cannot be written \("), training(workspace):
        pytest.fail("work started")


@pytest.mark.parametrize("name", ["/../../.x", "../.x", "", "x/../../x"])
def test_nothing_else_is_discarded(workspace: Workspace, own: Path, name: str) -> None:
    write_plan(workspace.home / ".x.partial", PLAN)
    own.mkdir(exist_ok=True)
    with pytest.raises(RunError, match="There is no unfinished training"):
        discard_unfinished(workspace, name)
