"""Runs: one folder for each trained model, whole or not there at all. Reading one needs no TensorFlow.

run.json               id, model, options, seed, base (the pre-training run it began with), balance (by what, and the
                       training faces of each group and label before and after), data (fingerprint, pool, faces,
                       datasets, left-out and watched ones, filter and split options), environment, wall times
history.json           what was measured while fitting, an entry an epoch or grid point
metrics.json           the test split (see `maskdet.metrics.evaluate_predictions`)
predictions.parquet    a row a face: face_id, dataset, label, group, split, logit, p_without_mask
weights/               what `Model.save` wrote
reliability.json, .npz when not to believe a verdict (see `maskdet.reliability`); runs before version 0.2 have none
balance.parquet        how much each training face counted, where they were balanced (see `maskdet.balance`)
left_out.json          optional: macro F1 on each dataset that was left out of training (see `maskdet.crossval`)
out_of_sample.parquet  optional: cross-validated predictions of all faces, of models of the options in
                       out_of_sample.json (see `maskdet.crossval`)

While it is trained it is ``.ID.partial``, with plan.json, which says what to train, and a checkpoint from which a
training that was cut goes on.
"""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import pandas as pd
from filelock import FileLock, Timeout

from maskdet.catalog import DATA_DIR, Pool
from maskdet.errors import RunError, WorkspaceError
from maskdet.labels import CLASSES
from maskdet.models import MODELS, Model, create_model
from maskdet.models.checkpoint import CHECKPOINT_FILE, HISTORY_FILE, read_history
from maskdet.reliability import Reliability, load_reliability
from maskdet.run_records import FORMAT, is_whole, read_predictions, require_metrics, upgraded
from maskdet.seals import require_whole, sealed_files
from maskdet.workspace import (
    LOCK_FILE,
    Workspace,
    flush,
    flush_tree,
    is_held,
    is_record,
    read_json,
    remove,
    require_version,
    unreadable,
    write_json,
)

#: Runs that ship with MaskDet: the study, done again.
BUNDLED: Final = DATA_DIR / "study"
_PLAN_FILE: Final = "plan.json"
#: Ids of runs become names of files, and words of commands.
_ID: Final = re.compile(r"\w[\w.-]{0,199}")
#: Who only asks whether a folder is held holds it for an instant (see `Unfinished.active`).
_SECONDS_TO_LOCK: Final = 1
#: Columns of a run's predictions that everything needs.
PREDICTED: Final = ("face_id", "dataset", "label", "split")
#: What only a training needs.
_LEFTOVERS: Final = (_PLAN_FILE, LOCK_FILE, CHECKPOINT_FILE)


@dataclass(frozen=True)
class Run:
    """A finished run."""

    folder: Path
    record: dict[str, Any]

    @property
    def id(self) -> str:
        """The run's id, also its folder's name."""
        return str(self.record["id"])

    @property
    def model_name(self) -> str:
        """Which model was trained."""
        return str(self.record["model"])

    @property
    def title(self) -> str:
        """The model's name for people."""
        kind = MODELS.get(self.model_name)
        return str(kind.title) if kind else self.model_name

    @property
    def is_bundled(self) -> bool:
        """True for a run that ships with MaskDet."""
        return self.folder.parent == BUNDLED

    @property
    def pool(self) -> Pool:
        """The pool whose faces it was trained and tested on: main, or pre-training for the base of a transfer."""
        pool: Pool = self.record["data"].get("pool", "main")
        return pool

    @property
    def remark(self) -> str:
        """What is to be known of its running times, "" if nothing."""
        return str(self.record.get("bundle", {}).get("remark", ""))

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the split it was trained on."""
        return str(self.record["data"]["fingerprint"])

    @cached_property
    def metrics(self) -> dict[str, Any]:
        """Metrics on its test split. Raises RunError or WorkspaceError if they are damaged."""
        found: dict[str, Any] = read_json(self._whole("metrics.json"))
        require_metrics(self.folder / "metrics.json", found)
        return found

    @cached_property
    def history(self) -> pd.DataFrame:
        """What was measured while fitting."""
        return pd.DataFrame(read_history(self._whole("history.json")))

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """Its predictions for every face of its training, validation and test split. Raises as `read_predictions`."""
        return read_predictions(self._whole("predictions.parquet"), PREDICTED)

    @cached_property
    def validation_macro_f1(self) -> float | None:
        """Macro F1 on its validation faces; None where one of a label lacks, or its predictions are damaged."""
        from maskdet.metrics import confusion_matrix, scores

        try:
            held = self.predictions[self.predictions["split"] == "validation"]
        except (RunError, WorkspaceError):
            return None
        held = held[held["label"].isin(CLASSES)]
        if "logit" not in held or held["label"].nunique() < len(CLASSES):
            return None
        return float(scores(confusion_matrix(held["label"] == CLASSES[1], held["logit"] > 0))["macro_f1"])

    @property
    def precedence(self) -> tuple[float, str]:
        """By which the best of several runs is the largest: macro F1 on validation faces, if known, and how new."""
        return -1.0 if self.validation_macro_f1 is None else self.validation_macro_f1, str(self.record["created"])

    @cached_property
    def reliability(self) -> Reliability | None:
        """When not to believe its verdicts, None where it has nothing to tell. Raises as `load_reliability`."""
        return load_reliability(self.folder)

    def load_model(self) -> Model:
        """The trained model. Raises RunError or WorkspaceError if its weights cannot be read."""
        model = create_model(self.model_name, self.record["options"])
        model.load(self.weights)
        return model

    @property
    def weights(self) -> Path:
        """The folder of its weights. Raises RunError or WorkspaceError if they are not those that were written."""
        for name in sealed_files(self.record):
            if name.startswith("weights/"):
                self._whole(name)
        return self.folder / "weights"

    def _whole(self, name: str) -> Path:
        """A file of the run. Raises as `maskdet.seals.require_whole` if it is there, and not as it was written."""
        return require_whole(self.folder, self.record, name)


def list_runs(workspace: Workspace) -> list[Run]:
    """Finished runs: the bundled ones, then the workspace's, oldest first. Damaged folders are passed over."""
    runs = []
    for parent in (BUNDLED, workspace.path("runs")):
        for path in sorted(parent.glob("*/run.json")) if parent.is_dir() else []:
            try:
                run = open_run(path.parent)
                run.metrics  # noqa: B018 - a run whose figures cannot be read is damaged too
                runs.append(run)
            except (RunError, WorkspaceError):
                continue
    return runs


