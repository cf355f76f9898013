"""Jobs: real processes that sleep, wait for their turn, are killed, cancelled, or end by themselves."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from maskdet import jobs
from maskdet.errors import WorkspaceError
from maskdet.jobs import EventWriter, Job, cancel, launch, list_jobs, read_job, remove_job
from maskdet.workspace import Workspace

PROJECT = Path(__file__).resolve().parents[1]
#: Waits for its turn, works until it is let go, if it is told to, and ends.
WORKER = """
import sys, time
from pathlib import Path
from maskdet.jobs import EventWriter, wait_for_turn
folder = Path(sys.argv[1])
wait_for_turn(folder)
assert "pandas" not in sys.modules and "tensorflow" not in sys.modules
while sys.argv[2] == "until let go" and not (folder / "let go").exists():
    time.sleep(0.05)
EventWriter(folder).write("finished", result="made")
"""


def let_go(job: Job) -> None:
    (job.folder / "let go").touch()


def wait(folder: Path, until: tuple[str, ...] = ()) -> Job:
    """Until a job is in one of these states, by default until it has ended."""
    end = time.monotonic() + 120  # a test that hangs says where
    while (job := read_job(folder)) and not (job.state in until if until else not job.is_active):
        assert time.monotonic() < end, job
        time.sleep(0.1)
    return job


def states(workspace: Workspace) -> list[str]:
    """Of all jobs, the oldest first."""
    return [job.state for job in reversed(list_jobs(workspace))]


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Jobs are `WORKER`s; ``["train", "until let go"]`` works until `let_go`."""
    started = []

    def start(workspace: Workspace, folder: Path, command: list[str]) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(folder), command[1]], cwd=PROJECT, start_new_session=True,
            stdout=(folder / "output.log").open("wb"), stderr=subprocess.STDOUT,
        )  # fmt: skip
        started.append(process)
        return process

    monkeypatch.setattr(jobs, "_start", start)
    monkeypatch.setattr(jobs, "_SECONDS_BETWEEN_LOOKS", 0.1)
    yield
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def sleeper(tmp_path: Path):  # type: ignore[no-untyped-def]
    """The folder of a job whose process sleeps, and that process."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    folder = tmp_path / "jobs/1-train"
    folder.mkdir(parents=True)
    record = {
        "command": ["train", "svm"], "created": "2026-01-01T00:00:00Z", "began": time.time(), "pid": process.pid,
        "process_started": psutil.Process(process.pid).create_time(),
    }  # fmt: skip
    (folder / "job.json").write_text(json.dumps(record))
    yield folder, process
    process.kill()
    process.wait()


def test_a_real_command_that_fails_gives_its_sentence(workspace: Workspace) -> None:
    job = wait(launch(workspace, ["scan", "--", "/nowhere/at/all"]).folder)
    assert (job.state, job.reason) == ("failed", "There is no folder /nowhere/at/all.")
    assert "There is no folder" in job.log
    assert [listed.id for listed in list_jobs(workspace)] == [job.id]


def test_progress_is_read_from_the_last_whole_line(sleeper) -> None:  # type: ignore[no-untyped-def]
    folder, _ = sleeper
    EventWriter(folder).write("run", run="cnn-1")
    EventWriter(folder)(4, 4, "epoch 1")
    with (folder / "events.jsonl").open("a") as file:
        file.write('{"event": "prog')
    job = read_job(folder)
    assert (job.state, job.done, job.total, job.text, job.run) == ("running", 4, 4, "epoch 1", "cnn-1")


def test_cancel_stops_the_process(sleeper) -> None:  # type: ignore[no-untyped-def]
    folder, process = sleeper
    cancel(read_job(folder))
    assert not psutil.pid_exists(process.pid)
    assert read_job(folder).state == "cancelled"


def test_cancel_stops_children_and_orphans_too(tmp_path: Path, sleeper) -> None:  # type: ignore[no-untyped-def]
    folder, old = sleeper
    code = """
import subprocess, sys, time, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)  # has to be killed
sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
child = subprocess.Popen(sleep)
orphan = "import subprocess, sys; print(subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL).pid)"
made = subprocess.run([sys.executable, "-c", orphan, *sleep], stdout=subprocess.PIPE, text=True)
print(child.pid, made.stdout, flush=True)
time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None
    family = [psutil.Process(int(pid)) for pid in (process.pid, *process.stdout.readline().split())]
    assert len(family) == 3
    record = json.loads((folder / "job.json").read_text())
    started = psutil.Process(process.pid).create_time()
    (folder / "job.json").write_text(json.dumps(record | {"pid": process.pid, "process_started": started}))
    cancel(read_job(folder))
    assert not any(member.is_running() and member.status() != psutil.STATUS_ZOMBIE for member in family)
    process.wait()
    assert (read_job(folder).state, old.poll()) == ("cancelled", None)


