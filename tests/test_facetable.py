"""The face table: what a scan measures, counts and rejects, what the next one reads again, and names that are odd."""

import os
import shutil
import sys
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import write_class_folders, write_json_boxes, write_photo, write_voc
from distributed import LocalCluster
from factories import make_faces, shuffled
from filelock import FileLock

import maskdet.facetable
import maskdet.measure
from maskdet.errors import MaskDetError, WorkspaceError
from maskdet.facetable import Faces, forget, has_faces, label_percent, label_split, load_faces, scan
from maskdet.images import stored_images
from maskdet.jobs import Job
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


def test_a_rescan_leaves_the_last_pixels_to_those_who_read_them(workspace: Workspace, tmp_path: Path) -> None:
    """A training that began before the scan goes on; pixels of the scan before the last are gone."""
    photo = write_photo(tmp_path / "a/with_mask/1.png", seed=1)
    first = scan(workspace, tmp_path / "a", jobs=1)
    images = stored_images(workspace, first, first.table["face_id"])
    expected = images.take([0])
    write_photo(photo, seed=2)
    second = scan(workspace, tmp_path / "a", jobs=1)
    np.testing.assert_array_equal(images.take([0]), expected)
    write_photo(photo, seed=3)
    third = scan(workspace, tmp_path / "a", jobs=1)
    kept = {*second.table["shard"], *third.table["shard"]}
    assert {path.stem for path in workspace.path("shards").iterdir()} == kept
    assert set(first.table["shard"]).isdisjoint(kept)


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


