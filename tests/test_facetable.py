"""The face table: scans of tiny datasets, what a second scan reads, what a cut leaves, and the tables of labels."""

import os
import shutil
from pathlib import Path
from typing import NoReturn

import numpy as np
import pandas as pd
import pytest
from conftest import write_class_folders, write_photo, write_voc
from factories import make_faces, shuffled
from filelock import FileLock

from maskdet import measure
from maskdet.errors import MaskDetError, WorkspaceError
from maskdet.facetable import Faces, has_faces, label_percent, label_split, load_faces, scan
from maskdet.workspace import Workspace


def no_reading(*_: object) -> NoReturn:
    raise AssertionError("a photo was read again")


def assert_same(first: Faces, second: Faces) -> None:
    pd.testing.assert_frame_equal(first.table, second.table)
    pd.testing.assert_frame_equal(first.rejects, second.rejects)
    assert (first.roots, first.photos) == (second.roots, second.photos)


def count_reading(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    read: list[str] = []
    original = measure.measure_photo

    def counted(path: Path, faces: tuple) -> list:
        read.append(path.name)
        return original(path, faces)

    monkeypatch.setattr(measure, "measure_photo", counted)
    return read


def test_a_scan_from_end_to_end(tmp_path: Path, workspace: Workspace) -> None:
    root = tmp_path / "root"
    write_class_folders(root / "web", {"with_mask": 2, "without_mask": 1})
    boxes = [("with_mask", (2, 3, 22, 33)), ("without_mask", (30, 5, 30, 45)), ("without_mask", (50, 5, 99, 45))]
    write_voc(root / "group", {"a.png": boxes})
    faces = scan(workspace, root, jobs=1)
    assert faces.table["face_id"].tolist() == [
        "group/a.png@2,3,22,33",
        "group/a.png@50,5,80,45",
        "web/with_mask/0.png",
        "web/with_mask/1.png",
        "web/without_mask/0.png",
    ]
    assert faces.table["label"].tolist() == ["with_mask", "without_mask", "with_mask", "with_mask", "without_mask"]
    assert faces.table["width"].tolist() == [20, 30, 32, 32, 32]
    assert faces.table["whole_photo"].tolist() == [False, False, True, True, True]
    assert faces.table["aspect_ratio"].tolist() == [30 / 20, 40 / 30, 1.25, 1.25, 1.25]
    assert faces.rejects[["dataset", "photo"]].to_numpy().tolist() == [["group", "a.png"]]
    assert "no area" in faces.rejects["reason"][0]
    assert faces.roots == {"group": (root / "group").resolve(), "web": (root / "web").resolve()}
    assert faces.photos == {"group": 1, "web": 3}
    assert_same(load_faces(workspace), faces)


def test_every_face_finds_its_pixels(scanned: Faces, workspace: Workspace) -> None:
    for shard, rows in scanned.table.groupby("shard"):
        pixels = np.load(workspace.path("shards", f"{shard}.npy"))
        assert sorted(rows["shard_row"]) == list(range(len(pixels)))
        means = pixels.mean(axis=(1, 2))[rows["shard_row"]]  # resizing keeps the mean, nearly
        assert np.abs(means - rows[["mean_red", "mean_green", "mean_blue"]].to_numpy()).max() < 6
    assert {path.stem for path in workspace.path("shards").iterdir()} == set(scanned.table["shard"])


def test_whole_numbers_stay_whole_beside_a_reject(tmp_path: Path, workspace: Workspace) -> None:
    root = write_class_folders(tmp_path / "web", {"with_mask": 2, "without_mask": 1})
    (root / "with_mask" / "1.png").write_bytes(b"broken")
    faces = scan(workspace, root, jobs=1)
    assert faces.table["width"].dtype == faces.table["shard_row"].dtype == np.int64
    assert faces.table["whole_photo"].dtype == bool
    assert faces.rejects.to_numpy().tolist() == [["web", "with_mask/1.png", "not an image file"]]
    assert len(faces.table) == 2


def test_a_second_scan_reads_no_photo(
    scanned: Faces, workspace: Workspace, datasets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "measure_photo", no_reading)
    assert_same(scan(workspace, datasets, jobs=1), scanned)


def test_a_changed_photo_is_measured_again(
    scanned: Faces, workspace: Workspace, datasets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_photo(datasets / "group" / "images" / "b.png", (80, 60), (9, 8, 7))
    os.utime(path, ns=(1, 1))
    read = count_reading(monkeypatch)
    again = scan(workspace, datasets, jobs=1)
    assert sorted(read) == ["a.png", "b.png", "c.png"]  # its shard, and no other dataset's
    before, after = (faces.table.set_index("face_id") for faces in (scanned, again))
    face = "group/b.png@0,0,40,40"
    assert after.loc[face, ["mean_red", "mean_green", "mean_blue"]].tolist() == [9, 8, 7]
    others = before.index.drop(face)
    assert after.loc[others, "phash"].equals(before.loc[others, "phash"])
    assert again.fingerprint != scanned.fingerprint
    assert {path.stem for path in workspace.path("shards").iterdir()} == set(again.table["shard"])


def test_a_rescan_replaces_one_dataset_and_keeps_the_others(
    scanned: Faces, workspace: Workspace, datasets: Path
) -> None:
    shutil.rmtree(datasets / "group")
    write_voc(datasets / "group", {"new.png": [("with_mask", (0, 0, 20, 20)), ("with_mask", (30, 5, 30, 45))]})
    again = scan(workspace, datasets / "group", jobs=1)
    assert again.table.loc[again.table["dataset"] == "group", "face_id"].tolist() == ["group/new.png@0,0,20,20"]
    kept = [faces.table[faces.table["dataset"] != "group"].reset_index(drop=True) for faces in (scanned, again)]
    pd.testing.assert_frame_equal(*kept)
    assert again.photos == scanned.photos | {"group": 1}
    assert again.roots == scanned.roots
    kept_rejects = [faces.rejects.query("dataset != 'group'").to_numpy().tolist() for faces in (scanned, again)]
    assert kept_rejects[0] == kept_rejects[1]
    assert again.rejects["dataset"].tolist().count("group") == 1
    assert all(workspace.path("shards", f"{shard}.npy").is_file() for shard in again.table["shard"])


def test_a_cut_scan_leaves_the_old_table_and_goes_on_later(
    tmp_path: Path, workspace: Workspace, datasets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = scan(workspace, write_class_folders(tmp_path / "old", {"with_mask": 1, "without_mask": 1}, seed=50), jobs=1)

    class CutError(Exception):
        pass

    def cut(done: int, total: int, text: str) -> None:
        if done > 0:
            raise CutError

    read = count_reading(monkeypatch)
    with pytest.raises(CutError):
        scan(workspace, datasets, jobs=1, progress=cut)
    assert_same(load_faces(workspace), old)
    assert 0 < len(read) < 14
    faces = scan(workspace, datasets, jobs=1)
    assert len(read) == 14  # no photo twice
    assert len(faces.table) == 18 + 2
    assert_same(load_faces(workspace), faces)


def test_progress_counts_photos(workspace: Workspace, datasets: Path) -> None:
    steps: list[tuple[int, int]] = []
    scan(workspace, datasets, jobs=1, progress=lambda done, total, _: steps.append((done, total)))
    assert steps == sorted(steps)
    assert steps[-1] == (14, 14)


def test_two_processes_find_the_same(scanned: Faces, tmp_path: Path, datasets: Path) -> None:
    assert_same(scan(Workspace(tmp_path / "other"), datasets, jobs=2), scanned)


def test_label_split_by_hand(scanned: Faces) -> None:
    split = label_split(scanned)
    assert split.columns.tolist() == ["dataset", "photos", "faces", "with_mask", "without_mask", "incorrect_mask"]
    assert split.to_numpy().tolist() == [
        ["group", 3, 5, 2, 2, 1],
        ["medical", 3, 5, 3, 2, 0],
        ["web", 8, 8, 4, 4, 0],
        ["Total", 14, 18, 9, 8, 1],
    ]
    percent = label_percent(split)
    assert percent == pytest.approx({"with_mask": 50, "without_mask": 800 / 18, "incorrect_mask": 100 / 18})


def test_no_usable_face(tmp_path: Path, workspace: Workspace) -> None:
    root = write_class_folders(tmp_path / "web", {"with_mask": 1, "without_mask": 1})
    for path in root.rglob("*.png"):
        path.write_bytes(b"broken")
    with pytest.raises(MaskDetError, match=r"No usable face in .*with_mask/0.png: not an image file"):
        scan(workspace, root, jobs=1)
    assert not has_faces(workspace)


def test_no_usable_face_keeps_what_was_there(scanned: Faces, tmp_path: Path, workspace: Workspace) -> None:
    root = write_voc(tmp_path / "flat", {"a.png": [("with_mask", (3, 3, 3, 9))]})
    with pytest.raises(MaskDetError, match="No usable face"):
        scan(workspace, root, jobs=1)
    assert_same(load_faces(workspace), scanned)


def test_no_dataset_makes_no_workspace(tmp_path: Path, workspace: Workspace) -> None:
    (tmp_path / "empty").mkdir()
    for root in (tmp_path / "empty", tmp_path / "missing"):
        with pytest.raises(MaskDetError):
            scan(workspace, root, jobs=1)
    assert not workspace.home.exists()


def test_nothing_scanned_yet(workspace: Workspace) -> None:
    assert not has_faces(workspace)
    with pytest.raises(WorkspaceError, match="No faces yet"):
        load_faces(workspace)


@pytest.mark.parametrize("name", ["faces.parquet", "rejects.parquet", "datasets.json"])
def test_a_damaged_table_is_named(scanned: Faces, workspace: Workspace, name: str) -> None:
    workspace.path(name).write_bytes(b"\xff{")
    with pytest.raises(WorkspaceError, match=name):
        load_faces(workspace)


def test_a_home_that_is_a_file(tmp_path: Path, datasets: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(WorkspaceError, match="cannot be written"):
        scan(Workspace(tmp_path / "file"), datasets, jobs=1)
    assert (tmp_path / "file").read_text() == "mine"


def test_only_one_scan_at_a_time(workspace: Workspace, datasets: Path) -> None:
    workspace.ensure_writable()
    with FileLock(workspace.path(".lock")), pytest.raises(WorkspaceError, match="Another scan"):
        scan(workspace, datasets, jobs=1)
    assert len(scan(workspace, datasets, jobs=1).table) == 18


def test_the_fingerprint_knows_faces_but_no_order() -> None:
    faces = make_faces({}, {"label": "without_mask"}, {})
    assert shuffled(faces, 1).fingerprint == faces.fingerprint
    assert len(faces.fingerprint) == 16
    changed = [{"label": "with_mask"}, {"phash": "0" * 16}, {"face_id": "other"}]
    prints = {make_faces({}, {"label": "without_mask"} | change, {}).fingerprint for change in changed}
    assert len(prints | {faces.fingerprint}) == 4


def test_the_fingerprint_does_not_know_where_the_data_lies(scanned: Faces, tmp_path: Path, datasets: Path) -> None:
    shutil.copytree(datasets, tmp_path / "copy")
    assert scan(Workspace(tmp_path / "other"), tmp_path / "copy", jobs=1).fingerprint == scanned.fingerprint
