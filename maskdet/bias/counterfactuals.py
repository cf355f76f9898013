"""Counterfactuals: on what do a run's verdicts hang? A sample of its test faces is changed, and judged again.

What is done to a face is in `maskdet.bias.transformations`. Every run is asked about the same faces, so that runs can
be compared face by face.

    counterfactuals.json      run, fingerprint, options      counterfactuals.parquet   a row a face
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from maskdet.bias.files import read_result, write_result
from maskdet.bias.means import FEWEST, Kind, means, split_by
from maskdet.bias.regions import FaceGeometry
from maskdet.bias.sampling import geometries, judged_sample, sampled
from maskdet.bias.transformations import TRANSFORMATIONS, check_names, transformed
from maskdet.bootstrap import Values
from maskdet.errors import ODD_VALUES, MaskDetError
from maskdet.facetable import load_faces
from maskdet.images import FaceImages, batches, stored_images
from maskdet.labels import CLASSES, WITH_MASK
from maskdet.models.base import Logits
from maskdet.photos import RgbImage
from maskdet.progress import Progress, part_of, silent
from maskdet.runs import Run
from maskdet.runtime import open_runtime
from maskdet.workspace import Workspace, unreadable

Flags = npt.NDArray[np.bool_]
#: Whether each verdict is another, and the change of the logit, each of shape (faces, transformations).
Outcomes = tuple[Values, Values]
_FACTS: Final = ["face_id", "dataset", "label", "group", "found", "logit"]
_CHANGE: Final = ["change", "change_low", "change_high"]
_CHANGE_SD: Final = ["change_sd", "change_sd_low", "change_sd_high"]
_BEGIN: Final = ["transformation", "label", "group_name", "n", "flipped", "low", "high"]
_FLIPS: Final = [*_BEGIN, *_CHANGE, *_CHANGE_SD, "reason"]
_IN_UNITS: Final = dict(zip(_CHANGE, _CHANGE_SD, strict=True))
_AT_ONCE: Final = 8  # faces; each becomes some twenty


@dataclass(frozen=True)
class CounterfactualOptions:
    """What is asked.

    Attributes
    ----------
    sample : int
        Faces of a label, of the test split; where there are more, a random sample.
    seed : int
        Of the sample.
    names : tuple of str
        Keys of `TRANSFORMATIONS`; empty: all.

    Raises
    ------
    MaskDetError
        If the sample is empty, or there is no such transformation.
    """

    sample: int = 300
    seed: int = 0
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what cannot be asked."""
        if self.sample < 1:
            raise MaskDetError(f"The sample must be at least 1 face, not {self.sample}.")
        check_names(self.names)

    @property
    def chosen(self) -> tuple[str, ...]:
        """The transformations."""
        return self.names or tuple(TRANSFORMATIONS)


@dataclass(frozen=True)
class Counterfactuals:
    """What a run says of faces before and after each change.

    Attributes
    ----------
    run, fingerprint : str
    options : CounterfactualOptions
    faces : DataFrame
        A row a face: face_id, dataset, label, group, found (whether a detector saw its landmarks, else the usual ones
        were taken), logit as it is, and a column a transformation with the logit after it; NaN where it does not
        apply to the label, or cannot be done to this face (see `maskdet.bias.transformations.transformed`).
    """

    run: str
    fingerprint: str
    options: CounterfactualOptions
    faces: pd.DataFrame

    @property
    def spread(self) -> float:
        """Standard deviation of the logits of the sample as it is: the scale on which this model's logits lie."""
        return float(self.faces["logit"].std(ddof=0))


def counterfactuals(
    workspace: Workspace, run: Run, options: CounterfactualOptions | None = None, progress: Progress = silent
) -> Counterfactuals:
    """Change a sample of a run's test faces, and ask the run again.

    Raises
    ------
    MaskDetError
        If it has no test face.
    RunError
        If its weights cannot be read.
    WorkspaceError
        If its faces are not in this workspace.
    """
    options = options or CounterfactualOptions()
    judged = judged_sample(run)
    chosen = judged[sampled(judged, options.sample, options.seed)].reset_index(drop=True)
    faces = load_faces(workspace)
    images = stored_images(workspace, faces, chosen["face_id"])
    places = geometries(workspace, faces, chosen["face_id"].tolist(), part_of(progress, 0, 2000, "landmarks"))
    runtime = open_runtime(run)
    logits = judge_changes(
        lambda pixels: runtime(pixels)[0], images, places, chosen["label"], options.chosen,
        part_of(progress, 1000, 2000, "judging changed faces"),
    )  # fmt: skip
    found = [place.found for place in places]
    facts = chosen[["face_id", "dataset", "label", "group"]].assign(found=found)
    return Counterfactuals(run.id, run.fingerprint, options, pd.concat([facts, logits], axis=1))


