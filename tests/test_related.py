"""Related photos: what the catalog's table says of them holds for the split, the leaks, and the one that ships."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from factories import hexadecimal, make_faces, random_hashes

from maskdet.catalog import Dataset, load_catalog
from maskdet.duplicates import near_pairs_of, parse_hashes
from maskdet.errors import MaskDetError
from maskdet.leaks import compare_splits, leak_table
from maskdet.quality import apply_filters
from maskdet.related import read_related, related_groups
from maskdet.split import split_faces


def table(path: Path, *rows: str, head: str = "photo,group") -> Path:
    path.write_text("\n".join((head, *rows)) + "\n", encoding="utf-8")
    return path


def codes(catalog: dict[str, Dataset], *photos: tuple[str, str]) -> list[int]:
    return related_groups(pd.DataFrame(photos, columns=["dataset", "photo"]), catalog).tolist()


def test_photos_of_one_group_have_one_number(tmp_path: Path) -> None:
    related = table(tmp_path / "r.csv", "masked/1.jpg,anna", "masked/2.jpg,anna", "bare/1.jpg,ben", "/3.jpg,anna")
    catalog = {"a": Dataset("a", "A", related=related)}
    found = codes(
        catalog,
        ("a", "Train/masked/1.jpg"), ("a", "Test/masked/2.jpg"),  # the end of the path counts
        ("a", "Train/bare/1.jpg"), ("a", "x/y/3.jpg"),
        ("a", "4.jpg"), ("a", "4.jpg"),  # not in the table: a photo is a group of its own
        ("b", "Train/masked/1.jpg"), ("b", "anna"),  # another dataset, though its photo be called like a group
        ("a", "anna"), ("a", "unmasked/1.jpg"),
    )  # fmt: skip
    assert found == [0, 0, 1, 0, 2, 2, 3, 4, 5, 6]


def test_the_longest_end_counts(tmp_path: Path) -> None:
    catalog = {"a": Dataset("a", "A", related=table(tmp_path / "r.csv", "1.jpg,x", "b/1.jpg,y", "2.jpg,y"))}
    assert codes(catalog, ("a", "a/1.jpg"), ("a", "b/1.jpg"), ("a", "b/2.jpg")) == [0, 1, 1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("photo,label\n1.jpg,a\n", r"r\.csv needs the columns photo and group\."),
        ("", r"r\.csv needs the columns photo and group\."),
        ("photo,group\n1.jpg,a\n1.jpg,b\n", r"Line 3 of the related photos .*r\.csv must give a photo and its one"),
        ("photo,group\n,a\n", r"Line 2 of the related photos"),
        ("photo,group\n1.jpg\n", r"Line 2 of the related photos"),
        (b"photo,group\n\xff\xfe,a\n", r"The table of related photos .*r\.csv cannot be read"),
        (None, r"The table of related photos .*r\.csv cannot be read \(.*No such file"),
    ],
)
def test_a_table_that_is_none(tmp_path: Path, content: str | bytes | None, message: str) -> None:
    path = tmp_path / "r.csv"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(MaskDetError, match=message):
        read_related(path)


def test_a_row_may_stand_twice_and_an_excel_file_has_a_mark(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_bytes("photo,group,remark\nä\\1.jpg, x ,\nä/1.jpg,x,again\n".encode("utf-8-sig"))
    assert read_related(path) == {"ä/1.jpg": "x"}


def test_a_catalogs_entry_names_a_table_beside_it(tmp_path: Path) -> None:
    own = tmp_path / "datasets.toml"
    own.write_text('[own]\nname = "Own"\nrelated = "lists/own.csv"\n', encoding="utf-8")
    assert load_catalog(own)["own"].related == tmp_path / "lists" / "own.csv"
    own.write_text('[own]\nname = "Own"\nrelated = 3\n', encoding="utf-8")
    with pytest.raises(MaskDetError, match=r"Dataset own: related must be the path of a table, not 3\."):
        load_catalog(own)


def test_related_photos_are_never_parted_and_leak_where_they_are(tmp_path: Path) -> None:
    """60 photos of 20 people whose hashes are all far apart: only the table tells that three are of one."""
    rows = [f"{n}.jpg,{n % 20}" for n in range(60)]
    catalog = {"a": Dataset("a", "A", related=table(tmp_path / "r.csv", *rows))}
    hashes = [hexadecimal(value) for value in random_hashes(60)]
    faces = make_faces(*({"dataset": "a", "photo": f"{n}.jpg", "phash": hashes[n]} for n in range(60)))
    filtered = apply_filters(faces)
    split = split_faces(faces, filtered, catalog).table
    group = split["face_id"].str.extract(r"/(\d+)\.jpg")[0].astype(int) % 20
    assert (split["split"].groupby(group).nunique() == 1).all()
    assert split["group"].nunique() == 20
    assert split["split"].value_counts().to_dict() == {"train": 36, "validation": 12, "test": 12}
    assert split_faces(faces, filtered, {}).table["group"].nunique() == 60

    pairs = near_pairs_of(parse_hashes(faces.table["phash"]), 6)
    leaks = leak_table(faces, pairs, compare_splits(faces, filtered, catalog), catalog)
    of_test = leaks[(leaks["part"] == "test") & (leaks["distance"] == 6)].set_index("splitting")
    assert of_test.loc["grouped", ["leaks", "related"]].tolist() == [0, 0]
    assert of_test.loc["by_face", "leaks"] == 0
    assert of_test.loc["by_face", "related"] > 0


def test_the_table_of_2_1_that_ships() -> None:
    """893 masked photos, each with five or six augmented copies, and no photo without a group."""
    path = load_catalog()["2.1"].related
    assert path is not None
    related = read_related(path)
    copies = {photo: group for photo, group in related.items() if "Augmented_" in photo}
    originals = {photo: group for photo, group in related.items() if photo not in copies}
    assert (len(originals), len(copies)) == (893, 4990)
    names = sorted(photo.removeprefix("WithMask/") for photo in originals)
    assert [originals[f"WithMask/{name}"] for name in names] == [str(n) for n in range(893)]
    assert all(photo.startswith(f"WithMask/Augmented_{group}_") for photo, group in copies.items())
    assert set(np.unique(list(copies.values()), return_counts=True)[1].tolist()) == {5, 6}
