"""Normalised faces by position: from memory, and from the shards of a scanned workspace."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import write_class_folders

from maskdet.errors import WorkspaceError
from maskdet.facetable import Faces, scan
from maskdet.images import ArrayImages, batches, stored_images
from maskdet.photos import normalise, read_photo
from maskdet.workspace import Workspace


def numbered(count: int) -> np.ndarray:
    """Faces whose every pixel is their number."""
    return np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None, None], (count, 150, 150, 3)).copy()


def test_array_images_by_position() -> None:
    images = ArrayImages(numbered(5))
    assert len(images) == 5
    assert images.take([3, 0, 3])[:, 0, 0, 0].tolist() == [3, 0, 3]
    assert images.take([]).shape == (0, 150, 150, 3)


def test_taken_faces_are_copies() -> None:
    stock = numbered(2)
    ArrayImages(stock).take([0, 1])[:] = 99
    assert stock.max() == 1


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((2, 150, 150, 3), np.float32),
        np.zeros((2, 149, 150, 3), np.uint8),
        np.zeros((2, 150, 150), np.uint8),
        np.zeros((2, 150, 150, 4), np.uint8),
    ],
)
def test_array_images_are_checked(images: np.ndarray) -> None:
    with pytest.raises(ValueError, match="images must be uint8 of shape \\(n, 150, 150, 3\\), not"):
        ArrayImages(images)


@pytest.fixture
def two_datasets(workspace: Workspace, tmp_path: Path) -> Faces:
    """14 photos in two datasets, so in two shards at least."""
    root = tmp_path / "datasets"
    write_class_folders(root / "one", {"with_mask": 5, "without_mask": 4}, seed=0)
    write_class_folders(root / "two", {"with_mask": 3, "without_mask": 2}, seed=50)
    return scan(workspace, root, jobs=1)


def test_stored_images_are_the_normalised_photos_in_the_order_asked_for(
    workspace: Workspace, two_datasets: Faces
) -> None:
    mixed = two_datasets.table.sample(frac=1, random_state=1)
    assert mixed["shard"].nunique() >= 2
    images = stored_images(workspace, two_datasets, mixed["face_id"])
    expected = np.stack(
        [normalise(read_photo(two_datasets.roots[r.dataset] / r.photo).image) for r in mixed.itertuples()]
    )
    assert len(images) == 14
    np.testing.assert_array_equal(images.take(np.arange(14)), expected)
    np.testing.assert_array_equal(images.take([13, 2, 2, 7]), expected[[13, 2, 2, 7]])
    assert images.take([]).shape == (0, 150, 150, 3)


def test_some_stored_images(workspace: Workspace, two_datasets: Faces) -> None:
    ids = two_datasets.table["face_id"]
    some = stored_images(workspace, two_datasets, ids.iloc[[12, 3]])
    whole = stored_images(workspace, two_datasets, ids)
    np.testing.assert_array_equal(some.take([0, 1]), whole.take([12, 3]))


def test_no_stored_images(workspace: Workspace, two_datasets: Faces) -> None:
    assert len(stored_images(workspace, two_datasets, pd.Series([], dtype="str"))) == 0


def test_unknown_face(workspace: Workspace, two_datasets: Faces) -> None:
    with pytest.raises(WorkspaceError, match=r"Face one/gone.jpg is not in this workspace"):
        stored_images(workspace, two_datasets, pd.Series([two_datasets.table["face_id"][0], "one/gone.jpg"]))


@pytest.mark.parametrize("damage", ["missing", "cut", "garbled"])
def test_damaged_shard(workspace: Workspace, two_datasets: Faces, damage: str) -> None:
    path = next(workspace.path("shards").glob("*.npy"))
    content = path.read_bytes()
    path.unlink()
    if damage != "missing":
        path.write_bytes(content[: len(content) // 2] if damage == "cut" else b"no array at all")
    with pytest.raises(
        WorkspaceError, match=r"measured faces in .* are incomplete .*: run `python -m maskdet scan DIR`"
    ):
        stored_images(workspace, two_datasets, two_datasets.table["face_id"])


def test_no_shard_stays_open(workspace: Workspace, two_datasets: Faces) -> None:
    """40,000 faces lie in hundreds of shards, and a process may open 256 files on some systems."""
    open_files = Path("/proc/self/fd")
    if not open_files.is_dir():
        pytest.skip("no /proc here")
    before = len(list(open_files.iterdir()))
    images = stored_images(workspace, two_datasets, two_datasets.table["face_id"])
    images.take([0, 13])
    assert len(list(open_files.iterdir())) == before


def test_a_shard_that_goes_while_it_is_in_use(workspace: Workspace, two_datasets: Faces) -> None:
    images = stored_images(workspace, two_datasets, two_datasets.table["face_id"])
    for path in workspace.path("shards").glob("*.npy"):
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(WorkspaceError, match=r"incomplete .*: run `python -m maskdet scan DIR`"):
        images.take(range(14))
    for path in workspace.path("shards").glob("*.npy"):
        path.unlink()
    with pytest.raises(WorkspaceError, match=r"incomplete .*: run `python -m maskdet scan DIR`"):
        images.take([0])


def test_shards_that_a_scan_writes_anew_while_they_are_in_use(workspace: Workspace, two_datasets: Faces) -> None:
    images = stored_images(workspace, two_datasets, two_datasets.table["face_id"])
    before = images.take(range(14))
    for path in workspace.path("shards").glob("*.npy"):
        anew = path.with_suffix(".anew")
        anew.write_bytes(path.read_bytes())
        anew.replace(path)
    np.testing.assert_array_equal(images.take(range(14)), before)


def test_batches() -> None:
    assert [b.tolist() for b in batches(7, 3)] == [[0, 1, 2], [3, 4, 5], [6]]
    assert [b.tolist() for b in batches(6, 3)] == [[0, 1, 2], [3, 4, 5]]
    assert list(batches(0, 3)) == []
