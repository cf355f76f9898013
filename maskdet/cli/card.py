"""The command that writes model cards."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from maskdet.cli.shared import HomeOption, app, done, workspace_of
from maskdet.errors import MaskDetError
from maskdet.terminal import note, say
from maskdet.workspace import replacing

if TYPE_CHECKING:
    from maskdet.card import ModelCard

_SUFFIXES: Final = (".md", ".html")


@app.command(epilog="Example: python -m maskdet card inceptionv3 --out card.html")
def card(
    context: typer.Context,
    run: Annotated[str, typer.Argument(help="A run's id, or a model's name: its best bundled or newest run.")],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.md|FILE.html|DIR", help="Write it here; into a folder, in both. [default: print Markdown]"
        ),
    ] = None,
    home: HomeOption = None,
) -> None:
    """Write a run's model card: what it is, for what, what was measured of it, and what was not."""
    from maskdet.card import card_of, to_markdown
    from maskdet.runs import find_run

    workspace = workspace_of(context, home)
    if out is not None and out.suffix and out.suffix not in _SUFFIXES and not out.is_dir():
        raise MaskDetError(f"--out must end in .md or .html, or be a folder, not {str(out)!r}.")
    found = card_of(workspace, find_run(workspace, run))
    if out is None:
        say(to_markdown(found), end="")
    elif out.suffix in _SUFFIXES and not out.is_dir():
        _write(out, found)
    else:
        for suffix in _SUFFIXES:
            _write(out / f"{found.run}{suffix}", found)
    done(workspace, f"model card of {found.run}")


def _write(path: Path, found: "ModelCard") -> None:
    from maskdet.card import to_html, to_markdown

    text = to_html(found) if path.suffix == ".html" else to_markdown(found)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    note(f"written to {path}")
