"""Does a drawn mask look like a mask to the models? ``python -m benchmarks.check_drawn_masks HOME [RUN ...]``.

Prints a table in Markdown, which stands in docs/whatif.md. A mask of each colour is drawn on real faces without one:
the test faces of Datasets 2.2 and 3.2 with a shorter side of at least 40 px, cropped as they are annotated, on which
the detector finds eyes, nose and mouth. Of those that a run rightly says to be without mask, the table gives the share
that it says to be with mask once one is drawn on, with Wilson's 95 % interval (faces taken for independent). To compare
with: the share of real masked test faces of the same datasets and sizes that the run says to be with mask.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from scipy.stats import binomtest

from maskdet.detection import DetectedFace, FaceDetector
from maskdet.drawn_masks import MASK_COLOURS, mask_variants
from maskdet.facetable import Faces, load_faces
from maskdet.labels import WITH_MASK, WITHOUT_MASK
from maskdet.photos import Box, RgbImage, normalise, read_photo
from maskdet.quiet import import_tensorflow
from maskdet.runs import Run, find_run
from maskdet.runtime import open_runtime
from maskdet.workspace import Workspace

_DATASETS = ("2.2", "3.2")
_LEAST_SIDE = 40


def test_faces(run: Run, faces: Faces) -> pd.DataFrame:
    """The run's test faces of the datasets that are large enough, with the photo and box of each and its logit."""
    table = run.predictions.merge(faces.table.drop(columns=["dataset", "label"]), on="face_id")
    large = np.minimum(table["width"], table["height"]) >= _LEAST_SIDE
    return table[table["dataset"].isin(_DATASETS) & (table["split"] == "test") & large]


def drawn_on(rows: pd.DataFrame, faces: Faces) -> tuple[pd.DataFrame, RgbImage]:
    """Rows on which a mask can be drawn, and of each the face and a copy a colour, shape (n, 5, 150, 150, 3)."""
    kept, pictures = [], []
    detector = FaceDetector()
    for index, name, photo, box in _boxes(rows):
        pixels = np.asarray(read_photo(faces.roots[name] / photo).image)
        found = _face_in(box, detector(pixels))
        if found is None:
            continue
        left, top, right, bottom = box
        copies = [pixels[top:bottom, left:right], *mask_variants(pixels, found, box).values()]
        pictures.append(np.stack([normalise(Image.fromarray(copy)) for copy in copies]))
        kept.append(index)
    return rows.loc[kept], np.stack(pictures)


def _boxes(rows: pd.DataFrame) -> Iterator[tuple[int, str, str, Box]]:
    for row in rows.itertuples():
        yield row.Index, row.dataset, row.photo, (row.left, row.top, row.right, row.bottom)


def _face_in(box: Box, found: list[DetectedFace]) -> DetectedFace | None:
    """The largest detected face whose nose lies in the box."""
    left, top, right, bottom = box
    inside = [face for face in found if left <= face.landmarks[2, 0] <= right and top <= face.landmarks[2, 1] <= bottom]
    return max(inside, key=lambda face: face.box[2] - face.box[0], default=None)


def share(hits: int, n: int) -> str:
    """A share with its interval."""
    if not n:
        return "no faces"
    interval = binomtest(hits, n).proportion_ci(method="wilson")
    return f"{hits / n:.2f} ({interval.low:.2f} to {interval.high:.2f})"


def line(run: Run, faces: Faces) -> str:
    """The run's row of the table."""
    table = test_faces(run, faces)
    masked = table[table["label"] == WITH_MASK]
    rows, pictures = drawn_on(table[table["label"] == WITHOUT_MASK], faces)
    runtime = open_runtime(run)
    logits = np.stack([runtime(pictures[:, copy])[0] for copy in range(pictures.shape[1])], axis=1)
    right = logits[logits[:, 0] > 0]
    cells = [share(int((right[:, 1 + number] <= 0).sum()), len(right)) for number in range(len(MASK_COLOURS))]
    real = f"{share(int((masked['logit'] <= 0).sum()), len(masked))}, n = {len(masked)}"
    return f"| {run.model_name} | {len(right)} of {len(rows)} | {' | '.join(cells)} | {real} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.check_drawn_masks", description=__doc__)
    parser.add_argument("home", type=Path, help="a workspace with the faces of the runs")
    parser.add_argument("runs", nargs="*", help="runs or models' names; default: all four")
    options = parser.parse_args()
    workspace = Workspace.locate(options.home)
    import_tensorflow()
    faces = load_faces(workspace)
    heads = ["model", "faces: judged rightly without a mask", *MASK_COLOURS, "real masks"]
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for name in options.runs or ["inceptionv3", "cnn", "cnn-transfer", "svm"]:
        print(line(find_run(workspace, name), faces), flush=True)


if __name__ == "__main__":
    main()
