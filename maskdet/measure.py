"""Measure faces: the one step that touches pixels of the photos, once for each photo.

A dataset's photos are dealt into shards by a hash of their path. A shard is measured as a whole and written as two
files, named by a digest of everything that went in (paths, sizes, times, boxes): ``KEY.npy`` with the normalised faces
and ``KEY.json`` with a row a face or reject. An unchanged shard is therefore found again instead of measured, and a
scan that was cut goes on with the shards that are missing.

Worker processes import this module and nothing slow, pandas least of all.
"""

import hashlib
import json
import math
import zlib
from array import array
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal, get_args

import imagehash
import numpy as np
import numpy.typing as npt
from numpy.lib.format import header_data_from_array_1_0, write_array_header_1_0
from PIL import Image

from maskdet.errors import PhotoError, WorkspaceError
from maskdet.photos import FACE_SIZE, Box, RgbImage, clip_box, read_photo, resize_face
from maskdet.readers import AnnotatedFace
from maskdet.workspace import read_json, replacing, unreadable

#: Raised whenever a measurement changes its meaning, so that shards of an older version are measured again.
VERSION: Final = 3
_PHOTOS_A_SHARD: Final = 200
_MOST_SHARDS: Final = 256
_LEVELS: Final = np.arange(256.0)

HashKind = Literal["phash", "dhash", "ahash", "whash"]
#: The hashes of every face, by the names of their columns and of imagehash.
HASH_KINDS: Final[tuple[HashKind, ...]] = get_args(HashKind)
#: What a row about a face holds.
_ENTRIES: Final = frozenset({
    "dataset", "photo", "shard", "shard_row", "face_id", "label", "publisher_split", "whole_photo", "photo_width",
    "photo_height", "bytes", "format", "jpeg_quantisation", "left", "top", "right", "bottom", "width", "height",
    "aspect_ratio", "sqrt_size", "mean_red", "mean_green", "mean_blue", "brightness", "contrast", "sharpness",
    "pixels_digest", *HASH_KINDS,
})  # fmt: skip
#: Side of the grey reduction that all hashes read; imagehash.phash's own.
_HASH_SIDE: Final = 32


@dataclass(frozen=True)
class Shard:
    """Photos of one dataset that are measured together.

    Attributes
    ----------
    key : str
        Digest of the measurement's input: same key, same result.
    bytes : int
        Size of its photos, which tells roughly what measuring them costs.
    faces : tuple
        For each photo, the faces annotated in it.
    """

    dataset: str
    root: Path
    key: str
    bytes: int
    faces: tuple[tuple[str, tuple[AnnotatedFace, ...]], ...]


