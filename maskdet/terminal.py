"""What the shell prints: progress, tables, metrics, and what a command cost."""

import re
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TextIO

from maskdet.events import EventWriter
from maskdet.labels import CLASSES
from maskdet.progress import Progress
from maskdet.wording import number, telling_digits

if TYPE_CHECKING:
    import pandas as pd

    from maskdet.facetable import Faces

_BEGIN = time.perf_counter()
#: Control characters but tab and line feed: a file's name may hold what a terminal obeys (ECMA-48), or types for one.
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_SECONDS_BETWEEN_LINES = 10


def say(text: object = "", *, file: TextIO | None = None, end: str = "\n", flush: bool = False) -> None:
    """Print a text, to stdout by default, with every control character in it spelt out."""
    spelt = _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), str(text))
    print(spelt, file=file, end=end, flush=flush)


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """A bar on stderr, and the events of the job that this process may be."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    job = EventWriter.from_environment()
    if job:
        yield job
        return
    if not sys.stderr.isatty():  # a log: a line now and then
        yield _log_progress()
        return
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}", markup=False))
    with Bar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("starting", total=None)

        def report(done: int, total: int, text: str) -> None:
            bar.update(task, completed=done, total=total or None, description=text)

        yield report


def _log_progress() -> Progress:
    last = time.monotonic()

    def report(done: int, total: int, text: str) -> None:
        nonlocal last
        if time.monotonic() - last >= _SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            say(f"{done} of {total or '?'}: {text}", file=sys.stderr, flush=True)

    return report


def print_table(table: "pd.DataFrame", digits: int = 0) -> None:
    """Print a table to stdout, columns aligned; floats with ``digits`` decimals, missing values empty."""

    def cell(value: Any) -> str:
        if value is None or value != value:
            return ""
        if isinstance(value, float):
            return f"{value:.{telling_digits(value, digits)}f}"
        return str(value)

    rows = [[str(name) for name in table.columns], *([cell(v) for v in row] for row in table.itertuples(index=False))]
    numeric = [table.dtypes.iloc[i].kind in "iuf" for i in range(len(table.columns))]
    widths = [max(len(row[i]) for row in rows) for i in range(len(table.columns))]
    for row in rows:
        cells = (c.rjust(w) if n else c.ljust(w) for c, w, n in zip(row, widths, numeric, strict=True))
        say("  ".join(cells).rstrip())


def print_label_split(faces: "Faces") -> None:
    """Print the study's Table 2 for some faces."""
    from maskdet.facetable import label_percent, label_split

    split = label_split(faces)
    print_table(split)
    print_percent(label_percent(split))


def print_percent(percent: dict[str, float]) -> None:
    """Print the last line of the study's Table 2, from `maskdet.facetable.label_percent`.

    Faces whose mask is worn incorrectly have no share where they are left out, or there are none.
    """
    shown = {label: share for label, share in percent.items() if share or label in CLASSES}
    say(f"of all faces counted: {', '.join(f'{share:.1f} % {label}' for label, share in shown.items())}")


def print_metrics(metrics: dict[str, Any]) -> None:
    """Print the metrics of a run, with their intervals and the number of faces; those of older runs are fewer."""
    import pandas as pd

    from maskdet.metrics import FIGURE_TITLES

    def figure(name: str, value: float | None) -> str:
        if value is None:
            return "not defined"
        interval = metrics["intervals"].get(name)
        low, high = (number(end, 4) for end in interval) if interval else ("", "")
        return number(value, 4) + (f" ({low} to {high})" if interval else "")

    rows = []
    for label, values in metrics["labels"].items():
        figures = {name: figure(f"{name} {label}", values[name]) for name in ("precision", "recall", "f1")}
        rows.append({"label": label, "faces": values["faces"], **figures})
    print_table(pd.DataFrame(rows))
    for name, title in FIGURE_TITLES.items():
        if name in metrics:
            say(f"{title} {figure(name, metrics[name])}")
    say(
        f"n = {metrics['faces']} test faces in {metrics['groups']} groups; 95 % intervals by cluster bootstrap, exact "
        "ones of accuracy, precision and recall"
    )
    for sentence in dict.fromkeys([*metrics.get("reasons", {}).values(), *metrics.get("cautions", [])]):
        say(sentence)
    if "incorrect_mask" in metrics:
        apart = metrics["incorrect_mask"]
        say(
            f"{apart['judged_without_mask']} of {apart['faces']} test faces whose mask is worn incorrectly are judged "
            "without mask; they are a class of their own, in none of these figures"
        )
    say("\nconfusion matrix (row actual, column predicted)")
    confusion = pd.DataFrame(metrics["confusion"], columns=list(CLASSES))
    confusion.insert(0, "", list(CLASSES))
    print_table(confusion)
    say("\nby dataset")
    print_table(pd.DataFrame([_dataset_row(name, values) for name, values in metrics["datasets"].items()]), digits=4)
    say()


def _dataset_row(dataset: str, values: dict[str, Any]) -> dict[str, Any]:
    interval = values.get("intervals", {}).get("macro_f1")
    return {
        "dataset": dataset,
        **{name: values[name] for name in ("faces", "accuracy", "macro_f1")},
        "macro_f1 95 %": " to ".join(number(end, 4) for end in interval) if interval else values.get("reason", ""),
    }


def note(text: str) -> None:
    """One line on stderr: what was done, how long it took, how much memory this process and its children took."""
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss counts bytes on macOS, KiB elsewhere
    own, children = (
        resource.getrusage(who).ru_maxrss * unit for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    memory = f"peak memory {own / 2**20:.0f} MiB" + (
        f" (largest child {children / 2**20:.0f})" if children > own / 4 else ""
    )
    say(f"{text} ({time.perf_counter() - _BEGIN:.1f} s, {memory})", file=sys.stderr)
