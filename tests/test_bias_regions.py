"""Regions of a face, on geometries whose pixels can be told by hand."""

import numpy as np
import pytest

from maskdet.bias.regions import (
    BOX_COLUMNS,
    LANDMARK_COLUMNS,
    FaceGeometry,
    background,
    face_coordinates,
    forehead_in_picture,
    lower_face,
    middle_of_mask,
    upper_face,
)
from maskdet.errors import MaskDetError

BOX = (15.0, 5.0, 135.0, 145.0)


def geometry(
    eyes: tuple[tuple[float, float], tuple[float, float]] = ((50.5, 60.5), (100.5, 60.5)),
    mouth: tuple[tuple[float, float], tuple[float, float]] = ((55.5, 110.5), (95.5, 110.5)),
    box: tuple[float, float, float, float] = BOX,
) -> FaceGeometry:
    """Upright: the eyes 50 px apart at row 60, the mouth 50 px below them."""
    return FaceGeometry(np.array([*eyes, (75.5, 88), *mouth], np.float32), box, found=True)


def test_coordinates_are_0_between_the_eyes_and_1_at_the_mouth():
    across, down = face_coordinates(geometry())
    assert across[60, [50, 75, 100]] == pytest.approx([-0.5, 0, 0.5])
    assert down[[60, 85, 110], 75] == pytest.approx([0, 0.5, 1])
    assert np.ptp(down[60]) == pytest.approx(0)  # a row of the picture is one of the face


def test_upper_face_is_forehead_root_of_the_nose_and_cheeks_under_the_eyes():
    region = upper_face(geometry())
    # Rows from 60.5 - 0.85 * 50 = 18 to 60.5 - 0.42 * 50 = 39.5 and columns 75.5 -+ 27.5 are forehead.
    assert region[18:39, 48:103].all()
    assert not region[:17].any()
    assert not region[41:44].any()  # brows
    assert not region[60, [50, 100]].any()  # the eyes themselves
    assert region[60, 75]
    # Cheeks: 60.5 + 0.18 * 50 = 69.5 to 60.5 + 0.34 * 50 = 77.5, from 10 to 37.5 px off the middle.
    assert region[70:77, 39:65].all()
    assert region[70:77, 86:112].all()
    assert not region[70:77, 70:81].any()
    assert not region[79:].any()


@pytest.mark.parametrize(("up", "share"), [(0, 1), (-29, 0.5), (-60, 0)])
def test_how_much_of_the_forehead_the_picture_shows(up, share):
    # It is 21.5 px high, from row 18 to 39.5; 29 px further up, the picture's edge cuts it in its middle.
    given = geometry()
    box = (15.0, 5.0 + up, 135.0, 145.0 + up)
    moved = FaceGeometry(given.landmarks + np.array((0, up), np.float32), box, found=True)
    assert forehead_in_picture(moved) == pytest.approx(share, abs=0.03)


def test_lower_face_begins_higher_on_the_nose_than_on_the_cheeks():
    region = lower_face(geometry())
    assert region[77, 75]  # 60.5 + 0.32 * 50 = 76.5
    assert not region[75, 75]
    assert not region[82, 45]  # 60.5 + 0.48 * 50 = 84.5
    assert region[86, 45]
    assert region[140, 75]
    assert not (region & upper_face(geometry())).any()


def test_middle_of_the_mask_is_inside_the_lower_face():
    inner, whole = middle_of_mask(geometry()), lower_face(geometry())
    assert not (inner & ~whole).any()
    assert inner[92:128, 46:105].all()  # 60.5 + 0.62 * 50 = 91.5 to 60.5 + 1.35 * 50 = 128
    assert inner.sum() == pytest.approx(36 * 60, rel=0.05)


def test_background_is_outside_an_ellipse_a_little_larger_than_the_box():
    region = background(geometry())
    assert not region[75, 75]
    assert region[[0, 0, 149, 149], [0, 149, 0, 149]].all()
    # Half axes 1.08 * 60 = 64.8 and 1.08 * 70 = 75.6 px around (75, 75).
    assert region[75, [9, 140]].all()
    assert not region[75, [11, 138]].any()
    assert region.mean() == pytest.approx(1 - np.pi * 64.8 * 75.6 / 150**2, abs=0.01)


def test_regions_turn_with_the_face():
    upright = geometry()
    turned = FaceGeometry(
        np.stack((150 - upright.landmarks[:, 1], upright.landmarks[:, 0]), axis=1),  # a quarter turn clockwise
        (150 - BOX[3], BOX[0], 150 - BOX[1], BOX[2]),
        found=True,
    )
    for region in (upper_face, lower_face, middle_of_mask, background):
        np.testing.assert_array_equal(region(turned), np.rot90(region(upright), -1))


def test_a_head_seen_from_the_side_still_has_a_width():
    profile = geometry(eyes=((74.5, 60.5), (76.5, 60.5)))
    across, _ = face_coordinates(profile)
    assert across[60, 75 + 15] == pytest.approx(0.5)  # 0.25 of the box's 120 px stand for the distance of the eyes
    assert upper_face(profile).sum() > 300
    assert upper_face(geometry(eyes=((76.5, 60.5), (74.5, 60.5)))).sum() > 300  # eyes that changed sides


def test_usual_geometry_covers_upper_and_lower_half():
    usual = FaceGeometry.usual()
    assert not usual.found
    assert usual.landmarks.dtype == np.float32
    rows = np.flatnonzero(upper_face(usual).any(axis=1))
    assert 8 <= rows.min() <= 20
    assert rows.max() < 80
    assert np.flatnonzero(lower_face(usual).any(axis=1)).min() > 75


def test_of_reads_a_row_of_the_table():
    given = geometry()
    row = dict(zip(LANDMARK_COLUMNS, given.landmarks.ravel().tolist(), strict=True))
    row |= dict(zip(BOX_COLUMNS, BOX, strict=True)) | {"landmarks": True}
    again = FaceGeometry.of(row)
    assert again.found
    assert again.box == BOX
    np.testing.assert_array_equal(again.landmarks, given.landmarks)
    assert LANDMARK_COLUMNS[:4] == ("x0", "y0", "x1", "y1")


@pytest.mark.parametrize(
    ("landmarks", "box", "sentence"),
    [
        (np.zeros((4, 2), np.float32), BOX, "five landmarks"),
        (np.full((5, 2), np.nan, np.float32), BOX, "five landmarks"),
        (np.full((5, 2), 70, np.float32), BOX, "lie on one another"),
        (geometry().landmarks, (10.0, 10.0, 10.0, 90.0), "no area"),
    ],
)
def test_what_no_region_can_be_laid_out_by_is_refused(landmarks, box, sentence):
    with pytest.raises(MaskDetError, match=sentence):
        FaceGeometry(landmarks, box, found=True)
