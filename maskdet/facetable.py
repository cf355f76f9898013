"""The face table: one row a face, made by `scan` and read by everything after it.

Columns: ``face_id`` (dataset, photo and box: the same on every machine and in every scan), ``dataset``, ``photo``,
``label``, ``left top right bottom`` (pixels of the upright photo), ``whole_photo``, ``publisher_split``,
``photo_width photo_height bytes format``, the measurements of `maskdet.measure.measure_face`, and ``shard`` with
``shard_row``, where the normalised pixels lie.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from joblib import Parallel, delayed

from maskdet.errors import MaskDetError, WorkspaceError
from maskdet.labels import LABELS
from maskdet.measure import Shard, deal_shards, is_measured, measure_shard
from maskdet.progress import Progress, silent
from maskdet.readers import Reading, find_datasets, read_dataset
from maskdet.workspace import Workspace, read_json, read_table, write_json, write_table

_REJECT_COLUMNS = ["dataset", "photo", "reason"]


@dataclass(frozen=True)
class Faces:
    """What a scan leaves: the face table, the rejects (dataset, photo, reason), and where each dataset lies."""

    table: pd.DataFrame
    rejects: pd.DataFrame
    roots: dict[str, Path]
    photos: dict[str, int]

    @property
    def fingerprint(self) -> str:
        """Digest of the faces, their labels and their pixels' hashes; changes whenever one of them does."""
        return table_fingerprint(self.table, ["face_id", "label", "phash"])


def table_fingerprint(table: pd.DataFrame, columns: list[str]) -> str:
    """Digest of some columns of a table, whatever the order of its rows; 16 hexadecimal digits."""
    rows = sorted(map(repr, table[columns].astype(str).itertuples(index=False, name=None)))
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()[:16]


def scan(workspace: Workspace, root: Path, *, jobs: int | None = None, progress: Progress = silent) -> Faces:
    """Read the datasets found in a folder, measure every face, and write the face table.

    A dataset that the workspace knows already is replaced, others are kept. Unchanged photos are not read again, and a
    scan that was cut goes on where it was.

    Parameters
    ----------
    root : Path
        A folder of dataset folders, or one dataset; a folder's name is the dataset's id.
    jobs : int, optional
        Processes; by default one a core, and this process alone for a few hundred photos.

    Raises
    ------
    MaskDetError
        If the folder holds no dataset or no usable face, the workspace cannot be written, or another scan runs.
    """
    found = find_datasets(root)
    with workspace.lock():
        progress(0, 0, f"reading {len(found)} datasets")
        readings = {dataset: read_dataset(folder) for dataset, folder in found.items()}
        shards = [s for dataset, r in readings.items() for s in deal_shards(dataset, found[dataset], r.faces)]
        measured = _measure(shards, workspace.path("shards"), jobs, progress)
        listed = [
            {"dataset": dataset, "photo": reject.photo, "reason": reject.reason}
            for dataset, reading in readings.items()
            for reject in reading.rejects
        ]
        before = load_faces(workspace) if has_faces(workspace) else None
        faces = _merge(before, measured, pd.DataFrame(listed, columns=_REJECT_COLUMNS), found, readings)
        if not faces.table["dataset"].isin(found).any():
            reasons = "; ".join(f"{r.photo}: {r.reason}" for r in faces.rejects.head(3).itertuples())
            raise MaskDetError(f"No usable face in {root}" + (f" ({reasons})." if reasons else "."))
        _write(workspace, faces, {shard.key for shard in shards})
    return faces


def has_faces(workspace: Workspace) -> bool:
    """True where a scan has written a face table."""
    return workspace.path("faces.parquet").is_file()


def load_faces(workspace: Workspace) -> Faces:
    """The face table of a workspace. Raises WorkspaceError if nothing was scanned yet or a file is damaged."""
    if not has_faces(workspace):
        raise WorkspaceError("No faces yet: run `python -m maskdet scan DIR` on a folder of datasets first.")
    datasets = read_json(workspace.path("datasets.json"))
    return Faces(
        table=read_table(workspace.path("faces.parquet")),
        rejects=read_table(workspace.path("rejects.parquet")),
        roots={key: Path(entry["path"]) for key, entry in datasets.items()},
        photos={key: int(entry["photos"]) for key, entry in datasets.items()},
    )


