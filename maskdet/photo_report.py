"""A report on a batch of photos as one HTML file to keep, send on, or print.

The file needs nothing else: styles and pictures are in it, it asks no server for anything and runs no script, which it
also tells the browser to enforce. Names of files are escaped.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from PIL import Image

from maskdet import __version__
from maskdet.photos import Box, RgbImage
from maskdet.predict import OK, VERDICTS

#: What is counted, in the order of the report: the verdicts and what got none.
COUNTED: Final = (*VERDICTS, "too_small", "unreadable")
TITLES: Final = {
    "with_mask": "With mask",
    "without_mask": "Without mask",
    "not_sure": "Not sure",
    "not_like_training_data": "Not like the training data",
    "too_small": "Too small to judge",
    "unreadable": "Unreadable",
}
_TEMPLATE: Final = Path(__file__).with_suffix(".html.jinja")
#: Longest side of a photo and of a face in a report, in px.
PHOTO_SIDE: Final = 960
FACE_SIDE: Final = 240
_QUALITY: Final = 82


@dataclass(frozen=True)
class ReportFace:
    """A face in the report.

    Attributes
    ----------
    number : int
        On the photo, 1...
    box : Box
        What was cropped, in px of the photo: left, top, right, bottom.
    crop : array of uint8, shape (height, width, 3)
    label, verdict : str or None
        The model's choice and the verdict, one of `maskdet.predict.VERDICTS`; None for a face that is too small.
    p_without_mask : float or None
        0..1, calibrated where the run is.
    heatmap : array of uint8, shape (height, width, 3), or None
        The heatmap laid over the face; None if there is none.
    remark : str
        Why the verdict is not to be believed, or that no evidence was found; "" if there is nothing to say.
    """

    number: int
    box: Box
    crop: RgbImage
    label: str | None
    verdict: str | None
    p_without_mask: float | None
    heatmap: RgbImage | None = None
    remark: str = ""


@dataclass(frozen=True)
class ReportPhoto:
    """A photo in the report.

    Attributes
    ----------
    status : str
        `maskdet.predict.OK`, that it was taken as one face, or why it cannot be read.
    photo : array of uint8, shape (height, width, 3), or None
        The photo the right way up; None if it cannot be read.
    """

    name: str
    status: str
    photo: RgbImage | None
    faces: tuple[ReportFace, ...] = ()


@dataclass(frozen=True)
class ReportModel:
    """What made the verdicts.

    Attributes
    ----------
    not_sure : (float, float) or None
        Probabilities of no mask between which a verdict is "not sure"; None if the run has no such band.
    heatmap : str
        Method and layer, such as "Grad-CAM, layer mixed8"; "" if there are no heatmaps.
    detector : str
        How faces were found, such as "YuNet, score at least 0.6; faces from 40 px".
    """

    title: str
    run_id: str
    not_sure: tuple[float, float] | None
    heatmap: str
    detector: str


def photo_report(photos: Sequence[ReportPhoto], model: ReportModel, created: datetime | None = None) -> str:
    """The report as HTML.

    Parameters
    ----------
    photos : sequence of ReportPhoto
        In the order of the report. Pictures are shrunk, to 960 px a photo; about 100 kB a photo and 20 kB a face.
    created : datetime or None
        Date and time in the heading; None: now.
    """
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {
        "picture": _picture,
        "face": lambda pixels: _picture(pixels, FACE_SIDE),
        "probability": _shown,
    }
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    return template.render(
        photos=photos, model=model, counts=counts(photos), titles=TITLES, rows=_rows(photos), ok=OK,
        faces=sum(len(photo.faces) for photo in photos), created=created or datetime.now().astimezone(),
        version=__version__,
    )  # fmt: skip


def counts(photos: Sequence[ReportPhoto]) -> dict[str, int]:
    """How many faces got each verdict, how many were too small, and how many files are unreadable: by `COUNTED`."""
    found = dict.fromkeys(COUNTED, 0)
    for photo in photos:
        found["unreadable"] += photo.photo is None
        for face in photo.faces:
            found[face.verdict or "too_small"] += 1
    return found


def _rows(photos: Sequence[ReportPhoto]) -> list[dict[str, Any]]:
    """The table of all faces: a row a face, or a row for a file that cannot be read."""
    rows: list[dict[str, Any]] = []
    for place, photo in enumerate(photos, start=1):
        about = {"photo": place, "name": photo.name}
        status = "" if photo.status == OK else photo.status
        for face in photo.faces:
            remark = "; ".join(filter(None, (face.remark, status)))
            rows.append(about | {"face": face, "kind": face.verdict or "too_small", "remark": remark})
        if not photo.faces:
            kind = "unreadable" if photo.photo is None else ""
            rows.append(about | {"face": None, "kind": kind, "remark": status})
    return rows


def _shown(probability: float) -> str:
    """To three digits, but neither 0 nor 1: no model is wholly sure."""
    if probability < 0.0005:
        return "< 0.001"
    return "> 0.999" if probability >= 0.9995 else f"{probability:.3f}"


def _picture(pixels: RgbImage, side: int = PHOTO_SIDE) -> str:
    """A picture as the address of itself (RFC 2397), shrunk to a longer side of ``side`` px."""
    image = Image.fromarray(pixels)
    image.thumbnail((side, side), Image.Resampling.BILINEAR)
    file = BytesIO()
    image.save(file, "JPEG", quality=_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"
