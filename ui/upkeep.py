"""What a server with many visitors sees to: those who have left are forgotten, and looking for garbage costs little.

Streamlit keeps the session of a visitor who has left, so that a lost connection may come back, and drops it when some
later visitor leaves. It would also collect all garbage after every run of a page (``runner.postScriptGC``, which
``.streamlit/config.toml`` switches off). That looks at each object of the process, some 400,000 once TensorFlow is
loaded, almost all of which stay as long as the server, and at those of all other visitors, whose pages stand still
meanwhile: with twenty at once, more than half of all time. Both are mended here, with what Python and Streamlit offer.
"""

import asyncio
import gc
import sys
import time
from threading import Lock
from typing import Final

import streamlit as st
from streamlit import config, runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx

#: After so many seconds without a connection a visitor has left, not lost the connection; at most, see `_patience`.
_PATIENCE: Final = 60.0
_SECONDS_TO_SETTLE: Final = 1.0
#: At most this part of the time goes into looking for garbage: a lone visitor's pages are cleared up after each run.
_SHARE: Final = 0.05

_lock = Lock()
_modules = 0
_settling = False
_collecting = Lock()
_next_collection = 0.0


def keep_up() -> None:
    """Call at the end of every run of a page."""
    context = get_script_run_ctx()
    if context is None or not runtime.exists():  # no server: a test runs the page
        return
    _visit(context.session_id)
    global _modules
    with _lock:
        grown = len(sys.modules) > _modules
        _modules = len(sys.modules)
    if grown:
        _settle()


def tidy() -> None:
    """Collect garbage, unless that has taken more than its share of the time: call after a page or a part of one."""
    global _next_collection
    if not runtime.exists() or time.monotonic() < _next_collection or not _collecting.acquire(blocking=False):
        return
    try:
        begin = time.monotonic()
        gc.collect()
        end = time.monotonic()
        _next_collection = end + (end - begin) / _SHARE
    finally:
        _collecting.release()


def _left(session_id: str) -> None:
    """The visitor's connection is gone, on the thread of the server's event loop: forget them unless it comes back."""
    loop = asyncio.get_running_loop()
    loop.call_later(_patience(), _forget, session_id, loop)


@st.cache_resource(show_spinner=False, scope="session", on_release=_left)
def _visit(session_id: str) -> str:
    """Kept while a visitor is connected."""
    return session_id


def _patience() -> float:
    """Seconds; less than Streamlit would keep the session by itself, for then it could not be closed any more."""
    return min(_PATIENCE, float(config.get_option("server.disconnectedSessionTTL")) / 2)


def _forget(session_id: str, loop: asyncio.AbstractEventLoop) -> None:
    """Close a session that did not come back: with its state, uploads and pictures."""
    if not runtime.exists():
        return
    server = runtime.get_instance()
    if server.is_active_session(session_id):
        return
    server.close_session(session_id)
    server.media_file_mgr.remove_orphaned_files()  # of downloads, the first time only marks them
    global _settling
    if not _settling:  # many who leave at once are one collection
        _settling = True
        loop.call_later(_SECONDS_TO_SETTLE, _settle)


def _settle() -> None:
    """Collect all garbage, then leave what is left out of later collections: most of it stays with the server."""
    global _settling
    _settling = False
    gc.unfreeze()
    gc.collect()
    gc.freeze()
