"""Readers: each layout from tiny files, everything broken as a reject with its reason, and the real sets' counts."""

import csv
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from conftest import touch, write_class_folders, write_csv_boxes, write_json_boxes, write_photo, write_voc

from maskdet.readers import AnnotatedFace, Reading, Reject, read_dataset


def faces(reading: Reading) -> set[tuple[str, str, Any]]:
    return {(face.photo, face.label, face.box) for face in reading.faces}


def rejects(reading: Reading) -> set[tuple[str, str]]:
    return {(reject.photo, reject.reason) for reject in reading.rejects}


# ---- class folders


def test_class_folders(tmp_path: Path) -> None:
    reading = read_dataset(write_class_folders(tmp_path, {"with_mask": 2, "without_mask": 1}))
    assert reading.faces == [
        AnnotatedFace("with_mask/0.png", "with_mask"),
        AnnotatedFace("with_mask/1.png", "with_mask"),
        AnnotatedFace("without_mask/0.png", "without_mask"),
    ]
    assert (reading.rejects, reading.photos) == ([], 3)


def test_class_folders_nested_in_splits(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "Train/WithMask/a.jpg",
        "Train/WithoutMask/b.jpg",
        "Validation/WithMask/c.jpg",
        "Test/WithoutMask/d.PNG",
        "with_mask/Val/e.jpg",
        "more/incorrect_mask/f.jpg",
    )
    assert {(face.photo, face.label, face.publisher_split) for face in read_dataset(tmp_path).faces} == {
        ("Train/WithMask/a.jpg", "with_mask", "train"),
        ("Train/WithoutMask/b.jpg", "without_mask", "train"),
        ("Validation/WithMask/c.jpg", "with_mask", "validation"),
        ("Test/WithoutMask/d.PNG", "without_mask", "test"),
        ("with_mask/Val/e.jpg", "with_mask", "validation"),
        ("more/incorrect_mask/f.jpg", "incorrect_mask", ""),
    }


def test_the_nearest_class_folder_counts(tmp_path: Path) -> None:
    touch(tmp_path, "masked/without_mask/a.jpg")
    assert faces(read_dataset(tmp_path)) == {("masked/without_mask/a.jpg", "without_mask", None)}


def test_a_photo_in_no_class_folder(tmp_path: Path) -> None:
    reading = read_dataset(touch(tmp_path, "with_mask/a.jpg", "other/b.jpg", "c.jpg", "notes.txt"))
    assert len(reading.faces) == 1
    reason = "lies in no folder named for a label"
    assert rejects(reading) == {("other/b.jpg", reason), ("c.jpg", reason)}
    assert reading.photos == 3


def test_hidden_and_system_files_are_passed_over(tmp_path: Path) -> None:
    touch(tmp_path, "with_mask/._a.jpg", "with_mask/.b.jpg", ".git/with_mask/c.jpg", "__MACOSX/with_mask/d.jpg")
    reading = read_dataset(touch(tmp_path, "with_mask/a.jpg"))
    assert (len(reading.faces), reading.rejects, reading.photos) == (1, [], 1)


@pytest.mark.parametrize(
    "name", ["two words.jpg", "Müller 口罩 😷.png", 'it\'s "quoted".jpg', "a,b;c.jpg", "-rf.jpg", "%2e.jpg"]
)
def test_odd_names(name: str, tmp_path: Path) -> None:
    touch(tmp_path / "folders", f"with_mask/{name}")
    assert faces(read_dataset(tmp_path / "folders")) == {(f"with_mask/{name}", "with_mask", None)}
    write_json_boxes(tmp_path / "json", {name: [("face_no_mask", (1, 2, 3, 4))]})
    assert faces(read_dataset(tmp_path / "json")) == {(f"images/{name}", "without_mask", (1, 2, 3, 4))}


