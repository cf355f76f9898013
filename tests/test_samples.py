"""The synthetic sample set: what is promised of it holds, and it is the same each time."""

import hashlib
from collections import Counter
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image, ImageOps

from maskdet import samples
from maskdet.looks import FaceLook
from maskdet.portraits import draw_face
from maskdet.samples import SampleOptions, write_sample

SMALL = SampleOptions(seed=5, faces_per_class=6, group_photos=1)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[np.ndarray]]:
    """A small set, and every portrait as it was drawn, before it went to a file."""
    root, drawn = tmp_path_factory.mktemp("samples") / "new" / "set", []

    def draw_and_keep(look: FaceLook, size: tuple[int, int]) -> np.ndarray:
        drawn.append(draw_face(look, size))
        return drawn[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(samples, "draw_face", draw_and_keep)
        write_sample(root, SMALL)
    return root, drawn


@pytest.fixture(scope="module")
def sample(written: tuple[Path, list[np.ndarray]]) -> Path:
    return written[0]


def digest(root: Path) -> str:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return hashlib.sha256(b"".join(str(p.relative_to(root)).encode() + p.read_bytes() for p in files)).hexdigest()


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"), dtype=float)


def boxes(xml: Path) -> list[tuple[str, list[int]]]:
    names = ("xmin", "ymin", "xmax", "ymax")
    return [
        (str(face.findtext("name")), [int(face.findtext(f"bndbox/{name}") or "") for name in names])
        for face in ElementTree.parse(xml).getroot().iter("object")
    ]


def test_same_seed_same_bytes(sample: Path, tmp_path: Path) -> None:
    calls: list[tuple[int, int, str]] = []
    write_sample(tmp_path / "again", SMALL, lambda done, total, text: calls.append((done, total, text)))
    assert digest(tmp_path / "again") == digest(sample)
    assert [done for done, _, _ in calls] == list(range(1, calls[-1][1] + 1))
    assert [path.name for path in tmp_path.iterdir()] == ["again"]  # no temporary folder is left


def test_another_seed_draws_other_people(sample: Path, tmp_path: Path) -> None:
    other = next(samples._write_simulated(tmp_path, replace(SMALL, seed=SMALL.seed + 1)))
    assert other.name == "000.jpg"
    assert other.read_bytes() != (sample / "sample-simulated/without_mask/000.jpg").read_bytes()


def test_folders_and_counts(sample: Path) -> None:
    photos = [path.relative_to(sample) for path in sample.rglob("*") if path.is_file()]
    counts = Counter(str(path.parent) for path in photos)
    assert counts == {
        "sample-simulated/with_mask": 3,
        "sample-simulated/without_mask": 3,
        "sample-web/Train/WithMask": 4 + 4,
        "sample-web/Train/WithoutMask": 4 + 4,
        "sample-web/Validation/WithMask": 1,
        "sample-web/Validation/WithoutMask": 1 + 1,
        "sample-web/Test/WithMask": 1 + 1,
        "sample-web/Test/WithoutMask": 1,
        "sample-group/images": 1,
        "sample-group/annotations": 1,
    }


def test_simulated_pairs_are_square_and_differ_by_the_mask(sample: Path) -> None:
    for bare in (sample / "sample-simulated/without_mask").iterdir():
        without = pixels(bare)
        masked = pixels(sample / f"sample-simulated/with_mask/{bare.stem}-with-mask.jpg")
        height, width, _ = without.shape
        assert height == width
        assert masked.shape == without.shape
        apart = np.abs(masked - without).mean(axis=(1, 2))
        assert apart[: height // 3].mean() < 2 < apart[height // 2 :].mean()


def test_both_classes_have_the_same_spread_of_sizes(sample: Path) -> None:
    sides = {
        kind: sorted(
            np.sqrt(np.prod(Image.open(path).size))
            for path in (sample / "sample-web").glob(f"*/{kind}/*")
            if path.stem.isdigit()
        )
        for kind in ("WithMask", "WithoutMask")
    }
    np.testing.assert_allclose(sides["WithMask"], sides["WithoutMask"], rtol=0.03)
    assert sides["WithMask"][0] < 60
    assert sides["WithMask"][-1] > 400


def test_duplicates(sample: Path) -> None:
    train = sample / "sample-web/Train"
    originals = {path.read_bytes() for path in (train / "WithoutMask").glob("0*.jpg")}
    assert (train / "WithoutMask/exact-duplicate.jpg").read_bytes() in originals
    for copy in (
        train / "WithMask/near-duplicate-smaller.jpg",
        train / "WithoutMask/near-duplicate-coarser.jpg",
        sample / "sample-web/Test/WithMask/near-duplicate-leak.jpg",
    ):
        small = np.asarray(Image.open(copy).resize((32, 32)), dtype=float)
        folder = train / copy.parent.name
        gaps = [np.abs(np.asarray(Image.open(p).resize((32, 32))) - small).mean() for p in folder.glob("0*.jpg")]
        assert sorted(gaps)[0] < 3 < 10 < sorted(gaps)[1]


def test_dark_bright_and_elongated(sample: Path) -> None:
    train = sample / "sample-web/Train"
    assert (pixels(train / "WithMask/nearly-black.jpg").mean(axis=(0, 1)) < 5).all()
    assert pixels(train / "WithoutMask/nearly-white.jpg").mean(axis=(0, 1)).max() > 250
    for path, tall in (
        (train / "WithMask/elongated-tall.jpg", True),
        (train / "WithoutMask/elongated-wide.jpg", False),
    ):
        width, height = Image.open(path).size
        assert np.sqrt(width * height) < 300
        assert height / width > 4 if tall else height / width < 0.25


def test_truncated_photo_cannot_be_decoded(sample: Path) -> None:
    with (
        Image.open(sample / "sample-web/Validation/WithoutMask/truncated.jpg") as photo,
        pytest.raises(OSError, match="truncated"),
    ):
        photo.load()


def test_exif_photo_is_upright_when_the_tag_is_honoured(written: tuple[Path, list[np.ndarray]]) -> None:
    root, drawn = written
    with Image.open(root / "sample-web/Train/WithMask/exif-rotated.jpg") as photo:
        assert photo.getexif()[0x0112] == 6
        assert photo.size == (260, 200)
        upright = np.asarray(ImageOps.exif_transpose(photo), dtype=float)
    (original,) = [face for face in drawn if face.shape == (260, 200, 3)]
    assert np.abs(upright - original).mean() < 8  # what JPEG costs
    assert np.abs(upright - original[::-1, ::-1]).mean() > 30


def test_group_boxes(sample: Path) -> None:
    xml = sample / "sample-group/annotations/group0.xml"
    root = ElementTree.parse(xml).getroot()
    assert (root.tag, root.findtext("folder"), root.findtext("filename")) == ("annotation", "images", "group0.jpg")
    width, height = Image.open(sample / "sample-group/images/group0.jpg").size
    assert [root.findtext(f"size/{name}") for name in ("width", "height", "depth")] == [str(width), str(height), "3"]
    faces = boxes(xml)
    assert 6 <= len(faces) <= 10
    assert {name for name, _ in faces} <= {"with_mask", "without_mask", "mask_weared_incorrect"}
    assert any(name == "mask_weared_incorrect" for name, _ in faces)
    assert all(left < right and top < bottom for _, (left, top, right, bottom) in faces)
    assert min(right - left for _, (left, _, right, _) in faces) < 20
    outside = [b for _, b in faces if b[0] < 0 or b[1] < 0 or b[2] > width or b[3] > height]
    assert len(outside) == 1
    assert outside[0][0] < width < outside[0][2]


@pytest.mark.parametrize("seed", range(40))
def test_only_the_last_seat_reaches_outside_whatever_the_seed(seed: int) -> None:
    size, rng = (860, 570), np.random.default_rng(seed)
    seats = list(samples._seats(rng, size, last=True))
    assert 6 <= len(seats) <= 10
    for centre, unit in seats[:-1]:
        assert 0.78 * unit < centre.real < size[0] - 0.78 * unit
        assert 1.02 * unit < centre.imag < size[1] - 1.02 * unit


def test_existing_root_is_refused_and_untouched(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("kept")
    with pytest.raises(FileExistsError, match="exists already"):
        write_sample(tmp_path, SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_cancelled_write_leaves_nothing(tmp_path: Path) -> None:
    def cancel(done: int, total: int, text: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_sample(tmp_path / "set", SMALL, cancel)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"seed": -1}, "seed: expected 0 to .*got -1"),
        ({"faces_per_class": 5}, "faces_per_class: expected 6 to 2000, got 5"),
        ({"group_photos": 0}, "group_photos: expected 1 to 200, got 0"),
    ],
)
def test_options_are_checked(values: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SampleOptions(**values)
