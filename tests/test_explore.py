"""The study's tables, filters, order, export and bars, by hand."""

from collections.abc import Mapping
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from maskdet.catalog import Dataset, StudyCounts
from maskdet.errors import MaskDetError
from maskdet.explore import (
    Bars,
    FaceFilter,
    against_study,
    bin_edges,
    bounds,
    channel_bars,
    dataset_table,
    export,
    format_bars,
    in_order,
    label_bars,
    measurement_bars,
    narrow,
    parse_treatment,
    photo_bars,
    treatment_sentence,
    with_faces_in_photo,
)
from maskdet.facetable import Faces
from maskdet.labels import IncorrectMask


def table_of(*rows: Mapping[str, Any]) -> pd.DataFrame:
    """A face table with what the functions look at; what a row leaves out is the same for all."""
    common: dict[str, Any] = {
        "dataset": "a", "photo": "x.jpg", "label": "with_mask", "publisher_split": "", "sqrt_size": 100.0,
        "aspect_ratio": 1.0, "brightness": 100.0, "sharpness": 10.0, "mean_red": 10.0, "mean_green": 100.0,
        "mean_blue": 200.0, "format": "JPEG", "bytes": 1000, "shard": "s", "shard_row": 0,
    }  # fmt: skip
    return pd.DataFrame([{**common, "face_id": f"{number:03d}", **row} for number, row in enumerate(rows)])


def faces_of(table: pd.DataFrame, photos: dict[str, int]) -> Faces:
    rejects = pd.DataFrame(columns=["dataset", "photo", "reason"])
    return Faces(table, rejects, {dataset: Path("/data") / dataset for dataset in photos}, photos)


THREE = table_of(
    {"label": "with_mask"},
    {"label": "without_mask"},
    {"label": "incorrect_mask"},
    {"label": "with_mask", "dataset": "b"},
)
CATALOG = {"a": Dataset("a", "Alpha", "RMFD", "https://a.org", "CC0", study=StudyCounts(10, 4, 1))}


def test_the_table_of_datasets_knows_names_sources_and_totals() -> None:
    table = dataset_table(faces_of(THREE, {"a": 3, "b": 1}), CATALOG, "class")
    assert table.to_dict("records") == [
        {"dataset": "a", "name": "Alpha", "type": "RMFD", "photos": 3, "faces": 3, "with_mask": 1, "without_mask": 1,
         "incorrect_mask": 1, "licence": "CC0", "source": "https://a.org"},
        {"dataset": "b", "name": "b", "type": "unknown", "photos": 1, "faces": 1, "with_mask": 1, "without_mask": 0,
         "incorrect_mask": 0, "licence": "not stated", "source": ""},
        {"dataset": "Total", "name": "", "type": "", "photos": 4, "faces": 4, "with_mask": 2, "without_mask": 1,
         "incorrect_mask": 1, "licence": "", "source": ""},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("treatment", "faces", "without", "says"),
    [
        ("drop", 2, 1, "1 face whose mask is worn incorrectly is left out, since the study knows two labels only."),
        ("without_mask", 3, 2, "1 face whose mask is worn incorrectly counts as without mask."),
        ("class", 3, 1, "1 face whose mask is worn incorrectly is counted apart; the study knows no such label."),
    ],
)
def test_each_treatment_of_incorrect_masks(treatment: IncorrectMask, faces: int, without: int, says: str) -> None:
    first = dataset_table(faces_of(THREE, {"a": 3, "b": 1}), CATALOG, treatment).iloc[0]
    assert (first["faces"], first["without_mask"]) == (faces, without)
    assert treatment_sentence(THREE, treatment) == says
    assert parse_treatment(treatment) == treatment


def test_photos_of_none_but_faces_left_out_are_counted_still() -> None:
    """Of the incorrect faces two have a photo together and one its own; the last has one beside a face with a mask."""
    photos = ["1.jpg", "1.jpg", "2.jpg", "3.jpg"]
    rows = [{"label": "incorrect_mask", "photo": photo} for photo in photos] + [{"photo": "3.jpg"}]
    other = {"photo": "1.jpg", "dataset": "b"}  # of another dataset
    assert treatment_sentence(table_of(*rows, other), "drop") == (
        "4 faces whose mask is worn incorrectly are left out, since the study knows two labels only; 2 photos with no "
        "other face are still counted."
    )


def test_sentences_of_no_and_of_many_incorrect_masks() -> None:
    assert treatment_sentence(table_of({}), "drop") == "No face here is labelled as wearing its mask incorrectly."
    many = table_of(*[{"label": "incorrect_mask"}] * 1200)
    assert (
        treatment_sentence(many, "without_mask") == "1,200 faces whose mask is worn incorrectly count as without mask."
    )
    with pytest.raises(MaskDetError, match="drop, without_mask, class, not 'keep'"):
        parse_treatment("keep")


