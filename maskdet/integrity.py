"""Whether a workspace is whole: every file is read as whoever needs it would read it, and nothing is changed.

A damaged file is named in one sentence, with what mends it. What is whole beside it stays in use.
"""

import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

import pandas as pd

from maskdet.errors import ODD_VALUES, LaterVersionError, MaskDetError
from maskdet.facetable import require_table
from maskdet.file_readers import READERS
from maskdet.kinds import KINDS, PARTS, PHOTOS_FOLDER, SAMPLE_FOLDER, Kind
from maskdet.measure import open_pixels, pixels_digest
from maskdet.progress import Progress, silent
from maskdet.runs import open_run
from maskdet.seals import sealed_files
from maskdet.workspace import Workspace, is_held, read_table, remove, unreadable

#: Whoever writes a file writes it in less time; what is older was left by a process that was killed.
SECONDS_TO_WRITE: Final = 3600.0
#: As `maskdet.workspace.replacing` calls what is being written; the name is that of the file to be.
_TEMPORARY: Final = re.compile(r"\.(.+)\.[0-9a-f]{12}\.tmp")
_THOROUGH: Final = "shards/*.json"
_MEASURED: Final = ("face_id", "shard_row", "width", "height", "pixels_digest")


@dataclass(frozen=True)
class Condition:
    """How a workspace stands.

    Attributes
    ----------
    files : int
        Files that were looked at.
    damaged : tuple of str
        A sentence each: which file, why, and what mends it.
    leftovers : tuple of Path
        What processes that were killed had begun to write; `remove_leftovers` takes them away.
    unknown : tuple of Path
        Files that MaskDet did not write, relative to the workspace; they are left alone.
    """

    files: int
    damaged: tuple[str, ...]
    leftovers: tuple[Path, ...]
    unknown: tuple[Path, ...]


def inspect(workspace: Workspace, *, thorough: bool = True, progress: Progress = silent) -> Condition:
    """Read every file of a workspace, and of its sample set. What cannot be read is told, not raised.

    Parameters
    ----------
    thorough : bool
        Read what only the next scan needs too, and compare the pixels of all faces with their digests: gigabytes where
        there are many.
    """
    files = list(_files(workspace.home))
    damaged: list[str] = []
    leftovers, unknown = [], []
    for number, path in enumerate(files):
        progress(number, len(files), "reading every file")
        inside = PurePosixPath(path.relative_to(workspace.home).as_posix())
        kind = kind_inside(inside)
        if _is_leftover(path, inside):
            leftovers.append(path)
        elif kind is None:
            unknown.append(Path(inside))
        elif (thorough or kind.pattern != _THOROUGH or not path.is_file()) and (sentence := fault_of(path, kind)):
            damaged.append(sentence)
    for home in (workspace.home, workspace.path(SAMPLE_FOLDER)):
        table = _face_table(home)
        damaged += [*_missing(home), *_missing_pixels(home, table), *(_other_pixels(home, table) if thorough else [])]
    progress(len(files), len(files), "all is read")
    return Condition(len(files), tuple(dict.fromkeys(damaged)), tuple(leftovers), tuple(unknown))


def kind_inside(path: PurePosixPath) -> Kind | None:
    """The kind of a file by its path relative to the workspace; None for one that MaskDet does not write."""
    parts = path.parts[1:] if path.parts[0] == SAMPLE_FOLDER else path.parts
    return next((kind for kind in KINDS if parts and kind.matches(PurePosixPath(*parts))), None)


def fault_of(path: Path, kind: Kind) -> str | None:
    """Why a file cannot be used, one sentence with what mends it; None where it can."""
    try:
        if not path.is_file():  # a folder in its place, or a link to nowhere
            there = "it is a link to nowhere" if path.is_symlink() else "it is missing"
            raise unreadable(path, "it is a folder" if path.is_dir() else there)
        READERS[kind.pattern](path)
    except (*ODD_VALUES, OSError) as error:
        said = str(error)
        # What lies beside a file, under the same stem, may be what is damaged.
        whole = str(path.with_suffix("")) in said and (kind.mend in said or isinstance(error, LaterVersionError))
        return said if whole else str(unreadable(path, error))
    return None


