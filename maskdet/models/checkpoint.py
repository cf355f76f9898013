"""Checkpoints: what a fit keeps of each finished epoch or grid point, so that one that was cut can go on after it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from maskdet.errors import RunError, WorkspaceError
from maskdet.workspace import read_arrays, read_json, replacing, unreadable, write_json

History = list[dict[str, float | str]]
Arrays = dict[str, npt.NDArray[Any]]

CHECKPOINT_FILE: Final = "checkpoint.npz"
HISTORY_FILE: Final = "history.json"
_HISTORY_KEY: Final = "history"


def read_history(path: Path) -> History:
    """A history that was written as JSON. Raises RunError or WorkspaceError if it is damaged."""
    entries = read_json(path)
    if not _is_history(entries):
        raise RunError(str(unreadable(path, "it holds no history")))
    return list(entries)


def _is_history(entries: Any) -> bool:
    """True for a list of entries whose values are figures or names."""
    figures = (str, int, float, type(None))
    return isinstance(entries, list) and all(
        isinstance(entry, dict)
        and not entry.keys().isdisjoint(("epoch", "f1_macro"))
        and all(isinstance(value, figures) for value in entry.values())
        for entry in entries
    )


class Checkpoint(Protocol):
    """Where a fit keeps its state: the history, an entry an epoch or grid point, and arrays of any shape by name."""

    def load(self) -> tuple[History, Arrays] | None:
        """What was kept last, or None."""
        ...

    def save(self, history: History, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Keep a state in place of the one before."""
        ...


class FolderCheckpoint:
    """A checkpoint in a folder. The history is also written as JSON, for those who watch."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / CHECKPOINT_FILE

    def load(self) -> tuple[History, Arrays] | None:
        """What was kept last, or None. Raises RunError if it is damaged."""
        if not self._path.is_file():
            return None
        try:
            arrays = read_arrays(self._path, (_HISTORY_KEY,))
        except WorkspaceError as error:
            raise RunError(str(error)) from error
        try:
            history = json.loads(str(arrays.pop(_HISTORY_KEY)))
        except (ValueError, RecursionError) as error:
            raise RunError(str(unreadable(self._path, error))) from error
        if not _is_history(history):
            raise RunError(str(unreadable(self._path, "it holds no history")))
        return history, arrays

    def save(self, history: History, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Keep a state: the new one is whole on disk before it takes the place of the old one.

        Raises WorkspaceError if it cannot be written.
        """
        with replacing(self._path) as temporary, temporary.open("wb") as file:
            # One file for both, so that they always belong together.
            np.savez(file, allow_pickle=False, **{_HISTORY_KEY: np.array(json.dumps(history))}, **arrays)
            # Before the state takes its place: whoever finds a state, of a killed process too, finds its history.
            write_json(self._path.with_name(HISTORY_FILE), history)


class ReadCheckpoint(FolderCheckpoint):
    """The checkpoint that the chief of a cluster keeps, for the other workers, which only read it."""

    def save(self, history: History, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Nothing: the chief keeps the state, which is the same on all workers."""
