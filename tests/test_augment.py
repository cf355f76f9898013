"""The five augmentations: what each does to a face, what decides how, and random variants of them."""

from collections.abc import Callable
from hashlib import blake2b
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.stats import norm

from maskdet.augment import (
    AUGMENTATIONS,
    METHODS,
    AugmentOptions,
    _noise_levels,
    augment,
    brightness,
    crop,
    face_generator,
    flip,
    noise,
    random_variant,
    rotate,
)
from maskdet.errors import MaskDetError

DEFAULT = AugmentOptions()
STUDY = AugmentOptions(plan="study")


class Told:
    """A random generator whose draws are told, one a call."""

    def __init__(self, *draws: Any) -> None:
        self.draws = list(draws)

    def draw(self, *args: Any, **kwargs: Any) -> Any:
        return self.draws.pop(0)

    uniform = integers = random = draw


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def grey(level: int) -> np.ndarray:
    return np.full((150, 150, 3), level, np.uint8)


def test_the_methods_of_the_study() -> None:
    assert METHODS == ("flip", "rotate", "brightness", "crop", "noise")
    assert tuple(AUGMENTATIONS) == METHODS


# --- the methods -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("apply", AUGMENTATIONS.values())
def test_each_keeps_the_form_and_the_input_and_follows_the_generator(face: np.ndarray, apply: Callable) -> None:
    before = face.copy()
    first = apply(face, generator(5), DEFAULT)
    assert first.shape == (150, 150, 3)
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(face, before)
    np.testing.assert_array_equal(apply(face, generator(5), DEFAULT), first)
    assert (first != face).any()
    if apply is not flip:
        assert (apply(face, generator(6), DEFAULT) != first).any()


def test_flip_mirrors(face: np.ndarray) -> None:
    mirrored = flip(face, generator(), DEFAULT)
    np.testing.assert_array_equal(mirrored[10, 0], face[10, 149])
    np.testing.assert_array_equal(mirrored[:, 20], face[:, 129])
    np.testing.assert_array_equal(flip(mirrored, generator(), DEFAULT), face)


def test_flip_by_hand() -> None:
    image = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    assert flip(image, generator(), DEFAULT).tolist() == [[[3, 4, 5], [0, 1, 2]], [[9, 10, 11], [6, 7, 8]]]


def test_rotation_by_hand() -> None:
    """A quarter turn, counter-clockwise for a positive angle."""
    image = np.zeros((3, 3, 3), np.uint8)
    image[0] = [[10] * 3, [20] * 3, [30] * 3]
    image[2, 2] = 40
    assert rotate(image, Told(90.0), DEFAULT)[..., 0].tolist() == [[30, 0, 40], [20, 0, 0], [10, 0, 0]]
    assert rotate(image, Told(-90.0), DEFAULT)[..., 0].tolist() == [[0, 0, 10], [0, 0, 20], [40, 0, 30]]


@pytest.mark.parametrize("angle", [-30.0, -7.5, 12.0, 30.0])
def test_rotation_is_that_of_pillow(face: np.ndarray, angle: float) -> None:
    """But for the outermost pixels of the turned face, which OpenCV blends with the fill."""
    turned = rotate(face, Told(angle), DEFAULT).astype(int)
    fill = tuple(int(value) for value in face.mean(axis=(0, 1)))
    other = np.asarray(Image.fromarray(face).rotate(angle, Image.Resampling.BILINEAR, fillcolor=fill)).astype(int)
    assert (abs(turned - other).max(axis=-1) <= 2).mean() > 0.97
    assert abs(turned - other)[40:110, 40:110].max() <= 1


def test_rotation_by_0_is_none(face: np.ndarray) -> None:
    np.testing.assert_array_equal(rotate(face, generator(), AugmentOptions(rotation=0)), face)


