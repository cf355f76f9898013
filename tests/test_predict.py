"""Prediction of files with a model that needs no training: bright faces are without mask."""

from pathlib import Path

import numpy as np
import pytest
from conftest import write_photo

from maskdet.errors import MaskDetError
from maskdet.models.svm import Svm
from maskdet.predict import COLUMNS, collect_photos, predict_photos


class Bright(Svm):
    """Logit = mean brightness - 128, over 32."""

    def predict_logit(self, images, progress=None):  # type: ignore[no-untyped-def]
        return (images.take(range(len(images))).mean(axis=(1, 2, 3)) - 128) / 32


def test_a_row_a_file_in_order_and_no_file_ends_the_batch(tmp_path: Path) -> None:
    sources: list[tuple[str, Path | bytes]] = []
    for number in range(70):  # more than one batch
        path = tmp_path / f"{number}.png"
        write_photo(path, (30, 20), (240, 240, 240) if number % 2 else (16, 16, 16))
        sources.append((path.name, path))
    (tmp_path / "bad.jpg").write_text("no photo")
    sources.insert(5, ("bad.jpg", tmp_path / "bad.jpg"))
    sources.append(("gone.jpg", tmp_path / "gone.jpg"))
    table = predict_photos(sources, Bright(), "bright-1")
    assert tuple(table.columns) == COLUMNS
    assert table["file"].tolist() == [name for name, _ in sources]
    assert table.loc[5, "status"] == "not an image file"
    assert table.loc[71, "status"] == "no such file"
    assert table.loc[[5, 71], ["face", "label", "p_without_mask"]].isna().all(axis=None)
    good = table[table["status"] == "ok"]
    assert len(good) == 70
    assert set(good["model"]) == {"bright-1"}
    assert good[["face", "left", "top", "right", "bottom"]].drop_duplicates().to_numpy().tolist() == [[1, 0, 0, 30, 20]]
    expected = ["without_mask" if int(name.removesuffix(".png")) % 2 else "with_mask" for name in good["file"]]
    assert good["label"].tolist() == expected
    assert np.allclose(sorted(set(good["p_without_mask"])), [1 / (1 + np.e**3.5), 1 / (1 + np.e**-3.5)], atol=1e-6)


def test_collect_takes_files_and_the_photos_of_folders(tmp_path: Path) -> None:
    write_photo(tmp_path / "a/2.png")
    write_photo(tmp_path / "a/deep/1.jpg")
    (tmp_path / "a/notes.txt").write_text("x")
    named = tmp_path / "a/notes.txt"
    assert collect_photos([tmp_path / "a", named, tmp_path / "gone.jpg"]) == [
        tmp_path / "a/2.png", tmp_path / "a/deep/1.jpg", named, tmp_path / "gone.jpg"
    ]  # fmt: skip


def test_nothing_to_predict_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MaskDetError, match="There is no file or folder"):
        collect_photos([tmp_path / "gone", tmp_path / "gone2"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(MaskDetError, match="No photos in"):
        collect_photos([tmp_path / "empty"])
