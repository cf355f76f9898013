"""Runs each benchmark in a process of its own, so that peak memory is its own too, and makes a table of the rows.

pytest-benchmark and asv compare a function with its own past; what is asked here is a ratio to a baseline in the same
run, exact agreement of both, and peak memory.
"""

import importlib
import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import ParamSpec, TypeVar

PACKAGES = (
    "numpy", "scipy", "pandas", "Pillow", "ImageHash", "joblib", "opencv-python-headless", "scikit-learn",
    "onnxruntime", "tensorflow", "keras",
)  # fmt: skip
COLUMNS = ("benchmark", "what", "baseline", "measured", "ratio", "goal", "met")
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Row:
    """A line of the table. ``ratio`` is baseline / measured where both are costs; ``met`` is None without a goal."""

    what: str
    measured: str
    baseline: str = ""
    ratio: float | None = None
    goal: str = ""
    met: bool | None = None


@dataclass(frozen=True)
class Cost:
    """What a call took: seconds by the clock and of the CPU (with finished children), and the process's peak MB."""

    wall: float
    cpu: float
    peak: float

    def __str__(self) -> str:
        return f"{duration(self.wall)} (CPU {duration(self.cpu)}, peak {self.peak:,.0f} MB)"


class SkipError(Exception):
    """A benchmark cannot run here, such as one of real photos where there are none. The table gives the reason."""


def shared_data() -> Path:
    """The folder of real datasets, where the tests look for it too. Raises SkipError if it is not there."""
    shared = Path(os.environ.get("MASKDET_SHARED") or Path(__file__).resolve().parents[2] / "shared")
    if not (shared / "data").is_dir():
        raise SkipError("no data; name the folder that contains data/ in MASKDET_SHARED")
    return shared / "data"


def measure(function: Callable[[], Result], repeats: int = 1) -> tuple[Result, Cost]:
    """Result of the last call, and the cost of the quickest: other programs only ever make a call slower."""
    walls, cpus = [], []
    for _ in range(repeats):
        cpu, wall = _cpu_seconds(), time.perf_counter()
        result = function()
        walls.append(time.perf_counter() - wall)
        cpus.append(_cpu_seconds() - cpu)
    unit = 1 if sys.platform == "darwin" else 1024
    return result, Cost(min(walls), min(cpus), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6)


def fresh(function: Callable[Arguments, Result], *arguments: Arguments.args, **options: Arguments.kwargs) -> Result:
    """Call a function of a module in a new process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments, **options).result()


def run(benchmarks: Mapping[str, str], quick: bool = False) -> str:
    """Run benchmarks, given as name and module, and return the page of their results in Markdown."""
    lines = [_line(COLUMNS), _line(["---"] * len(COLUMNS))]
    for name, module in benchmarks.items():
        print(f"{name} ...", file=sys.stderr, flush=True)
        lines += [_line(_cells(name, row)) for row in fresh(_rows, module, quick)]
    how = [f"### {name}\n\n{importlib.import_module(module).__doc__}" for name, module in benchmarks.items()]
    return "\n".join(
        [
            "# Benchmarks\n",
            "`make bench` measures this and writes this page. Ratio: baseline / measured by the clock, in one run.",
            f"Seconds depend on the machine and on what else it does.\n\n{_machine()}\n",
            *lines,
            "\n## How it is measured\n",
            *how,
        ]
    )


def duration(seconds: float) -> str:
    """Seconds or milliseconds, to three digits."""
    return f"{_number(seconds)} s" if seconds >= 1 else f"{_number(1000 * seconds)} ms"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _cpu_seconds() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _rows(module: str, quick: bool) -> list[Row]:
    try:
        rows: list[Row] = importlib.import_module(module).run(quick)
    except SkipError as reason:
        return [Row("all", f"skipped: {reason}")]
    return rows


def _cells(name: str, row: Row) -> list[str]:
    ratio = "" if row.ratio is None else _number(row.ratio)
    met = {None: "", True: "yes", False: "**no**"}[row.met]
    return [name, row.what, row.baseline, row.measured, ratio, row.goal, met]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _machine() -> str:
    """Date, processor and versions: what one needs to compare figures, and nothing that names the computer."""
    info = Path("/proc/cpuinfo")
    models = [line for line in info.read_text().splitlines() if "model name" in line] if info.is_file() else []
    model = models[0].split(":")[1].strip() if models else platform.machine()
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    cores = os.cpu_count()
    return (
        f"{date.today()}: {cores} cores ({model}), {platform.system()}, Python {platform.python_version()}, {packages}."
    )
