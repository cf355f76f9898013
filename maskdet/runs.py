"""Runs: one folder for each trained model, whole or not there at all. Reading one needs no TensorFlow.

run.json             id, model, options, seed, data (fingerprint, faces, datasets, filter and split options),
                     environment, wall times
history.json         what was measured while fitting, an entry an epoch or grid point
metrics.json         the test split (see `maskdet.metrics.evaluate_predictions`)
predictions.parquet  a row a face: face_id, dataset, label, group, split, logit, p_without_mask
weights/             what `Model.save` wrote
"""

import os
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import pandas as pd

from maskdet import __version__
from maskdet.catalog import DATA_DIR
from maskdet.errors import RunError, WorkspaceError
from maskdet.models import MODELS, Model, create_model
from maskdet.workspace import Workspace, read_json, read_table

#: Version of the folder's layout and of the options; a run of a later one is refused with a sentence.
FORMAT: Final = 2
#: Runs that ship with MaskDet.
BUNDLED: Final = DATA_DIR / "runs"
_PACKAGES: Final = ("numpy", "pandas", "pillow", "imagehash", "scikit-learn", "tensorflow", "keras")


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
    def fingerprint(self) -> str:
        """Fingerprint of the split it was trained on."""
        return str(self.record["data"]["fingerprint"])

    @cached_property
    def metrics(self) -> dict[str, Any]:
        """Metrics on its test split."""
        return dict(read_json(self.folder / "metrics.json"))

    @cached_property
    def history(self) -> pd.DataFrame:
        """What was measured while fitting."""
        return pd.DataFrame(read_json(self.folder / "history.json"))

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """Its predictions for every face of its training, validation and test split."""
        return read_table(self.folder / "predictions.parquet")

    def load_model(self) -> Model:
        """The trained model. Raises RunError if its weights cannot be read."""
        model = create_model(self.model_name, self.record["options"])
        model.load(self.folder / "weights")
        return model


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
    record = read_json(folder / "run.json")
    keys = {"format", "id", "model", "created", "options", "data", "seconds"}
    whole = isinstance(record, dict) and keys <= record.keys()
    if not whole or not isinstance(record["format"], int) or not isinstance(record["options"], dict):
        raise RunError(f"{folder} is no run.")
    if record["format"] > FORMAT:
        raise RunError(f"Run {record['id']} was written by a later version of MaskDet.")
    return Run(folder, upgraded(record))


def upgraded(record: dict[str, Any]) -> dict[str, Any]:
    """A run's record with its options as this version names them; the file stays as it was written.

    Up to format 1, augmentation was either on, always on the fly, or off.
    """
    options = dict(record["options"])
    if record["format"] < 2 and "augment" in options:
        plan = "on-the-fly" if options.pop("augment") else "none"
        options["augmentation"] = {**options.get("augmentation", {}), "plan": plan}
    return {**record, "format": FORMAT, "options": options}


def find_run(workspace: Workspace, name: str | None = None) -> Run:
    """A run by its id, or by a model's name: that model's best bundled run, or else its newest.

    Without a name, the best bundled run of any model, or else the newest run.

    Raises
    ------
    RunError
        If there is none.
    """
    runs = list_runs(workspace)
    for run in runs:
        if run.id == name:
            return run
    candidates = [run for run in runs if name in (None, run.model_name)]
    bundled = [run for run in candidates if run.is_bundled]
    if bundled:
        return max(bundled, key=lambda run: float(run.metrics["macro_f1"]))
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
        low, high = run.metrics["intervals"]["macro_f1"]
        rows.append(
            {
                "run": run.id,
                "model": run.model_name,
                "created": run.record["created"],
                "place": "bundled" if run.is_bundled else "workspace",
                "train_faces": run.record["data"]["faces"]["train"],
                "test_faces": run.metrics["faces"],
                "macro_f1": run.metrics["macro_f1"],
                "low": low,
                "high": high,
                "fit_seconds": run.record["seconds"]["fit"],
                "data": run.fingerprint,
            }
        )
    return pd.DataFrame(rows)


@contextmanager
def new_run_folder(workspace: Workspace, model: str) -> Iterator[tuple[str, Path]]:
    """Yield a new run's id and a folder to fill, which becomes the run's folder only if the block ends well.

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
    try:
        yield run_id, partial
        partial.rename(workspace.path("runs", run_id))
    except OSError as error:
        raise WorkspaceError(f"Run {run_id} cannot be written ({error.strerror or error}).") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def environment() -> dict[str, Any]:
    """The machine and versions that a result was made with."""
    packages = {}
    for name in _PACKAGES:
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = "not installed"
    return {
        "maskdet": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "packages": packages,
    }
