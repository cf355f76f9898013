"""Appearance of the faces of a workspace: drawn faces, measured once, kept, and mended where a file is damaged."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from maskdet.bias import appearance as module
from maskdet.bias.appearance import (
    COLUMNS,
    DETECTION,
    NO_MASK,
    VERSION,
    find_geometry,
    load_appearance,
    measure_appearance,
    measure_face,
    not_measurable,
)
from maskdet.bias.colour import to_lab
from maskdet.bias.regions import FaceGeometry
from maskdet.bias.skin_tone import NOT_FOUND, PARTS_DIFFER, TOO_DARK, TOO_SMALL
from maskdet.detection import DetectedFace, FaceDetector
from maskdet.errors import LaterVersionError, WorkspaceError
from maskdet.facetable import Faces, load_faces, scan
from maskdet.looks import FaceLook, MaskLook
from maskdet.photos import RgbImage
from maskdet.portraits import draw_face
from maskdet.workspace import Workspace, read_table, write_table

TAN, BLUE = (180, 124, 86), (96, 160, 220)


def portrait(skin: tuple[int, int, int] = TAN, *, mask: bool, size: int = 150) -> RgbImage:
    look = FaceLook(skin, contrast=0.1, light=0, scale=1.0, mask=MaskLook(BLUE) if mask else None)
    return draw_face(look, (size, size))


@pytest.fixture
def faces(tmp_path: Path, workspace: Workspace) -> Faces:
    """Five drawn faces of dataset ``drawn``: two with a mask, three without, one of these too small and one black."""
    pictures = {
        "with_mask/0.png": portrait(mask=True),
        "with_mask/1.png": portrait((94, 59, 40), mask=True),
        "without_mask/0.png": portrait(mask=False),
        "without_mask/1.png": portrait(mask=False, size=18),
        "without_mask/2.png": np.zeros((60, 60, 3), np.uint8),
    }
    for name, pixels in pictures.items():
        path = tmp_path / "drawn" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return scan(workspace, tmp_path / "drawn", dataset_id="drawn", jobs=1)


def row(found: pd.DataFrame, face_id: str) -> pd.Series:
    return found.set_index("face_id").loc[face_id]


def test_measures_skin_and_mask_of_drawn_faces(workspace: Workspace, faces: Faces):
    found = measure_appearance(workspace, faces)
    assert found.columns.tolist() == ["face_id", *COLUMNS]
    assert found["face_id"].tolist() == faces.table["face_id"].tolist()
    masked, bare = row(found, "drawn/with_mask/0.png"), row(found, "drawn/without_mask/0.png")
    expected = to_lab(np.array([TAN], np.uint8))[0]
    for face in (masked, bare):
        assert face["landmarks"]
        assert face["skin_reason"] == ""
        assert face["skin_lightness"] == pytest.approx(expected[0], abs=5)
        assert face["skin_hue"] == pytest.approx(np.degrees(np.arctan2(expected[2], expected[1])), abs=3)
        assert face["x0"] < face["x1"]
        assert face["y0"] < face["y3"]
    assert (masked["mask_colour"], masked["mask_reason"]) == ("blue", "")
    assert (bare["mask_colour"], bare["mask_reason"]) == ("", NO_MASK)
    assert np.isnan(bare["mask_lightness"])
    assert row(found, "drawn/with_mask/1.png")["skin_lightness"] < masked["skin_lightness"] - 15
    small, black = row(found, "drawn/without_mask/1.png"), row(found, "drawn/without_mask/2.png")
    assert small["skin_reason"] == TOO_SMALL
    assert np.isnan(small[["skin_lightness", "skin_hue", "skin_ita"]].astype(float)).all()
    assert black["skin_reason"] == NOT_FOUND
    assert not black["landmarks"]
    assert FaceGeometry.of(black).landmarks == pytest.approx(FaceGeometry.usual().landmarks)


def test_a_mask_leaves_the_skin_as_it_is():
    detector = FaceDetector(DETECTION)
    bare, masked = (measure_face(portrait(mask=mask), detector, masked=mask) for mask in (False, True))
    assert masked["skin_lightness"] == pytest.approx(bare["skin_lightness"], abs=3)
    assert masked["skin_hue"] == pytest.approx(bare["skin_hue"], abs=2)


def test_nothing_is_measured_twice(workspace: Workspace, faces: Faces, monkeypatch: pytest.MonkeyPatch):
    steps: list[tuple[int, int]] = []
    assert load_appearance(workspace, faces) is None
    first = measure_appearance(workspace, faces, progress=lambda done, total, text: steps.append((done, total)))
    assert steps == [(0, 5), (5, 5)]
    monkeypatch.setattr(module, "measure_face", None)
    again = measure_appearance(workspace, faces)
    pd.testing.assert_frame_equal(again, first)
    loaded = load_appearance(workspace, faces)
    assert loaded is not None
    pd.testing.assert_frame_equal(loaded, first)


def test_some_faces_first_and_the_others_later(workspace: Workspace, faces: Faces):
    ids = ["drawn/without_mask/0.png", "drawn/with_mask/0.png"]
    some = measure_appearance(workspace, faces, ids)
    assert some["face_id"].tolist() == ids
    loaded = load_appearance(workspace, faces)
    assert loaded is not None
    assert sorted(loaded["face_id"]) == sorted(ids)
    both = measure_appearance(workspace, faces)
    assert len(both) == 5
    pd.testing.assert_frame_equal(both.set_index("face_id").loc[ids].reset_index(), some)


def test_other_versions_and_damaged_files_are_measured_anew(workspace: Workspace, faces: Faces):
    before = measure_appearance(workspace, faces)
    (path,) = workspace.path("appearance").iterdir()
    stored = read_table(path)
    assert set(stored["version"]) == {VERSION}
    write_table(path, stored.assign(version=VERSION - 1, skin_hue=0.0))
    assert load_appearance(workspace, faces) is None
    pd.testing.assert_frame_equal(measure_appearance(workspace, faces), before)
    path.write_bytes(b"no table")
    with pytest.raises(WorkspaceError, match="cannot be read"):
        load_appearance(workspace, faces)
    pd.testing.assert_frame_equal(measure_appearance(workspace, faces), before)


def test_a_changed_label_asks_for_the_mask_again(workspace: Workspace, faces: Faces):
    measure_appearance(workspace, faces)
    face_id = "drawn/without_mask/0.png"
    table = faces.table.copy()
    table.loc[table["face_id"] == face_id, "label"] = "with_mask"
    relabelled = Faces(table, faces.rejects, faces.roots, faces.photos)
    loaded = load_appearance(workspace, relabelled)
    assert loaded is not None
    assert face_id not in set(loaded["face_id"])
    assert row(measure_appearance(workspace, relabelled), face_id)["mask_reason"] != NO_MASK


def test_stopping_keeps_what_was_measured(workspace: Workspace, faces: Faces, tmp_path: Path):
    other = tmp_path / "more" / "without_mask"
    other.mkdir(parents=True)
    Image.fromarray(portrait((230, 181, 150), mask=False)).save(other / "0.png")
    both = scan(workspace, tmp_path / "more", dataset_id="more", jobs=1)

    class StoppedError(Exception):
        """Raised by whoever watches the progress."""

    def stop(done: int, total: int, text: str) -> None:
        if done:
            raise StoppedError

    with pytest.raises(StoppedError):
        measure_appearance(workspace, both, progress=stop)
    kept = load_appearance(workspace, both)
    assert kept is not None
    assert len(kept) in (1, 5)
    assert len(measure_appearance(workspace, both)) == 6


def test_two_processes_measure_the_same(workspace: Workspace, faces: Faces):
    one = measure_appearance(workspace, faces)
    for path in workspace.path("appearance").iterdir():
        path.unlink()
    pd.testing.assert_frame_equal(measure_appearance(workspace, faces, jobs=2), one)


def test_a_face_that_is_not_there_is_one_sentence(workspace: Workspace, faces: Faces):
    with pytest.raises(WorkspaceError, match="drawn/none is not in this workspace"):
        measure_appearance(workspace, load_faces(workspace), ["drawn/none"])


def detected(*box: int) -> DetectedFace:
    left, top, right, bottom = box
    points = np.array([(0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.8), (0.65, 0.8)], np.float32)
    return DetectedFace((left, top, right, bottom), 0.9, points * (right - left, bottom - top) + (left, top))


def test_the_face_in_the_middle_is_taken():
    blank = np.zeros((150, 150, 3), np.uint8)
    middle, corner = detected(30, 30, 110, 120), detected(0, 0, 84, 94)
    assert find_geometry(blank, lambda _: [corner, middle]).box == (30, 30, 110, 120)
    assert not find_geometry(blank, lambda _: []).found
    on_one_point = DetectedFace((30, 30, 110, 120), 0.9, np.full((5, 2), 70, np.float32))
    assert not find_geometry(blank, lambda _: [on_one_point]).found


def test_not_measurable_counts_by_label_and_dataset():
    # 12 groups of one masked face each of dataset a, every third too dark; two unmasked ones, one of each dataset.
    table = pd.DataFrame({
        "face_id": [f"f{number}" for number in range(14)],
        "dataset": ["a"] * 12 + ["a", "b"],
        "label": ["with_mask"] * 12 + ["without_mask"] * 2,
        "group": range(14),
    })  # fmt: skip
    appearance = pd.DataFrame({
        "face_id": table["face_id"],
        "skin_reason": [TOO_DARK, "", ""] * 4 + ["", PARTS_DIFFER],
        "mask_reason": [""] * 11 + [TOO_DARK] + [NO_MASK] * 2,
    })  # fmt: skip
    found = not_measurable(appearance, table)
    assert list(zip(found["label"], found["dataset"], found["faces"], found["not_measurable"], strict=True)) == [
        ("with_mask", "all", 12, 4), ("with_mask", "a", 12, 4),
        ("without_mask", "all", 2, 1), ("without_mask", "a", 1, 0), ("without_mask", "b", 1, 1),
    ]  # fmt: skip
    masked, bare = found.iloc[0], found.iloc[2]
    assert masked["share"] == pytest.approx(1 / 3)
    assert masked["low"] < 1 / 3 < masked["high"]
    assert (masked[TOO_DARK], masked[PARTS_DIFFER]) == (4, 0)
    assert bare["share"] == 0.5
    assert np.isnan(bare["low"])
    assert bare["interval_reason"] == "Only 2 groups of related faces: too few for an interval."
    masks = not_measurable(appearance, table, "mask")
    assert masks["label"].tolist() == ["with_mask", "with_mask"]
    assert masks["not_measurable"].tolist() == [1, 1]
    none = not_measurable(appearance.assign(mask_reason=""), table, "mask").iloc[0]
    assert (none["share"], none["low"], none["interval_reason"]) == (0, 0, "")
    assert none["high"] == pytest.approx(1 - 0.025 ** (1 / 12))  # Clopper-Pearson of 12 without a hit


def test_what_a_later_version_measured_stays(workspace: Workspace, faces: Faces) -> None:
    measure_appearance(workspace, faces)
    [path, *_] = sorted(workspace.path("appearance").glob("*.parquet"))
    write_table(path, read_table(path).iloc[:0], version=99)
    content = path.read_bytes()
    with pytest.raises(LaterVersionError, match="was written by a later version of MaskDet"):
        measure_appearance(workspace, faces)
    assert path.read_bytes() == content
