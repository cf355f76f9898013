"""Uploaded attributes: whose row it is, what is not known, and hostile files."""

import numpy as np
import pandas as pd
import pytest

from maskdet.bias import uploaded as module
from maskdet.bias.uploaded import read_attribute_csv, with_uploaded
from maskdet.errors import MaskDetError

KNOWN = ["a/x/1.jpg", "a/x/2.jpg", "a/y/2.jpg", "b/group.jpg@0,0,10,10", "b/group.jpg@20,0,30,10"]


def read(text: str) -> module.UploadedAttributes:
    return read_attribute_csv(text.encode(), KNOWN)


def test_by_face_id() -> None:
    found = read("face_id,age group,score\na/x/1.jpg,young,1.5\nb/group.jpg@20,0,30,10,old,2\n".replace(
        "b/group.jpg@20,0,30,10", '"b/group.jpg@20,0,30,10"'))  # fmt: skip
    assert found.table.to_dict("list") == {
        "face_id": ["a/x/1.jpg", "b/group.jpg@20,0,30,10"], "age group": ["young", "old"], "score": [1.5, 2.0]
    }  # fmt: skip
    assert (found.unknown, found.ambiguous) == ((), ())


@pytest.mark.parametrize(
    ("name", "faces"),
    [
        ("x/1.jpg", ["a/x/1.jpg"]),
        ("1.jpg", ["a/x/1.jpg"]),
        ("./x/1.jpg", ["a/x/1.jpg"]),
        ("x\\1.jpg", ["a/x/1.jpg"]),
        ("y/2.jpg", ["a/y/2.jpg"]),
        ("group.jpg", ["b/group.jpg@0,0,10,10", "b/group.jpg@20,0,30,10"]),
        ("b/group.jpg", ["b/group.jpg@0,0,10,10", "b/group.jpg@20,0,30,10"]),
    ],
)
@pytest.mark.parametrize("key", ["file", "photo", "Path", "face_id"])
def test_by_file(name: str, faces: list[str], key: str) -> None:
    found = read(f"{key},club\n{name},red\n")
    assert found.table["face_id"].tolist() == faces
    assert set(found.table["club"]) == {"red"}


def test_who_is_not_known_is_listed() -> None:
    found = read("file,club\n2.jpg,red\n1.jpg,red\n../../etc/passwd,blue\n3.jpg,blue\n3.jpg,blue\n")
    assert found.unknown == ("../../etc/passwd", "3.jpg")
    assert found.ambiguous == ("2.jpg",)
    assert found.table["face_id"].tolist() == ["a/x/1.jpg"]


def test_nobody_is_known() -> None:
    found = read("file,club,age\n7.jpg,red,3\n")
    assert found.table.empty
    assert list(found.table) == ["face_id", "club", "age"]
    assert with_uploaded(pd.DataFrame({"face_id": KNOWN}), found)["club"].tolist() == [""] * 5


def test_empty_cells_say_nothing() -> None:
    found = read("file,club,age\n1.jpg,n/a,30\nx/2.jpg,red,\n\ny/2.jpg, ,Unknown\n")
    assert found.table["club"].tolist() == ["", "red", ""]
    assert found.table["age"].tolist() == pytest.approx([30, np.nan, np.nan], nan_ok=True)


def test_numbers_and_text() -> None:
    found = read("file,mixed,endless,nothing\n1.jpg,1,inf,\nx/2.jpg,two,1e999,\n")
    assert found.table["mixed"].tolist() == ["1", "two"]
    assert found.table["endless"].tolist() == ["inf", "1e999"]  # no numbers that one can put into bins
    assert found.table["nothing"].tolist() == ["", ""]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_separators_and_the_mark_of_excel(separator: str) -> None:
    text = "\ufefffile,club\r\n1.jpg,rouge foncé\r\n".replace(",", separator)
    assert read(text).table["club"].tolist() == ["rouge foncé"]


def test_a_formula_is_text_and_its_apostrophe_is_taken_off_again() -> None:
    found = read("file,club\n1.jpg,=HYPERLINK(1)\nx/2.jpg,'=1+1\ny/2.jpg,<b>bold</b>\n")
    assert found.table["club"].tolist() == ["=HYPERLINK(1)", "=1+1", "<b>bold</b>"]


