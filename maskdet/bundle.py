"""Ship a study: its runs with weights in half precision, small enough for a repository.

What ships is what was judged: predictions and metrics are made again with the weights as they are shipped. No photo
and no crop of one is in a bundle, only ids and numbers. Where a model's features show the faces, only means of groups
of them ship; its weights do so as they are, and those of a support vector machine are features of some training faces.
"""

import os
import shutil
from pathlib import Path
from typing import Any, Final

import pandas as pd

from maskdet.attribution.analysis import GRADCAM_FILE
from maskdet.calibrate import calibrate, shippable
from maskdet.crossval import LEFT_OUT_FILE, OUT_OF_SAMPLE_FILE, OUT_OF_SAMPLE_RECORD
from maskdet.differences import without_folders
from maskdet.errors import MaskDetError
from maskdet.facetable import load_faces
from maskdet.images import stored_images
from maskdet.metrics import evaluate_predictions
from maskdet.models import create_model
from maskdet.models.base import probability
from maskdet.progress import Progress, silent
from maskdet.reliability import save_reliability
from maskdet.runs import Run, open_run
from maskdet.seals import sealed
from maskdet.study import STATE_FILE
from maskdet.train import judged_beside
from maskdet.training_data import Plan, training_data
from maskdet.workspace import Workspace, read_json, write_json, write_table

#: Half precision ships only where it moves the test macro F1 by at most this.
LARGEST_CHANGE: Final = 0.002
BUNDLE_FILE: Final = "study.json"
_AS_THEY_ARE: Final = ("history.json", OUT_OF_SAMPLE_FILE, GRADCAM_FILE)


def write_bundle(
    workspace: Workspace, target: Path, progress: Progress = silent, *, remark: str = ""
) -> list[dict[str, Any]]:
    """Write the study of a workspace as a bundle: a folder a run, and ``study.json``.

    Runs that are in the target already and not in the study are removed. The remark, if there is one, is shown beside
    the running times.

    Returns
    -------
    list of dict
        For each run: run, model, megabytes of its weights, precision, macro_f1 as trained and as shipped.

    Raises
    ------
    MaskDetError
        If there is no finished study, or the target holds other things or cannot be written.
    """
    if not workspace.path(STATE_FILE).is_file():
        raise MaskDetError(f"There is no study in {workspace.home}: run `python -m maskdet study DIR` first.")
    state = read_json(workspace.path(STATE_FILE), version=1)
    runs = _runs(workspace, state)
    require_place(target)
    try:
        shipped = [{"step": step, **_ship(workspace, run, target, progress, remark)} for step, run in runs.items()]
        for old in target.iterdir():
            if _is_run(old) and old.name not in {run.id for run in runs.values()}:
                shutil.rmtree(old)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise MaskDetError(f"{target} cannot be written ({reason}).") from error
    write_json(
        target / BUNDLE_FILE, state | {"options": without_folders(state["options"]), "shipped": shipped}, version=1
    )
    return shipped


def _runs(workspace: Workspace, state: dict[str, Any]) -> dict[str, Run]:
    """The runs that ship, by step: all but those that only told for how long to train."""
    ids = {step: noted["run"] for step, noted in state["steps"].items() if "run" in noted and " without " not in step}
    missing = [step for step, run_id in ids.items() if not workspace.path("runs", run_id, "run.json").is_file()]
    if missing or not ids:
        raise MaskDetError(
            f"The study in {workspace.home} is not finished ({', '.join(missing) or 'nothing is trained yet'}): "
            "`python -m maskdet study DIR` goes on with it."
        )
    return {step: open_run(workspace.path("runs", run_id)) for step, run_id in ids.items()}


def require_place(target: Path) -> None:
    """Raise MaskDetError for a folder whose folders may be somebody's: an earlier bundle's runs are removed."""
    described = target / BUNDLE_FILE
    if described.is_file():
        known = read_json(described)
        foreign = not isinstance(known, dict) or "shipped" not in known  # such as a workspace's own state
    else:
        foreign = target.is_dir() and any(path.is_dir() for path in target.iterdir())
    if foreign:
        raise MaskDetError(f"{target} holds other things than a study; choose a folder that is empty or not there yet.")


def _is_run(folder: Path) -> bool:
    """True for a run of an earlier bundle, or one that was cut while it was written."""
    partial = folder.name.startswith(".") and folder.name.endswith(".partial")
    return folder.is_dir() and not folder.is_symlink() and (partial or (folder / "run.json").is_file())


def _ship(workspace: Workspace, run: Run, target: Path, progress: Progress, remark: str) -> dict[str, Any]:
    folder, partial = target / run.id, target / f".{run.id}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    (partial / "weights").mkdir(parents=True)
    run.load_model().save(partial / "weights", half=True)
    predictions, metrics = _judged(workspace, run, partial, progress)
    before, after = run.metrics["macro_f1"], metrics["macro_f1"]
    half = before is not None and after is not None and abs(after - before) <= LARGEST_CHANGE
    if not half:
        shutil.rmtree(partial / "weights")
        shutil.copytree(run.folder / "weights", partial / "weights")
        predictions, metrics = run.predictions, run.metrics
    for name in _AS_THEY_ARE:
        if (run.folder / name).is_file():
            shutil.copyfile(run.folder / name, partial / name)
    save_reliability(partial, calibrate(workspace, run, progress, shippable(run)))
    if (run.folder / LEFT_OUT_FILE).is_file():
        found = read_json(run.folder / LEFT_OUT_FILE)
        write_json(partial / LEFT_OUT_FILE, [each | {"options": without_folders(each["options"])} for each in found])
    if (run.folder / OUT_OF_SAMPLE_RECORD).is_file():
        noted = read_json(run.folder / OUT_OF_SAMPLE_RECORD, version=1, needs=("options",))
        write_json(partial / OUT_OF_SAMPLE_RECORD, noted | {"options": without_folders(noted["options"])}, version=1)
    write_table(partial / "predictions.parquet", predictions)
    write_json(partial / "metrics.json", dict(run.metrics) | metrics)
    bundle = {
        "precision": "float16" if half else "float32",
        "macro_f1_as_trained": before,
        "macro_f1_as_shipped": metrics["macro_f1"],
    }
    record = run.record | {"options": without_folders(run.record["options"]), "bundle": bundle | {"remark": remark}}
    write_json(partial / "run.json", sealed(partial, record))
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    size = sum(path.stat().st_size for path in (folder / "weights").iterdir())
    return {"run": run.id, "model": run.model_name, "megabytes": round(size / 1e6, 1), **bundle}


def _judged(workspace: Workspace, run: Run, partial: Path, progress: Progress) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Predictions of all of a run's faces by the weights as they ship, and the metrics of the test faces."""
    model = create_model(run.model_name, run.record["options"])
    model.load(partial / "weights")
    predictions = run.predictions.copy()
    images = stored_images(workspace, load_faces(workspace), predictions["face_id"])
    logits = model.predict_logit(images, progress)
    predictions["logit"], predictions["p_without_mask"] = logits, probability(logits)
    data = training_data(workspace, _plan_of(run))
    beside = judged_beside(workspace, data, model)
    return predictions, evaluate_predictions(predictions[predictions["split"] == "test"]) | beside


def _plan_of(run: Run) -> Plan:
    """What names a run's data."""
    data = run.record["data"]
    return Plan(
        run.model_name, seed=run.record["seed"], limit=run.record["limit"], fingerprint=run.fingerprint, pool=run.pool,
        left_out=data["left_out"], watched=data["watched"],
    )  # fmt: skip
