"""Photos to try MaskDet with, made on the spot and without the network: nobody's photo ships with it.

Most are drawn as the synthetic set is. One is a real portrait: Eileen Collins, photographed by NASA (public domain), as
scikit-image's package carries it under the name ``astronaut``.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from io import BytesIO
from typing import Final

import numpy as np
from PIL import Image

from maskdet.drawn_masks import draw_mask
from maskdet.errors import MaskDetError
from maskdet.looks import SKINS, FaceLook
from maskdet.photos import Box, RgbImage
from maskdet.portraits import develop, draw_backdrop, draw_face, draw_person

#: The astronaut's face as the detector finds it: box, and eyes, nose and mouth in px.
ASTRONAUT_BOX: Final[Box] = (179, 63, 270, 174)
ASTRONAUT_LANDMARKS: Final = (
    *((201.5, 105.0), (245.2, 104.9), (220.7, 127.1), (203.9, 145.2), (242.4, 145.0)),
)  # fmt: skip
# Seats of the drawn group as shares of its width and height, the size of the head in px, and whether with a mask.
_SEATS: Final = (
    *((0.14, 0.30, 52, True), (0.38, 0.27, 50, False), (0.62, 0.30, 54, True), (0.86, 0.28, 51, False)),
    *((0.25, 0.66, 74, False), (0.52, 0.68, 78, True), (0.79, 0.66, 75, True)),
)
_GROUP_SIZE: Final = (960, 640)
_PORTRAIT_SIZE: Final = (420, 480)


@dataclass(frozen=True)
class SamplePhoto:
    """A sample: its name for people, what it shows and whose it is, and what draws its pixels."""

    title: str
    about: str
    draw: Callable[[], RgbImage]


def sample_photo(name: str) -> bytes:
    """A sample as a JPEG file, one of `SAMPLE_PHOTOS`; the same bytes at every call.

    Raises
    ------
    MaskDetError
        If there is no such sample.
    """
    if name not in SAMPLE_PHOTOS:
        raise MaskDetError(f"Samples are {', '.join(SAMPLE_PHOTOS)}, not {name!r}.")
    return _jpeg(name)


@lru_cache(maxsize=8)
def _jpeg(name: str) -> bytes:
    file = BytesIO()
    Image.fromarray(SAMPLE_PHOTOS[name].draw()).save(file, "JPEG", quality=92)
    return file.getvalue()


def _astronaut() -> RgbImage:
    from skimage.data import astronaut

    return np.asarray(astronaut(), dtype=np.uint8)


def _masked_astronaut() -> RgbImage:
    return draw_mask(_astronaut(), ASTRONAUT_LANDMARKS, ASTRONAUT_BOX, "blue")


def _group() -> RgbImage:
    rng = np.random.default_rng(20)
    room = replace(FaceLook.random(rng, mask=False), exposure=1.0, blur=1.0, backdrop="soft")
    canvas = draw_backdrop(room, _GROUP_SIZE)
    grow = canvas.width / _GROUP_SIZE[0]
    for number, (across, down, unit, mask) in enumerate(_SEATS):
        person = replace(
            FaceLook.random(rng, mask=mask),
            skin=SKINS[number % len(SKINS)], light=room.light, contrast=room.contrast,
        )  # fmt: skip
        centre = complex(across * canvas.width, down * canvas.height)
        draw_person(canvas, person, centre, unit * grow)
    return develop(canvas, room, _GROUP_SIZE)


def _portrait(seed: int, *, mask: bool) -> RgbImage:
    look = FaceLook.random(np.random.default_rng(seed), mask=mask)
    return draw_face(replace(look, exposure=1.0, blur=1.0), _PORTRAIT_SIZE)


_NASA: Final = "Eileen Collins, photographed by NASA in 1993; public domain, carried by scikit-image"
#: The samples by name.
SAMPLE_PHOTOS: Final[dict[str, SamplePhoto]] = {
    "group": SamplePhoto("Drawn group", "Seven drawn people, four of them with a mask", _group),
    "astronaut": SamplePhoto("Portrait", _NASA, _astronaut),
    "astronaut-mask": SamplePhoto(
        "Portrait, mask drawn on", f"{_NASA}; the mask is drawn on by MaskDet", _masked_astronaut
    ),
    "drawn": SamplePhoto("Drawn face", "A drawn face without a mask", lambda: _portrait(35, mask=False)),
    "drawn-mask": SamplePhoto("Drawn face, mask", "A drawn face with a mask", lambda: _portrait(32, mask=True)),
}
