"""The shell, end to end on drawn photos, and its errors: one line on stderr, a status, never a traceback."""

import csv
import io
from collections.abc import Callable
from dataclasses import replace
from inspect import signature
from pathlib import Path

import av
import numpy as np
import pytest
from conftest import Shell, blotches, write_photo
from PIL import Image
from shell_checks import SMALL, assert_one_line, status_and_error
from typer.main import get_command

from maskdet.cli import main
from maskdet.cli.photos import explain, predict, video
from maskdet.cli.shared import app
from maskdet.looks import FaceLook
from maskdet.portraits import draw_face
from maskdet.predict import COLUMNS, MIN_FACE_SIZE


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

    status, out, _ = shell("train", "svm", *SMALL)
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

    face = [root / "mine/with_mask/0.png", "--out", tmp_path / "o.png", "--model", run]
    assert_one_line(*status_and_error(shell("explain", *face, "--method", "grad-cam")), "occlusion explains any model")
    status, out, err = shell("explain", *face)  # an SVM has no layers: occlusion is its only method
    assert status == 0
    assert out.startswith("face 1: ")
    assert "occlusion, written to" in err


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

    header = ["pool", "dataset", "faces", "original", "augmented", "total"]
    assert rows() == [header, ["main", "mine", "12", "0", "12", "12"], ["main", "Total", "12", "0", "12", "12"]]
    assert rows("--augmentation", "study")[1] == ["main", "mine", "12", "12", "60", "72"]
    two = ["--augmentation", "study", "--method", "noise", "--method", "flip"]
    assert rows(*two)[1] == ["main", "mine", "12", "12", "24", "36"]
    assert rows(*two, "--not-augmented", "mine")[1] == ["main", "mine", "12", "12", "0", "12"]
    _, _, err = shell("augment-sizes", *two)
    assert "36 images an epoch with the plan study" in err


def test_the_bundled_model_predicts_and_explains_with_the_same_numbers(shell: Shell, tmp_path: Path) -> None:
    look = FaceLook.random(np.random.default_rng(1), mask=False)
    Image.fromarray(draw_face(replace(look, scale=0.5, shift=(0, 0)), (400, 300))).save(tmp_path / "face.png")
    photo = tmp_path / "face.png"
    status, _, err = shell("predict", photo, tmp_path / "gone.jpg", "--csv", tmp_path / "out.csv")
    rows = list(csv.DictReader((tmp_path / "out.csv").open()))
    assert status == 0
    assert "1 faces in 1 photos (1 " in err
    assert "1 not readable" in err
    assert [row["status"] for row in rows] == ["ok", "no such file"]
    assert int(rows[0]["right"]) - int(rows[0]["left"]) < 200  # the face, not the photo

    status, out, _ = shell("explain", photo, "--out", tmp_path / "heat.png", "--label", "without_mask")
    assert status == 0
    said = f"face 1: {rows[0]['label']}, verdict {rows[0]['verdict']}, p_without_mask "
    assert out.startswith(said)
    p_without_mask = float(out.removeprefix(said).split(",")[0])
    assert p_without_mask == pytest.approx(float(rows[0]["p_without_mask"]), abs=1e-6)
    with Image.open(tmp_path / "heat.png") as picture:
        assert (picture.format, picture.size) == ("PNG", (400, 300))


def test_photos_without_a_face_or_of_one_face_are_taken_whole(shell: Shell, tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "wall.jpg", (200, 220), seed=5)
    rows = [
        next(csv.DictReader(io.StringIO(shell("predict", photo, "--model", "svm", *options)[1])))
        for options in ([], ["--faces", "whole"])
    ]
    assert [row["status"] for row in rows] == ["no face found: the whole photo was taken as one face", "ok"]
    assert [(row["left"], row["top"], row["right"], row["bottom"]) for row in rows] == [("0", "0", "200", "220")] * 2
    assert rows[0]["p_without_mask"] == rows[1]["p_without_mask"]


@pytest.mark.parametrize("command", [predict, explain, video])
def test_the_least_size_of_a_face_is_that_of_the_core(command: Callable[..., None]) -> None:
    assert signature(command).parameters["min_size"].default == MIN_FACE_SIZE


def test_a_report_is_written_beside_the_table(shell: Shell, tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "<b>wall.jpg", (200, 220), seed=5)
    status, out, err = shell("predict", photo, "--model", "svm", "--report", tmp_path / "report.html")
    assert status == 0
    assert out.startswith("file,face,")
    assert f"written to {tmp_path / 'report.html'}" in err
    html = (tmp_path / "report.html").read_text()
    assert "&lt;b&gt;wall.jpg" in html
    assert "<b>wall.jpg" not in html
    assert "Occlusion" in html


