"""Portraits: a look and a size give a picture, and a mask covers what it should and nothing else."""

from dataclasses import replace

import numpy as np
import pytest

from maskdet.looks import SKINS, FaceLook, MaskLook
from maskdet.portraits import draw_face


def test_draw_face_shape_and_determinism() -> None:
    look = FaceLook(SKINS[2])
    face = draw_face(look, (90, 120))
    assert face.shape == (120, 90, 3)
    assert face.dtype == np.uint8
    assert face.std() > 15
    np.testing.assert_array_equal(face, draw_face(look, (90, 120)))
    with pytest.raises(ValueError, match="width: expected 16 to 4096, got 8"):
        draw_face(look, (8, 100))


@pytest.mark.parametrize("kind", ["surgical", "cloth", "respirator", "flat"])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_mask_changes_the_lower_face_only(kind: str, seed: int) -> None:
    bare = replace(FaceLook.random(np.random.default_rng(seed), mask=False), tilt=0, shift=(0, 0), scale=1)
    masked = replace(bare, mask=MaskLook((168, 207, 230), kind))  # type: ignore[arg-type]
    apart = np.abs(draw_face(masked, (96, 120)).astype(float) - draw_face(bare, (96, 120))).mean(axis=(1, 2))
    assert apart[:40].max() < 1
    assert apart[75:100].mean() > 10


def test_worn_wrongly_leaves_the_nose_free() -> None:
    bare = FaceLook(SKINS[4])
    for worn, free in (("below_nose", 1.35), ("below_chin", 1.8)):
        masked = replace(bare, mask=MaskLook((240, 240, 240), "surgical", worn))  # type: ignore[arg-type]
        apart = np.abs(draw_face(masked, (200, 250)).astype(float) - draw_face(bare, (200, 250))).mean(axis=2)
        middle = apart[:, 90:110].mean(axis=1)  # loops beside the face don't count
        down = 0.52 * 250 + (free - 1) * 0.9 * 200 / 1.75
        assert middle[: int(down)].max() < 3
        assert middle[int(down) :].max() > 30
