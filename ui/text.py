"""Names of files and folders in the pages' Markdown and charts, shown as they are, and times in words."""

from collections.abc import Iterable
from html import escape
from typing import Final

from maskdet.markdown import code, plain, sentence

#: Longest name in a chart, in characters: of a tick, and of a panel's title.
TICK: Final = 24
TITLE: Final = 36


def chart_name(name: str, longest: int = TICK) -> str:
    """A name in a chart: shortened, and without any meaning as HTML."""
    return escape(name if len(name) <= longest else f"{name[: longest - 1]}…", quote=False)


def chart_names(names: Iterable[str]) -> dict[str, str]:
    """Names along an axis where each must stay another: shortened only if they still differ then."""
    known = list(dict.fromkeys(names))
    short = {name: chart_name(name) for name in known}
    return short if len(set(short.values())) == len(known) else {name: chart_name(name, len(name)) for name in known}


def duration(seconds: float) -> str:
    """A time in words: 5 s, 3 min 20 s, 2 h 5 min."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


__all__ = ["TICK", "TITLE", "chart_name", "chart_names", "code", "duration", "plain", "sentence"]
