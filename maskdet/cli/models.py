"""The commands that train and judge models."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maskdet.cli.shared import (
    HomeOption,
    MethodOption,
    NotAugmentedOption,
    PlanOption,
    SeedOption,
    app,
    copies_of,
    done,
    given,
    prepare,
    started,
    workspace_of,
)
from maskdet.errors import MaskDetError
from maskdet.terminal import note, print_metrics, print_table, progress_bar, say
from maskdet.wording import duration

if TYPE_CHECKING:  # each command imports what it needs when it is called
    from maskdet.runs import Run, Unfinished
    from maskdet.workspace import Workspace

_WORKER_DONE = "this worker's part is done; the chief writes the run"


@app.command(epilog="Example: python -m maskdet train cnn --epochs 3")
def train(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="inceptionv3, cnn, cnn-transfer or svm.")],
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs of a network. [default: the model's]")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Adam's learning rate. [default: the model's]")] = None,
    weights: Annotated[
        str | None, typer.Option(help="Of inceptionv3: imagenet (downloaded), none, or a path. [default: imagenet]")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="OPTION=VALUE", help="Any other option of the model; VALUE as JSON."),
    ] = None,
    data: Annotated[
        str | None, typer.Option(metavar="FINGERPRINT", help="A saved split. [default: the one in force]")
    ] = None,
    pool: Annotated[str, typer.Option(help="main, or pre-training: the datasets with simulated masks.")] = "main",
    leave_out: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="A dataset not to train on; may be repeated.")
    ] = None,
    watch: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID",
            help='A dataset not to train on that early stopping looks at too; may be repeated, "" for none. '
            "[default: those of the pre-training pool]",
        ),
    ] = None,
    base: Annotated[
        str | None, typer.Option(metavar="RUN", help="Of cnn-transfer: the pre-training run. [default: newest or new]")
    ] = None,
    balance: Annotated[
        str | None,
        typer.Option(
            metavar="ATTRIBUTE",
            help="Let training faces count so that the label does not depend on it: dataset, size, brightness, "
            "skin_tone ... [default: each counts once]",
        ),
    ] = None,
    balance_target: Annotated[
        str,
        typer.Option(
            metavar="TARGET",
            help="independent: of the label, sums stay as they are; equal: every group of each label counts the same.",
        ),
    ] = "independent",
    augmentation: PlanOption = None,
    method: MethodOption = None,
    not_augmented: NotAugmentedOption = None,
    rotation: Annotated[float | None, typer.Option(help="Largest angle, degrees. [default: 30]")] = None,
    brightness: Annotated[float | None, typer.Option(help="Largest change of brightness. [default: 0.3]")] = None,
    crop_keep: Annotated[float | None, typer.Option(help="Share of the area a crop keeps. [default: 0.8]")] = None,
    noise: Annotated[float | None, typer.Option(help="Standard deviation, of 255. [default: 8]")] = None,
    probability: Annotated[
        float | None, typer.Option(help="Chance of each method in an on-the-fly variant. [default: 0.5]")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=2, help="At most this many training faces, for a quick try.")] = None,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Of svm: search the grid on this Dask scheduler's workers.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say about how long it would take.")] = False,
    seed: SeedOption = 0,
    home: HomeOption = None,
) -> None:
    """Train a model on the split and judge it on the test faces; prints the run's id."""
    from maskdet.cluster import dask_workers
    from maskdet.models import require_model
    from maskdet.models.distribution import is_chief
    from maskdet.train import assist, estimate
    from maskdet.train import train as train_model
    from maskdet.training_data import AUTOMATIC

    workspace = workspace_of(context, home)
    strength = given(
        rotation=rotation, brightness=brightness, crop_keep=crop_keep, noise=noise, probability=probability
    )
    copies = copies_of(augmentation, method, not_augmented) | strength
    options = given(epochs=epochs, learning_rate=learning_rate, weights=weights, augmentation=copies or None)
    options |= _settings(settings or [])
    watched = AUTOMATIC if not watch else tuple(dataset for dataset in watch if dataset)
    plan: dict[str, Any] = {
        "seed": seed, "limit": limit, "fingerprint": data, "pool": pool, "left_out": tuple(leave_out or ()),
        "watched": watched, "base": base, "balance": balance, "balance_target": balance_target,
    }  # fmt: skip
    if scheduler is not None and require_model(model).needs_tensorflow:
        raise MaskDetError(f"--scheduler is for svm; {model} is trained by several machines through TF_CONFIG.")
    prepare(model)
    with progress_bar() as progress, dask_workers(scheduler):
        if dry_run:
            seconds = estimate(workspace, model, options, progress=progress, **plan)
        elif not is_chief():
            assist(workspace, model, options, progress=progress, **plan)
        else:
            run = train_model(workspace, model, options, progress=progress, started=started, **plan)
    if dry_run:
        sentence = f"About {duration(seconds)} to train {model} with these options on this machine."
        say(sentence)
        done(workspace, "estimated from a few steps", result=sentence)
    elif not is_chief():
        done(workspace, _WORKER_DONE)
    else:
        for sentence in (run.record["balance"] or {"notes": []})["notes"]:
            note(sentence)
        _tell(workspace, run)


