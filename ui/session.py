"""Which workspace a visitor looks at, and how errors of the core reach the page."""

import logging
from collections.abc import Callable
from typing import Final

import streamlit as st

from maskdet.errors import MaskDetError
from maskdet.facetable import has_faces
from maskdet.starter import sample_of, sample_workspace
from maskdet.workspace import Workspace
from ui.public import is_public, without_folders
from ui.text import plain, sentence
from ui.upkeep import tidy

OWN: Final = "My datasets"
SAMPLE: Final = "Synthetic sample"


def home_workspace() -> Workspace:
    """The workspace that new scans go to."""
    return Workspace.locate()


def choose_data() -> None:
    """In the sidebar: the visitor's own datasets, where there are any, or the synthetic sample set."""
    if has_faces(home_workspace()):
        st.sidebar.segmented_control("Data", [OWN, SAMPLE], default=OWN, key="data_choice", required=True)
    else:
        own = "" if is_public() else ", until you scan a dataset of your own"
        st.sidebar.caption(f"Data: synthetic sample set{own}.")


def shows_sample() -> bool:
    """True where the page's data is the synthetic sample set."""
    return not has_faces(home_workspace()) or st.session_state.get("data_choice") == SAMPLE


def workspace_in_sight() -> Workspace:
    """The chosen workspace, without drawing the sample set."""
    return sample_of(home_workspace()) if shows_sample() else home_workspace()


def current_workspace() -> Workspace:
    """The chosen workspace; the sample set is drawn on first use, and always labelled as synthetic.

    Raises
    ------
    MaskDetError
        If the sample set is needed and cannot be written.
    """
    if not shows_sample():
        return home_workspace()
    with st.spinner("Drawing the synthetic sample set (once, a few seconds)"):
        workspace = sample_workspace(home_workspace())
    way_on = "" if is_public() else " Scan a dataset on the Datasets page to use your own photos."
    st.info(
        "**Synthetic sample set.** These faces are drawn, not photographed; they show how MaskDet works and say "
        f"nothing about real masks.{way_on}",
        icon=":material/draw:",
    )
    return workspace


def show(page: Callable[[], None]) -> None:
    """Show a page; an error becomes a sentence with ways on, never a traceback."""
    try:
        page()
    except MaskDetError as error:
        st.error(sentence(error), icon=":material/error:")
        _ways_on()
    except Exception as error:  # the log has the traceback; the visitor needs a way on
        logging.getLogger("maskdet").exception("a page failed")
        bug = f"{type(error).__name__}: {plain(without_folders(str(error)))}"
        st.error(f"Something is wrong in MaskDet itself ({bug}). The server's log has more.")
        _ways_on()
    tidy()


def _ways_on() -> None:
    with st.container(horizontal=True):
        st.page_link("pages/home.py", label="Home", icon=":material/home:")
        if not is_public():
            st.page_link("pages/datasets.py", label="Scan a dataset", icon=":material/photo_library:")
            st.page_link("pages/quality.py", label="Filter and split", icon=":material/filter_alt:")
        st.page_link("pages/explain.py", label="Explain a photo", icon=":material/face:")