def test_a_name_that_is_no_utf8_is_a_reject(tmp_path: Path) -> None:
    reading = read_dataset(touch(tmp_path, "with_mask/a.jpg", os.fsdecode(b"with_mask/\xff.jpg")))
    assert faces(reading) == {("with_mask/a.jpg", "with_mask", None)}
    assert rejects(reading) == {("with_mask/\\udcff.jpg", "has a name that is not valid UTF-8")}


def test_links_out_of_the_folder_are_rejected(tmp_path: Path) -> None:
    dataset = touch(tmp_path / "set", "with_mask/a.jpg")
    touch(tmp_path / "outside", "secret.jpg", "with_mask/c.jpg")
    (dataset / "with_mask/in.jpg").symlink_to(dataset / "with_mask/a.jpg")
    (dataset / "with_mask/out.jpg").symlink_to(tmp_path / "outside/secret.jpg")
    (dataset / "without_mask").symlink_to(tmp_path / "outside/with_mask")
    reading = read_dataset(dataset)
    assert {face.photo for face in reading.faces} == {"with_mask/a.jpg", "with_mask/in.jpg"}
    assert rejects(reading) == {("with_mask/out.jpg", "is a link that leads out of the dataset's folder")}


# ---- PASCAL VOC


def test_voc(tmp_path: Path) -> None:
    write_voc(
        tmp_path,
        {
            "a.png": [("with_mask", (1, 2, 30, 40)), ("mask_weared_incorrect", (-5, 0, 9.5, 8))],
            "b.png": [("without_mask", (" 10 ", "20\n", 30, 40))],
        },
    )
    reading = read_dataset(tmp_path)
    assert reading.faces == [
        AnnotatedFace("images/a.png", "with_mask", (1, 2, 30, 40)),
        AnnotatedFace("images/a.png", "incorrect_mask", (-5, 0, 9.5, 8)),
        AnnotatedFace("images/b.png", "without_mask", (10, 20, 30, 40)),
    ]
    assert (reading.rejects, reading.photos) == ([], 2)


def test_voc_finds_a_photo_that_was_saved_in_another_format(tmp_path: Path) -> None:
    write_voc(tmp_path, {"a.png": [("with_mask", (1, 2, 3, 4))]}, draw=False)
    assert faces(read_dataset(touch(tmp_path, "images/a.jpg"))) == {("images/a.jpg", "with_mask", (1, 2, 3, 4))}


def test_voc_without_boxes_without_xml_and_without_photo(tmp_path: Path) -> None:
    write_voc(tmp_path, {"empty.png": [], "gone.png": [("with_mask", (1, 2, 3, 4))]}, draw=False)
    reading = read_dataset(touch(tmp_path, "images/empty.png", "images/plain.png"))
    assert reading.faces == []
    assert rejects(reading) == {
        ("images/empty.png", "its XML has no boxes"),
        ("images/plain.png", "has no annotation"),
        ("annotations/gone.xml", "its photo 'gone.png' is missing"),
    }


def test_unknown_class_and_corners_that_are_no_numbers(tmp_path: Path) -> None:
    boxes: list[tuple[str, tuple[Any, ...]]] = [
        ("hat", (1, 2, 3, 4)),
        ("with_mask", (1, "two", 3, 4)),
        ("with_mask", (1, "nan", 3, 4)),
        ("with_mask", (1, 2, 3, "1e999")),
        ("with_mask", (1, 2, 3, "")),
        ("with_mask", (1, 2, 3, 4)),
    ]
    reading = read_dataset(write_voc(tmp_path, {"a.png": boxes}))  # type: ignore[dict-item]
    assert faces(reading) == {("images/a.png", "with_mask", (1, 2, 3, 4))}
    assert [reject.reason for reject in reading.rejects] == [
        "box 1: class 'hat' says nothing of a mask",
        *(f"box {number}: its corners are not four numbers" for number in (2, 3, 4, 5)),
    ]


