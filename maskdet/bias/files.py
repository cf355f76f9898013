"""How the larger results of the bias lab are kept: a JSON record, and beside it a table and arrays of the same stem.

    NAME.json      what was asked for, and the digests of the files beside it
    NAME.parquet   a row a face
    NAME.npz       arrays, where there are any

The record is written last and names the digests of the others: files of two different writes are never taken for one
result. While a result is being replaced, the parts of the old one have a second name, NAME.parquet.before, under which
they are found until the new record is there: whoever is killed in between loses neither.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from maskdet.errors import WorkspaceError
from maskdet.seals import digest_of
from maskdet.workspace import (
    read_arrays,
    read_json,
    read_table,
    remove,
    replacing,
    unreadable,
    write_json,
    write_table,
)

_DIGESTS: Final = "digests"
_BEFORE: Final = ".before"
Arrays = dict[str, npt.NDArray[Any]]


def write_result(
    path: Path, record: Mapping[str, Any], table: pd.DataFrame, arrays: Mapping[str, npt.NDArray[Any]] | None = None
) -> None:
    """Write a result, in place of an older one; until all of it is there, the older one is what is read.

    Parameters
    ----------
    path : Path
        Of the JSON file.
    record : mapping
        What JSON can hold.
    table : DataFrame
        Written beside it as Parquet.
    arrays : mapping, optional
        Arrays of any shape by name, written beside it as npz.

    Raises
    ------
    WorkspaceError
        If it cannot be written.
    """
    _keep_parts(path)
    parts = [path.with_suffix(".parquet")]
    write_table(parts[0], table)
    if arrays is not None:
        parts.append(path.with_suffix(".npz"))
        # A file of its own name: savez would add the suffix to a path.
        with replacing(parts[1]) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)
    write_json(path, {**record, _DIGESTS: {part.suffix: digest_of(part) for part in parts}}, version=1)
    for part in parts:
        remove(_before(part))


def read_result(path: Path, *, arrays: bool = False) -> tuple[dict[str, Any], pd.DataFrame, Arrays]:
    """Read what `write_result` wrote: record, table, arrays.

    Raises
    ------
    WorkspaceError
        If a part is missing or damaged, or is that of another result.
    """
    record = read_json(path, version=1)
    try:
        return _read_parts(path, record, arrays=arrays)
    except WorkspaceError:
        now = read_json(path, version=1)
        if now == record:
            raise
        return _read_parts(path, now, arrays=arrays)  # it was replaced in between


def _read_parts(path: Path, record: Any, *, arrays: bool) -> tuple[dict[str, Any], pd.DataFrame, Arrays]:
    digests = _digests(path, record)
    if (".npz" in digests) != arrays:
        raise unreadable(path, "it is no result of this kind")
    parts = _parts(path, digests)
    while True:
        table = read_table(parts[".parquet"])
        found = read_arrays(parts[".npz"]) if arrays else {}
        before, parts = parts, _parts(path, digests)
        if parts == before:
            return {name: value for name, value in record.items() if name != _DIGESTS}, table, found
        # A new table took the old one's name between digest and reading: the old one has its second name now.


def _parts(path: Path, digests: Mapping[str, object]) -> dict[str, Path]:
    """Where the parts of a result lie, by their suffix. Raises as `_part`."""
    return {suffix: _part(path, suffix, digest) for suffix, digest in sorted(digests.items())}


def _digests(path: Path, record: object) -> dict[str, object]:
    """The digests of a result's parts by their suffix. Raises WorkspaceError where the record is that of no result."""
    digests = record.get(_DIGESTS) if isinstance(record, dict) else None
    if not isinstance(digests, dict) or digests.keys() not in ({".parquet"}, {".parquet", ".npz"}):
        raise unreadable(path, "it is no result of this kind")
    return digests


def _part(path: Path, suffix: str, digest: object) -> Path:
    """Where a part of a result lies. Raises WorkspaceError where it is missing, damaged, or that of another result."""
    part = path.with_suffix(suffix)
    for found in (part, _before(part)):
        if found.is_file() and digest_of(found) == digest:
            return found
    raise unreadable(part, f"it is damaged, or does not belong to {path.name}" if part.is_file() else "it is missing")


def _keep_parts(path: Path) -> None:
    """Give the parts of a whole result a second name."""
    try:
        parts = _parts(path, _digests(path, read_json(path, version=1)))
    except WorkspaceError:  # nothing that can be read is replaced
        return
    for part in parts.values():
        if part.suffix != _BEFORE:
            with replacing(_before(part)) as temporary:
                shutil.copyfile(part, temporary)


def _before(part: Path) -> Path:
    """The second name of a part of the result that is being replaced."""
    return part.with_name(f"{part.name}{_BEFORE}")
