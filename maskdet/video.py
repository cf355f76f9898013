"""Faces in a video: frames at even distances, each taken like a photo.

A video is read from memory by PyAV, never written to disk; OpenCV 5 reads from memory too, but a damaged file can end
the whole process there. Faces are not followed from frame to frame, so
that a person counts once in each frame; the counts say how many faces are in sight at a time, not how many people.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from math import ceil
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from maskdet.errors import MaskDetError
from maskdet.photos import RgbImage, read_source
from maskdet.predict import MIN_FACE_SIZE, OK, VERDICTS, FoundFace, Verdict
from maskdet.progress import Progress, silent

#: Files with more bytes are refused; so are longer videos, and larger frames before any is decoded.
MAX_VIDEO_BYTES: Final = 200_000_000
MAX_VIDEO_SECONDS: Final = 1800.0
MAX_FRAME_PIXELS: Final = 9_500_000  # 4096 x 2304
#: File name endings of the videos that are read.
VIDEO_SUFFIXES: Final = frozenset({".mp4", ".m4v", ".mov", ".3gp", ".webm", ".mkv", ".avi"})
#: Columns of `predict_video`, in order; those from `label` on but `status` are empty where no face was judged.
COLUMNS: Final = (
    *("seconds", "face", "left", "top", "right", "bottom"),
    *("label", "verdict", "p_without_mask", "status"),
)
#: Status of a frame without a face.
NO_FACE: Final = "no face found"
_BATCH: Final = 64
_MOST_DECODED: Final = 200_000  # a file may claim 10,000 frames a second
_WORTH_A_SEEK: Final = 5.0  # seconds; key frames lie closer together in most videos

FindFaces = Callable[[RgbImage], Sequence[FoundFace]]
JudgeFaces = Callable[[Sequence[RgbImage]], Sequence[Verdict]]


class VideoError(MaskDetError):
    """A file that is no video one can look at; the text follows on the file's name, as that of a `PhotoError` does."""


class VideoCutError(VideoError):
    """A video that ends before its time; what comes before was read."""


@dataclass(frozen=True)
class VideoOptions:
    """Which frames are taken.

    Attributes
    ----------
    every : float
        Seconds from one frame to the next, 0.04 to 600. Farther apart in a video that would give more than ``most``.
    most : int
        Frames at most, 1 to 2000.

    Raises
    ------
    MaskDetError
        If a value is out of its range.
    """

    every: float = 1.0
    most: int = 60

    def __post_init__(self) -> None:
        if not 0.04 <= self.every <= 600:
            raise MaskDetError(f"Frames are taken every 0.04 to 600 seconds, not every {self.every:g}.")
        if not 1 <= self.most <= 2000:
            raise MaskDetError(f"1 to 2000 frames can be taken, not {self.most}.")


@dataclass(frozen=True)
class VideoInfo:
    """What a video's file says of itself: its frames' size as stored, and its length, None if it does not say."""

    width: int
    height: int
    seconds: float | None

    def interval(self, options: VideoOptions) -> float:
        """Seconds from one frame that is taken to the next."""
        return max(options.every, (self.seconds or 0.0) / options.most)

    def frames(self, options: VideoOptions) -> int:
        """About how many frames are taken."""
        if self.seconds is None:
            return options.most
        return min(options.most, max(1, ceil(self.seconds / self.interval(options) - 1e-6)))


def sample_frames(
    source: Path | bytes, options: VideoOptions = VideoOptions(), progress: Progress = silent
) -> Iterator[tuple[float, RgbImage]]:
    """Frames at even distances, the first one among them, with the seconds since the start.

    Where the file does not say how long it is, these are the frames of its beginning.

    Parameters
    ----------
    progress : callable
        Called after each frame with frames done, about how many there will be, and a text; may raise to cancel.

    Raises
    ------
    VideoError
        At once, if it is no video, is damaged, or larger or longer than the limits; while frames are taken, if not
        even the first can be read.
    VideoCutError
        After the last frame, if the video ends before its time.
    """
    container, info = _open(source)
    return _sampled(container, info, options, progress)


def predict_video(
    source: Path | bytes,
    find: FindFaces,
    judge: JudgeFaces,
    options: VideoOptions = VideoOptions(),
    progress: Progress = silent,
    *,
    min_size: int = MIN_FACE_SIZE,
) -> pd.DataFrame:
    """Verdicts on the faces of a video's frames.

    Parameters
    ----------
    find : callable
        From a frame, uint8 of shape (height, width, 3), to its faces.
    judge : callable
        From normalised faces to their verdicts, such as `maskdet.predict.Judge`; called with many faces at once.
    min_size : int
        What ``find`` took for the least size of a face, for the status of those that are smaller.

    Returns
    -------
    DataFrame
        `COLUMNS`, a row a face a frame; a frame without a face is a row with `NO_FACE` as its status. If the video
        ends before its time, a last row without a face says so.

    Raises
    ------
    VideoError
        If it is no video, is damaged so that no frame can be read, or larger or longer than the limits.
    """
    rows: list[dict[str, object]] = []
    waiting: list[tuple[dict[str, object], RgbImage]] = []
    frames = sample_frames(source, options, progress)
    try:
        for seconds, frame in frames:
            empty = dict.fromkeys(COLUMNS) | {"seconds": seconds}
            faces = find(frame)
            if not faces:
                rows.append(empty | {"status": NO_FACE})
            for face in faces:
                place = dict(zip(("left", "top", "right", "bottom"), face.box, strict=True))
                status = f"face smaller than {min_size} px: not judged" if face.too_small else OK
                rows.append(empty | place | {"face": face.number, "status": status})
                if not face.too_small:
                    waiting.append((rows[-1], face.pixels))
            if len(waiting) >= _BATCH:
                _judge(waiting, judge)
    except VideoCutError as error:
        rows.append(dict.fromkeys(COLUMNS) | {"status": str(error)})
    _judge(waiting, judge)
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    whole = dict.fromkeys(("face", "left", "top", "right", "bottom"), "Int64")
    return table.astype(whole | dict.fromkeys(("seconds", "p_without_mask"), "float64"))


