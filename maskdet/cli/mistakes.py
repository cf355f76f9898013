"""The commands that show where models err, and which labels are probably wrong."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maskdet.cli.shared import HomeOption, app, done, workspace_of
from maskdet.terminal import note, print_table, say
from maskdet.workspace import replacing

if TYPE_CHECKING:
    import pandas as pd

_SHOWN = 20
CsvOption = Annotated[Path | None, typer.Option("--csv", metavar="OUT", help="Write all rows here.")]


@app.command(epilog="Example: python -m maskdet errors inceptionv3 svm --csv errors.csv")
def errors(
    context: typer.Context,
    runs: Annotated[
        list[str] | None,
        typer.Argument(metavar="RUN", help="Runs, or models' names. [default: the best bundled or newest]"),
    ] = None,
    csv: CsvOption = None,
    home: HomeOption = None,
) -> None:
    """Print the test faces that runs get wrong, the most confident first, and how many they disagree on."""
    from maskdet.mistakes import disagreements, error_rates, wrong_faces
    from maskdet.runs import find_run

    workspace = workspace_of(context, home)
    named = [find_run(workspace, name) for name in runs] if runs else [find_run(workspace)]
    chosen = list({run.id: run for run in named}.values())
    print_table(error_rates(chosen), digits=4)
    if len(chosen) > 1:
        common, differing = disagreements(chosen)
        say(f"{len(differing)} of {len(common)} common test faces are judged differently.")
    wrong = wrong_faces(chosen)
    _show(wrong, csv)
    done(workspace, f"{len(wrong)} wrong verdicts on test faces")


@app.command(epilog="Example: python -m maskdet suspects --csv suspects.csv")
def suspects(
    context: typer.Context,
    runs: Annotated[
        list[str] | None,
        typer.Argument(metavar="RUN", help="Runs, or models' names; of several, the mean. [default: the best]"),
    ] = None,
    csv: CsvOption = None,
    home: HomeOption = None,
) -> None:
    """List faces whose label is probably wrong (confident learning), the most suspicious first, to be looked at."""
    from maskdet.decisions import load_decisions, with_decisions
    from maskdet.facetable import has_faces, load_faces
    from maskdet.runs import find_run, list_runs
    from maskdet.suspects import best_run, find_suspects, is_open

    workspace = workspace_of(context, home)
    if runs:
        chosen = list({run.id: run for run in (find_run(workspace, name) for name in runs)}.values())
    else:
        known = load_faces(workspace).table["face_id"] if has_faces(workspace) else ()
        chosen = [best_run(list_runs(workspace), known)]
    found = find_suspects(chosen)
    decisions = load_decisions(workspace)
    for name, source in found.sources.items():
        say(f"{name}: {source}")
    _show(with_decisions(found.table, decisions), csv, {"predicted_by": found.predicted_by})
    looked = len(found.table) - int(is_open(found.table, decisions).sum())
    tests = int((found.table["split"] == "test").sum())
    say(
        f"{looked} of {len(found.table)} looked at; {tests} are test faces: judge those by the photo alone, since to "
        "correct a test label because a model disagrees makes test figures look better than they are."
    )
    done(workspace, f"{len(found.table)} suspects among {found.faces} faces examined")


def _show(table: "pd.DataFrame", csv: Path | None, further: Mapping[str, str] | None = None) -> None:
    """Print the first rows, and write all as CSV where they are wanted, with further columns of one value each."""
    from maskdet.export import to_csv

    if len(table):
        print_table(table.head(_SHOWN), digits=4)
    if csv is not None:
        with replacing(csv) as temporary:
            temporary.write_bytes(to_csv(table.assign(**(further or {}))).encode())
        note(f"{len(table)} rows written to {csv}")
    elif len(table) > _SHOWN:
        note(f"the first {_SHOWN} of {len(table)}; --csv writes all")