def open_run(folder: Path) -> Run:
    """Read a run's folder. Raises RunError or WorkspaceError if it is damaged or of a later version."""
    path = folder / "run.json"
    record = read_json(path)
    if is_record(record, {"format": int}):
        require_version(path, record["format"], FORMAT)
    if not is_whole(record):
        raise RunError(str(unreadable(path, "it is of another kind")))
    # A folder that somebody passed on must not say that it is another, or lies elsewhere.
    if record["id"] != folder.name or not _ID.fullmatch(folder.name):
        raise RunError(f"{folder} holds the run {record['id']!r}: a run's folder is called as the run is.")
    return Run(folder, upgraded(record))


def find_run(workspace: Workspace, name: str | None = None) -> Run:
    """A run by its id, or by a model's name: that model's best bundled run, or else its newest.

    Without a name, the best bundled run of any model, or else the newest run. Validation faces tell which is the best
    (see `Run.precedence`): one that test faces chose would look better than it is. Runs of the pre-training pool, which
    are judged on simulated masks, are found by their id alone.

    Raises
    ------
    RunError
        If there is none.
    """
    runs = list_runs(workspace)
    for run in runs:
        if run.id == name:
            return run
    candidates = [run for run in runs if name in (None, run.model_name) and run.pool == "main"]
    if bundled := [run for run in candidates if run.is_bundled]:
        return max(bundled, key=lambda run: run.precedence)
    if candidates:
        return max(candidates, key=lambda run: str(run.record["created"]))
    if name in MODELS:
        raise RunError(f"There is no run of {name} yet: run `python -m maskdet train {name}` first.")
    known = ", ".join(run.id for run in runs) or "none yet"
    raise RunError(f"There is no run {name!r}; `python -m maskdet runs` lists them ({known}).")


def runs_table(runs: list[Run]) -> pd.DataFrame:
    """A row a run: id, model, created, where it lies, faces trained on, test faces, macro F1 and its interval."""
    rows = []
    for run in runs:
        low, high = run.metrics.get("intervals", {}).get("macro_f1") or (None, None)
        rows.append(
            {"run": run.id, "model": run.model_name, "pool": run.pool, "created": run.record["created"],
                "place": "bundled" if run.is_bundled else "workspace",
                "train_faces": run.record["data"]["faces"].get("train"), "test_faces": run.metrics.get("faces"),
                "macro_f1": run.metrics.get("macro_f1"), "low": low, "high": high,
                "fit_seconds": run.record["seconds"].get("fit"), "data": run.fingerprint}
        )  # fmt: skip
    return pd.DataFrame(rows)