def test_a_box_given_twice_counts_once(tmp_path: Path) -> None:
    box = (1, 2, 3, 4)
    reading = read_dataset(write_voc(tmp_path, {"a.png": [("with_mask", box), ("without_mask", box), ("mask", box)]}))
    assert faces(reading) == {("images/a.png", "with_mask", box)}
    assert [reject.reason for reject in reading.rejects] == [
        "box given twice (with_mask, then without_mask); the first counts",
        "box given twice (with_mask, then with_mask); the first counts",
    ]


LAUGHS = "".join(f'<!ENTITY lol{i + 1} "{f"&lol{i};" * 10}">' for i in range(9))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"<annotation>",
        b"no XML",
        b"\xff\xfe\x00",
        b'<?xml version="1.0" encoding="klingon"?><annotation/>',
        f'<!DOCTYPE a [<!ENTITY lol0 "lol">{LAUGHS}]><annotation><filename>&lol9;</filename></annotation>'.encode(),
        b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation><filename>&x;</filename></annotation>',
        b'<!DOCTYPE a SYSTEM "http://127.0.0.1:9/a.dtd"><annotation><filename>a.png</filename></annotation>',
    ],
    ids=["empty", "cut", "text", "bytes", "encoding", "billion laughs", "external entity", "external DTD"],
)
def test_broken_or_hostile_xml_is_a_reject(text: bytes, tmp_path: Path) -> None:
    write_voc(tmp_path, {"a.png": [("with_mask", (1, 2, 3, 4))]})
    (tmp_path / "annotations/bad.xml").write_bytes(text)
    reading = read_dataset(tmp_path)
    assert len(reading.faces) == 1
    (reject,) = reading.rejects
    assert reject.photo == "annotations/bad.xml"
    assert reject.reason.startswith("not readable as XML: ")
    assert "root:" not in reject.reason
    assert "\n" not in reject.reason


@pytest.mark.parametrize("name", ["../secret.png", "/etc/secret.png", "..\\..\\secret.png", "C:\\secret.png"])
def test_a_file_name_cannot_lead_out_of_the_dataset(name: str, tmp_path: Path) -> None:
    touch(tmp_path, "secret.png")
    for kind, write in (("voc", write_voc), ("json", write_json_boxes)):
        dataset = tmp_path / kind
        write(dataset, {"a.png": [("with_mask", (1, 2, 3, 4))]})
        (path,) = (dataset / "annotations").iterdir()
        path.write_text(path.read_text().replace("a.png", name.replace("\\", "\\\\") if kind == "json" else name))
        path.rename(path.with_stem("other"))
        reading = read_dataset(dataset)
        assert reading.faces == []
        assert rejects(reading) == {
            (f"annotations/other{path.suffix}", f"its photo {name!r} is missing"),
            ("images/a.png", "has no annotation"),
        }


# ---- JSON and CSV


def test_json(tmp_path: Path) -> None:
    write_json_boxes(tmp_path, {"a.jpg": [("face_with_mask", (1, 2, 30, 40)), ("face_no_mask", (5, 6, 7, 8))]})
    reading = read_dataset(tmp_path)
    assert reading.faces == [
        AnnotatedFace("images/a.jpg", "with_mask", (1, 2, 30, 40)),
        AnnotatedFace("images/a.jpg", "without_mask", (5, 6, 7, 8)),
    ]
    assert (reading.rejects, reading.photos) == ([], 1)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the file is empty"),
        ("{", "Expecting property name"),
        ("[1]", "list indices"),
        ("7", "'int' object is not subscriptable"),
        ('{"Annotations": []}', "missing 'FileName'"),
        ('{"FileName": "a.jpg"}', "missing 'Annotations'"),
        ('{"FileName": "a.jpg", "Annotations": null}', "'NoneType' object is not iterable"),
        ("[" * 200_000, "maximum recursion depth"),
    ],
)
def test_broken_json_is_a_reject(text: str, reason: str, tmp_path: Path) -> None:
    write_json_boxes(tmp_path, {"a.jpg": [("face_with_mask", (1, 2, 3, 4))]})
    (tmp_path / "annotations/bad.json").write_text(text)
    reading = read_dataset(tmp_path)
    assert len(reading.faces) == 1
    (reject,) = reading.rejects
    assert reject.photo == "annotations/bad.json"
    assert reject.reason.startswith("not readable as a JSON annotation: " + reason)


