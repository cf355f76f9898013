import numpy as np
import pytest

from maskdet.attribution import COLOUR_MAPS, Heatmap, overlay
from maskdet.attribution.heatmap import resized, scaled
from maskdet.errors import MaskDetError


def left_hot() -> Heatmap:
    values = np.zeros((10, 10), np.float32)
    values[:, :3] = 1
    return Heatmap(values, "with_mask", "x")


def test_no_evidence_is_said_not_drawn() -> None:
    empty = Heatmap(np.zeros((10, 10), np.float32), "with_mask", "conv5_relu")
    assert not empty.has_evidence
    photo = np.full((30, 40, 3), 77, np.uint8)
    shown = overlay(photo, empty)
    assert (shown == photo).all()
    assert shown is not photo


@pytest.mark.parametrize(
    ("colour_map", "hottest"),
    [
        ("inferno", (252, 255, 164)), ("viridis", (253, 231, 37)), ("cividis", (254, 232, 56)),
        ("magma", (252, 253, 191)), ("turbo", (122, 4, 2)),
    ],
)  # fmt: skip
def test_overlay_keeps_the_size_and_leaves_cold_places_clear(colour_map: str, hottest: tuple[int, ...]) -> None:
    photo = np.full((60, 80, 3), 100, np.uint8)
    hot = overlay(photo, left_hot(), 1.0, colour_map)
    assert (hot.shape, hot.dtype) == ((60, 80, 3), np.uint8)
    assert (hot[:, 48:] == 100).all()
    assert np.abs(hot[30, 4].astype(int) - hottest).max() <= 2
    assert (overlay(photo, left_hot(), 0.0, colour_map) == photo).all()


def test_half_opacity_is_half_of_both() -> None:
    photo = np.full((60, 80, 3), 100, np.uint8)
    assert np.abs(overlay(photo, left_hot(), 0.5)[30, 4].astype(int) - [176, 178, 132]).max() <= 2


def test_every_colour_map_is_offered_and_no_other() -> None:
    photo = np.zeros((4, 4, 3), np.uint8)
    assert len({overlay(photo, left_hot(), 1.0, name).tobytes() for name in COLOUR_MAPS}) == 5
    with pytest.raises(MaskDetError, match=r"must be one of inferno, .*, turbo, not 'rainbow'"):
        overlay(photo, left_hot(), colour_map="rainbow")


@pytest.mark.parametrize("opacity", [-0.1, 1.1, float("nan")])
def test_opacity_out_of_range(opacity: float) -> None:
    with pytest.raises(MaskDetError, match="opacity must be 0 to 1"):
        overlay(np.zeros((4, 4, 3), np.uint8), left_hot(), opacity)


def test_a_map_is_scaled_by_its_largest_value_or_a_percentile() -> None:
    raw = np.arange(101, dtype=np.float32).reshape(1, 101)
    assert scaled(raw)[0, [0, 50, 100]].tolist() == [0.0, 0.5, 1.0]
    assert scaled(raw, 50)[0, [0, 25, 50, 100]].tolist() == [0.0, 0.5, 1.0, 1.0]
    assert (scaled(np.full((2, 2), 1e-9, np.float32)) == 0).all()
    few = np.zeros((20, 20), np.float32)
    few[3, 4] = 2.0
    assert scaled(few, 99)[3, 4] == 1.0  # the percentile is 0; the only place that is hot is shown


def test_a_map_grows_to_the_size_of_a_photo() -> None:
    grown = resized(np.array([[0, 1], [0, 1]], np.float32), 40, 20)
    assert grown.shape == (20, 40)
    assert (grown[:, 0] == 0).all()
    assert (grown[:, -1] == 1).all()
    assert (grown.min() >= 0, grown.max() <= 1) == (True, True)
