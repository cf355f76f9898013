import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from maskdet.jobs import EventWriter, Job, cancel, launch, list_jobs, read_job
from maskdet.workspace import Workspace


def wait(folder: Path, seconds: float = 60) -> Job:
    end = time.monotonic() + seconds
    while (job := read_job(folder)).state == "running" and time.monotonic() < end:
        time.sleep(0.1)
    return job


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
    writer = EventWriter(folder)
    writer(1, 4, "epoch 1")
    writer(2, 4, "too soon after the last line")
    writer(4, 4, "the last step is always written")
    with (folder / "events.jsonl").open("a") as file:
        file.write('{"event": "prog')
    job = read_job(folder)
    assert (job.state, job.done, job.total, job.text) == ("running", 4, 4, "the last step is always written")
    assert len((folder / "events.jsonl").read_text().splitlines()) == 3


def test_cancel_stops_the_process_within_seconds(sleeper) -> None:  # type: ignore[no-untyped-def]
    folder, process = sleeper
    begin = time.monotonic()
    cancel(read_job(folder))
    process.wait(timeout=5)  # psutil has reaped it, so its status is unknown here
    assert not psutil.pid_exists(process.pid)
    assert time.monotonic() - begin < 5
    assert read_job(folder).state == "cancelled"


def test_a_killed_process_is_interrupted_even_while_it_is_a_zombie(sleeper) -> None:  # type: ignore[no-untyped-def]
    folder, process = sleeper
    os.kill(process.pid, 9)
    assert wait(folder, 5).state == "interrupted"


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


def test_time_left_follows_from_the_share_done() -> None:
    job = Job(Path("x"), ("train",), "", "running", done=1, total=4, seconds=10.0)
    assert job.seconds_left == pytest.approx(30)
    assert Job(Path("x"), ("train",), "", "running").seconds_left is None


def test_a_cancel_after_a_line_that_broke_off_is_read(sleeper) -> None:  # type: ignore[no-untyped-def]
    folder, _ = sleeper
    (folder / "events.jsonl").write_text('{"event": "prog')
    EventWriter(folder).write("cancelled")
    assert read_job(folder).state == "cancelled"


def test_a_damaged_job_does_not_hide_the_others(sleeper, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    folder, _ = sleeper
    broken = folder.with_name("2-train")
    broken.mkdir()
    (broken / "job.json").write_text("{")
    assert [job.id for job in list_jobs(Workspace(tmp_path))] == [folder.name]
