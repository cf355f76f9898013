"""The charts of the Results page, from the tables of `maskdet.compare` and `maskdet.curves`."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from maskdet.compare import HOW
from maskdet.reports import with_interval
from ui.charts import LEGEND, MARGIN, RUN_COLOURS
from ui.text import chart_name, chart_names, duration

#: A grey that is seen on a light and on a dark page.
GREY: Final = "#8A949A"
SYMBOLS: Final = ("circle", "square", "triangle-up", "diamond", "cross", "x", "star", "pentagon")
_HOW_SYMBOLS: Final = dict(zip(HOW, ("circle", "triangle-up", "square", "diamond-open"), strict=True))

#: Between a point and its name; a browser shows no plain spaces at the ends of a text.
_GAP: Final = "\u00a0" * 3


def styles(labels: list[str]) -> dict[str, dict[str, str]]:
    """Colour and symbol of each run, the same in every chart of a page."""
    return {
        label: {"color": RUN_COLOURS[i % len(RUN_COLOURS)], "symbol": SYMBOLS[i % len(SYMBOLS)]}
        for i, label in enumerate(labels)
    }


def ranking_chart(ranking: pd.DataFrame, style: Mapping[str, dict[str, str]]) -> go.Figure:
    """Macro F1 of each run with its interval, the best above, and the study's figure of its model beside it."""
    figure = go.Figure()
    names = chart_names(ranking["run"])
    known = ranking.dropna(subset=["study"])
    figure.add_scatter(
        x=known["study"], y=known["run"].map(names), mode="markers", name="the study's, on its own photos",
        marker={"symbol": "line-ns-open", "size": 18, "color": GREY, "line_width": 3},
        hovertemplate="the study: %{x:.3f}<extra></extra>",
    )  # fmt: skip
    for label, rows in ranking.groupby("run", sort=False):  # a trace a run: a bar has the colour of its trace
        figure.add_scatter(
            x=rows["macro_f1"], y=rows["run"].map(names), mode="markers", showlegend=False,
            marker={"size": 13, "color": style[label]["color"]},
            error_x=_error(rows["macro_f1"], rows["low"], rows["high"]) | {"thickness": 3, "width": 6},
            text=[with_interval(*row) for row in rows[["macro_f1", "low", "high"]].itertuples(index=False)],
            customdata=rows[["faces"]], hovertemplate="%{text}, n = %{customdata[0]:,}<extra></extra>",
        )  # fmt: skip
    figure.update_layout(margin=MARGIN, height=100 + 36 * len(ranking), legend=LEGEND, dragmode=False)
    figure.update_yaxes(
        categoryorder="array", categoryarray=[names[run] for run in ranking["run"]][::-1], fixedrange=True,
        range=[-0.6, len(ranking) - 0.4], tickfont={"size": 14},
    )  # fmt: skip
    figure.update_xaxes(title="macro F1", fixedrange=True, range=_span(ranking, ["low", "high", "macro_f1", "study"]))
    return figure


def reliability_chart(curve: pd.DataFrame, style: Mapping[str, str]) -> go.Figure:
    """Share without mask by predicted probability; on the diagonal a model says just what it should."""
    figure = go.Figure()
    figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", line={"dash": "dash", "color": GREY, "width": 1},
                       hoverinfo="skip")  # fmt: skip
    figure.add_scatter(
        x=curve["mean_probability"], y=curve["share"], mode="lines+markers", line={"width": 1.5},
        marker={"color": style["color"], "size": 4 + 2 * np.log10(curve["faces"])},
        error_y=_error(curve["share"], curve["share_low"], curve["share_high"]) | {"thickness": 1, "width": 3},
        customdata=curve[["faces", "share_low", "share_high"]],
        hovertemplate="says %{x:.3f}, found %{y:.3f} (%{customdata[1]:.3f} to %{customdata[2]:.3f}), "
        "n = %{customdata[0]:,}<extra></extra>",
    )  # fmt: skip
    figure.update_layout(margin=MARGIN, height=260, dragmode=False, showlegend=False)
    figure.update_xaxes(title="probability of no mask", range=[-0.05, 1.05], tickvals=[0, 0.5, 1], fixedrange=True)
    figure.update_yaxes(title="share without mask", range=[-0.05, 1.05], tickvals=[0, 0.5, 1], fixedrange=True)
    return figure


def roc_chart(curves: Mapping[str, pd.DataFrame], style: Mapping[str, dict[str, str]], zoom: float) -> go.Figure:
    """True against false positive rate; without mask is positive. ``zoom`` is the largest false positive rate shown."""
    figure = go.Figure()
    for label, curve in curves.items():
        name = chart_name(label)
        figure.add_scatter(
            x=curve["false_positive_rate"], y=curve["true_positive_rate"], mode="lines", name=name,
            line={"color": style[label]["color"], "shape": "hv"}, customdata=curve["threshold"],
            hovertemplate=f"{name}: %{{y:.3f}} found, %{{x:.3f}} falsely, above p = %{{customdata:.3f}}<extra></extra>",
        )  # fmt: skip
    figure.update_layout(margin=MARGIN, height=420, legend=LEGEND, dragmode=False)
    margin = 0.02 * zoom
    figure.update_xaxes(title="false positive rate", range=[-margin, zoom + margin], fixedrange=True)
    figure.update_yaxes(title="true positive rate", range=[1 - zoom - margin, 1 + margin], fixedrange=True)
    return figure


