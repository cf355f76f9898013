"""Leaks: counts by hand, agreement with a comparison of all with all, and what grouping saves."""

import numpy as np
import pandas as pd
import pytest
from factories import CATALOG, hexadecimal, make_faces, random_hashes

from maskdet.duplicates import FLAT_HASH, near_pairs_of, parse_hashes
from maskdet.leaks import SPLIT_TITLES, compare_splits, leak_table, leaking_faces, names_of
from maskdet.quality import FilterOptions, apply_filters
from maskdet.split import SplitOptions, split_faces


def flipped(value: int, bits: int) -> int:
    """The hash with its lowest bits turned over."""
    return int(value) ^ ((1 << bits) - 1)


def splits(*names: str) -> np.ndarray:
    return np.array(names, dtype=object)


def test_leaks_by_hand() -> None:
    one, two, three = random_hashes(3)
    values = [one, one, flipped(one, 3), two, flipped(two, 6), three, int(FLAT_HASH), int(FLAT_HASH)]
    faces = make_faces(*({"phash": hexadecimal(value)} for value in values))
    split = splits("train", "test", "test", "train", "validation", "test", "train", "test")
    pairs = near_pairs_of(parse_hashes(faces.table["phash"]), 8)
    table = leak_table(faces, pairs, {"mine": split}, CATALOG).set_index(["part", "distance"])
    assert table["splitting"].unique().tolist() == ["mine"]
    assert table.loc["test", "leaks"].tolist() == [1, 1, 1, 2, 2, 2, 2, 2, 2]  # flat faces never leak
    assert table.loc["test", "faces"].unique().tolist() == [4]
    assert table.loc[("test", 3), "percent"] == 50
    assert table.loc["validation", "leaks"].tolist() == [0] * 6 + [1] * 3
    assert table["related"].unique().tolist() == [0]
    found = leaking_faces(pairs, split, 8)
    assert found.to_numpy().tolist() == [[1, 0, 0], [2, 0, 3], [4, 3, 6]]
    assert leaking_faces(pairs, split, 3)["face"].tolist() == [1, 2]


def test_faces_of_one_photo_leak_too() -> None:
    faces = make_faces({"photo": "a.jpg"}, {"photo": "a.jpg"}, {"photo": "b.jpg"})
    pairs = near_pairs_of(parse_hashes(faces.table["phash"]), 4)
    table = leak_table(faces, pairs, {"mine": splits("train", "test", "test")}, CATALOG)
    assert table.loc[table["part"] == "test", "related"].unique().tolist() == [1]


def test_no_face_at_all_is_no_leak() -> None:
    faces = make_faces({}, {})
    pairs = near_pairs_of(parse_hashes(faces.table["phash"]), 2)
    table = leak_table(faces, pairs, {"mine": splits("", "")}, CATALOG)
    assert table[["faces", "leaks", "percent"]].to_numpy().sum() == 0
    assert leaking_faces(pairs, splits("", ""), 2).empty


@pytest.mark.parametrize("seed", range(5))
def test_the_nearest_training_face_is_that_of_all_with_all(seed: int) -> None:
    rng = np.random.default_rng(seed)
    base = rng.integers(0, 2**64, 20, dtype=np.uint64)
    values = np.array([flipped(base[rng.integers(20)], int(rng.integers(0, 9))) for _ in range(150)], dtype=np.uint64)
    split = rng.choice(np.array(["train", "validation", "test", ""], dtype=object), 150)
    found = leaking_faces(near_pairs_of(values, 10), split, 5)
    train = np.flatnonzero(split == "train")
    expected = {}
    for face in np.flatnonzero(np.isin(split, ["validation", "test"])):
        distance = np.bitwise_count(values[train] ^ values[face])
        if distance.min() <= 5:
            expected[face] = int(distance.min())
    assert dict(zip(found["face"], found["distance"], strict=True)) == expected
    assert found["distance"].is_monotonic_increasing
    for row in found.itertuples():
        assert split[row.train_face] == "train"
        assert np.bitwise_count(values[row.face] ^ values[row.train_face]) == row.distance


def test_grouping_leaves_no_leak_within_its_distance() -> None:
    rng = np.random.default_rng(1)
    base = random_hashes(60)
    rows = [
        {"phash": hexadecimal(flipped(base[i % 60], int(rng.integers(0, 4)))), "photo": f"{i // 2}.jpg",
         "label": ["with_mask", "without_mask"][i % 2], "publisher_split": ["train", "test"][i % 2]}
        for i in range(240)
    ]  # fmt: skip
    faces = make_faces(*rows)
    filtered = apply_filters(faces, FilterOptions(duplicates=False))
    compared = compare_splits(faces, filtered, CATALOG, SplitOptions(seed=3))
    assert list(compared) == list(SPLIT_TITLES)
    table = leak_table(faces, near_pairs_of(parse_hashes(faces.table["phash"]), 10), compared, CATALOG)
    at_group = table[(table["distance"] == 6) & (table["part"] == "test")].set_index("splitting")
    assert at_group.loc["grouped", ["leaks", "related"]].tolist() == [0, 0]
    assert at_group.loc["by_face", "leaks"] > 10
    assert at_group.loc["by_face", "related"] > 10
    assert at_group.loc["publisher", "faces"] == 120
    assert at_group.loc["publisher", "related"] == 120
    own = split_faces(faces, filtered, CATALOG, SplitOptions(seed=3))
    assert (names_of(own, faces) == compared["grouped"]).all()


def test_only_what_there_is_is_compared() -> None:
    faces = make_faces({"mean_red": 1.0}, {"mean_red": 1.0})
    assert compare_splits(faces, apply_filters(faces), CATALOG) == {}
    assert isinstance(
        leak_table(faces, near_pairs_of(parse_hashes(faces.table["phash"]), 1), {}, CATALOG), pd.DataFrame
    )
