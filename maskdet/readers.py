"""Readers: from a dataset's folder to its annotated faces, one function a layout.

A reader looks at names and annotation files only, never at pixels. What it cannot read becomes a `Reject` with a
reason; it never ends the scan. Layouts of the study (4.1): class folders, PASCAL VOC, JSON annotations and CSV.
"""

import csv
import json
import math
import os
from collections import defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path, PurePosixPath
from posixpath import normpath
from typing import Any, Final
from xml.etree.ElementTree import Element  # only a type; defusedxml parses  # nosec B405

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import ParseError
from defusedxml.ElementTree import fromstring as parse_xml

from maskdet.dataset_folders import PUBLISHER_SPLITS, detect_layout, is_utf8, walk
from maskdet.errors import MaskDetError, reason_of
from maskdet.labels import Label, parse_label
from maskdet.photos import PHOTO_SUFFIXES, read_source

RawBox = tuple[float, float, float, float]

#: Annotation files with more bytes are refused before they are read: 20 MB are half a million boxes.
MOST_BYTES: Final = 20_000_000
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
    for photo in list_photos(folder, reading):
        parents = PurePosixPath(photo).parts[:-1]
        labels = [label for part in reversed(parents) if (label := parse_label(part))]
        if not labels:
            reading.reject(photo, "lies in no folder named for a label")
            continue
        splits = [PUBLISHER_SPLITS[part.lower()] for part in parents if part.lower() in PUBLISHER_SPLITS]
        reading.faces.append(AnnotatedFace(photo, labels[0], None, splits[0] if splits else ""))
    return reading


def read_voc(folder: Path) -> Reading:
    """PASCAL VOC: one XML file a photo, one ``<object>`` a face (Dataset 3.2)."""
    reading = Reading()
    photos = _PhotoIndex(list_photos(folder, reading))
    for name in list_files(folder, {".xml"}, reading):
        path = folder / name
        try:
            root = parse_xml(_content(path), forbid_dtd=True)
        # LookupError: nobody knows the encoding that it names.
        except (MaskDetError, ParseError, DefusedXmlException, ValueError, LookupError) as error:
            reading.reject(name, f"not readable as XML: {reason_of(error)}")
            continue
        photo, reason = photos.find(root.findtext("filename") or "", name, path.stem)
        if photo is None:
            reading.reject(name, reason)
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
    photos = _PhotoIndex(list_photos(folder, reading))
    for name in list_files(folder, {".json"}, reading):
        path = folder / name
        try:
            record = json.loads(_content(path).decode())
            file_name, entries = str(record["FileName"]), list(record["Annotations"])
        except (MaskDetError, ValueError, KeyError, TypeError, RecursionError) as error:
            reading.reject(name, f"not readable as a JSON annotation: {reason_of(error)}")
            continue
        photo, reason = photos.find(file_name, name, path.stem)
        if photo is None:
            reading.reject(name, reason)
            continue
        if not entries:
            reading.reject(photo, "its JSON has no boxes")
        for number, entry in enumerate(entries, start=1):
            entry = entry if isinstance(entry, dict) else {}
            _add_face(reading, photo, number, str(entry.get("classname", "")), _parse_box(entry.get("BoundingBox")))
    described = set(photos.used)
    for name in list_files(folder, {".csv"}, reading):
        _read_csv(folder / name, name, photos, described, reading)
    _reject_unannotated(reading, photos)
    return reading


#: By the names of `maskdet.dataset_folders.LAYOUTS`.
READERS: Final[dict[str, Callable[[Path], Reading]]] = {
    "class_folders": read_class_folders,
    "voc": read_voc,
    "json_csv": read_json_csv,
}


class _PhotoIndex:
    """Finds a photo by the file name an annotation gives, only ever among the photos of the dataset itself."""

    def __init__(self, photos: list[str]) -> None:
        self.photos = photos
        self.used: set[str] = set()
        self._by_name: dict[str, list[str]] = defaultdict(list)
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        for photo in photos:
            self._by_name[PurePosixPath(photo).name].append(photo)
            self._by_stem[PurePosixPath(photo).stem].append(photo)

    def find(self, given: str, annotation: str, stem: str = "") -> tuple[str | None, str]:
        """The photo, or None and why there is none.

        Of photos of the same name in different folders, it is the one that the name leads to from the annotation's
        folder, or else the one whose path has most folders in common with those of the annotation and of the name.

        Parameters
        ----------
        given : str
            The photo's name as the annotation has it; folders before it count only between photos of the same name.
        annotation : str
            Path of the annotation's file below the dataset's folder.
        stem : str
            Name of the photo without its ending, where the name that is given names none.
        """
        path, folder = PurePosixPath(given.replace("\\", "/")), PurePosixPath(annotation).parent
        found = self._by_name.get(path.name) or self._by_name.get(stem) or self._by_stem.get(stem) or []
        if not found:
            return None, f"its photo {given or stem!r} is missing"
        if len(found) > 1:
            folders = {*path.parent.parts, *folder.parts}
            parents = [PurePosixPath(photo).parent for photo in found]
            leads_to = PurePosixPath(normpath(folder / path.parent))  # without "..", which goes back from annotations
            likeness = [
                (parent == leads_to, len(folders.intersection(parent.parts)), parent == folder) for parent in parents
            ]
            most = max(likeness)
            found = [photo for photo, alike in zip(found, likeness, strict=True) if alike == most]
        if len(found) > 1:
            return None, f"its photo {given or stem!r} may be {found[0]} or {found[1]}"
        self.used.add(found[0])
        return found[0], ""


def _content(path: Path) -> bytes:
    """What an annotation file holds. Raises MaskDetError if it cannot be read or is larger than `MOST_BYTES`."""
    return read_source(path, MOST_BYTES, MaskDetError)


def _read_csv(path: Path, name: str, photos: _PhotoIndex, described: set[str], reading: Reading) -> None:
    try:
        rows = list(csv.reader(StringIO(_content(path).decode("utf-8-sig"), newline="")))
    except (MaskDetError, UnicodeDecodeError, csv.Error) as error:
        reading.reject(name, f"not readable as CSV: {reason_of(error)}")
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
        photo, reason = photos.find(row[columns[0]], name)
        if photo is None:
            reading.reject(f"{name}, line {line}", reason)
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


def list_photos(folder: Path, reading: Reading) -> list[str]:
    """Sorted names of a dataset's photos, below its folder and with forward slashes; sets ``reading.photos``.

    Photos whose name can go into no table, or that link out of the folder, are rejected.
    """
    photos = []
    for name in list_files(folder, PHOTO_SUFFIXES, reading):
        if is_utf8(name):
            photos.append(name)
        else:  # it could go into no table
            reading.reject(name, "has a name that is not valid UTF-8")
    reading.photos = len(photos)
    return photos


def list_files(folder: Path, suffixes: Collection[str], reading: Reading) -> list[str]:
    """Sorted names of the files that end so (".xml"), as in `list_photos`; those that link out are rejected."""
    root = folder.resolve()
    names = []
    for parent, _, files in walk(folder):
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
