"""One face large: its photo with the box, the crop, what a model sees of it, and all measurements."""

from functools import partial
from typing import Any, Final

import numpy as np
import pandas as pd
import streamlit as st
from PIL import Image, ImageDraw

from maskdet.errors import PhotoError
from maskdet.explore import MEASUREMENTS, Positions
from maskdet.facetable import Faces
from maskdet.measure import HASH_KINDS
from maskdet.photos import Photo, read_photo
from maskdet.workspace import Workspace
from ui.cached import jpeg, thumbnails
from ui.charts import LABEL_COLOURS, LABEL_TITLES
from ui.decisions import decision_buttons
from ui.public import is_public
from ui.quality_controls import KIND_TITLES
from ui.session import show
from ui.text import plain

_AT: Final = "large_face_at"
_ASIDE: Final = "large_face_aside"
_LONGEST_SIDE: Final = 1200
_ENLARGED: Final = 3.0
_MOST_NEIGHBOURS: Final = 24


def open_face(workspace: Workspace, faces: Faces, positions: Positions, at: int) -> None:
    """Open one of some faces in a dialog, from which the others can be reached too."""
    st.session_state[_AT] = at
    st.session_state[_ASIDE] = None
    _dialog(workspace, faces, positions)


@st.dialog("Face", width="large", on_dismiss="rerun")  # the page shows what was decided here
def _dialog(workspace: Workspace, faces: Faces, positions: Positions) -> None:
    show(partial(_show_face, workspace, faces, positions))


def _show_face(workspace: Workspace, faces: Faces, positions: Positions) -> None:
    at, aside = st.session_state[_AT], st.session_state[_ASIDE]
    position = int(positions[at]) if aside is None else aside
    face = faces.table.iloc[position]
    _show_way(at, len(positions), aside is not None)
    st.markdown(f"**{LABEL_TITLES[face['label']]}** · dataset {plain(face['dataset'])}")
    decision_buttons(workspace, face["face_id"], face["label"])
    together = _in_photo(faces.table, face)
    photo_place, face_place = st.columns([3, 2])
    with photo_place:
        photo = _show_photo(faces, face, together)
    with face_place:
        _show_pixels(workspace, faces.table.iloc[[position]], photo)
        st.table(_measured(face), border="horizontal", hide_header=True)
    with photo_place:
        st.caption("File")
        st.code(_file_of(faces, face), language=None, wrap_lines=True)
        _show_neighbours(workspace, together[together.index != position])


def _file_of(faces: Faces, face: "pd.Series[Any]") -> str:
    """Where a face's photo lies; for strangers, from its dataset's folder on."""
    dataset, photo = face["dataset"], face["photo"]
    return f"{dataset}/{photo}" if is_public() or dataset not in faces.roots else str(faces.roots[dataset] / photo)


def _show_way(at: int, count: int, is_aside: bool) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Previous", on_click=_go, args=(at - 1,), disabled=at == 0, icon=":material/chevron_left:", shortcut="Left"
        )
        st.button(
            "Next", on_click=_go, args=(at + 1,), disabled=at == count - 1, icon=":material/chevron_right:",
            shortcut="Right",
        )  # fmt: skip
        if is_aside:
            st.button("Back to the gallery's face", on_click=_go, args=(at,), icon=":material/undo:")
        else:
            st.caption(f"{at + 1:,} of {count:,}")


def _go(at: int) -> None:
    st.session_state[_AT], st.session_state[_ASIDE] = at, None


def _step_aside(position: int) -> None:
    st.session_state[_ASIDE] = position


def _in_photo(table: pd.DataFrame, face: "pd.Series[Any]") -> pd.DataFrame:
    """All faces of a face's photo, with their positions in the table as index."""
    same = np.flatnonzero(
        (table["photo"] == face["photo"]).to_numpy() & (table["dataset"] == face["dataset"]).to_numpy()
    )
    return table.take(same).set_axis(same)