def test_json_that_is_no_text(tmp_path: Path) -> None:
    write_json_boxes(tmp_path, {"a.jpg": [("face_with_mask", (1, 2, 3, 4))]})
    (tmp_path / "annotations/bad.json").write_bytes(b"\xff\xfe\xfa")
    assert [reject.photo for reject in read_dataset(tmp_path).rejects] == ["annotations/bad.json"]


@pytest.mark.parametrize(
    "box", [None, [], [1, 2, 3], [1, 2, 3, 4, 5], [1, 2, 3, None], [1, 2, 3, "x"], {"a": 1}, 7, 10**400]
)
def test_json_boxes_that_are_none(box: Any, tmp_path: Path) -> None:
    touch(tmp_path, "images/a.jpg")
    record = {"FileName": "a.jpg", "Annotations": [{"classname": "face_no_mask", "BoundingBox": box}]}
    (tmp_path / "a.jpg.json").write_text(json.dumps(record))
    reading = read_dataset(tmp_path)
    assert reading.faces == []
    assert rejects(reading) == {("images/a.jpg", "box 1: its corners are not four numbers")}


def test_json_entries_that_are_no_objects_and_none_at_all(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "b.jpg")
    (tmp_path / "a.json").write_text('{"FileName": "a.jpg", "Annotations": [3]}')
    (tmp_path / "b.json").write_text('{"FileName": "b.jpg", "Annotations": []}')
    assert rejects(read_dataset(tmp_path)) == {
        ("a.jpg", "box 1: class '' says nothing of a mask"),
        ("b.jpg", "its JSON has no boxes"),
    }


def test_csv_headed_x1_x2_y1_y2_holds_left_top_right_bottom(tmp_path: Path) -> None:
    header = "name,x1,x2,y1,y2,classname"
    write_csv_boxes(tmp_path, [("a.jpg", 10, 20, 60, 50, "face_no_mask")], header, draw=["a.jpg"])
    assert faces(read_dataset(tmp_path)) == {("images/a.jpg", "without_mask", (10, 20, 60, 50))}


def test_csv_columns_are_taken_by_name_where_the_names_say_what_they_are(tmp_path: Path) -> None:
    header = "id,class,ymax,ymin,xmax,xmin,Filename"
    write_csv_boxes(tmp_path, [(7, "with_mask", 50, 20, 60, 10, "a.jpg")], header, draw=["a.jpg"])
    assert faces(read_dataset(tmp_path)) == {("images/a.jpg", "with_mask", (10, 20, 60, 50))}


def test_json_wins_over_csv(tmp_path: Path) -> None:
    write_json_boxes(tmp_path, {"a.jpg": [("face_with_mask", (1, 2, 30, 40))]})
    rows = [("a.jpg", 5, 5, 9, 9, "face_no_mask"), ("b.jpg", 1, 1, 7, 7, "face_no_mask")]
    write_csv_boxes(tmp_path, rows, draw=["b.jpg"])
    reading = read_dataset(tmp_path)
    assert faces(reading) == {
        ("images/a.jpg", "with_mask", (1, 2, 30, 40)),
        ("images/b.jpg", "without_mask", (1, 1, 7, 7)),
    }
    assert reading.rejects == []


