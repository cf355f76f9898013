"""What can be said of a face without looking at it as a picture: how large it is, how its file is written, how light.

Two stages. ``photo`` is what the scan measured of the face as its dataset ships it. ``normalised`` is what is left of
that once the face is 150x150 pixels, which is all that a model sees: colour and light stay as they are, and size, shape
and compression leave traces in the pixels, such as the detail that a small face lacks when it is enlarged.
"""

import math
from collections.abc import Iterable
from io import BytesIO
from os import cpu_count
from pathlib import Path
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image

from maskdet.errors import WorkspaceError
from maskdet.facetable import Faces
from maskdet.measure import laplacian_variance, open_pixels
from maskdet.photos import FACE_SIZE, RgbImage
from maskdet.progress import Progress, silent
from maskdet.split import Split
from maskdet.workspace import Workspace, read_table, remove, write_table

Stage = Literal["photo", "normalised"]
STAGES: Final[tuple[Stage, ...]] = ("photo", "normalised")
#: Families of measurements, with what they are called in a sentence.
FAMILIES: Final = {
    "size": "size", "shape": "aspect ratio", "encoding": "encoding", "colour": "mean colour", "light": "light",
    "sharpness": "sharpness",
}  # fmt: skip
#: The features of each stage with their families. Bytes have none: they grow with the size, and with what is seen.
FEATURES: Final[dict[Stage, dict[str, str]]] = {
    "photo": {
        "width": "size", "height": "size", "sqrt_size": "size", "aspect_ratio": "shape", "bytes": "",
        "bytes_per_pixel": "encoding", "format": "encoding", "jpeg_quantisation": "encoding",
        "mean_red": "colour", "mean_green": "colour", "mean_blue": "colour",
        "brightness": "light", "contrast": "light", "sharpness": "sharpness",
    },
    "normalised": {
        "normalised_detail": "size", "normalised_high_frequencies": "size", "normalised_stretch": "shape",
        "normalised_jpeg_bytes_per_pixel": "encoding", "normalised_blockiness": "encoding",
        "normalised_mean_red": "colour", "normalised_mean_green": "colour", "normalised_mean_blue": "colour",
        "normalised_brightness": "light", "normalised_contrast": "light", "normalised_sharpness": "sharpness",
    },
}  # fmt: skip
#: Where measured shards are kept in the workspace; the number is raised whenever a measurement changes its meaning.
FOLDER: Final = "measurements"
_VERSION: Final = "1"
#: Starting processes takes longer than measuring fewer faces.
_FEW: Final = 1000
_JPEG_QUALITY: Final = 75
_BLOCK: Final = 8
#: Cycles a pixel; half of what pixels can show.
_HIGH: Final = 0.25
_MOST_OF_IT: Final = 0.99
#: Keeps logarithms finite where a face is flat; below the rounding of 8-bit pixels.
_TINY: Final = 1e-9


def measure_data(workspace: Workspace, faces: Faces, split: Split, progress: Progress = silent) -> pd.DataFrame:
    """Both stages' features of every face of a split.

    What is measured of the pixels stays in ``measurements/`` of the workspace, a file a shard, and is not measured
    again.

    Returns
    -------
    DataFrame
        In the order of the split's table: face_id, the columns of `photo_features` and those of `pixel_features`.

    Raises
    ------
    WorkspaceError
        If the pixels of the faces are gone, or nothing can be written.
    """
    table = faces.table.set_index("face_id").reindex(split.table["face_id"])
    if table["shard"].isna().any():
        missing = table.index[table["shard"].isna()][0]
        raise WorkspaceError(f"Face {missing} is not in this workspace: scan its dataset again.")
    pixels = _measured_shards(workspace, table["shard"], progress, keep=set(faces.table["shard"]))
    place = pd.MultiIndex.from_frame(table[["shard", "shard_row"]])
    measured = pixels.set_index(["shard", "shard_row"]).reindex(place).set_index(table.index)
    return pd.concat([photo_features(table), measured], axis=1).rename_axis("face_id").reset_index()


def photo_features(table: pd.DataFrame) -> pd.DataFrame:
    """The features of stage ``photo`` from rows of the face table, with its index.

    Returns
    -------
    DataFrame
        Those of ``FEATURES["photo"]`` that the table has. ``bytes_per_pixel`` is the file's bytes by the photo's
        pixels, with all its faces. ``jpeg_quantisation`` is left out where a JPEG photo lacks it, as in the table of an
        older version, since gaps would tell which datasets were scanned when.
    """
    found = table.assign(bytes_per_pixel=table["bytes"] / (table["photo_width"] * table["photo_height"]))
    if "jpeg_quantisation" in found and found.loc[found["format"] == "JPEG", "jpeg_quantisation"].isna().any():
        found = found.drop(columns="jpeg_quantisation")
    return found[[name for name in FEATURES["photo"] if name in found]]


