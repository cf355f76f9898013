"""Rows of faces with captions."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from maskdet.facetable import Faces
from maskdet.images import stored_images
from maskdet.photos import RgbImage
from maskdet.workspace import Workspace

_COLUMNS = 6


def show_faces(workspace: Workspace, faces: Faces, face_ids: Sequence[str], captions: Sequence[str]) -> None:
    """Show faces of a workspace, as a model sees them (150x150)."""
    images = stored_images(workspace, faces, pd.Series(list(face_ids), dtype="str")).take(range(len(face_ids)))
    show_images(list(images), captions)


def show_images(images: Sequence[RgbImage], captions: Sequence[str]) -> None:
    """Show images in rows of six."""
    for begin in range(0, len(images), _COLUMNS):
        columns = st.columns(_COLUMNS)
        for column, image, caption in zip(columns, images[begin:], captions[begin:], strict=False):
            column.image(image, caption=caption, width="stretch")


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
            st.caption(f"{page * size + 1} to {min(count, (page + 1) * size)} of {count:,}")
    st.session_state[key] = page
    return slice(page * size, (page + 1) * size)
