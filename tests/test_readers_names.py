"""Readers: photos of the same name in two folders, and annotations that are too large to be read."""

from pathlib import Path

import pytest
from conftest import touch

from maskdet.readers import MOST_BYTES, READERS, Reject, read_dataset


def voc(name: str, label: str) -> str:
    box = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>20</xmax><ymax>30</ymax></bndbox>"
    return f"<annotation><filename>{name}</filename><object><name>{label}</name>{box}</object></annotation>"


@pytest.mark.parametrize(
    ("photo", "annotation"),
    [
        ("{}/1.jpg", "{}/1.xml"),
        ("{}/images/1.jpg", "{}/annotations/1.xml"),
        ("images/{}/1.jpg", "annotations/{}/1.xml"),
    ],
)
def test_each_photo_gets_the_label_of_its_own_annotation(tmp_path: Path, photo: str, annotation: str) -> None:
    expected = {"train": "with_mask", "test": "without_mask"}
    for part, label in expected.items():
        touch(tmp_path, photo.format(part), annotation.format(part))
        (tmp_path / annotation.format(part)).write_text(voc("1.jpg", label))
    reading = read_dataset(tmp_path)
    assert {face.photo: face.label for face in reading.faces} == {
        photo.format(part): label for part, label in expected.items()
    }
    assert reading.rejects == []


def test_an_annotation_that_may_be_of_two_photos_is_of_none(tmp_path: Path) -> None:
    touch(tmp_path, "train/1.jpg", "test/1.jpg", "all/1.xml")
    (tmp_path / "all/1.xml").write_text(voc("1.jpg", "with_mask"))
    reading = read_dataset(tmp_path)
    assert reading.faces == []
    assert Reject("all/1.xml", "its photo '1.jpg' may be test/1.jpg or train/1.jpg") in reading.rejects


def test_a_name_may_lead_back_out_of_the_annotation_s_folder(tmp_path: Path) -> None:
    touch(tmp_path, "images/1.jpg", "annotations/images/1.jpg", "annotations/1.xml")
    (tmp_path / "annotations/1.xml").write_text(voc("../images/1.jpg", "with_mask"))
    assert [face.photo for face in read_dataset(tmp_path).faces] == ["images/1.jpg"]


def test_a_name_in_a_table_may_say_the_folder(tmp_path: Path) -> None:
    touch(tmp_path, "1.jpg", "train/1.jpg", "test/1.jpg")
    rows = "name,x1,x2,y1,y2,classname\ntrain/1.jpg,1,2,20,30,face_with_mask\ntest\\1.jpg,1,2,20,30,face_no_mask\n"
    (tmp_path / "boxes.csv").write_text(rows)
    labels = {face.photo: face.label for face in read_dataset(tmp_path).faces}
    assert labels == {"train/1.jpg": "with_mask", "test/1.jpg": "without_mask"}


@pytest.mark.parametrize("name", ["1.xml", "1.json", "boxes.csv"])
def test_an_annotation_that_is_too_large_is_not_read(tmp_path: Path, name: str) -> None:
    reader = READERS["voc" if name.endswith("xml") else "json_csv"]
    touch(tmp_path, "1.jpg")
    with (tmp_path / name).open("wb") as file:
        file.truncate(MOST_BYTES + 1)  # a hole, which takes no place on the disk
    [reason] = [reject.reason for reject in reader(tmp_path).rejects if reject.photo == name]
    assert reason.endswith("larger than 20 MB")
