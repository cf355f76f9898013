"""Charts of the pages, as Plotly figures from tables of the core."""

from itertools import count
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from maskdet.labels import CLASSES
from ui.text import percent

#: Okabe and Ito's colours, which people with a colour vision deficiency can tell apart.
LABEL_COLOURS: Final = {"with_mask": "#0072B2", "without_mask": "#D55E00", "incorrect_mask": "#CC79A7"}
LABEL_TITLES: Final = {"with_mask": "With mask", "without_mask": "Without mask", "incorrect_mask": "Incorrect mask"}
#: Okabe and Ito's colours for runs, which nobody confuses where the two of the labels are not beside them.
RUN_COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#882255", "#999933")
#: Curves of a training by the prefix of their columns: name, colour and dash.
CURVES: Final = {
    "": ("training", "#0072B2", "dot"),
    "val_": ("validation", "#D55E00", "solid"),
    "watched_": ("watched", "#009E73", "dashdot"),
}
CONFUSION_SCALE: Final = "Blues"
MARGIN: Final = {"l": 8, "r": 8, "t": 8, "b": 8}
#: In a line above the chart.
LEGEND: Final = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"}
#: A chart in which there is nothing to select or to save.
NO_BAR: Final = {"displayModeBar": False}


def confusion_heatmap(
    confusion: list[list[int]], *, colour_by: Literal["share", "count"] = "share", most: int | None = None
) -> go.Figure:
    """A confusion matrix with counts and the share of each actual label (study, Appendix E).

    Parameters
    ----------
    colour_by : {"share", "count"}
        What the colour stands for; its scale ends at 1 or at ``most``, so that matrices beside each other compare.
    most : int, optional
        The largest count of all matrices; that of this one by default.
    """
    counts = np.array(confusion)
    share = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    cells = zip(counts, share, strict=True)
    text = [[f"<b>{n:,}</b><br>{percent(s)}" for n, s in zip(*row, strict=True)] for row in cells]
    titles = [LABEL_TITLES[label].replace(" ", "<br>") for label in CLASSES]
    colour = share if colour_by == "share" else counts
    top = 1 if colour_by == "share" else max(1, most or int(counts.max()))
    figure = go.Figure(
        go.Heatmap(
            z=colour, x=titles, y=titles, text=text, texttemplate="%{text}",
            textfont={"size": 15}, colorscale=CONFUSION_SCALE, zmin=0, zmax=top, showscale=False, hoverinfo="skip",
            xgap=2, ygap=2,
        )
    )  # fmt: skip
    figure.update_layout(margin=MARGIN, height=215, dragmode=False)
    figure.update_xaxes(title="predicted", fixedrange=True, showgrid=False)
    figure.update_yaxes(title="actual", autorange="reversed", fixedrange=True, showgrid=False)
    return figure


def learning_curves(
    history: pd.DataFrame,
    measure: str,
    span: tuple[float, float] | None = None,
    *,
    epochs: int | None = None,
    uirevision: str | None = None,
) -> go.Figure:
    """Training, validation and watched curve of a measure over the epochs (study, Figure 13 and Appendix D).

    The epoch whose weights were kept is ringed, and a dotted line stands where a second phase begins.

    Parameters
    ----------
    history : DataFrame
        See `maskdet.runs`: a row an epoch; curves that it does not have are left out.
    span : (float, float), optional
        The vertical axis, for figures that are to be compared.
    epochs : int, optional
        Epochs that are planned, of a training that goes on: the axis is as long from the start.
    uirevision : str, optional
        Stays the same while the training goes on: the browser changes what is new and leaves the rest.
    """
    figure = go.Figure()
    epoch = history["epoch"] if history["epoch"].is_unique else pd.Series(range(1, len(history) + 1))
    kept = (history["kept"] == 1).to_numpy() if "kept" in history else np.zeros(len(history), bool)
    for prefix, (name, colour, dash) in CURVES.items():
        column = f"{prefix}{measure}"
        if column not in history or history[column].isna().all():
            continue
        figure.add_scatter(
            x=epoch, y=history[column], name=name, mode="lines+markers", line={"color": colour, "dash": dash},
            marker={"size": 5}, hovertemplate=f"epoch %{{x}}: {name} {measure} %{{y:.4f}}<extra></extra>",
        )  # fmt: skip
        if prefix == "val_" and kept.any():
            figure.add_scatter(
                x=epoch[kept], y=history[column][kept], name="epoch kept", mode="markers",
                marker={"size": 14, "symbol": "circle-open", "line_width": 2, "color": colour},
                hovertemplate="the weights of epoch %{x} were kept<extra></extra>",
            )  # fmt: skip
    phase = history["phase"].to_numpy() if "phase" in history else np.ones(len(history))
    for begin in np.flatnonzero(np.diff(phase) > 0):
        figure.add_vline(
            x=float(epoch.iloc[begin]) + 0.5, line={"dash": "dot", "width": 1, "color": "#999999"},
            annotation={"text": "all layers", "font_size": 11, "yanchor": "bottom"}, annotation_position="top right",
        )  # fmt: skip
    figure.update_layout(
        margin=MARGIN | {"t": 60}, height=300, legend=LEGEND | {"y": 1.08}, dragmode=False, uirevision=uirevision
    )
    last = max(epochs or 0, len(history))
    planned = None if epochs is None else [0.5, last + 0.5]
    figure.update_xaxes(title="epoch", range=planned, dtick=tick_step(last), fixedrange=True)
    figure.update_yaxes(title=measure, range=span, fixedrange=True)
    return figure


def tick_step(epochs: int) -> int:
    """Epochs from tick to tick: at most ten ticks, at round numbers."""
    return next(
        step for decade in count() for step in (10**decade, 2 * 10**decade, 5 * 10**decade) if epochs <= 10 * step
    )


def grid_scores(history: pd.DataFrame, *, uirevision: str | None = None) -> go.Figure:
    """Cross-validated macro F1 of each grid point, a line a kernel and gamma.

    For ``uirevision`` see `learning_curves`.
    """
    figure = go.Figure()
    kernels = history["kernel"] if "kernel" in history else pd.Series("rbf", index=history.index)
    for number, ((kernel, gamma), rows) in enumerate(history.groupby([kernels, history["gamma"]], sort=True)):
        rows = rows.sort_values("C")
        name = kernel if kernel == "linear" else f"{kernel}, gamma {gamma:.2g}"
        error: dict[str, Any] = {"type": "data", "array": rows["f1_macro_std"], "thickness": 1, "width": 3}
        figure.add_scatter(
            x=rows["C"], y=rows["f1_macro"], error_y=error, name=name, mode="lines+markers",
            line={"color": RUN_COLOURS[number % len(RUN_COLOURS)], "dash": "dash" if kernel == "linear" else "solid"},
            hovertemplate=f"{name}, C %{{x:g}}: %{{y:.4f}}<extra></extra>",
        )  # fmt: skip
    figure.update_layout(margin=MARGIN | {"t": 60}, height=320, legend=LEGEND, dragmode=False, uirevision=uirevision)
    figure.update_xaxes(title="C", type="log", dtick=1, fixedrange=True)
    figure.update_yaxes(title="cross-validated macro F1", fixedrange=True)
    return figure


def explained_variance(history: pd.DataFrame) -> str:
    """How much of the variance an SVM's principal components keep, as a sentence; "" where it was not measured."""
    if "explained_variance" not in history:
        return ""
    kept = percent(float(history["explained_variance"].iloc[-1]))
    return f"The principal components keep {kept} of the variance (study: about 87 %)."
