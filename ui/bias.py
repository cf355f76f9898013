"""The head of the Bias page: which runs and data, the answer in a sentence or two, and the jobs that measure."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import pandas as pd
import streamlit as st

from maskdet.bias.attributes import attribute_title
from maskdet.bias.groups import GroupOptions, GroupReport
from maskdet.errors import MaskDetError
from maskdet.jobs import list_jobs
from maskdet.runs import Run
from maskdet.workspace import Workspace
from ui.bias_data import Lab, faces_are_here, knows_attributes, reports_of
from ui.jobs import show_jobs, start_button
from ui.quality_data import fingerprint_in_force
from ui.results import choose_runs
from ui.text import code, plain, sentence

#: Jobs of the lab work one after the other.
QUEUE: Final = "bias"
#: The attribute by which counterfactuals and attention are parted too.
TONE: Final = "skin_tone"
_NEWEST: Final = 3
_FOCUS: Final = "bias_focus"
_BESIDE: Final = "bias_beside"
_DATA: Final = "bias_data"


def choose_lab(workspace: Workspace, runs: list[Run]) -> Lab:
    """The runs and the data to look at."""
    chosen = choose_runs(runs) if runs else []
    focus, beside = _choose_pair(chosen) if chosen else (None, None)
    force = fingerprint_in_force(workspace)
    fingerprint = focus.fingerprint if focus is not None else force
    if focus is not None and force and force != focus.fingerprint:
        fingerprint = _choose_data(focus.fingerprint, force)
    return Lab(workspace, tuple(chosen), focus, beside, fingerprint, force)


def show_data_headline(lab: Lab) -> None:
    """What of the label can be told without looking at masks."""
    said = _or_why_not(_of_data, lab)
    if said:
        st.markdown(said)
    else:
        st.markdown(
            "Can a score be believed, and for whom? What a model can go by other than masks, whom it fails, and where "
            "it looks."
        )


def show_run_headline(lab: Lab) -> None:
    """Whom the run in focus fails; judging it by all attributes takes some seconds, once."""
    said = _or_why_not(_of_run, lab)
    if said:
        st.markdown(said)


def show_bias_jobs(workspace: Workspace) -> None:
    """The lab's jobs, while one works or where the newest did not come to its end."""
    jobs = [job for job in list_jobs(workspace) if job.command[0] == "bias"]
    if jobs and (jobs[0].state in ("failed", "interrupted") or any(job.is_active for job in jobs)):
        active = sum(job.is_active for job in jobs)
        show_jobs(workspace, "bias", max(1, min(active, _NEWEST)))


def offer_data(lab: Lab, what: str, part: str, button: str) -> None:
    """Say that something was not measured of the data, and how to."""
    st.info(f"{what} was not measured for this data yet.", icon=":material/straighten:")
    if lab.data_is_here:
        _measure_button(lab.workspace, ["bias", "data", "--part", part], button)
        return
    if lab.fingerprint and lab.force:
        st.caption(f"It is data {code(lab.fingerprint)}; the split in force here is {code(lab.force)}.")
    else:
        st.caption("Its photos are not on this computer, or were not filtered and split.")
    _ways()


def offer_run(lab: Lab, run: Run, what: str, part: str, button: str) -> None:
    """Say that something was not measured of a run, and how to."""
    st.info(f"{what} was not measured for {plain(lab.labels[run.id])} yet.", icon=":material/straighten:")
    if faces_are_here(lab.workspace, run):
        _measure_button(lab.workspace, ["bias", run.id, "--part", part], button)
    else:
        st.caption(
            "That needs its test faces, which are not all in this workspace: scan the datasets it was tested on."
        )
        _ways()


def choose_one(
    title: str,
    names: Sequence[str],
    key: str,
    titles: Callable[[str], str],
    default: str | None = None,
) -> str | None:
    """One of some names, kept for the visit; None where there is none."""
    if st.session_state.get(key) not in names:  # it is gone: other runs or data were chosen
        st.session_state.pop(key, None)
    if not names:
        return None
    return st.selectbox(
        title, names, index=names.index(default) if default in names else 0, key=key, persist_state="session",
        format_func=titles, width=260,
    )  # fmt: skip


