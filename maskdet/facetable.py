"""The face table: one row a face, made by `scan` and read by everything after it.

Columns: ``face_id`` (dataset, photo and box: the same on every machine and in every scan), ``dataset``, ``photo``,
``label``, ``left top right bottom`` (pixels of the upright photo), ``whole_photo``, ``publisher_split``,
``photo_width photo_height bytes format jpeg_quantisation``, the measurements of `maskdet.measure.measure_face`, and
``shard`` with ``shard_row``, where the normalised pixels lie.
"""

import hashlib
import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from pandas.api.types import is_integer_dtype, is_numeric_dtype, is_string_dtype

from maskdet.cluster import dask_workers
from maskdet.dataset_folders import dataset_signature, find_datasets
from maskdet.errors import ODD_VALUES, LaterVersionError, MaskDetError, WorkspaceError, reason_of
from maskdet.jobs import list_jobs
from maskdet.labels import INCORRECT_MASK, LABELS, WITHOUT_MASK, IncorrectMask
from maskdet.measure import HASH_KINDS, VERSION, Shard, deal_shards, is_measured, measure_shard, read_rows
from maskdet.progress import Progress, silent
from maskdet.readers import Reading, read_dataset
from maskdet.workspace import Workspace, is_held, read_json, read_table, remove, write_json, write_table

_REJECT_COLUMNS = ["dataset", "photo", "reason"]
_TEXTS = ["face_id", "dataset", "photo", "label", "publisher_split", "format", "shard", "pixels_digest", *HASH_KINDS]
_MEASURED = ["aspect_ratio", "sqrt_size", "mean_red", "mean_green", "mean_blue", "brightness", "contrast", "sharpness"]
_WHOLE_NUMBERS = [
    "left", "top", "right", "bottom", "width", "height", "photo_width", "photo_height", "bytes", "shard_row"
]  # fmt: skip


@dataclass(frozen=True)
class Faces:
    """What a scan leaves.

    Attributes
    ----------
    table : DataFrame
        The face table.
    rejects : DataFrame
        What could not be used: dataset, photo, reason.
    roots : dict
        Where each dataset lies.
    photos : dict
        Number of photos of each dataset, with or without a face.
    signatures : dict
        What each dataset's files looked like when it was scanned (see `maskdet.dataset_folders.dataset_signature`).
    """

    table: pd.DataFrame
    rejects: pd.DataFrame
    roots: dict[str, Path]
    photos: dict[str, int]
    signatures: dict[str, str] = field(default_factory=dict)

    @cached_property
    def fingerprint(self) -> str:
        """Digest of the faces, their labels and their pixels' hashes; changes whenever one of them does."""
        return table_fingerprint(self.table, ["face_id", "label", "phash"])

    @property
    def missing(self) -> tuple[str, ...]:
        """Datasets whose folder is gone or closed, as of now: kept out of filtering, splitting and training."""
        return tuple(sorted(
            dataset for dataset, root in self.roots.items()
            if not os.path.isdir(root)  # noqa: PTH112 - Path.is_dir raises for a folder that one may not enter
        ))  # fmt: skip


def table_fingerprint(table: pd.DataFrame, columns: list[str]) -> str:
    """Digest of some columns of a table, whatever the order of its rows; 16 hexadecimal digits."""
    rows = sorted(map(repr, zip(*(table[column].astype(str).tolist() for column in columns), strict=True)))
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()[:16]


