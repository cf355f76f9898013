"""Targets: photos and videos, as files and as uploads."""

import io
import random
import struct
from pathlib import Path
from typing import Any

import av
import numpy as np
import pillow_heif
from conftest import blotches
from PIL import ExifTags, Image

from fuzz.mutate import raw
from fuzz.mutate_files import png
from fuzz.target import Prepared, Target, check, check_finite, check_sentence, refusals
from fuzz.targets.annotations import check_row
from maskdet.errors import PhotoError
from maskdet.measure import measure_photo
from maskdet.photos import MAX_PIXELS, Photo, list_photos, read_photo, read_source
from maskdet.readers import AnnotatedFace
from maskdet.video import MAX_FRAME_PIXELS, VideoError, VideoOptions, predict_video, sample_frames

_SIZE = (24, 16)
_RATE = 10


def photo_seeds() -> dict[str, bytes]:
    """A small photo in every format that is read, by a name that says which, and in every odd kind of pixels."""
    rgb = blotches(1, _SIZE)
    grey = rgb.convert("L")
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.Make] = "drawn"
    frames = [blotches(seed, _SIZE) for seed in (2, 3)]
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    real = Image.fromarray(np.asarray(grey).astype(np.float32) / 255)
    clear = rgb.convert("RGBA")
    clear.putalpha(grey)
    kinds: dict[str, tuple[Image.Image, str, dict[str, Any]]] = {
        "jpeg": (rgb, "JPEG", {"exif": exif, "quality": 80}),
        "jpeg-progressive": (rgb, "JPEG", {"progressive": True}),
        "jpeg-cmyk": (rgb.convert("CMYK"), "JPEG", {}),
        "jpeg-grey": (grey, "JPEG", {}),
        "png": (rgb, "PNG", {"exif": exif}),
        "png-palette": (rgb.convert("P"), "PNG", {"transparency": 1}),
        "png-16": (deep, "PNG", {}),
        "png-alpha": (clear, "PNG", {}),
        "png-1": (grey.convert("1"), "PNG", {}),
        "png-grey-alpha": (clear.convert("LA"), "PNG", {}),
        "apng": (rgb, "PNG", {"save_all": True, "append_images": frames}),
        "webp": (rgb, "WEBP", {"exif": exif}),
        "webp-alpha": (clear, "WEBP", {"lossless": True}),
        "webp-animated": (rgb, "WEBP", {"save_all": True, "append_images": frames}),
        "gif": (rgb.convert("P"), "GIF", {"transparency": 0}),
        "gif-animated": (rgb, "GIF", {"save_all": True, "append_images": frames, "loop": 0}),
        "bmp": (rgb, "BMP", {}),
        "bmp-palette": (rgb.convert("P"), "BMP", {}),
        "ppm": (rgb, "PPM", {}),
        "pgm-16": (deep.convert("I"), "PPM", {}),
        "tiff": (rgb, "TIFF", {"exif": exif}),
        "tiff-float": (real, "TIFF", {}),
        "tiff-16": (deep, "TIFF", {}),
        "tiff-lzw": (rgb, "TIFF", {"compression": "tiff_lzw"}),
        "tiff-g4": (grey.convert("1"), "TIFF", {"compression": "group4"}),
        "tiff-pages": (rgb, "TIFF", {"save_all": True, "append_images": frames}),
        "jpeg2000": (rgb, "JPEG2000", {}),
        "tiff-jpeg": (rgb, "TIFF", {"compression": "jpeg"}),
    }
    found = {}
    for name, (image, file_format, options) in kinds.items():
        file = io.BytesIO()
        image.save(file, file_format, **options)
        found[name] = file.getvalue()
    return found


def iso_seeds() -> dict[str, bytes]:
    """Small HEIC and AVIF photos."""
    pillow_heif.register_heif_opener()
    rgb, exif = blotches(1, (32, 32)), Image.Exif()
    exif[ExifTags.Base.Orientation] = 3
    found = {}
    clear = rgb.convert("RGBA")
    for name, image, file_format, options in (
        ("heic", rgb, "HEIF", {"quality": 50}),
        ("heic-exif", rgb, "HEIF", {"quality": 30, "exif": exif.tobytes()}),
        ("heic-alpha", clear, "HEIF", {"quality": 30}),
        ("avif", rgb, "AVIF", {"quality": 50}),
        ("avif-exif", rgb, "AVIF", {"quality": 30, "exif": exif}),
        ("avif-animated", rgb, "AVIF", {"save_all": True, "append_images": [blotches(2, (32, 32))]}),
    ):
        file = io.BytesIO()
        image.save(file, file_format, **options)
        found[name] = file.getvalue()
    return found


def check_photo(photo: Photo, data: bytes) -> None:
    """A decoded photo is what its class promises."""
    check(photo.image.mode == "RGB", f"the mode {photo.image.mode}")
    check(photo.width > 0 and photo.height > 0 and photo.width * photo.height <= MAX_PIXELS, f"size {photo.image.size}")
    check(photo.bytes == len(data), "another number of bytes")
    pixels = np.asarray(photo.image)
    check(pixels.shape == (photo.height, photo.width, 3) and pixels.dtype == np.uint8, f"pixels {pixels.shape}")
    if photo.quantisation is not None:
        check_finite(photo.quantisation, "the quantisation", low=0)


