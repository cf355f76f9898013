"""Labels: publishers' names for what a face wears."""

import pytest

from maskdet.labels import CLASSES, LABELS, parse_label


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("with_mask", "with_mask"),
        ("WithMask", "with_mask"),
        ("  face with mask ", "with_mask"),
        ("face_with_mask", "with_mask"),
        ("masked", "with_mask"),
        ("without_mask", "without_mask"),
        ("WithoutMask", "without_mask"),
        ("Without-Mask", "without_mask"),
        ("face_no_mask", "without_mask"),
        ("NO MASK", "without_mask"),
        ("unmasked", "without_mask"),
        ("mask_weared_incorrect", "incorrect_mask"),
        ("face_with_mask_incorrect", "incorrect_mask"),
        ("incorrect_mask", "incorrect_mask"),
    ],
)
def test_publishers_names(name: str, label: str) -> None:
    assert parse_label(name) == label


@pytest.mark.parametrize("name", ["", "...", "images", "Train", "hijab_niqab", "mask_colorful", "with_masks", "口罩"])
def test_other_names_say_nothing(name: str) -> None:
    assert parse_label(name) is None


def test_every_label_is_its_own_name() -> None:
    assert [parse_label(label) for label in LABELS] == list(LABELS)


def test_the_positive_class_is_without_mask() -> None:
    assert CLASSES == ("with_mask", "without_mask")
