"""The face detector on the annotated photos of Datasets 3.1 and 3.2.

Recall: of the annotated faces whose shorter side has at least 40 px, the share on which a box lies (IoU of at least
0.3), with Wilson's 95 % interval, which takes faces for independent. A false box lies on no annotated face so; many are
faces that nobody annotated (docs/detection.md). The baseline is the same network on each photo once, with a longer side
of 640 px. Goals: recall of at least 0.95 for masked and for unmasked faces, and at most 0.03 between them.

Milliseconds: the quickest of 15 calls for a photo with one face, NASA's portrait of Eileen Collins from scikit-image,
stretched to 640x480 and to 4000x3000 px. The baseline is OpenCV's own class for YuNet, which sees all pixels once.
Goals: under 60 and under 100 ms.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import binomtest

from benchmarks.framework import Row, duration, measure, shared_data
from maskdet.detection import MODEL_FILE, DetectionOptions, FaceDetector
from maskdet.facetable import scan
from maskdet.photos import RgbImage, read_photo
from maskdet.workspace import Workspace

#: Boxes (left, top, right, bottom) in pixels, shape (n, 4).
Boxes = npt.NDArray[np.float64]
#: What finds the faces of a photo.
Finder = Callable[[RgbImage], Boxes]

LEAST_SIDE = 40
LEAST_IOU = 0.3
ONE_PASS = DetectionOptions(sides=(640,), border=0, detail_side=4096, crowd_side=4096, most_enlarged=100)
_RECALL_GOAL, _GAP_GOAL = 0.95, 0.03
_SIZES = (((640, 480), 60), ((4000, 3000), 100))


@dataclass(frozen=True)
class AnnotatedPhoto:
    """A photo with its annotated faces; every other photo, by name, is in half 0, on which options were chosen."""

    dataset: str
    name: str
    half: int
    pixels: RgbImage
    boxes: Boxes
    labels: tuple[str, ...]
    face_ids: tuple[str, ...]


@dataclass(frozen=True)
class Findings:
    """What a detector made of photos.

    Attributes
    ----------
    faces : DataFrame
        A row an annotated face: ``dataset, half, label, side`` (the shorter one, in px), ``found``.
    photos : DataFrame
        A row a photo: ``half``, ``false`` (boxes on no annotated face), ``large_false`` (of at least 40 px), ``ms``.
    """

    faces: pd.DataFrame
    photos: pd.DataFrame


def run(quick: bool) -> list[Row]:
    """The rows of the table; quick: every tenth photo."""
    photos = annotated_photos(shared_data())[:: 10 if quick else 1]
    findings = look_for_faces(finder(FaceDetector()), photos)
    once = look_for_faces(finder(FaceDetector(ONE_PASS)), photos)
    return [*recall_rows(findings, once), false_row(findings, once), *(speed_row(*size) for size in _SIZES)]


def annotated_photos(data: Path, datasets: Sequence[str] = ("3.1", "3.2")) -> list[AnnotatedPhoto]:
    """The photos of some datasets of annotated faces, in order of dataset and name."""
    photos = []
    with TemporaryDirectory() as home:
        for dataset in datasets:
            faces = scan(Workspace(Path(home) / dataset), data / dataset, jobs=1)
            for name, rows in faces.table.groupby("photo"):
                pixels = np.asarray(read_photo(faces.roots[dataset] / name).image)
                boxes = rows[["left", "top", "right", "bottom"]].to_numpy(np.float64)
                half = len(photos) % 2
                labels, ids = tuple(rows["label"]), tuple(rows["face_id"])
                photos.append(AnnotatedPhoto(dataset, str(name), half, pixels, boxes, labels, ids))
    return photos


def finder(detector: FaceDetector) -> Finder:
    """Boxes alone."""
    return lambda photo: np.array([face.box for face in detector(photo)], np.float64).reshape(-1, 4)


def look_for_faces(find: Finder, photos: Sequence[AnnotatedPhoto]) -> Findings:
    """Let a detector look at photos."""
    faces, counts = [], []
    for photo in photos:
        begin = time.perf_counter()
        found = find(photo.pixels)
        milliseconds = 1000 * (time.perf_counter() - begin)
        overlap = overlaps(photo.boxes, found)
        sides = (photo.boxes[:, 2:] - photo.boxes[:, :2]).min(axis=1)
        for label, side, hit in zip(photo.labels, sides, (overlap >= LEAST_IOU).any(axis=1), strict=True):
            faces.append((photo.dataset, photo.half, label, side, hit))
        false = ~(overlap >= LEAST_IOU).any(axis=0)
        large = (found[:, 2:] - found[:, :2]).min(axis=1, initial=np.inf) >= LEAST_SIDE
        counts.append((photo.half, int(false.sum()), int((false & large).sum()), milliseconds))
    return Findings(
        pd.DataFrame(faces, columns=["dataset", "half", "label", "side", "found"]),
        pd.DataFrame(counts, columns=["half", "false", "large_false", "ms"]),
    )


def overlaps(first: Boxes, second: Boxes) -> npt.NDArray[np.float64]:
    """Intersection over union of each of the first boxes with each of the second, shape (n, m)."""
    corners = np.minimum(first[:, None, 2:], second[None, :, 2:]) - np.maximum(first[:, None, :2], second[None, :, :2])
    shared = corners.clip(min=0).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (first, second)]
    return np.asarray(shared / (areas[0][:, None] + areas[1][None, :] - shared))


def recall(faces: pd.DataFrame, label: str) -> tuple[int, int]:
    """Found faces of a label that are large enough, and how many there are."""
    large = faces[(faces["label"] == label) & (faces["side"] >= LEAST_SIDE)]
    return int(large["found"].sum()), len(large)


def share(hits: int, count: int, digits: int = 3) -> str:
    """A share with Wilson's 95 % interval and what it is a share of."""
    if not count:
        return "no faces"
    interval = binomtest(hits, count).proportion_ci(0.95, method="wilson")
    return f"{hits / count:.{digits}f} ({interval.low:.{digits}f} to {interval.high:.{digits}f}, n = {count:,})"


