import numpy as np
import pandas as pd
import pytest

from maskdet.curves import reliability, roc_points


def judged(actual: list[int], probability: list[float]) -> pd.DataFrame:
    chance = np.array(probability, dtype=float)
    labels = np.array(["with_mask", "without_mask"])[np.array(actual, dtype=int)]
    return pd.DataFrame({"label": labels, "logit": np.log(chance / (1 - chance))})


def test_reliability_by_hand() -> None:
    curve = reliability(judged([0, 0, 1, 1, 1], [0.1, 0.2, 0.4, 0.7, 0.9]), bins=2)
    assert curve["bin_low"].tolist() == [0, 0.5]
    assert curve["bin_high"].tolist() == [0.5, 1]
    assert curve["faces"].tolist() == [3, 2]
    assert curve["mean_probability"].tolist() == pytest.approx([0.7 / 3, 0.8])
    assert curve["share"].tolist() == [1 / 3, 1]


@pytest.mark.parametrize(
    ("hits", "faces", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0000, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_the_interval_of_a_bin_is_wilsons(hits: int, faces: int, low: float, high: float) -> None:
    """The examples of Newcombe (1998), Table I, method 3."""
    curve = reliability(judged([1] * hits + [0] * (faces - hits), [0.3] * faces))
    assert curve[["share_low", "share_high"]].to_numpy().ravel() == pytest.approx([low, high], abs=5e-5)


def test_probabilities_of_0_and_1_are_in_the_outer_bins() -> None:
    faces = pd.DataFrame({"label": ["with_mask", "without_mask"], "logit": [-800.0, 800.0]})
    curve = reliability(faces, bins=10)
    assert curve["bin_low"].tolist() == [0, 0.9]
    assert curve["mean_probability"].tolist() == [0, 1]


def test_the_roc_curve_by_hand() -> None:
    points = roc_points(judged([0, 1, 0, 1], [0.1, 0.4, 0.6, 0.9]))
    assert points["threshold"].tolist() == pytest.approx([1, 0.9, 0.6, 0.4, 0.1])
    assert points["false_positive_rate"].tolist() == [0, 0, 0.5, 0.5, 1]
    assert points["true_positive_rate"].tolist() == [0, 0.5, 0.5, 1, 1]


def test_curves_of_nothing_and_of_one_label() -> None:
    assert reliability(judged([], [])).empty
    assert roc_points(judged([], [])).empty
    assert roc_points(judged([1, 1], [0.2, 0.3])).empty
