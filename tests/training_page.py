"""What the tests of the Training page share: a visit, what is said on it, and a finished run to begin with."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from maskdet.facetable import load_faces
from maskdet.split import load_split
from maskdet.workspace import Workspace, write_json

APP = str(Path(__file__).resolve().parents[1] / "app.py")


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
