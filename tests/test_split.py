"""The split: exact shares where faces stand alone, whole groups always, the same from the same seed."""

import re
import shutil
from collections import Counter, defaultdict
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from factories import CATALOG, hexadecimal, make_faces, random_hashes, shuffled
from hypothesis import given, settings
from hypothesis import strategies as st

from maskdet.errors import MaskDetError, WorkspaceError
from maskdet.facetable import Faces
from maskdet.quality import FilterOptions, apply_filters, save_filtered
from maskdet.split import (
    SPLITS,
    Split,
    SplitOptions,
    assign_groups,
    load_split,
    pool_table,
    save_split,
    saved_splits,
    split_faces,
    split_table,
)
from maskdet.workspace import Workspace, read_json, write_json

SHARES = (0.6, 0.2, 0.2)


def split(faces: Faces, **options: Any) -> Split:
    return split_faces(faces, apply_filters(faces), CATALOG, SplitOptions(**options))


def lone_faces(*strata: tuple[str, str, int]) -> Faces:
    """Unrelated faces: dataset, label and how many."""
    return make_faces(*({"dataset": d, "label": lab} for d, lab, count in strata for _ in range(count)))


STRATA = (("a", "with_mask", 50), ("a", "without_mask", 30), ("b", "with_mask", 7), ("sim", "without_mask", 20))


def test_exact_shares_of_lone_faces() -> None:
    counts = split_table(split(lone_faces(*STRATA)))
    expected = pd.DataFrame(
        {
            "pool": ["main", "main", "main", "pre-training"],
            "dataset": ["a", "a", "b", "sim"],
            "label": ["with_mask", "without_mask", "with_mask", "without_mask"],
            "train": [30, 18, 4, 12],  # of 7: 4.2, 1.4 and 1.4; the one left over goes to a largest remainder
            "validation": [10, 6, 2, 4],
            "test": [10, 6, 1, 4],
            "faces": [50, 30, 7, 20],
        }
    )
    pd.testing.assert_frame_equal(counts, expected, check_dtype=False)


def test_other_shares() -> None:
    counts = split_table(split(lone_faces(("a", "with_mask", 40)), train=0.5, validation=0.25, test=0.25))
    assert counts[list(SPLITS)].to_numpy().tolist() == [[20, 10, 10]]


def test_simulated_datasets_are_the_pre_training_pool() -> None:
    result = split(lone_faces(*STRATA))
    assert set(pool_table(result, "pre-training")["dataset"]) == {"sim"}
    assert set(pool_table(result, "main")["dataset"]) == {"a", "b"}  # a dataset that nobody described is real
    assert len(pool_table(result, "main")) + 20 == len(result.table) == 107


def test_only_kept_faces_are_split_and_as_the_filter_labels_them() -> None:
    rows = [{"face_id": "dark", "mean_red": 1.0}, {"face_id": "worn", "label": "incorrect_mask"}, {"face_id": "good"}]
    faces = make_faces(*rows)
    dropped = split(faces).table
    assert dropped["face_id"].tolist() == ["good"]
    filtered = apply_filters(faces, FilterOptions(incorrect_mask="without_mask"))
    counted = split_faces(faces, filtered, CATALOG).table.set_index("face_id")
    assert counted["label"].to_dict() == {"good": "with_mask", "worn": "without_mask"}


def test_nothing_kept() -> None:
    with pytest.raises(MaskDetError, match="filters removed every face"):
        split(make_faces({"mean_red": 0.0}))


def test_faces_of_one_photo_stay_together() -> None:
    faces = make_faces(*({"photo": f"{n // 5}.jpg", "label": ("with_mask", "without_mask")[n % 2]} for n in range(100)))
    table = split(faces).table
    photo = table["face_id"].str.extract(r"/(\d+)\.jpg")[0]
    assert (table["split"].groupby(photo).nunique() == 1).all()
    assert table.groupby(photo)["group"].nunique().max() == 1
    assert table["group"].nunique() == 20
    assert Counter(table["split"]) == {"train": 60, "validation": 20, "test": 20}


def test_a_photo_name_in_two_datasets_is_two_photos() -> None:
    table = split(make_faces({"dataset": "a", "photo": "1.jpg"}, {"dataset": "b", "photo": "1.jpg"})).table
    assert table["group"].nunique() == 2


def test_near_hashes_stay_together_though_the_filter_left_them() -> None:
    """6 bits apart: no duplicates at 4 bits, but one group; and the group reaches on over a shared photo."""
    near = {"phash": hexadecimal(0x0F0F_3333_5555_00FF)}, {"phash": hexadecimal(0x0F0F_3333_5555_00C0)}
    faces = make_faces(near[0], {**near[1], "photo": "p.jpg"}, {"photo": "p.jpg"}, {})
    assert apply_filters(faces).kept.shape[0] == 4
    table = split(faces).table.set_index("face_id")["group"]
    assert table.groupby(table).size().tolist() in ([3, 1], [1, 3])
    assert split(faces, group_distance=5).table["group"].nunique() == 3


