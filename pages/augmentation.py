"""Augmentation: what training shows of each face, seen on the faces themselves, and how large that makes a set."""

from typing import Any, Final

import numpy as np
import pandas as pd
import streamlit as st

from maskdet.augment import METHODS, AugmentOptions, Copy, draw_copy, set_sizes
from maskdet.errors import WorkspaceError
from maskdet.facetable import Faces
from maskdet.images import stored_images
from maskdet.photos import FACE_SIZE, RgbImage
from maskdet.split import Split, load_split, split_table
from maskdet.workspace import Workspace
from ui.augment_charts import set_size_bars
from ui.augmentation import METHOD_TITLES, PLAN_TEXTS, PLAN_TITLES, keep
from ui.cached import faces_of
from ui.charts import LABEL_TITLES
from ui.gallery import pager, show_images
from ui.session import current_workspace, show
from ui.text import code, plain

_STUDY: Final = AugmentOptions(plan="study")
_SHOWN: Final = 6
_POOL_TITLES: Final = {"main": "Training set", "pre-training": "Pre-training set"}
_SIZE_COLUMNS: Final = {"augmented": "augmented an epoch", "total": "total an epoch"}
_STUDY_SIZES: Final = {
    "main": "Compare with the study's Figure 12.",
    "pre-training": "The study's Figure 11: 12,000 original and 60,000 augmented faces, 72,000 in all.",
}
_SEEN: Final = {
    "on-the-fly": "A training with seed {seed} sees exactly these variants; by method, each change is shown alone.",
    "study": "A training with seed {seed} sees exactly these copies, but for methods and datasets that are left out.",
    "none": "Training sees each face as it is; these copies are what the methods would give.",
}
#: The controls' values to begin with, by their keys.
_DEFAULTS: Final[dict[str, Any]] = {
    "augment_plan": AugmentOptions().plan,
    "augment_seed": 0,
    "augment_not_augmented": list(_STUDY.not_augmented),
    "augment_rotation": round(_STUDY.rotation),
    "augment_brightness": _STUDY.brightness,
    "augment_crop_keep": _STUDY.crop_keep,
    "augment_noise": _STUDY.noise,
    "augment_probability": _STUDY.probability,
    **{f"augment_on_{method}": True for method in METHODS},
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

    options, seed = _controls(sorted(faces.table["dataset"].unique()))
    if options is None:
        st.warning("Turn on at least one method, or choose the plan None.", icon=":material/warning:")
        return
    keep(options, seed)
    st.page_link("pages/training.py", label="Train with these settings", icon=":material/model_training:")

    st.subheader("Previews")
    source = "training faces only" if split else "all faces, since there is no split yet"
    st.caption(f"{_SEEN[options.plan].format(seed=seed)} Shown: {source}.")
    if table.empty:
        st.info("The split has no training face; filter less strictly or give training a larger share.")
    else:
        dataset = st.selectbox("Dataset", ["all", *sorted(table["dataset"].unique())], width=220)
        chosen = table if dataset == "all" else table[table["dataset"] == dataset]
        st.markdown("##### One face through all methods")
        _show_one(workspace, faces, chosen, options, seed)
        st.markdown("##### Many faces through one method")
        _show_many(workspace, faces, chosen, options, seed, dataset)

    st.subheader("Set sizes")
    if split is None:
        st.info(
            "The sizes follow from the split, and none is in force for these faces: press *Apply and split* on the "
            "Quality page.",
            icon=":material/info:",
        )
        st.page_link("pages/quality.py", label="Filter and split", icon=":material/filter_alt:")
    else:
        _show_sizes(split, options)


def _split_in_force(workspace: Workspace, faces: Faces) -> Split | None:
    """The split in force; none if nothing was applied yet, or the faces have changed since."""
    try:
        return load_split(workspace, faces)
    except WorkspaceError:
        return None


def _controls(datasets: list[str]) -> tuple[AugmentOptions | None, int]:
    """The plan and its parameters; no options if every method is off."""
    for key, value in _DEFAULTS.items():
        st.session_state.setdefault(key, value)
    plan = st.radio(
        "Plan", list(PLAN_TITLES), format_func=PLAN_TITLES.__getitem__,
        captions=list(PLAN_TEXTS.values()), key="augment_plan", persist_state="session",
    )  # fmt: skip
    values: dict[str, Any] = {}
    columns = dict(zip(METHODS, st.columns(len(METHODS)), strict=True))
    methods = [
        method
        for method, column in columns.items()
        if column.toggle(METHOD_TITLES[method], key=f"augment_on_{method}", persist_state="session")
    ]
    columns["flip"].caption("Left and right. Study: the same.")
    values["rotation"] = float(_slider(columns["rotate"], "Largest angle (°)", 0, 180, 1, "rotation"))
    columns["rotate"].caption("Either way. Study: 30°.")
    values["brightness"] = _slider(columns["brightness"], "Largest change", 0.0, 1.0, 0.05, "brightness", "percent")
    columns["brightness"].caption("Study: at random, no number. Ours: 30 %.")
    values["crop_keep"] = _slider(columns["crop"], "Area kept", 0.05, 1.0, 0.05, "crop_keep", "percent")
    columns["crop"].caption("At a random place. Study: 80 %.")
    values["noise"] = _slider(columns["noise"], "Standard deviation", 0.0, 128.0, 1.0, "noise", "%.0f")
    columns["noise"].caption("Of 255 levels. Study: no number. Ours: 8.")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        seed = st.number_input(
            "Seed", 0, 2**31 - 1, key="augment_seed", persist_state="session", width=140,
            help="Same seed, face and method: same copy, on every machine.",
        )  # fmt: skip
        if plan == "on-the-fly":
            values["probability"] = _slider(
                st, "Chance of each method", 0.0, 1.0, 0.05, "probability", "percent", width=260
            )
        if plan == "study":
            known = sorted({*datasets, *st.session_state["augment_not_augmented"]})
            values["not_augmented"] = tuple(
                st.multiselect(
                    "Datasets left as they are", known, key="augment_not_augmented", persist_state="session", width=320,
                    help="Study: 2.1, since it contains augmented photos already.",
                )
            )  # fmt: skip
        st.button(
            "Back to the defaults", icon=":material/restart_alt:", on_click=lambda: st.session_state.update(_DEFAULTS)
        )
    if not methods:
        return None, seed
    return AugmentOptions(plan=plan, methods=tuple(methods), **values), seed


def _slider(
    place: Any, label: str, low: float, high: float, step: float, name: str, text: str | None = None, **more: Any
) -> float:
    """A slider that keeps its value when the visitor leaves the page; sums of its steps are rounded off."""
    value = place.slider(
        label, low, high, step=step, format=text, key=f"augment_{name}", persist_state="session", **more
    )
    return round(value, 2)


def _show_sizes(split: Split, options: AugmentOptions) -> None:
    sizes = set_sizes(split_table(split), options)
    tables, chart = st.columns([3, 2])
    for pool, rows in sizes.groupby("pool"):
        total = int(rows["total"].iloc[-1])
        tables.markdown(f"**{_POOL_TITLES[pool]}**, {total:,} images an epoch")
        tables.dataframe(rows.drop(columns="pool"), hide_index=True, column_config=_SIZE_COLUMNS)
        if options.plan == "study":
            tables.caption(_STUDY_SIZES[pool])
    chart.plotly_chart(set_size_bars(sizes), key="augment_sizes")
    counts = split.table["split"].value_counts()
    st.caption(
        f"{PLAN_TEXTS[options.plan]} The {counts.get('validation', 0):,} validation and {counts.get('test', 0):,} test "
        "faces are never augmented."
    )


def _show_one(workspace: Workspace, faces: Faces, table: pd.DataFrame, options: AugmentOptions, seed: int) -> None:
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


def _show_many(
    workspace: Workspace, faces: Faces, table: pd.DataFrame, options: AugmentOptions, seed: int, dataset: str
) -> None:
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


show(main)
