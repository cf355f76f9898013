"""Where results of the bias lab lie: by the fingerprint of the split that they are about, and by run.

Own results are in the workspace; those of the bundled study ship with MaskDet, in the same folders.

    bias/FINGERPRINT/NAME          what is said of the data
    bias/FINGERPRINT/RUN/NAME      what is said of a run
"""

from pathlib import Path
from typing import Final

from maskdet.catalog import DATA_DIR
from maskdet.errors import MaskDetError
from maskdet.workspace import Workspace

FOLDER: Final = "bias"
#: Names of results; those of a run lie in the run's folder.
ATTRIBUTES_FILE: Final = "attributes.parquet"
SHORTCUTS: Final = "shortcuts.json"
CROSS: Final = "cross-dataset-{model}.json"
NOT_MEASURABLE: Final = "not_measurable.parquet"
COUNTERFACTUALS: Final = "counterfactuals.json"
ATTENTION: Final = "attention.json"
SHIPPED: Final = DATA_DIR / "study" / FOLDER


def own_path(workspace: Workspace, fingerprint: str, name: str, run_id: str | None = None) -> Path:
    """Where a result of this workspace is written.

    Raises
    ------
    MaskDetError
        If a part is no plain name: fingerprints and ids come from files and addresses too.
    """
    return workspace.path(FOLDER, *_parts(fingerprint, name, run_id))


def find_path(workspace: Workspace, fingerprint: str, name: str, run_id: str | None = None) -> Path | None:
    """A result's file: the workspace's own, else the one that ships; None where there is neither.

    Raises
    ------
    MaskDetError
        As `own_path`.
    """
    own = own_path(workspace, fingerprint, name, run_id)
    shipped = SHIPPED.joinpath(*_parts(fingerprint, name, run_id))
    return next((path for path in (own, shipped) if path.is_file()), None)


def _parts(fingerprint: str, name: str, run_id: str | None) -> list[str]:
    parts = [part for part in (fingerprint, run_id, name) if part is not None]
    for part in parts:
        if not part or part.startswith(".") or "/" in part or "\\" in part:
            raise MaskDetError(f"{part!r} is no name of a result.")
    return parts
