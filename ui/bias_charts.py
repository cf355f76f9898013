"""Charts of the Bias page, as Plotly figures from tables of the core.

Names of datasets and groups come from users: they are shortened and without any meaning as HTML.
"""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from maskdet.labels import CLASSES
from maskdet.reports import with_interval
from ui.charts import LABEL_COLOURS, LABEL_TITLES, LEGEND, MARGIN
from ui.results_charts import GREY, SYMBOLS
from ui.text import percent

#: A mask colour is drawn as what it is (names of `maskdet.bias.mask_colour.COLOURS`).
MASK_PAINTS: Final = {
    "white": "#F4F4F0", "grey": "#9A9A9A", "black": "#222222", "blue": "#3B7DD8", "green": "#3E9B5B",
    "red or pink": "#D4576B", "yellow or brown": "#B98A3C", "skin-coloured": "#E0B594", "patterned": "#B9C2C8",
}  # fmt: skip
_WIDTH: Final = 30  # characters of a line's name
_ONE_LINE: Final = 24  # characters of all names of a legend that fit
_MOST_POINTS: Final = 2500
_DARK_ABOVE: Final = 0.68  # of the heatmap's scale: cells on which white is read best
_LINE: Final = 19  # px that one series of a line takes
_NARROW, _MANY = 14, 3  # the same where there are many


@dataclass(frozen=True)
class Guide:
    """A dotted line at a value, with what it stands for."""

    at: float
    text: str


def interval_chart(
    rows: pd.DataFrame,
    colours: Mapping[str, str],
    *,
    title: str,
    span: tuple[float, float] | None = None,
    guides: Sequence[Guide] = (),
    shares: bool = False,
    counts: bool = True,
) -> go.Figure:
    """Dots with their intervals: a line a row, beside each other the series that it is measured for.

    Parameters
    ----------
    rows : DataFrame
        Columns row and series (names), value, low, high and n; rows stand in the order in which they come first.
        Without value, a dot is left out; without low and high, its bar.
    colours : dict
        Of each series, in the order of the legend.
    title : str
        Of the axis of values.
    shares : bool
        Values are shares, shown in percent.
    counts : bool
        Show n below each line's name.
    """
    figure = go.Figure()
    lines = list(dict.fromkeys(rows["row"]))
    known = rows.dropna(subset=["value"])
    known = known.assign(text=_texts(known, shares))
    if shares:
        known = known.assign(**{name: 100 * pd.to_numeric(known[name]) for name in ("value", "low", "high")})
        guides = [Guide(100 * guide.at, guide.text) for guide in guides]
        span = span and (100 * span[0], 100 * span[1])
    series = [name for name in colours if (rows["series"] == name).any()]
    _add_series(figure, known, series, lines, colours, shares=shares)
    for guide in guides:
        figure.add_vline(
            x=guide.at, line={"dash": "dot", "width": 1.5, "color": GREY},
            annotation={"text": escape(guide.text), "font": {"size": 11, "color": GREY}, "yanchor": "bottom"},
            annotation_position="top",
        )  # fmt: skip
    # In a narrow window, the names of the legend take two lines.
    legend = 0 if len(series) < 2 else 34 if sum(map(len, series)) < _ONE_LINE else 54
    top = max(8, legend) + (18 if guides else 0)
    height = 52 + top + sum(_height(line, len(series)) for line in lines)
    figure.update_layout(
        margin=MARGIN | {"t": top}, height=height, dragmode=False,
        legend=LEGEND | {"yref": "container", "y": 1, "yanchor": "top"},
    )  # fmt: skip
    figure.update_yaxes(
        tickvals=list(range(len(lines))), fixedrange=True,
        ticktext=[_with_count(line, rows) if counts else _wrapped(line) for line in lines],
        range=[len(lines) - 0.4, -0.6], showgrid=False, zeroline=False,
    )  # fmt: skip
    figure.update_xaxes(
        title=title, fixedrange=True, range=span or _span(known, guides), zeroline=False, showgrid=True,
        ticksuffix=" %" if shares else None,
    )  # fmt: skip
    return figure


