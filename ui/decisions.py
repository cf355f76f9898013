"""Keep or drop single faces by hand, from any page, and go back step by step."""

from collections.abc import Mapping
from typing import Final

import streamlit as st

from maskdet.decisions import Decision, change_decisions, load_decisions, save_decisions
from maskdet.errors import MaskDetError, WorkspaceError
from maskdet.workspace import Workspace
from ui.text import sentence

DECISION_TITLES: Final[dict[Decision, str]] = {"keep": "kept by hand", "drop": "dropped by hand"}
_HISTORY: Final = "decisions_history"
#: What was decided before on each face that a step changed; None for nothing.
Step = dict[str, Decision | None]


def readable(workspace: Workspace) -> bool:
    """Whether the stored decisions can be read; if not, say so and offer to begin without them."""
    try:
        load_decisions(workspace)
    except WorkspaceError as error:
        st.error(sentence(error), icon=":material/error:")
        if st.button("Take all decisions back", icon=":material/undo:", key="decisions_mend"):
            save_decisions(workspace, {})
            st.rerun()
        return False
    return True


def change(workspace: Workspace, changes: Mapping[str, Decision | None]) -> None:
    """Store decisions on some faces, None to take one back; the step can be undone in this visit."""
    before = change_decisions(workspace, changes)
    if before:
        history(workspace).append(before)


def undo(workspace: Workspace) -> None:
    """Take the last step of this visit back; what others decided since, from a shell perhaps, stays."""
    change_decisions(workspace, history(workspace)[-1])
    history(workspace).pop()


def decision_buttons(workspace: Workspace, face_id: str) -> None:
    """Keep or drop one face, whatever the filters say, or take that back; an error becomes a sentence."""
    try:
        now = load_decisions(workspace).get(face_id)
        chosen: dict[str, tuple[Decision | None, str]] = {
            "Keep": ("keep", ":material/check_circle:"),
            "Drop": ("drop", ":material/cancel:"),
            "Take back": (None, ":material/undo:"),
        }
        with st.container(horizontal=True, vertical_alignment="center"):
            for title, (decision, icon) in chosen.items():
                # Never disabled: a button that is would lose the focus, and with it the dialog's keys.
                if st.button(
                    title, key=f"decide_{title}", icon=icon,
                    help="Whatever the filters say." if decision else "Let the filters decide.",
                ):  # fmt: skip
                    change(workspace, {face_id: decision})
                    now = decision
            st.caption(f"Now {DECISION_TITLES[now]}." if now else "The filters decide.")
    except MaskDetError as error:
        st.error(sentence(error), icon=":material/error:")


def history(workspace: Workspace) -> list[Step]:
    """The steps of this visit, the oldest first."""
    steps: dict[str, list[Step]] = st.session_state.setdefault(_HISTORY, {})
    return steps.setdefault(str(workspace.home), [])
