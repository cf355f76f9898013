"""Add a dataset, from a folder or from Kaggle, or forget one."""

from collections.abc import Mapping
from pathlib import Path

import streamlit as st

from maskdet.catalog import Dataset
from maskdet.dataset_folders import check_folder
from maskdet.download import page_of, parse_handle
from maskdet.errors import MaskDetError
from maskdet.facetable import Faces, forget, has_faces
from maskdet.jobs import list_jobs
from maskdet.workspace import typed_path
from ui.cached import faces_of
from ui.jobs import show_jobs, start
from ui.public import NOTE, is_public, require_private
from ui.session import home_workspace
from ui.text import code, plain, sentence

_JOBS = ("scan", "download")


def show_sources(catalog: Mapping[str, Dataset]) -> None:
    """Ways to change what is loaded, with the progress of what was started."""
    if is_public():
        st.info(NOTE, icon=":material/lock:")
        return
    workspace = home_workspace()
    own = faces_of(workspace) if has_faces(workspace) else None
    running = any(job.state == "running" and job.command[0] in _JOBS for job in list_jobs(workspace))
    with st.expander("Add or forget a dataset", icon=":material/database:", expanded=own is None or running):
        titles = ["From a folder", "From Kaggle"] + (["Forget"] if own else [])
        tabs = st.tabs(titles)
        with tabs[0]:
            _from_folder()
        with tabs[1]:
            _from_kaggle(catalog, own)
        if own:
            with tabs[2]:
                _forget(own)
        for kind in _JOBS:
            show_jobs(workspace, kind, count=2)


def _from_folder() -> None:
    st.markdown(
        "Name a folder on the computer that runs MaskDet. It holds one dataset or several: class folders such as "
        "`with_mask/` and `without_mask/` (also inside `Train/`, `Validation/`, `Test/`), PASCAL VOC (`images/` and "
        "XML), or boxes in JSON or CSV. Photos are read, never changed. Scanning a folder again measures only what is "
        "new."
    )
    with st.form("scan", border=False):
        path = st.text_input("Folder", placeholder="/home/me/datasets", max_chars=1000)
        name = st.text_input(
            "Name, if all of it is one dataset", placeholder="by default, each folder's own name", max_chars=100
        ).strip()
        if st.form_submit_button("Scan", icon=":material/search:", type="primary"):
            try:
                called = ["--as", name] if name else []
                start(home_workspace(), ["scan", *called, "--", str(folder_named(path))])
            except MaskDetError as error:
                st.error(sentence(error))


def _from_kaggle(catalog: Mapping[str, Dataset], own: Faces | None) -> None:
    st.markdown(
        "Photos are loaded through `kagglehub` into its own cache and scanned from there. Whether you may use them, "
        "and for what, is for their publisher to say: see the licence on each page."
    )
    for dataset in catalog.values():
        if dataset.kaggle:
            _offer(dataset, own)
    with st.form("download", border=False):
        handle = st.text_input("Another public dataset", placeholder="owner/name, or its page on Kaggle", max_chars=300)
        if st.form_submit_button("Download", icon=":material/cloud_download:"):
            _start_download(handle)


def _offer(dataset: Dataset, own: Faces | None) -> None:
    here = own.roots.get(dataset.id) if own else None
    size = f" · {dataset.study.photos:,} photos" if dataset.study else ""
    loaded = " · :green[loaded]" if here else ""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(
            f"**{plain(dataset.id)}** [{plain(dataset.name)}]({dataset.source}){size} · "
            f"licence: {plain(dataset.licence)}{loaded}",
            width="stretch",
        )
        if st.button(
            "Download", key=f"download_{dataset.id}", icon=":material/cloud_download:",
            help=f"Takes the place of what {code(here)} holds; that folder is not touched." if here else None,
        ):  # fmt: skip
            _start_download(dataset.kaggle)


def _start_download(text: str) -> None:
    try:
        handle = parse_handle(text)
        start(home_workspace(), ["download", handle])
    except MaskDetError as error:
        st.error(sentence(error))
    else:
        st.caption(f"{page_of(handle)} states its licence.")


def _forget(own: Faces) -> None:
    dataset = st.selectbox("Dataset to forget", sorted(own.roots), width=300)
    folder = own.roots[dataset]
    st.markdown(
        f"Its faces leave MaskDet's table; the photos in {code(folder)} are not touched. The way back: scan that "
        "folder again."
    )
    sure = st.checkbox(f"Yes, forget {plain(dataset)}", key=f"forget_sure_{dataset}")
    if st.button("Forget", icon=":material/delete:", disabled=not sure):
        try:
            require_private()
            with st.spinner(f"Forgetting {plain(dataset)}"):
                forget(home_workspace(), dataset)
        except MaskDetError as error:
            st.error(sentence(error))
        else:
            st.toast(
                f"{plain(dataset)} is forgotten; its photos are still in {code(folder)}.", icon=":material/delete:"
            )
            st.rerun()


def folder_named(text: str) -> Path:
    """The folder that a person typed, quotes and all. Raises MaskDetError if there is none, or strangers visit."""
    require_private()
    text = text.strip().strip("\"'")
    if not text:
        raise MaskDetError("Name a folder first.")
    folder = typed_path(text)
    check_folder(folder)
    return folder.absolute()
