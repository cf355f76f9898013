"""The decision step: all filters on 40,000 rows, as it runs when a threshold is moved.

The faces are those of the real photos, repeated under new ids with all hashes turned by a random mask a copy, so that
no face is a copy of itself. The hashes are known, as they are after a scan; finding the duplicate clusters is part of
the step unless a row says otherwise. The baseline is a loop over the rows that tests the thresholds and finds equal
hashes with a dictionary, which is less than the step does. Goal: under 100 ms.
"""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from joblib.externals.loky import get_reusable_executor

from benchmarks.framework import Row, duration, measure, shared_data
from maskdet.catalog import load_catalog
from maskdet.facetable import Faces, scan
from maskdet.measure import HASH_KINDS
from maskdet.quality import FilterOptions, apply_filters, near_faces
from maskdet.split import split_faces
from maskdet.workspace import Workspace

_GOAL = 0.1


def run(quick: bool) -> list[Row]:
    """The rows of the table; quick: the faces of Dataset 2.2."""
    with TemporaryDirectory() as home:
        scanned = scan(Workspace(Path(home)), shared_data() / "2.2" if quick else shared_data())
        get_reusable_executor().shutdown(wait=True)
    faces = repeated(scanned, 2_000 if quick else 40_000)
    _ = faces.fingerprint  # known since the faces were loaded
    everything = FilterOptions(exact=True, conflicts=True, small=True, blur=True)
    _, loop = measure(lambda: notebook(faces.table), repeats=3)
    rows = []
    for name, options in (("the study's filters", FilterOptions()), ("all filters", everything)):
        filtered, cost = measure(lambda options=options: apply_filters(faces, options), repeats=5)
        what = f"{name}, {len(faces.table):,} faces, {len(faces.table) - len(filtered.kept):,} removed"
        ratio = loop.wall / cost.wall
        rows.append(
            Row(what, duration(cost.wall), f"loop: {duration(loop.wall)}", ratio, "< 100 ms", cost.wall < _GOAL)
        )
    pairs, search = measure(lambda: near_faces(faces, "phash"), repeats=3)
    cluster = pairs.clusters(4)
    _, moved = measure(lambda: apply_filters(faces, replace(everything, min_sharpness=12), cluster=cluster), repeats=5)
    _, split = measure(lambda: split_faces(faces, filtered, load_catalog()), repeats=3)
    rows += [
        Row("all filters, clusters known", duration(moved.wall), goal="< 100 ms", met=moved.wall < _GOAL),
        Row("near pairs for all distances up to 10", duration(search.wall)),
        Row("split by photo and duplicate cluster", duration(split.wall)),
    ]
    return rows


def repeated(faces: Faces, count: int) -> Faces:
    """``count`` faces: those given, then the same again under other ids and with other hashes."""
    rng = np.random.default_rng(0)
    copies = []
    for number in range(-(-count // len(faces.table))):
        copy = faces.table.assign(face_id=f"copy {number}: " + faces.table["face_id"])
        for kind in HASH_KINDS:
            mask = int(rng.integers(0, 2**64, dtype=np.uint64)) if number else 0
            copy[kind] = [f"{int(value, 16) ^ mask:016x}" for value in copy[kind]]
        copies.append(copy)
    return replace(faces, table=pd.concat(copies, ignore_index=True).iloc[:count])


def notebook(table: pd.DataFrame) -> list[bool]:
    """A loop over the rows: equal hashes, small and stretched, dark or bright."""
    seen: set[str] = set()
    keep = []
    for _, row in table.iterrows():
        means = (row["mean_red"], row["mean_green"], row["mean_blue"])
        stretched = row["sqrt_size"] < 300 and not 0.25 <= row["aspect_ratio"] <= 4
        keep.append(row["phash"] not in seen and not stretched and min(means) >= 5 and max(means) <= 250)
        seen.add(row["phash"])
    return keep
