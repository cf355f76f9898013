"""A video: the faces of frames at even distances, counted over time, and each frame to look at."""

from collections.abc import Sequence
from functools import partial
from hashlib import blake2b
from typing import Any, Final

import pandas as pd
import streamlit as st
from PIL import Image

from maskdet.errors import MaskDetError
from maskdet.photos import Photo, RgbImage
from maskdet.predict import FoundFace, Verdict, crop_faces
from maskdet.runs import Run
from maskdet.video import VIDEO_SUFFIXES, VideoOptions, counts_over_time, predict_video
from ui.cached import csv_bytes, jpeg
from ui.charts import NO_BAR
from ui.explain_charts import counts_chart
from ui.explain_input import PRIVACY
from ui.explain_models import detector, judge_of
from ui.explain_options import choose_run, choose_size
from ui.explain_photo import with_boxes
from ui.explain_state import Picture
from ui.explain_verdict import TITLES
from ui.session import show
from ui.text import capital, counted, plain, sentence

_KEPT: Final = "explain_video_kept"
_FRAME: Final = "explain_video_frame"
_FRAME_SIDE: Final = 960
_EVERY: Final = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_FEW_ROWS: Final = 6


class Frames:
    """The frames of one video, small and as JPEG files, with the scale of each; and what was found in them."""

    def __init__(self) -> None:
        self.pictures: list[tuple[bytes, float]] = []
        self.table = pd.DataFrame()

    def keep(self, frame: RgbImage) -> None:
        """Keep a frame to be looked at."""
        image = Image.fromarray(frame)
        image.thumbnail((_FRAME_SIDE, _FRAME_SIDE))
        self.pictures.append((jpeg(image), image.width / frame.shape[1]))


def show_video() -> None:
    """A video is read as soon as it is there."""
    # As large as any upload: the server refuses more (`maxUploadSize`), whatever a widget would let through.
    file = st.file_uploader("Drop a video here", type=sorted(VIDEO_SUFFIXES), key="explain_video")
    st.caption(f":material/lock: {PRIVACY}")
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        run = choose_run(width=300)
        every = st.select_slider(
            "A frame every", _EVERY, 1.0, format_func=lambda seconds: f"{seconds:g} s", width=200,
            key="explain_video_every", persist_state="session",
        )  # fmt: skip
        most = st.number_input(
            "At most so many frames", 1, 1000, 60, 10, width=170, key="explain_video_most", persist_state="session",
            help="Of a longer video, frames are taken farther apart.",
        )  # fmt: skip
        with st.popover("More options", icon=":material/tune:"):
            size = choose_size()
    if run is None:
        return
    if file is None:
        st.session_state.pop(_KEPT, None)
        st.info("Drop a video: you get how many faces with and without mask are in sight over time.")
        return
    found = _read(file, run, VideoOptions(every=every, most=int(most)), size)
    if found is not None:
        _show_found(found, plain(file.name))


def _read(file: Any, run: Run, options: VideoOptions, size: int) -> Frames | None:
    """What is in the video: read once in a session; None, with the reason, if it cannot be read."""
    data = file.getvalue()
    about = (blake2b(data, digest_size=16).hexdigest(), run.folder, options, size)
    kept: tuple[Any, Frames] | None = st.session_state.get(_KEPT)
    if kept is not None and kept[0] == about:
        return kept[1]
    found, bar = Frames(), st.progress(0.0, "Reading the video")

    def find(frame: RgbImage) -> Sequence[FoundFace]:
        found.keep(frame)
        return crop_faces(Photo(Image.fromarray(frame), "video", frame.nbytes), detector(), size)

    def progress(done: int, total: int, text: str) -> None:
        bar.progress(min(1.0, done / total), f"{capital(text)}: {done:,} of about {total:,} frames")

    try:
        found.table = predict_video(data, find, judge_of(run.folder), options, progress, min_size=size)
    except MaskDetError as error:
        st.error(f"{plain(file.name)}: {sentence(error)}.", icon=":material/videocam_off:")
        return None
    finally:
        bar.empty()
    st.session_state[_KEPT] = (about, found)
    return found


def _show_found(found: Frames, name: str) -> None:
    counts = counts_over_time(found.table)
    faces = int(found.table["face"].notna().sum())
    st.markdown(f"## {counted(faces, 'face')} in {counted(len(counts), 'frame')} of {name}")
    cut = found.table[found.table["seconds"].isna()]
    for status in cut["status"]:
        st.warning(f"{capital(plain(status))}.", icon=":material/content_cut:")
    st.plotly_chart(
        counts_chart(counts), key="explain_video_counts", config=NO_BAR, alt="Faces in sight over time, by verdict"
    )
    st.caption(
        "Faces in sight in each frame that was looked at. Nobody is followed from frame to frame: somebody who stays "
        "is counted again in each. Counts of these frames, so without an interval."
    )
    with st.container(horizontal=True):
        st.download_button("All faces as CSV", csv_bytes(found.table), "video.csv", "text/csv",
                           icon=":material/download:", on_click="ignore")  # fmt: skip
        st.download_button("Counts as CSV", csv_bytes(counts), "video_counts.csv", "text/csv",
                           icon=":material/download:", on_click="ignore")  # fmt: skip
    _frame(found, counts)


@st.fragment
def _frame(found: Frames, counts: pd.DataFrame) -> None:
    show(partial(_show_frame, found, counts))


def _show_frame(found: Frames, counts: pd.DataFrame) -> None:
    """One frame with its boxes, and the table of its faces."""
    seconds = counts["seconds"].tolist()
    at = 0
    if len(seconds) > 1:
        chosen = st.select_slider("Look at the frame at", seconds, format_func=lambda s: f"{s:.1f} s", key=_FRAME)
        at = seconds.index(chosen)
    rows = found.table[found.table["seconds"] == seconds[at]].dropna(subset=["face"])
    data, scale = found.pictures[at]
    boxes = [tuple(int(side) for side in box) for box in rows[["left", "top", "right", "bottom"]].to_numpy()]
    verdicts = [_verdict(row) for row in rows.to_dict("records")]
    picture, table = st.columns([3, 2], gap="medium")
    with picture:
        st.image(
            jpeg(with_boxes(Picture(_opened(data), scale, ()), boxes, verdicts)), width="stretch",
            alt=f"The frame at {seconds[at]:.1f} s, with a numbered box around each face",
        )  # fmt: skip
    with table:
        if rows.empty:
            st.info("No face found in this frame.")
        else:
            st.dataframe(_for_people(rows), hide_index=True, height="content" if len(rows) <= _FEW_ROWS else "auto")


def _opened(data: bytes) -> Image.Image:
    from io import BytesIO

    return Image.open(BytesIO(data)).convert("RGB")


def _verdict(row: dict[Any, Any]) -> Verdict | None:
    """The verdict of a row of the table, as far as a box needs it."""
    if pd.isna(row["verdict"]):
        return None
    return Verdict(row["label"], row["verdict"], float("nan"), row["p_without_mask"], None)


def _for_people(rows: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "Face": rows["face"],
            "Verdict": rows["verdict"].map(TITLES).fillna("Too small"),
            "Probability of no mask": rows["p_without_mask"].round(3),
        }
    )
