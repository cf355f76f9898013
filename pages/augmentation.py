"""Augmentation: what training shows of each face, seen on the faces themselves, and how large that makes a set."""

from typing import Final

import streamlit as st

from maskdet.errors import WorkspaceError
from maskdet.facetable import Faces
from maskdet.split import Split, load_split
from maskdet.workspace import Workspace
from ui.augment_controls import choose_options
from ui.augment_previews import show_many, show_one, show_sizes
from ui.augmentation import keep
from ui.cached import faces_of
from ui.session import current_workspace, show

_SEEN: Final = {
    "on-the-fly": "A training with seed {seed} sees exactly these variants; by method, each change is shown alone.",
    "study": "A training with seed {seed} sees exactly these copies, but for methods and datasets that are left out.",
    "none": "Training sees each face as it is; these copies are what the methods would give.",
}


def main() -> None:
    st.title("Augmentation")
    workspace = current_workspace()
    st.markdown(
        "Training learns more from the same photos if it also sees them changed: mirrored, turned, brighter or darker, "
        "cut closer, or grainy. Here you choose the changes and see them on the faces themselves. "
        "Only training faces are ever changed; validation and test faces stay as they are."
    )
    faces = faces_of(workspace)
    split = _split_in_force(workspace, faces)
    table = faces.table if split is None else split.table[split.table["split"] == "train"]

    options, seed = choose_options(sorted(faces.table["dataset"].unique()))
    if options is None:
        st.warning("Turn on at least one method, or choose the plan None.", icon=":material/warning:")
        return
    keep(options, seed)
    st.page_link("pages/training.py", label="Train with these settings", icon=":material/model_training:")

    st.header("Previews")
    source = "training faces only" if split else "all faces, since there is no split yet"
    st.caption(f"{_SEEN[options.plan].format(seed=seed)} Shown: {source}.")
    if table.empty:
        st.info("The split has no training face; filter less strictly or give training a larger share.")
    else:
        dataset = st.selectbox("Dataset", ["all", *sorted(table["dataset"].unique())], width=220)
        chosen = table if dataset == "all" else table[table["dataset"] == dataset]
        st.markdown("### One face through all methods")
        show_one(workspace, faces, chosen, options, seed)
        st.markdown("### Many faces through one method")
        show_many(workspace, faces, chosen, options, seed, dataset)

    st.header("Set sizes")
    if split is None:
        st.info(
            "The sizes follow from the split, and none is in force for these faces: press *Apply and split* on the "
            "Quality page.",
            icon=":material/info:",
        )
        st.page_link("pages/quality.py", label="Filter and split", icon=":material/filter_alt:")
    else:
        show_sizes(split, options)


def _split_in_force(workspace: Workspace, faces: Faces) -> Split | None:
    """The split in force; none if nothing was applied yet, or the faces have changed since."""
    try:
        return load_split(workspace, faces)
    except WorkspaceError:
        return None


show(main)
