"""Readers: from a dataset's folder to its annotated faces, one function a layout.

A reader looks at names and annotation files only, never at pixels. What it cannot read becomes a `Reject` with a
reason; it never ends the scan. Layouts of the study (4.1): class folders, PASCAL VOC, JSON annotations and CSV.
"""

import csv
import hashlib
import json
import math
import os
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final, Literal
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring as parse_xml

from maskdet.errors import MaskDetError
from maskdet.labels import Label, parse_label
from maskdet.photos import PHOTO_SUFFIXES

Layout = Literal["class_folders", "voc", "json_csv"]
RawBox = tuple[float, float, float, float]

_PUBLISHER_SPLITS: Final = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
    "testing": "test",
}
_BOX_BY_NAME: Final = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True)
class AnnotatedFace:
    """One face as its publisher describes it.

    Attributes
    ----------
    photo : str
        Path of the photo below the dataset's folder, with forward slashes.
    label : Label
        What the publisher says of the mask.
    box : tuple of float or None
        ``(left, top, right, bottom)`` in pixels of the upright photo, not yet clipped; None is the whole photo.
    publisher_split : str
        "train", "validation" or "test" where the publisher says so, else "".
    """

    photo: str
    label: Label
    box: RawBox | None = None
    publisher_split: str = ""


@dataclass(frozen=True)
class Reject:
    """A file or an annotation that could not be used, and why."""

    photo: str
    reason: str


@dataclass
class Reading:
    """What a reader found in one dataset; ``photos`` counts its photo files, with or without a face."""

    faces: list[AnnotatedFace] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    photos: int = 0

    def reject(self, photo: str, reason: str) -> None:
        """Note a file or annotation that cannot be used."""
        self.rejects.append(Reject(photo.encode(errors="backslashreplace").decode(), reason))


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
        if not _is_utf8(str(folder.resolve())):
            raise MaskDetError(f"Rename the folder {str(folder)!r}: its name is not valid UTF-8.")
    return found


def dataset_signature(folder: Path) -> str:
    """Digest of the names, sizes and times of all files of a dataset: the same as long as nothing was changed."""
    root = str(folder)
    files = []
    for parent, _, names in _walk(folder):
        for name in names:
            path = os.path.join(parent, name)
            try:
                status = os.stat(path)
            except OSError:  # a link to nothing
                continue
            files.append(f"{path[len(root) :]!r} {status.st_size} {status.st_mtime_ns}")
    return hashlib.sha256("\n".join(sorted(files)).encode()).hexdigest()[:32]


def detect_layout(folder: Path) -> Layout | None:
    """The layout of a dataset's folder, or None if it is none that MaskDet knows."""
    suffixes: set[str] = set()
    for _, folders, files in _walk(folder):
        if any(parse_label(name) for name in folders):
            return "class_folders"
        suffixes.update(Path(name).suffix.lower() for name in files)
    if ".xml" in suffixes:
        return "voc"
    if suffixes & {".json", ".csv"} and suffixes & PHOTO_SUFFIXES:
        return "json_csv"
    return None


def read_dataset(folder: Path) -> Reading:
    """Read a dataset's folder in whichever layout it is.

    Raises
    ------
    MaskDetError
        If the folder has no layout that MaskDet knows.
    """
    layout = detect_layout(folder)
    if layout is None:
        raise MaskDetError(f"{folder} is no dataset in a layout that MaskDet knows.")
    reading = READERS[layout](folder)
    return _without_repeats(reading)


def read_class_folders(folder: Path) -> Reading:
    """One photo a face, its label the name of a folder above it, also nested in Train/Validation/Test."""
    reading = Reading()
    for photo in _photos(folder, reading):
        parents = PurePosixPath(photo).parts[:-1]
        labels = [label for part in reversed(parents) if (label := parse_label(part))]
        if not labels:
            reading.reject(photo, "lies in no folder named for a label")
            continue
        splits = [_PUBLISHER_SPLITS[part.lower()] for part in parents if part.lower() in _PUBLISHER_SPLITS]
        reading.faces.append(AnnotatedFace(photo, labels[0], None, splits[0] if splits else ""))
    return reading


