"""Quality: move the filters' thresholds, see what they remove, apply them and split."""

import streamlit as st

from maskdet.catalog import load_catalog
from maskdet.duplicates import MAX_DISTANCE
from maskdet.errors import WorkspaceError
from maskdet.facetable import Faces
from maskdet.quality import FILTER_TITLES, FILTERS, Filtered, FilterOptions, removals, save_filtered
from maskdet.split import SplitOptions, load_split, save_split, split_faces, split_table
from maskdet.workspace import Workspace
from ui.cached import faces_of, filtered_by
from ui.charts import LABEL_TITLES, removal_bars
from ui.gallery import pager, show_faces
from ui.session import current_workspace, home_workspace, show

STUDY = FilterOptions()


def choose_options() -> FilterOptions:
    duplicates, stretched, rgb, masks = st.columns(4)
    distance = duplicates.slider(
        "Duplicates: hash distance", 0, MAX_DISTANCE, STUDY.hash_distance,
        help="Duplicates have perceptual hashes that differ in at most this many of 64 bits. Default: 4.",
    )  # fmt: skip
    use_duplicates = duplicates.checkbox("Remove duplicates", STUDY.duplicates)
    ratio = stretched.slider(
        "Aspect ratio kept", 0.05, 10.0, (STUDY.min_aspect_ratio, STUDY.max_aspect_ratio), step=0.05,
        help="Height / width. The study keeps 0.25 to 4.0.",
    )  # fmt: skip
    size = stretched.number_input(
        "… for faces smaller than (px)", 0.0, 5000.0, STUDY.small_size, step=10.0,
        help="Square root of width x height. The study: 300 px.",
    )  # fmt: skip
    use_ratio = stretched.checkbox("Remove small stretched faces", STUDY.aspect_ratio)
    means = rgb.slider(
        "Channel means kept", 0.0, 255.0, (STUDY.min_channel_mean, STUDY.max_channel_mean), step=1.0,
        help="Mean of red, green and blue, each. The study keeps 5 to 250.",
    )  # fmt: skip
    use_rgb = rgb.checkbox("Remove RGB anomalies", STUDY.rgb)
    incorrect = masks.radio(
        "Masks worn incorrectly", ["drop", "without_mask"],
        format_func={"drop": "are dropped", "without_mask": "count as without mask"}.__getitem__,
        help="The study knows two labels only; dropping them is our reading of its counts.",
    )  # fmt: skip
    return FilterOptions(
        use_duplicates, use_ratio, use_rgb, distance, size, ratio[0], ratio[1], means[0], means[1], incorrect
    )


def show_removed(workspace: Workspace, faces: Faces, filtered: Filtered) -> None:
    counts = filtered.table["removed_by"].value_counts()
    found = [name for name in FILTERS if counts.get(name)]
    if not found:
        st.info("These thresholds remove no face.")
        return
    name = st.segmented_control(
        "Examples", found, default=found[0], required=True,
        format_func=lambda key: f"{FILTER_TITLES[key]} ({counts[key]:,})",
    )  # fmt: skip
    removed = filtered.table[filtered.table["removed_by"] == name]
    size = 6 if name == "duplicate" else 12
    shown = removed.iloc[pager(f"removed_{name}", len(removed), size)]
    if name == "duplicate":
        st.caption("Above: removed. Below: the face that stays in its place.")
    show_faces(workspace, faces, shown["face_id"].tolist(), shown["face_id"].tolist())
    if name == "duplicate":
        show_faces(workspace, faces, shown["kept_face"].tolist(), shown["kept_face"].tolist())


def main() -> None:
    st.title("Quality")
    workspace = current_workspace()
    faces = faces_of(workspace)
    options = choose_options()
    filtered = filtered_by(workspace, options)

    total, kept = len(filtered.table), len(filtered.kept)
    for column, (title, value) in zip(
        st.columns(3), (("Faces", total), ("Removed", total - kept), ("Kept", kept)), strict=True
    ):
        column.metric(title, f"{value:,}", border=True)

    st.subheader("Removals")
    counts = removals(faces, filtered)
    st.dataframe(
        counts.rename(columns=FILTER_TITLES).assign(label=counts["label"].map(LABEL_TITLES)), hide_index=True,
        column_config={"removed_percent": st.column_config.NumberColumn("removed %", format="%.2f")},
    )  # fmt: skip
    if counts["removed"].any():
        st.plotly_chart(removal_bars(counts), key="removals")
    show_removed(workspace, faces, filtered)

    st.subheader("Apply and split")
    st.markdown(
        "Applying writes the kept faces and splits them 60/20/20 into training, validation and test. Faces of one "
        "photo, or that look alike, are never parted. Models are trained on this split."
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        seed = st.number_input("Seed", 0, 2**31 - 1, 0, help="Same seed, same split.", width=160)
        if st.button("Apply and split", type="primary", icon=":material/check:"):
            split = split_faces(
                faces, filtered, load_catalog(home_workspace().path("datasets.toml")), SplitOptions(seed=int(seed))
            )
            save_filtered(workspace, filtered)
            save_split(workspace, split)
            st.toast(f"Applied: {len(split.table):,} faces, fingerprint {split.fingerprint}", icon=":material/check:")
    try:
        current = load_split(workspace, faces)
    except WorkspaceError as error:
        st.warning(f"No split is in force: {error} Or press *Apply and split*.")
    else:
        st.caption(
            f"In force: {len(current.table):,} faces, seed {current.options.seed}, fingerprint `{current.fingerprint}`"
        )
        in_force = split_table(current)
        st.dataframe(in_force.assign(label=in_force["label"].map(LABEL_TITLES)), hide_index=True)
        st.page_link("pages/training.py", label="Train a model on it", icon=":material/model_training:")


show(main)
