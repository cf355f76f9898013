"""Whether a workspace is whole, what killed processes left in it, and what the shell says of both."""

import os
import time
from pathlib import Path

import pytest
from conftest import Shell
from filelock import FileLock
from written_runs import write_run

from maskdet.facetable import Faces, scan
from maskdet.integrity import SECONDS_TO_WRITE, inspect, remove_leftovers
from maskdet.workspace import Workspace, write_json, write_table

LONG_AGO = SECONDS_TO_WRITE + 60


def written(path: Path, seconds_ago: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    then = time.time() - seconds_ago
    os.utime(path, (then, then))
    return path


def test_an_empty_workspace_is_whole(workspace: Workspace) -> None:
    assert inspect(workspace).files == 0
    assert inspect(workspace).damaged == ()


def test_what_a_scan_writes_is_whole(workspace: Workspace, scanned: Faces) -> None:
    assert len(scanned.table) == 18
    assert inspect(workspace).damaged == inspect(workspace).unknown == inspect(workspace).leftovers == ()


@pytest.mark.usefixtures("scanned")
def test_pixels_that_changed_are_found_by_a_thorough_look_alone(workspace: Workspace, datasets: Path) -> None:
    path = next(workspace.path("shards").glob("*.npy"))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert inspect(workspace, thorough=False).damaged == ()
    [said] = inspect(workspace).damaged
    assert said.startswith(f"{path} cannot be read (the pixels of ")
    assert "; delete the file): `python -m maskdet scan DIR` makes it again, and measures only what is lost." in said
    path.unlink()
    scan(workspace, datasets, jobs=1)
    assert inspect(workspace).damaged == ()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("shard_row", 0.5),
        ("shard_row", "x"),
        ("shard_row", -1),
        ("width", None),
        ("width", "x"),
        ("shard", 7),
        ("shard", "../x"),
        ("shard", "a\nb"),
    ],
)
def test_a_face_table_that_holds_what_no_scan_writes_is_told_once(
    workspace: Workspace, scanned: Faces, column: str, value: object
) -> None:
    write_table(workspace.path("faces.parquet"), scanned.table.assign(**{column: value}))
    [said] = inspect(workspace).damaged
    assert f"(column {column})" in said


@pytest.mark.parametrize("name", ["weights/a\nb", "weights/" + "x" * 3000])
def test_a_name_in_a_record_is_told_on_one_line(workspace: Workspace, name: str) -> None:
    run = write_run(workspace, "svm-1", "svm")
    write_json(run.folder / "run.json", {**run.record, "digests": {name: "0" * 64}})
    sentences = [said for said in inspect(workspace).damaged if " cannot be read (it is missing)" in said]
    assert sentences
    for said in sentences:
        assert said.isprintable()
        assert len(said) < 2000


@pytest.mark.usefixtures("scanned")
def test_a_face_whose_name_has_two_lines_is_told_on_one(workspace: Workspace, scanned: Faces) -> None:
    table = scanned.table.copy()
    table.loc[0, ["face_id", "pixels_digest"]] = ["a\nb", "0" * 32]
    write_table(workspace.path("faces.parquet"), table)
    [said] = inspect(workspace).damaged
    assert r"(the pixels of a\nb are not those" in said
    assert said.isprintable()


def test_a_number_without_end_is_told(workspace: Workspace) -> None:
    path = written(workspace.path("bias", "0123456789abcdef", "cross-dataset-svm.json"), 0)
    path.write_text('{"rows": [], "model": "svm", "options": {}, "seed": 1e999, "fingerprint": ""}')
    [said] = inspect(workspace).damaged
    assert said.startswith(f"{path} cannot be read (")


