"""The bias report: everything that was found, with n and interval, and no picture."""

import re
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pandas as pd
import pytest
import written_findings
from html_page import Page
from written_runs import predictions, write_run

from maskdet.bias.findings import DataFindings, RunFindings
from maskdet.bias.report import report_html, report_of, to_csvs
from maskdet.document import KeyFigure
from maskdet.errors import MaskDetError
from maskdet.workspace import Workspace

WHEN = datetime(2026, 11, 25, 4, 5, tzinfo=UTC)
EVIL = "![x](https://e.vil/x.png)<script>alert(1)</script>"


@pytest.fixture
def found(tmp_path: Path) -> RunFindings:
    return written_findings.run(write_run(Workspace(tmp_path), "cnn-1", table=predictions(120, wrong=(0, 1, 2, 3))))


def figure(data: DataFindings | None, runs: list[RunFindings], title: str) -> KeyFigure:
    return next(one for one in report_of(data, runs, WHEN).figures if one.title == title)


def test_what_was_found_of_the_data_stands_in_it() -> None:
    page = Page(report_html(written_findings.data(), [], WHEN))
    for said in (
        "Of the data abc; 2026-11-25 04:05 UTC", written_findings.STRONG, written_findings.NONE,
        "0.900 (0.870–0.930)",  # the probe of dataset a
        "0.840–0.900",  # of its size alone
        "sqrt_size", "0.200 (± 0.010)", "a/0001.png", "0.991",
        "0.550–0.670, n = 300", "25.0 % (19.0–31.0)",
    ):  # fmt: skip
        assert said in page.text
    assert figure(written_findings.data(), [], "Strongest shortcut: dataset a").about.endswith("n = 1,006")
    assert "Groups" not in [section.title for section in report_of(written_findings.data(), [], WHEN).sections]


def test_what_was_found_of_a_run_stands_in_it(found: RunFindings) -> None:
    page = Page(report_html(None, [found], WHEN))
    for said in (
        "Run cnn-1, on its 40 test faces in 40 groups", "Grad-CAM, layer conv5", "Darker", "a fault",
        "50.0 %",  # of the faces with mask flip
        "60.0 %", "30.0 %",  # heat on the lower face, and even heat there
    ):  # fmt: skip
        assert said in page.text
    assert [section.key for section in report_of(None, [found], WHEN).sections] == [
        "groups-1", "counterfactuals-1", "attention-1",
    ]  # fmt: skip
    for sentence in found.groups["skin_tone"].gaps["sentence"]:
        assert sentence in page.text
    gaps = figure(None, [found], "CNN: gaps between groups")
    assert gaps.about.startswith("of 8 looked for, by 2 attributes")


def test_several_runs_stand_side_by_side(found: RunFindings, tmp_path: Path) -> None:
    other = written_findings.run(write_run(Workspace(tmp_path), "svm-1", "svm", table=predictions(120)))
    report = report_of(written_findings.data(), [found, other], WHEN)
    table = next(section for section in report.sections if section.key == "side-by-side").blocks[-1]
    assert table.kind == "table"
    assert table.columns == ("Groups by", "Metric", "CNN (n = 40)", "PCA + SVM (n = 40)")
    assert len(table.rows) == 8  # two attributes, four metrics
    assert len({section.key for section in report.sections}) == len(report.sections)  # anchors


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    run = write_run(Workspace(tmp_path), "cnn-1")
    report = report_of(DataFindings("abc", 0), [written_findings.run(run, whole=False)], WHEN)
    commands = [missing.command for missing in report.not_measured]
    assert commands == [
        "python -m maskdet bias data --part shortcuts", "python -m maskdet bias data --part cross-dataset",
        "python -m maskdet bias data --part appearance", "python -m maskdet bias cnn-1",
        "python -m maskdet bias cnn-1 --part counterfactuals", "python -m maskdet bias cnn-1 --part attention",
    ]  # fmt: skip
    assert not [figure for figure in report.figures if "shortcut" in figure.title]


def test_where_nothing_was_found_that_is_said(found: RunFindings) -> None:
    report = report_of(written_findings.data(shortcuts=written_findings.shortcuts(
        written_findings.probe("a", 0.52, written_findings.NONE, verdict="none"))), [found], WHEN)  # fmt: skip
    assert "No strong shortcut to the label was found in the data." in report.points
    assert "CNN: no gap between groups was found." in report.points


def test_nothing_at_all_is_no_report() -> None:
    with pytest.raises(MaskDetError, match="nothing to report"):
        report_html(None, [])


def test_no_picture_is_in_it_and_names_mean_nothing(tmp_path: Path) -> None:
    table = predictions(120, wrong=(0, 1), datasets=("a", EVIL))
    run = written_findings.run(write_run(Workspace(tmp_path), "cnn-1", table=table))
    data = written_findings.data(shortcuts=written_findings.shortcuts(face_ids=(EVIL,)))
    page = Page(report_html(data, [run], WHEN))
    assert EVIL in page.text
    assert {tag for tag, _ in page.elements}.isdisjoint({"img", "svg", "picture", "canvas", "script", "link"})
    assert not re.search("data:image|url\\(", report_html(data, [run], WHEN))


def test_all_figures_as_csv(found: RunFindings) -> None:
    files = to_csvs(written_findings.data(), [found])
    assert set(files) == {
        "cross-dataset-svm.csv", "shortcuts.csv", "shortcut-families.csv", "shortcut-importance.csv",
        "shortcut-carriers.csv", "not-measurable.csv", "cnn-1-groups.csv", "cnn-1-gaps.csv", "cnn-1-by-dataset.csv",
        "cnn-1-left-out.csv", "cnn-1-flips.csv", "cnn-1-attention.csv",
    }  # fmt: skip
    read = {name: pd.read_csv(StringIO(text)) for name, text in files.items()}
    assert read["cross-dataset-svm.csv"]["macro_f1"].tolist()[1] == 0.61
    assert read["cnn-1-groups.csv"]["attribute"].unique().tolist() == ["dataset", "skin_tone"]
    assert read["cnn-1-groups.csv"]["n"].sum() == 40 + 39
    assert read["shortcut-families.csv"].loc[0, ["family", "auc"]].tolist() == ["size", 0.87]
    evil = written_findings.data(shortcuts=written_findings.shortcuts(face_ids=("=1+1",)))
    assert "\r\n'=1+1," in to_csvs(evil, [])["shortcut-carriers.csv"]
