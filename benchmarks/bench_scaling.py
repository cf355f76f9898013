"""Cost by the number of faces: 5,000 to 40,000 photos of one face each.

Photos of Datasets 1, 2.1 and 2.2, shuffled so that every size has the same mixture, and repeated under new names where
there are not enough. Each size is scanned in a process of its own. CPU time counts, since other programs disturb it
least. Goal: time a face does not grow, that is, the slope of log time over log faces is at most 1.1.
"""

import random
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.bench_scan import scan_cost
from benchmarks.framework import Cost, Row, fresh, measure, shared_data
from maskdet.catalog import load_catalog
from maskdet.facetable import load_faces
from maskdet.labels import parse_label
from maskdet.photos import list_photos
from maskdet.quality import apply_filters
from maskdet.split import split_faces
from maskdet.workspace import Workspace

_SIZES = (5_000, 10_000, 20_000, 40_000)
_STEPS = ("scan", "filter", "split")


def run(quick: bool) -> list[Row]:
    """The rows of the table; quick: a tenth of the faces."""
    sizes = [size // 10 for size in _SIZES] if quick else list(_SIZES)
    costs = []
    for size in sizes:
        with TemporaryDirectory() as home:
            photos = Path(home) / "photos" / "repeated"
            lay_out(photos, size)
            costs.append(fresh(step_costs, photos, Path(home) / "workspace"))
    rows = []
    for step, each in zip(_STEPS, zip(*costs, strict=True), strict=True):
        slope = float(np.polyfit(np.log(sizes), np.log([cost.cpu for cost in each]), 1)[0])
        for size, cost in zip(sizes, each, strict=True):
            rows.append(Row(f"{step} of {size:,} faces", f"{cost}; CPU {1e6 * cost.cpu / size:,.0f} µs a face"))
        rows.append(Row(f"{step}, slope", f"{slope:.2f}", goal="at most 1.1", met=slope <= 1.1))
    return rows


def lay_out(folder: Path, count: int) -> None:
    """Link ``count`` photos into class folders, under new names."""
    photos = [path for name in ("1", "2.1", "2.2") for path in list_photos(shared_data() / name)]
    random.Random(0).shuffle(photos)
    for number in range(count):
        source = photos[number % len(photos)]
        label = next(label for part in reversed(source.parts) if (label := parse_label(part)))
        target = folder / label / f"{number:05}{source.suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            target.hardlink_to(source)
        except OSError:  # another disk
            shutil.copyfile(source, target)


def step_costs(photos: Path, home: Path) -> list[Cost]:
    """What scan, filter and split take."""
    _, scanned = scan_cost(photos, home)
    faces = load_faces(Workspace(home))
    filtered, decided = measure(lambda: apply_filters(faces), repeats=3)
    _, split = measure(lambda: split_faces(faces, filtered, load_catalog()), repeats=3)
    return [scanned, decided, split]
