"""What the bias lab found of a run, as parts of a document: for the model card and for the bias report.

Each function gives the blocks of one part, and says with which command to measure what was not measured.
"""

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from maskdet.bias.attributes import attribute_title
from maskdet.bias.cells import APPEARANCE_COMMAND, SHARES, figure, figure_or_few, label_title, reasons_of
from maskdet.bias.permutations import SIGNIFICANT
from maskdet.document import Block, Cell, Figure, NotMeasured, Points, Table, Text, Unit, in_words, without_empty

if TYPE_CHECKING:
    from maskdet.bias.findings import RunFindings
    from maskdet.bias.groups import GroupReport

#: Metrics of groups, in the order of the columns: name for people and how it is written.
METRICS: Final[dict[str, tuple[str, Unit]]] = {
    "accuracy": ("Accuracy", "percent"),
    "macro_f1": ("Macro F1", "ratio"),
    "false_mask_rate": ("Unmasked judged masked", "percent"),
    "false_no_mask_rate": ("Masked judged unmasked", "percent"),
}
#: The attribute by which counterfactuals and attention are parted.
TONE: Final = "skin_tone"
_LOWER_FACE: Final = ("lower_face_low", "lower_face_high")
#: Share of verdicts that a change must surely turn to be told first (our choice): the exact interval of a single flip
#: lies above 0 already.
_WORTH_A_WORD: Final = 0.01
#: What a flip is, by what a model that looks at masks would do (see `maskdet.bias.transformations.Transformation`).
_EXPECTED: Final = {"same": "a fault", "with_mask": "what is wanted", "none": "neither"}
_OTHER_VERDICTS: Final = {"no gap found": "No gap found", "too few to say": "Too few to say"}


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
            "What is tested is whether a metric differs between the groups of an attribute at all. It is called a gap "
            "where chance hardly explains that, after Holm's correction for all that were looked for. Named is the "
            "group that departs most from the others, and a second test, which allows for its being picked, says "
            "whether it is sure to be that one. The largest difference between two groups describes and tests nothing: "
            "the two were picked for it. That no gap was found does not say that there is none. Groups of few faces "
            "are too few to say."
        ),
        _gaps(found.groups),
    ]
    for name, report in found.groups.items():
        blocks += _group_tables(name, report, every_gap)
    if TONE not in found.groups:
        blocks.append(NotMeasured("metrics by apparent skin tone", APPEARANCE_COMMAND))
    return tuple(blocks)


def found_gaps(found: "RunFindings") -> list[str]:
    """The gaps that were found, each in a sentence that begins with the attribute."""
    return [
        f"By {_lower(attribute_title(name))}: {sentence}"
        for name, report in found.groups.items()
        for sentence in report.gaps.loc[report.gaps["verdict"] == "gap", "sentence"]
    ]


def worst_flip(found: "RunFindings") -> str:
    """The change that turns most verdicts though it should turn none, as a sentence; "" if none surely turns many."""
    if found.counterfactuals is None:
        return ""
    from maskdet.bias.counterfactuals import flips

    rows = [
        row
        for row in flips(found.counterfactuals).to_dict("records")
        if _change(row["transformation"])[1] == _EXPECTED["same"] and row["low"] > _WORTH_A_WORD
    ]
    if not rows:
        return ""
    row = max(rows, key=lambda row: float(row["flipped"]))
    share = figure(row, "flipped", "percent", ("low", "high"), int(row["n"])).text
    title, label = _change(row["transformation"])[0], label_title(row["label"])
    return f"What is no mask turns verdicts: “{title}” flips {share} of the faces {label} that were tried."


def counterfactual_blocks(found: "RunFindings", by_tone: bool = False) -> tuple[Block, ...]:
    """How many verdicts flip if a face is changed; by apparent skin tone too, where that is asked for and known."""
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
    tones = _by_tone(found, lambda groups: flips(changed, groups)) if by_tone else pd.DataFrame()
    return text, _flips(flips(changed)), *_flips_by_tone(tones)