@app.command(epilog="Example: python -m maskdet resume cnn-20260101-120000")
def resume(
    context: typer.Context,
    run: Annotated[str, typer.Argument(help="The id of a training that was cut; `runs` lists them.")],
    home: HomeOption = None,
) -> None:
    """Go on with a training that was cut, after its last finished epoch or grid point."""
    from maskdet.models.distribution import is_chief
    from maskdet.runs import find_unfinished
    from maskdet.train import assist_resume
    from maskdet.train import resume as resume_training

    workspace = workspace_of(context, home)
    prepare(find_unfinished(workspace, run, joining=not is_chief()).model_name)
    with progress_bar() as progress:
        if not is_chief():
            assist_resume(workspace, run, progress)
            done(workspace, _WORKER_DONE)
            return
        finished = resume_training(workspace, run, progress, started)
    _tell(workspace, finished)


@app.command(epilog="Example: python -m maskdet evaluate cnn")
def evaluate(
    context: typer.Context,
    run: Annotated[str, typer.Argument(help="A run's id, or a model's name: its best bundled or newest run.")],
    home: HomeOption = None,
) -> None:
    """Predict the workspace's test split with a run's weights, print its metrics and keep them for the pages."""
    from maskdet.evaluations import save_evaluation
    from maskdet.runs import find_run
    from maskdet.train import evaluate as evaluate_run

    workspace = workspace_of(context, home)
    found = find_run(workspace, run)
    prepare(found.model_name)
    with progress_bar() as progress:
        evaluation = evaluate_run(workspace, found, progress)
    save_evaluation(workspace, found, evaluation.fingerprint, evaluation)
    say(f"run {found.id}")
    print_metrics(evaluation.metrics)
    if not evaluation.same_data:
        say(
            f"Note: trained on another split ({found.fingerprint}); {evaluation.left_out} test faces that it saw in "
            "training or validation are left out."
        )
    done(workspace, f"{len(evaluation.predictions)} faces predicted in {evaluation.seconds:.1f} s")


@app.command(epilog="Example: python -m maskdet runs")
def runs(
    context: typer.Context,
    discard: Annotated[
        str | None, typer.Option(metavar="RUN", help="Remove a training that was cut, with its checkpoint.")
    ] = None,
    home: HomeOption = None,
) -> None:
    """List the finished runs, bundled and own, and trainings that were cut."""
    from maskdet.runs import discard_unfinished, list_runs, runs_table, unfinished_runs

    workspace = workspace_of(context, home)
    if discard is not None:
        discard_unfinished(workspace, discard)
    found = list_runs(workspace)
    if found:
        print_table(runs_table(found), digits=4)
    else:
        say("No runs yet: `python -m maskdet train svm` makes one.")
    for unfinished in unfinished_runs(workspace):
        say(_state_of(unfinished))


