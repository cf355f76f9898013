"""Quality: move the filters' thresholds, see what they remove and leave, decide by hand, apply, and split."""

from collections.abc import Callable
from typing import Final

import streamlit as st

from maskdet.labels import INCORRECT_MASK
from maskdet.quality import Filtered
from maskdet.review import concerns, removed_of_label
from maskdet.split import SplitOptions
from ui.by_hand import show_by_hand
from ui.cached import faces_of
from ui.charts import LABEL_TITLES
from ui.decisions import readable
from ui.quality_controls import choose_options
from ui.quality_data import Setting, filtered_by, setting_of
from ui.quality_split import choose_split, show_apply, show_split, status
from ui.quality_views import show_clusters, show_leaks, show_removals, show_threshold
from ui.session import current_workspace, show
from ui.text import sentence

#: The controls stay in sight beside long galleries, where the window is wide enough for two columns.
_STYLE: Final = """<style>
@media (min-width: 641px) {
  [data-testid="stColumn"]:has(.st-key-quality_controls) {
    position: sticky; top: 4rem; align-self: flex-start; max-height: calc(100vh - 5rem); overflow-y: auto;
    min-width: 232px;
  }
  [data-testid="stHorizontalBlock"]:has(> [data-testid="stColumn"] .st-key-quality_controls) {
    flex-wrap: nowrap;
  }
  [data-testid="stColumn"]:has(.st-key-quality_controls) + [data-testid="stColumn"] { min-width: 0; }
}
</style>"""
VIEWS: Final[dict[str, Callable[[Setting, SplitOptions | None], None]]] = {
    "Removals": lambda setting, split: show_removals(setting),
    "At the threshold": lambda setting, split: show_threshold(setting),
    "Duplicate clusters": lambda setting, split: show_clusters(setting),
    "Leaks": show_leaks,
    "By hand": lambda setting, split: show_by_hand(setting.workspace, setting.faces, filtered_by(setting)),
    "Split in force": show_split,
}


def main() -> None:
    st.title("Quality")
    workspace = current_workspace()
    faces_of(workspace)  # says so where there are none, before any control is shown
    if not readable(workspace):
        return
    st.html(_STYLE)
    above = st.container()
    left, right = st.columns([2, 5], gap="medium")
    with left, st.container(key="quality_controls"):
        options = choose_options()
    setting = setting_of(workspace, options)
    filtered = filtered_by(setting)
    with above:
        show_numbers(filtered)
        split = show_bar(setting)
    with right:
        for concern in concerns(setting.faces, filtered):
            st.warning(sentence(concern), icon=":material/warning:")
        view = st.segmented_control(
            "View", list(VIEWS), default="Removals", required=True, key="quality_view", persist_state="session",
            label_visibility="collapsed", wrap=True,
        )  # fmt: skip
        VIEWS[view](setting, split)


def show_numbers(filtered: Filtered) -> None:
    """How many faces there are and how many go, in all and of each label."""
    total, kept = len(filtered.table), len(filtered.kept)
    numbers = [
        ("Kept", f"{kept:,}", f"of {total:,} faces"),
        ("Removed", f"{total - kept:,}", f"{100 * (total - kept) / total:.2f} %"),
    ]
    for row in removed_of_label(filtered).itertuples():
        if row.label != INCORRECT_MASK or filtered.options.incorrect_mask == "class":
            title = f"{LABEL_TITLES[row.label]}: removed"
            numbers.append((title, f"{row.removed_percent:.2f} %", f"{row.removed:,} of {row.faces:,}"))
    with st.container(horizontal=True):
        for title, value, note in numbers:
            st.metric(title, value, note, delta_color="off", delta_arrow="off", border=True)


def show_bar(setting: Setting) -> SplitOptions | None:
    """What is in force, how to split, and the buttons to apply; returns how to split."""
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        words = st.container(width="stretch")
        split = choose_split()
        if split is not None:
            show_apply(setting, split)
        words.markdown(status(setting, split))
    return split


show(main)
