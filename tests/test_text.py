"""Text of pages: no name means anything in Markdown and charts, one thing is no plural, a share has its interval."""

import numpy as np
import pytest

from ui.text import TITLE, chart_name, chart_names, code, counted, percent, plain, sentence


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("2.1", "2.1"),
        ("with_mask/a b.jpg", "with_mask/a b.jpg"),
        ("![x](https://example.org/x.png)", r"\!\[x\](https\://example.org/x.png)"),
        ("**b** $x$ :red[a] `c`", r"\*\*b\*\* \$x\$ \:red\[a\] \`c\`"),
        ("www.example.org", r"www\.example.org"),
        ("_a_b_", r"\_a_b\_"),
        ("<script>", r"\<script\>"),
        ("- a\n# b", r"\- a \# b"),
        ("1. a", r"1\. a"),
        ("1.", r"1\."),
        ("size: 5 (2) to 3.", "size: 5 (2) to 3."),
    ],
)
def test_a_name_has_no_meaning(name: str, shown: str) -> None:
    assert plain(name) == shown


@pytest.mark.parametrize(
    ("path", "shown"), [("/a/**b**", "`/a/**b**`"), ("/a`b", "`` /a`b ``"), ("``", "``` `` ```"), ("a\nb", "`a b`")]
)
def test_a_path_stays_in_its_code(path: str, shown: str) -> None:
    assert code(path) == shown


def test_commands_of_a_sentence_stay_code() -> None:
    assert sentence("No *faces*: run `python -m maskdet scan DIR` first.") == (
        r"No \*faces\*: run `python -m maskdet scan DIR` first."
    )
    assert sentence("There is no folder /a`b.") == r"There is no folder /a\`b."


def test_names_in_charts() -> None:
    assert chart_name("<b>a</b> & b") == "&lt;b&gt;a&lt;/b&gt; &amp; b"
    assert chart_name("x" * 50, TITLE) == "x" * 29 + "…"
    assert chart_names(["a", "x" * 30, "a"]) == {"a": "a", "x" * 30: "x" * 23 + "…"}
    same_beginning = ["x" * 30 + "1", "x" * 30 + "2"]
    assert list(chart_names(same_beginning).values()) == same_beginning


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0 datasets"), (1, "1 dataset"), (2, "2 datasets"), (1200, "1,200 datasets")]
)
def test_one_thing_is_no_plural(number: int, words: str) -> None:
    assert counted(number, "dataset") == words
    assert counted(np.int64(number), "dataset") == words, "as columns of tables are summed"


def test_a_share_is_in_percent_with_its_interval() -> None:
    assert percent(0.1351) == "13.5 %"
    assert percent(0.8, 0) == "80 %"
    assert percent(0.0123, 2, 0.001, 0.0301) == "1.23 % (0.10–3.01)"
    assert percent(0.5, low=float("nan"), high=float("nan")) == "50.0 %"
    assert percent(None) == percent(float("nan")) == "—"