def test_rotation_turns_by_at_most_the_angle_either_way() -> None:
    """A bright spot 60 px right of the centre moves on a circle; the angle it moved is that of the generator."""
    spot = grey(0)
    spot[72:78, 132:138] = 255
    angles = []
    for seed in range(40):
        turned = rotate(spot, generator(seed), DEFAULT)[..., 0]
        y, x = (float((axis * turned).sum() / turned.sum()) - 74.5 for axis in np.mgrid[:150, :150])
        assert np.hypot(x, y) == pytest.approx(60, abs=1)
        angles.append(-np.degrees(np.arctan2(y, x)))  # y points down
        assert angles[-1] == pytest.approx(generator(seed).uniform(-30, 30), abs=1)
    assert -30.5 < min(angles) < -20 < 20 < max(angles) < 30.5


def test_rotation_fills_corners_with_the_mean_colour() -> None:
    face = np.zeros((150, 150, 3), np.uint8)
    face[:, :75] = (200, 100, 40)  # half of the face, so the mean is half of it
    options = AugmentOptions(rotation=30)
    seed = next(s for s in range(99) if abs(generator(s).uniform(-30, 30)) > 15)
    turned = rotate(face, generator(seed), options)
    assert {tuple(turned[y, x].tolist()) for y in (0, 149) for x in (0, 149)} == {(100, 50, 20)}


def test_brightness_by_hand() -> None:
    image = np.array([[[0, 1, 10], [100, 200, 255]]], np.uint8)
    assert brightness(image, Told(1.25), DEFAULT).ravel().tolist() == [0, 1, 13, 125, 250, 255]
    assert brightness(image, Told(0.75), DEFAULT).ravel().tolist() == [0, 1, 8, 75, 150, 191]


@pytest.mark.parametrize("seed", range(5))
def test_brightness_multiplies(seed: int) -> None:
    factor = generator(seed).uniform(0.7, 1.3)
    for level in (0, 1, 60, 128, 190, 255):
        changed = brightness(grey(level), generator(seed), DEFAULT)
        assert np.unique(changed).tolist() == [min(255, int(level * factor + 0.5))]


def test_brightness_by_0_is_none(face: np.ndarray) -> None:
    np.testing.assert_array_equal(brightness(face, generator(), AugmentOptions(brightness=0)), face)


def test_crop_by_hand() -> None:
    """A quarter of the area is half of each side: one of four quadrants fills the whole, its neighbours are gone."""
    image = np.zeros((40, 40, 3), np.uint8)
    image[20:, :20], image[20:, 20:] = 70, 90
    quarter = AugmentOptions(crop_keep=0.25)
    for left, top, colour in ((0.0, 20.0, 70), (20.0, 20.0, 90), (20.0, 0.0, 0)):
        cut = crop(image, Told(left, top), quarter)
        assert cut.shape == (40, 40, 3)
        assert np.unique(cut[1:-1, 1:-1]).tolist() == [colour]  # the filter looks across the outermost edge


def test_crop_keeps_its_share_at_the_place_drawn() -> None:
    """On a ramp over x and one over y, the edges of the crop can be read off."""
    ramp = np.stack([*np.mgrid[:150, :150], np.zeros((150, 150))], axis=-1).astype(np.uint8)
    side = np.sqrt(0.8)
    lefts = []
    for seed in range(20):
        cut = crop(ramp, generator(seed), DEFAULT).astype(float)
        for channel, axis in ((0, 0), (1, 1)):
            low, high = np.take(cut[..., channel], 0, axis).mean(), np.take(cut[..., channel], -1, axis).mean()
            assert high - low == pytest.approx(149 * side, abs=2)
            assert low >= 0
            assert high <= 149
        lefts.append(cut[0, 0, 1])
    assert min(lefts) < 4
    assert max(lefts) > 11  # up to 150 x (1 - side) = 15.8


@pytest.mark.parametrize("place", [(0.0, 0.0), (3.25, 11.5), (15.8, 0.4)])
def test_crop_is_that_of_pillow(face: np.ndarray, place: tuple[float, float]) -> None:
    side = 150 * np.sqrt(0.8)
    box = (*place, place[0] + side, place[1] + side)
    other = np.asarray(Image.fromarray(face).resize((150, 150), Image.Resampling.BILINEAR, box=box)).astype(int)
    assert abs(crop(face, Told(*place), DEFAULT) - other).max() <= 1


