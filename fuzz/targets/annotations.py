"""Targets: what publishers write beside their photos, names of folders and files, and the catalog."""

import math
import shutil
from pathlib import Path

import pandas as pd
from conftest import write_csv_boxes, write_json_boxes, write_voc

from fuzz.mutate import ODD_TEXTS, csv_text, json_text, text, toml_text, xml_text
from fuzz.target import BrokenError, Prepared, Run, Target, check, check_finite, check_sentence, check_text, refusals
from maskdet.catalog import DATA_DIR, Dataset, load_catalog, lookup
from maskdet.dataset_folders import dataset_signature, detect_layout, find_datasets
from maskdet.errors import MaskDetError, PhotoError
from maskdet.labels import LABELS, parse_label
from maskdet.photos import PHOTO_SUFFIXES, clip_box
from maskdet.readers import Reading, read_dataset
from maskdet.related import read_related, related_groups

_BOXES = {
    "photo.png": [("with_mask", (2, 3, 22, 33)), ("without_mask", (30.5, 5, 60, 45))],
    "second.png": [("mask_weared_incorrect", (0, 0, 40, 40))],
}
_HOSTILE = (b"&lol;", b"<!ENTITY", b"<!DOCTYPE", b"SYSTEM", b"NaN", b"Infinity", b"1e400", b"-1e8", b"\\ud800")


def photos_in(root: Path) -> set[str]:
    """The photos below a folder, as a reading names them."""
    files = [path for path in root.rglob("*") if path.suffix.lower() in PHOTO_SUFFIXES]
    return {path.relative_to(root).as_posix() for path in files}


def check_reading(reading: Reading, names: set[str]) -> None:
    """Every photo is told of, by faces whose values are as promised, or by a reason."""
    for face in reading.faces:
        check(face.photo in names, f"a face of no photo: {face.photo!r}")
        check(face.label in LABELS, f"the label {face.label!r}")
        check(face.publisher_split in ("", "train", "validation", "test"), f"the split {face.publisher_split!r}")
        for edge in face.box or ():
            check_finite(edge, "an edge of a box", low=-1e9, high=1e9)
    for reject in reading.rejects:
        check_text(reject.photo)
        check_sentence(reject.reason)
    told = {face.photo for face in reading.faces} | {reject.photo for reject in reading.rejects}
    check(names <= told, f"nothing is said of {sorted(names - told)[:3]}")
    check(reading.photos == len(names), f"{reading.photos} photos of {len(names)}")
    boxes = [(face.photo, face.box) for face in reading.faces]
    check(len(boxes) == len(set(boxes)), "a box twice")


def check_clipped(reading: Reading, width: int = 80, height: int = 60) -> None:
    """The boxes of all faces lie in their photos once clipped, or are refused."""
    for face in reading.faces:
        if face.box is not None:
            with refusals(PhotoError):
                left, top, right, bottom = clip_box(face.box, width, height)
                inside = 0 <= left < right <= width and 0 <= top < bottom <= height
                check(inside, f"{face.box} becomes {left},{top},{right},{bottom}")


def check_row(row: dict[str, object], usable: bool) -> None:
    """A measured row: a reason, or a box in the photo and finite measurements."""
    if not usable:
        check_sentence(str(row["reason"]))
        return
    left, top, right, bottom = (int(str(row[edge])) for edge in ("left", "top", "right", "bottom"))
    inside = 0 <= left < right <= int(str(row["photo_width"])) and 0 <= top < bottom <= int(str(row["photo_height"]))
    check(inside, f"the box {left},{top},{right},{bottom} is not in its photo")
    for name, value in row.items():
        if isinstance(value, float) and name != "jpeg_quantisation":
            check(math.isfinite(value), f"{name} is {value}")


def _dataset_reader(root: Path, annotation: Path) -> Run:
    names = photos_in(root)

    def run(data: bytes) -> None:
        annotation.write_bytes(data)
        reading = read_dataset(root)
        check_reading(reading, names)
        check_clipped(reading)

    return run


