"""What the bias lab found, gathered: of the data, and of a run. Reports, model cards and pages show it.

None stands for what was not measured; a report says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pandas as pd

from maskdet.bias.kept_groups import reports_by_group
from maskdet.bias.store import ATTENTION, COUNTERFACTUALS, CROSS, NOT_MEASURABLE, SHORTCUTS, find_path
from maskdet.compare import own_faces
from maskdet.errors import LaterVersionError, MaskDetError, WorkspaceError
from maskdet.facetable import load_faces
from maskdet.labels import CLASSES
from maskdet.progress import Progress, silent
from maskdet.split import load_split
from maskdet.workspace import Workspace, read_table

if TYPE_CHECKING:
    from maskdet.bias.attention import Attention
    from maskdet.bias.counterfactuals import Counterfactuals
    from maskdet.bias.cross_dataset import CrossDataset
    from maskdet.bias.groups import GroupReport
    from maskdet.bias.judged import GroupOptions
    from maskdet.bias.shortcuts import ShortcutReport
    from maskdet.runs import Run


Found = TypeVar("Found")


@dataclass(frozen=True)
class DataFindings:
    """What was found of the faces of a split.

    Attributes
    ----------
    fingerprint : str
        Of the split.
    faces : int
        All faces of it.
    shortcuts : ShortcutReport or None
        What of the label can be told without looking at masks.
    cross : tuple of CrossDataset
        One a model that was trained on one dataset and tested on another; empty if none was.
    not_measurable : DataFrame or None
        Faces whose apparent skin tone cannot be measured (see `maskdet.bias.appearance.not_measurable`).
    """

    fingerprint: str
    faces: int
    shortcuts: ShortcutReport | None = None
    cross: tuple[CrossDataset, ...] = ()
    not_measurable: pd.DataFrame | None = None


@dataclass(frozen=True)
class RunFindings:
    """What was found of a run.

    Attributes
    ----------
    predictions : DataFrame
        The test faces that it was judged on: face_id, dataset, label, group, logit.
    groups : dict of GroupReport
        By attribute; empty if no attribute of the faces is known.
    attributes : DataFrame or None
        ``face_id`` and what is known of each face (see `maskdet.bias.attributes.face_attributes`).
    """

    run: Run
    predictions: pd.DataFrame
    groups: dict[str, GroupReport] = field(default_factory=dict)
    counterfactuals: Counterfactuals | None = None
    attention: Attention | None = None
    attributes: pd.DataFrame | None = None


def data_findings(workspace: Workspace, fingerprint: str) -> DataFindings:
    """What is known of a split: measured in this workspace, or shipped with the bundled study; nothing is measured.

    Raises
    ------
    WorkspaceError
        If a result is damaged.
    """
    from maskdet.bias.cross_dataset import load_cross
    from maskdet.bias.shortcuts import load_shortcuts
    from maskdet.models import MODELS

    def read(name: str, load: Callable[[Path], Found], part: str) -> Found | None:
        path = find_path(workspace, fingerprint, name)
        try:
            return load(path) if path else None
        except LaterVersionError:
            raise
        except WorkspaceError as error:
            raise WorkspaceError(
                f"{path} is damaged: `python -m maskdet bias data --part {part}` measures it again."
            ) from error

    found = read(SHORTCUTS, load_shortcuts, "shortcuts")
    crossed = [read(CROSS.format(model=model), load_cross, f"cross-dataset --cross {model}") for model in MODELS]
    left_out = read(NOT_MEASURABLE, read_table, "appearance")
    faces = len(found.scores) if found else _faces(workspace, fingerprint)
    return DataFindings(fingerprint, faces, found, tuple(one for one in crossed if one is not None), left_out)


def run_findings(
    workspace: Workspace, run: Run, options: GroupOptions | None = None, progress: Progress = silent
) -> RunFindings:
    """What is known of a run; its metrics by group are computed where they were not kept, the rest is only read.

    Raises
    ------
    WorkspaceError
        If a result is damaged.
    """
    from maskdet.bias.attention import load_attention
    from maskdet.bias.counterfactuals import load_counterfactuals

    predictions = own_faces(run)
    attributes = known_attributes(workspace, run, predictions)
    flipped, looked = (find_path(workspace, run.fingerprint, name, run.id) for name in (COUNTERFACTUALS, ATTENTION))
    return RunFindings(
        run,
        predictions,
        reports_by_group(workspace, run, predictions, attributes, options, progress),
        load_counterfactuals(flipped) if flipped else None,
        load_attention(looked) if looked else None,
        attributes,
    )


def known_attributes(workspace: Workspace, run: Run, predictions: pd.DataFrame) -> pd.DataFrame:
    """Attributes of a run's faces; where none are known, what the run itself says: the dataset of each.

    Raises
    ------
    WorkspaceError
        If they are damaged.
    """
    from maskdet.bias.known_attributes import attributes_of

    try:
        return attributes_of(workspace, run.fingerprint)
    except WorkspaceError:
        raise
    except MaskDetError:  # neither measured here nor shipped
        return predictions[["face_id", "dataset"]]


def _faces(workspace: Workspace, fingerprint: str) -> int:
    """Faces of a split that models tell apart; 0 where it is not in this workspace."""
    try:
        table = load_split(workspace, load_faces(workspace), fingerprint).table
    except WorkspaceError:
        return 0
    return int(table["label"].isin(CLASSES).sum())
