"""What a training looks at: its plan, and the faces of a split that the plan names."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import numpy as np
import pandas as pd

from maskdet.balance import Balanced, Target, balance_faces, require_attribute, require_target
from maskdet.catalog import Pool
from maskdet.errors import MaskDetError, RunError, reason_of
from maskdet.facetable import Faces, load_faces
from maskdet.images import stored_images
from maskdet.labels import CLASSES
from maskdet.models import FitData, LabelledImages, require_model
from maskdet.models.base import probability
from maskdet.quality import load_filtered
from maskdet.split import SPLITS, Split, load_split, pool_table
from maskdet.workspace import Workspace

#: How `Plan.watched` says: whatever suits the model and the data.
AUTOMATIC = ("auto",)


@dataclass(frozen=True)
class Plan:
    """What to train, on which data. With the same plan, on the same machine, the result is the same.

    Attributes
    ----------
    options : dict
        What to override of the model's options.
    limit : int or None
        About this many training faces, and a third of it each for validation and test, drawn evenly over datasets and
        labels, and likewise of watched datasets: for a quick try. A run says that it was limited.
    fingerprint : str or None
        A saved split; None is the one in force.
    pool : {"main", "pre-training"}
        The study trains on the main pool; a base for transfer learning on simulated masks, the pre-training pool.
    left_out : tuple of str
        Datasets that are neither trained nor validated on, to see how a model does on a source it never saw.
    watched : tuple of str
        Datasets, left out too, that early stopping looks at beside the validation faces. ("auto",) watches the
        pre-training pool's, which the study leaves out of training anyway, where the model can and has not begun
        with them (our choice).
    base : str or None
        The pre-training run that a transfer begins with; None is the newest that fits, or else one is made first.
    balance : str or None
        The attribute (see `maskdet.bias.attributes.ATTRIBUTES`) by which training faces are balanced; validation and
        test faces are as they are, and so is the base that a transfer makes for itself.
    balance_target : {"independent", "equal"}
        What balancing aims at (see `maskdet.balance`).
    """

    model: str
    options: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    limit: int | None = None
    fingerprint: str | None = None
    pool: Pool = "main"
    left_out: tuple[str, ...] = ()
    watched: tuple[str, ...] = AUTOMATIC
    base: str | None = None
    balance: str | None = None
    balance_target: Target = "independent"

    def __post_init__(self) -> None:
        for name in ("left_out", "watched"):  # from JSON they are lists
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if not all(isinstance(dataset, str) for dataset in (*self.left_out, *self.watched)):
            raise MaskDetError("Datasets that are left out or watched are named by their ids, which are texts.")
        if self.limit is not None and self.limit < 2:
            raise MaskDetError(f"The limit must be at least 2 faces, not {self.limit}.")
        if self.pool not in ("main", "pre-training"):
            raise MaskDetError(f"The pool must be main or pre-training, not {self.pool!r}.")
        if require_model(self.model).needs_base and self.pool != "main":
            raise MaskDetError(f"{self.model} is trained on the main pool, from a base of the pre-training pool.")
        require_target(self.balance_target)
        if self.balance is not None:
            require_attribute(self.balance)

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> "Plan":
        """The plan that a training's folder holds. Raises RunError if it is damaged."""
        try:
            return cls(**{f.name: stored[f.name] for f in fields(cls) if f.name in stored})
        except TypeError as error:
            raise RunError(
                f"What this training is to do cannot be read ({reason_of(error)}): discard it and begin it anew."
            ) from error


@dataclass(frozen=True)
class TrainingData:
    """The faces of a plan.

    Attributes
    ----------
    table : DataFrame
        Rows of the split that are trained, validated and tested on.
    apart : DataFrame
        Rows whose mask is worn incorrectly, where that is a class that models are not taught.
    watched_test : DataFrame
        Test faces of watched datasets that are not in ``table``, on which nothing was chosen.
    parts, images : dict
        By split, each face once; the training images know how much each of them counts, where they are balanced.
    balanced : Balanced or None
        How the training faces are balanced.
    """

    faces: Faces
    split: Split
    filter_options: dict[str, Any]
    table: pd.DataFrame
    apart: pd.DataFrame
    watched_test: pd.DataFrame
    parts: dict[str, pd.DataFrame]
    images: dict[str, LabelledImages]
    watched: tuple[str, ...]
    balanced: Balanced | None = None

    @property
    def fit(self) -> FitData:
        """What a fit may look at."""
        return FitData(self.images["train"], self.images["validation"], self.images.get("watched"))


def training_data(workspace: Workspace, plan: Plan, balanced: Balanced | None = None) -> TrainingData:
    """The faces of a plan, checked: nothing of them is read yet.

    Parameters
    ----------
    balanced : Balanced, optional
        How the training that is resumed was balanced; else it follows from the attributes as they are measured now.

    Raises
    ------
    MaskDetError
        If there is no such split, a dataset's folder is gone, a part lacks a label, or what it is to be balanced by is
        not measured.
    """
    faces = load_faces(workspace)
    split = load_split(workspace, faces, plan.fingerprint)
    filter_options = _filter_options(workspace, faces, split, plan)
    table, apart = pool_faces(faces, split, plan.pool)
    watched = _watched(split, plan)
    out = {*plan.left_out, *watched}
    _require_known(split, out)
    known = split.table[split.table["label"].isin(CLASSES)]
    beside = known[known["dataset"].isin(watched)]
    table = table[(table["split"] == "test") | ~table["dataset"].isin(out)].reset_index(drop=True)
    if plan.limit is not None:
        table, beside = (_limited(rows, plan.limit, plan.seed) for rows in (table, beside))
    parts: dict[str, pd.DataFrame] = {name: table[table["split"] == name].reset_index(drop=True) for name in SPLITS}
    looked_at = parts | ({"watched": beside[beside["split"] != "test"].reset_index(drop=True)} if watched else {})
    images = {name: labelled_images(workspace, faces, part) for name, part in looked_at.items()}
    for name, labelled in images.items():
        labelled.require_both_classes(name)
    watched_test = beside[(beside["split"] == "test") & ~beside["face_id"].isin(table["face_id"])]
    balanced = _balanced(workspace, split, plan, parts["train"], balanced)
    if balanced is not None:
        images["train"] = replace(images["train"], weights=balanced.faces["weight"].to_numpy(np.float64))
    return TrainingData(faces, split, filter_options, table, apart, watched_test, parts, images, watched, balanced)


