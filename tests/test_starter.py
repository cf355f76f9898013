"""The sample workspace: drawn once, complete, synthetic throughout, and kept out of the user's own faces."""

from pathlib import Path
from typing import NoReturn

import pytest

from maskdet import starter
from maskdet.catalog import load_catalog
from maskdet.errors import WorkspaceError
from maskdet.facetable import has_faces, load_faces
from maskdet.samples import SampleOptions, write_sample
from maskdet.starter import sample_of, sample_workspace
from maskdet.workspace import Workspace, read_table


def no_drawing(*_: object, **__: object) -> NoReturn:
    raise AssertionError("the sample was drawn again")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace whose sample was drawn, whole."""
    workspace = Workspace(tmp_path_factory.mktemp("starter") / "home")
    sample_workspace(workspace)
    return workspace


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw fewer faces than usual."""

    def few(root: Path, progress: object) -> None:
        write_sample(root, SampleOptions(faces_per_class=10, group_photos=2))

    monkeypatch.setattr(starter, "write_sample", few)


def test_the_first_call_draws_scans_filters_and_splits(home: Workspace) -> None:
    sample = sample_of(home)
    assert sample.home == home.path("sample")
    faces = load_faces(sample)
    assert set(faces.table["dataset"]) == {"sample-simulated", "sample-web", "sample-group"}
    assert set(faces.table["label"]) >= {"with_mask", "without_mask"}
    assert len(faces.rejects) > 0  # the truncated photo
    filtered = read_table(sample.path("filtered.parquet"))
    assert len(filtered) == len(faces.table)
    split = read_table(sample.path("split.parquet"))
    assert set(split["face_id"]) <= set(faces.table["face_id"])
    assert sample.path("filter.json").is_file()
    assert sample.path("split.json").is_file()


def test_the_users_own_workspace_stays_empty(home: Workspace) -> None:
    assert not has_faces(home)
    assert [path.name for path in home.home.iterdir()] == ["sample"]


def test_every_dataset_is_synthetic(home: Workspace) -> None:
    catalog = load_catalog()
    assert all(catalog[dataset].synthetic for dataset in load_faces(sample_of(home)).roots)


def test_the_second_call_draws_nothing(home: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    for step in ("write_sample", "scan", "split_faces"):
        monkeypatch.setattr(starter, step, no_drawing)
    before = sample_of(home).path("split.json").stat().st_mtime_ns
    assert sample_workspace(home) == sample_of(home)
    assert sample_of(home).path("split.json").stat().st_mtime_ns == before


@pytest.mark.usefixtures("small")
def test_a_cut_call_goes_on_where_it_was(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(done: int, total: int, text: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sample_workspace(workspace, cut)
    assert sample_of(workspace).path("photos").is_dir()
    assert not sample_of(workspace).path("split.json").exists()
    monkeypatch.setattr(starter, "write_sample", no_drawing)
    assert sample_workspace(workspace).path("split.json").is_file()


def test_asking_for_the_place_makes_nothing(workspace: Workspace) -> None:
    assert sample_of(workspace).home == workspace.home / "sample"
    assert not workspace.home.exists()


def test_a_home_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WorkspaceError, match="cannot be written"):
        sample_workspace(Workspace(tmp_path / "file"))


def test_a_full_disk_is_a_workspace_error(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> NoReturn:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(starter, "write_sample", full)
    with pytest.raises(WorkspaceError, match="No space left on device"):
        sample_workspace(workspace)


def test_two_first_visitors_at_once_do_not_wait_for_ever(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starter, "_SECONDS_TO_WAIT", 0)
    sample = sample_of(workspace)
    sample.ensure_writable()
    with starter.FileLock(sample.path(".drawing")), pytest.raises(WorkspaceError, match="Somebody else"):
        sample_workspace(workspace)
