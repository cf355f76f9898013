"""What the tests of the Training page share: a visit, what is said on it, and runs and jobs by hand."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from streamlit.testing.v1 import AppTest

from maskdet.facetable import load_faces
from maskdet.split import load_split
from maskdet.workspace import Workspace, write_json

APP = str(Path(__file__).resolve().parents[1] / "app.py")
HISTORY = [
    {"epoch": 1, "phase": 1, "loss": 0.7, "accuracy": 0.5, "val_loss": 0.6, "val_accuracy": 0.75, "kept": 0},
    {"epoch": 2, "phase": 2, "loss": 0.5, "accuracy": 0.7, "val_loss": 0.4, "val_accuracy": 0.9, "kept": 1},
]


def visit(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setenv("MASKDET_HOME", str(workspace.home.parent))
    return fine(AppTest.from_file(APP, default_timeout=120).run().switch_page("pages/training.py").run())


def fine(app: AppTest) -> AppTest:
    assert not app.exception, app.exception
    return app


def choose(app: AppTest, model: str) -> AppTest:
    return fine(app.radio(key="training_model").set_value(model).run())


def press(app: AppTest, key: str) -> AppTest:
    return fine(app.button(key=key).click().run())


def texts(app: AppTest) -> str:
    everything = [*app.markdown, *app.caption, *app.error, *app.warning, *app.info, *app.success, *app.toast]
    return "\n".join(str(element.value) for element in everything)


def fingerprint_of(workspace: Workspace) -> str:
    return load_split(workspace, load_faces(workspace)).fingerprint


def add_base(workspace: Workspace, run: str, fingerprint: str) -> None:
    """A finished run on the pre-training pool."""
    folder = workspace.path("runs", run)
    folder.mkdir(parents=True)
    record = {
        "format": 3, "id": run, "model": "cnn", "created": "2026-01-01T00:00:00Z", "options": {}, "seconds": {},
        "limit": None, "seed": 0, "base": None,
        "data": {"fingerprint": fingerprint, "pool": "pre-training", "faces": {"train": 22}, "datasets": []},
    }  # fmt: skip
    write_json(folder / "run.json", record)
    write_json(folder / "metrics.json", {"macro_f1": 0.5, "faces": 8, "intervals": {"macro_f1": [0.25, 0.75]}})


def add_job(
    workspace: Workspace, name: str, command: list[str], *events: dict[str, Any], alive: bool = False,
    sleepers: list[subprocess.Popen[bytes]] | None = None,
) -> Path:  # fmt: skip
    """Write a job's folder by hand; a job that is alive has a process that sleeps."""
    pid, started = 1, 0.0
    if alive and sleepers is not None:
        sleepers.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(99)"], start_new_session=True))
        pid, started = sleepers[-1].pid, psutil.Process(sleepers[-1].pid).create_time()
    folder = workspace.path("jobs", f"{name}-{command[0]}")
    folder.mkdir(parents=True)
    record = {
        "command": command, "created": "2026-01-01T00:00:00Z", "began": time.time() - 100,
        "queue": "" if command[0] == "scan" else "training", "pid": pid, "process_started": started,
    }  # fmt: skip
    write_json(folder / "job.json", record)
    lines = [json.dumps({"event": event["event"], "time": time.time(), **event}) for event in events]
    (folder / "events.jsonl").write_text("".join(f"{line}\n" for line in lines))
    return folder


def add_unfinished(
    workspace: Workspace, run: str, model: str, history: list[dict[str, Any]], resumable: bool = True
) -> Path:
    folder = workspace.path("runs", f".{run}.partial")
    folder.mkdir(parents=True)
    plan = {
        "id": run, "model": model, "options": {"epochs": 3, "frozen_epochs": 1}, "seed": 0, "limit": None,
        "fingerprint": "0", "faces": {"train": 59, "validation": 20, "test": 14},
    }  # fmt: skip
    write_json(folder / "plan.json", plan)
    write_json(folder / "history.json", history)
    if resumable:
        (folder / "checkpoint.npz").touch()
    return folder
