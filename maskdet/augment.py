"""The study's five augmentations (4.2.3) on normalised faces, and the random variant that training draws each epoch.

Each method is a pure function of an image and a random generator. Only training faces are ever augmented.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np
from PIL import Image

from maskdet.errors import MaskDetError
from maskdet.photos import RgbImage

Method = Literal["flip", "rotate", "brightness", "crop", "noise"]
METHODS: Final[tuple[Method, ...]] = get_args(Method)


@dataclass(frozen=True)
class AugmentOptions:
    """Strength of the methods.

    Attributes
    ----------
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

    rotation: float = 30.0
    brightness: float = 0.3
    crop_keep: float = 0.8
    noise: float = 8.0
    probability: float = 0.5

    def __post_init__(self) -> None:
        limits = {
            "rotation": (0, 180), "brightness": (0, 1), "crop_keep": (0.05, 1), "noise": (0, 128), "probability": (0, 1)
        }  # fmt: skip
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise MaskDetError(f"{name} must be {low} to {high}, not {getattr(self, name)}.")


def flip(image: RgbImage, rng: np.random.Generator, options: AugmentOptions) -> RgbImage:
    """Mirror left and right."""
    return np.ascontiguousarray(image[:, ::-1])


def rotate(image: RgbImage, rng: np.random.Generator, options: AugmentOptions) -> RgbImage:
    """Turn around the centre; corners take the mean colour, so that they are no cue of their own."""
    angle = rng.uniform(-options.rotation, options.rotation)
    fill = tuple(int(value) for value in image.mean(axis=(0, 1)))
    turned = Image.fromarray(image).rotate(angle, Image.Resampling.BILINEAR, fillcolor=fill)
    return np.asarray(turned, dtype=np.uint8)


def brightness(image: RgbImage, rng: np.random.Generator, options: AugmentOptions) -> RgbImage:
    """Multiply all pixels by one factor."""
    factor = rng.uniform(1 - options.brightness, 1 + options.brightness)
    levels = np.clip(np.arange(256) * factor + 0.5, 0, 255).astype(np.uint8)
    return np.asarray(levels[image], dtype=np.uint8)


def crop(image: RgbImage, rng: np.random.Generator, options: AugmentOptions) -> RgbImage:
    """Cut out a part at a random place and enlarge it to the whole again."""
    height, width = image.shape[:2]
    side = np.sqrt(options.crop_keep)
    left, top = rng.uniform(0, width * (1 - side)), rng.uniform(0, height * (1 - side))
    box = (left, top, left + width * side, top + height * side)
    cut = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR, box=box)
    return np.asarray(cut, dtype=np.uint8)


def noise(image: RgbImage, rng: np.random.Generator, options: AugmentOptions) -> RgbImage:
    """Add independent Gaussian noise to every value."""
    disturbed = image + options.noise * rng.standard_normal(image.shape, dtype=np.float32)
    return np.clip(disturbed + 0.5, 0, 255).astype(np.uint8)


AUGMENTATIONS: Final[dict[Method, Callable[[RgbImage, np.random.Generator, AugmentOptions], RgbImage]]] = {
    "flip": flip,
    "rotate": rotate,
    "brightness": brightness,
    "crop": crop,
    "noise": noise,
}


def random_variant(image: RgbImage, rng: np.random.Generator, options: AugmentOptions) -> RgbImage:
    """Apply each of the five methods with a chance of ``options.probability``, in the order of `METHODS`."""
    for method, apply in zip(METHODS, rng.random(len(METHODS)) < options.probability, strict=True):
        if apply:
            image = AUGMENTATIONS[method](image, rng, options)
    return image
