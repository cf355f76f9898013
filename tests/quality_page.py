"""What the tests of the Quality page share: a visit, its views, and what it says of the filters and the split."""

from pathlib import Path
from typing import Any

import pytest
from app_page import fine
from streamlit.testing.v1 import AppTest

from maskdet.workspace import Workspace

APP = str(Path(__file__).resolve().parents[1] / "app.py")
VIEWS = ["Removals", "At the threshold", "Duplicate clusters", "Leaks", "By hand", "Split in force"]


def opened_page(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    home = workspace.home.parent if workspace.home.name == "sample" else workspace.home
    monkeypatch.setenv("MASKDET_HOME", str(home))
    return AppTest.from_file(APP, default_timeout=120).run().switch_page("pages/quality.py").run()


def visit(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    return fine(opened_page(workspace, monkeypatch))


def show(app: AppTest, view: str) -> AppTest:
    return fine(app.segmented_control(key="quality_view").set_value(view).run())


def numbers(app: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in app.metric}


def status(app: AppTest) -> str:
    """The sentence beside the button that applies."""
    starts = ("**In force", "**Not applied", "settings differ", "setting differs", "These filters", "The split leaves")
    return next(text.value for text in app.markdown if any(start in text.value for start in starts))


def move(app: AppTest, **options: Any) -> AppTest:
    """Move controls to options of `FilterOptions`; spans are given by the option with the least value."""
    for name, value in options.items():
        if isinstance(value, bool):
            app.toggle(key=f"quality_{name}").set_value(value)
    app.run()  # the sliders of a filter can be moved once it is on
    for name, value in options.items():
        if isinstance(value, bool):
            continue
        if name == "min_aspect_ratio":
            app.select_slider(key="quality_ratio_span").set_value((value, options["max_aspect_ratio"]))
        elif name == "min_sharpness":
            app.select_slider(key="quality_min_sharpness").set_value(value)
        elif name == "min_channel_mean":
            app.slider(key="quality_mean_span").set_value((value, options["max_channel_mean"]))
        elif name == "incorrect_mask":
            app.segmented_control(key=name).set_value(value)
        elif name == "hash_kind":
            app.selectbox(key="quality_hash_kind").set_value(value)
        elif name not in ("max_aspect_ratio", "max_channel_mean"):
            app.slider(key=f"quality_{name}").set_value(value)
    return fine(app.run())
