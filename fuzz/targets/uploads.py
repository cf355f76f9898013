"""Targets: the upload path as a whole, from a file and its name to verdicts, a CSV and a report."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fuzz.mutate import text
from fuzz.mutate_files import png
from fuzz.target import Prepared, Target, check, check_sentence, refusals
from fuzz.targets.photos import iso_seeds, photo_seeds
from fuzz.targets.tables import check_csv
from fuzz.targets.texts import structure
from maskdet.batch_report import report_photos
from maskdet.detection import FaceDetector
from maskdet.errors import PhotoError
from maskdet.export import to_csv
from maskdet.labels import CLASSES
from maskdet.photo_report import ReportModel, photo_report
from maskdet.photos import RgbImage
from maskdet.predict import COLUMNS, VERDICTS, Judge, Verdict, find_faces, judge_photos, open_judge, verdicts_table
from maskdet.runs import find_run
from maskdet.sample_photos import sample_photo
from maskdet.workspace import Workspace

_SEPARATOR = b"\n"
_MODEL = ReportModel("Model", "run-1", (0.4, 0.6), "", "YuNet")


class Stub:
    """A judge that costs nothing: of two labels by the brightness of the face."""

    run = type("Run", (), {"id": "run-1", "title": "Model"})
    reliability = None

    def __call__(self, faces: Sequence[RgbImage]) -> list[Verdict]:
        """Verdicts on faces."""
        logits = [float(np.asarray(face)[::30, ::30].mean()) / 32 - 4 for face in faces]
        return [Verdict(CLASSES[int(z > 0)], CLASSES[int(z > 0)], z, 1 / (1 + float(np.exp(-z))), None) for z in logits]


def _upload(judge: Any, detector: FaceDetector | None, seeds: list[bytes]) -> Prepared:
    plain = {
        count: structure(_report([(f"{n}.png", b"no photo") for n in range(count)], judge, detector)) for count in (1,)
    }

    def run(data: bytes) -> None:
        name, _, content = data.partition(_SEPARATOR)
        called = name.decode("utf-8", errors="replace")
        sources: list[tuple[str, Path | bytes]] = [(called, content), ("second.png", b"no photo")]
        judged = list(judge_photos(sources, lambda name, source: find_faces(name, source, detector), judge))
        check([one.photo.name for one in judged] == [called, "second.png"], "a file that nothing is said of")
        for one in judged:
            check(one.photo.readable == bool(one.photo.faces), "a photo without a face")
            check(len(one.photo.faces) == len(one.verdicts), "a face without a verdict")
            check_sentence(one.photo.status)
            for face, verdict in zip(one.photo.faces, one.verdicts, strict=True):
                left, top, right, bottom = face.box
                inside = 0 <= left < right <= one.photo.width and 0 <= top < bottom <= one.photo.height
                check(inside, f"the box {face.box} is not in a photo of {one.photo.width}x{one.photo.height}")
                check(
                    face.pixels.shape == (150, 150, 3) and face.pixels.dtype == np.uint8, f"a face {face.pixels.shape}"
                )
                check((verdict is None) == face.too_small, "a face that was not judged, or should not have been")
                if verdict is not None:
                    check(verdict.label in CLASSES and verdict.verdict in VERDICTS, f"the verdict {verdict.verdict}")
                    check(
                        0 <= verdict.p_without_mask <= 1 and np.isfinite(verdict.logit), f"p {verdict.p_without_mask}"
                    )
        table = verdicts_table(judged, "run-1")
        check(tuple(table) == COLUMNS, "other columns")
        check(set(table["file"]) == {called, "second.png"}, "a file without a row")
        check(len(table) == sum(max(1, len(one.photo.faces)) for one in judged), "another number of rows")
        rows = check_csv(to_csv(table))
        check(len(rows) == len(table) + 1, "another number of rows in the CSV")
        if len(data) % 8 == 0 and not judged[0].photo.readable:  # it takes long
            found = structure(_report([(called, content)], judge, detector))
            check(found == plain[1], "another report than with a plain name")
        elif len(data) % 8 == 0:
            with refusals(PhotoError):
                check(structure(_report([(called, content)], judge, detector)), "an empty report")

    return Prepared(run, seeds)


def _report(sources: list[tuple[str, bytes]], judge: Any, detector: FaceDetector | None) -> str:
    judged = list(judge_photos(list(sources), lambda name, source: find_faces(name, source, detector), judge))
    entries = list(report_photos(judged, [source for _, source in sources], judge, None))
    return photo_report(entries, _MODEL)


def _stubbed(folder: Path) -> Prepared:
    photos = {**photo_seeds(), **iso_seeds()}
    seeds = [f"{name}.jpg".encode() + _SEPARATOR + content for name, content in photos.items()]
    odd = [b"=cmd|' /C calc'!A0", b"<script>alert(1)</script>", b"../../x", "\u202egpj.exe".encode(), b"a" * 300, b""]
    return _upload(Stub(), None, seeds + [name + _SEPARATOR + photos["png"] for name in odd])


def _real(folder: Path) -> Prepared:
    """With the detector and the judge of a bundled run."""
    judge: Judge = open_judge(find_run(Workspace(folder / "home"), "svm"))
    drawn = Image.open(BytesIO(sample_photo("drawn-mask")))
    small = BytesIO()
    drawn.resize((96, 110)).save(small, "JPEG", quality=70)
    photos = photo_seeds()
    seeds = [b"drawn.jpg" + _SEPARATOR + small.getvalue()]
    seeds += [
        name.encode() + _SEPARATOR + photos[name] for name in ("jpeg", "png-alpha", "gif-animated", "webp", "tiff-16")
    ]
    return _upload(judge, FaceDetector(), seeds)


def named(data: bytes, rng: Any) -> bytes:
    """The file's name changed, or its content."""
    name, _, content = data.partition(_SEPARATOR)
    if rng.random() < 0.2:
        return text(name, rng).replace(_SEPARATOR, b" ") + _SEPARATOR + content
    return name + _SEPARATOR + png(content, rng)


_READS = (
    "maskdet.predict.find_faces",
    "maskdet.predict.judge_photos",
    "maskdet.predict.verdicts_table",
    "maskdet.export.to_csv",
    "maskdet.photo_report.photo_report",
    "maskdet.batch_report.report_photos",
)
TARGETS = (
    Target("upload", _stubbed, _READS, named, most_bytes=1 << 13),
    Target("upload-real", _real, (*_READS, "maskdet.detection.FaceDetector.__call__"), named, most_bytes=1 << 13),
)
