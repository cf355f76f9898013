"""What the tests of trainings share: quick options, the copies that networks are shown, logits, a fit without times."""

from typing import Any

import numpy as np
import pytest

from maskdet.augment import draw_copy
from maskdet.models import feeding
from maskdet.models.checkpoint import History
from maskdet.runs import Run

SMALL = {"components": 4, "C": [1.0, 10.0], "kernel": ["linear"], "folds": 2, "jobs": 1}
NETWORK = {"epochs": 2, "batch_size": 8, "precision": "float32", "augmentation": {"plan": "none"}}
RELIABILITY = {"reliability.json", "reliability.npz"}
#: How far the predictions of a resumed training may be off on one machine.
SAME = 1e-5


def copies_drawn(patch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The copies that networks are shown from now on: face and copy; filled in as they are drawn."""
    shown: list[tuple[str, str]] = []

    def draw(image: np.ndarray, copy: Any, *, face_id: str, **about: Any) -> np.ndarray:
        shown.append((face_id, copy))
        return draw_copy(image, copy, face_id=face_id, **about)

    patch.setattr(feeding, "draw_copy", draw)
    return shown


def logits(run: Run) -> np.ndarray:
    return run.predictions.sort_values("face_id")["logit"].to_numpy()


def without_times(history: History) -> History:
    """What a fit tells, but for how long it took."""
    return [{key: value for key, value in entry.items() if key != "seconds"} for entry in history]