def _show_photo(faces: Faces, face: "pd.Series[Any]", together: pd.DataFrame) -> Photo | None:
    """The photo with all its boxes, or why it can't be shown."""
    if face["dataset"] not in faces.roots:
        return None
    try:
        photo = read_photo(faces.roots[face["dataset"]] / face["photo"])
    except PhotoError as error:
        st.warning(f"The photo cannot be shown: {plain(error)}. What the scan stored of the face is beside this.")
        return None
    if (photo.width, photo.height, photo.bytes) != (face["photo_width"], face["photo_height"], face["bytes"]):
        st.warning("The photo has changed since it was scanned; scan its dataset again to measure it anew.")
        return None
    st.image(
        jpeg(_with_boxes(photo.image, face, together)), width="stretch",
        caption=f"{photo.width}×{photo.height} px, {photo.format}, {photo.bytes:,} bytes",
        alt="The photo, with a box around each face",
    )  # fmt: skip
    return photo


def _with_boxes(photo: Image.Image, face: "pd.Series[Any]", together: pd.DataFrame) -> Image.Image:
    most = 1.0 if face["whole_photo"] else _ENLARGED  # so that boxes leave small faces in sight
    scale = min(most, _LONGEST_SIDE / max(photo.size))
    size = max(1, round(photo.width * scale)), max(1, round(photo.height * scale))
    small = photo.resize(size, reducing_gap=2.0)
    if face["whole_photo"]:
        return small
    draw = ImageDraw.Draw(small)
    width = max(2, round(max(small.size) / 400))
    for other in [*(row for _, row in together.iterrows() if row["face_id"] != face["face_id"]), face]:
        is_this = other["face_id"] == face["face_id"]
        left, top, right, bottom = (round(other[side] * scale) for side in ("left", "top", "right", "bottom"))
        box = (left, top, max(left, right - 1), max(top, bottom - 1))
        if is_this:  # seen on any background
            draw.rectangle(
                [box[0] - width, box[1] - width, box[2] + width, box[3] + width], outline="white", width=width
            )
        draw.rectangle(box, outline=LABEL_COLOURS[other["label"]], width=width if is_this else max(1, width // 2))
    return small


def _show_pixels(workspace: Workspace, row: pd.DataFrame, photo: Photo | None) -> None:
    face = row.iloc[0]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if photo is not None:
            crop = photo.image.crop((face["left"], face["top"], face["right"], face["bottom"]))
            crop.thumbnail((_LONGEST_SIDE // 2, _LONGEST_SIDE // 2))
            st.image(jpeg(crop), caption="Crop", width=150, alt="The face, cut out of its photo")
        st.image(
            thumbnails(workspace, row)[0], caption="As a model sees it", width=150,
            alt="The face, resized to 150 by 150 pixels",
        )  # fmt: skip


def _measured(face: "pd.Series[Any]") -> pd.DataFrame:
    """Everything the scan knows of a face, for people."""
    rows = {
        measurement.axis: f"{face[column]:,.{measurement.digits}f}"
        for column, measurement in MEASUREMENTS.items()
        if column in face
    }
    if not face["whole_photo"]:
        rows["Box"] = "left {left}, top {top}, right {right}, bottom {bottom}".format_map(face)
    rows["Publisher's split"] = face["publisher_split"] or "none"
    rows |= {KIND_TITLES[kind]: f"`{face[kind]}`" for kind in HASH_KINDS}
    return pd.DataFrame({"value": rows.values()}, index=list(rows))


def _show_neighbours(workspace: Workspace, others: pd.DataFrame) -> None:
    if others.empty:
        return
    shown = others.nlargest(_MOST_NEIGHBOURS, "sqrt_size")
    few = f", the {len(shown)} largest" if len(shown) < len(others) else ""
    st.caption(f"Other faces of the photo: {len(others)}{few}")
    with st.container(horizontal=True, gap="small"):
        for image, (position, row) in zip(thumbnails(workspace, shown), shown.iterrows(), strict=True):
            with st.container(width=72, gap="xxsmall", key=f"card_neighbour_{position}"):
                st.image(image, width="stretch", alt=LABEL_TITLES[row["label"]])
                st.button("Open", key=f"open_neighbour_{position}", on_click=_step_aside, args=(position,))
