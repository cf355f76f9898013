"""Predict photos: from files of any kind to a verdict on every face.

`find_faces` reads a photo and crops its faces, a `Judge` gives verdicts on the crops, `predict_photos` does both for
many files. Nothing here imports TensorFlow: where a run can do without it, so can a verdict.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pandas as pd

from maskdet.detection import DetectedFace, FaceDetector, frame_face
from maskdet.errors import MaskDetError, PhotoError
from maskdet.labels import CLASSES
from maskdet.models.base import probability
from maskdet.photos import Box, Photo, RgbImage, list_photos, normalise, read_photo
from maskdet.progress import Progress, silent
from maskdet.reliability import Reliability
from maskdet.runs import Run
from maskdet.runtime import Runtime, open_runtime

VerdictName = Literal["with_mask", "without_mask", "not_sure", "not_like_training_data"]
#: Every verdict there is: the labels in the order of `CLASSES`, and the two reasons not to give one.
VERDICTS: Final[tuple[VerdictName, ...]] = ("with_mask", "without_mask", "not_sure", "not_like_training_data")
#: Columns of a prediction, in order; those from `label` to `p_without_mask` are empty where no face was judged.
COLUMNS: Final = (
    *("file", "face", "left", "top", "right", "bottom"),
    *("label", "verdict", "p_without_mask", "model", "status"),
)
OK: Final = "ok"
#: Status of a photo in which no face was found, so that the whole of it was taken as one.
WHOLE_PHOTO: Final = "no face found: the whole photo was taken as one face"
#: Faces whose shorter side is below this many pixels are shown, not judged (our choice). Of Dataset 3.2's validation
#: faces, the bundled InceptionV3 gets 5 of 545 wrong above it, and 7 of 242 below.
MIN_FACE_SIZE: Final = 20
_BATCH: Final = 64


@dataclass(frozen=True)
class Verdict:
    """What a run says of one face.

    Attributes
    ----------
    label : str
        The model's choice between the two labels, by the sign of the logit, however sure it is.
    verdict : str
        The label, or ``not_sure`` or ``not_like_training_data`` where the label should not be believed.
    logit : float
        Above 0 is *without mask* (study, 6.3).
    p_without_mask : float
        Probability of being without mask, 0..1, calibrated on validation faces where the run has that.
    distance : float or None
        How far the face lies from the training faces, in multiples of the distance that still counts as like them;
        None where the run cannot tell.
    """

    label: str
    verdict: VerdictName
    logit: float
    p_without_mask: float
    distance: float | None

    @property
    def probability(self) -> float:
        """Probability of the label, 0.5..1."""
        return self.p_without_mask if self.label == CLASSES[1] else 1 - self.p_without_mask


class Judge:
    """A trained run, ready to give verdicts on normalised faces."""

    def __init__(self, run: Run, runtime: Runtime, reliability: Reliability | None) -> None:
        self.run, self.runtime, self.reliability = run, runtime, reliability

    def __call__(self, faces: Sequence[RgbImage] | RgbImage) -> list[Verdict]:
        """Verdicts on faces of shape (150, 150, 3), in their order."""
        if len(faces) == 0:
            return []
        logits, features = self.runtime(np.asarray(faces))
        reliability = self.reliability
        if reliability is None:
            return [_verdict(float(z), float(p)) for z, p in zip(logits, probability(logits), strict=True)]
        distances = reliability.distance(features) / reliability.distance_threshold
        probabilities = reliability.probability(logits)
        said = zip(logits, probabilities, reliability.not_sure(probabilities), distances, strict=True)
        return [_verdict(float(z), float(p), bool(unsure), float(d)) for z, p, unsure, d in said]

    def logits(self, faces: RgbImage) -> Any:
        """The logits alone, shape (n,), for sweeps and curves."""
        return self.runtime(faces)[0]


def open_judge(run: Run) -> Judge:
    """Open a run for verdicts. Raises RunError if its weights cannot be read."""
    return Judge(run, open_runtime(run), run.reliability)


def _verdict(logit: float, p_without_mask: float, unsure: bool = False, distance: float | None = None) -> Verdict:
    verdict = VERDICTS[int(logit > 0)]
    if unsure:
        verdict = "not_sure"
    if distance is not None and distance > 1:  # a face unlike any the model knows: how sure it is means nothing
        verdict = "not_like_training_data"
    return Verdict(CLASSES[int(logit > 0)], verdict, logit, p_without_mask, distance)


def why_not(verdict: Verdict, reliability: Reliability | None) -> str:
    """Why a verdict should not be believed, as a sentence; "" where there is no reason."""
    if reliability is None:
        return ""
    options: dict[str, Any] = reliability.record.get("options", {})
    if verdict.verdict == "not_sure":
        least = options.get("least", (0.4, 0.6))
        between = f"between {reliability.low:.2f} and {reliability.high:.2f}"
        fitted = reliability.low < least[0] or reliability.high > least[1]
        because = "too many verdicts on validation faces were wrong" if fitted else "it is close to a coin toss"
        return f"Its probability of no mask is {verdict.p_without_mask:.2f}: {between}, {because}."
    if verdict.verdict == "not_like_training_data":
        inside = f"{100 * options.get('quantile', 0.99):.0f} %"
        return (
            f"It is {verdict.distance:.2f} times as far from the training faces as the limit that {inside} of the "
            "validation faces keep. A verdict on it would be a guess."
        )
    return ""


@dataclass(frozen=True)
class FoundFace:
    """A face of a photo, as it goes to a model.

    Attributes
    ----------
    number : int
        1.. from left to right.
    box : Box
        What was cropped, in pixels of the photo.
    pixels : array of uint8, shape (150, 150, 3)
    detected : DetectedFace or None
        What the detector found; None where the whole photo was taken as one face.
    too_small : bool
        True below the least size: such a face is shown and not judged.
    """

    number: int
    box: Box
    pixels: RgbImage
    detected: DetectedFace | None
    too_small: bool


@dataclass(frozen=True)
class PhotoFaces:
    """A photo and its faces.

    Attributes
    ----------
    width, height : int
        Of the photo the right way up, in pixels; 0 if it cannot be read.
    status : str
        `OK`, `WHOLE_PHOTO`, or why it cannot be read.
    """

    name: str
    width: int
    height: int
    faces: tuple[FoundFace, ...]
    status: str

    @property
    def readable(self) -> bool:
        """False where there is no photo to show."""
        return self.width > 0


@dataclass(frozen=True)
class JudgedPhoto:
    """A photo, its faces, and what a run says of each; None for those that are too small."""

    photo: PhotoFaces
    verdicts: tuple[Verdict | None, ...]


Finder = Callable[[str, Path | bytes], PhotoFaces]


def find_faces(
    name: str,
    source: Path | bytes,
    detector: FaceDetector | None,
    min_size: int = MIN_FACE_SIZE,
    *,
    seen: Callable[[Photo], None] | None = None,
) -> PhotoFaces:
    """Read a photo and crop its faces.

    Parameters
    ----------
    detector : FaceDetector or None
        None takes the whole photo as one face; so does a photo in which none is found.
    min_size : int
        Least length of a face's shorter side in pixels (see `FoundFace.too_small`).
    seen : callable, optional
        Is given the decoded photo, for one who wants to show it: decoding is most of the work on a large one.

    Returns
    -------
    PhotoFaces
        A photo that cannot be read has no face, and a status that says why.
    """
    try:
        photo = read_photo(source)
    except PhotoError as error:
        return PhotoFaces(name, 0, 0, (), str(error))
    if seen is not None:
        seen(photo)
    faces = crop_faces(photo, detector, min_size) if detector else ()
    status = OK
    if not faces:
        faces = (whole_photo(photo),)
        status = WHOLE_PHOTO if detector else OK
    return PhotoFaces(name, photo.width, photo.height, faces, status)


def crop_faces(photo: Photo, detector: FaceDetector, min_size: int = MIN_FACE_SIZE) -> tuple[FoundFace, ...]:
    """The faces that the detector finds, from left to right; none is no reason to take the whole photo for one."""
    detected = detector(np.asarray(photo.image))
    return tuple(_crop(photo, number, face, min_size) for number, face in enumerate(detected, start=1))


def whole_photo(photo: Photo) -> FoundFace:
    """A photo taken as one face, however small."""
    return FoundFace(1, (0, 0, photo.width, photo.height), normalise(photo.image), None, too_small=False)


def _crop(photo: Photo, number: int, face: DetectedFace, min_size: int) -> FoundFace:
    box = frame_face(face, photo.width, photo.height)
    left, top, right, bottom = face.box
    too_small = min(right - left, bottom - top) < min_size
    return FoundFace(number, box, normalise(photo.image.crop(box)), face, too_small)


def judge_photos(
    sources: Sequence[tuple[str, Path | bytes]], find: Finder, judge: Judge, progress: Progress = silent
) -> Iterator[JudgedPhoto]:
    """Verdicts on the faces of photos, in the order of the sources; faces are judged in batches.

    Photos are held only until their batch is judged, so that memory does not grow with their number.
    """
    waiting: list[PhotoFaces] = []
    for number, (name, source) in enumerate(sources, start=1):
        waiting.append(find(name, source))
        if number == len(sources) or sum(len(photo.faces) for photo in waiting) >= _BATCH:
            yield from judge_faces(waiting, judge)
            waiting = []
        progress(number, len(sources), "finding and judging faces")


def judge_faces(photos: Sequence[PhotoFaces], judge: Judge) -> list[JudgedPhoto]:
    """Verdicts on faces that were found already, in one batch."""
    verdicts = iter(judge([face.pixels for photo in photos for face in photo.faces if not face.too_small]))
    return [
        JudgedPhoto(photo, tuple(None if face.too_small else next(verdicts) for face in photo.faces))
        for photo in photos
    ]


def verdicts_table(judged: Sequence[JudgedPhoto], model_id: str, min_size: int = MIN_FACE_SIZE) -> pd.DataFrame:
    """`COLUMNS`, a row a face, in the order of the photos; a photo that cannot be read is a row that says why."""
    rows: list[dict[str, object]] = []
    for item in judged:
        photo = item.photo
        row: dict[str, object] = dict.fromkeys(COLUMNS) | {"file": photo.name, "model": model_id}
        if not photo.faces:
            rows.append(row | {"status": photo.status})
        for face, verdict in zip(photo.faces, item.verdicts, strict=True):
            place = dict(zip(("left", "top", "right", "bottom"), face.box, strict=True))
            row = row | {"face": face.number, **place, "status": photo.status}
            if verdict is None:
                rows.append(row | {"label": None, "status": f"face smaller than {min_size} px: not judged"})
            else:
                said = {"label": verdict.label, "verdict": verdict.verdict}
                rows.append(row | said | {"p_without_mask": round(verdict.p_without_mask, 6)})
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.astype(dict.fromkeys(("face", "left", "top", "right", "bottom"), "Int64"))


def predict_photos(
    sources: Sequence[tuple[str, Path | bytes]],
    judge: Judge,
    detector: FaceDetector | None,
    progress: Progress = silent,
    *,
    min_size: int = MIN_FACE_SIZE,
) -> pd.DataFrame:
    """A row a face of many photos (see `verdicts_table`).

    Parameters
    ----------
    sources : sequence of (name, path or bytes)
        The name goes into the column ``file``.
    detector : FaceDetector or None
        None takes each photo as one face.
    """

    def find(name: str, source: Path | bytes) -> PhotoFaces:
        return find_faces(name, source, detector, min_size)

    return verdicts_table(list(judge_photos(sources, find, judge, progress)), judge.run.id, min_size)


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
