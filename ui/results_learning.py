"""How the chosen runs learned: loss and accuracy by epoch, or the scores of a grid (study, Figure 13, Appendix D)."""

from typing import Final

import pandas as pd
import streamlit as st

from maskdet.compare import JudgedRun
from maskdet.errors import MaskDetError
from maskdet.reports import with_interval
from ui.charts import CURVES, NO_BAR, explained_variance, grid_scores, learning_curves
from ui.results_data import Comparison
from ui.text import plain, sentence

_MEASURES: Final = ("loss", "accuracy")
_GRID: Final = {"C", "gamma", "f1_macro", "f1_macro_std"}


def show_learning(comparison: Comparison) -> None:
    """Curves of networks on common scales, and grids of SVMs."""
    histories = {one.label: history_of(one) for one in comparison.judged}
    curves = {
        label: table for label, table in histories.items() if isinstance(table, pd.DataFrame) and "epoch" in table
    }
    spans = {measure: common_span(list(curves.values()), measure) for measure in _MEASURES}
    if curves:
        st.caption(
            "Loss and accuracy on the faces trained on, on validation faces, and on a dataset that was only watched. "
            "Training values are taken while the weights change, with dropout and augmentation: they may be the worse. "
            "The ring is the epoch whose weights were kept; from a dotted line on, all layers learn, not the last ones "
            "alone. Vertical axes are the same for all runs. Each curve is of one training, n = 1: it has no interval."
        )
    for one in comparison.judged:
        history = histories[one.label]
        st.markdown(f"## {plain(one.label)}")
        if isinstance(history, str):
            st.info(sentence(history))
        elif "epoch" in history:
            _show_curves(one, history, spans)
        else:
            _show_grid(one, history)


def history_of(one: JudgedRun) -> pd.DataFrame | str:
    """What a run measured while fitting, or a sentence that says why there is nothing to show."""
    try:
        history = one.run.history
    except (MaskDetError, ValueError, TypeError) as error:
        return f"What was measured while fitting cannot be read ({error})."
    if {"epoch", "loss"} <= set(history) or set(history) >= _GRID:
        return history
    return "Nothing was measured while fitting this run." if history.empty else "Its history is damaged."


def common_span(histories: list[pd.DataFrame], measure: str) -> tuple[float, float] | None:
    """The range of a measure over the curves of all runs, with a little room, or None without any."""
    columns = [f"{prefix}{measure}" for prefix in CURVES]
    values = pd.concat([history[name] for history in histories for name in columns if name in history] or [pd.Series()])
    values = pd.to_numeric(values, errors="coerce").dropna()
    if values.empty:
        return None
    low, high = float(values.min()), float(values.max())
    room = 0.06 * (high - low) or 0.05
    return low - room, high + room


def _show_curves(one: JudgedRun, history: pd.DataFrame, spans: dict[str, tuple[float, float] | None]) -> None:
    for column, measure in zip(st.columns(2, gap="medium"), _MEASURES, strict=True):
        if measure in history:
            column.plotly_chart(
                learning_curves(history, measure, spans[measure]), key=f"{measure}_{one.run.id}", config=NO_BAR,
                alt=f"{measure.capitalize()} of {one.label} by epoch",
            )  # fmt: skip
    if "kept" not in history:
        st.caption("This run does not say which epoch's weights it kept.")


def _show_grid(one: JudgedRun, history: pd.DataFrame) -> None:
    chart, words = st.columns([3, 2], gap="medium", vertical_alignment="center")
    chart.plotly_chart(grid_scores(history), key=f"grid_{one.run.id}", config=NO_BAR, alt=f"Grid scores of {one.label}")
    best = history.loc[history["f1_macro"].idxmax()]
    folds = one.run.record["options"].get("folds")
    by = f"{folds}-fold cross-validation" if folds else "cross-validation"
    kernel = f"{plain(best['kernel'])} kernel, " if "kernel" in history else ""
    gamma = "" if kernel.startswith("linear") else f", gamma {best['gamma']:.2g}"
    words.markdown(
        f"Chosen by {by} on the training faces: {kernel}C {best['C']:g}{gamma}, macro F1 "
        f"{with_interval(best['f1_macro'], None, None)} ± {best['f1_macro_std']:.3f} (mean and standard deviation of "
        "the folds; bars in the chart)."
    )
    if explained := explained_variance(history):
        words.caption(explained)
