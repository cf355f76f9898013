"""Attributes that an analyst brings: a CSV with a row a face or photo, and a column an attribute.

The first of the columns ``face_id``, ``file``, ``photo`` and ``path`` says whose row it is: a face id, a photo's path
in its dataset (with or without the dataset before it), or its file name where only one photo is called so. A row that
names a photo counts for all faces in it.
"""

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import PurePosixPath
from typing import Any, Final

import pandas as pd

from maskdet.bias.attributes import ATTRIBUTES
from maskdet.bias.judged import MOST_GROUPS
from maskdet.bias.store import own_path
from maskdet.errors import MaskDetError, WorkspaceError, reason_of
from maskdet.export import restored
from maskdet.workspace import Workspace, read_table, remove, write_table

#: Names of the column that says whose row it is.
KEYS: Final = ("face_id", "file", "photo", "path")
MOST_BYTES: Final = 20_000_000
#: Where what is to stay is kept (see `maskdet.bias.store`).
UPLOADED_FILE: Final = "uploaded.parquet"
MOST_ATTRIBUTES: Final = 30
_MOST_ROWS: Final = 500_000
_LONGEST_TEXT: Final = 100
_LONGEST_KEY: Final = 4096
_BOX: Final = re.compile(r"@\d+,\d+,\d+,\d+$")
#: What a cell holds that says nothing.
_UNKNOWN: Final = frozenset({"", "na", "n/a", "nan", "none", "null", "unknown", "?"})
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True)
class UploadedAttributes:
    """Attributes from a CSV.

    Attributes
    ----------
    table : DataFrame
        face_id and a column an attribute, a row each known face that the CSV names: numbers where all of a column's
        cells are numbers (NaN where there is none), else text ("" where there is none).
    unknown : tuple of str
        What the CSV names and no face is called.
    ambiguous : tuple of str
        File names and paths that belong to several photos.
    """

    table: pd.DataFrame
    unknown: tuple[str, ...] = ()
    ambiguous: tuple[str, ...] = ()


def read_attribute_csv(data: bytes, known: Sequence[str]) -> UploadedAttributes:
    """Read attributes of faces.

    Parameters
    ----------
    data : bytes
        CSV in UTF-8 with a header; separated by comma, semicolon or tab.
    known : sequence of str
        The ids of the faces that there are.

    Returns
    -------
    UploadedAttributes
        A column that is called as an attribute of MaskDet gets " (uploaded)" behind its name.

    Raises
    ------
    MaskDetError
        If it is no such CSV, has too many columns or rows, two rows say different things of a face, or a column has
        more different texts than there may be groups; one sentence that names the line or column.
    """
    rows = _rows(data)
    header = _header(rows[0])
    key = next((name for name in KEYS if name in header), None)
    if key is None:
        raise MaskDetError(f"The CSV needs a column that says whose row it is: {', '.join(KEYS[:-1])} or {KEYS[-1]}.")
    attributes = [name for name in header if name != key]
    if not attributes:
        raise MaskDetError(f"The CSV has no column beside {key}: it says nothing of the faces.")
    cells, unknown, ambiguous = _matched(rows[1:], header, key, known)
    table = pd.DataFrame(list(cells.values()), columns=attributes, dtype=object)
    columns = {_free(name, attributes): _values(name, table[name]) for name in attributes}
    return UploadedAttributes(pd.DataFrame({"face_id": list(cells), **columns}), unknown, ambiguous)


def with_uploaded(attributes: pd.DataFrame, uploaded: UploadedAttributes) -> pd.DataFrame:
    """Attributes with the uploaded ones beside them; of faces that the CSV does not name they are not known."""
    names = uploaded.table.columns.drop("face_id")
    merged = attributes.drop(columns=names, errors="ignore").merge(uploaded.table, on="face_id", how="left")
    texts = [name for name in uploaded.table.columns if not pd.api.types.is_numeric_dtype(uploaded.table[name])]
    return merged.assign(**{name: merged[name].fillna("") for name in texts})


def keep_uploaded(workspace: Workspace, fingerprint: str, uploaded: UploadedAttributes) -> None:
    """Keep attributes in the workspace, beside those kept before; one of the same name takes its place.

    Raises
    ------
    WorkspaceError
        If they cannot be written, or those kept before are damaged.
    """
    before = kept_uploaded(workspace, fingerprint)
    table = uploaded.table
    if before is not None:
        table = before.drop(columns=table.columns.drop("face_id"), errors="ignore").merge(table, "outer", "face_id")
    write_table(own_path(workspace, fingerprint, UPLOADED_FILE), table)


def kept_uploaded(workspace: Workspace, fingerprint: str) -> pd.DataFrame | None:
    """The attributes that `keep_uploaded` kept: face_id and a column each. Raises WorkspaceError if damaged."""
    path = own_path(workspace, fingerprint, UPLOADED_FILE)
    if not path.is_file():
        return None
    table = read_table(path)
    if "face_id" not in table or table["face_id"].duplicated().any():
        raise WorkspaceError(f"{path} holds no attributes of faces: `python -m maskdet bias --forget-attributes`.")
    return table


def forget_uploaded(workspace: Workspace, fingerprint: str) -> None:
    """Forget the attributes that were kept. Raises WorkspaceError if they cannot be deleted."""
    remove(own_path(workspace, fingerprint, UPLOADED_FILE))


