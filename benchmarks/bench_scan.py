"""The scan of all real photos, against a plain loop over the same files.

The baseline is what a notebook does, in one process: for each photo ``Image.open(path).convert("RGB")``, then
``imagehash.phash`` and ``numpy.asarray(image).mean(axis=(0, 1))``. The scan does more: it reads annotations, cuts out
faces, takes four hashes, brightness, contrast, sharpness and a digest, and writes every face at 150x150. Each runs in
a process of its own, in turn, with the files in the system's cache; the quickest run of each counts. The goals: at
least 1.5 times as fast on two cores, and with nothing changed less than 5 % of the first scan.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import imagehash
import numpy as np
from joblib.externals.loky import get_reusable_executor
from PIL import Image

from benchmarks.framework import Cost, Row, fresh, measure, shared_data
from maskdet.facetable import Faces, scan
from maskdet.photos import list_photos
from maskdet.workspace import Workspace


def run(quick: bool) -> list[Row]:
    """The rows of the table; quick: Dataset 2.2 alone."""
    data = shared_data() / "2.2" if quick else shared_data()
    photos = list_photos(data)
    for photo in photos:
        photo.read_bytes()
    plain, first, second = [], [], []
    for _ in range(1 if quick else 3):
        plain.append(fresh(plain_loop, photos))
        with TemporaryDirectory() as home:
            faces, cost = fresh(scan_cost, data, Path(home))
            first.append(cost)
            second.append(fresh(scan_cost, data, Path(home))[1])
    loop, full, again = (min(costs, key=lambda cost: cost.wall) for costs in (plain, first, second))
    ratio, share = loop.wall / full.wall, again.wall / full.wall
    return [
        Row(
            f"scan, {len(photos):,} photos, {faces:,} faces",
            str(full),
            f"plain loop: {loop}",
            ratio,
            "1.5 times as fast",
            ratio >= 1.5,
        ),
        Row(
            "scan again, nothing changed",
            f"{again}: {share:.1%} of the first",
            f"first scan: {full}",
            1 / share,
            "under 5 % of the first",
            share < 0.05,
        ),
    ]


def plain_loop(photos: list[Path]) -> Cost:
    """What the loop of a notebook takes."""
    imagehash.phash(Image.new("RGB", (9, 9)))  # imports what it needs only when it is first called

    def loop() -> None:
        for path in photos:
            image = Image.open(path).convert("RGB")
            imagehash.phash(image)
            np.asarray(image).mean(axis=(0, 1))

    return measure(loop)[1]


def scan_cost(data: Path, home: Path) -> tuple[int, Cost]:
    """Number of faces, and what the scan takes, its worker processes included."""

    def scan_and_end_workers() -> Faces:
        faces = scan(Workspace(home), data)
        get_reusable_executor().shutdown(wait=True)  # their CPU time is known once they have ended
        return faces

    faces, cost = measure(scan_and_end_workers)
    return len(faces.table), cost
