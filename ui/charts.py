"""Charts of the pages, as Plotly figures from tables of the core."""

from typing import Any, Final

import numpy as np
import pandas as pd
import plotly.express as px
import plotly.graph_objects as go

from maskdet.labels import CLASSES, LABELS
from maskdet.quality import FILTER_TITLES, FILTERS

#: Okabe and Ito's colours, which people with a colour vision deficiency can tell apart.
LABEL_COLOURS: Final = {"with_mask": "#0072B2", "without_mask": "#D55E00", "incorrect_mask": "#CC79A7"}
LABEL_TITLES: Final = {"with_mask": "With mask", "without_mask": "Without mask", "incorrect_mask": "Incorrect mask"}
_MARGIN: Final = {"l": 8, "r": 8, "t": 40, "b": 8}
_LEGEND: Final = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"}
_SIZE_TICKS: Final = [10, 20, 50, 100, 200, 500, 1000, 2000, 5000]


def class_balance(split: pd.DataFrame) -> go.Figure:
    """Faces by dataset and label, a bar a dataset, from `maskdet.facetable.label_split`."""
    rows = split[split["dataset"] != "Total"]
    figure = go.Figure()
    for label in LABELS:
        bars = go.Bar(y=rows["dataset"], x=rows[label], name=LABEL_TITLES[label], orientation="h")
        figure.add_trace(bars.update(marker_color=LABEL_COLOURS[label]))
    figure.update_layout(barmode="stack", legend=_LEGEND, margin=_MARGIN, height=380)
    figure.update_yaxes(type="category", autorange="reversed")
    figure.update_xaxes(title="faces")
    return figure


def size_scatter(table: pd.DataFrame) -> go.Figure:
    """Square-root size against aspect ratio, a point a face, coloured by label (study, Figure 5)."""
    figure = px.scatter(
        table,
        x="sqrt_size",
        y="aspect_ratio",
        color="label",
        color_discrete_map=LABEL_COLOURS,
        category_orders={"label": list(LABELS)},
        hover_name="face_id",
        log_x=True,
        render_mode="webgl",
        labels={"sqrt_size": "square-root size (px)", "aspect_ratio": "aspect ratio (height / width)", "label": ""},
    )
    figure.for_each_trace(lambda trace: trace.update(name=LABEL_TITLES[trace.name]))
    figure.update_traces(marker={"size": 4, "opacity": 0.5})
    figure.update_layout(margin=_MARGIN, height=380, legend=_LEGEND)
    figure.update_xaxes(tickvals=_SIZE_TICKS)
    return figure


def removal_bars(removals: pd.DataFrame) -> go.Figure:
    """Removed faces by dataset and label, a colour a filter, from `maskdet.quality.removals`."""
    rows = removals[removals["removed"] > 0]
    names = rows["dataset"] + ", " + rows["label"].map(LABEL_TITLES)
    figure = go.Figure()
    for name in FILTERS:
        if rows[name].any():
            figure.add_bar(y=names, x=rows[name], name=FILTER_TITLES[name], orientation="h")
    figure.update_layout(
        barmode="stack", margin=_MARGIN, height=120 + 32 * len(rows), legend=_LEGEND,
        showlegend=True,
    )  # fmt: skip
    figure.update_yaxes(type="category", autorange="reversed")
    figure.update_xaxes(title="faces removed")
    return figure


def confusion_heatmap(confusion: list[list[int]]) -> go.Figure:
    """A confusion matrix with counts and the share of each actual label (study, Appendix E)."""
    counts = np.array(confusion)
    share = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    text = [[f"{n:,}<br>{s:.1%}" for n, s in zip(*row, strict=True)] for row in zip(counts, share, strict=True)]
    titles = [LABEL_TITLES[label] for label in CLASSES]
    figure = go.Figure(
        go.Heatmap(
            z=share, x=titles, y=titles, text=text, texttemplate="%{text}", textfont={"size": 16},
            colorscale="Blues", zmin=0, zmax=1, showscale=False, hoverinfo="skip",
        )
    )  # fmt: skip
    figure.update_layout(margin=_MARGIN, height=300)
    figure.update_xaxes(title="predicted")
    figure.update_yaxes(title="actual", autorange="reversed")
    return figure


def learning_curves(history: pd.DataFrame, measure: str) -> go.Figure:
    """Training and validation curve of a measure over the epochs (study, Figure 13 and Appendix D)."""
    figure = go.Figure()
    for column, name, colour in ((measure, "training", "#0072B2"), (f"val_{measure}", "validation", "#D55E00")):
        figure.add_scatter(
            x=history["epoch"], y=history[column], name=name, mode="lines+markers", line={"color": colour}
        )
    figure.update_layout(margin=_MARGIN, height=300, legend=_LEGEND)
    figure.update_xaxes(title="epoch", dtick=max(1, len(history) // 10))
    figure.update_yaxes(title=measure)
    return figure


def grid_scores(history: pd.DataFrame) -> go.Figure:
    """Cross-validated macro F1 of each grid point, a line a gamma."""
    figure = go.Figure()
    for gamma, rows in history.groupby("gamma"):
        error: dict[str, Any] = {"type": "data", "array": rows["f1_macro_std"]}
        figure.add_scatter(x=rows["C"], y=rows["f1_macro"], error_y=error, name=f"gamma {gamma:.2g}")
    figure.update_layout(margin=_MARGIN, height=300, legend=_LEGEND)
    figure.update_xaxes(title="C", type="log")
    figure.update_yaxes(title="macro F1, 5-fold mean ± sd")
    return figure
