"""Balance the training faces by an attribute: how much each of them counts, and what that changes.

Where most bright faces of the training data are without mask and most dark ones with, a model can learn brightness in
the place of masks. Weights undo that: "independent" gives each face P(group) P(label) / P(group, label), after which
the label no longer depends on the group, while each group and each label counts as much as before (reweighing: Kamiran
& Calders, Data preprocessing techniques for classification without discrimination, Knowledge and Information Systems
33, 2012). "equal" lets every group of each label count the same.

The same weights serve all models. What is fitted in one go (the SVM, the frozen InceptionV3) weighs its loss with them;
what learns by epochs draws the faces of each epoch as often as they weigh (`resample`), another draw every epoch, so
that no face is lost, and a face that comes twice comes in two variants. With gradients of small batches, drawing is
the steadier of the two (An, Ying & Zhu, Why resampling outperforms reweighting for correcting sampling bias with
stochastic gradients, ICLR 2021).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from maskdet.bias.attributes import ATTRIBUTES, attribute_title, group_of
from maskdet.errors import MaskDetError, RunError
from maskdet.labels import CLASSES
from maskdet.workspace import Workspace, read_table, write_table

Target = Literal["independent", "equal"]
TARGETS: Final[tuple[Target, ...]] = get_args(Target)
#: What each target does, in a sentence for people.
TARGET_TEXTS: Final[dict[Target, str]] = {
    "independent": "The label no longer depends on the group; each group and each label counts as much as before.",
    "equal": "Every group of each label counts the same.",
}
#: The most that a face counts, of an average one (our choice): beyond, a few faces would be learned by heart.
CAP: Final = 10.0
#: The weights that a training began with, in its folder: attributes may be measured anew before it is resumed.
BALANCE_FILE: Final = "balance.parquet"
_SHORTCUT: Final = "shortcut"
_COLUMNS: Final = ["face_id", "label", "group", "weight"]


@dataclass(frozen=True)
class Balanced:
    """How much each training face counts.

    Attributes
    ----------
    attribute : str
        What the groups are of (see `maskdet.bias.attributes.ATTRIBUTES`).
    faces : DataFrame
        ``face_id``, ``label``, ``group`` (categories in order, "" where it is not known), ``weight`` (mean 1).
    """

    attribute: str
    target: Target
    faces: pd.DataFrame
    cap: float = CAP

    @property
    def title(self) -> str:
        """The attribute's name for people."""
        return attribute_title(self.attribute)

    @property
    def cells(self) -> pd.DataFrame:
        """A row a group and label, empty ones too.

        Columns ``group``, ``label``, ``faces``, ``weight`` (of each; NaN where there is none), and ``counted``: how
        many faces they count as.
        """
        found = self.faces.groupby(["group", "label"], observed=True)["weight"].agg(["size", "mean"])
        groups = [group for group in self.faces["group"].cat.categories if (self.faces["group"] == group).any()]
        every = pd.MultiIndex.from_product([groups, CLASSES], names=["group", "label"])
        cells = found.reindex(every).reset_index().rename(columns={"size": "faces", "mean": "weight"})
        cells["faces"] = cells["faces"].fillna(0).astype(int)
        return cells.assign(counted=(cells["faces"] * cells["weight"]).fillna(0.0))

    @property
    def notes(self) -> tuple[str, ...]:
        """What balancing could not do, a sentence each."""
        cells = self.cells
        known = cells[cells["group"] != ""]
        known = known[known.groupby("label")["faces"].transform("sum") > 0]
        notes = [
            f"No training face of {self.title.lower()} {row.group} is {_words(str(row.label))}: balancing cannot make "
            "what is not there."
            for row in known[known["faces"] == 0].itertuples()
        ]
        notes += [
            f"Training faces {_words(str(row.label))} of {self.title.lower()} {row.group} (n = {row.faces:,}) count "
            f"{self.cap:g} times each, the most that a face may, and still less than they should."
            for row in known[np.isclose(known["weight"], self.cap)].itertuples()
        ]
        unknown = int(cells.loc[cells["group"] == "", "faces"].sum())
        if unknown:
            notes.append(f"{self.title} is not known for {unknown:,} of the training faces; each of them counts once.")
        return tuple(notes)

    def record(self) -> dict[str, Any]:
        """What a run says of it: attribute, target, cap, notes, and the cells as they were and as they count."""
        cells = self.cells
        columns = (cells[name] for name in ("group", "label", "faces", "weight", "counted"))
        rows = [
            {
                "group": str(group), "label": str(label), "faces": int(faces),
                "weight": round(float(weight), 4) if faces else None, "counted": round(float(counted), 1),
            }
            for group, label, faces, weight, counted in zip(*columns, strict=True)
        ]  # fmt: skip
        return {
            "attribute": self.attribute,
            "target": self.target,
            "cap": self.cap,
            "cells": rows,
            "notes": list(self.notes),
        }


