"""What to do about a gap: a run before and one after, and what balancing costs."""

from collections.abc import Sequence
from typing import Final

import pandas as pd
import streamlit as st

from maskdet.bias.attributes import attribute_title
from maskdet.bias.groups import Comparison, GroupOptions, GroupReport, compare_groups, judge_groups
from maskdet.compare import common_faces, short_labels
from maskdet.reports import with_interval
from maskdet.runs import Run
from ui.bias import choose_one, needs_run
from ui.bias_charts import Guide, interval_chart
from ui.bias_data import Lab, attributes_of_run, groups_of, is_uploaded
from ui.bias_groups import METRIC_HELP, METRIC_TITLES, group_rows, metric_name
from ui.cached import csv_bytes, predictions_of, runs_of
from ui.charts import NO_BAR, RUN_COLOURS
from ui.results_data import is_whole
from ui.tables import titled
from ui.text import plain, sentence

BEFORE: Final = "before"
AFTER: Final = "after"
_COLOURS: Final = {BEFORE: RUN_COLOURS[4], AFTER: RUN_COLOURS[2]}
#: Only their figures and intervals are shown, and no test of theirs.
_FEW_PERMUTATIONS: Final = 20
_COMPARING: Final = "Comparing both runs group by group"
_Compared = tuple[Comparison, tuple[GroupReport, GroupReport]]


def show_remedy(lab: Lab) -> None:
    """A run before and one after: whether gaps close, and what it costs in macro F1."""
    st.caption(
        "A gap can come from what a model was shown: if most small faces are without mask, size is a shortcut. "
        "Balanced by an attribute, each training face counts so that the label no longer depends on the group. Whether "
        "that closes the gap, and what it costs, only a second run tells."
    )
    st.page_link("pages/training.py", label="Train with “Balance by”", icon=":material/balance:")
    if needs_run(lab):
        return
    runs = [run for run in runs_of(lab.workspace) if is_whole(run) and run.pool == "main"]
    if len(runs) < 2:
        st.info("Before and after take two runs, and there is only one.")
        return
    if not any(run.record.get("balance") for run in runs):
        st.info("No run was balanced yet. Any two runs can be compared here meanwhile.", icon=":material/balance:")
    pair = _choose_runs(lab, runs)
    if pair is None:
        st.info("Choose two different runs to compare.")
        return
    _show_comparison(lab, *pair)


def default_pair(runs: Sequence[Run], focus: Run | None, beside: Run | None) -> tuple[Run | None, Run | None]:
    """What to compare at first: the newest balanced run with an unbalanced one of its kind, else those in focus."""
    for after in sorted(runs, key=lambda run: str(run.record["created"]), reverse=True):
        if not after.record.get("balance"):
            continue
        for before in sorted(runs, key=lambda run: str(run.record["created"]), reverse=True):
            alike = (before.model_name, before.fingerprint) == (after.model_name, after.fingerprint)
            if alike and not before.record.get("balance"):
                return before, after
    return focus, beside


def change_rows(found: Comparison, metric: str, scale: int = 1) -> pd.DataFrame:
    """The change of a metric in each group, times ``scale``, as rows of `interval_chart`."""
    mine = found.groups[found.groups["metric"] == metric]
    return pd.DataFrame(
        {"row": mine["group"].astype(str), "series": "change", "value": scale * mine["change"],
         "low": scale * mine["low"], "high": scale * mine["high"], "n": mine["n"]}
    )  # fmt: skip


def gap_table(found: Comparison) -> pd.DataFrame:
    """The gap of each metric before and after, and its change with interval, as text."""
    return pd.DataFrame(
        [
            {
                "Metric": METRIC_TITLES[row["metric"]], "Groups": row["compared"], "Gap before": _number(row, "first"),
                "Gap after": _number(row, "second"), "Change": _number(row, "change", ("low", "high")),
                "n": found.faces,
            }
            for row in found.gaps.to_dict("records")
        ]
    )  # fmt: skip


def _choose_runs(lab: Lab, runs: list[Run]) -> tuple[Run, Run] | None:
    by_id, labels = {run.id: run for run in runs}, short_labels(runs)
    before, after = default_pair(runs, lab.focus, lab.beside)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        first = choose_one("Before", list(by_id), "bias_before", labels.__getitem__, before.id if before else None)
        others = [name for name in by_id if name != first]
        second = choose_one("After", others, "bias_after", labels.__getitem__, after.id if after else None)
    return (by_id[first], by_id[second]) if first and second else None


