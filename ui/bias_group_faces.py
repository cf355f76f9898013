"""The faces of one group: its errors, and where the model looks on average."""

import pandas as pd
import streamlit as st

from maskdet.mistakes import wrong_faces
from maskdet.runs import Run
from ui.bias import offer_run
from ui.bias_data import Lab, attention_of, groups_of
from ui.charts import LABEL_TITLES, NO_BAR
from ui.errors_faces import show_gallery_of
from ui.explain_charts import mean_map_chart
from ui.text import plain

_MAP_WIDTH = 220


def show_group_faces(lab: Lab, attribute: str) -> None:
    """Errors and mean heatmap of a group that is chosen."""
    assert lab.focus is not None  # for the type alone: only shown where a run is in focus  # nosec B101
    groups = groups_of(lab.workspace, lab.focus, attribute)
    if groups is None:
        return
    names = [str(name) for name in groups.cat.categories if name != ""]
    st.markdown("## Look at a group")
    key = "bias_group"
    if st.session_state.get(key) not in names:
        st.session_state.pop(key, None)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        group = st.selectbox(
            "Group", names, index=None, key=key, persist_state="session", width=330,
            placeholder="Choose one: its errors, its heat",
        )  # fmt: skip
    if group is None:
        return
    inside = pd.Index(groups.index[groups == group])
    for run in lab.pair:
        _show_group(lab, run, group, inside)


def _show_group(lab: Lab, run: Run, group: str, inside: "pd.Index[str]") -> None:
    wrong = wrong_faces([run])
    wrong = wrong[wrong["face_id"].isin(inside)]
    st.markdown(f"**{plain(lab.labels[run.id])}: {len(wrong):,} wrong verdicts in group {plain(group)}**")
    heat, gallery = st.columns([1, 4], gap="medium")
    with heat:
        _show_heat(lab, run, inside)
    with gallery:
        if wrong.empty:
            st.info("No test face of this group is judged wrongly.", icon=":material/check_circle:")
        else:
            st.caption("The most confident errors first. Click a face to see it large.")
            show_gallery_of(lab.workspace, wrong, _captions, f"bias_wrong_{run.id}", group)


def _show_heat(lab: Lab, run: Run, inside: "pd.Index[str]") -> None:
    from maskdet.bias.attention import mean_map

    found = attention_of(lab.workspace, run)
    if found is None:
        offer_run(lab, run, "Where it looks", "attention", "Measure attention")
        return
    mean = mean_map(found, inside)
    looked = found.faces[found.faces["face_id"].isin(inside)]
    if mean is None:
        st.caption("No face of this group is in the sample of heatmaps, or none has evidence.")
        return
    with st.container(width=_MAP_WIDTH, gap="xxsmall"):
        st.plotly_chart(
            mean_map_chart(mean), key=f"bias_heat_{run.id}", config=NO_BAR, width="content",
            alt="Mean heatmap of the group",
        )  # fmt: skip
    evident = int(looked["lower_half_share"].notna().sum())
    st.caption(
        f"Mean heatmap for its own verdicts ({plain(found.method)}), n = {evident:,} of {len(looked):,} faces looked "
        "at; errors are over-represented among them."
    )


def _captions(rows: pd.DataFrame) -> list[str]:
    return [
        f"is {LABEL_TITLES[row.label].lower()}, probability of no mask {row.p_without_mask:.2f}"
        for row in rows.itertuples()
    ]
