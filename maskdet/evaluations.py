"""Runs judged on other data than they were made with: which faces are fair, and what was predicted for them.

evaluations/RUN-FINGERPRINT.parquet   a row a face, as in a run's predictions
evaluations/RUN-FINGERPRINT.json      when, how long it took, and its `Evaluation`
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pandas as pd

from maskdet.labels import CLASSES
from maskdet.run_records import read_predictions
from maskdet.runs import Run
from maskdet.workspace import Workspace, is_record, read_json, unreadable, write_json, write_table

_RECORD: Final[dict[str, Any]] = {
    "run": str, "fingerprint": str, "same_data": bool, "left_out": int, "seconds": (int, float), "metrics": dict
}  # fmt: skip
_COLUMNS: Final = ["face_id", "dataset", "label", "group", "split", "logit", "p_without_mask"]


@dataclass(frozen=True)
class Evaluation:
    """A run's metrics on the current test split of a workspace.

    Attributes
    ----------
    metrics : dict
        See `maskdet.metrics.evaluate_predictions`.
    predictions : DataFrame
        A row a test face, columns as in a run's predictions.
    fingerprint : str
        Of the split it was judged on.
    same_data : bool
        True where the run was trained on this very split.
    left_out : int
        Test faces that the run saw in training or validation, or whose photo or copy it saw; they are not counted.
    seconds : float
        What predicting took.
    """

    metrics: dict[str, Any]
    predictions: pd.DataFrame
    fingerprint: str
    same_data: bool
    left_out: int
    seconds: float


@dataclass(frozen=True)
class Coverage:
    """What a run says of the test faces of some split.

    Attributes
    ----------
    predictions : DataFrame
        Columns as in a run's predictions; labels and groups are those of the split.
    missing : int
        Test faces that the run never saw and for which nothing is predicted yet.
    seen : int
        Test faces left out because the run, or the run it began with, was trained or validated on them or on a face
        of their group.
    """

    predictions: pd.DataFrame
    missing: int
    seen: int


def unseen_test_faces(table: pd.DataFrame, seen: Iterable[str]) -> pd.DataFrame:
    """The test faces of a split by which a run may be judged.

    A face is left out if the run saw it in training or validation, or saw a face of its group: the same photo or a
    near duplicate under another name would flatter the run as much.

    Parameters
    ----------
    table : DataFrame
        Columns ``face_id``, ``label``, ``group`` and ``split``: all faces of a split, so that groups are whole.
    seen : iterable of str
        Ids of the faces that the run was trained or validated on.
    """
    known = table.loc[table["face_id"].isin(set(seen)), "group"].unique()
    fair = (table["split"] == "test") & table["label"].isin(CLASSES) & ~table["group"].isin(known)
    return table[fair].reset_index(drop=True)


def seen_faces(run: Run, runs: Sequence[Run]) -> set[str]:
    """Faces that a run was trained or validated on, with those of the run that it began with, if that is among runs.

    Raises WorkspaceError if its predictions cannot be read.
    """
    seen = set(run.predictions.loc[run.predictions["split"] != "test", "face_id"])
    base = next((other for other in runs if other.id == run.record.get("base") and other.id != run.id), None)
    return seen | (seen_faces(base, runs) if base else set())


def coverage(run: Run, table: pd.DataFrame, seen: Iterable[str], evaluation: Evaluation | None = None) -> Coverage:
    """What a run says of a split's test faces, from its stored predictions and an evaluation on that split.

    Parameters
    ----------
    table : DataFrame
        All faces of the split, of both pools; judged are those of the run's own.
    seen : iterable of str
        See `seen_faces`.
    """
    pool = run.record["data"].get("pool", "main")
    test = table[(table["split"] == "test") & table["label"].isin(CLASSES) & (table["pool"] == pool)]
    fair = unseen_test_faces(table, seen)
    fair = fair[fair["pool"] == pool]
    known = run.predictions.loc[run.predictions["split"] == "test", ["face_id", "logit", "p_without_mask"]]
    if evaluation is not None:
        again = evaluation.predictions[["face_id", "logit", "p_without_mask"]]
        known = pd.concat([known, again]).drop_duplicates("face_id", keep="last")
    judged = fair.merge(known, on="face_id")
    return Coverage(judged[_COLUMNS], missing=len(fair) - len(judged), seen=len(test) - len(fair))


def save_evaluation(workspace: Workspace, run: Run, fingerprint: str, evaluation: Evaluation) -> None:
    """Keep what a run predicted for the split of a fingerprint. Raises WorkspaceError if it cannot be written."""
    table, record = _paths(workspace, run, fingerprint)
    write_table(table, evaluation.predictions)
    description: dict[str, Any] = {
        "run": run.id,
        "fingerprint": fingerprint,
        "created": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "same_data": evaluation.same_data,
        "left_out": evaluation.left_out,
        "seconds": round(evaluation.seconds, 3),
        "metrics": evaluation.metrics,
    }
    write_json(record, description, version=1)


def load_evaluation(workspace: Workspace, run: Run, fingerprint: str) -> Evaluation | None:
    """What `save_evaluation` kept, or None if nothing was.

    Raises
    ------
    WorkspaceError
        If the files are damaged or of another run, or what was predicted of a face is no number.
    """
    table, record = _paths(workspace, run, fingerprint)
    if not record.is_file():
        return None
    stored, predictions = read_json(record, version=1), read_predictions(table, _COLUMNS)
    if (
        not is_record(stored, _RECORD)
        or (stored["run"], stored["fingerprint"]) != (run.id, fingerprint)
        or min(stored["left_out"], stored["seconds"]) < 0
    ):
        raise unreadable(record, "it is of another kind, or of another run")
    return Evaluation(
        metrics=stored["metrics"],
        predictions=predictions,
        fingerprint=fingerprint,
        same_data=stored["same_data"],
        left_out=stored["left_out"],
        seconds=float(stored["seconds"]),
    )


def _paths(workspace: Workspace, run: Run, fingerprint: str) -> tuple[Path, Path]:
    stem = f"{run.id}-{fingerprint}"
    return workspace.path("evaluations", f"{stem}.parquet"), workspace.path("evaluations", f"{stem}.json")