def scan(
    workspace: Workspace,
    root: Path,
    *,
    dataset_id: str | None = None,
    jobs: int | None = None,
    scheduler: str | None = None,
    progress: Progress = silent,
) -> Faces:
    """Read the datasets found in a folder, measure every face, and write the face table.

    A dataset that the workspace knows already is replaced, others are kept, unless the table is damaged or an older
    version's: then it is begun anew. Unchanged datasets and photos are not read again, and a scan that was cut goes on
    where it was.

    Parameters
    ----------
    root : Path
        A folder of dataset folders, or one dataset; a folder's name is the dataset's id.
    dataset_id : str, optional
        Take the whole folder as one dataset of this id.
    jobs : int, optional
        Processes; by default one a core, and this process alone for a few hundred photos.
    scheduler : str, optional
        Address of a Dask scheduler whose workers measure instead; they must see the same folders under the same paths.

    Raises
    ------
    MaskDetError
        If the folder holds no dataset or no usable face, the workspace cannot be written, or another scan runs.
    """
    found = find_datasets(root, dataset_id)
    with workspace.lock():
        before = _faces_before(workspace)
        progress(0, 0, f"looking for changes in {len(found)} datasets")
        signatures = {dataset: f"{VERSION} {dataset_signature(folder)}" for dataset, folder in found.items()}
        unchanged = _unchanged(workspace, before, found, signatures)
        changed = {dataset: folder for dataset, folder in found.items() if dataset not in unchanged}
        if before is not None and not changed:
            return before
        progress(0, 0, f"reading {len(changed)} datasets")
        readings = {dataset: read_dataset(folder) for dataset, folder in changed.items()}
        shards = [s for dataset, r in readings.items() for s in deal_shards(dataset, changed[dataset], r.faces)]
        with dask_workers(scheduler):
            measured = _measure(shards, workspace.path("shards"), -1 if scheduler else jobs, progress)
        faces = _merge(before, measured, changed, readings, signatures)
        if not faces.table["dataset"].isin(found).any():
            rejects = faces.rejects[faces.rejects["dataset"].isin(found)]
            reasons = "; ".join(f"{r.photo}: {r.reason}" for r in rejects.head(3).itertuples())
            raise MaskDetError(f"No usable face in {root}" + (f" ({reasons})." if reasons else "."))
        if before is not None:
            in_use = set(before.table["shard"])  # by a training that began before this scan
        elif has_faces(workspace):  # damaged: datasets that are scanned next need not be measured again
            in_use = {path.stem for path in workspace.path("shards").glob("*")}
        else:
            in_use = set()
        _write(workspace, before, faces, in_use.union(shard.key for shard in shards))
        return load_faces(workspace)


def forget(workspace: Workspace, dataset_id: str) -> Faces:
    """Take a dataset out of the face table; its photos are not touched, and scanning it brings it back.

    Raises
    ------
    MaskDetError
        If the workspace does not know it, a scan runs, a training or another job may still read its faces, or what was
        measured cannot be deleted.
    """
    with workspace.lock():
        _require_idle(workspace)
        faces = load_faces(workspace)
        if dataset_id not in faces.roots:
            raise MaskDetError(f"There is no dataset {dataset_id!r} here; there are: {', '.join(sorted(faces.roots))}.")
        kept = faces.table[faces.table["dataset"] != dataset_id]
        rejects = faces.rejects[faces.rejects["dataset"] != dataset_id]
        others = {dataset: root for dataset, root in faces.roots.items() if dataset != dataset_id}
        if others:
            _write(workspace, faces, Faces(kept, rejects, others, faces.photos, faces.signatures), set())
            return load_faces(workspace)
        for name in ("faces.parquet", "rejects.parquet", "datasets.json"):  # the first says that there are faces
            remove(workspace.path(name))
        remove(workspace.path("shards"))
        return Faces(kept, rejects, {}, {})


def _require_idle(workspace: Workspace) -> None:
    """Raise WorkspaceError while a job or a training of the shell is active, which reads shards."""
    trainings = workspace.path("runs").glob(".*.partial")
    if any(job.is_active for job in list_jobs(workspace)) or any(is_held(folder) for folder in trainings):
        raise WorkspaceError("A training or another job is still at work: wait until it has ended, or stop it.")


def has_faces(workspace: Workspace) -> bool:
    """True where a scan has written a face table."""
    return workspace.path("faces.parquet").is_file()


def load_faces(workspace: Workspace) -> Faces:
    """The face table of a workspace.

    Raises
    ------
    WorkspaceError
        If nothing was scanned yet, or a file is damaged or of an older version; the sentence says what to do.
    """
    if not has_faces(workspace):
        raise WorkspaceError("No faces yet: run `python -m maskdet scan DIR` on a folder of datasets first.")
    try:
        for _ in range(2):  # a second time if a scan ended between the two files
            datasets = read_json(workspace.path("datasets.json"), version=1, needs=())
            table = read_table(workspace.path("faces.parquet"), ("face_id", "dataset", "label"))
            if table["dataset"].isin(datasets).all():
                break
        else:
            raise ValueError("datasets.json lacks a dataset that it holds faces of")
        faces = Faces(
            table=table,
            rejects=read_table(workspace.path("rejects.parquet"), _REJECT_COLUMNS),
            roots={key: Path(entry["path"]) for key, entry in datasets.items()},
            photos={key: _number_of_photos(entry["photos"]) for key, entry in datasets.items()},
            signatures={key: str(entry.get("signature", "")) for key, entry in datasets.items()},
        )
    except LaterVersionError:
        raise
    except ODD_VALUES as error:
        raise WorkspaceError(
            f"The face table is damaged: scan all datasets again to make it anew ({reason_of(error)})."
        ) from error
    require_table(table)
    return faces


