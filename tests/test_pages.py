"""Every page under AppTest: on a first visit, with the sample set, with own data, and when a core call fails."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from app_page import PAGES, TITLES, visit
from factories import prepared
from streamlit.testing.v1 import AppTest

from maskdet.errors import MaskDetError
from maskdet.workspace import Workspace


def assert_fine(app: AppTest, page: str) -> None:
    assert not app.exception, app.exception
    assert not app.error, [error.value for error in app.error]
    assert app.title[0].value == TITLES[page]


def says_synthetic(app: AppTest) -> bool:
    """Whether a page says so of faces or results; Explain offers drawn photos wherever it runs."""
    texts = [*app.info, *app.caption, *app.metric, *app.toggle]
    said = [f"{getattr(text, 'label', '')} {text.value}" for text in texts]
    return any("ynthetic" in text and "The drawn ones are synthetic" not in text for text in said)


@pytest.mark.parametrize("page", ["home", "datasets", "quality", "augmentation", "training"])  # others: bundled runs
def test_with_the_sample_set_every_page_of_faces_says_synthetic(
    page: str, drawn: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = visit(page, drawn, monkeypatch)
    assert_fine(app, page)
    assert says_synthetic(app)


@pytest.mark.parametrize("page", ["home", "results", "bias", "explain"])
def test_a_first_visit_draws_nothing_where_no_faces_are_needed(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = visit(page, tmp_path / "fresh", monkeypatch)
    assert_fine(app, page)
    assert not (tmp_path / "fresh" / "sample").exists()


def test_a_first_visit_of_datasets_draws_the_sample_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = visit("datasets", tmp_path / "fresh", monkeypatch)
    assert_fine(app, "datasets")
    assert app.dataframe[0].value.set_index("Dataset").loc["Total", "Faces"] == 143 - 4  # incorrect masks are left out
    assert says_synthetic(app)


@pytest.mark.parametrize("page", PAGES)
def test_with_own_data_nothing_is_synthetic(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Workspace(tmp_path / "home")
    prepared(home, tmp_path / "data", {"with_mask": 10, "without_mask": 10})
    app = visit(page, home.home, monkeypatch)
    assert_fine(app, page)
    assert not says_synthetic(app)


@pytest.mark.parametrize("page", ["datasets", "quality", "augmentation", "training"])
def test_an_unwritable_workspace_is_a_sentence_with_ways_on(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.write_text("a file where the workspace should be")
    app = visit(page, home, monkeypatch)
    assert not app.exception
    assert "cannot be written" in app.error[0].value


def test_training_without_a_split_says_where_to_make_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Workspace(tmp_path / "home")
    prepared(home, tmp_path / "data", {"with_mask": 10, "without_mask": 10})
    home.path("split.json").unlink()
    shutil.rmtree(home.path("splits"))
    app = visit("training", home.home, monkeypatch)
    assert_fine(app, "training")
    assert "press *Apply and split* there" in app.info[0].value
    assert not app.button


def test_training_and_quality_report_a_dataset_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Workspace(tmp_path / "home")
    prepared(home, tmp_path / "data", {"with_mask": 10, "without_mask": 10})
    (tmp_path / "data/tiny").rename(tmp_path / "away")
    assert "The folder of tiny is gone" in visit("training", home.home, monkeypatch).error[0].value
    quality = visit("quality", home.home, monkeypatch)
    assert "The folder of tiny is gone" in quality.warning[0].value
    assert {metric.label: metric.value for metric in quality.metric}["Kept"] == "0"


CORE_CALLS = {
    "home": "maskdet.runs.list_runs",
    "datasets": "ui.cached.load_faces",
    "quality": "ui.quality_data.apply_filters",
    "augmentation": "ui.cached.load_faces",
    "training": "ui.cached.load_faces",
    "results": "ui.cached.list_runs",
    "bias": "ui.cached.list_runs",
    "explain": "ui.cached.list_runs",
}


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("error", [MaskDetError("The disk is full."), ValueError("a bug")])
def test_a_failing_core_call_is_a_sentence(
    page: str, error: Exception, drawn: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise error

    name = CORE_CALLS[page]
    monkeypatch.setattr(name, fail)
    app = visit(page, drawn, monkeypatch)
    assert not app.exception
    assert str(error) in app.error[0].value
