"""Find the faces of a photo, with a mask or without, and frame them as the training faces are framed.

The detector is YuNet (Wu, Peng and Yu, Machine Intelligence Research 20, 2023), whose weights ship with MaskDet. ONNX
Runtime runs it, in half the time that OpenCV's own class for it takes. It knows faces of about 10 to 300 px, so it
looks at a photo at several sizes, and once with a border around it, since a face that fills the photo is found only
where something surrounds it. docs/detection.md has how the options were chosen, and what was measured with them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from maskdet.errors import MaskDetError
from maskdet.photos import Box, RgbImage

#: The network; beside it stand its licence and where it comes from.
MODEL_FILE: Final = Path(__file__).parent / "detector_model" / "yunet_2023mar_any_size.onnx"
#: The network looks at a photo in cells of so many pixels, the coarsest for the largest faces.
_STRIDES: Final = (8, 16, 32)
#: Nothing is known of a border: mid-grey gives no edge that looks like hair or clothes.
_GREY: Final = 127
#: How far the edges of a crop lie right of or below those of a detected box, in its widths and heights.
_FRAME: Final = np.array((0.00, 0.11, 0.02, 0.045))
#: Columns of a row: left, top, right, bottom, x and y of five landmarks, score.
_SCORE: Final = 14

Landmarks = npt.NDArray[np.float32]
_Rows = npt.NDArray[np.float32]


@dataclass(frozen=True)
class DetectionOptions:
    """How faces are looked for; the defaults were chosen by measurement (docs/detection.md).

    Attributes
    ----------
    score_threshold : float
        In 0..1 (exclusive): boxes of a lower score are no faces.
    sides : tuple of int
        A pass each: the photo is scaled until its longer side has so many pixels, but not to more than
        ``most_enlarged`` times its size, where parts of a face begin to look like faces.
    detail_side : int
        One more pass, for photos that have at least so many pixels on their longer side.
    crowd_side, small_face : int
        A last pass at up to ``crowd_side`` px, for larger photos in which no face was found so far, or one of which
        the pass at ``detail_side`` saw fewer than ``small_face`` px: where one face is that small, others are too small
        to be seen, and masked ones sooner than others.
    bordered_side, border : int, float
        One more pass at ``bordered_side`` px with a grey border on all sides, of ``border`` times the longer side.
    overlap : float
        In 0..1: of boxes that overlap more than this (IoU), the one with the highest score is kept.
    inside : float
        In 0..1: and so it is of two boxes that share more than this of the smaller one's area.

    Raises
    ------
    MaskDetError
        If a value is out of its range.
    """

    score_threshold: float = 0.6
    sides: tuple[int, ...] = (192, 320, 512, 768)
    detail_side: int = 1280
    crowd_side: int = 2560
    small_face: int = 40
    most_enlarged: float = 2.0
    bordered_side: int = 128
    border: float = 0.4
    overlap: float = 0.35
    inside: float = 0.7

    def __post_init__(self) -> None:
        """Refuse values that find nothing or never end."""
        if not 0 < self.score_threshold < 1:
            raise MaskDetError("The score threshold of the face detector lies between 0 and 1.")
        if not self.sides or not all(
            32 <= side <= 4096 for side in (*self.sides, self.detail_side, self.bordered_side)
        ):
            raise MaskDetError("The face detector looks at photos of 32 to 4096 px, at one size at least.")
        if not 0 <= self.border <= 1 or self.most_enlarged < 1:
            raise MaskDetError("The border lies between 0 and 1, and enlarging begins at 1.")
        if not 0 < self.overlap <= 1 or not 0 < self.inside <= 1:
            raise MaskDetError("Faces overlap by a share between 0 and 1.")


@dataclass(frozen=True)
class DetectedFace:
    """A face as the detector sees it.

    Attributes
    ----------
    box : Box
        Left, top, right, bottom in whole pixels, clipped to the photo: from the forehead to the chin. `frame_face` says
        what to cut out for a classifier.
    score : float
        How sure the detector is, 0..1; no probability.
    landmarks : array of float32, shape (5, 2)
        x, y in pixels of the photo: right eye, left eye, tip of the nose, right and left corner of the mouth, right and
        left being the person's. Under a mask they are the network's guess, and they may lie outside the photo.
    """

    box: Box
    score: float
    landmarks: Landmarks


class FaceDetector:
    """Finds faces; one detector may be called from several threads at once.

    Loading takes some milliseconds. What a call takes depends little on the size of the photo, unless it shows a crowd.
    """

    def __init__(self, options: DetectionOptions = DetectionOptions()) -> None:
        self.options = options
        self._network, self._give_back = _load_network()

    def __call__(self, photo: RgbImage) -> list[DetectedFace]:
        """Faces of a photo, from left to right.

        Parameters
        ----------
        photo : array of uint8, shape (height, width, 3)
            RGB in 0..255, at least one pixel.

        Raises
        ------
        ValueError
            If the array is no such photo.
        """
        if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3 or not photo.size:
            raise ValueError(f"no RGB photo of 8 bits: {photo.dtype}, shape {photo.shape}")
        height, width = photo.shape[:2]
        rows = _inside([self._look(*view) for view in self._views(photo)], width, height)
        if self._asks_for_more(_merged(rows, self.options), max(width, height)):
            closer = _scaled(photo, min(self.options.crowd_side, max(width, height)))
            rows = _inside([rows, self._look(closer, max(closer.shape) / max(width, height), 0)], width, height)
        faces = [_face(row, width, height) for row in _merged(rows, self.options)]
        return sorted(faces, key=lambda face: (face.box[0] + face.box[2], face.box[1]))

    def _asks_for_more(self, rows: _Rows, longest: int) -> bool:
        if longest <= self.options.detail_side:
            return False
        sides = (rows[:, 2:4] - rows[:, :2]).min(axis=1) * self.options.detail_side / longest
        return not len(rows) or bool(sides.min() < self.options.small_face)

    def _look(self, view: RgbImage, factor: float, border: int) -> _Rows:
        """Rows (see `_SCORE`) in pixels of the photo, shape (n, 15)."""
        height, width = (-(-side // _STRIDES[-1]) * _STRIDES[-1] for side in view.shape[:2])
        pixels = np.zeros((1, 3, height, width), np.float32)  # of whole cells, BGR
        pixels[0, :, : view.shape[0], : view.shape[1]] = view[:, :, ::-1].transpose(2, 0, 1)
        large = max(height, width) > self.options.detail_side
        outputs = self._network.run(None, {"input": pixels}, self._give_back if large else None)
        named = {output.name: values[0] for output, values in zip(self._network.get_outputs(), outputs, strict=True)}
        rows = _decoded(named, width, self.options.score_threshold)
        rows[:, :_SCORE] = (rows[:, :_SCORE] - border) / factor
        return rows

    def _views(self, photo: RgbImage) -> Iterator[tuple[RgbImage, float, int]]:
        """What each pass looks at: RGB pixels, how much they are enlarged, and the width of their border."""
        options, longest = self.options, max(photo.shape[:2])
        sides = [side for side in sorted(options.sides) if side <= options.most_enlarged * longest]
        sides = sides or [min(options.sides)]
        if longest >= options.detail_side:
            sides.append(options.detail_side)
        pixels = photo
        for side in reversed(sides):  # from large to small: each is made from the one before
            pixels = _scaled(pixels, side)
            yield pixels, side / longest, 0
        if options.border:
            pixels = _scaled(pixels, options.bordered_side)
            width = round(options.border * options.bordered_side)
            framed = np.pad(pixels, ((width, width), (width, width), (0, 0)), constant_values=_GREY)
            yield framed, options.bordered_side / longest, width


def frame_face(face: DetectedFace, width: int, height: int) -> Box:
    """The box to cut out of a photo of this size, so that the face is framed as the training faces were annotated.

    An annotated box begins lower on the forehead than a detected one, and goes further below the chin. The median
    shifts of its edges are 0.00 and 0.03 of the width on the left and right, 0.18 and 0.08 of the height at the top
    and bottom, over the training faces of Dataset 3.2 that have at least 40 px, were found and are not cut by the
    photo's edge (n = 307). Six tenths of that are taken: of none, six tenths and all of it, the models judged the
    validation faces best so. docs/detection.md has that, and what the framing does to the verdicts on test faces.

    Returns
    -------
    Box
        Whole pixels, clipped to the photo; at least one.
    """
    left, top, right, bottom = face.box
    sizes = np.array((right - left, bottom - top, right - left, bottom - top))
    return _clipped(face.box + sizes * _FRAME, width, height)


def _load_network() -> tuple[Any, Any]:
    """The network, and the options of a run that gives back the memory it took: some 250 MB for a crowd."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # Threads that wait for work by spinning would take the processor from the classifier.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    give_back = onnxruntime.RunOptions()
    give_back.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    return onnxruntime.InferenceSession(str(MODEL_FILE), options, providers=["CPUExecutionProvider"]), give_back


