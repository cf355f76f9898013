"""The workspace: the folder that holds what a user makes, and how files get there.

Files are replaced, never changed in place: each is written beside its target, flushed to the disk and renamed, so a
reader sees the old or the new one, and a cut leaves the old, a power cut too. Each format has a version, and what a
later version of MaskDet wrote is refused with a sentence; a file without one is of version 1.

    faces.parquet      one row a face (see `maskdet.facetable`)     rejects.parquet  what could not be used, and why
    datasets.json      where each dataset lies                      shards/          measured faces, pixels with them
    filtered.parquet   keep or drop, and why                        filter.json      the options of that filter
    split.parquet      train, validation or test                    split.json       its options and fingerprint
    splits/            every split that was saved, by fingerprint   evaluations/     runs judged on other splits
    runs/ID/           one folder a run                             jobs/ID/         one folder a background job
    appearance/        skin tone and mask colour, by shard          measurements/    what else is measured, by shard
    bias/FINGERPRINT/  what the bias lab found                      study.json       how far a study has come
"""

import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeGuard
from zipfile import ZipFile

from filelock import FileLock, Timeout

from maskdet.catalog import DATA_DIR
from maskdet.errors import LaterVersionError, MaskDetError, WorkspaceError, printable, reason_of
from maskdet.kinds import kind_of

if TYPE_CHECKING:  # imported where a table is read: worker processes that measure faces need none
    import pandas as pd

#: Above any number that is kept in JSON; one that is no number at all is not below it either.
_LARGEST: Final = 1e18
#: Environment variable that chooses the workspace.
HOME_VARIABLE: Final = "MASKDET_HOME"
#: In a folder that is trained in: the process that does holds it.
LOCK_FILE: Final = ".lock"
#: Seconds to wait for another who writes a filtered set or a split, which takes a fraction of one.
_PATIENCE: Final = 30.0
#: Under which a file keeps the version of its format.
_FORMAT: Final = "format"


def typed_path(text: Path | str) -> Path:
    """A path as people write it, whose ``~`` is a home folder. Raises MaskDetError if nobody has that home."""
    try:
        return Path(text).expanduser()
    except RuntimeError:  # ~name of a user that this machine does not know
        raise MaskDetError(
            f"Nobody here has the home folder of {' '.join(str(text).split())}: write the whole path."
        ) from None


@dataclass(frozen=True)
class Workspace:
    """A workspace folder. Nothing is created before something is written to it."""

    home: Path

    @classmethod
    def locate(cls, home: Path | str | None = None) -> "Workspace":
        """The workspace that was asked for, else that of ``MASKDET_HOME``, else ``data/workspace``."""
        return cls(typed_path(home or os.environ.get(HOME_VARIABLE) or DATA_DIR / "workspace").absolute())

    def path(self, *parts: str) -> Path:
        """A path in the workspace."""
        return self.home.joinpath(*parts)

    def ensure_writable(self) -> None:
        """Create the folder if need be and see that a file can be written to it.

        Raises
        ------
        WorkspaceError
            If not; the sentence says how to choose another folder.
        """
        try:
            self.home.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.home):
                pass
        except OSError as error:
            raise WorkspaceError(
                f"The workspace {self.home} cannot be written ({error.strerror}); choose another folder with "
                f"--home or {HOME_VARIABLE}."
            ) from error

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the workspace's face table alone, so that two scans never mix.

        Raises
        ------
        WorkspaceError
            If another process holds it.
        """
        self.ensure_writable()
        try:
            with FileLock(self.path(".lock"), timeout=0):
                yield
        except Timeout:
            raise WorkspaceError(f"Another scan is writing to {self.home}; wait until it has ended.") from None

    @contextmanager
    def applying(self) -> Iterator[None]:
        """Hold the filtered set and the split alone, so that of two who write them at once one comes after the other.

        Each of the two is two files, which would belong to no one if they were written in turns.

        Raises
        ------
        WorkspaceError
            If another process or visitor does not let go, or the workspace cannot be written.
        """
        self.ensure_writable()
        try:
            with FileLock(self.path(".applying.lock"), timeout=_PATIENCE):
                yield
        except Timeout:
            raise WorkspaceError("Another session is filtering or splitting; try again in a moment.") from None


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path to write to, which takes the place of ``path`` only if the block ends well.

    It is on the disk before it takes the place: else a power cut may leave the new name with nothing behind it.

    Raises
    ------
    WorkspaceError
        If the disk is full, the folder is read-only, or the like; ``path`` is then as it was.
    """
    # A name of its own: two threads, or machines that share the folder, may write the same file at once.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        flush(temporary)
        temporary.replace(path)
        flush(path.parent)
    except OSError as error:
        raise WorkspaceError(f"{path} cannot be written ({error.strerror or error}).") from error
    finally:
        if temporary.exists():
            temporary.unlink()


