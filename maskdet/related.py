"""Related photos: which belong together, where no hash tells.

A publisher's augmented copies of a photo are turned, flipped and zoomed too far for a perceptual hash; photos of one
person or one burst look alike without being copies. Parted by a split, they let a model be judged on what it was
trained on. A catalog's entry can name a table that says which belong together:

    [mine]
    name = "My photos"
    related = "related/mine.csv"     # beside the datasets.toml

    photo,group                      # mine.csv: the end of the photo's path, and any name for those it belongs to
    masked/anna_1.jpg,anna
    masked/anna_2.jpg,anna

The one that ships, of dataset 2.1, was found by comparing its 893 masked photos with its 4,990 augmented ones:
``Augmented_N_*`` are copies of the N-th of the others in the order of their names (our finding; the publisher says
nothing of it).
"""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from maskdet.catalog import Dataset, lookup
from maskdet.errors import MaskDetError, reason_of

_COLUMNS: Final = ("photo", "group")


def read_related(path: Path) -> dict[str, str]:
    """A table of related photos: the end of each photo's path, of as many folders as you like, and its group.

    Raises
    ------
    MaskDetError
        If the file cannot be read, or a row has no photo, no group, or says otherwise than an earlier one.
    """
    found: dict[str, str] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            if not set(_COLUMNS) <= set(rows.fieldnames or ()):
                raise MaskDetError(f"The table of related photos {path} needs the columns photo and group.")
            for row in rows:
                photo, group = (str(row[column] or "").strip() for column in _COLUMNS)
                photo = photo.replace("\\", "/").strip("/")
                if not (photo and group) or found.setdefault(photo, group) != group:
                    raise MaskDetError(
                        f"Line {rows.line_num} of the related photos {path} must give a photo and its one group."
                    )
    except (OSError, ValueError, csv.Error) as error:
        raise MaskDetError(f"The table of related photos {path} cannot be read ({reason_of(error)}).") from error
    return found


def related_groups(photos: pd.DataFrame, catalog: Mapping[str, Dataset]) -> npt.NDArray[np.int64]:
    """A number for each row: the same for rows of one photo, and for rows of related photos.

    Parameters
    ----------
    photos : DataFrame
        Columns dataset and photo (its path in the dataset, with ``/``).

    Returns
    -------
    array of int, shape (n,)
        From 0 without gaps, in the order of first appearance.

    Raises
    ------
    MaskDetError
        If a table of related photos cannot be read.
    """
    keys = photos["photo"].to_numpy(dtype=object).copy()
    dataset = photos["dataset"].to_numpy(dtype=object)
    for name in pd.unique(dataset):
        table = lookup(catalog, str(name)).related
        if table is not None:
            here = dataset == name
            # The mark before it: a photo whose own path is a group's name is not of that group.
            groups = _groups_of(read_related(table), keys[here])
            keys[here] = [f"\n{group}" if group else key for group, key in zip(groups, keys[here], strict=True)]
    return pd.MultiIndex.from_arrays([dataset, keys]).factorize()[0].astype(np.int64)


def _groups_of(related: Mapping[str, str], photos: npt.NDArray[np.object_]) -> list[str]:
    """The group of each photo, "" where the table doesn't name it; of several ends of its path the longest counts."""
    depths = sorted({photo.count("/") + 1 for photo in related}, reverse=True)
    found = []
    for photo in photos:
        parts = str(photo).split("/")
        ends = ("/".join(parts[-depth:]) for depth in depths if depth <= len(parts))
        found.append(next((related[end] for end in ends if end in related), ""))
    return found
