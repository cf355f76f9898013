"""What the commands share: the app, the workspace, the options that several of them have."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.exceptions import TyperException

from maskdet.errors import MaskDetError, reason_of
from maskdet.events import JOB_VARIABLE, EventWriter
from maskdet.jobs import wait_for_turn
from maskdet.terminal import note, say
from maskdet.workspace import HOME_VARIABLE, Workspace

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


def _fail(job: EventWriter | None, reason: str, status: int) -> None:
    if job:
        job.write("failed", reason=reason)
    say(f"Error: {reason}", file=sys.stderr)
    sys.exit(status)


def workspace_of(context: typer.Context, home: Path | None) -> Workspace:
    """The workspace that a command works on."""
    return Workspace.locate(home or context.obj)


def given(**options: Any) -> dict[str, Any]:
    """The options that were given."""
    return {name: value for name, value in options.items() if value is not None}


def copies_of(plan: str | None, methods: list[str] | None, not_augmented: list[str] | None) -> dict[str, Any]:
    """What the options of the augmentation's plan say; typer gives empty lists where an option is not there."""
    left_alone = [dataset for dataset in not_augmented if dataset] if not_augmented else None
    return given(plan=plan, methods=methods or None, not_augmented=left_alone)


def prepare(model_name: str) -> None:
    """Import TensorFlow, without its greeting, for a model that needs it."""
    from maskdet.models import MODELS
    from maskdet.quiet import import_tensorflow

    if model_name in MODELS and MODELS[model_name].needs_tensorflow:
        import_tensorflow()


def load(run: "Run") -> "Model":
    """A run's model, ready to predict."""
    prepare(run.model_name)
    return run.load_model()


def started(run_id: str) -> None:
    """Tell the job that this process may be which run it writes."""
    job = EventWriter.from_environment()
    if job:
        job.write("run", run=run_id)


def done(workspace: Workspace, text: str, result: str = "") -> None:
    """Say what was done, to the job that this process may be too."""
    job = EventWriter.from_environment()
    if job:
        job.write("finished", result=result)
    note(f"{text}; workspace {workspace.home}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the shell. Exits with 0, with 1 for an error a person can act on, or with 2 for a wrong command line."""
    job = EventWriter.from_environment()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow greets on stderr otherwise
    try:
        if job:
            wait_for_turn(Path(os.environ[JOB_VARIABLE]))
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
            reason = f"{type(error).__name__}: {reason_of(error)}"
            job.write("failed", reason=f"An error in MaskDet itself, see the log ({reason}).")
        raise
    sys.exit(status if isinstance(status, int) else 0)
