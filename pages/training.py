"""Training: choose a model, its data and options; try it, launch it in the background, watch it."""

import streamlit as st

from maskdet.errors import MaskDetError
from maskdet.split import saved_splits
from maskdet.workspace import Workspace
from ui.cached import faces_of, runs_of
from ui.public import NOTE, is_public
from ui.session import current_workspace, show
from ui.text import sentence
from ui.training_command import commands, trials
from ui.training_jobs import show_trainings, start_trainings, trainings_of
from ui.training_setup import Setup, choose_data, choose_model, choose_options

#: Models side by side, as cards.
STYLE = """<style>
.st-key-training_models [data-testid="stRadioGroup"] {
  display: grid; align-items: stretch; gap: 0.75rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 13.5rem), 1fr));
}
.st-key-training_models [data-testid="stRadioGroup"] > div {
  position: relative; margin: 0; padding: 0.75rem; border: 1px solid rgba(128, 128, 128, 0.35); border-radius: 0.5rem;
}
.st-key-training_models [data-testid="stRadioGroup"] > div[data-selected] { border-color: currentColor; }
.st-key-training_models [data-testid="stRadioOption"]::after { content: ""; position: absolute; inset: 0; }
.st-key-training_models [data-testid="stRadioOption"] > div { position: relative; z-index: 1; }
</style>"""


def main() -> None:
    st.title("Training")
    st.html(STYLE)
    workspace = current_workspace()
    if is_public():  # its options name files of the server
        st.info(NOTE, icon=":material/lock:")
    else:
        _set_up(workspace)
    st.header("Trainings")
    st.caption("They go on when you leave this page, reload it, close the browser, or restart the server.")
    show_trainings(workspace)


def _set_up(workspace: Workspace) -> None:
    """Choose what to train, and start it."""
    faces = faces_of(workspace)
    splits = saved_splits(workspace, faces)
    if any(saved.usable for saved in splits):
        saved, problem = choose_data(splits, faces)
        model = choose_model()
        setup = choose_options(workspace, model, saved, runs_of(workspace))
        if problem:
            st.error(sentence(problem), icon=":material/error:")
        elif setup.problem:
            st.warning(sentence(setup.problem), icon=":material/warning:")
        _start(workspace, setup, disabled=bool(problem or setup.problem))
    else:
        st.info(
            "Models are trained on the faces that you apply, and nothing is applied yet, or the faces have changed "
            "since. Look at the filters on the Quality page, and press *Apply and split* there.",
            icon=":material/filter_alt:",
        )
        st.page_link("pages/quality.py", label="Filter and split", icon=":material/filter_alt:")


def _start(workspace: Workspace, setup: Setup, *, disabled: bool) -> None:
    """Try what was chosen on a small sample, or train it."""
    waiting = sum(job.is_active for job in trainings_of(workspace).jobs)
    with st.container(horizontal=True, vertical_alignment="center"):
        trial = st.button(
            "Try first", icon=":material/timer:", key="training_try", disabled=disabled,
            help="Trains a few steps and says about how long all of it would take. Nothing is kept.",
        )  # fmt: skip
        training = st.button(
            "Start training", icon=":material/play_arrow:", key="training_start", type="primary", disabled=disabled
        )
        if waiting:
            st.caption(
                f"{waiting} training{'s are' if waiting > 1 else ' is'} not done yet: this one is queued behind.",
                width="content",
            )
    if trial or training:
        try:
            start_trainings(workspace, trials(setup.choice) if trial else commands(setup.choice))
        except MaskDetError as error:
            st.error(sentence(error), icon=":material/error:")


show(main)
