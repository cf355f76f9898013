"""What the tests of the Datasets page share: a visit, its widgets, and what it says and shows."""

from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

APP = str(Path(__file__).resolve().parents[1] / "app.py")


def visit(home: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setenv("MASKDET_HOME", str(home))
    app = AppTest.from_file(APP, default_timeout=120).run().switch_page("pages/datasets.py").run()
    assert not app.exception, app.exception
    return app


def choice(app: AppTest, key: str) -> Any:
    return next(widget for widget in app.segmented_control if widget.key == key)


def button(app: AppTest, key: str) -> Any:
    return next(widget for widget in app.button if widget.key == key)


def named(app: AppTest, label: str) -> Any:
    return next(widget for widget in app.button if widget.label == label)


def count_shown(app: AppTest) -> str:
    return next(text.value for text in app.markdown if text.value.startswith("**") and " faces" in text.value)


def captions(app: AppTest) -> str:
    return "\n".join(caption.value for caption in app.caption)


def cards(app: AppTest) -> list[str]:
    return [widget.label for widget in app.button if (widget.key or "").startswith("open_explorer_")]
