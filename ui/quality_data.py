"""What the Quality page computes, kept until its input changes, so that a moved control costs little.

Near pairs are searched once for each kind of hash, up to the largest distance; clusters of any distance, and with them
all filters, follow from those in milliseconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import streamlit as st

from maskdet.catalog import Dataset, load_catalog
from maskdet.decisions import Decision, load_decisions
from maskdet.duplicates import FLAT_HASHES, MAX_DISTANCE, NearPairs, clusters, parse_hashes
from maskdet.errors import MaskDetError
from maskdet.facetable import Faces
from maskdet.leaks import Names, compare_splits
from maskdet.measure import HashKind
from maskdet.quality import Filtered, FilterOptions, Positions, apply_filters, load_filtered, near_faces
from maskdet.split import Split, SplitOptions, load_split
from maskdet.workspace import Workspace
from ui.cached import faces_of, stamp, stamp_of
from ui.session import home_workspace

_SEARCHING: Final = "Comparing the faces with each other (once for each kind of hash)"


@dataclass(frozen=True)
class Setting:
    """All that a decision on the faces depends on; equal settings give equal decisions.

    Attributes
    ----------
    stamp : str
        Changes with the face table.
    missing : tuple of str
        Datasets whose folder is gone.
    decisions : tuple of (str, Decision)
        The decisions by hand, by face id.
    """

    workspace: Workspace
    stamp: str
    missing: tuple[str, ...]
    options: FilterOptions
    decisions: tuple[tuple[str, Decision], ...]

    @property
    def faces(self) -> Faces:
        """The face table."""
        return faces_of(self.workspace)


def setting_of(
    workspace: Workspace, options: FilterOptions, decisions: Mapping[str, Decision] | None = None
) -> Setting:
    """These options on the faces of a workspace as it is now; by default with the decisions stored there.

    Raises
    ------
    WorkspaceError
        If the workspace has no faces, or its decisions are damaged.
    """
    chosen = load_decisions(workspace) if decisions is None else decisions
    return Setting(workspace, stamp_of(workspace), faces_of(workspace).missing, options, tuple(sorted(chosen.items())))


def filtered_by(setting: Setting) -> Filtered:
    """The decision on every face."""
    return _filtered(setting)


def pairs_of(workspace: Workspace, kind: HashKind, distance: int) -> NearPairs:
    """Near pairs up to `MAX_DISTANCE`; where there are too many, only up to ``distance``.

    Raises
    ------
    MaskDetError
        If even those are too many.
    """
    pairs = _all_pairs(workspace, kind, stamp_of(workspace))
    return _pairs_within(workspace, kind, distance, stamp_of(workspace)) if pairs is None else pairs


def splits_of(setting: Setting, options: SplitOptions) -> dict[str, Names]:
    """The publisher's split and those that the setting would give, for each face."""
    return _splits(setting, options, stamp(home_workspace().path("datasets.toml")))


def in_force(workspace: Workspace) -> tuple[Filtered, Split]:
    """The filtered set and the split that were last written.

    Raises
    ------
    WorkspaceError
        If there is none, or the faces have changed since.
    """
    stamps = [stamp(workspace.path(name)) for name in ("filter.json", "split.json")]
    return _in_force(workspace, stamp_of(workspace), *stamps)


def fingerprint_in_force(workspace: Workspace) -> str:
    """Of the split in force, "" without one."""
    try:
        return in_force(workspace)[1].fingerprint
    except MaskDetError:
        return ""


def catalog_of_home() -> dict[str, Dataset]:
    """What is known of each dataset."""
    return load_catalog(home_workspace().path("datasets.toml"))


@st.cache_resource(show_spinner=_SEARCHING, max_entries=4)
def _all_pairs(workspace: Workspace, kind: HashKind, stamp: str) -> NearPairs | None:
    try:
        return near_faces(faces_of(workspace), kind, MAX_DISTANCE)
    except MaskDetError:
        return None


@st.cache_resource(show_spinner=_SEARCHING, max_entries=2)
def _pairs_within(workspace: Workspace, kind: HashKind, distance: int, stamp: str) -> NearPairs:
    return near_faces(faces_of(workspace), kind, distance)


@st.cache_resource(show_spinner=_SEARCHING, max_entries=4)
def _clusters_alone(workspace: Workspace, kind: HashKind, distance: int, stamp: str) -> Positions:
    """Clusters where there are too many pairs to hold them all."""
    return clusters(parse_hashes(faces_of(workspace).table[kind]), distance, FLAT_HASHES[kind])


@st.cache_resource(show_spinner=False, max_entries=8)
def _filtered(setting: Setting) -> Filtered:
    kind, distance = setting.options.hash_kind, setting.options.hash_distance
    pairs = _all_pairs(setting.workspace, kind, setting.stamp)
    if pairs is None:
        cluster = _clusters_alone(setting.workspace, kind, distance, setting.stamp)
    else:
        cluster = pairs.clusters(distance)
    return apply_filters(setting.faces, setting.options, dict(setting.decisions), cluster)


@st.cache_resource(show_spinner="Splitting the faces", max_entries=4)
def _splits(setting: Setting, options: SplitOptions, catalog_stamp: int) -> dict[str, Names]:
    return compare_splits(setting.faces, filtered_by(setting), catalog_of_home(), options)


@st.cache_resource(show_spinner=False, max_entries=4)
def _in_force(workspace: Workspace, stamp: str, filter_stamp: int, split_stamp: int) -> tuple[Filtered, Split]:
    faces = faces_of(workspace)
    return load_filtered(workspace, faces), load_split(workspace, faces)
