"""The command of the bias lab."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from maskdet.cli.shared import HomeOption, SeedOption, app, done, prepare, workspace_of
from maskdet.errors import MaskDetError
from maskdet.terminal import note, print_table, progress_bar, say
from maskdet.workspace import replacing

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from maskdet.bias.analysis import LabOptions
    from maskdet.bias.findings import DataFindings, RunFindings
    from maskdet.runs import Run
    from maskdet.workspace import Workspace

#: How the data is named in the place of a run.
DATA: Final = "data"
_LISTED: Final = 20
#: Figures by their titles: the columns of the value and of its interval.
GROUP_METRICS: Final = {
    title: (name, f"{name}_low", f"{name}_high")
    for name, title in (
        ("macro_f1", "macro F1"), ("false_mask_rate", "false mask rate"), ("false_no_mask_rate", "false no-mask rate"),
    )
}  # fmt: skip
FLIPS: Final = {"turned": ("flipped", "low", "high"), "change in sd": ("change_sd", "change_sd_low", "change_sd_high")}
HEAT: Final = {"share": ("share", "low", "high")}


@app.command(
    epilog="Example: python -m maskdet bias data --report data.html; python -m maskdet bias cnn --report cnn.html"
)
def bias(
    context: typer.Context,
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RUN|data",
            help="Runs' ids, models' names, or data. [default: data, and the best run of the split in force]",
        ),
    ] = None,
    part: Annotated[
        list[str] | None,
        typer.Option(
            help="Of the data: appearance, shortcuts, cross-dataset; of a run: appearance, groups, counterfactuals, "
            "attention; may be repeated. [default: all]"
        ),
    ] = None,
    cross: Annotated[
        list[str] | None,
        typer.Option(metavar="MODEL", help="Whose cross-dataset matrix; may be repeated. [default: svm]"),
    ] = None,
    weights: Annotated[
        str | None, typer.Option(help="Of --cross inceptionv3: imagenet (downloaded) or a path. [default: imagenet]")
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option(min=1, help="Faces of a label for counterfactuals and attention. [default: as known, or 300]"),
    ] = None,
    fewest: Annotated[int, typer.Option(min=2, help="Faces of a group below which nothing is said of it.")] = 30,
    attributes: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="Attributes of your own, by face id or file, kept for groups and balancing."),
    ] = None,
    forget: Annotated[bool, typer.Option("--forget-attributes", help="Forget those of earlier CSVs.")] = False,
    report: Annotated[
        Path | None,
        typer.Option(
            "--report", metavar="FILE.html|DIR", help="Write a report; into a folder, with its tables as CSV."
        ),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Measure anew what is known already.")] = False,
    ship: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Copy the figures into a bundled study; no photo is among them.")
    ] = None,
    seed: SeedOption = 0,
    home: HomeOption = None,
) -> None:
    """Measure what the data offers beside masks, and whom a run fails; of two runs, the second against the first."""
    from maskdet.bias.analysis import LabOptions, affordable

    workspace = workspace_of(context, home)
    given = {"cross": tuple(affordable(model, weights) for model in cross)} if cross else {}
    options = LabOptions(tuple(part or ()), sample=sample, fewest=fewest, seed=seed, again=again, **given)
    runs = _runs(workspace, what)
    of_data = not what or DATA in what
    options.require_parts(of_data=of_data, of_runs=bool(runs))
    if forget or attributes is not None:
        _take_attributes(workspace, attributes, runs, forget=forget)
    data, found = _measure(workspace, options, runs, of_data=of_data)
    if data is not None:
        _print_data(data, runs)
    for one in found:
        _print_run(one)
    if len(found) == 2:
        _print_change(found[0], found[1], options)
    if report is not None:
        _write_report(report, data, found)
    if ship is not None:
        _ship(workspace, ship, data, found)
    done(workspace, "bias measured" + (f", written to {report}" if report else ""))


def _runs(workspace: "Workspace", what: list[str] | None) -> "list[Run]":
    from maskdet.bias.analysis import default_run
    from maskdet.runs import find_run

    if what:
        return [find_run(workspace, name) for name in what if name != DATA]
    best = default_run(workspace)
    return [best] if best else []


def _take_attributes(workspace: "Workspace", path: Path | None, runs: "list[Run]", *, forget: bool) -> None:
    """Keep the attributes of a CSV for the data of the runs, or the data at hand; say what it names in vain."""
    from maskdet.bias.analysis import data_at_hand
    from maskdet.bias.known_attributes import attributes_of
    from maskdet.bias.uploaded import forget_uploaded, keep_uploaded, read_attribute_csv

    for fingerprint in dict.fromkeys(run.fingerprint for run in runs) or [data_at_hand(workspace)]:
        if forget:
            forget_uploaded(workspace, fingerprint)
        if path is None:
            continue
        try:
            text = path.read_bytes()
        except OSError as error:
            raise MaskDetError(f"{path} cannot be read ({error.strerror}).") from error
        uploaded = read_attribute_csv(text, attributes_of(workspace, fingerprint)["face_id"].tolist())
        keep_uploaded(workspace, fingerprint, uploaded)
        names = ", ".join(uploaded.table.columns.drop("face_id"))
        note(f"{len(uploaded.table):,} faces have {names}.")
        for title, unknown in (("Unknown", uploaded.unknown), ("Of several photos", uploaded.ambiguous)):
            if unknown:
                note(f"{title}, {len(unknown):,}: {', '.join(unknown[:_LISTED])}{', ...' if unknown[_LISTED:] else ''}")


def _measure(
    workspace: "Workspace", options: "LabOptions", runs: "list[Run]", *, of_data: bool
) -> "tuple[DataFindings | None, list[RunFindings]]":
    from maskdet.bias.analysis import analyse_data, analyse_run, require_measurable
    from maskdet.facetable import has_faces

    for run in runs:
        require_measurable(workspace, run, options)
    if not has_faces(workspace):
        note("No dataset is scanned here: what follows was measured with the bundled study.")
    for model in dict.fromkeys([*(run.model_name for run in runs), *(model for model, _ in options.cross)]):
        prepare(model)
    with progress_bar() as progress:
        data = analyse_data(workspace, options, progress) if of_data else None
        return data, [analyse_run(workspace, run, options, progress) for run in runs]


def _print_data(data: "DataFindings", runs: "list[Run]") -> None:
    from maskdet.bias.cross_dataset import row_of_run

    if data.shortcuts is not None:
        for probe in data.shortcuts.probes:
            say(probe.sentence)
    for matrix in data.cross:
        say(f"\nMacro F1 of {matrix.model}, trained on a dataset and tested on another:")
        print_table(matrix.rows, digits=4)
    for run in runs:
        say(f"\nMacro F1 of {run.id} on its test faces of each dataset:")
        print_table(row_of_run(run), digits=4)
    if data.not_measurable is not None:
        say("\nFaces whose apparent skin tone cannot be measured:")
        print_table(data.not_measurable, digits=4)


def _print_run(found: "RunFindings") -> None:
    from maskdet.bias.attention import attention_by
    from maskdet.bias.cells import SHARES
    from maskdet.bias.counterfactuals import flips

    say(f"\n{found.run.id}")
    for attribute, groups in found.groups.items():
        say(f"\nBy {attribute}:")
        print_table(_figures(groups.groups, GROUP_METRICS, ["group", "n"]))
        for gap in groups.gaps.to_dict("records"):
            known = float(gap["ratio"])
            say(gap["sentence"] + ("" if math.isnan(known) else f" Lowest by highest: {known:.3f}."))
    if found.counterfactuals is not None:
        say("\nVerdicts that a change of the face turns:")
        print_table(_figures(flips(found.counterfactuals), FLIPS, ["transformation", "label", "n"]))
    if found.attention is not None:
        say("\nShare of the heat on the lower half of the face:")
        print_table(_figures(attention_by(found.attention), HEAT, ["label", "outcome", "n"]))
    say(SHARES)


def _print_change(first: "RunFindings", second: "RunFindings", options: "LabOptions") -> None:
    """What became of the gaps from the first run to the second, on the faces that both judged."""
    from maskdet.bias.attributes import group_of
    from maskdet.bias.groups import compare_groups

    if first.attributes is None:
        return
    judged = first.attributes[first.attributes["face_id"].isin(first.predictions["face_id"])]
    say(f"\nFrom {first.run.id} to {second.run.id}")
    cost = ""
    for name in first.groups:
        found = compare_groups(first.predictions, second.predictions, group_of(judged, name), name, options.groups)
        say(f"By {name}:")
        for sentence in found.gaps["sentence"]:
            say(f"  {sentence}")
        cost = found.sentence
    say(cost)


def _figures(table: "pd.DataFrame", columns: "Mapping[str, tuple[str, str, str]]", beside: list[str]) -> "pd.DataFrame":
    """A table for the shell: each figure in one column with its interval, and why there is none."""
    from maskdet.reports import with_interval

    shown = table[beside].copy()
    for title, names in columns.items():
        shown[title] = [with_interval(*values) for values in table[list(names)].itertuples(index=False)]
    return shown.assign(reason=table["reason"])


def _write_report(path: Path, data: "DataFindings | None", runs: "list[RunFindings]") -> None:
    """One page; into a folder, with all tables as CSV beside it."""
    from maskdet.bias.report import report_html, to_csvs

    folder = path.suffix != ".html"
    files: dict[Path, str] = {path / "report.html" if folder else path: report_html(data, runs)}
    if folder:
        files |= {path / name: text for name, text in to_csvs(data, runs).items()}
    for file, text in files.items():
        with replacing(file) as temporary:
            temporary.write_text(text, encoding="utf-8")


def _ship(workspace: "Workspace", target: Path, data: "DataFindings | None", runs: "list[RunFindings]") -> None:
    from maskdet.bias.shipping import ship_data, ship_run

    if data is not None:
        ship_data(workspace, data.fingerprint, target)
    for found in runs:
        ship_run(workspace, found.run, target)
