"""Scans that are cut or killed, and tables that are damaged: nothing is lost, and the next scan goes on."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from conftest import write_photo, write_voc
from faulty import DAMAGES
from filelock import FileLock

import maskdet.facetable
from maskdet import measure
from maskdet.errors import LaterVersionError, MaskDetError, WorkspaceError
from maskdet.facetable import Faces, forget, has_faces, load_faces, scan
from maskdet.workspace import Workspace


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


def test_two_scans_never_mix(workspace: Workspace, tmp_path) -> None:
    write_photo(tmp_path / "data/a/with_mask/1.png")
    workspace.ensure_writable()
    with FileLock(workspace.path(".lock")), pytest.raises(WorkspaceError, match="Another scan"):
        scan(workspace, tmp_path / "data", jobs=1)


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
    with pytest.raises(WorkspaceError, match=f"The face table is damaged: scan all datasets again.*{name}"):
        load_faces(workspace)


@pytest.mark.parametrize("photos", ["-1", "Infinity", "1" + "0" * 30, '"x"'])
@pytest.mark.usefixtures("scanned")
def test_a_number_of_photos_that_no_folder_holds_is_a_damaged_table(workspace: Workspace, photos: str) -> None:
    text = re.sub(r'"photos": \d+', f'"photos": {photos}', workspace.path("datasets.json").read_text())
    workspace.path("datasets.json").write_text(text)
    with pytest.raises(WorkspaceError, match="The face table is damaged"):
        load_faces(workspace)


@pytest.mark.parametrize("name", ["faces.parquet", "rejects.parquet", "datasets.json"])
def test_a_scan_mends_a_damaged_table(workspace: Workspace, datasets: Path, scanned: Faces, name: str) -> None:
    endless = re.sub(r'"photos": \d+', '"photos": Infinity', workspace.path("datasets.json").read_text())
    assert "Infinity" in endless
    for damage in (
        lambda path: path.write_bytes(b"\xff{"),
        lambda path: path.unlink(),
        lambda path: path.with_name("datasets.json").write_text(endless),
    ):
        damage(workspace.path(name))
        assert scan(workspace, datasets, jobs=1).fingerprint == scanned.fingerprint
        pd.testing.assert_frame_equal(load_faces(workspace).table, scanned.table)


def test_a_table_of_an_older_version_is_made_anew(workspace: Workspace, datasets: Path, scanned: Faces) -> None:
    older = scanned.table.drop(columns=["dhash", "sharpness"])
    older.to_parquet(workspace.path("faces.parquet"), index=False)
    with pytest.raises(WorkspaceError, match=r"of an older version of MaskDet: scan all datasets again\."):
        load_faces(workspace)
    assert "sharpness" in scan(workspace, datasets, jobs=1).table


FILES = ("datasets.json", "rejects.parquet", "faces.parquet", "datasets.json again")


def cut_at(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Let the process die as it is about to write this file of the workspace."""
    written: list[str] = []

    def guard(write):
        def cut(path: Path, content: object, **options: object) -> None:
            written.append(f"{path.name} again" if path.name in written else path.name)
            if written[-1] == name:
                raise KeyboardInterrupt
            write(path, content, **options)

        return cut

    for function in ("write_json", "write_table"):
        monkeypatch.setattr(maskdet.facetable, function, guard(getattr(maskdet.facetable, function)))


