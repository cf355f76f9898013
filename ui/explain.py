"""The views of the Explain page."""

from collections.abc import Sequence

import streamlit as st

from maskdet.predict import JudgedPhoto
from ui.explain_details import show_details
from ui.explain_heat import Display
from ui.explain_input import choose_photos
from ui.explain_models import judge_of, warm_up
from ui.explain_options import choose_options
from ui.explain_photo import show_photo
from ui.explain_report import report_button
from ui.explain_state import Options, Upload, judged_photos, unjudged
from ui.explain_table import choose_photo, csv_button, show_counts, show_table
from ui.text import capital, plain

CAUTION = (
    "A verdict is a guess from a picture, not a fact about a person. Models err more on faces unlike those they were "
    "trained on; Results says how often, and on whom."
)


def show_photos() -> None:
    """Photos of any kind: a verdict on each face, where the model looked, and why not to believe it."""
    uploads = choose_photos()
    chosen = choose_options()
    if chosen is None:
        return
    options, display = chosen
    if uploads:
        _show_results(uploads, options, display)
        st.caption(f"{_calibrated(options)} {CAUTION}")
    else:
        st.info("Drop a photo, or try a sample: you get a verdict on each face, and see where the model looked.")
    warm_up(options.folder)


def _show_results(uploads: Sequence[Upload], options: Options, display: Display) -> None:
    judged = _judge(uploads, options)
    at = 0
    if len(uploads) > 1:
        show_counts(judged)
        table = show_table(uploads, judged, options)
        with st.container(horizontal=True, vertical_alignment="bottom"):
            at = choose_photo(uploads, judged)
            csv_button(table)
            report_button(uploads, judged, options, display)
    photo = judged[at].photo
    if not photo.readable:
        st.error(f"{plain(photo.name)}: {plain(photo.status)}.", icon=":material/broken_image:")
        return
    look = show_photo(uploads[at], judged[at], options, display)
    if look is not None:
        show_details(look, display)


def _calibrated(options: Options) -> str:
    reliability = judge_of(options.folder).reliability
    if reliability is None:
        return (
            "This run was trained by an earlier version: its probabilities are not calibrated, and nothing tells when "
            "not to believe them."
        )
    faces = reliability.record.get("faces", {}).get("validation")
    known = f"{faces:,} validation faces" if faces else "validation faces"
    return (
        f"How sure the model is was calibrated on {known}; the hatched part of a scale is where its verdicts are not "
        "to be relied on. A probability is of one face, so it has no interval."
    )


def _judge(uploads: Sequence[Upload], options: Options) -> list[JudgedPhoto]:
    if unjudged(uploads, options) < 2:
        return judged_photos(uploads, options)
    bar = st.progress(0.0, "Finding faces")

    def progress(done: int, total: int, text: str) -> None:
        bar.progress(done / total, f"{capital(text)}: {done:,} of {total:,} photos")

    judged = judged_photos(uploads, options, progress)
    bar.empty()
    return judged
