"""Datasets' folders: which of them are one, in which layout, and what is said where there is none."""

import os
from pathlib import Path

import pytest
from conftest import touch, write_csv_boxes

from maskdet.dataset_folders import detect_layout, find_datasets
from maskdet.errors import MaskDetError
from maskdet.readers import read_dataset


def test_layouts(datasets: Path, tmp_path: Path) -> None:
    layouts = {folder.name: detect_layout(folder) for folder in datasets.iterdir()}
    assert layouts == {"web": "class_folders", "group": "voc", "medical": "json_csv"}
    assert detect_layout(touch(tmp_path / "photos", "a.jpg", "b.jpg")) is None
    assert detect_layout(touch(tmp_path / "settings", "a.json")) is None
    with pytest.raises(MaskDetError, match="no dataset in a layout that MaskDet knows"):
        read_dataset(tmp_path / "photos")


def test_datasets_of_a_root(datasets: Path) -> None:
    touch(datasets, "notes.txt", "photos/a.jpg", ".hidden/with_mask/a.jpg")
    found = find_datasets(datasets)
    assert list(found.items()) == [(name, datasets / name) for name in ("group", "medical", "web")]


@pytest.mark.parametrize("name", ["group", "medical", "web"])
def test_a_single_dataset_is_its_own_root(datasets: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_datasets(datasets / name) == {name: datasets / name}
    monkeypatch.chdir(datasets / name)
    assert list(find_datasets(Path())) == [name]


def test_a_csv_beside_photos_is_a_dataset(tmp_path: Path) -> None:
    folder = write_csv_boxes(tmp_path / "boxes", [("a.jpg", 1, 1, 7, 7, "face_no_mask")], draw=["a.jpg"])
    assert find_datasets(folder) == {"boxes": folder}
    assert find_datasets(tmp_path) == {"boxes": folder}


def test_a_file_called_as_a_label_makes_no_dataset(tmp_path: Path) -> None:
    touch(tmp_path / "alone", "Train/WithMask", "a.jpg")
    with pytest.raises(MaskDetError, match=r"^No dataset found"):
        find_datasets(tmp_path / "alone")
    touch(tmp_path / "beside", "Train/WithMask", "faces/with_mask/a.jpg")
    assert find_datasets(tmp_path / "beside") == {"faces": tmp_path / "beside/faces"}


def test_a_linked_dataset_folder_is_read_under_the_links_name(datasets: Path, tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root/mine").symlink_to(datasets / "web")
    found = find_datasets(tmp_path / "root")
    assert list(found) == ["mine"]
    assert len(read_dataset(found["mine"]).faces) == 8


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing", r"^There is no folder .*missing\.$"),
        ("file.txt", "file.txt is a file; name the folder that holds the datasets"),
        ("empty", "^No dataset found in .*empty: expected folders such as with_mask/"),
        ("photos", "^No dataset found in .*photos"),
    ],
)
def test_no_dataset(name: str, message: str, tmp_path: Path) -> None:
    touch(tmp_path, "file.txt", "photos/some/a.jpg")
    (tmp_path / "empty").mkdir()
    with pytest.raises(MaskDetError, match=message):
        find_datasets(tmp_path / name)


def test_a_dataset_whose_name_is_no_utf8_must_be_renamed(tmp_path: Path) -> None:
    touch(tmp_path, os.fsdecode(b"set\xff/with_mask/a.jpg"))
    with pytest.raises(MaskDetError, match=r"Rename the folder .*set\\udcff.*UTF-8"):
        find_datasets(tmp_path)


def test_real_datasets_are_found(shared_data: Path) -> None:
    assert set(find_datasets(shared_data)) >= {"1", "2.1", "2.2", "3.1", "3.2", "maskedface-net"}
