"""The shell: ``python -m maskdet COMMAND``. Every command is one or two core calls and a printed table.

An error a person can act on is one line on stderr and exit status 1 (2 for a wrong command line). Tables go to
stdout; progress and timing go to stderr.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.exceptions import TyperException

from maskdet.errors import MaskDetError
from maskdet.jobs import EventWriter
from maskdet.labels import CLASSES
from maskdet.terminal import note, print_label_split, print_metrics, print_percent, print_table, progress_bar
from maskdet.workspace import HOME_VARIABLE, Workspace, replacing

if TYPE_CHECKING:
    from maskdet.models import Model
    from maskdet.runs import Run

app = typer.Typer(
    name="maskdet",
    help="Face-mask image classification one can check: data, filters, models, heatmaps.",
    invoke_without_command=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

HomeOption = Annotated[
    Path | None,
    typer.Option("--home", metavar="DIR", help=f"The workspace. [env var: {HOME_VARIABLE}; default: data/workspace]"),
]
SeedOption = Annotated[int, typer.Option(min=0, help="Same seed, same result.")]
PlanOption = Annotated[
    str | None, typer.Option("--augmentation", help="none, on-the-fly or study. [default: on-the-fly]")
]
MethodOption = Annotated[
    list[str] | None,
    typer.Option("--method", help="flip, rotate, brightness, crop or noise; may be repeated. [default: all five]"),
]
NotAugmentedOption = Annotated[
    list[str] | None,
    typer.Option(help='A dataset that the study plan leaves as it is; may be repeated, "" for none. [default: 2.1]'),
]


@app.callback()
def choose_home(context: typer.Context, home: HomeOption = None) -> None:
    """Choose the workspace for the command that follows."""
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit(2)
    context.obj = home


@app.command(epilog="Example: python -m maskdet scan ~/datasets")
def scan(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder of dataset folders, or one dataset.")],
    name: Annotated[
        str | None, typer.Option("--as", metavar="ID", help="Take all of DIR as one dataset of this id.")
    ] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes. [default: one a core]")] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Measure on the workers of this Dask scheduler, such as tcp://host:8786."),
    ] = None,
    home: HomeOption = None,
) -> None:
    """Read the datasets found in DIR (folder name = dataset id) and measure every face."""
    from maskdet.facetable import scan as scan_folder

    workspace = _workspace(context, home)
    with progress_bar() as progress:
        faces = scan_folder(workspace, folder, dataset_id=name, jobs=jobs, scheduler=scheduler, progress=progress)
    print_label_split(faces)
    if len(faces.rejects):
        print(f"\n{len(faces.rejects)} rejects:")
        print_table(faces.rejects)
    else:
        print("\nNo rejects.")
    for dataset in faces.missing:
        print(
            f"\nThe folder of {dataset} is gone ({faces.roots[dataset]}): filter, split and train leave its faces out."
        )
    _done(workspace, f"{len(faces.table)} faces from {len(faces.roots)} datasets")


@app.command(epilog="Example: python -m maskdet datasets --study")
def datasets(
    context: typer.Context,
    incorrect_mask: Annotated[
        str, typer.Option(help="Masks worn incorrectly: drop, without_mask or class (one of their own).")
    ] = "drop",
    study: Annotated[bool, typer.Option("--study", help="Also show what the study counted.")] = False,
    home: HomeOption = None,
) -> None:
    """List the datasets that were scanned, with their photos and faces by label (the study's Tables 1 and 2)."""
    from maskdet.catalog import load_catalog
    from maskdet.explore import against_study, dataset_table, parse_treatment, treatment_sentence
    from maskdet.facetable import label_percent, load_faces

    treatment = parse_treatment(incorrect_mask)
    workspace = _workspace(context, home)
    faces = load_faces(workspace)
    catalog = load_catalog(workspace.path("datasets.toml"))
    table = dataset_table(faces, catalog, treatment)
    print_table(table)
    print_percent(label_percent(table))
    print(treatment_sentence(faces.table, treatment))
    for dataset in faces.missing:
        print(f"The folder of {dataset} is gone: {faces.roots[dataset]}")
    if study:
        print()
        print_table(against_study(faces, catalog, treatment))


@app.command(epilog="Example: python -m maskdet download andrewmvd/face-mask-detection")
def download(
    context: typer.Context,
    handle: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="A public dataset of Kaggle.")],
    home: HomeOption = None,
) -> None:
    """Download a public Kaggle dataset into kagglehub's cache and scan it."""
    from maskdet.catalog import load_catalog
    from maskdet.download import download_and_scan

    workspace = _workspace(context, home)
    catalog = load_catalog(workspace.path("datasets.toml"))
    with progress_bar() as progress:
        name, faces = download_and_scan(workspace, handle, catalog, progress)
    print_label_split(faces)
    _done(workspace, f"{name} lies in {faces.roots[name]}")


