"""Apparent skin tone: formulas worked out by hand, and drawn faces of known colour."""

from dataclasses import replace

import numpy as np
import pytest

from maskdet.bias.colour import to_lab
from maskdet.bias.regions import FaceGeometry
from maskdet.bias.skin_tone import (
    CAST,
    GREY,
    NO_SKIN,
    NOT_FOUND,
    PARTS_DIFFER,
    REASONS,
    TOO_BRIGHT,
    TOO_DARK,
    TOO_SMALL,
    UNEVEN,
    SkinOptions,
    SkinTone,
    could_be_skin,
    light,
    measure_skin,
    signed_hue,
)
from maskdet.bias.tones import TONES, tone_category, typology_angle
from maskdet.errors import MaskDetError
from maskdet.looks import SKINS
from maskdet.photos import RgbImage

#: Eyes 50 px apart at row 60, the mouth 50 px below: forehead rows 18 to 39, nose root 46 to 66, cheeks 70 to 77.
GEOMETRY = FaceGeometry(
    np.array([(50.5, 60.5), (100.5, 60.5), (75.5, 88), (55.5, 110.5), (95.5, 110.5)], np.float32),
    (15.0, 5.0, 135.0, 145.0),
    found=True,
)
TAN = (180, 124, 86)
HAIR = (44, 29, 21)


def face(colour: tuple[int, int, int] = TAN) -> RgbImage:
    """A face all of one colour, on a light wall so that the photo is no dark one."""
    pixels = np.full((150, 150, 3), colour, np.uint8)
    pixels[:, :12] = (200, 210, 220)
    return pixels


def test_typology_angle():
    assert typology_angle(70, 20) == pytest.approx(45)  # atan(20 / 20)
    assert typology_angle(50, 15) == 0
    assert typology_angle(40, 10 * 3**0.5) == pytest.approx(-30)
    assert typology_angle(60, -3) == pytest.approx(90)  # no yellow at all: as light as can be
    assert np.isnan(typology_angle(float("nan"), float("nan")))


@pytest.mark.parametrize(
    ("angle", "name"),
    [(56, "very light"), (55, "light"), (41.1, "light"), (41, "intermediate"), (28, "tan"), (10.1, "tan"),
     (10, "brown"), (-29.9, "brown"), (-30, "dark"), (-90, "dark"), (float("nan"), "")],
)  # fmt: skip
def test_categories_begin_above_their_angle(angle, name):
    assert tone_category(angle) == name
    assert not name or name in TONES


def test_signed_hue_has_red_in_its_middle():
    lab = np.array([(50, 10, 1.7633), (50, 10, -1.7633), (50, -10, 0.0)])
    assert signed_hue(lab)[:2] == pytest.approx([10, -10], abs=0.01)
    assert abs(signed_hue(lab)[2]) == 180


@pytest.mark.parametrize("colour", SKINS)
def test_a_face_of_one_colour_is_measured_to_the_point(colour):
    tone = measure_skin(face(colour), GEOMETRY)
    assert tone.reason == ""
    assert tone.lab == pytest.approx(to_lab(np.array([colour], np.uint8))[0], abs=0.01)
    assert tone.share == 1


def test_measure_holds_hue_and_typology_angle():
    tone = SkinTone(70.0, 12.0, 20.0, 0.9)
    assert tone.hue == pytest.approx(59.04, abs=0.01)
    assert tone.ita == pytest.approx(45)


@pytest.mark.parametrize("exposure", [0.5, 0.75, 1.0])
def test_no_light_asks_dark_skin_for_more_colour(exposure):
    for colour in SKINS:
        dimmed = (np.array(colour) * exposure).astype(np.uint8)
        assert could_be_skin(to_lab(dimmed[None])).all(), (colour, exposure)


def test_the_same_shade_is_the_same_share_of_any_lightness():
    # L* = 116 Y^(1/3) - 16: half the light takes 1 - 0.5^(1/3) = 0.2063 from L* + 16.
    for luminance in (0.05, 0.2, 0.7):
        whole, half = (116 * (luminance * share) ** (1 / 3) - 16 for share in (1, 0.5))
        assert light(half, whole) == pytest.approx(-0.2063, abs=1e-4)


def test_white_grey_blue_and_green_are_no_skin():
    pixels = np.array([(240, 241, 240), (128, 128, 128), (128, 178, 214), (143, 191, 138), (8, 8, 8)], np.uint8)
    assert not could_be_skin(to_lab(pixels)).any()


