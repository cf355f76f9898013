"""Progress is a callback: the core calls it, the shell draws a bar, a job writes a line, the app fills a gauge."""

from typing import Protocol


class Progress(Protocol):
    """Called with the number of steps done, of all steps, and a short text; may raise to cancel the work."""

    def __call__(self, done: int, total: int, text: str) -> None:
        """Report progress."""


def silent(done: int, total: int, text: str) -> None:
    """Progress that nobody watches."""


def part_of(progress: Progress, begin: int, total: int, part: str) -> Progress:
    """Progress of a part of 1000 steps, the first of which is ``begin``, within a whole of ``total`` steps."""
    steps = total

    def report(done: int, total: int, text: str) -> None:
        progress(begin + (1000 * done // total if total else 0), steps, f"{part}: {text}")

    return report
