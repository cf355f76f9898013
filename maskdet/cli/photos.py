"""The commands that look at single photos."""

from pathlib import Path
from typing import Annotated

import typer

from maskdet.cli.shared import HomeOption, app, load, workspace_of
from maskdet.errors import MaskDetError
from maskdet.labels import CLASSES
from maskdet.terminal import note, progress_bar
from maskdet.workspace import replacing


@app.command(epilog="Example: python -m maskdet predict photo.jpg holiday/ --csv verdicts.csv")
def predict(
    context: typer.Context,
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Photos, or folders of photos.")],
    model: Annotated[
        str | None, typer.Option("--model", metavar="RUN", help="A run's id or a model's name. [default: best bundled]")
    ] = None,
    csv: Annotated[Path | None, typer.Option("--csv", metavar="OUT", help="Write here instead of stdout.")] = None,
    home: HomeOption = None,
) -> None:
    """Say of each photo whether the face wears a mask, as CSV. A file that cannot be read is a row that says why."""
    from maskdet.export import to_csv
    from maskdet.predict import OK, collect_photos, predict_photos
    from maskdet.runs import find_run

    photos = collect_photos(paths)
    run = find_run(workspace_of(context, home), model)
    loaded = load(run)
    with progress_bar() as progress:
        table = predict_photos([(str(path), path) for path in photos], loaded, run.id, progress)
    if csv is None:
        print(to_csv(table), end="")
    else:
        with replacing(csv) as temporary:
            temporary.write_bytes(to_csv(table).encode())
    unread = int((table["status"] != OK).sum())
    note(f"{len(table) - unread} photos predicted, {unread} not readable" + (f", written to {csv}" if csv else ""))


@app.command(epilog="Example: python -m maskdet explain photo.jpg --out heatmap.png")
def explain(
    context: typer.Context,
    photo: Annotated[Path, typer.Argument(metavar="PHOTO", help="A photo of one face.")],
    out: Annotated[Path, typer.Option("--out", metavar="PNG", help="Where the picture goes.")],
    model: Annotated[str | None, typer.Option("--model", metavar="RUN", help="A run's id or a model's name.")] = None,
    label: Annotated[
        str | None, typer.Option(help="Show the evidence for with_mask or without_mask. [default: the verdict]")
    ] = None,
    home: HomeOption = None,
) -> None:
    """Lay over a photo where the model looked: Grad-CAM of its last convolutional layer."""
    import numpy as np
    from PIL import Image

    from maskdet.explain import GradCam, overlay
    from maskdet.photos import read_photo
    from maskdet.predict import judge, whole_face
    from maskdet.runs import find_run

    if label not in (None, *CLASSES):
        raise MaskDetError(f"--label must be {' or '.join(CLASSES)}, not {label!r}.")
    try:
        seen = read_photo(photo)
    except MaskDetError as error:
        raise MaskDetError(f"{photo}: {error}.") from error
    run = find_run(workspace_of(context, home), model)
    loaded = load(run)
    face = whole_face(seen)
    grad_cam = GradCam(loaded)
    verdict = judge(loaded, [face])[0]
    heatmap = grad_cam(face, label or verdict.label)
    with replacing(out) as temporary:
        Image.fromarray(overlay(np.asarray(seen.image), heatmap)).save(temporary, format="PNG")
    print(f"{verdict.label}, p_without_mask {verdict.p_without_mask:.4f}, model {run.id}")
    if not heatmap.has_evidence:
        print(f"No evidence found for {heatmap.label} in layer {heatmap.layer}: the picture is the photo alone.")
    note(f"evidence for {heatmap.label} in layer {heatmap.layer}, written to {out}")