@dataclass(frozen=True)
class Unfinished:
    """A training that runs, or was cut.

    Attributes
    ----------
    plan : dict
        What is trained (see `maskdet.training_data.Plan`), with id and created.
    """

    folder: Path
    plan: dict[str, Any]

    @property
    def id(self) -> str:
        """The id that the run will have."""
        return str(self.plan["id"])

    @property
    def model_name(self) -> str:
        """Which model is trained."""
        return str(self.plan["model"])

    @property
    def history(self) -> pd.DataFrame:
        """What was measured so far, an entry a finished epoch or grid point."""
        path = self.folder / HISTORY_FILE
        return pd.DataFrame(read_history(path)) if path.is_file() else pd.DataFrame()

    @property
    def resumable(self) -> bool:
        """True where there is a finished epoch or grid point to go on from."""
        return (self.folder / CHECKPOINT_FILE).is_file()

    @property
    def active(self) -> bool:
        """True while a process trains it."""
        return is_held(self.folder)


def unfinished_runs(workspace: Workspace) -> list[Unfinished]:
    """Trainings that run or were cut, oldest first. Damaged folders are passed over."""
    found = []
    for path in sorted(workspace.path("runs").glob(f".*.partial/{_PLAN_FILE}")):
        try:
            plan = read_json(path, version=1)
        except WorkspaceError:
            continue
        if is_record(plan, {"id": str, "model": str}) and path.parent.name == f".{plan['id']}.partial":
            found.append(Unfinished(path.parent, plan))
    return found


def find_unfinished(workspace: Workspace, run_id: str, joining: bool = False) -> Unfinished:
    """A training by the id of its run. Raises RunError if there is none, or nothing to go on from, or it runs.

    Where ``joining``, as a worker of a cluster does whose chief holds the folder, it may run.
    """
    found = {run.id: run for run in unfinished_runs(workspace)}
    if run_id not in found:
        known = ", ".join(found) or "there are none"
        raise RunError(f"There is no unfinished training {run_id!r} ({known}).")
    run = found[run_id]
    if not joining and run.active:
        raise RunError(f"{run_id} is being trained right now.")
    if not run.resumable:
        raise RunError(f"{run_id} was cut before its first epoch or grid point was done; train it anew.")
    return run


def discard_unfinished(workspace: Workspace, run_id: str) -> None:
    """Remove a training that was cut, also one whose plan is damaged.

    Raises
    ------
    RunError
        If there is none, or it runs.
    WorkspaceError
        If it cannot be deleted.
    """
    folder = workspace.path("runs", f".{run_id}.partial")
    if not _ID.fullmatch(run_id) or not os.path.lexists(folder / _PLAN_FILE):
        raise RunError(f"There is no unfinished training {run_id!r}.")
    if is_held(folder):
        raise RunError(f"{run_id} is being trained right now; stop it first.")
    remove(folder)


@contextmanager
def new_run_folder(workspace: Workspace, model: str) -> Iterator[tuple[str, Path]]:
    """Yield a new run's id and a folder to fill, which becomes the run's folder only if the block ends well.

    If not, the folder stays where it holds a checkpoint to go on from, and goes where it does not.

    Raises
    ------
    WorkspaceError
        If the workspace cannot be written.
    """
    workspace.ensure_writable()
    run_id = stem = f"{model}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    number = 1
    while True:
        partial = workspace.path("runs", f".{run_id}.partial")
        if not workspace.path("runs", run_id).exists():
            try:
                partial.mkdir(parents=True)
                break
            except FileExistsError:
                pass
            except OSError as error:
                raise WorkspaceError(f"{partial} cannot be written ({error.strerror}).") from error
        number += 1
        run_id = f"{stem}-{number}"
    with run_folder(partial, run_id):
        yield run_id, partial


@contextmanager
def run_folder(partial: Path, run_id: str) -> Iterator[None]:
    """Hold the folder of a training alone; it becomes the run's folder if the block ends well.

    Raises
    ------
    WorkspaceError
        If it cannot be written.
    RunError
        If another process holds it.
    """
    try:
        with FileLock(partial / LOCK_FILE, timeout=_SECONDS_TO_LOCK):
            try:
                yield
                finished = partial.with_name(run_id)
                flush_tree(partial)
                partial.rename(finished)
                flush(partial.parent)
                for name in (*_LEFTOVERS, *_half_written(finished)):
                    (finished / name).unlink(missing_ok=True)
            finally:
                if partial.is_dir() and not (partial / CHECKPOINT_FILE).is_file():
                    shutil.rmtree(partial, ignore_errors=True)
    except Timeout:
        raise RunError(f"{run_id} is being trained right now.") from None
    except OSError as error:
        # HDF5's own words for a full disk are lines of addresses.
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise WorkspaceError(f"Run {run_id} cannot be written ({reason}).") from error


def _half_written(folder: Path) -> list[str]:
    """What a process that was killed had begun to write (see `maskdet.workspace.replacing`)."""
    return [path.name for path in folder.glob(".*.tmp")]


def write_plan(folder: Path, plan: dict[str, Any]) -> None:
    """Write what is trained into a training's folder. Raises WorkspaceError if it cannot be written."""
    write_json(folder / _PLAN_FILE, plan, version=1)
