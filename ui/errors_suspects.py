"""The view of suspected label errors: look at one after the other, and confirm, relabel or drop it."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

import pandas as pd
import streamlit as st

from maskdet.crossval import OUT_OF_SAMPLE_FILE, OUT_OF_SAMPLE_RECORD
from maskdet.decisions import Decision, Decisions, confirmation, label_decision, load_decisions, with_decisions
from maskdet.errors import MaskDetError
from maskdet.facetable import has_faces
from maskdet.mistakes import matching
from maskdet.reliability import RELIABILITY_FILE
from maskdet.runs import Run
from maskdet.split import SPLITS
from maskdet.suspects import OWN_SOURCE, Suspects, best_run, find_suspects, is_open
from maskdet.workspace import Workspace
from ui.cached import csv_bytes, faces_of, runs_of, stamp
from ui.charts import LABEL_TITLES
from ui.decisions import history, on_change, on_undo
from ui.errors_faces import choose_faces, choose_runs, column_titles, here, show_gallery_of
from ui.errors_wrong import decided
from ui.filters import several
from ui.results_data import is_whole
from ui.tables import titled
from ui.text import counted, percent, plain, sentence

_SPLIT_TITLES: Final = {"train": "Training", "validation": "Validation", "test": "Test"}
#: What may come into a run's folder later, and says other things of its faces.
_LATER: Final = (OUT_OF_SAMPLE_FILE, OUT_OF_SAMPLE_RECORD, RELIABILITY_FILE)
_CARD: Final = 168
_OPEN: Final = "To look at"
_DONE: Final = "Looked at"
#: What can be done with faces, by key: title, icon, and the decision on a row.
_ACTIONS: Final[dict[str, tuple[str, str, Callable[[str, "pd.Series[str]"], Decision]]]] = {
    "right": ("Label is right", ":material/verified:", lambda published, row: confirmation(published, row["label"])),
    "relabel": ("Relabel", ":material/swap_horiz:", lambda published, row: label_decision(published, row["suggested"])),
    "drop": ("Drop", ":material/cancel:", lambda published, row: "drop"),
}  # fmt: skip


def show_suspects(workspace: Workspace) -> None:
    """Labels that are probably wrong, by confident learning with any run, to be decided on by hand."""
    runs = [run for run in runs_of(workspace) if is_whole(run) and (run.folder / "predictions.parquet").is_file()]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = choose_runs(runs, "errors_suspects_runs", lambda: [_best(workspace, runs)])
        datasets, labels = choose_faces(chosen)
        splits = several("Split", "errors_splits", SPLITS, _SPLIT_TITLES, width=190) or None
    try:
        found = _suspects_of(chosen)
    except MaskDetError as error:
        st.info(sentence(error), icon=":material/search_off:")
        return
    table, counts = (
        rows[matching(rows, datasets, labels) & (rows["split"].isin(splits) if splits else True)]
        for rows in (found.table, found.counts)
    )
    decisions = load_decisions(workspace)
    _show_counts(found, len(table), int(counts["faces"].sum()))
    if table.empty:
        st.info("No label of these looks wrong.", icon=":material/check_circle:")
        return
    waits = is_open(table, decisions)
    done = len(table) - int(waits.sum())
    st.progress(done / len(table), f"**{done:,} of {len(table):,}** looked at")
    filters = (found.sources, datasets, labels, splits)
    which = _show_bar(workspace, done, len(table) - done)
    if which == _OPEN:
        _show_open(workspace, table[waits], filters)
    else:
        _show_done(workspace, table[~waits], decisions, filters)
    _show_table(table, decisions, found.predicted_by)


def _best(workspace: Workspace, runs: list[Run]) -> Run:
    return best_run(runs, faces_of(workspace).table["face_id"] if has_faces(workspace) else ())


def _suspects_of(runs: list[Run]) -> Suspects:
    return _found(tuple((str(run.folder), *(stamp(run.folder / name) for name in _LATER)) for run in runs), runs)


@st.cache_data(show_spinner="Looking for labels that are probably wrong", max_entries=8)
def _found(key: tuple[tuple[str | int, ...], ...], _runs: list[Run]) -> Suspects:
    """A run never changes, except that `_LATER` may be added."""
    return find_suspects(_runs)


def _show_counts(found: Suspects, suspects: int, faces: int) -> None:
    share = f" ({percent(suspects / faces, 2)})" if faces else ""
    st.markdown(
        f"**{counted(suspects, 'suspect')}** among {counted(faces, 'face')} examined{share}.",
        help="Confident learning (Northcutt et al. 2021, by cleanlab): faces that the model is sure of, but calls "
        "otherwise than their label, as many as labels seem to be wrong. A list to look at: some of these are the "
        "model's own errors. So the share is no estimate of wrong labels, and has no interval.",
    )
    parts = [f"{plain(name)} ({plain(source)})" for name, source in found.sources.items()]
    mean = "the mean of " if len(parts) > 1 else ""
    left_out = OWN_SOURCE in found.sources.values()
    st.caption(
        f"Probabilities are out of sample: {mean}{', '.join(parts)}. "
        + ("Training faces are left out, since a model may know their labels by heart. " if left_out else "")
        + "Choose the splits training and validation, or judge **test faces** by the photo alone: to correct a test "
        "label because a model disagrees with it makes test figures look better than they are."
    )


def _show_bar(workspace: Workspace, done: int, waiting: int) -> str:
    counts = {_OPEN: waiting, _DONE: done}
    with st.container(horizontal=True, vertical_alignment="center"):
        which = st.segmented_control(
            "Suspects", list(counts), default=_OPEN, required=True, key="suspects_which", persist_state="session",
            format_func=lambda name: f"{name} ({counts[name]:,})", label_visibility="collapsed",
        )  # fmt: skip
        st.button(
            "Undo the last step", on_click=on_undo, args=(workspace,), disabled=not history(workspace),
            icon=":material/undo:", key="suspects_undo",
        )  # fmt: skip
    return str(which)


def _show_open(workspace: Workspace, table: pd.DataFrame, filters: object) -> None:
    if table.empty:
        st.success("All of these are looked at.", icon=":material/done_all:")
        return
    published = (
        faces_of(workspace).table.set_index("face_id")["label"] if here(workspace, table["face_id"]).any() else {}
    )
    show_gallery_of(
        workspace, table, _captions, "suspects", filters, width=_CARD,
        above=lambda rows: _show_bulk(workspace, rows, published),
        below=lambda rows, number: _show_actions(workspace, rows.iloc[number], published),
    )  # fmt: skip


def _show_bulk(workspace: Workspace, rows: pd.DataFrame, published: Mapping[str, str]) -> None:
    """Decide on all faces that are selected on this page at once."""
    selected = rows[[bool(st.session_state.get(_key(face_id))) for face_id in rows["face_id"]]]
    with st.container(horizontal=True, vertical_alignment="center", key="suspects_bulk"):
        all_chosen = len(selected) == len(rows)
        st.button(
            "Select none" if all_chosen else "Select all on this page", on_click=_select,
            args=(rows["face_id"].tolist(), not all_chosen), key="suspects_select",
            icon=":material/check_box_outline_blank:" if all_chosen else ":material/select_check_box:",
        )  # fmt: skip
        for key, (title, icon, decide) in _ACTIONS.items():
            changes = {row["face_id"]: decide(published[row["face_id"]], row) for _, row in selected.iterrows()}
            words = f"{title} as suggested" if key == "relabel" else title
            st.button(
                f"{words} ({len(selected)})" if changes else words, on_click=on_change, args=(workspace, changes),
                disabled=not changes, icon=icon, key=f"suspects_all_{key}",
            )  # fmt: skip


def _show_actions(workspace: Workspace, row: "pd.Series[str]", published: Mapping[str, str]) -> None:
    """The buttons below a face."""
    face_id = row["face_id"]
    st.checkbox("Select", key=_key(face_id))
    for key, (title, icon, decide) in _ACTIONS.items():
        words = f"It is {LABEL_TITLES[row['suggested']].lower()}" if key == "relabel" else title
        st.button(
            words, on_click=on_change, args=(workspace, {face_id: decide(published[face_id], row)}), icon=icon,
            key=f"suspect_{key}_{face_id}", width="stretch",
        )  # fmt: skip


def _show_done(workspace: Workspace, table: pd.DataFrame, decisions: Decisions, filters: object) -> None:
    if table.empty:
        st.info("None of these is looked at yet.", icon=":material/touch_app:")
        return

    def take_back(rows: pd.DataFrame, number: int) -> None:
        face_id = rows["face_id"].iloc[number]
        st.button(
            "Take back", on_click=on_change, args=(workspace, {face_id: None}), icon=":material/undo:",
            key=f"suspect_back_{face_id}", width="stretch",
        )  # fmt: skip

    captions = partial(_captions, decisions=decisions)
    show_gallery_of(workspace, table, captions, "suspects_done", filters, width=_CARD, below=take_back)


def _show_table(table: pd.DataFrame, decisions: Decisions, predicted_by: str) -> None:
    whole = with_decisions(table, decisions)
    with st.expander(f"All {counted(len(table), 'suspect')} as a table"):
        titles = {name: whole[name].map(LABEL_TITLES) for name in ("label", "suggested")}
        st.dataframe(
            whole.assign(**titles), hide_index=True, height=260, column_config=titled(whole, column_titles({}))
        )
    st.download_button(
        "Suspects (CSV)", csv_bytes(whole.assign(predicted_by=predicted_by)), "suspected-label-errors.csv", "text/csv",
        icon=":material/download:", on_click="ignore", key="suspects_csv",
    )  # fmt: skip


def _captions(rows: pd.DataFrame, decisions: Mapping[str, Decision] | None = None) -> list[str]:
    return [
        f"**{LABEL_TITLES[row.label]}**, but probability of no mask {row.p_without_mask:.2f} · {plain(row.dataset)}"
        + (" · **test face**" if row.split == "test" else "")
        + decided(row.face_id, decisions or {})
        for row in rows.itertuples()
    ]


def _select(face_ids: list[str], chosen: bool) -> None:
    for face_id in face_ids:
        st.session_state[_key(face_id)] = chosen


def _key(face_id: str) -> str:
    return f"suspect_chosen_{face_id}"
