"""Faces whose label is probably wrong, found by confident learning (Northcutt et al. 2021) from runs' predictions.

Only predictions of faces count that a model was not trained on: one that has seen a wrong label may have learned it by
heart, and would then agree with it. Cleanlab decides which faces are suspects; a person decides what becomes of them.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from maskdet.crossval import OUT_OF_SAMPLE_FILE, OUT_OF_SAMPLE_RECORD
from maskdet.decisions import Decision
from maskdet.differences import changes_of
from maskdet.errors import ODD_VALUES, MaskDetError, RunError
from maskdet.labels import CLASSES
from maskdet.reliability import calibrated_probability
from maskdet.run_records import read_predictions
from maskdet.runs import Run
from maskdet.workspace import is_record, read_json, unreadable

#: Where a run's own probabilities come from, of faces that it was not trained on.
OWN_SOURCE: Final = "validation and test faces"
#: Least faces of each label: with fewer, nothing can be said of how often a label is wrong (our choice).
LEAST_FACES: Final = 10
_COLUMNS: Final = ["face_id", "dataset", "label", "split", "p_without_mask"]


@dataclass(frozen=True)
class Suspects:
    """The faces whose label is probably wrong, and what that was found from.

    Attributes
    ----------
    table : DataFrame
        A row a suspect, the most suspicious first: face_id, dataset, label (as the runs were trained with it),
        suggested (the label the runs agree on), self_confidence (0 to 1, the probability of the given label, which is
        cleanlab's label quality score), p_without_mask (mean of the runs, see `out_of_sample`), split (of the newest
        run; "" if it had none).
    sources : dict
        For each run's id, where its probabilities come from: `OWN_SOURCE`, or which other models were cross-validated.
    counts : DataFrame
        How many faces were examined: a row a dataset, label and split, and faces.
    """

    table: pd.DataFrame
    sources: dict[str, str]
    counts: pd.DataFrame

    @property
    def faces(self) -> int:
        """How many faces were examined."""
        return int(self.counts["faces"].sum())

    @property
    def predicted_by(self) -> str:
        """Whose probabilities these are, on one line, for a column of a file."""
        return "; ".join(f"{name}: {source}" for name, source in self.sources.items())


def is_cross_validated(run: Run) -> bool:
    """True for a run with predictions of every face by a model that was not trained on it: another than the run's."""
    return (run.folder / OUT_OF_SAMPLE_FILE).is_file()


def best_run(runs: Sequence[Run], at_hand: Collection[str] = ()) -> Run:
    """The run to look for label errors with, if nobody names one.

    One that knows a face at hand (by id), if faces are given; then one with cross-validated predictions; then the one
    with the highest macro F1 on validation faces (see `maskdet.runs.Run.precedence`).

    Raises
    ------
    MaskDetError
        If there is no run.
    """
    if not runs:
        raise MaskDetError("There is no run to look for label errors with: run `python -m maskdet train svm` first.")
    known = set(at_hand)
    return max(
        runs,
        key=lambda run: (
            not known.isdisjoint(run.predictions["face_id"]),
            is_cross_validated(run),
            run.precedence,
        ),
    )


def out_of_sample(run: Run) -> tuple[pd.DataFrame, str]:
    """What is said of faces by a model that was not trained on them.

    That is cross-validated predictions where a run has them, which cover all faces of the split: of models that were
    trained anew for each fold, perhaps with other options, and not of the run's weights. Else it is what the run says
    of its validation and test faces, calibrated where its reliability was fitted. The validation faces chose no
    weights, but perhaps the epoch, the scale of the logit or the temperature.

    Returns
    -------
    table : DataFrame
        A row a face: face_id, dataset, label, split (of the run), p_without_mask.
    source : str
        Where they come from, for people.

    Raises
    ------
    RunError, WorkspaceError
        If its predictions are damaged, or what is noted of them.
    """
    if is_cross_validated(run):
        table = _told_apart(run, read_predictions(run.folder / OUT_OF_SAMPLE_FILE))
        if "split" not in table:
            split = _told_apart(run, run.predictions, {"split"}).set_index("face_id")["split"]
            table = table.assign(split=table["face_id"].map(split).fillna(""))
        return table[_COLUMNS], _cross_validated_source(run)
    table = _told_apart(run, run.predictions, {"split", "logit"})
    table = table[table["split"] != "train"].reset_index(drop=True)
    table["p_without_mask"] = calibrated_probability(run.folder, table["logit"])
    return table[_COLUMNS], OWN_SOURCE