def _voc(folder: Path) -> Prepared:
    root = write_voc(folder / "voc", _BOXES)
    seeds = [path.read_bytes() for path in sorted(root.rglob("*.xml"))]
    (root / "annotations/second.xml").unlink()
    return Prepared(_dataset_reader(root, root / "annotations/photo.xml"), [*seeds, _VOC_WITH_MORE])


_VOC_WITH_MORE = b"""<?xml version="1.0" encoding="utf-8"?>
<annotation><folder>images</folder><filename>images\\photo.png</filename><size><width>80</width></size>
<object><name>face with mask</name><pose>Frontal</pose><bndbox><xmin>1e1</xmin><ymin> 5 </ymin><xmax>-3</xmax>
<ymax>1_0</ymax></bndbox></object><!-- a --><object/></annotation>"""


def _json(folder: Path) -> Prepared:
    root = write_json_boxes(folder / "json", _BOXES)
    seeds = [path.read_bytes() for path in sorted(root.rglob("*.json"))]
    (root / "annotations/second.png.json").unlink()
    odd = b'{"FileName": "images/photo.png", "Annotations": [{"BoundingBox": ["1", 2.5, 3e1, true], "classname": 1}]}'
    return Prepared(_dataset_reader(root, root / "annotations/photo.png.json"), [*seeds, odd])


def _csv(folder: Path) -> Prepared:
    rows = [("photo.png", 2, 3, 22, 33, "face_with_mask"), ("second.png", 1, 1, 30, 30, "face_no_mask")]
    root = write_csv_boxes(folder / "csv", rows, draw=("photo.png", "second.png"))
    by_name = b'xmin,ymin,image,xmax,ymax,more,label\r\n1,2,photo.png,30,40,,mask\r\n\r\n1,2,"a\nb",3,4,x,mask\r\n'
    return Prepared(_dataset_reader(root, root / "train.csv"), [(root / "train.csv").read_bytes(), by_name])


def _folders(folder: Path) -> Prepared:
    """Names of files, a line each, of which a dataset is made."""
    root = folder / "named"

    def run(data: bytes) -> None:
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir()
        for line in data.split(b"\n")[:12]:
            parts = [part[:200] for part in line.replace(b"\0", b"").split(b"/") if part not in (b"", b".", b"..")]
            path = Path(root, *(part.decode("utf-8", errors="surrogateescape") for part in parts[:6]))
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
            except OSError:  # a file is in the way, or it is the folder itself
                continue
        with refusals():
            found = find_datasets(root)
            for name, place in found.items():
                check(place.is_relative_to(root), f"the dataset {name!r} lies outside")
                check(detect_layout(place) is not None, "a dataset in no layout")
                check(len(dataset_signature(place)) == 32, "a signature of another length")
                check_folder_reading(read_dataset(place))

    seeds = [
        b"with_mask/0.png\nwithout_mask/1.jpg",
        b"Train/WithMask/a.jpeg\nTest/WithoutMask/b.webp\nVal/Mask/c.gif",
        b"one/images/a.png\none/annotations/a.xml\ntwo/mask/a.png\n.hidden/mask/b.png\n__MACOSX/mask/c.png",
        b"a/a.csv\na/b.png",
        "Überall/ohne Maske/ä.png\nd/with mask/\udcff.png".encode(errors="surrogateescape"),
    ]
    return Prepared(run, seeds)


def check_folder_reading(reading: Reading) -> None:
    """The faces and rejects of a reading whose photos may be called anything."""
    for face in reading.faces:
        check_text(face.photo)
        check(face.label in LABELS, f"the label {face.label!r}")
    for reject in reading.rejects:
        check_text(reject.photo)
        check_sentence(reject.reason)
    told = {face.photo for face in reading.faces} | {reject.photo for reject in reading.rejects}
    check(len(told) >= reading.photos, "a photo that nothing is said of")