def _scaled(pixels: RgbImage, side: int) -> RgbImage:
    """The picture with a longer side of so many pixels."""
    while max(pixels.shape[:2]) >= 2 * side and min(pixels.shape[:2]) >= 2:  # halving is much quicker than other sizes
        height, width = pixels.shape[0] // 2, pixels.shape[1] // 2
        pixels = np.asarray(
            cv2.resize(pixels[: 2 * height, : 2 * width], (width, height), interpolation=cv2.INTER_AREA)
        )
    height, width = pixels.shape[:2]
    factor = side / max(width, height)
    size = (max(1, round(factor * width)), max(1, round(factor * height)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR))


def _decoded(outputs: dict[str, npt.NDArray[np.float32]], columns: int, threshold: float) -> _Rows:
    """Rows (see `_SCORE`) of the cells whose score reaches the threshold, in pixels of what the network looked at.

    A cell gives the middle of a face and its landmarks in cells from its own corner, the logarithm of the face's width
    and height in cells, and two probabilities, that of a face and that of an object here, whose geometric mean is the
    score (as in OpenCV's FaceDetectorYN).
    """
    found = [np.empty((0, _SCORE + 1), np.float32)]
    for stride in _STRIDES:
        scores = np.sqrt(np.clip(outputs[f"cls_{stride}"], 0, 1) * np.clip(outputs[f"obj_{stride}"], 0, 1))[:, 0]
        cells = np.flatnonzero(scores >= threshold)
        corner = np.stack((cells % (columns // stride), cells // (columns // stride)), axis=1)
        box = outputs[f"bbox_{stride}"][cells]
        middle, half = (corner + box[:, :2]) * stride, np.exp(box[:, 2:]) * stride / 2
        landmarks = (np.tile(corner, 5) + outputs[f"kps_{stride}"][cells]) * stride
        rows = np.hstack((middle - half, middle + half, landmarks, scores[cells, None]))
        found.append(rows.astype(np.float32))
    return np.concatenate(found)


def _inside(rows: Sequence[_Rows], width: int, height: int) -> _Rows:
    """Faces of all passes whose middle is in the photo, and not in its border."""
    every = np.concatenate(rows)
    x, y = (every[:, 0] + every[:, 2]) / 2, (every[:, 1] + every[:, 3]) / 2
    return every[(x >= 0) & (x < width) & (y >= 0) & (y < height)]


def _merged(rows: _Rows, options: DetectionOptions) -> _Rows:
    """Of boxes that overlap, or of which one holds most of the other, the one with the highest score."""
    sizes = rows[:, 2:4] - rows[:, :2]
    boxes = np.hstack((rows[:, :2], sizes)).tolist()
    order = np.asarray(cv2.dnn.NMSBoxes(boxes, rows[:, _SCORE].tolist(), 0.0, options.overlap), dtype=np.intp)
    rows, areas = rows[order], sizes[order].prod(axis=1)
    kept: list[int] = []
    for number, row in enumerate(rows):  # by falling score, as NMSBoxes gives them
        corners = np.minimum(row[2:4], rows[kept, 2:4]) - np.maximum(row[:2], rows[kept, :2])
        shared = corners.clip(min=0).prod(axis=1) / np.minimum(areas[number], areas[kept])
        if not (shared > options.inside).any():
            kept.append(number)
    return rows[kept]


def _face(row: _Rows, width: int, height: int) -> DetectedFace:
    return DetectedFace(_clipped(row[:4], width, height), float(row[_SCORE]), row[4:_SCORE].reshape(5, 2))


def _clipped(edges: npt.NDArray[Any], width: int, height: int) -> Box:
    """Whole pixels inside the photo. `maskdet.photos.clip_box` refuses a box of no area; here one pixel is left."""
    left, top, right, bottom = (round(float(edge)) for edge in edges)
    left, top = min(max(left, 0), width - 1), min(max(top, 0), height - 1)
    return left, top, max(min(right, width), left + 1), max(min(bottom, height), top + 1)
