"""Trainings as they go on: each job a card with its progress, curves and log; stop, resume, discard."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Final

import pandas as pd
import streamlit as st

from maskdet.bias.attributes import ATTRIBUTES
from maskdet.errors import MaskDetError
from maskdet.jobs import Job, cancel, launch, list_jobs, remove_job
from maskdet.models import MODELS
from maskdet.reports import with_interval
from maskdet.runs import Run, Unfinished, discard_unfinished, open_run, unfinished_runs
from maskdet.workspace import Workspace
from ui.jobs import ICONS, began, show_log, show_state, state_title
from ui.public import is_public, require_private
from ui.session import show
from ui.text import code, plain, sentence
from ui.training_charts import show_history

#: Trainings work one after the other: two at once would each take twice as long.
QUEUE: Final = "training"
_COMMANDS: Final = ("train", "resume")
_NEWEST: Final = 5
_COLOURS: Final = {
    "queued": "gray", "running": "blue", "finished": "green", "failed": "red", "cancelled": "gray",
    "interrupted": "orange",
}  # fmt: skip
_OPTION_TITLES: Final = {"set": "", "leave-out": "without", "watch": "watching", "limit": "training faces",
    "balance": "balanced by", "balance-target": "target",
}  # fmt: skip


@dataclass(frozen=True)
class Trainings:
    """What there is to show of a workspace, at one moment."""

    workspace: Workspace
    jobs: list[Job]
    unfinished: dict[str, Unfinished]

    @cached_property
    def newest(self) -> dict[str, str]:
        """For each run, the id of the newest job that writes it, or that will go on with it."""
        return {run: job.id for job in self.jobs[::-1] if (run := run_of(job))}

    @property
    def made_elsewhere(self) -> list[Unfinished]:
        """Unfinished runs of which no job is left: made in a shell, or the job was removed."""
        return [run for run in self.unfinished.values() if run.id not in self.newest]


def run_of(job: Job) -> str:
    """Id of the run that a job writes or will go on with, "" as long as there is none."""
    return job.run or (job.command[1] if job.command[0] == "resume" else "")


def trainings_of(workspace: Workspace) -> Trainings:
    """The jobs, newest first, and the unfinished runs of a workspace."""
    jobs = [job for job in list_jobs(workspace) if job.command[0] in _COMMANDS]
    return Trainings(workspace, jobs, {run.id: run for run in unfinished_runs(workspace)})


def start_trainings(workspace: Workspace, commands: Sequence[Sequence[str]]) -> None:
    """Launch commands one after the other and say so.

    Raises
    ------
    MaskDetError
        If strangers visit, or the workspace cannot be written.
    """
    require_private()
    waits = any(job.is_active for job in trainings_of(workspace).jobs)
    for command in commands:
        launch(workspace, command, QUEUE)
    what = "The trial" if "--dry-run" in commands[0] else "The training"
    st.toast(
        f"{what} waits for its turn" if waits else f"{what} has started",
        icon=ICONS["queued"] if waits else ":material/play_arrow:",
    )


def show_trainings(workspace: Workspace) -> None:
    """All trainings, live: each second while one goes on, else every few seconds for those of a shell."""
    active = any(job.is_active for job in trainings_of(workspace).jobs)
    st.fragment(_show_live, run_every=1.0 if active else 5.0)(workspace)


def _show_live(workspace: Workspace) -> None:
    show(partial(_show_now, workspace))


def _show_now(workspace: Workspace) -> None:
    now = trainings_of(workspace)
    active = {job.id for job in now.jobs if job.is_active}
    before = st.session_state.get("trainings_active", active)
    st.session_state["trainings_active"] = active
    if before != active:  # what the form offers may have changed: a pre-training run, whether one has to wait
        st.rerun()
    if not now.jobs and not now.unfinished:
        st.info("Nothing was trained here yet. Choose a model above and press *Start training*.", icon=ICONS["queued"])
        return
    shown = [job for job in now.jobs if job.is_active]
    ended = [job for job in now.jobs if not job.is_active]
    everything = st.session_state.get("trainings_older", False)
    newest = ended if everything else ended[: max(0, _NEWEST - len(shown))]
    for job in [*shown[::-1], *newest]:  # those at work first, in the order of their turn
        with st.container(border=True, key=f"training_{job.id}"):
            _show_job(now, job)
    for run in now.made_elsewhere:
        with st.container(border=True, key=f"training_{run.id}"):
            _show_unfinished(now, run)
    if len(ended) > len(newest) or everything:
        st.toggle(f"Show older trainings ({len(ended)} in all)", key="trainings_older")


def _show_job(now: Trainings, job: Job) -> None:
    line, buttons = st.columns([5, 3], vertical_alignment="center")
    line.markdown(f"**{_title(job)}** :{_COLOURS[job.state]}-badge[{ICONS[job.state]} {state_title(job)}]")
    details = "" if is_public() else _details(job.command)  # which may name files of the server
    line.caption(" · ".join(filter(None, [began(job), details])))
    is_newest = now.newest.get(run_of(job), job.id) == job.id
    run = now.unfinished.get(run_of(job)) if is_newest else None
    if not is_public():
        with buttons.container(horizontal=True, horizontal_alignment="right"):
            if job.is_active:
                _stop_button(job)
            else:
                if run:
                    _resume_and_discard(now, run, job.id)
                _remove_button(job)
    show_state(job)
    if job.state == "finished" and "--dry-run" in job.command:
        st.success(sentence(job.result) or "The trial ended well.", icon=":material/timer:")
    if not is_newest:
        st.caption("Gone on with in a later training.")
    elif run and job.state != "queued":
        _show_unfinished_run(run, job)
    elif not job.is_active and job.run:
        _show_result(now, job)
    if job.log.strip() and job.state != "finished":
        show_log(job)


def _show_unfinished_run(run: Unfinished, job: Job) -> None:
    if not job.is_active:
        if not run.resumable:
            st.caption(f"It had not finished a single {_unit(run.model_name, 1)}: there is nothing to go on from.")
        elif job.command[0] == "train" and run.model_name != job.command[1]:
            st.caption(
                "What was cut is its pre-training. Resume that, and then start the transfer again: it begins with it."
            )
    _show_progress_of(run, f"curves_{job.id}", folded=not job.is_active)


def _show_result(now: Trainings, job: Job) -> None:
    """What became of the run, also where the job was ended just after it was written."""
    run = _finished_run(now.workspace, job.run)
    if run is None:
        return
    metrics = run.metrics
    low, high = (metrics.get("intervals", {}).get("macro_f1") or [None, None])[:2]
    with st.container(horizontal=True, vertical_alignment="center"):
        if metrics.get("macro_f1") is not None:
            st.markdown(
                f"Macro F1 **{with_interval(metrics['macro_f1'], low, high)}** on n = {metrics['faces']:,} test faces",
                width="content",
            )
        st.page_link(
            "pages/results.py", label=f"Results of {run.id}", icon=":material/monitoring:",
            query_params={"run": run.id},
        )  # fmt: skip


def _show_unfinished(now: Trainings, run: Unfinished) -> None:
    line, buttons = st.columns([5, 3], vertical_alignment="center")
    active = run.active
    badge = ":blue-badge[:material/progress_activity: running]" if active else ":orange-badge[unfinished]"
    line.markdown(f"**{_model_title(run.model_name)}** {badge} {code(run.id)}")
    line.caption("Of a shell." if active else "Made in a shell, or its entry was removed from this list.")
    if not active and not is_public():
        with buttons.container(horizontal=True, horizontal_alignment="right"):
            _resume_and_discard(now, run, run.id)
    _show_progress_of(run, f"curves_{run.id}", folded=not active)


def _show_progress_of(run: Unfinished, key: str, *, folded: bool) -> None:
    history = _history_or_empty(run)
    if not history.empty:
        title = "Grid points so far" if "f1_macro" in history else "Curves so far"
        with st.expander(title, key=f"{key}_folded") if folded else st.container():
            show_history(history, _planned_epochs(run.plan), key, _counts(run.plan))


def _stop_button(job: Job) -> None:
    if st.button("Stop", key=f"stop_{job.id}", icon=":material/stop:", help="What has finished stays: go on later."):
        require_private()
        with st.spinner("Stopping"):
            cancel(job)
        st.rerun()


def _resume_and_discard(now: Trainings, run: Unfinished, key: str) -> None:
    """Go on with an unfinished run, or throw it away once one is sure."""
    done = len(_history_or_empty(run))
    unit = _unit(run.model_name, done)
    if run.resumable and st.button(
        "Resume", key=f"resume_{key}", icon=":material/play_arrow:", type="primary",
        help=f"Goes on after {done} finished {unit}; the result is that of a training without a break.",
    ):  # fmt: skip
        start_trainings(now.workspace, [["resume", run.id]])
        st.rerun()
    with st.popover("Discard", icon=":material/delete:", key=f"discard_{key}"):
        st.markdown(f"{done} finished {unit} of {code(run.id)} are lost. There is no way back.")
        if st.button("Discard for good", key=f"discard_sure_{key}", icon=":material/delete_forever:"):
            try:
                require_private()
                discard_unfinished(now.workspace, run.id)
            except MaskDetError as error:
                st.error(sentence(error))
            else:
                st.rerun()


def _remove_button(job: Job) -> None:
    if st.button(
        "", key=f"remove_{job.id}", icon=":material/close:", type="tertiary",
        help="Take this entry and its log off the list; what it trained stays.",
    ):  # fmt: skip
        try:
            require_private()
            remove_job(job)
        except MaskDetError as error:
            st.error(sentence(error))
        else:
            st.rerun()


def _finished_run(workspace: Workspace, run_id: str) -> Run | None:
    try:
        run = open_run(workspace.path("runs", run_id))
        return run if run.metrics else None
    except MaskDetError:
        return None


def _history_or_empty(run: Unfinished) -> pd.DataFrame:
    try:
        return run.history
    except MaskDetError:  # it has become a run meanwhile
        return pd.DataFrame()


def _planned_epochs(plan: dict[str, Any]) -> int:
    options = plan.get("options", {})
    return int(options.get("epochs") or 0) + int(options.get("frozen_epochs") or 0)


def _counts(plan: dict[str, Any]) -> dict[str, int]:
    """Faces by column prefix of the history, where the plan says them."""
    faces = plan.get("faces", {})
    names = {"": "train", "val_": "validation", "watched_": "watched"}
    return {prefix: int(faces[name]) for prefix, name in names.items() if name in faces}


def _unit(model: str, count: int) -> str:
    what = "grid point" if model == "svm" else "epoch"
    return what if count == 1 else f"{what}s"


def _title(job: Job) -> str:
    if job.command[0] == "resume":
        run = job.command[1]
        names = sorted((name for name in MODELS if run.startswith(name)), key=len)
        return f"{_model_title(names[-1] if names else run)}, resumed"
    title = _model_title(job.command[1])
    title += ", pre-training" if "--pool=pre-training" in job.command else ""
    return title + (", trial" if "--dry-run" in job.command else "")


def _model_title(name: str) -> str:
    return plain(MODELS[name].title if name in MODELS else name)


def _details(command: Sequence[str]) -> str:
    """A command's options in words."""
    if command[0] == "resume":
        return code(command[1])
    words = []
    for part in command[2:]:
        name, _, value = part.removeprefix("--").partition("=")
        if not part.startswith("--"):  # the value of the option before it
            words[-1] += f" {part}"
        elif name not in ("pool", "dry-run"):
            value = ATTRIBUTES[value].title.lower() if name == "balance" and value in ATTRIBUTES else value
            words.append(f"{_OPTION_TITLES.get(name, name.replace('-', ' '))} {value.replace('=', ' ')}".strip())
    return plain(", ".join(words))
