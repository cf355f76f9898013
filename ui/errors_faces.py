"""What the views of errors share: filters, names of runs, and faces that open large where their photos are here."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
import pandas as pd
import streamlit as st

from maskdet.compare import short_labels
from maskdet.facetable import Faces, has_faces
from maskdet.labels import CLASSES
from maskdet.runs import Run
from maskdet.workspace import Workspace
from ui.cached import faces_of, thumbnails
from ui.charts import LABEL_TITLES
from ui.face import open_face
from ui.filters import several
from ui.gallery import SIZES, pager, show_cards

#: Faces on a page of a gallery.
PAGE: Final = 12


def choose_runs(runs: Sequence[Run], key: str, default: Callable[[], Sequence[Run]] | None = None) -> list[Run]:
    """Some of the runs, to begin with those of ``default``; all where none is chosen."""
    labels = short_labels(runs)
    titles = {run.id: labels[run.id] + (" · bundled" if run.is_bundled else "") for run in runs}
    stored = st.session_state.get(key)
    gone = bool(stored) and not set(stored) & set(titles)  # other data were chosen since
    if default is not None and (stored is None or gone):
        st.session_state[key] = [run.id for run in default()]
    chosen = several("Runs", key, list(titles), titles, width=330)
    return [run for run in runs if run.id in (chosen or titles)]


def choose_faces(runs: Sequence[Run]) -> tuple[list[str] | None, list[str] | None]:
    """Datasets and labels to look at, the same in each view; None for all."""
    names = sorted({str(name) for run in runs for name in run.predictions["dataset"].unique()})
    datasets = several("Dataset", "errors_datasets", names, width=155)
    labels = several("Label", "errors_labels", CLASSES, LABEL_TITLES, width=225)
    return datasets or None, labels or None


def here(workspace: Workspace, face_ids: "pd.Series[str]") -> "pd.Series[bool]":
    """True for the faces whose pixels are on this machine."""
    known = faces_of(workspace).table["face_id"] if has_faces(workspace) else pd.Series(dtype="str")
    return face_ids.isin(known)


def show_gallery_of(
    workspace: Workspace,
    table: pd.DataFrame,
    captions: Callable[[pd.DataFrame], list[str]],
    key: str,
    chosen: object,
    *,
    below: Callable[[pd.DataFrame, int], None] | None = None,
    above: Callable[[pd.DataFrame], None] | None = None,
    width: int = SIZES["Medium"],
) -> None:
    """Show the faces of some rows, a page of them at a time; those that are not on this machine are counted.

    Parameters
    ----------
    table : DataFrame
        With the column face_id; a face may have several rows.
    captions : callable
        Makes a caption for each of some rows.
    chosen
        What the rows were chosen by: with another choice, the gallery begins on its first page.
    below, above : callable, optional
        What to show below each of the rows on show (given with its number), and above all of them.
    """
    is_here = here(workspace, table["face_id"])
    away = int((~is_here).sum())
    if away:
        st.info(
            f"The photos of {'these' if away == len(table) else f'{away:,} of these'} faces are not on this computer; "
            "scan their datasets to see them here.",
            icon=":material/image_not_supported:",
        )
        st.page_link("pages/datasets.py", label="Scan a dataset", icon=":material/photo_library:")
    if away == len(table):
        return
    faces = faces_of(workspace)
    table = table[is_here]
    page = pager(f"{key}_page_{abs(hash(repr(chosen)))}", len(table), PAGE)
    shown = table.iloc[page]
    if above is not None:
        above(shown)
    positions = _positions(faces, table["face_id"])
    images = thumbnails(workspace, faces.table.take(positions[page]))
    extra = None if below is None else (lambda number: below(shown, number))
    at = show_cards(images, captions(shown), width, key, extra)
    if at is not None:
        open_face(workspace, faces, positions, page.start + at)


def column_titles(names: Mapping[str, str]) -> dict[str, object]:
    """How a table of errors shows its columns; ``names`` are the runs'."""
    digits = {
        "p_without_mask": st.column_config.NumberColumn(
            "Probability of no mask", format="%.4f", help="Calibrated where the run's reliability was fitted.",
        ),
        "confidence": st.column_config.NumberColumn(
            format="%.4f", help="The probability that the model gives the wrong label. Models are not equally sure of "
            "themselves, so compare within one model.",
        ),
        "self_confidence": st.column_config.NumberColumn(
            "self-confidence", format="%.4f", help="The probability of the label: cleanlab's label quality score.",
        ),
        "spread": st.column_config.NumberColumn(format="%.4f", help="The largest of the probabilities less the least."),
        "right": st.column_config.NumberColumn("runs right"),
        "face_id": st.column_config.TextColumn("face"),
    }  # fmt: skip
    return digits | {key: st.column_config.NumberColumn(f"p: {name}", format="%.4f") for key, name in names.items()}


def _positions(faces: Faces, face_ids: "pd.Series[str]") -> "np.typing.NDArray[np.int64]":
    return pd.Index(faces.table["face_id"]).get_indexer(pd.Index(face_ids)).astype(np.int64)
