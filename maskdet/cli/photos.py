"""The commands that look at single photos."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maskdet.cli.shared import HomeOption, app, load, workspace_of
from maskdet.errors import MaskDetError
from maskdet.labels import CLASSES
from maskdet.terminal import note, progress_bar, say
from maskdet.workspace import replacing

if TYPE_CHECKING:
    import pandas as pd

    from maskdet.attribution import Explainer
    from maskdet.detection import FaceDetector
    from maskdet.photos import RgbImage
    from maskdet.predict import FoundFace, Judge, JudgedPhoto


class Faces(StrEnum):
    """Where the faces of a photo are."""

    DETECT = "detect"
    WHOLE = "whole"


ModelOption = Annotated[
    str | None, typer.Option("--model", metavar="RUN", help="A run's id or a model's name. [default: best bundled]")
]
FacesOption = Annotated[
    Faces, typer.Option("--faces", help="detect finds every face; whole takes each photo as one face.")
]
CsvOption = Annotated[Path | None, typer.Option("--csv", metavar="OUT", help="Write here instead of stdout.")]
MinSizeOption = Annotated[
    int, typer.Option("--min-size", min=1, metavar="PX", help="Faces with a shorter side below this are not judged.")
]


@app.command(epilog="Example: python -m maskdet predict photo.jpg holiday/ --csv verdicts.csv")
def predict(
    context: typer.Context,
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Photos, or folders of photos.")],
    model: ModelOption = None,
    faces: FacesOption = Faces.DETECT,
    min_size: MinSizeOption = 20,
    csv: CsvOption = None,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="HTML", help="Also write a report with heatmaps, as one file.")
    ] = None,
    home: HomeOption = None,
) -> None:
    """Say of each face in photos whether it wears a mask, as CSV. A file that cannot be read is a row that says why.

    label is the model's choice of two; verdict is the same, or not_sure, or not_like_training_data. Where no face is
    found the whole photo is taken as one face, and status says so.
    """
    from maskdet.predict import collect_photos, find_faces, judge_photos, open_judge, verdicts_table
    from maskdet.runs import find_run

    photos = collect_photos(paths)
    run = find_run(workspace_of(context, home), model)
    judge, detector = open_judge(run), _detector(faces)
    sources: list[tuple[str, Path | bytes]] = [(str(path), path) for path in photos]
    with progress_bar() as progress:
        judged = list(
            judge_photos(sources, lambda name, path: find_faces(name, path, detector, min_size), judge, progress)
        )
        if report:
            _write_report(report, judged, photos, judge, detector, min_size)
    table = verdicts_table(judged, run.id, min_size)
    _write(table, csv)
    unread = int(table["face"].isna().sum())
    counts = ", ".join(f"{count} {name}" for name, count in table["verdict"].value_counts().items())
    written = "".join(f", written to {path}" for path in (csv, report) if path)
    found = f"{len(table) - unread} faces in {len(photos) - unread} photos"
    note(f"{found} ({counts or 'none judged'}), {unread} not readable{written}")


@app.command(epilog="Example: python -m maskdet video street.mp4 --every 2 --csv faces.csv --counts counts.csv")
def video(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="VIDEO", help="A video.")],
    every: Annotated[float, typer.Option(metavar="SECONDS", help="A frame every so many seconds.")] = 1.0,
    most: Annotated[int, typer.Option(metavar="N", help="At most so many frames; farther apart if need be.")] = 60,
    model: ModelOption = None,
    min_size: MinSizeOption = 20,
    csv: CsvOption = None,
    counts: Annotated[
        Path | None,
        typer.Option(
            "--counts", metavar="OUT", help="Also write how many faces of each verdict there are in each frame."
        ),
    ] = None,
    home: HomeOption = None,
) -> None:
    """Say of each face in sampled frames of a video whether it wears a mask, as CSV."""
    from PIL import Image

    from maskdet.detection import FaceDetector
    from maskdet.photos import Photo
    from maskdet.predict import crop_faces, open_judge
    from maskdet.runs import find_run
    from maskdet.video import VideoError, VideoOptions, counts_over_time, predict_video

    options = VideoOptions(every=every, most=most)
    judge, detector = open_judge(find_run(workspace_of(context, home), model)), FaceDetector()

    def find(frame: "RgbImage") -> "tuple[FoundFace, ...]":
        return crop_faces(Photo(Image.fromarray(frame), "video", frame.nbytes), detector, min_size)

    with progress_bar() as progress:
        try:
            table = predict_video(file, find, judge, options, progress, min_size=min_size)
        except VideoError as error:
            raise MaskDetError(f"{file}: {error}.") from error
    over_time = counts_over_time(table)
    _write(table.assign(model=judge.run.id), csv)
    if counts:
        _write(over_time, counts)
    note(f"{int(table['face'].notna().sum())} faces in {len(over_time)} frames"
         + "".join(f", written to {path}" for path in (csv, counts) if path))  # fmt: skip


@app.command(epilog="Example: python -m maskdet explain photo.jpg --out heatmap.png --method occlusion")
def explain(
    context: typer.Context,
    photo: Annotated[Path, typer.Argument(metavar="PHOTO", help="A photo.")],
    out: Annotated[Path, typer.Option("--out", metavar="PNG", help="Where the picture goes.")],
    model: ModelOption = None,
    faces: FacesOption = Faces.DETECT,
    min_size: MinSizeOption = 20,
    label: Annotated[
        str | None, typer.Option(help="Show the evidence for with_mask or without_mask. [default: the model's label]")
    ] = None,
    method: Annotated[
        str | None, typer.Option(help="How to look. [default: grad-cam for networks, occlusion for the SVM]")
    ] = None,
    layer: Annotated[str | None, typer.Option(help="The layer to look at, where the method looks at one.")] = None,
    home: HomeOption = None,
) -> None:
    """Lay over each face of a photo where the model looked, and say the verdicts, the same as predict gives."""
    from maskdet.attribution import METHODS, Explainer
    from maskdet.predict import find_faces, judge_faces, open_judge
    from maskdet.runs import find_run

    if label not in (None, *CLASSES):
        raise MaskDetError(f"--label must be {' or '.join(CLASSES)}, not {label!r}.")
    run = find_run(workspace_of(context, home), model)
    found = find_faces(str(photo), photo, _detector(faces), min_size)
    if not found.readable:
        raise MaskDetError(f"{photo}: {found.status}.")
    (judged,) = judge_faces([found], open_judge(run))
    explainer = Explainer(load(run))
    chosen = method or explainer.methods[0]
    lines = _lay_heatmaps(judged, photo, explainer, (chosen, layer, label), out)
    say("\n".join(f"{line}, model {run.id}" for line in lines))
    where = f" in layer {layer or explainer.default_layer}" if METHODS[chosen].uses_layer else ""
    note(f"{chosen}{where}, written to {out}")


def _lay_heatmaps(
    judged: "JudgedPhoto", path: Path, explainer: "Explainer", how: tuple[str, str | None, str | None], out: Path
) -> list[str]:
    """Write the photo with a heatmap over each judged face; a line of text a face."""
    import numpy as np
    from PIL import Image

    from maskdet.attribution import overlay
    from maskdet.photos import read_photo

    method, layer, label = how
    pixels = np.array(read_photo(path).image)
    lines = []
    for face, verdict in zip(judged.photo.faces, judged.verdicts, strict=True):
        if verdict is None:
            lines.append(f"face {face.number}: too small, not judged")
            continue
        heatmap = explainer.heatmap(method, face.pixels, label or verdict.label, layer)
        left, top, right, bottom = face.box
        pixels[top:bottom, left:right] = overlay(pixels[top:bottom, left:right], heatmap)
        empty = "" if heatmap.has_evidence else f", no evidence found for {heatmap.label}"
        said = f"{verdict.label}, verdict {verdict.verdict}, p_without_mask {verdict.p_without_mask:.6f}"
        lines.append(f"face {face.number}: {said}{empty}")
    with replacing(out) as temporary:
        Image.fromarray(pixels).save(temporary, format="PNG")
    return lines


def _write_report(
    target: Path, judged: "list[JudgedPhoto]", sources: list[Path], judge: "Judge", found_by: "FaceDetector | None",
    min_size: int,
) -> None:  # fmt: skip
    from maskdet.attribution import Explainer
    from maskdet.batch_report import report_model, report_photos
    from maskdet.photo_report import photo_report

    explainer = Explainer(load(judge.run), logits=judge.logits)
    method = explainer.methods[0]
    with progress_bar() as progress:
        entries = list(
            report_photos(judged, sources, judge, lambda face, label: explainer.heatmap(method, face, label), progress)
        )
    html = photo_report(entries, report_model(judge, explainer, found_by, min_size))
    with replacing(target) as temporary:
        temporary.write_text(html, encoding="utf-8")


def _detector(faces: Faces) -> "FaceDetector | None":
    from maskdet.detection import FaceDetector

    return FaceDetector() if faces is Faces.DETECT else None


def _write(table: "pd.DataFrame", csv: Path | None) -> None:
    from maskdet.export import LINE_END, to_csv

    if csv is None:
        say(to_csv(table).replace(LINE_END, "\n"), end="")
    else:
        with replacing(csv) as temporary:
            temporary.write_bytes(to_csv(table).encode())
