"""The views of the Quality page; only the one on show is computed."""

from collections.abc import Callable
from functools import partial
from pathlib import PurePath
from typing import Any, Final

import pandas as pd
import streamlit as st

from maskdet.duplicates import MAX_DISTANCE
from maskdet.further_filters import FURTHER
from maskdet.labels import INCORRECT_MASK
from maskdet.leaks import SPLIT_TITLES, Names, leak_table, leaking_faces, names_of
from maskdet.quality import Filtered, FilterOptions, filter_titles, measured_filters
from maskdet.review import duplicate_clusters, near_threshold, pairs_near_threshold, removals
from maskdet.split import SplitOptions
from ui.cached import csv_bytes
from ui.charts import LABEL_TITLES, NO_BAR
from ui.gallery import pager, show_faces
from ui.groups import Group, show_groups
from ui.quality_charts import leak_lines, removed_shares
from ui.quality_controls import KIND_TITLES
from ui.quality_data import Setting, catalog_of_home, filtered_by, pairs_of, splits_of
from ui.quality_split import current_split
from ui.tables import titled
from ui.text import counted, plain

_FACES_SHOWN: Final = 6
_PAIRS_SHOWN: Final = 4
_PAIRS_AT_MOST: Final = 200
_CLUSTERS_SHOWN: Final = 4
_COPIES_SHOWN: Final = 12
_CLUSTERS: Final = {"size": "All", "labels": "Labels differ", "datasets": "Across datasets"}
#: Titles of columns; the full ones of the filters are shown on hovering.
_SHORT_TITLES: Final = {
    "missing": "gone", "incorrect_mask": "incorrect", "by_hand": "by hand", "aspect_ratio": "stretched", "rgb": "RGB",
    "blur": "blurred", "removed_percent": "%",
}  # fmt: skip
_SPLIT_TITLES: Final = SPLIT_TITLES | {"in_force": "Split in force"}


def show_removals(setting: Setting) -> None:
    """Removals by filter, dataset and label: a chart of shares, and a table."""
    filtered = filtered_by(setting)
    counts = removals(setting.faces, filtered)
    charted = counts
    if setting.options.incorrect_mask == "drop":
        charted = counts[counts["label"] != INCORRECT_MASK]
        left_out = int(counts["faces"].sum() - charted["faces"].sum())
        if left_out:
            st.caption(f"The chart leaves out {left_out:,} faces whose mask is worn incorrectly: all are removed.")
    if charted["removed"].any():
        st.plotly_chart(
            removed_shares(charted), key="removed_shares", config=NO_BAR,
            alt="Share removed by dataset and label, a colour a filter",
        )  # fmt: skip
    else:
        st.info("These filters remove no other face." if counts["removed"].any() else "These filters remove no face.")
    in_percent = st.toggle("In percent of each row", key="removals_percent", persist_state="session")
    table = removal_table(counts, in_percent=in_percent)
    titles = filter_titles()
    columns: dict[str, Any] = {
        name: st.column_config.NumberColumn(_SHORT_TITLES.get(name), width=68, help=titles.get(name))
        for name in table.columns.drop(["dataset", "label"])
    }
    idle = [name for name in table if name in titles and not counts[name].any()]
    wide = {"dataset": st.column_config.TextColumn(width=120), "label": st.column_config.TextColumn(width=115)}
    st.dataframe(
        table, hide_index=True, height="content",
        column_config=titled(table, columns | wide | dict.fromkeys(idle), digits=2),
    )  # fmt: skip
    if idle:
        st.caption(f"Not shown, since they remove nothing: {', '.join(titles[name].lower() for name in idle)}.")
    st.download_button(
        "Every face with what removes it (CSV)", partial(_fates_csv, setting), "filtered.csv", "text/csv",
        icon=":material/download:", on_click="ignore", key="filtered_csv",
    )  # fmt: skip


def removal_table(counts: pd.DataFrame, *, in_percent: bool) -> pd.DataFrame:
    """The counts of `maskdet.review.removals` with labels for people, those of the filters perhaps in percent."""
    filters = [name for name in counts if name in filter_titles()]
    table = counts.assign(label=counts["label"].map(LABEL_TITLES))
    if in_percent:
        table[filters] = (100 * table[filters].div(table["faces"], axis=0)).round(2)
    return table[["dataset", "label", "faces", "removed", "removed_percent", *filters]]