def judge_changes(
    logits_of: Callable[[RgbImage], Logits],
    images: FaceImages,
    places: Sequence[FaceGeometry],
    labels: Sequence[str] | pd.Series,
    names: Sequence[str],
    progress: Progress = silent,
) -> pd.DataFrame:
    """Logits of faces as they are, and after each change.

    Parameters
    ----------
    logits_of : callable
        The model: from normalised faces, shape (n, 150, 150, 3), to logits, shape (n,).
    images, places, labels
        The faces, where their parts lie, and their labels, in one order.
    names : sequence of str
        Keys of `TRANSFORMATIONS`.

    Returns
    -------
    DataFrame
        A row a face: logit, and a column a transformation, float32; NaN where it does not apply.
    """
    table = np.full((len(images), 1 + len(names)), np.nan, np.float32)
    column = {name: 1 + number for number, name in enumerate(names)}
    labels = list(labels)
    for positions in batches(len(images), _AT_ONCE):
        copies, cells = [], []
        for at, face in zip(positions.tolist(), images.take(positions), strict=True):
            suited = [name for name in names if labels[at] in TRANSFORMATIONS[name].applies_to]
            changed = transformed(face, places[at], suited)
            copies += [face, *changed.values()]
            cells += [(at, 0), *((at, column[name]) for name in changed)]
        rows, columns = zip(*cells, strict=True)
        table[rows, columns] = logits_of(np.stack(copies))
        progress(int(positions[-1]) + 1, len(images), "counterfactuals")
    return pd.DataFrame(table, columns=["logit", *names])


def flips(found: Counterfactuals, groups: "pd.Series[Any] | None" = None, fewest: int = FEWEST) -> pd.DataFrame:
    """How often a change turns the verdict, and how far it moves the logit.

    Where a mask is drawn on, so that the verdict should turn, faces that were judged with mask already don't count.

    Parameters
    ----------
    groups : Series, optional
        Names of groups by face id (see `maskdet.bias.means.split_by`).
    fewest : int
        With fewer faces there is no interval, and a reason says so.

    Returns
    -------
    DataFrame
        A row a transformation, label and group: transformation, label, group_name ("all" or a group), n, flipped (share
        of verdicts that are another, 0..1), low, high, change (mean of logit after less logit before; below 0 is
        towards *with mask*), change_low, change_high, change_sd, change_sd_low, change_sd_high (the same in units of
        `Counterfactuals.spread`, for models with other scales), reason. Intervals as of `maskdet.bias.means.means`, NaN
        where ``reason`` says why.
    """
    table = _judged(found, partial(_outcomes, found), found.options.chosen, groups, fewest, "shares")
    spread = found.spread or np.nan
    table = table.assign(**{to: table[name] / spread for name, to in _IN_UNITS.items()})
    return table[_FLIPS]


def compare_flips(
    first: Counterfactuals,
    second: Counterfactuals,
    groups: "pd.Series[Any] | None" = None,
    fewest: int = FEWEST,
) -> pd.DataFrame:
    """How much more often a change turns the verdicts of the first run than those of the second, on the same faces.

    Returns
    -------
    DataFrame
        A row a transformation, label and group: transformation, label, group_name, n, flipped (share of the first less
        share of the second), low, high, change_sd (difference of the mean changes, each in its model's own units),
        change_sd_low, change_sd_high, reason. Intervals of the differences face by face (`maskdet.bias.means.means`).
    """
    both = np.intersect1d(first.faces["face_id"], second.faces["face_id"])
    one, other = (_only(each, both) for each in (first, second))
    names = [name for name in first.options.chosen if name in second.options.chosen]

    def outcomes(inside: Flags, suited: Sequence[str]) -> Outcomes:
        mine, theirs = (_outcomes(each, inside, suited) for each in (one, other))
        return mine[0] - theirs[0], mine[1] / (first.spread or np.nan) - theirs[1] / (second.spread or np.nan)

    return _judged(one, outcomes, names, groups, fewest).rename(columns=_IN_UNITS)


