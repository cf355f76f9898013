"""Filter faces, see them in charts, pick some there, and look at them one by one."""

from collections.abc import Mapping
from functools import partial
from typing import Final

import numpy as np
import pandas as pd
import streamlit as st

from maskdet.catalog import Dataset, lookup
from maskdet.errors import MaskDetError
from maskdet.explore import (
    MEASUREMENTS,
    FaceFilter,
    Positions,
    channel_bars,
    export,
    format_bars,
    label_bars,
    measurement_bars,
    narrow,
    photo_bars,
)
from maskdet.labels import IncorrectMask, treat_incorrect
from maskdet.workspace import Workspace
from ui.cached import csv_bytes, faces_of, stamp_of, table_of
from ui.dataset_charts import Chart, bar_chart, scatter_chart
from ui.filters import choose_filter
from ui.gallery import show_gallery
from ui.selection import clear_selection, current_selection, show_chart
from ui.session import show
from ui.text import TITLE, chart_name, plain, sentence

SCATTER: Final = "Size and shape"
DISTRIBUTIONS: Final = "Distributions"
BALANCE: Final = "Class balance"
COLOUR: Final = "Colour"
FACES_PER_PHOTO: Final = "Faces per photo"
FORMATS: Final = "File formats"
_MOST_PANELS: Final = 12
_BARS: Final = "Click a bar to see its faces below (Shift for several; the box tool on top of the chart picks a range)."
_CHARTS: Final = {
    SCATTER: "Circle points to see those faces below.",
    DISTRIBUTIONS: _BARS,
    BALANCE: _BARS,
    COLOUR: f"How bright each channel is on average. {_BARS}",
    FACES_PER_PHOTO: f"How many usable faces the photos hold. {_BARS}",
    FORMATS: f"A format that goes with one label is a shortcut a model may take. {_BARS}",
}


@st.fragment
def explore(workspace: Workspace, catalog: Mapping[str, Dataset], incorrect_mask: IncorrectMask) -> None:
    """Filters, charts and gallery of a workspace's faces; they run again without the rest of the page."""
    show(partial(_explore, workspace, catalog, incorrect_mask))


def _explore(workspace: Workspace, catalog: Mapping[str, Dataset], incorrect_mask: IncorrectMask) -> None:
    table = table_of(workspace)
    stamp = stamp_of(workspace)
    try:
        matching = narrow(table, choose_filter(table, incorrect_mask))
    except MaskDetError as error:
        st.warning(f"{sentence(error)} Set it right, or reset the filters.")
        return
    total = len(narrow(table, FaceFilter(incorrect_mask=incorrect_mask)))
    chosen, charted = _show_selection(matching, total, stamp)
    if len(matching) == 0:
        st.info("No face meets all of these filters: take one back, or reset them.", icon=":material/filter_alt_off:")
        return
    _show_charts(table, charted, catalog, incorrect_mask, stamp)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.header("Faces", width="stretch")
        st.download_button(
            f"Export {len(chosen):,} faces (CSV)", partial(_csv, table, chosen, incorrect_mask), "faces.csv",
            "text/csv", icon=":material/download:", disabled=len(chosen) == 0, on_click="ignore", key="faces_csv",
        )  # fmt: skip
    if len(chosen) == 0:
        st.info("None of the selected faces meets the filters: clear the selection, or take a filter back.")
        return
    _gallery(workspace, chosen)


@st.fragment
def _gallery(workspace: Workspace, chosen: Positions) -> None:
    """By itself, so that leafing does not draw the chart again."""
    show(lambda: show_gallery(workspace, faces_of(workspace), table_of(workspace), chosen, "explorer"))


def _show_selection(matching: Positions, total: int, stamp: str) -> tuple[Positions, Positions]:
    """Say how many faces are on show; returns those of the gallery, and those of the charts."""
    selection = current_selection(stamp)
    chosen = matching if selection is None else np.intersect1d(matching, selection.faces)
    charted = matching
    with st.container(horizontal=True, vertical_alignment="center"):
        if selection is None:
            st.markdown(f"**{len(matching):,}** of {total:,} faces")
        else:
            st.markdown(f"**{len(chosen):,} faces selected** in *{selection.chart}*, of {len(matching):,} that match")
            st.button("Clear selection", on_click=clear_selection, icon=":material/close:", key="selection_clear")
            if st.toggle("Charts show these only", key="selection_only") and len(chosen):
                charted = chosen
    return chosen, charted


