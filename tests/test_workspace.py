"""The workspace: which folder it is, and that a file in it is old or new, never half."""

from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock

from maskdet.catalog import DATA_DIR
from maskdet.errors import WorkspaceError
from maskdet.workspace import (
    Workspace,
    read_arrays,
    read_json,
    read_table,
    remove,
    replacing,
    write_json,
    write_table,
)


def test_the_argument_comes_before_the_environment_and_that_before_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Workspace.locate().home == DATA_DIR / "workspace"
    monkeypatch.setenv("MASKDET_HOME", str(tmp_path / "environment"))
    assert Workspace.locate().home == tmp_path / "environment"
    assert Workspace.locate(tmp_path / "argument").home == tmp_path / "argument"
    monkeypatch.setenv("MASKDET_HOME", "")
    assert Workspace.locate().home == DATA_DIR / "workspace"
    assert list(tmp_path.iterdir()) == []


def test_homes_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    assert Workspace.locate("here").home == tmp_path / "here"
    assert Workspace.locate("~/there").home == tmp_path / "me" / "there"


def test_a_path_makes_nothing(workspace: Workspace) -> None:
    assert workspace.path("runs", "a") == workspace.home / "runs" / "a"
    assert not workspace.home.exists()


def test_ensure_writable_makes_the_folder_and_leaves_it_empty(workspace: Workspace) -> None:
    workspace.ensure_writable()
    assert list(workspace.home.iterdir()) == []


@pytest.mark.parametrize("below", ["", "deeper/still"])
def test_a_home_that_is_a_file(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WorkspaceError, match="--home or MASKDET_HOME"):
        Workspace(tmp_path / "file" / below).ensure_writable()


def test_the_lock_is_held_alone_and_given_back(workspace: Workspace) -> None:
    with workspace.lock(), pytest.raises(WorkspaceError, match="Another scan"), workspace.lock():
        pass
    with pytest.raises(ZeroDivisionError), workspace.lock():
        raise ZeroDivisionError
    with FileLock(workspace.path(".lock"), timeout=0):
        pass


def test_replacing_puts_the_new_file_in_place_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.txt"
    with replacing(path) as temporary:
        temporary.write_text("first")
        assert not path.exists()
    with replacing(path) as temporary:
        temporary.write_text("second")
        assert path.read_text() == "first"
    assert path.read_text() == "second"
    assert list(path.parent.iterdir()) == [path]


