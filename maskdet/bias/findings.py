"""What the bias lab found, gathered: of the data, and of a run. Reports, model cards and pages show it.

None stands for what was not measured; a report says so.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from maskdet.bias.attention import Attention
    from maskdet.bias.counterfactuals import Counterfactuals
    from maskdet.bias.cross_dataset import CrossDataset
    from maskdet.bias.groups import GroupReport
    from maskdet.bias.shortcuts import ShortcutReport
    from maskdet.runs import Run


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
