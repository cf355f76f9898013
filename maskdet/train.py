"""Train a model on a workspace's split, go on with a training that was cut, and evaluate a run."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from maskdet.catalog import Pool
from maskdet.errors import MaskDetError, RunError
from maskdet.evaluations import seen_faces, unseen_test_faces
from maskdet.facetable import Faces, load_faces
from maskdet.images import stored_images
from maskdet.labels import CLASSES
from maskdet.metrics import evaluate_predictions
from maskdet.models import FitData, LabelledImages, Model, create_model, require_model
from maskdet.models.base import probability
from maskdet.models.checkpoint import FolderCheckpoint, ReadCheckpoint
from maskdet.models.network import NetworkModel
from maskdet.progress import Progress, silent
from maskdet.quality import load_filtered
from maskdet.runs import (
    FORMAT,
    Run,
    environment,
    find_run,
    find_unfinished,
    list_runs,
    new_run_folder,
    open_run,
    run_folder,
    write_plan,
)
from maskdet.split import SPLITS, Split, load_split, pool_table
from maskdet.workspace import Workspace, write_json, write_table

#: How `Plan.watched` says: whatever suits the model and the data.
AUTOMATIC = ("auto",)


@dataclass(frozen=True)
class Plan:
    """What to train, on which data. With the same plan, on the same machine, the result is the same.

    Attributes
    ----------
    options : dict
        What to override of the model's options.
    limit : int or None
        About this many training faces, and a third of it each for validation and test, drawn evenly over datasets and
        labels, and likewise of watched datasets: for a quick try. A run says that it was limited.
    fingerprint : str or None
        A saved split; None is the one in force.
    pool : {"main", "pre-training"}
        The study trains on the main pool; a base for transfer learning on simulated masks, the pre-training pool.
    left_out : tuple of str
        Datasets that are neither trained nor validated on, to see how a model does on a source it never saw.
    watched : tuple of str
        Datasets, left out too, that early stopping looks at beside the validation faces. ("auto",) watches the
        pre-training pool's, which the study leaves out of training anyway, where the model can and has not begun
        with them (our choice).
    base : str or None
        The pre-training run that a transfer begins with; None is the newest that fits, or else one is made first.
    """

    model: str
    options: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    limit: int | None = None
    fingerprint: str | None = None
    pool: Pool = "main"
    left_out: tuple[str, ...] = ()
    watched: tuple[str, ...] = AUTOMATIC
    base: str | None = None

    def __post_init__(self) -> None:
        for name in ("left_out", "watched"):  # from JSON they are lists
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.limit is not None and self.limit < 2:
            raise MaskDetError(f"The limit must be at least 2 faces, not {self.limit}.")
        if self.pool not in ("main", "pre-training"):
            raise MaskDetError(f"The pool must be main or pre-training, not {self.pool!r}.")
        if require_model(self.model).needs_base and self.pool != "main":
            raise MaskDetError(f"{self.model} is trained on the main pool, from a base of the pre-training pool.")

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> "Plan":
        """The plan that a training's folder holds."""
        return cls(**{f.name: stored[f.name] for f in fields(cls) if f.name in stored})


@dataclass(frozen=True)
class TrainingData:
    """The faces of a plan.

    Attributes
    ----------
    table : DataFrame
        Rows of the split that are trained, validated and tested on.
    apart : DataFrame
        Rows whose mask is worn incorrectly, where that is a class that models are not taught.
    watched_test : DataFrame
        Test faces of watched datasets that are not in ``table``, on which nothing was chosen.
    """

    faces: Faces
    split: Split
    filter_options: dict[str, Any]
    table: pd.DataFrame
    apart: pd.DataFrame
    watched_test: pd.DataFrame
    parts: dict[str, pd.DataFrame]
    images: dict[str, LabelledImages]
    watched: tuple[str, ...]

    @property
    def fit(self) -> FitData:
        """What a fit may look at."""
        return FitData(self.images["train"], self.images["validation"], self.images.get("watched"))