def _photo(folder: Path, seeds: list[bytes]) -> Prepared:
    path = folder / "photo.jpg"

    def run(data: bytes) -> None:
        try:
            photo = read_photo(data)
        except PhotoError as error:
            check_sentence(str(error))
            return
        check_photo(photo, data)
        path.write_bytes(data)
        check(list_photos(folder) == [path], "another photo in the folder")
        digest = sum(data)
        box = (float(digest % 40 - 10), float(digest % 23 - 5), float(digest % 61), float(digest % 37))
        faces = [AnnotatedFace("photo.jpg", "with_mask", None), AnnotatedFace("photo.jpg", "without_mask", box)]
        for row, pixels in measure_photo(path, faces):
            check_row(row, pixels is not None)
            if pixels is not None:
                check(pixels.shape == (150, 150, 3) and pixels.dtype == np.uint8, f"a face {pixels.shape}")

    return Prepared(run, seeds)


def iso_boxes(data: bytes, rng: random.Random) -> bytes:
    """A file of boxes (HEIC, AVIF, MP4) with one of them changed, taken away or doubled, of the right length."""
    boxes, at = [], 0
    while at + 8 <= len(data):
        size = max(8, int.from_bytes(data[at : at + 4]))
        boxes.append(data[at : at + size])
        at += size
    if not boxes or rng.random() < 0.2:
        return raw(data, rng)
    place, what = rng.randrange(len(boxes)), rng.randrange(6)
    kind, content = boxes[place][4:8], boxes[place][8:]
    if what == 0:
        boxes.insert(rng.randrange(len(boxes) + 1), boxes[place])
    elif what == 1:
        del boxes[place]
    elif what < 4 and kind in (
        b"moov",
        b"trak",
        b"mdia",
        b"minf",
        b"stbl",
        b"iprp",
        b"ipco",
        b"meta",
        b"moof",
        b"traf",
    ):
        head = 4 if kind == b"meta" else 0
        content = content[:head] + iso_boxes(content[head:], rng)
        boxes[place] = struct.pack(">I", len(content) + 8) + kind + content
    else:
        content = raw(content, rng)
        boxes[place] = struct.pack(">I", len(content) + 8) + kind + content
    return b"".join(boxes)


def video_seeds(folder: Path) -> dict[str, bytes]:
    """Videos of five small frames, in every format that is read."""
    found = {}
    for name, codec in (
        ("a.avi", "mjpeg"),
        ("b.mkv", "mjpeg"),
        ("c.mp4", "mpeg4"),
        ("d.mov", "mpeg4"),
        ("e.webm", "libvpx"),
        ("f.mp4", "libx264"),
        ("g.mkv", "libvpx-vp9"),
    ):
        path = folder / name
        with av.open(str(path), "w") as container:
            try:
                stream = container.add_stream(codec, rate=_RATE)
            except ValueError:  # not in every build of FFmpeg
                continue
            stream.width, stream.height = 32, 32
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            for seed in range(5):
                frame = av.VideoFrame.from_ndarray(np.asarray(blotches(seed, (32, 32))), format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        found[name] = path.read_bytes()
    return found


def _video(folder: Path) -> Prepared:
    options = VideoOptions(every=0.2, most=3)

    def run(data: bytes) -> None:
        with refusals(VideoError):
            before = -1.0
            for seconds, frame in sample_frames(data, options):
                check_finite(seconds, "the time of a frame", low=before)
                check(frame.ndim == 3 and frame.shape[2] == 3 and frame.dtype == np.uint8, f"a frame {frame.shape}")
                check(0 < frame.shape[0] * frame.shape[1] <= MAX_FRAME_PIXELS, f"a frame {frame.shape}")
                before = seconds
        with refusals(VideoError):
            table = predict_video(data, lambda frame: (), lambda faces: [], options)
            check(len(table) <= options.most + 1, f"{len(table)} rows")

    return Prepared(run, list(video_seeds(folder).values()))


def _photo_target(folder: Path) -> Prepared:
    return _photo(folder, list(photo_seeds().values()))


def _iso_target(folder: Path) -> Prepared:
    return _photo(folder, list(iso_seeds().values()))


def _source(folder: Path) -> Prepared:
    """Names of files that a person gives, instead of their content."""

    def run(data: bytes) -> None:
        name = data.replace(b"\0", b"").decode("utf-8", errors="surrogateescape")
        with refusals(PhotoError):
            read_source(folder / (name.lstrip("/") or "a"), 1000, PhotoError)

    return Prepared(run, [b"missing.jpg", b"a" * 300, b"../..", b"\xff.jpg"])


_TAGS = (
    b"Exif\0\0",
    b"II*\0",
    b"MM\0*",
    b"\xff\xd8",
    b"\xff\xdb",
    b"\xff\xc2",
    b"IHDR",
    b"acTL",
    b"NETSCAPE2.0",
    b"VP8X",
    b"ANIM",
    b"ANMF",
    b"ICCP",
    b"P5\n",
    b"P6\n",
    b"Pf\n",
    b"65535",
    b"BM",
    b"\xff\x4f\xff\x51",
)
_BOXES = (
    b"ftyp",
    b"meta",
    b"moov",
    b"mdat",
    b"trak",
    b"stbl",
    b"stts",
    b"stsz",
    b"stco",
    b"iloc",
    b"iinf",
    b"ispe",
    b"irot",
    b"hvcC",
    b"av1C",
    b"heic",
    b"avif",
    b"mif1",
    b"\x1aE\xdf\xa3",
    b"RIFF",
    b"AVI ",
    b"edts",
    b"elst",
)
TARGETS = (
    Target("photo", _photo_target, ("maskdet.photos.read_photo", "maskdet.measure.measure_photo"), png, _TAGS, 1 << 13),
    Target("photo-iso", _iso_target, ("maskdet.photos.read_photo",), iso_boxes, _BOXES, 1 << 13),
    Target(
        "video",
        _video,
        ("maskdet.video.sample_frames", "maskdet.video.predict_video"),
        iso_boxes,
        _BOXES,
        1 << 14,
    ),
    Target("source", _source, ("maskdet.photos.read_source",), most_bytes=5000),
)