def _cross_validated_source(run: Run) -> str:
    """Which models the cross-validated predictions in a run's folder are of."""
    path = run.folder / OUT_OF_SAMPLE_RECORD
    if not path.is_file():
        return "cross-validated models of options that were not noted; not this run's weights"
    noted = read_json(path, version=1)
    if not is_record(noted, {"model": str, "options": dict}):
        raise unreadable(path, "it does not say of which models the predictions are")
    other = [f"model {noted['model']}, not {run.model_name}"] if noted["model"] != run.model_name else []
    try:
        changes = "; ".join([*other, *changes_of(run, noted)])
    except ODD_VALUES as error:
        raise unreadable(path, error) from error
    return f"cross-validated models {f'with {changes}' if changes else 'of the same options'}; not this run's weights"


def _told_apart(run: Run, table: pd.DataFrame, further: Collection[str] = ()) -> pd.DataFrame:
    """Predictions that were read, if they have the columns and name each face once."""
    needed = {"face_id", "dataset", "label", "p_without_mask", *further}
    if not needed <= set(table) or table["face_id"].duplicated().any():
        raise RunError(f"The predictions of run {run.id} are damaged.")
    return table


def find_suspects(runs: Sequence[Run]) -> Suspects:
    """The faces whose label is probably wrong, by the mean probability of some runs.

    Examined are the faces for which every run has an out-of-sample probability, with the label that the newest of them
    was trained with.

    Raises
    ------
    MaskDetError
        If there is no run, or there are fewer than `LEAST_FACES` such faces of a label.
    """
    if not runs:
        raise MaskDetError("Choose at least one run to look for label errors with.")
    examined, sources = _examined(runs)
    faces = examined["label"].value_counts()
    few = [f"{faces.get(label, 0)} {label}" for label in CLASSES if faces.get(label, 0) < LEAST_FACES]
    if few:
        together = "that no chosen run was trained on" if len(runs) > 1 else f"that {runs[0].id} was not trained on"
        raise MaskDetError(
            f"Of the faces {together}, only {' and '.join(few)}: label errors are looked for among at least "
            f"{LEAST_FACES} of each label."
        )
    given = (examined["label"] == CLASSES[1]).to_numpy().astype(np.int64)
    p = examined["p_without_mask"].to_numpy()
    at = _label_issues(given, p)
    table = examined.take(at).reset_index(drop=True)
    table.insert(3, "suggested", np.array(CLASSES)[1 - given[at]])
    table.insert(4, "self_confidence", np.where(given[at] == 1, p[at], 1 - p[at]))
    order = [*_COLUMNS[:3], "suggested", "self_confidence", "p_without_mask", "split"]
    counts = examined.groupby(["dataset", "label", "split"]).size().rename("faces").reset_index()
    return Suspects(table[order], sources, counts)


def is_open(table: pd.DataFrame, decisions: Mapping[str, Decision]) -> "pd.Series[bool]":
    """True for the suspects that nobody has looked at: a person has decided nothing on them, of whatever kind."""
    return ~table["face_id"].isin(list(decisions))


def _examined(runs: Sequence[Run]) -> tuple[pd.DataFrame, dict[str, str]]:
    newest = max(runs, key=lambda run: str(run.record["created"]))
    sources: dict[str, str] = {}
    tables = {}
    for run in runs:
        table, sources[run.id] = out_of_sample(run)
        tables[run.id] = table.set_index("face_id")
    p = pd.concat([table["p_without_mask"] for table in tables.values()], axis=1, join="inner").mean(axis=1)
    examined = tables[newest.id].loc[p.index, ["dataset", "label", "split"]].assign(p_without_mask=p)
    return examined.sort_index().rename_axis("face_id").reset_index()[_COLUMNS], sources


def _label_issues(given: npt.NDArray[np.int64], p: npt.NDArray[np.float64]) -> list[int]:
    """Positions of the probable label errors, the least self-confident first, ties by position."""
    from cleanlab.filter import find_label_issues  # takes a second and a half

    probabilities = np.stack([1 - p, p], axis=1)
    is_issue = find_label_issues(given, probabilities, n_jobs=1)  # more jobs would fork a server with threads
    at = np.flatnonzero(is_issue)
    return list(at[np.argsort(probabilities[at, given[at]], kind="stable")])