def _number_of_photos(stored: Any) -> int:
    number = int(stored)
    if not 0 <= number < 2**31:
        raise ValueError("a number of photos that no folder holds")
    return number


def require_table(table: pd.DataFrame) -> None:
    """Raise WorkspaceError for a table that lacks what this version measures, or holds what no scan writes."""
    if not {*HASH_KINDS, "sharpness", "pixels_digest"} <= set(table):
        raise WorkspaceError("The face table is of an older version of MaskDet: scan all datasets again.")
    if odd := _odd_column(table):
        raise WorkspaceError(f"The face table is damaged: scan all datasets again to make it anew (column {odd}).")


def _odd_column(table: pd.DataFrame) -> str:
    """The first column that is missing or holds what no scan writes; "" where all is as it should be."""
    for name in _TEXTS:
        if name not in table or not is_string_dtype(table[name]) or table[name].isna().any():
            return name
    for name in _MEASURED:
        if name not in table or not is_numeric_dtype(table[name]) or not np.isfinite(table[name]).all():
            return name
    for name in _WHOLE_NUMBERS:
        if name not in table or not is_integer_dtype(table[name]) or (table[name] < 0).any():
            return name
    if not table["shard"].str.fullmatch(r"\w{1,64}").all():  # it becomes a file's name
        return "shard"
    if table["face_id"].duplicated().any() or not table["label"].isin(LABELS).all():
        return "face_id or label"
    return next((kind for kind in HASH_KINDS if not table[kind].str.fullmatch("[0-9a-f]{16}").all()), "")


def label_split(faces: Faces, incorrect_mask: IncorrectMask = "class") -> pd.DataFrame:
    """The study's Tables 1 and 2 for these faces: photos and faces by label, a row a dataset and their sum.

    Parameters
    ----------
    incorrect_mask : {"class", "without_mask", "drop"}
        How faces whose mask is worn incorrectly are counted: apart, as without mask, or not at all.

    Returns
    -------
    DataFrame
        Columns dataset (the last is "Total"), photos, faces, with_mask, without_mask, incorrect_mask.
    """
    counts = pd.crosstab(faces.table["dataset"], faces.table["label"])
    counts = counts.reindex(index=sorted(faces.roots) or None, columns=list(LABELS), fill_value=0)
    if incorrect_mask == "without_mask":
        counts[WITHOUT_MASK] += counts[INCORRECT_MASK]
    if incorrect_mask != "class":
        counts[INCORRECT_MASK] = 0
    counts.insert(0, "faces", counts.sum(axis=1))
    counts.insert(0, "photos", pd.Series(faces.photos).reindex(counts.index).astype(int))
    table = pd.concat([counts, counts.sum().to_frame("Total").T])
    return table.rename_axis(index="dataset", columns=None).reset_index()


def label_percent(split: pd.DataFrame) -> dict[str, float]:
    """The last line of the study's Table 2: each label's share of all faces in percent, from `label_split`."""
    total = split.iloc[-1]
    return {label: 100 * total[label] / max(1, total["faces"]) for label in LABELS}


def _faces_before(workspace: Workspace) -> Faces | None:
    """What the workspace holds, or None where there is nothing that can be kept."""
    try:
        return load_faces(workspace) if has_faces(workspace) else None
    except LaterVersionError:
        raise
    except WorkspaceError:  # this scan is what mends it
        return None


