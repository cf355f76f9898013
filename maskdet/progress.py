"""Progress is a callback: the core calls it, the shell draws a bar, a job writes a line, the app fills a gauge."""

from typing import Protocol


class Progress(Protocol):
    """Called with the number of steps done, of all steps, and a short text; may raise to cancel the work."""

    def __call__(self, done: int, total: int, text: str) -> None:
        """Report progress."""


def silent(done: int, total: int, text: str) -> None:
    """Progress that nobody watches."""
