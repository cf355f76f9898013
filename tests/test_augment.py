"""The five augmentations: what each does to a face, and that a generator's state alone decides how."""

from collections.abc import Callable

import numpy as np
import pytest
from factories import draw_faces

from maskdet.augment import (
    AUGMENTATIONS,
    METHODS,
    AugmentOptions,
    brightness,
    crop,
    flip,
    noise,
    random_variant,
    rotate,
)
from maskdet.errors import MaskDetError

DEFAULT = AugmentOptions()


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture
def face() -> np.ndarray:
    return draw_faces([0], seed=3)[0]


def grey(level: int) -> np.ndarray:
    return np.full((150, 150, 3), level, np.uint8)


def test_the_methods_of_the_study() -> None:
    assert METHODS == ("flip", "rotate", "brightness", "crop", "noise")
    assert tuple(AUGMENTATIONS) == METHODS


@pytest.mark.parametrize("apply", [*AUGMENTATIONS.values(), random_variant])
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


@pytest.mark.parametrize("seed", range(5))
def test_brightness_multiplies(seed: int) -> None:
    factor = generator(seed).uniform(0.7, 1.3)
    for level in (0, 1, 60, 128, 190, 255):
        changed = brightness(grey(level), generator(seed), DEFAULT)
        assert np.unique(changed).tolist() == [min(255, int(level * factor + 0.5))]


def test_brightness_by_0_is_none(face: np.ndarray) -> None:
    np.testing.assert_array_equal(brightness(face, generator(), AugmentOptions(brightness=0)), face)


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


def test_crop_that_keeps_all_is_none(face: np.ndarray) -> None:
    np.testing.assert_array_equal(crop(face, generator(), AugmentOptions(crop_keep=1)), face)


def test_noise_has_its_standard_deviation_and_no_drift() -> None:
    added = noise(grey(128), generator(), AugmentOptions(noise=8)).astype(float) - 128
    assert added.std() == pytest.approx(8, rel=0.02)
    assert added.mean() == pytest.approx(0, abs=0.1)
    assert np.corrcoef(added[..., 0].ravel(), added[..., 1].ravel())[0, 1] == pytest.approx(0, abs=0.03)


def test_noise_of_0_is_none_and_ends_stay_ends(face: np.ndarray) -> None:
    np.testing.assert_array_equal(noise(face, generator(), AugmentOptions(noise=0)), face)
    black, white = (noise(grey(level), generator(), AugmentOptions(noise=20)) for level in (0, 255))
    assert black.max() < 128 < white.min()  # clipped, never wrapped around


def test_random_variant_applies_none_all_or_some(face: np.ndarray) -> None:
    np.testing.assert_array_equal(random_variant(face, generator(), AugmentOptions(probability=0)), face)

    rng = generator(4)
    rng.random(5)
    expected = face
    for method in METHODS:
        expected = AUGMENTATIONS[method](expected, rng, DEFAULT)
    np.testing.assert_array_equal(random_variant(face, generator(4), AugmentOptions(probability=1)), expected)


def test_random_variant_applies_each_method_by_its_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = dict.fromkeys(METHODS, 0)

    def counting(name: str) -> Callable:
        def apply(image: np.ndarray, rng: np.random.Generator, options: AugmentOptions) -> np.ndarray:
            counts[name] += 1
            return image

        return apply

    for name in METHODS:
        monkeypatch.setitem(AUGMENTATIONS, name, counting(name))
    rng = generator(0)
    for _ in range(2000):
        random_variant(grey(0), rng, AugmentOptions(probability=0.3))
    assert all(520 < count < 680 for count in counts.values())  # 600, and four standard deviations


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rotation": 181}, "rotation must be 0 to 180, not 181"),
        ({"rotation": -1}, "rotation must be"),
        ({"brightness": 1.1}, "brightness must be 0 to 1, not 1.1"),
        ({"crop_keep": 0.04}, "crop_keep must be 0.05 to 1, not 0.04"),
        ({"noise": 129}, "noise must be 0 to 128, not 129"),
        ({"probability": float("nan")}, "probability must be 0 to 1, not nan"),
    ],
)
def test_options_are_checked(values: dict[str, float], message: str) -> None:
    with pytest.raises(MaskDetError, match=message):
        AugmentOptions(**values)
