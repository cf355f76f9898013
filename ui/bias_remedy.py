"""What to do about a gap: a run before and one after, and what balancing costs."""

from typing import Final

import streamlit as st

from ui.bias import needs_run
from ui.bias_data import Lab
from ui.charts import RUN_COLOURS

BEFORE: Final = "before"
AFTER: Final = "after"
_COLOURS: Final = {BEFORE: RUN_COLOURS[4], AFTER: RUN_COLOURS[2]}


def show_remedy(lab: Lab) -> None:
    if needs_run(lab):
        return
    st.info("soon")
