"""Attention by group: how much of what speaks for a verdict lies on the lower face, where a mask is worn.

For each face of a sample the map is that of the label which the model gives it, right or wrong: what it sees as
evidence of its verdict. Maps are kept at the size of the layer, placed on the face (see
`maskdet.attribution.placement`).

    attention.json   run, fingerprint, method, layer, options   attention.parquet   a row a face   attention.npz   maps
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from maskdet.attribution.explainer import Explainer
from maskdet.attribution.faithfulness import lower_half_shares
from maskdet.attribution.heatmap import EMPTY, RawMaps, scaled
from maskdet.bias.files import read_result, write_result
from maskdet.bias.means import FEWEST, means, split_by
from maskdet.bias.regions import FaceGeometry, Region, lower_face
from maskdet.bias.sampling import geometries, judged_sample, sampled
from maskdet.errors import ODD_VALUES, MaskDetError
from maskdet.facetable import load_faces
from maskdet.images import FaceImages, stored_images
from maskdet.labels import CLASSES
from maskdet.photos import FACE_SIZE
from maskdet.progress import Progress, part_of, silent
from maskdet.runs import Run
from maskdet.runtime import open_runtime
from maskdet.workspace import Workspace, unreadable

Outcome = Literal["all", "right", "wrong"]
#: Methods whose map of a face takes many passes of the model.
_SLOW: Final = ("occlusion", "score-cam", "smoothgrad")
_FACTS: Final = [
    *("face_id", "dataset", "label", "group", "logit", "wrong", "sampled"),
    *("lower_half_share", "lower_face_share", "lower_face_area"),
]
_COLUMNS: Final = [
    *("group_name", "label", "outcome", "verdict", "n", "share", "low", "high", "lower_face_share", "lower_face_low"),
    *("lower_face_high", "lower_face_area", "no_evidence", "reason"),
]
#: Maps of more cells a side are shrunk to this before they are kept.
_SIDE: Final = 15
_AT_ONCE: Final = 32


@dataclass(frozen=True)
class AttentionOptions:
    """What is looked at.

    Attributes
    ----------
    method : str or None
        A key of `maskdet.attribution.METHODS`; None: Grad-CAM, or occlusion for a model without a network.
    layer : str or None
        None: the model's own choice.
    sample : int
        Faces of a label, of the test split, and as many more of those that are wrong.
    slow_sample : int
        The same of a method that takes many passes for a face (occlusion: 82), if that is fewer.
    seed : int
        Of the sample.

    Raises
    ------
    MaskDetError
        If a sample is empty.
    """

    method: str | None = None
    layer: str | None = None
    sample: int = 300
    slow_sample: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be looked at."""
        if self.sample < 1 or self.slow_sample < 1:
            raise MaskDetError(f"Samples must be at least 1 face, not {self.sample} and {self.slow_sample}.")


@dataclass(frozen=True, eq=False)
class Attention:
    """Where a run found what speaks for its verdicts.

    Attributes
    ----------
    run, fingerprint : str
    method : str
    layer : str or None
        None for a method that uses none.
    options : AttentionOptions
    faces : DataFrame
        A row a face: face_id, dataset, label, group, logit, wrong, sampled (in the random sample of its label; the
        others are further wrong ones), lower_half_share (share of the heat on the lower half of the picture, 0..1; NaN
        without evidence), lower_face_share (on the lower face by its landmarks), lower_face_area (what even heat would
        give there).
    maps : array of float16, shape (n, h, w)
        In the order of the faces, each scaled to its own largest value; 0 without evidence.
    """

    run: str
    fingerprint: str
    method: str
    layer: str | None
    options: AttentionOptions
    faces: pd.DataFrame
    maps: npt.NDArray[np.float16]


def attention(
    workspace: Workspace, run: Run, options: AttentionOptions | None = None, progress: Progress = silent
) -> Attention:
    """Look at a sample of a run's test faces.

    Raises
    ------
    MaskDetError
        If it has no test face, or the method or layer does not suit its model.
    RunError
        If its weights cannot be read.
    WorkspaceError
        If its faces are not in this workspace.
    """
    options = options or AttentionOptions()
    judged = judged_sample(run)
    runtime = open_runtime(run)
    explainer = Explainer(run.load_model(), logits=lambda pixels: runtime(pixels)[0])
    method = options.method or ("grad-cam" if "grad-cam" in explainer.methods else "occlusion")
    layer = (options.layer or explainer.default_layer) if explainer.uses_layer(method) else options.layer
    count = min(options.sample, options.slow_sample) if method in _SLOW else options.sample
    chosen = choose_faces(judged, count, options.seed)
    faces, face_ids = load_faces(workspace), chosen["face_id"].tolist()
    images = stored_images(workspace, faces, chosen["face_id"])
    places = geometries(workspace, faces, face_ids, part_of(progress, 0, 2000, "landmarks"))
    raw = raw_maps(explainer, method, layer, images, chosen["logit"], part_of(progress, 1000, 2000, "heatmaps"))
    facts = pd.concat([chosen, heat_on_faces(raw, places)], axis=1)[_FACTS]
    return Attention(run.id, run.fingerprint, method, layer, options, facts, kept_maps(raw))


