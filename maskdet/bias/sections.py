"""What the bias lab found as parts of a document: for the model card and for the bias report.

Each function gives the blocks of one part, and says with which command to measure what was not measured. Faces are
named by their ids; no picture is in it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from maskdet.document import Block, Cell, Figure, NotMeasured, Points, Table, Text, Unit, in_words

Rows = tuple[tuple[Cell, ...], ...]
#: From figures by group, and whether the groups are shown, to columns and rows.
RowsOf = Callable[[pd.DataFrame, bool], tuple[tuple[str, ...], Rows]]

if TYPE_CHECKING:
    from maskdet.bias.findings import DataFindings, RunFindings
    from maskdet.bias.groups import GroupReport
    from maskdet.bias.shortcuts import Probe, ShortcutReport

LABELS: Final = {"with_mask": "with mask", "without_mask": "without mask"}
STAGES: Final = {"photo": "photo as it is", "normalised": "normalised, 150×150"}
#: Metrics of groups, in the order of the columns: name for people and how it is written.
METRICS: Final[dict[str, tuple[str, Unit]]] = {
    "accuracy": ("Accuracy", "percent"),
    "macro_f1": ("Macro F1", "ratio"),
    "false_mask_rate": ("Unmasked judged masked", "percent"),
    "false_no_mask_rate": ("Masked judged unmasked", "percent"),
}
#: The attribute by which counterfactuals and attention are parted.
TONE: Final = "skin_tone"
_INTERVALS: Final = "In brackets: 95 % intervals, by bootstrap of whole groups of related faces."
_EXPECTED: Final = {"same": "a fault", "with_mask": "what is wanted", "none": "neither"}
_OTHER_VERDICTS: Final = {"no gap found": "No gap found", "too few to say": "Too few to say"}
_FEATURES_SHOWN: Final = 5
_CARRIERS_SHOWN: Final = 8
_SHORTCUTS_COMMAND: Final = "python -m maskdet bias data --part shortcuts"
_CROSS_COMMAND: Final = "python -m maskdet bias data --part cross-dataset"
_APPEARANCE_COMMAND: Final = "python -m maskdet bias data --part appearance"


def figure(row: Mapping[Any, Any], name: str, unit: Unit = "ratio", ends: tuple[str, str] | None = None) -> Figure:
    """A value of a row and its interval, by default in ``NAME_low`` and ``NAME_high``."""
    low, high = ends or (f"{name}_low", f"{name}_high")
    return Figure(row.get(name), row.get(low), row.get(high), unit)


def label_title(label: object) -> str:
    """A label for people."""
    return LABELS.get(str(label), str(label))


def shortcut_blocks(data: "DataFindings", carriers: bool = False) -> tuple[Block, ...]:
    """What of the label, and of the source, can be told without looking at masks.

    Parameters
    ----------
    carriers : bool
        List the faces too that a classifier of sizes and colours is surest of.
    """
    report = data.shortcuts
    if report is None:
        return (NotMeasured("what predicts the label beside masks", _SHORTCUTS_COMMAND),)
    labels = [probe for probe in report.probes if probe.target == "label"]
    blocks: list[Block] = [
        Text(
            "Classifiers that see no face, only measurements of the file and of its pixels' averages, try to tell the "
            "label, and the dataset that a face comes from. An area under the ROC curve (AUC) of 0.5 is chance, 1 "
            "certain. What they can use, a model can use instead of masks."
        ),
        Points(tuple(probe.sentence for probe in labels)),
        _probes(report.probes),
        _families(labels),
    ]
    pooled = [probe for probe in labels if probe.scope == "pooled" and probe.importance]
    blocks += [_importance(probe) for probe in pooled]
    return tuple(blocks + ([_carriers(report)] if carriers else []))


def cross_blocks(data: "DataFindings") -> tuple[Block, ...]:
    """Macro F1 of models that were trained on one dataset and tested on another, one matrix a model."""
    if not data.cross:
        return (NotMeasured("what a model that is trained on one dataset is worth on another", _CROSS_COMMAND),)
    blocks: list[Block] = [
        Text(
            "Trained on the dataset of a row, tested on that of a column, by macro F1. On the diagonal, training and "
            "test faces come from one source. The pooled figure says little of another source."
        )
    ]
    for matrix in data.cross:
        rows = matrix.rows
        tests = list(dict.fromkeys(rows["test"]))
        cells = {(row["train"], row["test"]): row for row in rows.to_dict("records")}
        table = [
            (_trained_on(train), *(_crossed(cells.get((train, test))) for test in tests))
            for train in dict.fromkeys(rows["train"])
        ]
        columns = ("Trained on", *(f"{test} (n = {_count(rows, test)})" for test in tests))
        why = dict.fromkeys(str(reason) for reason in rows["reason"].fillna("") if reason)
        blocks.append(
            Table(columns, tuple(table), f"Model: {matrix.model}", " ".join([_INTERVALS, *why]), heat=(0.4, 1.0))
        )
    return tuple(blocks)


def tone_blocks(data: "DataFindings") -> tuple[Block, ...]:
    """Whose apparent skin tone could not be measured."""
    table = data.not_measurable
    if table is None:
        return (NotMeasured("apparent skin tone and mask colour of the faces", _APPEARANCE_COMMAND),)
    rows = tuple(
        (label_title(row["label"]), str(row["dataset"]), int(row["faces"]), int(row["not_measurable"]),
         figure(row, "share", "percent", ("low", "high")))
        for row in table.to_dict("records")
    )  # fmt: skip
    columns = ("Label", "Dataset", "n", "Not measurable", "Share")
    text = Text(
        "Apparent skin tone is a measure of pixels of the upper face, not of a person: light, cameras and compression "
        "move it. Faces in which it cannot be measured are in no group of skin tone; where their share is large, such "
        "groups say little of all faces."
    )
    return text, Table(columns, rows, note=_INTERVALS, bars=True)


def group_blocks(found: "RunFindings", every_gap: bool = False) -> tuple[Block, ...]:
    """Metrics of a run by group, with its gaps: one overview, then a table an attribute.

    Parameters
    ----------
    every_gap : bool
        Give the sentence of every difference, not only of those that are gaps.
    """
    if not found.groups:
        return (NotMeasured("metrics by group", f"python -m maskdet bias {found.run.id}"),)
    blocks: list[Block] = [
        Text(
            "What is compared is the largest difference of a metric between two groups of an attribute. It is called a "
            "gap where chance hardly explains it, after Holm's correction for all that were looked for. That no gap "
            "was found does not say that there is none. Groups of few faces are too few to say."
        ),
        _gaps(found.groups),
    ]
    for name, report in found.groups.items():
        blocks += _group_tables(name, report, every_gap)
    if TONE not in found.groups:
        blocks.append(NotMeasured("metrics by apparent skin tone", _APPEARANCE_COMMAND))
    return tuple(blocks)


def found_gaps(found: "RunFindings") -> list[str]:
    """The sentences of gaps that were found."""
    return [
        str(sentence)
        for report in found.groups.values()
        for sentence in report.gaps.loc[report.gaps["verdict"] == "gap", "sentence"]
    ]


def counterfactual_blocks(found: "RunFindings") -> tuple[Block, ...]:
    """How many verdicts flip if a face is changed, all and by apparent skin tone."""
    if found.counterfactuals is None:
        command = f"python -m maskdet bias {found.run.id} --part counterfactuals"
        return (NotMeasured("how many verdicts flip when light, size, colour or background are changed", command),)
    from maskdet.bias.counterfactuals import flips

    text = Text(
        "Each face is changed, and judged again. Where something that is no mask is changed, no verdict should flip; "
        "where the lower face is covered or a mask is drawn on an unmasked face, the verdict may well change. The "
        "logit is above 0 for no mask; its mean change is given in standard deviations of this model's logits."
    )
    changed = found.counterfactuals
    return text, *_by_all_and_tone(found, lambda groups: flips(changed, groups), _flips, "Flipped verdicts")


def attention_blocks(found: "RunFindings") -> tuple[Block, ...]:
    """How much of the heat lies on the lower face, by label and outcome, all and by apparent skin tone."""
    if found.attention is None:
        command = f"python -m maskdet bias {found.run.id} --part attention"
        return (NotMeasured("where the model looks, by group and by right or wrong", command),)
    from maskdet.attribution import METHODS
    from maskdet.bias.attention import attention_by

    attention = found.attention
    title = METHODS[attention.method].title if attention.method in METHODS else attention.method
    layer = f", layer {attention.layer}" if attention.layer else ""
    text = Text(
        f"The share of the heat ({title}{layer}) that lies on the lower half of the picture, where even heat gives "
        "50 %, and on the lower face by its landmarks, where a mask is. A heatmap shows what weighed in the model's "
        "choice; it does not prove that it was chosen for a good reason."
    )
    return text, *_by_all_and_tone(
        found, lambda groups: attention_by(attention, groups), _looked, "Heat on the lower face"
    )


def _by_all_and_tone(
    found: "RunFindings",
    measure: Callable[["pd.Series[Any] | None"], pd.DataFrame],
    rows_of: RowsOf,
    title: str,
) -> list[Table]:
    """A table of all faces, and one by apparent skin tone where it is known."""
    tables = [_measures(measure(None), rows_of, False, f"{title}, all faces")]
    known = found.attributes
    if known is not None and TONE in known and known[TONE].fillna("").astype(str).ne("").any():
        from maskdet.bias.attributes import group_of

        tables.append(_measures(measure(group_of(known, TONE)), rows_of, True, f"{title} by apparent skin tone"))
    return tables


def _measures(table: pd.DataFrame, rows_of: RowsOf, grouped: bool, title: str) -> Table:
    columns, rows = rows_of(table, grouped)
    return Table(columns, rows, title, " ".join([_INTERVALS, *_reasons(table)]), bars=True)


def _flips(table: pd.DataFrame, grouped: bool) -> tuple[tuple[str, ...], Rows]:
    from maskdet.bias.transformations import TRANSFORMATIONS

    rows: list[tuple[Cell, ...]] = []
    for row in table.to_dict("records"):
        change = TRANSFORMATIONS[row["transformation"]]
        group = (str(row["group_name"]),) if grouped else ()
        flipped, moved = figure(row, "flipped", "percent", ("low", "high")), figure(row, "change_sd", "logit")
        first = (change.title, _EXPECTED[change.expected], label_title(row["label"]))
        rows.append((*first, *group, int(row["n"]), flipped, moved))
    group = ("Skin tone",) if grouped else ()
    return ("Change", "A flip is", "Label", *group, "n", "Verdicts flipped", "Change of the logit"), tuple(rows)


def _looked(table: pd.DataFrame, grouped: bool) -> tuple[tuple[str, ...], Rows]:
    rows: list[tuple[Cell, ...]] = []
    for row in table.to_dict("records"):
        group = (str(row["group_name"]),) if grouped else ()
        half = figure(row, "share", "percent", ("low", "high"))
        face = figure(row, "lower_face_share", "percent", ("lower_face_low", "lower_face_high"))
        even = Figure(row["lower_face_area"], unit="percent").text
        first = (label_title(row["label"]), str(row["outcome"]), *group, int(row["n"]))
        rows.append((*first, half, face, even, int(row["no_evidence"])))
    group = ("Skin tone",) if grouped else ()
    heat = ("On the lower half", "On the lower face", "Even heat there", "Maps without any")
    return ("Label", "Verdict", *group, "n", *heat), tuple(rows)


def _probes(probes: Iterable["Probe"]) -> Table:
    rows = tuple(
        (probe.target, probe.scope, STAGES.get(probe.stage, probe.stage), probe.faces, probe.groups,
         Figure(probe.auc, probe.low, probe.high), probe.verdict)
        for probe in probes
    )  # fmt: skip
    columns = ("Predicted", "Faces of", "From", "n", "Groups", "AUC", "Shortcut")
    return Table(columns, rows, "How well measurements predict", _INTERVALS, bars=True)


def _families(probes: Sequence["Probe"]) -> Table:
    families = list(dict.fromkeys(family for probe in probes for family in probe.families))
    rows: Rows = tuple(
        (probe.scope, STAGES.get(probe.stage, probe.stage), probe.faces,
         *(_family(probe.families.get(family)) for family in families))
        for probe in probes
    )  # fmt: skip
    columns = ("Faces of", "From", "n", *(family.capitalize() for family in families))
    return Table(columns, rows, "AUC of the label, from one kind of measurement alone", _INTERVALS, heat=(0.5, 1.0))


def _family(auc: Mapping[str, Any] | None) -> Figure:
    return Figure(None) if auc is None else Figure(auc["auc"], auc["low"], auc["high"])


def _importance(probe: "Probe") -> Table:
    first = sorted(probe.importance.items(), key=lambda item: -item[1]["mean"])[:_FEATURES_SHOWN]
    rows = tuple((name, f"{drop['mean']:.3f} (± {drop['sd']:.3f})") for name, drop in first)
    stage = STAGES.get(probe.stage, probe.stage)
    title = f"What the label is told by: {probe.scope}, {stage}, n = {probe.faces:,}"
    note = "Permutation importance: by how much the AUC drops if a measurement is shuffled; ± its standard deviation."
    return Table(("Measurement", "Drop of the AUC"), rows, title, note)


def _carriers(report: "ShortcutReport") -> Table:
    rows = []
    for label, faces in report.carriers.groupby("label", sort=True, observed=True):
        surest = faces.head(_CARRIERS_SHOWN).to_dict("records")
        rows += [
            (label_title(label), str(row["face_id"]), str(row["dataset"]), f"{row['p_without_mask']:.3f}")
            for row in surest
        ]
    title = "Faces that carry the shortcut: the label is told from measurements, surely and rightly"
    return Table(("Label", "Face", "Dataset", "P(no mask)"), tuple(rows), title)


def _gaps(reports: Mapping[str, "GroupReport"]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name, report in reports.items():
        for gap in report.gaps.to_dict("records"):
            title, unit = difference_unit(gap["metric"])
            size, within = figure(gap, "difference", unit), figure(gap, "within", unit)
            ends = (str(gap["lowest"] or "—"), str(gap["highest"] or "—"))
            rows.append((attribute_title(name), title, size, within, *ends, str(gap["verdict"])))
    columns = ("Groups by", "Metric", "Largest difference", "Within datasets", "Lowest", "Highest", "Verdict")
    note = f"{_INTERVALS} n stands in the table of each attribute below."
    return Table(columns, tuple(rows), "Gaps between groups", note, bars=True)


def _group_tables(name: str, report: "GroupReport", every_gap: bool) -> list[Block]:
    title = attribute_title(name)
    rows: list[tuple[Cell, ...]] = []
    for row in report.groups.to_dict("records"):
        counts = (int(row["n"]), int(row["with_mask"]), int(row["without_mask"]))
        figures = [figure(row, metric, unit) for metric, (_, unit) in METRICS.items()]
        reason = row["reason"]
        rows.append((str(row["group"]), *counts, *figures, reason if isinstance(reason, str) else ""))
    columns = (title, "n", "masked", "unmasked", *(title for title, _ in METRICS.values()), "Remark")
    note = " ".join([_INTERVALS, *_left_out(title, report)])
    said = report.gaps if every_gap else report.gaps[report.gaps["verdict"] == "gap"]
    sentences = [str(sentence) for sentence in said["sentence"]]
    for verdict, start in () if every_gap else _OTHER_VERDICTS.items():
        others = [METRICS[metric][0] for metric in report.gaps.loc[report.gaps["verdict"] == verdict, "metric"]]
        sentences += [f"{start}: {', '.join(others)}."] if others else []
    table = Table(columns, tuple(rows), f"By {title[:1].lower()}{title[1:]}", note, bars=True)
    return [table, Points(tuple(sentences))]


def difference_unit(metric: str) -> tuple[str, Unit]:
    """A metric's name for people, and how its differences are written."""
    title, unit = METRICS[metric]
    return title, "points" if unit == "percent" else unit


