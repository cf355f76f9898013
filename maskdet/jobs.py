"""Jobs: long work as a process of its own, so that it outlives a page, a reload and the server.

A job is a shell command, ``python -m maskdet ...``, with a folder: ``job.json`` says what was started, the command
appends a JSON line to ``events.jsonl`` for each step, and what it prints goes to ``output.log``. Whoever wants to know
how it stands reads the folder; no state is kept in the app.

Jobs of one *queue* work one after the other. Nobody deals the turns out: each is a process from the start, and waits by
itself until no earlier job of its queue is alive (see `wait_for_turn`). So a job that is killed holds up no other.
"""

import os
import shutil
import subprocess  # it starts this program alone, and no shell  # nosec B404
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

import psutil

from maskdet.errors import ODD_VALUES, WorkspaceError
from maskdet.events import ENDS, JOB_VARIABLE, RESERVE, Events, EventWriter, read_events, read_tail, seconds_left
from maskdet.workspace import HOME_VARIABLE, Workspace, is_record, read_json, remove, unreadable, write_json

_SECONDS_BETWEEN_LOOKS: Final = 1.0
_SECONDS_TO_STOP: Final = 3.0
#: A job whose process has no number yet is about to start; one that still has none after this was cut off there.
_SECONDS_TO_START: Final = 30.0
_RESERVED_BYTES: Final = 4096
_MOST_PROCESSES: Final = 2**31
_RECORD: Final[dict[str, Any]] = {
    "command": list, "created": str, "began": (int, float), "pid": (int, type(None)), "process_started": (int, float)
}  # fmt: skip
_PROJECT: Final = Path(__file__).resolve().parent.parent

__all__ = [
    "JOB_VARIABLE", "EventWriter", "Job", "cancel", "launch", "list_jobs", "read_job", "remove_job", "wait_for_turn"
]  # fmt: skip

State = Literal["queued", "running", "finished", "failed", "cancelled", "interrupted"]


@dataclass(frozen=True)
class Job:
    """A started command and how it stands.

    Attributes
    ----------
    state : {"queued", "running", "finished", "failed", "cancelled", "interrupted"}
        Queued means: its process waits for its turn. Interrupted means: the process is gone and said nothing (killed,
        out of memory, or the machine went down).
    done, total, text
        The last progress; ``total`` is 0 as long as it is not known.
    result : str
        What a finished job made, such as a run's id.
    reason : str
        Why a failed job failed, one sentence.
    seconds : float
        Working time, until now or until it ended; waiting does not count.
    seconds_left : float or None
        Remaining time if it goes on as fast as in the last minute; None where that is not known.
    run : str
        Id of the run that it writes, "" as long as there is none.
    queue : str
        Name of its queue, "" if it is in none.
    ahead : int
        Jobs that work before it, while it is queued (as `list_jobs` counts them).
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
    seconds_left: float | None = None
    run: str = ""
    queue: str = ""
    ahead: int = 0

    @property
    def id(self) -> str:
        """The job's id, its folder's name. In the order of their start."""
        return self.folder.name

    @property
    def is_active(self) -> bool:
        """True while it works or waits for its turn."""
        return self.state in ("queued", "running")

    @property
    def log(self) -> str:
        """The end of what the command printed, at most 64 kB."""
        return read_tail(self.folder / "output.log").decode("utf-8", errors="replace")


def launch(workspace: Workspace, command: Sequence[str], queue: str = "") -> Job:
    """Start ``python -m maskdet COMMAND`` on a workspace in the background.

    Parameters
    ----------
    queue : str, optional
        Name of a queue, whose jobs work one after the other; by default the job works at once.

    Raises
    ------
    WorkspaceError
        If the workspace cannot be written, or the process not started.
    """
    workspace.ensure_writable()
    stamp, folder = _new_folder(workspace, command[0])
    record = {
        "command": list(command),
        "created": f"{stamp:%Y-%m-%dT%H:%M:%SZ}",
        "began": stamp.timestamp(),
        "queue": queue,
        "pid": None,
        "process_started": 0.0,
    }
    process = None
    try:
        (folder / RESERVE).write_bytes(os.urandom(_RESERVED_BYTES))  # not zeros, which some disks don't store
        write_json(folder / "job.json", record, version=1)  # before the process starts, which looks for its queue there
        process = _start(workspace, folder, command)
        write_json(
            folder / "job.json", record | {"pid": process.pid, "process_started": _begin(process.pid)}, version=1
        )
    except (OSError, WorkspaceError) as error:
        if process is not None:  # nobody would know of it
            process.kill()
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, WorkspaceError):
            raise
        raise WorkspaceError(f"{command[0]} cannot be started ({error.strerror or error}).") from error
    return read_job(folder)


def _new_folder(workspace: Workspace, command: str) -> tuple[datetime, Path]:
    """A job's folder and when it was made, which no other launch of the same instant has. Raises WorkspaceError."""
    try:
        workspace.path("jobs").mkdir(parents=True, exist_ok=True)
        while True:
            stamp = datetime.now(UTC)
            folder = workspace.path("jobs", f"{stamp:%Y%m%d-%H%M%S-%f}-{command}")
            with suppress(FileExistsError):
                folder.mkdir()
                return stamp, folder
    except OSError as error:
        raise WorkspaceError(f"{command} cannot be started ({error.strerror or error}).") from error


