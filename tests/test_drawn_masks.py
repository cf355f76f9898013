"""Drawn masks: where they lie, how they turn with the head, and their colours; on heads of known pose."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from maskdet.detection import DetectedFace
from maskdet.drawn_masks import MASK_COLOURS, Pose, draw_mask, fit_pose, mask_variants
from maskdet.errors import MaskDetError
from maskdet.photos import Box, RgbImage

SKIN = (200, 150, 120)
#: Eyes, nose, mouth of an average head in mm.
HEAD = np.array([(-31.5, 0, 0), (31.5, 0, 0), (0, 37, 30), (-27.5, 66, 4), (27.5, 66, 4)])


def head(
    yaw: float = 0, pitch: float = 0, roll: float = 0, scale: float = 1.0, at: tuple[float, float] = (150, 120)
) -> Pose:
    turned = Rotation.from_euler("ZYX", (roll, yaw, pitch), degrees=True).as_matrix()
    return Pose(turned, scale, np.array(at, dtype=np.float64), 1.0)


def landmarks_of(pose: Pose) -> np.ndarray:
    return pose.place(HEAD)[:, :2].astype(np.float32)


def box_of(pose: Pose) -> Box:
    """Forehead to chin, cheek to cheek of a head that looks straight."""
    x, y = pose.offset
    mm = pose.scale
    return (round(x - 68 * mm), round(y - 75 * mm), round(x + 68 * mm), round(y + 113 * mm))


def plain(colour: tuple[int, int, int] = SKIN, size: tuple[int, int] = (300, 320)) -> RgbImage:
    return np.full((size[1], size[0], 3), colour, np.uint8)


def masked(pose: Pose, colour: str = "blue", photo: RgbImage | None = None) -> tuple[RgbImage, np.ndarray]:
    """The photo with a mask, and where it differs clearly from the photo without one."""
    photo = plain() if photo is None else photo
    drawn = draw_mask(photo, landmarks_of(pose), box_of(pose), colour)
    return drawn, np.abs(drawn.astype(int) - photo).max(axis=-1) > 40


@pytest.mark.parametrize(("yaw", "pitch", "roll"), [(0, 0, 0), (35, 0, 0), (-35, 0, 20), (0, 0, -60), (0, 10, 170)])
def test_the_pose_of_a_head_is_found_again(yaw: float, pitch: float, roll: float) -> None:
    pose = head(yaw, pitch, roll, scale=0.8)
    found = fit_pose(landmarks_of(pose))
    apart = Rotation.from_matrix(pose.rotation.T @ found.rotation).magnitude()
    assert np.rad2deg(apart) < 6
    assert found.scale == pytest.approx(0.8, rel=0.05)
    assert np.abs(found.place(HEAD)[:, :2] - landmarks_of(pose)).max() < 1.5


def test_a_long_face_is_a_long_face() -> None:
    pose = head()
    long = Pose(pose.rotation, pose.scale, pose.offset, 1.2)
    assert fit_pose(landmarks_of(long)).tall == pytest.approx(1.2, abs=0.06)
    assert fit_pose(landmarks_of(pose)).tall == pytest.approx(1.0, abs=0.01)


def test_nose_mouth_and_chin_are_covered_eyes_and_forehead_not() -> None:
    pose = head()
    _, where = masked(pose)
    for covered in (HEAD[2], HEAD[3], HEAD[4], (0, 108, 12), (-50, 60, 0), (50, 60, 0)):
        x, y = pose.place(np.array(covered, float))[:2].round().astype(int)
        assert where[y, x], covered
    for free in (HEAD[0], HEAD[1], (0, 5, 10), (0, -40, 0), (0, 140, 0), (-85, 60, 0), (85, 60, 0)):
        x, y = pose.place(np.array(free, float))[:2].round().astype(int)
        assert not where[y, x], free


def test_what_is_far_from_the_face_stays_as_it_was_and_so_does_the_photo() -> None:
    photo = plain()
    before = photo.copy()
    drawn, _ = masked(head(), photo=photo)
    assert (photo == before).all()
    assert (drawn.shape, drawn.dtype) == (photo.shape, np.uint8)
    assert (drawn[:110] == photo[:110]).all()
    assert (drawn[:, :40] == photo[:, :40]).all()


def test_a_head_that_looks_straight_wears_an_even_mask() -> None:
    _, where = masked(head(at=(149.5, 120)))
    assert (where != where[:, ::-1]).mean() < 0.004


def test_the_mask_rolls_with_the_head() -> None:
    _, upright = masked(head(at=(149.5, 149.5)), photo=plain(size=(300, 300)))
    pose = head(roll=90, at=(149.5, 149.5))  # the forehead points to the right, the chin to the left
    drawn = draw_mask(plain(size=(300, 300)), landmarks_of(pose), (36, 82, 225, 218), "blue")
    lying = np.abs(drawn.astype(int) - plain(size=(300, 300))).max(axis=-1) > 40
    both, either = (np.rot90(upright, -1) & lying).sum(), (np.rot90(upright, -1) | lying).sum()
    assert both / either > 0.95


def test_of_a_turned_head_the_far_cheek_is_hidden() -> None:
    pose = head(yaw=40)  # looks to the right of the picture: its nose lies there
    nose, middle = pose.place(HEAD[2])[0], pose.offset[0]
    assert nose > middle + 10
    _, where = masked(pose)
    columns = np.flatnonzero(where.any(axis=0))
    assert nose - columns.min() > 2.5 * (columns.max() - nose) > 0


def test_the_box_says_where_the_chin_is() -> None:
    pose = head()
    left, top, right, bottom = box_of(pose)

    def end(box: Box) -> int:
        drawn = draw_mask(plain(), landmarks_of(pose), box, "black")
        return int(np.flatnonzero((np.abs(drawn.astype(int) - plain()) > 40).any(axis=(1, 2))).max())

    assert end((left, top, right, bottom + 10)) - end((left, top, right, bottom - 10)) == pytest.approx(20, abs=4)


def test_colours() -> None:
    pose = head()
    photo = plain()
    photo[:40] = 255  # outside the box
    x, y = pose.place(np.array([0.0, 85, 20]))[:2].round().astype(int)
    means = {
        name: draw_mask(photo, landmarks_of(pose), box_of(pose), name)[y - 5 : y + 6, x - 20 : x + 21].mean(axis=(0, 1))
        for name in MASK_COLOURS
    }
    assert list(means) == ["white", "blue", "black", "skin"]
    assert means["white"].min() > 170
    assert np.ptp(means["white"]) < 6
    assert means["black"].max() < 45
    assert means["blue"][2] > means["blue"][1] > means["blue"][0]
    np.testing.assert_allclose(means["skin"], SKIN, rtol=0.12)


def test_skin_is_measured_on_the_face_not_on_hair_or_wall() -> None:
    pose = head()
    photo = plain((20, 20, 20))
    left, _, right, bottom = box_of(pose)
    photo[110:bottom, left:right] = (110, 75, 55)  # forehead under hair
    drawn = draw_mask(photo, landmarks_of(pose), box_of(pose), "skin")
    x, y = pose.place(np.array([0.0, 85, 20]))[:2].round().astype(int)
    np.testing.assert_allclose(drawn[y, x], (110, 75, 55), rtol=0.15)


def test_in_dim_light_a_white_mask_is_dim() -> None:
    pose = head()
    x, y = pose.place(np.array([0.0, 85, 20]))[:2].round().astype(int)
    bright, _ = masked(pose, "white", plain((230, 190, 170)))
    dim, _ = masked(pose, "white", plain((92, 76, 68)))
    assert dim[y, x].mean() < 0.55 * bright[y, x].mean()


def test_the_shade_falls_away_from_the_light() -> None:
    pose = head()
    photo = plain((140, 110, 95))
    photo[:, 150:] = (215, 170, 150)
    drawn, _ = masked(pose, "white", photo)
    row = drawn[round(pose.offset[1]) + 60]
    assert row[150 + 40].mean() > row[150 - 40].mean() + 8
    even, _ = masked(pose, "white")
    assert abs(even[180, 190].mean() - even[180, 110].mean()) < 4


def test_a_mask_is_not_flat() -> None:
    drawn, where = masked(head(), "white")
    assert drawn[where].mean(axis=-1).std() > 4


@pytest.mark.parametrize("at", [(5, 5), (295, 315), (-400, 100), (150, 900)])
def test_a_face_at_the_edge_or_beyond(at: tuple[float, float]) -> None:
    drawn, where = masked(head(at=at))
    assert drawn.shape == plain().shape
    assert where.any() == (abs(at[0]) < 300 and at[1] < 300) or at == (295, 315)


@pytest.mark.parametrize("scale", [0.1, 8.0])
def test_small_and_large_faces(scale: float) -> None:
    size = round(320 * scale)
    pose = head(scale=scale, at=(size / 2, size * 0.4))
    _, where = masked(pose, photo=plain(size=(size, size)))
    # The share of the photo does not depend on its size.
    _, usual = masked(head(at=(160, 128)), photo=plain(size=(320, 320)))
    assert where.mean() == pytest.approx(usual.mean(), rel=0.1)


def test_what_no_mask_can_be_drawn_by() -> None:
    with pytest.raises(MaskDetError, match="white, blue, black, skin, not 'pink'"):
        draw_mask(plain(), landmarks_of(head()), box_of(head()), "pink")
    for points in (np.zeros((5, 2)), np.full((5, 2), np.nan), np.zeros((4, 2))):
        with pytest.raises(MaskDetError):
            draw_mask(plain(), points, (0, 0, 10, 10), "white")


def test_variants_are_crops_of_the_masked_photo() -> None:
    pose = head()
    box = box_of(pose)
    crop: Box = (60, 20, 240, 260)
    variants = mask_variants(plain(), DetectedFace(box, 0.9, landmarks_of(pose)), crop)
    assert list(variants) == list(MASK_COLOURS)
    for name, variant in variants.items():
        whole = draw_mask(plain(), landmarks_of(pose), box, name)[20:260, 60:240]
        assert np.abs(variant.astype(int) - whole).max() <= 1


def test_a_photo_taken_as_one_face_wears_its_mask_where_faces_usually_are() -> None:
    variants = mask_variants(plain(size=(200, 220)), None, (20, 10, 180, 210))
    where = np.abs(variants["black"].astype(int) - plain(size=(160, 200))).max(axis=-1) > 40
    assert variants["black"].shape == (200, 160, 3)
    assert where[150, 80]  # the mouth, 0.76 of the height
    assert not where[: round(0.42 * 200)].any()  # the eyes lie at 0.395
    assert where.mean() == pytest.approx(0.4, abs=0.1)
