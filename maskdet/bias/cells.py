"""Figures of the bias lab as cells of a document's tables."""

from collections.abc import Mapping
from typing import Any, Final

import pandas as pd

from maskdet.document import Cell, Figure, Unit
from maskdet.wording import capital

INTERVALS: Final = "In brackets: 95 % intervals, by bootstrap of whole groups of related faces."
#: Of tables with shares of faces.
SHARES: Final = (
    "In brackets: 95 % intervals that take related faces together, of shares of faces after Korn and Graubard (1998), "
    "of other figures by bootstrap."
)
APPEARANCE_COMMAND: Final = "python -m maskdet bias data --part appearance"
_LABELS: Final = {"with_mask": "with mask", "without_mask": "without mask"}


def figure(
    row: Mapping[Any, Any],
    name: str,
    unit: Unit = "ratio",
    ends: tuple[str, str] | None = None,
    n: int | None = None,
) -> Figure:
    """A value of a row and its interval, by default in ``NAME_low`` and ``NAME_high``."""
    low, high = ends or (f"{name}_low", f"{name}_high")
    return Figure(row.get(name), row.get(low), row.get(high), unit, n)


def figure_or_few(
    row: Mapping[Any, Any], name: str, unit: Unit, ends: tuple[str, str] | None = None, n: int | None = None
) -> Cell:
    """As `figure`; where the row's reason is that there are too few faces, a text that says so beside the value."""
    shown = figure(row, name, unit, ends, n)
    if shown.value is None or shown.low is not None or not str(row.get("reason") or "").startswith("too few"):
        return shown
    return f"{shown.value_text} (too few to say{'' if n is None else f', n = {n:,}'})"


def label_title(label: object) -> str:
    """A label for people."""
    return _LABELS.get(str(label), str(label))


def reasons_of(table: pd.DataFrame) -> list[str]:
    """Why figures of a table have no interval, or are none: each reason once, as a sentence.

    Of reasons that differ in what stands behind the colon alone, such as a number of faces, that is left out.
    """
    if "reason" not in table:
        return []
    kinds: dict[str, set[str]] = {}
    for reason in dict.fromkeys(str(reason).rstrip(".") for reason in table["reason"].fillna("") if reason):
        kinds.setdefault(reason.partition(":")[0], set()).add(reason)
    said = [
        reasons.pop() if len(reasons) == 1 else f"{kind} where no interval stands" for kind, reasons in kinds.items()
    ]
    return [f"{capital(reason)}." for reason in said]