def test_a_job_that_just_ended_is_not_cancelled(sleeper) -> None:  # type: ignore[no-untyped-def]
    folder, _ = sleeper
    running = read_job(folder)
    EventWriter(folder).write("finished", result="svm-1")
    cancel(running)
    assert (read_job(folder).state, read_job(folder).result) == ("finished", "svm-1")


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        ("10 %\nError: The disk is full.\n", "The disk is full."),
        ("Traceback (most recent call last):\n  File ...\nOSError: [Errno 28] No space left on device\n\n",
         "OSError: [Errno 28] No space left on device"),
    ],
)  # fmt: skip
def test_where_no_event_could_be_written_the_log_says_why(sleeper, log: str, reason: str) -> None:  # type: ignore[no-untyped-def]
    folder, process = sleeper
    (folder / "output.log").write_text(log)
    process.kill()
    process.wait()
    job = read_job(folder)
    assert (job.state, job.reason) == ("failed", reason)
    (folder / "output.log").write_text("Error: an old one\nepoch 3\n")
    assert read_job(folder).state == "interrupted"


def test_a_clock_that_was_set_ends_no_job(tmp_path: Path, sleeper) -> None:  # type: ignore[no-untyped-def]
    folder, _ = sleeper
    environment = os.environ | {"MASKDET_JOB": str(folder)}
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], env=environment)
    try:
        record = json.loads((folder / "job.json").read_text()) | {"pid": process.pid, "process_started": 1.0}
        (folder / "job.json").write_text(json.dumps(record))
        assert read_job(folder).state == "running"
    finally:
        process.kill()
        process.wait()


def test_a_killed_process_is_interrupted_even_while_it_is_a_zombie(sleeper) -> None:  # type: ignore[no-untyped-def]
    folder, process = sleeper
    os.kill(process.pid, 9)
    assert wait(folder).state == "interrupted"


def test_another_process_with_the_number_is_not_the_job(sleeper) -> None:  # type: ignore[no-untyped-def]
    folder, _ = sleeper
    record = json.loads((folder / "job.json").read_text())
    (folder / "job.json").write_text(json.dumps(record | {"process_started": record["process_started"] - 100}))
    assert read_job(folder).state == "interrupted"


def test_a_finished_job_names_what_it_made(sleeper) -> None:  # type: ignore[no-untyped-def]
    folder, _ = sleeper
    EventWriter(folder).write("finished", result="svm-1")
    job = read_job(folder)
    assert (job.state, job.result, job.seconds_left) == ("finished", "svm-1", None)


