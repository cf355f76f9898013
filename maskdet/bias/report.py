"""The bias report: what was found of the data and of some runs, as one HTML file, and its tables as CSV.

The file needs nothing else and asks no server for anything (see `maskdet.document`). Faces are named by their ids: no
picture of a face is in it.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

import pandas as pd

from maskdet import __version__
from maskdet.bias.attributes import attribute_title
from maskdet.bias.cells import figure
from maskdet.bias.data_sections import cross_blocks, shortcut_blocks, tone_blocks
from maskdet.bias.run_sections import (
    attention_blocks,
    counterfactual_blocks,
    difference_unit,
    found_gaps,
    group_blocks,
)
from maskdet.compare import marks, short_labels
from maskdet.document import Block, Cell, Document, Figure, KeyFigure, Section, Table, Text, in_words, to_html
from maskdet.errors import MaskDetError
from maskdet.export import to_csv

if TYPE_CHECKING:
    from maskdet.bias.findings import DataFindings, RunFindings
    from maskdet.runs import Run

_POINTS_SHOWN: Final = 6


def report_html(data: "DataFindings | None", runs: "Sequence[RunFindings]", created: datetime | None = None) -> str:
    """The report as HTML.

    Parameters
    ----------
    data : DataFindings or None
        None leaves out what is said of the data.
    runs : sequence of RunFindings
        Several are shown one after the other, and their gaps side by side.
    created : datetime or None
        Date and time in the heading; None: now.

    Raises
    ------
    MaskDetError
        If there is neither.
    """
    return to_html(report_of(data, runs, created))


def report_of(data: "DataFindings | None", runs: "Sequence[RunFindings]", created: datetime | None = None) -> Document:
    """The report as plain data; parameters as of `report_html`. Raises MaskDetError if nothing was measured."""
    if data is None and not runs:
        raise MaskDetError("There is nothing to report: neither the data nor a run was measured.")
    names = short_labels([found.run for found in runs])
    sections = _data_sections(data, [found.run for found in runs]) if data is not None else []
    if len(runs) > 1:
        sections.append(Section("side-by-side", "Gaps of the runs side by side", tuple(_side_by_side(runs, names))))
    for number, found in enumerate(runs, start=1):
        sections += _run_sections(found, names[found.run.id], number)
    about = [f"the data {data.fingerprint}"] if data is not None else []
    about += [f"run {found.run.id}" for found in runs]
    when = created or datetime.now().astimezone()
    return Document(
        "Bias report",
        f"Of {in_words(about)}; {when:%Y-%m-%d %H:%M %Z}, MaskDet {__version__}",
        "Can the score be believed, and for whom? What the photos give away beside masks, how models do on groups of "
        "faces and on other sources, and what flips their verdicts. Figures stand with their number of faces and an "
        "interval, or with why there is none.",
        tuple(sections),
        warnings=tuple(dict.fromkeys(f"{names[found.run.id]}: {mark}" for found in runs for mark in marks(found.run))),
        figures=tuple(_figures(data, runs, names)),
        points=tuple(_points(data, runs, names)),
        footer="No picture of a face is in this file. Groups are made by measures of pixels and files, never by who "
        "somebody is. A gap that was not found may be there all the same: see the intervals.",
        points_title="What was found",
    )


def to_csvs(data: "DataFindings | None", runs: "Sequence[RunFindings]") -> dict[str, str]:
    """The figures with all digits: the text of each CSV file by its name; no cell is run as a formula."""
    tables: dict[str, pd.DataFrame] = {}
    if data is not None:
        tables |= _data_tables(data)
    for found in runs:
        tables |= {f"{found.run.id}-{name}": table for name, table in _run_tables(found).items()}
    return {f"{name}.csv": to_csv(table) for name, table in tables.items() if len(table)}


def _data_sections(data: "DataFindings", runs: "Sequence[Run]") -> list[Section]:
    return [
        Section("shortcuts", "Shortcuts in the data", shortcut_blocks(data, carriers=True)),
        Section("cross-dataset", "From one dataset to another", cross_blocks(data, runs)),
        Section("skin-tone", "Whose apparent skin tone is not measurable", tone_blocks(data)),
    ]


def _run_sections(found: "RunFindings", name: str, number: int) -> list[Section]:
    faces = found.predictions
    text = Text(
        f"Run {found.run.id}, on its {len(faces):,} test faces in {faces['group'].nunique():,} groups of related ones; "
        f"trained on the data {found.run.fingerprint}."
    )
    groups = (text, *group_blocks(found, every_gap=True))
    return [
        Section(f"groups-{number}", f"{name}: groups", groups),
        Section(f"counterfactuals-{number}", f"{name}: what flips it", counterfactual_blocks(found, by_tone=True)),
        Section(f"attention-{number}", f"{name}: where it looks", attention_blocks(found, by_tone=True)),
    ]


def _figures(data: "DataFindings | None", runs: "Sequence[RunFindings]", names: dict[str, str]) -> "list[KeyFigure]":
    """Of the data the surest shortcut, of a run its gaps."""
    shown = []
    probes = [probe for probe in data.shortcuts.probes if probe.target == "label"] if data and data.shortcuts else []
    known = [probe for probe in probes if probe.auc is not None and probe.verdict != "too few to say"]
    if known:
        first = max(known, key=lambda probe: probe.auc or 0)
        about = f"AUC of the label from measurements alone, without masks; 0.5 is chance; n = {first.faces:,}"
        where = "all datasets" if first.scope == "pooled" else f"dataset {first.scope}"
        shown.append(KeyFigure(f"Strongest shortcut: {where}", Figure(first.auc, first.low, first.high), about))
    for found in runs:
        said = [verdict for report in found.groups.values() for verdict in report.gaps["verdict"]]
        gaps = sum(verdict == "gap" for verdict in said)
        unknown = sum(verdict == "too few to say" for verdict in said)
        about = (
            f"of {len(said)} looked for, by {len(found.groups)} attributes; {unknown} with too few faces to say; "
            f"n = {len(found.predictions):,}"
        )
        shown.append(KeyFigure(f"{names[found.run.id]}: gaps between groups", str(gaps) if said else "—", about))
    return shown


def _points(data: "DataFindings | None", runs: "Sequence[RunFindings]", names: dict[str, str]) -> list[str]:
    points = []
    if data is not None and data.shortcuts is not None:
        labels = [probe for probe in data.shortcuts.probes if (probe.target, probe.stage) == ("label", "photo")]
        strong = [probe.sentence for probe in labels if probe.verdict == "strong"]
        told = any(probe.auc is not None for probe in labels)
        points += strong or [
            "No strong shortcut to the label was found in the data."
            if told
            else "Too few faces to say whether the data has a shortcut to the label."
        ]
    for found in runs:
        gaps = found_gaps(found)
        points += [f"{names[found.run.id]}: {gap}" for gap in gaps[:_POINTS_SHOWN]]
        if len(gaps) > _POINTS_SHOWN:
            points.append(f"{names[found.run.id]}: {len(gaps) - _POINTS_SHOWN} more gaps, below.")
        if found.groups and not gaps:
            points.append(f"{names[found.run.id]}: no gap between groups was found.")
    return points


def _side_by_side(runs: "Sequence[RunFindings]", names: dict[str, str]) -> list[Block]:
    """The largest difference of each attribute and metric, a column a run."""
    known = {
        found.run.id: {(name, gap["metric"]): gap for name, report in found.groups.items()
                       for gap in report.gaps.to_dict("records")}
        for found in runs
    }  # fmt: skip
    rows: list[tuple[Cell, ...]] = []
    for name, metric in dict.fromkeys(key for gaps in known.values() for key in gaps):
        title, unit = difference_unit(metric)
        gaps = [known[found.run.id].get((name, metric), {}) for found in runs]
        rows.append((attribute_title(name), title, *(figure(gap, "difference", unit) for gap in gaps)))
    columns = (
        "Groups by", "Metric",
        *(f"{names[found.run.id]} (n = {len(found.predictions):,})" for found in runs),
    )  # fmt: skip
    text = Text(
        "The largest difference of a metric between two groups of an attribute, each run on its own test faces; with "
        "95 % intervals. The two were picked from all pairs, by run, so that an interval above 0 is no sign of a gap. "
        "Runs of other data have other faces in their groups."
    )
    return [text, Table(columns, tuple(rows), bars=True, one_axis=True)]


def _data_tables(data: "DataFindings") -> dict[str, pd.DataFrame]:
    tables = {f"cross-dataset-{matrix.model}": matrix.rows for matrix in data.cross}
    if data.shortcuts is not None:
        probes = data.shortcuts.probes
        plain = ("target", "scope", "stage", "faces", "groups", "auc", "low", "high", "verdict", "reason", "sentence")
        tables["shortcuts"] = pd.DataFrame([{name: getattr(probe, name) for name in plain} for probe in probes])
        tables["shortcut-families"] = pd.DataFrame([
            {"target": probe.target, "scope": probe.scope, "stage": probe.stage, "family": family, **auc}
            for probe in probes for family, auc in probe.families.items()
        ])  # fmt: skip
        tables["shortcut-importance"] = pd.DataFrame([
            {"target": probe.target, "scope": probe.scope, "stage": probe.stage, "measurement": name, **drop}
            for probe in probes for name, drop in probe.importance.items()
        ])  # fmt: skip
        tables["shortcut-carriers"] = data.shortcuts.carriers
    if data.not_measurable is not None:
        tables["not-measurable"] = data.not_measurable
    return tables


def _run_tables(found: "RunFindings") -> dict[str, pd.DataFrame]:
    tables: dict[str, pd.DataFrame] = {}
    for kind in ("groups", "gaps", "by_dataset", "left_out"):
        parts = [
            getattr(report, kind).assign(attribute=name).pipe(lambda t: t[["attribute", *t.columns[:-1]]])
            for name, report in found.groups.items()
        ]
        if parts:
            tables[kind.replace("_", "-")] = pd.concat(parts, ignore_index=True)
    if found.counterfactuals is not None:
        from maskdet.bias.counterfactuals import flips

        tables["flips"] = flips(found.counterfactuals)
    if found.attention is not None:
        from maskdet.bias.attention import attention_by

        tables["attention"] = attention_by(found.attention)
    return tables