def _unchanged(
    workspace: Workspace, before: Faces | None, found: dict[str, Path], signatures: dict[str, str]
) -> set[str]:
    """Datasets whose files are as they were, and whose measured faces are all there."""
    if before is None:
        return set()
    same = {
        dataset
        for dataset, folder in found.items()
        if before.roots.get(dataset) == folder.resolve() and before.signatures.get(dataset) == signatures[dataset]
    }
    shards = before.table.loc[before.table["dataset"].isin(same), ["dataset", "shard"]].drop_duplicates()
    gone = [not is_measured(shard, workspace.path("shards")) for shard in shards["shard"]]
    return same - set(shards.loc[gone, "dataset"])


def _measure(shards: list[Shard], folder: Path, jobs: int | None, progress: Progress) -> pd.DataFrame:
    photos = sum(len(shard.faces) for shard in shards)
    pending = [shard for shard in shards if not is_measured(shard.key, folder)]
    pending.sort(key=lambda shard: -shard.bytes)  # the longest first, so that all processes end together
    missing = sum(len(shard.faces) for shard in pending)
    if jobs is None:  # starting processes takes longer than measuring a few hundred photos
        jobs = 1 if missing < 500 else (os.cpu_count() or 1)
    done = photos - missing
    progress(done, photos, "measuring faces")
    tasks = (delayed(measure_shard)(shard, folder) for shard in pending)
    for count in Parallel(n_jobs=jobs, batch_size=1, return_as="generator_unordered")(tasks):
        done += count
        progress(done, photos, "measuring faces")
    rows = [row for shard in shards for row in read_rows(shard.key, folder)]
    columns = ["dataset", "photo", "label", "face_id", "reason", "shard", "whole_photo", *_WHOLE_NUMBERS]
    measured = pd.DataFrame.from_records(rows)  # one with only faces, or only rejects, lacks the other's columns
    return measured.reindex(columns=measured.columns.union(columns, sort=False))


def _merge(
    before: Faces | None,
    measured: pd.DataFrame,
    changed: dict[str, Path],
    readings: dict[str, Reading],
    signatures: dict[str, str],
) -> Faces:
    is_face = measured["face_id"].notna()
    table = measured[is_face].drop(columns="reason")
    listed = [(dataset, r.photo, r.reason) for dataset, reading in readings.items() for r in reading.rejects]
    rejects = [pd.DataFrame(listed, columns=_REJECT_COLUMNS), measured.loc[~is_face, _REJECT_COLUMNS]]
    roots = {dataset: folder.resolve() for dataset, folder in changed.items()}
    photos = {dataset: reading.photos for dataset, reading in readings.items()}
    if before is not None:
        table = pd.concat([before.table[~before.table["dataset"].isin(changed)], table])
        rejects.insert(0, before.rejects[~before.rejects["dataset"].isin(changed)])
        roots, photos, signatures = before.roots | roots, before.photos | photos, before.signatures | signatures
    # Whole numbers are integers again: a reject beside a face turned their columns into floats.
    table = table.astype({**dict.fromkeys(_WHOLE_NUMBERS, "int64"), "whole_photo": "bool"})
    return Faces(
        table=table.sort_values(["dataset", "face_id"], ignore_index=True),
        rejects=pd.concat(rejects).astype("str").sort_values(["dataset", "photo"], ignore_index=True),
        roots=roots,
        photos=photos,
        signatures=signatures,
    )


def _write(workspace: Workspace, before: Faces | None, faces: Faces, keep: set[str]) -> None:
    old, new = _entries(before) if before else {}, _entries(faces)
    # Until all is written, what changes has no signature: after a cut, the next scan reads it again. And no face is
    # ever in the table whose dataset is not in the list.
    changing = {
        key: entry | ({} if old.get(key) == new.get(key) else {"signature": ""}) for key, entry in (old | new).items()
    }
    write_json(workspace.path("datasets.json"), changing, version=1)
    write_table(workspace.path("rejects.parquet"), faces.rejects)
    write_table(workspace.path("faces.parquet"), faces.table)
    write_json(workspace.path("datasets.json"), new, version=1)
    used = keep.union(faces.table["shard"])  # a scanned shard may hold rejects alone
    for path in workspace.path("shards").glob("*"):
        if path.stem not in used:
            remove(path)


def _entries(faces: Faces) -> dict[str, dict[str, Any]]:
    """The datasets as ``datasets.json`` lists them."""
    return {
        key: {"path": str(path), "photos": faces.photos[key], "signature": faces.signatures.get(key, "")}
        for key, path in faces.roots.items()
    }