def choose_faces(judged: pd.DataFrame, count: int, seed: int) -> pd.DataFrame:
    """So many faces of each label at random, and so many of the wrong ones of each label; with a column ``sampled``."""
    inside = sampled(judged, count, seed)
    missed = np.zeros(len(judged), dtype=np.bool_)
    wrong = judged["wrong"].to_numpy(dtype=np.bool_)
    missed[wrong] = sampled(judged[wrong], count, seed)
    return judged.assign(sampled=inside)[inside | missed].reset_index(drop=True)


def raw_maps(
    explainer: Explainer,
    method: str,
    layer: str | None,
    images: FaceImages,
    logits: "pd.Series[float]",
    progress: Progress = silent,
) -> RawMaps:
    """Maps of the label that each face is given, on the face, not scaled: float32 of shape (n, h, w)."""
    says_without = logits.to_numpy() > 0
    maps: list[npt.NDArray[np.float32] | None] = [None] * len(images)
    done = 0
    for label, given in zip(CLASSES, (~says_without, says_without), strict=True):
        for positions in np.array_split(np.flatnonzero(given), range(_AT_ONCE, int(given.sum()), _AT_ONCE)):
            if not len(positions):
                continue
            found = explainer.raw(method, images.take(positions), label, layer)
            for at, each in zip(positions.tolist(), explainer.on_face(found, layer), strict=True):
                maps[at] = each
            done += len(positions)
            progress(done, len(images), method)
    return np.stack([each for each in maps if each is not None])


def heat_on_faces(raw: RawMaps, places: Sequence[FaceGeometry]) -> pd.DataFrame:
    """Share of the heat on the lower half of the picture, and on the lower face; a row a map.

    Returns
    -------
    DataFrame
        lower_half_share, lower_face_share: 0..1, NaN without evidence; lower_face_area: share of the picture.
    """
    regions = [lower_face(place) for place in places]
    inside = np.stack([covered(region, *raw.shape[1:]) for region in regions])
    evident = raw.max(axis=(1, 2), initial=0) > EMPTY
    total = np.where(evident, raw.sum(axis=(1, 2), dtype=np.float64), np.nan)
    return pd.DataFrame(
        {
            "lower_half_share": np.where(evident, lower_half_shares(raw), np.nan),
            "lower_face_share": (raw * inside).sum(axis=(1, 2), dtype=np.float64) / total,
            "lower_face_area": [float(region.mean()) for region in regions],
        }
    )


def covered(region: Region, height: int, width: int) -> npt.NDArray[np.float64]:
    """How much of each cell of a map a region covers, 0..1: shape (height, width), from shape (150, 150)."""
    down, across = (_overlap(FACE_SIZE, count) for count in (height, width))
    return np.asarray(down @ region.astype(np.float64) @ across.T)


def kept_maps(raw: RawMaps) -> npt.NDArray[np.float16]:
    """Maps scaled 0..1 each, and shrunk by means of cells where they are larger than 15 by 15."""
    height, width = (min(side, _SIDE) for side in raw.shape[1:])
    down, across = (_overlap(side, fewer) for side, fewer in zip(raw.shape[1:], (height, width), strict=True))
    small = np.einsum("Hh,nhw,Ww->nHW", down, raw, across).astype(np.float32)
    return np.stack([scaled(each) for each in small]).astype(np.float16)


def attention_by(found: Attention, groups: "pd.Series[Any] | None" = None, fewest: int = FEWEST) -> pd.DataFrame:
    """Mean share of the heat on the lower face, by group, label, and right or wrong.

    The heat is of the label that the model gives. Right and wrong faces of one label therefore compare two verdicts;
    those of one verdict compare what made it right with what made it wrong.

    "all" and "right" are of the random sample, "wrong" of all wrong faces that were looked at, so that right and wrong
    ones may be more than all.

    Parameters
    ----------
    groups : Series, optional
        Names of groups by face id (see `maskdet.bias.means.split_by`).
    fewest : int
        With fewer faces with evidence there is no interval, and a reason says so.

    Returns
    -------
    DataFrame
        A row a group, label and outcome: group_name, label, outcome, verdict (what the model says of them; "" where
        outcome is "all"), n (faces with evidence, which all means are of), share (mean share on the lower half of the
        picture; even heat gives 0.5), low, high, lower_face_share (on the lower face by its landmarks), lower_face_low,
        lower_face_high, lower_face_area (what even heat gives there), no_evidence (further faces, in whose map nothing
        is left), reason.
    """
    rows: list[tuple[Any, ...]] = []
    for group_name, in_group in split_by(found.faces, groups):
        for label in CLASSES:
            for outcome in get_args(Outcome):
                members = found.faces[in_group & of_outcome(found.faces, label, outcome)]
                shown = members[_FACTS[-3:]].where(members["lower_half_share"].notna())
                figures = means(shown, members["group"].to_numpy(), fewest) if len(members) else None
                if figures is not None:
                    shares = zip(figures.mean[:2], figures.low[:2], figures.high[:2], strict=True)
                    empty = int(members["lower_half_share"].isna().sum())
                    rows.append(
                        (group_name, label, outcome, verdict_of(label, outcome), int(figures.n[0]),
                         *(value for share in shares for value in share), figures.mean[2], empty, figures.reason[0])
                    )  # fmt: skip
    return pd.DataFrame(rows, columns=_COLUMNS)


