"""Train a model on a workspace's split, and evaluate a run on it."""

import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from maskdet.errors import MaskDetError
from maskdet.facetable import Faces, load_faces
from maskdet.images import stored_images
from maskdet.labels import CLASSES
from maskdet.metrics import evaluate_predictions
from maskdet.models import create_model
from maskdet.models.base import LabelledImages, Model, probability
from maskdet.progress import Progress, silent
from maskdet.quality import load_filtered
from maskdet.runs import FORMAT, Run, environment, new_run_folder, open_run
from maskdet.split import SPLITS, Split, load_split, pool_table
from maskdet.workspace import Workspace, write_json, write_table


@dataclass(frozen=True)
class Evaluation:
    """A run's metrics on the current test split of a workspace.

    Attributes
    ----------
    metrics : dict
        See `maskdet.metrics.evaluate_predictions`.
    same_data : bool
        True where the run was trained, validated and tested on the very faces of this split.
    left_out : int
        Test faces that the run saw in training or validation; they are not counted.
    """

    metrics: dict[str, Any]
    predictions: pd.DataFrame
    same_data: bool
    left_out: int
    seconds: float


def train(
    workspace: Workspace,
    model_name: str,
    options: dict[str, Any] | None = None,
    *,
    seed: int = 0,
    limit: int | None = None,
    progress: Progress = silent,
) -> Run:
    """Train a model on the main pool of the workspace's split and write the run.

    Parameters
    ----------
    options : dict, optional
        What to override of the model's options.
    limit : int, optional
        At most about this many training faces, and a third of it each for validation and test, drawn evenly over
        datasets and labels: for a quick try. A run says that it was limited.

    Raises
    ------
    MaskDetError
        If there is no split, it was made of other filters, it lacks a label, or an option is wrong: all before any work
        starts.
    """
    workspace.ensure_writable()
    model = create_model(model_name, options)
    faces = load_faces(workspace)
    filtered, split = load_filtered(workspace, faces), load_split(workspace, faces)
    if _labels(filtered.kept) != _labels(split.table):  # the run would name filters that its faces never passed
        raise MaskDetError("The faces were filtered again after they were split: run `python -m maskdet split` first.")
    table, apart = main_pool(faces, split)
    if limit is not None:
        table = _limited(table, limit, seed)
    parts = {name: table[table["split"] == name].reset_index(drop=True) for name in SPLITS}
    data = {name: labelled_images(workspace, faces, part) for name, part in parts.items()}
    for name in SPLITS:
        data[name].require_both_classes(name)
    with new_run_folder(workspace, model_name) as (run_id, folder):
        begin = time.perf_counter()
        history = model.fit(data["train"], data["validation"], seed=seed, progress=progress)
        fitted = time.perf_counter()
        predictions = []
        seconds = {"fit": fitted - begin}
        for name in SPLITS:
            begin = time.perf_counter()
            logits = model.predict_logit(data[name].images, progress)
            seconds[f"predict_{name}"] = time.perf_counter() - begin
            predictions.append(_predictions(parts[name], logits))
        weights = folder / "weights"
        weights.mkdir()
        model.save(weights)
        write_table(folder / "predictions.parquet", pd.concat(predictions, ignore_index=True))
        write_json(folder / "history.json", history)
        metrics = evaluate_predictions(predictions[SPLITS.index("test")])
        write_json(folder / "metrics.json", metrics | _judged_apart(workspace, faces, apart, model))
        record = {
            "format": FORMAT,
            "id": run_id,
            "model": model_name,
            "created": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "options": asdict(model.options),  # type: ignore[attr-defined]
            "seed": seed,
            "limit": limit,
            "data": {
                "fingerprint": split.fingerprint,
                "pool": "main",
                "faces": {name: len(part) for name, part in parts.items()},
                "datasets": sorted(table["dataset"].unique()),
                "filter": asdict(filtered.options),
                "split": asdict(split.options),
            },
            "environment": environment(),
            "seconds": {name: round(value, 3) for name, value in seconds.items()},
        }
        write_json(folder / "run.json", record)
    return open_run(workspace.path("runs", run_id))


