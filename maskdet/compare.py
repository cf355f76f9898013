"""Runs beside each other: the study's Table 3, running times (Figure 14), options, and sources left out of training.

Pure functions of runs and what they were judged on; tables for people are made in `maskdet.reports`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import pandas as pd

from maskdet.catalog import load_catalog, lookup
from maskdet.differences import changes_of
from maskdet.errors import ODD_VALUES, WorkspaceError
from maskdet.labels import CLASSES
from maskdet.metrics import BY_LABEL, evaluate_predictions
from maskdet.models import MODELS
from maskdet.published import STUDY, STUDY_ERRORS_AMONG
from maskdet.runs import Run
from maskdet.workspace import read_json, unreadable

#: Names that are short enough for a chart.
SHORT_NAMES: Final = {"cnn": "CNN", "cnn-transfer": "CNN transfer", "inceptionv3": "InceptionV3", "svm": "PCA + SVM"}
#: Figures of both labels that Table 3 shows beside those of each label.
_OTHER: Final = ("accuracy", "roc_auc", "ece", "brier")
#: How a dataset took part in a training, in the order in which a chart shows it.
TRAINED_ON: Final = "in training"
LEFT_OUT: Final = "left out"
WATCHED: Final = "left out, but watched"
RETRAINED: Final = "left out, trained anew"
#: Stands for all test faces in the place of a dataset.
POOLED: Final = "pooled"
HOW: Final = (TRAINED_ON, LEFT_OUT, WATCHED, RETRAINED)


@dataclass(frozen=True)
class JudgedRun:
    """A run and what it was judged by.

    Attributes
    ----------
    label : str
        The run's name among those compared: short, and unlike any other's.
    metrics : dict
        See `maskdet.metrics.evaluate_predictions`.
    predictions : DataFrame or None
        The faces that it was judged by; None where only the figures are left.
    fingerprint : str
        Of the data it was judged on.
    missing, seen : int
        See `maskdet.evaluations.Coverage`.
    """

    run: Run
    label: str
    metrics: dict[str, Any]
    predictions: pd.DataFrame | None
    fingerprint: str
    missing: int = 0
    seen: int = 0

    @property
    def is_foreign(self) -> bool:
        """True where it was trained on other data than it was judged on."""
        return self.run.fingerprint != self.fingerprint


def short_labels(runs: Sequence[Run]) -> dict[str, str]:
    """A name for each run, by id, that is short and unlike any other's: the model, with its day or id if need be."""
    names = {run.id: SHORT_NAMES.get(run.model_name, run.model_name) for run in runs}
    for more in (_pool, _balance, _moment, lambda run: run.id):
        counts = pd.Series(names).value_counts()
        for run in runs:
            if counts[names[run.id]] > 1:
                model = SHORT_NAMES.get(run.model_name, run.model_name)
                names[run.id] = f"{model} {more(run)}".strip()
    return names


def marks(run: Run) -> list[str]:
    """What a reader must know of a run before its figures: sentences, or none."""
    catalog, data = load_catalog(), run.record["data"]
    known = []
    datasets = data.get("datasets", [])
    if datasets and all(lookup(catalog, dataset).synthetic for dataset in datasets):
        known.append("Trained and judged on the synthetic sample set: its figures say nothing about real masks.")
    if trial := trial_mark(run):
        known.append(trial)
    if not _is_main(run):
        known.append("Trained and judged on the pre-training pool of simulated masks, as a base for transfer learning.")
    if balance := run.record.get("balance"):
        known.append(
            f"Its training faces were balanced by {balance['attribute'].replace('_', ' ')} ({balance['target']})."
        )
    return known


def trial_mark(run: Run) -> str:
    """Of `marks`, what is said of a run whose training faces were limited; else ""."""
    limit = run.record.get("limit")
    return "" if limit is None else f"A quick try, limited to {limit:,} training faces."