def flush(path: Path) -> None:
    """Wait until a file, or the list of a folder's files, is on the disk. Raises OSError where that fails."""
    if path.is_dir() and not hasattr(os, "O_DIRECTORY"):  # Windows opens no folder, and keeps its list by itself
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def flush_tree(folder: Path) -> None:
    """`flush` all that is in a folder, and the folder itself. Raises OSError where that fails."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if not path.is_symlink():
            flush(path)
    flush(folder)


def remove(path: Path) -> None:
    """Delete a file, or a folder with all that is in it; one that is gone already is no error.

    Raises
    ------
    WorkspaceError
        If it cannot be deleted.
    """
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise WorkspaceError(f"{path} cannot be deleted ({error.strerror or error}).") from error


def is_held(folder: Path) -> bool:
    """True while a process trains in a folder."""
    try:
        with FileLock(folder / LOCK_FILE, timeout=0):
            return False
    except Timeout:
        return True
    except OSError:  # the folder has become a run meanwhile
        return False


def write_json(path: Path, value: Any, *, version: int | None = None) -> None:
    """Write JSON, atomically.

    Parameters
    ----------
    version : int, optional
        Of the format of a dictionary, which is written with it.

    Raises
    ------
    WorkspaceError
        If it cannot be written.
    """
    whole = value if version is None else {_FORMAT: version, **value}
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(whole, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: Path, *, version: int | None = None, needs: Collection[str] | None = None) -> Any:
    """Read a JSON file of the workspace.

    Parameters
    ----------
    version : int, optional
        The latest version of the format that is read. The version is no part of what is returned.
    needs : collection of str, optional
        Keys without which it is of another kind; by default anything will do.

    Raises
    ------
    WorkspaceError
        If it is missing or damaged, or a later version of MaskDet wrote it.
    """
    try:
        text = path.read_text(encoding="utf-8")
        value = json.loads(text)
        if "\\ud" in text.lower():  # half of a pair, which could go into no table, file or page
            json.dumps(value, ensure_ascii=False).encode()
    except (OSError, ValueError, RecursionError) as error:  # the last: lists in lists in lists
        raise unreadable(path, error) from error
    if version is not None and isinstance(value, dict) and isinstance(value.get(_FORMAT), int):
        require_version(path, value.pop(_FORMAT), version)
    if needs is not None and not (isinstance(value, dict) and value.keys() >= set(needs)):
        raise unreadable(path, "it is of another kind")
    return value


#: The kinds of a record's entries, by name.
Kinds = Mapping[str, type | tuple[type, ...]]


def is_record(value: object, kinds: Kinds) -> TypeGuard[dict[str, Any]]:
    """True for a JSON object that has all of these entries, each of its kind; a bool is no number, and NaN is none."""

    def fits(entry: object, kind: type | tuple[type, ...]) -> bool:
        if isinstance(entry, bool):
            return bool in (kind if isinstance(kind, tuple) else (kind,))
        return isinstance(entry, kind) and (not isinstance(entry, int | float) or abs(entry) < _LARGEST)

    return isinstance(value, dict) and all(name in value and fits(value[name], kind) for name, kind in kinds.items())


def require_unpacked(path: Path, most_bytes: int) -> None:
    """Raise ValueError for an archive that unpacks to more: a small file may hold far more than the memory."""
    with ZipFile(path) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    if size > most_bytes:
        raise ValueError(f"it unpacks to {size / 1e6:,.0f} MB, more than {most_bytes / 1e6:,.0f}")


def read_arrays(path: Path, needs: Collection[str] = (), *, most_bytes: int = 2_000_000_000) -> dict[str, Any]:
    """Read the arrays of an npz file, by name.

    Parameters
    ----------
    needs : collection of str
        Names without which it is of another kind.
    most_bytes : int
        What unpacks to more is refused. The checkpoint of the largest network takes a third of the default.

    Raises
    ------
    WorkspaceError
        If it is missing, damaged or too large.
    """
    import numpy as np

    try:
        require_unpacked(path, most_bytes)
        with np.load(path, allow_pickle=False) as stored:
            found = {name: stored[name] for name in stored.files}
        if not all(isinstance(each, np.ndarray) for each in found.values()):  # NumPy hands over any other file's bytes
            raise ValueError("it holds what is no array")
    except Exception as error:  # whatever zip, its decompressors and NumPy raise
        raise unreadable(path, error) from error
    if not found.keys() >= set(needs):
        raise unreadable(path, "it is of another kind")
    return found


def unreadable(path: Path, reason: Exception | str) -> WorkspaceError:
    """The error for a file that cannot be used: names it, says why, and what mends it."""
    if isinstance(reason, OSError) and reason.strerror:
        reason = reason.strerror
    brief = reason_of(reason) if isinstance(reason, Exception) else printable(reason)
    kind = kind_of(path)
    mend = kind.mend if kind else "bring it back from a copy"
    if path.is_relative_to(DATA_DIR / "study"):
        mend = "it ships with MaskDet, get it from there again"
    return WorkspaceError(f"{printable(str(path))} cannot be read ({brief}): {mend}.")


def require_version(path: Path, found: int, newest: int) -> None:
    """Raise WorkspaceError for a file whose version this MaskDet does not know, LaterVersionError for a later one."""
    if found > newest:
        raise LaterVersionError(
            f"{path} was written by a later version of MaskDet (format {found}, this one reads {newest}): use that "
            "version, or move the file away and make it again."
        )
    if found < 1:
        raise unreadable(path, f"there is no format {found}")


def write_table(path: Path, table: "pd.DataFrame", *, version: int = 1) -> None:
    """Write a table as Parquet, atomically, with the version of its format and a checksum of each page.

    Raises WorkspaceError if it cannot be written.
    """
    marked = table.copy(deep=False)
    marked.attrs = {_FORMAT: version}  # pandas keeps them in the file
    with replacing(path) as temporary:
        marked.to_parquet(temporary, index=False, write_page_checksum=True)


def read_table(path: Path, columns: Collection[str] = (), *, version: int = 1) -> "pd.DataFrame":
    """Read a Parquet table of the workspace.

    Parameters
    ----------
    columns : collection of str
        Those without which it is of another kind.
    version : int
        The latest version of the format that is read.

    Raises
    ------
    WorkspaceError
        If it is missing or damaged, or a later version of MaskDet wrote it.
    """
    import pandas as pd

    try:
        with path.open("rb") as file:
            table = pd.read_parquet(file, page_checksum_verification=True)
    except Exception as error:
        raise unreadable(path, error) from error
    found = table.attrs.pop(_FORMAT, 1)
    require_version(path, found if isinstance(found, int) else 0, version)
    if lacking := sorted(set(columns) - set(table)):
        raise unreadable(path, f"it has no column {lacking[0]}")
    return table
