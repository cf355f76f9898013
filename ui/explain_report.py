"""The report on many photos: made on request, since heatmaps take time, then downloaded."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np
import streamlit as st
from PIL import Image

from maskdet.detection import FaceDetector
from maskdet.photo_report import ReportFace, ReportModel, ReportPhoto, photo_report
from maskdet.photos import RgbImage
from maskdet.predict import JudgedPhoto
from ui.explain_heat import Display
from ui.explain_models import detector, explainer_of, judge_of
from ui.explain_state import Options, Upload

if TYPE_CHECKING:
    from maskdet.attribution import Explainer

_REPORT: Final = "explain_report"
#: Longest side of a photo and of a face in the report, in px: no more of them is kept while it is made.
_PHOTO_SIDE: Final = 960
_FACE_SIDE: Final = 240


def report_button(uploads: Sequence[Upload], judged: Sequence[JudgedPhoto], options: Options, display: Display) -> None:
    """A button that makes the report of just these photos and options, then one that saves it."""
    about = hash((tuple((one.name, one.digest) for one in uploads), options.folder, options.found_by, display))
    made: tuple[int, bytes] | None = st.session_state.get(_REPORT)
    if made is None or made[0] != about:
        st.session_state.pop(_REPORT, None)
        place = st.empty()
        if not place.button("Make a report", icon=":material/description:", help="Photos, verdicts and heatmaps as one "
                         "HTML file, to keep, print or send on."):  # fmt: skip
            return
        with place.container():
            made = (about, _make(uploads, judged, options, display))
        st.session_state[_REPORT] = made
    st.download_button(
        "Save the report", made[1], "report.html", "text/html", icon=":material/download:", on_click="ignore",
        type="primary",
    )  # fmt: skip


def _make(uploads: Sequence[Upload], judged: Sequence[JudgedPhoto], options: Options, display: Display) -> bytes:
    from maskdet.batch_report import report_photos

    judge, explainer = judge_of(options.folder), explainer_of(options.folder)
    bar = st.progress(0.0, "Writing the report")
    entries = report_photos(
        judged, [one.data for one in uploads], judge, partial(explainer.heatmap, explainer.methods[0]),
        lambda done, total, text: bar.progress(done / total, f"Writing the report: {done:,} of {total:,} photos"),
        opacity=display.opacity, colour_map=display.colour_map,
    )  # fmt: skip
    html = photo_report([_small(entry) for entry in entries], _model(options, explainer))
    bar.empty()
    return html.encode()


def _model(options: Options, explainer: "Explainer") -> ReportModel:
    from maskdet.attribution import METHODS

    reliability = judge_of(options.folder).reliability
    method = METHODS[explainer.methods[0]]
    how = method.title + (f", layer {explainer.default_layer}" if method.uses_layer else "")
    return ReportModel(
        options.run.title, options.run.id, (reliability.low, reliability.high) if reliability else None, how,
        "each photo was taken as one face" if options.whole else _found_by(detector(), options.min_size),
    )  # fmt: skip


def _found_by(found_by: FaceDetector, min_size: int) -> str:
    return f"YuNet, score at least {found_by.options.score_threshold:g}; faces from {min_size} px"


def _small(entry: ReportPhoto) -> ReportPhoto:
    """The entry with pictures no larger than the report shows them."""
    if entry.photo is None:
        return entry
    photo = _shrunk(entry.photo, _PHOTO_SIDE)
    scale = photo.shape[1] / entry.photo.shape[1]
    return replace(entry, photo=photo, faces=tuple(_small_face(face, scale) for face in entry.faces))


def _small_face(face: ReportFace, scale: float) -> ReportFace:
    left, top, right, bottom = (round(side * scale) for side in face.box)
    heatmap = None if face.heatmap is None else _shrunk(face.heatmap, _FACE_SIDE)
    return replace(face, box=(left, top, right, bottom), crop=_shrunk(face.crop, _FACE_SIDE), heatmap=heatmap)


def _shrunk(pixels: RgbImage, side: int) -> RgbImage:
    image = Image.fromarray(pixels)
    image.thumbnail((side, side))
    return np.asarray(image)
