"""Deletion and insertion, worked out on a model that sees nothing but one part of a face."""

from typing import Any

import numpy as np
import pytest

from maskdet.attribution import Heatmap
from maskdet.attribution.faithfulness import (
    Faithfulness,
    FaithfulnessOptions,
    area,
    curves,
    deletion_insertion,
    hottest_first,
    lower_half_share,
    lower_half_shares,
    middle_spot,
    random_maps,
    replacement,
)
from maskdet.errors import MaskDetError
from maskdet.models.base import probability

OPTIONS = FaithfulnessOptions(steps=4)


def face() -> np.ndarray:
    """Black, the lowest quarter white: its mean is 64 (63.75)."""
    pixels = np.zeros((150, 150, 3), np.uint8)
    pixels[112:] = 255
    pixels[112, :75] = 0  # a quarter of 22,500 pixels exactly
    return pixels


def logits(faces: np.ndarray) -> np.ndarray:
    """4 for the white quarter as it is, 0 where it is as dark as the mean: (its mean - 64) / 191 * 4."""
    quarter = faces.reshape(len(faces), -1, 3)[:, -5625:].mean(axis=(1, 2))
    return (quarter - 64) / 191 * 4


def heat_of(rows: slice) -> Heatmap:
    values = np.zeros((150, 150), np.float32)
    values[rows] = 1
    return Heatmap(values, "without_mask", None, "occlusion")


def quarter() -> Heatmap:
    return Heatmap((face()[..., 0] / 255).astype(np.float32), "without_mask", None, "occlusion")


def test_a_perfect_map_deletes_at_once_and_inserts_at_once() -> None:
    found = deletion_insertion(logits, face(), quarter(), OPTIONS)
    sure, half = float(probability(4.0)), 0.5
    assert found.share.tolist() == [0, 0.25, 0.5, 0.75, 1]
    np.testing.assert_allclose(found.deletion, [sure, half, half, half, half], atol=1e-3)
    np.testing.assert_allclose(found.insertion, [half, sure, sure, sure, sure], atol=1e-3)
    assert found.deletion_area == pytest.approx(0.25 * (sure + half) / 2 + 0.75 * half, abs=1e-3)
    assert found.insertion_area == pytest.approx(0.25 * (sure + half) / 2 + 0.75 * sure, abs=1e-3)
    assert found.better_than_random
    assert found.p_value == 1 / 21
    assert found.gap > 0.1


def test_a_map_of_the_rest_of_the_face_is_no_better_than_random() -> None:
    found = deletion_insertion(logits, face(), heat_of(slice(0, 112)), OPTIONS)
    sure = float(probability(4.0))
    np.testing.assert_allclose(found.deletion[:3], [sure, sure, sure], atol=1e-3)
    assert not found.better_than_random
    assert (found.p_value, found.gap < 0) == (1.0, True)


def test_evidence_for_a_mask_is_the_other_probability() -> None:
    other = Heatmap(quarter().values, "with_mask", None, "occlusion")
    found = deletion_insertion(lambda faces: -logits(faces), face(), other, OPTIONS)
    assert found.deletion[0] == pytest.approx(float(probability(4.0)), abs=1e-3)
    assert found.better_than_random


def test_random_curves_have_a_band() -> None:
    found = deletion_insertion(logits, face(), quarter(), OPTIONS)
    assert found.random_deletion.shape == found.random_insertion.shape == (20, 5)
    for name in ("deletion", "insertion"):
        low, high = found.band(name)  # type: ignore[arg-type]
        assert (low <= high).all()
        assert low[0] == high[0]  # all begin with the same face
        assert low[2] < high[2]


def test_the_same_seed_gives_the_same_curves() -> None:
    one, two = (deletion_insertion(logits, face(), quarter(), OPTIONS) for _ in range(2))
    other = deletion_insertion(logits, face(), quarter(), FaithfulnessOptions(steps=4, seed=1))
    assert (one.random_deletion == two.random_deletion).all()
    assert (one.random_deletion != other.random_deletion).any()


def test_p_value_counts_random_maps_that_are_as_good() -> None:
    flat = np.linspace(0, 1, 3)
    better, worse = np.array([1.0, 0.0, 0.0]), np.array([1.0, 1.0, 0.0])
    found = Faithfulness(flat, better, worse, np.stack([worse] * 18 + [better]), np.stack([worse] * 19), worse, worse)
    assert area(better) == 0.25
    assert area(worse) == 0.75
    assert found.p_value == 2 / 20
    assert not found.better_than_random
    assert found.gap == pytest.approx(0.5 - (18 * 0 + 0.5) / 19)


