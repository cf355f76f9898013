"""Judged faces with their groups, and how many of each group, label and dataset there are and are misjudged.

"Cluster" means a group of related faces here, "group" the faces that share a value of an attribute.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from maskdet.errors import MaskDetError
from maskdet.intervals import FEWEST_FACES
from maskdet.labels import CLASSES

#: An attribute with more groups than this is no attribute but a name of each face (our choice).
MOST_GROUPS: Final = 100
_COLUMNS: Final = ("face_id", "dataset", "label", "group", "logit")

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class GroupOptions:
    """How groups are judged.

    Attributes
    ----------
    fewest : int
        Groups with fewer faces are too few to say anything of (our choice). For a rate these are faces of its label,
        for macro F1 faces of each label.
    seed : int
        Of the bootstrap and the permutations, at least 0.
    resamples : int
        Of the cluster bootstrap.
    permutations : int
        Of the permutation test, at least 20: fewer could never give p < 0.05.
    """

    fewest: int = FEWEST_FACES
    seed: int = 0
    resamples: int = 1000
    permutations: int = 1000

    def __post_init__(self) -> None:
        if self.fewest < 2:
            raise MaskDetError(f"A group needs at least 2 faces, not {self.fewest}.")
        if self.seed < 0:
            raise MaskDetError(f"The seed must be at least 0, not {self.seed}.")
        if self.resamples < 100 or self.permutations < 20:
            raise MaskDetError(
                "There must be at least 100 resamples and 20 permutations, not "
                f"{self.resamples} and {self.permutations}."
            )


@dataclass(frozen=True, eq=False)
class Judged:
    """The judged faces whose group is known; arrays of shape (faces,).

    Attributes
    ----------
    names : tuple of str
        Groups, in the order in which they are shown.
    datasets : tuple of str
        Their source datasets.
    group, dataset, cluster : array of int
        Indices of each face's group, dataset and cluster of related faces.
    actual : array of int
        0 with mask, 1 without.
    predicted : array of int
        The verdict, likewise.
    """

    names: tuple[str, ...]
    datasets: tuple[str, ...]
    group: Counts
    dataset: Counts
    cluster: Counts
    actual: Counts
    predicted: Counts

    @cached_property
    def wrong(self) -> npt.NDArray[np.bool_]:
        """True where the verdict is not the label, shape (n,)."""
        return np.asarray(self.actual != self.predicted)

    @cached_property
    def faces(self) -> Counts:
        """Faces of each group and label, shape (groups, 2)."""
        return self._count(self.group, len(self.names)).reshape(-1, 2)

    @cached_property
    def faces_by_dataset(self) -> Counts:
        """Faces of each dataset, group and label, shape (datasets, groups, 2)."""
        return self._count(self.cell, self.cells).reshape(len(self.datasets), len(self.names), 2)

    @cached_property
    def wrong_by_dataset(self) -> Counts:
        """Misjudged faces, likewise."""
        place = (2 * self.cell + self.actual)[self.wrong]
        return np.bincount(place, minlength=2 * self.cells).reshape(self.faces_by_dataset.shape).astype(np.int64)

    @cached_property
    def clusters(self) -> Counts:
        """Clusters with a face of each group and label, shape (groups, 2)."""
        return self._count_clusters(self.group, len(self.names)).reshape(-1, 2)

    @cached_property
    def clusters_by_dataset(self) -> Counts:
        """Clusters with a face of each dataset, group and label, shape (datasets, groups, 2)."""
        return self._count_clusters(self.cell, self.cells).reshape(len(self.datasets), len(self.names), 2)

    @property
    def cell(self) -> Counts:
        """Index of each face's dataset and group together."""
        return self.dataset * len(self.names) + self.group

    @property
    def cells(self) -> int:
        """How many pairs of a dataset and a group there are."""
        return len(self.datasets) * len(self.names)

    def _count(self, place: Counts, places: int) -> Counts:
        return np.bincount(2 * place + self.actual, minlength=2 * places).astype(np.int64)

    def _count_clusters(self, place: Counts, places: int) -> Counts:
        pairs = np.unique(np.stack([self.cluster, 2 * place + self.actual]), axis=1)
        return np.bincount(pairs[1], minlength=2 * places).astype(np.int64)


def judged_of(predictions: pd.DataFrame, groups: "pd.Series[Any]", attribute: str) -> Judged:
    """The faces of some predictions whose group is known.

    Parameters
    ----------
    predictions : DataFrame
        Columns face_id, dataset, label, group (of related faces), logit (above 0: without mask).
    groups : Series
        A group's name for each face id; missing, NaN and "" where it is not known. The groups of a Categorical come in
        its order, others by name.

    Raises
    ------
    MaskDetError
        If a column is missing, a face is there twice, a label is none of `CLASSES`, or there are more than
        `MOST_GROUPS` groups.
    """
    check_predictions(predictions)
    names = group_names(groups)
    if len(names) > MOST_GROUPS:
        raise MaskDetError(
            f"{attribute!r} has {len(names):,} different values; an attribute may have at most {MOST_GROUPS} groups."
        )
    place = pd.Series(range(len(names)), index=list(names), dtype="int64")
    known = groups.astype(object).map(place.to_dict()).dropna().astype("int64")
    if known.index.has_duplicates:
        raise MaskDetError(f"{attribute!r} has several values for one face.")
    group = predictions["face_id"].map(known)
    rows, group = predictions[group.notna()], group.dropna()
    dataset, datasets = pd.factorize(rows["dataset"], sort=True)
    present = np.unique(group.to_numpy(np.int64))
    return Judged(
        names=tuple(str(names[i]) for i in present),  # booleans and numbers too
        datasets=tuple(str(name) for name in datasets),
        group=np.searchsorted(present, group.to_numpy(np.int64)).astype(np.int64),
        dataset=dataset.astype(np.int64),
        cluster=pd.factorize(rows["group"])[0].astype(np.int64),
        actual=(rows["label"] == CLASSES[1]).to_numpy().astype(np.int64),
        predicted=(rows["logit"] > 0).to_numpy().astype(np.int64),
    )


def check_predictions(predictions: pd.DataFrame) -> None:
    """Raise MaskDetError if these are no predictions of faces with and without mask, a row a face."""
    missing = [name for name in _COLUMNS if name not in predictions]
    if missing:
        raise MaskDetError(f"The predictions lack the columns {', '.join(missing)}.")
    if predictions["face_id"].duplicated().any():
        raise MaskDetError("The predictions judge a face twice.")
    if not predictions["label"].isin(CLASSES).all():
        raise MaskDetError(f"Faces are judged that are labelled neither {CLASSES[0]} nor {CLASSES[1]}.")
    if predictions["logit"].isna().any():
        raise MaskDetError("The predictions have a face without a logit.")


def group_names(groups: "pd.Series[Any]") -> tuple[str, ...]:
    """The groups of some faces in the order in which they are shown; unknown ones are none."""
    if isinstance(groups.dtype, pd.CategoricalDtype):
        return tuple(value for value in groups.cat.remove_unused_categories().cat.categories if value != "")
    return tuple(sorted({value for value in groups.dropna() if value != ""}, key=str))
