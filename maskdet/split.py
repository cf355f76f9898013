"""Split faces into training, validation and test data so that no two related faces are ever parted.

The study splits 60/20/20 at random, Dataset 1 alone and the others together (4.2.2). Here, in addition, faces of one
photo, of related photos (see `maskdet.related`) and of one duplicate cluster form a *group*, and a group lies in one
split as a whole; within that rule, every split gets its share of each dataset and label.

The split in force lies in ``split.parquet`` and ``split.json``; each that was ever saved stays under its fingerprint in
``splits/``, so that a model can be trained on an earlier one.
"""

import re
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from maskdet.catalog import Dataset, Pool, lookup
from maskdet.duplicates import MAX_DISTANCE, clusters, join, parse_hashes
from maskdet.errors import ODD_VALUES, MaskDetError, WorkspaceError
from maskdet.facetable import Faces, table_fingerprint
from maskdet.labels import CLASSES
from maskdet.quality import Filtered, load_filtered, options_from
from maskdet.related import related_groups
from maskdet.workspace import Workspace, is_record, read_json, read_table, unreadable, write_json, write_table

SplitName = Literal["train", "validation", "test"]
SPLITS: Final[tuple[SplitName, ...]] = ("train", "validation", "test")
#: Where saved splits stay, in the workspace.
FOLDER: Final = "splits"
_FINGERPRINT: Final = re.compile(r"[0-9a-f]{6,64}")
_COLUMNS: Final = ("face_id", "dataset", "label", "group", "pool", "split")
_COUNTED: Final = dict.fromkeys((*SPLITS, "faces"), "int64")
_CHANGED: Final = (
    "The faces changed since they were split: run `python -m maskdet filter`, then `python -m maskdet split`."
)


@dataclass(frozen=True)
class SplitOptions:
    """How to split.

    Attributes
    ----------
    train, validation, test : float
        Shares of the faces, above 0, with sum 1 (study: 0.6, 0.2, 0.2).
    seed : int
        At least 0. The same faces and seed give the same split.
    group_distance : int
        Faces whose hashes differ in at most this many of 64 bits stay together, also those that the duplicate filter
        left. 6 is the widest distance at which unrelated faces of the study's datasets don't chain into one large
        group (our choice; at 8 the largest group has 324 faces).
    grouped : bool
        False splits face by face at random, as the study does, and parts photos and duplicates: only to see what that
        leaks (see `maskdet.leaks`).
    """

    train: float = 0.6
    validation: float = 0.2
    test: float = 0.2
    seed: int = 0
    group_distance: int = 6
    grouped: bool = True

    def __post_init__(self) -> None:
        if not (min(self.shares) > 0 and abs(sum(self.shares) - 1) <= 1e-9):
            raise MaskDetError(f"The shares of the split must be above 0 and sum to 1, not {self.shares}.")
        if self.seed < 0:
            raise MaskDetError(f"The seed must be at least 0, not {self.seed}.")
        if not 0 <= self.group_distance <= MAX_DISTANCE:
            raise MaskDetError(f"The group distance must be 0 to {MAX_DISTANCE} bits, not {self.group_distance}.")

    @property
    def shares(self) -> tuple[float, float, float]:
        """The shares in the order of `SPLITS`."""
        return (self.train, self.validation, self.test)


@dataclass(frozen=True)
class Split:
    """Faces with their split.

    Attributes
    ----------
    table : DataFrame
        A row a kept face: ``face_id, dataset, label, pool, group, split``.
    fingerprint : str
        Digest of the faces, labels, pixels' hashes and splits; every run carries it.
    filter_options : dict or None
        Options of the filters that its faces passed; None where that is not known any more.
    created : str
        When it was saved, UTC as ISO 8601; "" before.
    """

    table: pd.DataFrame
    options: SplitOptions
    faces_fingerprint: str
    fingerprint: str
    filter_options: dict[str, Any] | None = None
    created: str = ""


