"""The folders of datasets: which there are, in which layout each one is, and whether its files have changed.

Only names are looked at, and of files their sizes and times, never what is in them.
"""

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from maskdet.errors import MaskDetError
from maskdet.labels import parse_label
from maskdet.photos import PHOTO_SUFFIXES

#: A publisher's own names of splits, and what they mean.
PUBLISHER_SPLITS: Final = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True)
class Contents:
    """Names of the folders and files in a dataset's folder, at any depth, without hidden ones."""

    folders: frozenset[str]
    files: frozenset[str]

    @cached_property
    def suffixes(self) -> frozenset[str]:
        """How its files end, in lower case and with the dot."""
        return frozenset(os.path.splitext(name)[1].lower() for name in self.files)


#: The layouts by name, each with the test that tells it; `maskdet.readers.READERS` has a reader for each. The last is
#: asked first, so that a layout that is added comes before the more general ones here.
LAYOUTS: Final[dict[str, Callable[[Contents], bool]]] = {
    "json_csv": lambda found: bool(found.suffixes & {".json", ".csv"} and found.suffixes & PHOTO_SUFFIXES),
    "voc": lambda found: ".xml" in found.suffixes,
    "class_folders": lambda found: any(parse_label(name) for name in found.folders),
}


def check_folder(root: Path) -> None:
    """Raise MaskDetError if there is no such folder."""
    try:
        exists, is_folder = root.exists(), root.is_dir()
    except OSError as error:  # its name is too long, or a folder above it is closed
        raise MaskDetError(f"The folder {root} cannot be read: {error.strerror}.") from error
    if not exists:
        raise MaskDetError(f"There is no folder {root}.")
    if not is_folder:
        raise MaskDetError(f"{root} is a file; name the folder that holds the datasets.")


def find_datasets(root: Path, dataset_id: str | None = None) -> dict[str, Path]:
    """The dataset folders in a folder: itself if it is one, else each folder directly in it.

    Parameters
    ----------
    dataset_id : str, optional
        Take the whole folder as one dataset of this id, however deep its photos lie.

    Returns
    -------
    dict
        Dataset id (the folder's name) to folder, sorted by id.

    Raises
    ------
    MaskDetError
        If the folder is missing, unreadable, or holds no dataset.
    """
    check_folder(root)
    if dataset_id is not None and not re.fullmatch(r"\w[\w. -]*", dataset_id):
        raise MaskDetError(f"A dataset's id is made of letters, digits, '.', '-', '_' and blanks, not {dataset_id!r}.")
    try:
        children = sorted(child for child in root.iterdir() if child.is_dir() and not child.name.startswith("."))
        itself = _is_dataset_itself(root, children)
    except OSError as error:
        raise MaskDetError(f"The folder {root} cannot be read: {error.strerror}.") from error
    if dataset_id is not None:
        found = {dataset_id: root} if detect_layout(root) is not None else {}
    elif itself:
        found = {root.resolve().name: root}
    else:
        found = {child.name: child for child in children if detect_layout(child) is not None}
    if not found:
        raise MaskDetError(
            f"No dataset found in {root}: expected folders such as with_mask/ and without_mask/, or images/ with "
            "annotations/ (XML or JSON) or a CSV of boxes, in it or in a folder below it."
        )
    if "Total" in found:
        raise MaskDetError("Rename the dataset Total: tables have their sum under that name.")
    for folder in found.values():
        if not is_utf8(str(folder.resolve())):
            raise MaskDetError(f"Rename the folder {str(folder)!r}: its name is not valid UTF-8.")
    return found


def dataset_signature(folder: Path) -> str:
    """Digest of the names, sizes and times of all files of a dataset: the same as long as nothing was changed."""
    root = str(folder)
    files = []
    for parent, _, names in walk(folder):
        for name in names:
            path = os.path.join(parent, name)
            try:
                status = os.stat(path)
            except OSError:  # a link to nothing
                continue
            files.append(f"{path[len(root) :]!r} {status.st_size} {status.st_mtime_ns}")
    return hashlib.sha256("\n".join(sorted(files)).encode()).hexdigest()[:32]


def detect_layout(folder: Path) -> str | None:
    """The layout of a dataset's folder, a key of `LAYOUTS`, or None if it is none that MaskDet knows."""
    folders: set[str] = set()
    files: set[str] = set()
    for _, folders_here, files_here in walk(folder):
        folders.update(folders_here)
        files.update(files_here)
    found = Contents(frozenset(folders), frozenset(files))
    return next((name for name in reversed(LAYOUTS) if LAYOUTS[name](found)), None)


def walk(folder: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """Like os.walk, without hidden files and folders (``__MACOSX`` and ``._photo.jpg`` come with many archives)."""
    for parent, folders, files in os.walk(folder, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
        yield parent, folders, [name for name in files if not name.startswith(".")]


def is_utf8(name: str) -> bool:
    """True where the name of a file can go into a table: Python reads bytes that are no UTF-8 as lone surrogates."""
    return not any("\ud800" <= character <= "\udfff" for character in name)


def _is_dataset_itself(root: Path, children: list[Path]) -> bool:
    if detect_layout(root) is None:
        return False
    names = [child.name.lower() for child in children]
    if any(parse_label(name) for name in names) or "annotations" in names:
        return True
    parts = [child for child in children if child.name.lower() in PUBLISHER_SPLITS]
    if any(parse_label(folder.name) for part in parts for folder in part.iterdir() if folder.is_dir()):
        return True
    return any(path.suffix.lower() in {".xml", ".json", ".csv"} for path in root.iterdir())
