"""Train a model on a workspace's split, go on with a training that was cut, and evaluate a run."""

import time
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from maskdet.balance import Balanced, load_balanced, save_balanced
from maskdet.calibrate import reliability_of
from maskdet.environment import environment
from maskdet.errors import MaskDetError, RunError
from maskdet.evaluations import Evaluation, seen_faces, unseen_test_faces
from maskdet.facetable import Faces, load_faces
from maskdet.images import stored_images
from maskdet.metrics import evaluate_predictions
from maskdet.models import Model, create_model
from maskdet.models.checkpoint import FolderCheckpoint, ReadCheckpoint
from maskdet.models.network import NetworkModel
from maskdet.progress import Progress, silent
from maskdet.reliability import Reliability, save_reliability
from maskdet.run_records import FORMAT
from maskdet.runs import (
    Run,
    find_run,
    find_unfinished,
    list_runs,
    new_run_folder,
    open_run,
    run_folder,
    write_plan,
)
from maskdet.runtime import ModelRuntime
from maskdet.seals import sealed
from maskdet.split import SPLITS, Split, load_split
from maskdet.training_data import Plan, TrainingData, labelled_images, pool_faces, predictions_table, training_data
from maskdet.workspace import Workspace, write_json, write_table


def train(
    workspace: Workspace,
    model_name: str,
    options: dict[str, Any] | None = None,
    *,
    progress: Progress = silent,
    started: Any = None,
    **plan: Any,
) -> Run:
    """Train a model and write the run.

    Parameters
    ----------
    started : callable, optional
        Is told the run's id when the work begins.
    **plan
        Further fields of `Plan`.

    Raises
    ------
    MaskDetError
        If there is no split, it was made of other filters, it lacks a label, or an option is wrong: all before any work
        starts.
    """
    workspace.ensure_writable()
    wanted = Plan(model_name, dict(options or {}), **plan)
    model = create_model(wanted.model, wanted.options)
    data = training_data(workspace, wanted)
    resolved = model.options.resolved()
    model = create_model(wanted.model, resolved.as_dict())
    base = _base(workspace, wanted, data, progress, started) if model.needs_base else None
    with new_run_folder(workspace, wanted.model) as (run_id, folder):
        stored = asdict(wanted) | {
            "id": run_id, "created": _now(), "options": resolved.as_dict(), "watched": list(data.watched),
            "fingerprint": data.split.fingerprint, "base": base.id if base else None,
            "faces": {name: len(images) for name, images in data.images.items()},
        }  # fmt: skip
        write_plan(folder, stored)
        if data.balanced is not None:
            save_balanced(folder, data.balanced)
        _announce(started, run_id)
        _train(workspace, stored, model, data, base, folder, progress)
    return open_run(workspace.path("runs", run_id))


def resume(workspace: Workspace, run_id: str, progress: Progress = silent, started: Any = None) -> Run:
    """Go on with a training that was cut, after its last finished epoch or grid point.

    The result is that of a training that was not cut: to the bit where the same hardware and packages compute it,
    else within what they differ.

    Raises
    ------
    MaskDetError
        If there is no such training, or its data is not there any more.
    """
    unfinished = find_unfinished(workspace, run_id)
    wanted = Plan.of(unfinished.plan)
    model = create_model(wanted.model, wanted.options)
    data = training_data(workspace, wanted, _balanced_before(unfinished.folder, wanted))
    base = find_run(workspace, wanted.base) if wanted.base else None
    with run_folder(unfinished.folder, run_id):
        _announce(started, run_id)
        _train(workspace, unfinished.plan, model, data, base, unfinished.folder, progress)
    return open_run(workspace.path("runs", run_id))


def assist(
    workspace: Workspace, model_name: str, options: dict[str, Any] | None, progress: Progress, **plan: Any
) -> None:
    """Train as a worker of a cluster that is not its chief: the same work, of which nothing is written."""
    wanted = Plan(model_name, dict(options or {}), **plan)
    resolved = create_model(wanted.model, wanted.options).options.resolved()
    _assist(workspace, replace(wanted, options=resolved.as_dict()), progress)


def assist_resume(workspace: Workspace, run_id: str, progress: Progress = silent) -> None:
    """Go on with a cut training as a worker that is not the chief: from the chief's checkpoint, writing nothing."""
    unfinished = find_unfinished(workspace, run_id, joining=True)
    _assist(workspace, Plan.of(unfinished.plan), progress, unfinished.folder)


