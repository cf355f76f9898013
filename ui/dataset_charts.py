"""Charts of faces by dataset and label, each of whose points knows its faces."""

import re
from collections.abc import Mapping
from math import ceil
from typing import Final, Literal

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from maskdet.explore import MEASUREMENTS, Bars, Positions
from maskdet.labels import LABELS
from ui.charts import LABEL_COLOURS, LABEL_TITLES
from ui.selection import Chart, picked
from ui.text import TITLE, chart_name

_COLOURS: Final = LABEL_COLOURS | {
    "mean_red": "#D62728", "mean_green": "#2CA02C", "mean_blue": "#1F77B4", "photos": "#2A9DBB",
}  # fmt: skip
_TITLES: Final = LABEL_TITLES | {"mean_red": "Red", "mean_green": "Green", "mean_blue": "Blue", "photos": "Photos"}
_ABREAST: Final = 3
#: Ticks of a logarithmic axis, within each power of ten: the fewer, the smaller the panel and the wider its range.
_MANTISSAS: Final = ((1, 2, 5), (1, 3), (1,))
_WIDE_RANGE: Final = 2.2  # powers of ten
_MANY_POINTS: Final = 2000
#: "11 to 20", where there is room for "11–20" only.
_SHORT_SPANS: Final = re.compile(r"(?<=\d) to (?=\d)")
Stacking = Literal["overlay", "stack"]


def scatter_chart(
    table: pd.DataFrame,
    positions: Positions,
    labels: "pd.Series[str]",
    x: str,
    y: str,
    names: Mapping[str, str],
) -> Chart:
    """One measurement against another, a point a face, a colour a label, a panel a dataset (study, Figure 5).

    Parameters
    ----------
    positions : ndarray
        The faces to show, in ``table``; ``labels`` has one for each of them.
    names : mapping
        Title of each panel by dataset; a single panel "" shows all datasets in one.
    """
    one_panel = set(names) == {""}
    axes = MEASUREMENTS[x], MEASUREMENTS[y]
    figure, places = _panels(list(names.values()), *(measurement.axis for measurement in axes))
    dataset = table["dataset"].to_numpy()[positions]
    label = labels.to_numpy()
    # Half the bytes of float64, and more digits than a screen has pixels.
    across, up = (table[column].to_numpy(np.float32)[positions] for column in (x, y))
    keys: list[Positions] = []
    for place, panel in zip(places, names, strict=True):
        for name in LABELS:
            at = np.flatnonzero((label == name) if one_panel else (label == name) & (dataset == panel))
            if len(at):
                marker = {"size": _dot(len(positions)), "opacity": 0.75, "color": LABEL_COLOURS[name]}
                trace = go.Scattergl(
                    x=across[at], y=up[at], mode="markers", marker=marker, name=LABEL_TITLES[name], legendgroup=name,
                    hovertemplate="%{x:.4~g}, %{y:.3~g}",
                )  # fmt: skip
                _add(figure, trace, place)
                keys.append(positions[at])
    figure.update_xaxes(matches="x", **_scale(axes[0].log, across, len(names)))
    figure.update_yaxes(matches="y", **_scale(axes[1].log, up))
    figure.update_layout(dragmode="lasso")
    return Chart(figure, lambda points: picked(points, keys))


def bar_chart(
    bars: Bars,
    positions: Positions,
    names: Mapping[str, str],
    *,
    axis: str = "",
    log: bool = False,
    counted: str = "faces",
    stacking: Stacking = "overlay",
    share: bool = False,
) -> Chart:
    """Bars in panels; overlaid where shapes are compared, stacked where they add up.

    Parameters
    ----------
    positions : ndarray
        The faces that the bars were made of.
    axis, counted : str
        What the axes show.
    share : bool
        Show percent: of all stacked at a place, or of a panel's series where bars lie over each other.
    """
    figure, places = _panels(list(names.values()), axis, "percent" if share else counted)
    rows = bars.table
    whole = ["panel", "left"] if stacking == "stack" else ["panel", "series"]
    height = 100 * rows["value"] / rows.groupby(whole)["value"].transform("sum") if share else rows["value"]
    keys: list[Positions] = []
    outlines = []
    for place, panel in zip(places, names, strict=True):
        of_panel = rows[rows["panel"] == panel]
        for name in dict.fromkeys(rows["series"]):
            of_series = of_panel[of_panel["series"] == name]
            if of_series.empty:
                continue
            left, right = of_series["left"].to_numpy(), of_series["right"].to_numpy()
            gap = 0.8 if bars.ticks else 1.0
            trace = go.Bar(
                x=(left + right) / 2, width=(right - left) * gap, y=height[of_series.index].to_numpy(),
                name=_TITLES.get(name, name), legendgroup=name, marker={"color": _COLOURS.get(name), "line_width": 0},
                opacity=0.6 if stacking == "overlay" else 1.0, customdata=_span(bars, left, right),
                hovertemplate=f"%{{customdata}}: %{{y:,.4~g}}{' %' if share else ' ' + counted}",
            )  # fmt: skip
            _add(figure, trace, place)
            keys.append(of_series.index.to_numpy(np.int64))
            if stacking == "overlay":
                outlines.append((_outline(trace, left, right), place))
    for outline, place in outlines:  # after all bars: a picked point is known by the number of its trace
        figure.add_trace(outline, **place)
    # Streamlit lets a click select only while dragging does not; fixed axes let a phone scroll past the chart.
    figure.update_layout(barmode=stacking, dragmode="pan", selectdirection="h")
    figure.update_yaxes(rangemode="tozero", fixedrange=True)
    figure.update_layout(showlegend=rows["series"].nunique() > 1)
    names = [chart_name(_SHORT_SPANS.sub("–", tick).replace("above ", "> ")) for tick in bars.ticks]
    beside = max(0.5, 2 - len(names) / 2)  # one or two bars alone are not as wide as the page
    ticks = {
        "tickvals": list(range(len(names))), "ticktext": names, "range": [-beside, len(names) - 1 + beside],
    }  # fmt: skip
    edges = rows[["left", "right"]].to_numpy()
    figure.update_xaxes(matches="x", fixedrange=True, **(ticks if bars.ticks else _scale(log, edges, len(names))))
    return Chart(figure, lambda points: positions[bars.faces_in(picked(points, keys))])