def best_run(runs: Sequence[Run], fingerprint: str) -> Run | None:
    """The run of the highest macro F1 on the validation faces of one data, or None.

    Only whole runs of that data are compared: those without `marks`, and from whose training no dataset was left out,
    so that all were judged by the same faces. Test faces choose none; where nothing is known of validation faces, it is
    the newest.
    """
    judged = [
        run
        for run in runs
        if run.fingerprint == fingerprint and run.metrics.get("macro_f1") is not None and not marks(run)
        and not run.record["data"].get("left_out")
    ]  # fmt: skip
    return max(judged, key=lambda run: run.precedence, default=None)


def default_runs(runs: Sequence[Run]) -> list[Run]:
    """What to compare at first: of each model the bundled run, or else the newest; whole ones on the main pool first.

    No figure has a say in it: a run chosen by its test faces would look better than it is.
    """
    chosen = []
    for model in [*MODELS, *sorted({run.model_name for run in runs} - set(MODELS))]:
        mine = [run for run in runs if run.model_name == model and _is_main(run)]
        if mine:
            chosen.append(max(mine, key=_precedence))
    return chosen


def _precedence(run: Run) -> tuple[bool, bool, bool, str]:
    """Bundled runs first, then whole ones, as they are before anything is done about the data; then the newest."""
    record = run.record
    return run.is_bundled, record.get("limit") is None, not record.get("balance"), str(record["created"])


def own_faces(run: Run) -> pd.DataFrame:
    """A run's predictions of its own test faces. Raises RunError or WorkspaceError if they are damaged."""
    table = run.predictions
    if not {"face_id", "dataset", "label", "group", "split", "logit"} <= set(table):
        raise WorkspaceError(f"The predictions of run {run.id} are damaged.")
    return table[(table["split"] == "test") & table["label"].isin(CLASSES)].reset_index(drop=True)


def judged_by_own(runs: Sequence[Run]) -> list[JudgedRun]:
    """Runs judged by their own test faces. Raises RunError or WorkspaceError if a run's predictions are damaged."""
    labels = short_labels(runs)
    return [
        JudgedRun(run, labels[run.id], evaluate_predictions(faces), faces, run.fingerprint)
        for run, faces in ((run, own_faces(run)) for run in runs)
    ]


def common_faces(tables: Sequence[pd.DataFrame]) -> list[pd.DataFrame]:
    """Each table's rows of the faces that are in all of them, with one label in all."""
    if not tables:
        return []
    common = tables[0][["face_id", "label"]]
    for table in tables[1:]:
        common = common.merge(table[["face_id", "label"]], on=["face_id", "label"])
    return [table[table["face_id"].isin(common["face_id"])].reset_index(drop=True) for table in tables]


def same_faces(tables: Sequence[pd.DataFrame]) -> bool:
    """True if all tables have the same faces with the same labels."""
    faces = [frozenset(zip(table["face_id"], table["label"], strict=True)) for table in tables]
    return len(set(faces)) <= 1


def ranking(judged: Sequence[JudgedRun]) -> pd.DataFrame:
    """A row a run, the highest macro F1 first: run, id, model, macro_f1, low, high, faces, groups, study."""
    rows = [
        {
            "run": one.label, "id": one.run.id, "model": one.run.model_name,
            **_figure(one.metrics, "macro_f1", "macro_f1"), "faces": one.metrics["faces"],
            "groups": one.metrics["groups"], "study": _study(one.run, "macro_f1"),
        }
        for one in judged
    ]  # fmt: skip
    columns = ["run", "id", "model", "macro_f1", "macro_f1_low", "macro_f1_high", "faces", "groups", "study"]
    table = pd.DataFrame(rows, columns=columns).rename(columns={"macro_f1_low": "low", "macro_f1_high": "high"})
    return table.sort_values("macro_f1", ascending=False, kind="stable", ignore_index=True, na_position="last")


def table_3(judged: Sequence[JudgedRun]) -> pd.DataFrame:
    """The study's Table 3, a row a run and label and one for both together.

    Returns
    -------
    DataFrame
        run, id, model, label (with_mask, without_mask, macro), faces; precision, recall, f1 with ``_low``, ``_high``
        and the study's as ``study_``; groups, accuracy, roc_auc, ece, brier in rows of both labels; trained_on and
        judged_on, fingerprints of data. What is not defined, or not published, is NaN.
    """
    table = pd.DataFrame([_table_3_row(one, label) for one in judged for label in (*CLASSES, "macro")])
    return table.astype({"groups": "Int64"})


