"""Measuring: values by hand on drawn crops, what cannot be used, and that a measured shard is found again."""

import os
from io import BytesIO
from pathlib import Path
from typing import Any

import imagehash
import numpy as np
import pandas as pd
import pytest
from conftest import blotches, write_photo
from PIL import Image, ImageFilter

from maskdet import measure
from maskdet.errors import WorkspaceError
from maskdet.measure import (
    HASH_KINDS,
    HashKind,
    deal_shards,
    face_hashes,
    is_measured,
    laplacian_variance,
    measure_face,
    measure_photo,
    measure_shard,
    read_rows,
)
from maskdet.photos import FACE_SIZE, normalise, resize_face
from maskdet.readers import AnnotatedFace


def half_and_half() -> Image.Image:
    """9 px wide and 16 high: black above, (200, 100, 50) below."""
    crop = Image.new("RGB", (9, 16))
    crop.paste((200, 100, 50), (0, 8, 9, 16))
    return crop


def measured(crop: Image.Image) -> dict[str, Any]:
    return measure_face(crop, resize_face(crop).convert("L"), normalise(crop))


def reasons(path: Path, *boxes: tuple[float, float, float, float]) -> list[str | None]:
    results = measure_photo(path, [AnnotatedFace(path.name, "with_mask", box) for box in boxes])
    assert all((face is None) == ("reason" in row) for row, face in results)
    return [row.get("reason") for row, _ in results]


def test_a_face_by_hand() -> None:
    crop = half_and_half()
    row = measured(crop)
    assert (row["width"], row["height"]) == (9, 16)
    assert row["aspect_ratio"] == 16 / 9
    assert row["sqrt_size"] == 12
    assert (row["mean_red"], row["mean_green"], row["mean_blue"]) == (100, 50, 25)
    # Luma of (200, 100, 50): 0.299 * 200 + 0.587 * 100 + 0.114 * 50 = 124.2, which Pillow rounds to 124.
    assert (row["brightness"], row["contrast"]) == (62, 62)
    assert row["phash"] == str(imagehash.phash(crop))


def test_the_laplacian_of_one_bright_pixel_by_hand() -> None:
    image = Image.new("L", (5, 5))
    assert laplacian_variance(image) == 0
    image.putpixel((2, 2), 10)
    # Inside the border: -40 at the pixel, 10 at its four neighbours, 0 in the corners; mean 0.
    assert laplacian_variance(image) == pytest.approx((40**2 + 4 * 10**2) / 9)


def test_blur_lowers_the_sharpness() -> None:
    face = np.asarray(blotches(3, (150, 150)).convert("L"))
    noisy = Image.fromarray(face ^ np.random.default_rng(0).integers(0, 32, (150, 150), dtype=np.uint8))
    blurred = noisy.filter(ImageFilter.GaussianBlur(3))
    assert laplacian_variance(blurred) < laplacian_variance(noisy) / 10


@pytest.mark.parametrize("kind", HASH_KINDS)
def test_a_hash_has_16_digits_and_tells_pictures_apart(kind: HashKind) -> None:
    hashes = [face_hashes(blotches(seed).convert("L"))[kind] for seed in (1, 1, 2)]
    assert hashes[0] == hashes[1] != hashes[2]
    assert all(len(value) == 16 and int(value, 16) >= 0 for value in hashes)


def test_hashes_are_those_of_imagehash() -> None:
    for seed in range(20):
        grey = blotches(seed, (90, 120)).convert("L")
        small = grey.resize((32, 32), Image.Resampling.LANCZOS)
        hashes = face_hashes(grey)
        assert hashes["phash"] == str(imagehash.phash(grey))
        assert hashes["dhash"] == str(imagehash.dhash(small))
        assert hashes["ahash"] == str(imagehash.average_hash(small))
        assert hashes["whash"] == str(imagehash.whash(small))
        for kind, full in (("dhash", imagehash.dhash(grey)), ("ahash", imagehash.average_hash(grey))):
            assert imagehash.hex_to_hash(hashes[kind]) - full <= 3


