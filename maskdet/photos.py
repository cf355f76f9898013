"""Read a photo as a person would see it, whatever the file holds.

Every photo enters MaskDet through `read_photo`: EXIF orientation is applied, palettes and CMYK become RGB, 16-bit
and floating-point pixels are scaled to 8 bit, transparency lies on white, and of an animation the first frame counts.
Pillow decodes all but HEIC, which pillow-heif does; the pixels of the stored faces depend on that.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from maskdet.errors import MaskDetError, PhotoError, reason_of

#: Photos with more pixels are refused before they are decoded (a decompression bomb needs only a few bytes).
MAX_PIXELS: Final = 120_000_000
#: Files with more bytes are refused before they are read.
MAX_BYTES: Final = 50_000_000
#: Side of the normalised face in pixels (study, 4.2.2).
FACE_SIZE: Final = 150
#: File name endings that are taken for photos when a folder is read.
PHOTO_SUFFIXES: Final = frozenset(
    {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".heic", ".heif", ".avif"}
)
_TILE: Final = 1024  # pixels a side
# Pillow knows 30 more, of games and instruments, and hands PostScript to another program: no camera makes them.
_FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000")
_ISO_MEDIA_FORMATS: Final = ("AVIF", "HEIF")  # both begin as films do

# Pillow warns from 89 million pixels on; MAX_PIXELS decides here, before any pixel is decoded.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)

RgbImage = npt.NDArray[np.uint8]
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Photo:
    """A decoded photo: an RGB image the right way up, and what its file said of itself.

    Attributes
    ----------
    quantisation : float or None
        Mean of a JPEG file's luminance quantisation table (ITU-T T.81, annex K): 1 at the best quality, 58 at quality
        50 of most programs, and the larger the more detail was thrown away. None for other formats.
    """

    image: Image.Image
    format: str
    bytes: int
    quantisation: float | None = None

    @property
    def width(self) -> int:
        """Width in pixels, after the EXIF orientation was applied."""
        return self.image.width

    @property
    def height(self) -> int:
        """Height in pixels, after the EXIF orientation was applied."""
        return self.image.height


def read_photo(source: Path | bytes) -> Photo:
    """Decode a photo from a file or from bytes.

    Raises
    ------
    PhotoError
        If there is no such file, it is no image, is damaged, or has more than `MAX_BYTES` or `MAX_PIXELS`.
    """
    data = read_source(source, MAX_BYTES, PhotoError)
    try:
        with Image.open(BytesIO(data), formats=_formats(data)) as opened:
            file_format = opened.format or "unknown"
            _refuse_bomb(opened.width, opened.height)
            quantisation = _quantisation(opened)
            image = _as_seen(opened)
    except PhotoError:
        raise
    except UnidentifiedImageError:
        raise PhotoError("not an image file") from None
    except Image.DecompressionBombError:
        raise PhotoError(f"more than {MAX_PIXELS // 1_000_000} million pixels") from None
    except Exception as error:
        raise PhotoError(f"damaged image: {reason_of(error)}") from error
    return Photo(image, file_format, len(data), quantisation)


def clip_box(box: tuple[float, float, float, float], width: int, height: int) -> Box:
    """Clip a box ``(left, top, right, bottom)`` in pixels to a photo.

    Returns
    -------
    Box
        Whole pixels, ``0 <= left < right <= width`` and ``0 <= top < bottom <= height``.

    Raises
    ------
    PhotoError
        If nothing of the box lies inside the photo, or it has no area.
    """
    left, top, right, bottom = (round(value) for value in box)
    if right <= left or bottom <= top:
        raise PhotoError(f"box {left},{top},{right},{bottom} has no area")
    clipped = (max(left, 0), max(top, 0), min(right, width), min(bottom, height))
    if clipped[2] <= clipped[0] or clipped[3] <= clipped[1]:
        raise PhotoError(f"box {left},{top},{right},{bottom} lies outside the photo ({width}x{height} px)")
    return clipped


def resize_face(face: Image.Image) -> Image.Image:
    """Resize a face to `FACE_SIZE` x `FACE_SIZE` (study, 4.2.2), which stretches it to a square.

    The filter is Pillow's bilinear one, which averages when it shrinks (our choice).
    """
    return face.resize((FACE_SIZE, FACE_SIZE), Image.Resampling.BILINEAR)


def normalise(face: Image.Image) -> RgbImage:
    """The pixels of a resized RGB face: uint8, shape (150, 150, 3).

    Pixels stay in 0..255 in the store; every model scales them to [0, 1] (study, 4.2.2) inside its own graph, so that
    the two steps cannot drift apart.
    """
    return np.asarray(resize_face(face), dtype=np.uint8)


def list_photos(folder: Path) -> list[Path]:
    """All photo files below a folder by name ending, sorted.

    Hidden files and folders are passed over, and links out of the folder are not followed.
    """
    root = folder.resolve()
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in PHOTO_SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
        and (not path.is_symlink() or path.resolve().is_relative_to(root))
    )


def read_source(source: Path | bytes, most_bytes: int, error_type: type[MaskDetError]) -> bytes:
    """The content of a file or an upload. Raises ``error_type`` if it is missing, closed, empty or too large."""
    try:
        size = len(source) if isinstance(source, bytes) else source.stat().st_size
        if size > most_bytes:
            raise error_type(f"larger than {most_bytes // 1_000_000} MB")
        data = source if isinstance(source, bytes) else source.read_bytes()
    except FileNotFoundError:
        raise error_type("no such file") from None
    except OSError as error:
        raise error_type(f"cannot be opened: {error.strerror or error}") from error
    if not data:
        raise error_type("the file is empty")
    return data


def _formats(data: bytes) -> tuple[str, ...]:
    """Formats that the data may be in; a decoder is loaded only where it is needed."""
    if data[4:8] != b"ftyp":
        return _FORMATS
    import pillow_heif

    pillow_heif.register_heif_opener()
    Image.init()
    return tuple(name for name in _ISO_MEDIA_FORMATS if name in Image.OPEN)  # not every Pillow was built with AVIF


def _refuse_bomb(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise PhotoError(f"{width}x{height} pixels are more than {MAX_PIXELS // 1_000_000} million")


def _quantisation(opened: Image.Image) -> float | None:
    """Mean of the luminance table, which the header of a JPEG file holds: no pixel is decoded for it."""
    table = getattr(opened, "quantization", {}).get(0)
    return sum(table) / len(table) if table else None


def _as_seen(opened: Image.Image) -> Image.Image:
    opened.seek(0)
    opened.load()
    ImageOps.exif_transpose(opened, in_place=True)  # which copies nothing where there is nothing to turn
    upright: Image.Image = opened
    if upright.mode in ("I", "F") or upright.mode.startswith("I;16"):
        upright = _to_8_bit(upright)
    transparent = upright.mode in ("LA", "PA", "RGBA", "RGBa", "La") or "transparency" in upright.info
    return _on_white(upright) if transparent else upright.convert("RGB")


def _on_white(image: Image.Image) -> Image.Image:
    laid = Image.new("RGB", image.size)
    for corner, tile in _tiles(image):
        opaque = Image.alpha_composite(Image.new("RGBA", tile.size, "white"), tile.convert("RGBA"))
        laid.paste(opaque.convert("RGB"), corner)
    return laid


def _tiles(image: Image.Image) -> Iterator[tuple[tuple[int, int], Image.Image]]:
    """An image in parts, each with its left upper corner: as a whole, the largest photo would take gigabytes."""
    for top in range(0, image.height, _TILE):
        for left in range(0, image.width, _TILE):
            right, bottom = min(left + _TILE, image.width), min(top + _TILE, image.height)
            yield (left, top), image.crop((left, top, right, bottom))


def _to_8_bit(image: Image.Image) -> Image.Image:
    levels = (np.arange(65536) * (255.0 / 65535.0) + 0.5).astype(np.uint8)
    # Floating point has no fixed white: it is a picture in 0..1 or one in 0..255.
    bright = image.mode == "F" and any(_numbers(tile).max() > 1.0 for _, tile in _tiles(image))
    white = 255.0 if bright else 1.0
    grey = Image.new("L", image.size)
    for corner, tile in _tiles(image):
        if image.mode == "F":
            pixels = np.clip(_numbers(tile) * (255.0 / white) + 0.5, 0, 255).astype(np.uint8)
        else:
            pixels = levels[np.clip(np.asarray(tile), 0, 65535)]
        grey.paste(Image.fromarray(pixels), corner)
    return grey


def _numbers(tile: Image.Image) -> npt.NDArray[np.float64]:
    """Pixels in floating point; 0 for what is no number."""
    return np.nan_to_num(np.asarray(tile, dtype=np.float64))
