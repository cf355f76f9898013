"""The shortcut probe: how well the label, or the source, is told from measurements that know nothing of masks.

A classifier of some ten measurements (see `maskdet.bias.measurements`) is cross-validated by groups of related faces.
What it can tell, a model can tell as well, and score without having learned what a mask is (Geirhos et al., Shortcut
learning in deep neural networks, 2020; the study warns of sizes in 4.1 and of colours in 6.2).

Size and aspect ratio cannot show a mask. Colour, light, sharpness and compression are changed by masks too, so a part
of what they tell is no shortcut; and once a face is normalised, so is all that is measured of its pixels.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pandas as pd

from maskdet.bias.measurements import FAMILIES, FEATURES, STAGES, Stage
from maskdet.bias.probing import Auc, Folds, ProbeData, aucs_of, deal, importance_of
from maskdet.bias.shortcut_sentences import too_few_sentence, verdict_sentence
from maskdet.bootstrap import FEWEST_GROUPS
from maskdet.errors import ODD_VALUES, MaskDetError
from maskdet.labels import CLASSES
from maskdet.progress import Progress, silent
from maskdet.workspace import read_json, read_table, unreadable, write_json, write_table

ProbeTarget = Literal["label", "dataset"]
ShortcutVerdict = Literal["strong", "weak", "none", "too few to say"]
#: The scope of all datasets of the main pool.
POOLED: Final = "pooled"
_LEAST_FOLDS: Final = 2
#: Of a probe, what is shown as it is.
_TEXTS: Final = ("target", "scope", "stage", "verdict", "sentence", "reason")


@dataclass(frozen=True)
class ProbeOptions:
    """How to probe.

    Attributes
    ----------
    folds : int
        Of the cross-validation by group.
    seed : int
    material : float
        An AUC below this is not worth a word (our choice).
    strong : float
        From this AUC on a shortcut is strong (our choice).
    carriers : int
        Faces listed for each label.
    repeats : int
        How often each feature is shuffled in each fold.
    fewest : int
        Groups of related faces that each label, or dataset, needs; from fewer no classifier learns anything (our
        choice).
    """

    folds: int = 5
    seed: int = 0
    material: float = 0.6
    strong: float = 0.75
    carriers: int = 24
    repeats: int = 5
    fewest: int = 30

    def __post_init__(self) -> None:
        if self.folds < _LEAST_FOLDS:
            raise MaskDetError(f"folds must be at least {_LEAST_FOLDS}, not {self.folds}.")
        if not 0.5 <= self.material <= self.strong <= 1:
            raise MaskDetError(
                "material and strong must be AUCs of 0.5 to 1, material the lower one, not "
                f"{self.material} and {self.strong}."
            )
        if self.carriers < 0 or self.seed < 0:
            raise MaskDetError(f"carriers and seed must be at least 0, not {self.carriers} and {self.seed}.")
        if self.repeats < 1:
            raise MaskDetError(f"repeats must be at least 1, not {self.repeats}.")
        least = max(FEWEST_GROUPS, self.folds)
        if self.fewest < least:
            raise MaskDetError(f"fewest must be at least {least} groups, not {self.fewest}.")


@dataclass(frozen=True)
class Probe:
    """What was found in some faces.

    Attributes
    ----------
    target : {"label", "dataset"}
        What is told.
    scope : str
        A dataset's id, or ``"pooled"``.
    stage : {"photo", "normalised"}
        What it is told from (see `maskdet.bias.measurements`).
    faces, groups : int
        The faces that were probed.
    auc, low, high : float or None
        Out of fold, of all measurements of the stage together, with its interval (95 %, cluster bootstrap, widened for
        the cross-validation; see `maskdet.bias.probing.aucs_of`); the macro mean of each dataset against the rest for
        datasets. None where ``reason`` says why.
    families : dict
        ``auc``, ``low`` and ``high`` of a classifier of each family of measurements alone, and ``found``: whether it is
        material, and above chance after Bonferroni's correction for all families. Where nothing of a family varies, its
        AUC is 0.5 without an interval.
    importance : dict
        Of each measurement ``mean`` and ``sd`` of the drop of the AUC (see `maskdet.bias.probing.importance_of`).
    verdict : {"strong", "weak", "none", "too few to say"}
        None unless the lower end of the interval is above 0.5 and the AUC at least material; too few to say also where
        the interval reaches as far as a strong shortcut.
    sentence : str
        What that means.
    reason : str
        Why nothing was measured, or who was left out; "" if nothing is to be said.
    """

    target: ProbeTarget
    scope: str
    stage: Stage
    faces: int
    groups: int
    auc: float | None
    low: float | None
    high: float | None
    families: dict[str, dict[str, Any]]
    importance: dict[str, dict[str, float]]
    verdict: ShortcutVerdict
    sentence: str
    reason: str = ""


@dataclass(frozen=True)
class ShortcutReport:
    """All probes of a split.

    Attributes
    ----------
    carriers : DataFrame
        face_id, dataset, label, p_without_mask: the faces of the main pool whose label is told most surely, and
        rightly, from the photos' measurements, the surest first; none where they tell it no better than chance.
    scores : DataFrame
        face_id, label, p_without_mask: out-of-fold probabilities from the photos' measurements, of the main pool's
        probe; of a dataset outside it, from the dataset's own probe. NaN where there is none.
    lacking : tuple of str
        Features that could not be used (see `lacking_features`).
    """

    fingerprint: str
    options: ProbeOptions
    probes: tuple[Probe, ...]
    carriers: pd.DataFrame
    scores: pd.DataFrame
    lacking: tuple[str, ...] = ()


def lacking_features(measurements: pd.DataFrame) -> tuple[str, ...]:
    """The features that were not measured of these faces, which an earlier version scanned."""
    return tuple(name for names in FEATURES.values() for name in names if name not in measurements)


def probe_shortcuts(
    table: pd.DataFrame,
    measurements: pd.DataFrame,
    options: ProbeOptions | None = None,
    progress: Progress = silent,
    fingerprint: str = "",
) -> ShortcutReport:
    """Probe a split: its labels by dataset and pooled, and its datasets, each by photo and once normalised.

    Parameters
    ----------
    table : DataFrame
        Rows of a split: face_id, dataset, label, group. With a column ``pool``, pooled means the main pool.
    measurements : DataFrame
        face_id and the features of `maskdet.bias.measurements.FEATURES`; those that it lacks are left out.

    Raises
    ------
    MaskDetError
        If no face has a label that models tell apart, or faces were not measured.
    """
    options = options or ProbeOptions()
    known = _joined(table, measurements)
    tasks = list(_tasks(known))
    scores = known[["face_id", "label"]].assign(p_without_mask=np.nan)
    probes: list[Probe] = []
    dealt: dict[tuple[str, str], Folds] = {}
    for number, (target, scope, stage, rows) in enumerate(tasks):
        progress(number, len(tasks), f"{target} of {scope}, {'photos' if stage == 'photo' else 'normalised'}")
        probe, found = _probe(known[rows], target, scope, stage, options, dealt)
        probes.append(probe)
        if target == "label" and stage == "photo" and found is not None:
            wanted = rows & scores["p_without_mask"].isna().to_numpy()  # the pooled probe comes first
            scores.loc[wanted, "p_without_mask"] = found[wanted[rows], 1]
    progress(len(tasks), len(tasks), "all is probed")
    carriers = _carriers(scores.assign(dataset=known["dataset"].where(known[POOLED])), probes, options)
    return ShortcutReport(fingerprint, options, tuple(probes), carriers, scores, lacking_features(measurements))


def save_shortcuts(path: Path, report: ShortcutReport) -> None:
    """Write a report as JSON, with its scores beside it as Parquet. Raises WorkspaceError if it cannot be written."""
    write_table(_scores_path(path), report.scores)
    record = {
        "fingerprint": report.fingerprint, "options": asdict(report.options),
        "probes": [asdict(probe) for probe in report.probes], "carriers": report.carriers.to_dict("records"),
        "lacking": list(report.lacking),
    }  # fmt: skip
    write_json(path, record, version=1)


def load_shortcuts(path: Path) -> ShortcutReport:
    """Read what `save_shortcuts` wrote. Raises WorkspaceError if it is missing or damaged."""
    record, scores = read_json(path, version=1), read_table(_scores_path(path))
    try:
        carriers = pd.DataFrame(record["carriers"], columns=["face_id", "dataset", "label", "p_without_mask"])
        names = [field.name for field in fields(Probe)]
        probes = tuple(Probe(**{name: probe[name] for name in names}) for probe in record["probes"])
        if not all(isinstance(getattr(probe, name), str) for probe in probes for name in _TEXTS):
            raise ValueError(f"a probe whose {', '.join(_TEXTS)} are no texts")
        options = ProbeOptions(**record["options"])
        return ShortcutReport(
            str(record["fingerprint"]), options, probes, carriers, scores[["face_id", "label", "p_without_mask"]],
            tuple(record.get("lacking", ())),
        )  # fmt: skip
    except ODD_VALUES as error:
        raise unreadable(path, error) from error


def _scores_path(path: Path) -> Path:
    return path.with_suffix(".parquet")


def _joined(table: pd.DataFrame, measurements: pd.DataFrame) -> pd.DataFrame:
    """The faces that are probed with what is measured of them; column ``pooled`` says which are pooled."""
    known = table[table["label"].isin(CLASSES)]
    if known.empty:
        raise MaskDetError("No face is with or without mask: there is no label to tell.")
    missing = known.loc[~known["face_id"].isin(measurements["face_id"]), "face_id"]
    if len(missing):
        raise MaskDetError(f"{len(missing)} faces were not measured, {missing.iloc[0]} among them.")
    pooled = known["pool"] == "main" if "pool" in known else pd.Series(data=True, index=known.index)
    columns = ["face_id", "dataset", "label", "group"]
    return (
        known[columns]
        .assign(**{POOLED: pooled})
        .merge(measurements.replace([np.inf, -np.inf], np.nan), on="face_id", how="left", validate="1:1")
    )


def _tasks(known: pd.DataFrame) -> Iterator[tuple[ProbeTarget, str, Stage, Any]]:
    """What is probed: target, scope, stage, and which rows."""
    pooled = known[POOLED].to_numpy()
    labels = known.groupby("dataset")["label"].nunique()
    for stage in STAGES:
        if not set(FEATURES[stage]) & set(known):
            continue
        if pooled.any():
            yield "label", POOLED, stage, pooled
        for dataset in sorted(labels.index[labels == len(CLASSES)]):
            yield "label", str(dataset), stage, (known["dataset"] == dataset).to_numpy()
        if known.loc[pooled, "dataset"].nunique() > 1:
            yield "dataset", POOLED, stage, pooled


def _probe(
    rows: pd.DataFrame, target: ProbeTarget, scope: str, stage: Stage, options: ProbeOptions,
    dealt: dict[tuple[str, str], Folds],
) -> tuple[Probe, Any]:  # fmt: skip
    """A probe, and its out-of-fold scores, None where nothing was fitted; both stages of a scope share their folds."""
    families = {name: family for name, family in FEATURES[stage].items() if name in rows}
    rows, names, reason = _enough(rows, target, options)
    count = int(rows["group"].nunique())
    if len(names) < len(CLASSES):
        said = too_few_sentence(target, scope, stage, reason)
        empty = Probe(target, scope, stage, len(rows), count, None, None, None, {}, {}, "too few to say", said, reason)
        return empty, None
    codes, groups = pd.Categorical(rows[target], names).codes.astype(np.int64), rows["group"].to_numpy()
    if (target, scope) not in dealt:
        dealt[target, scope] = deal(codes, groups, options.folds, options.seed)
    data = ProbeData(rows[list(families)], codes, groups, dealt[target, scope], options.seed)
    whole = data.fitted(list(families))
    scores = {
        family: data.fitted([name for name, of in families.items() if of == family]).scores
        for family in FAMILIES
        if family in families.values()
    }
    aucs = aucs_of(data, {"": whole.scores, **scores})
    auc, alone = aucs[""], {family: _family(aucs[family], options) for family in scores}
    verdict = _verdict(auc, options)
    said = verdict_sentence(target, scope, stage, len(rows), verdict, auc, alone)
    importance = importance_of(data, whole, options.repeats)
    found = Probe(
        target, scope, stage, len(rows), count, auc.value, auc.low, auc.high, alone, importance, verdict, said, reason
    )
    return found, whole.scores


def _enough(rows: pd.DataFrame, target: ProbeTarget, options: ProbeOptions) -> tuple[pd.DataFrame, list[str], str]:
    """The rows that can be probed, the classes among them that have enough groups, and which have not, as a sentence.

    Datasets of too few groups are left out; of a dataset with too few of a label, nothing can be said.
    """
    groups = rows.groupby(target)["group"].nunique()
    if target == "label":
        groups = groups.reindex(list(CLASSES), fill_value=0)
    names = [str(name) for name in groups.index[groups >= options.fewest]]
    few = [f"{str(name).replace('_', ' ')} has {count:,}" for name, count in groups.items() if str(name) not in names]
    if not few:
        return rows, names, ""
    kept = rows[rows[target].isin(names)] if target == "dataset" else rows
    return kept, names, f"At least {options.fewest} groups of related faces are needed, and {', '.join(few)}."


def _family(auc: Auc, options: ProbeOptions) -> dict[str, Any]:
    found = auc.low_of_many is not None and auc.low_of_many > 0.5 and auc.value >= options.material
    return {"auc": auc.value, "low": auc.low, "high": auc.high, "found": found}


def _verdict(auc: Auc, options: ProbeOptions) -> ShortcutVerdict:
    if auc.low is None or auc.high is None:  # nothing varies
        return "none"
    if auc.low > 0.5 and auc.value >= options.material:
        return "strong" if auc.value >= options.strong else "weak"
    return "too few to say" if auc.high >= options.strong else "none"


def _carriers(scores: pd.DataFrame, probes: list[Probe], options: ProbeOptions) -> pd.DataFrame:
    """The pooled faces that are told most surely and rightly; none where nothing is told."""
    columns = ["face_id", "dataset", "label", "p_without_mask"]
    mine = [p for p in probes if (p.target, p.scope, p.stage) == ("label", POOLED, "photo")]
    if not mine or mine[0].verdict not in ("strong", "weak"):
        return pd.DataFrame(columns=columns)
    without = scores["label"] == CLASSES[1]
    sure = scores["p_without_mask"].where(without, 1 - scores["p_without_mask"])
    known = scores.assign(sure=sure)[scores["dataset"].notna() & (sure > 0.5)]
    known = known.sort_values(["sure", "face_id"], ascending=[False, True], kind="stable")
    parts = [known[known["label"] == label].head(options.carriers) for label in CLASSES]
    return pd.concat(parts, ignore_index=True)[columns]
