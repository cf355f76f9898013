"""Decisions by hand and the filters: faces kept, dropped and relabelled, and which copy survives them."""

from pathlib import Path
from typing import Any

import pandas as pd
from factories import CATALOG, hexadecimal, make_faces

from maskdet.facetable import Faces
from maskdet.quality import FilterOptions, apply_filters
from maskdet.review import duplicate_clusters
from maskdet.split import split_faces

COPY = hexadecimal(0x0F0F_3333_5555_00FF)


def test_a_conflict_is_settled_by_dropping_the_wrong_label_by_hand() -> None:
    faces = make_faces(
        {"face_id": "x", "phash": COPY},
        {"face_id": "y", "phash": COPY, "label": "without_mask"},
        {"face_id": "z", "phash": COPY},
    )
    options = FilterOptions(conflicts=True)
    assert apply_filters(faces, options).table["removed_by"].tolist() == ["conflict"] * 3
    assert apply_filters(faces, options, {"y": "drop"}).table["removed_by"].tolist() == ["", "by_hand", "duplicate"]


def test_decisions_by_hand() -> None:
    faces = make_faces(
        {"face_id": "big", "phash": COPY, "width": 300},
        {"face_id": "kept", "phash": COPY},
        {"face_id": "dark", "mean_red": 1.0},
        {"face_id": "good"},
        {"face_id": "wrong", "label": "incorrect_mask"},
    )
    decisions: Any = {"kept": "keep", "dark": "keep", "good": "drop", "wrong": "keep", "gone": "drop"}
    filtered = apply_filters(faces, None, decisions)
    table = filtered.table.set_index("face_id")
    assert table["removed_by"].to_dict() == {
        "big": "duplicate", "kept": "", "dark": "", "good": "by_hand", "wrong": "incorrect_mask"
    }  # fmt: skip
    assert table.loc["big", "kept_face"] == "kept"
    assert filtered.decisions == decisions


def test_a_label_given_by_hand_counts_before_anything_looks_at_labels() -> None:
    faces = make_faces(
        {"face_id": "wrong", "label": "incorrect_mask"},
        {"face_id": "right", "label": "with_mask"},
        {"face_id": "sure", "label": "without_mask"},
        {"face_id": "dark", "label": "with_mask", "mean_red": 1.0},
    )
    decisions: Any = {
        "wrong": "with_mask", "right": "incorrect_mask", "sure": "confirm", "dark": "without_mask", "gone": "with_mask"
    }  # fmt: skip
    before = faces.table.copy()
    table = apply_filters(faces, None, decisions).table.set_index("face_id")
    assert table["label"].to_dict() == {
        "wrong": "with_mask", "right": "incorrect_mask", "sure": "without_mask", "dark": "without_mask"
    }  # fmt: skip
    assert table["removed_by"].to_dict() == {"wrong": "", "right": "incorrect_mask", "sure": "", "dark": "rgb"}
    counted = apply_filters(faces, FilterOptions(incorrect_mask="without_mask"), decisions).table.set_index("face_id")
    assert counted.loc[["wrong", "right"], "label"].tolist() == ["with_mask", "without_mask"]
    pd.testing.assert_frame_equal(faces.table, before)  # the scan's labels stay


def test_relabelling_settles_a_conflict() -> None:
    rows = [{"face_id": name, "phash": COPY} for name in "xyz"]
    rows[0]["label"] = "without_mask"
    faces, options = make_faces(*rows), FilterOptions(conflicts=True)
    assert apply_filters(faces, options).table["removed_by"].tolist() == ["conflict"] * 3
    settled = apply_filters(faces, options, {"x": "with_mask"}).table
    assert settled["removed_by"].tolist() == ["", "duplicate", "duplicate"]
    assert apply_filters(faces, options, {"x": "confirm"}).table["removed_by"].tolist() == ["conflict"] * 3


def test_the_surviving_copy_is_chosen_by_the_new_labels() -> None:
    """Of copies as large as each other, one stays whose label most of them have: first y and z, then x and y."""
    rows = [{"face_id": name, "phash": COPY, "label": "without_mask"} for name in "xyz"]
    rows[0]["label"] = "with_mask"
    assert apply_filters(make_faces(*rows)).table["removed_by"].tolist() == ["duplicate", "", "duplicate"]
    relabelled = apply_filters(make_faces(*rows), None, {"x": "without_mask", "z": "with_mask"}).table
    assert relabelled["removed_by"].tolist() == ["", "duplicate", "duplicate"]


def test_a_new_label_reaches_the_split() -> None:
    faces = make_faces(*({"label": "without_mask" if number % 2 else "with_mask"} for number in range(40)))
    first = str(faces.table["face_id"].iloc[0])
    filtered = apply_filters(faces, None, {first: "without_mask"})
    split = split_faces(faces, filtered, CATALOG)
    assert split.table.set_index("face_id").loc[first, "label"] == "without_mask"
    assert split.table["label"].value_counts().to_dict() == {"without_mask": 21, "with_mask": 19}
    assert split.fingerprint != split_faces(faces, apply_filters(faces), CATALOG).fingerprint
    confirmed = split_faces(faces, apply_filters(faces, None, {first: "confirm"}), CATALOG)
    assert confirmed.fingerprint == split_faces(faces, apply_filters(faces), CATALOG).fingerprint


def test_two_copies_kept_by_hand_both_stay() -> None:
    faces = make_faces({"face_id": "x", "phash": COPY}, {"face_id": "y", "phash": COPY})
    assert apply_filters(faces, None, {"x": "keep", "y": "keep"}).table["removed_by"].tolist() == ["", ""]
    dropped = apply_filters(faces, None, {"x": "drop"}).table
    assert dropped["removed_by"].tolist() == ["by_hand", ""]


def test_a_copy_kept_by_hand_that_does_not_count_takes_no_place(tmp_path: Path) -> None:
    """Its dataset is gone, or its label does not count: then the copy that is there stays."""
    table = make_faces(
        {"face_id": "gone", "dataset": "b", "phash": COPY, "width": 300}, {"face_id": "here", "phash": COPY},
        {"face_id": "wrong", "phash": hexadecimal(7), "label": "incorrect_mask"},
        {"face_id": "right", "phash": hexadecimal(7), "label": "without_mask", "width": 50},
    ).table  # fmt: skip
    faces = Faces(table, pd.DataFrame(), {"a": tmp_path, "b": tmp_path / "b"}, {})
    filtered = apply_filters(faces, None, {"gone": "keep", "wrong": "keep"})
    assert filtered.table["removed_by"].tolist() == ["missing", "", "incorrect_mask", ""]
    assert duplicate_clusters(faces, filtered).set_index("face_id")["survives"].to_dict() == {
        "gone": False, "here": True, "wrong": False, "right": True
    }  # fmt: skip
