"""Train on one dataset, test on another: whether a score is of masks, or of the photos of one source.

A model that has learned what masks look like does as well on faces of a source it never saw; one that has learned a
shortcut of its own source does not (Torralba & Efros, Unbiased look at dataset bias, CVPR 2011).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pandas as pd

from maskdet.catalog import Pool
from maskdet.crossval import fit_and_predict, judged_row, resolved_model
from maskdet.errors import ODD_VALUES, MaskDetError
from maskdet.labels import CLASSES
from maskdet.models import require_model
from maskdet.progress import Progress, part_of, silent
from maskdet.runs import Run
from maskdet.split import Split, pool_table
from maskdet.training_data import Plan, TrainingData, training_data
from maskdet.workspace import Workspace, read_json, unreadable, write_json

#: How a row says that the main pool was trained on, and that all datasets of it were judged together.
ALL: Final = "all"
POOLED: Final = "pooled"
COLUMNS: Final = ["train", "test", "train_faces", "faces", "groups", "macro_f1", "low", "high", "reason"]
_FITTED_ON: Final = ("train", "validation")


@dataclass(frozen=True)
class CrossDataset:
    """Macro F1 of a model by the dataset that it was trained on and the one that it was tested on.

    Attributes
    ----------
    options : dict
        The model's options as they were carried out.
    fingerprint : str
        Of the split whose training faces were trained on.
    rows : DataFrame
        train, test : ids of datasets that hold both labels; train is ``"all"`` for the main pool, and then test is
        ``"pooled"`` for all its datasets together. train_faces, faces, groups : counts; macro_f1, with low and high
        (95 %, cluster bootstrap); NaN where ``reason`` says why.

        A dataset that was trained on is judged by its test faces; another one by all its faces but those whose group
        was trained or validated on. Validation faces choose among states of a model and count as trained on.
    """

    model: str
    options: dict[str, Any]
    seed: int
    fingerprint: str
    rows: pd.DataFrame


def cross_datasets(
    workspace: Workspace,
    model: str,
    options: dict[str, Any] | None = None,
    *,
    seed: int = 0,
    limit: int | None = None,
    progress: Progress = silent,
) -> CrossDataset:
    """Train a model on each dataset that holds both labels, and on the main pool, and judge it on every such dataset.

    Affordable are the SVM, and InceptionV3 with ``{"frozen": True}``, which computes the features of every face once.

    Parameters
    ----------
    options : dict, optional
        What to override of the model's options.
    limit : int, optional
        About this many training faces of each source, for a quick try; all faces are judged still.

    Raises
    ------
    MaskDetError
        If there is no split, the model begins with another run, or the main pool cannot be trained on. A dataset that
        is too small for the model is a reason in the rows.
    """
    if require_model(model).needs_base:
        raise MaskDetError(f"{model} begins with a run on the pre-training pool: it cannot be trained on each dataset.")
    plan = Plan(model, dict(options or {}), seed=seed, limit=limit, watched=())
    whole = training_data(workspace, plan)
    known = whole.split.table[whole.split.table["label"].isin(CLASSES)].reset_index(drop=True)
    fitted = resolved_model(plan)
    sources = [ALL, *_with_both_labels(known)]
    total, rows = 1000 * len(sources), []
    for number, source in enumerate(sources):
        part = part_of(progress, 1000 * number, total, f"trained on {source}")
        try:
            data = whole if source == ALL else training_data(workspace, _plan_of(plan, whole.split, source))
            judged = _judged(known, data, sources[1:])
            predictions = fit_and_predict(workspace, fitted, data, data.fit, judged, part, seed=seed)
        except MaskDetError as error:
            if source == ALL:
                raise
            rows += [_untrained(source, dataset, str(error)) for dataset in sources[1:]]
            continue
        rows += list(_rows(source, len(data.parts["train"]), predictions, sources[1:], _pooled(data)))
    progress(total, total, "each dataset was trained on once")
    return CrossDataset(model, fitted.options.as_dict(), seed, whole.split.fingerprint, _table(rows))


def row_of_run(run: Run) -> pd.DataFrame:
    """A finished run as a row of the matrix: judged on its test faces of each dataset with both labels, and on all.

    Returns
    -------
    DataFrame
        The columns of `CrossDataset.rows`; ``train`` is the run's id. A dataset that the run left out is among them.
    """
    test = run.predictions[(run.predictions["split"] == "test") & run.predictions["label"].isin(CLASSES)]
    train_faces = int(run.record["data"]["faces"]["train"])
    datasets = _with_both_labels(test)
    pooled = set(run.record["data"]["datasets"])
    return _table(_rows(run.id, train_faces, test, datasets, pooled))


def save_cross(path: Path, found: CrossDataset) -> None:
    """Write a matrix as JSON. Raises WorkspaceError if it cannot be written."""
    rows = found.rows.astype(object).where(found.rows.notna(), None)
    record = {
        "model": found.model, "options": found.options, "seed": found.seed, "fingerprint": found.fingerprint,
        "rows": rows.to_dict("records"),
    }  # fmt: skip
    write_json(path, record, version=1)


def load_cross(path: Path) -> CrossDataset:
    """Read what `save_cross` wrote. Raises WorkspaceError if it is missing or damaged."""
    record = read_json(path, version=1)
    try:
        rows = _table(record["rows"])
        return CrossDataset(
            str(record["model"]), dict(record["options"]), int(record["seed"]), str(record["fingerprint"]), rows
        )
    except ODD_VALUES as error:
        raise unreadable(path, error) from error


def _table(rows: Iterable[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=COLUMNS).astype(dict.fromkeys(("macro_f1", "low", "high"), "float64"))


def _with_both_labels(table: pd.DataFrame) -> list[str]:
    labels = table.groupby("dataset")["label"].nunique()
    return [str(dataset) for dataset in sorted(labels.index[labels == len(CLASSES)])]


def _plan_of(plan: Plan, split: Split, dataset: str) -> Plan:
    """The plan that trains on one dataset alone."""
    pools: list[Pool] = ["main", "pre-training"]
    pool = next(pool for pool in pools if dataset in set(pool_table(split, pool)["dataset"]))
    others = set(pool_table(split, pool)["dataset"]) - {dataset}
    return Plan(
        plan.model, plan.options, seed=plan.seed, limit=plan.limit, watched=(), pool=pool,
        left_out=tuple(sorted(map(str, others))),
    )  # fmt: skip


def _judged(known: pd.DataFrame, data: TrainingData, datasets: list[str]) -> pd.DataFrame:
    """The faces of the datasets that a model fitted to some data is judged on."""
    looked_at = pd.concat([data.parts[name] for name in _FITTED_ON])
    trained_on = known["dataset"].isin(set(looked_at["dataset"]))
    # A limit draws some of the training faces; those it leaves were not looked at, but test faces are there for that.
    judged = known[(known["split"] == "test") | (~trained_on & ~known["group"].isin(looked_at["group"]))]
    return judged[judged["dataset"].isin({*datasets, *_pooled(data)})].reset_index(drop=True)


def _pooled(data: TrainingData) -> set[str]:
    """The datasets that were trained on."""
    return set(data.parts["train"]["dataset"])


def _rows(
    train: str, train_faces: int, predictions: pd.DataFrame, datasets: list[str], pooled: set[str]
) -> Iterator[dict[str, Any]]:
    for dataset in datasets:
        rows = predictions[predictions["dataset"] == dataset]
        yield _row(train, dataset, train_faces, rows)
    if train not in datasets:
        yield _row(train, POOLED, train_faces, predictions[predictions["dataset"].isin(pooled)])


def _row(train: str, test: str, train_faces: int, predictions: pd.DataFrame) -> dict[str, Any]:
    return {"train": train, "test": test, "train_faces": train_faces, **judged_row(predictions)}


def _untrained(train: str, test: str, reason: str) -> dict[str, Any]:
    return {
        "train": train, "test": test, "train_faces": 0, "faces": 0, "groups": 0, "macro_f1": None, "low": None,
        "high": None, "reason": f"Not trained: {reason}",
    }  # fmt: skip
