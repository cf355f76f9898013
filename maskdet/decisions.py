"""Decisions by hand: faces that a person keeps whatever the filters say, or drops.

They are kept by face id (dataset, photo and box), so they survive a rescan, also one of a dataset that is away for a
while. As CSV they have the columns ``face_id`` and ``decision``.
"""

import csv
from collections.abc import Mapping
from io import StringIO
from typing import Final, Literal, get_args

from filelock import FileLock, Timeout

from maskdet.errors import MaskDetError, WorkspaceError
from maskdet.export import LINE_END, inert, restored
from maskdet.workspace import Workspace, read_json, write_json

Decision = Literal["keep", "drop"]
Decisions = dict[str, Decision]
DECISIONS: Final[tuple[Decision, ...]] = get_args(Decision)
_COLUMNS: Final = ["face_id", "decision"]
_PATIENCE: Final = 10  # seconds; storing takes milliseconds


def load_decisions(workspace: Workspace) -> Decisions:
    """The decisions of a workspace, none if nobody decided yet. Raises WorkspaceError if the file is damaged."""
    path = workspace.path("decisions.json")
    if not path.exists():
        return {}
    stored = read_json(path)
    if not isinstance(stored, dict) or any(value not in DECISIONS for value in stored.values()):
        raise WorkspaceError(f"{path} holds no decisions.")
    return dict(stored)


def save_decisions(workspace: Workspace, decisions: Mapping[str, Decision]) -> None:
    """Write the decisions to the workspace. Raises WorkspaceError if it cannot be written."""
    write_json(workspace.path("decisions.json"), dict(sorted(decisions.items())))


def change_decisions(workspace: Workspace, changes: Mapping[str, Decision | None]) -> dict[str, Decision | None]:
    """Store decisions on some faces, None to take one back; all others stay as they are stored now.

    They are read, changed and written under a lock, so that of two sessions that decide at once neither undoes the
    other.

    Returns
    -------
    dict
        What was decided before on each face that changed: the changes that undo this one.

    Raises
    ------
    WorkspaceError
        If they cannot be read or written, or another session does not let go.
    """
    workspace.ensure_writable()
    try:
        with FileLock(workspace.path(".decisions.lock"), timeout=_PATIENCE):
            stored = load_decisions(workspace)
            before = {face_id: stored.get(face_id) for face_id, now in changes.items() if stored.get(face_id) != now}
            if before:
                merged = {**stored, **changes}
                save_decisions(workspace, {face_id: now for face_id, now in merged.items() if now is not None})
            return before
    except Timeout:
        raise WorkspaceError("Another session is storing decisions by hand; try again in a moment.") from None


def to_csv(decisions: Mapping[str, Decision]) -> str:
    """The decisions as CSV, sorted by face id."""
    text = StringIO()
    writer = csv.writer(text, lineterminator=LINE_END)
    writer.writerow(_COLUMNS)
    writer.writerows((inert(face_id), decision) for face_id, decision in sorted(decisions.items()))
    return text.getvalue()


def from_csv(data: bytes) -> Decisions:
    """Decisions from CSV. Further columns are passed over; of two lines on one face the last counts.

    Raises
    ------
    MaskDetError
        If it is no UTF-8 text, a column is missing, or a decision is neither keep nor drop; names the line.
    """
    try:
        rows = csv.DictReader(StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
        if not set(_COLUMNS) <= set(rows.fieldnames or ()):
            raise MaskDetError("The decisions need the columns face_id and decision.")
        decisions: Decisions = {}
        for row in rows:
            face_id, decision = restored(row["face_id"] or ""), (row["decision"] or "").strip()
            if not face_id:
                raise MaskDetError(f"Line {rows.line_num} of the decisions names no face.")
            if decision not in DECISIONS:
                raise MaskDetError(f"Line {rows.line_num} of the decisions: {decision!r} is neither keep nor drop.")
            decisions[face_id] = "keep" if decision == "keep" else "drop"
    except (UnicodeDecodeError, csv.Error) as error:
        raise MaskDetError(f"The decisions cannot be read as CSV: {error}.") from error
    return decisions
