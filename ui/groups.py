"""Faces side by side, to be compared: pairs, duplicate clusters, a test face with its nearest training face."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st

from maskdet.facetable import Faces
from maskdet.workspace import Workspace
from ui.cached import thumbnails
from ui.face import open_face
from ui.gallery import show_cards

_GAP = 16
_FRAME = 34


@dataclass(frozen=True)
class Group:
    """Faces (by position in the face table) that belong together, under a title."""

    title: str
    positions: Sequence[int]
    captions: Sequence[str]


def show_groups(workspace: Workspace, faces: Faces, groups: Sequence[Group], key: str, width: int = 104) -> None:
    """Show each group in a frame, as many abreast as fit; a face opens large on a click, from where all are reached.

    Parameters
    ----------
    width : int
        Width of a face in pixels.

    Raises
    ------
    WorkspaceError
        If the scan's files are gone.
    """
    positions = np.array([position for group in groups for position in group.positions], dtype=np.int64)
    images = thumbnails(workspace, faces.table.take(positions))
    clicked, before = None, 0
    with st.container(horizontal=True, gap="small"):
        for number, group in enumerate(groups):
            count = len(group.positions)
            with st.container(border=True, width=count * (width + _GAP) - _GAP + _FRAME, gap="xsmall"):
                st.markdown(group.title)
                at = show_cards(images[before : before + count], group.captions, width, f"{key}_{number}")
            clicked = clicked if at is None else before + at
            before += count
    if clicked is not None:
        open_face(workspace, faces, positions, clicked)