def counts_over_time(table: pd.DataFrame) -> pd.DataFrame:
    """Faces in each frame of a table by `predict_video`.

    Returns
    -------
    DataFrame
        ``seconds``, one column for each of `VERDICTS`, and ``too_small``: how many faces; a row a frame.
    """
    frames = table[table["seconds"].notna()]
    said = frames["verdict"].where(frames["verdict"].notna(), "too_small").where(frames["face"].notna())
    counts = pd.DataFrame({name: said.eq(name) for name in (*VERDICTS, "too_small")})
    return counts.astype(int).groupby(frames["seconds"]).sum().reset_index()


def _judge(waiting: list[tuple[dict[str, object], RgbImage]], judge: JudgeFaces) -> None:
    """Write verdicts into the rows that wait for them."""
    if waiting:
        verdicts = judge([face for _, face in waiting])
        for (row, _), verdict in zip(waiting, verdicts, strict=True):
            row |= {
                "label": verdict.label, "verdict": verdict.verdict, "p_without_mask": round(verdict.p_without_mask, 6)
            }  # fmt: skip
        waiting.clear()


def _open(source: Path | bytes) -> tuple[Any, VideoInfo]:
    """The opened file, which is to be closed, and what it says of itself."""
    import av

    data = read_source(source, MAX_VIDEO_BYTES, VideoError)
    container_format = _format(data)
    if container_format is None:
        raise VideoError("not a video that can be read: MP4, MOV, WebM, MKV or AVI")
    try:
        container = av.open(BytesIO(data), format=container_format, metadata_errors="ignore")
    except av.FFmpegError as error:
        raise VideoError("damaged video: nothing in it can be read") from error
    try:
        info = _info(container)
        if info.width * info.height > MAX_FRAME_PIXELS:
            raise VideoError(f"frames of {info.width}x{info.height} pixels are larger than 4096x2304")
        if info.seconds is not None and info.seconds > MAX_VIDEO_SECONDS:
            raise VideoError(f"longer than {MAX_VIDEO_SECONDS / 60:g} minutes")
    except VideoError:
        container.close()
        raise
    return container, info


def _format(data: bytes) -> str | None:
    """FFmpeg's name of the format by the first bytes.

    Left to find out by itself, FFmpeg would also take playlists, which name files and addresses for it to open.
    """
    if data[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        return "mov"
    if data[:4] == b"\x1aE\xdf\xa3":
        return "matroska"
    return "avi" if data[:4] == b"RIFF" and data[8:12] == b"AVI " else None


def _info(container: Any) -> VideoInfo:
    if not container.streams.video:
        raise VideoError("there is no picture in this file")
    stream = container.streams.video[0]
    if stream.codec_context is None:
        raise VideoError("its pictures are in a format that cannot be read")
    seconds = container.duration / 1e6 if container.duration and container.duration > 0 else None
    return VideoInfo(stream.codec_context.width, stream.codec_context.height, seconds)


def _sampled(
    container: Any, info: VideoInfo, options: VideoOptions, progress: Progress
) -> Iterator[tuple[float, RgbImage]]:
    interval, expected = info.interval(options), info.frames(options)
    done, seconds = 0, 0.0
    with container:
        for seconds, frame in _decoded(container, interval):
            if frame.width * frame.height > MAX_FRAME_PIXELS:
                raise VideoError(f"frames of {frame.width}x{frame.height} pixels are larger than 4096x2304")
            done += 1
            yield seconds, _upright(frame)
            progress(done, max(done, expected), "reading the video")
            if done == options.most:
                return
    if not done:
        raise VideoError("damaged video: not one frame can be read")
    if info.seconds is not None and seconds + 2 * interval + 1 < info.seconds:
        raise VideoCutError(f"the video is damaged: it ends after {seconds:.0f} of {info.seconds:.0f} seconds")


def _decoded(container: Any, interval: float) -> Iterator[tuple[float, Any]]:
    """The first frame of each interval and its time; they end where nothing more can be decoded."""
    import av

    stream = container.streams.video[0]
    stream.thread_type = "AUTO"
    start = float((stream.start_time or 0) * stream.time_base)
    due, frames = 0.0, container.decode(stream)
    for _ in range(_MOST_DECODED):
        try:
            frame = next(frames, None)
        except av.FFmpegError:
            return  # the caller compares the time with that of the whole video
        if frame is None:
            return
        seconds = max(0.0, (frame.time or 0.0) - start)
        if frame.time is None or seconds < due - 1e-3:
            continue
        yield seconds, frame
        due = interval * (int(seconds / interval + 1e-6) + 1)
        if due - seconds > _WORTH_A_SEEK:  # to the last key frame before it
            container.seek(int((due + start) / stream.time_base), stream=stream)
            frames = container.decode(stream)


def _upright(frame: Any) -> RgbImage:
    """The pixels the right way up: a phone notes how it was held."""
    pixels = frame.to_ndarray(format="rgb24")
    return np.ascontiguousarray(np.rot90(pixels, k=round(frame.rotation / 90) % 4))
