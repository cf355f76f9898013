"""Metrics by group that were computed before: they take some seconds, and a page wants them at once.

A report is kept under a digest of everything that went in: verdicts, attributes and options. So one of other faces, of
a newer measure, or with an uploaded attribute is never taken for it.
"""

import hashlib
from pathlib import Path
from typing import Final

import pandas as pd

from maskdet.bias.groups import GroupReport, judge_all, load_groups, save_groups
from maskdet.bias.judged import GroupOptions
from maskdet.bias.store import find_path, own_path
from maskdet.errors import WorkspaceError
from maskdet.progress import Progress, silent
from maskdet.runs import Run
from maskdet.workspace import Workspace, remove

_PREFIX: Final = "groups-"
#: Raised whenever the figures or their sentences change their meaning.
VERSION: Final = 3


def reports_by_group(
    workspace: Workspace,
    run: Run,
    predictions: pd.DataFrame,
    attributes: pd.DataFrame,
    options: GroupOptions | None = None,
    progress: Progress = silent,
) -> dict[str, GroupReport]:
    """What `maskdet.bias.groups.judge_all` says, read where it was kept; nothing is written."""
    options = options or GroupOptions()
    known = _kept(workspace, run, _name(predictions, attributes, options))
    return known or judge_all(predictions, attributes, options, progress=progress)


def keep_reports(
    workspace: Workspace,
    run: Run,
    predictions: pd.DataFrame,
    attributes: pd.DataFrame,
    options: GroupOptions | None = None,
    *,
    folder: Path | None = None,
    progress: Progress = silent,
) -> Path:
    """Compute the reports and keep them, in place of those kept before.

    Parameters
    ----------
    folder : Path, optional
        Where to; by default where the workspace keeps what is said of the run.

    Raises
    ------
    WorkspaceError
        If they cannot be written, or those kept before cannot be deleted.
    """
    options = options or GroupOptions()
    name = _name(predictions, attributes, options)
    path = folder / name if folder else own_path(workspace, run.fingerprint, name, run.id)
    known = _kept(workspace, run, name)
    if known and folder is None:  # nothing is to be written, which a workspace that is only to be read would refuse
        return path
    save_groups(path, known or judge_all(predictions, attributes, options, progress=progress))
    for old in path.parent.glob(f"{_PREFIX}*.json"):
        if old != path:
            remove(old)
    return path


def _kept(workspace: Workspace, run: Run, name: str) -> dict[str, GroupReport] | None:
    """What was kept under a name; None where nothing was, or it is damaged and has to be computed again."""
    path = find_path(workspace, run.fingerprint, name, run.id)
    try:
        return load_groups(path) if path else None
    except WorkspaceError:
        return None


def _name(predictions: pd.DataFrame, attributes: pd.DataFrame, options: GroupOptions) -> str:
    """The file's name: a digest of what goes in, whatever the order of the faces."""
    verdicts = predictions[["face_id", "dataset", "label", "group", "logit"]].sort_values("face_id")
    known = attributes[attributes["face_id"].isin(verdicts["face_id"])].sort_values("face_id")
    digest = hashlib.sha256(f"{VERSION} {options!r}\n".encode())
    for table in (verdicts, known):
        digest.update(table.to_csv(index=False).encode(errors="surrogatepass"))
    return f"{_PREFIX}{digest.hexdigest()[:16]}.json"
