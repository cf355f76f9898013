"""What the Augmentation page shows: faces beside their copies, and the sizes of the sets."""

from typing import Final

import numpy as np
import pandas as pd
import streamlit as st

from maskdet.augment import METHODS, AugmentOptions, Copy, draw_copy, set_sizes
from maskdet.facetable import Faces
from maskdet.images import stored_images
from maskdet.photos import FACE_SIZE, RgbImage
from maskdet.split import Split, split_table
from maskdet.workspace import Workspace
from ui.augment_charts import set_size_bars
from ui.augmentation import METHOD_TITLES
from ui.charts import LABEL_TITLES, NO_BAR
from ui.gallery import pager, show_images
from ui.tables import titled
from ui.text import code, plain

_SHOWN: Final = 6
_POOL_TITLES: Final = {"main": "Training set", "pre-training": "Pre-training set"}
_SIZE_COLUMNS: Final = {
    "faces": "training faces", "original": "as they are, an epoch", "augmented": "augmented an epoch",
    "total": "total an epoch",
}  # fmt: skip
_STUDY_SIZES: Final = {
    "main": "Compare with the study's Figure 12.",
    "pre-training": "The study's Figure 11: 12,000 original and 60,000 augmented faces, 72,000 in all.",
}


def show_one(workspace: Workspace, faces: Faces, table: pd.DataFrame, options: AugmentOptions, seed: int) -> None:
    """One face through all methods, and as the next epochs show it."""
    ids = table["face_id"].tolist()
    at = ids.index(st.session_state["augment_face"]) if st.session_state.get("augment_face") in ids else 0

    def step_to(position: int) -> None:
        st.session_state["augment_face"] = ids[position % len(ids)]

    with st.container(horizontal=True, vertical_alignment="center"):
        st.button("Previous face", icon=":material/chevron_left:", on_click=step_to, args=(at - 1,))
        st.button("Next face", icon=":material/chevron_right:", on_click=step_to, args=(at + 1,))
        other = int(np.random.default_rng().integers(len(ids)))
        st.button("Shuffle", icon=":material/shuffle:", on_click=step_to, args=(other,))
        st.caption(f"Face {at + 1:,} of {len(ids):,}: {code(ids[at])}")
    image = stored_images(workspace, faces, pd.Series([ids[at]], dtype="str")).take([0])[0]

    def copy(kind: Copy, epoch: int = 0) -> RgbImage:
        return draw_copy(image, kind, seed=seed, face_id=ids[at], epoch=epoch, options=options)

    titles = [METHOD_TITLES[method] + ("" if method in options.methods else " (off)") for method in METHODS]
    show_images([image, *(copy(method) for method in METHODS)], ["Original", *titles])
    if options.plan == "on-the-fly":
        epochs = range(_SHOWN)
        show_images([copy("variant", epoch) for epoch in epochs], [f"Variant of epoch {epoch + 1}" for epoch in epochs])


def show_many(
    workspace: Workspace, faces: Faces, table: pd.DataFrame, options: AugmentOptions, seed: int, dataset: str
) -> None:
    """Many faces through one method."""
    kinds: dict[Copy, str] = {**METHOD_TITLES, "variant": "Random variant of the first epoch"}
    if options.plan != "on-the-fly":
        del kinds["variant"]
    kind = st.selectbox("Method", list(kinds), format_func=kinds.__getitem__, width=320)
    shown = table.iloc[pager(f"augment_many_{dataset}", len(table), _SHOWN)]
    images = stored_images(workspace, faces, shown["face_id"]).take(range(len(shown)))
    gap = np.full((4, FACE_SIZE, 3), 255, np.uint8)
    pairs = [
        np.concatenate([image, gap, draw_copy(image, kind, seed=seed, face_id=face_id, epoch=0, options=options)])
        for image, face_id in zip(images, shown["face_id"], strict=True)
    ]
    show_images(pairs, [f"{plain(row.dataset)} · {LABEL_TITLES[row.label].lower()}" for row in shown.itertuples()])
    st.caption("Above each face as it is, below its copy.")


def show_sizes(split: Split, options: AugmentOptions) -> None:
    """Faces and copies of each pool and dataset (study, Figures 11 and 12)."""
    sizes = set_sizes(split_table(split), options)
    tables, chart = st.columns([3, 2], gap="large")
    for pool, rows in sizes.groupby("pool"):
        total = int(rows["total"].iloc[-1])
        tables.markdown(f"**{_POOL_TITLES[pool]}**, {total:,} images an epoch")
        tables.dataframe(
            rows.drop(columns="pool"), hide_index=True, height="content", column_config=titled(rows, _SIZE_COLUMNS)
        )
        if options.plan == "study":
            tables.caption(_STUDY_SIZES[pool])
    chart.plotly_chart(set_size_bars(sizes), key="augment_sizes", config=NO_BAR, alt="Images an epoch by dataset")
    counts = split.table["split"].value_counts()
    st.caption(
        f"The {counts.get('validation', 0):,} validation and {counts.get('test', 0):,} test faces are never augmented."
    )