def label_split(faces: Faces) -> pd.DataFrame:
    """The study's Tables 1 and 2 for these faces: photos and faces by label, a row a dataset and their sum.

    Returns
    -------
    DataFrame
        Columns dataset (the last is "Total"), photos, faces, with_mask, without_mask, incorrect_mask.
    """
    counts = pd.crosstab(faces.table["dataset"], faces.table["label"])
    counts = counts.reindex(columns=list(LABELS), fill_value=0)
    counts.insert(0, "faces", counts.sum(axis=1))
    counts.insert(0, "photos", pd.Series(faces.photos).reindex(counts.index).astype(int))
    table = pd.concat([counts, counts.sum().to_frame("Total").T])
    return table.rename_axis(index="dataset", columns=None).reset_index()


def label_percent(split: pd.DataFrame) -> dict[str, float]:
    """The last line of the study's Table 2: each label's share of all faces in percent, from `label_split`."""
    total = split.iloc[-1]
    return {label: 100 * total[label] / total["faces"] for label in LABELS}


def _measure(shards: list[Shard], folder: Path, jobs: int | None, progress: Progress) -> pd.DataFrame:
    photos = sum(len(shard.faces) for shard in shards)
    pending = [shard for shard in shards if not is_measured(shard, folder)]
    missing = sum(len(shard.faces) for shard in pending)
    if jobs is None:  # starting processes takes longer than measuring a few hundred photos
        jobs = 1 if missing < 500 else (os.cpu_count() or 1)
    done = photos - missing

    def sized(shard: Shard) -> int:
        measure_shard(shard, folder)
        return len(shard.faces)

    progress(done, photos, "measuring faces")
    for count in Parallel(n_jobs=jobs, return_as="generator_unordered")(delayed(sized)(shard) for shard in pending):
        done += count
        progress(done, photos, "measuring faces")
    tables = [read_table(folder / f"{shard.key}.parquet") for shard in shards]
    measured = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["face_id"])
    for column in ("face_id", "reason"):  # a scan with only faces, or only rejects, lacks the other's column
        if column not in measured:
            measured[column] = None
    return measured


def _merge(
    before: Faces | None,
    measured: pd.DataFrame,
    listed: pd.DataFrame,
    found: dict[str, Path],
    readings: dict[str, Reading],
) -> Faces:
    is_face = measured["face_id"].notna()
    table = measured[is_face].drop(columns="reason")
    rejects = [listed, measured.loc[~is_face].reindex(columns=_REJECT_COLUMNS)]
    roots = {dataset: folder.resolve() for dataset, folder in found.items()}
    photos = {dataset: reading.photos for dataset, reading in readings.items()}
    if before is not None:
        table = pd.concat([before.table[~before.table["dataset"].isin(found)], table])
        rejects.insert(0, before.rejects[~before.rejects["dataset"].isin(found)])
        roots, photos = before.roots | roots, before.photos | photos
    return Faces(
        table=_typed(table).sort_values(["dataset", "face_id"], ignore_index=True),
        rejects=pd.concat(rejects, ignore_index=True).sort_values(["dataset", "photo"], ignore_index=True),
        roots=roots,
        photos=photos,
    )


def _typed(table: pd.DataFrame) -> pd.DataFrame:
    """Whole numbers as integers again: a reject beside a face turns its column into floats."""
    if table.empty:
        return table
    whole = ["left", "top", "right", "bottom", "width", "height", "photo_width", "photo_height", "bytes", "shard_row"]
    return table.astype({**dict.fromkeys(whole, "int64"), "whole_photo": "bool"})


def _write(workspace: Workspace, faces: Faces, scanned: set[str]) -> None:
    datasets = {key: {"path": str(path), "photos": faces.photos[key]} for key, path in faces.roots.items()}
    write_json(workspace.path("datasets.json"), datasets)
    write_table(workspace.path("rejects.parquet"), faces.rejects)
    write_table(workspace.path("faces.parquet"), faces.table)
    used = scanned.union(faces.table["shard"])  # a scanned shard may hold rejects alone
    for path in workspace.path("shards").iterdir():
        if path.stem not in used:
            path.unlink()
