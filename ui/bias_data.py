"""What the Bias page shows: the runs in focus, and what is known of them and of their data, read once and kept.

Nothing is measured here but metrics by group, which take a few seconds once; the rest was measured by a job.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import pandas as pd
import streamlit as st

from maskdet.bias.findings import DataFindings, RunFindings
from maskdet.bias.groups import GroupOptions, GroupReport
from maskdet.bias.kept_groups import reports_by_group
from maskdet.bias.store import find_path, own_path
from maskdet.bias.uploaded import UploadedAttributes, with_uploaded
from maskdet.compare import short_labels
from maskdet.errors import MaskDetError, WorkspaceError
from maskdet.facetable import has_faces
from maskdet.runs import Run
from maskdet.workspace import Workspace
from ui.cached import faces_of, predictions_of, stamp, stamp_of
from ui.charts import RUN_COLOURS
from ui.quality_data import in_force

if TYPE_CHECKING:
    from maskdet.bias.attention import Attention
    from maskdet.bias.counterfactuals import Counterfactuals

UPLOADED: Final = "bias_uploaded"
_JUDGING: Final = "Judging groups: resampling and permuting the test faces (some seconds, once)"

Found = TypeVar("Found")


@dataclass(frozen=True)
class Lab:
    """What is looked at.

    Attributes
    ----------
    runs : tuple of Run
        The chosen ones, at least the one in focus; empty where nothing is trained.
    focus, beside : Run or None
        The run that is looked into, and the one beside it.
    fingerprint : str
        Of the data that is looked at; "" where there is none.
    force : str
        Of the split in force here; "" where there is none.
    """

    workspace: Workspace
    runs: tuple[Run, ...]
    focus: Run | None
    beside: Run | None
    fingerprint: str
    force: str

    @cached_property
    def labels(self) -> dict[str, str]:
        """A short name for each run, by id."""
        return short_labels(self.runs)

    @property
    def colours(self) -> dict[str, str]:
        """A colour for each run, by its short name: the same in every view."""
        return {self.labels[run.id]: RUN_COLOURS[i % len(RUN_COLOURS)] for i, run in enumerate(self.runs)}

    @property
    def pair(self) -> list[Run]:
        """The run in focus, and the one beside it if there is one."""
        return [run for run in (self.focus, self.beside) if run is not None]

    @property
    def data(self) -> DataFindings:
        """What is known of the data."""
        return data_of(self.workspace, self.fingerprint)

    @property
    def data_is_here(self) -> bool:
        """True where the data that is looked at can be measured: a job measures the split in force."""
        return bool(self.fingerprint) and self.fingerprint == self.force


def data_of(workspace: Workspace, fingerprint: str) -> DataFindings:
    """What is known of a split; to be read only. Raises WorkspaceError if a result is damaged."""
    if not fingerprint:
        return DataFindings("", 0)
    folder = own_path(workspace, fingerprint, "any").parent
    return _data(workspace, fingerprint, _stamps(folder))


def faces_are_here(workspace: Workspace, run: Run) -> bool:
    """True where the run's test faces can be measured: all are in this workspace."""
    return has_faces(workspace) and _faces_are_here(stamp_of(workspace), str(run.folder), workspace, run)


def counterfactuals_of(workspace: Workspace, run: Run) -> "Counterfactuals | None":
    """How a run's verdicts change with a face, None where that was not measured. Raises WorkspaceError if damaged."""
    from maskdet.bias.counterfactuals import load_counterfactuals
    from maskdet.bias.store import COUNTERFACTUALS

    return _loaded(workspace, run, COUNTERFACTUALS, load_counterfactuals)


def attention_of(workspace: Workspace, run: Run) -> "Attention | None":
    """Where a run looks, None where that was not measured. Raises WorkspaceError if damaged."""
    from maskdet.bias.attention import load_attention
    from maskdet.bias.store import ATTENTION

    return _loaded(workspace, run, ATTENTION, load_attention)


def attributes_of_run(workspace: Workspace, run: Run) -> pd.DataFrame:
    """Attributes of the faces of a run's data, and those that were uploaded; to be read only.

    Where nothing is measured, the dataset alone.
    """
    known = _attributes(workspace, run.fingerprint, _attribute_stamp(workspace, run.fingerprint))
    attributes = predictions_of(run)[["face_id", "dataset"]] if known is None else known
    uploaded: UploadedAttributes | None = st.session_state.get(UPLOADED)
    return attributes if uploaded is None else with_uploaded(attributes, uploaded)


def is_uploaded(attribute: str) -> bool:
    """Whether this visitor brought an attribute, for this visit."""
    uploaded: UploadedAttributes | None = st.session_state.get(UPLOADED)
    return uploaded is not None and attribute in uploaded.table


def groups_of(workspace: Workspace, run: Run, attribute: str) -> "pd.Series[Any] | None":
    """Group of each test face of a run by an attribute; None where it is not known of any."""
    from maskdet.bias.attributes import group_of

    attributes = attributes_of_run(workspace, run)
    if attribute not in attributes:
        return None
    judged = attributes["face_id"].isin(predictions_of(run)["face_id"])  # by whose numbers the report has its bins
    groups = group_of(attributes[judged], attribute)
    return groups if (groups.notna() & (groups.astype(object) != "")).any() else None


