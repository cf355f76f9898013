"""The command of the bias lab."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from maskdet.cli.shared import HomeOption, SeedOption, app, done, prepare, workspace_of
from maskdet.terminal import note, print_table, progress_bar
from maskdet.workspace import replacing

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from maskdet.bias.analysis import LabOptions
    from maskdet.bias.findings import DataFindings, RunFindings
    from maskdet.workspace import Workspace

#: How the data is named in the place of a run.
DATA: Final = "data"
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
    sample: Annotated[int, typer.Option(min=1, help="Faces of a label for counterfactuals and attention.")] = 300,
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
    """Measure what the data offers beside masks, and whom a run fails; print it, or write it as a report."""
    from maskdet.bias.analysis import analyse_data, analyse_run, default_run, require_measurable
    from maskdet.facetable import has_faces
    from maskdet.runs import find_run

    workspace = workspace_of(context, home)
    options = _options(part, cross, weights, sample, seed, again)
    best = None if what else default_run(workspace)
    runs = [find_run(workspace, name) for name in what if name != DATA] if what else [best] if best else []
    for run in runs:
        require_measurable(workspace, run, options)
    data: DataFindings | None = None
    if not has_faces(workspace):
        note("No dataset is scanned here: what follows was measured with the bundled study.")
    for model in dict.fromkeys([*(run.model_name for run in runs), *(model for model, _ in options.cross)]):
        prepare(model)
    with progress_bar() as progress:
        if not what or DATA in what:
            data = analyse_data(workspace, options, progress)
        found = [analyse_run(workspace, run, options, progress) for run in runs]
    if data is not None:
        _print_data(data)
    for one in found:
        _print_run(one)
    if report is not None:
        _write_report(report, data, found)
    if ship is not None:
        _ship(workspace, ship, data, found)
    done(workspace, "bias measured" + (f", written to {report}" if report else ""))


def _options(
    part: list[str] | None, cross: list[str] | None, weights: str | None, sample: int, seed: int, again: bool
) -> "LabOptions":
    from maskdet.bias.analysis import LabOptions, affordable

    given: dict[str, Any] = {"cross": tuple(affordable(model, weights) for model in cross)} if cross else {}
    return LabOptions(tuple(part or ()), sample=sample, seed=seed, again=again, **given)


def _print_data(data: "DataFindings") -> None:
    if data.shortcuts is not None:
        for probe in data.shortcuts.probes:
            print(probe.sentence)
    for matrix in data.cross:
        print(f"\nMacro F1 of {matrix.model}, trained on a dataset and tested on another:")
        print_table(matrix.rows, digits=4)
    if data.not_measurable is not None:
        print("\nFaces whose apparent skin tone cannot be measured:")
        print_table(data.not_measurable, digits=4)


def _print_run(found: "RunFindings") -> None:
    from maskdet.bias.attention import attention_by
    from maskdet.bias.counterfactuals import flips

    print(f"\n{found.run.id}")
    for attribute, groups in found.groups.items():
        print(f"\nBy {attribute}:")
        print_table(_figures(groups.groups, GROUP_METRICS, ["group", "n"]))
        for sentence in groups.gaps["sentence"]:
            print(sentence)
    if found.counterfactuals is not None:
        print("\nVerdicts that a change of the face turns:")
        print_table(_figures(flips(found.counterfactuals), FLIPS, ["transformation", "label", "n"]))
    if found.attention is not None:
        print("\nShare of the heat on the lower half of the face:")
        print_table(_figures(attention_by(found.attention), HEAT, ["label", "outcome", "n"]))
    print("In brackets: 95 % intervals by bootstrap of whole groups of related faces.")


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
