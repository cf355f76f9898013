"""Transformations: what each does to a face, and what it leaves alone; on plain and drawn faces."""

import cv2
import numpy as np
import pytest

from maskdet.bias.regions import FaceGeometry, background, lower_face, upper_face
from maskdet.bias.transformations import (
    TRANSFORMATIONS,
    mask_region,
    patch_region,
    skin_colour,
    tinted,
    transformed,
)
from maskdet.drawn_masks import MASK_COLOURS, draw_mask, light_strength
from maskdet.errors import MaskDetError
from maskdet.labels import CLASSES, WITH_MASK, WITHOUT_MASK
from maskdet.looks import FaceLook
from maskdet.photos import RgbImage
from maskdet.portraits import draw_face

USUAL = FaceGeometry.usual()
PATCHES = [name for name in TRANSFORMATIONS if "-patch-" in name]


def portrait(seed: int = 3, *, mask: bool) -> RgbImage:
    return draw_face(FaceLook.random(np.random.default_rng(seed), mask=mask), (150, 150))


def plain(level: int = 100) -> RgbImage:
    return np.full((150, 150, 3), level, np.uint8)


def changed_pixels(before: RgbImage, after: RgbImage) -> np.ndarray:
    return np.asarray((before != after).any(axis=-1))


@pytest.mark.parametrize("name", TRANSFORMATIONS)
def test_every_transformation_is_pure_and_changes_a_face(name: str) -> None:
    change = TRANSFORMATIONS[name]
    face = portrait(mask=change.applies_to == (WITH_MASK,))
    before = face.copy()
    after = change.change(face, USUAL)
    assert (after.shape, after.dtype) == ((150, 150, 3), np.uint8)
    assert (face == before).all()
    assert changed_pixels(face, after).any()
    assert (change.change(face, USUAL) == after).all()


def test_each_says_what_it_is_and_what_is_expected() -> None:
    for name, change in TRANSFORMATIONS.items():
        assert change.name == name
        assert change.title[0].isupper()
        assert change.explanation.endswith(".")
        assert set(change.applies_to) <= set(CLASSES)
        drawn_on = name.startswith("mask-")
        assert change.expected == ("with_mask" if drawn_on else "none" if name == "cover-lower-face" else "same")
        assert (change.applies_to == (WITHOUT_MASK,)) == (drawn_on or name in PATCHES)
    assert {f"mask-{colour}" for colour in MASK_COLOURS} <= set(TRANSFORMATIONS)


def test_brightness_multiplies_and_divides() -> None:
    assert (TRANSFORMATIONS["brighten"].change(plain(100), USUAL) == 150).all()
    assert (TRANSFORMATIONS["brighten"].change(plain(200), USUAL) == 255).all()
    assert (TRANSFORMATIONS["darken"].change(plain(150), USUAL) == 100).all()


def test_shrinking_and_jpeg_lose_what_is_fine() -> None:
    stripes = plain(0)
    stripes[:, ::2] = 200
    small = TRANSFORMATIONS["shrink"].change(stripes, USUAL)
    np.testing.assert_allclose(small[:, 5:-5], 100, atol=12)
    noise = np.random.default_rng(0).integers(0, 256, (150, 150, 3)).astype(np.uint8)
    assert TRANSFORMATIONS["jpeg"].change(noise, USUAL).std() < 0.8 * noise.std()
    assert np.abs(TRANSFORMATIONS["jpeg"].change(plain(), USUAL).astype(int) - 100).max() <= 2


def test_grey_keeps_lightness_alone() -> None:
    red = plain(0)
    red[..., 0] = 200
    assert TRANSFORMATIONS["grey"].change(red, USUAL)[0, 0].tolist() == [60, 60, 60]  # 0.299 of 200


def test_the_background_takes_its_own_mean_and_the_face_stays() -> None:
    face = plain(50)
    behind = background(USUAL)
    rows = np.where(np.arange(150) < 75, 10, 90)[:, None]
    face[behind] = np.broadcast_to(rows, (150, 150))[behind][:, None]
    mean = round(float(face[behind].mean()))
    after = TRANSFORMATIONS["cover-background"].change(face, USUAL)
    assert set(np.unique(after[behind])) == {mean}
    assert (after[~behind] == 50).all()


