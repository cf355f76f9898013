"""Where photos come from on the Explain page: dropped, pasted, taken with the webcam, or a sample."""

from typing import Any, Final

import streamlit as st

from maskdet.photos import PHOTO_SUFFIXES
from maskdet.sample_photos import SAMPLE_PHOTOS, sample_photo
from ui.explain_state import Upload, digest_of, memory

PRIVACY: Final = (
    "Photos stay in this session's memory: nothing is written to disk, no other visitor sees them, and all is gone a "
    "minute after you close or reload the page."
)
_GIVEN: Final = "explain_given"  # pasted photos and the sample, which no widget holds
_FOLDER: Final = "explain_folder"


def choose_photos() -> list[Upload]:
    """The photos of this visit; what is known of any others is forgotten."""
    drop, aside = st.columns([3, 2], gap="medium")
    with drop:
        files = _dropped()
    with aside:
        _show_samples()
        _take_pasted()
        files += _from_webcam()
    known = memory()
    uploads = [Upload(file.name, known.digest(file.file_id, file.getvalue()), file.getvalue()) for file in files]
    uploads = [*_given(), *uploads]
    known.keep_only((upload.digest for upload in uploads), (file.file_id for file in files))
    return uploads


def _dropped() -> list[Any]:
    folder = bool(st.session_state.get(_FOLDER, False))
    files = st.file_uploader(
        "Drop a folder of photos here" if folder else "Drop photos here, as many as you like",
        accept_multiple_files="directory" if folder else True,
        # Of a folder, what is no photo is left out; a file that somebody picks gets an answer, whatever it is.
        type=sorted(PHOTO_SUFFIXES) if folder else None,
        key=f"explain_files_{'folder' if folder else 'some'}",
        on_change=_forget_sample,
    )
    st.toggle("A whole folder", key=_FOLDER, help="All photos in the folder and below it are taken.")
    st.caption(f":material/lock: {PRIVACY}")
    return list(files)


def _show_samples() -> None:
    st.markdown("No photo at hand? **Try a sample:**")
    with st.container(horizontal=True, gap="small"):
        for name, sample in SAMPLE_PHOTOS.items():
            st.button(
                sample.title, key=f"explain_sample_{name}", on_click=_give_sample, args=(name,), help=sample.about
            )
        if _given():
            st.button("Remove", key="explain_forget", on_click=_forget_given, icon=":material/close:", type="tertiary",
                      help="Removes the sample and pasted photos.")  # fmt: skip
    st.caption("The drawn ones are synthetic; the portrait is of Eileen Collins, by NASA, in the public domain.")


def _from_webcam() -> list[Any]:
    if not st.toggle("Use the webcam", key="explain_webcam", help="A photo is sent once you take it, and only that."):
        return []
    taken = st.camera_input("Take a photo", key="explain_camera", label_visibility="collapsed")
    return [] if taken is None else [taken]


def _take_pasted() -> None:
    """Photos from the field to paste into, which holds them for one run only."""
    with st.container():  # so that the field stays here, and not at the foot of the window
        said: Any = st.chat_input("Paste a photo", accept_file="multiple", key="explain_paste")
    if said is None:
        return
    pasted = [Upload(file.name, digest_of(file.getvalue()), file.getvalue()) for file in said.files]
    if not pasted:
        st.toast("There is no photo in what you pasted.", icon=":material/content_paste_off:")
    st.session_state[_GIVEN] = [*pasted, *(one for one in _given() if not one.is_sample)]


def _given() -> list[Upload]:
    given: list[Upload] = st.session_state.get(_GIVEN, [])
    return given


def _give_sample(name: str) -> None:
    """The sample takes the place of the one before."""
    data = sample_photo(name)
    sample = Upload(f"{SAMPLE_PHOTOS[name].title} (sample)", digest_of(data), data, is_sample=True)
    st.session_state[_GIVEN] = [sample, *(one for one in _given() if not one.is_sample)]


def _forget_sample() -> None:
    """A visitor's own photos take the place of a sample."""
    st.session_state[_GIVEN] = [one for one in _given() if not one.is_sample]


def _forget_given() -> None:
    st.session_state[_GIVEN] = []
