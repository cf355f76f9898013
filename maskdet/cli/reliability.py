"""The command that fits when not to believe a run."""

from typing import Annotated

import typer

from maskdet.cli.shared import HomeOption, app, done, workspace_of
from maskdet.terminal import progress_bar, say


@app.command(epilog="Example: python -m maskdet calibrate cnn-20260101-120000")
def calibrate(
    context: typer.Context,
    run: Annotated[str | None, typer.Argument(metavar="RUN", help="A run's id or a model's name.")] = None,
    home: HomeOption = None,
) -> None:
    """Fit when not to believe a run: its probabilities, the band of not sure, and the distance to its training faces.

    Trainings do this when they end; runs of earlier versions have it done here.
    """
    from maskdet.calibrate import calibrate_and_save
    from maskdet.models import MODELS
    from maskdet.reliability import FITTED_TWICE
    from maskdet.runs import find_run

    workspace = workspace_of(context, home)
    chosen = find_run(workspace, run)
    with progress_bar() as progress:
        found = calibrate_and_save(workspace, chosen, progress)
    seen = found.record["validation"]
    say(f"temperature {found.temperature:.3f}; not sure between {found.low:.3f} and {found.high:.3f}; "
          f"limit of the distance {found.distance_threshold:.4f}")  # fmt: skip
    if MODELS[chosen.model_name].logit_is_fitted:
        say(f"the temperature is {FITTED_TWICE}")
    say(f"of {found.record['faces']['validation']:,} validation faces: {seen['not_sure']} not sure, "
          f"{seen['not_like_training_data']} not like the training data; wrong {seen['wrong']}, "
          f"of those with a verdict {seen['wrong_of_given']}")  # fmt: skip
    done(workspace, f"{chosen.id} calibrated")
