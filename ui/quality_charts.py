"""The charts of the Quality page."""

from collections.abc import Mapping
from typing import Final

import pandas as pd
import plotly.graph_objects as go

from maskdet.quality import filter_titles
from ui.charts import LABEL_TITLES, MARGIN
from ui.text import chart_names

#: Okabe and Ito's colours and greys, none of which stands for a label in `ui.charts`.
_FILTER_COLOURS: Final = {
    "missing": "#555555", "incorrect_mask": "#999999", "by_hand": "#BBBBBB", "conflict": "#882255", "exact": "#332288",
    "duplicate": "#E69F00", "aspect_ratio": "#009E73", "rgb": "#56B4E9", "small": "#F0E442", "blur": "#AA4499",
    "contrast": "#117733",
}  # fmt: skip
_SPLITTING_COLOURS: Final = {
    "publisher": "#D55E00", "publisher_kept": "#E69F00", "by_face": "#56B4E9", "grouped": "#009E73",
    "in_force": "#999999",
}  # fmt: skip
_DASHES: Final = {"validation": "dot", "test": "solid"}
_LEGEND: Final = {"orientation": "h", "x": 0, "y": 1, "yref": "container", "yanchor": "top"}


def removed_shares(removals: pd.DataFrame) -> go.Figure:
    """Share of each dataset's label that is removed, a bar a label and a colour a filter, from `removals`."""
    figure = go.Figure()
    places = [removals["dataset"].map(chart_names(removals["dataset"])), removals["label"].map(LABEL_TITLES)]
    for name, title in filter_titles().items():
        if name in removals and removals[name].any():
            figure.add_bar(
                y=places, x=100 * removals[name] / removals["faces"], name=title, orientation="h",
                marker={"color": _FILTER_COLOURS.get(name), "line_width": 0}, customdata=removals[name],
                hovertemplate="%{x:.2f} % (%{customdata:,} faces)",
            )  # fmt: skip
    figure.update_layout(
        barmode="stack", margin=MARGIN | {"t": 40}, height=110 + 26 * len(removals), showlegend=True, bargap=0.25,
        legend=_LEGEND | {"traceorder": "normal"}, dragmode=False, hoverlabel={"namelength": -1},
    )  # fmt: skip
    figure.update_yaxes(type="multicategory", autorange="reversed", fixedrange=True)
    figure.update_xaxes(title="share removed", ticksuffix=" %", rangemode="tozero", fixedrange=True)
    return figure


def leak_lines(leaks: pd.DataFrame, titles: Mapping[str, str], distance: int) -> go.Figure:
    """Share of faces with a training face within a distance, from `maskdet.leaks.leak_table`.

    A colour a splitting; solid for test faces, dotted for validation faces.
    """
    figure = go.Figure()
    for (name, part), rows in leaks.groupby(["splitting", "part"], sort=False):
        figure.add_scatter(
            x=rows["distance"], y=rows["percent"], mode="lines+markers", name=titles[name], legendgroup=name,
            showlegend=part == "test", line={"color": _SPLITTING_COLOURS[name], "dash": _DASHES[part]},
            customdata=rows["leaks"],
            hovertemplate=f"{part}: %{{y:.2f}} % (%{{customdata:,}} faces) within %{{x}} bits",
        )  # fmt: skip
    figure.add_vline(x=distance, line={"dash": "dash", "width": 1, "color": "#999999"})
    figure.update_layout(
        margin=MARGIN, height=400, dragmode=False, hoverlabel={"namelength": -1},
        legend={"orientation": "h", "x": 0, "y": 0, "yref": "container", "yanchor": "bottom"},
    )  # fmt: skip
    figure.update_yaxes(title="share that leaks", ticksuffix=" %", rangemode="tozero", fixedrange=True)
    figure.update_xaxes(title="Hamming distance (bits)", dtick=1, fixedrange=True)
    return figure