def test_without_evidence_there_is_nothing_to_delete() -> None:
    empty = Heatmap(np.zeros((10, 10), np.float32), "with_mask", "conv5_relu")
    with pytest.raises(MaskDetError, match="There is no evidence for with_mask"):
        deletion_insertion(logits, face(), empty)


def test_progress_is_told_and_few_faces_are_judged_at_once() -> None:
    told: list[tuple[int, int]] = []
    sizes: list[int] = []

    def counting(faces: np.ndarray) -> Any:
        sizes.append(len(faces))
        return logits(faces)

    deletion_insertion(counting, face(), quarter(), OPTIONS, lambda done, total, text: told.append((done, total)))
    assert told[-1] == (132, 132)  # 22 maps, 3 steps between the ends, both curves
    assert sizes == [64, 64, 4, 2]


def test_curves_of_several_maps_share_their_ends() -> None:
    maps = np.stack([quarter().values, heat_of(slice(0, 75)).values])
    deletion, insertion = curves(logits, face(), maps, "without_mask", OPTIONS)
    assert deletion.shape == insertion.shape == (2, 5)
    assert deletion[0, 0] == deletion[1, 0] == insertion[0, -1]


def test_equally_hot_pixels_come_in_random_order() -> None:
    ranks = hottest_first(np.array([[0.0, 1.0], [0.0, 0.5]]), np.random.default_rng(0))
    assert (ranks[0, 1], ranks[1, 1], {ranks[0, 0], ranks[1, 0]}) == (0, 1, {2, 3})
    flat = hottest_first(np.zeros((50, 50)), np.random.default_rng(0))
    assert sorted(flat.ravel()) == list(range(2500))
    assert 1000 < flat[:25].mean() < 1500  # not row by row


def test_random_maps_are_smooth_and_seeded() -> None:
    maps = random_maps(OPTIONS, 3)
    assert maps.shape == (3, 150, 150)
    assert (maps == random_maps(OPTIONS, 3)).all()
    neighbours = np.abs(np.diff(maps, axis=1)).mean()
    assert neighbours < maps.std() / 5


def test_what_takes_the_place_of_pixels() -> None:
    mean = replacement(face(), OPTIONS)
    assert (mean == 64).all()
    blurred = replacement(face(), FaithfulnessOptions(fill="blur"))
    assert (blurred[0].max(), blurred[-1].min()) == (0, 255)
    assert 100 < blurred[112].mean() < 155


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fill": "black"}, "fill must be one of blur, mean, not 'black'"),
        ({"steps": 1}, "steps must be at least 2, not 1"),
        ({"blur": 0.0}, "blur and smoothness must be above 0"),
        ({"smoothness": float("nan")}, "blur and smoothness must be above 0"),
        ({"random_maps": 18}, "random_maps must be at least 19, not 18"),
    ],
)
def test_options_out_of_range(change: dict[str, Any], message: str) -> None:
    with pytest.raises(MaskDetError, match=message):
        FaithfulnessOptions(**change)


def test_share_of_heat_on_the_lower_half() -> None:
    raw = np.array([[[1, 1], [1, 1]], [[0, 0], [2, 1]], [[3, 0], [1, 0]], [[0, 0], [0, 0]]], np.float32)
    np.testing.assert_allclose(lower_half_shares(raw), [0.5, 1.0, 0.25, np.nan])
    odd = np.array([[[1], [2], [5]]], np.float32)  # the middle row counts half: (1 + 5) / 8
    np.testing.assert_allclose(lower_half_shares(odd), [0.75])
    assert lower_half_share(heat_of(slice(100, 150))) == 1.0
    assert np.isnan(lower_half_share(Heatmap(np.zeros((3, 3), np.float32), "with_mask", None)))


def test_a_map_is_compared_with_a_spot_in_the_middle() -> None:
    """Which is far from the white quarter; of what lies in the middle, it is the better map."""
    assert deletion_insertion(logits, face(), quarter(), OPTIONS).better_than_middle
    spot = middle_spot()
    assert (spot.shape, spot.argmax() // 150 in (74, 75), spot.max() <= 1) == ((150, 150), True, True)
    np.testing.assert_allclose(spot[74, 44], np.exp(-0.5 * (30.5**2 + 0.5**2) / 900))
    middle = np.zeros((150, 150, 3), np.uint8)
    middle[38:113, 38:113] = 255

    def sees_the_middle(faces: np.ndarray) -> np.ndarray:
        return (faces[:, 38:113, 38:113].mean(axis=(1, 2, 3)) - 64) / 191 * 4

    found = deletion_insertion(sees_the_middle, middle, heat_of(slice(38, 113)), OPTIONS)
    assert found.better_than_random
    assert not found.better_than_middle
