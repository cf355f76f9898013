"""What a face costs on its way into training: taken from the shards, made a random variant of, labelled.

2,000 drawn faces lie in 100 shards and are taken in batches of 64 in random order, so that a batch opens about as many
files as it does among real ones; the files are in the system's cache. The augmentation has its default strength. The
baseline does the same to each face with Pillow, draws the noise with NumPy's normal generator, and reads a face with
``numpy.load(path, mmap_mode="r")[row]``. One process, no other thread; the quickest of several passes counts. Both
make the same random choices, so apart from the noise their pixels are the same but for rounding and the edge of a
turned face; the last row says by how much. Goal: at most 0.25 ms of one core a face, as the study's CNN takes
1.4 ms of two cores for one (2 cores of a Xeon with AVX-512), and training must not wait for its data.
"""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmarks.framework import Row, duration, measure
from maskdet.augment import METHODS, AugmentOptions, Method, augment, face_generator, random_variant
from maskdet.images import StoredImages, batches
from maskdet.photos import FACE_SIZE, RgbImage

_GOAL = 0.25e-3
_BATCH = 64
_FACES_OF_A_SHARD = 20
_REPEATS = 3
_OPTIONS = AugmentOptions()
_SEED = 0

Draw = Callable[[RgbImage, str], RgbImage]


def run(quick: bool) -> list[Row]:
    """The rows of the table; quick: 200 faces."""
    with TemporaryDirectory() as home:
        stored, places = store_faces(Path(home), 10 if quick else 100)
        ids = [f"drawn/{number}" for number in range(len(stored))]
        order = [np.random.default_rng(_SEED).permutation(len(stored))[at] for at in batches(len(stored), _BATCH)]
        images = stored.take(np.arange(len(stored)))

        def read(positions: npt.NDArray[np.int64]) -> RgbImage:
            return np.stack([np.load(path, mmap_mode="r")[row] for path, row in (places[at] for at in positions)])

        rows = [_row("take", lambda: deliver(order, ids, stored.take), lambda: deliver(order, ids, read), len(ids))]
        draws = {method: _method(method) for method in METHODS} | {"random variant": (variant, pillow_variant)}
        for name, (here, plain) in draws.items():
            rows.append(_row(name, _each(images, ids, here), _each(images, ids, plain), len(ids)))
        rows.append(
            _row(
                "take, random variant and label",
                lambda: deliver(order, ids, stored.take, variant),
                lambda: deliver(order, ids, read, pillow_variant),
                len(ids),
                goal=True,
            )
        )
    mean, largest = difference(images[:200], ids)
    what = f"difference of {min(200, len(ids))} random variants without noise"
    return [*rows, Row(what, f"mean {mean:.2f} of 255, within {largest:.0f} in 95 % of the values")]


def deliver(
    order: list[npt.NDArray[np.int64]],
    ids: list[str],
    take: Callable[[npt.NDArray[np.int64]], RgbImage],
    draw: Draw | None = None,
) -> None:
    """Make the batches of an epoch, one after the other."""
    labels = np.arange(len(ids)) % 2
    for positions in order:
        batch = take(positions), labels[positions].astype(np.float32)[:, None]
        if draw:
            for image, position in zip(batch[0], positions, strict=True):
                image[:] = draw(image, ids[position])


def store_faces(folder: Path, shards: int) -> tuple[StoredImages, list[tuple[Path, int]]]:
    """Drawn faces in files as a scan writes them, and the file and row of each."""
    rng = np.random.default_rng(_SEED)
    cells = rng.integers(0, 256, (_FACES_OF_A_SHARD, 10, 10, 3), dtype=np.uint8)
    size = (FACE_SIZE, FACE_SIZE)
    faces = np.stack([np.asarray(Image.fromarray(cell).resize(size, Image.Resampling.BICUBIC)) for cell in cells])
    names = [f"{number:032x}" for number in range(shards)]
    for name in names:
        np.save(folder / f"{name}.npy", faces)
    places = [(name, row) for name in names for row in range(_FACES_OF_A_SHARD)]
    shard, row = zip(*places, strict=True)
    stored = StoredImages(folder, np.array(shard, dtype=object), np.array(row))
    return stored, [(folder / f"{name}.npy", row) for name, row in places]


