"""Decisions by hand on single faces: keep or drop one whatever the filters say, confirm its label, or relabel it.

A face holds one decision:

keep        it passes every filter, as it is labelled; who keeps a face vouches for it, so it is no suspect any more
drop        it is removed
confirm     its label was looked at and is right; the filters judge it as before
with_mask, without_mask, incorrect_mask
            its label is this one, whatever the publisher says; the filters judge it as any other face of that label

A later decision takes the place of an earlier one. So a face that was kept and is then relabelled is judged by the
filters again. Relabelling does not keep a face too: else the second copy of a face would stay beside the first, only
because its label was mended.

Decisions are kept by face id (dataset, photo and box), so they survive a rescan, also one of a dataset that is away
for a while. The face table is never changed: `maskdet.quality.apply_filters` reads them. As CSV they have the columns
``face_id`` and ``decision``.
"""

import csv
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import StringIO
from typing import TYPE_CHECKING, Final, Literal, TypeGuard, get_args

from filelock import FileLock, Timeout

from maskdet.errors import MaskDetError, WorkspaceError, reason_of
from maskdet.export import LINE_END, inert, restored
from maskdet.labels import INCORRECT_MASK, LABELS, Label
from maskdet.workspace import Workspace, read_json, unreadable, write_json

if TYPE_CHECKING:
    import pandas as pd

Decision = Literal["keep", "drop", "confirm", "with_mask", "without_mask", "incorrect_mask"]
Decisions = dict[str, Decision]
DECISIONS: Final[tuple[Decision, ...]] = get_args(Decision)
_COLUMNS: Final = ["face_id", "decision"]
#: Of a CSV: 20 MB are half a million faces.
MOST_BYTES: Final = 20_000_000
_MOST_COLUMNS: Final = 100
_PATIENCE: Final = 10  # seconds; storing takes milliseconds


def is_label(decision: Decision | None) -> TypeGuard[Label]:
    """True for a decision that gives the face a label."""
    return decision in LABELS


def label_decision(published: str, label: Label) -> Decision:
    """The decision that a face has this label: to confirm it where the publisher says the same, else to relabel it."""
    return "confirm" if label == published else label


def confirmation(published: str, given: Label) -> Decision:
    """The decision that the label a run was trained with is right.

    That is the publisher's, or how a mask worn incorrectly counted, which is confirmed; or else the label of a decision
    that has been taken back since, which is decided again.
    """
    return "confirm" if published in (given, INCORRECT_MASK) else given


def counted(decisions: Mapping[str, Decision]) -> str:
    """How many decisions there are of each kind, in words, such as ``2 kept, 1 relabelled``."""
    counts = {
        "kept": sum(decision == "keep" for decision in decisions.values()),
        "dropped": sum(decision == "drop" for decision in decisions.values()),
        "relabelled": sum(is_label(decision) for decision in decisions.values()),
        "confirmed": sum(decision == "confirm" for decision in decisions.values()),
    }
    return ", ".join(f"{count:,} {kind}" for kind, count in counts.items() if count) or "nothing decided"


def differing(one: Mapping[str, Decision], other: Mapping[str, Decision]) -> set[str]:
    """The faces that two sets of decisions treat otherwise; a label that was confirmed changes nothing."""
    left, right = ({item for item in decisions.items() if item[1] != "confirm"} for decisions in (one, other))
    return {face_id for face_id, _ in left ^ right}


def with_decisions(table: "pd.DataFrame", decisions: Mapping[str, Decision]) -> "pd.DataFrame":
    """A table with the column face_id, and beside the others the column decision, "" where there is none."""
    return table.assign(decision=[decisions.get(face_id, "") for face_id in table["face_id"]])


def load_decisions(workspace: Workspace) -> Decisions:
    """The decisions of a workspace, none if nobody decided yet. Raises WorkspaceError if the file is damaged."""
    path = workspace.path("decisions.json")
    if not path.exists():
        return {}
    stored = read_json(path, version=1)
    if not isinstance(stored, dict) or any(value not in DECISIONS for value in stored.values()):
        raise unreadable(path, "it holds no decisions")
    return dict(stored)


def save_decisions(workspace: Workspace, decisions: Mapping[str, Decision]) -> None:
    """Write the decisions to the workspace, in place of all that are stored, under the lock of `change_decisions`.

    Raises
    ------
    WorkspaceError
        If it cannot be written, or another session does not let go.
    """
    with _held(workspace):
        _write(workspace, decisions)


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
    with _held(workspace):
        stored = load_decisions(workspace)
        before = {face_id: stored.get(face_id) for face_id, now in changes.items() if stored.get(face_id) != now}
        if before:
            merged = {**stored, **changes}
            _write(workspace, {face_id: now for face_id, now in merged.items() if now is not None})
        return before


@contextmanager
def _held(workspace: Workspace) -> Iterator[None]:
    """Hold the decisions alone."""
    workspace.ensure_writable()
    try:
        with FileLock(workspace.path(".decisions.lock"), timeout=_PATIENCE):
            yield
    except Timeout:
        raise WorkspaceError("Another session is storing decisions by hand; try again in a moment.") from None


def _write(workspace: Workspace, decisions: Mapping[str, Decision]) -> None:
    write_json(workspace.path("decisions.json"), dict(sorted(decisions.items())), version=1)


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
        If it is no UTF-8 text, larger than `MOST_BYTES`, a column is missing, there are more than 100, or a decision is
        none of `DECISIONS`; names the line.
    """
    if len(data) > MOST_BYTES:
        raise MaskDetError(f"The decisions are larger than {MOST_BYTES // 1_000_000} MB.")
    known: dict[str, Decision] = {decision: decision for decision in DECISIONS}
    try:
        rows = csv.DictReader(StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
        if not set(_COLUMNS) <= set(rows.fieldnames or ()):
            raise MaskDetError("The decisions need the columns face_id and decision.")
        if len(rows.fieldnames or ()) > _MOST_COLUMNS:
            raise MaskDetError(f"The decisions have more than {_MOST_COLUMNS} columns.")
        decisions: Decisions = {}
        for row in rows:
            face_id, decision = restored(row["face_id"] or ""), (row["decision"] or "").strip()
            if not face_id:
                raise MaskDetError(f"Line {rows.line_num} of the decisions names no face.")
            if decision not in known:
                raise MaskDetError(
                    f"Line {rows.line_num} of the decisions: {decision!r} is none of {', '.join(DECISIONS)}."
                )
            decisions[face_id] = known[decision]
    except (UnicodeDecodeError, csv.Error) as error:
        raise MaskDetError(f"The decisions cannot be read as CSV: {reason_of(error)}.") from error
    return decisions
