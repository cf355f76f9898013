"""What the bias lab found of the data, as parts of a document: for the model card and for the bias report.

Each function gives the blocks of one part, and says with which command to measure what was not measured. Faces are
named by their ids; no picture is in it.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from maskdet.bias.cells import APPEARANCE_COMMAND, INTERVALS, SHARES, figure, label_title, reasons_of
from maskdet.document import Block, Cell, Figure, NotMeasured, Points, Table, Text

if TYPE_CHECKING:
    from maskdet.bias.findings import DataFindings
    from maskdet.bias.shortcuts import Probe, ShortcutReport
    from maskdet.runs import Run

STAGES: Final = {"photo": "photo as it is", "normalised": "normalised, 150×150"}
_FEATURES_SHOWN: Final = 5
_CARRIERS_SHOWN: Final = 8
_SHORTCUTS_COMMAND: Final = "python -m maskdet bias data --part shortcuts"
_CROSS_COMMAND: Final = "python -m maskdet bias data --part cross-dataset"


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
        Points((*(probe.sentence for probe in labels), *_lacking(report))),
        _probes(report.probes),
        _families(labels),
    ]
    pooled = [probe for probe in labels if probe.scope == "pooled" and probe.importance]
    blocks += [_importance(probe) for probe in pooled]
    return tuple(blocks + ([_carriers(report)] if carriers else []))


def _lacking(report: "ShortcutReport") -> list[str]:
    """What a scan by an earlier version did not measure."""
    if not report.lacking:
        return []
    return [
        f"Not among the measurements, since the faces were scanned by an earlier version: {', '.join(report.lacking)}."
    ]


def cross_blocks(data: "DataFindings", runs: "Sequence[Run]" = ()) -> tuple[Block, ...]:
    """Macro F1 of models that were trained on one dataset and tested on another, a matrix each; then finished runs."""
    from maskdet.bias.cross_dataset import row_of_run

    if not data.cross:
        return (NotMeasured("what a model that is trained on one dataset is worth on another", _CROSS_COMMAND),)
    blocks: list[Block] = [
        Text(
            "Trained on the dataset of a row, tested on that of a column, by macro F1. On the diagonal, training and "
            "test faces come from one source. The pooled figure says little of another source."
        )
    ]
    matrices = [(f"Model: {matrix.model}", matrix.rows) for matrix in data.cross]
    matrices += [(f"Run {run.id}, on its test faces of each dataset", row_of_run(run)) for run in runs]
    for title, rows in matrices:
        tests = list(dict.fromkeys(rows["test"]))
        cells = {(row["train"], row["test"]): row for row in rows.to_dict("records")}
        table = tuple(
            (_trained_on(train), *(_crossed(cells.get((train, test))) for test in tests))
            for train in dict.fromkeys(rows["train"])
        )
        why = [INTERVALS, *reasons_of(rows)]
        blocks.append(Table(("Trained on", *tests), table, title, " ".join(why), heat=(0.4, 1.0)))
    return tuple(blocks)


def tone_blocks(data: "DataFindings") -> tuple[Block, ...]:
    """Whose apparent skin tone could not be measured."""
    table = data.not_measurable
    if table is None:
        return (NotMeasured("apparent skin tone and mask colour of the faces", APPEARANCE_COMMAND),)
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
    return text, Table(columns, rows, note=SHARES, bars=True)


def _probes(probes: Iterable["Probe"]) -> Table:
    """A row a target and scope, with what is told from the photos and what is left of it at 150x150."""
    found: dict[tuple[str, str], dict[str, Probe]] = {}
    for probe in probes:
        found.setdefault((probe.target, probe.scope), {})[probe.stage] = probe
    rows: list[tuple[Cell, ...]] = []
    for (target, scope), stages in found.items():
        known = [stages.get(stage) for stage in STAGES]
        aucs = [Figure(None) if probe is None else Figure(probe.auc, probe.low, probe.high) for probe in known]
        verdicts = [probe.verdict if probe else "—" for probe in known]
        faces = max(probe.faces for probe in stages.values())
        rows.append((target, scope, faces, aucs[0], verdicts[0], aucs[1], verdicts[1]))
    columns = ("Predicted", "Faces of", "n", "AUC: photo as it is", "Shortcut", "AUC: at 150×150", "Shortcut left")
    return Table(columns, tuple(rows), "How well measurements predict", INTERVALS, bars=True)


def _families(probes: Sequence["Probe"]) -> Table:
    families = list(dict.fromkeys(family for probe in probes for family in probe.families))
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (probe.scope, STAGES.get(probe.stage, probe.stage), probe.faces,
         *(_family(probe.families.get(family)) for family in families))
        for probe in probes
    )  # fmt: skip
    columns = ("Faces of", "From", "n", *(family.capitalize() for family in families))
    return Table(columns, rows, "AUC of the label, from one kind of measurement alone", INTERVALS, heat=(0.5, 1.0))


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
    return Table(("Label", "Face", "Dataset", "Probability of no mask"), tuple(rows), title)


def _crossed(row: Mapping[Any, Any] | None) -> Figure | str:
    return "—" if row is None else figure(row, "macro_f1", "ratio", ("low", "high"), int(row["faces"]))


def _trained_on(train: str) -> str:
    return "all of them" if train == "all" else str(train)