def test_csv_rows_that_cannot_be_used(tmp_path: Path) -> None:
    rows = [
        ("a.jpg", 1, 1, 7, 7, "face_no_mask"),
        ("a.jpg", 1, 1),
        (),
        ("gone.jpg", 1, 1, 7, 7, "face_no_mask"),
        ("a.jpg", 1, 1, 7, 7, "hat"),
        ("a.jpg", 1, 1, "wide", 7, "face_no_mask"),
        ("../a.jpg", 2, 2, 7, 7, "face_with_mask"),
    ]
    reading = read_dataset(write_csv_boxes(tmp_path, rows, draw=["a.jpg", "b.jpg"]))
    assert faces(reading) == {
        ("images/a.jpg", "without_mask", (1, 1, 7, 7)),
        ("images/a.jpg", "with_mask", (2, 2, 7, 7)),
    }
    assert rejects(reading) == {
        ("train.csv, line 3", "has too few values"),
        ("train.csv, line 5", "its photo 'gone.jpg' is missing"),
        ("images/a.jpg", "box 2: class 'hat' says nothing of a mask"),
        ("images/a.jpg", "box 3: its corners are not four numbers"),
        ("images/b.jpg", "has no annotation"),
    }


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not readable as CSV: the file is empty"),
        (b"name,box\na.jpg,1\n", "needs a column for the file name, four for the box and one for the class"),
        (b"name,x1,x2,y1,y2,class\n\xff\xfe,1,2,3,4,with_mask\n", "not readable as CSV: 'utf-8' codec"),
        (b'name,x1,x2,y1,y2,class\n"' + b"a" * 200_000 + b'"', "not readable as CSV: field larger than field limit"),
    ],
    ids=["empty", "columns", "bytes", "field"],
)
def test_broken_csv_is_a_reject(data: bytes, reason: str, tmp_path: Path) -> None:
    write_photo(tmp_path / "a.jpg")
    (tmp_path / "boxes.csv").write_bytes(data)
    reading = read_dataset(tmp_path)
    assert reading.faces == []
    assert [reject.photo for reject in reading.rejects] == ["boxes.csv", "a.jpg"]
    assert reading.rejects[0].reason.startswith(reason)
    assert reading.rejects[1] == Reject("a.jpg", "has no annotation")


def test_csv_with_a_byte_order_mark(tmp_path: Path) -> None:
    write_photo(tmp_path / "a.jpg")
    text = "xmin,ymin,xmax,ymax,class,file\n1,2,3,4,mask,a.jpg\n"
    (tmp_path / "boxes.csv").write_text(text, encoding="utf-8-sig")
    assert faces(read_dataset(tmp_path)) == {("a.jpg", "with_mask", (1, 2, 3, 4))}


# ---- the real sets


@pytest.mark.parametrize(
    ("dataset", "photos", "labels"),
    [
        ("1", 700, {"with_mask": 350, "without_mask": 350}),
        ("2.1", 11_792, None),
        ("2.2", 983, {"with_mask": 503, "without_mask": 480}),
        ("3.1", 29, {"with_mask": 25, "without_mask": 15}),
        ("3.2", 853, {"with_mask": 3232, "without_mask": 717, "incorrect_mask": 123}),
        ("maskedface-net", 80, {"with_mask": 40, "incorrect_mask": 40}),
    ],
)
def test_real_counts(shared_data: Path, dataset: str, photos: int, labels: dict[str, int] | None) -> None:
    reading = read_dataset(shared_data / dataset)
    counts = Counter(face.label for face in reading.faces)
    assert (reading.photos, reading.rejects) == (photos, [])
    if labels is None:
        assert counts.total() == photos
        splits = Counter(face.publisher_split for face in reading.faces)
        assert (splits["validation"], splits["test"], splits["train"]) == (800, 992, 10_000)
    else:
        assert counts == labels


def test_real_csv_gives_the_same_boxes_as_the_json(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "3.1"
    text = (source / "train.csv").read_text(encoding="utf-8")
    (tmp_path / "train.csv").write_text(text, encoding="utf-8")
    touch(tmp_path, *(f"images/{path.name}" for path in (source / "images").iterdir()))
    by_csv = read_dataset(tmp_path)
    assert len(by_csv.faces) == len(list(csv.reader(text.splitlines()))) - 1 == 40
    assert faces(by_csv) == faces(read_dataset(source))