def test_names_of_own_attributes_stay_apart() -> None:
    found = read("file,skin_tone,skin_tone (uploaded),photo\n1.jpg,A,B,C\n")
    assert list(found.table) == ["face_id", "skin_tone (uploaded)'", "skin_tone (uploaded)", "photo (uploaded)"]


def test_beside_what_is_known() -> None:
    attributes = pd.DataFrame({"face_id": KNOWN, "size": 1.0})
    found = with_uploaded(attributes, read("file,club,age\n1.jpg,red,30\n"))
    assert found["face_id"].tolist() == KNOWN
    assert found["club"].tolist() == ["red", "", "", "", ""]
    assert found["age"].isna().sum() == 4


def test_the_same_thing_may_be_said_twice() -> None:
    assert len(read("file,club\n1.jpg,red\nx/1.jpg,red\n").table) == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "a header and at least one row"),
        ("file,club\n", "a header and at least one row"),
        ("\n\n  \n", "a header and at least one row"),
        ("1.jpg,red\nx/2.jpg,blue\n", "says whose row it is"),
        ("file\n1.jpg\n", "says nothing of the faces"),
        ("file,club,club\n1.jpg,a,b\n", "Two columns of the CSV are called 'club'"),
        ("file,\n1.jpg,a\n", "has no name"),
        ("file,File\n1.jpg,a\n", "Two columns"),
        ("file,club\n1.jpg\n", "Line 2 of the CSV has 1 cells; the header has 2"),
        ("file,club\n1.jpg,red,more\n", "Line 2"),
        ("file,club\n,red\n", "names no face"),
        ("file,club\n1.jpg,red\nx/1.jpg,blue\n", "Line 3 of the CSV says something else"),
        ('file,club\n1.jpg,"red\n', "cannot be read as CSV"),
        ("file,club\n1.jpg,\x00\n", "binary data"),
        ("file,club\n1.jpg,\x1b[31m\n", "no text"),
        ("file,club\n1.jpg," + "x" * 101 + "\n", "too long"),
        ("file,club\n1.jpg," + "x" * 200_000 + "\n", "CSV"),
        ("file,club\n" + "x" * 5000 + ",red\n", "names a face of 5,000 characters"),
        ("file," + "x" * 200 + "\n1.jpg,red\n", "too long"),
        ("file," + ",".join(f"c{i}" for i in range(31)) + "\n1.jpg" + ",1" * 31 + "\n", "at most 30"),
    ],
)
def test_a_file_that_is_none_is_one_sentence(text: str, words: str) -> None:
    with pytest.raises(MaskDetError, match=words) as error:
        read(text)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 300


@pytest.mark.parametrize("data", [b"\x89PNG\r\n\x1a\n\x00\x00", b"PK\x03\x04\xff\xfe", "file,clüb\n".encode("utf-16")])
def test_binary_files(data: bytes) -> None:
    with pytest.raises(MaskDetError, match=r"UTF-8|binary|CSV"):
        read_attribute_csv(data, KNOWN)


def test_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    known = [f"a/{i}.jpg" for i in range(150)]
    rows = "".join(f"{i}.jpg,name{i}\n" for i in range(150))
    with pytest.raises(MaskDetError, match="Column 'who' has 150 different texts"):
        read_attribute_csv(f"file,who\n{rows}".encode(), known)
    monkeypatch.setattr(module, "_MOST_ROWS", 100)
    with pytest.raises(MaskDetError, match="more than 100 rows"):
        read_attribute_csv(f"file,who\n{rows}".encode(), known)
    monkeypatch.setattr(module, "MOST_BYTES", 1_000)
    with pytest.raises(MaskDetError, match="larger than"):
        read_attribute_csv(f"file,who\n{rows}".encode(), known)


def test_any_bytes_are_a_table_or_one_sentence() -> None:
    rng = np.random.default_rng(0)
    alphabet = [*list(b"file,club\n1.jpg,red\"\r;\t=\\'"), 195, 169, 255, 0]
    for _ in range(2000):
        data = b"file,club\n" * int(rng.integers(2)) + bytes(rng.choice(alphabet, int(rng.integers(60))).tolist())
        try:
            found = read_attribute_csv(data, KNOWN)
        except MaskDetError as error:
            assert "\n" not in str(error)  # noqa: PT017
        else:
            assert set(found.table["face_id"]) <= set(KNOWN)