@app.command(epilog="Example: python -m maskdet forget 2.1")
def forget(
    context: typer.Context,
    dataset: Annotated[str, typer.Argument(metavar="ID", help="The dataset's id, as `datasets` lists it.")],
    home: HomeOption = None,
) -> None:
    """Take a dataset out of the workspace. Its photos stay; scanning its folder again brings it back."""
    from maskdet.facetable import forget as forget_dataset

    workspace = _workspace(context, home)
    faces = forget_dataset(workspace, dataset)
    _done(workspace, f"{dataset} is forgotten, {len(faces.table)} faces are left")


@app.command("filter", epilog="Example: python -m maskdet filter --hash-distance 2 --min-side 20")
def filter_faces(
    context: typer.Context,
    duplicates: Annotated[bool, typer.Option("--duplicates/--no-duplicates", help="Remove duplicates.")] = True,
    hash_kind: Annotated[str, typer.Option(help="What tells duplicates: phash, dhash, ahash or whash.")] = "phash",
    hash_distance: Annotated[int, typer.Option(help="Duplicates differ in at most this many of 64 bits.")] = 4,
    aspect_ratio: Annotated[
        bool, typer.Option("--aspect-ratio/--no-aspect-ratio", help="Remove small stretched faces.")
    ] = True,
    small_size: Annotated[
        float, typer.Option(help="The aspect ratio counts below this sqrt(width x height), px.")
    ] = 300,
    min_aspect_ratio: Annotated[float, typer.Option(help="Least height / width of small faces.")] = 0.25,
    max_aspect_ratio: Annotated[float, typer.Option(help="Largest height / width of small faces.")] = 4.0,
    rgb: Annotated[bool, typer.Option("--rgb/--no-rgb", help="Remove RGB anomalies.")] = True,
    min_channel_mean: Annotated[float, typer.Option(help="Least mean of any channel, 0 to 255.")] = 5,
    max_channel_mean: Annotated[float, typer.Option(help="Largest mean of any channel, 0 to 255.")] = 250,
    exact: Annotated[bool, typer.Option("--exact", help="Count exact duplicates apart.")] = False,
    conflicts: Annotated[bool, typer.Option("--conflicts", help="Remove clusters with different labels.")] = False,
    min_side: Annotated[
        float | None, typer.Option(help="Remove faces whose shorter side has fewer px. [default: off]")
    ] = None,
    min_sharpness: Annotated[
        float | None, typer.Option(help="Remove faces whose Laplacian varies less. [default: off]")
    ] = None,
    incorrect_mask: Annotated[
        str, typer.Option(help="Masks worn incorrectly: drop, without_mask or class (of their own).")
    ] = "drop",
    home: HomeOption = None,
) -> None:
    """Decide which faces stay: the study's duplicate, aspect-ratio and RGB filters, further ones, decisions by hand."""
    from maskdet.decisions import load_decisions
    from maskdet.facetable import load_faces
    from maskdet.quality import FilterOptions, apply_filters, save_filtered
    from maskdet.review import concerns, removals

    workspace = _workspace(context, home)
    further = {"min_side": min_side, "min_sharpness": min_sharpness}
    options = FilterOptions(
        duplicates=duplicates,
        aspect_ratio=aspect_ratio,
        rgb=rgb,
        hash_kind=hash_kind,  # type: ignore[arg-type]  # validated by FilterOptions
        hash_distance=hash_distance,
        small_size=small_size,
        min_aspect_ratio=min_aspect_ratio,
        max_aspect_ratio=max_aspect_ratio,
        min_channel_mean=min_channel_mean,
        max_channel_mean=max_channel_mean,
        exact=exact,
        conflicts=conflicts,
        small=min_side is not None,
        blur=min_sharpness is not None,
        incorrect_mask=incorrect_mask,  # type: ignore[arg-type]  # validated by FilterOptions
        **{name: value for name, value in further.items() if value is not None},
    )
    faces = load_faces(workspace)
    filtered = apply_filters(faces, options, load_decisions(workspace))
    workspace.ensure_writable()
    save_filtered(workspace, filtered)
    print_table(removals(faces, filtered), digits=2)
    for sentence in concerns(faces, filtered):
        print(f"\nLook twice: {sentence}")
    _done(workspace, f"{len(filtered.kept)} of {len(filtered.table)} faces kept")


