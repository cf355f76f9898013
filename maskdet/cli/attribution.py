"""The commands that say where a run's model looks."""

from pathlib import Path
from typing import Annotated

import typer

from maskdet.cli.shared import HomeOption, SeedOption, app, done, prepare, workspace_of
from maskdet.labels import CLASSES
from maskdet.terminal import print_table, progress_bar, say


@app.command(epilog="Example: python -m maskdet gradcam cnn --label without_mask")
def gradcam(
    context: typer.Context,
    run: Annotated[str | None, typer.Argument(metavar="RUN", help="A run's id or a model's name.")] = None,
    label: Annotated[str, typer.Option(help="Whose evidence: with_mask or without_mask, as in the study.")] = CLASSES[
        1
    ],
    layer: Annotated[str | None, typer.Option(help="A layer of the network. [default: the model's choice]")] = None,
    sample: Annotated[int, typer.Option(min=1, help="Faces of a class at most, chosen at random.")] = 500,
    seed: SeedOption = 0,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="JSON", help="Write here. [default: into the run, unless it is a bundled one]"),
    ] = None,
    home: HomeOption = None,
) -> None:
    """Analyse where a run finds evidence (study, 6.3): mean Grad-CAM of each class, right and wrong; the extremes."""
    from maskdet.attribution.analysis import GRADCAM_FILE, AnalysisOptions, analyse_run, save_analysis
    from maskdet.runs import find_run

    options = AnalysisOptions(label=label, layer=layer, sample=sample, seed=seed)
    workspace = workspace_of(context, home)
    chosen = find_run(workspace, run)
    prepare(chosen.model_name)
    with progress_bar() as progress:
        analysis = analyse_run(workspace, chosen, options, progress)
    print_table(analysis.table(), digits=4)
    say(
        f"evidence for {label} in layer {analysis.layer} of test faces; lower_half_share and heat are means, "
        "95 % intervals by cluster bootstrap"
    )
    for title, faces in (("lowest", analysis.lowest), ("highest", analysis.highest)):
        for face in faces:
            say(f"{title} logit {face.logit:+.2f} {face.label} {face.face_id}")
    target = out or (None if chosen.is_bundled else chosen.folder / GRADCAM_FILE)
    if target is not None:
        save_analysis(target, analysis)
    done(workspace, f"{chosen.id} analysed" + (f", written to {target}" if target else ""))
