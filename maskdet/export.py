"""CSV for spreadsheets: what a file name or label holds must never run as a formula."""

import re
from typing import Final

import pandas as pd

#: A cell that begins with one of these is taken for a formula by spreadsheets, with a wide one in East Asian settings.
_SIGNS: Final = "=+\\-@\uff1d\uff0b\uff0d\uff20"
#: Where a formula may begin: at the start of a text, also behind blanks that are cut off, and within one, quoted or
#: not, where a spreadsheet takes another separator than the comma for its own, as in many a language.
_DANGER: Final = re.compile(rf"(?:^(?='*[{_SIGNS}\t\r\n])|(?<=[;\t\r\n|\"])(?='*[{_SIGNS}]))")
_MADE_INERT: Final = re.compile(rf"(?:^'(?='*[{_SIGNS}\t\r\n])|(?<=[;\t\r\n|\"])'(?='*[{_SIGNS}]))")
#: What ends a line (RFC 4180). The csv module puts text in quotes that holds one of these characters, and only then is
#: a line break in a file's name no new row, whose first cell could be a formula.
LINE_END: Final = "\r\n"


def inert(text: str) -> str:
    """The text, behind an apostrophe wherever a spreadsheet would take it for a formula (OWASP, CSV injection)."""
    return _DANGER.sub("'", text)


def restored(cell: str) -> str:
    """The text that `inert` made a cell of."""
    return _MADE_INERT.sub("", cell)


def to_csv(table: pd.DataFrame) -> str:
    """A table as CSV with a header and without its index, all text inert."""

    def cell(value: object) -> object:
        return inert(value) if isinstance(value, str) else value

    text = [name for name in table.columns if not pd.api.types.is_numeric_dtype(table[name])]
    safe = table.assign(**{name: table[name].map(cell) for name in text})
    return safe.rename(columns=lambda name: inert(str(name))).to_csv(index=False, lineterminator=LINE_END)
