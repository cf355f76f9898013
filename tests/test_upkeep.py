"""A server with many visitors looks for garbage now and then, not after every run of every page."""

import gc
import weakref

import pytest
from streamlit import config, runtime

from ui import upkeep


class _Ring:
    """Refers to itself, so that only a collection frees it."""

    def __init__(self) -> None:
        self.self = self


def _ring() -> "weakref.ref[_Ring]":
    return weakref.ref(_Ring())


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that is set by hand, in a process with a server."""
    now = [1000.0]
    monkeypatch.setattr(upkeep.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(runtime, "exists", lambda: True)
    monkeypatch.setattr(upkeep, "_next_collection", 0.0)
    return now


def test_garbage_is_collected_for_a_twentieth_of_the_time(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    collect = gc.collect

    def slow_collect() -> int:
        clock[0] += 0.5
        return collect()

    monkeypatch.setattr(upkeep.gc, "collect", slow_collect)
    gc.disable()
    try:
        first = _ring()
        upkeep.tidy()
        assert first() is None
        second = _ring()
        clock[0] += 9.9  # of the 10 seconds that half a second is a twentieth of
        upkeep.tidy()
        assert second() is not None
        clock[0] += 0.2
        upkeep.tidy()
        assert second() is None
    finally:
        gc.enable()


def test_nothing_is_collected_without_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "_next_collection", 0.0)
    upkeep.tidy()
    assert upkeep._next_collection == 0.0


def test_streamlit_does_not_collect_after_each_run() -> None:
    assert config.get_option("runner.postScriptGC") is False
