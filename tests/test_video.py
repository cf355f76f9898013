"""Videos: which frames are taken, what is refused, and the table of faces; on videos written here."""

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest

from maskdet import video
from maskdet.errors import MaskDetError
from maskdet.photos import RgbImage
from maskdet.predict import FoundFace, Verdict, VerdictName
from maskdet.video import (
    COLUMNS,
    NO_FACE,
    VideoCutError,
    VideoError,
    VideoInfo,
    VideoOptions,
    counts_over_time,
    predict_video,
    sample_frames,
)

RATE = 10


def write_video(path: Path, count: int = 50, codec: str = "mpeg4", size: tuple[int, int] = (64, 48)) -> bytes:
    """A video whose frame number i is grey at level 4 i, with a red left half."""
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, rate=RATE)
        stream.width, stream.height = size
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.bit_rate = 2_000_000
        for number in range(count):
            pixels = np.full((size[1], size[0], 3), 4 * number % 256, np.uint8)
            pixels[:, : size[0] // 2] = (200, 0, 0)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return path.read_bytes()


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """5 seconds, 10 frames each."""
    return write_video(tmp_path_factory.mktemp("video") / "clip.avi", codec="mjpeg")


@pytest.fixture(scope="module")
def cut_clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The first half of the bytes of 5 seconds."""
    data = write_video(tmp_path_factory.mktemp("video") / "clip.mkv", codec="mjpeg")
    return data[: len(data) // 2]


def number_of(frame: RgbImage) -> int:
    return round(float(frame[:, 40:].mean()) / 4)


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.avi", "mjpeg"), ("a.mp4", "mpeg4"), ("a.mov", "mpeg4"), ("a.mkv", "mpeg4"), ("a.webm", "libvpx")],
)
def test_frames_at_even_distances_the_right_colours(name: str, codec: str, tmp_path: Path) -> None:
    data = write_video(tmp_path / name, codec=codec)
    taken = list(sample_frames(data, VideoOptions(every=1.0)))
    assert [seconds for seconds, _ in taken] == pytest.approx([0, 1, 2, 3, 4], abs=0.01)
    assert [number_of(frame) for _, frame in taken] == [0, 10, 20, 30, 40]
    first = taken[0][1]
    assert (first.shape, first.dtype) == ((48, 64, 3), np.uint8)
    np.testing.assert_allclose(first[24, 10], (200, 0, 0), atol=12)
    assert [seconds for seconds, _ in sample_frames(tmp_path / name)] == [seconds for seconds, _ in taken]


def test_no_more_frames_than_asked_spread_over_the_whole(clip: bytes) -> None:
    assert [number_of(frame) for _, frame in sample_frames(clip, VideoOptions(every=0.1, most=4))] == [0, 13, 25, 38]
    assert len(list(sample_frames(clip, VideoOptions(every=0.1, most=1)))) == 1
    assert len(list(sample_frames(clip, VideoOptions(every=0.04, most=2000)))) == 50


def test_frames_far_apart_are_sought(tmp_path: Path) -> None:
    data = write_video(tmp_path / "long.mp4", count=400)
    taken = list(sample_frames(data, VideoOptions(every=12.0)))
    assert [seconds for seconds, _ in taken] == pytest.approx([0, 12, 24, 36], abs=0.01)
    assert [number_of(frame) for _, frame in taken] == [0, 120 % 64, 240 % 64, 360 % 64]


def test_a_video_that_a_phone_took_upright_is_upright(tmp_path: Path) -> None:
    data = write_video(tmp_path / "a.mp4", count=3)

    def matrix(*values: int) -> bytes:
        return b"".join(value.to_bytes(4, "big", signed=True) for value in values)

    one, whole = 1 << 16, 1 << 30
    begin = data.index(b"tkhd")
    upright = matrix(one, 0, 0, 0, one, 0, 0, 0, whole)
    turned = matrix(0, one, 0, -one, 0, 0, 48 * one, 0, whole)  # by 90 degrees clockwise
    data = data[:begin] + data[begin:].replace(upright, turned, 1)
    (_, frame), *_ = sample_frames(data)
    assert frame.shape == (64, 48, 3)
    np.testing.assert_allclose(frame[8, 24], (200, 0, 0), atol=12)  # what was left is above
    np.testing.assert_allclose(frame[56, 24], (0, 0, 0), atol=12)


def test_a_file_with_sound_alone(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(path, "w") as container:
        stream = container.add_stream("aac", rate=44100)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        sound.sample_rate = 44100
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    with pytest.raises(VideoError, match=r"^there is no picture in this file$"):
        sample_frames(path)


def test_progress_may_cancel(clip: bytes) -> None:
    told = []

    def progress(done: int, total: int, text: str) -> None:
        told.append((done, total))
        if done == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        list(sample_frames(clip, progress=progress))
    assert told == [(1, 5), (2, 5), (3, 5)]


def test_interval_and_number_of_frames() -> None:
    hour = VideoInfo(64, 48, 3600)
    assert hour.interval(VideoOptions(every=1, most=60)) == 60
    assert hour.frames(VideoOptions(every=1, most=60)) == 60
    unknown = VideoInfo(64, 48, None)
    assert (unknown.interval(VideoOptions(every=2)), unknown.frames(VideoOptions(most=7))) == (2, 7)


PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n"


@pytest.mark.parametrize("data", [b"hello", PLAYLIST, b"ffconcat version 1.0\nfile a.avi\n", b"PK\x03\x04" + bytes(99)])
def test_what_is_no_video(data: bytes) -> None:
    with pytest.raises(VideoError, match=r"^not a video that can be read: MP4, MOV, WebM, MKV or AVI$"):
        sample_frames(data)


def test_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"^the file is empty$"):
        sample_frames(b"")
    with pytest.raises(VideoError, match=r"^no such file$"):
        sample_frames(tmp_path / "none.mp4")
    with pytest.raises(VideoError, match=r"^cannot be opened: "):
        sample_frames(tmp_path)


@pytest.mark.parametrize("head", [b"\x00\x00\x00\x18ftypmp42", b"\x1aE\xdf\xa3", b"RIFF\x00\x00\x00\x00AVI "])
def test_a_damaged_video(head: bytes) -> None:
    rubbish = np.random.default_rng(0).integers(0, 256, 3000).astype(np.uint8).tobytes()
    with pytest.raises(VideoError, match=r"^(damaged video: .+|there is no picture in this file)$"):
        list(sample_frames(head + rubbish))


def test_a_video_that_ends_before_its_time_gives_what_it_has(cut_clip: bytes) -> None:
    taken: list[float] = []
    with pytest.raises(VideoCutError, match=r"^the video is damaged: it ends after [12] of 5 seconds$"):
        taken.extend(seconds for seconds, _ in sample_frames(cut_clip, VideoOptions(every=0.5)))
    assert taken[0] == 0
    assert 1 < taken[-1] < 3


def test_limits(clip: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(video, "MAX_VIDEO_BYTES", len(clip) - 1)
        with pytest.raises(VideoError, match=r"^larger than 0 MB$"):
            sample_frames(clip)
    with monkeypatch.context() as patch:
        patch.setattr(video, "MAX_VIDEO_SECONDS", 4.0)
        with pytest.raises(VideoError, match=r"^longer than "):
            sample_frames(clip)
    with monkeypatch.context() as patch:
        patch.setattr(video, "MAX_FRAME_PIXELS", 64 * 48 - 1)
        with pytest.raises(VideoError, match=r"^frames of 64x48 pixels are larger"):
            sample_frames(clip)


@pytest.mark.parametrize(("every", "most"), [(0.01, 5), (601, 5), (float("nan"), 5), (1, 0), (1, 2001)])
def test_options_out_of_range(every: float, most: int) -> None:
    with pytest.raises(MaskDetError):
        VideoOptions(every=every, most=most)


def face(number: int, level: int, *, too_small: bool = False) -> FoundFace:
    pixels = np.full((150, 150, 3), level, np.uint8)
    return FoundFace(number, (number, 2, number + 30, 40), pixels, None, too_small=too_small)


def find(frame: RgbImage) -> list[FoundFace]:
    """None in the first second, one in the next, then two, then one that is too small."""
    second = number_of(frame) // 10
    found = {1: [face(1, 10)], 2: [face(1, 10), face(2, 200)], 3: [face(1, 90), face(2, 5, too_small=True)]}
    return found.get(second, [face(1, 200)] if second == 4 else [])


class Judge:
    """Bright faces are without mask, those in between not sure."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def __call__(self, faces: Sequence[RgbImage]) -> list[Verdict]:
        self.calls.append(len(faces))
        said = []
        for pixels in faces:
            level = float(pixels.mean())
            label: VerdictName = "without_mask" if level > 128 else "with_mask"
            said.append(Verdict(label, "not_sure" if 50 < level < 150 else label, level - 128, level / 255, None))
        return said


def test_a_row_a_face_a_frame_and_the_counts(clip: bytes) -> None:
    judge = Judge()
    table = predict_video(clip, find, judge)
    assert tuple(table.columns) == COLUMNS
    assert judge.calls == [5]  # all at once
    assert table["seconds"].tolist() == pytest.approx([0, 1, 2, 2, 3, 3, 4], abs=0.01)
    assert table["face"].fillna(0).tolist() == [0, 1, 1, 2, 1, 2, 1]
    said = ["", "with_mask", "with_mask", "without_mask", "not_sure", "", "without_mask"]
    assert table["verdict"].fillna("").tolist() == said
    assert table["label"].fillna("").tolist()[4:] == ["with_mask", "", "without_mask"]
    assert table["status"].tolist() == [NO_FACE, *["ok"] * 4, "face smaller than 20 px: not judged", "ok"]
    assert table.loc[1, ["left", "top", "right", "bottom"]].tolist() == [1, 2, 31, 40]
    assert table["p_without_mask"].tolist()[3] == pytest.approx(200 / 255, abs=1e-6)

    counts = counts_over_time(table)
    assert counts["seconds"].tolist() == pytest.approx([0, 1, 2, 3, 4], abs=0.01)
    assert counts["with_mask"].tolist() == [0, 1, 1, 0, 0]
    assert counts["without_mask"].tolist() == [0, 0, 1, 0, 1]
    assert counts["not_sure"].tolist() == [0, 0, 0, 1, 0]
    assert counts["not_like_training_data"].tolist() == [0] * 5
    assert counts["too_small"].tolist() == [0, 0, 0, 1, 0]


def test_many_faces_are_judged_in_batches(clip: bytes) -> None:
    judge = Judge()
    table = predict_video(clip, lambda frame: [face(number, 10) for number in range(1, 31)], judge)
    assert judge.calls == [90, 60]
    assert table["verdict"].eq("with_mask").all()
    assert len(table) == 150


def test_a_cut_video_says_so_in_its_last_row(cut_clip: bytes) -> None:
    table = predict_video(cut_clip, lambda frame: [face(1, 10)], Judge(), VideoOptions(every=0.5))
    assert table["verdict"].iloc[:-1].eq("with_mask").all()
    assert table["status"].iloc[-1].startswith("the video is damaged: it ends after")
    assert pd.isna(table["seconds"].iloc[-1])
    assert len(counts_over_time(table)) == len(table) - 1


def test_a_video_without_any_face(clip: bytes) -> None:
    table = predict_video(clip, lambda frame: [], Judge())
    assert table["status"].tolist() == [NO_FACE] * 5
    assert counts_over_time(table).drop(columns="seconds").to_numpy().sum() == 0