def deal_shards(dataset: str, root: Path, faces: Iterable[AnnotatedFace]) -> list[Shard]:
    """Deal a dataset's faces into shards of about 200 photos; a photo's shard depends on its path alone."""
    by_photo: dict[str, list[AnnotatedFace]] = defaultdict(list)
    for face in faces:
        by_photo[face.photo].append(face)
    # A power of two, so that a dataset that grows a little keeps its shards.
    buckets = min(_MOST_SHARDS, 1 << max(0, (len(by_photo) // _PHOTOS_A_SHARD).bit_length()))
    dealt: dict[int, list[str]] = defaultdict(list)
    for photo in sorted(by_photo):
        dealt[zlib.crc32(photo.encode()) % buckets].append(photo)
    return [
        Shard(dataset, root, *_key(dataset, root, photos, by_photo), tuple((p, tuple(by_photo[p])) for p in photos))
        for _, photos in sorted(dealt.items())
    ]


def measure_shard(shard: Shard, folder: Path) -> int:
    """Measure a shard into ``folder/KEY.npy`` and ``folder/KEY.json``, unless they are there already.

    The JSON file is written last: where it stands, the shard is whole. Returns its number of photos.
    """
    if is_measured(shard.key, folder):
        return len(shard.faces)
    rows: list[dict[str, Any]] = []
    count = 0
    with replacing(folder / f"{shard.key}.npy") as temporary, temporary.open("wb") as file:
        _write_header(file, 0)
        for photo, faces in shard.faces:
            for row, face in measure_photo(shard.root / photo, faces):
                if face is not None:
                    row["shard_row"] = count
                    row["face_id"] = f"{shard.dataset}/{photo}{_box_suffix(row)}"
                    file.write(face.data)  # at once: photos of crowds would fill the memory
                    count += 1
                rows.append({"dataset": shard.dataset, "photo": photo, "shard": shard.key, **row})
        file.seek(0)
        _write_header(file, count)
    with replacing(folder / f"{shard.key}.json") as temporary:
        temporary.write_text(json.dumps(rows), encoding="utf-8")
    return len(shard.faces)


def is_measured(key: str, folder: Path) -> bool:
    """True where both files of a shard stand whole in a folder; bits that flipped in pixels are not seen."""
    try:
        rows, pixels = read_rows(key, folder), open_pixels(folder / f"{key}.npy")
    except WorkspaceError:  # measuring it again is what mends it
        return False
    return sum("face_id" in row for row in rows) == len(pixels)


def read_rows(key: str, folder: Path) -> list[dict[str, Any]]:
    """The rows of a measured shard, a face or reject each. Raises WorkspaceError if its file is damaged."""
    path = folder / f"{key}.json"
    rows: list[dict[str, Any]] = read_json(path)
    if not isinstance(rows, list) or not all(isinstance(row, dict) and _is_row(row) for row in rows):
        raise unreadable(path, "it holds no measured faces")
    return rows


def _is_row(row: dict[str, Any]) -> bool:
    """True for a row with all that is measured of a face, or with the reason why it cannot be used."""
    return row.keys() >= {"dataset", "photo", "shard", "reason"} or row.keys() >= _ENTRIES


def open_pixels(path: Path) -> "np.memmap[Any, np.dtype[np.uint8]]":
    """The normalised faces of a shard, uint8 of shape (n, 150, 150, 3), without reading them.

    Raises WorkspaceError if the file is missing, cut short, or of another kind.
    """
    try:
        pixels = np.load(path, mmap_mode="r")
    except Exception as error:  # whatever NumPy raises for the head of a file
        raise unreadable(path, error) from error
    if not isinstance(pixels, np.memmap) or pixels.dtype != np.uint8 or pixels.shape[1:] != (FACE_SIZE, FACE_SIZE, 3):
        raise unreadable(path, "it holds no faces")
    return pixels


def measure_photo(path: Path, faces: Sequence[AnnotatedFace]) -> list[tuple[dict[str, Any], RgbImage | None]]:
    """Measure the annotated faces of one photo.

    Returns
    -------
    list of (dict, array or None)
        For each face its measurements and its normalised pixels; for one that cannot be used the reason, as
        ``{"reason": ...}``, and None. Measured are the face (see `measure_face`) and the photo: its size in pixels and
        bytes, its format and ``jpeg_quantisation`` (see `maskdet.photos.Photo`; NaN for other formats).
    """
    try:
        photo = read_photo(path)
    except PhotoError as error:
        return [({"reason": str(error)}, None)]
    results: list[tuple[dict[str, Any], RgbImage | None]] = []
    seen: set[Box] = set()
    for face in faces:
        whole = (0.0, 0.0, float(photo.width), float(photo.height))
        try:
            box = clip_box(face.box or whole, photo.width, photo.height)
        except PhotoError as error:
            results.append(({"reason": str(error)}, None))
            continue
        if box in seen:
            results.append(({"reason": f"box {','.join(map(str, box))} repeats another one, once clipped"}, None))
            continue
        seen.add(box)
        crop = photo.image if face.box is None else photo.image.crop(box)
        resized = resize_face(crop)
        pixels = np.asarray(resized, dtype=np.uint8)
        row = {
            "label": face.label,
            "publisher_split": face.publisher_split,
            "whole_photo": face.box is None,
            "photo_width": photo.width,
            "photo_height": photo.height,
            "bytes": photo.bytes,
            "format": photo.format,
            "jpeg_quantisation": math.nan if photo.quantisation is None else photo.quantisation,
            **dict(zip(("left", "top", "right", "bottom"), box, strict=True)),
            **measure_face(crop, resized.convert("L"), pixels),
        }
        results.append((row, pixels))
    return results


def measure_face(crop: Image.Image, resized_grey: Image.Image, pixels: RgbImage) -> dict[str, Any]:
    """Measurements of one face crop, an RGB image; and of the face resized to 150x150, as luma and as RGB pixels.

    Returns
    -------
    dict
        ``width``, ``height`` and ``sqrt_size`` = sqrt(width * height) in pixels; ``aspect_ratio`` = height / width
        (study, 4.1); ``mean_red``, ``mean_green``, ``mean_blue`` in 0..255 (study, 4.2.1); ``brightness`` and
        ``contrast``, mean and standard deviation of the luma (ITU-R 601) in 0..255; ``sharpness`` (see
        `laplacian_variance`); the hashes (see `face_hashes`); and ``pixels_digest``, equal for faces whose size and
        normalised pixels are equal.
    """
    grey = crop.convert("L")
    count = crop.width * crop.height
    red, green, blue = (_counts(crop).reshape(3, 256) @ _LEVELS / count).tolist()
    luma = _counts(grey) / count
    brightness = float(luma @ _LEVELS)
    return {
        "width": crop.width,
        "height": crop.height,
        "aspect_ratio": crop.height / crop.width,
        "sqrt_size": float(np.sqrt(count)),
        "mean_red": red,
        "mean_green": green,
        "mean_blue": blue,
        "brightness": brightness,
        "contrast": float(np.sqrt(float(luma @ (_LEVELS - brightness) ** 2))),
        "sharpness": laplacian_variance(resized_grey),
        **face_hashes(grey),
        "pixels_digest": pixels_digest(pixels, *crop.size),
    }


def pixels_digest(pixels: RgbImage, width: int, height: int) -> str:
    """Digest of a face's normalised pixels, uint8 of shape (150, 150, 3), and its size: 32 hexadecimal digits."""
    digest = hashlib.sha256(np.ascontiguousarray(pixels).data)
    digest.update(b"%d %d" % (width, height))
    return digest.hexdigest()[:32]


def laplacian_variance(image: Image.Image) -> float:
    """Variance of the four-neighbour Laplacian of a grey image: low where it is blurred, 0 where it is flat.

    Source: Pech-Pacheco et al., Diatom autofocusing in brightfield microscopy, ICPR 2000. The scan takes it of the
    resized face, so that photos of every size are compared by what a model sees of them (our choice).
    """
    grey = np.asarray(image).astype(np.int16)
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1]
    laplacian += grey[1:-1, :-2]
    laplacian += grey[1:-1, 2:]
    laplacian -= 4 * grey[1:-1, 1:-1]
    values = laplacian.ravel().astype(np.float32)
    mean = float(values.sum(dtype=np.float64)) / values.size
    return max(0.0, float(values @ values) / values.size - mean * mean)


def face_hashes(grey: Image.Image) -> dict[str, str]:
    """Four 64-bit hashes of a grey image, each as 16 hexadecimal digits.

    ``phash`` is the DCT hash (the study follows Li et al., 2016), equal to ``imagehash.phash`` of the image. ``dhash``
    (differences of neighbours), ``ahash`` (above the mean) and ``whash`` (low band of the Haar wavelet, above its
    median) are imagehash's too, but read the 32x32 reduction that the DCT hash makes anyway instead of the full image.
    That saves a third of a scan, and moves them by less than half a bit on average.
    """
    small = grey.resize((_HASH_SIDE, _HASH_SIDE), Image.Resampling.LANCZOS)
    # The low band of a Haar wavelet is the mean of its blocks, up to a factor; imagehash takes the long way round.
    block = _HASH_SIDE // 8
    low_band = np.asarray(small, dtype=np.uint32).reshape(8, block, 8, block).sum(axis=(1, 3))
    low, high = np.sort(low_band, axis=None)[31:33].tolist()
    hashes = {
        "phash": imagehash.phash(small),
        "dhash": imagehash.dhash(small),
        "ahash": imagehash.average_hash(small),
        "whash": imagehash.ImageHash(2 * low_band > low + high),  # above the median
    }
    # The same digits as str() gives, at a tenth of its cost.
    return {kind: np.packbits(value.hash).tobytes().hex() for kind, value in hashes.items()}


def _counts(image: Image.Image) -> npt.NDArray[np.uint32]:
    """The histogram of an image, 256 levels a channel. An array of the standard library is a quick way to NumPy."""
    return np.frombuffer(array("I", image.histogram()), dtype=np.uint32)


def _write_header(file: BinaryIO, count: int) -> None:
    """The header of a .npy file of faces. NumPy leaves room in it, so its length does not depend on their number."""
    header = header_data_from_array_1_0(np.empty((0, FACE_SIZE, FACE_SIZE, 3), np.uint8))
    write_array_header_1_0(file, header | {"shape": (count, FACE_SIZE, FACE_SIZE, 3)})


def _box_suffix(row: dict[str, Any]) -> str:
    return "" if row["whole_photo"] else "@{left},{top},{right},{bottom}".format_map(row)


def _key(dataset: str, root: Path, photos: Sequence[str], faces: dict[str, list[AnnotatedFace]]) -> tuple[str, int]:
    """Digest of everything that goes into a shard, and the size of its photos."""
    digest, size = hashlib.sha256(f"{VERSION} {FACE_SIZE} {dataset}".encode()), 0
    for photo in photos:
        try:
            status = (root / photo).stat()
            stamp = f"{status.st_size} {status.st_mtime_ns}"
            size += status.st_size
        except OSError:  # gone since the folder was listed: measuring it will say so
            stamp = "missing"
        digest.update(f"\n{photo!r} {stamp} {faces[photo]!r}".encode())
    return digest.hexdigest()[:32], size
