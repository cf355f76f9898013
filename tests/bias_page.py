"""What the tests of the Bias page share: a visit, a choice, two runs, and everything that may be measured of them."""

from pathlib import Path
from typing import Any

import pytest
import written_findings
from app_page import fine
from streamlit.testing.v1 import AppTest
from written_runs import predictions, write_run

from maskdet.bias.attention import save_attention
from maskdet.bias.attributes import save_attributes
from maskdet.bias.counterfactuals import save_counterfactuals
from maskdet.bias.cross_dataset import save_cross
from maskdet.bias.shortcuts import save_shortcuts
from maskdet.bias.store import ATTENTION, ATTRIBUTES_FILE, COUNTERFACTUALS, NOT_MEASURABLE, SHORTCUTS, own_path
from maskdet.runs import Run
from maskdet.workspace import Workspace, write_table

APP = str(Path(__file__).resolve().parents[1] / "app.py")


def two_runs(home: Workspace, *, datasets: tuple[str, str] = ("a", "b")) -> list[Run]:
    """A better and a worse run, of 100 test faces each."""
    return [
        write_run(home, "cnn-1", "cnn", table=predictions(300, [0, 5], datasets=datasets)),
        write_run(
            home, "cnn-transfer-1", "cnn-transfer", table=predictions(300, range(0, 50, 2), datasets=datasets),
            created="2026-02-01T00:00:00Z",
        ),
    ]  # fmt: skip


def measured(home: Workspace, runs: list[Run]) -> None:
    """Everything that the lab finds, written for the data "abc" and for some runs."""
    found = written_findings.data()
    assert found.shortcuts is not None
    assert found.not_measurable is not None
    save_shortcuts(own_path(home, "abc", SHORTCUTS), found.shortcuts)
    save_cross(own_path(home, "abc", "cross-dataset-svm.json"), found.cross[0])
    write_table(own_path(home, "abc", NOT_MEASURABLE), found.not_measurable)
    faces = runs[0].predictions
    known = written_findings.tones(faces).assign(
        skin_lightness=[40.0 + n % 40 for n in range(len(faces))], skin_hue=[45.0 + n % 20 for n in range(len(faces))],
        mask_colour=["white" if label == "with_mask" else "" for label in faces["label"]],
    )  # fmt: skip
    save_attributes(own_path(home, "abc", ATTRIBUTES_FILE), known)
    for run in runs:
        save_counterfactuals(own_path(home, "abc", COUNTERFACTUALS, run.id), written_findings.counterfactuals(run))
        save_attention(own_path(home, "abc", ATTENTION, run.id), written_findings.attention(run))


def visit(home: Workspace, monkeypatch: pytest.MonkeyPatch, view: str = "") -> AppTest:
    monkeypatch.setenv("MASKDET_HOME", str(home.home))
    app = AppTest.from_file(APP, default_timeout=120).run().switch_page("pages/bias.py").run()
    return choose(app, "bias_view", view) if view else fine(app)


def choose(app: AppTest, key: str, value: Any) -> AppTest:
    kinds = (app.segmented_control, app.selectbox, app.number_input, app.multiselect)
    widgets = {each.key: each for kind in kinds for each in kind}
    return fine(widgets[key].set_value(value).run())