def weights(
    groups: npt.ArrayLike, labels: npt.ArrayLike, target: Target = "independent", cap: float = CAP
) -> npt.NDArray[np.float64]:
    """How much each face counts, shape (n,), mean 1.

    Parameters
    ----------
    groups, labels : sequence of str
        A group is "" where it is not known: such a face counts once.
    cap : float
        The most that a face counts, above 1. What faces at the cap don't take is shared among the others.

    Raises
    ------
    MaskDetError
        If there is no such target, or the cap is not above 1.
    """
    require_target(target)
    if not cap > 1:
        raise MaskDetError(f"The cap must be above 1, not {cap}.")
    table = pd.DataFrame({"group": np.asarray(groups, dtype=str), "label": np.asarray(labels, dtype=str)})
    known = table[table["group"] != ""]
    found = np.ones(len(table))
    if known.empty:
        return found
    cell = known.groupby(["group", "label"])["label"].transform("size")
    if target == "equal":
        wanted = 1 / cell
    else:
        group, label = (known.groupby(name)["label"].transform("size") for name in ("group", "label"))
        wanted = group * label / (cell * len(known))
    found[known.index] = _capped(wanted.to_numpy(np.float64), cap)
    return found


def resample(weights: npt.NDArray[np.float64], seed: int | Sequence[int]) -> npt.NDArray[np.int64]:
    """Positions, as many as there are weights, each about as often as it weighs; in ascending order.

    Sampled systematically: a position of weight w (where the mean is 1) comes w times, rounded down or up. Which
    of them is rounded which way follows from the seed, apart for each value of the weights, so that what weighs the
    same comes as often as it should, to one or two.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(weights))
    order = order[np.argsort(weights[order], kind="stable")]
    ends = np.cumsum(weights[order])
    ends *= len(weights) / ends[-1]
    ends[-1] = np.inf  # whatever was rounded on the way
    ticks = np.arange(len(weights)) + rng.random()
    return np.asarray(np.sort(order[np.searchsorted(ends, ticks, side="right")]), dtype=np.int64)


def balance_faces(
    workspace: Workspace, fingerprint: str, part: pd.DataFrame, attribute: str, target: Target
) -> Balanced:  # fmt: skip
    """Weigh training faces of a split by an attribute as it is measured now.

    Raises
    ------
    MaskDetError
        If there is no such attribute, it is not measured, or there is nothing to balance.
    """
    from maskdet.bias.known_attributes import attributes_of  # which loads what looks at pixels

    require_attribute(attribute)
    attributes = attributes_of(workspace, fingerprint)
    if attribute not in attributes:
        known = ", ".join(str(name) for name in attributes if name not in ("face_id", _SHORTCUT))
        raise MaskDetError(f"There is no attribute {attribute!r} to balance by; there are: {known}.")
    # Bins of numbers follow the training faces alone: test faces choose nothing.
    return balance_groups(
        part, group_of(attributes[attributes["face_id"].isin(part["face_id"])], attribute), attribute, target
    )


def balance_groups(part: pd.DataFrame, groups: pd.Series, attribute: str, target: Target) -> Balanced:
    """Weigh training faces by their groups.

    Parameters
    ----------
    part : DataFrame
        ``face_id`` and ``label``, a row a training face.
    groups : Series
        Group by face id, "" where it is not known (see `maskdet.bias.attributes.group_of`).

    Raises
    ------
    MaskDetError
        If no group is known, or only one.
    """
    title = attribute_title(attribute)
    found = groups.reindex(part["face_id"])
    order = (
        list(groups.cat.categories)
        if isinstance(groups.dtype, pd.CategoricalDtype)
        else sorted(groups.dropna().unique())
    )
    names = found.astype(object).fillna("").to_numpy(dtype=str)
    known = sorted(set(names) - {""})
    if not known:
        raise MaskDetError(
            f"{title} is known of no training face: measure it with `python -m maskdet bias data` first, or balance by "
            "another attribute."
        )
    if len(known) == 1:
        raise MaskDetError(f"All training faces have the same {title.lower()} ({known[0]}): nothing to balance.")
    labels = part.loc[names != "", "label"].unique()
    if target == "independent" and len(labels) == 1:
        raise MaskDetError(
            f"{title} is known of faces {_words(labels[0])} alone, so no label can depend on it: to let each group "
            "count the same, balance with the target equal."
        )
    faces = pd.DataFrame(
        {
            "face_id": part["face_id"].to_numpy(),
            "label": part["label"].to_numpy(),
            "group": pd.Categorical(names, [*[str(name) for name in order if name != ""], ""], ordered=True),
            "weight": weights(names, part["label"], target),
        }
    )
    return Balanced(attribute, target, faces)


def save_balanced(folder: Path, balanced: Balanced) -> None:
    """Write what each face counts into a training's folder. Raises WorkspaceError if it cannot be written."""
    write_table(folder / BALANCE_FILE, balanced.faces)


