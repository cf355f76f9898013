"""CSV for spreadsheets: what a file name or label holds must never run as a formula."""

from typing import Final

import pandas as pd

#: A cell that begins with one of these is taken for a formula by spreadsheets, with a wide one in East Asian settings.
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
#: What ends a line (RFC 4180). The csv module puts text in quotes that holds one of these characters, and only then is
#: a line break in a file's name no new row, whose first cell could be a formula.
LINE_END: Final = "\r\n"


def inert(text: str) -> str:
    """The text, behind an apostrophe if a spreadsheet would take it for a formula (OWASP, CSV injection)."""
    return f"'{text}" if text.lstrip("'").startswith(_FORMULA_STARTS) else text


def restored(cell: str) -> str:
    """The text that `inert` made a cell of."""
    return cell[1:] if cell.startswith("'") and cell.lstrip("'").startswith(_FORMULA_STARTS) else cell


def to_csv(table: pd.DataFrame) -> str:
    """A table as CSV with a header and without its index, all text inert."""

    def cell(value: object) -> object:
        return inert(value) if isinstance(value, str) else value

    text = [name for name in table.columns if not pd.api.types.is_numeric_dtype(table[name])]
    safe = table.assign(**{name: table[name].map(cell) for name in text})
    return safe.rename(columns=lambda name: inert(str(name))).to_csv(index=False, lineterminator=LINE_END)