@app.command(epilog="Example: python -m maskdet decisions --import decisions.csv")
def decisions(
    context: typer.Context,
    source: Annotated[
        Path | None, typer.Option("--import", metavar="CSV", help="Add decisions: columns face_id, decision.")
    ] = None,
    target: Annotated[Path | None, typer.Option("--export", metavar="CSV", help="Write all decisions here.")] = None,
    clear: Annotated[bool, typer.Option("--clear", help="First take all decisions back.")] = False,
    home: HomeOption = None,
) -> None:
    """Show, import or export the decisions by hand: faces that are kept or dropped whatever the filters say."""
    from maskdet.decisions import change_decisions, from_csv, load_decisions, save_decisions, to_csv

    workspace = _workspace(context, home)
    added = {} if source is None else from_csv(source.read_bytes())
    if clear:
        workspace.ensure_writable()
        save_decisions(workspace, added)
    elif added:
        change_decisions(workspace, added)
    decided = load_decisions(workspace)
    if target is not None:
        with replacing(target) as temporary:
            temporary.write_bytes(to_csv(decided).encode())
    kept = sum(decision == "keep" for decision in decided.values())
    print(f"{kept} kept and {len(decided) - kept} dropped by hand; `filter` takes them into account.")
    _done(workspace, f"{len(decided)} decisions")


@app.command("split", epilog="Example: python -m maskdet split --seed 1")
def split_command(
    context: typer.Context,
    train_share: Annotated[float, typer.Option("--train")] = 0.6,
    validation_share: Annotated[float, typer.Option("--validation")] = 0.2,
    test_share: Annotated[float, typer.Option("--test")] = 0.2,
    seed: SeedOption = 0,
    group_distance: Annotated[int, typer.Option(help="Faces this near in bits of their hash stay together.")] = 6,
    by_face: Annotated[
        bool, typer.Option("--by-face", help="Part photos and duplicates, as the study does; see what `leaks` says.")
    ] = False,
    home: HomeOption = None,
) -> None:
    """Assign the kept faces to training, validation and test, never parting two of one photo or duplicate cluster."""
    from maskdet.catalog import load_catalog
    from maskdet.facetable import load_faces
    from maskdet.quality import load_filtered
    from maskdet.split import SplitOptions, save_split, split_faces, split_table

    workspace = _workspace(context, home)
    options = SplitOptions(train_share, validation_share, test_share, seed, group_distance, not by_face)
    faces = load_faces(workspace)
    catalog = load_catalog(workspace.path("datasets.toml"))
    split = split_faces(faces, load_filtered(workspace, faces), catalog, options)
    workspace.ensure_writable()
    save_split(workspace, split)
    print_table(split_table(split))
    _done(workspace, f"{len(split.table)} faces split, fingerprint {split.fingerprint}")


