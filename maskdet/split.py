"""Split faces into training, validation and test data so that no two related faces are ever parted.

The study splits 60/20/20 at random, Dataset 1 alone and the others together (4.2.2). Here, in addition, faces of one
photo and faces of one duplicate cluster form a *group*, and a group lies in one split as a whole; within that rule,
every split gets its share of each dataset and label.
"""

from dataclasses import asdict, dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from maskdet.catalog import Dataset, Pool, lookup
from maskdet.duplicates import MAX_DISTANCE, clusters, join, parse_hashes
from maskdet.errors import MaskDetError, WorkspaceError
from maskdet.facetable import Faces, table_fingerprint
from maskdet.quality import Filtered, options_from
from maskdet.workspace import Workspace, read_json, read_table, write_json, write_table

SplitName = Literal["train", "validation", "test"]
SPLITS: Final[tuple[SplitName, ...]] = ("train", "validation", "test")


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
    """

    table: pd.DataFrame
    options: SplitOptions
    faces_fingerprint: str
    fingerprint: str


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
    table["group"] = _groups(table, options.group_distance) if options.grouped else np.arange(len(table))
    # Strata are parts of one dataset, so each pool gets its shares; dealt together, a group that reaches into both
    # pools stays whole too, and nothing that transfer learning was pre-trained on comes back as test data.
    stratum = table.groupby(["dataset", "label"]).ngroup().to_numpy().astype(np.int64)
    assigned = assign_groups(table["group"].to_numpy(), stratum, options.shares, np.random.default_rng(options.seed))
    table["split"] = np.array(SPLITS)[assigned]
    columns = ["face_id", "dataset", "label", "pool", "group", "split"]
    return Split(table[columns], options, filtered.faces_fingerprint, _fingerprint(faces, table[columns]))


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
    """Write the split, its options and fingerprint to the workspace."""
    write_table(workspace.path("split.parquet"), split.table)
    description = {
        "options": asdict(split.options),
        "faces_fingerprint": split.faces_fingerprint,
        "fingerprint": split.fingerprint,
    }
    write_json(workspace.path("split.json"), description)


def load_split(workspace: Workspace, faces: Faces) -> Split:
    """The split that was last written.

    Raises
    ------
    WorkspaceError
        If there is none, it was made for other faces than the workspace holds now, or the two files don't belong
        together.
    """
    if not workspace.path("split.json").is_file():
        raise WorkspaceError("The faces are not split yet: run `python -m maskdet split` first.")
    description = read_json(workspace.path("split.json"))
    if description["faces_fingerprint"] != faces.fingerprint:
        raise WorkspaceError(
            "The faces changed since they were split: run `python -m maskdet filter`, then `python -m maskdet split`."
        )
    table = read_table(workspace.path("split.parquet"))
    options = options_from(SplitOptions, description["options"])
    if _fingerprint(faces, table) != description["fingerprint"]:
        raise WorkspaceError("The split is incomplete: run `python -m maskdet split` again.")
    return Split(table, options, description["faces_fingerprint"], description["fingerprint"])


def pool_table(split: Split, pool: Pool) -> pd.DataFrame:
    """The rows of one pool."""
    return split.table[split.table["pool"] == pool].reset_index(drop=True)


def _fingerprint(faces: Faces, table: pd.DataFrame) -> str:
    phash = faces.table.set_index("face_id")["phash"].reindex(table["face_id"]).to_numpy()
    return table_fingerprint(table.assign(phash=phash), ["face_id", "label", "phash", "split"])


def _groups(table: pd.DataFrame, distance: int) -> npt.NDArray[np.int64]:
    """Group of each face: connected by a shared photo, by near hashes, or by the filter's duplicate clusters."""
    near = clusters(parse_hashes(table["phash"]), distance)
    photo = table.groupby(["dataset", "photo"]).ngroup().to_numpy()
    first, second, count = [], [], len(table)  # faces are nodes 0..n-1, then come the photos, and so on
    for shared in (photo, near, pd.factorize(table["cluster"])[0]):
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
