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
from ui.text import code, counted, duration, percent, plain, sentence

ICONS: Final = {
    "queued": ":material/hourglass_empty:",
    "running": ":material/progress_activity:",
    "finished": ":material/check_circle:",
    "failed": ":material/error:",
    "cancelled": ":material/cancel:",
    "interrupted": ":material/warning:",
}

#: States that people call otherwise.
_TITLES: Final = {"cancelled": "stopped"}
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
        what = code(" ".join(part for part in job.command if part != "--"))
        line.markdown(f"{ICONS[job.state]} **{what}** — {state_title(job)}, {began(job)}")
        stops = job.is_active and not is_public()
        if stops and button.button("Stop", key=f"stop_{job.id}", icon=":material/stop:"):
            require_private()
            cancel(job)
            st.rerun(scope="fragment")
        show_state(job)
        if job.state == "finished" and job.result:
            st.page_link(
                "pages/results.py", label=f"Results of {job.result}", icon=":material/monitoring:",
                query_params={"run": job.result},
            )  # fmt: skip
        if job.state in ("failed", "interrupted") and job.log.strip():
            show_log(job)


def state_title(job: Job) -> str:
    """A job's state in a word."""
    return _TITLES.get(job.state, job.state)


def began(job: Job) -> str:
    """How long a job has worked, and when it was launched: what waits for its turn has not started."""
    launched = f"launched {job.created.replace('T', ' ').rstrip('Z')} UTC"
    return f"{duration(job.seconds)}, {launched}" if job.seconds else launched


def show_state(job: Job) -> None:
    """What there is to say of a job's state: how far it is, what it waits for, or why it ended without a result."""
    if job.state == "running":
        share = job.done / job.total if job.total else 0.0
        left = None if job.seconds_left is None else f"about {duration(job.seconds_left)} left"
        known = percent(share, 0) if job.total else None
        st.progress(min(1.0, share), text=" · ".join(filter(None, [plain(job.text) or "starting", known, left])))
    elif job.state == "queued":
        waits = job.ahead if job.queue else 0
        st.caption(f"Waits for {counted(waits, 'job')} before it." if waits else "Is about to start.")
    elif job.state == "failed":
        st.error(failure(job), icon=ICONS["failed"])
    elif job.state == "interrupted":
        st.warning(
            "Its process is gone and said nothing: it was killed, memory ran out, or the machine went down.",
            icon=ICONS["interrupted"],
        )


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
