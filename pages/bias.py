"""Bias: can a score be believed, and for whom? Shortcuts of the data, gaps between groups, where models look."""

from collections.abc import Callable
from functools import partial
from typing import Final

import streamlit as st

from ui.bias import choose_lab, show_bias_jobs, show_data_headline, show_run_headline
from ui.bias_attention import show_attention
from ui.bias_card import show_card
from ui.bias_change import show_counterfactuals
from ui.bias_cross import show_cross
from ui.bias_data import Lab
from ui.bias_groups import show_groups
from ui.bias_remedy import show_remedy
from ui.bias_shortcuts import show_shortcuts
from ui.bias_tone import show_tones
from ui.cached import runs_of
from ui.results_data import is_whole
from ui.session import show, workspace_in_sight

VIEWS: Final[dict[str, Callable[[Lab], None]]] = {
    "Shortcuts": show_shortcuts,
    "Cross-dataset": show_cross,
    "Groups": show_groups,
    "Skin tone and mask colour": show_tones,
    "Counterfactuals": show_counterfactuals,
    "Attention": show_attention,
    "What to do": show_remedy,
    "Model card": show_card,
}


def main() -> None:
    st.title("Bias")
    workspace = workspace_in_sight()
    above, of_run = st.container(), st.container()
    lab = choose_lab(workspace, [run for run in runs_of(workspace) if is_whole(run)])
    with above:
        show_data_headline(lab)
    show_bias_jobs(workspace)
    view = st.segmented_control(
        "View", list(VIEWS), default="Shortcuts", required=True, key="bias_view", persist_state="session",
        label_visibility="collapsed", wrap=True,
    )  # fmt: skip
    show(partial(VIEWS[view], lab))
    with of_run:  # last: judging a run by all attributes takes some seconds, once
        show_run_headline(lab)


show(main)