def surest_gap(reports: Mapping[str, GroupReport]) -> tuple[str, dict[str, Any]] | None:
    """The attribute and row of the gap that chance explains least, the larger one of two alike; None without any."""
    rows = [(name, row) for name, report in reports.items() for row in report.gaps.to_dict("records")]
    gaps = [(name, row) for name, row in rows if row["verdict"] == "gap"]
    return min(gaps, key=lambda gap: (gap[1]["p_adjusted"], -gap[1]["difference"]), default=None)


def needs_run(lab: Lab) -> bool:
    """True, and a sentence with a way on, where no run is chosen that a view could show."""
    if lab.focus is not None:
        return False
    st.info("This view is about a trained model, and there is none, or none is chosen above.")
    st.page_link("pages/training.py", label="Train a model", icon=":material/model_training:")
    return True


def _choose_pair(chosen: Sequence[Run]) -> tuple[Run, Run | None]:
    from maskdet.compare import short_labels

    labels, by_id = short_labels(chosen), {run.id: run for run in chosen}
    for key in (_FOCUS, _BESIDE):
        if st.session_state.get(key) not in by_id:
            st.session_state.pop(key, None)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        focus = st.selectbox(
            "In focus", list(by_id), format_func=labels.__getitem__, key=_FOCUS, persist_state="session", width=300,
            help="The run that the views look into.",
        )  # fmt: skip
        others = [name for name in by_id if name != focus]
        if st.session_state.get(_BESIDE) == focus:
            st.session_state.pop(_BESIDE)
        beside = st.selectbox(
            "Beside it", others, index=None, format_func=labels.__getitem__, key=_BESIDE, persist_state="session",
            width=300, placeholder="none", disabled=not others, help="A second run, shown beside the first.",
        )  # fmt: skip
    return by_id[focus], by_id.get(beside)


def _choose_data(of_run: str, force: str) -> str:
    titles = {of_run: f"That of the run in focus ({of_run[:8]})", force: f"In force here ({force[:8]})"}
    if st.session_state.get(_DATA) not in titles:
        st.session_state.pop(_DATA, None)
    return st.segmented_control(
        "Data", list(titles), default=of_run, required=True, format_func=lambda name: plain(titles[name]), key=_DATA,
        persist_state="session", wrap=True, help="What the views of shortcuts, datasets and skin tone are about.",
    )  # fmt: skip


def _or_why_not(say: Callable[[Lab], str], lab: Lab) -> str:
    """A headline; that a result is damaged must not keep anyone from the views of others."""
    try:
        return say(lab)
    except MaskDetError as error:
        return f":material/error: {sentence(error)}"


def _of_data(lab: Lab) -> str:
    report = lab.data.shortcuts
    if report is None:
        return ""
    probes = [probe for probe in report.probes if probe.target == "label" and probe.stage == "photo"]
    known = [probe for probe in probes if probe.auc is not None]
    if not known:
        return ""
    worst = max(known, key=lambda probe: (probe.verdict == "strong", probe.verdict == "weak", probe.auc))
    return f"**The data.** {sentence(worst.sentence)}"


def _of_run(lab: Lab) -> str:
    if lab.focus is None or not knows_attributes(lab.workspace, lab.focus):
        return ""
    reports = reports_of(lab.workspace, lab.focus, GroupOptions())
    if not reports:
        return ""
    gaps = pd.concat([report.gaps for report in reports.values()])
    found = int((gaps["verdict"] == "gap").sum())
    run = plain(lab.labels[lab.focus.id])
    surest = surest_gap(reports)
    if surest is None:
        judged = int(gaps["p_value"].notna().sum())
        few = f" {len(gaps) - judged} more could not be tested." if judged < len(gaps) else ""
        return f"**{run}.** No gap between groups is more than chance explains; {judged} were looked for.{few}"
    name, row = surest
    more = f" It is the surest of {found} gaps; {len(gaps)} were looked for." if found > 1 else ""
    return f"**{run}, by {plain(attribute_title(name).lower())}.** {sentence(row['sentence'])}{more}"


def _measure_button(workspace: Workspace, command: list[str], title: str) -> None:
    if start_button(workspace, command, title, queue=QUEUE):
        st.caption("It is being measured: its progress stands above the views.")


def _ways() -> None:
    with st.container(horizontal=True):
        st.page_link("pages/datasets.py", label="Scan a dataset", icon=":material/photo_library:")
        st.page_link("pages/quality.py", label="Filter and split", icon=":material/filter_alt:")
