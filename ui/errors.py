"""The faces that runs get wrong."""

import pandas as pd
import streamlit as st

from maskdet.facetable import has_faces
from maskdet.runs import Run
from maskdet.workspace import Workspace
from ui.cached import csv_bytes, faces_of
from ui.charts import LABEL_TITLES
from ui.gallery import pager, show_faces


def show_errors(workspace: Workspace, runs: list[Run]) -> None:
    """The test faces that the first of some runs gets wrong, the most confident errors first."""
    if not runs:
        st.info("Choose a run to see its errors.")
        return
    run = runs[0]
    predictions = run.predictions
    test = predictions[predictions["split"] == "test"]
    wrong = test[(test["logit"] > 0) != (test["label"] == "without_mask")]
    wrong = wrong.reindex(wrong["logit"].abs().sort_values(ascending=False).index)
    st.caption(f"{len(wrong):,} of {len(test):,} test faces, the most confident errors first.")
    if wrong.empty:
        return
    table = wrong[["face_id", "dataset", "label", "p_without_mask"]]
    st.dataframe(table.assign(label=table["label"].map(LABEL_TITLES)), hide_index=True, height=240)
    st.download_button(
        "Errors as CSV", csv_bytes(table), f"errors-{run.id}.csv", "text/csv", icon=":material/download:"
    )
    known = faces_of(workspace).table["face_id"] if has_faces(workspace) else pd.Series(dtype="str")
    here = wrong[wrong["face_id"].isin(known)]
    if here.empty:
        st.info("The photos of these faces are not on this computer; scan their datasets to see them here.")
        return
    shown = here.iloc[pager(f"errors_{run.id}", len(here), 12)]
    captions = [
        f"is {LABEL_TITLES[r.label].lower()}, p without mask {r.p_without_mask:.2f}" for r in shown.itertuples()
    ]
    show_faces(workspace, faces_of(workspace), shown["face_id"].tolist(), captions)