@dataclass(frozen=True)
class Evaluation:
    """A run's metrics on the current test split of a workspace.

    Attributes
    ----------
    metrics : dict
        See `maskdet.metrics.evaluate_predictions`.
    fingerprint : str
        Of the split it was judged on.
    same_data : bool
        True where the run was trained on this very split.
    left_out : int
        Test faces that the run saw in training or validation, or whose photo or copy it saw; they are not counted.
    """

    metrics: dict[str, Any]
    predictions: pd.DataFrame
    fingerprint: str
    same_data: bool
    left_out: int
    seconds: float


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
    data = training_data(workspace, wanted)
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
    _assist(workspace, Plan.of(unfinished.plan), progress, ReadCheckpoint(unfinished.folder))


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


def training_data(workspace: Workspace, plan: Plan) -> TrainingData:
    """The faces of a plan, checked: nothing of them is read yet.

    Raises
    ------
    MaskDetError
        If there is no such split, a dataset's folder is gone, or a part lacks a label.
    """
    faces = load_faces(workspace)
    split = load_split(workspace, faces, plan.fingerprint)
    filter_options = _filter_options(workspace, faces, split, plan)
    table, apart = pool_faces(faces, split, plan.pool)
    watched = _watched(split, plan)
    out = {*plan.left_out, *watched}
    _require_known(split, out)
    known = split.table[split.table["label"].isin(CLASSES)]
    beside = known[known["dataset"].isin(watched)]
    table = table[(table["split"] == "test") | ~table["dataset"].isin(out)].reset_index(drop=True)
    if plan.limit is not None:
        table, beside = (_limited(rows, plan.limit, plan.seed) for rows in (table, beside))
    parts: dict[str, pd.DataFrame] = {name: table[table["split"] == name].reset_index(drop=True) for name in SPLITS}
    looked_at = parts | ({"watched": beside[beside["split"] != "test"].reset_index(drop=True)} if watched else {})
    images = {name: labelled_images(workspace, faces, part) for name, part in looked_at.items()}
    for name, labelled in images.items():
        labelled.require_both_classes(name)
    watched_test = beside[(beside["split"] == "test") & ~beside["face_id"].isin(table["face_id"])]
    return TrainingData(faces, split, filter_options, table, apart, watched_test, parts, images, watched)


def watchable(split: Split, model_name: str, pool: Pool = "main") -> tuple[str, ...]:
    """The datasets that ("auto",) watches: of the pre-training pool, with both labels, for a network without a base."""
    kind = require_model(model_name)
    if pool != "main" or kind.needs_base or not kind.needs_tensorflow:
        return ()
    table = pool_table(split, "pre-training")
    table = table[table["label"].isin(CLASSES) & (table["split"] != "test")]
    labels = table.groupby("dataset")["label"].nunique()
    return tuple(sorted(labels.index[labels == len(CLASSES)]))


def pool_faces(faces: Faces, split: Split, pool: Pool = "main") -> tuple[pd.DataFrame, pd.DataFrame]:
    """A pool's faces that models tell apart, and those whose mask is worn incorrectly, where they are a class.

    Raises MaskDetError if the folder of one of its datasets is gone.
    """
    gone = sorted(set(faces.missing) & set(split.table["dataset"]))
    if gone:
        raise MaskDetError(
            f"The folder of {', '.join(gone)} is gone ({faces.roots[gone[0]]}): bring it back, or filter and split "
            "again to go on without it."
        )
    table = pool_table(split, pool)
    known = table["label"].isin(CLASSES)
    return table[known].reset_index(drop=True), table[~known]


def labelled_images(workspace: Workspace, faces: Faces, part: pd.DataFrame) -> LabelledImages:
    """The pixels of some rows of a split, and what is known of each."""
    return LabelledImages(
        images=stored_images(workspace, faces, part["face_id"]),
        labels=(part["label"] == CLASSES[1]).to_numpy().astype(np.int64),
        groups=part["group"].to_numpy(np.int64),
        face_ids=tuple(part["face_id"]),
        datasets=tuple(part["dataset"]),
    )


def predictions_table(part: pd.DataFrame, logits: Any) -> pd.DataFrame:
    """Rows of a split with their logits and probabilities."""
    table = part[["face_id", "dataset", "label", "group", "split"]].copy()
    table["logit"] = logits
    table["p_without_mask"] = probability(logits)
    return table