def contrast(
    found: Counterfactuals,
    first: str,
    second: str,
    groups: "pd.Series[Any] | None" = None,
    fewest: int = FEWEST,
) -> pd.DataFrame:
    """How much more one change does than another to the same faces of one run: a light patch than a dark one.

    Returns
    -------
    DataFrame
        As `compare_flips`; ``transformation`` is that of the first.

    Raises
    ------
    MaskDetError
        If the run was not asked about one of them.
    """
    for name in (first, second):
        if name not in found.options.chosen:
            raise MaskDetError(f"Run {found.run} was not asked about {name!r}.")

    def outcomes(inside: Flags, suited: Sequence[str]) -> Outcomes:
        mine, theirs = (_outcomes(found, inside, [name]) for name in (first, second))
        return mine[0] - theirs[0], (mine[1] - theirs[1]) / (found.spread or np.nan)

    return _judged(found, outcomes, [first], groups, fewest).rename(columns=_IN_UNITS)


def save_counterfactuals(path: Path, found: Counterfactuals) -> None:
    """Write counterfactuals (see the module). Raises WorkspaceError if they cannot be written."""
    record = {"run": found.run, "fingerprint": found.fingerprint, "options": asdict(found.options)}
    write_result(path, record, found.faces)


def load_counterfactuals(path: Path) -> Counterfactuals:
    """Read what `save_counterfactuals` wrote. Raises WorkspaceError if it is missing or damaged."""
    record, faces, _ = read_result(path)
    try:
        stored = record["options"]
        options = CounterfactualOptions(**{**stored, "names": tuple(stored["names"])})
        return Counterfactuals(
            str(record["run"]), str(record["fingerprint"]), options, faces[[*_FACTS, *options.chosen]]
        )
    except ODD_VALUES as error:
        raise unreadable(path, error) from error


def _judged(
    found: Counterfactuals,
    outcomes: Callable[[Flags, Sequence[str]], Outcomes],
    names: Sequence[str],
    groups: "pd.Series[Any] | None",
    fewest: int,
    kind: Kind = "changes",
) -> pd.DataFrame:
    """Means of outcomes, a row a transformation, label and group; rows of one transformation together, in its order."""
    rows: list[tuple[Any, ...]] = []
    for label in CLASSES:
        suited = [name for name in names if label in TRANSFORMATIONS[name].applies_to]
        of_label = (found.faces["label"] == label).to_numpy()
        for group_name, in_group in split_by(found.faces, groups):
            inside = in_group & of_label
            if not suited or not inside.any():
                continue
            clusters = found.faces.loc[inside, "group"].to_numpy()
            flipped, moved = outcomes(inside, suited)
            shares, changes = means(flipped, clusters, fewest, kind), means(moved, clusters, fewest)
            reasons = [
                one or other.replace("no interval", "no interval of the change")
                for one, other in zip(shares.reason, changes.reason, strict=True)
            ]
            rows += [
                (name, label, group_name, *figures)
                for name, *figures in zip(
                    suited, shares.n, shares.mean, shares.low, shares.high, changes.mean, changes.low, changes.high,
                    reasons, strict=True,
                )
            ]  # fmt: skip
    table = pd.DataFrame(rows, columns=[*_BEGIN, *_CHANGE, "reason"])
    place = {name: number for number, name in enumerate(names)}
    return table.sort_values("transformation", key=lambda column: column.map(place), kind="stable", ignore_index=True)


def _outcomes(found: Counterfactuals, inside: Flags, names: Sequence[str]) -> Outcomes:
    before = found.faces.loc[inside, "logit"].to_numpy(dtype=np.float64)[:, None]
    after = found.faces.loc[inside, list(names)].to_numpy(dtype=np.float64)
    wanted = np.array([TRANSFORMATIONS[name].expected == WITH_MASK for name in names], dtype=np.bool_)
    # Where a face is judged with mask already, a mask that is drawn on has nothing to turn.
    after = np.where((before <= 0) & wanted, np.nan, after)
    flipped = np.where(np.isnan(after), np.nan, (after > 0) != (before > 0))
    return flipped, after - before


def _only(found: Counterfactuals, face_ids: npt.NDArray[Any]) -> Counterfactuals:
    faces = found.faces.set_index("face_id").loc[face_ids].rename_axis("face_id").reset_index()
    return replace(found, faces=faces)