def _csv(table: pd.DataFrame, positions: Positions, incorrect_mask: IncorrectMask) -> bytes:
    return csv_bytes(export(table, positions, incorrect_mask))


def _show_charts(
    table: pd.DataFrame,
    positions: Positions,
    catalog: Mapping[str, Dataset],
    incorrect_mask: IncorrectMask,
    stamp: str,
) -> None:
    """The chart that was chosen, and no other."""
    title = st.segmented_control(
        "Chart", list(_CHARTS), default=SCATTER, required=True, key="chart", persist_state="session",
        label_visibility="collapsed",
    )  # fmt: skip
    faces = table.take(positions)
    labels = treat_incorrect(faces["label"], incorrect_mask)
    largest = faces["dataset"].value_counts().index
    names = {name: _panel_title(catalog, name) for name in sorted(largest[:_MOST_PANELS])}
    if title == SCATTER:
        chart = _scatter(table, positions, labels, names)
    elif title == DISTRIBUTIONS:
        chart = _distribution(faces, positions, labels, names)
    elif title == BALANCE:
        share = st.toggle("In percent", key="balance_share", persist_state="session")
        bars = label_bars(faces, labels)
        chart = bar_chart(bars, positions, {"": ""}, axis="dataset", stacking="stack", share=share)
    elif title == COLOUR:
        chart = bar_chart(channel_bars(faces), positions, names, axis="mean of a channel, 0 to 255")
    elif title == FACES_PER_PHOTO:
        crowded = faces.loc[faces["faces_in_photo"] > 1, "dataset"].unique()
        alone = [name for name in names if name not in crowded]
        if len(crowded) and alone:
            st.caption(f"No photo of these holds more than one face: {plain(', '.join(alone))}.")
            names = {name: title for name, title in names.items() if name in crowded}
        bars = photo_bars(faces)
        chart = bar_chart(bars, positions, names, axis="faces in the photo", counted="photos", stacking="stack")
    else:
        bars = format_bars(faces, labels)
        chart = bar_chart(bars, positions, {"": ""}, axis="file format", stacking="stack")
        if len(bars.ticks) == 1:
            st.markdown(f"All of these faces are {plain(bars.ticks[0])} files: the format says nothing of the label.")
    show_chart(chart, title, stamp, alt=f"{title} of {len(positions):,} faces in {len(names)} datasets")
    few = len(largest) > _MOST_PANELS and title not in (BALANCE, FORMATS)
    st.caption(_CHARTS[title] + (f" A panel for each of the {_MOST_PANELS} largest datasets." if few else ""))


def _scatter(table: pd.DataFrame, positions: Positions, labels: "pd.Series[str]", names: Mapping[str, str]) -> Chart:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        x = _measurement("Across", "sqrt_size", "scatter_x")
        y = _measurement("Up", "aspect_ratio", "scatter_y")
        apart = st.toggle("A panel a dataset", value=True, key="scatter_panels", persist_state="session")
    return scatter_chart(table, positions, labels, x, y, names if apart else {"": ""})


def _distribution(
    faces: pd.DataFrame, positions: Positions, labels: "pd.Series[str]", names: Mapping[str, str]
) -> Chart:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        column = _measurement("Of", "sqrt_size", "distribution_of")
        share = st.toggle(
            "In percent of each label", key="distribution_share", persist_state="session",
            help="Compares the shapes of labels that differ in number.",
        )  # fmt: skip
    measurement = MEASUREMENTS[column]
    bars = measurement_bars(faces, column, labels)
    return bar_chart(bars, positions, names, axis=measurement.axis, log=measurement.log, share=share)


def _measurement(title: str, default: str, key: str) -> str:
    names = list(MEASUREMENTS)
    return st.selectbox(
        title, names, index=names.index(default), key=key, persist_state="session", width=220,
        format_func=lambda name: MEASUREMENTS[name].title,
    )  # fmt: skip


def _panel_title(catalog: Mapping[str, Dataset], dataset: str) -> str:
    name = lookup(catalog, dataset).name
    return chart_name(dataset if name == dataset else f"{dataset} · {name}", TITLE)
