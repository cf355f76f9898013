"""What the tests of the views of errors share: a page of nothing else, runs by hand, and what is said on the page."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from app_page import fine
from streamlit.testing.v1 import AppTest

from maskdet.facetable import load_faces
from maskdet.models.base import probability
from maskdet.split import load_split
from maskdet.workspace import Workspace, write_json, write_table

PROJECT = Path(__file__).resolve().parents[1]
#: A page with nothing but the views of errors, beside the others.
PAGE = """
import streamlit as st
from ui.cached import runs_of
from ui.errors import show_errors
from ui.session import workspace_in_sight

def errors():
    workspace = workspace_in_sight()
    show_errors(workspace, [run for run in runs_of(workspace) if not run.is_bundled])

others = [st.Page(f"pages/{name}.py") for name in ("home", "datasets", "quality", "training", "explain")]
st.navigation([st.Page(errors, default=True), *others]).run()
"""


def write_run(
    workspace: Workspace, name: str, wrong: Sequence[int] = (), *, folds: bool = False, created: str = "2026-01-01"
) -> pd.DataFrame:
    """A run on the sample set's split that is sure of every label, and of the other label of some faces, by position.

    Returns its predictions. Faces of the pre-training pool are left out, as in training.
    """
    split = load_split(workspace, load_faces(workspace))
    table = split.table[split.table["pool"] == "main"].reset_index(drop=True)
    says_without = (table["label"] == "without_mask").to_numpy().copy()
    says_without[list(wrong)] ^= True
    strength = 4 + np.arange(len(table)) / len(table)
    table["logit"] = np.where(says_without, strength, -strength)
    table["p_without_mask"] = probability(table["logit"])
    predictions = table.drop(columns="pool")
    folder = workspace.path("runs", name)
    write_table(folder / "predictions.parquet", predictions)
    if folds:
        write_table(folder / "out_of_sample.parquet", predictions.drop(columns="split").assign(fold=0))
    write_json(folder / "metrics.json", {"macro_f1": 0.9, "faces": 1, "intervals": {"macro_f1": [0.8, 1.0]}})
    data = {"fingerprint": split.fingerprint, "datasets": ["sample-web"], "faces": {"train": 1}}
    record = {
        "format": 2, "id": name, "model": name.split("-")[0], "created": created, "options": {}, "data": data,
        "seconds": {"fit": 1.0},
    }  # fmt: skip
    write_json(folder / "run.json", record)
    return predictions


def members(workspace: Workspace, split: str) -> list[int]:
    """Positions of the main pool's faces of a split."""
    table = load_split(workspace, load_faces(workspace)).table
    return np.flatnonzero(table.loc[table["pool"] == "main", "split"].to_numpy() == split).tolist()


def visit(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, view: str = "Wrong faces") -> AppTest:
    monkeypatch.setenv(
        "MASKDET_HOME", str(workspace.home.parent if workspace.home.name == "sample" else workspace.home)
    )
    if not (tmp_path / "app.py").exists():
        (tmp_path / "app.py").write_text(PAGE)
        (tmp_path / "pages").symlink_to(PROJECT / "pages")
    app = fine(AppTest.from_file(str(tmp_path / "app.py"), default_timeout=120).run())
    return fine(app.segmented_control(key="errors_view").set_value(view).run())


def captions(app: AppTest, key: str) -> list[str]:
    """Captions of the faces of a gallery."""
    start = f"open_{key}_"
    return [button.label.removeprefix("Open: ") for button in app.button if (button.key or "").startswith(start)]


def says(app: AppTest, text: str) -> bool:
    return any(text in element.value for element in [*app.markdown, *app.caption, *app.info, *app.success])


def keys(app: AppTest, start: str) -> list[str]:
    return [button.key for button in app.button if (button.key or "").startswith(start)]


def progress(app: AppTest) -> str:
    return str(app.get("progress")[0].proto.text)
