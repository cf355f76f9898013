"""Decisions by hand: taking and undoing them, the CSV there and back, and what is wrong with a file."""

import pytest
from factories import make_faces

from maskdet.decisions import decide, from_csv, load_decisions, save_decisions, to_csv
from maskdet.errors import MaskDetError, WorkspaceError
from maskdet.facetable import forget, scan
from maskdet.quality import apply_filters
from maskdet.workspace import Workspace


def test_deciding_and_taking_back() -> None:
    first = decide({}, ["x", "y"], "drop")
    second = decide(first, ["y"], "keep")
    assert first == {"x": "drop", "y": "drop"}
    assert second == {"x": "drop", "y": "keep"}
    assert decide(second, ["x", "z"], None) == {"y": "keep"}


def test_stored_in_the_workspace(workspace: Workspace) -> None:
    assert load_decisions(workspace) == {}
    save_decisions(workspace, {"z": "keep", "a": "drop"})
    assert load_decisions(workspace) == {"a": "drop", "z": "keep"}


@pytest.mark.parametrize("text", ["[]", '{"a": "maybe"}', "{", '{"a": ["keep"]}'])
def test_a_damaged_file_is_named(workspace: Workspace, text: str) -> None:
    workspace.home.mkdir()
    workspace.path("decisions.json").write_text(text)
    with pytest.raises(WorkspaceError, match=r"decisions\.json"):
        load_decisions(workspace)


def test_csv_there_and_back() -> None:
    odd = {'a/b "c", d.jpg': "keep", "x/ü\nü.png@1,2,3,4": "drop", "=cmd/1.jpg": "keep", "'=quoted/1.jpg": "drop"}
    text = to_csv(odd)  # type: ignore[arg-type]
    assert text.splitlines()[0] == "face_id,decision"
    assert from_csv(text.encode()) == odd
    assert from_csv(("\ufeff" + text).encode()) == odd
    cells = [line.split(",")[0].strip('"') for line in text.splitlines()]
    assert not any(cell.startswith("=") for cell in cells)  # a spreadsheet would run it


def test_csv_of_a_person() -> None:
    data = b"note,decision,face_id\r\nblurred,drop,x\r\n,keep ,y\r\nbetter,keep,x\r\n"
    assert from_csv(data) == {"x": "keep", "y": "keep"}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"face_id,verdict\nx,keep\n", "need the columns face_id and decision"),
        (b"", "need the columns"),
        (b"face_id,decision\nx,keep\ny,maybe\n", "Line 3 of the decisions: 'maybe' is neither keep nor drop"),
        (b"face_id,decision\nx\n", "Line 2 of the decisions: '' is neither"),
        (b"face_id,decision\n,keep\n", "Line 2 of the decisions names no face"),
        (b"\xff\xfe", "cannot be read as CSV"),
        (b'face_id,decision\n"x,keep\n', "cannot be read as CSV"),
    ],
)
def test_csv_that_is_none(data: bytes, message: str) -> None:
    with pytest.raises(MaskDetError, match=message):
        from_csv(data)


def test_decisions_survive_a_rescan(workspace: Workspace, datasets) -> None:
    faces = scan(workspace, datasets, jobs=1)
    face_id = "group/images/a.png@2,3,22,33"
    save_decisions(workspace, {face_id: "drop"})
    forget(workspace, "group")
    again = scan(workspace, datasets, jobs=1)
    assert again.fingerprint == faces.fingerprint
    table = apply_filters(again, None, load_decisions(workspace)).table.set_index("face_id")
    assert table.loc[face_id, "removed_by"] == "by_hand"


def test_a_decision_on_a_face_that_is_not_there_changes_nothing() -> None:
    faces = make_faces({}, {})
    assert apply_filters(faces, None, {"gone": "drop"}).table["removed_by"].tolist() == ["", ""]
