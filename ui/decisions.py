"""Decide on single faces by hand, from any page, and go back step by step."""

from collections.abc import Mapping
from typing import Final

import streamlit as st

from maskdet.decisions import (
    Decision,
    Decisions,
    change_decisions,
    differing,
    is_label,
    label_decision,
    load_decisions,
    save_decisions,
)
from maskdet.errors import MaskDetError, WorkspaceError
from maskdet.labels import LABELS
from maskdet.workspace import Workspace
from ui.charts import LABEL_TITLES
from ui.public import require_private
from ui.quality_data import in_force
from ui.text import sentence

DECISION_TITLES: Final[dict[Decision, str]] = {
    "keep": "kept by hand",
    "drop": "dropped by hand",
    "confirm": "label confirmed by hand",
    **{label: f"relabelled by hand: {LABEL_TITLES[label].lower()}" for label in LABELS},
}
_HISTORY: Final = "decisions_history"
_FAILURE: Final = "decisions_failure"
#: What was decided before on each face that a step changed; None for nothing.
Step = dict[str, Decision | None]


def readable(workspace: Workspace) -> bool:
    """Whether the stored decisions can be read; if not, say so and offer to begin without them."""
    try:
        load_decisions(workspace)
    except WorkspaceError as error:
        st.error(sentence(error), icon=":material/error:")
        if st.button("Take all decisions back", icon=":material/undo:", key="decisions_mend"):
            require_private()
            save_decisions(workspace, {})
            st.rerun()
        return False
    return True


def change(workspace: Workspace, changes: Mapping[str, Decision | None]) -> None:
    """Store decisions on some faces, None to take one back; the step can be undone in this visit."""
    require_private()
    before = change_decisions(workspace, changes)
    if before:
        history(workspace).append(before)


def undo(workspace: Workspace) -> None:
    """Take the last step of this visit back; what others decided since, from a shell perhaps, stays."""
    require_private()
    change_decisions(workspace, history(workspace)[-1])
    history(workspace).pop()


def on_change(workspace: Workspace, changes: Mapping[str, Decision | None]) -> None:
    """`change` as a button's callback, before the page runs: `show_failure` says then what went wrong, if anything."""
    try:
        change(workspace, changes)
    except MaskDetError as error:
        st.session_state[_FAILURE] = str(error)


def on_undo(workspace: Workspace) -> None:
    """`undo` as a button's callback."""
    try:
        undo(workspace)
    except MaskDetError as error:
        st.session_state[_FAILURE] = str(error)


def show_failure() -> None:
    """What went wrong in a callback of this run, once."""
    message = st.session_state.pop(_FAILURE, None)
    if message:
        st.error(sentence(message), icon=":material/error:")


def decision_buttons(workspace: Workspace, face_id: str, published: str) -> None:
    """Keep, drop or relabel one face, confirm its label, or take that back; an error becomes a sentence.

    Parameters
    ----------
    published : str
        The label that the publisher gives the face.
    """
    chosen: dict[str, tuple[str, Decision | None, str, str]] = {
        "Keep": ("Keep", "keep", ":material/check_circle:", "It stays, whatever the filters say."),
        "Drop": ("Drop", "drop", ":material/cancel:", "It goes, whatever the filters say."),
        "Take back": ("Take back", None, ":material/undo:", "Let the filters decide, with the publisher's label."),
    }
    for label in sorted(LABELS, key=lambda label: label != published):  # the publisher's own comes first
        decision = label_decision(published, label)
        title = "Label is right" if decision == "confirm" else f"Relabel: {LABEL_TITLES[label].lower()}"
        icon = ":material/verified:" if decision == "confirm" else ":material/swap_horiz:"
        chosen[decision] = (title, decision, icon, "The filters judge it by this label, as any other face.")
    try:
        now = load_decisions(workspace).get(face_id)
        with st.container(horizontal=True, vertical_alignment="center"):
            for key, (title, decision, icon, about) in chosen.items():
                # Never disabled: a button that is would lose the focus, and with it the dialog's keys.
                if st.button(title, key=f"decide_{key}", icon=icon, help=about):
                    change(workspace, {face_id: decision})
                    now = decision
            st.caption(_now(now))
    except MaskDetError as error:
        st.error(sentence(error), icon=":material/error:")


def waiting(workspace: Workspace, decisions: Decisions) -> int:
    """On how many faces these decisions would change the filtered set in force, if they were applied."""
    try:
        applied = in_force(workspace)[0].decisions
    except WorkspaceError:  # nothing is applied, so all of them wait
        applied = {}
    return len(differing(decisions, applied))


def show_waiting(workspace: Workspace) -> None:
    """The way on after decisions by hand: how many wait to be applied, and where."""
    count = waiting(workspace, load_decisions(workspace))
    if not count:
        return
    waits = "1 decision by hand waits" if count == 1 else f"{count:,} decisions by hand wait"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(
            f"**{waits}:** press *Apply and split* on the Quality page, then train again.",
            help="Runs trained before keep their predictions and labels. The new split deals the faces anew, so "
            "compare runs of one split only.",
            width="content",
        )
        st.page_link("pages/quality.py", label="To the Quality page", icon=":material/filter_alt:")


def history(workspace: Workspace) -> list[Step]:
    """The steps of this visit, the oldest first."""
    steps: dict[str, list[Step]] = st.session_state.setdefault(_HISTORY, {})
    return steps.setdefault(str(workspace.home), [])


def _now(decision: Decision | None) -> str:
    if decision is None:
        return "The filters decide."
    also = ". The filters judge it by this label." if is_label(decision) else "."
    return f"Now {DECISION_TITLES[decision]}{also}"