def test_what_is_loaded_beside_the_study() -> None:
    compared = against_study(faces_of(THREE, {"a": 3, "b": 1}), CATALOG, "drop")
    assert compared.to_numpy().tolist() == [
        ["a", "Alpha", "photos", 3, 10, -7],
        ["a", "Alpha", "faces", 2, 5, -3],
        ["a", "Alpha", "with_mask", 1, 4, -3],
        ["a", "Alpha", "without_mask", 1, 1, 0],
    ]
    absent = against_study(faces_of(THREE[THREE["dataset"] == "b"], {"b": 1}), CATALOG, "drop")
    assert absent["loaded"].tolist() == [0, 0, 0, 0]


MANY = table_of(
    {"dataset": "a", "photo": "Train/one.jpg", "publisher_split": "train", "sqrt_size": 10.0},
    {"dataset": "a", "photo": "Test/two.jpg", "publisher_split": "test", "sqrt_size": 20.0, "label": "without_mask"},
    {"dataset": "b", "photo": "Three (1).jpg", "sqrt_size": 30.0, "label": "incorrect_mask"},
    {"dataset": "b", "photo": "four.png", "sqrt_size": 40.0, "label": "without_mask", "brightness": 5.0},
)


@pytest.mark.parametrize(
    ("wanted", "left"),
    [
        (FaceFilter(), [0, 1, 2, 3]),
        (FaceFilter(incorrect_mask="drop"), [0, 1, 3]),
        (FaceFilter(datasets=("b",)), [2, 3]),
        (FaceFilter(labels=("without_mask",)), [1, 3]),
        (FaceFilter(labels=("without_mask",), incorrect_mask="without_mask"), [1, 2, 3]),
        (FaceFilter(labels=("incorrect_mask",), incorrect_mask="without_mask"), []),
        (FaceFilter(labels=("incorrect_mask",), incorrect_mask="drop"), []),
        (FaceFilter(splits=("train", "none")), [0, 2, 3]),
        (FaceFilter(name="T"), [0, 1, 2]),
        (FaceFilter(name="(1)"), [2]),
        (FaceFilter(ranges=(("sqrt_size", 20, 30),)), [1, 2]),
        (FaceFilter(ranges=(("sqrt_size", 20, inf), ("brightness", -inf, 50))), [3]),
        (FaceFilter(datasets=("b",), labels=("without_mask",), name="png"), [3]),
    ],
)
def test_conditions_combine(wanted: FaceFilter, left: list[int]) -> None:
    assert narrow(MANY, wanted).tolist() == left


def test_ranges_that_cannot_be() -> None:
    with pytest.raises(MaskDetError, match=r"Square-root size: the least value \(30\) is above the largest \(20\)\."):
        FaceFilter(ranges=(("sqrt_size", 30, 20),))
    with pytest.raises(MaskDetError, match="There is no measurement 'beauty'"):
        FaceFilter(ranges=(("beauty", 0, 1),))
    assert bounds(None, 3) == (-inf, 3)
    assert bounds(0, None) == (0, inf)


def test_order_is_the_same_for_equal_values() -> None:
    table = table_of({"sqrt_size": 5.0, "face_id": "b"}, {"sqrt_size": 5.0, "face_id": "a"}, {"sqrt_size": 9.0})
    everything = np.array([0, 1, 2])
    assert in_order(table, everything, "sqrt_size").tolist() == [1, 0, 2]
    assert in_order(table, everything, "sqrt_size", ascending=False).tolist() == [2, 1, 0]
    assert in_order(table, np.array([2, 0]), "sqrt_size").tolist() == [0, 2]


def test_an_export_has_both_labels_and_no_internal_columns() -> None:
    exported = export(MANY, np.array([2, 3]), "without_mask")
    assert exported["label"].tolist() == ["incorrect_mask", "without_mask"]
    assert exported["counted_as"].tolist() == ["without_mask", "without_mask"]
    assert list(exported.columns[:5]) == ["face_id", "dataset", "photo", "label", "counted_as"]
    assert not {"shard", "shard_row"} & set(exported.columns)
    assert set(MANY.columns) - set(exported.columns) == {"shard", "shard_row"}


def bars_by_name(bars: Bars) -> dict[tuple[Any, ...], int]:
    """Value of each bar by panel, series, and its tick or left edge."""
    ticks = bars.ticks
    return {
        (row.panel, row.series, ticks[round((row.left + row.right) / 2)] if ticks else round(row.left, 3)): row.value
        for row in bars.table.itertuples()
    }


def number_of(bars: Bars, panel: str, series: str, place: int = 0) -> int:
    rows = bars.table[(bars.table["panel"] == panel) & (bars.table["series"] == series)]
    return int(rows.index[place])


