"""The report on many photos: made on request, since heatmaps take time, then downloaded."""

from collections.abc import Sequence
from functools import partial
from typing import Final

import streamlit as st

from maskdet.photo_report import photo_report
from maskdet.predict import JudgedPhoto
from ui.explain_heat import Display
from ui.explain_models import detector, explainer_of, judge_of
from ui.explain_state import Options, Upload

_REPORT: Final = "explain_report"


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
    from maskdet.batch_report import report_model, report_photos

    judge, explainer = judge_of(options.folder), explainer_of(options.folder)
    bar = st.progress(0.0, "Writing the report")
    entries = report_photos(
        judged, [one.data for one in uploads], judge, partial(explainer.heatmap, explainer.methods[0]),
        lambda done, total, text: bar.progress(done / total, f"Writing the report: {done:,} of {total:,} photos"),
        opacity=display.opacity, colour_map=display.colour_map,
    )  # fmt: skip
    found_by = None if options.whole else detector()
    html = photo_report(list(entries), report_model(judge, explainer, found_by, options.min_size))
    bar.empty()
    return html.encode()
