"""The normalised faces: 150x150 RGB, decoded once by the scan and read back from memory maps."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from maskdet.errors import WorkspaceError
from maskdet.facetable import Faces
from maskdet.photos import FACE_SIZE, RgbImage
from maskdet.workspace import Workspace


class FaceImages(Protocol):
    """Normalised faces that can be taken by position, without holding all of them in memory."""

    def __len__(self) -> int: ...

    def take(self, positions: npt.ArrayLike) -> RgbImage:
        """Faces at these positions: uint8 in 0..255, shape (n, 150, 150, 3)."""
        ...


class ArrayImages:
    """Faces that are in memory already."""

    def __init__(self, images: RgbImage) -> None:
        if images.ndim != 4 or images.shape[1:] != (FACE_SIZE, FACE_SIZE, 3) or images.dtype != np.uint8:
            expected = f"uint8 of shape (n, {FACE_SIZE}, {FACE_SIZE}, 3)"
            raise ValueError(f"images must be {expected}, not {images.dtype} of shape {images.shape}")
        self._images = images

    def __len__(self) -> int:
        return len(self._images)

    def take(self, positions: npt.ArrayLike) -> RgbImage:
        """Faces at these positions."""
        return self._images[np.asarray(positions, dtype=np.int64)]


class StoredImages:
    """Faces of a workspace, read from the memory maps of its shards as they are asked for."""

    def __init__(self, folder: Path, shards: npt.NDArray[np.object_], rows: npt.NDArray[np.int64]) -> None:
        names, self._shard = np.unique(shards.astype(str), return_inverse=True)
        self._rows = rows
        try:
            self._maps = [np.load(folder / f"{name}.npy", mmap_mode="r") for name in names]
        except (OSError, ValueError) as error:
            raise WorkspaceError(
                f"The measured faces in {folder} are incomplete ({error}): run `python -m maskdet scan DIR` again."
            ) from error

    def __len__(self) -> int:
        return len(self._rows)

    def take(self, positions: npt.ArrayLike) -> RgbImage:
        """Faces at these positions."""
        wanted = np.asarray(positions, dtype=np.int64)
        images = np.empty((len(wanted), FACE_SIZE, FACE_SIZE, 3), dtype=np.uint8)
        for shard in np.unique(self._shard[wanted]):
            at = np.flatnonzero(self._shard[wanted] == shard)
            images[at] = self._maps[shard][self._rows[wanted[at]]]
        return images


def stored_images(workspace: Workspace, faces: Faces, face_ids: "pd.Series[str]") -> StoredImages:
    """The normalised pixels of some faces, in the order of ``face_ids``.

    Raises
    ------
    WorkspaceError
        If a face is not in the table, or the scan's files are gone.
    """
    place = faces.table.set_index("face_id")[["shard", "shard_row"]].reindex(face_ids)
    if place["shard"].isna().any():
        missing = place.index[place["shard"].isna()][0]
        raise WorkspaceError(f"Face {missing} is not in this workspace: scan its dataset again.")
    return StoredImages(
        workspace.path("shards"), place["shard"].to_numpy(object), place["shard_row"].to_numpy(np.int64)
    )


def batches(count: int, size: int) -> Iterator[npt.NDArray[np.int64]]:
    """Positions 0..count-1 in order, at most ``size`` at a time."""
    for begin in range(0, count, size):
        yield np.arange(begin, min(begin + size, count))
