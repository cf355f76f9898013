"""The view of groups: for whom a model is right, by any attribute, of one run or two."""

from typing import Final

import pandas as pd
import streamlit as st

from maskdet.bias.attributes import ATTRIBUTES, attribute_title
from maskdet.bias.gap_sentences import chance
from maskdet.bias.groups import METRICS, GroupOptions, GroupReport
from maskdet.bias.permutations import SIGNIFICANT
from maskdet.reports import with_interval
from maskdet.runs import Run
from ui.bias import choose_one, needs_run, surest_gap
from ui.bias_charts import interval_chart
from ui.bias_data import Lab, reports_of
from ui.bias_group_faces import show_group_faces
from ui.bias_upload import choose_upload
from ui.cached import csv_bytes
from ui.charts import LABEL_TITLES, NO_BAR
from ui.tables import titled
from ui.text import plain, sentence

Reports = dict[str, GroupReport]
#: What each metric is, for a reader who does not know it.
METRIC_TITLES: Final = {
    "accuracy": "Accuracy", "macro_f1": "Macro F1", "false_mask_rate": "Unmasked judged masked",
    "false_no_mask_rate": "Masked judged unmasked",
}  # fmt: skip
METRIC_HELP: Final = (
    "**Accuracy**: share of right verdicts. **Macro F1**: mean of the F1 of both labels. **Unmasked judged masked** "
    "(false mask rate) and **masked judged unmasked** (false no-mask rate): shares of wrong verdicts, so that less is "
    "better."
)
#: For a rate, n is of the faces of its label.
_COUNTED: Final = {"false_mask_rate": "without_mask", "false_no_mask_rate": "with_mask"}
_VERDICTS: Final = {"gap": ":red-badge[gap]", "no gap found": ":green-badge[no gap found]",
                    "too few to say": ":gray-badge[too few to say]"}  # fmt: skip
_ORDER: Final = list(_VERDICTS)
#: What the columns of the overview say, on hovering over their titles.
_OVERVIEW_HELP: Final = {
    "Departs most": st.column_config.Column(
        help="The group furthest from what labels and datasets alone make of it, and whether it is sure to be that one."
    ),
    "Against the others": st.column_config.Column(help="That group's figure less that of the other groups together."),
    "Largest difference": st.column_config.Column(
        help="Between the two groups named under lowest and highest, which were picked for it: no test is of them, and "
        "an interval above 0 is no sign of a gap."
    ),
    "Ratio": st.column_config.Column(help="The lowest group's figure, divided by the highest one's."),
    "Within datasets": st.column_config.Column(
        help="The group that departs most against the others within each dataset, and averaged: what is left of the "
        "difference where the source is held fixed."
    ),
    "n": st.column_config.NumberColumn(help="Faces whose group is known."),
    "p": st.column_config.Column(
        help="How often chance alone makes the groups differ so much, all together, after Holm's correction for all of "
        "these; ≤ where none of the permutations did."
    ),
}


def show_groups(lab: Lab) -> None:
    """Verdicts over all attributes, one attribute in a chart and within datasets, and the faces of a group."""
    if needs_run(lab):
        return
    options = _choose_options(lab)
    reports = {run.id: reports_of(lab.workspace, run, options) for run in lab.pair}
    names = list(dict.fromkeys(name for mine in reports.values() for name in mine))
    if not names:
        st.info("No attribute tells these faces apart: too little is known of them.")
        return
    _show_overview(lab, reports)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        first, row = surest_gap(reports[lab.pair[0].id]) or (None, None)
        attribute = choose_one("Groups by", names, "bias_attribute", attribute_title, first)
        metric = st.segmented_control(
            "Metric", list(METRICS), default=row["metric"] if row else "accuracy", required=True,
            format_func=METRIC_TITLES.__getitem__, key="bias_metric", persist_state="session", help=METRIC_HELP,
            wrap=True,
        )  # fmt: skip
    known = [(run, reports[run.id][attribute]) for run in lab.pair if attribute in reports[run.id]]
    _show_attribute(lab, known, attribute, metric)
    _show_within(lab, known, metric)
    show_group_faces(lab, attribute)


