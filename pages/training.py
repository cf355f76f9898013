"""Training: choose a model, launch it in the background, watch it."""

import streamlit as st

from maskdet.errors import WorkspaceError
from maskdet.models import MODELS
from maskdet.models.cnn import CnnOptions
from maskdet.split import SPLITS, Split, load_split
from maskdet.train import main_pool
from maskdet.workspace import Workspace
from ui.augmentation import arguments, chosen_options, chosen_seed, summary
from ui.cached import faces_of
from ui.jobs import show_jobs, start
from ui.session import current_workspace, show


def main() -> None:
    st.title("Training")
    workspace = current_workspace()
    try:
        split = load_split(workspace, faces_of(workspace))
    except WorkspaceError:
        st.info(
            "Models are trained on the faces that you apply, and nothing is applied yet, or the faces have changed "
            "since. Look at the filters on the Quality page, and press *Apply and split* there.",
            icon=":material/filter_alt:",
        )
        st.page_link("pages/quality.py", label="Filter and split", icon=":material/filter_alt:")
    else:
        choose_and_start(workspace, split)

    st.subheader("Trainings")
    st.caption("They go on when you leave this page, reload it or close the browser.")
    show_jobs(workspace, "train")


def choose_and_start(workspace: Workspace, split: Split) -> None:
    """Choose a model and its options, and start training it on a split."""
    table, apart = main_pool(faces_of(workspace), split)
    counts = table["split"].value_counts()
    st.caption(
        f"Data in force: {', '.join(f'{counts.get(name, 0):,} {name}' for name in SPLITS)} faces, fingerprint "
        f"`{split.fingerprint}`. Datasets with simulated masks are left out, as in the study."
        + (f" So are {len(apart):,} faces whose mask is worn incorrectly: a class of their own." if len(apart) else "")
    )
    st.page_link("pages/quality.py", label="Change the data", icon=":material/filter_alt:")

    choice, settings = st.columns([1, 2])
    name = choice.radio(
        "Model", list(MODELS), format_func=lambda key: MODELS[key].title,
        captions=["Learns its own features; has heatmaps. Minutes to hours.", "Components, then a grid search."],
    )  # fmt: skip
    command = ["train", name]
    with settings.container(horizontal=True):
        if name == "cnn":
            study = CnnOptions()
            epochs = st.number_input("Epochs", 1, 500, study.epochs, help=f"The study: {study.epochs}.", width=140)
            rate = st.number_input(
                "Learning rate",
                1e-6,
                1.0,
                study.learning_rate,
                format="%.6f",
                help="Adam. The study: 0.0001.",
                width=170,
            )
            command += ["--epochs", str(epochs), "--learning-rate", str(rate)]
        seed = st.number_input("Seed", 0, 2**31 - 1, chosen_seed(), width=140, help="Same seed, same result.")
        limit = st.number_input(
            "Training faces", 2, max(2, int(counts.get("train", 0))), max(2, int(counts.get("train", 0))), width=160,
            help="Fewer for a quick try; the run says so.",
        )  # fmt: skip
    command += ["--seed", str(seed)]
    if limit < counts.get("train", 0):
        command += ["--limit", str(limit)]
    if name == "cnn":
        with settings:
            command += _augmentation(seed)
    if st.button("Start training", type="primary", icon=":material/play_arrow:"):
        start(workspace, command)


def _augmentation(seed: int) -> list[str]:
    """Choose between the Augmentation page's settings and none; the shell's options for it."""
    options = chosen_options()
    augment = st.checkbox("Augment training faces, as set on the Augmentation page", value=options.plan != "none")
    if not augment:
        return ["--augmentation=none"]
    note = "" if seed == chosen_seed() else f" The previews there show seed {chosen_seed()}."
    st.caption(summary(options) + note)
    st.page_link("pages/augmentation.py", label="Change the augmentation", icon=":material/auto_fix_high:")
    return arguments(options)


show(main)