def load_balanced(folder: Path, attribute: str, target: Target) -> Balanced:
    """Read what `save_balanced` wrote. Raises WorkspaceError or RunError if it is missing or damaged."""
    faces = read_table(folder / BALANCE_FILE)
    whole = list(faces) == _COLUMNS and isinstance(faces["group"].dtype, pd.CategoricalDtype)
    weights = faces["weight"].to_numpy() if whole else np.zeros(1)
    if not whole or weights.dtype.kind not in "if" or not ((weights > 0) & (weights < np.inf)).all():
        raise RunError(f"{folder / BALANCE_FILE} is damaged: train anew.")
    return Balanced(attribute, target, faces)


def balanceable() -> tuple[str, ...]:
    """The attributes that MaskDet measures and one may balance by; those of a CSV come on top."""
    return tuple(name for name in ATTRIBUTES if name != _SHORTCUT)


def require_attribute(attribute: str) -> None:
    """Raise MaskDetError for an attribute that no training may be balanced by.

    What the shortcut probe guesses was fitted to the labels of all faces, test faces among them, and those choose
    nothing.
    """
    if attribute == _SHORTCUT:
        raise MaskDetError(
            "Training faces are not balanced by the shortcut, since its probe saw the labels of test faces: balance by "
            "what it goes by, such as size."
        )


def require_target(target: str) -> None:
    """Raise MaskDetError unless there is such a target."""
    if target not in TARGETS:
        raise MaskDetError(f"The target of balancing must be one of {', '.join(TARGETS)}, not {target!r}.")


def _capped(wanted: npt.NDArray[np.float64], cap: float) -> npt.NDArray[np.float64]:
    """Weights of mean 1 in the proportions wanted, but none above the cap."""
    found = wanted / wanted.mean()
    while (found > cap).any():
        full = found >= cap
        found[full] = cap
        found[~full] *= (len(found) - cap * full.sum()) / found[~full].sum()
    return np.asarray(found, dtype=np.float64)


def _words(label: str) -> str:
    return label.replace("_", " ")