@dataclass(frozen=True)
class SavedSplit:
    """What is known of a saved split without reading its table.

    Attributes
    ----------
    created : str
        When it was saved, UTC as ISO 8601; "" for one of a version that did not note it.
    counts : DataFrame
        Faces by dataset, label and split, as `split_table` gives them.
    filter_options : dict or None
        Options of the filters that its faces passed; None where that is not known any more.
    split_options : dict
        Options of the split.
    in_force : bool
        True for the one that was saved last.
    reason : str
        Why nothing can be trained on it any more, in a sentence; "" where one can.
    """

    fingerprint: str
    created: str
    counts: pd.DataFrame
    filter_options: dict[str, Any] | None
    split_options: dict[str, Any]
    in_force: bool
    reason: str = ""

    @property
    def usable(self) -> bool:
        """True where a model can be trained on it."""
        return not self.reason

    def faces(self, pool: Pool = "main", labels: tuple[str, ...] = CLASSES) -> dict[SplitName, int]:
        """Faces of a pool in each split, of those labels that models tell apart."""
        rows = self._rows(pool, labels)
        return {name: int(rows[name].sum()) for name in SPLITS}

    def datasets(self, pool: Pool = "main", labels: tuple[str, ...] = CLASSES) -> list[str]:
        """Ids of a pool's datasets."""
        return sorted(self._rows(pool, labels)["dataset"].unique())

    def _rows(self, pool: Pool, labels: tuple[str, ...]) -> pd.DataFrame:
        return self.counts[(self.counts["pool"] == pool) & self.counts["label"].isin(labels)]


def split_faces(
    faces: Faces, filtered: Filtered, catalog: dict[str, Dataset], options: SplitOptions | None = None
) -> Split:
    """Split the faces that the filters kept.

    Raises
    ------
    MaskDetError
        If no face was kept.
    """
    options = options or SplitOptions()
    kept = filtered.kept
    if kept.empty:
        raise MaskDetError("The filters removed every face; loosen them before splitting.")
    table = faces.table.set_index("face_id").loc[kept["face_id"], ["dataset", "photo", "phash"]].reset_index()
    table["label"], table["cluster"] = kept["label"].to_numpy(), kept["cluster"].to_numpy()
    pools = {dataset: lookup(catalog, dataset).pool for dataset in table["dataset"].unique()}
    table["pool"] = table["dataset"].map(pools)
    # Fixed order first: the result must not depend on the order in which faces were read.
    table = table.sort_values("face_id", ignore_index=True)
    grouped = _groups(table, options.group_distance, catalog) if options.grouped else np.arange(len(table))
    table["group"] = grouped
    # Strata are parts of one dataset, so each pool gets its shares; dealt together, a group that reaches into both
    # pools stays whole too, and nothing that transfer learning was pre-trained on comes back as test data.
    stratum = table.groupby(["dataset", "label"]).ngroup().to_numpy().astype(np.int64)
    assigned = assign_groups(table["group"].to_numpy(), stratum, options.shares, np.random.default_rng(options.seed))
    table["split"] = np.array(SPLITS)[assigned]
    columns = ["face_id", "dataset", "label", "pool", "group", "split"]
    fingerprint = _fingerprint(faces, table[columns])
    return Split(table[columns], options, filtered.faces_fingerprint, fingerprint, asdict(filtered.options))


def assign_groups(
    group: npt.NDArray[np.int64],
    stratum: npt.NDArray[np.int64],
    shares: tuple[float, ...],
    rng: np.random.Generator,
) -> npt.NDArray[np.int64]:
    """Assign whole groups to splits so that each split gets its share of each stratum.

    Groups are dealt from the largest to the smallest, in random order among equals, each to the split whose shares it
    brings closest to the aim (the greatest remaining need, relative to the size of the stratum). Faces that are alone
    in their group, usually the most, come last and even out what larger groups left uneven.

    Parameters
    ----------
    group, stratum : array of int, shape (n,)
    shares : tuple of float
        Share of each split, sum 1.

    Returns
    -------
    array of int, shape (n,)
        Index of the split of each face.
    """
    _, group = np.unique(group, return_inverse=True)
    strata = int(stratum.max()) + 1
    counts = np.zeros((int(group.max()) + 1, strata))
    np.add.at(counts, (group, stratum), 1)
    size = counts.sum(axis=1)
    total = counts.sum(axis=0)
    need = np.outer(shares, total)
    split_of = np.empty(len(counts), dtype=np.int64)
    shuffled = rng.permutation(len(counts))
    large = shuffled[size[shuffled] > 1]
    for g in large[np.argsort(-size[large], kind="stable")]:
        split_of[g] = int(np.argmax((need / total) @ counts[g]))
        need[split_of[g]] -= counts[g]
    alone = shuffled[size[shuffled] == 1]
    alone_stratum = counts[alone].argmax(axis=1)
    for s in range(strata):
        members = alone[alone_stratum == s]
        split_of[members] = np.repeat(np.arange(len(shares)), _apportion(need[:, s], len(members)))
    return np.asarray(split_of[group], dtype=np.int64)