def estimate(workspace: Workspace, model_name: str, options: dict[str, Any] | None = None, *,
             progress: Progress = silent, **plan: Any) -> float:  # fmt: skip
    """About how many seconds a training would take here, from a little of its work; nothing is written."""
    wanted = Plan(model_name, dict(options or {}), **plan)
    model = create_model(wanted.model, wanted.options)
    data = training_data(workspace, wanted)
    if model.needs_base:
        model.use_base(None)  # it takes as long as with pre-trained weights
    return model.estimate_seconds(data.fit, seed=wanted.seed, progress=progress)


def evaluate(workspace: Workspace, run: Run, progress: Progress = silent) -> Evaluation:
    """Predict the workspace's test split again with a run's weights, and judge it.

    Faces that the run, or the run it began with, was trained or validated on are left out, whatever split they are in
    now, and so are faces of their groups.

    Raises
    ------
    MaskDetError
        If there is no split, or no test face is left.
    """
    faces = load_faces(workspace)
    split = load_split(workspace, faces)
    table, apart = pool_faces(faces, split, run.pool)
    test = table[table["split"] == "test"]
    unseen = unseen_test_faces(split.table, seen_faces(run, list_runs(workspace)))
    fresh = test[test["face_id"].isin(unseen["face_id"])].reset_index(drop=True)
    if fresh.empty:
        raise MaskDetError(
            f"Run {run.id} saw every face of this test split in training; nothing is left to judge it by."
        )
    data = labelled_images(workspace, faces, fresh)
    model = run.load_model()
    begin = time.perf_counter()
    logits = model.predict_logit(data.images, progress)
    seconds = time.perf_counter() - begin
    predictions = predictions_table(fresh, logits)
    return Evaluation(
        metrics=evaluate_predictions(predictions) | _judged_apart(workspace, faces, apart, model),
        predictions=predictions,
        fingerprint=split.fingerprint,
        same_data=run.fingerprint == split.fingerprint,
        left_out=len(test) - len(fresh),
        seconds=seconds,
    )


def _assist(workspace: Workspace, plan: Plan, progress: Progress, chief: Path | None = None) -> None:
    """Work for a chief; to resume, from what its folder keeps."""
    model = create_model(plan.model, plan.options)
    if not isinstance(model, NetworkModel) or plan.options.get("frozen"):
        raise MaskDetError(f"{plan.model} with these options is not trained by several workers: start the chief alone.")
    if model.needs_base:
        if plan.base is None:
            raise MaskDetError("A worker of a cluster cannot make the pre-training run; name one with --base.")
        model.use_base(find_run(workspace, plan.base).weights)
    data = training_data(workspace, plan, _balanced_before(chief, plan) if chief else None).fit
    checkpoint = ReadCheckpoint(chief) if chief else None
    model.fit(data, seed=plan.seed, progress=progress, checkpoint=checkpoint)


def _balanced_before(folder: Path, plan: Plan) -> Balanced | None:
    """How the training in a folder is balanced: as when it was begun, whatever was measured since."""
    if plan.balance is None:
        return None
    return load_balanced(folder, plan.balance, plan.balance_target)


def _train(workspace: Workspace, plan: dict[str, Any], model: Model, data: TrainingData, base: Run | None,
           folder: Path, progress: Progress) -> None:  # fmt: skip
    """Fit, predict, and fill the run's folder."""
    if base is not None:
        model.use_base(base.weights)
    begin = time.perf_counter()
    history = model.fit(data.fit, seed=plan["seed"], progress=progress, checkpoint=FolderCheckpoint(folder))
    # Epochs and grid points that an earlier process finished count with what they took then.
    measured = sum(float(entry.get("seconds", 0)) for entry in history)
    seconds = {"fit": max(measured, time.perf_counter() - begin)}
    predictions = []
    for name in SPLITS:
        begin = time.perf_counter()
        logits = model.predict_logit(data.images[name].images, progress)
        seconds[f"predict_{name}"] = time.perf_counter() - begin
        predictions.append(predictions_table(data.parts[name], logits))
    weights = folder / "weights"
    weights.mkdir(exist_ok=True)
    model.save(weights)
    judged = pd.concat(predictions, ignore_index=True)
    write_table(folder / "predictions.parquet", judged)
    save_reliability(folder, _reliability(workspace, data, model, judged[judged["split"] != "test"], progress))
    write_json(folder / "history.json", history)
    metrics = evaluate_predictions(predictions[SPLITS.index("test")])
    metrics |= judged_beside(workspace, data, model)
    write_json(folder / "metrics.json", metrics)
    write_json(folder / "run.json", sealed(folder, _record(plan, data, seconds)))


