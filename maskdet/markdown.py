"""Names of files, folders and datasets within Markdown: shown as they are, whatever they are made of.

A folder may be called ``![x](https://...)``: as Markdown, that would be a picture which the browser fetches.
"""

import re
from typing import Final

#: What begins or ends something in Markdown: anywhere, before a word or an address, at the edge of a word, and at the
#: start of a line.
_MARKDOWN: Final = re.compile(r"[\\`*{}\[\]<>#!|~$&]|:(?=\w|//)|(?<=\bwww)\.|(?<!\w)_|_(?!\w)|^[-+=]")
_NUMBERED: Final = re.compile(r"^(\d+)([.)])(?=\s|$)")


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
    # Backticks beside each other are of a name: with ours they would make another code, and free what lies in ours.
    if len(parts) % 2 == 0 or not all(part.strip() for part in parts[1:-1]):
        return plain(text)
    shown = [code(part) if number % 2 else _MARKDOWN.sub(r"\\\g<0>", part) for number, part in enumerate(parts)]
    return " ".join("".join(shown).split())
