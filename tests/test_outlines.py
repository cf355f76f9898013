"""Outlines: points, and the curves through them, by hand."""

import numpy as np

from maskdet.outlines import between, curve, ellipse, mirrored, outline, stroke, whole


def test_points_are_read_and_widened() -> None:
    np.testing.assert_allclose(outline("0.5-0.1i -1i 2"), [0.5 - 0.1j, -1j, 2])
    np.testing.assert_allclose(outline("0.5-0.1i -1i 2", 2.0), [1 - 0.1j, -1j, 4])


def test_between_goes_along_one_line_and_back_along_the_other() -> None:
    np.testing.assert_array_equal(between(np.array([0j, 1]), np.array([1j, 1 + 1j])), [0, 1, 1 + 1j, 1j])


def test_a_curve_passes_through_its_points() -> None:
    points = np.array([0j, 1 + 1j, 2, 3 - 1j])
    open_ended, closed = curve(points, closed=False), curve(points)
    assert len(open_ended) == 3 * 6 + 1
    assert len(closed) == 4 * 6
    np.testing.assert_allclose(open_ended[::6], points, atol=1e-12)
    np.testing.assert_allclose(closed[::6], points, atol=1e-12)


def test_a_curve_through_points_of_a_line_stays_on_it() -> None:
    straight = curve(np.array([0j, 1 + 2j, 2 + 4j]), closed=False)
    np.testing.assert_allclose(straight.imag, 2 * straight.real)
    assert (np.diff(straight.real) > 0).all()


def test_a_whole_is_its_own_mirror_image() -> None:
    half = np.array([-1j, 1 + 0j, 1j])
    for outlined in (whole(half), mirrored("-1i 1+0i 1i")):
        assert len(outlined) == 4 * 6
        mirror = -outlined.conj()
        assert all(np.abs(outlined - point).min() < 1e-9 for point in mirror)


def test_an_ellipse_has_the_radii_it_was_given() -> None:
    around = ellipse(1 + 2j, 3, 0.5) - (1 + 2j)
    np.testing.assert_allclose((around.real / 3) ** 2 + (around.imag / 0.5) ** 2, 1)


def test_a_stroke_is_as_thick_as_asked_and_thins_towards_its_ends() -> None:
    path = np.arange(10) + 0j
    even, tapered = stroke(path, 0.4, taper=False), stroke(path, 0.4)
    np.testing.assert_allclose(np.abs(even.imag), 0.2)
    np.testing.assert_allclose(even.real, [*range(10), *range(9, -1, -1)])
    assert abs(tapered[0].imag) < 0.1 < abs(tapered[4].imag) <= 0.2
