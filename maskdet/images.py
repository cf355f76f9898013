"""The normalised faces: 150x150 RGB, decoded once by the scan and read back from its shards."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from maskdet.errors import WorkspaceError, reason_of
from maskdet.facetable import Faces
from maskdet.measure import open_pixels
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
    """Faces of a workspace, read from its shards as they are asked for.

    No shard stays open: 40,000 faces lie in hundreds of them, and a process may open 256 files on some systems.

    Raises
    ------
    WorkspaceError
        On construction or when faces are taken, if a shard is missing or damaged.
    """

    def __init__(self, folder: Path, shards: npt.NDArray[np.object_], rows: npt.NDArray[np.int64]) -> None:
        names, self._shard = np.unique(shards.astype(str), return_inverse=True)
        self._folder, self._rows = folder, rows
        self._paths = [folder / f"{name}.npy" for name in names]
        try:
            self._begin = [open_pixels(path).offset for path in self._paths]  # of the first face, in bytes
        except WorkspaceError as error:
            raise self._incomplete(error) from error

    def __len__(self) -> int:
        return len(self._rows)

    def take(self, positions: npt.ArrayLike) -> RgbImage:
        """Faces at these positions."""
        wanted = np.asarray(positions, dtype=np.int64)
        images = np.empty((len(wanted), FACE_SIZE, FACE_SIZE, 3), dtype=np.uint8)
        for shard in np.unique(self._shard[wanted]):
            try:
                with self._paths[shard].open("rb", buffering=0) as file:
                    for at in np.flatnonzero(self._shard[wanted] == shard):
                        file.seek(self._begin[shard] + int(self._rows[wanted[at]]) * images[at].nbytes)
                        if file.readinto(images[at]) < images[at].nbytes:
                            raise EOFError(f"{self._paths[shard].name} is cut short")
            except (OSError, EOFError) as error:
                raise self._incomplete(error) from error
        return images

    def _incomplete(self, error: Exception) -> WorkspaceError:
        return WorkspaceError(
            f"The measured faces in {self._folder} are incomplete ({reason_of(error)}): run "
            "`python -m maskdet scan DIR` again."
        )


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
    """Positions 0..count-1 in order, arrays of shape (up to ``size``,)."""
    for begin in range(0, count, size):
        yield np.arange(begin, min(begin + size, count))