def test_the_time_left_of_a_running_job(sleeper, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    folder, _ = sleeper
    now = time.time()
    monkeypatch.setattr(jobs, "time", SimpleNamespace(time=lambda: now))
    lines = [{"event": "progress", "time": now - 10 + 5 * n, "done": 50 + n, "total": 60, "text": ""} for n in range(3)]
    (folder / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    job = read_job(folder)
    assert job.seconds_left == pytest.approx(8 * 5)
    assert job.seconds == pytest.approx(now - json.loads((folder / "job.json").read_text())["began"])


def test_a_damaged_job_does_not_hide_the_others(sleeper, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    folder, _ = sleeper
    broken = folder.with_name("2-train")
    broken.mkdir()
    (broken / "job.json").write_text("{")
    assert [job.id for job in list_jobs(Workspace(tmp_path))] == [folder.name]


def test_where_the_folder_of_jobs_is_a_link_to_nowhere_none_is_launched(workspace: Workspace) -> None:
    workspace.home.mkdir(parents=True, exist_ok=True)
    workspace.path("jobs").symlink_to(workspace.path("gone"))
    with pytest.raises(WorkspaceError, match=r"scan cannot be started \(File exists\)"):
        launch(workspace, ["scan", "x"])


@pytest.mark.usefixtures("workers")
def test_jobs_of_a_queue_work_one_after_the_other(workspace: Workspace) -> None:
    works = ("until let go", "until let go", "at once")
    first, second, third = (launch(workspace, ["train", work], queue="training") for work in works)
    other = launch(workspace, ["scan", "at once"], queue="else")
    wait(first.folder, until=("running",))
    assert wait(other.folder).state == "finished"  # another queue's
    assert [job.ahead for job in list_jobs(workspace)] == [0, 2, 1, 0]
    assert states(workspace) == ["running", "queued", "queued", "finished"]
    let_go(first)
    wait(second.folder, until=("running",))
    assert states(workspace) == ["finished", "running", "queued", "finished"]
    let_go(second)
    assert wait(third.folder).state == "finished"
    ended = [read_job(job.folder) for job in (first, second, third)]
    assert [job.result for job in ended] == ["made"] * 3
    spans = []
    for job in ended:
        events = {e["event"]: e["time"] for e in map(json.loads, (job.folder / "events.jsonl").open())}
        assert list(events) == ["queued", "started", "finished"]
        spans.append((events["started"], events["finished"]))
        assert job.seconds == pytest.approx(events["finished"] - events["started"])  # waiting does not count
    assert spans[0][1] <= spans[1][0] <= spans[1][1] <= spans[2][0]


@pytest.mark.usefixtures("workers")
def test_a_killed_job_releases_the_queue_and_a_cancelled_one_leaves_it(workspace: Workspace) -> None:
    first, second, third = (launch(workspace, ["train", "until let go"], queue="training") for _ in range(3))
    last = launch(workspace, ["train", "at once"], queue="training")
    damaged = workspace.path("jobs", "0-train")
    damaged.mkdir()
    (damaged / "job.json").write_text("[]")
    wait(first.folder, until=("running",))
    cancel(read_job(second.folder))
    assert states(workspace) == ["running", "cancelled", "queued", "queued"]
    assert read_job(second.folder).seconds == 0
    os.kill(json.loads((first.folder / "job.json").read_text())["pid"], 9)
    wait(third.folder, until=("running",))
    assert states(workspace) == ["interrupted", "cancelled", "running", "queued"]
    cancel(read_job(third.folder))
    assert wait(last.folder).state == "finished"


@pytest.mark.usefixtures("workers")
def test_a_later_job_that_began_already_is_waited_for(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its folder was there first, though its name is later: two never work at once."""
    seen: list[str] = []

    def look_and_let_go(seconds: float) -> None:
        seen.append(read_job(later.folder).state)
        let_go(later)
        time.sleep(seconds)

    later = launch(workspace, ["train", "until let go"], queue="training")
    wait(later.folder, until=("running",))
    record = json.loads((later.folder / "job.json").read_text())
    earlier = workspace.path("jobs", "20000101-000000-000000-train")
    earlier.mkdir()
    (earlier / "job.json").write_text(json.dumps(record | {"pid": None, "began": time.time()}))
    monkeypatch.setattr(jobs, "time", SimpleNamespace(time=time.time, sleep=look_and_let_go))
    jobs.wait_for_turn(earlier)
    assert read_job(later.folder).state == "finished"
    assert seen[0] == "running"


def test_a_job_in_no_queue_begins_at_once(sleeper) -> None:  # type: ignore[no-untyped-def]
    folder, _ = sleeper
    jobs.wait_for_turn(folder)
    assert not (folder / "events.jsonl").exists()
    assert read_job(folder).state == "running"


def test_a_launch_that_was_cut_off_before_its_process_began(sleeper) -> None:  # type: ignore[no-untyped-def]
    folder, _ = sleeper
    record = json.loads((folder / "job.json").read_text()) | {"pid": None}
    (folder / "job.json").write_text(json.dumps(record))
    assert read_job(folder).state == "running"
    (folder / "job.json").write_text(json.dumps(record | {"began": time.time() - 60}))
    assert read_job(folder).state == "interrupted"


def test_a_process_that_cannot_be_started_leaves_no_job(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(12, os.strerror(12))

    monkeypatch.setattr(jobs, "_start", fail)
    with pytest.raises(WorkspaceError, match=r"train cannot be started \(.*memory"):
        launch(workspace, ["train", "cnn"])
    assert list(workspace.path("jobs").iterdir()) == []


def test_an_ended_job_can_be_removed(sleeper, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    folder, _ = sleeper
    with pytest.raises(WorkspaceError, match="has not ended yet"):
        remove_job(read_job(folder))
    cancel(read_job(folder))
    remove_job(read_job(folder))
    assert list_jobs(Workspace(tmp_path)) == []


def test_of_a_long_log_only_the_end_is_read(sleeper) -> None:  # type: ignore[no-untyped-def]
    folder, _ = sleeper
    (folder / "output.log").write_text("0123456789\n" * 100_000)
    log = read_job(folder).log
    assert (len(log), log[-11:]) == (64 * 1024, "0123456789\n")


def test_two_launches_of_the_same_instant_have_a_folder_each(
    workspace: Workspace, workers: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Clock(datetime):
        instants = [datetime(2026, 1, 1, tzinfo=UTC)] * 3 + [datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC)]

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return cls.instants.pop(0)

    monkeypatch.setattr(jobs, "datetime", Clock)
    first, second = (launch(workspace, ["train", "at once"]) for _ in range(2))
    assert first.id == "20260101-000000-000000-train"
    assert second.id == "20260101-000001-000000-train"
    assert {wait(first.folder).state, wait(second.folder).state} == {"finished"}
