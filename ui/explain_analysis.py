"""Where a model looks in general: the study's Grad-CAM analysis of a run (6.3, Figure 17, Appendix F)."""

from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
import streamlit as st
from PIL import Image

from maskdet.labels import CLASSES
from maskdet.models import MODELS
from maskdet.reports import with_interval
from maskdet.runs import Run
from maskdet.wording import number
from maskdet.workspace import Workspace
from ui.cached import faces_of, jpeg, thumbnails
from ui.charts import LABEL_TITLES, NO_BAR
from ui.errors_faces import here
from ui.explain_charts import mean_map_chart
from ui.explain_options import choose_run
from ui.jobs import show_jobs, start_button
from ui.session import workspace_in_sight
from ui.text import percent, plain

if TYPE_CHECKING:
    from maskdet.attribution.analysis import Cell, ExtremeFace, GradCamAnalysis

_OUTCOMES: Final = {"all": "All faces", "right": "Verdict right", "wrong": "Verdict wrong"}
_MAP_WIDTH: Final = 220
_FACE_WIDTH: Final = 130


def show_analysis() -> None:
    """The analysis of one run: mean heatmaps by label and outcome, and the faces of which it is surest."""
    from maskdet.attribution.analysis import load_analysis

    run, workspace = choose_run("explain_analysed"), workspace_in_sight()
    if run is None:
        return
    analysis = load_analysis(run)
    if analysis is not None:
        _show_means(analysis)
        _show_extremes(workspace, analysis)
    elif not MODELS[run.model_name].needs_tensorflow:
        st.info(f"{run.title} has no layers to look into, so there is no Grad-CAM of it. Occlusion, under Photos, "
                "explains any model, a face at a time.")  # fmt: skip
    else:
        _offer(workspace, run)


def _offer(workspace: Workspace, run: Run) -> None:
    st.info("This run was not analysed yet. It takes about a minute, and needs its test faces in this workspace.")
    start_button(workspace, ["gradcam", run.id], "Analyse it", icon=":material/local_fire_department:")
    show_jobs(workspace, "gradcam", 2)


def _show_means(analysis: "GradCamAnalysis") -> None:
    title = LABEL_TITLES[analysis.options.label].lower()
    st.markdown(f"## Where it finds evidence for “{title}”, on the mean of many faces")
    for label in CLASSES:
        st.markdown(f"**Faces {LABEL_TITLES[label].lower()}**")
        with st.container(horizontal=True, gap="medium"):
            for outcome, heading in _OUTCOMES.items():
                with st.container(width=_MAP_WIDTH, gap="xxsmall"):
                    _show_cell(analysis.cell(label, outcome), heading)
    st.caption(
        f"Grad-CAM of layer {plain(analysis.layer)} on {analysis.options.split} faces, which chose nothing: the mean "
        "of the maps, each scaled to its own hottest place. Dark is cold; one scale for all. Below the dashed line is "
        "the lower half of the face, where a mask is: heat all over the face would give it 50 %. Of more "
        f"than {analysis.options.sample} faces, a random sample. In brackets: 95 % intervals by bootstrap of whole "
        "groups of related faces, where there are enough. Wrong faces beyond the sample were looked at too."
    )
    with st.expander("All figures"):
        st.dataframe(_figures(analysis), hide_index=True, height="content")


def _show_cell(cell: "Cell", heading: str) -> None:
    st.markdown(f"{heading}  \nn = {cell.faces:,}" + (f" of {cell.of:,}" if cell.of > cell.faces else ""))
    evident = cell.faces - cell.no_evidence
    if not evident:
        st.caption("No face, so nothing to show." if not cell.faces else "No evidence found in any of them.")
        return
    st.plotly_chart(
        mean_map_chart(cell.mean_map), key=f"explain_mean_{cell.label}_{cell.outcome}", config=NO_BAR, width="content",
        alt=f"Mean heatmap of {cell.faces} faces",
    )  # fmt: skip
    share = percent(cell.lower_half_share, 0, *(cell.lower_half_interval or (None, None)))
    few = f" ({cell.reason})" if cell.reason else ""
    empty = f"; no evidence in {cell.no_evidence:,}" if cell.no_evidence else ""
    st.caption(f"Share on the lower half: {share}{few}{empty}")


def _figures(analysis: "GradCamAnalysis") -> pd.DataFrame:
    rows = []
    for row in analysis.table().to_dict("records"):
        shown = {
            title: percent(row[name], low=row[f"{name}_low"], high=row[f"{name}_high"])
            for name, title in (
                ("lower_half_share", "Heat on the lower half"),
                ("no_evidence", "Faces without evidence"),
            )
        } | {"Mean heat, in logits": with_interval(row["heat"], row["heat_low"], row["heat_high"], 4)}
        about = {"Faces": LABEL_TITLES[row["label"]], "Verdict": row["outcome"], "n": row["faces"], "of": row["of"],
                 "Why no interval": row["reason"]}  # fmt: skip
        rows.append(about | shown)
    return pd.DataFrame(rows)


def _show_extremes(workspace: Workspace, analysis: "GradCamAnalysis") -> None:
    faces = [*analysis.lowest, *analysis.highest]
    if not faces:
        return
    st.markdown("## Faces of which it is surest")
    known = here(workspace, pd.Series([face.face_id for face in faces])).to_numpy()
    sides = (("Lowest logit: surest of a mask", analysis.lowest), ("Highest logit: surest of none", analysis.highest))
    if not known.all():
        st.info(
            f"The photos of {'these' if not known.any() else 'some of these'} faces are not on this computer: scan "
            "their datasets to see them here.", icon=":material/image_not_supported:",
        )  # fmt: skip
    for title, side in sides:
        st.markdown(f"**{title}**")
        is_here = known[: len(side)] if side is analysis.lowest else known[len(analysis.lowest) :]
        _show_faces(workspace, [face for face, one in zip(side, is_here, strict=True) if one])
        if not is_here.all():
            st.dataframe(_missing([face for face, one in zip(side, is_here, strict=True) if not one]),
                         hide_index=True, height="content")  # fmt: skip


def _show_faces(workspace: Workspace, faces: Sequence["ExtremeFace"]) -> None:
    from maskdet.attribution import overlay

    if not faces:
        return
    table = faces_of(workspace).table
    rows = pd.Index(table["face_id"]).get_indexer(pd.Index([face.face_id for face in faces]))
    with st.container(horizontal=True, gap="small"):
        for face, data in zip(faces, thumbnails(workspace, table.take(rows)), strict=True):
            pixels = np.asarray(Image.open(BytesIO(data)).convert("RGB"))
            with st.container(width=_FACE_WIDTH, gap="xxsmall"):
                st.image(
                    jpeg(Image.fromarray(overlay(pixels, face.heatmap))), width="stretch",
                    caption=f"{_about(face)}, {LABEL_TITLES[face.label].lower()}",
                    alt=f"Heatmap over a face {LABEL_TITLES[face.label].lower()}",
                )  # fmt: skip
                if not face.heatmap.has_evidence:
                    st.caption("No evidence found")


def _about(face: "ExtremeFace") -> str:
    return f"logit {number(face.logit, 1)}"


def _missing(faces: Sequence["ExtremeFace"]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "Face": [face.face_id for face in faces],
            "Label": [LABEL_TITLES[face.label] for face in faces],
            "Logit": [round(face.logit, 2) for face in faces],
        }
    )
