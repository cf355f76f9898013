"""Photos: whatever the file holds, read as a person would see it, or refused with a reason."""

import struct
import tracemalloc
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
from conftest import blotches, write_photo
from PIL import ExifTags, Image

from maskdet import photos
from maskdet.errors import PhotoError
from maskdet.photos import MAX_PIXELS, clip_box, list_photos, normalise, read_photo

RED, GREEN, WHITE = (255, 0, 0), (0, 255, 0), (255, 255, 255)


def encoded(image: Image.Image, file_format: str, **save: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, file_format, **save)
    return buffer.getvalue()


def row_of(image: Image.Image) -> list[Any]:
    return [image.getpixel((x, 0)) for x in range(image.width)]


def greys(image: Image.Image) -> list[int]:
    assert image.mode == "RGB"
    values = row_of(image)
    assert all(red == green == blue for red, green, blue in values)
    return [red for red, _, _ in values]


def png_header(width: int, height: int) -> bytes:
    """A PNG file that promises so many pixels and holds none."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    ihdr = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", ihdr) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


# Where the first stored pixel and the last one of the first stored row belong, from the EXIF standard's words:
# orientation 6, for one, says that the first row is the right side of the picture and the first column its top.
@pytest.mark.parametrize(
    ("orientation", "first", "end_of_row"),
    [
        (1, "top left", "top right"),
        (2, "top right", "top left"),
        (3, "bottom right", "bottom left"),
        (4, "bottom left", "bottom right"),
        (5, "top left", "bottom left"),
        (6, "top right", "bottom right"),
        (7, "bottom right", "top right"),
        (8, "bottom left", "top left"),
    ],
)
def test_exif_orientation_is_applied(orientation: int, first: str, end_of_row: str) -> None:
    stored, exif = Image.new("RGB", (48, 32)), Image.Exif()
    stored.paste(RED, (0, 0, 16, 16))
    stored.paste(GREEN, (32, 0, 48, 16))
    exif[ExifTags.Base.Orientation] = orientation
    photo = read_photo(encoded(stored, "JPEG", quality=95, subsampling=0, exif=exif))
    assert (photo.width, photo.height) == ((48, 32) if orientation < 5 else (32, 48))
    corners = {
        f"{side} {end}": np.asarray(photo.image)[y, x]
        for side, y in (("top", 4), ("bottom", photo.height - 5))
        for end, x in (("left", 4), ("right", photo.width - 5))
    }
    np.testing.assert_allclose(corners[first], RED, atol=8)
    np.testing.assert_allclose(corners[end_of_row], GREEN, atol=8)


@pytest.mark.parametrize("file_format", ["HEIF", "AVIF"])
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_phone_formats_and_their_orientation(file_format: str, orientation: int) -> None:
    pillow_heif.register_heif_opener()
    stored, exif = Image.new("RGB", (64, 48)), Image.Exif()
    stored.paste(RED, (0, 0, 24, 24))
    exif[ExifTags.Base.Orientation] = orientation
    photo = read_photo(encoded(stored, file_format, quality=95, exif=exif.tobytes()))  # pillow-heif wants bytes
    assert (photo.format, photo.image.mode) == (file_format, "RGB")
    assert (photo.width, photo.height) == ((64, 48) if orientation < 5 else (48, 64))
    x, y = {1: (4, 4), 3: (59, 43), 6: (43, 4)}[orientation]
    np.testing.assert_allclose(np.asarray(photo.image)[y, x], RED, atol=16)
    assert np.asarray(photo.image)[photo.height // 2 + 8, photo.width // 2 + 4].max() < 16


def test_transparency_in_heic_lies_on_white() -> None:
    pillow_heif.register_heif_opener()
    image = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    np.testing.assert_allclose(read_photo(encoded(image, "HEIF", quality=95)).image.getpixel((32, 32)), WHITE, atol=4)


def test_a_truncated_heic() -> None:
    pillow_heif.register_heif_opener()
    data = encoded(blotches(1, (200, 200)), "HEIF")
    for share in (0.1, 0.5, 0.9):
        with pytest.raises(PhotoError, match=r"^(damaged image: .+|not an image file)$"):
            read_photo(data[: int(len(data) * share)])


def test_a_file_says_its_format_and_size(tmp_path: Path) -> None:
    path = write_photo(tmp_path / "a.png", (7, 5), "red")
    photo = read_photo(path)
    assert (photo.width, photo.height, photo.format, photo.bytes) == (7, 5, "PNG", path.stat().st_size)
    assert photo.image.mode == "RGB"
    assert read_photo(path.read_bytes()).image.tobytes() == photo.image.tobytes()


def test_a_jpeg_says_how_far_it_was_compressed() -> None:
    """Mean of the standard luminance table (ITU-T T.81, K.1) at quality 50; at quality 100 it is all ones."""
    image = blotches(1)
    found = [read_photo(encoded(image, "JPEG", quality=quality)).quantisation for quality in (50, 100)]
    assert found == [57.625, 1.0]
    assert read_photo(encoded(image, "PNG")).quantisation is None


def test_the_format_is_what_the_file_holds_not_what_it_is_called(tmp_path: Path) -> None:
    path = tmp_path / "really-a-png.jpg"
    path.write_bytes(encoded(Image.new("RGB", (4, 4)), "PNG"))
    assert read_photo(path).format == "PNG"


def test_palette_with_transparency_lies_on_white() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([0, 0, 0, 10, 200, 30])
    image.putpixel((1, 0), 1)
    assert row_of(read_photo(encoded(image, "PNG", transparency=0)).image) == [WHITE, (10, 200, 30)]
    assert row_of(read_photo(encoded(image, "PNG")).image) == [(0, 0, 0), (10, 200, 30)]


def test_alpha_lies_on_white() -> None:
    half = 255 - 128  # what of the white shines through
    grey, colour = Image.new("LA", (1, 1), (0, 128)), Image.new("RGBA", (1, 1), (255, 0, 0, 128))
    assert row_of(read_photo(encoded(grey, "PNG")).image) == [(half, half, half)]
    assert row_of(read_photo(encoded(colour, "PNG")).image) == [(255, half, half)]
    assert row_of(read_photo(encoded(Image.new("RGBA", (1, 1), (9, 9, 9, 0)), "PNG")).image) == [WHITE]


def test_cmyk_jpeg_becomes_rgb() -> None:
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    photo = read_photo(encoded(image, "JPEG", quality=95))
    assert photo.image.mode == "RGB"
    np.testing.assert_allclose(photo.image.getpixel((8, 8)), RED, atol=4)


@pytest.mark.parametrize(("byte_order", "file_format"), [("<u2", "PNG"), (">u2", "TIFF")])
def test_16_bit_grey_is_scaled(byte_order: str, file_format: str) -> None:
    image = Image.fromarray(np.array([[0, 2570, 32768, 65535]], dtype=byte_order))
    assert greys(read_photo(encoded(image, file_format)).image) == [0, 10, 128, 255]


def test_1_bit() -> None:
    image = Image.new("1", (2, 1))
    image.putpixel((1, 0), 1)
    assert greys(read_photo(encoded(image, "PNG")).image) == [0, 255]


@pytest.mark.parametrize(
    ("values", "seen"),
    [
        ([0.0, 0.5, 1.0], [0, 128, 255]),
        ([0.0, 100.0, 300.0], [0, 100, 255]),
        ([float("nan"), -1.0, 0.2], [0, 0, 51]),
    ],
)
def test_floating_point_in_0_to_1_or_0_to_255(values: list[float], seen: list[int]) -> None:
    image = Image.fromarray(np.array([values], dtype=np.float32))
    assert greys(read_photo(encoded(image, "TIFF")).image) == seen


def test_of_an_animation_the_first_frame_counts() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=50)
    assert read_photo(data).image.getpixel((4, 4)) == RED


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(PhotoError, match=r"^no such file$"):
        read_photo(tmp_path / "none.jpg")
    with pytest.raises(PhotoError, match=r"^cannot be opened: "):
        read_photo(tmp_path)


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(PhotoError, match=r"^the file is empty$"):
        read_photo(tmp_path / "empty.jpg")


@pytest.mark.parametrize("file_format", ["JPEG", "PNG"])
def test_a_truncated_file(file_format: str) -> None:
    data = encoded(blotches(1, (90, 90)), file_format)
    with pytest.raises(PhotoError, match=r"^damaged image: .*truncated"):
        read_photo(data[: len(data) // 2])


@pytest.mark.parametrize(
    "data",
    [
        b"This is no photo.\n",
        b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
        b"\xff\xd8\xff",
        b"PK\x03\x04" + bytes(60),
        b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00isommp42" + bytes(40),
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n",
    ],
)
def test_no_image_at_all(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "called.jpg").write_bytes(data)
    with pytest.raises(PhotoError, match=r"^not an image file$"):
        read_photo(tmp_path / "called.jpg")


def test_too_many_bytes_are_refused_before_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photos, "MAX_BYTES", 3_000_000)
    large = tmp_path / "large.jpg"
    with large.open("wb") as file:
        file.truncate(3_000_001)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", lambda path: pytest.fail("was read"))
        with pytest.raises(PhotoError, match=r"^larger than 3 MB$"):
            read_photo(large)
    with pytest.raises(PhotoError, match=r"^larger than 3 MB$"):
        read_photo(bytes(3_000_001))
    with pytest.raises(PhotoError, match=r"^not an image file$"):
        read_photo(bytes(3_000_000))


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("size", [(12_000, 10_001), (20_000, 20_000), (2**31 - 1, 2**31 - 1)])
def test_too_many_pixels_are_refused_before_decoding(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(image: Image.Image) -> Image.Image:
        raise AssertionError("was decoded")

    monkeypatch.setattr(photos, "_as_seen", decode)
    assert size[0] * size[1] > MAX_PIXELS
    with pytest.raises(PhotoError, match="million"):
        read_photo(png_header(*size))


@pytest.mark.parametrize(
    ("box", "clipped"),
    [
        ((1, 2, 3, 4), (1, 2, 3, 4)),
        ((0, 0, 40, 30), (0, 0, 40, 30)),
        ((-5, -6, 10, 12), (0, 0, 10, 12)),
        ((30.4, 20.6, 99.0, 99.0), (30, 21, 40, 30)),
        ((39, 29, 41, 31), (39, 29, 40, 30)),
    ],
)
def test_clip_box(box: tuple[float, ...], clipped: tuple[int, ...]) -> None:
    assert clip_box(box, 40, 30) == clipped  # type: ignore[arg-type]


@pytest.mark.parametrize("box", [(40, 0, 50, 10), (0, 30, 10, 40), (-9, 0, 0, 10), (0, -9, 10, 0)])
def test_a_box_outside_the_photo(box: tuple[int, int, int, int]) -> None:
    with pytest.raises(PhotoError, match=r"^box .* lies outside the photo \(40x30 px\)$"):
        clip_box(box, 40, 30)


@pytest.mark.parametrize("box", [(5, 5, 5, 9), (5, 5, 9, 5), (9, 5, 5, 9), (5, 9, 9, 5), (5.1, 5, 5.4, 9)])
def test_a_box_without_area(box: tuple[float, float, float, float]) -> None:
    with pytest.raises(PhotoError, match=r"has no area$"):
        clip_box(box, 40, 30)


def test_normalise_keeps_a_colour() -> None:
    face = normalise(Image.new("RGB", (37, 91), (12, 200, 77)))
    assert (face.shape, face.dtype) == ((150, 150, 3), np.uint8)
    assert (face == (12, 200, 77)).all()


def test_normalise_averages_when_it_shrinks() -> None:
    stripes = np.zeros((300, 300, 3), dtype=np.uint8)
    stripes[:, ::2] = 200
    face = normalise(Image.fromarray(stripes))
    np.testing.assert_allclose(face[:, 2:-2], 100, atol=1)


def test_normalise_keeps_the_picture_the_right_way_up() -> None:
    face = Image.new("RGB", (20, 10))
    face.paste(RED, (0, 0, 10, 5))
    pixels = normalise(face)
    assert pixels[10, 10].tolist() == list(RED)
    assert pixels[10, 140].tolist() == pixels[140, 10].tolist() == [0, 0, 0]


def test_list_photos(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "in", tmp_path / "out"
    wanted = [folder / "B.JPG", folder / "a b" / "ü.webp", folder / "c.png"]
    for path in (*wanted, folder / "._a.jpg", folder / ".thumbnails" / "t.jpg", elsewhere / "x.jpg"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (folder / "notes.txt").touch()
    (folder / "folder.jpg").mkdir()
    (folder / "leads-out.jpg").symlink_to(elsewhere / "x.jpg")
    (folder / "folder-out").symlink_to(elsewhere)
    (folder / "stays.jpg").symlink_to(folder / "c.png")
    assert list_photos(folder) == sorted([*wanted, folder / "stays.jpg"])
    assert list_photos(elsewhere) == [elsewhere / "x.jpg"]


def test_floating_point_takes_little_more_memory_than_its_pixels() -> None:
    """Of 16 million pixels; a copy in double precision alone would be 128 MB."""
    data = encoded(Image.new("F", (4000, 4000), 0.5), "TIFF", compression="tiff_lzw")
    tracemalloc.start()
    try:
        image = read_photo(data).image
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert image.getpixel((3999, 3999)) == (128, 128, 128)
    assert peak < 64e6


@pytest.mark.parametrize(("bright", "expected"), [(1.0, 255), (2.0, 2)])
def test_the_white_of_floating_point_is_that_of_the_whole_picture(bright: float, expected: int) -> None:
    pixels = np.zeros((1100, 1300), np.float32)
    pixels[-1, -1], pixels[0, 0] = bright, np.nan
    image = read_photo(encoded(Image.fromarray(pixels), "TIFF")).image
    assert image.size == (1300, 1100)
    assert image.getpixel((1299, 1099)) == (expected,) * 3
    assert image.getpixel((0, 0)) == (0, 0, 0)


def test_sixteen_bits_and_transparency_are_whole_beyond_one_tile() -> None:
    deep = np.zeros((1100, 1300), np.uint16)
    deep[-1, -1] = 65535
    assert read_photo(encoded(Image.fromarray(deep), "PNG")).image.getpixel((1299, 1099)) == WHITE
    clear = Image.new("RGBA", (1300, 1100), (*RED, 255))
    clear.putpixel((1299, 1099), (0, 0, 0, 0))
    image = read_photo(encoded(clear, "PNG")).image
    assert (image.getpixel((1299, 1099)), image.getpixel((1298, 1098))) == (WHITE, RED)
