"""From verdicts on many photos to the entries of a report: crops, heatmaps over them, and remarks."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from maskdet.attribution import COLOUR_MAPS, METHODS, Explainer, Heatmap, overlay
from maskdet.detection import FaceDetector
from maskdet.photo_report import FACE_SIDE, PHOTO_SIDE, ReportFace, ReportModel, ReportPhoto
from maskdet.photos import Box, RgbImage, read_photo
from maskdet.predict import FoundFace, Judge, JudgedPhoto, Verdict, why_not
from maskdet.progress import Progress, silent

#: From a normalised face and a label to the heatmap of its evidence.
Explain = Callable[[RgbImage, str], Heatmap]


def report_photos(
    judged: Sequence[JudgedPhoto],
    sources: Sequence[Path | bytes],
    judge: Judge,
    explain: Explain | None,
    progress: Progress = silent,
    *,
    opacity: float = 0.6,
    colour_map: str = COLOUR_MAPS[0],
) -> Iterator[ReportPhoto]:
    """The entries of `maskdet.photo_report.photo_report`, a photo at a time.

    Parameters
    ----------
    judged, sources : sequences of the same length
        What `maskdet.predict.judge_photos` gave for these sources.
    explain : callable or None
        None leaves out the heatmaps.
    opacity, colour_map
        As in `maskdet.attribution.overlay`.
    """
    for number, (item, source) in enumerate(zip(judged, sources, strict=True), start=1):
        photo = item.photo
        if photo.readable:
            image = read_photo(source).image
            faces = tuple(
                _entry(image, face, verdict, judge, explain, opacity, colour_map)
                for face, verdict in zip(photo.faces, item.verdicts, strict=True)
            )
            yield _small(ReportPhoto(photo.name, photo.status, np.asarray(image), faces))
        else:
            yield ReportPhoto(photo.name, photo.status, None)
        progress(number, len(judged), "writing the report")


def _entry(
    image: Image.Image,
    face: FoundFace,
    verdict: Verdict | None,
    judge: Judge,
    explain: Explain | None,
    opacity: float,
    colour_map: str,
) -> ReportFace:
    cut = image.crop(face.box)
    cut.thumbnail((FACE_SIDE, FACE_SIDE))
    crop = np.asarray(cut)
    if verdict is None:
        return ReportFace(face.number, face.box, crop, None, None, None)
    heat, remarks = None, [why_not(verdict, judge.reliability)]
    if explain:
        heatmap = explain(face.pixels, verdict.label)
        if heatmap.has_evidence:
            heat = overlay(crop, heatmap, opacity, colour_map)
        else:
            remarks.append("The heatmap is empty: no evidence was found for this class.")
    return ReportFace(
        face.number, face.box, crop, verdict.label, verdict.verdict, verdict.p_without_mask, heat,
        " ".join(filter(None, remarks)),
    )  # fmt: skip


def report_model(judge: Judge, explainer: Explainer, detector: FaceDetector | None, min_size: int) -> ReportModel:
    """What the heading of a report says of the model, of its heatmaps, and of how faces were found."""
    reliability, method = judge.reliability, METHODS[explainer.methods[0]]
    how = method.title + (f", layer {explainer.default_layer}" if method.uses_layer else "")
    found = "each photo was taken as one face"
    if detector:
        found = f"YuNet, score at least {detector.options.score_threshold:g}; faces from {min_size} px"
    band = (reliability.low, reliability.high) if reliability else None
    return ReportModel(judge.run.title, judge.run.id, band, how, found)


def _small(entry: ReportPhoto) -> ReportPhoto:
    """The entry with its photo, and the boxes on it, no larger than a report shows them."""
    if entry.photo is None:
        return entry
    image = Image.fromarray(entry.photo)
    image.thumbnail((PHOTO_SIDE, PHOTO_SIDE))
    scale = image.width / entry.photo.shape[1]
    faces = tuple(replace(face, box=_scaled(face.box, scale)) for face in entry.faces)
    return replace(entry, photo=np.asarray(image), faces=faces)


def _scaled(box: Box, scale: float) -> Box:
    left, top, right, bottom = (round(side * scale) for side in box)
    return left, top, right, bottom