def wait_for_turn(folder: Path) -> None:
    """The job's side: return once no earlier job of its queue is alive; at once if it is in no queue.

    Writes the events queued and started.

    Raises
    ------
    WorkspaceError
        If ``job.json`` is damaged.
    """
    queue = _record(folder).get("queue", "")
    if not queue:
        return
    writer = EventWriter(folder)
    writer.write("queued")
    over = {folder.name}
    while any(_goes_first(other.parent, folder, queue, over) for other in folder.parent.glob("*/job.json")):
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    writer.write("started")


def _goes_first(other: Path, folder: Path, queue: str, over: set[str]) -> bool:
    """Whether to wait for another job; notes in ``over`` those that never need to be looked at again."""
    if other.name in over:
        return False
    job = _read_whole(other)
    if job is None:
        return False
    if job.queue != queue or not job.is_active:
        over.add(other.name)
        return False
    # One with a later name may have begun already, where this one's folder was made late.
    return other.name < folder.name or job.state == "running"


def list_jobs(workspace: Workspace) -> list[Job]:
    """All jobs of a workspace, newest first. Damaged folders are passed over."""
    paths = sorted(workspace.path("jobs").glob("*/job.json"), reverse=True)
    jobs = [job for path in paths if (job := _read_whole(path.parent))]
    active = [job for job in jobs if job.queue and job.is_active]
    return [replace(job, ahead=_ahead(job, active)) if job.state == "queued" else job for job in jobs]


def _ahead(job: Job, active: list[Job]) -> int:
    return sum(other.queue == job.queue and (other.id < job.id or other.state == "running") for other in active)


def _read_whole(folder: Path) -> Job | None:
    try:
        return read_job(folder)
    except (*ODD_VALUES, OSError):
        return None


def read_job(folder: Path) -> Job:
    """How a job stands. Raises WorkspaceError if its folder is damaged."""
    record = _record(folder)
    told = read_events(folder)
    state, reason = _state(folder, record, told), str(told.last.get("reason", ""))
    if state == "interrupted":
        told = read_events(folder)  # its last event may have come just before its end
        state = _state(folder, record, told)
        reason = str(told.last.get("reason", ""))
        if state == "interrupted" and (reason := _last_words(read_tail(folder / "output.log"))):
            state = "failed"
    now = time.time()
    worked = bool(told.started) or not record.get("queue") or bool(told.progress)
    begin = told.started or record["began"]
    end = now if state == "running" else told.last.get("time", begin)
    progress = told.progress[-1] if told.progress else {}
    return Job(
        folder=folder,
        command=tuple(record["command"]),
        created=record["created"],
        state=state,
        done=int(progress.get("done", 0)),
        total=int(progress.get("total", 0)),
        text=str(progress.get("text", "")),
        result=str(told.last.get("result", "")),
        reason=reason,
        seconds=max(0.0, end - begin) if worked and state != "queued" else 0.0,
        seconds_left=seconds_left(told.progress, now) if state == "running" else None,
        run=told.run,
        queue=str(record.get("queue", "")),
    )


