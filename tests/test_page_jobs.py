"""Background jobs on a page: how often they are looked for."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from maskdet.workspace import Workspace
from ui.jobs import show_jobs


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