def test_crop_that_keeps_all_is_none(face: np.ndarray) -> None:
    np.testing.assert_array_equal(crop(face, generator(), AugmentOptions(crop_keep=1)), face)


def test_noise_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """A piece of the table from the place drawn on, added with nothing wrapped around."""
    up, down = np.array([9, 0, 10, 0, 43, 0, 1], np.uint8), np.array([0, 0, 0, 20, 0, 7, 0], np.uint8)
    monkeypatch.setattr("maskdet.augment._noise_levels", lambda deviation, count: (up, down))
    image = np.array([[[100, 100, 100], [100, 100, 100]]], np.uint8)
    assert noise(image, Told(0), DEFAULT).ravel().tolist() == [109, 100, 110, 80, 143, 93]
    assert noise(image, Told(1), DEFAULT).ravel().tolist() == [100, 110, 80, 143, 93, 101]
    assert noise(image * 0, Told(1), DEFAULT).ravel().tolist() == [0, 10, 0, 43, 0, 1]
    assert noise(image + 150, Told(1), DEFAULT).ravel().tolist() == [250, 255, 230, 255, 243, 251]


@pytest.mark.parametrize("deviation", [1, 8, 60])
def test_noise_is_gaussian(deviation: float) -> None:
    """Of a normal variable, 68.3 % lie within one deviation, 95.4 % within two, 99.7 % within three."""
    levels = np.subtract(*(part.astype(int) for part in _noise_levels(deviation, 200_000)))
    for deviations, share in ((1, 0.683), (2, 0.954), (3, 0.997)):
        inside = norm.cdf((deviations * deviation + 0.5) / deviation) * 2 - 1  # a rounded level stands for +-0.5
        assert (abs(levels) <= deviations * deviation).mean() == pytest.approx(inside, abs=0.004)
        assert deviation < 8 or inside == pytest.approx(share, abs=0.03)
    neighbours = np.corrcoef(levels[:-1], levels[1:])[0, 1]
    assert neighbours == pytest.approx(0, abs=0.01)  # four standard errors, 4 / sqrt(200,000)


def test_noise_of_two_faces_differs() -> None:
    first, second = (noise(grey(128), generator(seed), DEFAULT).astype(float) for seed in (0, 1))
    assert np.corrcoef(first.ravel(), second.ravel())[0, 1] == pytest.approx(0, abs=0.02)


def test_noise_has_its_standard_deviation_and_no_drift() -> None:
    added = noise(grey(128), generator(), AugmentOptions(noise=8)).astype(float) - 128
    assert added.std() == pytest.approx(8, rel=0.02)
    assert added.mean() == pytest.approx(0, abs=0.1)
    assert np.corrcoef(added[..., 0].ravel(), added[..., 1].ravel())[0, 1] == pytest.approx(0, abs=0.03)


def test_noise_of_0_is_none_and_ends_stay_ends(face: np.ndarray) -> None:
    np.testing.assert_array_equal(noise(face, generator(), AugmentOptions(noise=0)), face)
    black, white = (noise(grey(level), generator(), AugmentOptions(noise=20)) for level in (0, 255))
    assert black.max() < 128 < white.min()  # clipped, never wrapped around


# --- seed, face and method decide ------------------------------------------------------------------------------------


def test_the_generator_is_a_digest_of_seed_epoch_method_and_face() -> None:
    """Worked out anew here: a change of it would change every copy that was ever shown."""
    digest = blake2b(b"7|0|flip|2.1/Train/WithMask/1.png", digest_size=16).hexdigest()
    expected = np.random.default_rng(int(digest, 16)).random(3)
    np.testing.assert_array_equal(face_generator(7, "2.1/Train/WithMask/1.png", "flip").random(3), expected)
    digest = blake2b("0|4|variant|a/Frühling '21.png".encode(), digest_size=16).hexdigest()
    expected = np.random.default_rng(int(digest, 16)).random(3)
    np.testing.assert_array_equal(face_generator(0, "a/Frühling '21.png", "variant", 4).random(3), expected)


