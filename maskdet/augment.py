"""The study's five augmentations (4.2.3) on normalised faces, and the plan by which training shows them.

Only training faces are ever augmented, and no copy is stored: training draws each when it is its turn. What a copy
looks like follows from the seed, the face's id and the method alone (and the epoch, for random variants), so the
previews of the Augmentation page are the very pixels that training sees.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final, Literal, get_args

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from maskdet.errors import MaskDetError
from maskdet.labels import CLASSES
from maskdet.photos import RgbImage

Method = Literal["flip", "rotate", "brightness", "crop", "noise"]
METHODS: Final[tuple[Method, ...]] = get_args(Method)
AugmentPlan = Literal["none", "on-the-fly", "study"]
PLANS: Final[tuple[AugmentPlan, ...]] = get_args(AugmentPlan)
#: What training shows of a face: the face as it is, a random variant of it, or a copy by one method.
Copy = Literal["original", "variant"] | Method

_NOISE_VALUES: Final = 2**21

# OpenCV would split a face among all cores, which costs more CPU time in all and takes the cores from TensorFlow, while
# whose step the next batch is made. The number is the process's; elsewhere MaskDet uses OpenCV for single photos only.
cv2.setNumThreads(1)


@dataclass(frozen=True)
class AugmentOptions:
    """Which copies training shows, and the strength of the methods.

    Attributes
    ----------
    plan : {"none", "on-the-fly", "study"}
        "study": each face as it is and one copy a method, the same in every epoch (4.2.3). "on-the-fly" (our choice):
        one random variant of each face in its place, another one in every epoch. "none": each face as it is.
    methods : tuple of str
        The methods in use, at least one; kept in the order of `METHODS` (study: all five).
    not_augmented : tuple of str
        Datasets that the study plan leaves as they are (study: 2.1, which contains augmented photos already). The
        on-the-fly plan varies them too (our choice): it makes no dataset larger, and if most faces were the same in
        every epoch, being unvaried would mark their dataset.
    rotation : float
        Largest angle in degrees, either way (study: 30).
    brightness : float
        Pixels are multiplied by a factor within 1 - brightness and 1 + brightness (the study gives no number).
    crop_keep : float
        Share of the area that a crop keeps (study: 80 %), at a random place.
    noise : float
        Standard deviation of the Gaussian noise, in 0..255 (the study gives no number).
    probability : float
        Chance of each method in a random variant (our choice: the study adds one copy a method instead).
    """

    plan: AugmentPlan = "on-the-fly"
    methods: tuple[Method, ...] = METHODS
    not_augmented: tuple[str, ...] = ("2.1",)
    rotation: float = 30.0
    brightness: float = 0.3
    crop_keep: float = 0.8
    noise: float = 8.0
    probability: float = 0.5

    def __post_init__(self) -> None:
        if self.plan not in PLANS:
            raise MaskDetError(f"The augmentation plan must be one of {', '.join(PLANS)}, not {self.plan!r}.")
        for method in self.methods:
            _require_method(method)
        if not self.methods:
            raise MaskDetError("At least one augmentation method must be on; choose the plan none for no augmentation.")
        # From JSON they are lists; one order makes equal choices equal.
        object.__setattr__(self, "methods", tuple(method for method in METHODS if method in self.methods))
        object.__setattr__(self, "not_augmented", tuple(sorted(set(self.not_augmented))))
        limits = {
            "rotation": (0, 180), "brightness": (0, 1), "crop_keep": (0.05, 1), "noise": (0, 128), "probability": (0, 1)
        }  # fmt: skip
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise MaskDetError(f"{name} must be {low} to {high}, not {getattr(self, name)}.")


def flip(image: RgbImage, rng: np.random.Generator, options: AugmentOptions) -> RgbImage:
    """Mirror left and right."""
    return np.asarray(cv2.flip(image, 1), dtype=np.uint8)


def rotate(image: RgbImage, rng: np.random.Generator, options: AugmentOptions) -> RgbImage:
    """Turn around the centre; corners take the mean colour, so that they are no cue of their own."""
    angle = rng.uniform(-options.rotation, options.rotation)
    height, width = image.shape[:2]
    turned_back = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), -angle, 1)
    return _warp(image, turned_back, cv2.BORDER_CONSTANT, cv2.mean(image))


def brightness(image: RgbImage, rng: np.random.Generator, options: AugmentOptions) -> RgbImage:
    """Multiply all pixels by one factor."""
    factor = rng.uniform(1 - options.brightness, 1 + options.brightness)
    levels = np.clip(np.arange(256) * factor + 0.5, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(image, levels), dtype=np.uint8)


def crop(image: RgbImage, rng: np.random.Generator, options: AugmentOptions) -> RgbImage:
    """Cut out a part at a random place and enlarge it to the whole again."""
    height, width = image.shape[:2]
    side = np.sqrt(options.crop_keep)
    left, top = rng.uniform(0, width * (1 - side)), rng.uniform(0, height * (1 - side))
    # Left and top are edges, and a pixel's centre lies half a pixel inside of its edge.
    origin = np.array([[side, 0, left + side / 2 - 0.5], [0, side, top + side / 2 - 0.5]])
    return _warp(image, origin, cv2.BORDER_REPLICATE)


def noise(image: RgbImage, rng: np.random.Generator, options: AugmentOptions) -> RgbImage:
    """Add Gaussian noise, independent for every value and rounded to whole levels.

    The noise is a piece of one long table from a random place on, as drawing every value anew takes 35 times as long.
    Pieces of two copies may overlap, but then not pixel by pixel: that a place comes twice has a chance of one in two
    million.
    """
    up, down = _noise_levels(options.noise, max(_NOISE_VALUES, 2 * image.size))
    begin = int(rng.integers(0, len(up) - image.size + 1))
    piece = slice(begin, begin + image.size)
    brighter = cv2.add(image, up[piece].reshape(image.shape))  # never wraps around, as no value is changed both ways
    return np.asarray(cv2.subtract(brighter, down[piece].reshape(image.shape)), dtype=np.uint8)


@lru_cache(maxsize=4)
def _noise_levels(deviation: float, count: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Noise as levels to be added and levels to be taken away; where one is above 0, the other is 0."""
    levels = np.rint(np.random.default_rng(0).standard_normal(count, np.float32) * np.float32(deviation))
    return np.clip(levels, 0, 255).astype(np.uint8), np.clip(-levels, 0, 255).astype(np.uint8)


