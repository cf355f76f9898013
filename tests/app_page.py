"""What the tests of all pages share: which there are, a visit, and what a page must not say."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

PROJECT = Path(__file__).resolve().parents[1]
PAGES = ["home", "datasets", "quality", "augmentation", "training", "results", "bias", "explain"]
TITLES = dict(zip(PAGES, ["MaskDet", *map(str.title, PAGES[1:-1]), "Explain a photo"], strict=True))


def visit(page: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setenv("MASKDET_HOME", str(home))
    app = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=120).run()
    return app if page == "home" else app.switch_page(f"pages/{page}.py").run()


def fine(app: AppTest) -> AppTest:
    assert not app.exception, app.exception
    assert not app.error, [error.value for error in app.error]
    return app


def press(app: AppTest, key: str) -> AppTest:
    return fine(app.button(key=key).click().run())
