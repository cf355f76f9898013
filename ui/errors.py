"""Where models err: the faces they get wrong, those on which they disagree, and labels that are probably wrong."""

from collections.abc import Callable
from functools import partial
from typing import Final

import streamlit as st

from maskdet.runs import Run
from maskdet.workspace import Workspace
from ui.decisions import readable, show_failure, show_waiting
from ui.errors_suspects import show_suspects
from ui.errors_wrong import show_disagreements, show_wrong
from ui.session import show

_VIEWS: Final[dict[str, Callable[[Workspace, list[Run]], None]]] = {
    "Wrong faces": show_wrong,
    "Models disagree": show_disagreements,
    "Suspected label errors": lambda workspace, runs: show_suspects(workspace),
}


@st.fragment
def show_errors(workspace: Workspace, runs: list[Run]) -> None:
    """Three views of errors, the first two of some runs; they run again without the rest of the page."""
    show(partial(_show_errors, workspace, runs))


def _show_errors(workspace: Workspace, runs: list[Run]) -> None:
    if not runs:
        st.info("No model is trained yet, so there are no errors to look at.")
        st.page_link("pages/training.py", label="Train a model", icon=":material/model_training:")
        return
    if not readable(workspace):
        return
    show_failure()
    view = st.segmented_control(
        "Errors", list(_VIEWS), default="Wrong faces", required=True, key="errors_view", persist_state="session",
        label_visibility="collapsed", wrap=True,
    )  # fmt: skip
    show_waiting(workspace)
    _VIEWS[view](workspace, runs)
