"""A text with figures as plain data, and from it Markdown and HTML: model cards and bias reports are such documents.

Texts are plain; commands stand between backticks. Names in them come from users, and are made inert in each format. The
HTML needs nothing else: styles and bars are in it, it asks no server for anything and runs no script, which it also
tells the browser to enforce.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import pandas as pd

from maskdet.markdown import plain, sentence
from maskdet.reports import with_interval

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

#: How a figure is written: a value in 0..1 to three digits, the same in percent, a difference of shares in percentage
#: points, or a change of logits.
Unit = Literal["ratio", "percent", "points", "logit"]
_DIGITS: Final = {"ratio": 3, "percent": 1, "points": 1, "logit": 2}
_SIGNS: Final = {"percent": " %", "points": " points"}
_TEMPLATES: Final = Path(__file__).parent
#: Ends of axes that bars begin and end at.
_AXIS_ENDS: Final = (0.0, 0.5, 0.8, 0.9, 0.95)


@dataclass(frozen=True)
class Figure:
    """A measured value with its interval, as a cell of a table.

    Attributes
    ----------
    value, low, high : float or None
        The value and the interval's ends; None where not defined. NaN counts as None.
    n : int or None
        Of how many faces, where no column says so.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    unit: Unit = "ratio"
    n: int | None = None

    def __post_init__(self) -> None:
        for name in ("value", "low", "high"):
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None or pd.isna(value) else float(value))

    @property
    def text(self) -> str:
        """Such as ``0.988 (0.984–0.992)``, ``1.2 % (0.8–1.6, n = 90)`` or ``0.9 (n = 8)``; "—" where not defined."""
        return f"{self.value_text} ({self.about})" if self.about else self.value_text

    @property
    def value_text(self) -> str:
        """The value alone."""
        return self._parts[0]

    @property
    def about(self) -> str:
        """The interval and the number of faces, "" if there is neither."""
        return ", ".join(filter(None, [self._parts[1], "" if self.n is None else f"n = {self.n:,}"]))

    @property
    def _parts(self) -> tuple[str, str]:
        scale, sign = (100, _SIGNS[self.unit]) if self.unit in _SIGNS else (1, "")
        value, low, high = (None if end is None else scale * end for end in (self.value, self.low, self.high))
        number, _, interval = with_interval(value, low, high, _DIGITS[self.unit]).partition(" (")
        return number if value is None else f"{number}{sign}", interval.rstrip(")")


Cell = str | int | Figure
Rows = tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True)
class Table:
    """A table; a row is a tuple of cells, as many as there are columns.

    Attributes
    ----------
    bars : bool
        HTML draws each figure and its interval on an axis.
    one_axis : bool
        All columns share an axis, so that their bars compare; else each has its own.
    heat : (float, float) or None
        The values between which HTML colours the cells of figures.
    note : str
        What stands below.
    """

    columns: tuple[str, ...]
    rows: Rows
    title: str = ""
    note: str = ""
    bars: bool = False
    one_axis: bool = False
    heat: tuple[float, float] | None = None
    kind: Literal["table"] = "table"

    @property
    def axes(self) -> tuple[tuple[float, float] | None, ...]:
        """The axis of each column's bars; None where it has none."""
        columns = [[row[place] for row in self.rows] for place in range(len(self.columns))]
        shared = [cell for column in columns for cell in column]
        return tuple(
            axis(shared if self.one_axis else column) if self.bars and _measured(column) else None for column in columns
        )


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str
    kind: Literal["text"] = "text"


@dataclass(frozen=True)
class Points:
    """A list of sentences."""

    points: tuple[str, ...]
    kind: Literal["points"] = "points"


@dataclass(frozen=True)
class Facts:
    """Names and values."""

    facts: tuple[tuple[str, str], ...]
    kind: Literal["facts"] = "facts"


@dataclass(frozen=True)
class NotMeasured:
    """What a reader would want to know and cannot: why not, and the command that measures it ("" if there is none)."""

    what: str
    command: str = ""
    why: str = ""
    kind: Literal["not_measured"] = "not_measured"

    @property
    def text(self) -> str:
        """As a sentence."""
        why = f" ({self.why.rstrip('.')})" if self.why else ""
        return f"Not measured: {self.what}{why}." + (f" `{self.command}` measures it." if self.command else "")


Block = Text | Points | Facts | Table | NotMeasured


@dataclass(frozen=True)
class Section:
    """A part of a document; the key is its anchor."""

    key: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class KeyFigure:
    """A figure of the first screen: what it is, its value, and of what it was measured.

    Attributes
    ----------
    value : Figure or str
        A text where there is no figure, such as "not measured".
    """

    title: str
    value: Figure | str
    about: str