def test_leftovers_go_after_an_hour(workspace: Workspace) -> None:
    old = written(workspace.path("runs", "a", ".metrics.json.0123456789ab.tmp"), LONG_AGO)
    fresh = written(workspace.path(".faces.parquet.0123456789ab.tmp"), 60)
    to_come = written(workspace.path(".split.json.0123456789ab.tmp"), -LONG_AGO)  # the clock was set back since
    theirs = written(workspace.path("notes.txt"), LONG_AGO)
    assert set(inspect(workspace).leftovers) == {old, fresh, to_come}
    assert inspect(workspace).unknown == (Path("notes.txt"),)
    folder = written(workspace.path(".split.parquet.0123456789ab.tmp") / "x", LONG_AGO).parent
    os.utime(folder, (time.time() - LONG_AGO,) * 2)
    assert folder in inspect(workspace).leftovers
    assert set(remove_leftovers(workspace)) == {old, folder}
    assert all(path.exists() for path in (fresh, to_come, theirs))


def test_a_sample_set_whose_drawing_was_killed_is_one_leftover(workspace: Workspace) -> None:
    drawing = workspace.path("sample", ".photos-abcd1234")
    photo = written(drawing / "photos/sample-web/a.jpg", LONG_AGO)
    theirs = written(workspace.path("sample", ".photos-of-mine"), LONG_AGO)  # a file, which no drawing is
    elsewhere = written(workspace.path("runs/.photos-a/b.jpg"), LONG_AGO)
    assert inspect(workspace).leftovers == (drawing,)
    assert set(inspect(workspace).unknown) == {Path("sample/.photos-of-mine"), Path("runs/.photos-a/b.jpg")}
    assert remove_leftovers(workspace) == []  # it may still be drawn
    then = time.time() - LONG_AGO
    os.utime(drawing, (then, then))
    assert remove_leftovers(workspace) == [drawing]
    assert not photo.exists()
    assert theirs.exists()
    assert elsewhere.exists()


def test_a_training_that_had_not_begun_goes_unless_it_is_held(workspace: Workspace) -> None:
    folder = workspace.path("runs", ".cnn-1.partial")
    lock = written(folder / ".lock", LONG_AGO)
    then = time.time() - LONG_AGO
    os.utime(folder, (then, then))
    with FileLock(lock):
        assert remove_leftovers(workspace) == []
    os.utime(folder, (then, then))
    assert remove_leftovers(workspace) == [folder]
    assert not folder.exists()


@pytest.mark.usefixtures("scanned")
def test_the_shell_names_damage_and_ends_with_1(shell: Shell, workspace: Workspace) -> None:
    assert shell("check")[0] == 0
    old = written(workspace.path(".faces.parquet.0123456789ab.tmp"), LONG_AGO)
    workspace.path("rejects.parquet").write_bytes(b"")
    status, out, _ = shell("check", "--clean")
    assert status == 1
    assert f"{workspace.path('rejects.parquet')} cannot be read" in out
    assert f"{old} was left by a process that was killed; it is removed." in out
    assert not old.exists()


def test_what_other_programs_are_writing_is_left_alone(workspace: Workspace) -> None:
    names = (".faces.parquet.0123.tmp", ".notes.txt.0123456789ab.tmp", ".~lock.tmp", "runs/a/.x.json.0123456789ab.tmp")
    theirs = [written(workspace.path(name), LONG_AGO) for name in names]
    assert inspect(workspace).leftovers == ()
    assert set(inspect(workspace).unknown) == {Path(name) for name in names}
    assert remove_leftovers(workspace) == []
    assert all(path.exists() for path in theirs)


def test_a_stray_file_beside_runs_and_jobs_is_no_damage(workspace: Workspace) -> None:
    for name in ("runs/.DS_Store", "runs/notes.txt", "jobs/notes.txt"):
        written(workspace.path(name), 0)
    found = inspect(workspace)
    assert found.damaged == ()
    assert set(found.unknown) == {Path("runs/.DS_Store"), Path("runs/notes.txt"), Path("jobs/notes.txt")}


def test_the_shell_spells_out_what_a_name_would_tell_the_terminal(shell: Shell, workspace: Workspace) -> None:
    written(workspace.path("\x1b[2Jnotes.txt"), 0)
    assert "\\x1b[2Jnotes.txt was not written by MaskDet" in shell("check")[1]
