"""The app as a server of its own, for those who speak to it as browsers do."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import psutil
import requests

_PROJECT: Final = Path(__file__).resolve().parents[1]
#: The longest that anything is waited for, in seconds.
PATIENCE: Final = 300.0


class ClientError(RuntimeError):
    """The server, or a page, did something else than it was asked for."""


class Server:
    """The app in a process of its own, on a free port of this machine and with a workspace of its own.

    Parameters
    ----------
    home : Path
        The workspace; the log goes beside it.
    port : int, optional
        A free one if none is given.
    options : mapping of str to str
        Options of Streamlit, such as ``{"server.disconnectedSessionTTL": "5"}``.
    """

    def __init__(self, home: Path, port: int | None = None, options: Mapping[str, str] | None = None) -> None:
        self.port = port or _free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.log = home.with_name(f"{home.name}.log")
        given = {"server.port": str(self.port), "server.address": "127.0.0.1", "server.headless": "true"}
        given |= options or {}
        # TensorFlow's and Streamlit's chatter would say nothing here.
        environment = os.environ | {"MASKDET_HOME": str(home), "TF_CPP_MIN_LOG_LEVEL": "3"}
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "streamlit", "run", "app.py"]
                + [part for name, value in given.items() for part in (f"--{name}", value)],
                cwd=_PROJECT, env=environment, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
        self.process = psutil.Process(self._process.pid)

    def __enter__(self) -> Self:
        """Wait until it answers."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until and self._process.poll() is None:
            try:
                if requests.get(f"http://{self.address}/_stcore/health", timeout=5).ok:
                    return self
            except requests.ConnectionError:
                time.sleep(0.1)
        self.stop()
        raise ClientError(f"the server did not start: {self.log.read_text(errors='replace')[-2000:]}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End it, and the jobs it has started."""
        children = self.process.children(recursive=True) if self.process.is_running() else []
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for child in children:
            if child.is_running():
                child.kill()

    def memory(self) -> float:
        """Memory that only this process holds (unique set size), in MB."""
        return float(self.process.memory_full_info().uss) / 1e6

    def cpu(self) -> float:
        """Seconds of the processor that it has used."""
        times = self.process.cpu_times()
        return float(times.user + times.system)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