def show_threshold(setting: Setting) -> None:
    """Faces, or pairs of them, just outside and just inside a threshold."""
    name = st.segmented_control(
        "Threshold", ["duplicate", *measured_filters()], default="duplicate", required=True, key="threshold_of",
        persist_state="session", format_func=filter_titles().__getitem__, label_visibility="collapsed", wrap=True,
    )  # fmt: skip
    if not _is_on(setting.options, name):
        st.caption("This filter is off. Shown is what it would do with the threshold on the left.")
    if name == "duplicate":
        _show_pairs_at_threshold(setting)
    else:
        _show_faces_at_threshold(setting, name)


def show_clusters(setting: Setting) -> None:
    """Duplicate clusters side by side, the copy that stays first."""
    faces, options = setting.faces, setting.options
    members = duplicate_clusters(faces, filtered_by(setting))
    st.caption(
        "Faces in a cluster are joined by a chain of near hashes. The copy that stays is one kept by hand, else one "
        "that passes every other filter, then the one with most pixels, then one whose label most copies share, then "
        "the first by name. The study does not say which copy it keeps."
        + ("" if options.duplicates else " The filter of duplicates is off: all copies stay.")
    )
    if members.empty:
        st.info("No two faces are this near: there is no duplicate cluster.", icon=":material/check_circle:")
        return
    first = members.drop_duplicates("cluster")
    counts = {
        "size": len(first), "labels": int((first["labels"] > 1).sum()), "datasets": int((first["datasets"] > 1).sum())
    }  # fmt: skip
    with st.container(horizontal=True, vertical_alignment="center"):
        which = st.segmented_control(
            "Clusters", list(_CLUSTERS), default="size", required=True, key="clusters_which", persist_state="session",
            format_func=lambda name: f"{_CLUSTERS[name]} ({counts[name]:,})", label_visibility="collapsed", wrap=True,
        )  # fmt: skip
        st.download_button(
            "Clusters (CSV)", partial(csv_bytes, members), "clusters.csv", "text/csv", icon=":material/download:",
            on_click="ignore", key="clusters_csv",
        )  # fmt: skip
    some = first.loc[first[which] > 1, "cluster"]
    if some.empty:
        st.info("There is no such cluster.", icon=":material/check_circle:")
        return
    numbers = some.iloc[pager(f"clusters_{which}_{_threshold(options)}", len(some), _CLUSTERS_SHOWN)]
    position = pd.Series(range(len(faces.table)), index=faces.table["face_id"])
    groups = []
    for number in numbers:
        copies = members[members["cluster"] == number]
        shown = copies.head(_COPIES_SHOWN)
        captions = [_copy_caption(row) for row in shown.itertuples()]
        groups.append(Group(_cluster_title(copies, len(shown)), position[shown["face_id"]].tolist(), captions))
    show_groups(setting.workspace, faces, groups, "clusters")


def show_leaks(setting: Setting, options: SplitOptions | None) -> None:
    """How many validation and test faces resemble a training face, by splitting and distance."""
    st.caption(
        "A validation or test face that resembles a training face measures memory, not skill. Compared are the "
        f"publisher's split and the splits that this setting would give, by {KIND_TITLES[setting.options.hash_kind]}. "
        "From about 8 bits on, unrelated faces meet by chance: look at the examples."
    )
    if options is None:
        st.info("Move the handles of the split apart first.")
        return
    distance = st.slider(
        "A leak is a training face within (bits)", 0, MAX_DISTANCE, 6, key="leak_distance", persist_state="session",
        width=360,
    )  # fmt: skip
    pairs = pairs_of(setting.workspace, setting.options.hash_kind, distance)
    splits = dict(splits_of(setting, options))
    current = current_split(setting.workspace)
    if not isinstance(current, str):
        splits["in_force"] = names_of(current[1], setting.faces)
    if not splits:
        st.info("No face is kept, so there is no split.")
        return
    leaks = leak_table(setting.faces, pairs, splits, catalog_of_home())
    at_distance = leaks[leaks["distance"] == distance].drop(columns="distance")
    columns = {
        "percent": st.column_config.NumberColumn("%", format="%.2f"),
        "related": st.column_config.NumberColumn(
            "related to training",
            help="Faces of a photo of which another face, or a related photo, is in training, whatever the distance.",
        ),
    }
    st.dataframe(
        at_distance.assign(splitting=at_distance["splitting"].map(_SPLIT_TITLES)), hide_index=True, height="content",
        column_config=titled(at_distance, columns),
    )  # fmt: skip
    st.plotly_chart(
        leak_lines(leaks, _SPLIT_TITLES, distance), key="leak_lines", config=NO_BAR,
        alt="Share of validation and test faces that leak, by distance, a line a splitting and part",
    )  # fmt: skip
    st.caption("Solid lines: test faces. Dotted lines: validation faces.")
    _show_leaking_faces(setting, splits, at_distance, distance)


