"""Applying a setting: two visitors who press the button at once."""

from pathlib import Path
from threading import Event, Thread

import pytest
from factories import prepared

import ui.quality_split
from maskdet.errors import WorkspaceError
from maskdet.facetable import load_faces
from maskdet.quality import FilterOptions, load_filtered
from maskdet.split import Split, SplitOptions, load_split, save_split
from maskdet.workspace import Workspace
from ui.quality_data import setting_of


def test_of_two_who_apply_at_once_one_comes_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = Workspace(tmp_path / "home")
    prepared(workspace, tmp_path / "photos", {"with_mask": 8, "without_mask": 8})
    begun, second_began = Event(), Event()

    def slow_for_the_first(workspace: Workspace, split: Split) -> None:
        if not begun.is_set():  # the first has written its filtered set: the second comes between
            begun.set()
            second_began.wait(5)
            second.join(2)
        save_split(workspace, split)

    def apply(distance: int) -> None:
        ui.quality_split.write(
            setting_of(workspace, FilterOptions(hash_distance=distance)), SplitOptions(seed=distance)
        )

    def apply_second() -> None:
        second_began.set()
        apply(6)

    monkeypatch.setattr(ui.quality_split, "save_split", slow_for_the_first)
    first, second = Thread(target=apply, args=(2,)), Thread(target=apply_second)
    first.start()
    assert begun.wait(30)
    second.start()
    first.join(30)
    second.join(30)
    faces = load_faces(workspace)
    filtered, split = load_filtered(workspace, faces), load_split(workspace, faces)
    assert (filtered.options.hash_distance, split.options.seed) == (6, 6), "the second, whole"
    assert split.filter_options["hash_distance"] == 6


def test_who_does_not_get_a_turn_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = Workspace(tmp_path)
    monkeypatch.setattr("maskdet.workspace._PATIENCE", 0.1)
    message = "Another session is filtering or splitting"
    with workspace.applying(), pytest.raises(WorkspaceError, match=message), workspace.applying():
        pytest.fail("two hold it at once")
