"""The faces that runs get wrong, and those on which they disagree (study 6.2).

Pure functions of runs' predictions: a logit above 0 means without mask, and the labels are those a run was trained and
judged with. Probabilities are calibrated where a run's reliability was fitted, as in `maskdet.predict`.
"""

from collections.abc import Sequence
from typing import Final

import pandas as pd

from maskdet.intervals import share_interval
from maskdet.labels import CLASSES
from maskdet.reliability import calibrated_probability
from maskdet.runs import Run
from maskdet.split import SplitName

_JUDGED: Final = ["face_id", "dataset", "label", "group", "p_without_mask", "confidence", "wrong"]


def judged_faces(run: Run, split: SplitName = "test") -> pd.DataFrame:
    """A run's verdict on every face of a split.

    Returns
    -------
    DataFrame
        A row a face: face_id, dataset, label, group, p_without_mask, confidence (0.5 to 1, the probability that the
        model gives its verdict), both calibrated where the run's reliability was fitted; wrong (whether the verdict is
        not the label).

    Raises
    ------
    MaskDetError
        If the run's predictions or its reliability are damaged.
    """
    table = run.predictions[run.predictions["split"] == split].reset_index(drop=True)
    return table.assign(
        p_without_mask=calibrated_probability(run.folder, table["logit"]),
        confidence=calibrated_probability(run.folder, table["logit"].abs()),
        wrong=(table["logit"] > 0) != (table["label"] == CLASSES[1]),
    )[_JUDGED]


def wrong_faces(runs: Sequence[Run], split: SplitName = "test") -> pd.DataFrame:
    """The faces that runs get wrong (study, Figure 15), the most confident verdicts first.

    Returns
    -------
    DataFrame
        A row a run and face: run, model, face_id, dataset, label, p_without_mask, confidence (0.5 to 1, the probability
        that the model gives the wrong label), both calibrated as in `judged_faces`. Equally confident verdicts come by
        face id, then in the order of runs.
    """
    parts = []
    for run in runs:
        judged = judged_faces(run, split)
        wrong = judged[judged["wrong"]].drop(columns=["wrong", "group"])
        wrong.insert(0, "run", run.id)
        wrong.insert(1, "model", run.model_name)
        parts.append(wrong)
    if not parts:
        return pd.DataFrame(columns=["run", "model", *(name for name in _JUDGED if name not in ("group", "wrong"))])
    wrong = pd.concat(parts, ignore_index=True).sort_values("face_id", kind="stable")
    return wrong.sort_values("confidence", ascending=False, kind="stable", ignore_index=True)


def error_rates(
    runs: Sequence[Run],
    datasets: Sequence[str] | None = None,
    labels: Sequence[str] | None = None,
    split: SplitName = "test",
) -> pd.DataFrame:
    """How many faces of some datasets and labels each run gets wrong; None means all.

    Returns
    -------
    DataFrame
        A row a run: run, faces, wrong, share (0 to 1; NaN without a face), low and high, its interval (see
        `maskdet.intervals.share_interval`).
    """
    rows = []
    for run in runs:
        judged = judged_faces(run, split)
        judged = judged[matching(judged, datasets, labels)]
        wrong = judged["wrong"].to_numpy()
        low, high = share_interval(wrong, judged["group"].to_numpy())
        share = float(wrong.mean()) if len(wrong) else float("nan")
        rows.append((run.id, len(wrong), int(wrong.sum()), share, low, high))
    return pd.DataFrame(rows, columns=["run", "faces", "wrong", "share", "low", "high"])


def disagreements(
    runs: Sequence[Run], datasets: Sequence[str] | None = None, labels: Sequence[str] | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The test faces that at least two of some runs judge differently.

    Compared are the faces that are test faces of every run. Their label and group are those that the newest run knew: a
    face may have been relabelled between two runs.

    Returns
    -------
    common : DataFrame
        A row a face that was compared: face_id, dataset, label, group, a column of p_without_mask (calibrated as in
        `judged_faces`) for each run by its id, right (how many runs give the label), spread (the largest of the
        probabilities less the smallest), differ.
    differing : DataFrame
        The rows of ``common`` that differ, without group and differ, the widest spread first.
    """
    common = _common_faces(runs)
    common = common[matching(common, datasets, labels)].reset_index(drop=True)
    ids = [run.id for run in runs]
    says_without = common[[f"logit {name}" for name in ids]] > 0
    without = says_without.sum(axis=1)
    common = common.drop(columns=list(says_without)).assign(
        right=without.where(common["label"] == CLASSES[1], len(ids) - without),
        spread=common[ids].max(axis=1) - common[ids].min(axis=1),
        differ=(without > 0) & (without < len(ids)),
    )
    found = common[common["differ"]].drop(columns=["group", "differ"]).sort_values("face_id", kind="stable")
    return common, found.sort_values("spread", ascending=False, kind="stable", ignore_index=True)


def matching(
    table: pd.DataFrame, datasets: Sequence[str] | None = None, labels: Sequence[str] | None = None
) -> "pd.Series[bool]":
    """True for the rows of some datasets and labels; None means all."""
    chosen = pd.Series(data=True, index=table.index)
    for column, values in (("dataset", datasets), ("label", labels)):
        if values is not None:
            chosen &= table[column].isin(list(values))
    return chosen


def _common_faces(runs: Sequence[Run]) -> pd.DataFrame:
    """The test faces of every run, sorted by id: what they are, and each run's probability and logit."""
    if not runs:
        return pd.DataFrame(columns=["face_id", "dataset", "label", "group"])
    newest = max(runs, key=lambda run: str(run.record["created"]))
    test = {run.id: run.predictions[run.predictions["split"] == "test"].set_index("face_id") for run in runs}
    common = test[newest.id][["dataset", "label", "group"]]
    for run in runs:
        name, table = run.id, test[run.id]
        p = calibrated_probability(run.folder, table["logit"])
        mine = pd.DataFrame({name: p, f"logit {name}": table["logit"]}, index=table.index)
        common = common.join(mine, how="inner")
    return common.sort_index().rename_axis("face_id").reset_index()
