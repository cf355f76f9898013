"""Events: read from the end, cheaply; the time left by the recent rate; the last word on a full disk."""

import json
import mmap
import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from maskdet.events import EventWriter, read_events, read_tail, seconds_left


def progress(*steps: tuple[float, int], total: int = 100) -> list[dict[str, Any]]:
    return [{"time": time, "done": done, "total": total} for time, done in steps]


def test_progress_is_written_at_most_twice_a_second_but_for_the_last_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([10.0, 10.4, 10.5, 10.6])
    monkeypatch.setattr("maskdet.events.time", SimpleNamespace(monotonic=lambda: next(clock), time=time.time))
    writer = EventWriter(tmp_path)
    writer(1, 4, "epoch 1")
    writer(2, 4, "too soon after the last line")
    writer(3, 4, "half a second after it")
    writer(4, 4, "the last step is always written")
    told = read_events(tmp_path)
    assert [event["text"] for event in told.progress] == [
        "epoch 1", "half a second after it", "the last step is always written"
    ]  # fmt: skip
    assert told.last["done"] == 4


def test_nothing_told_yet(tmp_path: Path) -> None:
    assert read_events(tmp_path).last == {}
    (tmp_path / "events.jsonl").touch()
    told = read_events(tmp_path)
    assert (told.last, told.progress, told.started, told.run) == ({}, [], 0.0, "")


def test_a_line_that_broke_off_spoils_no_other(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_text('{"event": "prog')
    EventWriter(tmp_path).write("cancelled")
    assert read_events(tmp_path).last["event"] == "cancelled"


def test_of_a_hundred_thousand_lines_only_the_end_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []

    class Counted(mmap.mmap):
        def __getitem__(self, part: Any) -> Any:
            data = super().__getitem__(part)
            taken.append(len(data))
            return data

    monkeypatch.setattr("maskdet.events.mmap", SimpleNamespace(mmap=Counted, ACCESS_READ=mmap.ACCESS_READ))
    writer = EventWriter(tmp_path)
    writer.write("queued")
    writer.write("started")
    began = json.loads((tmp_path / "events.jsonl").read_text().splitlines()[-1])["time"]
    writer.write("run", run="cnn-1")
    line = json.dumps({"event": "progress", "time": 1.0, "done": 7, "total": 9, "text": 'a {"event": "run"} in a text'})
    with (tmp_path / "events.jsonl").open("a") as file:
        file.write(f"{line}\n" * 60_000)
    writer.write("run", run="cnn-transfer-1")  # a later one counts
    with (tmp_path / "events.jsonl").open("a") as file:
        file.write(f"{line}\n" * 60_000)
    told = read_events(tmp_path)
    assert 50_000 < sum(taken) < 70_000  # of more than 10 MB
    assert (told.run, told.last["done"], told.started) == ("cnn-transfer-1", 7, began)
    assert 100 < len(told.progress) < 1000


def test_the_time_left_follows_the_last_minute_not_the_average() -> None:
    """Ten steps in the first 1,000 s, then one step every 2 s: 70 left at that rate, less 4 s since the last event."""
    slow = [(100.0 * number, number) for number in range(11)]
    fast = [(1000.0 + 2 * number, 10 + number) for number in range(1, 41)]
    events = progress(*slow, *fast, total=120)
    assert seconds_left(events, now=1084.0) == pytest.approx(70 * 2 - 4)


def test_the_time_left_of_a_resumed_job_does_not_count_what_was_done_before() -> None:
    assert seconds_left(progress((0.0, 90), (10.0, 91)), now=10.0) == pytest.approx(90)


def test_the_time_left_of_a_slow_job_follows_from_its_last_two_events() -> None:
    assert seconds_left(progress((0.0, 1), (600.0, 2), total=4), now=700.0) == pytest.approx(1100)
    assert seconds_left(progress((0.0, 1), (600.0, 2), total=4), now=9999.0) == 0  # it takes longer than the last time


def test_the_time_left_begins_anew_with_each_kind_of_work() -> None:
    training = progress((0.0, 1), (1.0, 1000), total=1000)
    assert seconds_left([*training, *progress((2.0, 0), (4.0, 10), total=50)], now=4.0) == pytest.approx(8)
    assert seconds_left([*progress((0.0, 0), (1.0, 90)), *progress((2.0, 10), (4.0, 20))], now=4.0) == pytest.approx(16)


@pytest.mark.parametrize(
    "events", [[], progress((0.0, 5)), progress((0.0, 5), (9.0, 5)), progress((0.0, 0), (9.0, 5), total=0)]
)
def test_the_time_left_is_unknown(events: list[dict[str, Any]]) -> None:
    assert seconds_left(events, now=9.0) is None


@pytest.fixture
def full_disk(tmp_path: Path) -> Path:
    """A job's folder whose events cannot be written."""
    (tmp_path / "events.jsonl").symlink_to("/dev/full")
    return tmp_path


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_stops_neither_the_work_nor_the_error_message(full_disk: Path) -> None:
    writer = EventWriter(full_disk)
    writer(4, 4, "goes on")
    writer.write("failed", reason="The disk is full.")  # the shell prints the reason too
    with pytest.raises(OSError, match="No space left"):
        writer.write("finished", result="cnn-1")


def test_the_last_word_takes_the_reserved_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reserve = tmp_path / "reserve"
    reserve.write_bytes(bytes(4096))
    append = EventWriter._append

    def on_a_full_disk(self: EventWriter, line: str) -> None:
        if reserve.exists():
            raise OSError(28, os.strerror(28))
        append(self, line)

    monkeypatch.setattr(EventWriter, "_append", on_a_full_disk)
    writer = EventWriter(tmp_path)
    writer(1, 1, "not worth it")
    assert reserve.exists()
    writer.write("failed", reason="The disk is full.")
    assert read_events(tmp_path).last["reason"] == "The disk is full."


def test_the_tail_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"0123456789")
    assert read_tail(tmp_path / "log", 3) == b"789"
    assert read_tail(tmp_path / "log", 30) == b"0123456789"
    assert read_tail(tmp_path / "none") == b""
