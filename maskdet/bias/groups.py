"""Whom does a model fail? Its metrics by group of faces, and the gaps between groups.

A group is the faces that share a value of an attribute (`maskdet.bias.attributes`): a dataset, a range of sizes, an
apparent skin tone. Every figure carries its number of faces and an interval, and groups below a settable number of
faces say nothing. There is a gap only if chance hardly explains that a metric differs between the groups, with labels
and source datasets held fixed (`maskdet.bias.permutations`), and where many are judged together, only after a
correction for their number. Which group departs most is told beside it (`maskdet.bias.gaps`).

Pure functions of predictions and groups; metrics by fairlearn's MetricFrame, intervals that take related faces together
(`maskdet.bias.group_metrics` says how).
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from maskdet.bias.attributes import group_of
from maskdet.bias.gap_sentences import gap_sentence, verdict_of
from maskdet.bias.gaps import FIGURES, gap_row
from maskdet.bias.group_comparison import Comparison, compare_groups
from maskdet.bias.group_metrics import METRICS, Resamples, enough, frame, group_row, resample
from maskdet.bias.judged import GroupOptions, Judged, group_names, judged_of
from maskdet.bias.permutations import GapTest, Permutations, holm, settle, tells_datasets_apart
from maskdet.errors import ODD_VALUES
from maskdet.labels import CLASSES
from maskdet.progress import Progress, silent
from maskdet.workspace import read_json, unreadable, write_json

#: Judged together, each test needs so many permutations that a small p-value survives the correction (our choice).
_PERMUTATIONS_A_TEST: Final = 100
_TABLES: Final = ("left_out", "groups", "gaps", "by_dataset")
_COUNTS: Final = ["n", "with_mask", "without_mask", "groups"]
_FIGURES: Final = [f"{metric}{end}" for metric in METRICS for end in ("", "_low", "_high")]


@dataclass(frozen=True)
class GroupReport:
    """A model's metrics by the groups of an attribute.

    Attributes
    ----------
    attribute : str
    options : GroupOptions
    faces : int
        Faces whose group is known.
    controlled : bool
        Whether the tests hold the dataset fixed; False where the attribute only tells datasets apart.
    left_out : DataFrame
        Faces whose group is not known: label, faces, of (how many of the label were judged).
    groups : DataFrame
        A row a group: group, n, with_mask, without_mask (faces), groups (clusters of related faces), each of `METRICS`
        with METRIC_low and METRIC_high (shares, 0 to 1; NaN where ``reason`` says why).
    gaps : DataFrame
        A row a metric: metric, compared (groups that are large enough), not_compared (the others, named), applies
        (False for accuracy where only one label has groups).
        Whether the groups differ at all: p_value (see `maskdet.bias.permutations`), p_adjusted (over all that was
        judged together), p_at_most (True where they are upper bounds), permutations, verdict ("gap", "no gap found",
        "too few to say").
        Which one departs most: apart (its name), rest (the metric of the other groups that are compared, together) with
        rest_low, rest_high and rest_faces, apart_difference (apart less rest) with its interval, apart_p,
        apart_p_adjusted and apart_at_most (of chance moving any group so far), within (apart_difference with the
        dataset held fixed) with within_low, within_high and within_faces.
        The two that lie furthest apart, picked from all pairs: lowest, highest (their names), difference with
        difference_low and difference_high, ratio (lowest / highest).
        And sentence, all of it in words.
    by_dataset : DataFrame
        As ``groups``, a row a dataset and group that has faces there, with the column dataset first.
    """

    attribute: str
    options: GroupOptions
    faces: int
    controlled: bool
    left_out: pd.DataFrame
    groups: pd.DataFrame
    gaps: pd.DataFrame
    by_dataset: pd.DataFrame

    def gap(self, metric: str) -> "pd.Series[Any]":
        """The row of ``gaps`` of a metric."""
        return self.gaps[self.gaps["metric"] == metric].iloc[0]


def judge_groups(
    predictions: pd.DataFrame, groups: "pd.Series[Any]", attribute: str, options: GroupOptions | None = None
) -> GroupReport:
    """Judge a model by group.

    Parameters
    ----------
    predictions : DataFrame
        The faces that it is judged on, its test faces: face_id, dataset, label (with_mask, without_mask), group (of
        related faces), logit (above 0: without mask).
    groups : Series
        The group of each face id, as of `maskdet.bias.attributes.group_of`; "", NaN or missing where it is not known.
    attribute : str
        What the groups are of, for the report.

    Raises
    ------
    MaskDetError
        If the predictions are none, or there are more than `maskdet.bias.judged.MOST_GROUPS` groups.
    """
    options = options or GroupOptions()
    judged, left_out = judged_of(predictions, groups, attribute), _left_out(predictions, groups)
    tests = Permutations(judged, options)
    settle([tests], corrected=False)
    report = _described(judged, left_out, tests, attribute, options)
    return _decided([report], [tests.tests()])[0]


def judge_all(
    predictions: pd.DataFrame,
    attributes: pd.DataFrame,
    options: GroupOptions | None = None,
    names: Sequence[str] | None = None,
    progress: Progress = silent,
) -> dict[str, GroupReport]:
    """Judge a model by several attributes, with p-values corrected for their number.

    Holm's correction goes over all attributes and metrics, so that of a model that treats all groups alike, about one
    report in twenty at most calls anything a gap. For a corrected p-value to be small at all, there are at least 100
    permutations a test, also where the options say fewer, and more where a verdict would hang on which ones are drawn.

    Parameters
    ----------
    predictions : DataFrame
        As in `judge_groups`.
    attributes : DataFrame
        face_id and a column an attribute (`maskdet.bias.attributes.face_attributes`, also with uploaded columns).
        Numbers are put into quantile bins of the judged faces.
    names : sequence of str, optional
        Which attributes; by default those of which at least two groups are known among the judged faces.

    Returns
    -------
    dict
        A report for each name.
    """
    options = options or GroupOptions()
    attributes = attributes[attributes["face_id"].isin(predictions["face_id"])]
    series = {name: group_of(attributes, name) for name in (names or attributes.columns.drop("face_id"))}
    if names is None:
        series = {name: groups for name, groups in series.items() if len(group_names(groups)) > 1}
    tests = len(series) * len(METRICS)
    options = replace(options, permutations=max(options.permutations, _PERMUTATIONS_A_TEST * tests))
    judged = {name: judged_of(predictions, groups, name) for name, groups in series.items()}
    drawn = {name: Permutations(faces, options) for name, faces in judged.items()}
    settle(list(drawn.values()), corrected=True)
    reports: list[GroupReport] = []
    for done, (name, groups) in enumerate(series.items()):
        progress(done, len(series), f"judging by {name}")
        reports.append(_described(judged[name], _left_out(predictions, groups), drawn[name], name, options))
    progress(len(series), len(series), "judging groups")
    return dict(zip(series, _decided(reports, [of.tests() for of in drawn.values()], corrected=True), strict=True))


def save_groups(path: Path, reports: Mapping[str, GroupReport]) -> None:
    """Write reports as JSON, atomically. Raises WorkspaceError if it cannot be written."""
    stored: list[dict[str, Any]] = []
    for report in reports.values():
        tables = {name: getattr(report, name) for name in _TABLES}
        stored.append(
            {
                "attribute": report.attribute,
                "options": asdict(report.options),
                "faces": report.faces,
                "controlled": report.controlled,
                **{
                    name: table.astype(object).where(table.notna(), None).to_dict("list")
                    for name, table in tables.items()
                },
            }
        )
    write_json(path, stored)


def load_groups(path: Path) -> dict[str, GroupReport]:
    """Read what `save_groups` wrote.

    Raises
    ------
    WorkspaceError
        If the file is missing or damaged.
    """
    stored = read_json(path)
    if not isinstance(stored, list):
        raise unreadable(path, "it holds no metrics by group")
    try:
        reports = [
            GroupReport(
                attribute=str(entry["attribute"]),
                options=GroupOptions(**entry["options"]),
                faces=int(entry["faces"]),
                controlled=bool(entry["controlled"]),
                **{name: _whole(name, _table(entry[name])) for name in _TABLES},
            )
            for entry in stored
        ]
    except ODD_VALUES as error:
        raise unreadable(path, error) from error
    return {report.attribute: report for report in reports}


def _whole(name: str, table: pd.DataFrame) -> pd.DataFrame:
    """A table that was read, if it has the columns that pages and reports show. Raises ValueError otherwise."""
    needed = {
        "groups": {"group", *_COUNTS, *_FIGURES, "reason"},
        "gaps": {"metric", "p_adjusted", "p_at_most", "apart", "applies", "verdict", "sentence", *FIGURES},
    }
    if missing := needed.get(name, set()) - set(table):
        raise ValueError(f"{name} lacks {sorted(missing)[0]}")
    return table


def _table(columns: Mapping[str, list[Any]]) -> pd.DataFrame:
    """A table from JSON; where a figure is None, it is NaN."""
    table = pd.DataFrame(dict(columns))
    other = {
        "group", "dataset", "label", "metric", "reason", "lowest", "highest", "apart", "not_compared", "applies",
        "p_at_most", "apart_at_most", "verdict", "sentence",
    }  # fmt: skip
    figures = [name for name in table.columns if name not in other]
    return table.assign(**{name: pd.to_numeric(table[name]) for name in figures})


def _described(
    judged: Judged, left_out: pd.DataFrame, tests: Permutations, attribute: str, options: GroupOptions
) -> GroupReport:
    """The report as far as it can be without the others: all but p-values, verdicts and sentences."""
    if not judged.names:
        return _empty(attribute, options, left_out)
    drawn = resample(judged, options)
    rows, found = _group_rows(judged, drawn, options.fewest), tests.tests()
    gaps = [gap_row(metric, judged, drawn, rows, found[metric].apart, options.fewest) for metric in METRICS]
    return GroupReport(
        attribute=attribute,
        options=options,
        faces=len(judged.group),
        controlled=len(judged.datasets) > 1 and not tells_datasets_apart(judged),
        left_out=left_out,
        groups=pd.DataFrame(rows)[["group", *_COUNTS, *_FIGURES, "reason"]],
        gaps=pd.DataFrame(gaps),
        by_dataset=_dataset_rows(judged, drawn, options.fewest),
    )


def _decided(
    reports: Sequence[GroupReport], tests: Sequence[Mapping[str, GapTest]], *, corrected: bool = False
) -> list[GroupReport]:
    """The reports with p-values, verdicts and sentences, corrected for all that was judged together, or not."""
    found = pd.DataFrame([
        {"p_value": test.p_value, "p_at_most": test.at_most, "apart_p": test.apart_p,
         "apart_at_most": test.apart_at_most, "permutations": test.permutations}
        for of in tests for test in of.values()
    ])  # fmt: skip
    for name, adjusted in (("p_value", "p_adjusted"), ("apart_p", "apart_p_adjusted")):
        found[adjusted] = holm(found[name].to_numpy(np.float64)) if corrected else found[name]
    found["verdict"] = [verdict_of(p) for p in found["p_adjusted"]]
    together = int(found["p_value"].notna().sum()) if corrected else 1
    decided = []
    for number, report in enumerate(reports):
        rows = found.iloc[number * len(METRICS) : (number + 1) * len(METRICS)].reset_index(drop=True)
        gaps = pd.concat([report.gaps, rows], axis=1)
        by_group = {str(row["group"]): _named(row) for row in report.groups.to_dict("records")}
        sentences = [
            gap_sentence(_named(row), by_group, report.options.fewest, report.controlled, together)
            for row in gaps.to_dict("records")
        ]
        decided.append(replace(report, gaps=gaps.assign(sentence=sentences)))
    return decided


def _named(row: Mapping[Hashable, Any]) -> dict[str, Any]:
    return {str(name): value for name, value in row.items()}


def _group_rows(judged: Judged, drawn: Resamples, fewest: int) -> list[dict[str, Any]]:
    values = _values(judged, enough("accuracy", judged.faces, fewest))
    rows = []
    for i, name in enumerate(judged.names):
        samples = {metric: of[:, i] for metric, of in drawn.groups.items()}
        rows.append({"group": name, **group_row(values.get(i, {}), samples, judged, judged.group == i, fewest)})
    return rows


def _dataset_rows(judged: Judged, drawn: Resamples, fewest: int) -> pd.DataFrame:
    large = np.any(enough("accuracy", judged.faces_by_dataset, fewest), axis=0)
    values = _values(judged, np.asarray(large), by_dataset=True)
    rows = []
    for dataset, group in zip(*np.nonzero(judged.faces_by_dataset.sum(axis=-1)), strict=True):
        at = (int(dataset), int(group))
        samples = {metric: of[:, at[0], at[1]] for metric, of in drawn.by_dataset.items()}
        inside = (judged.dataset == at[0]) & (judged.group == at[1])
        names = {"dataset": judged.datasets[at[0]], "group": judged.names[at[1]]}
        rows.append({**names, **group_row(values.get(at, {}), samples, judged, inside, fewest)})
    return pd.DataFrame(rows)[["dataset", "group", *_COUNTS, *_FIGURES, "reason"]]


def _values(judged: Judged, large: npt.NDArray[np.bool_], *, by_dataset: bool = False) -> dict[Any, dict[str, float]]:
    """The metrics of each group that is large enough, or of each dataset and such a group."""
    if not large.any():
        return {}
    groups = tuple(np.flatnonzero(large).tolist())
    found: dict[Any, dict[str, float]] = frame(judged, groups, by_dataset=by_dataset).by_group.to_dict("index")
    return found


def _left_out(predictions: pd.DataFrame, groups: "pd.Series[Any]") -> pd.DataFrame:
    """Faces of each label whose group is not known; a label that can have none, as of mask colours, is no row."""
    known = groups.index[(groups.notna() & (groups.astype(object) != "")).to_numpy()]
    unknown = ~predictions["face_id"].isin(known)
    rows = [
        (label, int((unknown & of_label).sum()), int(of_label.sum()))
        for label in CLASSES
        for of_label in [predictions["label"] == label]
        if not unknown[of_label].all() or unknown.all()
    ]
    return pd.DataFrame(rows, columns=["label", "faces", "of"])


def _empty(attribute: str, options: GroupOptions, left_out: pd.DataFrame) -> GroupReport:
    """The report where no face's group is known."""
    columns = [*_COUNTS, *_FIGURES, "reason"]
    gap = {
        "compared": 0, "not_compared": "", "applies": True, "lowest": "", "highest": "", "apart": "", "rest_faces": 0,
        "within_faces": 0, **dict.fromkeys(FIGURES, float("nan")),
    }  # fmt: skip
    return GroupReport(
        attribute=attribute,
        options=options,
        faces=0,
        controlled=False,
        left_out=left_out,
        groups=pd.DataFrame(columns=["group", *columns]),
        gaps=pd.DataFrame([{"metric": metric, **gap} for metric in METRICS]),
        by_dataset=pd.DataFrame(columns=["dataset", "group", *columns]),
    )


__all__ = [
    "METRICS",
    "Comparison",
    "GroupOptions",
    "GroupReport",
    "compare_groups",
    "judge_all",
    "judge_groups",
    "load_groups",
    "save_groups",
]
