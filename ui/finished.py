"""A mend of Streamlit 1.67: a part of a page that has drawn itself anew is rid of what it showed before.

When a fragment's run ends, Streamlit's server says so, and the browser removes what that run did not draw again. But if
the next fragment's run begins before that message has left the server, it is changed into "cut off by the next run",
although it was not, and nothing is removed: where 24 faces have become 18, both stand there. On pages with a list of
jobs, which runs each second, that is often. The change is right only where messages of the run were thrown away too,
for then the browser would remove what it never got again.
"""

from functools import cache, wraps

from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.runtime.forward_msg_queue import ForwardMsgQueue

_FRAGMENT_FINISHED = ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY


@cache  # once for a server
def let_fragments_finish() -> None:
    """Call before pages run: where nothing was thrown away, a fragment that has finished is said to have finished."""
    clear = ForwardMsgQueue.clear

    @wraps(clear)
    def clear_and_tell(
        queue: ForwardMsgQueue, retain_lifecycle_msgs: bool = False, fragment_ids_this_run: list[str] | None = None
    ) -> None:
        before = len(queue)
        finished = [message for message in queue._queue if message.script_finished == _FRAGMENT_FINISHED]
        clear(queue, retain_lifecycle_msgs, fragment_ids_this_run)
        if fragment_ids_this_run is not None and len(queue) == before:
            for message in finished:
                message.script_finished = _FRAGMENT_FINISHED

    ForwardMsgQueue.clear = clear_and_tell  # type: ignore[method-assign]