def test_a_video_is_a_row_a_face_a_frame(shell: Shell, tmp_path: Path) -> None:
    look = FaceLook.random(np.random.default_rng(1), mask=False)
    frame = draw_face(replace(look, scale=0.5, shift=(0, 0)), (320, 240))
    with av.open(tmp_path / "street.mp4", "w") as container:
        stream = container.add_stream("mpeg4", rate=4)
        stream.height, stream.width = frame.shape[:2]
        stream.pix_fmt, stream.bit_rate = "yuv420p", 2_000_000
        for _ in range(8):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    csv_file, counts = tmp_path / "faces.csv", tmp_path / "counts.csv"
    options = ["--model", "svm", "--every", 1, "--csv", csv_file, "--counts", counts]
    status, _, err = shell("video", tmp_path / "street.mp4", *options)
    assert status == 0
    assert "2 faces in 2 frames" in err
    rows = list(csv.DictReader(csv_file.open()))
    assert [(float(row["seconds"]), row["face"], row["status"]) for row in rows] == [(0, "1", "ok"), (1, "1", "ok")]
    assert rows[0]["model"].startswith("svm-")
    (tmp_path / "text.mp4").write_text("no video")
    assert_one_line(*status_and_error(shell("video", tmp_path / "text.mp4")), "text.mp4: ")


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
        (["train", "svm", "--balance", "shortcut"], "its probe saw the labels of test faces"),
        (["train", "svm", "--balance", "size", "--balance-target", "fair"], "one of independent, equal, not 'fair'"),
        (["evaluate", "nothing"], "no run 'nothing'"),
        (["predict", "{tmp}/missing"], "There is no file or folder"),
        (["predict", "{tmp}/empty"], "No photos in"),
        (["predict", "{tmp}/face.jpg", "--model", "nothing"], "no run 'nothing'"),
        (["explain", "{tmp}/text.jpg", "--out", "{tmp}/o.png"], "not an image file"),
        (["explain", "{tmp}/face.jpg", "--out", "{tmp}/o.png", "--label", "maybe"], "--label must be"),
        (
            ["explain", "{tmp}/face.jpg", "--out", "{tmp}/o.png", "--method", "magic"],
            "The method must be one of",
        ),
        (["explain", "{tmp}/face.jpg", "--out", "{tmp}/o.png", "--layer", "conv99"], "The layer must be one of mixed"),
        (["predict", "{tmp}/face.jpg", "--faces", "all"], "--faces"),
        (["frobnicate"], "No such command"),
        (["train", "svm", "--limit", "many"], "--limit"),
        (["train", "svm", "--set", "folds"], "--set needs OPTION=VALUE, not 'folds'"),
        (["train", "svm", "--set", "=3"], "--set needs OPTION=VALUE, not '=3'"),
        (["train", "svm", "--set", "depth=3"], "Model svm cannot be made with these options"),
        (["train", "svm", "--set", "folds=two"], "folds must be a whole number, not 'two'"),
        (["train", "svm", "--epochs", "2"], "Model svm cannot be made with these options"),
        (["train", "svm", "--limit", "1"], "--limit"),
        (["train", "svm", "--pool", "both"], "The pool must be main or pre-training, not 'both'"),
        (["train", "svm", "--dry-run"], "scan DIR"),
        (["resume", "svm-1"], "There is no unfinished training 'svm-1' (there are none)"),
        (["runs", "--discard", "svm-1"], "There is no unfinished training 'svm-1'"),
        (["study"], "DIR"),
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


COMMANDS = sorted(info.name or info.callback.__name__ for info in app.registered_commands if info.callback)


def test_the_commands_are_those_that_are_named() -> None:
    """As typer names them, so that the next test forgets none."""
    assert sorted(get_command(app).commands) == [name.replace("_", "-") for name in COMMANDS]  # type: ignore[attr-defined]
    assert {"scan", "filter", "split", "train", "resume", "evaluate", "runs", "study", "predict"} <= {*COMMANDS}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    out = " ".join(capsys.readouterr().out.split())
    assert ended.value.code == 0
    assert f"Example: python -m maskdet {command}" in out
    says = get_command(app).commands[command].help  # type: ignore[attr-defined]
    assert says
    assert says.rstrip().endswith(".")


def test_names_that_a_terminal_obeys_are_spelt_out_in_a_table(shell: Shell, tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "wall\x1b[2J.png", (200, 220), seed=5)
    _, out, _ = shell("predict", photo, "--model", "svm", "--faces", "whole")
    assert "wall\\x1b[2J.png" in out
    assert not set("\x1b\r") & set(out)


def test_runs_are_compared_as_csv(shell: Shell) -> None:
    """The rows end as those of any other text in a terminal, and nothing of their ends is spelt out."""
    status, out, _ = shell("compare", "svm", "cnn", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert status == 0
    assert len(rows) >= 2
    assert not any("\\r" in line or line.endswith("\r") for line in out.split("\n"))
