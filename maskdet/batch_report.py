"""From verdicts on many photos to the entries of a report: crops, heatmaps over them, and remarks."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from maskdet.attribution import COLOUR_MAPS, Heatmap, overlay
from maskdet.photo_report import ReportFace, ReportPhoto
from maskdet.photos import RgbImage, read_photo
from maskdet.predict import FoundFace, Judge, JudgedPhoto, Verdict, why_not
from maskdet.progress import Progress, silent

#: From a normalised face and a label to the heatmap of its evidence.
Explain = Callable[[RgbImage, str], Heatmap]
#: A face is laid under its heatmap at this many pixels at most: no report shows more of it.
_FACE_SIDE: Final = 480


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
            yield ReportPhoto(photo.name, photo.status, np.asarray(image), faces)
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
    cut.thumbnail((_FACE_SIDE, _FACE_SIDE))
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
