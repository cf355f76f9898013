"""Review a decision of the filters: what it removes from whom, what lies at its thresholds, and what should worry.

Pure functions of the face table and a `maskdet.quality.Filtered`; they decide nothing.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd

from maskdet.duplicates import NearPairs, parse_hashes
from maskdet.facetable import Faces
from maskdet.labels import CLASSES, LABELS
from maskdet.measure import HashKind
from maskdet.quality import (
    STUDY_FILTERS,
    Filtered,
    FilterOptions,
    Positions,
    apply_filters,
    filter_titles,
    margins,
    surviving_copy,
)

#: A warning is due where the shares removed of two labels are further apart, in points (our choice).
WIDE_GAP: Final = 5.0
#: A duplicate cluster is implausibly large above this many faces, or above this share of all and 10 faces (our choice).
LARGE_CLUSTER: Final = 50
LARGE_CLUSTER_SHARE: Final = 0.01
_SHOWN_OF_COPY: Final = ("dataset", "photo", "width", "height", "publisher_split")


def removals(faces: Faces, filtered: Filtered, by: Sequence[str] = ("dataset", "label")) -> pd.DataFrame:
    """How many faces each filter removed, by dataset and label as published.

    Returns
    -------
    DataFrame
        The columns of ``by``; faces; one for each of `STUDY_FILTERS`, and for each other filter that removed a face;
        removed, kept, and removed_percent (of the faces in the row).
    """
    keys = faces.table[list(by)].reset_index(drop=True)
    keys["removed_by"] = filtered.table["removed_by"].to_numpy()
    counts = keys.groupby([*by, "removed_by"]).size().unstack("removed_by", fill_value=0)
    shown = [name for name in filter_titles() if name in STUDY_FILTERS or name in counts]
    counts = counts.reindex(columns=[*shown, ""], fill_value=0).rename(columns={"": "kept"})
    counts.insert(0, "faces", counts.sum(axis=1))
    counts["removed"] = counts["faces"] - counts["kept"]
    counts["removed_percent"] = (100 * counts["removed"] / counts["faces"]).round(2)
    return counts.reset_index().rename_axis(columns=None)


def removed_of_label(filtered: Filtered) -> pd.DataFrame:
    """How much of each label the filters remove.

    Returns
    -------
    DataFrame
        A row for each label as it counts, in the order of `LABELS`: label, faces, removed, removed_percent.
    """
    removed = filtered.table["removed_by"] != ""
    counts = removed.groupby(filtered.table["label"]).agg(["size", "sum"]).astype("int64")
    counts = counts.reindex([label for label in LABELS if label in counts.index]).reset_index()
    counts.columns = pd.Index(["label", "faces", "removed"])
    counts["removed_percent"] = 100 * counts["removed"] / counts["faces"]
    return counts


def concerns(faces: Faces, filtered: Filtered) -> list[str]:
    """What a person should look at before they apply these filters, a sentence or two each; usually nothing.

    Three things are looked for: datasets whose folder is gone; labels that lose very different shares (more than
    `WIDE_GAP` points apart); and a duplicate cluster so large (`LARGE_CLUSTER`) and so spread that the distance must
    have chained unrelated faces.
    """
    found = []
    for dataset in faces.missing:
        count = int((faces.table["dataset"] == dataset).sum())
        found.append(
            f"The folder of {dataset} is gone: its {count:,} faces are left out. Bring it "
            "back, scan it elsewhere under the same name, or forget it."
        )
    shares = removed_of_label(filtered).set_index("label")["removed_percent"]
    if set(CLASSES) <= set(shares.index) and abs(shares[CLASSES[0]] - shares[CLASSES[1]]) > WIDE_GAP:
        by_filter = pd.crosstab(filtered.table["label"], filtered.table["removed_by"], normalize="index")
        gap = (by_filter.loc[CLASSES[0]] - by_filter.loc[CLASSES[1]]).drop("", errors="ignore").abs()
        found.append(
            f"The filters remove {shares[CLASSES[0]]:.1f} % of the faces with mask, but {shares[CLASSES[1]]:.1f} % of "
            f"those without, mostly by the filter “{filter_titles()[str(gap.idxmax())]}”. What is left is balanced "
            "differently: look at the faces at its threshold before you apply it."
        )
    large = _implausible_cluster(faces, filtered)
    if large and (filtered.options.duplicates or filtered.options.conflicts):
        size, apart = large
        lower = "Lower the hash distance" if filtered.options.hash_distance else "Choose another kind of hash"
        other = ", or choose the study's phash" if filtered.options.hash_kind != "phash" else ""
        found.append(
            f"One duplicate cluster has {size:,} faces, which differ from the one that stays in up to {apart} of 64 "
            f"bits: at this distance, unrelated faces are chained together. {lower}{other}."
        )
    return found


def near_threshold(
    faces: Faces, options: FilterOptions, name: str, count: int
) -> tuple["pd.Series[str]", "pd.Series[str]"]:
    """Faces just outside and just inside the threshold of a measured filter, the nearest first.

    Returns
    -------
    removed, kept : Series of str
        At most ``count`` face ids each: those that barely fail, and those that barely pass. Faces that the threshold
        does not concern are in neither.
    """
    margin = margins(faces.table, options)[name]
    margin = margin[np.isfinite(margin)]
    fails = margin[margin < 0].sort_values(ascending=False, kind="stable").index[:count]
    passes = margin[margin >= 0].sort_values(kind="stable").index[:count]
    ids = faces.table["face_id"]
    return ids.loc[fails], ids.loc[passes]


def duplicate_clusters(faces: Faces, filtered: Filtered) -> pd.DataFrame:
    """The faces of each duplicate cluster, the largest clusters first, and in each the surviving copy first.

    Returns
    -------
    DataFrame
        A row a face of a cluster of two or more: cluster (from 1), size, labels and datasets (how many different ones
        it has), face_id, survives (whether the rule of `surviving_copy` prefers it), hash_distance (from that copy, in
        bits), dataset, photo, label, width, height, publisher_split, removed_by.
    """
    cluster = filtered.table["cluster"].to_numpy()
    size = np.bincount(cluster, minlength=1)[cluster]
    at = np.flatnonzero(size > 1)
    survivor = _survivors(faces, filtered)[at]
    some = faces.table.take(at)
    members = pd.DataFrame(
        {
            "cluster": cluster[at],
            "size": size[at],
            "face_id": some["face_id"].to_numpy(),
            "survives": survivor == at,
            "hash_distance": _bits_apart(faces, filtered.options.hash_kind, at, survivor),
            **{name: some[name].to_numpy() for name in _SHOWN_OF_COPY},
            "label": filtered.table["label"].to_numpy()[at],
            "removed_by": filtered.table["removed_by"].to_numpy()[at],
        }
    )
    for name, column in (("datasets", "dataset"), ("labels", "label")):
        members.insert(2, name, members.groupby("cluster")[column].transform("nunique"))
    first_id = members["face_id"].where(members["survives"]).groupby(members["cluster"]).transform("first")
    members = members.assign(first_id=first_id, copies=~members["survives"]).sort_values(
        ["size", "first_id", "copies", "hash_distance", "face_id"],
        ascending=[False, True, True, True, True],
        ignore_index=True,
    )
    members["cluster"] = members["first_id"].ne(members["first_id"].shift()).cumsum()
    order = ["cluster", "size", "labels", "datasets", "face_id", "survives", "hash_distance"]
    return members[[*order, "dataset", "photo", "label", *_SHOWN_OF_COPY[2:], "removed_by"]]


def pairs_near_threshold(pairs: NearPairs, distance: int, count: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Pairs of faces just within the hash distance, and just beyond it, the nearest to the threshold first.

    Returns
    -------
    joined, apart : DataFrame
        At most ``count`` pairs each: positions face and other in the face table, and distance in bits. Those apart are
        in no common cluster at that distance; up to ``pairs.max_distance``, further ones are not known.
    """
    example = np.full(len(pairs.values), -1)
    example[pairs.inverse[::-1]] = np.arange(len(pairs.inverse))[::-1]
    within = int(np.searchsorted(pairs.distance, np.uint8(distance), side="right"))
    component = np.empty(len(pairs.values), np.int64)
    component[pairs.inverse] = pairs.clusters(distance)
    beyond = within + np.flatnonzero(component[pairs.first[within:]] != component[pairs.second[within:]])
    joined, apart = (
        pd.DataFrame(
            {"face": example[pairs.first[at]], "other": example[pairs.second[at]], "distance": pairs.distance[at]}
        ).astype("int64")
        for at in (np.arange(within)[::-1][:count], beyond[:count])
    )
    # Faces that share a hash are at distance 0; they come last.
    first_of_face = example[pairs.inverse]
    same = np.flatnonzero(first_of_face != np.arange(len(first_of_face)))[: count - len(joined)]
    alike = pd.DataFrame({"face": first_of_face[same], "other": same, "distance": 0})
    return pd.concat([joined, alike], ignore_index=True), apart


