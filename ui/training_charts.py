"""Charts of a training while it goes on: loss and accuracy (study, Figure 13 and Appendix D), or the SVM's grid."""

from typing import Final

import pandas as pd
import streamlit as st
from scipy.stats import binomtest

from maskdet.document import Figure
from ui.charts import CURVES, NO_BAR, explained_variance, grid_scores, learning_curves
from ui.text import plain

_HEIGHT: Final = 320  # of the grid's table, as of its chart


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
        figure = learning_curves(history, measure, epochs=epochs, uirevision=key)
        # The same key and revision each second: the browser changes what is new and leaves the rest.
        column.plotly_chart(figure, key=f"{key}_{measure}", config=NO_BAR, alt=f"{measure} by epoch")
    st.caption(epoch_text(history, counts))


def epoch_text(history: pd.DataFrame, counts: dict[str, int]) -> str:
    """The last epoch's accuracies with their intervals, and why losses have none."""
    last = history.iloc[-1]
    parts = []
    for prefix, (name, _, _) in list(CURVES.items())[1:]:
        if f"{prefix}accuracy" in last:
            share, faces = float(last[f"{prefix}accuracy"]), counts.get(prefix)
            if faces:
                parts.append(f"{name} accuracy {Figure(share, *wilson(share, faces), n=faces).text}")
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
    left.plotly_chart(
        grid_scores(history, uirevision=key), key=f"{key}_grid", config=NO_BAR, alt="macro F1 by grid point"
    )
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
    st.caption(
        "Cross-validated on the training faces: mean of the folds, with their standard deviation. "
        + explained_variance(history)
    )
