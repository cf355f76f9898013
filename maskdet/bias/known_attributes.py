"""What is known of the faces of a split: measured in the workspace, kept of a CSV, and shipped with the study."""

from collections.abc import Collection

import numpy as np
import pandas as pd

from maskdet.bias.appearance import load_appearance
from maskdet.bias.attributes import OF_APPEARANCE, complete, face_attributes, load_attributes
from maskdet.bias.shortcuts import load_shortcuts
from maskdet.bias.store import ATTRIBUTES_FILE, SHORTCUTS, find_path
from maskdet.bias.uploaded import UploadedAttributes, kept_uploaded, with_uploaded
from maskdet.catalog import load_catalog
from maskdet.errors import MaskDetError
from maskdet.facetable import has_faces, load_faces
from maskdet.split import saved_splits
from maskdet.workspace import Workspace


def attributes_of(workspace: Workspace, fingerprint: str) -> pd.DataFrame:
    """The attributes of the faces of a split.

    Those of the workspace's own faces, if it has the split, with the attributes that were kept of a CSV; what was not
    measured there is taken from what ships with the bundled study (the fingerprint says that the faces are the same). A
    bundled run can so be looked at without any photo.

    Returns
    -------
    DataFrame
        As of `face_attributes`.

    Raises
    ------
    MaskDetError
        If neither is there; the sentence says what to do.
    WorkspaceError
        If a file is damaged.
    """
    found = _measured(workspace, fingerprint)
    uploaded = kept_uploaded(workspace, fingerprint)
    return found if uploaded is None else with_uploaded(found, UploadedAttributes(uploaded))


def _measured(workspace: Workspace, fingerprint: str) -> pd.DataFrame:
    """The attributes that are measured, not brought by anyone."""
    path = find_path(workspace, fingerprint, ATTRIBUTES_FILE)
    kept = load_attributes(path) if path else None
    own = _own_attributes(workspace, fingerprint)
    if own is None:
        if kept is not None:
            return kept
        raise MaskDetError(
            f"Nothing is known of the faces of split {fingerprint}: scan their photos and split them, or open the "
            "workspace that has them."
        )
    if kept is None:
        return own
    # What was measured here and found not to be measurable stays so, whatever an earlier version had found.
    here = kept["face_id"].isin(_measured_here(workspace))
    kept = kept.assign(**{name: kept[name].where(~here) for name in OF_APPEARANCE})
    filled = own.set_index("face_id").replace("", np.nan).combine_first(kept.set_index("face_id").replace("", np.nan))
    return complete(filled.loc[own["face_id"]].reset_index())


def _own_attributes(workspace: Workspace, fingerprint: str) -> pd.DataFrame | None:
    """The attributes of the workspace's faces, or None if it has not this split of them."""
    if not has_faces(workspace):
        return None
    faces = load_faces(workspace)
    if not any(saved.fingerprint == fingerprint and not saved.reason for saved in saved_splits(workspace, faces)):
        return None
    catalog = load_catalog(workspace.path("datasets.toml"))
    return face_attributes(faces.table, load_appearance(workspace, faces), _scores(workspace, fingerprint), catalog)


def _measured_here(workspace: Workspace) -> Collection[str]:
    """The faces whose appearance was measured in this workspace."""
    appearance = load_appearance(workspace, load_faces(workspace))
    return () if appearance is None else set(appearance["face_id"])


def _scores(workspace: Workspace, fingerprint: str) -> pd.DataFrame | None:
    """The guesses of the shortcut probe, or None if it did not run."""
    path = find_path(workspace, fingerprint, SHORTCUTS)
    return load_shortcuts(path).scores if path else None
