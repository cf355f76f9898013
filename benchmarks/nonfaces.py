"""Pictures that are no faces, or none that a model was trained on: what "not like the training data" is judged by."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from maskdet.facetable import Faces
from maskdet.looks import FaceLook
from maskdet.photos import FACE_SIZE, RgbImage, normalise, read_photo
from maskdet.portraits import draw_face

_PATCH_SIDES = (50, 160)
_TRIES = 20


def textures(count: int, seed: int = 0) -> RgbImage:
    """Blotches, stripes, chequers, slopes and discs in random colours: shape (n, 150, 150, 3)."""
    rng = np.random.default_rng(seed)
    draw = (_blotches, _stripes, _chequers, _slope, _discs)
    return np.stack([draw[number % len(draw)](rng) for number in range(count)])


def noise(count: int, seed: int = 0) -> RgbImage:
    """Noise without any structure, of random mean and strength."""
    rng = np.random.default_rng(seed)
    mean, deviation = rng.uniform(60, 200, (count, 1, 1, 1)), rng.uniform(5, 90, (count, 1, 1, 1))
    values = mean + deviation * rng.standard_normal((count, FACE_SIZE, FACE_SIZE, 3))
    return np.clip(values, 0, 255).astype(np.uint8)


def flat(count: int, seed: int = 0) -> RgbImage:
    """Nothing but one random colour each."""
    colours = np.random.default_rng(seed).integers(0, 256, (count, 1, 1, 3)).astype(np.uint8)
    return np.broadcast_to(colours, (count, FACE_SIZE, FACE_SIZE, 3)).copy()


def drawn_faces(count: int, seed: int = 0) -> RgbImage:
    """The synthetic sample set's faces, every other one with a mask."""
    rng = np.random.default_rng(seed)
    faces = []
    for number in range(count):
        look = FaceLook.random(rng, mask=number % 2 == 0)
        faces.append(normalise(Image.fromarray(draw_face(look, (200, 200)))))
    return np.stack(faces)


def backgrounds(folder: Path, faces: Faces, count: int, seed: int = 0) -> RgbImage:
    """Random square patches of Dataset 3.2's photos that touch no annotated face, at most one a photo."""
    rng = np.random.default_rng(seed)
    boxes = faces.table[faces.table["dataset"] == "3.2"].groupby("photo")[["left", "top", "right", "bottom"]]
    photos = list(boxes)
    patches = []
    for at in rng.permutation(len(photos)):
        name, rows = photos[at]
        image = read_photo(folder / str(name)).image
        patch = _free_patch(rng, (image.width, image.height), rows.to_numpy())
        if patch is not None:
            patches.append(normalise(image.crop(patch)))
        if len(patches) == count:
            break
    return np.stack(patches)


def _free_patch(
    rng: np.random.Generator, size: tuple[int, int], boxes: npt.NDArray[np.int64]
) -> tuple[int, int, int, int] | None:
    for _ in range(_TRIES):
        side = int(rng.integers(*_PATCH_SIDES))
        if side >= min(size):
            continue
        left, top = (int(rng.integers(0, extent - side)) for extent in size)
        apart = (
            (boxes[:, 0] >= left + side) | (boxes[:, 2] <= left) | (boxes[:, 1] >= top + side) | (boxes[:, 3] <= top)
        )
        if apart.all():
            return left, top, left + side, top + side
    return None


def _colours(rng: np.random.Generator, count: int) -> npt.NDArray[np.uint8]:
    return rng.integers(0, 256, (count, 3)).astype(np.uint8)


def _blotches(rng: np.random.Generator) -> RgbImage:
    cells = int(rng.integers(2, 30))
    picture = Image.fromarray(rng.integers(0, 256, (cells, cells, 3)).astype(np.uint8))
    return np.asarray(picture.resize((FACE_SIZE, FACE_SIZE), Image.Resampling.BICUBIC))


def _stripes(rng: np.random.Generator) -> RgbImage:
    y, x = np.mgrid[:FACE_SIZE, :FACE_SIZE]
    angle, width = rng.uniform(0, np.pi), rng.uniform(3, 40)
    return _colours(rng, 2)[((x * np.cos(angle) + y * np.sin(angle)) // width).astype(int) % 2]


def _chequers(rng: np.random.Generator) -> RgbImage:
    y, x = np.mgrid[:FACE_SIZE, :FACE_SIZE] // int(rng.integers(4, 50))
    return _colours(rng, 2)[(x + y) % 2]


def _slope(rng: np.random.Generator) -> RgbImage:
    angle, (first, last) = rng.uniform(0, np.pi), _colours(rng, 2).astype(np.float64)
    y, x = np.mgrid[:FACE_SIZE, :FACE_SIZE] / FACE_SIZE - 0.5
    share = np.clip(x * np.cos(angle) + y * np.sin(angle) + 0.5, 0, 1)[..., None]
    return (first + (last - first) * share).astype(np.uint8)


def _discs(rng: np.random.Generator) -> RgbImage:
    picture = Image.new("RGB", (FACE_SIZE, FACE_SIZE), tuple(int(v) for v in _colours(rng, 1)[0]))
    pen = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(1, 12))):
        x, y, radius = (float(v) for v in rng.uniform(0, (FACE_SIZE, FACE_SIZE, 60)))
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=tuple(int(v) for v in _colours(rng, 1)[0]))
    return np.asarray(picture)
