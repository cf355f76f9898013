"""What the Results page compares: runs and the faces that they are judged by, read once and kept."""

from dataclasses import dataclass, field
from typing import Any, Final

import pandas as pd
import streamlit as st

from maskdet.compare import JudgedRun, common_faces, same_faces, short_labels
from maskdet.curves import reliability, roc_points
from maskdet.errors import MaskDetError, WorkspaceError
from maskdet.evaluations import coverage, load_evaluation, seen_faces
from maskdet.metrics import Difference, at_threshold, evaluate_predictions, macro_f1_difference
from maskdet.runs import Run
from maskdet.workspace import Workspace
from ui.cached import predictions_of
from ui.quality_data import in_force
from ui.results_charts import styles

OWN: Final = "Own test faces"
COMMON: Final = "Common test faces"
IN_FORCE: Final = "Data in force"
BASES: Final = (OWN, COMMON, IN_FORCE)
#: What metrics.json must hold for figures to be shown where the predictions are gone.
_FIGURES: Final = {"faces", "groups", "confusion", "labels", "macro_f1", "accuracy", "intervals", "datasets"}


@dataclass(frozen=True)
class Comparison:
    """What the page shows.

    Attributes
    ----------
    runs : list of Run
        All runs that there are, for those that others began with.
    judged : list of JudgedRun
        The chosen ones that can be judged.
    basis : str
        One of `BASES`.
    problems : list of str
        Why some cannot, as sentences.
    """

    workspace: Workspace
    runs: list[Run]
    judged: list[JudgedRun]
    basis: str
    problems: list[str] = field(default_factory=list)

    @property
    def style(self) -> dict[str, dict[str, str]]:
        """Colour and symbol of each run."""
        return styles([one.label for one in self.judged])

    @property
    def with_predictions(self) -> list[JudgedRun]:
        """Those whose predictions can be read."""
        return [one for one in self.judged if one.predictions is not None]

    @property
    def same_faces(self) -> bool:
        """True if all were judged by the same faces."""
        return same_faces([one.predictions for one in self.with_predictions])


def compare(workspace: Workspace, runs: list[Run], chosen: list[Run], basis: str) -> Comparison:
    """Judge the chosen runs.

    Raises
    ------
    WorkspaceError
        If they shall be judged on the data in force and there is none.
    """
    labels = short_labels(chosen)
    if basis == IN_FORCE:
        judged, problems = _judged_in_force(workspace, runs, chosen, labels)
    else:
        judged, problems = _judged_by_own(chosen, labels)
    if basis == COMMON:
        able = [one for one in judged if one.predictions is not None]
        problems += [f"{one.label} has no predictions to compare with." for one in judged if one.predictions is None]
        judged = [
            JudgedRun(one.run, one.label, metrics_of(table) | _beside(one.run), table, one.fingerprint)
            for one, table in zip(able, common_faces([one.predictions for one in able]), strict=True)
        ]
    return Comparison(workspace, runs, judged, basis, problems)


def is_whole(run: Run) -> bool:
    """True where a run's record says what the page needs of it."""
    data, seconds = run.record["data"], run.record["seconds"]
    return (
        isinstance(data, dict)
        and isinstance(seconds, dict)
        and {"fingerprint", "faces", "datasets"} <= data.keys()
        and "fit" in seconds
    )


@st.cache_data(show_spinner="Resampling the test faces", max_entries=100)
def metrics_of(predictions: pd.DataFrame) -> dict[str, Any]:
    """All figures of some faces, with their intervals."""
    return evaluate_predictions(predictions)


@st.cache_data(show_spinner=False, max_entries=500)
def threshold_of(predictions: pd.DataFrame, threshold: float) -> dict[str, Any]:
    """The confusion matrix and macro F1 at a threshold."""
    return at_threshold(predictions, threshold)


@st.cache_data(show_spinner="Comparing two models on the same faces", max_entries=200)
def difference_of(first: pd.DataFrame, second: pd.DataFrame) -> Difference:
    """Whether two models differ on the faces that both were judged by."""
    return macro_f1_difference(first, second)


@st.cache_data(show_spinner=False, max_entries=100)
def reliability_of(predictions: pd.DataFrame) -> pd.DataFrame:
    """The reliability curve of some faces."""
    return reliability(predictions)


@st.cache_data(show_spinner=False, max_entries=100)
def roc_of(predictions: pd.DataFrame) -> pd.DataFrame:
    """The ROC curve of some faces."""
    return roc_points(predictions)


def _judged_by_own(chosen: list[Run], labels: dict[str, str]) -> tuple[list[JudgedRun], list[str]]:
    judged, problems = [], []
    for run in chosen:
        label = labels[run.id]
        try:
            faces = predictions_of(run)
            judged.append(JudgedRun(run, label, metrics_of(faces) | _beside(run), faces, run.fingerprint))
        except MaskDetError as error:
            if run.metrics.keys() >= _FIGURES:
                problems.append(f"{label}: {error} Its figures are those kept when it was trained.")
                judged.append(JudgedRun(run, label, run.metrics, None, run.fingerprint))
            else:
                problems.append(f"{label} cannot be judged: {error}")
    return judged, problems


def _judged_in_force(
    workspace: Workspace, runs: list[Run], chosen: list[Run], labels: dict[str, str]
) -> tuple[list[JudgedRun], list[str]]:
    _, split = in_force(workspace)
    judged, problems = [], []
    for run in chosen:
        label = labels[run.id]
        try:
            predictions_of(run)  # whole, or else a sentence
            evaluation = _evaluation(workspace, run, split.fingerprint, problems)
            covered = coverage(run, split.table, seen_faces(run, runs), evaluation)
        except MaskDetError as error:
            problems.append(f"{label} cannot be judged on the data in force: {error}")
            continue
        metrics = metrics_of(covered.predictions) | _beside(run, with_incorrect=False)
        judged.append(
            JudgedRun(run, label, metrics, covered.predictions, split.fingerprint, covered.missing, covered.seen)
        )
    return judged, problems


def _evaluation(workspace: Workspace, run: Run, fingerprint: str, problems: list[str]) -> Any:
    try:
        return load_evaluation(workspace, run, fingerprint)
    except WorkspaceError as error:
        problems.append(str(error))
        return None


def _beside(run: Run, *, with_incorrect: bool = True) -> dict[str, Any]:
    """What only the training could measure: masks worn incorrectly, and watched datasets outside the pool."""
    names = ("incorrect_mask", "watched") if with_incorrect else ("watched",)
    return {name: run.metrics[name] for name in names if name in run.metrics}
