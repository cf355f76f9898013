"""Checkpoints: whole or as before, and readable by those who watch."""

import errno
import json
from pathlib import Path

import numpy as np
import pytest

from maskdet.errors import RunError, WorkspaceError
from maskdet.models.checkpoint import CHECKPOINT_FILE, HISTORY_FILE, FolderCheckpoint

HISTORY = [{"epoch": 1, "loss": 0.1 + 0.2}, {"epoch": 2, "loss": 1e-300, "kernel": "rbf"}]
ARRAYS = {"network/0": np.arange(6, dtype=np.float32).reshape(2, 3), "optimizer/0": np.array(7, dtype=np.int64)}


def test_nothing_is_kept_yet(tmp_path: Path) -> None:
    assert FolderCheckpoint(tmp_path).load() is None
    assert list(tmp_path.iterdir()) == []


def test_what_was_kept_comes_back_to_the_bit(tmp_path: Path) -> None:
    FolderCheckpoint(tmp_path).save(HISTORY, ARRAYS)
    history, arrays = FolderCheckpoint(tmp_path).load()
    assert history == HISTORY
    assert set(arrays) == set(ARRAYS)
    for name, value in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], value)
        assert arrays[name].dtype == value.dtype
    assert json.loads((tmp_path / HISTORY_FILE).read_text()) == HISTORY


def test_a_state_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    checkpoint = FolderCheckpoint(tmp_path)
    checkpoint.save(HISTORY, ARRAYS)
    checkpoint.save(HISTORY[:1], {})
    assert checkpoint.load() == (HISTORY[:1], {})
    assert sorted(path.name for path in tmp_path.iterdir()) == [CHECKPOINT_FILE, HISTORY_FILE]


def test_whoever_finds_a_state_finds_its_history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is killed between the two files must not leave a state of which nothing is known."""

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("maskdet.models.checkpoint.write_json", killed)
    with pytest.raises(KeyboardInterrupt):
        FolderCheckpoint(tmp_path).save(HISTORY, ARRAYS)
    assert not (tmp_path / CHECKPOINT_FILE).exists()


@pytest.mark.parametrize("damage", ["empty", "garbled", "cut"])
def test_damage_says_what_to_do(tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "runs/.svm-1.partial"
    FolderCheckpoint(folder).save(HISTORY, ARRAYS)
    path = folder / CHECKPOINT_FILE
    content = path.read_bytes()
    path.write_bytes({"empty": b"", "garbled": b"no arrays" * 99, "cut": content[: len(content) // 2]}[damage])
    with pytest.raises(RunError, match=r"checkpoint\.npz cannot be read \(.*\): .* removes this training; begin"):
        FolderCheckpoint(folder).load()


def test_nothing_but_arrays_and_json_is_read(tmp_path: Path) -> None:
    """An object array would be unpickled, and so run whatever it says."""
    np.savez(tmp_path / CHECKPOINT_FILE, history=np.array([{"a": 1}], dtype=object))
    with pytest.raises(RunError, match=r"cannot be read \(Object arrays cannot be loaded"):
        FolderCheckpoint(tmp_path).load()


def test_a_full_disk_leaves_the_state_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = FolderCheckpoint(tmp_path)
    checkpoint.save(HISTORY[:1], ARRAYS)

    def full(file: object, **_arrays: object) -> None:
        file.write(b"a part")  # type: ignore[attr-defined]
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(WorkspaceError, match=r"checkpoint\.npz cannot be written \(No space left on device\)"):
        checkpoint.save(HISTORY, ARRAYS)
    assert sorted(path.name for path in tmp_path.iterdir()) == [CHECKPOINT_FILE, HISTORY_FILE]
    history, arrays = FolderCheckpoint(tmp_path).load()
    assert history == HISTORY[:1]
    np.testing.assert_array_equal(arrays["network/0"], ARRAYS["network/0"])
    assert json.loads((tmp_path / HISTORY_FILE).read_text()) == HISTORY[:1]