def test_two_threads_that_write_one_file_at_once(tmp_path: Path) -> None:
    """As two visitors of the app do: each writes a whole file, the last one stays."""
    path = tmp_path / "file.txt"
    with replacing(path) as first, replacing(path) as second:
        assert first != second
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("raised", "seen"),
    [
        (OSError(28, "No space left on device"), WorkspaceError),
        (ValueError("x"), ValueError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_an_error_leaves_the_old_file(tmp_path: Path, raised: BaseException, seen: type[BaseException]) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")

    def fail() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise raised

    with pytest.raises(seen) as caught:
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    if seen is WorkspaceError:
        assert str(caught.value) == f"{path} cannot be written (No space left on device)."


def test_what_cannot_be_written_is_a_workspace_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WorkspaceError, match="cannot be written"):
        write_json(tmp_path / "file" / "a.json", 1)
    with pytest.raises(WorkspaceError, match="cannot be written"):
        write_table(tmp_path / "file" / "a.parquet", pd.DataFrame({"a": [1]}))
    (tmp_path / "folder").mkdir()
    with pytest.raises(WorkspaceError, match="cannot be written"):
        write_json(tmp_path / "folder", 1)


def test_json_comes_back_readable(tmp_path: Path) -> None:
    value = {"name": "Jürgen’s", "numbers": [1, 2.5, None, True]}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == value
    assert "Jürgen’s" in (tmp_path / "a.json").read_text(encoding="utf-8")


def test_no_json_that_others_cannot_read(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", 1)
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "a.json", float("nan"))
    assert read_json(tmp_path / "a.json") == 1


def test_tables_come_back_with_their_types(tmp_path: Path) -> None:
    table = pd.DataFrame({"name": ["ä", "b"], "whole": [1, 2], "part": [0.5, 1.5], "flag": [True, False]}, index=[7, 8])
    write_table(tmp_path / "a.parquet", table)
    pd.testing.assert_frame_equal(read_table(tmp_path / "a.parquet"), table.reset_index(drop=True))


@pytest.mark.parametrize("content", [None, b"", b"{", b"\xff\xfe\x00"])
def test_missing_and_damaged_files_are_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "a.file"
    if content is not None:
        path.write_bytes(content)
    for read in (read_json, read_table):
        with pytest.raises(WorkspaceError, match=r"a\.file cannot be read"):
            read(path)


def test_a_table_cut_short_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write_table(path, pd.DataFrame({"a": range(1000)}))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(WorkspaceError, match="cannot be read"):
        read_table(path)


def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[tuple[str, bool]] = []
    path = tmp_path / "a.json"
    monkeypatch.setattr(
        "maskdet.workspace.flush", lambda what: flushed.append((what.suffix or "folder", path.exists()))
    )
    write_json(path, {})
    assert flushed == [(".tmp", False), ("folder", True)]


def test_json_of_a_later_version_is_refused_and_of_none_is_version_1(tmp_path: Path) -> None:
    path = tmp_path / "filter.json"
    write_json(path, {"a": 1}, version=2)
    assert read_json(path, version=2) == {"a": 1}
    with pytest.raises(
        WorkspaceError, match=r"filter\.json was written by a later version .*format 2, this one reads 1"
    ):
        read_json(path, version=1)
    write_json(path, {"a": 1})
    assert read_json(path, version=1) == {"a": 1}
    write_json(path, {"a": 1}, version=0)
    with pytest.raises(WorkspaceError, match=r"there is no format 0.*maskdet filter., or \*Apply and split\*"):
        read_json(path, version=1)


def test_a_table_of_a_later_version_or_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write_table(path, pd.DataFrame({"a": [1]}), version=2)
    assert read_table(path, version=2).attrs == {}
    with pytest.raises(WorkspaceError, match="later version"):
        read_table(path)
    with pytest.raises(WorkspaceError, match="no column b"):
        read_table(path, version=2, columns=("b",))


def test_a_flipped_bit_in_a_table_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write_table(path, pd.DataFrame({"a": range(1000)}))
    content = bytearray(path.read_bytes())
    content[200] ^= 1
    path.write_bytes(content)
    with pytest.raises(WorkspaceError, match=r"a\.parquet cannot be read .*CRC"):
        read_table(path)


def test_arrays_are_read_by_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", one=np.arange(3), two=np.zeros(2))
    assert read_arrays(tmp_path / "a.npz", ("one",))["one"].tolist() == [0, 1, 2]
    with pytest.raises(WorkspaceError, match=r"a\.npz cannot be read \(it is of another kind\)"):
        read_arrays(tmp_path / "a.npz", ("three",))
    with ZipFile(tmp_path / "a.npz", "a") as archive:
        archive.writestr("notes", "of which NumPy gives the bytes")
    with pytest.raises(WorkspaceError, match=r"a\.npz cannot be read \(it holds what is no array\)"):
        read_arrays(tmp_path / "a.npz")


def test_arrays_that_unpack_to_more_than_may_be_are_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, maps=np.zeros(3_000_000, np.uint8))
    assert path.stat().st_size < 10_000
    assert len(read_arrays(path, most_bytes=3_000_500)["maps"]) == 3_000_000
    monkeypatch.delattr(np, "load")
    with pytest.raises(WorkspaceError, match=r"it unpacks to 3 MB, more than 2\)"):
        read_arrays(path, most_bytes=2_000_000)


def test_what_is_gone_already_is_deleted(tmp_path: Path) -> None:
    (tmp_path / "folder/deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "folder", target_is_directory=True)
    remove(tmp_path / "link")
    assert (tmp_path / "folder").is_dir()
    remove(tmp_path / "folder")
    remove(tmp_path / "folder")
    assert list(tmp_path.iterdir()) == []