def _record(folder: Path) -> dict[str, Any]:
    """What `launch` wrote of a job. Raises WorkspaceError if it is damaged."""
    record = read_json(folder / "job.json", version=1)
    whole = (
        is_record(record, _RECORD) and record["command"] and all(isinstance(part, str) for part in record["command"])
    )
    if not whole or not (record["pid"] is None or 0 < record["pid"] < _MOST_PROCESSES):
        raise unreadable(folder / "job.json", "it describes no job")
    return dict(record)


def cancel(job: Job) -> None:
    """Stop a job and all its processes, within seconds. Whatever it had written whole stays."""
    process = _process(job.folder, _record(job.folder))
    if process is None:
        return
    family = _family(process)
    for member in family:
        _signal(member, "terminate")
    _, alive = psutil.wait_procs(family, timeout=_SECONDS_TO_STOP)
    for member in alive:
        _signal(member, "kill")
    psutil.wait_procs(alive, timeout=_SECONDS_TO_STOP)
    if read_events(job.folder).last.get("event") not in ENDS:  # it may just have ended by itself
        EventWriter(job.folder).write("cancelled")


def remove_job(job: Job) -> None:
    """Delete an ended job's folder; what the job made stays.

    Raises
    ------
    WorkspaceError
        If it is still active, or its folder cannot be deleted.
    """
    if read_job(job.folder).is_active:
        raise WorkspaceError("This job has not ended yet: stop it first.")
    remove(job.folder)


def _start(workspace: Workspace, folder: Path, command: Sequence[str]) -> subprocess.Popen[bytes]:
    environment = os.environ | {
        JOB_VARIABLE: str(folder),
        HOME_VARIABLE: str(workspace.home),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(_PROJECT), os.environ.get("PYTHONPATH", "")])),
        "PYTHONUNBUFFERED": "1",  # the page shows the log while it grows
    }
    with (folder / "output.log").open("wb") as output:
        # A session of its own: closing the server's terminal must not end it.
        return subprocess.Popen(  # a list for this interpreter, no shell  # nosec B603
            [sys.executable, "-m", "maskdet", *command],
            env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip


def _begin(pid: int) -> float:
    try:
        return psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:  # ended already; its events say how
        return 0.0


def _family(process: psutil.Process) -> list[psutil.Process]:
    """A job's process, first, with its descendants and those that lost their parent but are of its session."""
    try:
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
    if hasattr(os, "getsid"):  # not on Windows
        family += [other for other in psutil.process_iter() if _session(other.pid) == process.pid]
    return list(dict.fromkeys(family))


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:  # ended meanwhile, or another user's
        return -1


def _signal(process: psutil.Process, how: Literal["terminate", "kill"]) -> None:
    try:
        getattr(process, how)()
    except psutil.NoSuchProcess:
        return  # ended by itself meanwhile


def _process(folder: Path, record: dict[str, Any]) -> psutil.Process | None:
    """The job's process if it still works: a number may be another's by now, and a killed child stays a zombie."""
    if record["pid"] is None:
        return None
    try:
        process = psutil.Process(record["pid"])
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        # A clock that was set shifts all times; the environment it was started with stays.
        same = abs(process.create_time() - record["process_started"]) < 1.0
        return process if same or process.environ().get(JOB_VARIABLE) == str(folder) else None
    except (psutil.NoSuchProcess, psutil.AccessDenied):  # another user's process is not the job either
        return None


def _state(folder: Path, record: dict[str, Any], told: Events) -> State:
    event = told.last.get("event", "queued")
    if event in ENDS:
        ended: State = event
        return ended
    starting = record["pid"] is None and time.time() - record["began"] < _SECONDS_TO_START
    if not starting and _process(folder, record) is None:
        return "interrupted"
    waits = record.get("queue") and event == "queued"
    return "queued" if waits else "running"


def _last_words(log: bytes) -> str:
    """The reason in the last line of a log, as the shell prints it or as Python ends a traceback; "" without one."""
    lines = log.decode("utf-8", errors="replace").strip().splitlines()
    last = lines[-1].strip() if lines else ""
    if last.startswith("Error: "):
        return last.removeprefix("Error: ")
    return last if any(line.startswith("Traceback (most recent call last)") for line in lines) else ""
