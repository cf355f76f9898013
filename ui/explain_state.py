"""What one visitor dropped on the Explain page, and what was found in it: kept in this session's memory, nowhere else.

Everything is kept under the digest of the file it came from. What belongs to a file that is no longer there is dropped.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import numpy as np
import streamlit as st
from PIL import Image

from maskdet.photos import Photo, RgbImage, read_photo
from maskdet.predict import FoundFace, JudgedPhoto, PhotoFaces, Verdict, find_faces, judge_photos
from maskdet.progress import Progress, silent
from maskdet.runs import Run
from ui.explain_models import detector, judge_of

_MEMORY: Final = "explain_memory"
_DECODED: Final = "decoded"
#: Longest side of a photo on the page, and of a face in it, in pixels.
_PHOTO_SIDE: Final = 1400
_FACE_SIDE: Final = 480
#: Small photos are enlarged so many times at most, so that the words on them don't hide them.
_ENLARGED: Final = 5.0


@dataclass(frozen=True)
class Upload:
    """A file that a visitor gave, or a sample. Its name is whatever the visitor called it."""

    name: str
    digest: str
    data: bytes = field(repr=False)
    is_sample: bool = False


@dataclass(frozen=True)
class Options:
    """What verdicts depend on besides the photo.

    Attributes
    ----------
    run : Run
        Whose verdicts.
    whole : bool
        True takes each photo as one face.
    min_size : int
        Least length of a face's shorter side in pixels.
    """

    run: Run
    whole: bool
    min_size: int

    @property
    def found_by(self) -> tuple[bool, int]:
        """What the faces that are found depend on."""
        return self.whole, self.min_size

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self.run.folder


@dataclass(frozen=True)
class Picture:
    """A photo in the sizes the page shows.

    Attributes
    ----------
    photo : PIL.Image
        At most `_PHOTO_SIDE` px long.
    scale : float
        Its width over that of the photo in the file.
    faces : tuple of PIL.Image
        What was cropped, for each face.
    """

    photo: Image.Image
    scale: float
    faces: tuple[Image.Image, ...]


@dataclass(frozen=True)
class Look:
    """One face that is looked at in detail, and what the chosen run says of it."""

    upload: Upload
    options: Options
    face: FoundFace
    verdict: Verdict
    crop: Image.Image

    @property
    def key(self) -> tuple[Hashable, ...]:
        """Tells this face from any other of the same file."""
        return (*self.options.found_by, self.face.number)

    @property
    def pixels(self) -> RgbImage:
        """The face as a model sees it, shape (150, 150, 3)."""
        return self.face.pixels

    def kept(self, what: tuple[Hashable, ...], make: Callable[[], Any]) -> Any:
        """Something about this face that takes time to make: made once in a session."""
        return memory().kept(self.upload.digest, (*self.key, *what), make)

    def known(self, what: tuple[Hashable, ...]) -> Any:
        """The same if it was made already, else None."""
        return memory().known(self.upload.digest, (*self.key, *what))


class Memory:
    """What is known of each file, by its digest."""

    def __init__(self) -> None:
        self._kept: dict[str, dict[Hashable, Any]] = {}
        self._digests: dict[str, str] = {}

    def digest(self, file_id: str, data: bytes) -> str:
        """The digest of an uploaded file, computed once."""
        if file_id not in self._digests:
            self._digests[file_id] = digest_of(data)
        return self._digests[file_id]

    def keep(self, digest: str, key: Hashable, value: Any) -> None:
        """Keep something under a key."""
        self._kept.setdefault(digest, {})[key] = value

    def kept(self, digest: str, key: Hashable, make: Callable[[], Any]) -> Any:
        """What is kept under a key, or else is made and kept now."""
        kept = self._kept.setdefault(digest, {})
        if key not in kept:
            kept[key] = make()
        return kept[key]

    def known(self, digest: str, key: Hashable) -> Any:
        """What is kept under a key, or None."""
        return self._kept.get(digest, {}).get(key)

    def keep_only(self, digests: Iterable[str], files: Iterable[str]) -> None:
        """Drop all that belongs to other files."""
        stay, ids = set(digests), set(files)
        self._kept = {digest: kept for digest, kept in self._kept.items() if digest in stay}
        self._digests = {file_id: digest for file_id, digest in self._digests.items() if file_id in ids}

    def drop(self, key: Hashable, *, except_of: str = "") -> None:
        """Drop what is kept under a key, for all files, or for all but one."""
        for digest, kept in self._kept.items():
            if digest != except_of:
                kept.pop(key, None)


def memory() -> Memory:
    """What this session remembers."""
    kept: Memory = st.session_state.setdefault(_MEMORY, Memory())
    return kept


def digest_of(data: bytes) -> str:
    """Tells a file from any other."""
    return blake2b(data, digest_size=16).hexdigest()


def judged_photos(uploads: Sequence[Upload], options: Options, progress: Progress = silent) -> list[JudgedPhoto]:
    """Verdicts on all faces, in the order of the files; only what is not known yet is computed.

    Each photo is kept as soon as it is judged, so that one who clicks meanwhile loses nothing.
    """
    known, key = memory(), ("judged", *options.found_by, options.folder)
    waiting = {one.digest: one.data for one in uploads if known.known(one.digest, key) is None}

    def find(digest: str, data: Path | bytes) -> PhotoFaces:
        found_by = None if options.whole else detector()

        def seen(photo: Photo) -> None:
            if len(waiting) == 1:  # it is looked at next: it stays decoded until then. Many would take too much memory
                known.keep(digest, _DECODED, photo.image)

        make = partial(find_faces, digest, data, found_by, options.min_size, seen=seen)
        faces: PhotoFaces = known.kept(digest, ("found", *options.found_by), make)
        return faces

    if waiting:
        for judged in judge_photos(list(waiting.items()), find, judge_of(options.folder), progress):
            known.keep(judged.photo.name, key, judged)
    found = [(one, known.known(one.digest, key)) for one in uploads]
    return [replace(judged, photo=replace(judged.photo, name=one.name)) for one, judged in found]


def unjudged(uploads: Sequence[Upload], options: Options) -> int:
    """How many files no verdict is known of yet."""
    key = ("judged", *options.found_by, options.folder)
    return len({one.digest for one in uploads if memory().known(one.digest, key) is None})


def picture_of(upload: Upload, photo: PhotoFaces, options: Options) -> Picture:
    """A readable photo and its faces, the small ones too; only that of the last photo looked at is kept."""
    known = memory()
    for whole in (True, False):
        known.drop(("picture", whole), except_of=upload.digest)

    def make() -> Picture:
        return _picture(known.known(upload.digest, _DECODED) or read_photo(upload.data).image, photo.faces)

    made: Picture = known.kept(upload.digest, ("picture", options.whole), make)
    known.drop(_DECODED)
    return made


def _picture(image: Image.Image, faces: Sequence[FoundFace]) -> Picture:
    crops = []
    for face in faces:
        crop = image.crop(face.box)
        crop.thumbnail((_FACE_SIDE, _FACE_SIDE))
        crops.append(crop)
    scale = min(_ENLARGED, _PHOTO_SIDE / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return Picture(image.resize(size, reducing_gap=2.0), scale, tuple(crops))


def face_key(upload: Upload, options: Options) -> str:
    """Where the session keeps the number of the face that is looked at."""
    return f"explain_face_{upload.digest}_{options.found_by}"


def pixels_of(image: Image.Image) -> RgbImage:
    """A picture as an array of uint8, shape (height, width, 3)."""
    return np.asarray(image, dtype=np.uint8)
