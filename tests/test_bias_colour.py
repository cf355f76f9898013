"""Colour: values from the standards, and the dominant colour of drawn pixels."""

import numpy as np
import pytest

from maskdet.bias.colour import chroma, difference, dominant_colours, hue_angle, near, to_lab


@pytest.mark.parametrize(
    ("rgb", "lab"),
    [
        ((255, 255, 255), (100, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
        ((255, 0, 0), (53.24, 80.09, 67.20)),  # sRGB's primaries under D65, as they stand in colour tables
        ((0, 0, 255), (32.30, 79.19, -107.86)),
    ],
)
def test_cielab_of_srgb(rgb, lab):
    assert to_lab(np.array([rgb], np.uint8))[0] == pytest.approx(lab, abs=0.05)


def test_middle_grey():
    # 119 / 255 = 0.4667; ((0.4667 + 0.055) / 1.055) ** 2.4 = 0.1845; 116 * 0.1845 ** (1 / 3) - 16 = 50.03
    assert to_lab(np.full((1, 3), 119, np.uint8))[0, 0] == pytest.approx(50.03, abs=0.02)


def test_chroma_and_hue_are_the_polar_coordinates_of_a_and_b():
    lab = np.array([(50, 3, 4), (50, 0, 10), (50, -5, 0), (50, 0, -1), (50, 1, 1)], np.float64)
    assert chroma(lab) == pytest.approx([5, 10, 5, 1, 2**0.5])
    assert hue_angle(lab) == pytest.approx([53.13, 90, 180, 270, 45], abs=0.01)


def test_difference_is_ciede2000():
    # First pair of the test data of Sharma, Wu and Dalal (2005).
    assert difference(np.array((50, 2.6772, -79.7751)), np.array((50, 0, -82.7485))) == pytest.approx(2.0425, abs=1e-4)


def test_dominant_colours_are_those_of_the_groups_and_not_between_them():
    rng = np.random.default_rng(0)
    groups = [((70, 12, 18), 300), ((20, 3, 4), 200), ((90, 0, 0), 100)]
    lab = np.concatenate([rng.normal(colour, 1, (count, 3)) for colour, count in groups])
    found = dominant_colours(lab, np.ones(len(lab)), 5)
    assert len(found) == 3
    for colour, (expected, _) in zip(found, groups, strict=True):
        assert colour == pytest.approx(expected, abs=0.7)
    assert len(dominant_colours(lab, np.ones(len(lab)), 1)) == 1


def test_weights_say_which_colour_is_dominant():
    lab = np.array([(70.0, 12, 18)] * 80 + [(20.0, 3, 4)] * 20)
    weights = np.array([1.0] * 80 + [10.0] * 20)
    assert dominant_colours(lab, weights, 1)[0] == pytest.approx((20, 3, 4))


def test_near_asks_lightness_and_colour_apart():
    lab = np.array([(50, 10, 10), (60, 10, 10), (61, 10, 10), (50, 13, 14), (50, 13.1, 14)], np.float64)
    assert near(lab, np.array((50, 10, 10)), 10, 5).tolist() == [True, True, False, True, False]
