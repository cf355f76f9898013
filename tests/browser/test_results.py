"""Results and Errors of the bundled study: the figures that stand in data/study, in every view."""

import csv
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from browser.driver import assert_whole, main, open_page, settle
from browser.server import Server
from browser.widgets import download, drag_slider, figure, pick, rows_of, table_with
from maskdet.compare import SHORT_NAMES
from maskdet.reports import with_interval
from maskdet.runs import Run, list_runs

TEST_FACES = "3,303"


@pytest.fixture(scope="module")
def bundled(study: Server) -> dict[str, Run]:
    """The study's four models, by the names that the page gives them."""
    return {SHORT_NAMES[run.model_name]: run for run in list_runs(study.workspace) if run.pool == "main"}


@pytest.fixture
def results(page: Page, study: Server) -> Page:
    """The page as it opens."""
    open_page(page, study, "Results")
    return page


def macro_f1(run: Run) -> str:
    """As the page writes it."""
    return with_interval(run.metrics["macro_f1"], *run.metrics["intervals"]["macro_f1"])


def test_the_best_model_and_table_3_are_those_of_the_study(results: Page, bundled: dict[str, Run]) -> None:
    best = max(bundled, key=lambda name: bundled[name].metrics["macro_f1"])
    headline = f"{best}: macro F1 {macro_f1(bundled[best])}"
    expect(main(results).get_by_role("heading", name=headline)).to_be_visible()
    expect(figure(results, "Macro F1 of each run with its interval")).to_be_visible()
    rows = rows_of(table_with(results, "Model", "Label", "F1"))
    shown = {row["model"]: row["f1"] for row in rows if row["label"] == "Both, macro"}
    assert shown == {name: macro_f1(run) for name, run in bundled.items()}
    assert {row["n"] for row in rows if row["label"] == "Both, macro"} == {TEST_FACES}


def test_the_tables_are_taken_along(results: Page, tmp_path: Path, bundled: dict[str, Run]) -> None:
    with download(results, "CSV", tmp_path).open(newline="") as file:
        table = list(csv.DictReader(file))
    assert len(table) == 3 * len(bundled)
    assert "\\begin{tabular}" in download(results, "LaTeX", tmp_path).read_text()
    assert download(results, "Markdown", tmp_path).read_text().startswith("|")


def test_confusions_follow_the_threshold(results: Page, bundled: dict[str, Run]) -> None:
    pick(results, "Confusion")
    for name, run in bundled.items():
        expect(figure(results, f"Confusion matrix of {name}").first).to_be_visible()
        expect(main(results).get_by_text(f"macro F1 {macro_f1(run)}").first).to_be_visible()
    slider = results.get_by_role("slider", name="Without mask above a probability (before calibration) of")
    drag_slider(results, slider, 0.95)
    settle(results)
    worse = main(results).get_by_text(f"macro F1 {macro_f1(bundled['PCA + SVM'])}")
    expect(worse).to_have_count(0)


def test_every_view_has_its_chart(results: Page, subtests: pytest.Subtests) -> None:
    for view, chart in {
        "Calibration": "Reliability curve of InceptionV3",
        "Learning": "Loss of CNN by epoch",
        "Running times": "Macro F1 against the time to fit",
        "Other sources": "Macro F1 by dataset and how",
    }.items():
        with subtests.test(view):
            pick(results, view)
            expect(figure(results, chart).first).to_be_visible()
            assert_whole(results)
    with subtests.test("Options"):
        pick(results, "Options")
        assert len(rows_of(table_with(results, "part"))) > 3
        assert_whole(results)


def test_errors_count_the_wrong_faces_of_the_study(results: Page, bundled: dict[str, Run]) -> None:
    pick(results, "Errors")
    rates = {row["run"]: row for row in rows_of(table_with(results, "run", "wrong"))}
    for row in rates.values():
        run = bundled[row["run"]]
        (tn, fp), (fn, tp) = run.metrics["confusion"]
        assert int(row["wrong"]) == fp + fn
        assert int(row["test faces"].replace(",", "")) == tn + fp + fn + tp
    expect(main(results).get_by_text("are not on this computer").first).to_be_visible()

    pick(results, "Models disagree", of="Errors")
    expect(main(results).get_by_text(re.compile(rf"^\d+ of {TEST_FACES} common test faces are judged"))).to_be_visible()
    pick(results, "Suspected label errors", of="Errors")
    expect(main(results).get_by_text(re.compile(r"^[\d,]+ suspects among [\d,]+ faces examined"))).to_be_visible()
    assert_whole(results)