@app.command("augment-sizes", epilog="Example: python -m maskdet augment-sizes --augmentation study")
def augment_sizes(
    context: typer.Context,
    augmentation: PlanOption = None,
    method: MethodOption = None,
    not_augmented: NotAugmentedOption = None,
    home: HomeOption = None,
) -> None:
    """Count the training faces and the augmented copies that an epoch shows of them, by dataset."""
    from maskdet.augment import AugmentOptions, set_sizes
    from maskdet.facetable import load_faces
    from maskdet.split import load_split, split_table

    workspace = _workspace(context, home)
    options = AugmentOptions(**_copies(augmentation, method, not_augmented))
    sizes = set_sizes(split_table(load_split(workspace, load_faces(workspace))), options)
    print_table(sizes)
    total = int(sizes.loc[sizes["dataset"] == "Total", "total"].sum())
    _done(workspace, f"{total} images an epoch with the plan {options.plan}")


@app.command(epilog="Example: python -m maskdet leaks --distance 6")
def leaks(
    context: typer.Context,
    distance: Annotated[int, typer.Option(min=0, max=10, help="How near is a leak: bits of the hash.")] = 10,
    seed: SeedOption = 0,
    home: HomeOption = None,
) -> None:
    """Count the validation and test faces that resemble a training face, in the publisher's splits and in ours."""
    from maskdet.catalog import load_catalog
    from maskdet.facetable import load_faces
    from maskdet.leaks import compare_splits, leak_table
    from maskdet.quality import load_filtered, near_faces
    from maskdet.split import SplitOptions

    workspace = _workspace(context, home)
    faces = load_faces(workspace)
    filtered = load_filtered(workspace, faces)
    catalog = load_catalog(workspace.path("datasets.toml"))
    splits = compare_splits(faces, filtered, catalog, SplitOptions(seed=seed))
    table = leak_table(faces, near_faces(faces, filtered.options.hash_kind, distance), splits)
    print_table(table[table["distance"] == distance], digits=2)
    _done(workspace, f"{filtered.options.hash_kind} within {distance} bits")


@app.command(epilog="Example: python -m maskdet train cnn --epochs 3")
def train(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="svm or cnn.")],
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs of a CNN. [default: 15]")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Adam's learning rate. [default: 0.0001]")] = None,
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
    seed: SeedOption = 0,
    home: HomeOption = None,
) -> None:
    """Train a model on the split and judge it on the test faces; prints the run's id."""
    from maskdet.train import train as train_model

    workspace = _workspace(context, home)
    strength = _given(
        rotation=rotation, brightness=brightness, crop_keep=crop_keep, noise=noise, probability=probability
    )
    copies = _copies(augmentation, method, not_augmented) | strength
    options = _given(epochs=epochs, learning_rate=learning_rate, augmentation=copies or None)
    _prepare(model)
    with progress_bar() as progress:
        run = train_model(workspace, model, options, seed=seed, limit=limit, progress=progress)
    print_metrics(run.metrics)
    print(run.id)
    _done(workspace, f"fitted in {run.record['seconds']['fit']:.1f} s", result=run.id)