def metric_name(metric: str) -> str:
    """A metric's title within a sentence."""
    title = METRIC_TITLES[metric]
    return f"{title[:1].lower()}{title[1:]}"


def overview(reports: Reports) -> pd.DataFrame:
    """Every gap that was looked for, as text: gaps first, then those that were not found, the larger ones before."""
    rows = [
        {
            "Groups by": attribute_title(name), "Metric": METRIC_TITLES[gap["metric"]], "Verdict": gap["verdict"],
            "p": "—" if pd.isna(gap["p_adjusted"]) else chance(gap["p_adjusted"], at_most=gap["p_at_most"])[2:],
            "Departs most": _departs(gap), "Against the others": _figure(gap, "apart_difference"),
            "Within datasets": _figure(gap, "within"), "Largest difference": _figure(gap, "difference"),
            "Ratio": "—" if pd.isna(gap["ratio"]) else f"{gap['ratio']:.2f}",
            "Lowest": gap["lowest"] or "—", "Highest": gap["highest"] or "—", "n": report.faces,
            "order": _ORDER.index(gap["verdict"]), "size": gap["difference"],
        }
        for name, report in reports.items()
        for gap in report.gaps.to_dict("records")
    ]  # fmt: skip
    table = pd.DataFrame(rows).sort_values(["order", "size"], ascending=[True, False], kind="stable", ignore_index=True)
    return table.drop(columns=["order", "size"])


def group_rows(report: GroupReport, metric: str, series: str) -> pd.DataFrame:
    """A metric of each group as rows of `interval_chart`; n counts the faces that the metric is of."""
    groups = report.groups
    return pd.DataFrame(
        {"row": groups["group"].astype(str), "series": series, "value": groups[metric], "low": groups[f"{metric}_low"],
         "high": groups[f"{metric}_high"], "n": groups[_COUNTED.get(metric, "n")]}
    )  # fmt: skip


def within_table(report: GroupReport, metric: str) -> pd.DataFrame:
    """A metric by dataset (down) and group (across) as text, with interval and n."""
    rows = report.by_dataset
    cells = [
        "—" if pd.isna(row[metric]) else f"{_value(row, metric)}, n = {row[_COUNTED.get(metric, 'n')]:,}"
        for row in rows.to_dict("records")
    ]
    table = rows.assign(cell=cells).pivot_table(index="dataset", columns="group", values="cell", aggfunc="first")
    order = [group for group in report.groups["group"] if group in table.columns]
    return table[order].fillna("no face").reset_index().rename(columns={"dataset": "Dataset"})


def _choose_options(lab: Lab) -> GroupOptions:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        fewest = st.number_input(
            "Too few to say below", 2, 1000, GroupOptions().fewest, 10, key="bias_fewest", persist_state="session",
            width=190, help="Groups with fewer faces get no figure: it would be chance.",
        )  # fmt: skip
        choose_upload(lab)
    return GroupOptions(fewest=int(fewest))


def _show_overview(lab: Lab, reports: dict[str, Reports]) -> None:
    st.markdown("## Where are gaps?")
    for run in lab.pair:
        table = overview(reports[run.id])
        gaps = int((table["Verdict"] == "gap").sum())
        few = int((table["Verdict"] == "too few to say").sum())
        st.markdown(
            f"**{plain(lab.labels[run.id])}**: {gaps} gap{'' if gaps == 1 else 's'} of {len(table)} looked for"
            + (f"; {few} with too few faces to say." if few else ".")
        )
        st.dataframe(
            table, hide_index=True, height=246, key=f"bias_overview_{run.id}",
            column_config=titled(table, _OVERVIEW_HELP),
        )  # fmt: skip
    st.caption(
        "There is a gap where chance hardly explains that a metric differs between the groups at all (permutation test "
        "with labels and datasets held fixed, corrected for all that was looked for). The group that departs most has "
        "a test of its own, which allows for its being picked. The largest difference between two groups has none: the "
        "two were picked for it. In brackets: 95 % intervals. *No gap found* does not say that there is none."
    )