def test_a_home_that_is_a_file(tmp_path: Path, datasets: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(WorkspaceError, match="cannot be written"):
        scan(Workspace(tmp_path / "file"), datasets, jobs=1)
    assert (tmp_path / "file").read_text() == "mine"


def test_incorrect_masks_are_counted_as_asked(scanned: Faces) -> None:
    def counts(**options: str) -> list[int]:
        total = label_split(scanned, **options).iloc[-1]  # type: ignore[arg-type]
        return total[["photos", "faces", "with_mask", "without_mask", "incorrect_mask"]].tolist()

    assert counts() == counts(incorrect_mask="class") == [14, 18, 9, 8, 1]
    assert counts(incorrect_mask="without_mask") == [14, 18, 9, 9, 0]
    assert counts(incorrect_mask="drop") == [14, 17, 9, 8, 0]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The datasets whose folders are read, in order."""
    names: list[str] = []
    real = maskdet.facetable.read_dataset
    monkeypatch.setattr(maskdet.facetable, "read_dataset", lambda folder: names.append(folder.name) or real(folder))
    return names


def test_an_unchanged_dataset_is_not_even_read(workspace: Workspace, datasets: Path, read: list[str]) -> None:
    first = scan(workspace, datasets, jobs=1)
    assert read == ["group", "medical", "web"]
    read.clear()
    again = scan(workspace, datasets, jobs=1)
    assert read == []
    pd.testing.assert_frame_equal(again.table, first.table)
    pd.testing.assert_frame_equal(again.rejects, first.rejects)
    assert (again.roots, again.photos, again.signatures) == (first.roots, first.photos, first.signatures)


def test_what_changed_is_read_again(workspace: Workspace, datasets: Path, read: list[str]) -> None:
    scan(workspace, datasets, jobs=1)
    read.clear()
    annotation = datasets / "group/annotations/a.xml"  # only what is said of a photo, not the photo
    annotation.write_text(annotation.read_text().replace("with_mask", "without_mask", 1))
    write_photo(datasets / "web/Test/WithMask/new.png", seed=77)
    after = scan(workspace, datasets, jobs=1)
    assert read == ["group", "web"]
    labels = after.table.set_index("face_id")["label"]
    assert labels["group/images/a.png@2,3,22,33"] == "without_mask"
    assert "web/Test/WithMask/new.png" in labels
    read.clear()
    (datasets / "web/Test/WithMask/new.png").unlink()
    assert "web/Test/WithMask/new.png" not in set(scan(workspace, datasets, jobs=1).table["face_id"])
    assert read == ["web"]


def test_lost_pixels_are_measured_again(workspace: Workspace, datasets: Path, read: list[str]) -> None:
    first = scan(workspace, datasets, jobs=1)
    read.clear()
    lost = workspace.path("shards", f"{first.table.iloc[0]['shard']}.npy")
    lost.unlink()
    again = scan(workspace, datasets, jobs=1)
    assert read == [first.table.iloc[0]["dataset"]]
    assert lost.is_file()
    pd.testing.assert_frame_equal(again.table, first.table)


def test_a_dataset_may_be_named(workspace: Workspace, datasets: Path) -> None:
    faces = scan(workspace, datasets / "web", dataset_id="2.1", jobs=1)
    assert set(faces.roots) == set(faces.table["dataset"]) == {"2.1"}
    assert faces.table["face_id"].iloc[0].startswith("2.1/Test/WithMask/")
    for name in ("", "a/b", "../x", "a\nb", ".hidden"):
        with pytest.raises(MaskDetError, match="A dataset's id is made of letters"):
            scan(workspace, datasets / "web", dataset_id=name, jobs=1)
    (datasets / "empty").mkdir()
    with pytest.raises(MaskDetError, match="No dataset found"):
        scan(workspace, datasets / "empty", dataset_id="x", jobs=1)


def test_forgetting_a_dataset_leaves_its_photos(workspace: Workspace, datasets: Path) -> None:
    before = scan(workspace, datasets, jobs=1)
    photos = sorted(datasets.rglob("*"))
    after = forget(workspace, "medical")
    assert set(after.roots) == set(after.table["dataset"]) == {"group", "web"}
    assert after.rejects.empty
    assert {path.stem for path in workspace.path("shards").iterdir()} == set(after.table["shard"])
    with pytest.raises(MaskDetError, match=r"no dataset 'medical' here; there are: group, web\."):
        forget(workspace, "medical")
    assert scan(workspace, datasets, jobs=1).fingerprint == before.fingerprint
    for name in ("medical", "group", "web"):
        forget(workspace, name)
    assert not has_faces(workspace)
    assert sorted(datasets.rglob("*")) == photos
    assert scan(workspace, datasets, jobs=1).fingerprint == before.fingerprint


def test_what_cannot_be_forgotten_is_told(
    workspace: Workspace, datasets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan(workspace, datasets, jobs=1)
    unlink = Path.unlink

    def refuse(path: Path, missing_ok: bool = False) -> None:
        if path.suffix in {".npy", ".parquet"}:
            raise PermissionError(13, "Permission denied", str(path))
        unlink(path, missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refuse)
        with pytest.raises(WorkspaceError, match=r"\.npy cannot be deleted \(Permission denied\)\.$"):
            forget(workspace, "medical")
        for name in ("group", "web"):
            with pytest.raises(WorkspaceError, match=r"cannot be deleted \(Permission denied\)\.$"):
                forget(workspace, name)
    assert has_faces(workspace)


def test_a_damaged_table_is_scanned_anew_where_all_that_was_measured_is_gone(
    workspace: Workspace, datasets: Path
) -> None:
    before = scan(workspace, datasets, jobs=1)
    workspace.path("faces.parquet").write_bytes(b"")
    shutil.rmtree(workspace.path("shards"))
    assert scan(workspace, datasets, jobs=1).fingerprint == before.fingerprint


def test_a_folder_that_vanishes_is_reported_and_kept(workspace: Workspace, datasets: Path, tmp_path: Path) -> None:
    before = scan(workspace, datasets, jobs=1)
    assert before.missing == ()
    (datasets / "web").rename(tmp_path / "away")
    assert before.missing == ("web",)
    after = scan(workspace, datasets, jobs=1)
    assert after.missing == ("web",)
    assert after.fingerprint == before.fingerprint  # it may come back
    (tmp_path / "away").rename(datasets / "web")
    assert load_faces(workspace).missing == ()


def test_a_folder_that_is_closed_is_missing(scanned: Faces, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.stat

    def closed(path, *args, **kwargs):
        if str(path) == str(scanned.roots["web"]):
            raise PermissionError(13, "Permission denied")
        return real(path, *args, **kwargs)

    monkeypatch.setattr(os, "stat", closed)
    assert scanned.missing == ("web",)


def test_odd_names_bombs_and_links_in_one_scan(workspace: Workspace, tmp_path: Path) -> None:
    names = ["two words.png", "Müller 口罩 😷.png", 'it\'s "quoted".png', "a,b;c@1,2.png", "=1+1.png"]
    folder = tmp_path / "my set (ü)/with_mask"
    for seed, name in enumerate(names):
        write_photo(folder / name, seed=seed)
    secret = write_photo(tmp_path / "elsewhere/secret.png", seed=99)
    (folder / "out.png").symlink_to(secret)
    bomb = bytearray(write_photo(tmp_path / "small.png").read_bytes())
    bomb[16:24] = (60_000).to_bytes(4, "big") * 2  # the header's width and height
    bomb[29:33] = zlib.crc32(bomb[12:29]).to_bytes(4, "big")
    (folder / "bomb.png").write_bytes(bomb)
    faces = scan(workspace, folder.parent, jobs=1)
    assert sorted(faces.table["face_id"]) == sorted(f"my set (ü)/with_mask/{name}" for name in names)
    assert dict(zip(faces.rejects["photo"], faces.rejects["reason"], strict=True)) == {
        "with_mask/bomb.png": "more than 120 million pixels",
        "with_mask/out.png": "is a link that leads out of the dataset's folder",
    }
    assert load_faces(workspace).table["photo"].tolist() == faces.table["photo"].tolist()


@pytest.mark.parametrize(("write", "name"), [(write_voc, "a.xml"), (write_json_boxes, "a.png.json")])
def test_an_annotation_that_links_out_is_not_read(write, name: str, workspace: Workspace, tmp_path: Path) -> None:
    boxes = {"a.png": [("with_mask", (0, 0, 20, 20))], "b.png": [("without_mask", (0, 0, 20, 20))]}
    folder = write(tmp_path / "set", boxes)
    outside = shutil.move(folder / "annotations" / name, tmp_path / name)
    (folder / "annotations" / name).symlink_to(outside)
    faces = scan(workspace, folder, jobs=1)
    assert faces.table["photo"].tolist() == ["images/b.png"]
    reasons = dict(zip(faces.rejects["photo"], faces.rejects["reason"], strict=True))
    assert reasons[f"annotations/{name}"] == "is a link that leads out of the dataset's folder"


def test_workers_of_a_dask_cluster_measure_the_same(workspace: Workspace, datasets: Path, tmp_path: Path) -> None:
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        calls: list[tuple[int, int, str]] = []
        faces = scan(
            workspace, datasets, scheduler=cluster.scheduler_address, progress=lambda *call: calls.append(call)
        )
    here = scan(Workspace(tmp_path / "other"), datasets, jobs=1)
    pd.testing.assert_frame_equal(faces.table, here.table)
    assert calls[-1] == (14, 14, "measuring faces")


def test_a_scheduler_that_does_not_answer_is_a_sentence(
    workspace: Workspace, datasets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maskdet.cluster, "_TIMEOUT", 1)
    for address in ("tcp://127.0.0.1:9", "nonsense"):
        with pytest.raises(MaskDetError, match=f"No Dask scheduler answers at {address}"):
            scan(workspace, datasets, scheduler=address)
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MaskDetError, match="pip install distributed"):
        scan(workspace, datasets, scheduler="tcp://127.0.0.1:9")


def test_forgetting_the_last_dataset_leaves_no_pixels(workspace: Workspace, datasets: Path) -> None:
    scan(workspace, datasets / "web", jobs=1)
    assert list(workspace.path("shards").iterdir())
    forget(workspace, "web")
    assert not workspace.path("shards").exists()
    assert len(scan(workspace, datasets / "web", jobs=1).table) > 0


@pytest.mark.usefixtures("scanned")
def test_nothing_is_forgotten_while_faces_are_read(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    training = workspace.path("runs/.svm-1.partial")
    training.mkdir(parents=True)
    before = set(workspace.path("shards").iterdir())
    with FileLock(training / ".lock"), pytest.raises(WorkspaceError, match="still at work: wait until it has ended"):
        forget(workspace, "web")
    queued = Job(workspace.path("jobs/1-train"), ("train", "svm"), "", "queued")
    with monkeypatch.context() as patch:
        patch.setattr("maskdet.facetable.list_jobs", lambda _: [queued])
        with pytest.raises(WorkspaceError, match="still at work: wait until it has ended"):
            forget(workspace, "web")
    assert set(workspace.path("shards").iterdir()) == before
    assert "web" not in forget(workspace, "web").roots
