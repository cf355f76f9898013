"""The server as it is configured: who may reach it, from where, and how much may be sent."""

import base64
import http.client
import os
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import free_port

from maskdet.catalog import DATA_DIR

ROOT = DATA_DIR.parent
CONFIG = tomllib.loads((ROOT / ".streamlit/config.toml").read_text(encoding="utf-8"))
BODY = b'--x\r\nContent-Disposition: form-data; name="f"; filename="a.jpg"\r\n\r\nabc\r\n--x--\r\n'
FORM = {"Content-Type": "multipart/form-data; boundary=x"}
#: Options whose defaults protect; none is written down, so that none can be weakened unseen.
KEPT = ("enableCORS", "enableXsrfProtection", "corsAllowedOrigins", "xsrfCookieSameSite", "enableStaticServing",
        "enableAgentApi", "trustedUserHeaders", "cookieSecret")  # fmt: skip


def test_the_configuration() -> None:
    server = CONFIG["server"]
    assert server["address"] == "localhost"
    assert server["maxUploadSize"] == 50
    assert not set(KEPT) & server.keys()
    # Names that nobody else can point at this machine: the machine's own, and those of Streamlit's own hosting.
    assert server["allowedHosts"] == ["localhost", "127.0.0.1", "::1", "*.streamlit.app"]
    assert CONFIG["browser"]["gatherUsageStats"] is False
    assert "developmentMode" not in CONFIG.get("global", {})


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a server with the project's configuration, and a page that says nothing: no page is asked for."""
    folder = tmp_path_factory.mktemp("server")
    (folder / ".streamlit").symlink_to(ROOT / ".streamlit")
    (folder / "app.py").write_text("import streamlit\n")
    number = free_port()
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless", "true"]
    process = subprocess.Popen(
        [*command, "--server.port", str(number)], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", number)) == 0:
                    break
            assert process.poll() is None
            time.sleep(0.1)
        yield number
    finally:
        process.terminate()
        process.wait(10)


def ask(port: int, method: str, path: str, headers: dict[str, str] | None = None, body: bytes | None = None) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body, headers or {})
        return connection.getresponse().status
    finally:
        connection.close()


def open_socket(port: int, origin: str | None, host: str) -> int:
    """The status with which the server answers whoever would open its web socket: 101 lets in."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.putrequest("GET", "/_stcore/stream", skip_host=True)
        headers = {
            "Host": host, "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(), "Sec-WebSocket-Protocol": "streamlit",
        }  # fmt: skip
        for name, value in (headers | ({"Origin": origin} if origin else {})).items():
            connection.putheader(name, value)
        connection.endheaders()
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("origin", "host"),
    [("http://localhost:{port}", "localhost:{port}"), ("http://127.0.0.1:{port}", "127.0.0.1:{port}")],
)
def test_the_app_opens_its_own_socket(port: int, origin: str, host: str) -> None:
    assert open_socket(port, origin.format(port=port), host.format(port=port)) == 101


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://evil.example", "localhost:{port}"),  # a page of somebody else's
        ("http://evil.example:{port}", "evil.example:{port}"),  # one that gave its own name this machine's address
        (None, "evil.example"),
        ("null", "localhost:{port}"),  # a file, or a frame without an origin
        ("http://localhost.evil.example", "localhost:{port}"),
        ("http://evil.example#localhost", "localhost:{port}"),
        ("http://localhost:{port}", "localhost:{port}@evil.example"),
    ],
)
def test_no_page_of_somebody_else_opens_it(port: int, origin: str | None, host: str) -> None:
    assert open_socket(port, origin and origin.format(port=port), host.format(port=port)) == 403


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
@pytest.mark.parametrize(
    "headers",
    [{}, {"Origin": "http://evil.example"}, {"Cookie": "_streamlit_xsrf=abc", "X-Xsrftoken": "abc"},
     {"Cookie": "_streamlit_xsrf=2|0|0|0", "X-Xsrftoken": "2|1|1|1"}],
)  # fmt: skip
def test_no_upload_without_a_token(port: int, method: str, headers: dict[str, str]) -> None:
    assert ask(port, method, "/_stcore/upload_file/session/file", FORM | headers, BODY) == 403


@pytest.mark.parametrize(
    "path",
    ["/../app.py", "/%2e%2e/app.py", "/media/../app.py", "/media/%2e%2e%2fapp.py", "/app/static/../app.py",
     "/static/..%5c..%5capp.py", "//evil.example/x", "/app.py", "/.streamlit/config.toml", "/media/app.py",
     "/component/..%2f..%2fapp.py/x"],
)  # fmt: skip
def test_no_file_of_the_machine_is_given_out(port: int, path: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        data = answer.read()
    finally:
        connection.close()
    assert answer.status in (400, 403, 404) or b"<title>Streamlit</title>" in data  # its own page, for unknown names
    assert b"import streamlit" not in data
    assert b"maxUploadSize" not in data


def test_no_other_machine_reaches_it(port: int) -> None:
    """It listens at the loopback address alone."""
    import psutil

    listening = {
        connection.laddr.ip for connection in psutil.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
    }  # fmt: skip
    assert listening
    assert listening <= {"127.0.0.1", "::1"}


def test_what_a_visitor_may_do_to_files_is_the_same_for_all(port: int) -> None:
    """Another address answers that the agents' way in is off."""
    assert ask(port, "POST", "/_stcore/agent/interact", {"Content-Type": "application/json"}, b"{}") in (403, 404)


def test_an_upload_is_never_on_the_disk() -> None:
    """Visitors are told that their photos stay in memory; above 1 MB, a file without a name would hold them."""
    import asyncio
    from collections.abc import AsyncGenerator

    from starlette.datastructures import Headers, UploadFile
    from starlette.formparsers import MultiPartParser

    import ui  # noqa: F401 - as every page does

    async def stream() -> AsyncGenerator[bytes, None]:
        yield BODY.replace(b"abc", bytes(5_000_000))

    form = asyncio.run(MultiPartParser(Headers(FORM), stream()).parse())
    upload = form["f"]
    assert isinstance(upload, UploadFile)
    assert upload.size == 5_000_000
    assert upload._in_memory
    assert MultiPartParser.spool_max_size >= 1_000_000 * CONFIG["server"]["maxUploadSize"]


def test_no_secret_is_in_the_repository() -> None:
    assert not (ROOT / ".streamlit/secrets.toml").exists()
    assert Path(ROOT / ".gitignore").read_text(encoding="utf-8").count("secrets.toml") == 1