def _outline(bars: go.Bar, left: np.ndarray, right: np.ndarray) -> go.Scatter:
    """The upper edge of bars, which is seen where the bars of another series lie over them."""
    x: list[float] = []
    y: list[float] = []
    for start, end, height in sorted(zip(left, right, bars.y, strict=True)):
        if x and np.isclose(x[-1], start):
            x, y = x[:-1], y[:-1]  # no line between neighbours
        else:
            x, y = [*x, start], [*y, 0.0]
        x, y = [*x, start, end, end], [*y, height, height, 0.0]
    return go.Scatter(
        x=x, y=y, mode="lines", line={"color": bars.marker.color, "width": 1.5}, legendgroup=bars.legendgroup,
        showlegend=False, hoverinfo="skip",
    )  # fmt: skip


def _panels(titles: list[str], x: str, y: str) -> tuple[go.Figure, list[dict[str, int]]]:
    """An empty figure, and the row and column of each panel."""
    abreast = min(_ABREAST, len(titles))
    rows = ceil(len(titles) / abreast)
    figure = make_subplots(
        rows, abreast, subplot_titles=titles if any(titles) else None,
        horizontal_spacing=0.06, vertical_spacing=0.34 / rows,
    )  # fmt: skip
    figure.update_annotations(font_size=13)
    figure.update_layout(
        height=420 if rows == 1 else 80 + 255 * rows, margin={"l": 8, "r": 8, "t": 56 if any(titles) else 36, "b": 8},
        legend={"orientation": "h", "x": 0, "y": 1, "yref": "container", "yanchor": "top", "itemsizing": "constant"},
        hoverlabel={"namelength": -1},
    )  # fmt: skip
    places = [{"row": number // abreast + 1, "col": number % abreast + 1} for number in range(len(titles))]
    for place in places[-abreast:]:  # the lowest of each column
        figure.update_xaxes(title_text=x, **place)
    figure.update_yaxes(title_text=y, col=1)
    return figure, places


def _add(figure: go.Figure, trace: go.Scattergl | go.Bar, place: dict[str, int]) -> None:
    is_first = all(other.legendgroup != trace.legendgroup for other in figure.data)
    figure.add_trace(trace.update(showlegend=is_first), **place)


def _scale(log: bool, values: np.ndarray, panels: int = 1) -> dict[str, object]:
    if not log:
        return {}
    is_wide = bool(values.size and values.max() > values.min() * 10**_WIDE_RANGE)
    mantissas = _MANTISSAS[(panels > 1) + is_wide]
    ticks = [mantissa * 10.0**power for power in range(-2, 8) for mantissa in mantissas]
    return {"type": "log", "tickvals": ticks, "ticktext": [_short(tick) for tick in ticks], "tickangle": 0}


def _dot(faces: int) -> int:
    """Diameter of a point, in pixels: the fewer there are, the larger."""
    return 4 if faces > _MANY_POINTS else 7


def _short(number: float) -> str:
    for size, sign in ((1_000_000, " M"), (1_000, " k")):
        if number >= size:
            return f"{number / size:g}{sign}"
    return f"{number:g}"


def _span(bars: Bars, left: np.ndarray, right: np.ndarray) -> list[str]:
    if bars.ticks:
        return [chart_name(bars.ticks[round(middle)], TITLE) for middle in (left + right) / 2]
    return [f"{low:.3g} to {high:.3g}" for low, high in zip(left, right, strict=True)]
