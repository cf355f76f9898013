"""The chart of the Augmentation page."""

from typing import Final

import pandas as pd
import plotly.graph_objects as go

from ui.text import chart_names

#: Of Okabe and Ito's colours, as in `ui.charts`, but none that stands for a label there.
_COLOURS: Final = {"as they are": "#999999", "augmented": "#009E73"}


def set_size_bars(sizes: pd.DataFrame) -> go.Figure:
    """Images an epoch by dataset, a colour each for faces as they are and copies, from `maskdet.augment.set_sizes`."""
    rows = sizes[sizes["dataset"] != "Total"]
    counts = {"as they are": rows["original"], "augmented": rows["augmented"]}
    datasets = rows["dataset"].map(chart_names(rows["dataset"]))
    figure = go.Figure()
    for name, images in counts.items():
        figure.add_bar(
            y=datasets, x=images, name=name, orientation="h", marker_color=_COLOURS[name],
            showlegend=bool(images.any()),
        )  # fmt: skip
    figure.update_layout(
        barmode="stack", margin={"l": 8, "r": 8, "t": 40, "b": 8}, height=120 + 36 * len(rows), showlegend=True,
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "traceorder": "normal"},
    )  # fmt: skip
    figure.update_yaxes(type="category", autorange="reversed", fixedrange=True)
    figure.update_xaxes(title="images an epoch", fixedrange=True, tickformat=",")
    return figure
