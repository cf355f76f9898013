"""Leaks: faces that a model is judged on and that look like faces it was trained on.

A test face with a near-duplicate in the training data measures memory, not skill. A split leaks at a Hamming distance
the validation or test faces whose nearest training face is within it. Faces of one photo, and of related photos (see
`maskdet.related`), leak at any distance, since hashes miss most of them.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from maskdet.catalog import Dataset
from maskdet.duplicates import NearPairs
from maskdet.facetable import Faces
from maskdet.quality import Filtered
from maskdet.related import related_groups
from maskdet.split import SPLITS, Split, SplitOptions, split_faces

#: Splits that can be compared, and what they are called.
SPLIT_TITLES: Final = {
    "publisher": "Publisher's split, as published",
    "publisher_kept": "Publisher's split, after the filters",
    "by_face": "Random split by face, as in the study",
    "grouped": "Split by photo, related photos and duplicate cluster",
}
Names = npt.NDArray[np.object_]


def compare_splits(
    faces: Faces, filtered: Filtered, catalog: dict[str, Dataset], options: SplitOptions | None = None
) -> dict[str, Names]:
    """The split of each face under each of `SPLIT_TITLES`, "" for faces that are in none.

    The publisher's are left out where no dataset came with a split, those of kept faces where no face is kept.
    """
    published = faces.table["publisher_split"].to_numpy(dtype=object)
    splits: dict[str, Names] = {}
    kept = (filtered.table["removed_by"] == "").to_numpy()
    if (published != "").any():
        splits |= {"publisher": published, "publisher_kept": np.where(kept, published, "")}
    if kept.any():
        chosen = options or SplitOptions()
        for name, grouped in (("by_face", False), ("grouped", True)):
            own = SplitOptions(*chosen.shares, chosen.seed, chosen.group_distance, grouped)
            splits[name] = names_of(split_faces(faces, filtered, catalog, own), faces)
    return splits


def names_of(split: Split, faces: Faces) -> Names:
    """The split of each face in the face table's order, "" for faces that are in none."""
    by_face = split.table.set_index("face_id")["split"].reindex(faces.table["face_id"])
    return by_face.fillna("").to_numpy(dtype=object)


def leak_table(
    faces: Faces, pairs: NearPairs, splits: Mapping[str, Names], catalog: Mapping[str, Dataset]
) -> pd.DataFrame:
    """How many validation and test faces have a training face nearby, by distance.

    Parameters
    ----------
    pairs : NearPairs
        Of the faces' hashes.
    splits : dict
        The split of each face, by the name of the splitting (see `compare_splits`).

    Returns
    -------
    DataFrame
        A row a splitting, part (validation or test) and distance from 0 to ``pairs.max_distance``: splitting, part,
        distance, faces (of the part), leaks (those with a training face within the distance), percent, and related
        (those with a training face in the same photo or one that is related to it, whatever the distance).
    """
    relatives = related_groups(faces.table, catalog)
    rows = []
    for name, split in splits.items():
        in_train = split == SPLITS[0]
        relative_in_train = np.bincount(relatives, weights=in_train) > 0
        for part in SPLITS[1:]:
            member = split == part
            nearest = pairs.nearest(member, in_train)
            total = int(member.sum())
            related = int(relative_in_train[relatives[member]].sum())
            within = np.cumsum(np.bincount(nearest[nearest >= 0], minlength=pairs.max_distance + 1))
            for distance, leaks in enumerate(within.tolist()):
                percent = 100 * leaks / total if total else 0.0
                rows.append((name, part, distance, total, leaks, round(percent, 2), related))
    return pd.DataFrame(rows, columns=["splitting", "part", "distance", "faces", "leaks", "percent", "related"])


def leaking_faces(pairs: NearPairs, split: Names, distance: int) -> pd.DataFrame:
    """Each validation or test face with a training face within the distance, beside the nearest of those.

    Returns
    -------
    DataFrame
        Positions in the face table: face, train_face; and distance in bits. The nearest first, then by position.
    """
    in_train = split == SPLITS[0]
    judged = np.isin(split, SPLITS[1:])
    nearest = pairs.nearest(judged, in_train)
    face = np.flatnonzero((nearest >= 0) & (nearest <= distance))
    face = face[np.argsort(nearest[face], kind="stable")]
    # One training face stands for all that share its hash.
    example = np.full(len(pairs.values), -1)
    train = np.flatnonzero(in_train)[::-1]
    example[pairs.inverse[train]] = train
    # For each hash, its nearest hash with a training face: pairs come nearest first, so the first one found counts.
    partner = np.full(len(pairs.values), -1)
    partner[example >= 0] = np.flatnonzero(example >= 0)
    here = np.concatenate([pairs.first, pairs.second])
    there = np.concatenate([pairs.second, pairs.first])
    apart = np.concatenate([pairs.distance, pairs.distance])
    order = np.argsort(apart, kind="stable")
    order = order[example[there[order]] >= 0][::-1]
    found = partner.copy()
    found[here[order]] = there[order]
    partner = np.where(partner >= 0, partner, found)
    return pd.DataFrame({"face": face, "train_face": example[partner[pairs.inverse[face]]], "distance": nearest[face]})
