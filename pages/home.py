"""Home: what this is, what is loaded, and three ways in."""

import streamlit as st

from maskdet.facetable import has_faces, load_faces
from maskdet.runs import list_runs
from ui.session import show, shows_sample, workspace_in_sight

WAYS = (
    (
        "pages/datasets.py",
        ":material/photo_library:",
        "Browse data",
        "What is in the photos: sizes, balance, duplicates, and what a filter removes.",
    ),
    (
        "pages/explain.py",
        ":material/face:",
        "Upload a photo",
        "A verdict on every face, how sure it is, where the model looked, and when not to believe it.",
    ),
    (
        "pages/results.py",
        ":material/monitoring:",
        "See results",
        "How often each model is right, on which faces it errs, and how sure that figure is.",
    ),
)


def main() -> None:
    st.title("MaskDet")
    st.markdown(
        "Does this face wear a mask? MaskDet rebuilds a 2021 study that asked four models, lets you do it again "
        "**on your own photos**, and shows what you need to decide **whether to believe the answer**."
    )

    for column, (page, icon, title, text) in zip(st.columns(3), WAYS, strict=True):
        with column.container(border=True, height="stretch"):
            st.page_link(page, label=f"**{title}**", icon=icon)
            st.write(text)

    st.subheader("What is loaded")
    workspace = workspace_in_sight()
    runs = list_runs(workspace)
    data, models, best = st.columns(3)
    if has_faces(workspace):
        faces = load_faces(workspace)
        name = "synthetic sample faces" if shows_sample() else "faces"
        data.metric(name.capitalize(), f"{len(faces.table):,}", border=True, help=f"from {len(faces.roots)} datasets")
    else:
        data.metric(
            "Faces", "none yet", border=True, help="A synthetic sample set is drawn when a page first needs it."
        )
    models.metric("Trained models", len(runs), border=True)
    judged = [run for run in runs if run.pool == "main" and run.metrics.get("macro_f1") is not None]
    if judged:
        top = max(judged, key=lambda run: float(run.metrics["macro_f1"]))
        interval = top.metrics["intervals"].get("macro_f1")
        between = f"95 % interval {interval[0]:.3f} to {interval[1]:.3f}" if interval else "too few for an interval"
        best.metric(
            f"Best macro F1: {top.title}",
            f"{top.metrics['macro_f1']:.3f}",
            border=True,
            help=f"On {top.metrics['faces']:,} test faces; {between}.",
        )
    if not has_faces(workspace):
        st.caption("No dataset was scanned yet. The other pages show a small synthetic sample set until then.")
    st.page_link("pages/bias.py", label="Can the score be believed, and for whom?", icon=":material/balance:")
    st.page_link("pages/datasets.py", label="Scan a dataset of your own", icon=":material/add_photo_alternate:")


show(main)
