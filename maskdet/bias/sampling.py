"""A fixed sample of a run's test faces, the same for every run that is tested on them, and where their parts lie."""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
import numpy.typing as npt
import pandas as pd

from maskdet.bias.appearance import measure_appearance
from maskdet.bias.regions import FaceGeometry
from maskdet.compare import own_faces
from maskdet.errors import MaskDetError
from maskdet.facetable import Faces
from maskdet.labels import CLASSES
from maskdet.progress import Progress, silent
from maskdet.runs import Run
from maskdet.workspace import Workspace


def judged_sample(run: Run) -> pd.DataFrame:
    """The test faces of a run, from which samples are drawn.

    Returns
    -------
    DataFrame
        A row a face, sorted by id: face_id, dataset, label, group, logit, wrong (whether the run's verdict is not the
        label).

    Raises
    ------
    MaskDetError
        If it has none.
    """
    faces = own_faces(run)
    if faces.empty:
        raise MaskDetError(f"Run {run.id} has no test face.")
    faces = faces.assign(wrong=(faces["logit"] > 0) != (faces["label"] == CLASSES[1]))
    return faces[["face_id", "dataset", "label", "group", "logit", "wrong"]].sort_values("face_id", ignore_index=True)


def sampled(faces: pd.DataFrame, count: int, seed: int) -> npt.NDArray[np.bool_]:
    """Which faces are in a random sample of so many of each label; all of a label that has fewer.

    Each face draws a lot that depends on the seed and its id alone, so that two runs with other test splits still
    have as many faces in common as can be.

    Parameters
    ----------
    faces : DataFrame
        ``face_id``, ``label``.

    Returns
    -------
    array of bool, shape (n,)
    """
    lots = [blake2b(f"{seed} {face_id}".encode(), digest_size=8).hexdigest() for face_id in faces["face_id"]]
    drawn = pd.DataFrame({"lot": lots, "label": faces["label"].to_numpy()}).sort_values("lot")
    return np.asarray((drawn.groupby("label").cumcount() < count).sort_index(), dtype=np.bool_)


def geometries(
    workspace: Workspace, faces: Faces, face_ids: Sequence[str], progress: Progress = silent
) -> list[FaceGeometry]:
    """Where the parts of some faces lie, in the order of ``face_ids``; looked for where that is not known yet.

    Raises
    ------
    WorkspaceError
        If a face is not in the table, or the scan's files are gone.
    """
    found = measure_appearance(workspace, faces, face_ids, progress).set_index("face_id")
    rows = found.loc[list(face_ids)].to_dict("records")
    return [FaceGeometry.of({str(name): value for name, value in row.items()}) for row in rows]