def test_flat_faces_are_no_group() -> None:
    flat = {"phash": "8000000000000000"}
    assert split(make_faces(flat, flat, flat)).table["group"].nunique() == 3


def test_a_group_that_reaches_into_both_pools_stays_whole() -> None:
    hashes = random_hashes(40, seed=4)
    rows = [
        {"dataset": d, "phash": hexadecimal(int(h) ^ turned)}
        for h in hashes
        for d, turned in (("a", 0), ("sim", 0b11111))
    ]
    table = split(make_faces(*rows)).table
    assert set(table.groupby("group")["pool"].nunique()) == {2}
    assert (table.groupby("group")["split"].nunique() == 1).all()


@settings(deadline=None, max_examples=30)
@given(data=st.data())
def test_related_faces_are_never_parted(data: st.DataObject) -> None:
    """Random photos and chains of near hashes over two datasets and labels."""
    count = data.draw(st.integers(1, 60))
    pick = st.lists(st.integers(0, 10**6), min_size=count, max_size=count)
    photos, bases, turns, kinds = (data.draw(pick) for _ in range(4))
    centres = random_hashes(12, seed=9)
    rows = [
        {
            "photo": f"{photos[n] % 40}.jpg",
            "phash": hexadecimal(int(centres[bases[n] % 12]) ^ (1 << turns[n] % 64) ^ (1 << turns[n] % 61)),
            "dataset": ("a", "sim")[kinds[n] % 2],
            "label": ("with_mask", "without_mask")[kinds[n] // 2 % 2],
        }
        for n in range(count)
    ]
    faces = make_faces(*rows)
    filtered = apply_filters(faces, FilterOptions(hash_distance=0))
    table = split_faces(faces, filtered, CATALOG, SplitOptions(seed=kinds[0] % 5)).table.set_index("face_id")
    assert len(table) == len(filtered.kept)
    kept = faces.table.set_index("face_id").loc[table.index]
    where = table["split"].tolist()
    hashes = [int(text, 16) for text in kept["phash"]]
    places = list(zip(kept["dataset"], kept["photo"], strict=True))
    for i, j in combinations(range(len(table)), 2):
        if places[i] == places[j] or (hashes[i] ^ hashes[j]).bit_count() <= 6:
            assert where[i] == where[j]
            assert table["group"].iloc[i] == table["group"].iloc[j]


def test_a_seed_deals_as_it_always_did() -> None:
    """Else the splits that are named by their fingerprints could not be made again."""
    group, stratum = np.array([0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8]), np.array([0, 0, 0, 0, 1, 1, 1, 0, 0, 1, 0, 1])
    dealt = assign_groups(group, stratum, (0.6, 0.2, 0.2), np.random.default_rng(0))
    assert dealt.tolist() == [0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 2, 2]


@settings(deadline=None, max_examples=150)
@given(
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=80),
    strata=st.integers(1, 5),
    seed=st.integers(0, 1000),
)
def test_small_groups_keep_the_shares(sizes: list[int], strata: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    group = np.repeat(rng.permutation(len(sizes)) * 7, sizes)
    stratum = rng.integers(0, strata, len(group))
    stratum[-1] = strata - 1
    _, stratum = np.unique(stratum, return_inverse=True)
    assigned = assign_groups(group, stratum, SHARES, np.random.default_rng(seed))
    splits_of = defaultdict(set)
    for g, s in zip(group, assigned, strict=True):
        splits_of[g].add(int(s))
    assert all(len(found) == 1 for found in splits_of.values())
    for s in range(stratum.max() + 1):
        got = np.bincount(assigned[stratum == s], minlength=3)
        assert np.abs(got - np.array(SHARES) * got.sum()).max() <= 4  # no more than a group


def test_lone_faces_even_out_what_large_groups_left() -> None:
    group = np.r_[np.zeros(30, int), np.ones(14, int), np.arange(2, 58)]
    assigned = assign_groups(group, np.zeros(100, np.int64), SHARES, np.random.default_rng(0))
    assert np.bincount(assigned).tolist() == [60, 20, 20]


def test_a_group_larger_than_any_share_takes_nothing_from_the_other_splits() -> None:
    group = np.r_[np.zeros(90, int), np.arange(1, 11)]
    assigned = assign_groups(group, np.zeros(100, np.int64), SHARES, np.random.default_rng(0))
    assert np.bincount(assigned).tolist() == [90, 5, 5]


def grouped_faces() -> Faces:
    return make_faces(
        *(
            {"photo": f"{n // 3 if n < 60 else n}.jpg", "label": ("with_mask", "without_mask")[n % 2]}
            for n in range(150)
        )
    )


def test_same_seed_same_split_whatever_the_order_of_rows() -> None:
    faces = grouped_faces()
    first = split(faces, seed=3)
    for mixed in (faces, shuffled(faces, 1), shuffled(faces, 2)):
        again = split(mixed, seed=3)
        pd.testing.assert_frame_equal(again.table, first.table)
        assert again.fingerprint == first.fingerprint


def test_another_seed_gives_another_split() -> None:
    faces = grouped_faces()
    splits = [split(faces, seed=seed) for seed in range(4)]
    assert len({s.fingerprint for s in splits}) == 4
    assert (splits[0].table["split"] != splits[1].table["split"]).sum() > 20
    assert len({s.faces_fingerprint for s in splits}) == 1


def test_the_fingerprint_is_that_of_faces_labels_pixels_and_splits() -> None:
    base = split(lone_faces(("a", "with_mask", 10)))
    assert split(lone_faces(("a", "without_mask", 10))).fingerprint != base.fingerprint
    assert split(lone_faces(("a", "with_mask", 11))).fingerprint != base.fingerprint
    rows = [{"phash": hexadecimal(h)} for h in random_hashes(10, seed=77)]
    assert split(make_faces(*rows)).fingerprint != base.fingerprint


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"train": 0.7}, "shares of the split must be above 0 and sum to 1, not \\(0.7, 0.2, 0.2\\)"),
        ({"train": 0.8, "test": 0.0}, "shares of the split"),
        ({"train": 1.0, "validation": 0.2, "test": -0.2}, "shares of the split"),
        ({"validation": float("nan")}, "shares of the split"),
        ({"seed": -1}, "seed must be at least 0, not -1"),
        ({"group_distance": 11}, "group distance must be 0 to 10 bits, not 11"),
        ({"group_distance": -1}, "group distance must be"),
    ],
)
def test_options_are_checked(values: dict[str, Any], message: str) -> None:
    with pytest.raises(MaskDetError, match=message):
        SplitOptions(**values)


