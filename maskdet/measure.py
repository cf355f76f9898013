"""Measure faces: the one step that touches pixels of the photos, once for each photo.

A dataset's photos are dealt into shards by a hash of their path. A shard is measured as a whole and written as two
files, named by a digest of everything that went in (paths, sizes, times, boxes): ``KEY.parquet`` with a row a face
or reject and ``KEY.npy`` with the normalised faces. An unchanged shard is therefore found again instead of measured,
and a scan that was cut goes on with the shards that are missing.
"""

import hashlib
import zlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import imagehash
import numpy as np
import pandas as pd
from PIL import Image, ImageStat

from maskdet.errors import PhotoError
from maskdet.photos import FACE_SIZE, Box, RgbImage, clip_box, normalise, read_photo
from maskdet.readers import AnnotatedFace
from maskdet.workspace import replacing, write_table

#: Raised whenever a measurement changes its meaning, so that shards of an older version are measured again.
VERSION: Final = 1
_PHOTOS_A_SHARD: Final = 200
_MOST_SHARDS: Final = 256


@dataclass(frozen=True)
class Shard:
    """Photos of one dataset that are measured together.

    Attributes
    ----------
    key : str
        Digest of the measurement's input: same key, same result.
    faces : tuple
        For each photo, the faces annotated in it.
    """

    dataset: str
    root: Path
    key: str
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
        Shard(dataset, root, _key(dataset, root, photos, by_photo), tuple((p, tuple(by_photo[p])) for p in photos))
        for _, photos in sorted(dealt.items())
    ]


def measure_shard(shard: Shard, folder: Path) -> None:
    """Measure a shard into ``folder/KEY.npy`` and ``folder/KEY.parquet``, unless they are there already.

    The Parquet file is written last: where it stands, the shard is whole.
    """
    if is_measured(shard, folder):
        return
    rows: list[dict[str, Any]] = []
    pixels: list[RgbImage] = []
    for photo, faces in shard.faces:
        for row, face in measure_photo(shard.root / photo, faces):
            if face is not None:
                row["shard_row"] = len(pixels)
                pixels.append(face)
                row["face_id"] = f"{shard.dataset}/{photo}{_box_suffix(row)}"
            rows.append({"dataset": shard.dataset, "photo": photo, "shard": shard.key, **row})
    with replacing(folder / f"{shard.key}.npy") as temporary, temporary.open("wb") as file:
        np.save(file, np.stack(pixels) if pixels else np.empty((0, FACE_SIZE, FACE_SIZE, 3), np.uint8))
    write_table(folder / f"{shard.key}.parquet", pd.DataFrame(rows))


def is_measured(shard: Shard, folder: Path) -> bool:
    """True where both files of a shard stand in a folder."""
    return (folder / f"{shard.key}.parquet").is_file() and (folder / f"{shard.key}.npy").is_file()


def measure_photo(path: Path, faces: Sequence[AnnotatedFace]) -> list[tuple[dict[str, Any], RgbImage | None]]:
    """Measure the annotated faces of one photo.

    Returns
    -------
    list of (dict, array or None)
        For each face its measurements and its normalised pixels; for one that cannot be used the reason, as
        ``{"reason": ...}``, and None.
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
        row = {
            "label": face.label,
            "publisher_split": face.publisher_split,
            "whole_photo": face.box is None,
            "photo_width": photo.width,
            "photo_height": photo.height,
            "bytes": photo.bytes,
            "format": photo.format,
            **measure_face(crop, box),
        }
        results.append((row, normalise(crop)))
    return results


def measure_face(crop: Image.Image, box: Box) -> dict[str, Any]:
    """Measurements of one face crop, an RGB image.

    Returns
    -------
    dict
        Box in pixels of the photo; ``width``, ``height`` and ``sqrt_size`` = sqrt(width * height) in pixels;
        ``aspect_ratio`` = height / width (study, 4.1); ``mean_red``, ``mean_green``, ``mean_blue`` in 0..255;
        ``phash``, the 64-bit DCT hash of imagehash as 16 hexadecimal digits (the study follows Li et al., 2016).
    """
    left, top, right, bottom = box
    red, green, blue = ImageStat.Stat(crop).mean
    return {
        "left": left,
        "top": top,
        "right": right,
        "bottom": bottom,
        "width": crop.width,
        "height": crop.height,
        "aspect_ratio": crop.height / crop.width,
        "sqrt_size": float(np.sqrt(crop.width * crop.height)),
        "mean_red": red,
        "mean_green": green,
        "mean_blue": blue,
        "phash": str(imagehash.phash(crop)),
    }


def _box_suffix(row: dict[str, Any]) -> str:
    return "" if row["whole_photo"] else "@{left},{top},{right},{bottom}".format_map(row)


def _key(dataset: str, root: Path, photos: Sequence[str], faces: dict[str, list[AnnotatedFace]]) -> str:
    digest = hashlib.sha256(f"{VERSION} {FACE_SIZE} {dataset}".encode())
    for photo in photos:
        try:
            status = (root / photo).stat()
            stamp = f"{status.st_size} {status.st_mtime_ns}"
        except OSError:  # gone since the folder was listed: measuring it will say so
            stamp = "missing"
        digest.update(f"\n{photo!r} {stamp} {faces[photo]!r}".encode())
    return digest.hexdigest()[:32]
