"""Explain: upload photos, get a verdict on each, its probability, and where the model looked."""

import numpy as np
import streamlit as st

from maskdet.errors import PhotoError
from maskdet.explain import overlay
from maskdet.labels import CLASSES
from maskdet.photos import PHOTO_SUFFIXES, list_photos, read_photo
from maskdet.predict import OK, judge, predict_photos, whole_face
from maskdet.runs import Run, find_run
from ui.cached import csv_bytes, grad_cam_of, model_of, run_title, runs_of
from ui.charts import LABEL_TITLES
from ui.session import home_workspace, show, workspace_in_sight
from ui.text import plain

MOST_DETAILED = 12


def choose_run() -> Run | None:
    runs = runs_of(workspace_in_sight())
    if not runs:
        st.warning("There is no trained model yet.")
        st.page_link("pages/training.py", label="Train one", icon=":material/model_training:")
        return None
    best = find_run(workspace_in_sight())
    names = {run.id: run_title(run) for run in runs}
    index = list(names).index(best.id)
    chosen = st.selectbox("Model", list(names), index=index, format_func=names.__getitem__, width=420)
    return next(run for run in runs if run.id == chosen)


def choose_photos() -> list[tuple[str, bytes]]:
    files = st.file_uploader(
        "Photos of one face each", accept_multiple_files=True, type=sorted(s.lstrip(".") for s in PHOTO_SUFFIXES)
    )
    st.caption(
        "Crop to the face, from forehead to chin: until a face detector is built in, the whole photo counts as one "
        "face. Photos stay in memory and are never written to disk."
    )
    if files:
        return [(file.name, file.getvalue()) for file in files]
    if st.toggle("Try it with synthetic faces (drawn, not photographed)", value=False):
        return sample_photos()
    return []


def sample_photos() -> list[tuple[str, bytes]]:
    from maskdet.starter import sample_workspace

    with st.spinner("Drawing the synthetic sample set (once, a few seconds)"):
        root = sample_workspace(home_workspace()).path("photos", "sample-web", "Test")
    photos = list_photos(root)
    return [(f"synthetic {p.parent.name}/{p.name}", p.read_bytes()) for p in (*photos[:3], *photos[-3:])]


def show_photo(name: str, data: bytes, run: Run, opacity: float, label: str) -> None:
    try:
        photo = read_photo(data)
    except PhotoError as error:
        st.error(f"{plain(name)}: {plain(error)}.", icon=":material/broken_image:")
        return
    face = whole_face(photo)
    verdict = judge(model_of(run.folder), [face])[0]
    photo.image.thumbnail((800, 800))
    pixels = np.asarray(photo.image)
    picture, heat, words = st.columns([2, 2, 5], vertical_alignment="center")
    picture.image(pixels, caption=plain(name), width="stretch")
    grad_cam = grad_cam_of(run.folder)
    if grad_cam is None:
        heat.caption(f"{run.title} has no convolutional layer, so there is no Grad-CAM heatmap for it.")
    else:
        heatmap = grad_cam(face, verdict.label if label == "verdict" else label)
        if heatmap.has_evidence:
            title = f"where it saw evidence for “{LABEL_TITLES[heatmap.label].lower()}”"
            heat.image(overlay(pixels, heatmap, opacity), caption=title, width="stretch")
        else:
            heat.info(f"No evidence found for “{LABEL_TITLES[heatmap.label].lower()}”: there is no heat to draw.")
    probability = verdict.p_without_mask if verdict.label == CLASSES[1] else 1 - verdict.p_without_mask
    sure = f"{probability:.1%}" if probability < 0.9995 else "more than 99.9%"  # no model is wholly sure
    words.subheader(LABEL_TITLES[verdict.label])
    words.progress(probability, text=f"{sure} sure; probability of no mask {verdict.p_without_mask:.3f}")


def main() -> None:
    st.title("Explain a photo")
    run = choose_run()
    if run is None:
        st.stop()
    photos = choose_photos()
    if not photos:
        st.info("Drop one or more photos above. You get a verdict, how sure the model is, and where it looked.")
        st.stop()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        opacity = st.slider("Heatmap opacity", 0.0, 1.0, 0.6, width=240)
        label = st.segmented_control(
            "Evidence for", ["verdict", *CLASSES], default="verdict", required=True,
            format_func=lambda name: LABEL_TITLES.get(name, "the verdict"),
        )  # fmt: skip
    for name, data in photos[:MOST_DETAILED]:
        show_photo(name, data, run, opacity, label)
    if len(photos) > MOST_DETAILED:
        st.caption(f"The first {MOST_DETAILED} of {len(photos)} photos are shown; the table below has all of them.")

    st.subheader("All verdicts")
    table = predict_photos(photos, model_of(run.folder), run.id)
    shown = table[["file", "label", "p_without_mask", "status"]]
    st.dataframe(shown.assign(label=shown["label"].map(LABEL_TITLES)), hide_index=True)
    masked, unmasked = (int((table["label"] == name).sum()) for name in CLASSES)
    st.caption(f"{masked} with mask, {unmasked} without mask, {int((table['status'] != OK).sum())} not readable.")
    st.download_button("Verdicts as CSV", csv_bytes(table), "verdicts.csv", "text/csv", icon=":material/download:")
    st.caption(
        "A verdict is a guess from a picture, not a fact about a person. The model errs more on faces unlike those it "
        "was trained on; see Results for how often."
    )


show(main)
