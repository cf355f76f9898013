"""What a job says of itself: JSON lines in its folder, appended by the job and read from their end."""

import json
import mmap
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from maskdet.workspace import is_record

#: Environment variable through which a command learns its job's folder.
JOB_VARIABLE: Final = "MASKDET_JOB"
#: File in a job's folder that holds space for the last word on a full disk.
RESERVE: Final = "reserve"
_SECONDS_BETWEEN_EVENTS: Final = 0.5
#: The time left follows from how fast it went on for this long.
_SECONDS_OF_RATE: Final = 60.0
#: Two lines a second for a minute are some 20 kB.
_TAIL: Final = 64 * 1024
_SHORT_TAIL: Final = 2 * 1024
#: What every event holds, what one of progress holds too, and the texts that some hold.
_EVENT: Final[dict[str, Any]] = {"event": str, "time": (int, float)}
_PROGRESS: Final[dict[str, Any]] = _EVENT | {"done": (int, float), "total": (int, float)}
_TEXTS: Final = ("text", "run", "result", "reason")
#: Events after which nothing more comes.
ENDS: Final = ("finished", "failed", "cancelled")


class EventWriter:
    """The job's side: appends events to its folder. As a progress callback it writes at most two lines a second."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "events.jsonl"
        self._reserve = folder / RESERVE
        self._last = 0.0

    @classmethod
    def from_environment(cls) -> "EventWriter | None":
        """The writer of the job that this process is, or None if it is none."""
        folder = os.environ.get(JOB_VARIABLE)
        return cls(Path(folder)) if folder else None

    def __call__(self, done: int, total: int, text: str) -> None:
        """Report progress."""
        now = time.monotonic()
        if now - self._last >= _SECONDS_BETWEEN_EVENTS or done == total:
            self._last = now
            self.write("progress", done=done, total=total, text=text)

    def write(self, event: str, **values: Any) -> None:
        """Append one event.

        On a full disk, progress is passed over: the work goes on, and fails by itself if the disk stays full. Any other
        event then takes the space that `maskdet.jobs.launch` reserved. A failure whose reason cannot be written even so
        is told by the log alone (see `maskdet.jobs.read_job`).

        Raises
        ------
        OSError
            If any event but progress or a failure cannot be written.
        """
        line = json.dumps({"event": event, "time": time.time(), **values})
        try:
            self._append(line)
        except OSError:
            if event == "progress":
                return
            try:
                self._reserve.unlink(missing_ok=True)
                self._append(line)
            except OSError:
                if event != "failed":
                    raise

    def _append(self, line: str) -> None:
        with self._path.open("ab") as file:
            file.write(b"\n" * self._broken_off() + line.encode() + b"\n")

    def _broken_off(self) -> bool:
        """True where the last line has no end: its writer was killed in the middle of it, or the disk was full."""
        return read_tail(self._path, 1) not in (b"", b"\n")


@dataclass(frozen=True)
class Events:
    """The last event, the last progress events in order, when it started, and which run it writes."""

    last: dict[str, Any]
    progress: list[dict[str, Any]]
    started: float
    run: str


def read_events(folder: Path) -> Events:
    """Read the end of the events; what came once, long before it, is searched without reading line by line."""
    path = folder / "events.jsonl"
    if not path.is_file() or path.stat().st_size == 0:
        return Events({}, [], 0.0, "")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        events = _parsed(data[max(0, len(data) - _SHORT_TAIL) :])
        if not events or events[-1]["event"] not in ENDS:  # the rate of an ended job tells nothing
            events = _parsed(data[max(0, len(data) - _TAIL) :])
        started, run = (_event_at(data, data.rfind(f'{{"event": "{name}"'.encode())) for name in ("started", "run"))
    return Events(
        last=events[-1] if events else {},
        progress=[event for event in events if event["event"] == "progress"],
        started=float(started.get("time", 0.0)),
        run=str(run.get("run", "")),
    )


def _event_at(data: mmap.mmap, at: int) -> dict[str, Any]:
    end = data.find(b"\n", at)
    events = _parsed(data[at : end if end >= 0 else len(data)]) if at >= 0 else []
    return events[0] if events else {}


def _parsed(lines: bytes) -> list[dict[str, Any]]:
    events = []
    for line in lines.decode("utf-8", errors="replace").splitlines():
        try:
            events.append(json.loads(line))
        except (ValueError, RecursionError):  # the first, cut by where we begin, or the last, which is being written
            continue
    return [event for event in events if isinstance(event, dict) and _is_whole(event)]


def _is_whole(event: dict[str, Any]) -> bool:
    """True for an event as `EventWriter` writes it: what comes of it is counted, subtracted and shown."""
    needed = _PROGRESS if event.get("event") == "progress" else _EVENT
    return is_record(event, needed) and all(isinstance(event.get(name, ""), str) for name in _TEXTS)


def seconds_left(progress: Sequence[dict[str, Any]], now: float) -> float | None:
    """Remaining time at the rate of about the last minute, or None as long as nothing is known.

    Parameters
    ----------
    progress : sequence of dict
        Progress events, in order: ``time``, ``done``, ``total``. A job that was resumed begins with ``done`` above 0,
        so the rate says more than the share.
    """
    if not progress or progress[-1]["total"] <= 0:
        return None
    last = first = progress[-1]
    for event in reversed(progress[:-1]):
        longer_ago = first is not last and event["time"] < last["time"] - _SECONDS_OF_RATE
        if event["total"] != last["total"] or event["done"] > first["done"] or longer_ago:
            break
        first = event
    if last["done"] <= first["done"] or last["time"] <= first["time"]:
        return None
    each = (last["time"] - first["time"]) / (last["done"] - first["done"])
    return float(max(0.0, each * (last["total"] - last["done"]) - (now - last["time"])))


def read_tail(path: Path, size: int = _TAIL) -> bytes:
    """The last bytes of a file, b"" if there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - size))
            return file.read(size)
    except FileNotFoundError:
        return b""
