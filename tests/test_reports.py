"""The comparison to take along: every format holds n, intervals and fingerprints, and no name does harm."""

import csv
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from written_runs import predictions, write_run

from maskdet.compare import JudgedRun, own_faces
from maskdet.reports import as_csv, as_latex, as_markdown, by_label, latex, with_interval


@pytest.fixture
def judged(tmp_path: Path) -> list[JudgedRun]:
    first = write_run(tmp_path, "cnn-1", table=predictions(wrong=[0, 1, 3]), limit=20)
    second = write_run(tmp_path, "x_1", "svm")
    second = replace(second, record=second.record | {"id": "=x_1"})  # which no folder could be called
    return [
        JudgedRun(first, "CNN", first.metrics, own_faces(first), "abc"),
        JudgedRun(second, "=SVM & co_1", second.metrics, own_faces(second), "other"),
    ]


@pytest.mark.parametrize(
    ("figure", "text"),
    [
        ((0.9876, 0.98, 0.995), "0.988 (0.980–0.995)"),
        ((0.5, None, None), "0.500"),
        ((None, None, None), "—"),
        ((0.99985, 0.9994, 0.99998), "0.9999 (0.999–0.99998)"),  # an area under the curve that is not perfect
        ((1.0, 0.98, 1.0), "1.000 (0.980–1.000)"),
        ((float("nan"), 0.1, 0.2), "—"),
        ((0.01, -0.0004, 0.02), "0.010 (0.000 to 0.020)"),
        ((-0.01, -0.02, 0.0), "−0.010 (−0.020 to 0.000)"),
    ],
)
def test_a_figure_with_its_interval(figure: tuple[float, float, float], text: str) -> None:
    assert with_interval(*figure) == text


def test_table_3_as_text(judged: list[JudgedRun]) -> None:
    table = by_label(judged)
    assert table["n"].tolist() == ["10", "10", "20"] * 2
    assert table["F1"][2].startswith("0.850 (")
    assert table["Study"].tolist()[:3] == ["0.99 / 0.98 / 0.98", "0.97 / 0.98 / 0.98", "0.981"]


def test_what_the_calibration_error_is_of_stands_beside_it(judged: list[JudgedRun]) -> None:
    """Its interval lies high, and may lie above it: that was told on the page alone."""
    for text in (as_markdown(judged), as_latex(judged)):
        assert "Expected calibration error before calibration" in text
        assert "Brier score before calibration" in text
        assert "of the probability of no mask, in 15 bins; that of Guo et al" in text
        assert "its interval lies high, and may lie above it" in text


def test_csv_holds_all_digits_and_no_formula(judged: list[JudgedRun]) -> None:
    rows = list(csv.DictReader(StringIO(as_csv(judged))))
    assert len(rows) == 6
    assert float(rows[0]["recall"]) == 0.9
    assert float(rows[0]["recall_low"]) < 0.9 <= float(rows[0]["recall_high"])
    assert rows[2]["groups"] == "20"
    assert rows[3]["run"] == "'=SVM & co_1"
    assert rows[3]["id"] == "'=x_1"
    assert (rows[3]["trained_on"], rows[3]["judged_on"]) == ("abc", "other")


def test_markdown(judged: list[JudgedRun]) -> None:
    text = as_markdown(judged)
    lines = text.splitlines()
    assert lines[0] == "| Model | Label | n | Precision | Recall | F1 | Study |"
    assert lines[2].startswith("| CNN | With mask | 10 | 0.818 (")
    assert r"| \=SVM \& co_1 | With mask |" in text
    assert "trained on data abc, judged on data other, which is other data than it was trained on." in text
    assert "limited to 20 training faces" in text
    assert "it publishes no intervals" in text


def test_latex(judged: list[JudgedRun]) -> None:
    text = as_latex(judged)
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == text.count(r"\begin{tabular}") == 2
    assert r"=SVM \& co\_1 & With mask & 10 &" in text
    assert r"95 \%" in text
    assert "trained on data abc" in text
    assert "–" not in text
    for row in text.splitlines():
        if row.endswith(r"\\"):
            assert row.replace(r"\&", "").count("&") == 6


def test_text_without_any_meaning() -> None:
    assert latex("a\\b{c}$d&e#f_g%h~i^j") == (
        r"a\textbackslash{}b\{c\}\$d\&e\#f\_g\%h\textasciitilde{}i\textasciicircum{}j"
    )
    assert latex("x\ny — −1") == "x y --- $-$1"
