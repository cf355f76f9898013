"""Fit a run's reliability: when training ends, and for runs that were trained before there was any."""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from maskdet.errors import RunError
from maskdet.facetable import load_faces
from maskdet.images import FaceImages, batches, stored_images
from maskdet.labels import CLASSES
from maskdet.models import MODELS
from maskdet.models.base import Features, Logits
from maskdet.models.network import NetworkModel
from maskdet.models.onnx_graph import GRAPH_FILE, WEIGHTS_FILE, write_graph
from maskdet.photos import RgbImage
from maskdet.progress import Progress, silent
from maskdet.reliability import Reliability, ReliabilityOptions, fit_reliability, save_reliability
from maskdet.runs import Run, open_run
from maskdet.runtime import open_runtime
from maskdet.seals import resealed, sealed_files, unsealed
from maskdet.workspace import Workspace, read_json, write_json

#: From normalised faces, shape (n, 150, 150, 3), to logits and features, as a `maskdet.runtime.Runtime`.
Predict = Callable[[RgbImage], tuple[Logits, Features]]
_BATCH: Final = 128
_SHIPPED_CENTRES: Final = 200
_FITTED_ON: Final = ("train", "validation")


def calibrate(
    workspace: Workspace, run: Run, progress: Progress = silent, options: ReliabilityOptions | None = None
) -> Reliability:
    """Fit the reliability of a finished run to its own training and validation faces; nothing is written.

    Raises
    ------
    WorkspaceError
        If one of those faces is not in the workspace.
    """
    known = run.predictions
    known = known[known["split"].isin(_FITTED_ON)].reset_index(drop=True)
    images = stored_images(workspace, load_faces(workspace), known["face_id"])
    return reliability_of(known, images, open_runtime(run), progress, options)


def calibrate_and_save(workspace: Workspace, run: Run, progress: Progress = silent) -> Reliability:
    """`calibrate`, and write into the run's folder, with the graph of a network that has none yet.

    Of a bundled run only what may ship is written (see `shippable`).
    """
    weights = run.folder / "weights" / WEIGHTS_FILE
    if weights.is_file() and not weights.with_name(GRAPH_FILE).is_file():
        model = run.load_model()
        if isinstance(model, NetworkModel):
            run = _with_graph(run, model, weights)
    found = calibrate(workspace, run, progress, shippable(run) if run.is_bundled else None)
    save_reliability(run.folder, found)
    return found


def _with_graph(run: Run, model: NetworkModel, weights: Path) -> Run:
    """Write a run's graph, and its digest where the run keeps digests.

    The digest of an earlier graph goes first: killed in between, the run has a graph without one, not a damaged one.
    """
    path = run.folder / "run.json"
    record = read_json(path)
    if not sealed_files(record):
        write_graph(model.network, weights)
        return run
    graph = f"weights/{GRAPH_FILE}"
    write_json(path, unsealed(record, graph))
    write_graph(model.network, weights)
    write_json(path, resealed(run.folder, record, graph))
    return open_run(run.folder)


def shippable(run: Run) -> ReliabilityOptions:
    """Options whose result shows no face: means of groups of faces where features show the faces themselves."""
    return ReliabilityOptions(centres=_SHIPPED_CENTRES if MODELS[run.model_name].features_show_faces else None)


def reliability_of(
    table: pd.DataFrame,
    images: FaceImages,
    predict: Predict,
    progress: Progress = silent,
    options: ReliabilityOptions | None = None,
) -> Reliability:
    """Fit to faces whose split is train or validation.

    Parameters
    ----------
    table : DataFrame
        ``face_id``, ``label`` and ``split``, a row a face; others than training and validation faces are refused.
    images : FaceImages
        In the order of the table.

    Raises
    ------
    RunError
        If there is no face of one of the two splits.
    """
    options = options or ReliabilityOptions()
    strangers = set(table["split"]) - set(_FITTED_ON)
    if strangers:
        raise ValueError(f"reliability is fitted to training and validation faces, not to {', '.join(strangers)}")
    logits, features = _predicted(images, predict, progress)
    train, validation = ((table["split"] == name).to_numpy() for name in _FITTED_ON)
    if not train.any() or not validation.any():
        raise RunError("Reliability needs training and validation faces; this run has none of one of them.")
    labels = np.asarray(table["label"] == CLASSES[1], dtype=np.int64)
    found = fit_reliability(
        features[train], tuple(table.loc[train, "face_id"]), features[validation], logits[validation],
        labels[validation], options,
    )  # fmt: skip
    held_back = _held_back(found, logits[validation], features[validation], labels[validation], options.target)
    faces = {"train": int(train.sum()), "validation": int(validation.sum())}
    return replace(found, record={"options": asdict(options), "faces": faces, "validation": held_back})


def _predicted(images: FaceImages, predict: Predict, progress: Progress) -> tuple[Logits, Features]:
    logits, features = [], []
    for positions in batches(len(images), _BATCH):
        found = predict(images.take(positions))
        logits.append(found[0])
        features.append(found[1])
        progress(int(positions[-1]) + 1, len(images), "features, for the reliability of verdicts")
    return np.concatenate(logits), np.concatenate(features)


def _held_back(
    found: Reliability, logits: Logits, features: Features, labels: npt.NDArray[np.int64], target: float
) -> dict[str, Any]:
    """How many validation faces get no verdict, and how many verdicts are wrong with and without those.

    ``outside_band`` counts the verdicts of each label, and ``reached`` says whether as few are wrong as is aimed at.
    """
    unsure = found.not_sure(found.probability(logits))
    unlike = found.distance(features) > found.distance_threshold
    wrong = (logits > 0) != (labels == 1)
    outside = {
        label: {"faces": int((said & ~unsure).sum()), "wrong": int((said & ~unsure & wrong).sum())}
        for label, said in zip(CLASSES, (logits <= 0, logits > 0), strict=True)
    }
    return {
        "not_sure": int((unsure & ~unlike).sum()),
        "not_like_training_data": int(unlike.sum()),
        "wrong": int(wrong.sum()),
        "wrong_of_given": int((wrong & ~unsure & ~unlike).sum()),
        "outside_band": outside,
        "reached": all(side["wrong"] <= target * side["faces"] for side in outside.values()),
    }
