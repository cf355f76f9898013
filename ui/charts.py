"""Charts of the pages, as Plotly figures from tables of the core."""

from typing import Any, Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from maskdet.labels import CLASSES

#: Okabe and Ito's colours, which people with a colour vision deficiency can tell apart.
LABEL_COLOURS: Final = {"with_mask": "#0072B2", "without_mask": "#D55E00", "incorrect_mask": "#CC79A7"}
LABEL_TITLES: Final = {"with_mask": "With mask", "without_mask": "Without mask", "incorrect_mask": "Incorrect mask"}
_MARGIN: Final = {"l": 8, "r": 8, "t": 40, "b": 8}
_LEGEND: Final = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"}


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