def test_edges_are_even_or_even_in_the_logarithm() -> None:
    assert bin_edges([0, 4], bins=4).tolist() == [0, 1, 2, 3, 4]
    assert bin_edges([0, 1, 100], log=True, bins=2) == pytest.approx([1, 10, 100])
    assert bin_edges([7, 7], bins=2).tolist() == [6.5, 7, 7.5]
    low, _, high = bin_edges([7], log=True, bins=2)
    assert low < 7 < high
    assert len(bin_edges([], bins=2)) == 3


def test_measurements_are_counted_as_numpy_counts_them() -> None:
    rng = np.random.default_rng(0)
    values = np.r_[rng.lognormal(4, 1, 500), 0.0]
    table = table_of(*({"sqrt_size": value} for value in values))
    bars = measurement_bars(table, "sqrt_size", table["label"], bins=10)
    edges = bin_edges(values, log=True, bins=10)
    expected, _ = np.histogram(np.maximum(values, edges[0]), edges)
    assert bars.table["value"].tolist() == expected[expected > 0].tolist()
    assert bars.table["left"].to_numpy() == pytest.approx(edges[:-1][expected > 0])
    for number in bars.table.index:
        inside = bars.faces_in([number])
        assert len(inside) == bars.table["value"][number]


def test_bars_are_apart_by_dataset_and_label_and_know_their_faces() -> None:
    bars = measurement_bars(MANY, "sqrt_size", MANY["label"], bins=1)
    left = 10.0
    assert bars_by_name(bars) == {
        ("a", "with_mask", left): 1, ("a", "without_mask", left): 1,
        ("b", "without_mask", left): 1, ("b", "incorrect_mask", left): 1,
    }  # fmt: skip
    assert bars.faces_in([number_of(bars, "b", "incorrect_mask")]).tolist() == [2]
    both = [number_of(bars, "a", "with_mask"), number_of(bars, "b", "without_mask")]
    assert bars.faces_in(both).tolist() == [0, 3]
    assert bars.faces_in([]).tolist() == []


def test_labels_by_dataset() -> None:
    bars = label_bars(MANY, MANY["label"].replace({"incorrect_mask": "without_mask"}))
    assert bars_by_name(bars) == {
        ("", "with_mask", "a"): 1, ("", "without_mask", "a"): 1, ("", "without_mask", "b"): 2,
    }  # fmt: skip
    assert bars.faces_in([number_of(bars, "", "without_mask", 1)]).tolist() == [2, 3]


def test_formats_by_label() -> None:
    table = table_of({"format": "PNG"}, {"format": "JPEG"}, {"format": "PNG", "label": "without_mask"})
    bars = format_bars(table, table["label"])
    assert bars_by_name(bars) == {
        ("", "with_mask", "JPEG"): 1, ("", "with_mask", "PNG"): 1, ("", "without_mask", "PNG"): 1,
    }  # fmt: skip


def test_each_face_is_in_a_bar_of_each_channel() -> None:
    table = table_of({"mean_red": 0.0, "mean_green": 100.0, "mean_blue": 255.0}, {"mean_red": 250.0})
    bars = channel_bars(table, bins=2)
    assert bars_by_name(bars) == {
        ("a", "mean_red", 0.0): 1, ("a", "mean_red", 127.5): 1, ("a", "mean_green", 0.0): 2,
        ("a", "mean_blue", 127.5): 2,
    }  # fmt: skip
    assert bars.faces_in([number_of(bars, "a", "mean_red", 1)]).tolist() == [1]
    assert bars.faces_in([number_of(bars, "a", "mean_green")]).tolist() == [0, 1]


def test_photos_are_counted_once_whatever_they_hold() -> None:
    crowd = [{"dataset": "b", "photo": "crowd.jpg"}] * 15
    table = with_faces_in_photo(
        table_of({"photo": "1.jpg"}, {"photo": "2.jpg"}, {"photo": "2.jpg"}, *crowd, {"dataset": "b", "photo": "1.jpg"})
    )
    assert table["faces_in_photo"].tolist() == [1, 2, 2, *[15] * 15, 1]
    bars = photo_bars(table)
    assert bars_by_name(bars) == {
        ("a", "photos", "1"): 1, ("a", "photos", "2"): 1, ("b", "photos", "1"): 1, ("b", "photos", "11 to 20"): 1,
    }  # fmt: skip
    assert bars.faces_in([number_of(bars, "b", "photos", 1)]).tolist() == list(range(3, 18))
    assert bars.ticks[-2:] == ("21 to 50", "above 50")


@pytest.mark.parametrize(
    ("count", "tick"), [(10, "10"), (11, "11 to 20"), (21, "21 to 50"), (50, "21 to 50"), (51, "above 50")]
)
def test_the_bars_of_crowded_photos(count: int, tick: str) -> None:
    bars = photo_bars(with_faces_in_photo(table_of(*[{}] * count)))
    assert bars_by_name(bars) == {("a", "photos", tick): 1}