def _show_leaking_faces(setting: Setting, splits: dict[str, Names], leaks: pd.DataFrame, distance: int) -> None:
    counts = leaks.groupby("splitting", sort=False)["leaks"].sum()
    found = counts[counts > 0]
    if found.empty:
        st.info(f"No split leaks within {distance} bits.", icon=":material/check_circle:")
        return
    name = st.selectbox(
        "Leaking faces, beside the nearest training face", found.index.tolist(), key="leaks_of",
        format_func=lambda name: f"{_SPLIT_TITLES[name]}: {found[name]:,}", width=420,
    )  # fmt: skip
    table = setting.faces.table
    examples = leaking_faces(pairs_of(setting.workspace, setting.options.hash_kind, distance), splits[name], distance)
    groups = []
    for row in examples.iloc[pager("leaks_page", len(examples), _PAIRS_SHOWN)].itertuples():
        captions = [
            f"**{splits[name][at]}** · {plain(table['dataset'].iloc[at])} · "
            f"{LABEL_TITLES[table['label'].iloc[at]].lower()} · {plain(PurePath(table['photo'].iloc[at]).name)}"
            for at in (row.face, row.train_face)
        ]
        groups.append(Group(_bits(row.distance), [row.face, row.train_face], captions))
    show_groups(setting.workspace, setting.faces, groups, "leaks", 140)


def _show_pairs_at_threshold(setting: Setting) -> None:
    distance = setting.options.hash_distance
    pairs = pairs_of(setting.workspace, setting.options.hash_kind, distance)
    joined, apart = pairs_near_threshold(pairs, distance, _PAIRS_AT_MOST)
    beyond = (
        f"No pair is {distance + 1} to {pairs.max_distance} bits apart."
        if distance < pairs.max_distance
        else f"Pairs more than {_bits(pairs.max_distance)} apart are not searched."
    )
    left, right = st.columns(2, gap="medium")
    with left:
        st.markdown("## Joined: one is removed")
        st.caption(f"At most {distance} bits apart, the farthest first.")
        _show_pairs(setting, joined, "joined", "No two faces are this near.")
    with right:
        st.markdown("## Kept apart")
        st.caption(f"More than {distance} bits apart, the nearest first.")
        _show_pairs(setting, apart, "apart", beyond)


def _show_pairs(setting: Setting, pairs: pd.DataFrame, key: str, empty: str) -> None:
    if pairs.empty:
        st.caption(empty)
        return
    table, removed_by = setting.faces.table, filtered_by(setting).table["removed_by"]
    groups = []
    for row in pairs.iloc[pager(f"pairs_{key}_{_threshold(setting.options)}", len(pairs), _PAIRS_SHOWN)].itertuples():
        captions = [f"{_fate(removed_by.iloc[at])} · {_about(table.iloc[at])}" for at in (row.face, row.other)]
        groups.append(Group(_bits(row.distance), [row.face, row.other], captions))
    show_groups(setting.workspace, setting.faces, groups, f"pairs_{key}", 132)


def _show_faces_at_threshold(setting: Setting, name: str) -> None:
    outside, inside = near_threshold(setting.faces, setting.options, name, len(setting.faces.table))
    left, right = st.columns(2, gap="medium")
    with left:
        st.markdown("## Outside: removed")
        st.caption("The nearest to the threshold first.")
        _show_near(setting, name, outside, "outside")
    with right:
        st.markdown("## Inside: kept")
        st.caption("The nearest to the threshold first.")
        _show_near(setting, name, inside, "inside")