def evaluate(workspace: Workspace, run: Run, progress: Progress = silent) -> Evaluation:
    """Predict the workspace's test split again with a run's weights, and judge it.

    Faces that the run was trained or validated on are left out, whatever split they are in now.

    Raises
    ------
    MaskDetError
        If there is no split, or no test face is left.
    """
    faces = load_faces(workspace)
    split = load_split(workspace, faces)
    table, apart = main_pool(faces, split)
    test = table[table["split"] == "test"]
    seen = run.predictions.loc[run.predictions["split"] != "test", "face_id"]
    fresh = test[~test["face_id"].isin(seen)].reset_index(drop=True)
    if fresh.empty:
        raise MaskDetError(
            f"Run {run.id} saw every face of this test split in training; nothing is left to judge it by."
        )
    data = labelled_images(workspace, faces, fresh)
    model = run.load_model()
    begin = time.perf_counter()
    logits = model.predict_logit(data.images, progress)
    seconds = time.perf_counter() - begin
    predictions = _predictions(fresh, logits)
    return Evaluation(
        metrics=evaluate_predictions(predictions) | _judged_apart(workspace, faces, apart, model),
        predictions=predictions,
        same_data=_assignment(table) == _assignment(run.predictions),
        left_out=len(test) - len(fresh),
        seconds=seconds,
    )


def main_pool(faces: Faces, split: Split) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The main pool's faces that models tell apart, and those whose mask is worn incorrectly, where they are a class.

    Raises MaskDetError if the folder of one of its datasets is gone.
    """
    gone = sorted(set(faces.missing) & set(split.table["dataset"]))
    if gone:
        raise MaskDetError(
            f"The folder of {', '.join(gone)} is gone ({faces.roots[gone[0]]}): bring it back, or filter and split "
            "again to go on without it."
        )
    table = pool_table(split, "main")
    known = table["label"].isin(CLASSES)
    return table[known].reset_index(drop=True), table[~known]


def _judged_apart(workspace: Workspace, faces: Faces, apart: pd.DataFrame, model: Model) -> dict[str, Any]:
    """What a model says of test faces whose mask is worn incorrectly, where they are a class it was not taught."""
    test = apart[apart["split"] == "test"]
    if test.empty:
        return {}
    logits = model.predict_logit(labelled_images(workspace, faces, test).images)
    return {"incorrect_mask": {"faces": len(test), "judged_without_mask": int((logits > 0).sum())}}


def _labels(table: pd.DataFrame) -> dict[str, str]:
    return dict(zip(table["face_id"], table["label"], strict=True))


def _assignment(table: pd.DataFrame) -> set[tuple[str, str, str]]:
    return set(zip(table["face_id"], table["label"], table["split"], strict=True))


def labelled_images(workspace: Workspace, faces: Faces, part: pd.DataFrame) -> LabelledImages:
    """The pixels of some rows of a split, and what is known of each."""
    return LabelledImages(
        images=stored_images(workspace, faces, part["face_id"]),
        labels=(part["label"] == CLASSES[1]).to_numpy().astype(np.int64),
        groups=part["group"].to_numpy(np.int64),
        face_ids=tuple(part["face_id"]),
        datasets=tuple(part["dataset"]),
    )


def _predictions(part: pd.DataFrame, logits: Any) -> pd.DataFrame:
    table = part[["face_id", "dataset", "label", "group", "split"]].copy()
    table["logit"] = logits
    table["p_without_mask"] = probability(logits)
    return table


def _limited(table: pd.DataFrame, limit: int, seed: int) -> pd.DataFrame:
    if limit < 2:
        raise MaskDetError(f"The limit must be at least 2 faces, not {limit}.")
    parts = []
    for name, count in zip(SPLITS, (limit, -(-limit // 3), -(-limit // 3)), strict=True):
        part = table[table["split"] == name]
        share = min(1.0, count / max(1, len(part)))
        parts.append(
            part.groupby(["dataset", "label"], group_keys=False).sample(frac=share, random_state=seed)
            if share < 1
            else part
        )
    return pd.concat(parts)
