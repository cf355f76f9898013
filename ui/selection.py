"""Faces picked in a chart: what Plotly says of them, and how the choice is kept until it is cleared."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from maskdet.explore import Positions

_SELECTION: Final = "selected_faces"
_ROUND: Final = "selection_round"
#: The browser sends a chart's picked points with every click on the page, 340 bytes each: beyond this many, the chart
#: is made anew once they are noted, without the drawn shape.
_MOST_POINTS: Final = 2000
#: On a phone, panels keep a width at which they can be read, and scroll sideways.
_CHART_STYLE: Final = """<style>
.st-key-wide_chart { overflow-x: auto; }
.st-key-wide_chart > div { min-width: 640px; }
</style>"""
Point = Mapping[str, Any]


@dataclass(frozen=True)
class Chart:
    """A figure, and the faces that picked points of it stand for (positions in the face table)."""

    figure: go.Figure
    faces_of: Callable[[Iterable[Point]], Positions]


@dataclass(frozen=True)
class Selection:
    """Picked faces of one state of the face table."""

    faces: Positions
    chart: str
    stamp: str


def picked(points: Iterable[Point], keys: Sequence[Positions]) -> Positions:
    """What picked points stand for: each trace of a chart has its list of keys, a key a point. Sorted, each once."""
    found = [keys[point["curve_number"]][point["point_index"]] for point in points]
    return np.unique(np.array(found, dtype=np.int64))


def current_selection(stamp: str) -> Selection | None:
    """The faces picked last, unless the face table has changed since."""
    selection: Selection | None = st.session_state.get(_SELECTION)
    return selection if selection is not None and selection.stamp == stamp else None


def clear_selection() -> None:
    """Forget what was picked, and the shape that was drawn for it."""
    st.session_state.pop(_SELECTION, None)
    _fresh_chart()


def show_chart(chart: Chart, title: str, stamp: str, alt: str) -> None:
    """Show a chart whose points, boxes and lassos select faces."""
    key = f"chart_{title}_{st.session_state.get(_ROUND, 0)}"
    st.html(_CHART_STYLE)
    with st.container(key="wide_chart"):
        st.plotly_chart(
            chart.figure, key=key, on_select=partial(_select, key, chart, title, stamp), alt=alt,
            config={"displaylogo": False},
        )  # fmt: skip


def _select(key: str, chart: Chart, title: str, stamp: str) -> None:
    points = st.session_state[key]["selection"]["points"]
    faces = chart.faces_of(points)
    if len(faces) == 0:  # a resized window deselects in the chart too: only the button clears
        return
    st.session_state[_SELECTION] = Selection(faces, title, stamp)
    if len(points) > _MOST_POINTS:
        _fresh_chart()


def _fresh_chart() -> None:
    st.session_state[_ROUND] = st.session_state.get(_ROUND, 0) + 1
