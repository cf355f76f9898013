"""The pen: colours, where points land on the canvas, and what light falls on."""

import numpy as np
import pytest
from PIL import Image

from maskdet.looks import SKINS, FaceLook
from maskdet.pen import Pen, blend, mix

SQUARE = np.array([-1 - 1j, 1 - 1j, 1 + 1j, -1 + 1j])


def pen(**look: float) -> Pen:
    return Pen(Image.new("RGB", (100, 80)), FaceLook(SKINS[0], **look), 50 + 40j, 10.0)  # type: ignore[arg-type]


def test_mix_and_blend_run_from_one_colour_to_the_other() -> None:
    assert mix((0, 100, 200), (100, 200, 0), 0.25) == (25, 125, 150)
    picture = blend((0, 100, 200), (100, 200, 0), np.array([[0.0, 0.5, 1.0]]))
    assert picture.size == (3, 1)
    assert list(picture.get_flattened_data()) == [(0, 100, 200), (50, 150, 100), (100, 200, 0)]


def test_a_point_lands_at_centre_plus_unit_times_itself() -> None:
    np.testing.assert_allclose(pen().place(np.array([0j, 1, 2j])), [50 + 40j, 60 + 40j, 50 + 60j])


def test_a_tilt_turns_the_head_clockwise() -> None:
    (right,) = pen(tilt=30.0).place(np.array([1 + 0j]))
    assert right == pytest.approx(50 + 10 * 3**0.5 / 2 + 45j)


def test_a_turn_moves_the_nose_and_leaves_the_outline() -> None:
    nose, edge = pen(turn=1.0).place(np.array([0j, 1 + 0j]))
    assert nose == pytest.approx(52.2 + 40j)
    assert edge == 60 + 40j


def test_fill_paints_the_outline_and_no_more() -> None:
    drawn = pen()
    drawn.fill(SQUARE, (10, 200, 30))
    painted = np.asarray(drawn.canvas).any(axis=2)
    assert drawn.canvas.getpixel((50, 40)) == (10, 200, 30)
    assert painted[32:49, 42:59].all()
    painted[30:51, 40:61] = False
    assert not painted.any()


def test_fill_beside_the_canvas_paints_nothing() -> None:
    drawn = pen()
    drawn.fill(SQUARE + 100, (255, 255, 255))
    assert drawn.canvas.getextrema() == ((0, 0), (0, 0), (0, 0))


def test_both_paints_the_mirror_image_too() -> None:
    drawn = pen()
    drawn.both(SQUARE * 0.3 + 2, (255, 255, 255))
    assert [drawn.canvas.getpixel((x, 40)) for x in (30, 50, 70)] == [(255,) * 3, (0,) * 3, (255,) * 3]


def test_light_falls_on_lit_parts_alone() -> None:
    drawn = pen(light=60.0)
    drawn.fill(SQUARE * 9, (100, 100, 100))
    drawn.fill(SQUARE * 0.5, (100, 100, 100), lit=1)
    before = np.asarray(drawn.canvas).copy()
    drawn.shine()
    changed = (np.asarray(drawn.canvas) != before).any(axis=2)
    assert changed[36:45, 46:55].mean() > 0.5
    changed[34:47, 44:57] = False
    assert not changed.any()


def test_a_parts_texture_depends_on_the_seed_and_the_part() -> None:
    look = FaceLook(SKINS[0], grain=7)
    drawn = Pen(Image.new("RGB", (9, 9)), look, 0j, 1.0)

    def texture(part: int) -> bytes:
        paint = drawn.weave((128, 128, 128), part, (3, 3), 0.2)
        assert callable(paint)
        return paint((6, 6)).tobytes()

    assert texture(1) == texture(1) != texture(2)
