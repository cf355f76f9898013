"""Results: how often each model is right, what that rests on, how it learned, what it costs, and where it errs."""

from collections.abc import Callable
from typing import Final

import streamlit as st

from maskdet.runs import Run
from maskdet.workspace import Workspace
from ui.cached import runs_of
from ui.errors import show_errors
from ui.results import choose_basis, choose_runs, show_notes, show_ranking
from ui.results_data import Comparison, compare, is_whole
from ui.results_learning import show_learning
from ui.results_views import show_calibration, show_confusion, show_metrics, show_options, show_sources, show_times
from ui.session import show, workspace_in_sight

VIEWS: Final[dict[str, Callable[[Comparison], None]]] = {
    "Metrics": show_metrics,
    "Confusion": show_confusion,
    "Calibration": show_calibration,
    "Learning": show_learning,
    "Running times": show_times,
    "Other sources": show_sources,
    "Options": show_options,
    "Errors": lambda comparison: show_errors(comparison.workspace, [one.run for one in comparison.with_predictions]),
}


def main() -> None:
    st.title("Results")
    workspace = workspace_in_sight()
    runs = [run for run in runs_of(workspace) if is_whole(run)]
    if not runs:
        show_nothing()
        return
    above = st.container()
    comparison = choose(workspace, runs)
    if comparison is None:
        return
    with above:
        show_ranking(comparison)
    show_notes(comparison)
    view = st.segmented_control(
        "View", list(VIEWS), default="Metrics", required=True, key="results_view", persist_state="session",
        label_visibility="collapsed", wrap=True,
    )  # fmt: skip
    VIEWS[view](comparison)


def choose(workspace: Workspace, runs: list[Run]) -> Comparison | None:
    """The runs to compare and the faces to judge them by, or None where nothing can be shown."""
    chosen = choose_runs(runs)
    basis = choose_basis()
    if not chosen:
        st.info("Choose at least one run above.", icon=":material/arrow_upward:")
        return None
    comparison = compare(workspace, runs, chosen, basis)
    if comparison.judged:
        return comparison
    for problem in comparison.problems:
        st.warning(problem)
    return None


def show_nothing() -> None:
    """What to do without any run."""
    st.info("No model is trained yet.")
    with st.container(horizontal=True):
        st.page_link("pages/training.py", label="Train a model", icon=":material/model_training:")
        st.page_link("pages/datasets.py", label="Scan a dataset", icon=":material/photo_library:")


show(main)
