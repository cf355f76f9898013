"""What faces look like: landmarks, apparent skin tone and mask colour of every normalised face of a workspace.

Measured once and kept in ``appearance/SHARD.parquet``, a file for each shard of the scan, so that a scan that changes a
few photos leaves the rest as it is, and a run that was stopped goes on where it was.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from joblib import Parallel, delayed

from maskdet.bias import mask_colour, skin_tone
from maskdet.bias.mask_colour import measure_mask
from maskdet.bias.regions import BOX_COLUMNS, LANDMARK_COLUMNS, FaceGeometry
from maskdet.bias.skin_tone import measure_skin
from maskdet.bootstrap import FEWEST_GROUPS
from maskdet.detection import DetectedFace, DetectionOptions, FaceDetector
from maskdet.errors import LaterVersionError, MaskDetError, WorkspaceError
from maskdet.facetable import Faces
from maskdet.images import StoredImages
from maskdet.intervals import share_interval
from maskdet.labels import CLASSES, WITH_MASK
from maskdet.photos import FACE_SIZE, RgbImage
from maskdet.progress import Progress, silent
from maskdet.workspace import Workspace, read_table, write_table

FOLDER: Final = "appearance"
#: Of what is measured here; files of another version are measured anew.
VERSION: Final = 7
#: How landmarks are looked for on a picture that is known to be one face: at two sizes and once with a border, and a
#: lower score is believed than in a photo that may hold none.
DETECTION: Final = DetectionOptions(score_threshold=0.4, sides=(96, 160), bordered_side=96)
#: Columns after ``face_id``, in order.
COLUMNS: Final = (
    "landmarks", *LANDMARK_COLUMNS, *BOX_COLUMNS,
    "skin_lightness", "skin_hue", "skin_ita", "skin_share", "skin_reason",
    "mask_lightness", "mask_chroma", "mask_hue", "mask_colour", "mask_reason",
)  # fmt: skip
#: Reason of a face that is not labelled with mask.
NO_MASK: Final = "not labelled with mask"
_NEEDED: Final = ["face_id", "label", "width", "height", "shard", "shard_row"]
#: Faces from which on two processes are quicker than one.
_WORTH_PROCESSES: Final = 500
_AT_ONCE: Final = 50


def measure_appearance(
    workspace: Workspace,
    faces: Faces,
    face_ids: Sequence[str] | None = None,
    progress: Progress = silent,
    *,
    jobs: int | None = None,
) -> pd.DataFrame:
    """Measure faces, or look up what is measured already.

    Parameters
    ----------
    face_ids : sequence of str, optional
        By default all faces of the table.
    progress : Progress
        Told the faces done; may raise to stop, and what is measured until then is kept.
    jobs : int, optional
        Processes; by default two, and this process alone for a few hundred faces.

    Returns
    -------
    DataFrame
        A row a face, in the order of ``face_ids``. face_id; landmarks (bool: found by the detector on the 150x150
        face, else the usual geometry stands in); x0, y0 to x4, y4 (px of the 150x150 face, order as
        `maskdet.detection.DetectedFace`); box_left, box_top, box_right, box_bottom (same px); skin_lightness (L*,
        0..100), skin_hue and skin_ita (degrees), NaN where not measurable; skin_share (0..1, of the upper face that
        counts as skin); skin_reason ("" or why not measurable); mask_lightness (L*), mask_chroma (C*), mask_hue
        (degrees), NaN where not measurable; mask_colour (a name, or ""); mask_reason.

    Raises
    ------
    WorkspaceError
        If a face is not in the table, the scan's files are gone, or the workspace cannot be written.
    """
    wanted = pd.Index(faces.table["face_id"] if face_ids is None else face_ids)
    table = faces.table.loc[faces.table["face_id"].isin(wanted), _NEEDED]
    if len(missing := wanted.difference(pd.Index(table["face_id"]))):
        raise WorkspaceError(f"Face {missing[0]} is not in this workspace: scan its dataset again.")
    pending = _pending(workspace, table)
    done, total = len(table) - sum(map(len, pending)), len(table)
    progress(done, total, "measuring appearance")
    if jobs is None:
        jobs = 1 if total - done < _WORTH_PROCESSES else min(2, os.cpu_count() or 1)
    tasks = (delayed(_measure_shard)(workspace, rows) for rows in pending)
    for count in Parallel(n_jobs=jobs, batch_size=1, return_as="generator_unordered")(tasks):
        done += count
        progress(done, total, "measuring appearance")
    return _read(workspace, table).set_index("face_id").loc[wanted].rename_axis("face_id").reset_index()


def load_appearance(workspace: Workspace, faces: Faces) -> pd.DataFrame | None:
    """What is measured so far of these faces, as `measure_appearance` returns it; None if nothing is.

    Raises
    ------
    WorkspaceError
        If a file is damaged; measuring again mends it.
    """
    found = _read(workspace, faces.table)
    return found if len(found) else None


def measure_face(
    face: RgbImage, detector: FaceDetector, *, masked: bool, source_side: float = FACE_SIZE
) -> dict[str, Any]:
    """All columns but ``face_id`` of one normalised face.

    Parameters
    ----------
    face : array of uint8, shape (150, 150, 3)
    detector : FaceDetector
        See `DETECTION`.
    masked : bool
        Whether it is labelled with mask: only then is the lower face a mask.
    source_side : float
        Shorter side in px that the face had in its photo.
    """
    geometry = find_geometry(face, detector)
    skin = measure_skin(face, geometry, source_side)
    row: dict[str, Any] = {"landmarks": geometry.found}
    row |= dict(zip(LANDMARK_COLUMNS, geometry.landmarks.ravel().tolist(), strict=True))
    row |= dict(zip(BOX_COLUMNS, geometry.box, strict=True))
    row |= {"skin_lightness": skin.lightness, "skin_hue": skin.hue, "skin_ita": skin.ita}
    row |= {"skin_share": skin.share, "skin_reason": skin.reason}
    if not masked:
        nan = float("nan")
        return row | dict(zip(COLUMNS[-5:], (nan, nan, nan, "", NO_MASK), strict=True))
    mask = measure_mask(face, geometry, None if skin.reason else skin.lab, source_side)
    return row | dict(zip(COLUMNS[-5:], (mask.lightness, mask.chroma, mask.hue, mask.name, mask.reason), strict=True))


def find_geometry(face: RgbImage, detector: FaceDetector) -> FaceGeometry:
    """Where the parts of a normalised face lie, by the detected face that fills most of its middle, else as usual."""
    best = max(detector(face), key=_fills_the_middle, default=None)
    if best is None or _fills_the_middle(best) <= 0:
        return FaceGeometry.usual()
    left, top, right, bottom = map(float, best.box)
    try:
        return FaceGeometry(best.landmarks, (left, top, right, bottom), found=True)
    except MaskDetError:  # landmarks on one another, of a face that was seen in a blur
        return FaceGeometry.usual()


def not_measurable(appearance: pd.DataFrame, table: pd.DataFrame, what: str = "skin") -> pd.DataFrame:
    """Whom the measure leaves out: a measure that fails on some faces more than on others says little of those.

    Parameters
    ----------
    appearance : DataFrame
        As of `measure_appearance`.
    table : DataFrame
        Rows of the split: face_id, dataset, label (with_mask or without_mask), group.
    what : {"skin", "mask"}
        The tone of the skin, or the colour of the mask (of faces with mask alone).

    Returns
    -------
    DataFrame
        A row for each label with dataset "all", then for each label and dataset. label, dataset, faces,
        not_measurable (how many), share (0..1), low and high (`maskdet.intervals.share_interval`, None where there
        are too few groups), interval_reason (why there is none, else ""), and a column a reason with its count.
    """
    reasons = skin_tone.REASONS if what == "skin" else mask_colour.REASONS
    rows = table[["face_id", "dataset", "label", "group"]].merge(
        appearance[["face_id", f"{what}_reason"]], on="face_id"
    )
    labels = [label for label in (CLASSES if what == "skin" else (WITH_MASK,)) if (rows["label"] == label).any()]
    lines = []
    for label in labels:
        of_label = rows[rows["label"] == label]
        parts = [("all", of_label), *((str(dataset), part) for dataset, part in of_label.groupby("dataset"))]
        for dataset, part in parts:
            lines.append({"label": label, "dataset": dataset, **_left_out(part, part[f"{what}_reason"], reasons)})
    names = ["label", "dataset", "faces", "not_measurable", "share", "low", "high", "interval_reason", *reasons]
    return pd.DataFrame(lines, columns=names)


def _pending(workspace: Workspace, table: pd.DataFrame) -> list[pd.DataFrame]:
    """Rows that are not measured yet, shard by shard."""
    pending = []
    for shard, rows in table.groupby("shard", sort=True):
        known = _valid(_known(_path(workspace, str(shard))), rows)
        if len(rows := rows[~rows["face_id"].isin(known["face_id"])]):
            pending.append(rows)
    return pending


def _left_out(rows: pd.DataFrame, reason: "pd.Series[str]", reasons: tuple[str, ...]) -> dict[str, Any]:
    out = (reason != "").to_numpy()
    groups = rows["group"].to_numpy()
    count = len(np.unique(groups))
    why = f"Only {count} groups of related faces: too few for an interval." if count < FEWEST_GROUPS else ""
    low, high = (None, None) if why else share_interval(out, groups)
    counts = reason.value_counts()
    return {
        "faces": len(rows), "not_measurable": int(out.sum()), "share": float(out.mean()), "low": low, "high": high,
        "interval_reason": why, **{name: int(counts.get(name, 0)) for name in reasons},
    }  # fmt: skip


def _fills_the_middle(face: DetectedFace) -> float:
    """Area in px of the box, less the further its middle is from that of the picture; 0 a half-picture away."""
    left, top, right, bottom = face.box
    away = np.hypot((left + right) / 2 - FACE_SIZE / 2, (top + bottom) / 2 - FACE_SIZE / 2) / (FACE_SIZE / 2)
    return float((right - left) * (bottom - top) * (1 - away))


def _measure_shard(workspace: Workspace, rows: pd.DataFrame) -> int:
    """Measure some faces of one shard and add them to its file; returns how many."""
    detector = FaceDetector(DETECTION)
    images = StoredImages(
        workspace.path("shards"), rows["shard"].to_numpy(object), rows["shard_row"].to_numpy(np.int64)
    )
    masked = (rows["label"] == WITH_MASK).to_numpy()
    sides = rows[["width", "height"]].min(axis=1).to_numpy(np.float64)
    found = []
    for begin in range(0, len(rows), _AT_ONCE):
        positions = np.arange(begin, min(begin + _AT_ONCE, len(rows)))
        found += [
            measure_face(face, detector, masked=bool(masked[at]), source_side=float(sides[at]))
            for face, at in zip(images.take(positions), positions, strict=True)
        ]
    measured = pd.DataFrame(found, columns=list(COLUMNS))
    measured.insert(0, "face_id", rows["face_id"].to_numpy())
    measured["version"] = VERSION
    path = _path(workspace, str(rows["shard"].iloc[0]))
    before = _known(path)
    if len(before):
        measured = pd.concat([before[~before["face_id"].isin(measured["face_id"])], measured], ignore_index=True)
    write_table(path, measured)
    return len(rows)


def _path(workspace: Workspace, shard: str) -> Path:
    return workspace.path(FOLDER, f"{shard}.parquet")


def _known(path: Path) -> pd.DataFrame:
    """What a file holds of this version; no row where there is none, or it is damaged: it is measured anew then."""
    if not path.is_file():
        return pd.DataFrame(columns=["face_id", *COLUMNS, "version"])
    try:
        table = _of_this_version(read_table(path))
    except LaterVersionError:
        raise
    except WorkspaceError:  # this run is what mends it
        return pd.DataFrame(columns=["face_id", *COLUMNS, "version"])
    return table


def _of_this_version(table: pd.DataFrame) -> pd.DataFrame:
    if "version" not in table or not {"face_id", *COLUMNS} <= set(table):
        return pd.DataFrame(columns=["face_id", *COLUMNS, "version"])
    return table[table["version"] == VERSION]


def _valid(known: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Those of a file's rows that are about these faces, with the label they have now."""
    both = known.merge(rows[["face_id", "label"]], on="face_id")
    return both[(both["mask_reason"] != NO_MASK) == (both["label"] == WITH_MASK)]


def _read(workspace: Workspace, rows: pd.DataFrame) -> pd.DataFrame:
    """What is measured of these faces, in their order."""
    paths = [_path(workspace, shard) for shard in sorted(rows["shard"].astype(str).unique())]
    tables: list[pd.DataFrame] = [_of_this_version(read_table(path)) for path in paths if path.is_file()]
    tables = [table for table in tables if len(table)]
    if not tables:
        return pd.DataFrame(columns=["face_id", *COLUMNS])
    known = _valid(pd.concat(tables, ignore_index=True), rows).set_index("face_id")
    order: npt.NDArray[Any] = rows["face_id"][rows["face_id"].isin(known.index)].to_numpy()
    return known.loc[order, list(COLUMNS)].reset_index()