def _reliability(
    workspace: Workspace, data: TrainingData, model: Model, fitted_on: pd.DataFrame, progress: Progress
) -> Reliability:
    images = stored_images(workspace, data.faces, fitted_on["face_id"])
    return reliability_of(fitted_on.reset_index(drop=True), images, ModelRuntime(model), progress)


def _record(plan: dict[str, Any], data: TrainingData, seconds: dict[str, float]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "id": plan["id"],
        "model": plan["model"],
        "created": _now(),
        "options": plan["options"],
        "seed": plan["seed"],
        "limit": plan["limit"],
        "base": plan["base"],
        "balance": data.balanced.record() if data.balanced else None,
        "data": {
            "fingerprint": data.split.fingerprint,
            "pool": plan["pool"],
            "faces": {name: len(part) for name, part in data.parts.items()},
            "datasets": sorted(data.table.loc[data.table["split"] != "test", "dataset"].unique()),
            "left_out": list(plan["left_out"]),
            "watched": list(data.watched),
            "filter": data.filter_options,
            "split": asdict(data.split.options),
        },
        "environment": environment(),
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
    }


def _base(workspace: Workspace, plan: Plan, data: TrainingData, progress: Progress, started: Any) -> Run:
    """The run that a transfer begins with: as named, or the newest that fits, or one that is trained now."""
    if plan.base is not None:
        base = find_run(workspace, plan.base)
        if base.model_name != "cnn" or base.pool != "pre-training":
            raise RunError(
                f"Run {base.id} is no CNN trained on the pre-training pool; a transfer begins with such a one."
            )
        return base
    return _fitting_base(workspace, data.split, plan.limit) or train(
        workspace, "cnn", seed=plan.seed, pool="pre-training", fingerprint=plan.fingerprint, limit=plan.limit,
        progress=progress, started=started,
    )  # fmt: skip


def _fitting_base(workspace: Workspace, split: Split, limit: int | None = None) -> Run | None:
    """The newest whole pre-training run on a split; for a quick try, one that was limited as much will do."""
    fitting = [
        run
        for run in list_runs(workspace)
        if run.model_name == "cnn"
        and run.fingerprint == split.fingerprint
        and run.pool == "pre-training"
        and run.record["limit"] in (None, limit)
        and run.record.get("balance") is None
    ]
    return max(fitting, key=lambda run: str(run.record["created"]), default=None)


def judged_beside(workspace: Workspace, data: TrainingData, model: Model) -> dict[str, Any]:
    """What metrics tell beside the test faces: ``incorrect_mask`` and ``watched``, where there are such faces."""
    return _judged_apart(workspace, data.faces, data.apart, model) | _judged_watched(workspace, data, model)


def _judged_apart(workspace: Workspace, faces: Faces, apart: pd.DataFrame, model: Model) -> dict[str, Any]:
    """What a model says of test faces whose mask is worn incorrectly, where they are a class it was not taught."""
    test = apart[apart["split"] == "test"]
    if test.empty:
        return {}
    logits = model.predict_logit(labelled_images(workspace, faces, test).images)
    return {"incorrect_mask": {"faces": len(test), "judged_without_mask": int((logits > 0).sum())}}


def _judged_watched(workspace: Workspace, data: TrainingData, model: Model) -> dict[str, Any]:
    """Metrics on the test faces of watched datasets outside the pool: a source that training never saw."""
    if data.watched_test.empty:
        return {}
    images = labelled_images(workspace, data.faces, data.watched_test).images
    judged = predictions_table(data.watched_test, model.predict_logit(images))
    return {"watched": {str(name): evaluate_predictions(part) for name, part in judged.groupby("dataset")}}


def _announce(started: Any, run_id: str) -> None:
    if started is not None:
        started(run_id)


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
