"""The samples: whole photos, the same at every call, with the faces in them that they are said to hold."""

import socket
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from maskdet.detection import FaceDetector
from maskdet.errors import MaskDetError
from maskdet.photos import read_photo
from maskdet.sample_photos import ASTRONAUT_BOX, ASTRONAUT_LANDMARKS, SAMPLE_PHOTOS, _jpeg, sample_photo


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.parametrize("name", SAMPLE_PHOTOS)
def test_every_sample_is_a_photo_and_the_same_at_every_call(name: str) -> None:
    data = sample_photo(name)
    photo = read_photo(data)
    assert photo.format == "JPEG"
    assert min(photo.width, photo.height) >= 400
    _jpeg.cache_clear()
    assert sample_photo(name) == data


@pytest.mark.parametrize(("name", "faces"), [("group", 7), ("astronaut", 1), ("drawn", 1), ("drawn-mask", 1)])
def test_the_detector_finds_their_faces(name: str, faces: int) -> None:
    assert len(FaceDetector()(np.asarray(read_photo(sample_photo(name)).image))) == faces


def test_the_astronaut_is_where_the_detector_finds_her() -> None:
    (face,) = FaceDetector()(np.asarray(read_photo(sample_photo("astronaut")).image))
    np.testing.assert_allclose(face.box, ASTRONAUT_BOX, atol=3)
    np.testing.assert_allclose(face.landmarks, ASTRONAUT_LANDMARKS, atol=5)


def test_the_mask_is_drawn_on_her_mouth_and_nowhere_else() -> None:
    plain, masked = (
        np.asarray(Image.open(BytesIO(sample_photo(name))), dtype=int) for name in ("astronaut", "astronaut-mask")
    )
    changed = np.abs(plain - masked).max(axis=-1) > 40
    assert changed[145, 223]
    assert not changed[:95].any()
    assert not changed[200:].any()


def test_no_other_sample() -> None:
    with pytest.raises(MaskDetError, match="not 'lena'"):
        sample_photo("lena")