def known_faces(lab: "Lab") -> pd.DataFrame | None:
    """Attributes of the faces of the data that is looked at, with the label that counts; None without any.

    Only faces of which tone or mask colour was looked for.
    """
    if not lab.fingerprint:
        return None
    known = _attributes(lab.workspace, lab.fingerprint, _attribute_stamp(lab.workspace, lab.fingerprint))
    if known is None:
        return None
    if lab.focus is not None and lab.focus.fingerprint == lab.fingerprint:
        labels = lab.focus.predictions[["face_id", "label"]]
    else:
        labels = in_force(lab.workspace)[1].table[["face_id", "label"]]
    faces = known.merge(labels, on="face_id")
    return faces if faces["skin_lightness"].notna().any() or (faces["mask_colour"] != "").any() else None


def findings_of(workspace: Workspace, run: Run) -> RunFindings:
    """All that is known of a run, for its card and for reports. Raises WorkspaceError if a result is damaged."""
    return RunFindings(
        run, predictions_of(run), reports_of(workspace, run, GroupOptions()), counterfactuals_of(workspace, run),
        attention_of(workspace, run), attributes_of_run(workspace, run),
    )  # fmt: skip


def knows_attributes(workspace: Workspace, run: Run) -> bool:
    """True where more than the dataset is known of a run's faces."""
    return _attributes(workspace, run.fingerprint, _attribute_stamp(workspace, run.fingerprint)) is not None


def reports_of(workspace: Workspace, run: Run, options: GroupOptions) -> dict[str, GroupReport]:
    """A run's metrics by each attribute, with verdicts; to be read only."""
    uploaded: UploadedAttributes | None = st.session_state.get(UPLOADED)
    digest = "" if uploaded is None else f"{list(uploaded.table)} {pd.util.hash_pandas_object(uploaded.table).sum()}"
    stamps = f"{stamp(run.folder / 'predictions.parquet')} {_attribute_stamp(workspace, run.fingerprint)} {digest}"
    judge = _reports if uploaded is None else _own_reports
    return judge(str(workspace.home), str(run.folder), stamps, options, workspace, run)


def stamp_of_findings(workspace: Workspace, run: Run, name: str) -> str:
    """Changes whenever what was measured of a run does; `name` as in `maskdet.bias.store`."""
    path = find_path(workspace, run.fingerprint, name, run.id)
    return "" if path is None else f"{path} {stamp(path)}"


def _loaded(workspace: Workspace, run: Run, name: str, load: Callable[[Path], Found]) -> Found | None:
    path = find_path(workspace, run.fingerprint, name, run.id)
    return None if path is None else _read(str(path), stamp(path), load)


@st.cache_resource(show_spinner="Reading what was measured", max_entries=24)
def _read(path: str, stamp: int, _load: Callable[[Path], Any]) -> Any:
    return _load(Path(path))


@st.cache_resource(show_spinner="Reading what was measured", max_entries=8)
def _data(workspace: Workspace, fingerprint: str, stamps: str) -> DataFindings:
    from maskdet.bias.findings import data_findings

    return data_findings(workspace, fingerprint)


@st.cache_resource(show_spinner=False, max_entries=32)
def _faces_are_here(stamp: str, folder: str, _workspace: Workspace, _run: Run) -> bool:
    return bool(predictions_of(_run)["face_id"].isin(faces_of(_workspace).table["face_id"]).all())


@st.cache_resource(show_spinner="Gathering what is known of the faces", max_entries=8)
def _attributes(workspace: Workspace, fingerprint: str, stamp: str) -> pd.DataFrame | None:
    from maskdet.bias.known_attributes import attributes_of

    try:
        return attributes_of(workspace, fingerprint)
    except WorkspaceError:  # damaged, which must be said
        raise
    except MaskDetError:  # nothing is known
        return None


@st.cache_resource(show_spinner=_JUDGING, max_entries=32)
def _reports(
    home: str, folder: str, stamp: str, options: GroupOptions, _workspace: Workspace, _run: Run
) -> dict[str, GroupReport]:
    return reports_by_group(_workspace, _run, predictions_of(_run), attributes_of_run(_workspace, _run), options)


@st.cache_resource(show_spinner=_JUDGING, max_entries=8, scope="session")
def _own_reports(
    home: str, folder: str, stamp: str, options: GroupOptions, _workspace: Workspace, _run: Run
) -> dict[str, GroupReport]:
    """`_reports` with attributes that a visitor brought: gone with the visitor."""
    return reports_by_group(_workspace, _run, predictions_of(_run), attributes_of_run(_workspace, _run), options)


def _attribute_stamp(workspace: Workspace, fingerprint: str) -> str:
    """Changes with the faces, with what is measured of their appearance, and with the shortcuts."""
    folders = (workspace.path("appearance"), own_path(workspace, fingerprint, "any").parent)
    return f"{stamp_of(workspace)} {[_stamps(folder) for folder in folders]}"


def _stamps(folder: Path) -> str:
    return str(sorted((path.name, path.stat().st_mtime_ns) for path in folder.glob("*.*"))) if folder.is_dir() else ""
