"""Choices that several pages share, kept for the visit."""

from typing import Final

import streamlit as st

from maskdet.labels import IncorrectMask
from maskdet.quality import FilterOptions

TREATMENTS: Final[dict[IncorrectMask, str]] = {
    "drop": "Left out",
    "without_mask": "Count as without mask",
    "class": "A class of their own",
}


def choose_incorrect_mask() -> IncorrectMask:
    """What becomes of faces whose mask is worn incorrectly: one choice for all pages."""
    st.session_state.setdefault("incorrect_mask", FilterOptions().incorrect_mask)  # so that a page may set it too
    return st.segmented_control(
        "Masks worn incorrectly",
        list(TREATMENTS),
        required=True,
        format_func=TREATMENTS.__getitem__,
        key="incorrect_mask",
        persist_state="session",
        help="The study knows two labels only, with and without mask. Its counts leave faces out whose mask does not "
        "cover mouth and nose (our reading). The choice holds on every page.",
    )
