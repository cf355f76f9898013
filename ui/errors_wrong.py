"""The views of the faces that runs get wrong, and of those on which they disagree."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

import pandas as pd
import streamlit as st

from maskdet.bootstrap import FEWEST_GROUPS, LEVEL
from maskdet.compare import short_labels
from maskdet.decisions import Decision, load_decisions, with_decisions
from maskdet.intervals import share_interval
from maskdet.mistakes import disagreements, error_rates, matching, wrong_faces
from maskdet.reliability import RELIABILITY_FILE
from maskdet.runs import Run
from maskdet.workspace import Workspace
from ui.cached import csv_bytes, stamp
from ui.charts import LABEL_TITLES
from ui.decisions import DECISION_TITLES
from ui.errors_faces import choose_faces, choose_runs, column_titles, show_gallery_of
from ui.tables import titled
from ui.text import percent, plain

_WIDE: Final = 190
_ROWS: Final = 6  # of a table that needs no scrolling
_BY_GROUPS: Final = f"{100 * LEVEL:g} % intervals that take related faces together."


def show_wrong(workspace: Workspace, runs: list[Run]) -> None:
    """The test faces that runs get wrong (study, Figure 15)."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = choose_runs(runs, "errors_runs")
        datasets, labels = choose_faces(chosen)
    _show_rates(chosen, datasets, labels)
    wrong = wrong_faces(chosen)
    wrong = wrong[matching(wrong, datasets, labels)]
    if wrong.empty:
        st.info("No test face of these is judged wrongly.", icon=":material/check_circle:")
        return
    decisions = load_decisions(workspace)
    names = short_labels(chosen)
    st.caption(
        "The most confident errors first. From a probability of 0.5 on, the verdict is without mask; it is calibrated "
        "where the run's reliability was fitted, as that of a photo. "
        + ("A face that two runs get wrong is here twice. " if len(chosen) > 1 else "")
        + "Click a face to see it large, and to decide on it."
    )
    show_gallery_of(workspace, wrong, partial(_wrong_captions, names, decisions), "wrong", (*names, datasets, labels))
    _show_table(wrong, decisions, {}, "Wrong faces (CSV)", "wrong-faces.csv", "wrong_csv")


def show_disagreements(workspace: Workspace, runs: list[Run]) -> None:
    """The test faces that runs judge differently."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = choose_runs(runs, "errors_compared", partial(comparable, runs))
        datasets, labels = choose_faces(chosen)
    if len(chosen) < 2:
        st.info("Two runs can disagree: choose another one, or train one more model.", icon=":material/compare:")
        st.page_link("pages/training.py", label="Train a model", icon=":material/model_training:")
        return
    calibrated = tuple((str(run.folder), stamp(run.folder / RELIABILITY_FILE)) for run in chosen)
    total, found, (low, high) = _disagreements(calibrated, datasets, labels, chosen)
    if not total:
        st.info(
            "No face is a test face of all these runs. Choose runs of one split, or take a filter back.",
            icon=":material/compare:",
        )
        return
    none = "" if low == low else f" (no interval: fewer than {FEWEST_GROUPS} groups)"
    st.markdown(
        f"**{len(found):,} of {total:,} common test faces** are judged differently by the {len(chosen)} runs: "
        f"{percent(len(found) / total, 2, low, high)}{none}."
    )
    st.caption(f"{_BY_GROUPS} The widest spread of the probabilities first.")
    if found.empty:
        return
    decisions = load_decisions(workspace)
    names = short_labels(chosen)
    captions = partial(_disagreement_captions, names, decisions)
    show_gallery_of(workspace, found, captions, "disagree", (*names, datasets, labels), width=_WIDE)
    _show_table(found, decisions, names, "Disagreements (CSV)", "disagreements.csv", "disagree_csv")


def comparable(runs: Sequence[Run]) -> Sequence[Run]:
    """The runs of one split, of which there are most and at least two (the first runs' among equals); else all."""
    splits = [run.fingerprint for run in runs]
    most = max(splits, key=splits.count)
    return [run for run in runs if run.fingerprint == most] if splits.count(most) > 1 else runs


def decided(face_id: str, decisions: Mapping[str, Decision]) -> str:
    """What was decided by hand on a face, to follow on a caption."""
    return f" · **{DECISION_TITLES[decisions[face_id]]}**" if face_id in decisions else ""


def _show_rates(runs: Sequence[Run], datasets: list[str] | None, labels: list[str] | None) -> None:
    rates = pd.concat([_rates(str(run.folder), datasets, labels, run) for run in runs], ignore_index=True)
    shown = rates.assign(
        run=rates["run"].map(short_labels(runs)), **{name: 100 * rates[name] for name in ("share", "low", "high")}
    )  # fmt: skip
    columns = {"faces": "test faces", "share": "wrong (%)", "low": "95 % from", "high": "to"}
    st.dataframe(shown, hide_index=True, height="content", column_config=titled(shown, columns, digits=2))
    st.caption(
        f"{_BY_GROUPS} Where no face is wrong: the exact binomial interval of as many groups. None where there are "
        f"fewer than {FEWEST_GROUPS} groups."
    )


@st.cache_data(show_spinner=False, max_entries=64)
def _rates(folder: str, datasets: list[str] | None, labels: list[str] | None, _run: Run) -> pd.DataFrame:
    """The bootstrap of one run; a run that is finished never changes."""
    return error_rates([_run], datasets, labels)


@st.cache_data(show_spinner="Comparing the runs", max_entries=16)
def _disagreements(
    calibrated: tuple[tuple[str, int], ...], datasets: list[str] | None, labels: list[str] | None, _runs: list[Run]
) -> tuple[int, pd.DataFrame, tuple[float, float]]:
    """How many faces were compared, those that differ, and the interval of their share."""
    common, found = disagreements(_runs, datasets, labels)
    return len(common), found, share_interval(common["differ"].to_numpy(bool), common["group"].to_numpy())


def _wrong_captions(names: Mapping[str, str], decisions: Mapping[str, Decision], rows: pd.DataFrame) -> list[str]:
    several = len(names) > 1
    return [
        f"**{LABEL_TITLES[row.label]}**, but probability of no mask {row.p_without_mask:.2f}"
        + (f" · {plain(names[row.run])}" if several else "")
        + decided(row.face_id, decisions)
        for row in rows.itertuples()
    ]


def _disagreement_captions(
    names: Mapping[str, str], decisions: Mapping[str, Decision], rows: pd.DataFrame
) -> list[str]:
    return [
        f"**{LABEL_TITLES[row['label']]}**; probability of no mask: "
        + ", ".join(f"{plain(name)} {row[key]:.2f}" for key, name in names.items())
        + decided(row["face_id"], decisions)
        for _, row in rows.iterrows()
    ]


def _show_table(
    table: pd.DataFrame,
    decisions: Mapping[str, Decision],
    names: Mapping[str, str],
    title: str,
    file: str,
    key: str,
) -> None:
    """All rows as a table and as CSV, with the decisions by hand."""
    whole = with_decisions(table, decisions)
    st.dataframe(
        whole.assign(label=whole["label"].map(LABEL_TITLES)), hide_index=True,
        height=260 if len(whole) > _ROWS else "content", column_config=titled(whole, column_titles(names)),
    )  # fmt: skip
    st.download_button(
        title, csv_bytes(whole), file, "text/csv", icon=":material/download:", on_click="ignore", key=key
    )
