"""Entries of a report from verdicts on drawn faces, with heatmaps that are made up."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
from bright_faces import BRIGHT, DARK, Believed, Bright, detector
from conftest import write_photo

from maskdet.attribution import Heatmap
from maskdet.batch_report import report_photos
from maskdet.photos import RgbImage
from maskdet.predict import Judge, find_faces, judge_faces


def heat_on_top(face: RgbImage, label: str) -> Heatmap:
    """All heat in the upper half; none for bright faces."""
    values = np.zeros((4, 4), np.float32)
    if face.mean() < 128:
        values[:2] = 1
    return Heatmap(values, label, "layer")


def test_entries_have_crops_heatmaps_and_remarks(tmp_path: Path) -> None:
    sources = [write_photo(tmp_path / "dark.png", (100, 80), DARK)]
    sources.append(write_photo(tmp_path / "bright.png", (60, 60), BRIGHT))
    (tmp_path / "bad.jpg").write_text("no photo")
    sources.append(tmp_path / "bad.jpg")
    judge = Judge(SimpleNamespace(id="run"), Bright(), Believed())  # type: ignore[arg-type] - a run by its id
    found = [find_faces(path.name, path, detector((0, 0, 50, 50), (60, 0, 79, 20))) for path in sources[:1]]
    found += [find_faces(path.name, path, None) for path in sources[1:]]
    seen = []
    entries = list(
        report_photos(judge_faces(found, judge), sources, judge, heat_on_top, lambda *args: seen.append(args[:2]))
    )
    assert seen == [(1, 3), (2, 3), (3, 3)]
    dark, bright, bad = entries
    assert (bad.photo, bad.faces, bad.status) == (None, (), "not an image file")
    assert dark.photo is not None
    assert dark.photo.shape == (80, 100, 3)
    first, small = dark.faces
    assert (small.verdict, small.heatmap, small.remark) == (None, None, "")
    assert first.verdict == "not_like_training_data"  # 3.5 from grey, where 3 is the limit
    assert first.remark.startswith("It is 1.17 times as far from the training faces as the limit")
    assert first.heatmap is not None
    assert first.heatmap.shape == first.crop.shape
    assert first.heatmap[0].mean() > first.crop[0].mean() + 50  # hot above
    assert (first.heatmap[-1] == first.crop[-1]).all()
    assert bright.faces[0].heatmap is None
    assert "no evidence was found" in bright.faces[0].remark


def test_heatmaps_may_be_left_out(tmp_path: Path) -> None:
    path = write_photo(tmp_path / "dark.png", (100, 80), DARK)
    judge = Judge(SimpleNamespace(id="run"), Bright(), None)  # type: ignore[arg-type] - a run by its id
    judged = judge_faces([find_faces("dark.png", path, None)], judge)
    (entry,) = report_photos(judged, [path], judge, None)
    assert (entry.faces[0].heatmap, entry.faces[0].remark, entry.faces[0].verdict) == (None, "", "with_mask")


def test_no_more_of_a_large_photo_is_kept_than_is_shown(tmp_path: Path) -> None:
    path = write_photo(tmp_path / "large.png", (1920, 960), DARK)
    judge = Judge(SimpleNamespace(id="run"), Bright(), None)  # type: ignore[arg-type] - a run by its id
    judged = judge_faces([find_faces("large.png", path, detector((1000, 200, 1600, 800)))], judge)
    (entry,) = report_photos(judged, [path], judge, heat_on_top)
    assert entry.photo is not None
    assert entry.photo.shape == (480, 960, 3)
    (left, top, right, bottom), face = judged[0].photo.faces[0].box, entry.faces[0]
    assert face.box == (round(left / 2), round(top / 2), round(right / 2), round(bottom / 2))
    assert max(face.crop.shape) == 240
