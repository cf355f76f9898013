"""Decisions by hand: taking and undoing them, the CSV there and back, and what is wrong with a file."""

import csv
from concurrent.futures import ThreadPoolExecutor
from io import StringIO

import pandas as pd
import pytest
from factories import make_faces
from filelock import FileLock

import maskdet.decisions
from maskdet.decisions import (
    DECISIONS,
    Decision,
    change_decisions,
    confirmation,
    counted,
    differing,
    from_csv,
    is_label,
    label_decision,
    load_decisions,
    save_decisions,
    to_csv,
    with_decisions,
)
from maskdet.errors import MaskDetError, WorkspaceError
from maskdet.facetable import forget, scan
from maskdet.labels import Label
from maskdet.quality import apply_filters
from maskdet.workspace import Workspace


def test_stored_in_the_workspace(workspace: Workspace) -> None:
    assert load_decisions(workspace) == {}
    save_decisions(workspace, {"z": "keep", "a": "drop"})
    assert load_decisions(workspace) == {"a": "drop", "z": "keep"}


def test_sessions_that_decide_at_once_do_not_undo_each_other(workspace: Workspace) -> None:
    def session(name: str) -> None:
        for number in range(20):
            change_decisions(workspace, {f"{name}{number}": "drop"})

    with ThreadPoolExecutor() as pool:
        list(pool.map(session, "abc"))
    assert load_decisions(workspace) == {f"{name}{number}": "drop" for name in "abc" for number in range(20)}


def test_changes_can_be_undone(workspace: Workspace) -> None:
    assert change_decisions(workspace, {"x": "drop", "y": "keep"}) == {"x": None, "y": None}
    before = change_decisions(workspace, {"x": None, "y": "keep", "z": "drop", "new": None})
    assert before == {"x": "drop", "z": None}
    assert load_decisions(workspace) == {"y": "keep", "z": "drop"}
    change_decisions(workspace, {"other": "keep"})  # of another session
    change_decisions(workspace, before)
    assert load_decisions(workspace) == {"x": "drop", "y": "keep", "other": "keep"}


def test_a_session_that_does_not_let_go_is_a_sentence(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maskdet.decisions, "_PATIENCE", 0)
    workspace.ensure_writable()
    with (
        FileLock(workspace.path(".decisions.lock")),
        pytest.raises(WorkspaceError, match="Another session is storing decisions by hand"),
    ):
        change_decisions(workspace, {"x": "drop"})
    with (
        FileLock(workspace.path(".decisions.lock")),
        pytest.raises(WorkspaceError, match="Another session is storing decisions by hand"),
    ):
        save_decisions(workspace, {})


@pytest.mark.parametrize("text", ["[]", '{"a": "maybe"}', "{", '{"a": ["keep"]}'])
def test_a_damaged_file_is_named_with_what_mends_it(workspace: Workspace, text: str) -> None:
    workspace.home.mkdir()
    workspace.path("decisions.json").write_text(text)
    with pytest.raises(WorkspaceError, match=r"decisions\.json cannot be read \(.+\): .*delete "):
        load_decisions(workspace)


def test_csv_there_and_back() -> None:
    odd = {'a/b "c", d.jpg': "keep", "x/ü\nü.png@1,2,3,4": "drop", "=cmd/1.jpg": "keep", "'=quoted/1.jpg": "drop"}
    odd |= {"x/a\r=1+1.png": "keep", "\n=1.png": "drop"}  # a line break, and behind it what looks like a formula
    text = to_csv(odd)  # type: ignore[arg-type]
    assert text.startswith("face_id,decision\r\n")
    assert from_csv(text.encode()) == odd
    assert from_csv(("\ufeff" + text).encode()) == odd
    cells = [row[0] for row in csv.reader(StringIO(text, newline=""))]
    assert not any(cell.startswith(("=", "\n")) for cell in cells)  # a spreadsheet would run it
    assert text.replace("\r\n", "").count("\r") == text.count("\r'=1+1.png\"") == 1  # within quotes: no cell of its own


def test_every_decision_goes_there_and_back(workspace: Workspace) -> None:
    every: dict[str, Decision] = {f"a/{number}.jpg": decision for number, decision in enumerate(DECISIONS)}
    assert list(every.values()) == ["keep", "drop", "confirm", "with_mask", "without_mask", "incorrect_mask"]
    assert from_csv(to_csv(every).encode()) == every
    save_decisions(workspace, every)
    assert load_decisions(workspace) == every


def test_files_of_older_versions_still_read(workspace: Workspace) -> None:
    workspace.home.mkdir()
    workspace.path("decisions.json").write_text('{"a/1.jpg": "drop", "b/2.jpg": "keep"}')
    assert load_decisions(workspace) == {"a/1.jpg": "drop", "b/2.jpg": "keep"}
    assert from_csv(b"face_id,decision\na/1.jpg,drop\n") == {"a/1.jpg": "drop"}


@pytest.mark.parametrize(
    ("published", "label", "relabelled", "confirmed"),
    [
        ("with_mask", "with_mask", "confirm", "confirm"),
        ("with_mask", "without_mask", "without_mask", "without_mask"),  # trained on a label of a decision taken back
        ("incorrect_mask", "without_mask", "without_mask", "confirm"),  # it counted as without mask when trained
        ("without_mask", "incorrect_mask", "incorrect_mask", "incorrect_mask"),
    ],
)
def test_labels_as_decisions(published: Label, label: Label, relabelled: Decision, confirmed: Decision) -> None:
    assert label_decision(published, label) == relabelled
    assert confirmation(published, label) == confirmed


def test_which_decisions_are_labels() -> None:
    assert [decision for decision in DECISIONS if is_label(decision)] == ["with_mask", "without_mask", "incorrect_mask"]
    assert not is_label(None)


def test_a_confirmed_label_makes_no_difference() -> None:
    one: dict[str, Decision] = {"a": "keep", "b": "confirm", "c": "with_mask", "d": "drop", "e": "confirm"}
    other: dict[str, Decision] = {"a": "keep", "c": "without_mask", "e": "keep"}
    assert differing(one, other) == differing(other, one) == {"c", "d", "e"}
    assert differing(one, one) == set()


def test_decisions_in_words_and_beside_a_table() -> None:
    decisions: dict[str, Decision] = {"a": "keep", "b": "with_mask", "c": "incorrect_mask", "d": "confirm", "e": "drop"}
    assert counted(decisions) == "1 kept, 1 dropped, 2 relabelled, 1 confirmed"
    assert counted({}) == "nothing decided"
    table = with_decisions(pd.DataFrame({"face_id": ["b", "x"], "n": [1, 2]}), decisions)
    assert table.to_dict("list") == {"face_id": ["b", "x"], "n": [1, 2], "decision": ["with_mask", ""]}


def test_csv_of_a_person() -> None:
    data = b"note,decision,face_id\r\nblurred,drop,x\r\n,keep ,y\r\nbetter,keep,x\r\n"
    assert from_csv(data) == {"x": "keep", "y": "keep"}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"face_id,verdict\nx,keep\n", "need the columns face_id and decision"),
        (b"", "need the columns"),
        (
            b"face_id,decision\nx,keep\ny,maybe\n",
            "Line 3 of the decisions: 'maybe' is none of keep, drop, confirm, with_mask",
        ),
        (b"face_id,decision\nx\n", "Line 2 of the decisions: '' is none of"),
        (b"face_id,decision\n,keep\n", "Line 2 of the decisions names no face"),
        (b"decision,face_id\nkeep\n", "Line 2 of the decisions names no face"),
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