def running_times(judged: Sequence[JudgedRun], runs: Sequence[Run]) -> pd.DataFrame:
    """How long each run took, beside its macro F1 (study, Figure 14).

    Returns
    -------
    DataFrame
        run, model, fit_seconds, base_seconds (of the run it began with, if that is among ``runs``; the study counts
        both), total_seconds, predict_ms (a face, over all that were predicted), predicted, cores, processor,
        macro_f1, low, high, faces; relative (total as a multiple of the quickest SVM's among them, on one machine) and
        study_relative. NaN where a run does not say.
    """
    by_id = {run.id: run for run in runs}
    rows = [_times_row(one, by_id) for one in judged]
    columns = ["run", "model", "fit_seconds", "base_seconds", "total_seconds", "predict_ms", "predicted", "cores",
               "processor", "macro_f1", "low", "high", "faces", "study_relative"]  # fmt: skip
    table = pd.DataFrame(rows, columns=columns)
    svm = table.loc[table["model"] == "svm", "total_seconds"].min()
    one_machine = len(table[["cores", "processor"]].drop_duplicates()) <= 1
    table["relative"] = table["total_seconds"] / svm if one_machine and svm > 0 else float("nan")
    return table


def other_sources(judged: Sequence[JudgedRun]) -> pd.DataFrame:
    """Macro F1 on each dataset when it was in training, and when it was left out of it.

    Returns
    -------
    DataFrame
        run, model, dataset (`POOLED` for all test faces), how (one of `HOW`), macro_f1, low, high, faces, reason (why
        a value is missing).

    Raises
    ------
    WorkspaceError
        If a run's left_out.json is damaged.
    """
    rows: list[dict[str, Any]] = []
    for one in judged:
        data = one.run.record["data"]
        out = {*data.get("left_out", []), *data.get("watched", [])}
        rows.append(_source_row(one, POOLED, TRAINED_ON, one.metrics))
        for dataset, values in one.metrics["datasets"].items():
            how = TRAINED_ON if dataset not in out else WATCHED if dataset in data.get("watched", []) else LEFT_OUT
            rows.append(_source_row(one, dataset, how, values))
        for dataset, values in one.metrics.get("watched", {}).items():
            rows.append(_source_row(one, dataset, WATCHED, values))
        for row in left_out_rows(one.run):
            interval = None if row.get("low") is None else [row["low"], row["high"]]
            values = {**row, "intervals": {"macro_f1": interval}, "reason": row.get("reason", "")}
            rows.append(_source_row(one, str(row["dataset"]), RETRAINED, values))
    columns = ["run", "model", "dataset", "how", "macro_f1", "low", "high", "faces", "reason"]
    return pd.DataFrame(rows, columns=columns)


def left_out_rows(run: Run) -> list[dict[str, Any]]:
    """What models of a run's options scored on each dataset without having been trained on it; empty if unknown.

    Raises WorkspaceError if the file is damaged.
    """
    path = run.folder / "left_out.json"
    if not path.is_file():
        return []
    stored = read_json(path)
    try:
        rows = [
            {**row, "reason": " ".join(filter(None, [row.get("reason", ""), _changed(run, entry)]))}
            for entry in stored
            if entry["model"] == run.model_name
            for row in entry["rows"]
        ]
        whole = all({"dataset", "faces", "macro_f1"} <= row.keys() for row in rows)
    except ODD_VALUES:
        whole = False
    if not whole:
        raise unreadable(path, "it holds no figures of datasets left out of training")
    return rows


def _changed(run: Run, entry: Mapping[str, Any]) -> str:
    """In what the trainings behind left-out figures differ from the run, as a sentence, or ""."""
    changes = changes_of(run, entry)
    return f"Trained anew with {'; '.join(changes)}." if changes else ""