def variant(image: RgbImage, face_id: str) -> RgbImage:
    """What training calls."""
    return random_variant(image, seed=_SEED, face_id=face_id, epoch=0, options=_OPTIONS)


def pillow_variant(image: RgbImage, face_id: str, options: AugmentOptions = _OPTIONS) -> RgbImage:
    """The baseline: the same choices, drawn with Pillow and NumPy."""
    rng = face_generator(_SEED, face_id, "variant", 0)
    for method, chosen in zip(METHODS, rng.random(len(METHODS)) < options.probability, strict=True):
        if chosen and method in options.methods:
            image = pillow(image, method, rng)
    return image


def pillow(image: RgbImage, method: Method, rng: np.random.Generator) -> RgbImage:
    """One method of the baseline."""
    photo, (height, width) = Image.fromarray(image), image.shape[:2]
    if method == "flip":
        photo = photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    elif method == "rotate":
        angle = rng.uniform(-_OPTIONS.rotation, _OPTIONS.rotation)
        fill = tuple(int(value) for value in image.mean(axis=(0, 1)))
        photo = photo.rotate(angle, Image.Resampling.BILINEAR, fillcolor=fill)
    elif method == "brightness":
        factor = rng.uniform(1 - _OPTIONS.brightness, 1 + _OPTIONS.brightness)
        photo = photo.point([min(255, int(level * factor + 0.5)) for level in range(256)] * 3)
    elif method == "crop":
        side = np.sqrt(_OPTIONS.crop_keep)
        left, top = rng.uniform(0, width * (1 - side)), rng.uniform(0, height * (1 - side))
        box = (left, top, left + width * side, top + height * side)
        photo = photo.resize((width, height), Image.Resampling.BILINEAR, box=box)
    else:
        return np.clip(np.rint(image + rng.normal(0, _OPTIONS.noise, image.shape)), 0, 255).astype(np.uint8)
    return np.asarray(photo)


def difference(images: RgbImage, ids: list[str]) -> tuple[float, float]:
    """Absolute difference of training's variants and the baseline's, noise left out: mean and 95th percentile."""
    calm = AugmentOptions(methods=METHODS[:-1])
    distances = [
        np.abs(
            random_variant(image, seed=_SEED, face_id=face_id, epoch=0, options=calm).astype(int)
            - pillow_variant(image, face_id, calm)
        )
        for image, face_id in zip(images, ids, strict=False)
    ]
    return float(np.mean(distances)), float(np.percentile(distances, 95))


def _method(method: Method) -> tuple[Draw, Draw]:
    def here(image: RgbImage, face_id: str) -> RgbImage:
        return augment(image, method, seed=_SEED, face_id=face_id, options=_OPTIONS)

    def plain(image: RgbImage, face_id: str) -> RgbImage:
        return pillow(image, method, face_generator(_SEED, face_id, method))

    return here, plain


def _each(images: RgbImage, ids: list[str], draw: Draw) -> Callable[[], None]:
    def draw_each() -> None:
        for image, face_id in zip(images, ids, strict=True):
            draw(image, face_id)

    return draw_each


def _row(what: str, here: Callable[[], None], plain: Callable[[], None], count: int, goal: bool = False) -> Row:
    _, cost = measure(here, _REPEATS)
    _, loop = measure(plain, _REPEATS)
    return Row(
        f"{what}, per face",
        f"{duration(cost.wall / count)} (CPU {duration(cost.cpu / count)})",
        f"Pillow: {duration(loop.wall / count)} (CPU {duration(loop.cpu / count)})",
        loop.wall / cost.wall,
        "at most 0.25 ms of one core" if goal else "",
        cost.cpu / count <= _GOAL if goal else None,
    )