def test_the_lower_face_is_covered_in_mid_grey() -> None:
    after = TRANSFORMATIONS["cover-lower-face"].change(plain(), USUAL)
    assert (changed_pixels(plain(), after) == lower_face(USUAL)).all()
    assert set(np.unique(after[lower_face(USUAL)])) == {127}


def test_patches_have_one_size_and_shape_wherever_they_lie() -> None:
    lower, forehead, behind = (patch_region(USUAL, place) for place in ("lower-face", "forehead", "background"))
    assert forehead.sum() == pytest.approx(lower.sum(), rel=0.02)
    assert behind.sum() == pytest.approx(lower.sum(), rel=0.01)
    assert not (lower & ~lower_face(USUAL)).any()
    # Half axes of 0.55 between the eyes (57 px) and 0.33 from eyes to mouth (54.75 px).
    assert lower.sum() == pytest.approx(np.pi * 0.55 * 57 * 0.33 * 54.75, rel=0.02)
    assert (forehead & upper_face(USUAL)).sum() > 0.6 * forehead.sum()
    assert not (behind & ~background(USUAL)).any()
    assert behind[0, 0]  # the corners are farthest from the face
    assert behind[-1, -1]


def test_light_and_dark_patches_differ_in_colour_alone() -> None:
    face = plain(180)
    for place in ("lower-face", "forehead", "background"):
        light, dark = (TRANSFORMATIONS[f"{shade}-patch-{place}"].change(face, USUAL) for shade in ("light", "dark"))
        region = patch_region(USUAL, place)
        assert (changed_pixels(face, light) == region).all()
        assert (changed_pixels(face, dark) == region).all()
        strength = light_strength(face)  # (180 + 15) / 250
        assert light[region][0].tolist() == np.rint(np.array((240, 241, 240)) * strength).tolist()
        assert dark[region][0].tolist() == np.rint(np.array((34, 34, 38)) * strength).tolist()
        assert strength == pytest.approx(0.78)


def test_a_patch_turns_with_the_head_and_stays_in_the_picture() -> None:
    quarter = np.array([[0, -1], [1, 0]])
    turned = (FaceGeometry.usual().landmarks - 75) @ quarter.T + 75
    lying = FaceGeometry(turned.astype(np.float32), (0.0, 12.0, 150.0, 138.0), found=True)
    down, across = np.nonzero(patch_region(lying, "lower-face"))
    assert np.ptp(down) > 1.5 * np.ptp(across)


def moved(across: float, down: float) -> FaceGeometry:
    return FaceGeometry(USUAL.landmarks + np.array((across, down), np.float32), USUAL.box, found=True)


def test_a_patch_that_is_half_out_of_the_picture_is_not_laid() -> None:
    # The middle of the mouth is at (75, 114), the middle of the forehead at (75, 26.4).
    # 30 px lower, the line 6 of 18.07 px below the middle cuts it: 1/2 + (asin t + t sqrt(1 - t^2)) / pi, t = 0.332.
    whole, cut = (patch_region(place, "lower-face").sum() for place in (USUAL, moved(0, 30)))
    assert cut / whole == pytest.approx(0.707, abs=0.01)
    patch_region(moved(0, -25), "forehead")
    for place, geometry in (("lower-face", moved(0, 38)), ("lower-face", moved(80, 0)), ("forehead", moved(0, -28))):
        with pytest.raises(MaskDetError, match=f"no room for a patch: {place}"):
            patch_region(geometry, place)
    wide = FaceGeometry(USUAL.landmarks, (-60.0, -60.0, 210.0, 210.0), found=True)
    with pytest.raises(MaskDetError, match="no room for a patch: background"):
        patch_region(wide, "background")
    found = transformed(plain(), moved(0, -28), ["light-patch-forehead", "light-patch-lower-face"])
    assert list(found) == ["light-patch-lower-face"]


def test_drawn_masks_are_those_of_drawing_them_one_by_one() -> None:
    face = portrait(mask=False)
    names = ["mask-black", "brighten", "mask-skin"]
    found = transformed(face, USUAL, names)
    assert list(found) == names
    box = (12, 0, 138, 150)
    assert (found["mask-black"] == draw_mask(face, USUAL.landmarks, box, "black")).all()
    for name in names:
        assert (found[name] == TRANSFORMATIONS[name].change(face, USUAL)).all()


