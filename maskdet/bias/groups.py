"""Whom does a model fail? Its metrics by group of faces, and the gaps between groups.

A group is the faces that share a value of an attribute (`maskdet.bias.attributes`): a dataset, a range of sizes, an
apparent skin tone. Every figure carries its number of faces and an interval, and groups below a settable number of
faces say nothing. A gap counts as one only if chance hardly explains it, with labels and source datasets held fixed
(`maskdet.bias.gaps`), and where many are judged together, only after a correction for their number.

Pure functions of predictions and groups; metrics by fairlearn's MetricFrame, intervals by the cluster bootstrap
(`maskdet.bias.group_metrics` says why).
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
from maskdet.bias.gaps import gap_row, holm, permutation_test, tells_datasets_apart
from maskdet.bias.group_comparison import Comparison, compare_groups
from maskdet.bias.group_metrics import METRICS, Resamples, enough, frame, group_row, resample
from maskdet.bias.judged import GroupOptions, Judged, group_names, judged_of
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
        (False for accuracy where only one label has groups), difference of the highest and the lowest of
        them with difference_low and difference_high, ratio (lowest / highest), lowest, highest (their names), p_value
        (see `maskdet.bias.gaps`), p_adjusted (over all that was judged together), within (the difference between these
        two with the dataset held fixed) with within_low, within_high and within_faces, verdict ("gap", "no gap found",
        "too few to say"), sentence.
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
    judged = judged_of(predictions, groups, attribute)
    left_out = _left_out(predictions, groups)
    if not judged.names:
        return _empty(attribute, options, left_out)
    drawn = resample(judged, options)
    rows = _group_rows(judged, drawn, options.fewest)
    p_values = permutation_test(judged, options)
    gaps = [gap_row(metric, judged, drawn, rows, p_values[metric], options.fewest) for metric in METRICS]
    report = GroupReport(
        attribute=attribute,
        options=options,
        faces=len(judged.group),
        controlled=len(judged.datasets) > 1 and not tells_datasets_apart(judged),
        left_out=left_out,
        groups=pd.DataFrame(rows)[["group", *_COUNTS, *_FIGURES, "reason"]],
        gaps=pd.DataFrame(gaps),
        by_dataset=_dataset_rows(judged, drawn, options.fewest),
    )
    return _decided(report, report.gaps["p_value"].tolist(), together=1)


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
    permutations a test, also where the options say fewer.

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
    reports: dict[str, GroupReport] = {}
    for done, (name, groups) in enumerate(series.items()):
        progress(done, len(series), f"judging by {name}")
        reports[name] = judge_groups(predictions, groups, name, options)
    progress(len(series), len(series), "judging groups")
    p_values = np.array([p for report in reports.values() for p in report.gaps["p_value"]], dtype=np.float64)
    adjusted = iter(holm(p_values))
    together = int((~np.isnan(p_values)).sum())
    return {
        name: _decided(report, [float(next(adjusted)) for _ in report.gaps.index], together)
        for name, report in reports.items()
    }


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
        "gaps": {"metric", "p_adjusted", "applies", "sentence"},
    }
    if missing := needed.get(name, set()) - set(table):
        raise ValueError(f"{name} lacks {sorted(missing)[0]}")
    return table


def _table(columns: Mapping[str, list[Any]]) -> pd.DataFrame:
    """A table from JSON; where a figure is None, it is NaN."""
    table = pd.DataFrame(dict(columns))
    other = {
        "group", "dataset", "label", "metric", "reason", "lowest", "highest", "not_compared", "applies", "verdict",
        "sentence",
    }  # fmt: skip
    figures = [name for name in table.columns if name not in other]
    return table.assign(**{name: pd.to_numeric(table[name]) for name in figures})


def _decided(report: GroupReport, adjusted: list[float], together: int) -> GroupReport:
    """The report with a verdict and a sentence a gap, by p-values that are adjusted for what was judged together."""
    gaps = report.gaps.drop(columns=["p_adjusted", "verdict", "sentence"], errors="ignore")
    gaps.insert(list(gaps).index("p_value") + 1, "p_adjusted", adjusted)
    verdicts, sentences = [], []
    by_group = {str(row["group"]): _named(row) for row in report.groups.to_dict("records")}
    for row in map(_named, gaps.to_dict("records")):
        verdicts.append(verdict_of(row["p_adjusted"]))
        sentences.append(gap_sentence(row, by_group, report.options.fewest, report.controlled, together))
    return replace(report, gaps=gaps.assign(verdict=verdicts, sentence=sentences))


def _named(row: Mapping[Hashable, Any]) -> dict[str, Any]:
    return {str(name): value for name, value in row.items()}


def _group_rows(judged: Judged, drawn: Resamples, fewest: int) -> list[dict[str, Any]]:
    values = _values(judged, enough("accuracy", judged.faces, fewest))
    clusters = pd.Series(judged.cluster).groupby(judged.group).nunique()
    rows = []
    for i, name in enumerate(judged.names):
        samples = {metric: of[:, i] for metric, of in drawn.groups.items()}
        row = group_row(values.get(i, {}), samples, judged.faces[i], judged.clusters[i], fewest)
        rows.append({"group": name, "groups": int(clusters[i]), **row})
    return rows


def _dataset_rows(judged: Judged, drawn: Resamples, fewest: int) -> pd.DataFrame:
    large = np.any(enough("accuracy", judged.faces_by_dataset, fewest), axis=0)
    values = _values(judged, np.asarray(large), by_dataset=True)
    clusters = pd.Series(judged.cluster).groupby([judged.dataset, judged.group]).nunique()
    rows = []
    for dataset, group in zip(*np.nonzero(judged.faces_by_dataset.sum(axis=-1)), strict=True):
        at = (int(dataset), int(group))
        samples = {metric: of[:, at[0], at[1]] for metric, of in drawn.by_dataset.items()}
        faces, related = judged.faces_by_dataset[at], judged.clusters_by_dataset[at]
        row = group_row(values.get(at, {}), samples, faces, related, fewest)
        names = {"dataset": judged.datasets[at[0]], "group": judged.names[at[1]]}
        rows.append({**names, "groups": int(clusters[at]), **row})
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
    gap = {"compared": 0, "not_compared": "", "applies": True, "lowest": "", "highest": "", "within_faces": 0}
    numbers = (
        "difference",
        "difference_low",
        "difference_high",
        "ratio",
        "p_value",
        "within",
        "within_low",
        "within_high",
    )
    gaps = [{"metric": metric, **gap, **dict.fromkeys(numbers, float("nan"))} for metric in METRICS]
    report = GroupReport(
        attribute=attribute,
        options=options,
        faces=0,
        controlled=False,
        left_out=left_out,
        groups=pd.DataFrame(columns=["group", *columns]),
        gaps=pd.DataFrame(gaps),
        by_dataset=pd.DataFrame(columns=["dataset", "group", *columns]),
    )
    return _decided(report, [float("nan")] * len(METRICS), together=1)


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
