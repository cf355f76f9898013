"""The commands that look at single photos."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maskdet.cli.shared import HomeOption, app, load, workspace_of
from maskdet.errors import MaskDetError
from maskdet.labels import CLASSES
from maskdet.terminal import note, progress_bar
from maskdet.workspace import replacing

if TYPE_CHECKING:
    import pandas as pd

    from maskdet.attribution import Explainer
    from maskdet.detection import FaceDetector
    from maskdet.predict import JudgedPhoto


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
MinSizeOption = Annotated[
    int, typer.Option("--min-size", min=1, metavar="PX", help="Faces with a shorter side below this are not judged.")
]


@app.command(epilog="Example: python -m maskdet predict photo.jpg holiday/ --csv verdicts.csv")
def predict(
    context: typer.Context,
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Photos, or folders of photos.")],
    model: ModelOption = None,
    faces: FacesOption = Faces.DETECT,
    min_size: MinSizeOption = 40,
    csv: Annotated[Path | None, typer.Option("--csv", metavar="OUT", help="Write here instead of stdout.")] = None,
    home: HomeOption = None,
) -> None:
    """Say of each face in photos whether it wears a mask, as CSV. A file that cannot be read is a row that says why.

    label is the model's choice of two; verdict is the same, or not_sure, or not_like_training_data. Where no face is
    found the whole photo is taken as one face, and status says so.
    """
    from maskdet.predict import collect_photos, open_judge, predict_photos
    from maskdet.runs import find_run

    photos = collect_photos(paths)
    judge = open_judge(find_run(workspace_of(context, home), model))
    with progress_bar() as progress:
        sources = [(str(path), path) for path in photos]
        table = predict_photos(sources, judge, _detector(faces), progress, min_size=min_size)
    _write(table, csv)
    unread = int(table["face"].isna().sum())
    counts = ", ".join(f"{count} {name}" for name, count in table["verdict"].value_counts().items())
    note(f"{len(table) - unread} faces in {len(photos) - unread} photos ({counts or 'none judged'}), {unread} not "
         "readable" + (f", written to {csv}" if csv else ""))  # fmt: skip


@app.command(epilog="Example: python -m maskdet explain photo.jpg --out heatmap.png --method occlusion")
def explain(
    context: typer.Context,
    photo: Annotated[Path, typer.Argument(metavar="PHOTO", help="A photo.")],
    out: Annotated[Path, typer.Option("--out", metavar="PNG", help="Where the picture goes.")],
    model: ModelOption = None,
    faces: FacesOption = Faces.DETECT,
    min_size: MinSizeOption = 40,
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
    print("\n".join(f"{line}, model {run.id}" for line in lines))
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


def _detector(faces: Faces) -> "FaceDetector | None":
    from maskdet.detection import FaceDetector

    return FaceDetector() if faces is Faces.DETECT else None


def _write(table: "pd.DataFrame", csv: Path | None) -> None:
    from maskdet.export import to_csv

    if csv is None:
        print(to_csv(table), end="")
    else:
        with replacing(csv) as temporary:
            temporary.write_bytes(to_csv(table).encode())