def test_hair_on_the_forehead_is_outvoted_by_nose_and_cheeks():
    pixels = face()
    pixels[:42, 12:] = HAIR
    tone = measure_skin(pixels, GEOMETRY)
    assert tone.lab == pytest.approx(to_lab(np.array([TAN], np.uint8))[0], abs=0.01)
    assert tone.share < 0.6


def test_a_mask_worn_high_is_outvoted_by_forehead_and_nose_root():
    pixels = face()
    pixels[68:] = (205, 170, 125)  # brown cloth, of a hue that skin has
    assert measure_skin(pixels, GEOMETRY).lab == pytest.approx(to_lab(np.array([TAN], np.uint8))[0], abs=0.01)


def test_cheeks_do_not_count_where_the_forehead_shows_enough():
    pixels, shaded = face(), (170, 115, 78)
    before = measure_skin(pixels, GEOMETRY)
    pixels[68:] = shaded
    assert measure_skin(pixels, GEOMETRY) == before


def test_highlights_brows_and_specks_do_not_move_the_measure():
    pixels = face()
    pixels[25:30, 60:80] = 255
    pixels[38:46, 48:70] = HAIR
    pixels[20:24, 50:60] = (90, 120, 200)
    assert measure_skin(pixels, GEOMETRY).lab == pytest.approx(to_lab(np.array([TAN], np.uint8))[0], abs=0.01)


def greyed() -> RgbImage:
    return np.full((150, 150, 3), 130, np.uint8)


def glasses() -> RgbImage:
    pixels = face((230, 181, 150))
    pixels[43:80, 30:120] = (60, 40, 30)
    return pixels


def half_in_shadow() -> RgbImage:
    pixels = face((230, 181, 150))
    pixels[:, 75:] = (np.array((230, 181, 150)) * 0.55).astype(np.uint8)
    return pixels


def three_colours() -> RgbImage:
    pixels = face()
    pixels[:42], pixels[68:] = HAIR, (230, 190, 100)
    return pixels


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        (greyed(), GREY),
        (np.full((150, 150, 3), (40, 25, 18), np.uint8), TOO_DARK),
        (face((20, 12, 8)), TOO_DARK),
        (face((255, 254, 235)), TOO_BRIGHT),
        (face((60, 90, 200)), NO_SKIN),
        (face((200, 120, 150)), CAST),
        (three_colours(), PARTS_DIFFER),
        (glasses(), PARTS_DIFFER),
        (half_in_shadow(), UNEVEN),
    ],
)
def test_says_why_it_is_not_measurable(pixels, reason):
    tone = measure_skin(pixels, GEOMETRY)
    assert tone.reason == reason
    assert np.isnan((tone.lightness, tone.a, tone.b, tone.hue, tone.ita)).all()
    assert reason in REASONS


def test_small_faces_and_those_without_landmarks_are_not_measured():
    assert measure_skin(face(), GEOMETRY, source_side=19).reason == TOO_SMALL
    assert measure_skin(face(), GEOMETRY, source_side=20).reason == ""
    assert measure_skin(face(), FaceGeometry.usual()).reason == NOT_FOUND
    assert measure_skin(face(), FaceGeometry.usual(), options=SkinOptions(landmarks=False)).reason == ""


def test_a_forehead_outside_the_picture_shows_no_skin():
    landmarks = GEOMETRY.landmarks - np.array((0, 200), np.float32)
    above = replace(GEOMETRY, landmarks=landmarks, box=(15.0, -195.0, 135.0, -55.0))
    assert measure_skin(face(), above).reason == NO_SKIN


def test_one_side_out_of_sight_is_not_uneven():
    left_only = replace(
        GEOMETRY, landmarks=GEOMETRY.landmarks - np.array((62, 0), np.float32), box=(-47.0, 5.0, 73.0, 145.0)
    )
    pixels = np.full((150, 150, 3), TAN, np.uint8)
    pixels[:, 75:] = (200, 210, 220)
    assert measure_skin(pixels, left_only).reason == ""


@pytest.mark.parametrize("wrong", [{"least_share": 1.5}, {"hues": (90, 10)}, {"near_light": 0}, {"pixel_hues": (5, 5)}])
def test_options_that_can_never_be_met_are_refused(wrong):
    with pytest.raises(MaskDetError):
        SkinOptions(**wrong)