def _table_3_row(one: JudgedRun, label: str) -> dict[str, Any]:
    metrics, both = one.metrics, label == "macro"
    own = metrics if both else metrics["labels"][label]
    row: dict[str, Any] = {
        "run": one.label, "id": one.run.id, "model": one.run.model_name, "label": label, "faces": own["faces"],
        "groups": metrics["groups"] if both else None,
    }  # fmt: skip
    for name in BY_LABEL:
        key = f"macro_{name}" if both else f"{name} {label}"
        row |= _values(own.get(key if both else name), metrics["intervals"].get(key), name)
        row[f"study_{name}"] = _study_cell(one.run, label, name)
    for name in _OTHER:
        row |= _figure(metrics, name, name) if both else _values(None, None, name)
    study = STUDY.get(one.run.model_name)
    row["study_accuracy"] = 1 - study.errors / STUDY_ERRORS_AMONG if both and study else None
    return row | {"trained_on": one.run.fingerprint, "judged_on": one.fingerprint}


def _times_row(one: JudgedRun, by_id: Mapping[str, Run]) -> dict[str, Any]:
    record = one.run.record
    seconds, faces = record["seconds"], record["data"].get("faces", {})
    base = by_id.get(str(record.get("base")))
    base_seconds = float(base.record["seconds"]["fit"]) if base else None
    predicted = [(faces[name], seconds[f"predict_{name}"]) for name in faces if f"predict_{name}" in seconds]
    count = sum(number for number, _ in predicted)
    study = STUDY.get(one.run.model_name)
    environment = record.get("environment", {})
    return {
        "run": one.label, "model": one.run.model_name, "fit_seconds": float(seconds["fit"]),
        "base_seconds": base_seconds, "total_seconds": float(seconds["fit"]) + (base_seconds or 0.0),
        "predict_ms": 1000 * sum(time for _, time in predicted) / count if count else None, "predicted": count,
        "cores": environment.get("cores"), "processor": environment.get("processor") or environment.get("system"),
        **_values(one.metrics["macro_f1"], one.metrics["intervals"].get("macro_f1"), "macro_f1", ("low", "high")),
        "faces": one.metrics["faces"], "study_relative": study.relative_time if study else None,
    }  # fmt: skip


def _source_row(one: JudgedRun, dataset: str, how: str, values: Mapping[str, Any]) -> dict[str, Any]:
    interval = values.get("intervals", {}).get("macro_f1")
    figure = _values(values["macro_f1"], interval, "macro_f1", ("low", "high"))
    reason = values.get("reason") or values.get("reasons", {}).get("macro_f1", "")
    return {"run": one.label, "model": one.run.model_name, "dataset": dataset, "how": how, **figure,
            "faces": values["faces"], "reason": reason}  # fmt: skip


def _figure(metrics: Mapping[str, Any], key: str, name: str) -> dict[str, float | None]:
    return _values(metrics.get(key), metrics["intervals"].get(key), name)


def _values(
    value: float | None, interval: Sequence[float] | None, name: str, ends: tuple[str, str] | None = None
) -> dict[str, float | None]:
    low, high = interval if interval is not None and value is not None else (None, None)
    ends = ends or (f"{name}_low", f"{name}_high")
    return {name: value, ends[0]: low, ends[1]: high}


def _study(run: Run, name: str) -> float | None:
    study = STUDY.get(run.model_name)
    return getattr(study, name) if study else None


def _study_cell(run: Run, label: str, name: str) -> float | None:
    study = STUDY.get(run.model_name)
    if study is None:
        return None
    if label == "macro":
        return study.macro_f1 if name == "f1" else None
    return float(getattr(study.label(label), name))


def _is_main(run: Run) -> bool:
    return bool(run.record["data"].get("pool", "main") == "main")


def _pool(run: Run) -> str:
    return "" if _is_main(run) else "base"


def _balance(run: Run) -> str:
    balance = run.record.get("balance")
    return f"by {balance['attribute'].replace('_', ' ')}" if balance else ""


def _moment(run: Run) -> str:
    try:
        return f"{datetime.fromisoformat(str(run.record['created'])):%d %b %H:%M}"
    except ValueError:
        return run.id