def test_shares_may_be_off_by_a_rounding_error() -> None:
    assert SplitOptions(0.1 + 0.2, 0.3, 0.4).shares == (0.1 + 0.2, 0.3, 0.4)


def test_save_and_load(workspace: Workspace) -> None:
    faces = grouped_faces()
    made = split(faces, seed=5, train=0.5, validation=0.3)
    save_split(workspace, made)
    again = load_split(workspace, faces)
    pd.testing.assert_frame_equal(again.table, made.table, check_dtype=False)
    assert (again.options, again.fingerprint, again.faces_fingerprint) == (
        made.options, made.fingerprint, made.faces_fingerprint
    )  # fmt: skip


def test_not_split_yet(workspace: Workspace) -> None:
    with pytest.raises(WorkspaceError, match="not split yet"):
        load_split(workspace, grouped_faces())


def test_other_faces_than_were_split(workspace: Workspace) -> None:
    save_split(workspace, split(lone_faces(("a", "with_mask", 10))))
    with pytest.raises(WorkspaceError, match="faces changed since they were split"):
        load_split(workspace, lone_faces(("a", "with_mask", 11)))


def test_a_split_beside_the_fingerprint_of_another(workspace: Workspace, tmp_path: Path) -> None:
    """A cut between the two files, or two sessions that save at once: no run may carry the wrong fingerprint."""
    faces = grouped_faces()
    save_split(Workspace(tmp_path / "other"), split(faces, seed=1))
    save_split(workspace, split(faces))
    shutil.copy(tmp_path / "other/split.parquet", workspace.path("split.parquet"))
    with pytest.raises(WorkspaceError, match="split is incomplete: run `python -m maskdet split` again"):
        load_split(workspace, faces)


def test_options_of_another_version(workspace: Workspace) -> None:
    faces = grouped_faces()
    save_split(workspace, split(faces))
    stored = read_json(workspace.path("split.json"))
    stored["options"]["folds"] = 3
    write_json(workspace.path("split.json"), stored)
    with pytest.raises(WorkspaceError, match=r"options are of another version of MaskDet .*folds"):
        load_split(workspace, faces)


