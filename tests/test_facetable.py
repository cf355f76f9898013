from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import write_class_folders, write_photo, write_voc
from factories import make_faces, shuffled
from filelock import FileLock

import maskdet.measure
from maskdet import measure
from maskdet.errors import MaskDetError, WorkspaceError
from maskdet.facetable import Faces, has_faces, label_percent, label_split, load_faces, scan
from maskdet.workspace import Workspace


def test_label_split_and_percent_by_hand(workspace: Workspace, datasets) -> None:
    faces = scan(workspace, datasets, jobs=1)
    split = label_split(faces)
    total = split.iloc[-1]
    assert total["dataset"] == "Total"
    assert total["faces"] == len(faces.table) == split["faces"].iloc[:-1].sum()
    assert total["with_mask"] + total["without_mask"] + total["incorrect_mask"] == total["faces"]
    assert sum(label_percent(split).values()) == pytest.approx(100)
    assert label_percent(split)["with_mask"] == pytest.approx(100 * total["with_mask"] / total["faces"])


def test_a_second_scan_reads_no_photo_again(workspace: Workspace, datasets, monkeypatch: pytest.MonkeyPatch) -> None:
    first = scan(workspace, datasets, jobs=1)

    def fail(*_args: object) -> None:
        raise AssertionError("a photo was read again")

    monkeypatch.setattr(maskdet.measure, "measure_photo", fail)
    second = scan(workspace, datasets, jobs=1)
    assert second.table.equals(first.table)
    assert load_faces(workspace).fingerprint == first.fingerprint


def test_a_changed_photo_is_measured_again(workspace: Workspace, tmp_path) -> None:
    root = tmp_path / "data"
    photo = write_photo(root / "a/with_mask/1.png", (20, 30), (10, 20, 30))
    before = scan(workspace, root, jobs=1).table.iloc[0]
    assert (before["mean_red"], before["width"], before["height"]) == (10, 20, 30)
    write_photo(photo, (40, 50), (90, 20, 30))
    after = scan(workspace, root, jobs=1).table.iloc[0]
    assert (after["mean_red"], after["width"], after["height"]) == (90, 40, 50)


def test_a_rescan_replaces_its_datasets_and_keeps_others(workspace: Workspace, tmp_path) -> None:
    write_photo(tmp_path / "x/a/with_mask/1.png", seed=1)
    write_photo(tmp_path / "y/b/with_mask/2.png", seed=2)
    scan(workspace, tmp_path / "x", jobs=1)
    scan(workspace, tmp_path / "y", jobs=1)
    write_photo(tmp_path / "x/a/without_mask/3.png", seed=3)
    faces = scan(workspace, tmp_path / "x", jobs=1)
    assert faces.table["face_id"].tolist() == ["a/with_mask/1.png", "a/without_mask/3.png", "b/with_mask/2.png"]
    assert {path.stem for path in workspace.path("shards").iterdir()} == set(faces.table["shard"])


def test_a_scan_that_is_cut_leaves_the_old_table_and_can_go_on(workspace: Workspace, tmp_path) -> None:
    write_photo(tmp_path / "data/a/with_mask/1.png", seed=1)
    old = scan(workspace, tmp_path / "data", jobs=1)
    write_photo(tmp_path / "data/b/with_mask/1.png", seed=2)

    def cut(done: int, total: int, text: str) -> None:
        if done == total > 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scan(workspace, tmp_path / "data", jobs=1, progress=cut)
    assert load_faces(workspace).table.equals(old.table)
    assert len(scan(workspace, tmp_path / "data", jobs=1).table) == 2


def test_rejects_carry_a_reason(workspace: Workspace, tmp_path) -> None:
    folder = tmp_path / "data/v"
    boxes = [("with_mask", (0, 0, 10, 10)), ("without_mask", (5, 5, 5, 9)), ("with_mask", (99, 99, 120, 120))]
    write_voc(folder, {"p.png": boxes})
    faces = scan(workspace, tmp_path / "data", jobs=1)
    assert len(faces.table) == 1
    reasons = sorted(faces.rejects["reason"])
    assert "has no area" in reasons[0]
    assert "outside the photo" in reasons[1]


def test_no_usable_face_is_a_sentence(workspace: Workspace, tmp_path) -> None:
    (tmp_path / "data/a/with_mask").mkdir(parents=True)
    (tmp_path / "data/a/with_mask/x.jpg").write_text("no photo")
    with pytest.raises(MaskDetError, match=r"No usable face .*not an image file"):
        scan(workspace, tmp_path / "data", jobs=1)
    assert not has_faces(workspace)