def _show_attribute(lab: Lab, known: list[tuple[Run, GroupReport]], attribute: str, metric: str) -> None:
    if attribute in ATTRIBUTES:
        st.caption(ATTRIBUTES[attribute].explanation)
    rows = pd.concat([group_rows(report, metric, lab.labels[run.id]) for run, report in known], ignore_index=True)
    share = metric != "macro_f1"
    st.plotly_chart(
        interval_chart(rows, lab.colours, title=f"{metric_name(metric)}, 95 % intervals", shares=share),
        key="bias_group_chart", config=NO_BAR, alt=f"{METRIC_TITLES[metric]} by group",
    )  # fmt: skip
    for run, report in known:
        gap = report.gap(metric)
        name = f"**{plain(lab.labels[run.id])}** " if len(known) > 1 else ""
        st.markdown(f"{_VERDICTS[gap['verdict']]} {name}{sentence(gap['sentence'])}")
    _show_reasons(known[0][1], metric)
    unknown = [
        f"{row.faces:,} of {row.of:,} faces {LABEL_TITLES[row.label].lower()}"
        for row in known[0][1].left_out.itertuples()
        if row.faces
    ]
    if unknown:
        st.caption(f"In no group, since it is not known of them: {' and '.join(unknown)}.")
    _show_figures(lab, known)


def _show_reasons(report: GroupReport, metric: str) -> None:
    """Why groups have no figure, or no interval, of a metric; those with the same reason together."""
    rows = report.groups[report.groups[f"{metric}_low"].isna() & (report.groups["reason"] != "")]
    said = [f"{', '.join(map(plain, of['group']))} ({sentence(why)})" for why, of in rows.groupby("reason", sort=False)]
    if said:
        st.caption(f"Not shown, or without interval: {'; '.join(said)}.")


def _show_figures(lab: Lab, known: list[tuple[Run, GroupReport]]) -> None:
    table = pd.concat([report.groups.assign(run=lab.labels[run.id]) for run, report in known], ignore_index=True)
    table = table[["run", *table.columns.drop("run")]]
    with st.expander("All figures of these groups"):
        st.dataframe(table, hide_index=True, column_config=titled(table))
        st.download_button(
            "Groups (CSV)", csv_bytes(table), "groups.csv", "text/csv", icon=":material/download:",
            on_click="ignore", key="bias_groups_csv",
        )  # fmt: skip


def _show_within(lab: Lab, known: list[tuple[Run, GroupReport]], metric: str) -> None:
    if not any(report.controlled for _, report in known):
        return
    with st.expander("Within each dataset", expanded=False):
        st.caption(
            f"{METRIC_TITLES[metric]} of the groups within one source: a difference that is gone here was one between "
            "datasets. A dash: too few faces to say."
        )
        for run, report in known:
            if len(known) > 1:
                st.markdown(f"**{plain(lab.labels[run.id])}**")
            st.dataframe(within_table(report, metric), hide_index=True, height="content", key=f"bias_within_{run.id}")


def _departs(gap: dict[str, object]) -> str:
    """The group that departs most; of a gap, whether it is sure to be that one."""
    name = str(gap["apart"]) or "—"
    return name if gap["verdict"] != "gap" or gap["apart_p_adjusted"] < SIGNIFICANT else f"{name} (not sure)"


def _figure(gap: dict[str, object], name: str) -> str:
    scale, digits = (1, 3) if gap["metric"] == "macro_f1" else (100, 1)
    values = [None if pd.isna(gap[key]) else scale * gap[key] for key in (name, f"{name}_low", f"{name}_high")]
    text = with_interval(*values, digits=digits)
    return text if scale == 1 or text == "—" else _with_unit(text, "points")


def _value(row: dict[str, object], metric: str) -> str:
    scale, digits = (1, 3) if metric == "macro_f1" else (100, 1)
    values = [None if pd.isna(row[key]) else scale * row[key] for key in (metric, f"{metric}_low", f"{metric}_high")]
    text = with_interval(*values, digits=digits)
    return text if scale == 1 else _with_unit(text, "%")


def _with_unit(text: str, unit: str) -> str:
    return text.replace(" (", f" {unit} (", 1) if " (" in text else f"{text} {unit}"