def _show_near(setting: Setting, name: str, ids: "pd.Series[str]", side: str) -> None:
    if ids.empty:
        st.caption(f"No face is {side} the threshold.")
        return
    key = f"near_{name}_{side}"
    shown = ids.iloc[pager(f"{key}_{_threshold(setting.options)}", len(ids), _FACES_SHOWN)]
    removed_by = filtered_by(setting).table["removed_by"]
    captions, table = [], setting.faces.table.loc[shown.index]
    values = _values(name, table)
    for at, row in table.iterrows():
        fate = ""
        if side == "inside" and removed_by.loc[at]:
            fate = f" · removed as “{filter_titles()[removed_by.loc[at]]}”"
        elif side == "outside" and not removed_by.loc[at] and _is_on(setting.options, name):
            fate = " · kept by hand"
        captions.append(f"**{values.loc[at]}** · {_about(row)}{fate}")
    show_faces(setting.workspace, setting.faces, shown.tolist(), captions, key=key, width=98)


def _values(name: str, table: pd.DataFrame) -> "pd.Series[str]":
    """The measured value of each face, for people."""
    if name in FURTHER:
        return FURTHER[name].value(table).map(f"{filter_titles()[name].lower()}: {{:.1f}}".format)
    return table.apply(_VALUES[name], axis=1)


def _channel_means(row: "pd.Series[Any]") -> str:
    return "RGB {mean_red:.1f}, {mean_green:.1f}, {mean_blue:.1f}".format_map(row)


#: The measured value of a face, by filter.
_VALUES: Final[dict[str, Callable[["pd.Series[Any]"], str]]] = {
    "aspect_ratio": lambda row: f"ratio {row['aspect_ratio']:.2f}, size {row['sqrt_size']:.0f} px",
    "rgb": _channel_means,
    "small": lambda row: f"shorter side {min(row['width'], row['height'])} px",
    "blur": lambda row: f"sharpness {row['sharpness']:.1f}",
}


def _threshold(options: FilterOptions) -> int:
    """Changes with the thresholds: each begins on its first page, where the nearest faces are."""
    return abs(hash(options))


def _is_on(options: FilterOptions, name: str) -> bool:
    if name in FURTHER:
        return name in dict(options.further)
    return bool(getattr(options, "duplicates" if name == "duplicate" else name))


def _about(row: "pd.Series[Any]") -> str:
    published = f" · {row['publisher_split']}" if row["publisher_split"] else ""
    return f"{plain(row['dataset'])}{published} · {LABEL_TITLES[row['label']].lower()}"


def _fate(removed_by: str) -> str:
    if removed_by in ("", "duplicate"):
        return "removed" if removed_by else "stays"
    return f"removed as “{filter_titles()[removed_by]}”"


def _bits(distance: int) -> str:
    return "same hash" if distance == 0 else "1 bit" if distance == 1 else f"{distance} bits"


def _cluster_title(copies: pd.DataFrame, shown: int) -> str:
    first = copies.iloc[0]
    parts = [f"**{counted(first['size'], 'face')}**"]
    if first["labels"] > 1:
        parts.append(":orange[labels differ]")
    if first["datasets"] > 1:
        parts.append(counted(first["datasets"], "dataset"))
    if len(copies) > shown:
        parts.append(f"{shown} shown")
    return " · ".join(parts)


def _copy_caption(row: Any) -> str:
    fate = f"**{_fate(row.removed_by)}**" if row.survives else f"{_fate(row.removed_by)} · {_bits(row.hash_distance)}"
    published = f" · {row.publisher_split}" if row.publisher_split else ""
    return f"{fate} · {plain(row.dataset)}{published} · {LABEL_TITLES[row.label].lower()} · {row.width}×{row.height}"


def _fates_csv(setting: Setting) -> bytes:
    filtered: Filtered = filtered_by(setting)
    decided = filtered.table[["label", "cluster", "removed_by", "kept_face"]].rename(columns={"label": "counted_as"})
    return csv_bytes(pd.concat([setting.faces.table[["face_id", "dataset", "photo", "label"]], decided], axis=1))