def split_table(split: Split) -> pd.DataFrame:
    """Faces by dataset, label and split: columns pool, dataset, label, train, validation, test, faces."""
    counts = split.table.groupby(["pool", "dataset", "label", "split"]).size().unstack("split", fill_value=0)
    counts = counts.reindex(columns=list(SPLITS), fill_value=0)
    counts["faces"] = counts.sum(axis=1)
    return counts.reset_index().rename_axis(columns=None)


def save_split(workspace: Workspace, split: Split) -> None:
    """Write the split to the workspace: as the one in force, and to stay under its fingerprint.

    Raises
    ------
    WorkspaceError
        If the workspace cannot be written.
    """
    _keep_earlier(workspace)
    description = {
        "options": asdict(split.options),
        "faces_fingerprint": split.faces_fingerprint,
        "fingerprint": split.fingerprint,
        "filter": split.filter_options,
        "created": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "counts": _counts(split.table),
    }
    for table_path, path in (_archived(workspace, split.fingerprint), _current(workspace)):
        write_table(table_path, split.table)
        write_json(path, description, version=1)


def load_split(workspace: Workspace, faces: Faces, fingerprint: str | None = None) -> Split:
    """A saved split by its fingerprint, or the one in force.

    Raises
    ------
    WorkspaceError
        If there is none, it was made for other faces than the workspace holds now, or the two files don't belong
        together.
    """
    table_path, path = _current(workspace)
    if fingerprint is not None and _archived(workspace, fingerprint)[1].is_file():
        table_path, path = _archived(workspace, fingerprint)
    if not path.is_file():
        raise WorkspaceError("The faces are not split yet: run `python -m maskdet split` first.")
    description = _description(path)
    if fingerprint not in (None, description["fingerprint"]):
        known = ", ".join(saved.fingerprint for saved in saved_splits(workspace, faces))
        raise WorkspaceError(f"There is no split {fingerprint}; there is {known}.")
    if description["faces_fingerprint"] != faces.fingerprint:
        raise WorkspaceError(_CHANGED)
    table = read_table(table_path, _COLUMNS)
    options = options_from(SplitOptions, description["options"])
    if _fingerprint(faces, table) != description["fingerprint"]:
        raise WorkspaceError("The split is incomplete: run `python -m maskdet split` again.")
    split = Split(
        table, options, description["faces_fingerprint"], description["fingerprint"], description.get("filter"),
        description.get("created", ""),
    )  # fmt: skip
    return split if "filter" in description else replace(split, filter_options=_filters_of(workspace, faces, split))


def saved_splits(workspace: Workspace, faces: Faces) -> list[SavedSplit]:
    """All saved splits, newest first; the one in force is the first. Damaged ones are passed over."""
    now = faces.fingerprint
    in_force = _known(_current(workspace)[1], now, in_force=True)
    known = [_known(path, now, in_force=False) for path in workspace.path(FOLDER).glob("*.json")]
    earlier = [saved for saved in known if saved and not (in_force and saved.fingerprint == in_force.fingerprint)]
    earlier.sort(key=lambda saved: (saved.created, saved.fingerprint), reverse=True)
    return [in_force, *earlier] if in_force else earlier


def _known(path: Path, faces_fingerprint: str, *, in_force: bool) -> SavedSplit | None:
    """What a description and, for one of an older version, its table say; None if they are missing or damaged."""
    try:
        description = _description(path)
        counts = description.get("counts") or _counts(read_table(path.with_suffix(".parquet")))
        return SavedSplit(
            fingerprint=description["fingerprint"],
            created=description.get("created", ""),
            counts=pd.DataFrame(counts, columns=["pool", "dataset", "label", *_COUNTED]).astype(_COUNTED),
            filter_options=description.get("filter"),
            split_options=description["options"],
            in_force=in_force,
            reason="" if description["faces_fingerprint"] == faces_fingerprint else _CHANGED,
        )
    except ODD_VALUES:
        return None