def attention_blocks(found: "RunFindings", by_tone: bool = False) -> tuple[Block, ...]:
    """How much of the heat lies on the lower face, by label and outcome; by apparent skin tone as in the others."""
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
        "choice; it does not prove that it was chosen for a good reason. The heat is of the verdict: compare right "
        "faces of one label with wrong ones of the other, which were judged alike. n counts the faces with any heat, "
        "which the means are of. Wrong faces beyond the random sample were looked at too, so that right and wrong ones "
        "don't add up to all."
    )
    tones = _by_tone(found, lambda groups: attention_by(attention, groups)) if by_tone else pd.DataFrame()
    return text, _heat(attention_by(attention)), *_heat_by_tone(tones)


def _by_tone(found: "RunFindings", measure: Callable[["pd.Series[Any]"], pd.DataFrame]) -> pd.DataFrame:
    """Figures by apparent skin tone; no row where it is not known of any face."""
    known = found.attributes
    if known is None or TONE not in known or not known[TONE].fillna("").astype(str).ne("").any():
        return pd.DataFrame()
    from maskdet.bias.attributes import group_of

    return measure(group_of(known, TONE))


def _flips(table: pd.DataFrame) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for row in table.to_dict("records"):
        flipped = figure_or_few(row, "flipped", "percent", ("low", "high"))
        moved = figure_or_few(row, "change_sd", "logit")
        rows.append((*_change(row["transformation"]), label_title(row["label"]), int(row["n"]), flipped, moved))
    columns = ("Change", "A flip is", "Label", "n", "Verdicts flipped", "Change of the logit")
    return Table(columns, tuple(rows), "Verdicts flipped", " ".join([SHARES, *reasons_of(table)]), bars=True)


def _flips_by_tone(table: pd.DataFrame) -> list[Table]:
    """A table a label, with a column a tone."""
    tables = []
    for label, of in table.groupby("label", sort=True, observed=True) if len(table) else ():
        tones = list(dict.fromkeys(of["group_name"]))
        cells = {(row["transformation"], row["group_name"]): row for row in of.to_dict("records")}
        rows = tuple(
            (*_change(change), *(_cell(cells.get((change, tone)), "flipped", ("low", "high")) for tone in tones))
            for change in dict.fromkeys(of["transformation"])
        )
        title = f"Verdicts flipped by apparent skin tone, faces {label_title(label)}"
        note = " ".join([SHARES, *reasons_of(of)])
        tables.append(Table(("Change", "A flip is", *map(str, tones)), rows, title, note, heat=(0.0, 1.0)))
    return tables


def _change(name: str) -> tuple[str, str]:
    """What is done to a face, and what a flip would be."""
    from maskdet.bias.transformations import TRANSFORMATIONS

    return TRANSFORMATIONS[name].title, _EXPECTED[TRANSFORMATIONS[name].expected]


def _heat(table: pd.DataFrame) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for row in table.to_dict("records"):
        half = figure_or_few(row, "share", "percent", ("low", "high"))
        face = figure_or_few(row, "lower_face_share", "percent", _LOWER_FACE)
        even = Figure(row["lower_face_area"], unit="percent").text
        first = (label_title(row["label"]), str(row["outcome"]), int(row["n"]))
        rows.append((*first, half, face, even, int(row["no_evidence"])))
    heat = ("On the lower half", "On the lower face", "Even heat there", "Maps without any")
    note = " ".join([SHARES, *reasons_of(table)])
    return Table(("Label", "Verdict", "n", *heat), tuple(rows), "Where the heat lies", note, bars=True)


def _heat_by_tone(table: pd.DataFrame) -> list[Table]:
    if table.empty:
        return []
    tones = list(dict.fromkeys(table["group_name"]))
    cells = {(row["label"], row["outcome"], row["group_name"]): row for row in table.to_dict("records")}
    rows = tuple(
        (label_title(label), str(outcome),
         *(_cell(cells.get((label, outcome, tone)), "lower_face_share", _LOWER_FACE) for tone in tones))
        for label, outcome in dict.fromkeys(zip(table["label"], table["outcome"], strict=True))
    )  # fmt: skip
    note = " ".join([SHARES, *reasons_of(table)])
    title = "Heat on the lower face by apparent skin tone"
    return [Table(("Label", "Verdict", *map(str, tones)), rows, title, note, heat=(0.0, 1.0))]


