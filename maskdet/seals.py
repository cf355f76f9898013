"""Digests of the files of a run that never change again, kept in its record, so that a flipped bit is noticed."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from maskdet.errors import RunError
from maskdet.workspace import unreadable

_DIGESTS: Final = "digests"
_SEALED: Final = ("history.json", "metrics.json", "predictions.parquet", "balance.parquet")


def digest_of(path: Path) -> str:
    """SHA-256 of a file, hexadecimal. Raises WorkspaceError if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise unreadable(path, error) from error


def sealed(folder: Path, record: Mapping[str, Any]) -> dict[str, Any]:
    """A run's record with the digests of its files. Raises WorkspaceError if one cannot be read."""
    files = [*(folder / name for name in _SEALED), *sorted((folder / "weights").glob("[!.]*"))]
    digests = {path.relative_to(folder).as_posix(): digest_of(path) for path in files if path.is_file()}
    return {**record, _DIGESTS: digests}


def unsealed(record: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A run's record without the digest of a file that is about to be written again."""
    return {**record, _DIGESTS: {path: digest for path, digest in record[_DIGESTS].items() if path != name}}


def resealed(folder: Path, record: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A run's record with the digest of one file as it is now; those of the others stay as they were.

    Raises WorkspaceError if it cannot be read.
    """
    return {**record, _DIGESTS: {**record.get(_DIGESTS, {}), name: digest_of(folder / name)}}


def sealed_files(record: Mapping[str, Any]) -> tuple[str, ...]:
    """The files, relative to the run's folder, whose digests a record holds; none for a run of an older version."""
    digests = record.get(_DIGESTS)
    return tuple(map(str, digests)) if isinstance(digests, dict) else ()


def require_whole(folder: Path, record: Mapping[str, Any], name: str) -> Path:
    """The path of a file of a run.

    Raises
    ------
    RunError
        If it is there, and is not as it was written.
    WorkspaceError
        If it is there, and cannot be read.
    """
    path = folder / name
    if name in sealed_files(record) and path.is_file() and digest_of(path) != record[_DIGESTS][name]:
        raise RunError(str(unreadable(path, "it is not as it was written")))
    return path
