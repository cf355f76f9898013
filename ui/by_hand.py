"""The view of all decisions by hand: their effect, export and import, and the way back."""

from typing import Any, Final

import streamlit as st

from maskdet.decisions import DECISIONS, Decisions, counted, from_csv, is_label, load_decisions, to_csv
from maskdet.errors import MaskDetError
from maskdet.facetable import Faces
from maskdet.quality import Filtered, filter_titles
from maskdet.review import decision_effects
from maskdet.workspace import Workspace
from ui.cached import thumbnails
from ui.charts import LABEL_TITLES
from ui.decisions import DECISION_TITLES, change, history, undo
from ui.gallery import pager
from ui.text import plain, sentence

_UPLOADS: Final = "decisions_uploads"
_PAGE: Final = 8


def show_by_hand(workspace: Workspace, faces: Faces, filtered: Filtered) -> None:
    """The decisions with their effect; export, import, undo and clear."""
    st.markdown(
        "Click a face in any gallery to open it large, then **Keep** or **Drop** it, or say what its label is. A face "
        "kept by hand passes every filter, a dropped one is removed, and the filters judge a relabelled one by its new "
        "label. Decisions stay with this workspace, also after another scan. The view *Suspected label errors* on the "
        "Results page shows faces whose label is probably wrong."
    )
    decisions = load_decisions(workspace)
    _show_actions(workspace, faces, decisions)
    if not decisions:
        st.info("Nothing is decided by hand yet.", icon=":material/touch_app:")
        return
    effects, changed = decision_effects(faces, filtered)
    away = int((~effects["known"]).sum())
    st.markdown(
        f"**By hand: {counted(decisions)}.** Without these decisions, the filters would decide otherwise on "
        f"{_faces(changed)}, counting copies."
    )
    if away:
        st.caption(f"{_faces(away)} of these are in no dataset that was scanned here; the decisions wait for them.")
    published = faces.table.set_index("face_id")["label"]
    shown = effects.iloc[pager("by_hand_page", len(effects), _PAGE)]
    table = faces.table.set_index("face_id").loc[shown.loc[shown["known"], "face_id"]]
    images = dict(zip(table.index, thumbnails(workspace, table), strict=True))
    for row in shown.itertuples():
        with st.container(horizontal=True, vertical_alignment="center", border=True, key=f"by_hand_{row.Index}"):
            if row.known:
                st.image(images[row.face_id], width=72, alt=row.face_id)
            with st.container(width="stretch", gap=None):
                words = effect(row, published.get(row.face_id, ""))
                st.markdown(f"**{DECISION_TITLES[row.decision].capitalize()}** · {words}")
                st.caption(plain(row.face_id))
            if st.button("Take back", key=f"take_back_{row.Index}", icon=":material/undo:"):
                change(workspace, {row.face_id: None})
                st.rerun()


def effect(row: Any, published: str) -> str:
    """What a decision does to its face, in words.

    Parameters
    ----------
    row
        Of `maskdet.review.decision_effects`.
    published : str
        The publisher's label of the face, "" where it is not known.
    """
    without, now = row.without, row.now
    if not row.known:
        return "not in this workspace now"
    if row.decision == "confirm":
        return "the filters decide as before: " + _fate(now)
    if is_label(row.decision):
        if row.decision == published:
            return "no effect, since the publisher says so too"
        return f"the publisher says {LABEL_TITLES[published].lower()}; {_fate(now)}"
    if now and now != "by_hand":
        return f"no effect, since another rule removes it: “{filter_titles()[now]}”"
    if bool(without) == bool(now):
        return "no effect now: " + ("the filters remove it too" if now else "the filters keep it too")
    return f"the filters would remove it: “{filter_titles()[without]}”" if without else "the filters would keep it"


def _fate(removed_by: str) -> str:
    return f"it is removed as “{filter_titles()[removed_by]}”" if removed_by else "it stays"


def _show_actions(workspace: Workspace, faces: Faces, decisions: Decisions) -> None:
    with st.container(horizontal=True):
        nothing = not history(workspace)
        if st.button("Undo the last step", disabled=nothing, icon=":material/undo:", key="decisions_undo"):
            undo(workspace)
            st.rerun()
        st.download_button(
            "Export (CSV)", to_csv(decisions).encode(), "decisions.csv", "text/csv", icon=":material/download:",
            disabled=not decisions, on_click="ignore", key="decisions_export",
        )  # fmt: skip
        with st.popover("Import (CSV)", icon=":material/upload:"):
            _show_import(workspace, faces, decisions)
        with st.popover("Clear all", icon=":material/delete:", disabled=not decisions):
            st.markdown(f"Take all {len(decisions):,} decisions back? *Undo the last step* brings them again.")
            if st.button("Clear all decisions", type="primary", key="decisions_clear"):
                change(workspace, dict.fromkeys(decisions))
                st.rerun()


def _show_import(workspace: Workspace, faces: Faces, decisions: Decisions) -> None:
    round_ = st.session_state.setdefault(_UPLOADS, 0)  # a new uploader, empty again, after each import
    file = st.file_uploader(
        f"Columns face_id and decision ({', '.join(DECISIONS)})", "csv", key=f"decisions_file_{round_}"
    )
    if file is None:
        return
    try:
        added = from_csv(file.getvalue())
    except MaskDetError as error:
        st.error(sentence(error), icon=":material/error:")
        return
    unknown = len(set(added) - set(faces.table["face_id"]))
    other = sum(face_id in decisions and decisions[face_id] != decision for face_id, decision in added.items())
    st.markdown(
        f"{len(added):,} decisions: {sum(face_id not in decisions for face_id in added):,} new, {other:,} replace "
        f"another one, {unknown:,} on faces that are not in this workspace (kept for when they are)."
    )
    if st.button("Add them", type="primary", key="decisions_import", disabled=not added):
        change(workspace, added)
        st.session_state[_UPLOADS] += 1
        st.rerun()


def _faces(count: int) -> str:
    return "1 face" if count == 1 else f"{count:,} faces"
