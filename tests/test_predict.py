"""Prediction of files with a runtime that needs no training: bright faces are without mask."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from bright_faces import BRIGHT, DARK, GREY, Believed, Bright, detector
from conftest import write_photo

from maskdet.errors import MaskDetError
from maskdet.photos import RgbImage
from maskdet.predict import (
    COLUMNS,
    OK,
    WHOLE_PHOTO,
    Judge,
    collect_photos,
    find_faces,
    judge_photos,
    predict_photos,
)


def judge(reliability: Any = None) -> Judge:
    return Judge(SimpleNamespace(id="bright-1"), Bright(), reliability)  # type: ignore[arg-type] - a run by its id


def test_a_row_a_file_in_order_and_no_file_ends_the_batch(tmp_path: Path) -> None:
    sources: list[tuple[str, Path | bytes]] = []
    for number in range(70):  # more than one batch
        path = write_photo(tmp_path / f"{number}.png", (30, 20), BRIGHT if number % 2 else DARK)
        sources.append((path.name, path))
    (tmp_path / "bad.jpg").write_text("no photo")
    sources.insert(5, ("bad.jpg", tmp_path / "bad.jpg"))
    sources.append(("gone.jpg", tmp_path / "gone.jpg"))
    table = predict_photos(sources, judge(), None)
    assert tuple(table.columns) == COLUMNS
    assert table["file"].tolist() == [name for name, _ in sources]
    assert table.loc[5, "status"] == "not an image file"
    assert table.loc[71, "status"] == "no such file"
    assert table.loc[[5, 71], ["face", "label", "verdict", "p_without_mask"]].isna().all(axis=None)
    good = table[table["status"] == OK]
    assert len(good) == 70
    assert set(good["model"]) == {"bright-1"}
    assert good[["face", "left", "top", "right", "bottom"]].drop_duplicates().to_numpy().tolist() == [[1, 0, 0, 30, 20]]
    expected = ["without_mask" if int(name.removesuffix(".png")) % 2 else "with_mask" for name in good["file"]]
    assert good["label"].tolist() == expected
    assert good["verdict"].tolist() == expected
    assert np.allclose(sorted(set(good["p_without_mask"])), [1 / (1 + np.e**3.5), 1 / (1 + np.e**-3.5)], atol=1e-6)


def test_every_face_of_a_photo_is_cropped_numbered_and_judged(tmp_path: Path) -> None:
    photo = np.full((100, 200, 3), DARK, np.uint8)
    photo[:, 100:] = BRIGHT
    sources = [("two.png", write_array(tmp_path / "two.png", photo))]
    table = predict_photos(sources, judge(), detector((10, 10, 80, 80), (120, 10, 190, 80), (100, 0, 119, 90)))
    assert table["face"].tolist() == [1, 2, 3]
    assert table["label"].fillna("").tolist() == ["with_mask", "without_mask", ""]
    assert table.loc[2, "status"] == "face smaller than 20 px: not judged"
    assert table.loc[[0, 1], "status"].tolist() == [OK, OK]


def test_where_no_face_is_found_the_whole_photo_is_one_and_says_so(tmp_path: Path) -> None:
    path = write_photo(tmp_path / "wall.png", (30, 20), BRIGHT)
    found = find_faces("wall.png", path, detector())
    assert (found.status, len(found.faces), found.faces[0].box) == (WHOLE_PHOTO, 1, (0, 0, 30, 20))
    assert found.faces[0].detected is None
    assert not found.faces[0].too_small  # there is nothing else to judge
    assert find_faces("wall.png", path, None).status == OK  # as it was asked for


def test_the_decoded_photo_is_handed_on_to_one_who_shows_it(tmp_path: Path) -> None:
    seen: list[Any] = []
    find_faces("wall.png", write_photo(tmp_path / "wall.png", (30, 20), BRIGHT), None, seen=seen.append)
    (tmp_path / "bad.jpg").write_text("no photo")
    find_faces("bad.jpg", tmp_path / "bad.jpg", None, seen=seen.append)
    assert [photo.image.size for photo in seen] == [(30, 20)]


def test_verdicts_say_when_not_to_believe_the_label() -> None:
    faces = np.stack([np.full((150, 150, 3), shade, np.uint8) for shade in (128 - 64, 128 + 16, 128 + 64, 128 + 112)])
    verdicts = judge(Believed())(faces)
    assert [v.label for v in verdicts] == ["with_mask", "without_mask", "without_mask", "without_mask"]
    assert [v.verdict for v in verdicts] == ["with_mask", "not_sure", "without_mask", "not_like_training_data"]
    assert [v.logit for v in verdicts] == [-2, 0.5, 2, 3.5]
    assert np.allclose([v.distance for v in verdicts if v.distance is not None], [2 / 3, 1 / 6, 2 / 3, 3.5 / 3])
    assert np.isclose(verdicts[0].probability, 1 / (1 + np.exp(-2)))
    assert np.isclose(verdicts[1].probability, 1 / (1 + np.exp(-0.5)))


def test_without_reliability_the_verdict_is_the_label() -> None:
    (verdict,) = judge()(np.full((1, 150, 150, 3), 128, np.uint8))
    assert (verdict.verdict, verdict.p_without_mask, verdict.distance) == ("with_mask", 0.5, None)
    assert judge()([]) == []


def test_faces_are_judged_in_batches_and_progress_counts_photos(tmp_path: Path) -> None:
    path = write_photo(tmp_path / "grey.png", (100, 100), GREY)
    asked, seen = judge(), []

    def find(name: str, source: Path | bytes) -> Any:
        return find_faces(name, source, detector((0, 0, 50, 50), (50, 0, 100, 50)))

    judged = list(judge_photos([("grey.png", path)] * 40, find, asked, lambda *args: seen.append(args[:2])))
    assert len(judged) == 40
    assert asked.runtime.batches == [64, 16]  # type: ignore[attr-defined] - the fake one counts
    assert seen == [(number, 40) for number in range(1, 41)]


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


def write_array(path: Path, pixels: RgbImage) -> Path:
    from PIL import Image

    Image.fromarray(pixels).save(path)
    return path