@pytest.mark.parametrize("name", FILES)
def test_a_scan_killed_as_it_writes_is_made_good_by_the_next(
    workspace: Workspace, datasets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (datasets / "web").rename(tmp_path / "web")
    scan(workspace, datasets, jobs=1)
    (tmp_path / "web").rename(datasets / "web")  # one dataset more, and one that is changed
    (datasets / "group/annotations/b.xml").unlink()
    with monkeypatch.context() as patch:
        cut_at(patch, name)
        with pytest.raises(KeyboardInterrupt):
            scan(workspace, datasets, jobs=1)
    between = load_faces(workspace)
    assert set(between.table["dataset"]) <= set(between.roots)
    after = scan(workspace, datasets, jobs=1)
    assert after.table["dataset"].value_counts().to_dict() == {"web": 8, "medical": 5, "group": 4}
    assert after.signatures == scan(Workspace(tmp_path / "other"), datasets, jobs=1).signatures


@pytest.mark.parametrize("name", FILES)
@pytest.mark.usefixtures("scanned")
def test_forgetting_that_is_killed_as_it_writes(
    workspace: Workspace, datasets: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with monkeypatch.context() as patch:
        cut_at(patch, name)
        with pytest.raises(KeyboardInterrupt):
            forget(workspace, "web")
    between = load_faces(workspace)
    assert set(between.table["dataset"]) <= set(between.roots) == {"group", "medical", "web"}
    assert len(scan(workspace, datasets, jobs=1).table) == 18
    assert set(forget(workspace, "web").roots) == {"group", "medical"}


def test_a_table_is_never_read_half_old_half_new(
    workspace: Workspace, datasets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scan ends after the datasets were read, and before their faces are."""
    scan(workspace, datasets / "web", jobs=1)
    real, reads = maskdet.facetable.read_json, []

    def scan_after(path: Path, **options: object) -> object:
        value = real(path, **options)
        reads.append(path)
        if len(reads) == 1:
            scan(workspace, datasets, jobs=1)
        return value

    monkeypatch.setattr(maskdet.facetable, "read_json", scan_after)
    faces = load_faces(workspace)
    assert set(faces.table["dataset"]) == set(faces.roots) == {"group", "medical", "web"}


def test_a_scan_that_is_killed_loses_nothing_and_a_second_one_waits(workspace: Workspace, tmp_path: Path) -> None:
    """SIGKILL to the scan and its workers, while shards are being measured."""
    folder = tmp_path / "set/with_mask"
    photo = write_photo(folder / "000.png", (500, 500), seed=1).read_bytes()
    for number in range(1, 800):  # 8 shards
        (folder / f"{number:03}.png").write_bytes(photo)
    command = [sys.executable, "-m", "maskdet", "scan", str(folder.parent), "--jobs", "2", "--home", workspace.home]
    running = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
    shards = workspace.path("shards")
    deadline = time.monotonic() + 60
    while len(list(shards.glob("*.json"))) < 2:
        assert running.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    with pytest.raises(WorkspaceError, match="Another scan is writing"):
        scan(workspace, folder.parent, jobs=1)
    os.killpg(running.pid, signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    assert not has_faces(workspace)
    finished = {path: path.stat().st_mtime_ns for path in shards.glob("*.json")}
    assert 2 <= len(finished) < 8

    faces = scan(workspace, folder.parent, jobs=1)
    assert len(faces.table) == 800
    assert len(list(shards.glob("*.json"))) == 8
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    assert {path.suffix for path in shards.iterdir()} == {".json", ".npy"}  # nothing half-written is left


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def without_a_sharpness(path: Path) -> None:
    path.write_text(path.read_text().replace('"sharpness"', '"sharpnesr"', 1))


def no_text(path: Path) -> None:
    path.write_bytes(b"\xff")


@pytest.mark.parametrize(
    ("suffix", "damage"),
    [("npy", cut_short), ("npy", no_text), ("json", cut_short), ("json", no_text), ("json", without_a_sharpness)],
)
@pytest.mark.parametrize("table_is_lost", [False, True])
def test_a_scan_mends_damaged_shards(
    workspace: Workspace,
    datasets: Path,
    scanned: Faces,
    suffix: str,
    table_is_lost: bool,
    damage: Callable[[Path], object],
) -> None:
    whole = {path: path.read_bytes() for path in workspace.path("shards").iterdir()}
    for path in whole:
        if path.suffix == f".{suffix}":
            damage(path)
    if table_is_lost:
        workspace.path("faces.parquet").unlink()
    pd.testing.assert_frame_equal(scan(workspace, datasets, jobs=1).table, scanned.table)
    assert {path: path.read_bytes() for path in workspace.path("shards").iterdir()} == whole


@pytest.mark.parametrize("name", ["faces.parquet", "rejects.parquet", "datasets.json"])
def test_a_scan_never_takes_the_place_of_a_later_version(
    workspace: Workspace, datasets: Path, scanned: Faces, name
) -> None:  # type: ignore[no-untyped-def]
    DAMAGES["later"](workspace.path(name))
    content = workspace.path(name).read_bytes()
    for use in (load_faces, lambda home: scan(home, datasets, jobs=1)):
        with pytest.raises(LaterVersionError, match=rf"{name} was written by a later version of MaskDet \(format 99"):
            use(workspace)
    assert workspace.path(name).read_bytes() == content


def test_faces_of_a_dataset_that_is_not_listed_are_a_damaged_table(workspace: Workspace, datasets: Path) -> None:
    scan(workspace, datasets)
    path = workspace.path("datasets.json")
    stored = json.loads(path.read_text())
    listed = stored.get("value", stored)
    del listed[next(name for name in listed if name != "format")]
    path.write_text(json.dumps(stored))
    with pytest.raises(WorkspaceError, match=r"scan all datasets again to make it anew .*lacks a dataset"):
        load_faces(workspace)