def _warp(image: RgbImage, origin: npt.NDArray[Any], border: int, colour: Sequence[float] = ()) -> RgbImage:
    """Draw an image anew, interpolating bilinearly; ``origin`` (2, 3) maps a pixel's place to where it was before."""
    height, width = image.shape[:2]
    four = cv2.cvtColor(image, cv2.COLOR_RGB2RGBA)  # OpenCV interpolates four channels in half the time of three
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    drawn = cv2.warpAffine(four, origin, (width, height), flags=flags, borderMode=border, borderValue=colour)
    return np.asarray(cv2.cvtColor(drawn, cv2.COLOR_RGBA2RGB), dtype=np.uint8)


AUGMENTATIONS: Final[dict[Method, Callable[[RgbImage, np.random.Generator, AugmentOptions], RgbImage]]] = {
    "flip": flip,
    "rotate": rotate,
    "brightness": brightness,
    "crop": crop,
    "noise": noise,
}


def face_generator(seed: int, face_id: str, copy: Copy, epoch: int = 0) -> np.random.Generator:
    """The random generator of one copy of one face: the same on every machine, in any order and batch."""
    # The id comes last, as the only part that could hold the separator.
    digest = blake2b(f"{seed}|{epoch}|{copy}|{face_id}".encode(), digest_size=16).digest()
    return np.random.default_rng(int.from_bytes(digest, "big"))


def augment(image: RgbImage, method: Method, *, seed: int, face_id: str, options: AugmentOptions) -> RgbImage:
    """The copy of a face that one method gives, whether or not the method is on in ``options.methods``.

    Parameters
    ----------
    image : array of uint8, shape (height, width, 3)
        Is left as it was.
    seed, face_id
        With the method they decide every random choice.

    Raises
    ------
    MaskDetError
        If there is no such method.
    """
    _require_method(method)
    return AUGMENTATIONS[method](image, face_generator(seed, face_id, method), options)


