"""A fragment that has finished is said to have finished, also where the next one's run begins at once."""

import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.runtime.forward_msg_queue import ForwardMsgQueue
from streamlit.testing.v1 import AppTest

from ui.finished import let_fragments_finish

PROJECT = Path(__file__).resolve().parents[1]
FINISHED = ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY
CUT_OFF = ForwardMsg.FINISHED_EARLY_FOR_RERUN


def _unmend() -> None:
    ForwardMsgQueue.clear = inspect.unwrap(ForwardMsgQueue.clear)  # type: ignore[method-assign]
    let_fragments_finish.cache_clear()


@pytest.fixture(autouse=True)
def _as_it_comes() -> Iterator[None]:
    """Streamlit without the mend, which lasts as long as the process: no test may live on another's."""
    _unmend()
    yield
    _unmend()


def _queue_of_gallery() -> ForwardMsgQueue:
    """What a run of the fragment "gallery" leaves in the queue: a picture, and that it has finished."""
    picture, finished = ForwardMsg(), ForwardMsg()
    picture.metadata.delta_path.extend([0, 0])
    picture.delta.new_element.text.body = "a face"
    picture.delta.fragment_id = "gallery"
    finished.script_finished = FINISHED
    queue = ForwardMsgQueue()
    queue.enqueue(picture)
    queue.enqueue(finished)
    return queue


def _ends(queue: ForwardMsgQueue) -> list[int]:
    return [message.script_finished for message in queue.flush() if message.WhichOneof("type") == "script_finished"]


def test_streamlit_needs_the_mend() -> None:
    queue = _queue_of_gallery()
    queue.clear(retain_lifecycle_msgs=True, fragment_ids_this_run=["jobs"])
    assert _ends(queue) == [CUT_OFF], "Streamlit has mended this itself: delete ui/finished.py"


def test_the_next_fragment_does_not_take_back_that_one_has_finished() -> None:
    let_fragments_finish()
    queue = _queue_of_gallery()
    queue.clear(retain_lifecycle_msgs=True, fragment_ids_this_run=["jobs"])
    assert len(queue) == 2
    assert _ends(queue) == [FINISHED]


@pytest.mark.parametrize("next_run", [["gallery"], ["jobs", "gallery"], None])
def test_a_run_whose_pictures_are_thrown_away_was_cut_off(next_run: list[str] | None) -> None:
    let_fragments_finish()
    queue = _queue_of_gallery()
    queue.clear(retain_lifecycle_msgs=True, fragment_ids_this_run=next_run)
    assert len(queue) == 1
    assert _ends(queue) == [CUT_OFF]


def test_it_is_mended_once_in_a_server() -> None:
    let_fragments_finish()
    clear = ForwardMsgQueue.clear
    let_fragments_finish()
    assert ForwardMsgQueue.clear is clear


def test_the_app_mends_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MASKDET_HOME", str(tmp_path))
    AppTest.from_file(PROJECT / "app.py", default_timeout=120).run()
    assert hasattr(ForwardMsgQueue.clear, "__wrapped__")
