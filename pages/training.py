"""Training: choose a model, launch it in the background, watch it."""

import streamlit as st

from maskdet.models import MODELS
from maskdet.models.cnn import CnnOptions
from maskdet.split import SPLITS, load_split, pool_table
from ui.augmentation import arguments, chosen_options, chosen_seed, summary
from ui.cached import faces_of
from ui.jobs import show_jobs, start
from ui.session import current_workspace, show


def main() -> None:
    st.title("Training")
    workspace = current_workspace()
    split = load_split(workspace, faces_of(workspace))
    table = pool_table(split, "main")
    counts = table["split"].value_counts()
    st.caption(
        f"Data in force: {', '.join(f'{counts.get(name, 0):,} {name}' for name in SPLITS)} faces, fingerprint "
        f"`{split.fingerprint}`. Datasets with simulated masks are left out, as in the study."
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

    st.subheader("Trainings")
    st.caption("They go on when you leave this page, reload it or close the browser.")
    show_jobs(workspace, "train")


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
