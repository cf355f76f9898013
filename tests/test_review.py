"""Reviews of a decision: counts and shares by hand, what is at a threshold, clusters, and what should worry."""

from pathlib import Path
from typing import Any

import pandas as pd
from factories import hexadecimal, make_faces

from maskdet.facetable import Faces
from maskdet.quality import FilterOptions, apply_filters, near_faces
from maskdet.review import (
    concerns,
    decision_effects,
    duplicate_clusters,
    near_threshold,
    pairs_near_threshold,
    removals,
    removed_of_label,
)

COPY = hexadecimal(0x0F0F_3333_5555_00FF)
NEAR_COPY = hexadecimal(0x0F0F_3333_5555_00F0)  # 4 bits apart
FAR_COPY = hexadecimal(0x0F0F_3333_5555_00E0)  # 5 bits apart
DARK = {"mean_red": 1.0}


def labels(with_mask: int, without_mask: int, dark: int) -> Faces:
    """Faces by label, of which the first ``dark`` with mask are RGB anomalies."""
    rows = [{"label": "with_mask"} | (DARK if number < dark else {}) for number in range(with_mask)]
    return make_faces(*rows, *({"label": "without_mask"} for _ in range(without_mask)))


def chain(count: int, step: int) -> list[dict[str, Any]]:
    """Faces whose hashes differ in ``step`` bits from one to the next, one kind of hash like the other."""
    hashes = [hexadecimal((1 << (4 + step * number)) - 1) for number in range(count)]
    return [{"phash": value, "dhash": value} for value in hashes]


def test_near_the_threshold() -> None:
    faces = make_faces(
        *({"face_id": f"s{value}", "sharpness": float(value)} for value in (2, 9, 10, 12, 50)),
        {"face_id": "tall", "width": 10, "height": 41},
        {"face_id": "taller", "width": 10, "height": 80},
        {"face_id": "high", "width": 10, "height": 39},
        {"face_id": "large", "width": 200, "height": 900},
    )
    options = FilterOptions()
    out, within = near_threshold(faces, options, "blur", 2)
    assert (out.tolist(), within.tolist()) == (["s9", "s2"], ["s10", "s12"])
    out, within = near_threshold(faces, options, "aspect_ratio", 9)
    assert out.tolist() == ["tall", "taller"]
    assert within.tolist()[0] == "high"
    assert "large" not in within.tolist()  # the threshold does not concern it
    assert near_threshold(faces, options, "rgb", 3)[0].empty


def test_removals() -> None:
    faces = make_faces(
        {"phash": COPY},
        {"phash": COPY},
        {"mean_red": 1.0},
        {"label": "without_mask", "width": 10, "height": 90},
        {"label": "without_mask"},
        {"label": "without_mask"},
        {"dataset": "b", "label": "incorrect_mask"},
    )
    expected = pd.DataFrame(
        {
            "dataset": ["a", "a", "b"],
            "label": ["with_mask", "without_mask", "incorrect_mask"],
            "faces": [3, 3, 1],
            "incorrect_mask": [0, 0, 1],
            "duplicate": [1, 0, 0],
            "aspect_ratio": [0, 1, 0],
            "rgb": [1, 0, 0],
            "kept": [1, 2, 0],
            "removed": [2, 1, 1],
            "removed_percent": [66.67, 33.33, 100.0],
        }
    )
    pd.testing.assert_frame_equal(removals(faces, apply_filters(faces)), expected, check_dtype=False)


def test_removed_of_each_label() -> None:
    faces = make_faces(DARK, {}, {}, {}, {"label": "without_mask"}, {"label": "incorrect_mask"})
    counts = removed_of_label(apply_filters(faces))
    assert counts.to_dict("list") == {
        "label": ["with_mask", "without_mask", "incorrect_mask"],
        "faces": [4, 1, 1],
        "removed": [1, 0, 1],
        "removed_percent": [25.0, 0.0, 100.0],
    }
    counted = removed_of_label(apply_filters(faces, FilterOptions(incorrect_mask="without_mask")))
    assert counted["label"].tolist() == ["with_mask", "without_mask"]
    assert counted["faces"].tolist() == [4, 2]


def concerns_of(faces: Faces, **options: Any) -> list[str]:
    return concerns(faces, apply_filters(faces, FilterOptions(**options)))


def test_a_filter_that_eats_one_label_is_a_concern() -> None:
    (sentence,) = concerns_of(labels(10, 10, dark=2))
    assert "20.0 % of the faces with mask, but 0.0 %" in sentence
    assert "“RGB anomaly”" in sentence
    assert concerns_of(labels(20, 20, dark=1)) == []  # exactly 5 points
    assert concerns_of(labels(10, 0, dark=5)) == []  # nothing to compare with


def test_a_cluster_that_chains_unrelated_faces_is_a_concern() -> None:
    faces = make_faces(*chain(12, 4))
    (sentence,) = concerns_of(faces)
    assert "has 12 faces" in sentence
    assert "up to 44 of 64 bits" in sentence
    assert sentence.endswith("Lower the hash distance.")
    (sentence,) = concerns_of(faces, hash_kind="dhash")
    assert sentence.endswith("Lower the hash distance, or choose the study's phash.")
    assert concerns_of(faces, duplicates=False) == []
    assert concerns_of(faces, hash_distance=3) == []
    assert concerns_of(make_faces(*chain(10, 4))) == []
    assert concerns_of(make_faces(*chain(60, 0))) == []  # true copies