def decision_effects(faces: Faces, filtered: Filtered) -> tuple[pd.DataFrame, int]:
    """What the decisions by hand change.

    Returns
    -------
    effects : DataFrame
        A row a decision, by face id: face_id, decision, known (whether the face is in the table), without and now: the
        filter that would remove the face without any decision, and the one that does, "" for none.
    changed : int
        How many faces are kept or removed otherwise than without the decisions, copies of theirs among them.
    """
    bare = apply_filters(faces, filtered.options, {}, filtered.table["cluster"].to_numpy())
    fate = pd.DataFrame(
        {"without": bare.table["removed_by"].to_numpy(), "now": filtered.table["removed_by"].to_numpy()},
        index=faces.table["face_id"],
    )
    changed = int(((fate["without"] == "") != (fate["now"] == "")).sum())
    ids = sorted(filtered.decisions)
    effects = fate.reindex(ids).fillna("")
    effects.insert(0, "known", pd.Index(ids).isin(fate.index))
    effects.insert(0, "decision", [filtered.decisions[face_id] for face_id in ids])
    return effects.rename_axis("face_id").reset_index(), changed


def _survivors(faces: Faces, filtered: Filtered) -> Positions:
    """Position of the copy that the rule prefers, for each face, whether the filter of duplicates is on or off."""
    table = filtered.table
    others = [name for name in filter_titles() if name != "duplicate" and name in table]  # an older table has fewer
    spoiled = np.logical_or.reduce([table[name].to_numpy() for name in others])
    kept = table["face_id"].map(filtered.decisions).eq("keep") & ~(table["missing"] | table["incorrect_mask"])
    label = pd.factorize(table["label"])[0]
    return surviving_copy(faces.table, table["cluster"].to_numpy(), spoiled, kept.to_numpy(), label)


def _bits_apart(faces: Faces, kind: HashKind, first: Positions, second: Positions) -> Positions:
    hashes = parse_hashes(faces.table[kind].take(np.r_[first, second]))
    return np.asarray(np.bitwise_count(hashes[: len(first)] ^ hashes[len(first) :]), dtype=np.int64)


def _implausible_cluster(faces: Faces, filtered: Filtered) -> tuple[int, int] | None:
    """Size of the largest cluster, and how many bits its faces are from the copy that stays, if that is too much."""
    cluster = filtered.table["cluster"].to_numpy()
    sizes = np.bincount(cluster, minlength=1)
    size = int(sizes.max())
    if size <= LARGE_CLUSTER and size <= max(10, LARGE_CLUSTER_SHARE * len(cluster)):
        return None
    members = np.flatnonzero(cluster == sizes.argmax())
    apart = int(_bits_apart(faces, filtered.options.hash_kind, members, _survivors(faces, filtered)[members]).max())
    return (size, apart) if apart > filtered.options.hash_distance else None
