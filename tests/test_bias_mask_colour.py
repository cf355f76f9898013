"""Colours of masks, on flat and patterned cloth whose names anyone would give."""

import numpy as np
import pytest

from maskdet.bias.colour import to_lab
from maskdet.bias.mask_colour import (
    COLOURS,
    GREY_PHOTO,
    PATTERNED,
    SKIN_COLOURED,
    TOO_DARK,
    TOO_LITTLE,
    TOO_SMALL,
    MaskColourOptions,
    colour_name,
    measure_mask,
)
from maskdet.bias.regions import FaceGeometry
from maskdet.errors import MaskDetError
from maskdet.photos import RgbImage

USUAL = FaceGeometry.usual()
SKIN = (210, 156, 120)


def lab(rgb: tuple[int, int, int]) -> np.ndarray:
    return to_lab(np.array([rgb], np.uint8))[0]


def masked(cloth: tuple[int, int, int]) -> RgbImage:
    pixels = np.full((150, 150, 3), SKIN, np.uint8)
    pixels[80:] = cloth
    return pixels


@pytest.mark.parametrize(
    ("rgb", "name"),
    [
        ((244, 245, 243), "white"), ((235, 228, 214), "white"), ((128, 128, 130), "grey"), ((29, 30, 34), "black"),
        ((168, 207, 230), "blue"), ((50, 69, 110), "blue"), ((143, 191, 138), "green"), ((125, 200, 180), "green"),
        ((239, 182, 196), "red or pink"), ((122, 44, 61), "red or pink"), ((232, 200, 60), "yellow or brown"),
        ((120, 80, 45), "yellow or brown"),
    ],
)  # fmt: skip
def test_colours_have_the_names_that_people_give_them(rgb, name):
    assert colour_name(lab(rgb)) == name
    assert name in COLOURS


def test_white_in_dim_light_is_told_from_grey_by_what_is_brighter():
    cloth = lab((125, 125, 125))  # L* 52
    assert colour_name(cloth, brightest=56) == "white"
    assert colour_name(cloth, brightest=90) == "grey"
    assert colour_name(lab((60, 60, 60)), brightest=26) == "black"


def test_skin_coloured_is_measured_on_the_face_itself():
    assert colour_name(lab((200, 150, 118)), lab(SKIN)) == SKIN_COLOURED
    assert colour_name(lab((200, 150, 118)), lab((94, 59, 40))) == "yellow or brown"
    assert colour_name(lab((200, 150, 118))) == "yellow or brown"
    assert colour_name(lab((238, 232, 228)), lab((243, 225, 215))) == "white"  # on very light skin


def test_a_plain_mask_is_measured_to_the_point():
    found = measure_mask(masked((168, 207, 230)), USUAL, lab(SKIN))
    assert (found.name, found.reason) == ("blue", "")
    expected = lab((168, 207, 230))
    assert found.lightness == pytest.approx(expected[0], abs=0.01)
    assert found.chroma == pytest.approx(np.hypot(expected[1], expected[2]), abs=0.01)
    assert found.hue == pytest.approx(np.degrees(np.arctan2(expected[2], expected[1])) % 360, abs=0.01)


def test_folds_are_no_pattern_but_checks_are():
    folded = masked((168, 207, 230))
    folded[95:99] = (130, 165, 190)
    assert measure_mask(folded, USUAL, None).name == "blue"
    checks = masked((240, 240, 240))
    checks[80:][(np.indices((70, 150)) // 6).sum(axis=0) % 2 == 0] = (160, 30, 40)
    found = measure_mask(checks, USUAL, None)
    assert found.name == PATTERNED
    assert np.isnan((found.lightness, found.chroma, found.hue)).all()


def aside() -> FaceGeometry:
    """A face whose mouth lies below the picture."""
    return FaceGeometry(USUAL.landmarks + np.array((0, 60), np.float32), (12.0, 60.0, 138.0, 210.0), found=True)


@pytest.mark.parametrize(
    ("pixels", "geometry", "side", "reason"),
    [
        (masked((168, 207, 230)), USUAL, 19, TOO_SMALL),
        (np.full((150, 150, 3), 20, np.uint8), USUAL, 150, TOO_DARK),
        (np.full((150, 150, 3), 140, np.uint8), USUAL, 150, GREY_PHOTO),
        (masked((168, 207, 230)), aside(), 150, TOO_LITTLE),
    ],
)
def test_says_why_it_is_not_measurable(pixels, geometry, side, reason):
    found = measure_mask(pixels, geometry, None, side)
    assert (found.name, found.reason) == ("", reason)
    assert np.isnan((found.lightness, found.chroma, found.hue)).all()


@pytest.mark.parametrize("wrong", [{"least_share": 0}, {"near_colour": 0}, {"black_below": 70}])
def test_options_that_can_never_be_met_are_refused(wrong):
    with pytest.raises(MaskDetError):
        MaskColourOptions(**wrong)
