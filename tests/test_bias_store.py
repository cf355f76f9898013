"""Where results of the bias lab lie: the workspace's own before what ships, and no path out of either."""

from pathlib import Path

import pytest

from maskdet.bias import store
from maskdet.bias.store import find_path, own_path
from maskdet.errors import MaskDetError
from maskdet.workspace import Workspace


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "shipped"
    monkeypatch.setattr(store, "SHIPPED", folder)
    return folder


def written(path: Path) -> Path:
    path.parent.mkdir(parents=True)
    path.touch()
    return path


def test_a_result_lies_under_its_split_and_its_run(workspace: Workspace) -> None:
    assert own_path(workspace, "f1", "a.json") == workspace.home / "bias/f1/a.json"
    assert own_path(workspace, "f1", "a.json", "svm-1") == workspace.home / "bias/f1/svm-1/a.json"


def test_own_results_come_before_those_that_ship(workspace: Workspace, shipped: Path) -> None:
    assert find_path(workspace, "f1", "a.json") is None
    theirs = written(shipped / "f1/a.json")
    assert find_path(workspace, "f1", "a.json") == theirs
    mine = written(workspace.path("bias/f1/a.json"))
    assert find_path(workspace, "f1", "a.json") == mine
    assert find_path(workspace, "f1", "a.json", "svm-1") is None
    assert find_path(workspace, "f2", "a.json") is None


@pytest.mark.parametrize("name", ["", "..", "../a", "a/b", "a\\b", ".hidden", "/etc/passwd"])
def test_no_name_leads_elsewhere(name: str, workspace: Workspace) -> None:
    for parts in ((name, "a.json"), ("f1", name), ("f1", "a.json", name)):
        with pytest.raises(MaskDetError, match="is no name of a result"):
            own_path(workspace, *parts)
        with pytest.raises(MaskDetError, match="is no name of a result"):
            find_path(workspace, *parts)
