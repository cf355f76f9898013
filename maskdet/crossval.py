"""Train again without some of the faces, and judge on those: a dataset at a time, or a fold at a time.

Leaving a whole dataset out shows what a pooled score hides: how a model does on photos of a source it never saw. Folds
by group give every face a prediction of a model that did not see it, which is what confident learning asks for.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from maskdet.errors import MaskDetError
from maskdet.labels import CLASSES
from maskdet.metrics import evaluate_predictions
from maskdet.models import FitData, Model, create_model
from maskdet.progress import Progress, part_of, silent
from maskdet.split import pool_table
from maskdet.training_data import Plan, TrainingData, labelled_images, predictions_table, training_data
from maskdet.workspace import Workspace, remove, write_json, write_table

LEFT_OUT_FILE: Final = "left_out.json"
OUT_OF_SAMPLE_FILE: Final = "out_of_sample.parquet"
#: Of which models those predictions are: they need not have the options of the run in whose folder they lie.
OUT_OF_SAMPLE_RECORD: Final = "out_of_sample.json"
#: One is judged, one validates, and one is left to train on.
_FEWEST_FOLDS: Final = 3


def leave_one_dataset_out(
    workspace: Workspace,
    model: str,
    options: dict[str, Any] | None = None,
    *,
    seed: int = 0,
    limit: int | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Macro F1 on each dataset that holds both labels, by a model that was trained without it.

    Datasets of the main pool are left out in turn; those of the pre-training pool are out in any case. A left-out
    dataset is judged by all its faces: none of them was trained on or chose anything.

    Returns
    -------
    dict
        ``model``, ``options``, ``seed``, ``fingerprint``, and ``rows``: for each dataset ``dataset``, ``faces``,
        ``groups``, ``macro_f1`` with ``low`` and ``high`` (95 %, cluster bootstrap; None where there is no spread, and
        ``reason`` says why), ``confusion``, ``train_faces``.

    Raises
    ------
    MaskDetError
        If there is no split, or too few faces are left to train on.
    """
    plan = Plan(model, dict(options or {}), seed=seed, limit=limit, watched=())
    data = training_data(workspace, plan)
    known = data.split.table[data.split.table["label"].isin(CLASSES)]
    labels = known.groupby("dataset")["label"].nunique()
    main = set(pool_table(data.split, "main")["dataset"])
    fitted = resolved_model(plan)
    rows = []
    datasets = sorted(labels.index[labels == len(CLASSES)])
    total = 1000 * len(datasets)
    for number, dataset in enumerate(datasets):
        without = plan
        if dataset in main:
            without = Plan(model, plan.options, seed=seed, limit=limit, watched=(), left_out=(str(dataset),))
        rest = training_data(workspace, without) if dataset in main else data
        judged = known[known["dataset"] == dataset].reset_index(drop=True)
        part = part_of(progress, 1000 * number, total, f"without {dataset}")
        predictions = fit_and_predict(workspace, fitted, rest, rest.fit, judged, part, seed=seed)
        rows.append({"dataset": str(dataset), "train_faces": len(rest.parts["train"]), **judged_row(predictions)})
    progress(total, total, "each dataset was left out once")
    return {
        "model": model, "options": fitted.options.as_dict(), "seed": seed,
        "fingerprint": data.split.fingerprint, "rows": rows,
    }  # fmt: skip


