"""How the larger results of the bias lab are kept: a JSON record, and beside it a table and arrays of the same stem.

    NAME.json      what was asked for, and the digests of the files beside it
    NAME.parquet   a row a face
    NAME.npz       arrays, where there are any

The record is written last and names the digests of the others: files of two different writes are never taken for one
result.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from maskdet.seals import digest_of
from maskdet.workspace import read_arrays, read_json, read_table, replacing, unreadable, write_json, write_table

_DIGESTS: Final = "digests"
Arrays = dict[str, npt.NDArray[Any]]


def write_result(
    path: Path, record: Mapping[str, Any], table: pd.DataFrame, arrays: Mapping[str, npt.NDArray[Any]] | None = None
) -> None:
    """Write a result.

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
    parts = [path.with_suffix(".parquet")]
    write_table(parts[0], table)
    if arrays is not None:
        parts.append(path.with_suffix(".npz"))
        # A file of its own name: savez would add the suffix to a path.
        with replacing(parts[1]) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)
    write_json(path, {**record, _DIGESTS: {part.suffix: digest_of(part) for part in parts}}, version=1)


def read_result(path: Path, *, arrays: bool = False) -> tuple[dict[str, Any], pd.DataFrame, Arrays]:
    """Read what `write_result` wrote: record, table, arrays.

    Raises
    ------
    WorkspaceError
        If a part is missing or damaged, or is that of another result.
    """
    record = read_json(path, version=1)
    suffixes = {".parquet", ".npz"} if arrays else {".parquet"}
    digests = record.pop(_DIGESTS, None) if isinstance(record, dict) else None
    if not isinstance(digests, dict) or digests.keys() != suffixes:
        raise unreadable(path, "it is no result of this kind")
    for suffix in sorted(suffixes):
        part = path.with_suffix(suffix)
        if digest_of(part) != digests[suffix]:
            raise unreadable(part, f"it is damaged, or does not belong to {path.name}")
    return record, read_table(path.with_suffix(".parquet")), read_arrays(path.with_suffix(".npz")) if arrays else {}