def _add_series(
    figure: go.Figure, known: pd.DataFrame, series: Sequence[str], lines: Sequence[str], colours: Mapping[str, str],
    *, shares: bool,
) -> None:  # fmt: skip
    """The dots and bars of `interval_chart`."""
    for number, name in enumerate(series):
        mine = known[known["series"] == name]
        offset = 0.62 * ((number + 0.5) / len(series) - 0.5)
        # A bar has the colour of its trace, which is asked for a trace without points too, for its legend.
        figure.add_scatter(
            x=mine["value"], y=[lines.index(line) + offset for line in mine["row"]], mode="markers",
            name=_name(name), showlegend=len(series) > 1,
            marker={"size": 10, "color": colours[name], "symbol": SYMBOLS[number % len(SYMBOLS)]},
            error_x=_bars(mine),
            customdata=np.column_stack([_text(mine["row"]), mine["text"], mine["n"].map("{:,.0f}".format)])
            if len(mine) else None,
            hovertemplate=f"%{{customdata[0]}}, {_name(name)}: %{{customdata[1]}}, n = %{{customdata[2]}}"
            "<extra></extra>",
        )  # fmt: skip


def cross_heatmap(
    rows: pd.DataFrame, trains: Sequence[str], tests: Sequence[str], down: str = "trained on"
) -> go.Figure:
    """Macro F1 by what was trained on (down) and tested on (across); n and interval on hover.

    Parameters
    ----------
    rows : DataFrame
        Columns train, test, macro_f1, low, high, faces, reason, at most one row a pair.
    trains, tests : sequences of str
        The order of both axes.
    down : str
        What the rows are.
    """
    pairs = {(row.train, row.test): row for row in rows.itertuples()}
    values = [[_value(pairs.get((train, test))) for test in tests] for train in trains]
    hover = [[_about_pair(train, test, pairs.get((train, test))) for test in tests] for train in trains]
    figure = go.Figure(
        go.Heatmap(
            z=values, x=list(range(len(tests))), y=list(range(len(trains))), colorscale="Blues", zmin=0.3, zmax=1,
            customdata=hover, xgap=2, ygap=2, hovertemplate="%{customdata}<extra></extra>", showscale=False,
            hoverongaps=False,
        )
    )  # fmt: skip
    for y, line in enumerate(values):
        for x, value in enumerate(line):
            colour = GREY if np.isnan(value) else "#ffffff" if value > _DARK_ABOVE else "#1d2b30"
            figure.add_annotation(
                x=x, y=y, text="–" if np.isnan(value) else f"{value:.3f}", showarrow=False,
                font={"size": 14, "color": colour},
            )  # fmt: skip
    figure.update_layout(margin=MARGIN, height=96 + 46 * len(trains), dragmode=False)
    figure.update_xaxes(
        title="tested on", tickvals=list(range(len(tests))), ticktext=[_wrapped(test, 12) for test in tests],
        fixedrange=True, showgrid=False, zeroline=False, side="top",
    )  # fmt: skip
    figure.update_yaxes(
        title=down, tickvals=list(range(len(trains))), ticktext=[_wrapped(train, 18) for train in trains],
        fixedrange=True, showgrid=False, zeroline=False, autorange="reversed",
    )  # fmt: skip
    return figure


