"""The commands from photos to a split."""

from pathlib import Path
from typing import Annotated

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
    workspace_of,
)
from maskdet.further_filters import FURTHER, parse_thresholds
from maskdet.kinds import PHOTOS_FOLDER
from maskdet.terminal import print_label_split, print_percent, print_table, progress_bar, say
from maskdet.workspace import replacing


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
    from maskdet.integrity import remove_leftovers

    workspace = workspace_of(context, home)
    with progress_bar() as progress:
        faces = scan_folder(workspace, folder, dataset_id=name, jobs=jobs, scheduler=scheduler, progress=progress)
    remove_leftovers(workspace)
    print_label_split(faces)
    if len(faces.rejects):
        say(f"\n{len(faces.rejects)} rejects:")
        print_table(faces.rejects)
    else:
        say("\nNo rejects.")
    for dataset in faces.missing:
        say(f"\nThe folder of {dataset} is gone ({faces.roots[dataset]}): filter, split and train leave its faces out.")
    done(workspace, f"{len(faces.table)} faces from {len(faces.roots)} datasets")


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
    from maskdet.labels import INCORRECT_MASK

    treatment = parse_treatment(incorrect_mask)
    workspace = workspace_of(context, home)
    faces = load_faces(workspace)
    catalog = load_catalog(workspace.path("datasets.toml"))
    table = dataset_table(faces, catalog, treatment)
    print_table(table if treatment == "class" else table.drop(columns=INCORRECT_MASK))
    print_percent(label_percent(table))
    say(treatment_sentence(faces.table, treatment))
    for dataset in faces.missing:
        say(f"The folder of {dataset} is gone: {faces.roots[dataset]}")
    if study:
        say()
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

    workspace = workspace_of(context, home)
    catalog = load_catalog(workspace.path("datasets.toml"))
    with progress_bar() as progress:
        name, faces = download_and_scan(workspace, handle, catalog, progress)
    print_label_split(faces)
    done(workspace, f"{name} lies in {faces.roots[name]}")


@app.command(epilog="Example: python -m maskdet forget 2.1")
def forget(
    context: typer.Context,
    dataset: Annotated[str, typer.Argument(metavar="ID", help="The dataset's id, as `datasets` lists it.")],
    home: HomeOption = None,
) -> None:
    """Take a dataset out of the workspace. Its photos stay; scanning its folder again brings it back."""
    from maskdet.facetable import forget as forget_dataset

    workspace = workspace_of(context, home)
    faces = forget_dataset(workspace, dataset)
    done(workspace, f"{dataset} is forgotten, {len(faces.table)} faces are left")


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
    further: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[=LEAST]",
            help=f"A further filter, of {', '.join(FURTHER)}: faces that measure less go; may be repeated.",
        ),
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

    workspace = workspace_of(context, home)
    ours = {"min_side": min_side, "min_sharpness": min_sharpness}
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
        further=parse_thresholds(further or []),
        **{name: value for name, value in ours.items() if value is not None},
    )
    faces = load_faces(workspace)
    filtered = apply_filters(faces, options, load_decisions(workspace))
    with workspace.applying():
        save_filtered(workspace, filtered)
    print_table(removals(faces, filtered), digits=2)
    for sentence in concerns(faces, filtered):
        say(f"\nLook twice: {sentence}")
    done(workspace, f"{len(filtered.kept)} of {len(filtered.table)} faces kept")


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
    """Show, import or export the decisions by hand: faces that are kept, dropped or relabelled, labels confirmed."""
    from maskdet.decisions import change_decisions, counted, from_csv, load_decisions, save_decisions, to_csv

    workspace = workspace_of(context, home)
    added = {} if source is None else from_csv(source.read_bytes())
    if clear:
        save_decisions(workspace, added)
    elif added:
        change_decisions(workspace, added)
    decided = load_decisions(workspace)
    if target is not None:
        with replacing(target) as temporary:
            temporary.write_bytes(to_csv(decided).encode())
    say(f"By hand: {counted(decided)}; `filter` takes them into account.")
    done(workspace, f"{len(decided)} decisions")


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
    """Assign the kept faces to training, validation and test; related faces are never parted."""
    from maskdet.catalog import load_catalog
    from maskdet.facetable import load_faces
    from maskdet.quality import load_filtered
    from maskdet.split import SplitOptions, save_split, split_faces, split_table

    workspace = workspace_of(context, home)
    options = SplitOptions(train_share, validation_share, test_share, seed, group_distance, not by_face)
    faces = load_faces(workspace)
    catalog = load_catalog(workspace.path("datasets.toml"))
    split = split_faces(faces, load_filtered(workspace, faces), catalog, options)
    with workspace.applying():
        save_split(workspace, split)
    print_table(split_table(split))
    done(workspace, f"{len(split.table)} faces split, fingerprint {split.fingerprint}")


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

    workspace = workspace_of(context, home)
    options = AugmentOptions(**copies_of(augmentation, method, not_augmented))
    sizes = set_sizes(split_table(load_split(workspace, load_faces(workspace))), options)
    print_table(sizes)
    total = int(sizes.loc[sizes["dataset"] == "Total", "total"].sum())
    instead = ", each a new variant in the place of its face" if options.plan == "on-the-fly" else ""
    done(workspace, f"{total} images an epoch with the plan {options.plan}{instead}")


@app.command(epilog="Example: python -m maskdet leaks --distance 8")
def leaks(
    context: typer.Context,
    distance: Annotated[int, typer.Option(min=0, max=10, help="How near is a leak: bits of the hash.")] = 6,
    seed: SeedOption = 0,
    home: HomeOption = None,
) -> None:
    """Count the validation and test faces that resemble a training face, in the publisher's splits and in ours.

    From about 8 bits on, unrelated faces meet by chance.
    """
    from maskdet.catalog import load_catalog
    from maskdet.facetable import load_faces
    from maskdet.leaks import compare_splits, leak_table
    from maskdet.quality import load_filtered, near_faces
    from maskdet.split import SplitOptions

    workspace = workspace_of(context, home)
    faces = load_faces(workspace)
    filtered = load_filtered(workspace, faces)
    catalog = load_catalog(workspace.path("datasets.toml"))
    splits = compare_splits(faces, filtered, catalog, SplitOptions(seed=seed))
    table = leak_table(faces, near_faces(faces, filtered.options.hash_kind, distance), splits, catalog)
    print_table(table[table["distance"] == distance], digits=2)
    done(workspace, f"{filtered.options.hash_kind} within {distance} bits")


@app.command(epilog="Example: python -m maskdet sample")
def sample(context: typer.Context, home: HomeOption = None) -> None:
    """Draw the synthetic sample set, with its own workspace inside this one, and print where its photos lie."""
    from maskdet.facetable import load_faces
    from maskdet.starter import sample_workspace

    workspace = workspace_of(context, home)
    with progress_bar() as progress:
        drawn = sample_workspace(workspace, progress)
    print_label_split(load_faces(drawn))
    say(drawn.path(PHOTOS_FOLDER))
    done(workspace, f"use it with --home {drawn.home}")
