"""Home: what this is, what is loaded, three ways in, and what the other pages are for."""

from collections.abc import Sequence
from typing import Final

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from maskdet.compare import SHORT_NAMES, best_run
from maskdet.facetable import has_faces
from maskdet.reports import with_interval
from maskdet.runs import Run, list_runs
from maskdet.workspace import Workspace
from ui.cached import faces_of
from ui.public import is_public
from ui.quality_data import fingerprint_in_force
from ui.session import show, shows_sample, workspace_in_sight
from ui.text import counted

WAYS: Final = (
    ("pages/datasets.py", ":material/photo_library:", "Browse data",
     "What is in the photos: sizes, shapes, colours, balance, and the faces behind each point."),
    ("pages/explain.py", ":material/face:", "Upload a photo",
     "A verdict on every face, how sure it is, where the model looked, and when not to believe it."),
    ("pages/results.py", ":material/monitoring:", "See results",
     "How often each model is right, on which faces it errs, and how sure that figure is."),
)  # fmt: skip
STEPS: Final = (
    ("pages/datasets.py", ":material/add_photo_alternate:", "Scan a dataset of your own",
     "A folder on this computer, or a download from Kaggle."),
    ("pages/quality.py", ":material/filter_alt:", "Filter and split",
     "Duplicates, distorted and dark faces out; related faces never on both sides of the split."),
    ("pages/augmentation.py", ":material/auto_fix_high:", "Choose an augmentation",
     "What training shows of each face, seen on the faces."),
    ("pages/training.py", ":material/model_training:", "Train a model",
     "In the background; it goes on when you close the browser."),
    ("pages/bias.py", ":material/balance:", "Question the score",
     "Can it be believed, and for whom: shortcuts in the photos, groups that a model fails."),
)  # fmt: skip

_STEP_WIDTH: Final = 260


def main() -> None:
    st.title("MaskDet")
    st.markdown(
        "Does this face wear a mask? MaskDet rebuilds a 2021 study that asked four models, lets you do it again "
        "**on your own photos**, and shows what you need to decide **whether to believe the answer**."
    )
    for column, (page, icon, title, text) in zip(st.columns(3), WAYS, strict=True):
        with column.container(border=True, height="stretch"):
            st.page_link(page, label=f"**{title}**", icon=icon)
            st.write(text)

    st.header("What is loaded")
    show_loaded()

    if is_public():  # which changes the server, so that it is not for strangers
        return
    st.header("Do it again yourself")
    for page, icon, title, text in STEPS:
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.page_link(page, label=title, icon=icon, width=_STEP_WIDTH)
            st.caption(text, width="content")


def show_loaded() -> None:
    """How many faces and models there are, and the best figure with what it rests on."""
    workspace = workspace_in_sight()
    runs = list_runs(workspace)
    faces, models, best = st.columns(3)
    if has_faces(workspace):
        loaded = faces_of(workspace)
        name = "Synthetic sample faces" if shows_sample() else "Faces"
        _metric(faces, name, f"{len(loaded.table):,}", f"from {counted(len(loaded.roots), 'dataset')}")
    else:
        until = "" if is_public() else " until you scan a dataset"
        _metric(faces, "Faces", "none yet", f"the pages show synthetic ones{until}")
    bundled = sum(run.is_bundled for run in runs)
    _metric(models, "Trained models", str(len(runs)), f"{bundled} bundled, {len(runs) - bundled} of yours")
    top, of = _best(workspace, runs)
    if top is not None:
        _metric(
            best, f"Best macro F1: {SHORT_NAMES.get(top.model_name, top.model_name)}", f"{top.metrics['macro_f1']:.3f}",
            _rests_on(top),
            "Macro F1 is the mean of both labels' F1, the balance of precision and recall: 1 is without any error. "
            f"Here it is on the test faces {of}, of the run that is best on validation faces. In brackets: its 95 % "
            "interval.",
        )  # fmt: skip


def _best(workspace: Workspace, runs: Sequence[Run]) -> tuple[Run | None, str]:
    """The best run on the data in force here, or else on the bundled study's, and which of them that is."""
    bundled = next((run.fingerprint for run in runs if run.is_bundled and run.pool == "main"), "")
    force = fingerprint_in_force(workspace) if has_faces(workspace) else ""
    if force != bundled and (top := best_run(runs, force)) is not None:
        return top, "of the data in force"
    return best_run(runs, bundled), "of the bundled study"


def _rests_on(run: Run) -> str:
    interval = run.metrics["intervals"].get("macro_f1")
    figure = with_interval(run.metrics["macro_f1"], *(interval or (None, None)))
    between = figure.partition(" ")[2] or "too few for an interval"
    return f"{between}, {run.metrics['faces']:,} test faces"


def _metric(place: DeltaGenerator, title: str, value: str, note: str, about: str | None = None) -> None:
    place.metric(title, value, note, delta_color="off", delta_arrow="off", border=True, help=about, height="stretch")


show(main)
