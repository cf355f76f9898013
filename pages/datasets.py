"""Datasets: what was scanned, how it is balanced, and the faces themselves."""

from pathlib import Path

import streamlit as st

from maskdet.catalog import load_catalog, lookup
from maskdet.facetable import label_percent, label_split
from ui.cached import csv_bytes, faces_of
from ui.charts import LABEL_TITLES, class_balance, size_scatter
from ui.gallery import pager, show_faces
from ui.jobs import show_jobs, start
from ui.session import current_workspace, home_workspace, show


def main() -> None:
    st.title("Datasets")
    workspace = current_workspace()
    faces = faces_of(workspace)
    catalog = load_catalog(home_workspace().path("datasets.toml"))

    split = label_split(faces)
    known = [lookup(catalog, dataset) for dataset in split["dataset"][:-1]]
    table = split.rename(columns=LABEL_TITLES)
    table.insert(1, "name", [dataset.name for dataset in known] + [""])
    table.insert(2, "type", [dataset.type for dataset in known] + [""])
    table["licence"] = [dataset.licence for dataset in known] + [""]
    table["source"] = [dataset.source for dataset in known] + [""]
    link = st.column_config.LinkColumn("source", display_text=r"https?://(?:www\.)?([^/]+)")
    st.dataframe(table, hide_index=True, column_config={"source": link})
    shares = [f"{share:.1f} % {LABEL_TITLES[label].lower()}" for label, share in label_percent(split).items()]
    st.caption(f"Of all faces: {', '.join(shares)}. SMFD: masks drawn on (simulated); RMFD: real masks.")

    balance, scatter = st.columns([2, 3])
    balance.subheader("Class balance")
    balance.plotly_chart(class_balance(split), key="balance")
    scatter.subheader("Size and aspect ratio")
    scatter.plotly_chart(size_scatter(faces.table), key="scatter")

    st.subheader("Faces")
    with st.container(horizontal=True):
        dataset = st.selectbox("Dataset", ["all", *split["dataset"][:-1]], width=220)
        label = st.selectbox(
            "Label", ["all", *LABEL_TITLES], format_func=lambda name: LABEL_TITLES.get(name, "all"), width=220
        )
    chosen = faces.table
    if dataset != "all":
        chosen = chosen[chosen["dataset"] == dataset]
    if label != "all":
        chosen = chosen[chosen["label"] == label]
    if chosen.empty:
        st.info("No face is of this dataset and label; choose another.")
    else:
        shown = chosen.iloc[pager(f"faces_{dataset}_{label}", len(chosen), 12)]
        captions = [f"{r.dataset} · {LABEL_TITLES[r.label].lower()} · {r.width}x{r.height}" for r in shown.itertuples()]
        show_faces(workspace, faces, shown["face_id"].tolist(), captions)
        st.download_button("These faces as CSV", csv_bytes(chosen), "faces.csv", "text/csv", icon=":material/download:")

    if len(faces.rejects):
        with st.expander(f"Files and boxes that could not be used: {len(faces.rejects)}"):
            st.dataframe(faces.rejects, hide_index=True)

    st.subheader("Add a dataset")
    st.markdown(
        "Name a folder on this computer that holds one or more datasets: class folders such as `with_mask/` and "
        "`without_mask/` (also inside `Train/`, `Validation/`, `Test/`), PASCAL VOC (`images/` and XML), or boxes in "
        "JSON or CSV."
    )
    with st.form("scan", border=False):
        path = st.text_input("Folder", placeholder="/home/me/datasets", max_chars=1000)
        if st.form_submit_button("Scan", icon=":material/search:", type="primary"):
            if path.strip():
                start(home_workspace(), ["scan", "--", str(Path(path.strip()).expanduser())])
            else:
                st.warning("Name a folder first.")
    show_jobs(home_workspace(), "scan")


show(main)
