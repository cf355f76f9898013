"""Targets: names within Markdown, HTML and charts."""

import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Final

import numpy as np
from markdown_it import MarkdownIt

from fuzz.mutate import ODD_TEXTS, text
from fuzz.target import Prepared, Target, check
from maskdet.document import Document, Facts, KeyFigure, Points, Section, Table, Text, to_html, to_markdown
from maskdet.markdown import code, plain, sentence
from maskdet.photo_report import ReportFace, ReportModel, ReportPhoto, photo_report
from ui.text import chart_name, chart_names

_WORDS: Final = tuple(odd.encode(errors="surrogatepass") for odd in ODD_TEXTS if 0 < len(odd) < 60)
#: What begins something in Streamlit's own Markdown, which no other parser knows: directives, colours, formulas.
_DIRECTIVE: Final = re.compile(r"(?<!\\)(?:\\\\)*(?:[\[\]$`<>]|:(?=\w))")
_PARSER: Final = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


def _inline(markdown: str) -> list[Any]:
    """The parts of a single paragraph; raises if the text is any other thing."""
    blocks = _PARSER.parse(markdown)
    kinds = [block.type for block in blocks]
    check(kinds == ["paragraph_open", "inline", "paragraph_close"], f"{markdown[:80]!r} is {kinds}")
    return list(blocks[1].children or [])


def _markdown(folder: Path) -> Prepared:
    def run(data: bytes) -> None:
        name = data.decode("utf-8", errors="replace").replace("\0", "")
        line = " ".join(name.split())
        if not line:
            return
        for shown in (plain(name), f"a {plain(name)} b"):
            check(not _DIRECTIVE.search(shown), f"a directive in {shown[:80]!r}")
            parts = _inline(shown)
            kinds = {part.type for part in parts}
            check(kinds <= {"text", "text_special"}, f"{shown[:80]!r} holds {kinds}")
            said = "".join(part.content for part in parts)
            check(said in (line, f"a {line} b"), f"{name[:80]!r} is shown as {said[:80]!r}")
        parts = _inline(f"a {code(name)} b")
        check([part.type for part in parts] == ["text", "code_inline", "text"], f"{code(name)[:80]!r} is no code")
        check(parts[1].content == line, f"{name[:80]!r} is shown as {parts[1].content[:80]!r}")
        for part in _PARSER.parse(sentence(name)):
            kinds = {child.type for child in part.children or ()}
            check(kinds <= {"text", "text_special", "code_inline"}, f"{sentence(name)[:80]!r} holds {kinds}")
        for shown in (chart_name(name), *chart_names([name, name + "x", line]).values()):
            check("<" not in shown and ">" not in shown, f"a tag in {shown[:80]!r}")

    seeds = [
        b"with_mask",
        b"![x](https://example.com/a.png)",
        b"1. a",
        b"a `b` c",
        b"**a** _b_ ~~c~~",
        b"- a\n# b",
        b"https://example.com www.example.com",
        b"<script>alert(1)</script> &lt; :red[a] $x$ :material/add:",
    ]
    return Prepared(run, seeds)


class _Structure(HTMLParser):
    """The elements of a page and the names of their attributes, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, ...]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, *sorted(name for name, _ in attrs)))

    def handle_comment(self, data: str) -> None:
        self.found.append(("comment",))


def structure(html: str) -> list[tuple[str, ...]]:
    """What a page is made of, whatever its texts say."""
    parser = _Structure()
    parser.feed(html)
    parser.close()
    return parser.found


def _html(folder: Path) -> Prepared:
    """Names in reports and documents: with any name, a page is made of what it is made of with a plain one."""
    pixels = np.zeros((4, 4, 3), np.uint8)

    def report(name: str) -> str:
        face = ReportFace(1, (0, 0, 4, 4), pixels, "with_mask", "not_sure", 0.4, None, name)
        photos = [ReportPhoto(name, "ok", pixels, (face,)), ReportPhoto(name, name, None)]
        return photo_report(photos, ReportModel(name, name, (0.4, 0.6), name, name), datetime(2026, 1, 1, tzinfo=UTC))

    def document(name: str) -> Document:
        blocks = (Text(name), Points((name,)), Facts(((name, name),)), Table((name, "n"), ((name, 1),), name, name))
        return Document(
            name, name, name, (Section("a", name, blocks),), (name,), (KeyFigure(name, name, name),), (name,)
        )

    def of_words(html: str) -> list[tuple[str, ...]]:
        return [element for element in structure(html) if element != ("code",)]  # commands between backticks

    plain_report, plain_page = structure(report("a")), of_words(to_html(document("a")))

    def run(data: bytes) -> None:
        name = data.decode("utf-8", errors="replace") or "a"
        if len(data) % 8 == 0:  # it takes ten times as long as the others
            check(structure(report(name)) == plain_report, "another report than with a plain name")
        page = to_html(document(name))
        check(of_words(page) == plain_page, "another page than with a plain name")
        tokens = _PARSER.parse(to_markdown(document(name)))
        kinds = {child.type for token in tokens for child in token.children or ()}
        check(not kinds & {"link_open", "image", "html_inline"}, f"Markdown with {kinds}")
        check("html_block" not in {token.type for token in tokens}, "Markdown with HTML")

    seeds = [
        b"a",
        b"<script>alert(1)</script>",
        b'"><img src=x onerror=alert(1)>',
        b"{{ 7*7 }}{% raw %}",
        b"`a`",
        b"|a|",
    ]
    return Prepared(run, seeds)


TARGETS = (
    Target(
        "markdown",
        _markdown,
        ("maskdet.markdown.plain", "maskdet.markdown.code", "maskdet.markdown.sentence"),
        text,
        _WORDS,
        1 << 10,
    ),
    Target(
        "html",
        _html,
        ("maskdet.document.to_html", "maskdet.document.to_markdown", "maskdet.photo_report.photo_report"),
        text,
        _WORDS,
        1 << 9,
    ),
)
