"""Looks: what is allowed, and what is drawn at random."""

from dataclasses import replace

import numpy as np
import pytest

from maskdet.looks import MASKS, SKINS, FaceLook, MaskLook, check, pick


def test_check_includes_both_ends() -> None:
    check("x", 1, 1, 2)
    check("x", 2, 1, 2)
    with pytest.raises(ValueError, match=r"x: expected 1 to 2, got 2\.5"):
        check("x", 2.5, 1, 2)


def test_pick_reaches_every_choice_and_no_other() -> None:
    rng = np.random.default_rng(0)
    assert {pick(rng, "abc") for _ in range(50)} == {"a", "b", "c"}


def test_palettes_are_the_written_colours() -> None:
    assert SKINS[0] == (0xF3, 0xCF, 0xB8)
    assert MASKS[-1] == (0xE8, 0xDC, 0xC0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"skin": (0, 0, 256)}, "skin: expected three values from 0 to 255"),
        ({"hair_style": "mohawk"}, "hair_style: expected one of bald, .*got 'mohawk'"),
        ({"scale": 3.0}, "scale: expected 0.2 to 1.5, got 3.0"),
        ({"light": float("nan")}, "light: .*got nan"),
        ({"shift": (0.0, 2.0)}, "shift: expected -1 to 1"),
        ({"walls": ((0, 0, 0), (0, 0, -1))}, "walls: expected three values"),
    ],
)
def test_look_is_checked(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FaceLook(**({"skin": SKINS[0]} | values))


def test_mask_look_is_checked() -> None:
    with pytest.raises(ValueError, match="worn: expected one of right, below_nose, below_chin, got 'upside_down'"):
        MaskLook((255, 255, 255), worn="upside_down")  # type: ignore[arg-type]


def test_random_looks_differ_only_by_the_mask() -> None:
    for seed in range(20):
        bare = FaceLook.random(np.random.default_rng(seed), mask=False)
        masked = FaceLook.random(np.random.default_rng(seed), mask=True)
        assert masked.mask is not None
        assert replace(masked, mask=None) == bare


def test_random_looks_take_the_masks_of_their_kind() -> None:
    masks = [FaceLook.random(np.random.default_rng(seed), mask=True).mask for seed in range(60)]
    assert {mask.kind for mask in masks if mask} == {"surgical", "cloth", "respirator"}
    assert {mask.worn for mask in masks if mask} == {"right"}
    assert all(mask.colour in MASKS[:6] for mask in masks if mask and mask.kind == "surgical")
    assert {mask.kind for mask in masks if mask and mask.pattern != "plain"} == {"cloth"}