def _show_comparison(lab: Lab, before: Run, after: Run) -> None:
    names = [name for name in attributes_of_run(lab.workspace, before).columns if name != "face_id"]
    known = [name for name in names if groups_of(lab.workspace, before, name) is not None]
    balance = after.record.get("balance") or {}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        attribute = choose_one("Groups by", known, "bias_remedy_attribute", attribute_title, balance.get("attribute"))
        metric = st.segmented_control(
            "Metric", list(METRIC_TITLES), default="accuracy", required=True, format_func=METRIC_TITLES.__getitem__,
            key="bias_remedy_metric", persist_state="session", help=METRIC_HELP, wrap=True,
        )  # fmt: skip
    if attribute is None:
        st.info("No attribute of these faces is known.")
        return
    groups = groups_of(lab.workspace, before, attribute)
    first, second = predictions_of(before), predictions_of(after)
    if not first["face_id"].isin(second["face_id"]).any():
        st.info("These runs have no test face in common, so that they cannot be compared face by face.")
        return
    compare = _own_compared if is_uploaded(attribute) else _compared
    found, reports = compare(str(before.folder), str(after.folder), attribute, groups, first, second)
    st.markdown(f"## {_title(found, metric)}")
    st.markdown(f"{sentence(found.gaps.set_index('metric')['sentence'][metric])} {sentence(found.sentence)}")
    _show_charts(found, reports, metric)
    st.markdown("## Gaps before and after")
    table = gap_table(found)
    st.dataframe(table, hide_index=True, height="content", column_config=titled(table))
    st.caption(
        "A gap is the highest less the lowest group; below 0, the change has closed it. In brackets: 95 % intervals by "
        "a paired bootstrap over groups of related faces, on the test faces that both runs were judged by."
    )
    st.download_button(
        "Before and after (CSV)", csv_bytes(found.groups), "before-and-after.csv", "text/csv",
        icon=":material/download:", on_click="ignore", key="bias_remedy_csv",
    )  # fmt: skip


def _show_charts(found: Comparison, reports: tuple[GroupReport, GroupReport], metric: str) -> None:
    share = metric != "macro_f1"
    values, change = st.columns(2, gap="large")
    with values:
        rows = pd.concat(
            [group_rows(report, metric, name) for report, name in zip(reports, (BEFORE, AFTER), strict=True)],
            ignore_index=True,
        )
        st.plotly_chart(
            interval_chart(rows, _COLOURS, title=metric_name(metric), shares=share),
            key="bias_remedy_values", config=NO_BAR, alt=f"{METRIC_TITLES[metric]} by group, before and after",
        )  # fmt: skip
    with change:
        st.plotly_chart(
            interval_chart(change_rows(found, metric, scale=100 if share else 1), {"change": _COLOURS[AFTER]},
                           title=f"change of {metric_name(metric)}{', in percentage points' if share else ''}",
                           guides=(Guide(0.0, "no change"),)),
            key="bias_remedy_change", config=NO_BAR, alt=f"Change of {metric_name(metric)} by group",
        )  # fmt: skip
    few = [
        f"{plain(row.group)} ({plain(row.reason)})"
        for row in found.groups[found.groups["metric"] == metric].itertuples()
        if row.reason
    ]
    if few:
        st.caption(f"Not shown, or without interval: {'; '.join(few)}.")


@st.cache_data(show_spinner=_COMPARING, max_entries=32)
def _compared(
    before: str, after: str, attribute: str, groups: "pd.Series[str]", _first: pd.DataFrame, _second: pd.DataFrame
) -> _Compared:
    return _compare(attribute, groups, _first, _second)


@st.cache_data(show_spinner=_COMPARING, max_entries=8, scope="session")
def _own_compared(
    before: str, after: str, attribute: str, groups: "pd.Series[str]", _first: pd.DataFrame, _second: pd.DataFrame
) -> _Compared:
    """`_compared` by an attribute that a visitor brought: gone with the visitor."""
    return _compare(attribute, groups, _first, _second)


def _compare(attribute: str, groups: "pd.Series[str]", first: pd.DataFrame, second: pd.DataFrame) -> _Compared:
    found = compare_groups(first, second, groups, attribute)
    options = GroupOptions(permutations=_FEW_PERMUTATIONS)
    judged = tuple(judge_groups(one, groups, attribute, options) for one in common_faces([first, second]))
    return found, (judged[0], judged[1])


def _title(found: Comparison, metric: str) -> str:
    row = found.gaps.set_index("metric").loc[metric]
    if pd.isna(row["low"]):
        return "Whether the gap closes cannot be said"
    if row["high"] < 0:
        return "The gap closes"
    return "The gap widens" if row["low"] > 0 else "No clear change of the gap"


def _number(row: dict[str, float], name: str, ends: tuple[str, str] | None = None) -> str:
    scale, digits, unit = (1, 3, "") if row["metric"] == "macro_f1" else (100, 1, " points")
    if pd.isna(row[name]):
        return "too few to say"
    low, high = (None if ends is None or pd.isna(row[end]) else scale * row[end] for end in (ends or ("", "")))
    value, bracket, rest = with_interval(scale * row[name], low, high, digits).partition(" (")
    return f"{value}{unit}{bracket}{rest}"
