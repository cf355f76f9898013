"""Names of files and folders in the pages' Markdown and charts: shown as they are, whatever they are made of.

A folder may be called ``![x](https://...)``: as Markdown, that would be a picture which the browser fetches.
"""

import re
from collections.abc import Iterable
from html import escape
from typing import Final

#: What begins or ends something in Markdown: anywhere, before a word, at the edge of one, and at the start of a line.
_MARKDOWN: Final = re.compile(r"[\\`*{}\[\]<>#!|~$&]|:(?=\w)|(?<!\w)_|_(?!\w)|^[-+=]")
_NUMBERED: Final = re.compile(r"^(\d+)([.)])(?=\s)")
#: Longest name in a chart, in characters: of a tick, and of a panel's title.
TICK: Final = 24
TITLE: Final = 36


def plain(text: object) -> str:
    """A name within Markdown, on one line and without any meaning there."""
    return _NUMBERED.sub(r"\1\\\2", _MARKDOWN.sub(r"\\\g<0>", " ".join(str(text).split())))


def code(text: object) -> str:
    """A path or id in Markdown's type of code, also if it holds backticks."""
    line = " ".join(str(text).split())
    fence = "`" * (1 + max(map(len, re.findall("`+", line)), default=0))
    return f"{fence} {line} {fence}" if "`" in line else f"{fence}{line}{fence}"


def sentence(text: object) -> str:
    """A sentence of the core, which may hold names, and commands between backticks."""
    parts = str(text).split("`")
    if len(parts) % 2 == 0:
        return plain(text)
    shown = [code(part) if number % 2 else _MARKDOWN.sub(r"\\\g<0>", part) for number, part in enumerate(parts)]
    return " ".join("".join(shown).split())


def chart_name(name: str, longest: int = TICK) -> str:
    """A name in a chart: shortened, and without any meaning as HTML."""
    return escape(name if len(name) <= longest else f"{name[: longest - 1]}…", quote=False)


def chart_names(names: Iterable[str]) -> dict[str, str]:
    """Names along an axis where each must stay another: shortened only if they still differ then."""
    known = list(dict.fromkeys(names))
    short = {name: chart_name(name) for name in known}
    return short if len(set(short.values())) == len(known) else {name: chart_name(name, len(name)) for name in known}