def recall_rows(findings: Findings, once: Findings) -> list[Row]:
    """Recall of both labels, and the gap between them."""
    rows, shares = [], []
    for label, what in (("with_mask", "masked"), ("without_mask", "unmasked")):
        hits, count = recall(findings.faces, label)
        shares.append(hits / count)
        goal = f"at least {_RECALL_GOAL}"
        baseline = f"one pass: {share(*recall(once.faces, label))}"
        rows.append(Row(f"recall, {what} faces", share(hits, count), baseline, None, goal, shares[-1] >= _RECALL_GOAL))
    gap = abs(shares[1] - shares[0])
    rows.append(Row("recall, between them", f"{gap:.3f}", goal=f"at most {_GAP_GOAL}", met=gap <= _GAP_GOAL))
    return rows


def false_row(findings: Findings, once: Findings) -> Row:
    """Boxes on no annotated face."""
    every, before = ((item.photos["false"].mean(), item.photos["large_false"].mean()) for item in (findings, once))
    what = f"boxes on no annotated face, a photo; of at least {LEAST_SIDE} px, n = {len(findings.photos)}"
    return Row(what, f"{every[0]:.2f}; {every[1]:.3f}", f"one pass: {before[0]:.2f}; {before[1]:.3f}")


def speed_row(size: tuple[int, int], goal: int) -> Row:
    """Milliseconds for a photo with one face."""
    photo, detector, opencv = portrait(size), FaceDetector(), _opencv(size)
    (_, ours), (_, theirs) = (measure(partial(find, photo), repeats=15) for find in (detector, opencv))
    measured, baseline = (f"{duration(cost.wall)} (CPU {duration(cost.cpu)})" for cost in (ours, theirs))
    what = f"{size[0]}x{size[1]} px, one face"
    ratio, met = theirs.wall / ours.wall, 1000 * ours.wall < goal
    return Row(what, measured, f"OpenCV: {baseline}", ratio, f"< {goal} ms", met)


def portrait(size: tuple[int, int]) -> RgbImage:
    """A photo with one face."""
    from skimage.data import astronaut

    return np.asarray(cv2.resize(astronaut(), size, interpolation=cv2.INTER_LINEAR), dtype=np.uint8)


def milliseconds(find: Callable[[RgbImage], Any], photo: RgbImage, repeats: int = 15) -> float:
    """The quickest of some calls: other programs only ever make one slower."""
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        find(photo)
        times.append(1000 * (time.perf_counter() - begin))
    return min(times)


def _opencv(size: tuple[int, int]) -> Callable[[RgbImage], Any]:
    network = cv2.FaceDetectorYN.create(str(MODEL_FILE), "", size, 0.6, 0.3, 5000)
    return lambda photo: network.detect(cv2.cvtColor(photo, cv2.COLOR_RGB2BGR))
