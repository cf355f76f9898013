"""Sweeps: each change by itself, the table, the flip."""

import numpy as np
import pandas as pd
import pytest
from conftest import blotches

from maskdet.errors import MaskDetError
from maskdet.photos import RgbImage, normalise
from maskdet.whatif import COLUMNS, SWEEPS, flips_at, sweep, varied

BLOTCHES = np.asarray(blotches(3, (90, 120)))


def mean_less_100(faces: RgbImage) -> np.ndarray:
    """A model whose logit is the mean pixel, less 100, in tens."""
    return (faces.mean(axis=(1, 2, 3)) - 100) / 10


def grey(level: int, size: tuple[int, int] = (150, 150)) -> RgbImage:
    return np.full((*size, 3), level, np.uint8)


@pytest.mark.parametrize("name", SWEEPS)
def test_every_sweep_leaves_the_crop_alone_at_neutral_and_keeps_its_size(name: str) -> None:
    what = SWEEPS[name]
    assert what.apply(BLOTCHES, what.neutral) is BLOTCHES
    before = BLOTCHES.copy()
    for value in what.values(5):
        changed = what.apply(BLOTCHES, float(value))
        assert (changed.shape, changed.dtype) == (BLOTCHES.shape, np.uint8)
        again = what.apply(BLOTCHES, float(value))
        assert (changed == again).all()
    assert (before == BLOTCHES).all()
    far = max((what.low, what.high), key=lambda value: abs(value - what.neutral))
    # The patch that moves has left the face again at its farthest.
    assert (what.apply(BLOTCHES, far) != BLOTCHES).any() == (name != "patch-place")


@pytest.mark.parametrize("name", SWEEPS)
def test_near_neutral_little_changes(name: str) -> None:
    what = SWEEPS[name]
    off = what.neutral * 0.999 if what.in_ratios else what.neutral + 1e-3 * (what.high - what.low)
    changed = what.apply(BLOTCHES, off).astype(int)
    assert np.abs(changed - BLOTCHES).mean() < 2


def test_brightness_multiplies_and_clips() -> None:
    assert (SWEEPS["brightness"].apply(grey(100), 0.5) == 50).all()
    assert (SWEEPS["brightness"].apply(grey(100), 4.0) == 255).all()


def test_blur_is_measured_on_what_a_model_sees() -> None:
    step = grey(0)
    step[:, 75:] = 200
    large = np.repeat(np.repeat(step, 3, axis=0), 3, axis=1)
    blurred = SWEEPS["blur"].apply(step, 6.0)
    # One deviation beside an edge a Gaussian blur leaves 15.9 % of the step.
    assert blurred[75, 68].mean() == pytest.approx(200 * 0.14, abs=4)
    assert np.abs(normalise_array(SWEEPS["blur"].apply(large, 6.0)).astype(int) - blurred).max() <= 3


def normalise_array(crop: RgbImage) -> RgbImage:
    from PIL import Image

    return normalise(Image.fromarray(crop))


def test_size_loses_what_is_finer_and_is_nothing_to_a_smaller_face() -> None:
    stripes = grey(0, (100, 100))
    stripes[:, ::2] = 200
    small = SWEEPS["size"].apply(stripes, 10.0)
    np.testing.assert_allclose(small[:, 5:-5], 100, atol=3)
    assert (SWEEPS["size"].apply(stripes, 100.0) == stripes).all()
    assert (SWEEPS["size"].apply(stripes, 120.0) == stripes).all()


def test_rotation_turns_clockwise_and_the_corners_are_the_mean_colour() -> None:
    face = grey(0, (101, 101))
    face[:10] = 202  # a bright bar above: 20 is the mean
    turned = SWEEPS["rotation"].apply(face, 90.0)
    assert turned[50, -5:].min() == 202
    assert turned[50, :90].max() == 0
    assert turned[5, 50].max() == 0
    diagonal = SWEEPS["rotation"].apply(face, 45.0)
    assert diagonal[0, 0].tolist() == [20, 20, 20]


def test_the_patch_moves_down_and_the_other_grows_up() -> None:
    face = grey(0, (80, 50))

    def rows(name: str, value: float) -> list[int]:
        covered = SWEEPS[name].apply(face, value)
        assert set(np.unique(covered)) <= {0, 127}
        inside = np.flatnonzero(covered.any(axis=(1, 2)))
        return [int(inside.min()), int(inside.max())] if len(inside) else []

    assert rows("patch-place", 0.0) == [0, 9]
    assert rows("patch-place", 50.0) == [30, 49]
    assert rows("patch-place", 100.0) == [70, 79]
    assert rows("patch-place", 112.5) == []
    assert rows("patch-size", 25.0) == [60, 79]
    assert rows("patch-size", 100.0) == [0, 79]


def test_values_are_even_and_hold_the_neutral_one_once() -> None:
    assert SWEEPS["rotation"].values(5).tolist() == [-90, -45, 0, 45, 90]
    assert SWEEPS["rotation"].values(4).tolist() == [-90, -30, 0, 30, 90]
    np.testing.assert_allclose(SWEEPS["brightness"].values(6), [0.125, 0.25, 0.5, 1, 2, 4])
    assert SWEEPS["brightness"].values(6)[3] == 1.0
    for what in SWEEPS.values():
        for steps in (3, 20, 21, 101):
            values = what.values(steps)
            assert (values == what.neutral).sum() == 1
            assert (values[0], values[-1]) == pytest.approx((what.low, what.high))
            assert (np.diff(values) > 0).all()


def test_a_sweep_is_one_call_and_a_row_a_value() -> None:
    calls = []

    def judge(faces: RgbImage) -> np.ndarray:
        calls.append(faces.shape)
        return mean_less_100(faces)

    table = sweep(judge, grey(80), "brightness", steps=6)
    assert calls == [(6, 150, 150, 3)]
    assert tuple(table.columns) == COLUMNS
    np.testing.assert_allclose(table["logit"], [-9, -8, -6, -2, 6, 15.5])
    np.testing.assert_allclose(table["p_without_mask"], 1 / (1 + np.exp(-table["logit"])))
    assert table["label"].tolist() == ["with_mask"] * 4 + ["without_mask"] * 2
    assert flips_at(table, "brightness") == pytest.approx(2.0)


def test_the_flip_is_the_nearest_and_none_if_there_is_none() -> None:
    table = sweep(mean_less_100, grey(150), "brightness", steps=6)  # 150, halved 75, doubled 255
    assert flips_at(table, "brightness") == pytest.approx(0.5)
    assert flips_at(sweep(mean_less_100, grey(150), "rotation"), "rotation") is None
    both = pd.DataFrame({"value": [-20.0, -10, 0, 30], "label": ["a", "a", "b", "a"]})
    assert flips_at(both, "rotation") == -10


def test_at_neutral_a_large_crop_is_the_face_that_was_judged() -> None:
    crop = np.asarray(blotches(5, (900, 1300)))
    what = SWEEPS["blur"]
    faces = varied(crop, what, what.values(3))
    assert (faces[0] == normalise_array(crop)).all()
    assert faces.shape == (3, 150, 150, 3)


def test_what_cannot_be_varied() -> None:
    with pytest.raises(MaskDetError, match="not 'smile'"):
        sweep(mean_less_100, grey(1), "smile")
    for steps in (2, 102):
        with pytest.raises(MaskDetError, match=f"3 to 101 steps, not {steps}"):
            sweep(mean_less_100, grey(1), "blur", steps=steps)
    with pytest.raises(MaskDetError, match=r"Blur must be 0 to 12, not 13\."):
        SWEEPS["blur"].apply(grey(1), 13)
