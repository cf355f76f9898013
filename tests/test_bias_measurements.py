"""Measurements that know nothing of masks: values by hand, what resizing leaves, and that nothing is measured twice."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import blotches, write_photo
from factories import prepared
from PIL import Image

from maskdet.bias import measurements
from maskdet.bias.measurements import FAMILIES, FEATURES, STAGES, measure_data, photo_features, pixel_features
from maskdet.errors import WorkspaceError
from maskdet.facetable import Faces, load_faces, scan
from maskdet.images import stored_images
from maskdet.photos import FACE_SIZE
from maskdet.quality import apply_filters, save_filtered
from maskdet.split import Split, load_split
from maskdet.workspace import Workspace


def row(**changed: Any) -> dict[str, Any]:
    return {
        "width": 30, "height": 40, "sqrt_size": 34.6, "aspect_ratio": 4 / 3, "bytes": 1200, "photo_width": 100,
        "photo_height": 60, "format": "JPEG", "jpeg_quantisation": 20.0, "mean_red": 1.0, "mean_green": 2.0,
        "mean_blue": 3.0, "brightness": 4.0, "contrast": 5.0, "sharpness": 6.0,
    } | changed  # fmt: skip


def features_of(*faces: np.ndarray) -> pd.DataFrame:
    """The features of faces, by their names without ``normalised_``."""
    found = pixel_features(np.stack([np.asarray(face, dtype=np.uint8) for face in faces]))
    return found.rename(columns=lambda name: name.removeprefix("normalised_"))


def grey(values: np.ndarray) -> np.ndarray:
    """A grey face from values in 0..255, shape (150, 150)."""
    return np.repeat(np.asarray(values, dtype=np.uint8)[:, :, None], 3, axis=2)


def wave(frequency: float) -> np.ndarray:
    """Vertical stripes of so many cycles a pixel."""
    return grey(np.tile(128 + 100 * np.sin(2 * np.pi * frequency * np.arange(FACE_SIZE)), (FACE_SIZE, 1)))


# --- of photos -------------------------------------------------------------------------------------------------------


def test_bytes_are_spread_over_the_whole_photo() -> None:
    found = photo_features(pd.DataFrame([row()]))
    assert found["bytes_per_pixel"].tolist() == [1200 / (100 * 60)]
    assert list(found) == list(FEATURES["photo"])
    assert found.loc[0, "format"] == "JPEG"


def test_every_feature_is_of_a_family() -> None:
    for stage in STAGES:
        assert {*FEATURES[stage].values()} - {""} == set(FAMILIES)


def test_an_older_table_lacks_the_quantisation() -> None:
    found = photo_features(pd.DataFrame([row()]).drop(columns="jpeg_quantisation"))
    assert list(found) == [name for name in FEATURES["photo"] if name != "jpeg_quantisation"]


def test_a_table_that_was_scanned_again_in_part_must_not_tell_which_part() -> None:
    table = pd.DataFrame([row(), row(jpeg_quantisation=np.nan)])
    assert "jpeg_quantisation" not in photo_features(table)
    # A format that has none may lack it.
    assert "jpeg_quantisation" in photo_features(table.assign(format=["JPEG", "PNG"]))


# --- of normalised faces ---------------------------------------------------------------------------------------------


def test_colour_and_light_by_hand() -> None:
    face = np.zeros((FACE_SIZE, FACE_SIZE, 3), np.uint8)
    face[:75] = (200, 100, 50)
    found = features_of(face).loc[0]
    assert [found["mean_red"], found["mean_green"], found["mean_blue"]] == [100, 50, 25]
    # Luma of (200, 100, 50): 0.299 * 200 + 0.587 * 100 + 0.114 * 50 = 124.2, which Pillow rounds to 124.
    assert (found["brightness"], found["contrast"]) == (62, 62)


@pytest.mark.parametrize("frequency", [0.1, 0.3])
def test_detail_is_the_frequency_that_a_face_ends_at(frequency: float) -> None:
    found = features_of(wave(frequency)).loc[0]
    assert found["detail"] == pytest.approx(frequency, abs=0.02)
    if frequency > 0.25:
        assert found["high_frequencies"] == pytest.approx(0, abs=0.01)  # all of it: log10(1)
    else:
        assert found["high_frequencies"] < -2


def test_an_enlarged_face_lacks_detail() -> None:
    rng = np.random.default_rng(0)
    face = Image.fromarray(rng.integers(0, 256, (FACE_SIZE, FACE_SIZE, 3), dtype=np.uint8))
    small = face.resize((50, 50), Image.Resampling.BILINEAR).resize((FACE_SIZE, FACE_SIZE), Image.Resampling.BILINEAR)
    found = features_of(np.asarray(face), np.asarray(small))
    assert found["detail"][1] < 0.45 < 0.55 < found["detail"][0]
    assert found["high_frequencies"][1] < found["high_frequencies"][0] - 0.5
    assert found["jpeg_bytes_per_pixel"][1] < found["jpeg_bytes_per_pixel"][0]
    assert found["sharpness"][1] < found["sharpness"][0]


def test_stretch_tells_which_way() -> None:
    picture = blotches(1, (40, 40))
    taller = picture.crop((0, 10, 40, 30)).resize((FACE_SIZE, FACE_SIZE))
    wider = picture.crop((10, 0, 30, 40)).resize((FACE_SIZE, FACE_SIZE))
    found = features_of(np.asarray(taller), np.asarray(wider))["stretch"]
    assert found[0] > 0 > found[1]


def test_blocks_of_eight_pixels() -> None:
    cells = np.random.default_rng(0).integers(0, 256, (19, 19))
    blocks = grey(np.kron(cells, np.ones((8, 8)))[:FACE_SIZE, :FACE_SIZE])
    shifted = np.roll(blocks, 3, axis=(0, 1))
    found = features_of(blocks, shifted, np.asarray(blotches(1, (FACE_SIZE, FACE_SIZE))))["blockiness"]
    assert found[0] > 100  # steps at the borders of blocks alone
    assert found[1] < 0
    assert abs(found[2]) < 0.1


def test_bytes_of_the_face_written_as_jpeg() -> None:
    face = blotches(2, (FACE_SIZE, FACE_SIZE))
    written = BytesIO()
    face.save(written, "JPEG", quality=75)
    assert features_of(np.asarray(face))["jpeg_bytes_per_pixel"][0] == len(written.getvalue()) / FACE_SIZE**2


def test_a_flat_face_has_finite_features() -> None:
    found = features_of(np.full((FACE_SIZE, FACE_SIZE, 3), 90, np.uint8))
    assert np.isfinite(found.to_numpy()).all()
    assert (found.loc[0, "detail"], found.loc[0, "stretch"], found.loc[0, "blockiness"]) == (0, 0, 0)
    assert found.loc[0, "high_frequencies"] == pytest.approx(-9)


# --- of a workspace --------------------------------------------------------------------------------------------------


@pytest.fixture
def tiny(workspace: Workspace, tmp_path: Path) -> tuple[Workspace, Faces, Split]:
    faces = prepared(workspace, tmp_path / "data", {"with_mask": 8, "without_mask": 8})
    return workspace, faces, load_split(workspace, faces)


def test_both_stages_of_every_face_in_the_order_of_the_split(tiny: tuple[Workspace, Faces, Split]) -> None:
    workspace, faces, split = tiny
    calls: list[tuple[int, int]] = []
    found = measure_data(workspace, faces, split, lambda done, total, _: calls.append((done, total)))
    assert found["face_id"].tolist() == split.table["face_id"].tolist()
    assert list(found)[1:] == [*FEATURES["photo"], *sorted_as(found)]
    assert set(found) == {"face_id", *FEATURES["photo"], *FEATURES["normalised"]}
    pixels = stored_images(workspace, faces, found["face_id"]).take(np.arange(len(found)))
    pd.testing.assert_frame_equal(found[sorted_as(found)], pixel_features(pixels))
    table = faces.table.set_index("face_id").loc[found["face_id"]]
    assert found["bytes"].tolist() == table["bytes"].tolist()
    np.testing.assert_allclose(found["normalised_sharpness"], found["sharpness"])  # the scan's is of 150x150 too
    assert calls[0] == (0, 16)
    assert calls[-1] == (16, 16)


def sorted_as(found: pd.DataFrame) -> list[str]:
    return [name for name in found if name.startswith("normalised_")]


def test_nothing_is_measured_twice(tiny: tuple[Workspace, Faces, Split], monkeypatch: pytest.MonkeyPatch) -> None:
    workspace, faces, split = tiny
    first = measure_data(workspace, faces, split)
    monkeypatch.setattr(measurements, "pixel_features", lambda _: pytest.fail("measured again"))
    pd.testing.assert_frame_equal(measure_data(workspace, faces, split), first)


def test_what_was_measured_of_faces_that_are_gone_goes_too(
    tiny: tuple[Workspace, Faces, Split], tmp_path: Path
) -> None:
    workspace, faces, split = tiny
    measure_data(workspace, faces, split)
    before = {path.stem for path in workspace.path("measurements").rglob("*.parquet")}
    assert before == set(faces.table["shard"])
    write_photo(tmp_path / "data/tiny/with_mask/new.png", (48, 48), seed=5)
    again = scan(workspace, tmp_path / "data", jobs=1)
    save_filtered(workspace, apply_filters(again))
    measure_data(workspace, again, split)
    assert {path.stem for path in workspace.path("measurements").rglob("*.parquet")} == set(again.table["shard"])
    assert before != set(again.table["shard"])


@pytest.mark.parametrize("damage", ["gone", "cut", "emptied"])
def test_pixels_that_are_gone(tiny: tuple[Workspace, Faces, Split], damage: str) -> None:
    workspace, faces, split = tiny
    path = workspace.path("shards", f"{faces.table['shard'].iloc[0]}.npy")
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: 1000 if damage == "cut" else 0])
    with pytest.raises(WorkspaceError, match=r"\.npy cannot be read .*: `python -m maskdet scan DIR` makes it again"):
        measure_data(workspace, faces, split)


def test_a_face_of_another_workspace(tiny: tuple[Workspace, Faces, Split]) -> None:
    workspace, _, split = tiny
    faces = load_faces(workspace)
    fewer = Faces(faces.table.iloc[1:], faces.rejects, faces.roots, faces.photos)
    with pytest.raises(WorkspaceError, match=f"Face {faces.table['face_id'].iloc[0]} is not in this workspace"):
        measure_data(workspace, fewer, split)
