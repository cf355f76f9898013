"""The shell, end to end on drawn photos, and its errors: one line on stderr, a status, never a traceback."""

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import blotches, write_photo
from PIL import Image

from maskdet.cli import main
from maskdet.errors import MaskDetError
from maskdet.predict import COLUMNS

Shell = Callable[..., tuple[int, str, str]]


@pytest.fixture
def shell(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Shell:
    """Run a command on a workspace of its own; returns status, stdout and stderr."""

    def run(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([*map(str, arguments), "--home", str(tmp_path / "home")])
        out, err = capfd.readouterr()
        return int(ended.value.code or 0), out, err

    return run


def draw_dataset(root: Path, each: int = 15) -> Path:
    """Class folders of distinct photos; those without mask are dark below."""
    for label, shade in (("with_mask", 220), ("without_mask", 40)):
        for number in range(each):
            photo = blotches(1000 * shade + number, (60, 60))
            photo.paste((shade, shade, shade), (0, 35, 60, 60))
            path = root / "mine" / label / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            photo.save(path)
    return root


def assert_one_line(status: int, err: str, words: str) -> None:
    assert status in (1, 2)
    assert err.startswith("Error: ")
    assert len(err.strip().splitlines()) == 1
    assert words in err


def test_from_photos_to_a_judged_run(shell: Shell, tmp_path: Path) -> None:
    root = draw_dataset(tmp_path / "data")
    write_photo(root / "mine/with_mask/copy.png", seed=1).write_bytes((root / "mine/with_mask/0.png").read_bytes())
    (root / "mine/with_mask/text.jpg").write_text("no photo")

    status, out, _ = shell("scan", root)
    assert status == 0
    assert "mine         32     31         16            15               0" in out
    assert "with_mask/text.jpg" in out
    assert "not an image file" in out

    status, out, err = shell("filter")
    assert status == 0
    assert "30 of 31 faces kept" in err
    assert "duplicate" in out

    status, out, _ = shell("split", "--seed", 3)
    assert status == 0
    counts = [line.split()[-4:] for line in out.splitlines() if line.startswith("main")]
    assert counts == [["9", "3", "3", "15"], ["9", "3", "3", "15"]]

    status, out, _ = shell("train", "svm")
    assert status == 0
    run = out.strip().splitlines()[-1]
    assert run.startswith("svm-")

    status, out, _ = shell("runs")
    assert status == 0
    assert run in out

    status, out, _ = shell("evaluate", run)
    assert status == 0
    assert "n = 6 test faces" in out

    status, out, _ = shell("predict", root / "mine", "--model", run)
    rows = list(csv.DictReader(io.StringIO(out)))
    assert status == 0
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == 32
    broken = next(row for row in rows if row["file"].endswith("text.jpg"))
    assert (broken["label"], broken["status"]) == ("", "not an image file")
    for row in rows:
        if row["status"] == "ok":
            assert (row["label"] == "without_mask") == (float(row["p_without_mask"]) > 0.5)

    assert_one_line(*_status_and_error(shell("explain", root / "mine/with_mask/0.png", "--out", tmp_path / "o.png",
                                             "--model", run)), "no convolutional layer")  # fmt: skip


def test_augment_sizes_prints_the_table_of_the_core(shell: Shell, tmp_path: Path) -> None:
    shell("scan", draw_dataset(tmp_path / "data", each=10))
    shell("filter")
    status, _, err = shell("augment-sizes")
    assert_one_line(status, err, "not split yet")
    shell("split")

    def rows(*options: str) -> list[list[str]]:
        status, out, _ = shell("augment-sizes", *options)
        assert status == 0
        return [line.split() for line in out.splitlines()]

    header = ["pool", "dataset", "original", "augmented", "total"]
    assert rows() == [header, ["main", "mine", "12", "12", "12"], ["main", "Total", "12", "12", "12"]]
    assert rows("--augmentation", "study")[1] == ["main", "mine", "12", "60", "72"]
    two = ["--augmentation", "study", "--method", "noise", "--method", "flip"]
    assert rows(*two)[1] == ["main", "mine", "12", "24", "36"]
    assert rows(*two, "--not-augmented", "mine")[1] == ["main", "mine", "12", "0", "12"]
    _, _, err = shell("augment-sizes", *two)
    assert "36 images an epoch with the plan study" in err


def test_train_hands_the_augmentation_on(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, Any]] = []

    def train(workspace: Any, model: str, options: dict[str, Any], **_more: Any) -> None:
        seen.append(options)
        raise MaskDetError("seen")

    monkeypatch.setattr("maskdet.train.train", train)
    shell("train", "svm")
    shell("train", "svm", "--augmentation", "study", "--method", "crop", "--not-augmented", "", "--noise", 3)
    shell("train", "svm", "--rotation", 10, "--brightness", 0, "--crop-keep", 0.5, "--probability", 1, "--epochs", 2)
    strength = {"rotation": 10, "brightness": 0, "crop_keep": 0.5, "probability": 1}
    study = {"plan": "study", "methods": ["crop"], "not_augmented": [], "noise": 3}
    assert seen == [{}, {"augmentation": study}, {"epochs": 2, "augmentation": strength}]


def test_the_bundled_model_predicts_and_explains(shell: Shell, tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "face.jpg", (200, 220), seed=5)
    status, _, err = shell("predict", photo, tmp_path / "gone.jpg", "--csv", tmp_path / "out.csv")
    rows = list(csv.DictReader((tmp_path / "out.csv").open()))
    assert status == 0
    assert "1 photos predicted, 1 not readable" in err
    assert [row["status"] for row in rows] == ["ok", "no such file"]
    assert (rows[0]["right"], rows[0]["bottom"]) == ("200", "220")

    status, out, _ = shell("explain", photo, "--out", tmp_path / "heat.png", "--label", "without_mask")
    assert status == 0
    assert f"p_without_mask {float(rows[0]['p_without_mask']):.4f}" in out
    with Image.open(tmp_path / "heat.png") as picture:
        assert (picture.format, picture.size) == ("PNG", (200, 220))


def _status_and_error(result: tuple[int, str, str]) -> tuple[int, str]:
    return result[0], result[2]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["scan", "{tmp}/missing"], "There is no folder"),
        (["scan", "{tmp}/empty"], "No dataset found"),
        (["scan", "{tmp}/face.jpg"], "is a file"),
        (["filter"], "scan DIR"),
        (["split"], "scan DIR"),
        (["filter", "--hash-distance", "99"], "0 to 10"),
        (["augment-sizes"], "scan DIR"),
        (["augment-sizes", "--augmentation", "both"], "plan must be one of none, on-the-fly, study"),
        (["augment-sizes", "--method", "blur"], "no augmentation method 'blur'"),
        (["train", "svm"], "scan DIR"),
        (["train", "resnet"], "no model 'resnet'"),
        (["evaluate", "nothing"], "no run 'nothing'"),
        (["predict", "{tmp}/missing"], "There is no file or folder"),
        (["predict", "{tmp}/empty"], "No photos in"),
        (["predict", "{tmp}/face.jpg", "--model", "nothing"], "no run 'nothing'"),
        (["explain", "{tmp}/text.jpg", "--out", "{tmp}/o.png"], "not an image file"),
        (["explain", "{tmp}/face.jpg", "--out", "{tmp}/o.png", "--label", "maybe"], "--label must be"),
        (["frobnicate"], "No such command"),
        (["train", "svm", "--limit", "many"], "--limit"),
    ],
)
def test_errors_are_one_line(shell: Shell, tmp_path: Path, command: list[str], words: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.jpg").write_text("no photo")
    write_photo(tmp_path / "face.jpg", seed=1)
    status, _, err = shell(*(part.replace("{tmp}", str(tmp_path)) for part in command))
    assert_one_line(status, err, words)
    assert not (tmp_path / "o.png").exists()


def test_an_unwritable_workspace_is_one_line(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file where the workspace should be")
    status, _, err = shell("scan", draw_dataset(tmp_path / "data", each=2))
    assert_one_line(status, err, "cannot be written")


def test_every_command_has_help_and_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    commands = ["scan", "filter", "split", "augment-sizes", "train", "evaluate", "runs", "predict", "explain", "sample"]
    for command in commands:
        with pytest.raises(SystemExit) as ended:
            main([command, "--help"])
        out = capsys.readouterr().out
        assert ended.value.code == 0
        assert f"Example: python -m maskdet {command}" in " ".join(out.split())
