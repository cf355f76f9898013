"""Are detected faces framed as the training faces were? ``python -m benchmarks.check_framing [RUN ...]``.

Prints a table in Markdown, which stands in docs/detection.md. It compares the verdicts on the same test faces of a run,
each cropped in two ways: as annotated, and as `maskdet.detection.frame_face` cuts out what the detector found. In
Dataset 3.2 a detected face belongs to the annotated one on which it lies best (IoU of at least 0.3); a face that was
not found is left out of both. Photos of Datasets 1, 2.1 and 2.2 show one face, and as annotated is the whole of them;
the largest face found stands for it, and where none is found both crops are the whole photo, as in the app.

``--fit`` prints how far the edges of the annotated boxes of training faces lie from those of the detected ones instead,
and ``--split validation --shift 0.6`` judges validation faces with that share of it: how the framing was chosen.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from scipy.stats import binomtest
from sklearn.metrics import f1_score

from benchmarks.bench_detection import LEAST_IOU, LEAST_SIDE, overlaps
from benchmarks.framework import shared_data
from maskdet.detection import DetectedFace, FaceDetector, frame_face
from maskdet.facetable import scan
from maskdet.labels import CLASSES
from maskdet.photos import Box, RgbImage, clip_box, normalise, read_photo
from maskdet.runs import Run, find_run
from maskdet.runtime import open_runtime
from maskdet.workspace import Workspace

_RUNS = ("inceptionv3", "cnn", "cnn-transfer", "svm")
_BATCH = 64
_AT_MOST = 600
#: Medians that ``--fit`` prints, of which `frame_face` takes a part.
_MEDIAN_SHIFTS = np.array((0.00, 0.18, 0.03, 0.08))

Frame = Callable[[DetectedFace, int, int], Box]


def crops(data: Path, dataset: str, face_ids: set[str], frame: Frame) -> tuple[pd.DataFrame, RgbImage]:
    """Faces of a dataset, each cropped as annotated and as detected.

    Returns
    -------
    (DataFrame, array of uint8, shape (n, 2, 150, 150, 3))
        ``label``, ``side`` (the shorter one of the annotated box, in px) and ``framed``, whether the detector found it.
    """
    rows, pictures = [], []
    for row, photo, face in _matches(data, dataset, face_ids):
        annotated = (row.left, row.top, row.right, row.bottom)
        detected = annotated if face is None else frame(face, photo.width, photo.height)
        rows.append((row.label, min(row.width, row.height), face is not None))
        pictures.append(np.stack([normalise(photo.crop(box)) for box in (annotated, detected)]))
    return pd.DataFrame(rows, columns=["label", "side", "framed"]), np.stack(pictures)


def shifts(data: Path, face_ids: set[str]) -> pd.DataFrame:
    """How far annotated edges lie right of or below detected ones, in widths and heights of the detected box."""
    rows = []
    for row, photo, face in _matches(data, "3.2", face_ids):
        cut = row.left <= 1 or row.top <= 1 or row.right >= photo.width - 1 or row.bottom >= photo.height - 1
        if face is not None and not cut and min(row.width, row.height) >= LEAST_SIDE:
            box = np.array(face.box)
            rows.append((np.array((row.left, row.top, row.right, row.bottom)) - box) / np.tile(box[2:] - box[:2], 2))
    return pd.DataFrame(rows, columns=["left", "top", "right", "bottom"])


def frame_by(share: float) -> Frame:
    """Crops by a share of the median shifts, rounded to two digits."""

    def frame(face: DetectedFace, width: int, height: int) -> Box:
        left, top, right, bottom = face.box
        sizes = np.array((right - left, bottom - top) * 2)
        return clip_box(tuple(np.array(face.box) + share * sizes * _MEDIAN_SHIFTS), width, height)

    return frame


def _matches(data: Path, dataset: str, face_ids: set[str]) -> Iterator[tuple[Any, Image.Image, DetectedFace | None]]:
    """Each face, its photo, and what the detector found of it."""
    with TemporaryDirectory() as home:
        faces = scan(Workspace(Path(home)), data / dataset)
    table = faces.table[faces.table["face_id"].isin(face_ids)]
    table = table.iloc[:: -(-len(table) // _AT_MOST)] if table["whole_photo"].all() else table
    detector = FaceDetector()
    for name, part in table.groupby("photo"):
        photo = read_photo(faces.roots[dataset] / str(name)).image
        found = detector(np.asarray(photo))
        for row, face in zip(part.itertuples(), _matched(part, found), strict=True):
            yield row, photo, face


def _matched(rows: pd.DataFrame, found: list[DetectedFace]) -> Iterator[DetectedFace | None]:
    """For each annotated face the detected one that belongs to it."""
    if rows["whole_photo"].all():
        yield max(found, key=lambda face: face.box[2] - face.box[0], default=None)
        return
    boxes = np.array([face.box for face in found], np.float64).reshape(-1, 4)
    overlap = overlaps(rows[["left", "top", "right", "bottom"]].to_numpy(np.float64), boxes)
    for number, shares in enumerate(overlap):
        best = int(shares.argmax()) if len(found) else 0
        own = len(found) > 0 and shares[best] >= LEAST_IOU and overlap[:, best].argmax() == number
        yield found[best] if own else None


def judged(run: Run, pictures: RgbImage) -> np.ndarray:
    """Whether the run says *without mask*, for each face and crop, shape (n, 2)."""
    runtime = open_runtime(run)
    parts = [
        np.stack([runtime(pictures[begin : begin + _BATCH, crop])[0] for crop in range(2)], axis=1)
        for begin in range(0, len(pictures), _BATCH)
    ]
    return np.concatenate(parts) > 0


def line(name: str, what: str, labels: pd.Series, verdicts: np.ndarray) -> str:
    """A row of a table: accuracy and macro F1 of both crops, and what changes between them."""
    actual = (labels == CLASSES[1]).to_numpy()
    right = verdicts == actual[:, None]
    cells = []
    for crop in range(2):
        interval = binomtest(int(right[:, crop].sum()), len(right)).proportion_ci(0.95, method="wilson")
        macro = f1_score(actual, verdicts[:, crop], average="macro")
        accuracy = f"{100 * right[:, crop].mean():.1f} % ({100 * interval.low:.1f} to {100 * interval.high:.1f})"
        cells.append(f"{accuracy}, F1 {100 * macro:.1f}")
    gained, lost = int((right[:, 1] & ~right[:, 0]).sum()), int((right[:, 0] & ~right[:, 1]).sum())
    difference = 100 * (right[:, 1].mean() - right[:, 0].mean())
    return f"| {name} | {what} | {len(right)} | {' | '.join(cells)} | {difference:+.1f} | {lost}, {gained} |"


def main() -> None:
    """Print the table, or the shifts."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.check_framing", description="Tables of detection.md")
    parser.add_argument("runs", nargs="*", help="bundled runs or models' names; default: all four")
    parser.add_argument("--split", choices=("validation", "test"), default="test", help="the faces that are judged")
    parser.add_argument("--shift", type=float, help="share of the median shifts, in the place of what the app does")
    parser.add_argument("--fit", action="store_true", help="print the shifts of training faces instead")
    options = parser.parse_args()
    with TemporaryDirectory() as empty:
        runs = [find_run(Workspace(Path(empty)), name) for name in options.runs or _RUNS]
    known, data = runs[0].predictions.set_index("face_id")["split"], shared_data()
    if options.fit:
        found = shifts(data, set(known.index[known == "train"]))
        print(f"n = {len(found)}\n{found.quantile([0.25, 0.5, 0.75]).round(3)}")
        return
    heads = ("model", f"{options.split} faces", "n", "as annotated", "as detected", "points", "lost, gained")
    print(f"| {' | '.join(heads)} |\n{'|---' * len(heads)}|")
    frame = frame_face if options.shift is None else frame_by(options.shift)
    for dataset in ("3.2", "2.1", "2.2", "1") if options.split == "test" else ("3.2",):
        rows, pictures = crops(data, dataset, _judged_faces(data, dataset, known, options.split), frame)
        for run in runs:
            verdicts = judged(run, pictures)
            for what, part in _parts(dataset, rows):
                print(line(run.model_name, what, rows.loc[part, "label"], verdicts[part]), flush=True)


def _judged_faces(data: Path, dataset: str, known: "pd.Series[str]", split: str) -> set[str]:
    if dataset != "1":
        return set(known.index[known == split])
    with TemporaryDirectory() as home:  # of the pre-training pool
        return set(scan(Workspace(Path(home)), data / dataset).table["face_id"])


def _parts(dataset: str, rows: pd.DataFrame) -> Iterator[tuple[str, np.ndarray]]:
    if dataset == "3.2":
        yield f"3.2, {LEAST_SIDE} px and more", (rows["framed"] & (rows["side"] >= LEAST_SIDE)).to_numpy()
        yield f"3.2, 20 to {LEAST_SIDE - 1} px", (rows["framed"] & rows["side"].between(20, LEAST_SIDE - 1)).to_numpy()
        yield "3.2, below 20 px", (rows["framed"] & (rows["side"] < 20)).to_numpy()
        yield "3.2, all that were found", rows["framed"].to_numpy()
    else:
        yield dataset, np.ones(len(rows), dtype=bool)


if __name__ == "__main__":
    main()
