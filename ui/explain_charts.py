"""Charts of the Explain page, as Plotly figures."""

from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from maskdet.predict import VERDICTS
from maskdet.reliability import Reliability
from maskdet.whatif import Sweep
from ui.charts import LABEL_COLOURS, LEGEND, MARGIN
from ui.explain_verdict import COLOURS, TITLES

if TYPE_CHECKING:
    from maskdet.attribution.faithfulness import Faithfulness

#: So that what has no verdict is told apart from what has one also where colours are not seen.
_PATTERNS: Final = {"not_sure": "/", "not_like_training_data": "x", "too_small": "."}
_MAP_SIDE: Final = 200
_MAP_CELLS: Final = 60  # as fine as a chart of that size shows
#: As "rgb(0, 0, 4)" and so on: Streamlit takes Plotly's own "#000004" for a place of its theme's colours.
_INFERNO: Final = sample_colorscale("inferno", 17)
_OWN: Final = "#0072B2"
_GREY: Final = "#8A949A"
_BAND: Final = "rgba(138, 148, 154, 0.28)"


def faithfulness_chart(found: "Faithfulness", curve: Literal["deletion", "insertion"]) -> go.Figure:
    """The curve of a heatmap, and the band and mean of random maps."""
    own = found.deletion if curve == "deletion" else found.insertion
    randoms = found.random_deletion if curve == "deletion" else found.random_insertion
    low, high = found.band(curve)
    share = 100 * found.share
    figure = go.Figure()
    figure.add_scatter(
        x=np.concatenate([share, share[::-1]]), y=np.concatenate([high, low[::-1]]), fill="toself",
        fillcolor=_BAND, line={"width": 0}, hoverinfo="skip", name=f"{len(randoms)} random maps, 5 to 95 %",
    )  # fmt: skip
    figure.add_scatter(
        x=share, y=randoms.mean(axis=0), name="their mean", mode="lines", line={"color": _GREY, "dash": "dash"},
        hovertemplate="%{x:.0f} % of the pixels: %{y:.3f}<extra>random</extra>",
    )  # fmt: skip
    figure.add_scatter(
        x=share, y=own, name="this heatmap", mode="lines+markers", line={"color": _OWN, "width": 3},
        hovertemplate="%{x:.0f} % of the pixels: %{y:.3f}<extra>heatmap</extra>",
    )  # fmt: skip
    figure.update_layout(margin=MARGIN | {"t": 36}, height=280, legend=LEGEND, dragmode=False)
    done = "hidden, hottest first" if curve == "deletion" else "brought back, hottest first"
    figure.update_xaxes(title=f"share of the face {done}", ticksuffix=" %", fixedrange=True)
    figure.update_yaxes(title="probability of the label", range=[-0.03, 1.03], fixedrange=True)
    return figure


def sweep_chart(table: pd.DataFrame, what: Sweep, reliability: Reliability | None) -> go.Figure:
    """Probability of no mask over a property; a ring marks the face as it is, a dotted line where the label flips.

    Parameters
    ----------
    table : DataFrame
        Of `maskdet.whatif.sweep`, with a column ``p`` of calibrated probabilities.
    """
    figure = go.Figure()
    figure.add_hrect(0.5, 1.02, fillcolor=LABEL_COLOURS["without_mask"], opacity=0.08, line_width=0)
    figure.add_hrect(-0.02, 0.5, fillcolor=LABEL_COLOURS["with_mask"], opacity=0.08, line_width=0)
    if reliability is not None:
        figure.add_hrect(reliability.low, reliability.high, fillcolor=_GREY, opacity=0.25, line_width=0)
    unit = f" {what.unit}" if what.unit else ""
    figure.add_scatter(
        x=table["value"], y=table["p"], mode="lines+markers", line={"color": _GREY, "width": 2}, showlegend=False,
        marker={"size": 6, "color": [LABEL_COLOURS[label] for label in table["label"]]},
        hovertemplate=f"%{{x:.3g}}{unit}: probability of no mask %{{y:.3f}}<extra></extra>",
    )  # fmt: skip
    now = table[table["value"] == what.neutral]
    figure.add_scatter(
        x=now["value"], y=now["p"], mode="markers", showlegend=False, hoverinfo="skip",
        marker={"size": 15, "symbol": "circle-open", "line": {"width": 3}, "color": _GREY},
    )  # fmt: skip
    figure.update_layout(margin=MARGIN, height=210, dragmode=False)
    figure.update_xaxes(title=f"{what.title.lower()}{f' ({what.unit})' if what.unit else ''}", fixedrange=True,
                        **(_ratio_axis(what) if what.in_ratios else {}))  # fmt: skip
    figure.update_yaxes(title="probability of no mask", range=[-0.02, 1.02], fixedrange=True, dtick=0.5, showgrid=False)
    return figure


def mark_flip(figure: go.Figure, value: float) -> None:
    """A dotted line where the label becomes another."""
    figure.add_vline(x=value, line={"dash": "dot", "width": 2, "color": _GREY})


def _ratio_axis(what: Sweep) -> dict[str, Any]:
    """An axis on which each tick is twice the one before, from the lowest value on."""
    count = int(np.floor(np.log2(what.high / what.low) + 1e-9)) + 1
    ticks = [float(what.low * 2**n) for n in range(count)]
    return {"type": "log", "tickvals": ticks, "ticktext": [f"{tick:g}" for tick in ticks]}


def counts_chart(counts: pd.DataFrame) -> go.Figure:
    """Faces in each frame of a video by verdict, as stacked bars (see `maskdet.video.counts_over_time`)."""
    figure = go.Figure()
    seconds = counts["seconds"]
    step = float(seconds.diff().median()) if len(seconds) > 1 else 1.0
    for name in (*VERDICTS, "too_small"):
        if counts[name].any():
            figure.add_bar(
                x=seconds, y=counts[name], name=TITLES[name], width=0.9 * step,
                marker={"color": COLOURS[name], "pattern": {"shape": _PATTERNS.get(name, "")}},
                hovertemplate=f"%{{x:.1f}} s: %{{y}}<extra>{TITLES[name]}</extra>",
            )  # fmt: skip
    figure.update_layout(barmode="stack", margin=MARGIN | {"t": 40}, height=280, legend=LEGEND, dragmode=False)
    figure.update_xaxes(title="seconds", fixedrange=True)
    figure.update_yaxes(title="faces in sight", fixedrange=True, rangemode="tozero", tickformat="d")
    return figure


def mean_map_chart(values: "np.typing.NDArray[np.float32]") -> go.Figure:
    """A mean heatmap over the face, in 0..1; a dashed line parts the upper half from the lower."""
    from maskdet.attribution.heatmap import resized

    middles = (np.arange(_MAP_CELLS) + 0.5) / _MAP_CELLS
    figure = go.Figure(
        go.Heatmap(
            z=resized(values, _MAP_CELLS, _MAP_CELLS).round(3), zmin=0, zmax=1, colorscale=_INFERNO, showscale=False,
            x=middles, y=middles,
            hovertemplate="%{z:.2f} of the hottest place<extra></extra>",
        )
    )  # fmt: skip
    figure.add_hline(y=0.5, line={"dash": "dash", "width": 1, "color": "#ffffff"})
    figure.update_layout(margin={"l": 0, "r": 0, "t": 0, "b": 0}, height=_MAP_SIDE, width=_MAP_SIDE, dragmode=False)
    figure.update_xaxes(visible=False, fixedrange=True, range=[0, 1])
    figure.update_yaxes(visible=False, fixedrange=True, range=[1, 0])
    return figure