def _label(folder: Path) -> Prepared:
    def run(data: bytes) -> None:
        name = data.decode("utf-8", errors="surrogateescape")
        check(parse_label(name) in (*LABELS, None), f"the label of {name!r}")

    return Prepared(run, [b"with_mask", b"Face without mask", b"Total", "Maske \u212a".encode()])


def _catalog(folder: Path) -> Prepared:
    path = folder / "datasets.toml"

    def run(data: bytes) -> None:
        path.write_bytes(data)
        try:
            catalog = load_catalog(path)
        except MaskDetError as error:
            check_sentence(str(error))
            return
        for key, dataset in catalog.items():
            check(lookup(catalog, key) is dataset, "another dataset under this id")
            check_dataset(dataset)

    own = (DATA_DIR / "datasets.toml").read_bytes()
    small = (
        b'[mine]\nname = "Mine"\ntype = "RMFD"\nsource = "https://example.com"\nlicence = "CC0"\nsynthetic = false\n'
    )
    with_study = b'kaggle = "a/b"\nstudy = {photos = 1, with_mask = 2, without_mask = 3}\n'
    return Prepared(run, [small, small + with_study, own[:4000]])


def check_dataset(dataset: Dataset) -> None:
    """What pages and tables take for granted of a catalog's entry."""
    for name in ("id", "name", "type", "source", "licence", "kaggle"):
        check_text(getattr(dataset, name))
    check(isinstance(dataset.synthetic, bool), f"synthetic is {dataset.synthetic!r}")
    check(dataset.pool in ("main", "pre-training"), f"the pool {dataset.pool!r}")
    if dataset.study is not None:
        for count in ("photos", "with_mask", "without_mask"):
            value = getattr(dataset.study, count)
            if not isinstance(value, int) or isinstance(value, bool) or value < 0:
                raise BrokenError(f"the study counts {value!r:.80} {count}")


def _related(folder: Path) -> Prepared:
    path = folder / "related.csv"

    def run(data: bytes) -> None:
        path.write_bytes(data)
        with refusals():
            related = read_related(path)
            check(all(photo and group for photo, group in related.items()), "a photo or group without a name")
            photos = pd.DataFrame({"dataset": "a", "photo": [*related, "of nobody.jpg"]})
            codes = related_groups(photos, {"a": Dataset("a", "A", related=path)})
            check(int(codes.max()) == len(set(codes.tolist())) - 1, "numbers with gaps")
            check(len(set(codes.tolist())) <= len(set(related.values())) + 1, "a group in two")

    known = (DATA_DIR / "related" / "2.1.csv").read_bytes()[:400]
    return Prepared(run, [known, b"group,more,photo\r\nx,,a/1.jpg\r\nx,,b/1.jpg\r\ny,,1.jpg\r\n"])


_READERS = "maskdet.readers."
TARGETS = (
    Target("voc", _voc, (f"{_READERS}read_voc", "maskdet.photos.clip_box"), xml_text, _HOSTILE),
    Target("json", _json, (f"{_READERS}read_json_csv",), json_text, _HOSTILE),
    Target("csv", _csv, (f"{_READERS}read_json_csv", f"{_READERS}_read_csv"), csv_text, _HOSTILE),
    Target(
        "folders",
        _folders,
        (f"{_READERS}read_class_folders", "maskdet.dataset_folders.find_datasets"),
        text,
        tuple(odd.encode(errors="surrogatepass") for odd in ODD_TEXTS if 0 < len(odd) < 60),
    ),
    Target("label", _label, ("maskdet.labels.parse_label",), text, most_bytes=400),
    Target("catalog", _catalog, ("maskdet.catalog.load_catalog",), toml_text),
    Target("related", _related, ("maskdet.related.read_related",), csv_text),
)
