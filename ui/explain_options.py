"""What a visitor may set on the Explain page: the model, whether a photo is one face, and how heatmaps look."""

from typing import Final

import streamlit as st

from maskdet.compare import short_labels
from maskdet.predict import MIN_FACE_SIZE
from maskdet.runs import Run, find_run
from ui.cached import is_synthetic, runs_of
from ui.explain_heat import Display
from ui.explain_state import Options
from ui.session import workspace_in_sight

#: Plotly's names of colour maps (see `maskdet.attribution.COLOUR_MAPS`, which nothing but a heatmap needs).
COLOUR_MAPS: Final = ("inferno", "viridis", "cividis", "magma", "turbo")
_LEAST_SIZE, _MOST_SIZE = 10, 200


def choose_run(key: str = "explain_model", width: int = 360) -> Run | None:
    """The model that gives verdicts, the best bundled one at first; None, with a way on, if there is none."""
    runs = runs_of(workspace_in_sight())
    if not runs:
        st.warning("There is no trained model yet.")
        st.page_link("pages/training.py", label="Train one", icon=":material/model_training:")
        return None
    by_id, labels = {run.id: run for run in runs}, short_labels(runs)
    if st.session_state.get(key) not in by_id:
        st.session_state[key] = find_run(workspace_in_sight()).id
    chosen = st.selectbox(
        "Model", list(by_id), format_func=lambda name: _title(by_id[name], labels[name]), key=key, width=width,
        persist_state="session", help="Results says how often each is right, and on which faces it errs.",
    )  # fmt: skip
    return by_id[chosen]


def _title(run: Run, label: str) -> str:
    marks = (" · bundled" if run.is_bundled else "") + (" · synthetic faces only" if is_synthetic(run) else "")
    return label + marks


def choose_options() -> tuple[Options, Display] | None:
    """A row of controls; None if there is no model."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        run = choose_run()
        if run is None:
            return None
        whole = st.toggle(
            "The photo is one face", key="explain_whole", persist_state="session",
            help="Skips the search for faces. For photos that were cropped to a face already, from forehead to chin.",
        )  # fmt: skip
        with st.popover("More options", icon=":material/tune:"):
            min_size, display = _choose_more()
    return Options(run, whole, min_size), display


def _choose_more() -> tuple[int, Display]:
    size = choose_size()
    opacity = st.slider(
        "Heatmap opacity", 0.0, 1.0, 0.6, 0.05, key="explain_opacity", persist_state="session",
        help="Of the hottest place; where there is no heat the face stays clear.",
    )  # fmt: skip
    colours = st.selectbox(
        "Heatmap colours", COLOUR_MAPS, key="explain_colours", persist_state="session", format_func=str.capitalize
    )
    return size, Display(opacity, colours)


def choose_size() -> int:
    """Least length of a face's shorter side, in pixels."""
    size: int = st.slider(
        "Smallest face", _LEAST_SIZE, _MOST_SIZE, MIN_FACE_SIZE, 5, format="%d px", key="explain_size",
        persist_state="session",
        help="Faces with a shorter side below this are marked, not judged: of so few pixels a verdict is a guess.",
    )  # fmt: skip
    return size
