"""The app on a workspace with a damaged file: every page opens, one sentence names the file, all else is shown."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import pytest
from app_page import PAGES, TITLES, visit
from conftest import free_port
from faulty import DAMAGES, example, linked
from streamlit.testing.v1 import AppTest

from maskdet.integrity import inspect
from maskdet.kinds import KINDS

PROJECT = Path(__file__).resolve().parents[1]
#: A fault of each sort, on the page that needs the file most.
QUICK = [
    ("faces.parquet", "half", "datasets"),
    ("datasets.json", "other kind", "home"),
    ("decisions.json", "random", "quality"),
    ("split.json", "empty", "training"),
    ("runs/*/run.json", "half", "results"),
    ("runs/*/metrics.json", "other kind", "results"),
    ("jobs/*/job.json", "other kind", "training"),
    ("bias/*/*/attention.npz", "flipped", "bias"),
]


def assert_opens(home: Path, monkeypatch: pytest.MonkeyPatch, pages: Sequence[str], path: Path | None) -> None:
    """Above each page the app names the file; AppTest shows what is above Home alone."""
    monkeypatch.setenv("MASKDET_HOME", str(home))
    app = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=120).run()
    warnings = [box.value for box in app.warning]
    assert path is None or any(path.name in one for one in warnings), warnings
    for page in pages:
        if page != "home":
            app.switch_page(f"pages/{page}.py").run()
        assert not app.exception, (page, app.exception)
        assert app.title[0].value == TITLES[page]
        said = [box.value for box in (*app.warning, *app.error)]
        assert not any("wrong in MaskDet itself" in one for one in said), (page, said)


@pytest.mark.parametrize(("pattern", "damage", "page"), QUICK)
def test_a_page_opens_and_names_what_is_damaged(
    full_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pattern: str, damage: str, page: str
) -> None:
    workspace = linked(full_home, tmp_path / "home")
    path = example(workspace, pattern)
    DAMAGES[damage](path)
    assert_opens(workspace.home, monkeypatch, [page], path)


@pytest.mark.sweep
@pytest.mark.parametrize("damage", ["half", "other kind", "folder"])
@pytest.mark.parametrize("pattern", [kind.pattern for kind in KINDS])
def test_every_page_opens_whatever_is_damaged(
    full_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pattern: str, damage: str
) -> None:
    workspace = linked(full_home, tmp_path / "home")
    path = example(workspace, pattern)
    DAMAGES[damage](path)
    named = inspect(workspace, thorough=False).damaged
    assert_opens(workspace.home, monkeypatch, PAGES, path if named else None)


def start_server(home: Path, port: int) -> subprocess.Popen[bytes]:
    """The app as a process of its own, once it answers."""
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port), "--server.headless",
               "true"]  # fmt: skip
    server = subprocess.Popen(
        command, cwd=PROJECT, env={**os.environ, "MASKDET_HOME": str(home)}, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert server.poll() is None
        try:
            with urllib.request.urlopen(f"http://localhost:{port}/_stcore/health", timeout=5) as answer:
                if answer.read() == b"ok":
                    return server
        except OSError:
            time.sleep(0.2)
    server.kill()
    raise AssertionError("the server does not answer")


def test_a_server_that_is_killed_starts_again_with_all_that_is_finished(
    full_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = linked(full_home, tmp_path / "home")
    for _ in range(2):
        server = start_server(workspace.home, free_port())
        os.kill(server.pid, signal.SIGKILL)
        assert server.wait() == -signal.SIGKILL
    assert inspect(workspace).damaged == ()
    app = visit("home", workspace.home, monkeypatch)
    assert not app.exception
    assert not app.warning