def random_variant(image: RgbImage, *, seed: int, face_id: str, epoch: int, options: AugmentOptions) -> RgbImage:
    """Apply each method in use with a chance of ``options.probability``, in the order of `METHODS`.

    Parameters
    ----------
    image : array of uint8, shape (height, width, 3)
        Is left as it was.
    epoch : int
        From 0; each has its own variant.
    """
    rng = face_generator(seed, face_id, "variant", epoch)
    # A chance is drawn for every method, so that turning one off leaves the choice of the others as it was.
    for method, chosen in zip(METHODS, rng.random(len(METHODS)) < options.probability, strict=True):
        if chosen and method in options.methods:
            image = AUGMENTATIONS[method](image, rng, options)
    return image


def copies_of(dataset: str, options: AugmentOptions) -> tuple[Copy, ...]:
    """What one epoch shows of each training face of a dataset."""
    if options.plan == "on-the-fly":
        return ("variant",)
    if options.plan == "study" and dataset not in options.not_augmented:
        return ("original", *options.methods)
    return ("original",)


def epoch_copies(datasets: Sequence[str], options: AugmentOptions) -> list[tuple[int, Copy]]:
    """All copies that one epoch shows, as (position of the face, copy), for training faces of these datasets."""
    copies = {dataset: copies_of(dataset, options) for dataset in set(datasets)}
    return [(position, copy) for position, dataset in enumerate(datasets) for copy in copies[dataset]]


def draw_copy(image: RgbImage, copy: Copy, *, seed: int, face_id: str, epoch: int, options: AugmentOptions) -> RgbImage:
    """The pixels of one copy: `augment` or `random_variant`, or the face as it is."""
    if copy == "original":
        return image
    if copy == "variant":
        return random_variant(image, seed=seed, face_id=face_id, epoch=epoch, options=options)
    return augment(image, copy, seed=seed, face_id=face_id, options=options)


def set_sizes(split_table: pd.DataFrame, options: AugmentOptions) -> pd.DataFrame:
    """Sizes of the training sets under a plan (study, Figures 11 and 12).

    Parameters
    ----------
    split_table : DataFrame
        Columns pool, dataset, label and train (number of training faces), as of `maskdet.split.split_table`. Rows of
        one dataset are summed up; masks worn incorrectly, where they are a class of their own, count as none, since no
        model is trained on them.

    Returns
    -------
    DataFrame
        Columns pool, dataset, faces, original, augmented, total, with a row "Total" at the end of each pool: training
        faces; what an epoch shows of them as they are, and as augmented copies; and their sum, images an epoch in all.
        On the fly, a variant takes the place of its face, so that none is shown as it is.
    """
    rows: list[dict[str, str | int]] = []
    trained = split_table.assign(train=split_table["train"].where(split_table["label"].isin(CLASSES), 0))
    for pool, counts in trained.groupby("pool"):
        faces = counts.groupby("dataset")["train"].sum()
        pool_rows = [_size_row(str(pool), str(dataset), int(count), options) for dataset, count in faces.items()]
        sums = pd.DataFrame(pool_rows)[["faces", "original", "augmented", "total"]].sum()
        rows += [*pool_rows, {"pool": str(pool), "dataset": "Total"} | {name: int(sums[name]) for name in sums.index}]
    return pd.DataFrame(rows, columns=["pool", "dataset", "faces", "original", "augmented", "total"])


def _size_row(pool: str, dataset: str, faces: int, options: AugmentOptions) -> dict[str, str | int]:
    copies = copies_of(dataset, options)
    original = faces * copies.count("original")
    total = faces * len(copies)
    return {"pool": pool, "dataset": dataset, "faces": faces, "original": original, "augmented": total - original,
            "total": total}  # fmt: skip


def _require_method(method: str) -> None:
    if method not in METHODS:
        raise MaskDetError(f"There is no augmentation method {method!r}; choose of {', '.join(METHODS)}.")
