"""Decide which faces stay: the study's three filters (4.2.1) as pure functions of the face table.

Nothing here touches pixels, so a moved threshold costs milliseconds. A face may fail several filters; it is counted
under the first it fails, in the study's order: duplicate, aspect ratio, RGB.
"""

from dataclasses import asdict, dataclass
from math import inf
from typing import Any, Final, Literal, TypeVar, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from maskdet.duplicates import MAX_DISTANCE, clusters, parse_hashes
from maskdet.errors import MaskDetError, WorkspaceError
from maskdet.facetable import Faces
from maskdet.labels import INCORRECT_MASK, WITHOUT_MASK
from maskdet.workspace import Workspace, read_json, read_table, write_json, write_table

IncorrectMask = Literal["drop", "without_mask"]
Options = TypeVar("Options")
#: The filters in the order in which a removal is counted.
FILTERS: Final = ("incorrect_mask", "duplicate", "aspect_ratio", "rgb")
#: What each filter removes, for pages and tables.
FILTER_TITLES: Final = {
    "incorrect_mask": "Mask worn incorrectly",
    "duplicate": "Duplicate",
    "aspect_ratio": "Small and stretched",
    "rgb": "RGB anomaly",
}


@dataclass(frozen=True)
class FilterOptions:
    """Thresholds of the filters; the defaults are the study's where it names one.

    Attributes
    ----------
    duplicates, aspect_ratio, rgb : bool
        Whether the filter is on.
    hash_distance : int
        Two faces are duplicates if their perceptual hashes differ in at most this many of 64 bits. The study names no
        distance; at 4 the filter removes about as many faces as the study reports (about 400; our choice).
    small_size : float
        The aspect ratio matters only below this square-root size in pixels.
    min_aspect_ratio, max_aspect_ratio : float
        Height / width allowed for small faces.
    min_channel_mean, max_channel_mean : float
        A face is an RGB anomaly if the mean of any channel (0..255) is below or above.
    incorrect_mask : {"drop", "without_mask"}
        What becomes of faces whose mask is worn incorrectly. The study's tables know two labels only, and its counts
        for Dataset 3.1 leave these faces out, so they are dropped by default (our reading).
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

    def __post_init__(self) -> None:
        if not 0 <= self.hash_distance <= MAX_DISTANCE:
            raise MaskDetError(f"The hash distance must be 0 to {MAX_DISTANCE} bits, not {self.hash_distance}.")
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
        if self.incorrect_mask not in get_args(IncorrectMask):
            raise MaskDetError(f"incorrect_mask must be drop or without_mask, not {self.incorrect_mask!r}.")


@dataclass(frozen=True)
class Filtered:
    """The decision on every face, and the options and faces it was made from.

    Attributes
    ----------
    table : DataFrame
        A row a face, in the face table's order: ``face_id``; ``label`` as a model will see it; ``cluster``, the
        duplicate cluster; a column of bool a filter; ``removed_by``, the first filter it fails or ""; ``kept_face``,
        for a duplicate the copy preferred to it, which stays unless every copy fails another filter, else "".
    """

    table: pd.DataFrame
    options: FilterOptions
    faces_fingerprint: str

    @property
    def kept(self) -> pd.DataFrame:
        """The rows of the faces that stay."""
        return self.table[self.table["removed_by"] == ""]


def apply_filters(faces: Faces, options: FilterOptions | None = None) -> Filtered:
    """Decide on every face. The same faces and options give the same decision, whatever the order of rows."""
    options = options or FilterOptions()
    table = faces.table
    fails = pd.DataFrame(
        {
            "incorrect_mask": (table["label"] == INCORRECT_MASK) & (options.incorrect_mask == "drop"),
            "duplicate": False,
            "aspect_ratio": stretched(table, options) & options.aspect_ratio,
            "rgb": rgb_anomaly(table, options) & options.rgb,
        },
        index=table.index,
    )
    cluster = clusters(parse_hashes(table["phash"]), options.hash_distance)
    survivor = surviving_copy(table, cluster, spoiled=fails.any(axis=1).to_numpy())
    fails["duplicate"] = (survivor != np.arange(len(table))) & options.duplicates
    removed_by = np.select([fails[name] for name in FILTERS], FILTERS, default="")
    face_id = table["face_id"].to_numpy()
    decision = pd.DataFrame(
        {
            "face_id": face_id,
            "label": table["label"].replace({INCORRECT_MASK: WITHOUT_MASK})
            if options.incorrect_mask == "without_mask"
            else table["label"],
            "cluster": cluster,
            **fails,
            "removed_by": removed_by,
            "kept_face": np.where(removed_by == "duplicate", face_id[survivor], ""),
        }
    )
    return Filtered(decision, options, faces.fingerprint)


def stretched(table: pd.DataFrame, options: FilterOptions) -> "pd.Series[bool]":
    """True for small faces far from square: resizing them to a square would distort them too much (study, 4.2.1)."""
    ratio = table["aspect_ratio"]
    small = table["sqrt_size"] < options.small_size
    return small & ((ratio < options.min_aspect_ratio) | (ratio > options.max_aspect_ratio))


def rgb_anomaly(table: pd.DataFrame, options: FilterOptions) -> "pd.Series[bool]":
    """True for faces almost wholly dark or bright in at least one channel (study, 4.2.1)."""
    means = table[["mean_red", "mean_green", "mean_blue"]]
    return (means < options.min_channel_mean).any(axis=1) | (means > options.max_channel_mean).any(axis=1)


def surviving_copy(
    table: pd.DataFrame, cluster: npt.NDArray[np.int64], spoiled: npt.NDArray[np.bool_]
) -> npt.NDArray[np.int64]:
    """Position of the face that stays, for each face of its duplicate cluster.

    The survivor is one that fails no other filter, then the one with most pixels, then the first by face id (our
    choice: the study does not say which copy it keeps).
    """
    order = np.lexsort((table["face_id"], -(table["width"] * table["height"]), spoiled, cluster))
    first = np.r_[True, cluster[order][1:] != cluster[order][:-1]]
    survivor = np.empty(len(table), dtype=np.int64)
    survivor[order] = order[first][np.cumsum(first) - 1]
    return survivor


def removals(faces: Faces, filtered: Filtered) -> pd.DataFrame:
    """How many faces each filter removed, by dataset and label as published.

    Returns
    -------
    DataFrame
        Columns dataset, label, faces, one a filter, removed, kept, and removed_percent (of the faces in the row).
    """
    keys = faces.table[["dataset", "label"]].reset_index(drop=True)
    keys["removed_by"] = filtered.table["removed_by"].to_numpy()
    counts = keys.groupby(["dataset", "label", "removed_by"]).size().unstack("removed_by", fill_value=0)
    counts = counts.reindex(columns=[*FILTERS, ""], fill_value=0).rename(columns={"": "kept"})
    counts.insert(0, "faces", counts.sum(axis=1))
    counts["removed"] = counts["faces"] - counts["kept"]
    counts["removed_percent"] = (100 * counts["removed"] / counts["faces"]).round(2)
    return counts.reset_index().rename_axis(columns=None)


def save_filtered(workspace: Workspace, filtered: Filtered) -> None:
    """Write the decision and its options to the workspace."""
    write_table(workspace.path("filtered.parquet"), filtered.table)
    description = {"options": asdict(filtered.options), "faces_fingerprint": filtered.faces_fingerprint}
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
