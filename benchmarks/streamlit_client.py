"""A visitor without a browser: Streamlit's own protocol, spoken to a server on this machine.

Twenty browsers on a few cores would measure the browsers. What a browser does to the *server* is little: it opens a
websocket, sends the state of its widgets (`BackMsg`), receives what changed on the page (`ForwardMsg`), uploads files
with PUT and fetches pictures with GET. A `Visitor` does just that, with the handshake of the front end: the cookie and
the header against forged requests, the hashes of messages that it keeps, and fragments that run by themselves. It draws
nothing. The messages are those of `streamlit.proto`, as the installed version has them.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self
from uuid import uuid4

import requests
from requests.adapters import HTTPAdapter
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.proto.Common_pb2 import FileUploaderState, UploadedFileInfo
from streamlit.proto.Element_pb2 import Element
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState
from urllib3 import Retry
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from benchmarks.app_server import PATIENCE, ClientError

_XSRF: Final = "_streamlit_xsrf"
_KEPT_RUNS: Final = 2  # for so many runs the front end keeps a message that it does not see again
_DONE: Final = (ForwardMsg.FINISHED_SUCCESSFULLY, ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY)
Value = bool | float | str | Sequence[str] | Sequence[float]


@dataclass(frozen=True)
class Timed:
    """An action of a visitor: seconds until the page has run, and until its new pictures are here too."""

    ran: float
    complete: float


class Visitor:
    """One tab of a browser, from the first connection on.

    Attributes
    ----------
    elements : dict
        What the page shows now: element or block by its path.
    received : int
        Bytes of messages and pictures so far.
    messages : list of bytes or None
        Every message as it came, where they are to be kept.
    media : dict of str to bytes
        Pictures that were fetched, by address; empty contents unless messages are kept.
    """

    def __init__(self, address: str, *, keep: bool = False) -> None:
        self._address, self._keep = address, keep
        self.web = requests.Session()
        # A browser, too, asks again where the server closed a connection that it thought idle.
        self.web.mount("http://", HTTPAdapter(max_retries=Retry(3, read=3, status=0, allowed_methods=None)))
        self.web.get(f"http://{address}/_stcore/health", timeout=PATIENCE).raise_for_status()
        self._token = self.web.cookies[_XSRF]
        self.web.headers["X-Xsrftoken"] = self._token
        self.session_id = ""
        self._connection = ExitStack()
        self._connect()
        self.elements: dict[tuple[int, ...], Any] = {}
        self.received = 0
        self.messages: list[bytes] | None = [] if keep else None
        self.media: dict[str, bytes] = {}
        self._pages: dict[str, str] = {}
        self._page = ""
        self._widgets: dict[str, WidgetState] = {}
        self._repeats: dict[str, tuple[float, float]] = {}  # fragment: seconds between runs, time of the next
        self._cached: dict[str, tuple[bytes, int]] = {}  # message by hash, and the run that saw it last
        self._runs = 0
        self._fragments: dict[str, str] = {}  # fragment of each widget, "" for none

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the tab."""
        self._connection.close()
        self.web.close()

    # What a person does -----------------------------------------------------------------------------------------------

    def reconnect(self) -> None:
        """Lose the connection and take it up again, as a browser does that was offline for a moment."""
        self._connection.close()
        self._connect()

    def open(self, page: str = "") -> Timed:
        """The first visit, to a page by its path: "" for the first, "explain" for another."""
        return self._timed(ClientState(page_name=page))

    def go(self, page: str) -> Timed:
        """To another page, by its path."""
        self._widgets, self._repeats = {}, {}
        self._page = self._pages[page]
        return self._timed(ClientState(page_script_hash=self._page))

    def choose(self, key: str, value: Value) -> Timed:
        """Move the widget with a key: a switch, slider, list or field."""
        return self.choose_all({key: value})

    def choose_all(self, values: Mapping[str, Value]) -> Timed:
        """Move several widgets at once."""
        fragment = ""
        for key, value in values.items():
            element = self.widget(key)
            self._widgets[element.id] = _state(element, value)
            fragment = self._fragments.get(element.id, "")
        return self._timed(ClientState(page_script_hash=self._page, fragment_id=fragment))

    def press(self, key: str) -> Timed:
        """Press a button."""
        button = self.widget(key)
        pressed = WidgetState(id=button.id, trigger_value=True)
        fragment = self._fragments.get(button.id, "")
        return self._timed(ClientState(page_script_hash=self._page, fragment_id=fragment), pressed)

    def upload(
        self, key: str, files: Mapping[str, bytes], kind: str = "image/jpeg", *, replace: bool = False
    ) -> tuple[float, Timed]:
        """Give files to an uploader, beside those it has or in their place; seconds to send them, and of the page."""
        uploader, begin = self.widget(key), time.perf_counter()
        asked = BackMsg()
        asked.file_urls_request.request_id = str(uuid4())
        asked.file_urls_request.file_names.extend(files)
        asked.file_urls_request.session_id = self.session_id
        self._socket.send(asked.SerializeToString())
        answer = next(message for message in self._read(PATIENCE) if message.WhichOneof("type") == "file_urls_response")
        state = FileUploaderState()
        before = self._widgets.get(uploader.id)
        if before is not None and replace:
            self._delete(before)
        elif before is not None and uploader.multiple_files:
            state.CopyFrom(before.file_uploader_state_value)
        for (name, data), urls in zip(files.items(), answer.file_urls_response.file_urls, strict=True):
            sent = self.web.put(self.url(urls.upload_url), files={"file": (name, data, kind)}, timeout=PATIENCE)
            sent.raise_for_status()
            info = UploadedFileInfo(name=name, size=len(data), file_id=urls.file_id)
            info.file_urls.CopyFrom(urls)
            state.uploaded_file_info.append(info)
        seconds = time.perf_counter() - begin
        self._widgets[uploader.id] = WidgetState(id=uploader.id, file_uploader_state_value=state)
        return seconds, self._timed(ClientState(page_script_hash=self._page))

    def wait(self, condition: Callable[["Visitor"], bool], seconds: float = PATIENCE) -> float:
        """Leave the page open, with what runs by itself on it, until a condition holds; seconds that took."""
        begin = time.perf_counter()
        while not condition(self):
            if time.perf_counter() - begin > seconds:
                raise ClientError(f"it did not happen within {seconds:g} s; the page shows {self.text()[:2000]}")
            self._idle(0.05)
        return time.perf_counter() - begin

    def stay(self, seconds: float) -> None:
        """Leave the page open for a while."""
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            self._idle(min(0.05, seconds))

    def download(self, label: str) -> tuple[float, bytes]:
        """Press a button that saves a file: seconds, and the file."""
        begin = time.perf_counter()
        buttons = [one.download_button for one in self.shown("download_button")]
        button = next((one for one in buttons if one.label == label), None)
        if button is None:
            raise ClientError(f"the page has no download “{label}”")
        answer = self.web.get(self.url(button.url or self._made(button.deferred_file_id)), timeout=PATIENCE)
        answer.raise_for_status()
        return time.perf_counter() - begin, answer.content

    # What a page shows ------------------------------------------------------------------------------------------------

    def shown(self, kind: str) -> list[Any]:
        """Elements of a kind, in no order."""
        return [one for one in self.elements.values() if isinstance(one, Element) and one.WhichOneof("type") == kind]

    def widget(self, key: str) -> Any:
        """The widget with a key. Raises ClientError if the page shows none."""
        for one in self.elements.values():
            part = getattr(one, one.WhichOneof("type") or "", None)
            name = getattr(part, "id", "")
            if name.split("-", 2)[-1] == key and name.startswith("$$ID-"):
                return part
        raise ClientError(f"the page has no {key}; it shows {self.text()[:2000]}")

    def has(self, words: str) -> bool:
        """Whether the page shows some words."""
        return words in self.text()

    def text(self) -> str:
        """All that the page says, as the text of its messages."""
        return "\n".join(str(one) for one in self.elements.values())

    def fetch(self, path: str) -> requests.Response:
        """Ask for an address of the server, such as a picture's."""
        return self.web.get(self.url(path), timeout=PATIENCE)

    def pictures(self) -> set[str]:
        """Addresses of all pictures and downloads on the page."""
        found = {image.url for one in self.shown("imgs") for image in one.imgs.imgs}
        return found | {one.download_button.url for one in self.shown("download_button")} - {""}

    # Streamlit's protocol ---------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        """Open the websocket: of a new session, or of the one before if the server still has it."""
        said = ["streamlit", self._token, *filter(None, [self.session_id])]
        connection = connect(
            f"ws://{self._address}/_stcore/stream", origin=Origin(f"http://{self._address}"),
            subprotocols=[Subprotocol(one) for one in said],
            additional_headers={"Cookie": f"{_XSRF}={self._token}"}, max_size=None, ping_interval=None, proxy=None,
        )  # fmt: skip
        self._socket: ClientConnection = self._connection.enter_context(connection)

    def _timed(self, state: ClientState, *presses: WidgetState) -> Timed:
        begin = time.perf_counter()
        self._run(state, presses)
        ran = time.perf_counter() - begin
        self._fetch_pictures()
        return Timed(ran, time.perf_counter() - begin)

    def _run(self, state: ClientState, presses: Sequence[WidgetState] = ()) -> None:
        """Send the state of all widgets, and read until the page has run."""
        state.widget_states.widgets.extend([*self._widgets.values(), *presses])
        state.cached_message_hashes.extend(self._cached)
        message = BackMsg()
        message.rerun_script.CopyFrom(state)
        self._socket.send(message.SerializeToString())
        for answer in self._read(PATIENCE):
            if answer.WhichOneof("type") == "script_finished" and answer.script_finished in _DONE:
                break
        self._runs += 1
        self._cached = {key: kept for key, kept in self._cached.items() if self._runs - kept[1] <= _KEPT_RUNS}
        for one in self.shown("exception"):
            raise ClientError(f"the page failed: {one.exception.message}")

    def _read(self, seconds: float) -> Iterator[ForwardMsg]:
        """Messages as they come. Raises ClientError when none comes for too long."""
        while True:
            try:
                data = self._socket.recv(timeout=seconds)
            except TimeoutError:
                raise ClientError(f"no message for {seconds:g} s") from None
            except ConnectionClosed as error:
                raise ClientError(f"the server closed the connection: {error}") from error
            if isinstance(data, str):
                raise ClientError("a text message")
            self.received += len(data)
            if self.messages is not None:
                self.messages.append(data)
            message = ForwardMsg.FromString(data)
            if message.WhichOneof("type") == "ref_hash":
                known = ForwardMsg.FromString(self._cached[message.ref_hash][0])
                known.metadata.CopyFrom(message.metadata)
                message, data = known, known.SerializeToString()
            if message.metadata.cacheable or message.hash in self._cached:
                self._cached[message.hash] = (data, self._runs)
            self._take(message)
            yield message

    def _take(self, message: ForwardMsg) -> None:
        kind = message.WhichOneof("type")
        if kind == "new_session":
            self.session_id = message.new_session.initialize.session_id or self.session_id
            self._page = message.new_session.page_script_hash
            if not message.metadata.run.fragment_ids:
                self.elements, self._fragments, self._repeats = {}, {}, {}
        elif kind == "navigation":
            pages = message.navigation.app_pages
            self._pages = {"" if page.is_default else page.url_pathname: page.page_script_hash for page in pages}
            self._page = message.navigation.page_script_hash
        elif kind == "delta":
            self._show(tuple(message.metadata.delta_path), message)
        elif kind == "auto_rerun":
            interval = message.auto_rerun.interval
            self._repeats[message.auto_rerun.fragment_id] = (interval, time.perf_counter() + interval)
        elif kind == "stop_auto_rerun":
            for fragment in message.stop_auto_rerun.fragment_ids:
                self._repeats.pop(fragment, None)
        elif kind == "script_finished" and message.script_finished == ForwardMsg.FINISHED_WITH_COMPILE_ERROR:
            raise ClientError("the page does not compile")

    def _show(self, path: tuple[int, ...], message: ForwardMsg) -> None:
        delta = message.delta
        if delta.WhichOneof("type") == "add_block":
            # What a block held before goes, unless the block only is sent again, with the same place in the page.
            self.elements = {key: one for key, one in self.elements.items() if key[: len(path)] != path}
            self.elements[path] = delta.add_block
            kind = delta.add_block.WhichOneof("type")
            name = getattr(getattr(delta.add_block, kind), "id", "") if kind else ""
        elif delta.WhichOneof("type") == "new_element":
            self.elements[path] = delta.new_element
            kind = delta.new_element.WhichOneof("type")
            name = getattr(getattr(delta.new_element, kind), "id", "") if kind else ""
        else:
            return
        if name:
            self._fragments[name] = delta.fragment_id

    def _fetch_pictures(self) -> None:
        for path in self.pictures() - self.media.keys():
            if path.startswith("/media/"):
                answer = self.web.get(self.url(path), timeout=PATIENCE)
                answer.raise_for_status()
                self.received += len(answer.content)
                self.media[path] = answer.content if self._keep else b""

    def _made(self, file_id: str) -> str:
        """The address of a download that is made only when it is asked for."""
        asked = BackMsg()
        asked.backend_operation_request.request_id = str(uuid4())
        asked.backend_operation_request.session_id = self.session_id
        asked.backend_operation_request.deferred_file.file_id = file_id
        self._socket.send(asked.SerializeToString())
        answers = (message for message in self._read(PATIENCE))
        answer = next(one for one in answers if one.WhichOneof("type") == "backend_operation_response")
        if answer.backend_operation_response.error_msg:
            raise ClientError(answer.backend_operation_response.error_msg)
        return answer.backend_operation_response.deferred_file.url

    def _delete(self, given: WidgetState) -> None:
        for info in given.file_uploader_state_value.uploaded_file_info:
            self.web.delete(self.url(info.file_urls.delete_url), timeout=PATIENCE).raise_for_status()

    def _idle(self, seconds: float) -> None:
        now = time.perf_counter()
        for fragment, (interval, due) in list(self._repeats.items()):
            if due <= now and fragment in self._repeats:
                self._repeats[fragment] = (interval, now + interval)
                self._run(ClientState(page_script_hash=self._page, fragment_id=fragment, is_auto_rerun=True))
                self._fetch_pictures()
        time.sleep(seconds)

    def url(self, path: str) -> str:
        """The whole address of a path on the server."""
        return f"http://{self._address}/{path.lstrip('/')}"


def _state(element: Any, value: Value) -> WidgetState:
    """The state of a widget in the form that its kind has."""
    state, kind = WidgetState(id=element.id), type(element).__name__
    if isinstance(value, bool):
        state.bool_value = value
    elif isinstance(value, str) and kind not in ("ButtonGroup", "MultiSelect", "Slider"):
        state.string_value = value
    else:
        parts = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]
        if all(isinstance(part, str) for part in parts):
            state.string_array_value.data.extend(str(part) for part in parts)
        elif kind == "Slider":
            state.double_array_value.data.extend(float(part) for part in parts)
        else:
            (state.double_value,) = (float(part) for part in parts)
    return state
