"""Reads of the core that several pages share, cached until the files behind them change."""

from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import streamlit as st
from PIL import Image

from maskdet.catalog import load_catalog, lookup
from maskdet.compare import own_faces
from maskdet.explore import with_faces_in_photo
from maskdet.export import to_csv
from maskdet.facetable import Faces, load_faces
from maskdet.images import StoredImages
from maskdet.runs import Run, list_runs
from maskdet.workspace import Workspace

_THUMBNAIL_QUALITY: Final = 88


def faces_of(workspace: Workspace) -> Faces:
    """The face table of a workspace: one copy for all visitors, to be read only."""
    return _faces(workspace, stamp_of(workspace))


def table_of(workspace: Workspace) -> pd.DataFrame:
    """The face table with the number of faces in each photo; to be read only, rows as in `faces_of`."""
    return _table(workspace, stamp_of(workspace))


def stamp_of(workspace: Workspace) -> str:
    """Changes whenever the face table does."""
    stamps = [stamp(workspace.path(name)) for name in ("faces.parquet", "datasets.json")]
    return f"{workspace.home} {stamps}"


def stamp(path: Path) -> int:
    """When a file was last written, in ns since 1970, 0 where there is none: changes with the file."""
    return path.stat().st_mtime_ns if path.is_file() else 0


def thumbnails(workspace: Workspace, faces: pd.DataFrame) -> list[bytes]:
    """Faces as a model sees them, as JPEG files; each is encoded once and kept."""
    folder = str(workspace.path("shards"))
    return [_thumbnail(folder, shard, int(row)) for shard, row in zip(faces["shard"], faces["shard_row"], strict=True)]


def jpeg(image: Image.Image, quality: int = 90) -> bytes:
    """A picture as the bytes of a JPEG file, which the browser gets as they are."""
    file = BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


def runs_of(workspace: Workspace) -> list[Run]:
    """Bundled runs and those of the workspace, newest first."""
    return list_runs(workspace)[::-1]


def predictions_of(run: Run) -> pd.DataFrame:
    """A run's test faces, read once for all pages; to be read only. Raises MaskDetError if they are damaged."""
    return _predictions(run.folder, stamp(run.folder / "predictions.parquet"), run)


def is_synthetic(run: Run) -> bool:
    """True for a run that saw nothing but the synthetic sample set."""
    catalog = load_catalog()
    return all(lookup(catalog, dataset).synthetic for dataset in run.record["data"]["datasets"])


@st.cache_resource(show_spinner=False, max_entries=4)
def _faces(workspace: Workspace, stamp: str) -> Faces:
    return load_faces(workspace)


@st.cache_resource(show_spinner=False, max_entries=4)
def _table(workspace: Workspace, stamp: str) -> pd.DataFrame:
    return with_faces_in_photo(faces_of(workspace).table)


@st.cache_data(show_spinner=False, max_entries=10_000)
def _thumbnail(folder: str, shard: str, row: int) -> bytes:
    image = StoredImages(Path(folder), np.array([shard], dtype=object), np.array([row])).take([0])[0]
    return jpeg(Image.fromarray(image), _THUMBNAIL_QUALITY)


@st.cache_resource(show_spinner=False, max_entries=50)
def _predictions(folder: Path, stamp: int, _run: Run) -> pd.DataFrame:
    return own_faces(_run)


def csv_bytes(table: pd.DataFrame) -> bytes:
    """A table as a CSV file to download, whose text no spreadsheet runs as a formula."""
    return to_csv(table).encode()
