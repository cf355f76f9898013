"""The study's Grad-CAM analysis of a run (6.3, Figure 17, Appendix F), and what one picture cannot show: the mean.

Where a model finds evidence for a label, over all faces of a class, and over those that it gets right and wrong. The
result holds no photo, only ids, numbers and maps, and is kept beside the run.

    gradcam.json   options, a cell a label and outcome, the faces with the lowest and the highest logit
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from maskdet.attribution.explainer import Explainer
from maskdet.attribution.faithfulness import lower_half_shares
from maskdet.attribution.heatmap import EMPTY, Heatmap, RawMaps, scaled
from maskdet.bootstrap import FEWEST_GROUPS, Values, measured
from maskdet.errors import ODD_VALUES, MaskDetError
from maskdet.facetable import load_faces
from maskdet.images import FaceImages, stored_images
from maskdet.intervals import FEWEST_FACES, share_interval
from maskdet.labels import CLASSES
from maskdet.mistakes import judged_faces
from maskdet.progress import Progress, silent
from maskdet.runs import Run
from maskdet.split import SplitName
from maskdet.workspace import Workspace, read_json, unreadable, write_json

GRADCAM_FILE: Final = "gradcam.json"
Outcome = Literal["all", "right", "wrong"]
Interval = tuple[float, float]
#: Significant digits that are kept.
_DIGITS: Final = 4
_AT_ONCE: Final = 32


@dataclass(frozen=True)
class AnalysisOptions:
    """What is analysed.

    Attributes
    ----------
    label : {"without_mask", "with_mask"}
        Whose evidence: *without mask*, as in the study.
    layer : str or None
        The layer; None: the model's own choice.
    split : str
        Whose faces: the test faces, as in the study's text.
    sample : int
        Largest number of faces of a class, and of those that are wrong; where there are more, a random sample.
    extremes : int
        Faces with the lowest, and with the highest logit (study, Figure 17: one each).
    seed : int
        Of the sample.
    """

    label: str = CLASSES[1]
    layer: str | None = None
    split: SplitName = "test"
    sample: int = 500
    extremes: int = 6
    seed: int = 0

    def __post_init__(self) -> None:
        if self.label not in CLASSES:
            raise MaskDetError(f"A heatmap is of {' or '.join(CLASSES)}, not of {self.label!r}.")
        if self.split not in get_args(SplitName):
            raise MaskDetError(f"The split must be one of {', '.join(get_args(SplitName))}, not {self.split!r}.")
        if self.sample < 1 or self.extremes < 0:
            raise MaskDetError(
                f"sample must be at least 1 and extremes at least 0, not {self.sample} and {self.extremes}."
            )


@dataclass(frozen=True)
class Cell:
    """Faces of a class and an outcome.

    Attributes
    ----------
    label : str
        Their own label, with or without mask.
    outcome : {"all", "right", "wrong"}
        Whether the model's verdict is that label. "all": a random sample of the class; "right": those of it that are
        right; "wrong": of all that are wrong.
    faces, of : int
        Faces looked at, and how many there are in the split.
    no_evidence : int
        Faces in whose map nothing is left.
    no_evidence_interval : (low, high) or None
        Of their share; 95 % (`maskdet.intervals.share_interval`).
    mean_map : array of float32, shape (h, w)
        Mean of the maps, each scaled to its own largest value, of the faces with evidence; 0 without such.
    lower_half_share : float or None
        Mean share of the heat on the lower half of the face, of the faces with evidence; even heat gives 0.5.
    lower_half_interval : (low, high) or None
        None of all intervals where there are fewer than `maskdet.intervals.FEWEST_FACES` faces, or too few groups.
    heat : float or None
        Mean of the maps before they are scaled, of all faces: how much evidence there is, whatever the place.
    heat_interval : (low, high) or None
    """

    label: str
    outcome: Outcome
    faces: int
    of: int
    no_evidence: int
    no_evidence_interval: Interval | None
    mean_map: npt.NDArray[np.float32]
    lower_half_share: float | None
    lower_half_interval: Interval | None
    heat: float | None
    heat_interval: Interval | None

    @property
    def evident(self) -> int:
        """Faces with evidence, which the share on the lower half is of."""
        return self.faces - self.no_evidence

    @property
    def reason(self) -> str:
        """Why the share has no interval, "" if it has one."""
        if self.evident < FEWEST_FACES:
            return f"too few to say: {self.evident:,} face{'s' if self.evident != 1 else ''}"
        return "" if self.lower_half_interval else "too few to say: few groups of related faces"


@dataclass(frozen=True)
class ExtremeFace:
    """A face with one of the lowest or highest logits."""

    face_id: str
    dataset: str
    label: str
    logit: float
    heatmap: Heatmap


@dataclass(frozen=True)
class GradCamAnalysis:
    """The analysis of a run.

    Attributes
    ----------
    run : str
    layer : str
    options : AnalysisOptions
    cells : tuple of Cell
        For each class: all, right, wrong.
    lowest, highest : tuple of ExtremeFace
        The lowest logit (the surest of a mask) first; the highest first.
    """

    run: str
    layer: str
    options: AnalysisOptions
    cells: tuple[Cell, ...]
    lowest: tuple[ExtremeFace, ...]
    highest: tuple[ExtremeFace, ...]

    def cell(self, label: str, outcome: Outcome = "all") -> Cell:
        """The faces of a class and outcome."""
        return next(cell for cell in self.cells if (cell.label, cell.outcome) == (label, outcome))

    def table(self) -> pd.DataFrame:
        """A row a cell: label, outcome, faces, of, evident, each figure with its interval, reason; maps left out."""
        rows = []
        for cell in self.cells:
            row: dict[str, Any] = {"label": cell.label, "outcome": cell.outcome, "faces": cell.faces, "of": cell.of,
                                   "evident": cell.evident}  # fmt: skip
            share = cell.no_evidence / cell.faces if cell.faces else None
            figures = (
                ("lower_half_share", cell.lower_half_share, cell.lower_half_interval),
                ("no_evidence", share, cell.no_evidence_interval),
                ("heat", cell.heat, cell.heat_interval),
            )
            for name, value, interval in figures:
                row |= {name: value, f"{name}_low": (interval or (None, None))[0]}
                row[f"{name}_high"] = (interval or (None, None))[1]
            rows.append(row | {"reason": cell.reason})
        return pd.DataFrame(rows)


def analyse_run(
    workspace: Workspace, run: Run, options: AnalysisOptions | None = None, progress: Progress = silent
) -> GradCamAnalysis:
    """Analyse a run on the faces of a workspace.

    Raises
    ------
    MaskDetError
        If the run's model is no network, the layer is unknown, or the split has no face.
    WorkspaceError
        If its faces are not in this workspace.
    """
    options = options or AnalysisOptions()
    explainer = Explainer(run.load_model())
    chosen = choose_faces(run, options)
    images = stored_images(workspace, load_faces(workspace), chosen["face_id"])
    return analyse(run.id, explainer, chosen, images, options, progress)


def choose_faces(run: Run, options: AnalysisOptions) -> pd.DataFrame:
    """The faces that are looked at.

    Returns
    -------
    DataFrame
        A row a face: those of `maskdet.mistakes.judged_faces` with logit, and sampled (in the random sample of its
        class), missed (in that of the wrong ones), lowest and highest (its place among the extremes, else -1), and
        of_label, of_wrong (how many faces of its class, and of them wrong, the split has).

    Raises
    ------
    MaskDetError
        If the run has no face in that split.
    """
    judged = judged_faces(run, options.split)
    logits = run.predictions.set_index("face_id")["logit"]
    judged = judged.assign(logit=judged["face_id"].map(logits)).sort_values("face_id", ignore_index=True)
    if judged.empty:
        raise MaskDetError(f"Run {run.id} has no face in its {options.split} split.")
    rng = np.random.default_rng(options.seed)
    by_label = judged.groupby("label")["wrong"]
    judged = judged.assign(
        sampled=False, missed=False, lowest=-1, highest=-1,
        of_label=by_label.transform("size"), of_wrong=by_label.transform("sum"),
    )  # fmt: skip
    for label in CLASSES:
        of_class = judged["label"] == label
        for column, pool in (("sampled", of_class), ("missed", of_class & judged["wrong"])):
            among = np.flatnonzero(pool)
            judged.loc[rng.permutation(among)[: options.sample], column] = True
    by_logit = judged["logit"].to_numpy().argsort(kind="stable")[: options.extremes]
    judged.loc[by_logit, "lowest"] = np.arange(len(by_logit))
    by_logit = (-judged["logit"].to_numpy()).argsort(kind="stable")[: options.extremes]
    judged.loc[by_logit, "highest"] = np.arange(len(by_logit))
    wanted = judged["sampled"] | judged["missed"] | (judged["lowest"] >= 0) | (judged["highest"] >= 0)
    return judged[wanted].reset_index(drop=True)


def analyse(
    run_id: str,
    explainer: Explainer,
    chosen: pd.DataFrame,
    images: FaceImages,
    options: AnalysisOptions,
    progress: Progress = silent,
) -> GradCamAnalysis:
    """Analyse faces that `choose_faces` chose; ``images`` in their order."""
    parts: list[RawMaps] = []
    for begin in range(0, len(chosen), _AT_ONCE):
        batch = images.take(np.arange(begin, min(begin + _AT_ONCE, len(chosen))))
        parts.append(explainer.raw("grad-cam", batch, options.label, options.layer))
        progress(begin + len(batch), len(chosen), "Grad-CAM")
    layer = options.layer or explainer.default_layer or ""
    raw = explainer.on_face(np.concatenate(parts), layer)
    cells = [_cell(chosen, raw, label, outcome) for label in CLASSES for outcome in get_args(Outcome)]
    lowest, highest = (_extremes(chosen, raw, side, options.label, layer) for side in ("lowest", "highest"))
    return GradCamAnalysis(run_id, layer, options, tuple(cells), lowest, highest)


def save_analysis(path: Path, analysis: GradCamAnalysis) -> None:
    """Write an analysis as JSON, atomically, its numbers rounded. Raises WorkspaceError if it cannot be written."""
    write_json(path, _plain(asdict(analysis)), version=1)


def load_analysis(run: Run) -> GradCamAnalysis | None:
    """The analysis that is kept beside a run, None if there is none. Raises WorkspaceError if it is damaged."""
    path = run.folder / GRADCAM_FILE
    return read_analysis(path) if path.is_file() else None


def read_analysis(path: Path) -> GradCamAnalysis:
    """Read what `save_analysis` wrote. Raises WorkspaceError if it is missing or damaged."""
    stored = read_json(path, version=1)
    try:
        cells = tuple(
            Cell(
                **cell
                | {"mean_map": np.array(cell["mean_map"], np.float32)}
                | {name: tuple(cell[name]) if cell[name] else None for name in cell if name.endswith("_interval")}
            )
            for cell in stored["cells"]
        )
        if any(cell.mean_map.ndim != 2 for cell in cells):
            raise ValueError("a map without rows and columns")
        sides = [tuple(_read_face(face) for face in stored[side]) for side in ("lowest", "highest")]
        options = AnalysisOptions(**stored["options"])
        said = tuple(map(_said, cells))  # an earlier version gave intervals from fewer faces
        return GradCamAnalysis(stored["run"], stored["layer"], options, said, sides[0], sides[1])
    except ODD_VALUES as error:
        raise unreadable(path, error) from error


def _read_face(stored: dict[str, Any]) -> ExtremeFace:
    values = np.array(stored["heatmap"]["values"], np.float32)
    return ExtremeFace(**stored | {"heatmap": Heatmap(**stored["heatmap"] | {"values": values})})


def _cell(chosen: pd.DataFrame, raw: RawMaps, label: str, outcome: Outcome) -> Cell:
    pool = chosen["missed"] if outcome == "wrong" else chosen["sampled"]
    inside = (chosen["label"] == label) & pool
    if outcome == "right":
        inside &= ~chosen["wrong"]
    members, maps = chosen[inside], raw[inside.to_numpy()]
    of_label, of_wrong = (int(chosen.loc[chosen["label"] == label, name].max() or 0) if (chosen["label"] == label).any()
                          else 0 for name in ("of_label", "of_wrong"))  # fmt: skip
    of = {"all": of_label, "right": of_label - of_wrong, "wrong": of_wrong}[outcome]
    groups = members["group"].to_numpy()
    empty = maps.max(axis=(1, 2), initial=0) <= EMPTY
    evident = maps[~empty]
    lower, lower_interval = _mean(lower_half_shares(evident), groups[~empty])
    heat, heat_interval = _mean(maps.mean(axis=(1, 2), dtype=np.float64), groups)
    low, high = share_interval(empty, groups)
    mean = np.mean([scaled(each) for each in evident], axis=0) if len(evident) else np.zeros(raw.shape[1:])
    cell = Cell(
        label, outcome, len(members), of, int(empty.sum()), None if np.isnan(low) else (low, high),
        mean.astype(np.float32), lower, lower_interval, heat, heat_interval,
    )  # fmt: skip
    return _said(cell)


def _said(cell: Cell) -> Cell:
    """The cell without intervals of fewer than `FEWEST_FACES` faces, by the rule of all means over faces."""
    if cell.faces < FEWEST_FACES:
        return replace(cell, no_evidence_interval=None, heat_interval=None, lower_half_interval=None)
    return replace(cell, lower_half_interval=None) if cell.evident < FEWEST_FACES else cell


def _mean(values: Values, groups: npt.NDArray[Any]) -> tuple[float | None, Interval | None]:
    """Mean and its interval, None where it rests on too few groups."""

    def mean(times: Values) -> dict[str, Values]:
        return {"mean": times @ values / times.sum(axis=1)}

    if not len(values):
        return None, None
    found, intervals = measured(groups, mean)
    interval = intervals["mean"] if len(np.unique(groups)) >= FEWEST_GROUPS else None
    return found["mean"], (interval[0], interval[1]) if interval else None


def _extremes(chosen: pd.DataFrame, raw: RawMaps, side: str, label: str, layer: str) -> tuple[ExtremeFace, ...]:
    positions: Sequence[int] = [int(at) for at in chosen[chosen[side] >= 0].sort_values(side).index]
    faces = [chosen.loc[at] for at in positions]
    return tuple(
        ExtremeFace(
            str(face["face_id"]), str(face["dataset"]), str(face["label"]), float(chosen["logit"].iloc[at]),
            Heatmap(scaled(raw[at]), label, layer),
        )
        for at, face in zip(positions, faces, strict=True)
    )  # fmt: skip


def _plain(value: Any) -> Any:
    """What JSON can hold, floats rounded."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value