def tone_scatter(tones: pd.DataFrame, light: float, yellow: float, seed: int = 0) -> go.Figure:
    """Apparent skin of faces: lightness over hue, with the four quadrants and the share of faces in each.

    Parameters
    ----------
    tones : DataFrame
        Columns label, skin_hue (degrees) and skin_lightness (L*), all known. Of many faces, a random sample is drawn;
        the shares are of all.
    light, yellow : float
        Above which a face is light, and yellow rather than red.
    """
    figure = go.Figure()
    drawn = tones if len(tones) <= _MOST_POINTS else tones.sample(_MOST_POINTS, random_state=seed)
    for label in CLASSES:
        mine = drawn[drawn["label"] == label]
        figure.add_scatter(
            x=mine["skin_hue"], y=mine["skin_lightness"], mode="markers", name=LABEL_TITLES[label],
            marker={"size": 5, "opacity": 0.45, "color": LABEL_COLOURS[label],
                    "symbol": "circle" if label == CLASSES[0] else "diamond"},
            hovertemplate="hue %{x:.0f}°, L* %{y:.0f}<extra></extra>",
        )  # fmt: skip
    line = {"dash": "dot", "width": 1.5, "color": GREY}
    figure.add_vline(x=yellow, line=line)
    figure.add_hline(y=light, line=line)
    is_light, is_yellow = tones["skin_lightness"] > light, tones["skin_hue"] > yellow
    for words, inside, x, y in (
        ("light, red", is_light & ~is_yellow, 0.01, 0.99), ("light, yellow", is_light & is_yellow, 0.99, 0.99),
        ("dark, red", ~is_light & ~is_yellow, 0.01, 0.01), ("dark, yellow", ~is_light & is_yellow, 0.99, 0.01),
    ):  # fmt: skip
        figure.add_annotation(
            x=x, y=y, xref="paper", yref="paper", showarrow=False, text=f"<b>{words}: {percent(inside.mean(), 0)}</b>",
            bgcolor="#1d2b30", font={"color": "#ffffff"}, borderpad=3, opacity=0.85,
            xanchor="left" if x < 0.5 else "right", yanchor="top" if y > 0.5 else "bottom",
        )  # fmt: skip
    figure.update_layout(margin=MARGIN | {"t": 36}, height=380, legend=LEGEND, dragmode=False)
    figure.update_xaxes(title="hue, in degrees: red on the left, yellow on the right", fixedrange=True, zeroline=False,
                        range=_quantiles(tones["skin_hue"], yellow))  # fmt: skip
    figure.update_yaxes(title="lightness L*", fixedrange=True, zeroline=False,
                        range=_quantiles(tones["skin_lightness"], light))  # fmt: skip
    return figure


def spread_chart(values: pd.DataFrame, title: str) -> go.Figure:
    """Boxes of a value by row and label: quartiles, whiskers from the 5th to the 95th percentile.

    Parameters
    ----------
    values : DataFrame
        Columns row, label and value, all known.
    """
    figure = go.Figure()
    rows = list(dict.fromkeys(values["row"]))
    for label in CLASSES:
        mine = values[values["label"] == label].groupby("row", sort=False)["value"]
        points = mine.quantile([0.05, 0.25, 0.5, 0.75, 0.95]).unstack() if len(mine) else pd.DataFrame()
        counts = mine.size()
        names = [row for row in rows if row in points.index]
        figure.add_box(
            y=[f"{_wrapped(row, 20)}" for row in names], orientation="h", name=LABEL_TITLES[label],
            lowerfence=points.loc[names, 0.05] if names else None, q1=points.loc[names, 0.25] if names else None,
            median=points.loc[names, 0.5] if names else None, q3=points.loc[names, 0.75] if names else None,
            upperfence=points.loc[names, 0.95] if names else None, marker_color=LABEL_COLOURS[label],
            line={"width": 1.5}, hoverinfo="x+name", customdata=[int(counts[row]) for row in names],
        )  # fmt: skip
    figure.update_layout(
        boxmode="group", margin=MARGIN | {"t": 36}, height=110 + 58 * len(rows), legend=LEGEND, dragmode=False,
        boxgroupgap=0.25,
    )  # fmt: skip
    figure.update_xaxes(title=title, fixedrange=True, zeroline=False)
    figure.update_yaxes(type="category", fixedrange=True, autorange="reversed", showgrid=False)
    return figure