def test_a_jpeg_photos_quantisation_is_in_every_row(tmp_path: Path) -> None:
    write_photo(tmp_path / "a.jpg", (40, 30), quality=50)
    boxes = [(0, 0, 10, 10), (20, 10, 30, 25)]
    found = measure_photo(tmp_path / "a.jpg", [AnnotatedFace("a.jpg", "with_mask", box) for box in boxes])
    assert [row["jpeg_quantisation"] for row, _ in found] == [57.625, 57.625]


def test_the_digest_is_of_pixels_and_size() -> None:
    def digest(image: Image.Image) -> str:
        return str(measured(image)["pixels_digest"])

    face = blotches(1)
    assert digest(face) == digest(face.copy())
    assert digest(face) != digest(blotches(2))
    flat = [digest(Image.new("RGB", size, "red")) for size in ((10, 10), (20, 20))]
    assert flat[0] != flat[1]


def test_a_box_is_cut_out_of_the_photo(tmp_path: Path) -> None:
    photo = Image.new("RGB", (40, 30), "white")
    photo.paste(half_and_half(), (5, 6))
    photo.save(tmp_path / "a.png")
    [(row, face)] = measure_photo(tmp_path / "a.png", [AnnotatedFace("a.png", "without_mask", (5, 6, 14, 22), "test")])
    assert (row["mean_red"], row["mean_green"], row["mean_blue"]) == (100, 50, 25)
    assert (row["photo_width"], row["photo_height"], row["format"]) == (40, 30, "PNG")
    assert row["bytes"] == (tmp_path / "a.png").stat().st_size
    assert (row["label"], row["publisher_split"], row["whole_photo"]) == ("without_mask", "test", False)
    assert np.isnan(row["jpeg_quantisation"])
    assert face is not None
    assert (face.shape, face.dtype) == ((FACE_SIZE, FACE_SIZE, 3), np.uint8)
    assert face[10, 75].tolist() == [0, 0, 0]
    assert face[140, 75].tolist() == [200, 100, 50]


def test_without_a_box_the_whole_photo_counts(tmp_path: Path) -> None:
    path = write_photo(tmp_path / "a.png", (20, 10), (10, 20, 30))
    [(row, _)] = measure_photo(path, [AnnotatedFace("a.png", "with_mask")])
    assert row["whole_photo"]
    assert [row[key] for key in ("left", "top", "right", "bottom")] == [0, 0, 20, 10]
    assert [row[key] for key in ("mean_red", "mean_green", "mean_blue")] == [10, 20, 30]


def test_a_box_over_the_edge_is_clipped(tmp_path: Path) -> None:
    path = write_photo(tmp_path / "a.png", (40, 30))
    [(row, _)] = measure_photo(path, [AnnotatedFace("a.png", "with_mask", (-5, 10, 20, 99))])
    assert [row[key] for key in ("left", "top", "right", "bottom", "width", "height")] == [0, 10, 20, 30, 20, 20]
    assert row["aspect_ratio"] == 1


def test_boxes_that_cannot_be_used_spare_the_others(tmp_path: Path) -> None:
    path = write_photo(tmp_path / "a.png", (40, 30))
    good, outside, flat, again = reasons(path, (20, 5, 40, 30), (50, 5, 60, 20), (5, 5, 5, 20), (20, 5, 70, 80))
    assert good is None
    assert outside == "box 50,5,60,20 lies outside the photo (40x30 px)"
    assert flat == "box 5,5,5,20 has no area"
    assert again == "box 20,5,40,30 repeats another one, once clipped"


@pytest.mark.parametrize(("data", "reason"), [(b"", "the file is empty"), (b"no image", "not an image file")])
def test_a_broken_photo_becomes_one_reject(tmp_path: Path, data: bytes, reason: str) -> None:
    (tmp_path / "a.jpg").write_bytes(data)
    assert measure_photo(tmp_path / "a.jpg", [AnnotatedFace("a.jpg", "with_mask", (0, 0, 5, 5))] * 2) == [
        ({"reason": reason}, None)
    ]


