"""Background jobs on a page: how often they are looked for, what is said of one, and how far it is."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from maskdet.jobs import Job
from maskdet.workspace import Workspace
from ui.jobs import began, show_jobs, state_title


@pytest.mark.parametrize(
    ("command", "works", "seconds"), [("scan", False, 5.0), ("scan", True, 1.0), ("bias", True, 5.0)]
)
def test_jobs_are_looked_for_each_second_only_while_one_works(
    command: str, works: bool, seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []
    monkeypatch.setattr("streamlit.fragment", lambda shown, run_every: asked.append(run_every) or (lambda *about: None))
    job = SimpleNamespace(id="1", command=[command], is_active=works)
    monkeypatch.setattr("ui.jobs.list_jobs", lambda workspace: [job])
    show_jobs(Workspace(tmp_path), "scan")
    assert asked == [seconds]


def job(state: str, **about: Any) -> Job:
    """A job that was launched at noon."""
    launched = {"folder": Path("1-scan"), "command": ("scan", "x"), "created": "2026-01-01T12:00:00Z", "state": state}
    return Job(**launched | about)


def test_a_job_is_said_in_the_same_words_wherever_it_is_shown() -> None:
    assert began(job("queued")) == "launched 2026-01-01 12:00:00 UTC"
    assert began(job("running", seconds=90.0)) == "1 min 30 s, launched 2026-01-01 12:00:00 UTC"
    assert (state_title(job("cancelled")), state_title(job("failed"))) == ("stopped", "failed")


def _show(about: dict[str, object]) -> None:
    from test_page_jobs import job

    from ui.jobs import show_state

    show_state(job(**about))


@pytest.mark.parametrize(
    ("about", "kind", "said"),
    [
        ({"state": "queued", "queue": "training", "ahead": 2}, "caption", "Waits for 2 jobs before it."),
        ({"state": "queued", "queue": "training", "ahead": 0}, "caption", "Is about to start."),
        ({"state": "queued", "queue": "", "ahead": 1}, "caption", "Is about to start."),  # it waits for nothing
        ({"state": "failed", "reason": "No *faces*."}, "error", r"No \*faces\*."),
        ({"state": "interrupted"}, "warning", "Its process is gone and said nothing: it was killed, memory ran out, or "
         "the machine went down."),
    ],
)  # fmt: skip
def test_what_a_job_waits_for_and_why_it_ended(about: dict[str, Any], kind: str, said: str) -> None:
    app = AppTest.from_function(_show, kwargs={"about": about}).run()
    assert not app.exception
    assert [text.value for text in getattr(app, kind)] == [said]


def test_how_far_a_job_is() -> None:
    app = AppTest.from_function(_show, kwargs={"about": {"state": "running", "text": "a", "done": 1, "total": 4}}).run()
    (bar,) = app.get("progress")
    assert bar.proto.text.startswith("a · 25 %")