def read_voc(folder: Path) -> Reading:
    """PASCAL VOC: one XML file a photo, one ``<object>`` a face (Dataset 3.2)."""
    reading = Reading()
    photos = _PhotoIndex(_photos(folder, reading))
    for name in _files(folder, {".xml"}, reading):
        path = folder / name
        try:
            root = parse_xml(path.read_bytes(), forbid_dtd=True)
        except (ParseError, DefusedXmlException, OSError, ValueError, LookupError) as error:  # the last: its encoding
            reading.reject(name, f"not readable as XML: {_one_line(error)}")
            continue
        photo = photos.find(root.findtext("filename") or "", path.stem)
        if photo is None:
            reading.reject(name, f"its photo {root.findtext('filename') or path.stem!r} is missing")
            continue
        objects = list(root.iter("object"))
        if not objects:
            reading.reject(photo, "its XML has no boxes")
        for number, element in enumerate(objects, start=1):
            _add_face(reading, photo, number, element.findtext("name") or "", _voc_box(element))
    _reject_unannotated(reading, photos)
    return reading


def read_json_csv(folder: Path) -> Reading:
    """JSON files with boxes, and CSV files for the photos that no JSON file describes (Dataset 3.1).

    A CSV has a column for the file's name, four for the box and one for the class. Columns named ``xmin, ymin, xmax,
    ymax`` are taken by name. Any others are taken by position, as left, top, right, bottom: Dataset 3.1 heads them
    ``x1,x2,y1,y2``, but its own JSON shows that the values stand in that order.
    """
    reading = Reading()
    photos = _PhotoIndex(_photos(folder, reading))
    for name in _files(folder, {".json"}, reading):
        path = folder / name
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            file_name, entries = str(record["FileName"]), list(record["Annotations"])
        except (ValueError, KeyError, TypeError, OSError, RecursionError) as error:
            reading.reject(name, f"not readable as a JSON annotation: {_one_line(error)}")
            continue
        photo = photos.find(file_name, path.stem)
        if photo is None:
            reading.reject(name, f"its photo {file_name!r} is missing")
            continue
        if not entries:
            reading.reject(photo, "its JSON has no boxes")
        for number, entry in enumerate(entries, start=1):
            entry = entry if isinstance(entry, dict) else {}
            _add_face(reading, photo, number, str(entry.get("classname", "")), _parse_box(entry.get("BoundingBox")))
    described = set(photos.used)
    for name in _files(folder, {".csv"}, reading):
        _read_csv(folder / name, name, photos, described, reading)
    _reject_unannotated(reading, photos)
    return reading


READERS: Final[dict[Layout, Callable[[Path], Reading]]] = {
    "class_folders": read_class_folders,
    "voc": read_voc,
    "json_csv": read_json_csv,
}


class _PhotoIndex:
    """Finds a photo by the file name an annotation gives, only ever among the photos of the dataset itself."""

    def __init__(self, photos: list[str]) -> None:
        self.photos = photos
        self.used: set[str] = set()
        self._by_name = {PurePosixPath(photo).name: photo for photo in photos}
        self._by_stem = {PurePosixPath(photo).stem: photo for photo in photos}

    def find(self, name: str, stem: str) -> str | None:
        name = PurePosixPath(name.replace("\\", "/")).name
        photo = self._by_name.get(name) or self._by_name.get(stem) or self._by_stem.get(stem)
        if photo is not None:
            self.used.add(photo)
        return photo


def _read_csv(path: Path, name: str, photos: _PhotoIndex, described: set[str], reading: Reading) -> None:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reading.reject(name, f"not readable as CSV: {_one_line(error)}")
        return
    columns = _csv_columns(rows[0] if rows else [])
    if columns is None:
        reading.reject(name, "needs a column for the file name, four for the box and one for the class")
        return
    numbers: dict[str, int] = defaultdict(int)
    for line, row in enumerate(rows[1:], start=2):
        if not row:  # a blank line
            continue
        if len(row) <= max(columns):
            reading.reject(f"{name}, line {line}", "has too few values")
            continue
        photo = photos.find(row[columns[0]], "")
        if photo is None:
            reading.reject(f"{name}, line {line}", f"its photo {row[columns[0]]!r} is missing")
        elif photo not in described:
            numbers[photo] += 1
            _add_face(reading, photo, numbers[photo], row[columns[5]], _parse_box([row[i] for i in columns[1:5]]))


