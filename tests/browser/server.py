"""A running app: the server of one workspace, and its log."""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.error import URLError
from urllib.request import urlopen

import psutil

from maskdet.workspace import Workspace

PROJECT: Final = Path(__file__).resolve().parents[2]
_SECONDS_TO_START: Final = 240
#: What Streamlit's server logs where a visitor leaves just as it closes the connection itself: nothing of MaskDet's.
_CLOSED_TWICE: Final = re.compile(
    r"Exception in ASGI application\n(?:(?!Exception in ASGI application).*\n)*?"
    r'starlette\.websockets\.WebSocketDisconnected: Cannot call "send" once a close message has been sent\.\n'
)


@dataclass(frozen=True)
class Server:
    """Where a running app answers, its workspace, and the file that its log goes to."""

    url: str
    workspace: Workspace
    log: Path


@contextmanager
def serve(home: Path, log: Path) -> Iterator[Server]:
    """Run the app on a workspace until the block ends; its jobs end with it.

    Raises
    ------
    AssertionError
        If the app does not come up, or its log holds a traceback.
    """
    port = _free_port()
    environment = os.environ | {"MASKDET_HOME": str(home), "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless=true", f"--server.port={port}"]
    with log.open("wb") as file:
        process = psutil.Popen(command, cwd=PROJECT, env=environment, stdout=file, stderr=subprocess.STDOUT)
    server = Server(f"http://localhost:{port}", Workspace(home), log)
    try:
        _wait_until_up(server, process)
        yield server
    finally:
        _end(process)
    said = _CLOSED_TWICE.sub("", log.read_text(errors="replace"))
    assert "Traceback" not in said, f"the server's log has a traceback: {log}"


def _free_port() -> int:
    with socket.create_server(("localhost", 0)) as listening:
        return int(listening.getsockname()[1])


def _wait_until_up(server: Server, process: psutil.Popen) -> None:
    until = time.monotonic() + _SECONDS_TO_START
    while time.monotonic() < until and process.poll() is None:
        try:
            with urlopen(f"{server.url}/_stcore/health", timeout=5) as answer:
                if answer.read() == b"ok":
                    return
        except (URLError, OSError):
            time.sleep(0.1)  # between two tries
    raise AssertionError(f"the app does not come up: see {server.log}")


def _end(process: psutil.Popen) -> None:
    children = process.children(recursive=True) if process.is_running() else []
    for one in (process, *children):
        try:
            one.kill()
        except psutil.NoSuchProcess:
            continue  # it ended by itself
    psutil.wait_procs([process, *children], timeout=30)