@dataclass(frozen=True)
class Document:
    """A document.

    Attributes
    ----------
    title, subtitle : str
    lede : str
        What it says, in a few sentences.
    warnings : tuple of str
        What must be read before the figures.
    figures : tuple of KeyFigure
    points : tuple of str
        What to know first.
    sections : tuple of Section
    footer : str
    """

    title: str
    subtitle: str
    lede: str
    sections: tuple[Section, ...]
    warnings: tuple[str, ...] = ()
    figures: tuple[KeyFigure, ...] = ()
    points: tuple[str, ...] = ()
    footer: str = ""
    points_title: str = field(default="What to know first")

    @property
    def not_measured(self) -> tuple[NotMeasured, ...]:
        """All that was not measured, in the order of the sections."""
        return tuple(block for section in self.sections for block in section.blocks if block.kind == "not_measured")


def to_markdown(document: Document) -> str:
    """The document as Markdown (GitHub's, whose tables it uses), with nothing that a name could begin."""
    text = _environment(html=False).get_template("document.md.jinja").render(document=document)
    return re.sub(r"\n{3,}", "\n\n", re.sub(r" +$", "", text, flags=re.MULTILINE)).strip() + "\n"


def to_html(document: Document) -> str:
    """The document as one HTML file: light or dark as the reader's system is, and made to be printed."""
    return _environment(html=True).get_template("document.html.jinja").render(document=document)


def axis(figures: Iterable[Cell]) -> tuple[float, float]:
    """The ends of an axis that holds all these figures and their intervals.

    Values in 0..1 end at 1 if they are near it, else they begin at 0; differences lie around 0.
    """
    shown = [cell for cell in figures if isinstance(cell, Figure)]
    values = [end for cell in shown for end in (cell.value, cell.low, cell.high) if end is not None]
    least, most = min(values, default=0.0), max(values, default=1.0)
    if least < 0 or any(cell.unit in ("logit", "points") for cell in shown):
        widest = _rounded_up(max(abs(least), abs(most)))
        return -widest, widest
    if most <= 0.5:
        return 0.0, _rounded_up(most)
    return max(end for end in _AXIS_ENDS if end <= least or end == 0), max(1.0, most)


def without_empty(columns: Sequence[str], rows: Sequence[tuple[Cell, ...]]) -> tuple[tuple[str, ...], Rows]:
    """Columns and rows without a last column, of remarks, in which nothing stands."""
    if any(row[-1] for row in rows):
        return tuple(columns), tuple(rows)
    return tuple(columns[:-1]), tuple(row[:-1] for row in rows)


def in_words(fractions: Sequence[str]) -> str:
    """Names as one text: "a, b and c"."""
    return " and ".join(filter(None, [", ".join(fractions[:-1]), *fractions[-1:]]))


def _measured(cells: Iterable[Cell]) -> bool:
    return any(isinstance(cell, Figure) and cell.value is not None for cell in cells)


def _rounded_up(value: float) -> float:
    steps = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
    return next((step for step in steps if value <= step), value)


@cache
def _environment(html: bool) -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

    # Markdown is made inert by the filters below, whatever is HTML by Jinja itself.
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=select_autoescape(["html.jinja"]), undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters |= {"shown": _shown, "number": _is_number}
    if html:
        environment.filters |= {
            "said": _said,
            "bar": _bar,
            "heat": _heat,
            "end": _end,
        }
    else:
        environment.filters |= {"said": sentence, "plain": plain}
    return environment


def _shown(cell: Cell) -> str:
    return cell.text if isinstance(cell, Figure) else f"{cell:,}" if isinstance(cell, int) else cell


def _is_number(cell: Cell) -> bool:
    return isinstance(cell, int | Figure)


def _said(text: str) -> "Markup":
    """A text as HTML: escaped, and what stands between backticks as code."""
    from markupsafe import Markup, escape

    parts = text.split("`")
    if len(parts) % 2 == 0:
        return escape(text)
    return Markup("").join(Markup("<code>{}</code>").format(part) if n % 2 else part for n, part in enumerate(parts))


def _bar(figure: Figure, ends: tuple[float, float]) -> Iterator[tuple[str, float, float]]:
    """The parts of a bar in percent of its axis, as (part, left, width): interval, zero and value."""

    def place(value: float) -> float:
        return round(100 * min(1.0, max(0.0, (value - ends[0]) / (ends[1] - ends[0]))), 2)

    if ends[0] < 0 < ends[1]:
        yield "zero", place(0), 0
    if figure.low is not None and figure.high is not None:
        yield "interval", place(figure.low), round(place(figure.high) - place(figure.low), 2)
    if figure.value is not None:
        yield "value", place(figure.value), 0


def _end(column: Sequence[Cell], value: float) -> str:
    """An end of an axis, in the unit of its figures."""
    sign = next((_SIGNS[cell.unit] for cell in column if isinstance(cell, Figure) and cell.unit in _SIGNS), "")
    number = f"{abs(100 * value if sign else value):g}"
    return f"{'−' if value < 0 else ''}{number}{sign}"


def _heat(figure: Figure, ends: tuple[float, float]) -> int:
    """How strongly a cell is coloured, 0..100."""
    if figure.value is None:
        return 0
    return round(100 * min(1.0, max(0.0, (figure.value - ends[0]) / (ends[1] - ends[0]))))
