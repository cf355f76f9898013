"""The workspace: the folder that holds what a user makes, and how files get there.

Files are replaced, never changed in place: each is written beside its target and renamed, so a reader sees the old
or the new one and a cut leaves the old.

    faces.parquet      one row a face (see `maskdet.facetable`)     rejects.parquet  what could not be used, and why
    datasets.json      where each dataset lies                      shards/          measured faces, pixels with them
    filtered.parquet   keep or drop, and why                        filter.json      the options of that filter
    split.parquet      train, validation or test                    split.json       its options and fingerprint
    splits/            every split that was saved, by fingerprint   evaluations/     runs judged on other splits
    runs/ID/           one folder a run                             jobs/ID/         one folder a background job
    appearance/        skin tone and mask colour, by shard          measurements/    what else is measured, by shard
    bias/FINGERPRINT/  what the bias lab found                      study.json       how far `maskdet study` has come
"""

import json
import os
import secrets
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeGuard

from filelock import FileLock, Timeout

from maskdet.catalog import DATA_DIR
from maskdet.errors import WorkspaceError, reason_of

if TYPE_CHECKING:  # imported where a table is read: worker processes that measure faces need none
    import pandas as pd

#: Above any number that is kept in JSON; one that is no number at all is not below it either.
_LARGEST: Final = 1e18
#: Environment variable that chooses the workspace.
HOME_VARIABLE: Final = "MASKDET_HOME"
#: Seconds to wait for another who writes a filtered set or a split, which takes a fraction of one.
_PATIENCE: Final = 30.0


@dataclass(frozen=True)
class Workspace:
    """A workspace folder. Nothing is created before something is written to it."""

    home: Path

    @classmethod
    def locate(cls, home: Path | str | None = None) -> "Workspace":
        """The workspace that was asked for, else that of ``MASKDET_HOME``, else ``data/workspace``."""
        return cls(Path(home or os.environ.get(HOME_VARIABLE) or DATA_DIR / "workspace").expanduser().absolute())

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
        temporary.replace(path)
    except OSError as error:
        raise WorkspaceError(f"{path} cannot be written ({error.strerror or error}).") from error
    finally:
        if temporary.exists():
            temporary.unlink()


def write_json(path: Path, value: Any) -> None:
    """Write JSON, atomically. Raises WorkspaceError if it cannot be written."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read a JSON file of the workspace. Raises WorkspaceError if it is missing or damaged."""
    try:
        text = path.read_text(encoding="utf-8")
        value = json.loads(text)
        if "\\ud" in text.lower():  # half of a pair, which could go into no table, file or page
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except (OSError, ValueError, RecursionError) as error:  # the last: lists in lists in lists
        raise WorkspaceError(f"{path} cannot be read ({reason_of(error)}).") from error


#: The kinds of a record's entries, by name.
Kinds = Mapping[str, type | tuple[type, ...]]


def is_record(value: object, kinds: Kinds) -> TypeGuard[dict[str, Any]]:
    """True for a JSON object that has all of these entries, each of its kind; a bool is no number, and NaN is none."""

    def fits(entry: object, kind: type | tuple[type, ...]) -> bool:
        if isinstance(entry, bool):
            return bool in (kind if isinstance(kind, tuple) else (kind,))
        return isinstance(entry, kind) and (not isinstance(entry, int | float) or abs(entry) < _LARGEST)

    return isinstance(value, dict) and all(name in value and fits(value[name], kind) for name, kind in kinds.items())


def write_table(path: Path, table: "pd.DataFrame") -> None:
    """Write a table as Parquet, atomically. Raises WorkspaceError if it cannot be written."""
    with replacing(path) as temporary:
        table.to_parquet(temporary, index=False)


def read_table(path: Path, columns: Collection[str] = ()) -> "pd.DataFrame":
    """Read a Parquet table of the workspace. Raises WorkspaceError if it is missing, damaged, or lacks a column."""
    import pandas as pd

    try:
        table = pd.read_parquet(path)
    except Exception as error:
        raise WorkspaceError(f"{path} cannot be read ({reason_of(error)}).") from error
    if lacking := sorted(set(columns) - set(table)):
        raise WorkspaceError(f"{path} is damaged: it has no column {lacking[0]}.")
    return table