def mask_colour_chart(counts: pd.DataFrame) -> go.Figure:
    """Share of mask colours by dataset, as bars of the colours themselves.

    Parameters
    ----------
    counts : DataFrame
        Columns row, colour and faces.
    """
    figure = go.Figure()
    rows = list(dict.fromkeys(counts["row"]))
    total = counts.groupby("row")["faces"].sum().reindex(rows)
    for colour in list(dict.fromkeys(counts["colour"])):
        mine = counts[counts["colour"] == colour].set_index("row")["faces"].reindex(rows, fill_value=0)
        figure.add_bar(
            x=100 * mine / total, y=[f"{_wrapped(row, 20)}" for row in rows], orientation="h",
            name=_name(colour), customdata=np.column_stack([mine, total]),
            marker={"color": MASK_PAINTS.get(colour, GREY), "line": {"color": GREY, "width": 1},
                    "pattern": {"shape": "x" if colour == "patterned" else ""}},
            hovertemplate=f"{_name(colour)}: %{{x:.1f}} %, %{{customdata[0]:,}} of %{{customdata[1]:,}}<extra></extra>",
        )  # fmt: skip
    figure.update_layout(
        barmode="stack", margin=MARGIN | {"t": 36}, height=120 + 34 * len(rows), dragmode=False,
        legend=LEGEND | {"traceorder": "normal"},
    )  # fmt: skip
    figure.update_xaxes(title="share of the faces whose mask colour was measured", ticksuffix=" %", fixedrange=True,
                        range=[0, 100.2], tickvals=[0, 25, 50, 75, 100])  # fmt: skip
    figure.update_yaxes(type="category", fixedrange=True, autorange="reversed", showgrid=False)
    return figure


def _wrapped(name: str, width: int = _WIDTH) -> str:
    """A name on at most two lines of a chart, without any meaning as HTML."""
    lines = textwrap.wrap(str(name), width, max_lines=2, placeholder="…") or ["–"]
    return "<br>".join(escape(line, quote=False) for line in lines)


def _with_count(name: str, rows: pd.DataFrame) -> str:
    """A line's name with its number of faces below, or the range of those of its series."""
    counts = rows.loc[rows["row"] == name, "n"].astype(int)
    low, high = counts.min(), counts.max()
    said = f"n = {low:,}" if low == high else f"n = {low:,} to {high:,}"
    return f"{_wrapped(name)}<br><span style='font-size:10px;color:{GREY}'>{said}</span>"


def _name(name: str) -> str:
    return escape(textwrap.shorten(str(name), 40, placeholder="…"), quote=False) or "–"


def _text(names: "pd.Series[str]") -> list[str]:
    return [_name(name) for name in names]


def _height(line: str, series: int) -> int:
    return max(40 if "<br>" not in _wrapped(line) else 58, (_LINE if series < _MANY else _NARROW) * series + 8)


def _texts(rows: pd.DataFrame, shares: bool) -> list[str]:
    """Each value with its interval, or that it has none."""
    return [
        (percent(row.value, low=row.low, high=row.high) if shares else with_interval(row.value, row.low, row.high))
        + (", no interval" if pd.isna(row.low) or pd.isna(row.high) else "")
        for row in rows.itertuples()
    ]


def _bars(rows: pd.DataFrame) -> dict[str, Any]:
    value, low, high = (pd.to_numeric(rows[name]).astype(float) for name in ("value", "low", "high"))
    return {
        "type": "data", "symmetric": False, "array": high - value, "arrayminus": value - low,
        "thickness": 2, "width": 4,
    }  # fmt: skip


def _span(rows: pd.DataFrame, guides: Sequence[Guide]) -> list[float] | None:
    values = rows[["value", "low", "high"]].apply(pd.to_numeric).stack().dropna().tolist() + [g.at for g in guides]
    if not values:
        return None
    margin = 0.06 * max(0.02, max(values) - min(values))
    return [min(values) - margin, max(values) + margin]


def _quantiles(values: "pd.Series[float]", line: float) -> list[float]:
    """A range that holds nearly all values, and the line."""
    low, high = (float(values.quantile(q)) for q in (0.005, 0.995))
    low, high = min(low, line - 5), max(high, line + 5)
    return [low - 3, high + 3]


def _value(pair: Any) -> float:
    return float("nan") if pair is None or pd.isna(pair.macro_f1) else float(pair.macro_f1)


def _about_pair(train: str, test: str, pair: Any) -> str:
    names = f"trained on {_name(train)}, tested on {_name(test)}"
    if np.isnan(_value(pair)):
        return f"{names}: {_name(getattr(pair, 'reason', '') or 'not measured')}"
    none = " (no interval)" if pd.isna(pair.low) or pd.isna(pair.high) else ""
    return f"{names}: macro F1 {with_interval(pair.macro_f1, pair.low, pair.high)}{none}, n = {pair.faces:,}"