def remove_leftovers(workspace: Workspace, now: float | None = None) -> list[Path]:
    """Remove what processes that were killed had begun to write, an hour or more ago; returns what was removed.

    Folders of trainings go where they are held by nobody and have no plan: nothing had begun in them.

    Raises
    ------
    WorkspaceError
        If one cannot be removed.
    """
    now = time.time() if now is None else now
    removed = []
    for path in _files(workspace.home):
        inside = PurePosixPath(path.relative_to(workspace.home).as_posix())
        if _is_leftover(path, inside) and _is_old(path, now):
            remove(path)
            removed.append(path)
    for folder in workspace.path("runs").glob(".*.partial"):
        if not (folder / "plan.json").exists() and _is_old(folder, now) and not is_held(folder):
            remove(folder)
            removed.append(folder)
    return removed


def _is_leftover(path: Path, inside: PurePosixPath) -> bool:
    return _is_being_written(inside) or _is_being_drawn(path, inside)


def _is_being_written(inside: PurePosixPath) -> bool:
    """True for what MaskDet writes before it takes a file's place; another program's ``.tmp`` is none of its own."""
    found = _TEMPORARY.fullmatch(inside.name)
    return found is not None and kind_inside(inside.with_name(found[1])) is not None


def _is_being_drawn(path: Path, inside: PurePosixPath) -> bool:
    """True for the folder of a sample set that is not complete (see `maskdet.samples.write_sample`)."""
    return inside.match(f"{SAMPLE_FOLDER}/.{PHOTOS_FOLDER}-*") and len(inside.parts) == 2 and path.is_dir()


def _is_old(path: Path, now: float) -> bool:
    try:
        return now - path.lstat().st_mtime > SECONDS_TO_WRITE
    except FileNotFoundError:  # it was put in place meanwhile
        return False


def _files(home: Path) -> Iterator[Path]:
    """Every file, and every folder or link that stands where a file should be."""
    photos = home / SAMPLE_FOLDER / PHOTOS_FOLDER
    for folder, folders, names in os.walk(home):
        here = Path(folder)
        instead = [
            name
            for name in folders
            if kind_inside(inside := PurePosixPath((here / name).relative_to(home).as_posix()))
            or _is_being_written(inside)
            or _is_being_drawn(here / name, inside)
        ]
        folders[:] = sorted(name for name in folders if name not in instead and here / name != photos)
        yield from (here / name for name in sorted([*names, *instead]))


def _missing(home: Path) -> Iterator[str]:
    """Sentences on files without which others are of no use."""
    for present, needed in PARTS:
        for path in sorted(home.glob(present)):
            if path.is_dir() and (path.name.startswith(".") or path.is_symlink()):
                continue
            if present.endswith("/*") and not path.is_dir():  # a stray file, which is told as unknown
                continue
            for name in needed:
                other = path / name if path.is_dir() else path.with_name(name.format(stem=path.stem))
                if not os.path.lexists(other):
                    yield str(unreadable(other, "it is missing"))
    for record in sorted(home.glob("runs/[!.]*/run.json")):
        yield from _missing_of_run(record.parent)


def _missing_of_run(folder: Path) -> Iterator[str]:
    try:
        names = sealed_files(open_run(folder).record)
    except MaskDetError:  # told already
        return
    for name in names:
        if not os.path.lexists(folder / name):
            yield str(unreadable(folder / name, "it is missing"))


def _face_table(home: Path) -> pd.DataFrame | None:
    try:
        table = read_table(home / "faces.parquet")
        require_table(table)
    except MaskDetError:  # told already, or there is none
        return None
    return table


def _missing_pixels(home: Path, table: pd.DataFrame | None) -> Iterator[str]:
    for shard in [] if table is None else sorted(table["shard"].unique()):
        for suffix in ("json", "npy"):
            path = home / "shards" / f"{shard}.{suffix}"
            if not os.path.lexists(path):
                yield str(unreadable(path, "it is missing"))


def _other_pixels(home: Path, table: pd.DataFrame | None) -> Iterator[str]:
    """Sentences on shards whose pixels are not those that were measured."""
    for shard, rows in [] if table is None else table.groupby("shard"):
        path = home / "shards" / f"{shard}.npy"
        try:
            pixels = open_pixels(path)
        except MaskDetError:  # told already
            continue
        for face_id, at, width, height, known in zip(*(rows[name].tolist() for name in _MEASURED), strict=True):
            if not 0 <= at < len(pixels) or pixels_digest(pixels[at], width, height) != known:
                yield str(
                    unreadable(path, f"the pixels of {face_id} are not those that were measured; delete the file")
                )
                break
