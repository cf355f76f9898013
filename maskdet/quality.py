"""Decide which faces stay: the study's three filters (4.2.1), further ones, and decisions by hand.

Everything here is a pure function of the face table; nothing touches pixels, so a moved threshold costs milliseconds.
A face may fail several filters; it is counted under the first it fails, in the order of `filter_titles`. A filter's
*margin* says how far a face is from its threshold: below 0 it fails.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import inf
from typing import Any, Final, TypeVar, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from maskdet.decisions import Decision
from maskdet.duplicates import FLAT_HASHES, MAX_DISTANCE, NearPairs, clusters, near_pairs_of, parse_hashes
from maskdet.errors import MaskDetError, WorkspaceError, reason_of
from maskdet.facetable import Faces, table_fingerprint
from maskdet.further_filters import FURTHER, Thresholds, thresholds
from maskdet.labels import INCORRECT_MASK, LABELS, IncorrectMask, treat_incorrect
from maskdet.measure import HASH_KINDS, HashKind
from maskdet.workspace import Workspace, is_record, read_json, read_table, unreadable, write_json, write_table

Options = TypeVar("Options")
#: The study's three, and what becomes of masks worn incorrectly: shown even where they remove nothing.
STUDY_FILTERS: Final = ("incorrect_mask", "duplicate", "aspect_ratio", "rgb")
#: What each filter removes, for pages and tables, in the order in which a removal is counted.
_TITLES: Final = {
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
_MEASURED: Final = ("aspect_ratio", "rgb", "small", "blur")

Mask = npt.NDArray[np.bool_]
Positions = npt.NDArray[np.int64]


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
    further : tuple of (str, float)
        Filters of `maskdet.further_filters.FURTHER` that are on, each with the least value that it asks for.
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
    further: Thresholds = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "further", thresholds(self.further))  # it comes back from JSON as lists
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


def filter_titles() -> dict[str, str]:
    """What each filter removes, by name, in the order in which a removal is counted."""
    return _TITLES | {name: one.title for name, one in FURTHER.items()}


def measured_filters() -> tuple[str, ...]:
    """The filters with a threshold on one measurement, and so with a column in `margins`."""
    return (*_MEASURED, *FURTHER)


@dataclass(frozen=True)
class Filtered:
    """The decision on every face, and the options and faces it was made from.

    Attributes
    ----------
    table : DataFrame
        A row a face, in the order of the face table: ``face_id``; ``label`` as it counts, with the labels given by
        hand; ``cluster`` of duplicates; a column of bool a filter; ``removed_by``, the first filter it fails or "";
        ``kept_face``, for a duplicate the copy preferred to it, which stays unless every copy fails another filter,
        else "".
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
        By face id, see `maskdet.decisions`. A face that is relabelled has its new label before anything looks at
        labels. A face kept by hand passes every filter, except that its dataset must be there and its label must be one
        that counts.
    cluster : array of int, optional
        Duplicate cluster of each face at the options' hash distance, where the caller knows it already.
    """
    options, decisions = options or FilterOptions(), dict(decisions or {})
    table = faces.table
    count = len(table)
    if cluster is None:
        hashes = parse_hashes(table[options.hash_kind])
        cluster = clusters(hashes, options.hash_distance, FLAT_HASHES[options.hash_kind])
    decided = table["face_id"].map(decisions) if decisions else pd.Series(None, index=table.index, dtype=object)
    own_label = table["label"].mask(decided.isin(LABELS), decided)
    label = treat_incorrect(own_label, options.incorrect_mask)
    by_hand_keep, by_hand_drop = (decided == "keep").to_numpy(), (decided == "drop").to_numpy()
    fails = {
        "missing": table["dataset"].isin(faces.missing).to_numpy(),
        "incorrect_mask": (own_label == INCORRECT_MASK).to_numpy() & (options.incorrect_mask == "drop"),
        "by_hand": by_hand_drop,
    }
    counted = ~(fails["missing"] | fails["incorrect_mask"])
    by_hand_keep = by_hand_keep & counted  # else it would take the place of a copy that stays
    label_code = pd.factorize(label)[0]
    fails["conflict"] = conflicting(cluster, label_code, counted & ~by_hand_drop) & options.conflicts
    on = dict(zip(_MEASURED, (options.aspect_ratio, options.rgb, options.small, options.blur), strict=True))
    on |= {name: name in dict(options.further) for name in FURTHER}
    margin = margins(table, options)
    fails |= {name: (margin[name] < 0).to_numpy() & on[name] for name in on}
    for name in ("conflict", *on):
        fails[name] &= ~by_hand_keep
    spoiled = np.logical_or.reduce(list(fails.values()))
    identical = pd.factorize(table["pixels_digest"])[0].astype(np.int64) if options.exact else np.arange(count)
    survivor = np.arange(count)
    for name, group, is_on in (("exact", identical, options.exact), ("duplicate", cluster, options.duplicates)):
        best = surviving_copy(table, group, spoiled, by_hand_keep, label_code) if is_on else np.arange(count)
        fails[name] = (best != np.arange(count)) & ~by_hand_keep
        spoiled = spoiled | fails[name]  # the two filters may prefer different copies, but never remove them all
        survivor = np.where(fails[name], best, survivor)
    names = list(filter_titles())
    first = np.argmax(np.stack([*(fails[name] for name in names), np.ones(count, bool)]), axis=0)
    removed_by = np.array([*names, ""], dtype=object)[first]
    face_id = table["face_id"].to_numpy(dtype=object)
    is_copy = np.isin(removed_by, ("exact", "duplicate"))
    decision = pd.DataFrame(
        {
            "face_id": table["face_id"].to_numpy(),
            "label": label.to_numpy(),
            "cluster": cluster,
            **{name: fails[name] for name in names},
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
        too much, study 4.2.1), rgb (a channel mean almost dark or bright, study 4.2.1), small, blur, and each of
        `FURTHER`, by the options' threshold or, where it is off, the one to begin with.
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
    least = {name: one.least for name, one in FURTHER.items()} | dict(options.further)
    return pd.DataFrame(
        {
            "aspect_ratio": np.where(table["sqrt_size"].to_numpy() < options.small_size, square, inf),
            "rgb": np.minimum(means.min(1) - options.min_channel_mean, options.max_channel_mean - means.max(1)) / 255,
            "small": relative(side - options.min_side, options.min_side),
            "blur": relative(table["sharpness"].to_numpy() - options.min_sharpness, options.min_sharpness),
            **{name: relative(one.value(table).to_numpy() - least[name], least[name]) for name, one in FURTHER.items()},
        },
        index=table.index,
    )


def conflicting(cluster: Positions, label: npt.NDArray[Any], counted: Mask) -> Mask:
    """True for faces, shape (n,), of a cluster in which faces that count have different labels (numbers from 0)."""
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


def save_filtered(workspace: Workspace, filtered: Filtered) -> None:
    """Write the decision and its options to the workspace."""
    write_table(workspace.path("filtered.parquet"), filtered.table)
    description = {
        "options": asdict(filtered.options),
        "faces_fingerprint": filtered.faces_fingerprint,
        "decisions": filtered.decisions,
        "fingerprint": _fingerprint(filtered.table),
    }
    write_json(workspace.path("filter.json"), description, version=1)


def load_filtered(workspace: Workspace, faces: Faces) -> Filtered:
    """The decision that was last written.

    Raises
    ------
    WorkspaceError
        If there is none, it was made for other faces than the workspace holds now, or the two files don't belong
        together.
    """
    if not workspace.path("filter.json").is_file():
        raise WorkspaceError("The faces are not filtered yet: run `python -m maskdet filter` first.")
    path = workspace.path("filter.json")
    description = read_json(path, version=1)
    whole = is_record(description, {"options": dict, "faces_fingerprint": str})
    if not whole or not isinstance(description.get("decisions", {}), dict):
        raise unreadable(path, "it is of another kind")
    filtered = Filtered(
        read_table(workspace.path("filtered.parquet"), ("face_id", "label", "cluster", "removed_by", "kept_face")),
        options_from(FilterOptions, description["options"]),
        description["faces_fingerprint"],
        description.get("decisions", {}),
    )
    if filtered.faces_fingerprint != faces.fingerprint:
        raise WorkspaceError("The faces changed since they were filtered: run `python -m maskdet filter` again.")
    if description.get("fingerprint", "") not in ("", _fingerprint(filtered.table)):  # older versions wrote none
        raise WorkspaceError("The filtered set is incomplete: run `python -m maskdet filter` again.")
    return filtered


def _fingerprint(table: pd.DataFrame) -> str:
    return table_fingerprint(table, ["face_id", "label", "removed_by"])


def options_from(kind: type[Options], values: dict[str, Any]) -> Options:
    """Options from a stored dictionary. Raises WorkspaceError if it names others than this version knows."""
    try:
        return kind(**values)
    except (TypeError, ValueError) as error:
        raise WorkspaceError(f"The stored options are of another version of MaskDet ({reason_of(error)}).") from error