def pixel_features(faces: RgbImage) -> pd.DataFrame:
    """The features of stage ``normalised`` from faces, uint8 of shape (n, 150, 150, 3).

    Returns
    -------
    DataFrame
        A row a face. ``normalised_mean_red``, green and blue, ``brightness`` and ``contrast`` (mean and standard
        deviation of the luma, ITU-R 601; 0 to 255), ``sharpness`` (see `maskdet.measure.laplacian_variance`), and what
        size, shape and compression leave behind (our choice of measures):

        - ``detail``: the frequency below which 99 % of the spectral energy of the luma lies, 0 to 0.71 cycles a pixel,
          without its mean and under a Hann window. An enlarged face has nothing above its own resolution.
        - ``high_frequencies``: log10 of the share of that energy above 0.25 cycles a pixel.
        - ``stretch``: log2 of the energy of horizontal by that of vertical differences; above 0 for a face that was
          made taller, below 0 for one that was made wider than it was.
        - ``jpeg_bytes_per_pixel``: of the face written as JPEG of quality 75.
        - ``blockiness``: mean step across the borders of blocks of 8 pixels by the mean of all other steps, less 1
          (after Wang, Sheikh & Bovik, ICIP 2002); above 0 where a JPEG's blocks were not resized away.
    """
    images = [Image.fromarray(face) for face in faces]
    greys = [image.convert("L") for image in images]
    luma = np.stack([np.asarray(grey, dtype=np.float32) for grey in greys])
    means = faces.mean(axis=(1, 2))
    steps = [np.diff(luma, axis=axis) for axis in (2, 1)]
    across, down = ((step**2).mean(axis=(1, 2)) for step in steps)
    detail, high = _spectrum(luma)
    found = {
        "detail": detail,
        "high_frequencies": high,
        "stretch": np.log2((across + _TINY) / (down + _TINY)),
        "jpeg_bytes_per_pixel": np.array([_jpeg_bytes(image) for image in images]) / FACE_SIZE**2,
        "blockiness": _blockiness(np.abs(steps[0]).mean(axis=1), np.abs(steps[1]).mean(axis=2)),
        **{f"mean_{name}": means[:, i] for i, name in enumerate(("red", "green", "blue"))},
        "brightness": luma.mean(axis=(1, 2)),
        "contrast": luma.std(axis=(1, 2)),
        "sharpness": np.array([laplacian_variance(grey) for grey in greys]),
    }
    return pd.DataFrame({f"normalised_{name}": values.astype(np.float64) for name, values in found.items()})


def _spectrum(luma: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """``detail`` and ``high_frequencies`` of faces (n, 150, 150)."""
    from scipy.fft import fftfreq, rfft2, rfftfreq

    window = np.hanning(FACE_SIZE).astype(np.float32)
    centred = luma - luma.mean(axis=(1, 2), keepdims=True)
    energy = np.abs(rfft2(centred * np.outer(window, window), workers=1)) ** 2
    energy[:, :, 1:-1] *= 2  # the half of the spectrum that rfft2 leaves out is its mirror image
    radius = np.hypot(fftfreq(FACE_SIZE)[:, None], rfftfreq(FACE_SIZE)[None, :])
    ring = np.rint(radius * FACE_SIZE).astype(np.int64).ravel()
    rings = np.stack([np.bincount(ring, each.ravel()) for each in energy])
    whole = rings.sum(axis=1)
    below = np.cumsum(rings, axis=1)
    detail = (below < _MOST_OF_IT * whole[:, None]).sum(axis=1) / FACE_SIZE
    high = rings[:, math.ceil(_HIGH * FACE_SIZE) :].sum(axis=1)
    return detail, np.log10(high / (whole + _TINY) + _TINY)


def _blockiness(across: npt.NDArray[np.float32], down: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """From the mean step at each column and row, shape (n, 149) both: step i lies between pixels i and i + 1."""
    borders = np.arange(across.shape[1]) % _BLOCK == _BLOCK - 1
    at, else_where = ((across[:, where].mean(axis=1) + down[:, where].mean(axis=1)) for where in (borders, ~borders))
    return np.asarray((at + _TINY) / (else_where + _TINY) - 1, dtype=np.float64)


def _jpeg_bytes(image: Image.Image) -> int:
    written = BytesIO()
    image.save(written, "JPEG", quality=_JPEG_QUALITY)
    return len(written.getvalue())


def _measured_shards(
    workspace: Workspace, shards: "pd.Series[str]", progress: Progress, keep: set[str]
) -> pd.DataFrame:
    """The pixel features of all faces of some shards, with shard and shard_row."""
    from joblib import Parallel, delayed

    sizes = shards.value_counts()
    source, cache = workspace.path("shards"), workspace.path(FOLDER, _VERSION)
    pending = [shard for shard in sizes.index if not _cached(cache, shard).is_file()]
    done = int(sizes.sum() - sizes[pending].sum())
    progress(done, len(shards), "measuring normalised faces")
    jobs = 1 if len(shards) - done < _FEW else (cpu_count() or 1)
    tasks = (delayed(_measure_shard)(shard, source, cache) for shard in pending)
    for shard in Parallel(n_jobs=jobs, batch_size=1, return_as="generator_unordered")(tasks):
        done += int(sizes[shard])
        progress(done, len(shards), "measuring normalised faces")
    if pending:
        _forget_all_but(cache, keep)
    return pd.concat([read_table(_cached(cache, shard)) for shard in sizes.index], ignore_index=True)


def _measure_shard(shard: str, source: Path, cache: Path) -> str:
    found = pixel_features(np.asarray(open_pixels(source / f"{shard}.npy")))
    found.insert(0, "shard", shard)
    found.insert(1, "shard_row", np.arange(len(found)))
    write_table(_cached(cache, shard), found)
    return shard


def _cached(cache: Path, shard: str) -> Path:
    return cache / f"{shard}.parquet"


def _forget_all_but(cache: Path, keep: Iterable[str]) -> None:
    kept = set(keep)
    for path in cache.glob("*.parquet"):
        if path.stem not in kept:
            remove(path)