def test_a_shard_holds_faces_rejects_and_pixels(tmp_path: Path) -> None:
    write_photo(tmp_path / "a.png", colour=(1, 2, 3))
    write_photo(tmp_path / "c.png", colour=(4, 5, 6))
    (tmp_path / "b.png").write_bytes(b"broken")
    faces = [AnnotatedFace(name, "with_mask") for name in ("a.png", "b.png", "gone.png")]
    [shard] = deal_shards("d", tmp_path, [*faces, AnnotatedFace("c.png", "with_mask", (1, 2, 11, 22))])
    assert not is_measured(shard.key, tmp_path / "out")
    measure_shard(shard, tmp_path / "out")
    assert is_measured(shard.key, tmp_path / "out")
    table = pd.DataFrame(read_rows(shard.key, tmp_path / "out"))
    pixels = np.load(tmp_path / "out" / f"{shard.key}.npy")
    assert table["photo"].tolist() == ["a.png", "b.png", "c.png", "gone.png"]
    assert table["reason"].dropna().tolist() == ["not an image file", "no such file"]
    assert table["face_id"].dropna().tolist() == ["d/a.png", "d/c.png@1,2,11,22"]
    assert table["shard_row"].dropna().tolist() == [0, 1]
    assert set(table["shard"]) == {shard.key}
    assert pixels.shape == (2, FACE_SIZE, FACE_SIZE, 3)
    assert pixels[:, 75, 75].tolist() == [[1, 2, 3], [4, 5, 6]]


def test_a_shard_of_rejects_alone_is_measured_too(tmp_path: Path) -> None:
    [shard] = deal_shards("d", tmp_path, [AnnotatedFace("gone.png", "with_mask")])
    measure_shard(shard, tmp_path / "out")
    assert np.load(tmp_path / "out" / f"{shard.key}.npy").shape == (0, FACE_SIZE, FACE_SIZE, 3)
    assert [row["reason"] for row in read_rows(shard.key, tmp_path / "out")] == ["no such file"]


def test_a_damaged_shard_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    folder.mkdir()
    (folder / "k.json").write_text("[{")
    with pytest.raises(WorkspaceError, match=r"k\.json cannot be read .*scan DIR. makes it again"):
        read_rows("k", folder)


def test_a_measured_shard_is_not_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_photo(tmp_path / "a.png")
    [shard] = deal_shards("d", tmp_path, [AnnotatedFace("a.png", "with_mask")])
    measure_shard(shard, tmp_path / "out")
    read: list[Path] = []
    monkeypatch.setattr(measure, "measure_photo", lambda path, faces: read.append(path) or [({"reason": "x"}, None)])
    measure_shard(shard, tmp_path / "out")
    assert read == []
    (tmp_path / "out" / f"{shard.key}.npy").unlink()  # half a shard is none
    measure_shard(shard, tmp_path / "out")
    assert read == [tmp_path / "a.png"]


def test_a_key_changes_with_what_went_in(tmp_path: Path) -> None:
    path = write_photo(tmp_path / "a.png")

    def key(dataset: str = "d", box: tuple[float, float, float, float] | None = None) -> str:
        return deal_shards(dataset, tmp_path, [AnnotatedFace("a.png", "with_mask", box)])[0].key

    first = key()
    assert key() == first
    keys = {first, key("other"), key(box=(0, 0, 5, 5))}
    os.utime(path, ns=(1, 1))
    keys.add(key())
    path.write_bytes(path.read_bytes() + b"more")
    os.utime(path, ns=(1, 1))
    keys.add(key())
    path.unlink()
    keys.add(key())
    assert len(keys) == 6


def test_photos_are_dealt_by_their_path_and_none_is_lost(tmp_path: Path) -> None:
    faces = [AnnotatedFace(f"{number}.png", "with_mask", (0, 0, side, 9)) for number in range(450) for side in (5, 6)]
    shards = deal_shards("d", tmp_path, faces)
    assert len(shards) == 4
    dealt = [photo for shard in shards for photo, _ in shard.faces]
    assert len(dealt) == len(set(dealt)) == 450
    assert all(len(own) == 2 for shard in shards for _, own in shard.faces)
    assert [shard.key for shard in deal_shards("d", tmp_path, faces)] == [shard.key for shard in shards]
    assert deal_shards("d", tmp_path, []) == []


@pytest.mark.parametrize("count", [1, 9, 10, 12_345_678])
def test_the_header_of_a_shard_is_as_long_for_any_number_of_faces(count: int) -> None:
    empty, full = BytesIO(), BytesIO()
    measure._write_header(empty, 0)
    measure._write_header(full, count)
    assert len(full.getvalue()) == len(empty.getvalue())