def automatic_watch(split: Split, model_name: str, pool: Pool = "main") -> tuple[str, ...]:
    """The datasets that ("auto",) watches: of the pre-training pool, with both labels, for a network without a base."""
    kind = require_model(model_name)
    if pool != "main" or kind.needs_base or not kind.needs_tensorflow:
        return ()
    table = pool_table(split, "pre-training")
    table = table[table["label"].isin(CLASSES) & (table["split"] != "test")]
    labels = table.groupby("dataset")["label"].nunique()
    return tuple(sorted(labels.index[labels == len(CLASSES)]))


def pool_faces(faces: Faces, split: Split, pool: Pool = "main") -> tuple[pd.DataFrame, pd.DataFrame]:
    """A pool's faces that models tell apart, and those whose mask is worn incorrectly, where they are a class.

    Raises MaskDetError if the folder of one of its datasets is gone.
    """
    gone = sorted(set(faces.missing) & set(split.table["dataset"]))
    if gone:
        raise MaskDetError(
            f"The folder of {', '.join(gone)} is gone ({faces.roots[gone[0]]}): bring it back, or filter and split "
            "again to go on without it."
        )
    table = pool_table(split, pool)
    known = table["label"].isin(CLASSES)
    return table[known].reset_index(drop=True), table[~known]


def labelled_images(workspace: Workspace, faces: Faces, part: pd.DataFrame) -> LabelledImages:
    """The pixels of some rows of a split, and what is known of each."""
    return LabelledImages(
        images=stored_images(workspace, faces, part["face_id"]),
        labels=(part["label"] == CLASSES[1]).to_numpy().astype(np.int64),
        groups=part["group"].to_numpy(np.int64),
        face_ids=tuple(part["face_id"]),
        datasets=tuple(part["dataset"]),
    )


def predictions_table(part: pd.DataFrame, logits: Any) -> pd.DataFrame:
    """Rows of a split with their logits and probabilities.

    Raises
    ------
    MaskDetError
        If a logit is no number.
    """
    odd = int((~np.isfinite(np.asarray(logits))).sum())
    if odd:
        raise MaskDetError(
            f"The model gives {odd} of {len(part)} faces no number: its training diverged (try a lower learning rate), "
            "or its weights are damaged."
        )
    table = part[["face_id", "dataset", "label", "group", "split"]].copy()
    table["logit"] = logits
    table["p_without_mask"] = probability(logits)
    return table


def _filter_options(workspace: Workspace, faces: Faces, split: Split, plan: Plan) -> dict[str, Any]:
    """The options of the filters that the faces of a split passed."""
    if plan.fingerprint is not None and split.filter_options is not None:
        return split.filter_options
    filtered = load_filtered(workspace, faces)
    if _labels(filtered.kept) != _labels(split.table):  # the run would name filters that its faces never passed
        raise MaskDetError("The faces were filtered again after they were split: run `python -m maskdet split` first.")
    return asdict(filtered.options)


def _balanced(
    workspace: Workspace, split: Split, plan: Plan, part: pd.DataFrame, before: Balanced | None
) -> Balanced | None:
    """How much each training face counts, as in the training that is resumed, where there is one."""
    if plan.balance is None:
        return None
    if before is not None:
        if list(before.faces["face_id"]) != list(part["face_id"]):
            raise RunError("The training was balanced for other faces than it names: train anew.")
        return before
    return balance_faces(workspace, split.fingerprint, part, plan.balance, plan.balance_target)


def _watched(split: Split, plan: Plan) -> tuple[str, ...]:
    if plan.watched == AUTOMATIC:
        return tuple(d for d in automatic_watch(split, plan.model, plan.pool) if d not in plan.left_out)
    if plan.watched and not require_model(plan.model).needs_tensorflow:
        raise MaskDetError(f"{plan.model} is fitted in one go: there is no epoch to choose by watching a dataset.")
    return plan.watched


def _require_known(split: Split, datasets: set[str]) -> None:
    unknown = sorted(datasets - set(split.table["dataset"]))
    if unknown:
        known = ", ".join(sorted(split.table["dataset"].unique()))
        raise MaskDetError(f"There is no dataset {unknown[0]!r} in this split; there are: {known}.")


def _labels(table: pd.DataFrame) -> dict[str, str]:
    return dict(zip(table["face_id"], table["label"], strict=True))


def _limited(table: pd.DataFrame, limit: int, seed: int) -> pd.DataFrame:
    """About ``limit`` training rows and a third of it each of the others, of each dataset and label at least one."""
    drawn = []
    for name, count in zip(SPLITS, (limit, -(-limit // 3), -(-limit // 3)), strict=True):
        part = table[table["split"] == name]
        if len(part) <= count:
            drawn.append(part)
            continue
        for _, rows in part.groupby(["dataset", "label"]):
            drawn.append(rows.sample(max(1, round(count / len(part) * len(rows))), random_state=seed))
    return pd.concat(drawn)
