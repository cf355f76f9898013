"""Rows of faces with captions, which open large on a click."""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import pandas as pd
import streamlit as st

from maskdet.errors import WorkspaceError
from maskdet.explore import MEASUREMENTS, Positions, in_order
from maskdet.facetable import Faces
from maskdet.photos import RgbImage
from maskdet.workspace import Workspace
from ui.cached import thumbnails
from ui.charts import LABEL_TITLES
from ui.face import open_face
from ui.text import plain

#: Width of a face in a gallery, in pixels.
SIZES: Final = {"Small": 96, "Medium": 150, "Large": 224}
_PAGE: Final = 24
#: A button lies over each picture that can be opened, so that it is reached with the mouse and with the keyboard.
_CARD_STYLE: Final = """<style>
[class*="st-key-card_"] { position: relative; }
[class*="st-key-card_"] [class*="st-key-open_"] { position: absolute; inset: 0; z-index: 1; }
[class*="st-key-open_"] div, [class*="st-key-open_"] button { width: 100%; height: 100%; }
[class*="st-key-open_"] button { opacity: 0; cursor: zoom-in; }
[class*="st-key-card_"]:has(button:hover) img { filter: brightness(1.08); }
[class*="st-key-card_"]:has(button:hover) img, [class*="st-key-card_"]:has(button:focus-visible) img {
  outline: 3px solid currentColor; outline-offset: 1px;
}
</style>"""


def show_gallery(workspace: Workspace, faces: Faces, table: pd.DataFrame, positions: Positions, key: str) -> None:
    """Faces of a table (by position) in pages, with a choice of order and size."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        column = st.selectbox(
            "Sort by", ["dataset", *MEASUREMENTS], width=230, key=f"{key}_sort", persist_state="session",
            format_func=lambda name: MEASUREMENTS[name].title if name in MEASUREMENTS else "Dataset and file name",
        )  # fmt: skip
        order = st.segmented_control(
            "Order", ["Ascending", "Descending"], default="Ascending", required=True, key=f"{key}_order",
            persist_state="session",
        )  # fmt: skip
        size = st.segmented_control(
            "Size", list(SIZES), default="Medium", required=True, key=f"{key}_size", persist_state="session"
        )
    ascending = order == "Ascending"
    if column == "dataset":  # the table's own order
        positions = positions if ascending else positions[::-1]
    else:
        positions = in_order(table, positions, column, ascending=ascending)
    page = pager(f"{key}_page", len(positions), _PAGE)
    shown = table.take(positions[page])
    captions = [_caption(row, column) for row in shown.itertuples()]
    at = show_cards(thumbnails(workspace, shown), captions, SIZES[size], key)
    if at is not None:
        open_face(workspace, faces, positions, page.start + at)


def show_faces(
    workspace: Workspace,
    faces: Faces,
    face_ids: Sequence[str],
    captions: Sequence[str],
    *,
    key: str | None = None,
    width: int = SIZES["Medium"],
) -> None:
    """Show faces of a workspace, as a model sees them (150x150); with a ``key`` they open large on a click.

    Raises
    ------
    WorkspaceError
        If a face is not in the table, or the scan's files are gone.
    """
    positions = pd.Index(faces.table["face_id"]).get_indexer(pd.Index(face_ids, dtype="str")).astype(np.int64)
    if (positions < 0).any():
        missing = face_ids[int(np.argmax(positions < 0))]
        raise WorkspaceError(f"Face {missing} is not in this workspace: scan its dataset again.")
    at = show_cards(thumbnails(workspace, faces.table.take(positions)), captions, width, key)
    if at is not None:
        open_face(workspace, faces, positions, at)


def show_images(images: Sequence[RgbImage], captions: Sequence[str], width: int = SIZES["Medium"]) -> None:
    """Show images in rows, as many abreast as fit."""
    show_cards(images, captions, width, None)


def pager(key: str, count: int, size: int) -> slice:
    """Buttons to leaf through ``count`` things; the slice that is on show."""
    pages = max(1, -(-count // size))
    page = min(int(st.session_state.get(key, 0)), pages - 1)
    if pages > 1:
        with st.container(horizontal=True, vertical_alignment="center"):
            if st.button("Back", key=f"{key}_back", icon=":material/chevron_left:", disabled=page == 0):
                page -= 1
            if st.button("Next", key=f"{key}_next", icon=":material/chevron_right:", disabled=page == pages - 1):
                page += 1
            st.caption(f"{page * size + 1:,} to {min(count, (page + 1) * size):,} of {count:,}")
    st.session_state[key] = page
    return slice(page * size, (page + 1) * size)


def show_cards(
    images: Sequence[RgbImage] | Sequence[bytes],
    captions: Sequence[str],
    width: int,
    key: str | None,
    below: Callable[[int], None] | None = None,
) -> int | None:
    """Pictures with captions, and what ``below`` shows under each; returns which was clicked, if they can be."""
    clicked = None
    if key is not None:
        st.html(_CARD_STYLE)
    with st.container(horizontal=True, gap="small"):
        for number, (image, caption) in enumerate(zip(images, captions, strict=True)):
            with st.container(width=width, gap="xsmall"):
                with st.container(gap="xxsmall", key=key and f"card_{key}_{number}"):
                    st.image(image, caption=caption, width="stretch", alt=caption.replace("**", "").replace("\\", ""))
                    if key is not None and st.button(f"Open: {caption}", key=f"open_{key}_{number}"):
                        clicked = number
                if below is not None:
                    below(number)
    return clicked


def _caption(row: "pd.core.frame.Pandas", column: str) -> str:
    about = f"{plain(row.dataset)} · {LABEL_TITLES[row.label].lower()}"
    if column in MEASUREMENTS:
        measurement = MEASUREMENTS[column]
        return f"{about} · {getattr(row, column):,.{measurement.digits}f}"
    return about