def test_every_saved_split_stays_under_its_fingerprint(workspace: Workspace) -> None:
    faces = grouped_faces()
    first, second = split(faces, seed=1), split(faces)
    save_split(workspace, first)
    save_split(workspace, second)
    assert load_split(workspace, faces).fingerprint == second.fingerprint
    again = load_split(workspace, faces, first.fingerprint)
    pd.testing.assert_frame_equal(again.table, first.table, check_dtype=False)
    assert (again.options.seed, FilterOptions(**again.filter_options or {})) == (1, FilterOptions())
    saved = saved_splits(workspace, faces)
    assert [(one.fingerprint, one.in_force, one.usable) for one in saved] == [
        (second.fingerprint, True, True), (first.fingerprint, False, True)
    ]  # fmt: skip
    assert saved[1].split_options["seed"] == 1
    save_split(workspace, first)  # applied again: in force, and still there once
    assert [one.fingerprint for one in saved_splits(workspace, faces)] == [first.fingerprint, second.fingerprint]


def test_a_saved_split_counts_its_faces(workspace: Workspace) -> None:
    rows = [{"label": "incorrect_mask", "dataset": "b"}] * 10
    faces = make_faces(*rows, *lone_faces(*STRATA).table[["dataset", "label"]].to_dict("records"))
    filtered = apply_filters(faces, FilterOptions(incorrect_mask="class"))
    save_split(workspace, split_faces(faces, filtered, CATALOG))
    saved = saved_splits(workspace, faces)[0]
    assert saved.faces() == {"train": 30 + 18 + 4, "validation": 10 + 6 + 2, "test": 10 + 6 + 1}
    assert saved.faces("pre-training") == {"train": 12, "validation": 4, "test": 4}
    assert (saved.datasets(), saved.datasets("pre-training")) == (["a", "b"], ["sim"])
    assert saved.faces(labels=("incorrect_mask",)) == {"train": 6, "validation": 2, "test": 2}
    assert saved.filter_options is not None
    assert saved.filter_options["incorrect_mask"] == "class"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", saved.created)


def test_splits_of_other_faces_are_listed_with_the_reason(workspace: Workspace) -> None:
    save_split(workspace, split(grouped_faces()))
    others = lone_faces(("a", "with_mask", 12), ("a", "without_mask", 12))
    made = split(others)
    save_split(workspace, made)
    saved = saved_splits(workspace, others)
    assert [one.usable for one in saved] == [True, False]
    assert "faces changed" in saved[1].reason
    with pytest.raises(WorkspaceError, match="faces changed"):
        load_split(workspace, others, saved[1].fingerprint)


def without_history(workspace: Workspace) -> None:
    """Leave of a saved split what earlier versions wrote."""
    shutil.rmtree(workspace.path("splits"))
    stored = read_json(workspace.path("split.json"))
    kept = {name: stored[name] for name in ("options", "faces_fingerprint", "fingerprint")}
    write_json(workspace.path("split.json"), kept)


def test_a_workspace_of_an_older_version(workspace: Workspace) -> None:
    faces = grouped_faces()
    filtered, made = apply_filters(faces), split(faces)
    save_filtered(workspace, filtered)
    save_split(workspace, made)
    without_history(workspace)
    (saved,) = saved_splits(workspace, faces)
    assert (saved.fingerprint, saved.in_force, saved.created) == (made.fingerprint, True, "")
    assert sum(saved.faces().values()) + sum(saved.faces("pre-training").values()) == len(made.table)
    assert FilterOptions(**load_split(workspace, faces, made.fingerprint).filter_options or {}) == FilterOptions()

    save_filtered(workspace, apply_filters(faces, decisions={faces.table["face_id"][0]: "drop"}))
    assert load_split(workspace, faces).filter_options is None  # these filters are not those of the split
    save_split(workspace, split(faces, seed=1))
    assert load_split(workspace, faces, made.fingerprint).table["split"].tolist() == made.table["split"].tolist()
    assert [one.fingerprint for one in saved_splits(workspace, faces)][1:] == [made.fingerprint]


@pytest.mark.parametrize(
    ("fingerprint", "message"),
    [("0123456789abcdef", "There is no split 0123456789abcdef; there is"), ("../split", "is no fingerprint")],
)
def test_a_fingerprint_that_is_not_there(workspace: Workspace, fingerprint: str, message: str) -> None:
    faces = grouped_faces()
    save_split(workspace, split(faces))
    with pytest.raises(WorkspaceError, match=message):
        load_split(workspace, faces, fingerprint)


def test_a_damaged_earlier_split_hides_no_other(workspace: Workspace) -> None:
    faces = grouped_faces()
    made = split(faces)
    save_split(workspace, made)
    workspace.path("splits", "0123456789abcdef.json").write_text("{")
    workspace.path("splits", "0123456789abcdee.json").write_text("[]")
    assert [one.fingerprint for one in saved_splits(workspace, faces)] == [made.fingerprint]
    workspace.path("split.json").write_text("{")
    assert [one.in_force for one in saved_splits(workspace, faces)] == [False]
    assert load_split(workspace, faces, made.fingerprint).fingerprint == made.fingerprint
