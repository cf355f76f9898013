"""Charts of a training while it goes on: loss and accuracy (study, Figure 13 and Appendix D), or the SVM's grid."""

from itertools import count
from typing import Any, Final

import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from scipy.stats import binomtest

from ui.charts import LEGEND, MARGIN, NO_BAR
from ui.text import plain

#: Okabe and Ito's colours, which people with a colour vision deficiency can tell apart.
SERIES: Final = (
    ("", "training", "#0072B2", "circle"),
    ("val_", "validation", "#D55E00", "square"),
    ("watched_", "watched", "#009E73", "diamond"),
)
_GRID_COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_HEIGHT: Final = 240


def show_history(history: pd.DataFrame, epochs: int, key: str, counts: dict[str, int]) -> None:
    """Curves of a network's epochs so far, or the grid points of an SVM, in a row.

    Parameters
    ----------
    epochs : int
        Epochs that are planned: the axis is as long from the start.
    key : str
        Stays the same while the training goes on, and is no other's.
    counts : dict
        Faces by column prefix, where known: ``""``, ``"val_"``, ``"watched_"``.
    """
    if history.empty:
        return
    if "f1_macro" in history:
        _show_grid(history, key)
        return
    for measure, column in zip(("loss", "accuracy"), st.columns(2), strict=True):
        figure = curves(history, measure, epochs)
        # The same key and revision each second: the browser changes what is new and leaves the rest.
        column.plotly_chart(figure, key=f"{key}_{measure}", config=NO_BAR, alt=f"{measure} by epoch")
    st.caption(epoch_text(history, counts))


def curves(history: pd.DataFrame, measure: str, epochs: int) -> go.Figure:
    """A measure by epoch, on training, validation and watched faces; a ring marks the epoch whose weights are kept."""
    figure = go.Figure()
    for prefix, name, colour, symbol in SERIES:
        column = f"{prefix}{measure}"
        if column in history:
            figure.add_scatter(
                x=history["epoch"], y=history[column], name=name, mode="lines+markers",
                line={"color": colour, "width": 2}, marker={"symbol": symbol, "size": 6},
                hovertemplate=f"epoch %{{x}}: {measure} %{{y:.4f}}<extra>{name}</extra>",
            )  # fmt: skip
    kept = history[history["kept"] == 1] if "kept" in history else history.iloc[:0]
    if len(kept) and f"val_{measure}" in kept:
        figure.add_scatter(
            x=kept["epoch"], y=kept[f"val_{measure}"], name="kept", mode="markers", hoverinfo="skip",
            marker={"symbol": "circle-open", "size": 14, "color": SERIES[1][2], "line": {"width": 2}},
        )  # fmt: skip
    first = int((history["phase"] == 1).sum()) if "phase" in history else 0
    if 0 < first < max(epochs, len(history)) and (history["phase"] > 1).any():
        figure.add_vline(first + 0.5, line={"dash": "dot", "width": 1, "color": "#8A949A"})
    last = max(epochs, int(history["epoch"].max()))
    figure.update_layout(margin=MARGIN, height=_HEIGHT, legend=LEGEND, uirevision="constant", dragmode=False)
    figure.update_xaxes(title="epoch", range=[0.5, last + 0.5], dtick=tick_step(last), fixedrange=True)
    figure.update_yaxes(title=measure, fixedrange=True)
    return figure


def tick_step(epochs: int) -> int:
    """Epochs from tick to tick: at most ten ticks, at round numbers."""
    return next(
        step for decade in count() for step in (10**decade, 2 * 10**decade, 5 * 10**decade) if epochs <= 10 * step
    )


def epoch_text(history: pd.DataFrame, counts: dict[str, int]) -> str:
    """The last epoch's accuracies with their intervals, and why losses have none."""
    last = history.iloc[-1]
    parts = []
    for prefix, name, _, _ in SERIES[1:]:
        if f"{prefix}accuracy" in last:
            share, faces = float(last[f"{prefix}accuracy"]), counts.get(prefix)
            if faces:
                low, high = wilson(share, faces)
                parts.append(f"{name} accuracy {share:.3f} ({low:.3f} to {high:.3f}, n = {faces:,})")
            else:
                parts.append(f"{name} accuracy {share:.3f}")
    why = "Intervals are Wilson's at 95 %, for faces taken one by one; a loss has none" if counts else "No intervals"
    return plain(f"Epoch {int(last['epoch'])}: {', '.join(parts)}. {why}: one training gives one curve.")


def wilson(share: float, faces: int) -> tuple[float, float]:
    """Wilson's interval at 95 % of a share of ``faces`` (Wilson, 1927)."""
    interval = binomtest(round(share * faces), faces).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def _show_grid(history: pd.DataFrame, key: str) -> None:
    table = history.sort_values("f1_macro", ascending=False, ignore_index=True)
    left, right = st.columns(2)
    left.plotly_chart(grid_chart(history), key=f"{key}_grid", config=NO_BAR, alt="macro F1 by grid point")
    right.dataframe(
        table[[name for name in ("kernel", "C", "gamma", "f1_macro", "f1_macro_std") if name in table]],
        hide_index=True, height=_HEIGHT, key=f"{key}_table",
        column_config={
            "f1_macro": st.column_config.NumberColumn("macro F1", format="%.4f"),
            "f1_macro_std": st.column_config.NumberColumn("± sd", format="%.4f", help="Over the folds."),
            "gamma": st.column_config.NumberColumn("gamma", format="%.3g", help="0: this kernel has none."),
            "C": st.column_config.NumberColumn("C", format="%g"),
        },
    )  # fmt: skip
    explained = history["explained_variance"].iloc[-1] if "explained_variance" in history else None
    st.caption(
        "Cross-validated on the training faces: mean of the folds, with their standard deviation."
        + (f" The components hold {explained:.1%} of the variance (study: about 87 %)." if explained else "")
    )


def grid_chart(history: pd.DataFrame) -> go.Figure:
    """Macro F1 of each grid point so far, a line a kernel and gamma."""
    figure = go.Figure()
    kernel = history["kernel"] if "kernel" in history else pd.Series("rbf", history.index)
    for number, ((name, gamma), rows) in enumerate(history.groupby([kernel.rename("kernel"), "gamma"], sort=True)):
        rows = rows.sort_values("C")
        error: dict[str, Any] = {"type": "data", "array": rows["f1_macro_std"], "thickness": 1, "width": 3}
        colour = _GRID_COLOURS[number % len(_GRID_COLOURS)]
        title = f"{name}, gamma {gamma:.2g}" if gamma else str(name)
        figure.add_scatter(
            x=rows["C"], y=rows["f1_macro"], error_y=error, name=title, mode="lines+markers", line={"color": colour},
            hovertemplate=f"{title}, C %{{x}}: %{{y:.4f}}<extra></extra>",
        )  # fmt: skip
    figure.update_layout(margin=MARGIN, height=_HEIGHT, legend=LEGEND, uirevision="constant", dragmode=False)
    figure.update_xaxes(title="C", type="log", fixedrange=True)
    figure.update_yaxes(title="macro F1", fixedrange=True)
    return figure
