"""Finished runs, written by hand: their predictions are what a test says, and no model is trained."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from maskdet.metrics import evaluate_predictions
from maskdet.runs import FORMAT, Run, open_run
from maskdet.workspace import Workspace, write_json, write_table

CURVES = [
    {"epoch": 1, "phase": 1, "loss": 0.6, "accuracy": 0.7, "val_loss": 0.5, "val_accuracy": 0.75, "kept": 0},
    {"epoch": 2, "phase": 2, "loss": 0.4, "accuracy": 0.8, "val_loss": 0.3, "val_accuracy": 0.85, "kept": 1},
    {"epoch": 3, "phase": 2, "loss": 0.2, "accuracy": 0.9, "val_loss": 0.4, "val_accuracy": 0.80, "kept": 0},
]
GRID = [
    {"kernel": kernel, "C": c, "gamma": gamma, "f1_macro": f1, "f1_macro_std": 0.01, "explained_variance": 0.87}
    for kernel, c, gamma, f1 in (("rbf", 1.0, 0.01, 0.90), ("rbf", 10.0, 0.01, 0.92), ("linear", 1.0, 0.0, 0.85))
]


def predictions(
    count: int = 60, wrong: Sequence[int] = (), datasets: Sequence[str] = ("a", "b"), first: int = 0
) -> pd.DataFrame:
    """Faces of both labels in turn, in splits train, validation and test in turn; some of the test faces judged wrong.

    Parameters
    ----------
    wrong : sequence of int
        Which of the test faces, counted from 0.
    first : int
        Number of the first face: other numbers are other faces.
    """
    number = np.arange(first, first + count)
    label = np.where(number // 3 % 2 == 1, "without_mask", "with_mask")
    table = pd.DataFrame(
        {
            "face_id": [f"{datasets[n // 6 % len(datasets)]}/{n:04d}.png" for n in number],
            "dataset": [datasets[n // 6 % len(datasets)] for n in number],
            "label": label,
            "group": number,
            "split": np.array(["train", "validation", "test"])[number % 3],
            "logit": np.where(label == "without_mask", 2.0, -2.0),
        }
    )
    test = table.index[table["split"] == "test"]
    table.loc[test[list(wrong)], "logit"] *= -1
    return table.assign(p_without_mask=1 / (1 + np.exp(-table["logit"])))


def write_run(
    parent: Path | Workspace,
    name: str,
    model: str = "cnn",
    *,
    table: pd.DataFrame | None = None,
    history: Sequence[Mapping[str, Any]] | None = None,
    options: Mapping[str, Any] | None = None,
    data: Mapping[str, Any] | None = None,
    **record: Any,
) -> Run:
    """Write a run's folder, without weights; ``data`` and ``record`` override what its run.json says."""
    folder = (parent.path("runs") if isinstance(parent, Workspace) else parent) / name
    table = predictions() if table is None else table
    counts = table["split"].value_counts().to_dict()
    whole = {
        "format": FORMAT, "id": name, "model": model, "created": "2026-01-02T03:04:05Z", "options": dict(options or {}),
        "seed": 0, "limit": None, "base": None,
        "data": {
            "fingerprint": "abc", "pool": "main", "faces": counts, "datasets": sorted(table["dataset"].unique()),
            "left_out": [], "watched": [], "filter": {"hash_distance": 4}, "split": {"seed": 0},
        } | dict(data or {}),
        "environment": {"cores": 2, "processor": "a", "packages": {"numpy": "2"}},
        "seconds": {"fit": 100.0, **{f"predict_{split}": count / 1000 for split, count in counts.items()}},
    } | record  # fmt: skip
    write_json(folder / "run.json", whole)
    write_json(folder / "history.json", list(history if history is not None else GRID if model == "svm" else CURVES))
    write_json(folder / "metrics.json", evaluate_predictions(table[table["split"] == "test"]))
    write_table(folder / "predictions.parquet", table)
    return open_run(folder)


def validated(folder: Path, wrong: int) -> None:
    """Write predictions of ten validation faces of each label into a run, of which some with mask are misjudged."""
    table = pd.DataFrame({"label": ["with_mask", "without_mask"] * 10, "logit": [-1.0, 1.0] * 10})
    table.loc[table.index[::2][:wrong], "logit"] = 1.0
    ids = [f"a/{number}" for number in range(20)]
    write_table(folder / "predictions.parquet", table.assign(face_id=ids, dataset="a", split="validation"))
