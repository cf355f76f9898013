"""Background jobs on a page: start one, watch it, stop it."""

import re
from collections.abc import Sequence
from functools import partial
from typing import Final

import streamlit as st

from maskdet.jobs import Job, cancel, launch, list_jobs
from maskdet.workspace import Workspace
from ui.public import is_public, require_private
from ui.session import show
from ui.text import code, duration, plain, sentence

ICONS: Final = {
    "queued": ":material/hourglass_empty:",
    "running": ":material/progress_activity:",
    "finished": ":material/check_circle:",
    "failed": ":material/error:",
    "cancelled": ":material/cancel:",
    "interrupted": ":material/warning:",
}

#: What colours a terminal or moves its cursor.
_COLOURS: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def start(workspace: Workspace, command: Sequence[str], queue: str = "") -> None:
    """Launch a command and say so. Raises MaskDetError if strangers visit or the workspace cannot be written."""
    require_private()
    launch(workspace, command, queue)
    st.toast(f"Started: {command[0]}", icon=":material/play_arrow:")


def start_button(
    workspace: Workspace, command: Sequence[str], title: str, *, icon: str = ":material/play_arrow:", queue: str = ""
) -> bool:
    """A button that starts a command, and cannot be pressed while the same one goes on; returns whether it does.

    Raises MaskDetError if it was pressed, and strangers visit or the workspace cannot be written.
    """
    active = any(job.is_active and list(job.command) == list(command) for job in list_jobs(workspace))
    if st.button(title, key="_".join(command), icon=icon, disabled=active):
        start(workspace, command, queue)
        st.rerun()
    return active


def show_jobs(workspace: Workspace, kind: str, count: int = 5) -> None:
    """The newest jobs of a kind: each second while one works, else every few seconds for those of other visitors.

    The whole page reruns when one begins or ends, to show what it made.
    """
    active = any(job.is_active for job in _newest(workspace, kind, count))
    st.fragment(_show_live, run_every=1.0 if active else 5.0)(workspace, kind, count)


def _show_live(workspace: Workspace, kind: str, count: int) -> None:
    show(partial(_show_newest, workspace, kind, count))


def _show_newest(workspace: Workspace, kind: str, count: int) -> None:
    jobs = _newest(workspace, kind, count)
    running = {job.id for job in jobs if job.is_active}
    before = st.session_state.get(f"running_{kind}", running)
    st.session_state[f"running_{kind}"] = running
    if before != running:
        st.rerun()
    for job in jobs:
        _show(job)


def _newest(workspace: Workspace, kind: str, count: int) -> list[Job]:
    return [job for job in list_jobs(workspace) if job.command[0] == kind][:count]


def _show(job: Job) -> None:
    with st.container(border=True):
        line, button = st.columns([6, 1], vertical_alignment="center")
        line.markdown(
            f"{ICONS[job.state]} **{code(' '.join(part for part in job.command if part != '--'))}** — {_status(job)}"
        )
        if job.is_active:
            if not is_public() and button.button("Stop", key=f"stop_{job.id}", icon=":material/stop:"):
                require_private()
                cancel(job)
                st.rerun(scope="fragment")
            share = job.done / job.total if job.total else 0.0
            st.progress(min(1.0, share), text=_progress_text(job))
        elif job.state == "failed":
            st.error(failure(job))
        elif job.state == "finished" and job.result:
            st.page_link(
                "pages/results.py", label=f"Results of {job.result}", icon=":material/monitoring:",
                query_params={"run": job.result},
            )  # fmt: skip
        if job.state in ("failed", "interrupted") and job.log.strip():
            show_log(job)


def _status(job: Job) -> str:
    return f"{job.state}, {duration(job.seconds)}, started {job.created.replace('T', ' ').rstrip('Z')} UTC"


def _progress_text(job: Job) -> str:
    left = job.seconds_left
    return (plain(job.text) or "starting") + (f" · about {duration(left)} left" if left is not None else "")


def failure(job: Job) -> str:
    """Why a job failed, as a sentence; strangers are not told, since reasons name files of the server."""
    if is_public():
        return "It failed; whoever runs this server can see why."
    return sentence(job.reason) or "It ended without saying why; the log may."


def show_log(job: Job) -> None:
    """The end of what a job printed, folded; not for strangers, since it names files of the server."""
    if is_public():
        return
    with st.expander("Log", key=f"log_{job.id}"):
        st.code(last_states(job.log)[-4000:].strip() or "nothing yet", language=None)


def last_states(log: str) -> str:
    """A log as a terminal would show it: of a line that is written over again and again, the last state."""
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in _COLOURS.sub("", log).split("\n"))
