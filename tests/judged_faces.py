"""Predictions by hand: how many faces a dataset, group and label has, and how many of them are misjudged."""

import numpy as np
import pandas as pd

from maskdet.labels import CLASSES

Cells = dict[tuple[str, str, str], tuple[int, int]]


def faces_of(cells: Cells, related: int = 1) -> tuple[pd.DataFrame, pd.Series]:
    """Predictions and groups: of each (dataset, group, label), how many faces, and the first so many misjudged.

    ``related`` faces of a cell each are in one cluster.
    """
    rows = [
        (dataset, group, label, number < wrong, f"{dataset}{group}{label}{number // related}")
        for (dataset, group, label), (faces, wrong) in cells.items()
        for number in range(faces)
    ]
    table = pd.DataFrame(rows, columns=["dataset", "of", "label", "wrong", "cluster"])
    table = table.assign(face_id=[f"f{i:05d}" for i in range(len(table))], group=pd.factorize(table["cluster"])[0])
    table["logit"] = np.where((table["label"] == CLASSES[1]) != table["wrong"], 2.0, -2.0)
    groups = pd.Series(table["of"].to_numpy(), index=table["face_id"])
    return table[["face_id", "dataset", "label", "group", "logit"]], groups
