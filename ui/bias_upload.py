"""An analyst's own attributes of the faces, as a CSV: kept for the visit."""

from functools import partial
from typing import Final

import pandas as pd
import streamlit as st

from maskdet.bias.uploaded import UploadedAttributes, forget_uploaded, keep_uploaded, kept_uploaded, read_attribute_csv
from maskdet.errors import MaskDetError
from ui.bias_data import UPLOADED, Lab
from ui.cached import csv_bytes
from ui.public import require_private
from ui.text import plain, sentence

_TAKEN: Final = "bias_upload_taken"
_LISTED: Final = 200


def choose_upload(lab: Lab) -> None:
    """A popover to bring a CSV of attributes, to look at what of it is unknown, and to forget it again."""
    known: UploadedAttributes | None = st.session_state.get(UPLOADED)
    title = "Your attributes" if known is None else f"Your attributes ({len(known.table.columns) - 1})"
    with st.popover(title, icon=":material/upload_file:", width="content"):
        st.markdown(
            "A CSV with a row a face or photo, and a column an attribute: text makes a group a value, numbers are put "
            "into bins. The column `face_id`, `file`, `photo` or `path` says whose row it is. It stays for this visit; "
            "*Keep it* keeps it in the workspace, where trainings can be balanced by it."
        )
        st.download_button(
            "Template (CSV)", partial(_template, lab), "attributes.csv", "text/csv", icon=":material/download:",
            on_click="ignore", key="bias_template",
        )  # fmt: skip
        file = st.file_uploader("CSV of attributes", type=["csv", "txt", "tsv"], key="bias_upload")
        if file is not None and file.file_id != st.session_state.get(_TAKEN):
            _take(lab, file.getvalue(), file.file_id)
        if known is not None:
            _show_known(lab, known)
        _show_kept(lab)


def _take(lab: Lab, data: bytes, file_id: str) -> None:
    ids = list(dict.fromkeys(face for run in lab.pair for face in run.predictions["face_id"]))
    try:
        uploaded = read_attribute_csv(data, ids)
    except MaskDetError as error:
        st.error(sentence(error))
        return
    st.session_state[_TAKEN] = file_id
    st.session_state[UPLOADED] = uploaded
    st.rerun()


def _show_known(lab: Lab, known: UploadedAttributes) -> None:
    names = ", ".join(plain(name) for name in known.table.columns.drop("face_id"))
    if len(known.table):
        st.success(f"{len(known.table):,} faces have {names}.", icon=":material/check:")
    else:
        st.warning("The CSV names none of the faces of the run in focus.", icon=":material/warning:")
    for title, ids in (("Unknown", known.unknown), ("Belong to several photos", known.ambiguous)):
        if ids:
            st.warning(f"{title}: {len(ids):,} of the names in the CSV.", icon=":material/help:")
            st.dataframe(pd.DataFrame({"name": ids[:_LISTED]}), hide_index=True, height=140)
            if len(ids) > _LISTED:
                st.caption(f"The first {_LISTED} of {len(ids):,}.")
    with st.container(horizontal=True):
        if len(known.table) and st.button("Keep it", icon=":material/save:", key="bias_keep"):
            require_private()
            keep_uploaded(lab.workspace, lab.fingerprint, known)
            st.session_state.pop(UPLOADED)
            st.rerun()
        if st.button("Forget them", icon=":material/delete:", key="bias_forget"):
            st.session_state.pop(UPLOADED)
            st.rerun()


def _show_kept(lab: Lab) -> None:
    """What is kept in the workspace, and how to be rid of it."""
    kept = kept_uploaded(lab.workspace, lab.fingerprint) if lab.fingerprint else None
    if kept is None:
        return
    st.caption(f"Kept in the workspace: {', '.join(map(plain, kept.columns.drop('face_id')))}.")
    if st.button("Forget what is kept", icon=":material/delete:", key="bias_forget_kept"):
        require_private()
        forget_uploaded(lab.workspace, lab.fingerprint)
        st.rerun()


def _template(lab: Lab) -> bytes:
    """The ids of the test faces of the run in focus, with an empty column to fill."""
    test = lab.focus.predictions if lab.focus is not None else pd.DataFrame({"face_id": [], "split": []})
    ids = test.loc[test["split"] == "test", "face_id"]
    return csv_bytes(pd.DataFrame({"face_id": ids, "my_attribute": ""}))
