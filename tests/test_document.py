"""Documents: what stands in them, and that no name means anything in Markdown or HTML."""

import re

import pytest
from html_page import Page

from maskdet.document import (
    Document,
    Facts,
    Figure,
    KeyFigure,
    NotMeasured,
    Points,
    Section,
    Table,
    Text,
    axis,
    in_words,
    to_html,
    to_markdown,
    without_empty,
)

EVIL = "<script>alert(1)</script>![x](https://e.vil/x.png)|`b`\n# c"


def document(name: str = "a", **more: object) -> Document:
    table = Table((name, "n", "Share"), ((name, 1234, Figure(0.25, 0.2, 0.3, "percent")),), name, name, bars=True)
    heat = Table(("On", "b"), (("a", Figure(0.7)), ("c", "—")), heat=(0.4, 1.0))
    blocks = (Text(name), Points((name, "Run `python -m x`.")), Facts(((name, name),)), table, heat, NotMeasured(name))
    return Document(name, name, name, (Section("key", name, blocks),), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("figure", "text"),
    [
        (Figure(0.9938, 0.9906, 0.9965), "0.994 (0.991–0.997)"),
        (Figure(0.0123, 0.008, 0.0161, "percent"), "1.2 % (0.8–1.6)"),
        (Figure(0.0123, -0.008, 0.0161, "points"), "1.2 points (−0.8 to 1.6)"),
        (Figure(-1.234, -2.0, -0.5, "logit"), "−1.23 (−2.00 to −0.50)"),
        (Figure(1.0, unit="percent"), "100.0 %"),
        (Figure(None), "—"),
        (Figure(float("nan"), 0.1, 0.2, "percent"), "—"),
    ],
)
def test_a_figure_has_its_interval(figure: Figure, text: str) -> None:
    assert figure.text == text


def test_an_axis_holds_its_figures() -> None:
    assert axis([Figure(0.97, 0.957, 0.988), Figure(1.0)]) == (0.95, 1.0)
    assert axis([Figure(0.6, 0.55, 0.65)]) == (0.5, 1.0)
    assert axis([Figure(0.3), Figure(0.9)]) == (0.0, 1.0)
    assert axis([Figure(0.03, 0.01, 0.06, "percent"), "a", 7]) == (0.0, 0.1)
    assert axis([Figure(0.03, -0.01, 0.06)]) == (-0.1, 0.1)
    assert axis([Figure(-3.0, unit="logit")]) == (-5.0, 5.0)
    assert axis([]) == (0.0, 1.0)


def test_each_column_has_its_own_axis() -> None:
    rows = (("a", 3, Figure(0.97), Figure(0.02, unit="percent")), ("b", 4, Figure(None), "—"))
    assert Table(("A", "n", "F1", "Share"), rows, bars=True).axes == (None, None, (0.95, 1.0), (0.0, 0.02))
    assert Table(("A", "n", "F1", "Share"), rows).axes == (None,) * 4
    assert Table(("A",), (), bars=True).axes == (None,)
    two = ((Figure(0.97), Figure(0.62)), (Figure(0.99), Figure(0.9)))
    assert Table(("A", "B"), two, bars=True, one_axis=True).axes == ((0.5, 1.0), (0.5, 1.0))


def test_a_column_of_no_remarks_is_left_out() -> None:
    assert without_empty(("A", "Remark"), [("a", ""), ("b", "")]) == (("A",), (("a",), ("b",)))
    assert without_empty(("A", "Remark"), [("a", ""), ("b", "c")]) == (("A", "Remark"), (("a", ""), ("b", "c")))


def test_names_as_one_text() -> None:
    assert [in_words(names) for names in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == ["", "a", "a and b", "a, b and c"]


def test_markdown_says_everything() -> None:
    text = to_markdown(document(figures=(KeyFigure("F1", Figure(0.5, 0.4, 0.6), "n = 3"),), points=("p",)))
    for line in (
        "# a", "| F1 | 0.500 (0.400–0.600) | n = 3 |", "## What to know first", "- p", "- Run `python -m x`.",
        "| a | a |", "| a | 1,234 | 25.0 % (20.0–30.0) |", "| a | 0.700 |", "| c | — |", "**Not measured: a.**",
    ):  # fmt: skip
        assert line in text.splitlines()
    assert "\n\n\n" not in text


def test_a_name_means_nothing_in_markdown() -> None:
    text = to_markdown(document(EVIL, warnings=(EVIL,), points=(EVIL,), figures=(KeyFigure(EVIL, EVIL, EVIL),)))
    assert not re.search(r"(?<!\\)<script|(?<!\\)!\[|^# c|(?<!\\)\]\(", text, re.MULTILINE)
    assert "https:" not in text  # \: is no address
    tables = [line for line in text.splitlines() if line.startswith("|")]
    cells = {len(re.findall(r"(?<!\\)\|", line)) for line in tables}
    assert cells <= {3, 4}  # of two and three columns: no name has begun another cell
    assert "\n# c" not in text


def test_a_name_means_nothing_in_html() -> None:
    html = to_html(document(EVIL, warnings=(EVIL,), points=(EVIL,), figures=(KeyFigure(EVIL, EVIL, EVIL),)))
    page = Page(html)
    assert {tag for tag, _ in page.elements}.isdisjoint({"script", "img", "link", "iframe", "object", "form"})
    assert "<script>alert(1)</script>" in page.text


def test_html_needs_nothing_from_elsewhere() -> None:
    page = Page(to_html(document(figures=(KeyFigure("F1", Figure(0.5, 0.4, 0.6), "n = 3"),))))
    policy = next(of["content"] for tag, of in page.elements if of.get("http-equiv") == "Content-Security-Policy")
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"
    assert [of["href"] for _, of in page.elements if "href" in of] == ["#key"]
    assert not [of for _, of in page.elements if "src" in of]
    assert "prefers-color-scheme: dark" in to_html(document())
    assert "@media print" in to_html(document())


def test_html_draws_bars_and_heat() -> None:
    page = Page(to_html(document()))
    styles = [(of.get("class"), of["style"]) for _, of in page.elements if "style" in of]
    # 20 to 30 % on an axis of 0 to 50 %
    assert ("interval", "left: 40.0%; width: 20.0%") in styles
    assert ("value", "left: 50.0%") in styles
    assert ("number heated", "--v: 50") in styles  # 0.7 between 0.4 and 1


def test_what_was_not_measured_is_gathered() -> None:
    missing = NotMeasured("the weather", "python -m weather", "No window.")
    sections = (Section("a", "A", (Text("x"), missing)), Section("b", "B", (NotMeasured("time"),)))
    assert Document("t", "s", "l", sections).not_measured == (missing, NotMeasured("time"))
    assert missing.text == "Not measured: the weather (No window). `python -m weather` measures it."
