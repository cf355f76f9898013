"""Jobs: long work as a process of its own, so that it outlives a page, a reload and the server.

A job is a shell command, ``python -m maskdet ...``, with a folder: ``job.json`` says what was started, the command
appends a JSON line to ``events.jsonl`` for each step, and what it prints goes to ``output.log``. Whoever wants to know
how it stands reads the folder; no state is kept in the app.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

import psutil

from maskdet.errors import WorkspaceError
from maskdet.workspace import HOME_VARIABLE, Workspace, read_json, write_json

#: Environment variable through which a command learns its job's folder.
JOB_VARIABLE: Final = "MASKDET_JOB"
_SECONDS_BETWEEN_EVENTS: Final = 0.5
_SECONDS_TO_STOP: Final = 3.0
_PROJECT: Final = Path(__file__).resolve().parent.parent

State = Literal["running", "finished", "failed", "cancelled", "interrupted"]


@dataclass(frozen=True)
class Job:
    """A started command and how it stands.

    Attributes
    ----------
    state : {"running", "finished", "failed", "cancelled", "interrupted"}
        Interrupted means: the process is gone and said nothing (killed, or the machine went down).
    done, total, text
        The last progress; ``total`` is 0 as long as it is not known.
    result : str
        What a finished job made, such as a run's id.
    reason : str
        Why a failed job failed, one sentence.
    seconds : float
        Running time, until now or until it ended.
    """

    folder: Path
    command: tuple[str, ...]
    created: str
    state: State
    done: int = 0
    total: int = 0
    text: str = ""
    result: str = ""
    reason: str = ""
    seconds: float = 0.0

    @property
    def id(self) -> str:
        """The job's id, its folder's name."""
        return self.folder.name

    @property
    def seconds_left(self) -> float | None:
        """Remaining time if it goes on as fast as on average so far, or None as long as nothing is known."""
        if self.state != "running" or self.done <= 0 or self.total <= 0:
            return None
        return self.seconds * (self.total - self.done) / self.done

    @property
    def log(self) -> str:
        """What the command printed."""
        path = self.folder / "output.log"
        return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


class EventWriter:
    """The job's side: appends events to its folder. As a progress callback it writes at most two lines a second."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "events.jsonl"
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
        """Append one event."""
        line = json.dumps({"event": event, "time": time.time(), **values})
        with self._path.open("a", encoding="utf-8") as file:
            file.write("\n" * self._broken_off() + line + "\n")

    def _broken_off(self) -> bool:
        """True where the last line has no end: its writer was killed in the middle of it."""
        data = self._path.read_bytes()[-1:] if self._path.is_file() else b""
        return data not in (b"", b"\n")


def launch(workspace: Workspace, command: Sequence[str]) -> Job:
    """Start ``python -m maskdet COMMAND`` on a workspace in the background.

    Raises
    ------
    WorkspaceError
        If the workspace cannot be written.
    """
    workspace.ensure_writable()
    stamp = datetime.now(UTC)
    folder = workspace.path("jobs", f"{stamp:%Y%m%d-%H%M%S-%f}-{command[0]}")
    folder.mkdir(parents=True)
    environment = os.environ | {
        JOB_VARIABLE: str(folder),
        HOME_VARIABLE: str(workspace.home),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(_PROJECT), os.environ.get("PYTHONPATH", "")])),
    }
    with (folder / "output.log").open("wb") as output:
        # A session of its own: closing the server's terminal must not end it.
        process = subprocess.Popen(
            [sys.executable, "-m", "maskdet", *command],
            env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        started = psutil.Process(process.pid).create_time()
    except psutil.NoSuchProcess:  # ended already; its events say how
        started = 0.0
    record = {
        "command": list(command),
        "created": f"{stamp:%Y-%m-%dT%H:%M:%SZ}",
        "began": stamp.timestamp(),
        "pid": process.pid,
        "process_started": started,
    }
    write_json(folder / "job.json", record)
    return read_job(folder)


def list_jobs(workspace: Workspace) -> list[Job]:
    """All jobs of a workspace, newest first. Damaged folders are passed over."""
    jobs = []
    for path in sorted(workspace.path("jobs").glob("*/job.json"), reverse=True):
        try:
            jobs.append(read_job(path.parent))
        except (WorkspaceError, KeyError, TypeError):
            continue
    return jobs


def read_job(folder: Path) -> Job:
    """How a job stands. Raises WorkspaceError if its folder is damaged."""
    record = read_json(folder / "job.json")
    alive = _process(record) is not None  # asked before the events are read: the last event comes before the end
    events = _events(folder)
    last = events[-1] if events else {}
    progress: dict[str, Any] = next((event for event in reversed(events) if event["event"] == "progress"), {})
    state: State = last["event"] if last.get("event") in ("finished", "failed", "cancelled") else "running"
    if state == "running" and not alive:
        state = "interrupted"
    end = time.time() if state == "running" else last.get("time", record["began"])
    return Job(
        folder=folder,
        command=tuple(record["command"]),
        created=record["created"],
        state=state,
        done=int(progress.get("done", 0)),
        total=int(progress.get("total", 0)),
        text=str(progress.get("text", "")),
        result=str(last.get("result", "")),
        reason=str(last.get("reason", "")),
        seconds=max(0.0, end - record["began"]),
    )


def cancel(job: Job) -> None:
    """Stop a running job and all its processes, within seconds."""
    process = _process(read_json(job.folder / "job.json"))
    if process is None:
        return
    try:
        family = [*process.children(recursive=True), process]
    except psutil.NoSuchProcess:
        return
    for member in family:
        _signal(member, "terminate")
    _, alive = psutil.wait_procs(family, timeout=_SECONDS_TO_STOP)
    for member in alive:
        _signal(member, "kill")
    EventWriter(job.folder).write("cancelled")


def _signal(process: psutil.Process, how: Literal["terminate", "kill"]) -> None:
    try:
        getattr(process, how)()
    except psutil.NoSuchProcess:
        return  # ended by itself meanwhile


def _process(record: dict[str, Any]) -> psutil.Process | None:
    """The job's process if it still works: a number may be another's by now, and a killed child stays a zombie."""
    try:
        process = psutil.Process(record["pid"])
        same = abs(process.create_time() - record["process_started"]) < 1.0
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.NoSuchProcess:
        return None


def _events(folder: Path) -> list[dict[str, Any]]:
    path = folder / "events.jsonl"
    if not path.is_file():
        return []
    events = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            events.append(json.loads(line))
        except ValueError:  # the last line while it is being written
            continue
    return [event for event in events if isinstance(event, dict) and "event" in event]
