"""The three filters: each threshold by hand, the order in which removals count, and which copy survives."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from factories import hexadecimal, make_faces, shuffled

from maskdet.errors import MaskDetError, WorkspaceError
from maskdet.facetable import Faces
from maskdet.quality import FilterOptions, apply_filters, load_filtered, margins, save_filtered
from maskdet.review import duplicate_clusters
from maskdet.workspace import Workspace, read_json, write_json

COPY = hexadecimal(0x0F0F_3333_5555_00FF)
NEAR_COPY = hexadecimal(0x0F0F_3333_5555_00F0)  # 4 bits apart
FAR_COPY = hexadecimal(0x0F0F_3333_5555_00E0)  # 5 bits apart


def decide(*rows: dict[str, Any], **options: Any) -> pd.DataFrame:
    """The decision, by face id."""
    return apply_filters(make_faces(*rows), FilterOptions(**options)).table.set_index("face_id")


def removed(*rows: dict[str, Any], **options: Any) -> list[str]:
    return decide(*rows, **options)["removed_by"].tolist()


@pytest.mark.parametrize(
    ("width", "height", "is_stretched"),
    [
        (50, 200, False),  # a ratio of exactly 4 stays
        (50, 201, True),
        (200, 50, False),  # exactly 0.25 stays
        (201, 50, True),
        (100, 100, False),
        (10, 10, False),  # small alone is no reason
        (149, 600, True),  # 4.03 at 299.0 px
        (149, 605, False),  # 4.06 at 300.2 px: stretched alone is no reason
        (100, 900, False),  # exactly 300 px counts as large
    ],
)
def test_small_and_stretched(width: int, height: int, is_stretched: bool) -> None:
    faces = make_faces({"width": width, "height": height})
    assert (margins(faces.table, FilterOptions())["aspect_ratio"] < 0).tolist() == [is_stretched]
    assert removed({"width": width, "height": height}) == ["aspect_ratio" if is_stretched else ""]
    assert removed({"width": width, "height": height}, aspect_ratio=False) == [""]


def test_margins_are_relative_to_their_thresholds() -> None:
    """Half of a least value and one and a half of a greatest are 0.5 off; channel means are shares of 255."""
    table = make_faces(
        {"width": 100, "height": 25, "mean_red": 102, "mean_green": 102, "mean_blue": 0, "sharpness": 5},
        {"width": 10, "height": 30, "mean_red": 255, "mean_green": 102, "mean_blue": 102, "sharpness": 15},
        {"width": 400, "height": 400, "mean_red": 102, "mean_green": 102, "mean_blue": 102, "sharpness": 10},
    ).table.set_index(pd.Index([7, 8, 9]))
    options = FilterOptions(
        min_aspect_ratio=0.5, max_aspect_ratio=2, min_channel_mean=51, max_channel_mean=204, min_side=20
    )
    expected = pd.DataFrame(
        {
            "aspect_ratio": [-0.5, -0.5, np.inf],
            "rgb": [-0.2, -0.2, 0.2],
            "small": [0.25, -0.5, 19],
            "blur": [-0.5, 0.5, 0],
        }
    )
    found = margins(table, options)
    pd.testing.assert_frame_equal(found[list(expected)], expected.set_index(table.index))
    off = margins(table, FilterOptions(min_side=0, min_sharpness=0))
    assert (off[["small", "blur"]] > 0).all(axis=None)


def test_small_and_stretched_thresholds_move() -> None:
    assert removed({"width": 50, "height": 101}, max_aspect_ratio=2.0) == ["aspect_ratio"]
    assert removed({"width": 50, "height": 100}, max_aspect_ratio=2.0) == [""]
    assert removed({"width": 100, "height": 49}, min_aspect_ratio=0.5) == ["aspect_ratio"]
    assert removed({"width": 10, "height": 90}, small_size=30) == [""]  # sqrt(900) is not below 30
    assert removed({"width": 10, "height": 90}, small_size=30.01) == ["aspect_ratio"]


@pytest.mark.parametrize(
    ("red", "green", "blue", "is_anomaly"),
    [
        (5, 5, 5, False),  # exactly 5 stays
        (4.99, 128, 128, True),  # one channel suffices
        (128, 4.99, 128, True),
        (128, 128, 4.99, True),
        (250, 250, 250, False),  # exactly 250 stays
        (250.01, 128, 128, True),
        (128, 250.01, 128, True),
        (128, 128, 250.01, True),
        (5, 250, 100, False),
    ],
)
def test_rgb_anomaly(red: float, green: float, blue: float, is_anomaly: bool) -> None:
    face = {"mean_red": red, "mean_green": green, "mean_blue": blue}
    assert (margins(make_faces(face).table, FilterOptions())["rgb"] < 0).tolist() == [is_anomaly]
    assert removed(face) == ["rgb" if is_anomaly else ""]
    assert removed(face, rgb=False) == [""]


def test_rgb_thresholds_move() -> None:
    assert removed({"mean_red": 19}, min_channel_mean=20) == ["rgb"]
    assert removed({"mean_blue": 201}, max_channel_mean=200) == ["rgb"]


def test_duplicates_within_the_distance() -> None:
    pair = ({"phash": COPY}, {"phash": NEAR_COPY})
    assert removed(*pair) == ["", "duplicate"]
    assert removed(*pair, hash_distance=3) == ["", ""]
    assert removed(*pair, duplicates=False) == ["", ""]
    assert removed({"phash": COPY}, {"phash": FAR_COPY}) == ["", ""]
    assert removed({"phash": COPY}, {"phash": FAR_COPY}, hash_distance=5) == ["", "duplicate"]


def test_duplicates_count_across_datasets_and_labels() -> None:
    table = decide(
        {"face_id": "x", "phash": COPY, "dataset": "b", "label": "without_mask"}, {"face_id": "y", "phash": COPY}
    )
    assert table["removed_by"].to_dict() == {"x": "", "y": "duplicate"}


def test_a_removal_counts_under_the_first_filter_it_fails() -> None:
    """One cluster of five: all but the good one fail the duplicate filter, whatever else they fail."""
    narrow, dark = {"width": 10, "height": 90}, {"mean_red": 1.0}
    table = decide(
        {"face_id": "a", "phash": COPY, **narrow, **dark},
        {"face_id": "b", "phash": COPY, **dark},
        {"face_id": "c", "phash": COPY},
        {"face_id": "d", "phash": COPY, "label": "incorrect_mask", **dark},
        {"face_id": "e", **narrow, **dark},
        {"face_id": "f", **dark},
    )
    assert table["removed_by"].to_dict() == {
        "a": "duplicate", "b": "duplicate", "c": "", "d": "incorrect_mask", "e": "aspect_ratio", "f": "rgb"
    }  # fmt: skip
    assert table["kept_face"].to_dict() == {"a": "c", "b": "c", "c": "", "d": "", "e": "", "f": ""}
    assert table["rgb"].tolist() == [True, True, False, True, True, True]
    assert table["aspect_ratio"].tolist() == [True, False, False, False, True, False]
    assert table["duplicate"].tolist() == [True, True, False, True, False, False]
    assert table["incorrect_mask"].tolist() == [False, False, False, True, False, False]


@pytest.mark.parametrize(
    ("first", "second", "survivor"),
    [
        ({"mean_red": 2.0, "width": 500}, {}, "second"),  # fails no other filter, though smaller
        ({"label": "incorrect_mask", "width": 500}, {}, "second"),
        ({"width": 100}, {"width": 101}, "second"),  # most pixels
        ({"width": 100, "height": 40}, {"width": 63, "height": 63}, "first"),  # 4000 to 3969: pixels, not height
        ({}, {}, "first"),  # first id
        ({"label": "with_mask"}, {"label": "without_mask"}, "second"),  # the third has that label too
    ],
)
def test_which_copy_survives(first: dict[str, Any], second: dict[str, Any], survivor: str) -> None:
    rows = [{"face_id": "first", "phash": COPY, **first}, {"face_id": "second", "phash": COPY, **second}]
    if "label" in second:
        rows.append({"face_id": "third", "phash": COPY, **second, "width": 50})
    for order in (rows, rows[::-1]):
        kept = decide(*order)
        assert kept.index[kept["removed_by"] == ""].tolist() == [survivor]


def test_no_copy_survives_where_each_fails_another_filter() -> None:
    table = decide({"face_id": "x", "phash": COPY, "mean_red": 1.0}, {"face_id": "y", "phash": COPY, "mean_red": 2.0})
    assert table["removed_by"].to_dict() == {"x": "rgb", "y": "duplicate"}


def test_a_filter_that_is_off_spoils_no_copy() -> None:
    rows = ({"face_id": "x", "phash": COPY, "mean_red": 1.0}, {"face_id": "y", "phash": COPY})
    assert decide(*rows, rgb=False)["removed_by"].to_dict() == {"x": "", "y": "duplicate"}


def test_masks_worn_incorrectly() -> None:
    rows = ({"label": "incorrect_mask"}, {"label": "with_mask"}, {"label": "without_mask"})
    dropped = decide(*rows)
    assert dropped["removed_by"].tolist() == ["incorrect_mask", "", ""]
    assert dropped["label"].tolist() == ["incorrect_mask", "with_mask", "without_mask"]
    counted = decide(*rows, incorrect_mask="without_mask")
    assert counted["removed_by"].tolist() == ["", "", ""]
    assert counted["label"].tolist() == ["without_mask", "with_mask", "without_mask"]
    apart = decide(*rows, incorrect_mask="class")
    assert apart["removed_by"].tolist() == ["", "", ""]
    assert apart["label"].tolist() == ["incorrect_mask", "with_mask", "without_mask"]


def test_exact_duplicates_are_counted_apart() -> None:
    same = {"pixels_digest": "d", "phash": COPY}
    rows = ({"face_id": "x", **same}, {"face_id": "y", **same, "width": 200}, {"face_id": "z", "phash": NEAR_COPY})
    assert decide(*rows)["removed_by"].to_dict() == {"x": "duplicate", "y": "", "z": "duplicate"}
    both = decide(*rows, exact=True)
    assert both["removed_by"].to_dict() == {"x": "exact", "y": "", "z": "duplicate"}
    assert both["kept_face"].to_dict() == {"x": "y", "y": "", "z": "y"}
    alone = decide(*rows, exact=True, duplicates=False)
    assert alone["removed_by"].to_dict() == {"x": "exact", "y": "", "z": ""}


def test_exact_and_near_duplicates_never_remove_every_copy() -> None:
    """By label, the exact copies prefer x and their cluster prefers y: one of the three has to stay all the same."""
    same = {"pixels_digest": "d", "phash": COPY}
    faces = make_faces(
        {"face_id": "x", **same},
        {"face_id": "y", **same, "label": "without_mask"},
        {"face_id": "z", "phash": NEAR_COPY, "label": "without_mask"},
    )
    filtered = apply_filters(faces, FilterOptions(exact=True))
    table = filtered.table.set_index("face_id")
    assert table["removed_by"].to_dict() == {"x": "duplicate", "y": "exact", "z": ""}
    assert table["kept_face"].to_dict() == {"x": "z", "y": "z", "z": ""}
    shown = duplicate_clusters(faces, filtered).set_index("face_id")
    assert shown["survives"].to_dict() == {"x": False, "y": False, "z": True}


@pytest.mark.parametrize("kind", ["phash", "dhash", "ahash", "whash"])
def test_the_hash_kind_decides(kind: Any) -> None:
    rows = [{kind: COPY}, {kind: NEAR_COPY}]
    others = [other for other in ("phash", "dhash", "ahash", "whash") if other != kind]
    assert removed(*rows, hash_kind=kind) == ["", "duplicate"]
    for other in others:
        assert removed(*rows, hash_kind=other) == ["", ""]


def test_flat_images_of_every_kind_stay() -> None:
    for kind in ("dhash", "ahash", "whash"):
        assert removed({kind: "0" * 16}, {kind: "0" * 16}, hash_kind=kind) == ["", ""]


def test_conflicting_labels_go_altogether() -> None:
    rows = (
        {"face_id": "x", "phash": COPY},
        {"face_id": "y", "phash": NEAR_COPY, "label": "without_mask"},
        {"face_id": "z", "phash": COPY, "label": "incorrect_mask"},
        {"face_id": "v", "phash": hexadecimal(7)},
        {"face_id": "w", "phash": hexadecimal(7), "label": "incorrect_mask"},
    )
    dropped = decide(*rows, conflicts=True)["removed_by"].to_dict()
    # v and w agree: a face that is dropped for its label has no say.
    assert dropped == {"x": "conflict", "y": "conflict", "z": "incorrect_mask", "v": "", "w": "incorrect_mask"}
    apart = decide(*rows, conflicts=True, incorrect_mask="class")["removed_by"].to_dict()
    assert apart == dict.fromkeys("xyzvw", "conflict")
    assert set(decide(*rows, conflicts=True, incorrect_mask="class", duplicates=False)["removed_by"]) == {"conflict"}


def test_small_and_blurred_faces() -> None:
    rows = (
        {"width": 20, "height": 30},
        {"width": 19, "height": 30},
        {"width": 30, "height": 19},
        {"sharpness": 10.0},
        {"sharpness": 9.9},
    )
    assert removed(*rows) == [""] * 5
    assert removed(*rows, small=True, blur=True) == ["", "small", "small", "", "blur"]
    assert removed(*rows, small=True, min_side=19) == [""] * 5
    assert removed({"sharpness": 0.0}, blur=True, min_sharpness=0) == [""]


def test_faces_of_a_dataset_that_is_gone_are_kept_out(tmp_path: Path) -> None:
    table = make_faces({"dataset": "a", "phash": COPY}, {"dataset": "b", "phash": COPY, "width": 300}).table
    (tmp_path / "a").mkdir()
    faces = Faces(table, pd.DataFrame(), {"a": tmp_path / "a", "b": tmp_path / "b"}, {})
    assert faces.missing == ("b",)
    assert apply_filters(faces).table["removed_by"].tolist() == ["", "missing"]
    (tmp_path / "b").mkdir()
    assert apply_filters(faces).table["removed_by"].tolist() == ["duplicate", ""]


def test_clusters_that_are_known_are_taken() -> None:
    faces = make_faces({}, {}, {})
    table = apply_filters(faces, cluster=np.array([0, 1, 0])).table
    assert table["removed_by"].tolist() == ["", "", "duplicate"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"hash_distance": -1}, "hash distance must be 0 to 10 bits, not -1"),
        ({"hash_kind": "md5"}, "hash kind must be one of phash, dhash, ahash, whash, not 'md5'"),
        ({"min_side": -1}, "least side and sharpness must be at least 0, not -1 and 10.0"),
        ({"min_sharpness": float("nan")}, "least side and sharpness .* nan"),
        ({"hash_distance": 11}, "hash distance must be 0 to 10 bits, not 11"),
        ({"small_size": -0.1}, "square-root size must be at least 0 px, not -0.1"),
        ({"small_size": float("nan")}, "square-root size .* not nan"),
        ({"small_size": float("inf")}, "square-root size .* not inf"),
        ({"min_aspect_ratio": 0}, "aspect ratio must span from above 0 to its maximum, not 0 to 4.0"),
        ({"min_aspect_ratio": 4.1}, "aspect ratio must span"),
        ({"max_aspect_ratio": float("nan")}, "aspect ratio must span"),
        ({"max_aspect_ratio": float("inf")}, "aspect ratio must span"),
        ({"min_channel_mean": -1}, "channel means must span within 0 to 255, not -1 to 250.0"),
        ({"max_channel_mean": 256}, "channel means must span within 0 to 255, not 5.0 to 256"),
        ({"min_channel_mean": 9, "max_channel_mean": 8}, "channel means must span"),
        ({"incorrect_mask": "keep"}, "incorrect_mask must be one of drop, without_mask, class, not 'keep'"),
    ],
)
def test_options_are_checked(values: dict[str, Any], message: str) -> None:
    with pytest.raises(MaskDetError, match=message):
        FilterOptions(**values)


def test_options_at_their_limits() -> None:
    options = FilterOptions(hash_distance=0, small_size=0, min_aspect_ratio=1, max_aspect_ratio=1,
                            min_channel_mean=0, max_channel_mean=255)  # fmt: skip
    assert apply_filters(make_faces({}, {"mean_red": 0.0, "width": 1}), options).kept.shape[0] == 2


def many_faces() -> Any:
    """200 faces with copies, flat hashes, ties and every kind of removal."""
    rng = np.random.default_rng(8)
    hashes = [hexadecimal(h) for h in rng.integers(0, 2**64, 60, dtype=np.uint64)] + ["8000000000000000"] * 5
    return make_faces(
        *(
            {
                "phash": hashes[rng.integers(len(hashes))],
                "label": ["with_mask", "without_mask", "incorrect_mask"][rng.integers(3)],
                "dataset": "ab"[rng.integers(2)],
                "width": int(rng.choice([20, 100])),
                "height": int(rng.choice([90, 100])),
                "mean_green": float(rng.choice([1.0, 128.0, 128.0])),
            }
            for _ in range(200)
        )
    )


def test_the_order_of_rows_does_not_matter() -> None:
    faces = many_faces()
    decision = apply_filters(faces).table.set_index("face_id")
    assert set(decision["removed_by"]) == {"", "incorrect_mask", "duplicate", "aspect_ratio", "rgb"}
    for seed in range(3):
        mixed = shuffled(faces, seed)
        again = apply_filters(mixed)
        assert again.table["face_id"].tolist() == mixed.table["face_id"].tolist()
        # Numbers of clusters may differ where faces stay alone; what is decided may not.
        pd.testing.assert_frame_equal(
            again.table.set_index("face_id").loc[decision.index].drop(columns="cluster"),
            decision.drop(columns="cluster"),
        )
        assert again.faces_fingerprint == faces.fingerprint


def test_one_face_of_each_cluster_is_no_duplicate() -> None:
    table = apply_filters(many_faces()).table
    assert ((~table["duplicate"]).groupby(table["cluster"]).sum() == 1).all()


def test_save_and_load(workspace: Workspace) -> None:
    faces = many_faces()
    options = FilterOptions(hash_distance=2, rgb=False, incorrect_mask="without_mask")
    filtered = apply_filters(faces, options, {"a/0001.jpg#0001": "keep"})
    save_filtered(workspace, filtered)
    again = load_filtered(workspace, faces)
    assert again.options == filtered.options
    assert again.faces_fingerprint == filtered.faces_fingerprint
    assert again.decisions == {"a/0001.jpg#0001": "keep"}
    pd.testing.assert_frame_equal(again.table, filtered.table, check_dtype=False)
    assert again.kept["face_id"].tolist() == filtered.kept["face_id"].tolist()


def test_not_filtered_yet(workspace: Workspace) -> None:
    with pytest.raises(WorkspaceError, match="not filtered yet: run `python -m maskdet filter` first"):
        load_filtered(workspace, make_faces({}))


def test_other_faces_than_were_filtered(workspace: Workspace) -> None:
    save_filtered(workspace, apply_filters(make_faces({}, {})))
    with pytest.raises(WorkspaceError, match="faces changed since they were filtered"):
        load_filtered(workspace, make_faces({}, {}, {}))
    with pytest.raises(WorkspaceError, match="faces changed since they were filtered"):
        load_filtered(workspace, make_faces({}, {"label": "without_mask"}))


def test_a_decision_beside_the_options_of_another(workspace: Workspace, tmp_path: Path) -> None:
    """A cut between the two files, or two sessions that save at once, leave the table of one and the options of one."""
    faces = make_faces({"phash": COPY}, {"phash": COPY})
    save_filtered(Workspace(tmp_path / "other"), apply_filters(faces, FilterOptions(duplicates=False)))
    save_filtered(workspace, apply_filters(faces))
    shutil.copy(tmp_path / "other/filtered.parquet", workspace.path("filtered.parquet"))
    with pytest.raises(WorkspaceError, match="filtered set is incomplete: run `python -m maskdet filter` again"):
        load_filtered(workspace, faces)


def test_options_of_another_version(workspace: Workspace) -> None:
    faces = make_faces({})
    save_filtered(workspace, apply_filters(faces))
    path = workspace.path("filter.json")
    stored = read_json(path)
    stored["options"]["colour"] = 3
    write_json(path, stored)
    with pytest.raises(WorkspaceError, match=r"options are of another version of MaskDet .*colour"):
        load_filtered(workspace, faces)
