"""The command that says whether a workspace is whole."""

from typing import Annotated

import typer

from maskdet.cli.shared import HomeOption, app, done, workspace_of
from maskdet.terminal import progress_bar, say


@app.command(epilog="Example: python -m maskdet check --clean")
def check(
    context: typer.Context,
    clean: Annotated[
        bool,
        typer.Option("--clean", help="Remove what processes that were killed an hour ago or more had begun to write."),
    ] = False,
    home: HomeOption = None,
) -> None:
    """Read every file of the workspace; say which is damaged, and what mends it. Exits with 1 where one is."""
    from maskdet.integrity import inspect, remove_leftovers

    workspace = workspace_of(context, home)
    removed = remove_leftovers(workspace) if clean else []
    with progress_bar() as progress:
        found = inspect(workspace, progress=progress)
    for sentence in found.damaged:
        say(sentence)
    for path in removed:
        say(f"{path} was left by a process that was killed; it is removed.")
    for path in found.leftovers:
        say(f"{path} is being written, or was left by a process that was killed; `--clean` removes it after an hour.")
    for path in found.unknown:
        say(f"{path} was not written by MaskDet; it is left alone.")
    done(workspace, f"{found.files:,} files read, {len(found.damaged)} damaged")
    raise typer.Exit(1 if found.damaged else 0)