def cross_validate(
    workspace: Workspace,
    model: str,
    options: dict[str, Any] | None = None,
    *,
    folds: int = 5,
    seed: int = 0,
    limit: int | None = None,
    progress: Progress = silent,
) -> pd.DataFrame:
    """A prediction for every face of the main pool by a model that saw neither it nor a face of its group.

    Test faces are predicted, and train models that predict others: the result serves to find wrong labels, and is no
    figure of how good a model is.

    Returns
    -------
    DataFrame
        face_id, dataset, label, group, split, fold, logit, p_without_mask; in the order of the split's table.

    Raises
    ------
    MaskDetError
        If there is no split, or its faces are too few for so many folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    plan = Plan(model, dict(options or {}), seed=seed, limit=limit, watched=())
    data = training_data(workspace, plan)
    table = pd.concat(data.parts.values(), ignore_index=True)
    _require_enough(table, folds)
    dealer = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    fold = np.empty(len(table), dtype=np.int64)
    for number, (_, held) in enumerate(dealer.split(table, table["label"], table["group"])):
        fold[held] = number
    fitted, found = resolved_model(plan), []
    for number in range(folds):
        validation = (number + 1) % folds  # models that need validation faces get the next fold's
        parts = [table[~np.isin(fold, (number, validation))], table[fold == validation]]
        train, held_out = (labelled_images(workspace, data.faces, part.reset_index(drop=True)) for part in parts)
        judged = table[fold == number].reset_index(drop=True)
        part = part_of(progress, 1000 * number, 1000 * folds, f"fold {number + 1} of {folds}")
        predictions = fit_and_predict(workspace, fitted, data, FitData(train, held_out), judged, part, seed=seed)
        found.append(predictions.assign(fold=number))
    progress(1000 * folds, 1000 * folds, "all folds are predicted")
    return pd.concat(found, ignore_index=True).sort_values("face_id", ignore_index=True)


def out_of_sample_record(
    model: str,
    options: Mapping[str, Any] | None = None,
    *,
    seed: int,
    fingerprint: str,
    folds: int = 5,
    limit: int | None = None,
) -> dict[str, Any]:
    """What is noted of `cross_validate` of the same arguments beside its predictions.

    Returns
    -------
    dict
        ``model``, ``options`` (all of them, as they are carried out on this machine), ``seed``, ``fingerprint`` (of
        the split), ``folds``, ``limit``.
    """
    resolved = resolved_model(Plan(model, dict(options or {}), seed=seed, limit=limit, watched=())).options.as_dict()
    return {
        "model": model, "options": resolved, "seed": seed, "fingerprint": fingerprint, "folds": folds, "limit": limit,
    }  # fmt: skip


def write_out_of_sample(folder: Path, predictions: pd.DataFrame, record: Mapping[str, Any]) -> None:
    """Put predictions of `cross_validate` into a run's folder, and of which models they are.

    Earlier ones go first, and the table comes last: a process that is killed in between leaves no predictions beside
    the record of others, and whoever looks for the table does it again.

    Parameters
    ----------
    folder : Path
        The run's.
    record : mapping
        See `out_of_sample_record`.

    Raises
    ------
    WorkspaceError
        If the folder cannot be written.
    """
    remove(folder / OUT_OF_SAMPLE_FILE)
    write_json(folder / OUT_OF_SAMPLE_RECORD, dict(record), version=1)
    write_table(folder / OUT_OF_SAMPLE_FILE, predictions)


def _require_enough(table: pd.DataFrame, folds: int) -> None:
    if folds < _FEWEST_FOLDS:
        raise MaskDetError(f"Cross-validation needs at least {_FEWEST_FOLDS} folds, not {folds}.")
    groups = table.groupby("label")["group"].nunique()
    if groups.min() < folds:
        raise MaskDetError(
            f"Cross-validation in {folds} folds needs faces {str(groups.idxmin()).replace('_', ' ')} in as many groups "
            f"of related faces, not {groups.min()}."
        )


def resolved_model(plan: Plan) -> Model:
    """The model of a plan: one for all fits, since it may know features that do not change from fit to fit."""
    return create_model(plan.model, create_model(plan.model, plan.options).options.resolved().as_dict())


def fit_and_predict(
    workspace: Workspace, model: Model, data: TrainingData, fit: FitData, judged: pd.DataFrame, progress: Progress,
    *, seed: int,
) -> pd.DataFrame:  # fmt: skip
    """A model's predictions of some faces once it is fitted to others."""
    model.fit(fit, seed=seed, progress=progress)
    return predictions_table(judged, model.predict_faces(labelled_images(workspace, data.faces, judged)))


def judged_row(predictions: pd.DataFrame) -> dict[str, Any]:
    """Macro F1 of some predictions, with its interval or the reason why there is none, and their confusion matrix."""
    metrics = evaluate_predictions(predictions)
    low, high = metrics["intervals"].get("macro_f1") or (None, None)
    return {
        "faces": metrics["faces"], "groups": metrics["groups"], "macro_f1": metrics["macro_f1"], "low": low,
        "high": high, "confusion": metrics["confusion"],
        "reason": "" if low is not None else " ".join([*metrics["cautions"], *metrics["reasons"].values()]),
    }  # fmt: skip