def times_chart(
    times: pd.DataFrame, column: str, title: str, style: Mapping[str, dict[str, str]], seconds: bool = True
) -> go.Figure:
    """Macro F1 against a running time, on a logarithmic axis (study, Figure 14 and section 5.1)."""
    figure = go.Figure()
    known = times.dropna(subset=[column, "macro_f1"]).sort_values(column)
    for number, row in enumerate(known.itertuples()):
        time = getattr(row, column)
        name = chart_name(row.run)
        spoken = running_time(time) if seconds else f"{time:.2f} ms"
        figure.add_scatter(
            x=[time], y=[row.macro_f1], mode="markers", showlegend=False, marker={**style[row.run], "size": 12},
            error_y=_error(*(pd.Series([value]) for value in (row.macro_f1, row.low, row.high))),
            hovertemplate=f"{name}: {spoken}, macro F1 %{{y:.4f}}<extra></extra>",
        )  # fmt: skip
        # Names stand beside their points, left and right in turn, so that those of runs which take nearly as long
        # keep apart.
        before, side, after = (_GAP, "right", "") if number % 2 else ("", "left", _GAP)
        figure.add_scatter(
            x=[time], y=[row.macro_f1], mode="text", text=[f"{before}{name}{after}"], showlegend=False,
            textposition=f"middle {side}", cliponaxis=False, hoverinfo="skip",
        )  # fmt: skip
    span = times[column].dropna()
    figure.update_layout(margin=MARGIN | {"t": 16}, height=340, dragmode=False)
    figure.update_xaxes(title=title, type="log", fixedrange=True, range=_log_span(span), **_ticks(seconds))
    figure.update_yaxes(title="macro F1", fixedrange=True, range=_span(times, ["low", "high", "macro_f1"], room=0.15))
    return figure


def sources_chart(sources: pd.DataFrame, style: Mapping[str, dict[str, str]]) -> go.Figure:
    """Macro F1 by dataset: trained on it, and left out of training; a colour a run, a symbol how."""
    figure = go.Figure()
    datasets = list(dict.fromkeys(sources["dataset"]))
    names = chart_names(datasets)
    runs = list(dict.fromkeys(sources["run"]))
    for (run, how), rows in sources.dropna(subset=["macro_f1"]).groupby(["run", "how"], sort=False):
        offset = 0.7 * ((runs.index(run) + 0.5) / len(runs) - 0.5)  # runs lie beside each other, not upon
        figure.add_scatter(
            x=rows["macro_f1"], y=[datasets.index(dataset) + offset for dataset in rows["dataset"]], mode="markers",
            name=chart_name(run), legendgroup=run, showlegend=False,
            marker={"color": style[run]["color"], "symbol": _HOW_SYMBOLS[how], "size": 10,
                    "line": {"width": 1.5, "color": style[run]["color"]}},
            error_x=_error(rows["macro_f1"], rows["low"], rows["high"]) | {"thickness": 1.5, "width": 3},
            customdata=rows[["faces"]],
            hovertemplate=f"{chart_name(run)}, {how}: %{{x:.4f}}, n = %{{customdata[0]:,}}<extra></extra>",
        )  # fmt: skip
    for run in runs:  # a group each, or a horizontal legend would list them one below the other
        figure.add_scatter(x=[None], y=[None], mode="lines", name=chart_name(run), legendgroup=run,
                           line={"color": style[run]["color"], "width": 6})  # fmt: skip
    for how in [how for how in HOW if (sources["how"] == how).any()]:
        marker = {"color": GREY, "symbol": _HOW_SYMBOLS[how], "size": 10, "line_width": 1.5}
        figure.add_scatter(x=[None], y=[None], mode="markers", name=how, marker=marker, legendgroup=how)
    height = 130 + max(60, 24 * len(runs)) * len(datasets)
    figure.update_layout(margin=MARGIN, height=height, legend=LEGEND, dragmode=False)
    figure.update_yaxes(
        tickvals=list(range(len(datasets))), ticktext=[names[dataset] for dataset in datasets], fixedrange=True,
        range=[len(datasets) - 0.5, -0.5], title="dataset",
    )  # fmt: skip
    figure.update_xaxes(title="macro F1", fixedrange=True)
    return figure


def running_time(seconds: float) -> str:
    """A running time in words: 3.4 s, 45 min 33 s."""
    return f"{seconds:.1f} s" if seconds < 10 else duration(seconds)


def _error(value: "pd.Series[float]", low: "pd.Series[float]", high: "pd.Series[float]") -> dict[str, Any]:
    value, low, high = (pd.to_numeric(column).astype(float) for column in (value, low, high))
    return {"type": "data", "symmetric": False, "array": high - value, "arrayminus": value - low}


def _span(table: pd.DataFrame, columns: list[str], room: float = 0.06) -> list[float] | None:
    values = table[columns].apply(pd.to_numeric).stack().dropna()
    if values.empty:
        return None
    low, high = float(values.min()), float(values.max())
    margin = max(0.005, high - low)
    return [low - room * margin, high + room * margin]


def _log_span(values: "pd.Series[float]") -> list[float] | None:
    from math import log10

    if values.empty or values.min() <= 0:
        return None
    low, high = log10(values.min()), log10(values.max())
    margin = max(0.35, 0.15 * (high - low))
    return [low - margin, high + margin]


def _ticks(seconds: bool) -> dict[str, Any]:
    """Ticks that a clock has, for times; 1, 2 and 5 of each power of ten else."""
    if not seconds:
        values = [step * 10.0**power for power in range(-3, 6) for step in (1, 2, 5)]
        return {"tickvals": values, "ticktext": [f"{value:g}" for value in values]}
    clock = {1: "1 s", 10: "10 s", 60: "1 min", 600: "10 min", 3600: "1 h", 36000: "10 h", 86400: "1 d"}
    return {"tickvals": list(clock), "ticktext": list(clock.values())}