def _assist(workspace: Workspace, plan: Plan, progress: Progress, checkpoint: ReadCheckpoint | None = None) -> None:
    model = create_model(plan.model, plan.options)
    if not isinstance(model, NetworkModel) or plan.options.get("frozen"):
        raise MaskDetError(f"{plan.model} with these options is not trained by several workers: start the chief alone.")
    if model.needs_base:
        if plan.base is None:
            raise MaskDetError("A worker of a cluster cannot make the pre-training run; name one with --base.")
        model.use_base(find_run(workspace, plan.base).folder / "weights")
    data = training_data(workspace, plan).fit
    model.fit(data, seed=plan.seed, progress=progress, checkpoint=checkpoint)


def _train(workspace: Workspace, plan: dict[str, Any], model: Model, data: TrainingData, base: Run | None,
           folder: Path, progress: Progress) -> None:  # fmt: skip
    """Fit, predict, and fill the run's folder."""
    if base is not None:
        model.use_base(base.folder / "weights")
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
    write_table(folder / "predictions.parquet", pd.concat(predictions, ignore_index=True))
    write_json(folder / "history.json", history)
    metrics = evaluate_predictions(predictions[SPLITS.index("test")])
    metrics |= _judged_apart(workspace, data.faces, data.apart, model)
    metrics |= _judged_watched(workspace, data, model)
    write_json(folder / "metrics.json", metrics)
    write_json(folder / "run.json", _record(plan, data, seconds))


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


def _filter_options(workspace: Workspace, faces: Faces, split: Split, plan: Plan) -> dict[str, Any]:
    """The options of the filters that the faces of a split passed."""
    if plan.fingerprint is not None and split.filter_options is not None:
        return split.filter_options
    filtered = load_filtered(workspace, faces)
    if _labels(filtered.kept) != _labels(split.table):  # the run would name filters that its faces never passed
        raise MaskDetError("The faces were filtered again after they were split: run `python -m maskdet split` first.")
    return asdict(filtered.options)


def _watched(split: Split, plan: Plan) -> tuple[str, ...]:
    if plan.watched == AUTOMATIC:
        return tuple(d for d in watchable(split, plan.model, plan.pool) if d not in plan.left_out)
    if plan.watched and not require_model(plan.model).needs_tensorflow:
        raise MaskDetError(f"{plan.model} is fitted in one go: there is no epoch to choose by watching a dataset.")
    return plan.watched


def _require_known(split: Split, datasets: set[str]) -> None:
    unknown = sorted(datasets - set(split.table["dataset"]))
    if unknown:
        known = ", ".join(sorted(split.table["dataset"].unique()))
        raise MaskDetError(f"There is no dataset {unknown[0]!r} in this split; there are: {known}.")


def _base(workspace: Workspace, plan: Plan, data: TrainingData, progress: Progress, started: Any) -> Run:
    """The run that a transfer begins with: as named, or the newest that fits, or one that is trained now."""
    if plan.base is not None:
        base = find_run(workspace, plan.base)
        if base.model_name != "cnn" or base.pool != "pre-training":
            raise RunError(
                f"Run {base.id} is no CNN trained on the pre-training pool; a transfer begins with such a one."
            )
        return base
    return _fitting_base(workspace, data.split) or train(
        workspace, "cnn", seed=plan.seed, pool="pre-training", fingerprint=plan.fingerprint, progress=progress,
        started=started,
    )  # fmt: skip


def _fitting_base(workspace: Workspace, split: Split) -> Run | None:
    fitting = [
        run
        for run in list_runs(workspace)
        if run.model_name == "cnn"
        and run.fingerprint == split.fingerprint
        and run.pool == "pre-training"
        and not run.record["limit"]
    ]
    return max(fitting, key=lambda run: str(run.record["created"]), default=None)


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


def _labels(table: pd.DataFrame) -> dict[str, str]:
    return dict(zip(table["face_id"], table["label"], strict=True))


def _limited(table: pd.DataFrame, limit: int, seed: int) -> pd.DataFrame:
    """About ``limit`` training rows and a third of it each of the others, of each dataset and label at least one."""
    drawn = []
    for name, count in zip(SPLITS, (limit, -(-limit // 3), -(-limit // 3)), strict=True):
        part = table[table["split"] == name]
        if len(part) <= count:
            drawn.append(part)
            continue
        for _, rows in part.groupby(["dataset", "label"]):
            drawn.append(rows.sample(max(1, round(count / len(part) * len(rows))), random_state=seed))
    return pd.concat(drawn)
