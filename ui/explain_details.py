"""One face in detail: more heatmaps, how far to trust them, what would change the verdict, and the nearest faces."""

from collections.abc import Callable
from functools import partial
from typing import Final

import streamlit as st

from ui.explain_heat import Display
from ui.explain_heatmaps import show_heatmaps
from ui.explain_nearest import show_nearest
from ui.explain_state import Look
from ui.explain_trust import show_trust
from ui.explain_whatif import show_whatif
from ui.session import show

_TABS: Final[dict[str, Callable[[Look, Display], None]]] = {
    "Heatmaps": show_heatmaps,
    "Trust in the heatmap": show_trust,
    "What would change it?": show_whatif,
    "Nearest training faces": show_nearest,
}


@st.fragment
def show_details(look: Look, display: Display) -> None:
    """Tabs about one face; only the one that is open is computed, without the rest of the page."""
    for title, tab in zip(_TABS, st.tabs(list(_TABS), key="explain_tabs", on_change="rerun"), strict=True):
        if tab.open:
            with tab:
                show(partial(_TABS[title], look, display))