def test_where_no_mask_can_be_drawn_the_rest_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise MaskDetError("The landmarks of this face lie on one another: no mask can be drawn by them.")

    monkeypatch.setattr("maskdet.bias.transformations.mask_variants", refuse)
    assert list(transformed(plain(), USUAL, ["mask-blue", "grey"])) == ["grey"]


def test_an_unknown_transformation_is_named() -> None:
    with pytest.raises(MaskDetError, match="not 'smile'"):
        transformed(plain(), USUAL, ["smile"])


def lab(pixels: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(pixels.reshape(1, -1, 3).astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[0]


def test_a_tint_changes_the_colour_and_keeps_the_folds() -> None:
    face = plain(160)
    face[:, ::4] = 120  # folds
    region = np.zeros((150, 150), dtype=bool)
    region[60:140, 30:120] = True
    blue = tinted(face, region, (60, 90, 160))
    inner = blue[75:125, 45:105]
    light, fold = inner[0, 2], inner[0, 3]
    np.testing.assert_allclose(light, (60, 90, 160), atol=2)
    target, lit, dark = lab(np.array((60, 90, 160))), lab(np.array((160,) * 3)), lab(np.array((120,) * 3))
    # A darker colour: folds are shallower by the ratio of the two lightnesses.
    expected = target[0, 0] * dark[0, 0] / lit[0, 0]
    assert lab(fold)[0, 0] == pytest.approx(expected, abs=0.7)
    assert (blue[:50] == face[:50]).all()
    assert 0 < blue[60, 60, 0] - 60 < 100  # half way at the edge
    assert (tinted(face, np.zeros_like(region), (0, 0, 0)) == face).all()


def test_a_tint_towards_a_lighter_colour_adds_no_contrast() -> None:
    face = plain(40)
    face[:, ::4] = 30
    region = np.ones((150, 150), dtype=bool)
    white = lab(tinted(face, region, (240, 241, 240)).reshape(-1, 3))[:, 0]
    before = lab(face.reshape(-1, 3))[:, 0]
    assert np.ptp(white) == pytest.approx(np.ptp(before), abs=0.8)
    assert white.max() == pytest.approx(lab(np.array((240, 241, 240)))[0, 0], abs=0.5)


def masked_face(mask: tuple[int, int, int], skin: tuple[int, int, int] = (200, 150, 120)) -> RgbImage:
    face = np.empty((150, 150, 3), np.uint8)
    face[:] = skin
    face[85:] = mask  # a mask that begins a little lower than the lower face does
    return face


def test_the_region_of_a_mask_leaves_the_skin_out() -> None:
    region = mask_region(masked_face((60, 120, 200)), USUAL)
    assert (region == (lower_face(USUAL) & (np.arange(150)[:, None] >= 85))).mean() > 0.995
    alike = mask_region(masked_face((203, 152, 121)), USUAL)
    assert (alike == lower_face(USUAL)).all()


def test_masks_are_tinted_and_skin_is_not() -> None:
    face = masked_face((60, 120, 200))
    inside = mask_region(face, USUAL)
    skin = TRANSFORMATIONS["tint-skin"].change(face, USUAL)
    np.testing.assert_allclose(np.median(skin[inside], axis=0), (200, 150, 120), atol=2)
    assert skin_colour(face, USUAL).tolist() == [200, 150, 120]
    white, black = (TRANSFORMATIONS[f"tint-{colour}"].change(face, USUAL) for colour in ("white", "black"))
    strength = light_strength(face)
    np.testing.assert_allclose(np.median(white[inside], axis=0), np.array((240, 241, 240)) * strength, atol=2)
    np.testing.assert_allclose(np.median(black[inside], axis=0), np.array((34, 34, 38)) * strength, atol=2)
    for after in (skin, white, black):
        assert (after[:60] == face[:60]).all()


def test_on_a_drawn_portrait_the_tint_finds_the_mask() -> None:
    face = draw_mask(portrait(mask=False), USUAL.landmarks, (12, 0, 138, 150), "blue")
    black = TRANSFORMATIONS["tint-black"].change(face, USUAL)
    middle = (slice(100, 125), slice(60, 90))
    assert black[middle].mean() < 0.5 * face[middle].mean()
    assert (black[:60] == face[:60]).all()
