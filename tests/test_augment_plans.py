"""The plans of augmentation: which copies each draws of a face, how many they are, and options that are checked."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from maskdet.augment import (
    METHODS,
    AugmentOptions,
    augment,
    copies_of,
    draw_copy,
    epoch_copies,
    random_variant,
    set_sizes,
)
from maskdet.errors import MaskDetError

DEFAULT = AugmentOptions()
STUDY = AugmentOptions(plan="study")


# --- plans -----------------------------------------------------------------------------------------------------------


def test_copies_of_each_plan() -> None:
    assert copies_of("2.2", AugmentOptions(plan="none")) == ("original",)
    assert copies_of("2.2", DEFAULT) == ("variant",)
    assert copies_of("2.1", DEFAULT) == ("variant",)  # the exception is the study plan's
    assert copies_of("2.2", STUDY) == ("original", "flip", "rotate", "brightness", "crop", "noise")
    assert copies_of("2.1", STUDY) == ("original",)
    two = AugmentOptions(plan="study", methods=("noise", "flip"), not_augmented=())
    assert copies_of("2.1", two) == ("original", "flip", "noise")


def test_epoch_copies() -> None:
    options = AugmentOptions(plan="study", methods=("flip",))
    copies = [(0, "original"), (0, "flip"), (1, "original"), (2, "original"), (2, "flip")]
    assert epoch_copies(["2.2", "2.1", "2.2"], options) == copies
    assert epoch_copies(["2.2", "2.1"], DEFAULT) == [(0, "variant"), (1, "variant")]
    assert epoch_copies([], STUDY) == []


def test_draw_copy_is_the_function_of_its_kind(face: np.ndarray) -> None:
    about: dict[str, Any] = {"seed": 3, "face_id": "a/1", "options": DEFAULT}
    np.testing.assert_array_equal(draw_copy(face, "original", epoch=2, **about), face)
    np.testing.assert_array_equal(draw_copy(face, "variant", epoch=2, **about), random_variant(face, epoch=2, **about))
    for epoch in (0, 2):
        np.testing.assert_array_equal(draw_copy(face, "noise", epoch=epoch, **about), augment(face, "noise", **about))


def counts(*rows: tuple[str, str, str, int]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["pool", "dataset", "label", "train"])
    return table.assign(validation=1000, test=1000, faces=table["train"] + 2000)


def test_the_set_size_of_the_study() -> None:
    """Figure 11: of the 12,000 training faces of Dataset 1 come 60,000 copies, 72,000 in all."""
    table = counts(("pre-training", "1", "with_mask", 6000), ("pre-training", "1", "without_mask", 6000))
    of_the_study = {"faces": 12_000, "original": 12_000, "augmented": 60_000, "total": 72_000}
    rows = [{"pool": "pre-training", "dataset": name, **of_the_study} for name in ("1", "Total")]
    assert set_sizes(table, STUDY).to_dict("records") == rows


def test_set_sizes_of_each_plan() -> None:
    table = counts(
        ("main", "2.1", "with_mask", 100), ("main", "2.1", "without_mask", 20), ("main", "2.2", "with_mask", 7),
        ("main", "3.1", "with_mask", 0), ("pre-training", "1", "with_mask", 4),
    )  # fmt: skip

    def sizes(**options: Any) -> list[tuple[Any, ...]]:
        return list(set_sizes(table, AugmentOptions(**options)).itertuples(index=False, name=None))

    assert sizes(plan="study", methods=("flip", "crop")) == [
        ("main", "2.1", 120, 120, 0, 120), ("main", "2.2", 7, 7, 14, 21), ("main", "3.1", 0, 0, 0, 0),
        ("main", "Total", 127, 127, 14, 141), ("pre-training", "1", 4, 4, 8, 12),
        ("pre-training", "Total", 4, 4, 8, 12),
    ]  # fmt: skip
    assert sizes(plan="on-the-fly") == [
        ("main", "2.1", 120, 0, 120, 120), ("main", "2.2", 7, 0, 7, 7), ("main", "3.1", 0, 0, 0, 0),
        ("main", "Total", 127, 0, 127, 127), ("pre-training", "1", 4, 0, 4, 4), ("pre-training", "Total", 4, 0, 4, 4),
    ]  # fmt: skip
    assert sizes(plan="none")[3] == ("main", "Total", 127, 127, 0, 127)


@pytest.mark.parametrize("plan", ["none", "on-the-fly", "study"])
def test_set_sizes_count_what_an_epoch_shows(plan: Any) -> None:
    options = AugmentOptions(plan=plan)
    copies = epoch_copies(["2.1"] * 5 + ["2.2"] * 3, options)
    total = set_sizes(counts(("main", "2.1", "with_mask", 5), ("main", "2.2", "with_mask", 3)), options).iloc[-1]
    assert total["total"] == len(copies)
    assert total["augmented"] == sum(copy != "original" for _, copy in copies)
    assert (total["faces"], total["original"] + total["augmented"]) == (8, total["total"])


def test_set_sizes_leave_out_a_label_that_no_model_is_trained_on() -> None:
    table = counts(
        ("main", "3.2", "with_mask", 3), ("main", "3.2", "incorrect_mask", 9), ("main", "x", "incorrect_mask", 2)
    )
    assert set_sizes(table, STUDY).to_dict("records") == [
        {"pool": "main", "dataset": "3.2", "faces": 3, "original": 3, "augmented": 15, "total": 18},
        {"pool": "main", "dataset": "x", "faces": 0, "original": 0, "augmented": 0, "total": 0},
        {"pool": "main", "dataset": "Total", "faces": 3, "original": 3, "augmented": 15, "total": 18},
    ]


def test_set_sizes_without_faces() -> None:
    sizes = set_sizes(counts(), STUDY)
    assert sizes.empty
    assert list(sizes) == ["pool", "dataset", "faces", "original", "augmented", "total"]


# --- options ---------------------------------------------------------------------------------------------------------


def test_options_from_json_equal_those_that_were_written() -> None:
    given = AugmentOptions(plan="study", methods=["noise", "flip"], not_augmented=["b", "a", "b"])  # type: ignore[arg-type]
    assert given.methods == ("flip", "noise")
    assert given.not_augmented == ("a", "b")
    assert given == AugmentOptions(plan="study", methods=("flip", "noise"), not_augmented=("a", "b"))
    assert AugmentOptions().plan == "on-the-fly"
    assert AugmentOptions().methods == METHODS
    assert AugmentOptions().not_augmented == ("2.1",)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rotation": 181}, "rotation must be 0 to 180, not 181"),
        ({"rotation": -1}, "rotation must be"),
        ({"brightness": 1.1}, "brightness must be 0 to 1, not 1.1"),
        ({"crop_keep": 0.04}, "crop_keep must be 0.05 to 1, not 0.04"),
        ({"noise": 129}, "noise must be 0 to 128, not 129"),
        ({"probability": float("nan")}, "probability must be 0 to 1, not nan"),
        ({"plan": "both"}, "plan must be one of none, on-the-fly, study, not 'both'"),
        ({"methods": ("flip", "blur")}, "no augmentation method 'blur'"),
        ({"methods": ()}, "At least one augmentation method must be on; choose the plan none"),
    ],
)
def test_options_are_checked(values: dict[str, Any], message: str) -> None:
    with pytest.raises(MaskDetError, match=message):
        AugmentOptions(**values)
