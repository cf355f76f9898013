"""What there is to see before anyone has scanned a dataset: the synthetic sample set, in a workspace of its own."""

from filelock import FileLock, Timeout

from maskdet.catalog import load_catalog
from maskdet.errors import WorkspaceError
from maskdet.facetable import has_faces, load_faces, scan
from maskdet.kinds import PHOTOS_FOLDER, SAMPLE_FOLDER
from maskdet.progress import Progress, silent
from maskdet.quality import apply_filters, save_filtered
from maskdet.samples import write_sample
from maskdet.split import save_split, split_faces
from maskdet.workspace import Workspace

_SECONDS_TO_WAIT = 120


def sample_of(workspace: Workspace) -> Workspace:
    """The workspace of the sample set that belongs to a workspace, whether it was drawn yet or not."""
    return Workspace(workspace.path(SAMPLE_FOLDER))


def sample_workspace(workspace: Workspace, progress: Progress = silent) -> Workspace:
    """The workspace of the sample set, drawn, scanned, filtered and split on the first call (a few seconds).

    Raises
    ------
    WorkspaceError
        If the workspace cannot be written.
    """
    sample = sample_of(workspace)
    if sample.path("split.json").is_file():
        return sample
    sample.ensure_writable()
    try:
        with FileLock(sample.path(".drawing"), timeout=_SECONDS_TO_WAIT):  # two first visitors at once
            if not sample.path(PHOTOS_FOLDER).is_dir():
                write_sample(sample.path(PHOTOS_FOLDER), progress=progress)
            if not has_faces(sample):
                scan(sample, sample.path(PHOTOS_FOLDER), progress=progress)
            faces = load_faces(sample)
            filtered = apply_filters(faces)
            save_filtered(sample, filtered)
            save_split(sample, split_faces(faces, filtered, load_catalog()))
    except Timeout:
        raise WorkspaceError(
            f"Somebody else has been drawing the sample set in {sample.home} for two minutes."
        ) from None
    except OSError as error:
        raise WorkspaceError(f"The sample set cannot be drawn in {sample.home} ({error.strerror or error}).") from error
    return sample
