"""What all visitors of the Explain page share: the detector, judges, and explainers, all of which are only read.

Verdicts come without TensorFlow. Heatmaps need it, so that explainers are made on a thread behind the page, which
starts once the browser has painted it, and never before.
"""

from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final

import numpy as np
import streamlit as st

from maskdet.detection import FaceDetector
from maskdet.labels import CLASSES
from maskdet.models import MODELS
from maskdet.photos import FACE_SIZE
from maskdet.predict import Judge, open_judge
from maskdet.runs import open_run
from ui.session import show

if TYPE_CHECKING:
    from maskdet.attribution import Explainer

#: Explainers that are kept: each holds a network.
_MOST_EXPLAINERS: Final = 6
_PAINTED: Final = "explain_painted"

_lock = Lock()
_made: OrderedDict[Path, "Future[Explainer]"] = OrderedDict()
_pool = ThreadPoolExecutor(1, thread_name_prefix="explainer")


@st.cache_resource(show_spinner=False)
def detector() -> FaceDetector:
    """The face detector."""
    return FaceDetector()


@st.cache_resource(show_spinner="Opening the model", max_entries=8)
def judge_of(folder: Path) -> Judge:
    """A run, ready for verdicts. Raises RunError if it is damaged."""
    return open_judge(open_run(folder))


def explainer_of(folder: Path) -> "Explainer":
    """A run's explainer, for which is waited, some seconds the first time. Raises RunError if the run is damaged."""
    future = _future(folder)
    if future.done():
        return future.result()
    with st.spinner("Loading the model for heatmaps"):
        return future.result()


def ready_explainer(folder: Path) -> "Explainer | None":
    """A run's explainer, or None while it is being made. Raises RunError if the run is damaged."""
    future = _made.get(folder)
    return future.result() if future is not None and future.done() else None


def warm_up(folder: Path) -> None:
    """Call at the end of a page: see that a run's explainer is made, and show the page again once it is."""
    future = _made.get(folder)
    if future is None or not future.done():
        _wait(folder)
    elif _PAINTED not in st.session_state and future.exception() is not None:
        _made.pop(folder, None)  # on a new visit, what failed is tried again
        _wait(folder)


@st.fragment(run_every=1.0)
def _wait(folder: Path) -> None:
    show(partial(_wait_for, folder))


def _wait_for(folder: Path) -> None:
    if _PAINTED not in st.session_state:  # in the first run of the page: the browser has nothing of it yet
        st.session_state[_PAINTED] = True
    elif _future(folder).done():
        st.rerun()


def _future(folder: Path) -> "Future[Explainer]":
    """What becomes the explainer."""
    with _lock:
        future = _made.get(folder) or _made.setdefault(folder, _pool.submit(_make, folder))
        _made.move_to_end(folder)
        while len(_made) > _MOST_EXPLAINERS:
            _made.popitem(last=False)
        return future


def _make(folder: Path) -> "Explainer":
    from maskdet.attribution import Explainer
    from maskdet.quiet import import_tensorflow

    run = open_run(folder)
    judge = open_judge(run)
    if MODELS[run.model_name].needs_tensorflow:
        import_tensorflow()
        _keep_keras_state()
    explainer = Explainer(run.load_model(), logits=judge.logits)
    blank = np.zeros((FACE_SIZE, FACE_SIZE, 3), np.uint8)
    explainer.heatmap(explainer.methods[0], blank, CLASSES[0])  # which compiles it
    return explainer


def _keep_keras_state() -> None:
    """Keep Streamlit from clearing Keras' state after every run of a page, as it does.

    That counts layers anew from nothing, so that a network which is being built on another thread gets two layers of
    one name, and collects garbage for some tenths of a second. Nothing here depends on a cleared state.
    """
    import keras

    keras.backend.clear_session = lambda free_memory=True: None
