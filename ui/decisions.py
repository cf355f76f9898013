"""Keep or drop single faces by hand, from any page, and go back step by step."""

from collections.abc import Mapping
from typing import Final

import streamlit as st

from maskdet.decisions import Decision, decide, load_decisions, save_decisions
from maskdet.errors import MaskDetError
from maskdet.workspace import Workspace

DECISION_TITLES: Final[dict[Decision, str]] = {"keep": "kept by hand", "drop": "dropped by hand"}
_HISTORY: Final = "decisions_history"
#: What was decided before on each face that a step changed; None for nothing.
Step = dict[str, Decision | None]


def change(workspace: Workspace, decisions: Mapping[str, Decision]) -> None:
    """Store other decisions, and remember what they replaced, so that the step can be undone in this visit."""
    before = load_decisions(workspace)
    step = {face_id: before.get(face_id) for face_id, _ in before.items() ^ decisions.items()}
    if step:
        workspace.ensure_writable()
        save_decisions(workspace, decisions)
        history(workspace).append(step)


def undo(workspace: Workspace) -> None:
    """Take the last step of this visit back; what others decided since, from a shell perhaps, stays."""
    decisions = load_decisions(workspace)
    for face_id, before in history(workspace)[-1].items():
        decisions = decide(decisions, [face_id], before)
    save_decisions(workspace, decisions)
    history(workspace).pop()


def decision_buttons(workspace: Workspace, face_id: str) -> None:
    """Keep or drop one face, whatever the filters say, or take that back; an error becomes a sentence."""
    try:
        decisions = load_decisions(workspace)
        now = decisions.get(face_id)
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
                    change(workspace, decide(decisions, [face_id], decision))
                    now = decision
            st.caption(f"Now {DECISION_TITLES[now]}." if now else "The filters decide.")
    except MaskDetError as error:
        st.error(str(error), icon=":material/error:")


def history(workspace: Workspace) -> list[Step]:
    """The steps of this visit, the oldest first."""
    steps: dict[str, list[Step]] = st.session_state.setdefault(_HISTORY, {})
    return steps.setdefault(str(workspace.home), [])