@app.command(epilog="Example: python -m maskdet evaluate cnn")
def evaluate(
    context: typer.Context,
    run: Annotated[str, typer.Argument(help="A run's id, or a model's name: its best bundled or newest run.")],
    home: HomeOption = None,
) -> None:
    """Predict the workspace's test split with a run's weights and print its metrics."""
    from maskdet.runs import find_run
    from maskdet.train import evaluate as evaluate_run

    workspace = _workspace(context, home)
    found = find_run(workspace, run)
    _prepare(found.model_name)
    with progress_bar() as progress:
        evaluation = evaluate_run(workspace, found, progress)
    print(f"run {found.id}")
    print_metrics(evaluation.metrics)
    if not evaluation.same_data:
        print(
            f"Note: trained on another split ({found.fingerprint}); {evaluation.left_out} test faces that it saw in "
            "training or validation are left out."
        )
    _done(workspace, f"{len(evaluation.predictions)} faces predicted in {evaluation.seconds:.1f} s")


@app.command(epilog="Example: python -m maskdet runs")
def runs(context: typer.Context, home: HomeOption = None) -> None:
    """List the finished runs, bundled and own."""
    from maskdet.runs import list_runs, runs_table

    found = list_runs(_workspace(context, home))
    if not found:
        print("No runs yet: `python -m maskdet train svm` makes one.")
        return
    print_table(runs_table(found), digits=4)


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
    run = find_run(_workspace(context, home), model)
    loaded = _load(run)
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
    run = find_run(_workspace(context, home), model)
    loaded = _load(run)
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


@app.command(epilog="Example: python -m maskdet sample")
def sample(context: typer.Context, home: HomeOption = None) -> None:
    """Draw the synthetic sample set, with its own workspace inside this one, and print where its photos lie."""
    from maskdet.facetable import load_faces
    from maskdet.starter import sample_workspace

    workspace = _workspace(context, home)
    with progress_bar() as progress:
        drawn = sample_workspace(workspace, progress)
    print_label_split(load_faces(drawn))
    print(drawn.path("photos"))
    _done(workspace, f"use it with --home {drawn.home}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the shell. Exits with 0, with 1 for an error a person can act on, or with 2 for a wrong command line."""
    job = EventWriter.from_environment()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow greets on stderr otherwise
    try:
        status = app(args=arguments, standalone_mode=False)
    except TyperException as error:
        _fail(job, " ".join(error.format_message().split()), error.exit_code)
    except MaskDetError as error:
        _fail(job, str(error), 1)
    except MemoryError:
        _fail(job, "This needs more memory than the machine has; try --limit.", 1)
    except (KeyboardInterrupt, typer.Abort):
        _fail(job, "Stopped.", 130)
    except BrokenPipeError:  # the reader of our output, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        _fail(job, f"{error.filename or 'A file'}: {error.strerror or error}.", 1)
    except Exception as error:
        if job:  # the page shows this; the traceback goes to the job's log
            job.write("failed", reason=f"An error in MaskDet itself, see the log ({type(error).__name__}: {error}).")
        raise
    sys.exit(status if isinstance(status, int) else 0)


def _fail(job: EventWriter | None, reason: str, status: int) -> None:
    if job:
        job.write("failed", reason=reason)
    print(f"Error: {reason}", file=sys.stderr)
    sys.exit(status)


def _workspace(context: typer.Context, home: Path | None) -> Workspace:
    return Workspace.locate(home or context.obj)


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _copies(plan: str | None, methods: list[str] | None, not_augmented: list[str] | None) -> dict[str, Any]:
    """What the options of the augmentation's plan say; typer gives empty lists where an option is not there."""
    left_alone = [dataset for dataset in not_augmented if dataset] if not_augmented else None
    return _given(plan=plan, methods=methods or None, not_augmented=left_alone)


def _prepare(model_name: str) -> None:
    from maskdet.models import MODELS
    from maskdet.quiet import import_tensorflow

    if model_name in MODELS and MODELS[model_name].needs_tensorflow:
        import_tensorflow()


def _load(run: "Run") -> "Model":
    _prepare(run.model_name)
    return run.load_model()


def _done(workspace: Workspace, text: str, result: str = "") -> None:
    job = EventWriter.from_environment()
    if job:
        job.write("finished", result=result)
    note(f"{text}; workspace {workspace.home}")