def test_two_scans_never_mix(workspace: Workspace, tmp_path) -> None:
    write_photo(tmp_path / "data/a/with_mask/1.png")
    workspace.ensure_writable()
    with FileLock(workspace.path(".lock")), pytest.raises(WorkspaceError, match="Another scan"):
        scan(workspace, tmp_path / "data", jobs=1)


def test_the_fingerprint_is_of_the_faces_not_of_their_order() -> None:
    faces = make_faces({"face_id": "a/1"}, {"face_id": "a/2"}, {"face_id": "a/3"})
    assert shuffled(faces).fingerprint == faces.fingerprint
    other = make_faces({"face_id": "a/1"}, {"face_id": "a/2", "label": "without_mask"}, {"face_id": "a/3"})
    assert other.fingerprint != faces.fingerprint


def test_real_data_has_the_counts_of_its_readme(workspace: Workspace, shared_data) -> None:
    faces = scan(workspace, shared_data / "3.1")
    assert label_split(faces).iloc[-1].to_dict() == {
        "dataset": "Total", "photos": 29, "faces": 40, "with_mask": 25, "without_mask": 15, "incorrect_mask": 0
    }  # fmt: skip
    assert np.allclose(faces.table["aspect_ratio"], faces.table["height"] / faces.table["width"])


def test_a_scan_from_end_to_end(tmp_path: Path, workspace: Workspace) -> None:
    root = tmp_path / "root"
    write_class_folders(root / "web", {"with_mask": 2, "without_mask": 1})
    boxes = [("with_mask", (2, 3, 22, 33)), ("without_mask", (30, 5, 30, 45)), ("without_mask", (50, 5, 99, 45))]
    write_voc(root / "group", {"a.png": boxes})
    faces = scan(workspace, root, jobs=1)
    assert faces.table["face_id"].tolist() == [
        "group/images/a.png@2,3,22,33",
        "group/images/a.png@50,5,80,45",
        "web/with_mask/0.png",
        "web/with_mask/1.png",
        "web/without_mask/0.png",
    ]
    assert faces.table["width"].tolist() == [20, 30, 32, 32, 32]
    assert faces.table["width"].dtype == faces.table["shard_row"].dtype == np.int64
    assert faces.table["whole_photo"].tolist() == [False, False, True, True, True]
    assert faces.rejects[["dataset", "photo"]].to_numpy().tolist() == [["group", "images/a.png"]]
    assert faces.photos == {"group": 1, "web": 3}
    pd.testing.assert_frame_equal(load_faces(workspace).table, faces.table)


def test_the_label_tables_by_hand(scanned: Faces) -> None:
    split = label_split(scanned)
    assert split.to_numpy().tolist() == [
        ["group", 3, 5, 2, 2, 1],
        ["medical", 3, 5, 3, 2, 0],
        ["web", 8, 8, 4, 4, 0],
        ["Total", 14, 18, 9, 8, 1],
    ]
    percent = {"with_mask": 50, "without_mask": 800 / 18, "incorrect_mask": 100 / 18}
    assert label_percent(split) == pytest.approx(percent)


def test_a_scan_cut_between_shards_reads_no_photo_twice(
    workspace: Workspace, datasets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []
    original = measure.measure_photo
    monkeypatch.setattr(measure, "measure_photo", lambda path, faces: read.append(path) or original(path, faces))

    def cut(done: int, total: int, text: str) -> None:
        if done > 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scan(workspace, datasets, jobs=1, progress=cut)
    assert 0 < len(read) < 14
    scan(workspace, datasets, jobs=1)
    assert len(read) == len(set(read)) == 14


def test_no_usable_face_keeps_what_was_there(scanned: Faces, tmp_path: Path, workspace: Workspace) -> None:
    root = write_voc(tmp_path / "flat", {"a.png": [("with_mask", (3, 3, 3, 9))]})
    with pytest.raises(MaskDetError, match="No usable face"):
        scan(workspace, root, jobs=1)
    pd.testing.assert_frame_equal(load_faces(workspace).table, scanned.table)


@pytest.mark.parametrize("name", ["faces.parquet", "rejects.parquet", "datasets.json"])
@pytest.mark.usefixtures("scanned")
def test_a_damaged_table_is_named(workspace: Workspace, name: str) -> None:
    workspace.path(name).write_bytes(b"\xff{")
    with pytest.raises(WorkspaceError, match=name):
        load_faces(workspace)


def test_a_home_that_is_a_file(tmp_path: Path, datasets: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(WorkspaceError, match="cannot be written"):
        scan(Workspace(tmp_path / "file"), datasets, jobs=1)
    assert (tmp_path / "file").read_text() == "mine"
