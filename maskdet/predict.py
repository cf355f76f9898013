"""Predict photos: from files of any kind to one row a face."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from maskdet.errors import MaskDetError, PhotoError
from maskdet.images import ArrayImages
from maskdet.labels import CLASSES
from maskdet.models.base import Model, probability
from maskdet.photos import Photo, RgbImage, list_photos, normalise, read_photo
from maskdet.progress import Progress, silent

#: Columns of a prediction, in order; `label` and all after it but `model` and `status` are empty if status is not ok.
COLUMNS: Final = ("file", "face", "left", "top", "right", "bottom", "label", "p_without_mask", "model", "status")
OK: Final = "ok"
_BATCH: Final = 64


@dataclass(frozen=True)
class Verdict:
    """What a model says of one face.

    Attributes
    ----------
    p_without_mask : float
        Probability of being without mask, 0..1.
    """

    label: str
    logit: float
    p_without_mask: float


def judge(model: Model, faces: Sequence[RgbImage]) -> list[Verdict]:
    """Verdicts on normalised faces. A logit above 0 is *without mask* (study, 6.3)."""
    if not faces:
        return []
    logits = model.predict_logit(ArrayImages(np.stack(faces)))
    return [
        Verdict(CLASSES[int(logit > 0)], float(logit), float(p))
        for logit, p in zip(logits, probability(logits), strict=True)
    ]


def collect_photos(paths: Sequence[Path]) -> list[Path]:
    """Files to predict: each file that was named, and each photo in a folder that was named.

    A file that does not exist stays in the list and becomes a row that says so.

    Raises
    ------
    MaskDetError
        If nothing that was named exists, or it is only folders without a photo.
    """
    if paths and not any(path.exists() for path in paths):
        raise MaskDetError(f"There is no file or folder {', '.join(map(str, paths))}.")
    photos = [photo for path in paths for photo in (list_photos(path) if path.is_dir() else [path])]
    if not photos:
        raise MaskDetError(f"No photos in {', '.join(map(str, paths)) or 'nothing'}.")
    return photos


def predict_photos(
    sources: Sequence[tuple[str, Path | bytes]], model: Model, model_id: str, progress: Progress = silent
) -> pd.DataFrame:
    """Predict photos; until there is a face detector, a whole photo is one face.

    Parameters
    ----------
    sources : sequence of (name, path or bytes)
        The name goes into the column ``file``.
    model_id : str
        What goes into the column ``model``.

    Returns
    -------
    DataFrame
        `COLUMNS`, a row a face, in the order of the sources. A file that cannot be read is a row whose status says
        why; it never ends the batch.
    """
    rows: list[dict[str, object]] = []
    for begin in range(0, len(sources), _BATCH):
        batch = sources[begin : begin + _BATCH]
        readable: list[tuple[dict[str, object], RgbImage]] = []
        for name, source in batch:
            row: dict[str, object] = dict.fromkeys(COLUMNS) | {"file": name, "model": model_id}
            rows.append(row)
            try:
                photo = read_photo(source)
            except PhotoError as error:
                row["status"] = str(error)
                continue
            row |= {"face": 1, "left": 0, "top": 0, "right": photo.width, "bottom": photo.height, "status": OK}
            readable.append((row, whole_face(photo)))
        for (row, _), verdict in zip(readable, judge(model, [face for _, face in readable]), strict=True):
            row |= {"label": verdict.label, "p_without_mask": round(verdict.p_without_mask, 6)}
        progress(begin + len(batch), len(sources), "predicting")
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.astype(dict.fromkeys(("face", "left", "top", "right", "bottom"), "Int64"))


def whole_face(photo: Photo) -> RgbImage:
    """A photo taken as one face, normalised."""
    return normalise(photo.image)