CLUSTERED = (
    {"phash": COPY, "width": 50, "publisher_split": "test"},
    {"phash": NEAR_COPY, "width": 60, "label": "without_mask"},
    {"phash": COPY, "width": 40, "dataset": "b"},
    {},
    {"phash": hexadecimal(1)},
    {"phash": hexadecimal(3), "mean_red": 1.0},
)


def test_duplicate_clusters() -> None:
    faces = make_faces(*CLUSTERED)
    members = duplicate_clusters(faces, apply_filters(faces))
    assert members["face_id"].tolist() == [
        "a/0001.jpg#0001", "a/0000.jpg#0000", "b/0002.jpg#0002", "a/0004.jpg#0004", "a/0005.jpg#0005"
    ]  # fmt: skip
    assert members["cluster"].tolist() == [1, 1, 1, 2, 2]
    assert members["size"].tolist() == [3, 3, 3, 2, 2]
    assert members["labels"].tolist() == [2, 2, 2, 1, 1]
    assert members["datasets"].tolist() == [2, 2, 2, 1, 1]
    assert members["survives"].tolist() == [True, False, False, True, False]
    assert members["hash_distance"].tolist() == [0, 4, 4, 0, 1]
    assert members["width"].tolist() == [60, 50, 40, 100, 100]
    assert members["publisher_split"].tolist() == ["", "test", "", "", ""]
    assert members["removed_by"].tolist() == ["", "duplicate", "duplicate", "", "duplicate"]


def test_duplicate_clusters_are_the_same_whether_the_filter_is_on_or_off() -> None:
    faces = make_faces(*CLUSTERED)
    off = duplicate_clusters(faces, apply_filters(faces, FilterOptions(duplicates=False)))
    on = duplicate_clusters(faces, apply_filters(faces))
    assert off["removed_by"].tolist() == ["", "", "", "", "rgb"]
    pd.testing.assert_frame_equal(off.drop(columns="removed_by"), on.drop(columns="removed_by"))
    kept = {"b/0002.jpg#0002": "keep"}
    first = duplicate_clusters(faces, apply_filters(faces, decisions=kept))  # type: ignore[arg-type]
    assert first["face_id"].iloc[0] == "b/0002.jpg#0002"
    alone = make_faces({}, {})
    assert duplicate_clusters(alone, apply_filters(alone)).empty


def test_pairs_near_the_threshold() -> None:
    eight_bits_off = hexadecimal(int(COPY, 16) ^ (0xFF << 56))
    faces = make_faces(*({"phash": value} for value in (COPY, COPY, NEAR_COPY, FAR_COPY, eight_bits_off)))
    pairs = near_faces(faces, "phash")
    joined, apart = pairs_near_threshold(pairs, 4, 9)
    assert [set(pair) for pair in joined[["face", "other"]].to_numpy().tolist()] == [{0, 2}, {2, 3}, {0, 1}]
    assert joined["distance"].tolist() == [4, 1, 0]
    # COPY and FAR_COPY are 5 bits apart, but NEAR_COPY chains them.
    assert [set(pair) for pair in apart[["face", "other"]].to_numpy().tolist()] == [{0, 4}]
    assert apart["distance"].tolist() == [8]
    joined, apart = pairs_near_threshold(pairs, 0, 9)
    assert joined.to_numpy().tolist() == [[0, 1, 0]]
    assert apart["distance"].tolist() == [1, 4, 5, 8]
    joined, apart = pairs_near_threshold(pairs, 4, 1)
    assert (joined["distance"].tolist(), apart["distance"].tolist()) == ([4], [8])


def test_effects_of_decisions() -> None:
    faces = make_faces(
        {"face_id": "anomaly", **DARK},
        {"face_id": "copy", "phash": COPY, "width": 50},
        {"face_id": "dropped", "phash": COPY},
        {"face_id": "fine"},
        {"face_id": "spoiled", **DARK},
    )
    by_hand: Any = {"anomaly": "keep", "dropped": "drop", "fine": "keep", "spoiled": "drop", "away": "drop"}
    effects, changed = decision_effects(faces, apply_filters(faces, decisions=by_hand))
    assert effects.to_numpy().tolist() == [
        ["anomaly", "keep", True, "rgb", ""],
        ["away", "drop", False, "", ""],
        ["dropped", "drop", True, "", "by_hand"],
        ["fine", "keep", True, "", ""],
        ["spoiled", "drop", True, "rgb", "by_hand"],
    ]
    assert changed == 3  # the anomaly, the dropped face, and its copy, which stays in its place


def test_a_dataset_whose_folder_is_gone_is_a_concern(tmp_path: Path) -> None:
    table = make_faces({}, {}, {"dataset": "b"}).table
    (tmp_path / "b").mkdir()
    faces = Faces(table, pd.DataFrame(), {"a": tmp_path / "a", "b": tmp_path / "b"}, {})
    [sentence] = concerns(faces, apply_filters(faces))
    assert sentence.startswith("The folder of a is gone: its 2 faces are left out.")