def _description(path: Path) -> dict[str, Any]:
    description: dict[str, Any] = read_json(path, version=1)
    whole = is_record(description, {"options": dict, "faces_fingerprint": str, "fingerprint": str})
    if not whole or not isinstance(description.get("created", ""), str):
        raise unreadable(path, "it is of another kind")
    return description


def _current(workspace: Workspace) -> tuple[Path, Path]:
    return workspace.path("split.parquet"), workspace.path("split.json")


def _archived(workspace: Workspace, fingerprint: str) -> tuple[Path, Path]:
    if not _FINGERPRINT.fullmatch(fingerprint):  # it becomes a file's name
        raise WorkspaceError(f"{fingerprint!r} is no fingerprint of a split.")
    return workspace.path(FOLDER, f"{fingerprint}.parquet"), workspace.path(FOLDER, f"{fingerprint}.json")


def _counts(table: pd.DataFrame) -> list[dict[str, Any]]:
    counts = split_table(Split(table, SplitOptions(), "", ""))
    return [{str(name): value for name, value in row.items()} for row in counts.to_dict("records")]


def _keep_earlier(workspace: Workspace) -> None:
    """Keep the split in force under its fingerprint too, where an older version wrote it."""
    table_path, path = _current(workspace)
    try:
        description = _description(path)
        archived_table, archived = _archived(workspace, description["fingerprint"])
        if archived.is_file():
            return
        table = read_table(table_path, _COLUMNS)
        counts = _counts(table)
    except ODD_VALUES:  # there is none, or it is damaged: nothing to keep
        return
    write_table(archived_table, table)
    write_json(archived, {"filter": None, "created": ""} | description | {"counts": counts}, version=1)


def _filters_of(workspace: Workspace, faces: Faces, split: Split) -> dict[str, Any] | None:
    """The options of the filters in force, if it was these that a split's faces passed."""
    try:
        filtered = load_filtered(workspace, faces)
    except WorkspaceError:
        return None
    kept, table = (rows.set_index("face_id")["label"].to_dict() for rows in (filtered.kept, split.table))
    return asdict(filtered.options) if kept == table else None


def pool_table(split: Split, pool: Pool) -> pd.DataFrame:
    """The rows of one pool."""
    return split.table[split.table["pool"] == pool].reset_index(drop=True)


def _fingerprint(faces: Faces, table: pd.DataFrame) -> str:
    phash = faces.table.set_index("face_id")["phash"].reindex(table["face_id"]).to_numpy()
    return table_fingerprint(table.assign(phash=phash), ["face_id", "label", "phash", "split"])


def _groups(table: pd.DataFrame, distance: int, catalog: dict[str, Dataset]) -> npt.NDArray[np.int64]:
    """Group of each face: connected by one photo, related photos, near hashes, or the filter's duplicate clusters."""
    near = clusters(parse_hashes(table["phash"]), distance)
    first, second, count = [], [], len(table)  # faces are nodes 0..n-1, then come the photos, and so on
    for shared in (related_groups(table, catalog), near, pd.factorize(table["cluster"])[0]):
        first.append(np.arange(len(table)))
        second.append(count + shared)
        count += int(shared.max()) + 1
    joined = join(count, np.concatenate(first), np.concatenate(second))[: len(table)]
    return np.unique(joined, return_inverse=True)[1].astype(np.int64)


def _apportion(need: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.int64]:
    """Deal ``count`` faces out by need, by largest remainder; a split that has more than its share gets none."""
    need = np.maximum(need, 0)
    exact = need * (count / need.sum()) if need.sum() > 0 else np.full(len(need), count / len(need))
    whole = np.floor(exact + 1e-9).astype(np.int64)
    rest = count - int(whole.sum())
    whole[np.argsort(-(exact - whole), kind="stable")[:rest]] += 1
    return whole
