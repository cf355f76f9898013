"""Explain: drop photos or a video, see what a model says of each face, where it looked, and when not to believe it."""

from collections.abc import Callable
from typing import Final

import streamlit as st

from ui.explain import show_photos
from ui.explain_analysis import show_analysis
from ui.explain_video import show_video
from ui.session import show

VIEWS: Final[dict[str, Callable[[], None]]] = {
    "Photos": show_photos,
    "Video": show_video,
    "How the models look": show_analysis,
}


def main() -> None:
    st.title("Explain a photo")
    view = st.segmented_control(
        "View", list(VIEWS), default="Photos", required=True, key="explain_view", persist_state="session",
        label_visibility="collapsed", wrap=True,
    )  # fmt: skip
    VIEWS[view]()


show(main)
