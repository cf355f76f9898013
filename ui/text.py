"""Names of files and folders in the pages' Markdown and charts as they are; counts, shares, times in words."""

from collections.abc import Iterable
from html import escape
from typing import Final

from maskdet.markdown import code, plain
from maskdet.markdown import sentence as sentence_of_core
from maskdet.reports import with_interval
from maskdet.wording import capital, duration
from ui.public import without_folders

#: Longest name in a chart, in characters: of a tick, and of a panel's title.
TICK: Final = 24
TITLE: Final = 30


def chart_name(name: str, longest: int = TICK) -> str:
    """A name in a chart: shortened, and without any meaning as HTML."""
    return escape(name if len(name) <= longest else f"{name[: longest - 1]}…", quote=False)


def chart_names(names: Iterable[str]) -> dict[str, str]:
    """Names along an axis where each must stay another: shortened only if they still differ then."""
    known = list(dict.fromkeys(names))
    short = {name: chart_name(name) for name in known}
    return short if len(set(short.values())) == len(known) else {name: chart_name(name, len(name)) for name in known}


def sentence(text: object) -> str:
    """A sentence of the core, which may hold names, and commands between backticks; without folders to strangers."""
    return sentence_of_core(without_folders(str(text)))


def counted(number: int, noun: str) -> str:
    """A number of things, in the plural unless it is one: 1 dataset, 1,200 datasets."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def percent(share: float | None, digits: int = 1, low: float | None = None, high: float | None = None) -> str:
    """A share in percent, with its interval where it has one: 13.5 %, 13.5 % (12.0–15.1); "—" where not defined."""
    ends = (None if end is None else 100 * end for end in (share, low, high))
    number, bracket, interval = with_interval(*ends, digits).partition(" (")
    return number if number == "—" else f"{number} %{bracket}{interval}"


__all__ = [
    "TICK", "TITLE", "capital", "chart_name", "chart_names", "code", "counted", "duration", "percent", "plain",
    "sentence",
]  # fmt: skip