def verdict_of(label: str, outcome: Outcome) -> str:
    """What a model says of faces of a label that it gets right or wrong; "" of all of them."""
    other = CLASSES[1 - CLASSES.index(label)]
    return {"right": label, "wrong": other}.get(outcome, "")


def of_outcome(faces: pd.DataFrame, label: str, outcome: Outcome) -> npt.NDArray[np.bool_]:
    """Which rows of `Attention.faces`, shape (n,), are of a label and outcome (see `attention_by`)."""
    pool = faces["wrong"] if outcome == "wrong" else faces["sampled"] & ~(faces["wrong"] & (outcome == "right"))
    return np.asarray(pool & (faces["label"] == label), dtype=np.bool_)


def mean_map(found: Attention, face_ids: Iterable[str]) -> npt.NDArray[np.float32] | None:
    """Mean of the scaled maps of some faces, of those with evidence: shape (h, w), 0..1; None without any."""
    chosen = found.faces["face_id"].isin(set(face_ids)) & found.faces["lower_half_share"].notna()
    if not chosen.any():
        return None
    return np.asarray(found.maps[chosen.to_numpy()].astype(np.float32).mean(axis=0), dtype=np.float32)


def examples(found: Attention, groups: "pd.Series[Any] | None" = None, count: int = 3) -> pd.DataFrame:
    """Faces with the least and the most heat on the lower half, of each group and label of the random sample.

    Returns
    -------
    DataFrame
        group_name, label, end ("lowest" or "highest"), face_id, wrong, lower_half_share; the most extreme first.
    """
    rows: list[tuple[Any, ...]] = []
    for group_name, in_group in split_by(found.faces, groups):
        for label in CLASSES:
            members = found.faces[in_group & of_outcome(found.faces, label, "all")].dropna(subset="lower_half_share")
            for end in ("lowest", "highest"):
                ordered = members.sort_values(["lower_half_share", "face_id"], ascending=[end == "lowest", True])
                said = ordered.head(count)[["face_id", "wrong", "lower_half_share"]]
                rows += [(group_name, label, end, *row) for row in said.itertuples(index=False)]
    return pd.DataFrame(rows, columns=["group_name", "label", "end", "face_id", "wrong", "lower_half_share"])


def save_attention(path: Path, found: Attention) -> None:
    """Write what was found (see the module). Raises WorkspaceError if it cannot be written."""
    record = {
        "run": found.run, "fingerprint": found.fingerprint, "method": found.method, "layer": found.layer,
        "options": asdict(found.options),
    }  # fmt: skip
    write_result(path, record, found.faces, {"maps": found.maps})


def load_attention(path: Path) -> Attention:
    """Read what `save_attention` wrote. Raises WorkspaceError if it is missing or damaged."""
    record, faces, arrays = read_result(path, arrays=True)
    try:
        options, maps = AttentionOptions(**record["options"]), arrays["maps"]
        if maps.ndim != 3 or len(maps) != len(faces) or maps.dtype.kind != "f":
            raise ValueError(f"maps of shape {maps.shape} and kind {maps.dtype} for {len(faces)} faces")
        return Attention(
            str(record["run"]), str(record["fingerprint"]), str(record["method"]), record["layer"], options,
            faces[_FACTS], maps,
        )  # fmt: skip
    except ODD_VALUES as error:
        raise unreadable(path, error) from error


def _overlap(parts: int, cells: int) -> npt.NDArray[np.float64]:
    """Share of each cell that each part covers, both dividing one length evenly: shape (cells, parts)."""
    edges = np.arange(parts + 1) * cells / parts  # of the parts, in cells
    begin, end = edges[:-1], edges[1:]
    cell = np.arange(cells)[:, None]
    return np.asarray(np.clip(np.minimum(end, cell + 1) - np.maximum(begin, cell), 0, None), dtype=np.float64)