def _left_out(title: str, report: "GroupReport") -> list[str]:
    """Who is in no group, as a sentence, or nothing."""
    parts = [
        f"{int(row['faces']):,} of {int(row['of']):,} {label_title(row['label'])} ({row['faces'] / row['of']:.1%})"
        for row in report.left_out.to_dict("records")
        if row["faces"] and row["of"]
    ]
    return [f"In no group, since {title[:1].lower()}{title[1:]} is not known: {in_words(parts)}."] if parts else []


def attribute_title(name: str) -> str:
    """An attribute's name for people; one that was uploaded is called as it is."""
    from maskdet.bias.attributes import ATTRIBUTES

    return ATTRIBUTES[name].title if name in ATTRIBUTES else name


def _reasons(table: pd.DataFrame) -> list[str]:
    if "reason" not in table:
        return []
    return list(dict.fromkeys(f"{str(reason).rstrip('.')}." for reason in table["reason"].fillna("") if reason))


def _crossed(row: Mapping[Any, Any] | None) -> Figure | str:
    return "—" if row is None else figure(row, "macro_f1", "ratio", ("low", "high"))


def _trained_on(train: str) -> str:
    return "all of them" if train == "all" else str(train)


def _count(rows: pd.DataFrame, test: str) -> str:
    """Test faces of a column; a range where they differ by the row."""
    faces = rows.loc[rows["test"] == test, "faces"].dropna().astype(int)
    if faces.empty:
        return "0"
    return f"{faces.min():,}" if faces.min() == faces.max() else f"{faces.min():,} to {faces.max():,}"