def _csv_columns(header: list[str]) -> tuple[int, ...] | None:
    """Indices of the file name, left, top, right, bottom and class; None if the header has no such columns."""
    names = [cell.strip().lower() for cell in header]
    if len(names) < 6:
        return None
    if set(_BOX_BY_NAME) <= set(names):
        box = [names.index(name) for name in _BOX_BY_NAME]
        others = [i for i in range(len(names)) if i not in box]
        file = next((i for i in others if names[i] in ("name", "filename", "file", "image")), others[0])
        label = next((i for i in others if names[i] in ("classname", "class", "label")), others[-1])
        return (file, *box, label)
    return (0, 1, 2, 3, 4, 5)


def _add_face(reading: Reading, photo: str, number: int, class_name: str, box: RawBox | None) -> None:
    label = parse_label(class_name)
    if label is None:
        reading.reject(photo, f"box {number}: class {class_name!r} says nothing of a mask")
    elif box is None:
        reading.reject(photo, f"box {number}: its corners are not four numbers")
    else:
        reading.faces.append(AnnotatedFace(photo, label, box))


def _voc_box(element: Element) -> RawBox | None:
    return _parse_box([element.findtext(f"bndbox/{name}") for name in _BOX_BY_NAME])


def _parse_box(values: Any) -> RawBox | None:
    try:
        left, top, right, bottom = (float(value) for value in values)
    except (TypeError, ValueError, OverflowError):
        return None
    box = (left, top, right, bottom)
    return box if all(math.isfinite(value) and abs(value) < 1e9 for value in box) else None


def _reject_unannotated(reading: Reading, photos: _PhotoIndex) -> None:
    for photo in photos.photos:
        if photo not in photos.used:
            reading.reject(photo, "has no annotation")


def _without_repeats(reading: Reading) -> Reading:
    """Each box of a photo once: a second label for the same box would be two answers to one question."""
    kept: dict[tuple[str, RawBox | None], AnnotatedFace] = {}
    for face in reading.faces:
        key = (face.photo, face.box)
        if key in kept:
            reading.reject(face.photo, f"box given twice ({kept[key].label}, then {face.label}); the first counts")
        else:
            kept[key] = face
    return Reading(list(kept.values()), reading.rejects, reading.photos)


def _is_dataset_itself(root: Path, children: list[Path]) -> bool:
    names = [child.name.lower() for child in children]
    if any(parse_label(name) for name in names) or "annotations" in names:
        return True
    if any(
        parse_label(c.name) for child in children if child.name.lower() in _PUBLISHER_SPLITS for c in child.iterdir()
    ):
        return True
    return detect_layout(root) is not None and any(
        path.suffix.lower() in {".xml", ".json", ".csv"} for path in root.iterdir()
    )


def _photos(folder: Path, reading: Reading) -> list[str]:
    photos = []
    for name in _files(folder, PHOTO_SUFFIXES, reading):
        if _is_utf8(name):
            photos.append(name)
        else:  # it could go into no table
            reading.reject(name, "has a name that is not valid UTF-8")
    reading.photos = len(photos)
    return photos


def _is_utf8(name: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in name)


def _files(folder: Path, suffixes: Collection[str], reading: Reading) -> list[str]:
    """Sorted names of the files that end so, below the folder and with forward slashes; none that links out of it."""
    root = folder.resolve()
    names = []
    for parent, _, files in _walk(folder):
        below = parent[len(str(folder)) :].replace(os.sep, "/").strip("/")
        for file in files:
            if os.path.splitext(file)[1].lower() not in suffixes:
                continue
            name = f"{below}/{file}" if below else file
            path = os.path.join(parent, file)
            if os.path.islink(path) and not Path(path).resolve().is_relative_to(root):
                reading.reject(name, "is a link that leads out of the dataset's folder")
            else:
                names.append(name)
    return sorted(names, key=lambda name: name.split("/"))


def _walk(folder: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """Like os.walk, without hidden files and folders (``__MACOSX`` and ``._photo.jpg`` come with many archives)."""
    for parent, folders, files in os.walk(folder, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
        yield parent, folders, [name for name in files if not name.startswith(".")]


def _one_line(error: BaseException) -> str:
    text = f"missing {error}" if isinstance(error, KeyError) else str(error)
    return (text.splitlines() or [type(error).__name__])[0]