def test_no_two_copies_share_a_generator() -> None:
    draws = {
        face_generator(seed, face_id, copy, epoch).random()
        for seed in (0, 1, 11)
        for face_id in ("a/1", "a/11", "1|a", "b/1")
        for copy in (*METHODS, "variant")
        for epoch in (0, 1, 11)
    }
    assert len(draws) == 3 * 4 * 6 * 3


@pytest.mark.parametrize("method", METHODS)
def test_same_seed_face_and_method_give_the_same_copy(face: np.ndarray, method: Any) -> None:
    before = face.copy()
    copy = augment(face, method, seed=1, face_id="a/1.png", options=DEFAULT)
    np.testing.assert_array_equal(face, before)
    for other in ("a/2.png", "a/3.png"):  # what else was drawn in between is of no matter
        augment(face, method, seed=1, face_id=other, options=DEFAULT)
    np.testing.assert_array_equal(augment(face, method, seed=1, face_id="a/1.png", options=STUDY), copy)
    np.testing.assert_array_equal(
        copy, AUGMENTATIONS[method](face, face_generator(1, "a/1.png", method), DEFAULT)
    )  # fmt: skip
    if method != "flip":
        assert (augment(face, method, seed=2, face_id="a/1.png", options=DEFAULT) != copy).any()
        assert (augment(face, method, seed=1, face_id="a/2.png", options=DEFAULT) != copy).any()


def test_an_unknown_method(face: np.ndarray) -> None:
    with pytest.raises(MaskDetError, match="no augmentation method 'blur'; choose of flip, rotate"):
        augment(face, "blur", seed=0, face_id="a", options=DEFAULT)  # type: ignore[arg-type]


# --- random variants -------------------------------------------------------------------------------------------------


def variant(image: np.ndarray, options: AugmentOptions, seed: int = 4, face_id: str = "a/1", epoch: int = 0) -> Any:
    return random_variant(image, seed=seed, face_id=face_id, epoch=epoch, options=options)


def test_random_variant_applies_none_or_all(face: np.ndarray) -> None:
    np.testing.assert_array_equal(variant(face, AugmentOptions(probability=0)), face)

    rng = face_generator(4, "a/1", "variant", 0)
    rng.random(5)
    expected = face
    for method in METHODS:
        expected = AUGMENTATIONS[method](expected, rng, DEFAULT)
    np.testing.assert_array_equal(variant(face, AugmentOptions(probability=1)), expected)


def test_random_variant_uses_the_methods_that_are_on(face: np.ndarray) -> None:
    options = AugmentOptions(probability=1, methods=("flip",))
    np.testing.assert_array_equal(variant(face, options), face[:, ::-1])


def test_random_variants_are_repeatable_and_differ(face: np.ndarray) -> None:
    options = AugmentOptions(probability=1)
    first = variant(face, options)
    np.testing.assert_array_equal(variant(face, options), first)
    for other in ({"seed": 5}, {"face_id": "a/2"}, {"epoch": 1}):
        assert (variant(face, options, **other) != first).any()


def test_random_variant_applies_each_method_by_its_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = dict.fromkeys(METHODS, 0)

    def counting(name: str) -> Callable:
        def apply(image: np.ndarray, rng: np.random.Generator, options: AugmentOptions) -> np.ndarray:
            counts[name] += 1
            return image

        return apply

    for name in METHODS:
        monkeypatch.setitem(AUGMENTATIONS, name, counting(name))
    for number in range(2000):
        variant(grey(0), AugmentOptions(probability=0.3), face_id=f"a/{number}")
    assert all(520 < count < 680 for count in counts.values())  # 600, and four standard deviations
