"""Ship what the bias lab found with the bundled study: numbers and face ids, no photo and no crop of one.

Attributes ship for the test faces of the bundled runs alone, which is what their metrics by group need: an apparent
skin tone is a measure of one photo of a stranger, and of no use for the others.
"""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from maskdet.bias.cross_dataset import load_cross, save_cross
from maskdet.bias.kept_groups import keep_reports
from maskdet.bias.store import (
    ATTENTION,
    ATTRIBUTES_FILE,
    COUNTERFACTUALS,
    CROSS,
    FOLDER,
    NOT_MEASURABLE,
    SHORTCUTS,
    own_path,
)
from maskdet.compare import own_faces
from maskdet.differences import without_folders
from maskdet.runs import Run
from maskdet.workspace import Workspace, replacing

_OF_RUN: Final = (COUNTERFACTUALS, ATTENTION)


def ship_data(workspace: Workspace, fingerprint: str, target: Path) -> list[Path]:
    """Copy what was found of a split into a study's folder; what was not measured is passed over.

    Raises
    ------
    WorkspaceError
        If a file cannot be read or written.
    """
    source = own_path(workspace, fingerprint, SHORTCUTS).parent
    folder = target / FOLDER / fingerprint
    copied = _copy(source, (SHORTCUTS, NOT_MEASURABLE), folder)
    for path in sorted(source.glob(CROSS.format(model="*"))):
        found = load_cross(path)
        save_cross(folder / path.name, replace(found, options=without_folders(found.options)))
        copied.append(folder / path.name)
    return copied


def ship_run(workspace: Workspace, run: Run, target: Path) -> list[Path]:
    """Copy what was found of a run, and add the attributes of its test faces to those that ship.

    Raises
    ------
    MaskDetError
        If the attributes of its faces are not known.
    WorkspaceError
        If a file cannot be read or written.
    """
    import pandas as pd

    from maskdet.bias.attributes import ATTRIBUTES, load_attributes, save_attributes
    from maskdet.bias.known_attributes import attributes_of

    folder = target / FOLDER / run.fingerprint
    copied = _copy(own_path(workspace, run.fingerprint, ATTENTION, run.id).parent, _OF_RUN, folder / run.id)
    attributes = attributes_of(workspace, run.fingerprint)
    names = ["face_id", *ATTRIBUTES]  # none that somebody brought: it is theirs to publish
    mine = attributes.loc[attributes["face_id"].isin(own_faces(run)["face_id"]), names]
    path = folder / ATTRIBUTES_FILE
    if path.is_file():
        before = load_attributes(path)
        mine = pd.concat([before[~before["face_id"].isin(mine["face_id"])], mine])
    save_attributes(path, mine.sort_values("face_id", ignore_index=True))
    # Of the attributes as they ship, and all in one go, so that who has no workspace waits for nothing.
    groups = keep_reports(workspace, run, own_faces(run), load_attributes(path), folder=folder / run.id)
    return [*copied, path, groups]


def _copy(source: Path, names: Sequence[str], folder: Path) -> list[Path]:
    """Copy files, each with those beside it that have the same stem: tables and maps of a result."""
    copied = []
    for name in names:
        for path in sorted(source.glob(f"{Path(name).stem}.*")):
            with replacing(folder / path.name) as temporary:
                shutil.copyfile(path, temporary)
            copied.append(folder / path.name)
    return copied