@app.command(epilog="Example: python -m maskdet study ~/datasets --weights inception_v3_notop.weights.h5 --cut mixed8")
def study(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder of dataset folders.")],
    weights: Annotated[
        str, typer.Option(help="InceptionV3's ImageNet weights: imagenet (downloaded), a path, or none.")
    ] = "imagenet",
    cut: Annotated[str, typer.Option(help="The block at which InceptionV3 ends; mixed10 is the whole.")] = "mixed10",
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write the study here as it ships: no photos, half precision.")
    ] = None,
    remark: Annotated[str, typer.Option(help="What ships says this beside its running times.")] = "",
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs of every network, for a quick try.")] = None,
    limit: Annotated[int | None, typer.Option(min=2, help="At most this many training faces, for a quick try.")] = None,
    seed: SeedOption = 0,
    home: HomeOption = None,
) -> None:
    """Do the whole study on the datasets in DIR: scan, filter, split, train all models, judge them. Resumable."""
    import pandas as pd

    from maskdet.bundle import require_place, write_bundle
    from maskdet.runs import list_runs, runs_table
    from maskdet.study import StudyOptions, run_study

    workspace = workspace_of(context, home)
    if out is not None:
        require_place(out)  # rather than after hours of training
    prepare("cnn")
    options = StudyOptions(weights=weights, cut=cut, seed=seed, epochs=epochs, limit=limit)
    with progress_bar() as progress:
        state = run_study(workspace, folder, options, progress=progress, started=started, say=note)
        shipped = write_bundle(workspace, out, progress, remark=remark) if out else []
    print_table(runs_table([run for run in list_runs(workspace) if run.id in _runs_of(state)]), digits=4)
    if shipped:
        print_table(pd.DataFrame(shipped), digits=4)
    done(workspace, f"the study of split {state['fingerprint']} is complete")


@app.command(epilog="Example: python -m maskdet compare inceptionv3 svm --format latex")
def compare(
    context: typer.Context,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[RUN]...", help="Ids or models' names. [default: one of each model]")
    ] = None,
    form: Annotated[str, typer.Option("--format", help="markdown, latex or csv.")] = "markdown",
    home: HomeOption = None,
) -> None:
    """Print the study's Table 3 for some runs, each on its own test faces, beside the study's figures."""
    from maskdet.compare import default_runs, judged_by_own
    from maskdet.export import LINE_END
    from maskdet.reports import as_csv, as_latex, as_markdown
    from maskdet.runs import find_run, list_runs

    forms = {"markdown": as_markdown, "latex": as_latex, "csv": as_csv}
    if form not in forms:
        raise MaskDetError(f"--format must be one of {', '.join(forms)}, not {form!r}.")
    workspace = workspace_of(context, home)
    runs = [find_run(workspace, name) for name in names] if names else default_runs(list_runs(workspace))
    if not runs:
        raise MaskDetError("There is no run to compare: `python -m maskdet train svm` makes one.")
    say(forms[form](judged_by_own(runs)).replace(LINE_END, "\n"), end="")


@app.command(epilog="Example: python -m maskdet layers inceptionv3 --set cut=mixed8")
def layers(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A network's name.")],
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="OPTION=VALUE", help="An option of the model; may be repeated.")
    ] = None,
) -> None:
    """Print the layers of a network with their outputs and parameters (the study's Appendices B and C)."""
    from maskdet.models import create_model
    from maskdet.models.layers import layer_table

    prepare(model)
    table = layer_table(create_model(model, _settings(settings or [])))
    print_table(table)
    say(f"{table['parameters'].sum():,} parameters, of which {table['trainable'].sum():,} are trained")


def _state_of(unfinished: "Unfinished") -> str:
    """How a training stands; that its history is damaged keeps nobody from the other trainings."""
    state = "is being trained" if unfinished.active else "was cut"
    way = f"; `python -m maskdet resume {unfinished.id}` goes on" if unfinished.resumable else ""
    try:
        return f"{unfinished.id} {state} after {len(unfinished.history)} epochs or grid points{way}."
    except MaskDetError as error:
        return f"{unfinished.id} {state}{way}. {error}"


def _runs_of(state: dict[str, Any]) -> set[str]:
    return {step["run"] for step in state["steps"].values() if "run" in step}


def _settings(texts: list[str]) -> dict[str, Any]:
    """Options as OPTION=VALUE, the value as JSON or, if it is none, as text."""
    values: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise MaskDetError(f"--set needs OPTION=VALUE, not {text!r}.")
        try:
            values[name.replace("-", "_")] = json.loads(value)
        except ValueError:
            values[name.replace("-", "_")] = value
    return values


def _tell(workspace: "Workspace", run: "Run") -> None:
    """Print what became of a training."""
    print_metrics(run.metrics)
    say(run.id)
    done(workspace, f"fitted in {run.record['seconds']['fit']:.1f} s", result=run.id)