def _cell(row: Mapping[Any, Any] | None, name: str, ends: tuple[str, str]) -> Cell:
    return "—" if row is None else figure_or_few(row, name, "percent", ends, int(row["n"]))


def _gaps(reports: Mapping[str, "GroupReport"]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name, report in reports.items():
        gaps: dict[str, Mapping[Any, Any]] = {gap["metric"]: gap for gap in report.gaps.to_dict("records")}
        sizes = [figure(gaps.get(metric, {}), "difference", difference_unit(metric)[1]) for metric in METRICS]
        rows.append((attribute_title(name), report.faces, *sizes, _ratios(gaps), _verdict(report)))
    columns = ("Groups by", "n", *(title for title, _ in METRICS.values()), "Lowest / highest", "Verdict")
    note = (
        "Largest difference of each metric between two groups that are large enough. The two were picked from all "
        "pairs for it, so that its interval may lie above 0 where there is no gap; what was tested is the verdict, "
        f"with the group that surely departs. {SHARES}"
    )
    return Table(columns, tuple(rows), "Largest differences between groups", note, bars=True, one_axis=True)


def _ratios(gaps: Mapping[str, Mapping[Any, Any]]) -> str:
    """Of each metric the lowest group by the highest, in the order of the columns."""
    ratios = [gaps.get(metric, {}).get("ratio", float("nan")) for metric in METRICS]
    return ", ".join("—" if math.isnan(ratio) else f"{ratio:.2f}" for ratio in ratios)


def _verdict(report: "GroupReport") -> str:
    """What is said of an attribute, all its metrics together, with the groups that surely depart."""
    rows: dict[str, Mapping[Any, Any]] = {gap["metric"]: gap for gap in report.gaps.to_dict("records")}
    said = {metric: gap["verdict"] for metric, gap in rows.items()}
    gaps = [
        _lower(METRICS[metric][0]) + (f" ({gap['apart']})" if gap["apart_p_adjusted"] < SIGNIFICANT else "")
        for metric, gap in rows.items()
        if gap["verdict"] == "gap"
    ]
    if gaps:
        return f"gap: {', '.join(gaps)}"
    return "no gap found" if "no gap found" in said.values() else "too few to say"


def _group_tables(name: str, report: "GroupReport", every_gap: bool) -> list[Block]:
    title = attribute_title(name)
    rows: list[tuple[Cell, ...]] = []
    for row in report.groups.to_dict("records"):
        counts = (int(row["n"]), int(row["with_mask"]), int(row["without_mask"]))
        figures = [figure(row, metric, unit) for metric, (_, unit) in METRICS.items()]
        reason = row["reason"]
        rows.append((str(row["group"]), *counts, *figures, reason if isinstance(reason, str) else ""))
    columns = (title, "n", "masked", "unmasked", *(title for title, _ in METRICS.values()), "Remark")
    note = " ".join([SHARES, *_left_out(title, report)])
    said = report.gaps if every_gap else report.gaps[report.gaps["verdict"] == "gap"]
    sentences = [str(sentence) for sentence in said["sentence"]]
    for verdict, start in () if every_gap else _OTHER_VERDICTS.items():
        others = [METRICS[metric][0] for metric in report.gaps.loc[report.gaps["verdict"] == verdict, "metric"]]
        sentences += [f"{start}: {', '.join(others)}."] if others else []
    table = Table(*without_empty(columns, rows), f"By {_lower(title)}", note, bars=True)
    return [table, Points(tuple(sentences))]


def difference_unit(metric: str) -> tuple[str, Unit]:
    """A metric's name for people, and how its differences are written."""
    title, unit = METRICS[metric]
    return title, "points" if unit == "percent" else unit


def _left_out(title: str, report: "GroupReport") -> list[str]:
    """Who is in no group, as a sentence, or nothing."""
    parts = []
    for row in report.left_out.to_dict("records"):
        if row["faces"] and row["of"]:
            share = Figure(row["faces"] / row["of"], unit="percent").text
            parts.append(f"{int(row['faces']):,} of {int(row['of']):,} {label_title(row['label'])} ({share})")
    return [f"In no group, since {_lower(title)} is not known: {in_words(parts)}."] if parts else []


def _lower(title: str) -> str:
    return f"{title[:1].lower()}{title[1:]}"