def _rows(data: bytes) -> list[tuple[int, list[str]]]:
    """The lines of a CSV that hold anything, each with its number."""
    if len(data) > MOST_BYTES:
        raise MaskDetError(f"The CSV is larger than {MOST_BYTES // 1_000_000} MB.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise MaskDetError("The file is no text in UTF-8: save the table as CSV (UTF-8).") from None
    if "\x00" in text:
        raise MaskDetError("The file is no CSV: it holds binary data.")
    first = text.split("\n", 1)[0]
    separator = max(",;\t", key=first.count)
    reader = csv.reader(StringIO(text, newline=""), delimiter=separator, strict=True)
    rows: list[tuple[int, list[str]]] = []
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                rows.append((reader.line_num, [restored(cell.strip()).strip() for cell in row]))
            if len(rows) > _MOST_ROWS:
                raise MaskDetError(f"The CSV has more than {_MOST_ROWS:,} rows.")
    except csv.Error as error:
        raise MaskDetError(f"The file cannot be read as CSV (line {reader.line_num}: {reason_of(error)}).") from error
    if len(rows) < 2:
        raise MaskDetError("The CSV needs a header and at least one row.")
    return rows


def _header(row: tuple[int, list[str]]) -> list[str]:
    names = [name.casefold() if name.casefold() in KEYS else name for name in row[1]]
    if len(names) > MOST_ATTRIBUTES + 1:
        raise MaskDetError(f"The CSV has {len(names):,} columns; at most {MOST_ATTRIBUTES} attributes are taken.")
    for name in names:
        if not name:
            raise MaskDetError("A column of the CSV has no name.")
        if len(name) > _LONGEST_TEXT or _CONTROL.search(name):
            raise MaskDetError(f"The name of a column is too long, or no text: {name[:40]!r}.")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise MaskDetError(f"Two columns of the CSV are called {twice!r}.")
    return names


def _matched(
    rows: Iterable[tuple[int, list[str]]], header: list[str], key: str, known: Sequence[str]
) -> tuple[dict[str, tuple[str, ...]], tuple[str, ...], tuple[str, ...]]:
    """The cells of each face that is named, and names that no face, or several photos have."""
    at = header.index(key)
    names = _names(known)
    cells: dict[str, tuple[str, ...]] = {}
    unknown: dict[str, None] = {}
    ambiguous: dict[str, None] = {}
    for line, row in rows:
        if len(row) != len(header):
            raise MaskDetError(f"Line {line} of the CSV has {len(row)} cells; the header has {len(header)}.")
        name = row[at].replace("\\", "/").removeprefix("./")
        if not name:
            raise MaskDetError(f"Line {line} of the CSV names no face.")
        if len(name) > _LONGEST_KEY:
            raise MaskDetError(f"Line {line} of the CSV names a face of {len(name):,} characters.")
        values = tuple(_cell(cell, line) for position, cell in enumerate(row) if position != at)
        faces = names.get(name)
        if faces is None:
            unknown[name] = None
        elif not faces:
            ambiguous[name] = None
        for face in faces or ():
            if cells.setdefault(face, values) != values:
                raise MaskDetError(f"Line {line} of the CSV says something else of {name!r} than a line before it.")
    return cells, tuple(unknown), tuple(ambiguous)


def _names(known: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """What faces may be called by: the faces of each name, none where several photos have it.

    A more exact name goes before a shorter one: id, photo in its dataset, path in the dataset, file name.
    """
    photos: dict[str, list[str]] = {}
    for face in known:
        photos.setdefault(_BOX.sub("", face), []).append(face)
    shorter: dict[str, set[str]] = {}
    for photo in photos:
        path = PurePosixPath(photo)
        for name in {"/".join(path.parts[1:]), path.name}:
            shorter.setdefault(name, set()).add(photo)
    names = {name: tuple(photos[next(iter(of))]) if len(of) == 1 else () for name, of in shorter.items() if name}
    names |= {photo: tuple(faces) for photo, faces in photos.items()}
    return names | {face: (face,) for face in known}


def _cell(cell: str, line: int) -> str:
    if len(cell) > _LONGEST_TEXT or _CONTROL.search(cell):
        raise MaskDetError(f"Line {line} of the CSV has a cell that is too long, or no text: {cell[:40]!r}.")
    return "" if cell.casefold() in _UNKNOWN else cell


def _free(name: str, others: list[str]) -> str:
    """The name of a column, apart from those of MaskDet's own attributes and of keys."""
    if name not in ATTRIBUTES and name not in KEYS:
        return name
    free = f"{name} (uploaded)"
    while free in others:
        free += "'"
    return free


def _values(name: str, cells: "pd.Series[Any]") -> "pd.Series[Any]":
    """A column as finite numbers if all of its cells are such, else as text."""
    known = cells[cells != ""]
    numbers = pd.to_numeric(known, errors="coerce").astype(float)
    if len(known) and numbers.notna().all() and numbers.abs().max() < float("inf"):
        return numbers.reindex(cells.index)
    texts = known.nunique()
    if texts > MOST_GROUPS:
        raise MaskDetError(
            f"Column {name!r} has {texts:,} different texts; an attribute may have at most {MOST_GROUPS} groups."
        )
    return cells.astype(str)
