"""One visitor's page, and what it did besides: errors, and requests that leave the machine."""

import re
from typing import Final
from urllib.parse import urlsplit

from playwright.sync_api import ConsoleMessage, Page, Request, Response, WebSocket

#: A page that is opened by its address asks for these below its own path first, and then at the root: Streamlit finds
#: out so below which path it is served.
_TRIED_FIRST: Final = re.compile(r"/[a-z]+/_stcore/(health|host-config)$")
#: The browser itself takes back what a page that is left no longer needs.
_TAKEN_BACK: Final = "net::ERR_ABORTED"
#: What needs no connection.
_LOCAL: Final = ("data", "blob", "about")


class Watch:
    """What went wrong on a page, in sentences; and which requests went to another host than the first one did."""

    def __init__(self, page: Page) -> None:
        self.wrong: list[str] = []
        self.outside: list[str] = []
        self._host = ""
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.wrong.append(f"script: {error.message}"))
        page.on("request", self._on_request)
        page.on("requestfailed", self._on_failed)
        page.on("response", self._on_response)
        page.on("websocket", self._on_socket)

    def assert_clean(self) -> None:
        """Nothing went wrong, and nothing left the machine.

        Raises
        ------
        AssertionError
            If something did, with all of it.
        """
        assert not self.outside, f"requests that leave the machine: {self.outside}"
        assert not self.wrong, f"the browser complains: {self.wrong}"

    def _on_console(self, message: ConsoleMessage) -> None:
        address = message.location.get("url", "")
        if message.type == "error" and not _TRIED_FIRST.search(urlsplit(address).path):
            self.wrong.append(f"console: {message.text} ({address})")

    def _on_request(self, request: Request) -> None:
        self._note_host(request.url)

    def _on_socket(self, socket: WebSocket) -> None:
        self._note_host(socket.url)

    def _note_host(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme in _LOCAL:
            return
        self._host = self._host or parts.netloc
        if parts.netloc != self._host or parts.hostname != "localhost":
            self.outside.append(url)

    def _on_failed(self, request: Request) -> None:
        if request.failure != _TAKEN_BACK:
            self.wrong.append(f"request failed: {request.url} ({request.failure})")

    def _on_response(self, response: Response) -> None:
        if response.status >= 400 and not _TRIED_FIRST.search(urlsplit(response.url).path):
            self.wrong.append(f"answer {response.status}: {response.url}")
