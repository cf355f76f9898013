"""Decide which faces stay: the study's three filters (4.2.1), further ones, and decisions by hand.

Everything here is a pure function of the face table; nothing touches pixels, so a moved threshold costs milliseconds.
A face may fail several filters; it is counted under the first it fails, in the order of `FILTERS`. A filter's *margin*
says how far a face is from its threshold: below 0 it fails.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import inf
from typing import Any, Final, TypeVar, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from maskdet.decisions import Decision
from maskdet.duplicates import FLAT_HASHES, MAX_DISTANCE, NearPairs, clusters, near_pairs_of, parse_hashes
from maskdet.errors import MaskDetError, WorkspaceError
from maskdet.facetable import Faces
from maskdet.labels import CLASSES, INCORRECT_MASK, LABELS, IncorrectMask, treat_incorrect
from maskdet.measure import HASH_KINDS, HashKind
from maskdet.workspace import Workspace, read_json, read_table, write_json, write_table

Options = TypeVar("Options")
#: The filters in the order in which a removal is counted.
FILTERS: Final = (
    "missing", "incorrect_mask", "by_hand", "conflict", "exact", "duplicate", "aspect_ratio", "rgb", "small", "blur"
)  # fmt: skip
#: The study's three, and what becomes of masks worn incorrectly: shown even where they remove nothing.
STUDY_FILTERS: Final = ("incorrect_mask", "duplicate", "aspect_ratio", "rgb")
#: What each filter removes, for pages and tables.
FILTER_TITLES: Final = {
    "missing": "Dataset folder gone",
    "incorrect_mask": "Mask worn incorrectly",
    "by_hand": "Dropped by hand",
    "conflict": "Conflicting labels",
    "exact": "Exact duplicate",
    "duplicate": "Duplicate",
    "aspect_ratio": "Small and stretched",
    "rgb": "RGB anomaly",
    "small": "Too small",
    "blur": "Blurred",
}
#: The filters with a threshold on one measurement, and that measurement's place in `margins`.
MEASURED: Final = ("aspect_ratio", "rgb", "small", "blur")
#: A warning is due where the shares removed of two labels are further apart, in points (our choice).
WIDE_GAP: Final = 5.0
#: A duplicate cluster is implausibly large above this many faces, or above this share of all and 10 faces (our choice).
LARGE_CLUSTER: Final = 50
LARGE_CLUSTER_SHARE: Final = 0.01

Mask = npt.NDArray[np.bool_]
Positions = npt.NDArray[np.int64]
_SHOWN_OF_COPY: Final = ("dataset", "photo", "width", "height", "publisher_split")


@dataclass(frozen=True)
class FilterOptions:
    """Thresholds of the filters; the defaults are the study's where it names one.

    Attributes
    ----------
    duplicates, aspect_ratio, rgb : bool
        Whether the study's filters are on.
    exact, conflicts, small, blur : bool
        Whether further filters are on, which the study had not: exact duplicates (same size, same normalised pixels),
        clusters whose faces have different labels (all of them go, since one label must be wrong, unless the wrong ones
        are dropped by hand), small faces, and blurred ones.
    hash_kind : {"phash", "dhash", "ahash", "whash"}
        Which hash tells duplicates. The study names a perceptual hash (phash).
    hash_distance : int
        Two faces are duplicates if their hashes differ in at most this many of 64 bits. The study names no distance; at
        4 the filter removes about as many faces as the study reports (about 400; our choice).
    small_size : float
        The aspect ratio matters only below this square-root size in pixels.
    min_aspect_ratio, max_aspect_ratio : float
        Height / width allowed for small faces.
    min_channel_mean, max_channel_mean : float
        A face is an RGB anomaly if the mean of any channel (0..255) is below or above.
    min_side : float
        Least length of the shorter side in pixels, for the filter of small faces (our choice).
    min_sharpness : float
        Least variance of the Laplacian, for the filter of blurred faces (our choice; see
        `maskdet.measure.laplacian_variance`).
    incorrect_mask : {"drop", "without_mask", "class"}
        What becomes of faces whose mask is worn incorrectly. The study's tables know two labels only, and its counts
        for Dataset 3.1 leave these faces out, so they are dropped by default (our reading). As a class of their own
        they are kept and split, but the models, which tell two labels apart, are neither trained nor judged on them.
    """

    duplicates: bool = True
    aspect_ratio: bool = True
    rgb: bool = True
    hash_distance: int = 4
    small_size: float = 300.0
    min_aspect_ratio: float = 0.25
    max_aspect_ratio: float = 4.0
    min_channel_mean: float = 5.0
    max_channel_mean: float = 250.0
    incorrect_mask: IncorrectMask = "drop"
    hash_kind: HashKind = "phash"
    exact: bool = False
    conflicts: bool = False
    small: bool = False
    min_side: float = 20.0
    blur: bool = False
    min_sharpness: float = 10.0

    def __post_init__(self) -> None:
        if not 0 <= self.hash_distance <= MAX_DISTANCE:
            raise MaskDetError(f"The hash distance must be 0 to {MAX_DISTANCE} bits, not {self.hash_distance}.")
        if self.hash_kind not in HASH_KINDS:
            raise MaskDetError(f"The hash kind must be one of {', '.join(HASH_KINDS)}, not {self.hash_kind!r}.")
        if not 0 <= self.small_size < inf:
            raise MaskDetError(f"The square-root size must be at least 0 px, not {self.small_size}.")
        if not 0 < self.min_aspect_ratio <= self.max_aspect_ratio < inf:
            raise MaskDetError(
                f"The aspect ratio must span from above 0 to its maximum, not {self.min_aspect_ratio} to "
                f"{self.max_aspect_ratio}."
            )
        if not 0 <= self.min_channel_mean <= self.max_channel_mean <= 255:
            raise MaskDetError(
                f"The channel means must span within 0 to 255, not {self.min_channel_mean} to {self.max_channel_mean}."
            )
        if not (0 <= self.min_side < inf and 0 <= self.min_sharpness < inf):
            raise MaskDetError(
                f"The least side and sharpness must be at least 0, not {self.min_side} and {self.min_sharpness}."
            )
        if self.incorrect_mask not in get_args(IncorrectMask):
            raise MaskDetError(
                f"incorrect_mask must be one of {', '.join(get_args(IncorrectMask))}, not {self.incorrect_mask!r}."
            )


@dataclass(frozen=True)
class Filtered:
    """The decision on every face, and the options and faces it was made from.

    Attributes
    ----------
    table : DataFrame
        A row a face, in the order of the face table: ``face_id``; ``label`` as it counts; ``cluster`` of duplicates;
        a column of bool a filter; ``removed_by``, the first filter it fails or ""; ``kept_face``, for a duplicate the
        copy preferred to it, which stays unless every copy fails another filter, else "".
    decisions : dict
        The decisions by hand that it took into account.
    """

    table: pd.DataFrame
    options: FilterOptions
    faces_fingerprint: str
    decisions: dict[str, Decision]

    @property
    def kept(self) -> pd.DataFrame:
        """The rows of the faces that stay."""
        return self.table[self.table["removed_by"] == ""]


def apply_filters(
    faces: Faces,
    options: FilterOptions | None = None,
    decisions: Mapping[str, Decision] | None = None,
    cluster: Positions | None = None,
) -> Filtered:
    """Decide on every face. The same input gives the same decision, whatever the order of rows.

    Parameters
    ----------
    decisions : dict, optional
        Face id to "keep" or "drop". A face kept by hand passes every filter, except that its dataset must be there and
        its label must be one that counts.
    cluster : array of int, optional
        Duplicate cluster of each face at the options' hash distance, where the caller knows it already.
    """
    options, decisions = options or FilterOptions(), dict(decisions or {})
    table = faces.table
    count = len(table)
    if cluster is None:
        hashes = parse_hashes(table[options.hash_kind])
        cluster = clusters(hashes, options.hash_distance, FLAT_HASHES[options.hash_kind])
    label = treat_incorrect(table["label"], options.incorrect_mask)
    decided = table["face_id"].map(decisions) if decisions else pd.Series(None, index=table.index, dtype=object)
    by_hand_keep, by_hand_drop = (decided == "keep").to_numpy(), (decided == "drop").to_numpy()
    fails = {
        "missing": table["dataset"].isin(faces.missing).to_numpy(),
        "incorrect_mask": (table["label"] == INCORRECT_MASK).to_numpy() & (options.incorrect_mask == "drop"),
        "by_hand": by_hand_drop,
    }
    counted = ~(fails["missing"] | fails["incorrect_mask"])
    by_hand_keep = by_hand_keep & counted  # else it would take the place of a copy that stays
    label_code = pd.factorize(label)[0]
    fails["conflict"] = conflicting(cluster, label_code, counted & ~by_hand_drop) & options.conflicts
    on = dict(zip(MEASURED, (options.aspect_ratio, options.rgb, options.small, options.blur), strict=True))
    margin = margins(table, options)
    fails |= {name: (margin[name] < 0).to_numpy() & on[name] for name in MEASURED}
    for name in ("conflict", *MEASURED):
        fails[name] &= ~by_hand_keep
    spoiled = np.logical_or.reduce(list(fails.values()))
    identical = pd.factorize(table["pixels_digest"])[0].astype(np.int64) if options.exact else np.arange(count)
    survivor = np.arange(count)
    for name, group, is_on in (("exact", identical, options.exact), ("duplicate", cluster, options.duplicates)):
        best = surviving_copy(table, group, spoiled, by_hand_keep, label_code) if is_on else np.arange(count)
        fails[name] = (best != np.arange(count)) & ~by_hand_keep
        spoiled = spoiled | fails[name]  # the two filters may prefer different copies, but never remove them all
        survivor = np.where(fails[name], best, survivor)
    first = np.argmax(np.stack([*(fails[name] for name in FILTERS), np.ones(count, bool)]), axis=0)
    removed_by = np.array([*FILTERS, ""], dtype=object)[first]
    face_id = table["face_id"].to_numpy(dtype=object)
    is_copy = np.isin(removed_by, ("exact", "duplicate"))
    decision = pd.DataFrame(
        {
            "face_id": table["face_id"].to_numpy(),
            "label": label.to_numpy(),
            "cluster": cluster,
            **{name: fails[name] for name in FILTERS},
            "removed_by": pd.array(removed_by, dtype="str"),
            "kept_face": pd.array(np.where(is_copy, face_id[survivor], ""), dtype="str"),
        }
    )
    return Filtered(decision, options, faces.fingerprint, decisions)


def near_faces(faces: Faces, kind: HashKind, max_distance: int = MAX_DISTANCE) -> NearPairs:
    """The near pairs of faces by one kind of hash, searched once for all distances up to ``max_distance``."""
    return near_pairs_of(parse_hashes(faces.table[kind]), max_distance, FLAT_HASHES[kind])


def margins(table: pd.DataFrame, options: FilterOptions) -> pd.DataFrame:
    """How far each face is from the threshold of each measured filter, relative to it; below 0 it fails.

    Returns
    -------
    DataFrame
        Columns aspect_ratio (infinite for faces that are not small; resizing a small face far from square distorts it
        too much, study 4.2.1), rgb (a channel mean almost dark or bright, study 4.2.1), small, blur.
    """

    def relative(difference: Any, threshold: float) -> Any:
        return difference / max(threshold, 1e-9)

    ratio = table["aspect_ratio"].to_numpy()
    square = np.minimum(
        relative(ratio - options.min_aspect_ratio, options.min_aspect_ratio),
        relative(options.max_aspect_ratio - ratio, options.max_aspect_ratio),
    )
    means = table[["mean_red", "mean_green", "mean_blue"]].to_numpy()
    side = np.minimum(table["width"].to_numpy(), table["height"].to_numpy())
    return pd.DataFrame(
        {
            "aspect_ratio": np.where(table["sqrt_size"].to_numpy() < options.small_size, square, inf),
            "rgb": np.minimum(means.min(1) - options.min_channel_mean, options.max_channel_mean - means.max(1)) / 255,
            "small": relative(side - options.min_side, options.min_side),
            "blur": relative(table["sharpness"].to_numpy() - options.min_sharpness, options.min_sharpness),
        },
        index=table.index,
    )


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


def conflicting(cluster: Positions, label: npt.NDArray[Any], counted: Mask) -> Mask:
    """True for faces of a cluster in which faces that count have different labels (as numbers)."""
    low = np.full(int(cluster.max(initial=-1)) + 1, np.iinfo(np.int64).max)
    high = np.full(len(low), -1)
    np.minimum.at(low, cluster[counted], label[counted])
    np.maximum.at(high, cluster[counted], label[counted])
    return np.asarray((high > low)[cluster], dtype=np.bool_)


def surviving_copy(
    table: pd.DataFrame, cluster: Positions, spoiled: Mask, kept_by_hand: Mask, label: npt.NDArray[Any]
) -> Positions:
    """Position of the face that stays, for each face of its duplicate cluster.

    The survivor is one kept by hand, then one that fails no other filter, then the one with most pixels, then one whose
    label most of the cluster has, then the first by face id (our choice: the study does not say which copy it keeps).
    """
    survivor = np.arange(len(table))
    size = np.bincount(cluster, minlength=1)[cluster]
    at = np.flatnonzero(size > 1)  # the few that have a copy at all: sorting all faces would take most of the time
    if not len(at):
        return survivor
    some, group = table.iloc[at], cluster[at]
    agreeing = pd.Series(1, index=at).groupby([group, label[at]]).transform("sum").to_numpy()
    face_id = some["face_id"].to_numpy(dtype=object).astype(str)
    pixels = (some["width"] * some["height"]).to_numpy()
    order = np.lexsort((face_id, -agreeing, -pixels, spoiled[at], ~kept_by_hand[at], group))
    first = np.r_[True, group[order][1:] != group[order][:-1]]
    survivor[at[order]] = at[order][first][np.cumsum(first) - 1]
    return survivor


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
    shown = [name for name in FILTERS if name in STUDY_FILTERS or name in counts]
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

    Two things are looked for: labels that lose very different shares (more than `WIDE_GAP` points apart), and a
    duplicate cluster so large (`LARGE_CLUSTER`) and so spread that the distance must have chained unrelated faces.
    """
    found = []
    shares = removed_of_label(filtered).set_index("label")["removed_percent"]
    if set(CLASSES) <= set(shares.index) and abs(shares[CLASSES[0]] - shares[CLASSES[1]]) > WIDE_GAP:
        by_filter = pd.crosstab(filtered.table["label"], filtered.table["removed_by"], normalize="index")
        gap = (by_filter.loc[CLASSES[0]] - by_filter.loc[CLASSES[1]]).drop("", errors="ignore").abs()
        found.append(
            f"The filters remove {shares[CLASSES[0]]:.1f} % of the faces with mask, but {shares[CLASSES[1]]:.1f} % of "
            f"those without, mostly by the filter “{FILTER_TITLES[str(gap.idxmax())]}”. What is left is balanced "
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
    spoiled = np.logical_or.reduce([table[name].to_numpy() for name in FILTERS if name != "duplicate"])
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


def save_filtered(workspace: Workspace, filtered: Filtered) -> None:
    """Write the decision and its options to the workspace."""
    write_table(workspace.path("filtered.parquet"), filtered.table)
    description = {
        "options": asdict(filtered.options),
        "faces_fingerprint": filtered.faces_fingerprint,
        "decisions": filtered.decisions,
    }
    write_json(workspace.path("filter.json"), description)


def load_filtered(workspace: Workspace, faces: Faces) -> Filtered:
    """The decision that was last written.

    Raises
    ------
    WorkspaceError
        If there is none, or it was made for other faces than the workspace holds now.
    """
    if not workspace.path("filter.json").is_file():
        raise WorkspaceError("The faces are not filtered yet: run `python -m maskdet filter` first.")
    description = read_json(workspace.path("filter.json"))
    filtered = Filtered(
        read_table(workspace.path("filtered.parquet")),
        options_from(FilterOptions, description["options"]),
        description["faces_fingerprint"],
        description.get("decisions", {}),
    )
    if filtered.faces_fingerprint != faces.fingerprint:
        raise WorkspaceError("The faces changed since they were filtered: run `python -m maskdet filter` again.")
    return filtered


def options_from(kind: type[Options], values: dict[str, Any]) -> Options:
    """Options from a stored dictionary. Raises WorkspaceError if it names others than this version knows."""
    try:
        return kind(**values)
    except TypeError as error:
        raise WorkspaceError(f"The stored options are of another version of MaskDet ({error}).") from error
