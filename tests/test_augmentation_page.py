"""The Augmentation page, and how its settings reach a training."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from app_page import fine
from factories import prepared
from streamlit.testing.v1 import AppTest

from maskdet.augment import METHODS, AugmentOptions, augment, random_variant
from maskdet.catalog import load_catalog
from maskdet.cli import main
from maskdet.errors import MaskDetError
from maskdet.facetable import scan, table_fingerprint
from maskdet.images import stored_images
from maskdet.models.cnn import CnnOptions
from maskdet.quality import apply_filters, save_filtered
from maskdet.split import Split, SplitOptions, load_split, save_split, split_faces
from maskdet.starter import sample_of
from maskdet.workspace import Workspace
from ui.augment_charts import set_size_bars
from ui.augmentation import arguments, summary

PROJECT = Path(__file__).resolve().parents[1]
CHOICES = [
    AugmentOptions(),
    AugmentOptions(plan="none"),
    AugmentOptions(plan="study"),
    AugmentOptions(plan="study", methods=("flip", "noise"), not_augmented=(), rotation=12.5, noise=0),
    AugmentOptions(plan="study", not_augmented=("-odd name", "2.1"), crop_keep=0.65),
    AugmentOptions(methods=("crop",), brightness=0.05, probability=1.0),
]


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[np.ndarray], list[str]]]:
    """What the page hands to the gallery, call by call; a rerun goes on at the end."""
    calls: list[tuple[list[np.ndarray], list[str]]] = []
    monkeypatch.setattr(
        "ui.augment_previews.show_images", lambda images, captions: calls.append((list(images), list(captions)))
    )
    return calls


def visit(home: Path, monkeypatch: pytest.MonkeyPatch, page: str = "augmentation") -> AppTest:
    monkeypatch.setenv("MASKDET_HOME", str(home))
    app = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=120).run()
    return fine(app.switch_page(f"pages/{page}.py").run())


def press(app: AppTest, label: str) -> AppTest:
    return fine(next(button for button in app.button if button.label == label).click().run())


def rows_of(app: AppTest) -> list[list[str]]:
    """The tables of set sizes on the page, row by row."""
    return [[str(cell) for cell in row] for table in app.dataframe for row in table.value.itertuples(index=False)]


def rows_of_shell(capsys: pytest.CaptureFixture[str], *options: str) -> list[list[str]]:
    """The same of the shell, without the pool's column."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(["augment-sizes", *options])
    assert not ended.value.code
    return [line.split()[1:] for line in capsys.readouterr().out.splitlines()[1:]]


def test_a_first_visit_draws_the_sample_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = visit(tmp_path / "fresh", monkeypatch)
    assert any("Synthetic" in info.value for info in app.info)
    assert len(app.dataframe) == 2  # main and pre-training pool


@pytest.mark.parametrize("plan", ["on-the-fly", "study", "none"])
def test_the_sizes_equal_those_of_the_shell(
    plan: str, drawn: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    app = visit(drawn, monkeypatch)
    app = fine(app.radio(key="augment_plan").set_value(plan).run())
    home = f"--home={sample_of(Workspace(drawn)).home}"
    assert rows_of(app) == rows_of_shell(capsys, f"--augmentation={plan}", home)
    app = fine(app.toggle(key="augment_on_crop").set_value(False).run())
    kept = [f"--method={method}" for method in METHODS if method != "crop"]
    assert rows_of(app) == rows_of_shell(capsys, f"--augmentation={plan}", *kept, home)


def test_datasets_left_as_they_are_count_once(
    drawn: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    app = visit(drawn, monkeypatch)
    app = fine(app.radio(key="augment_plan").set_value("study").run())
    assert app.multiselect(key="augment_not_augmented").value == ["2.1"]
    app = fine(app.multiselect(key="augment_not_augmented").set_value(["sample-web"]).run())
    rows = rows_of(app)
    web = next(row for row in rows if row[0] == "sample-web")
    assert web[1] == web[2] == web[4]
    assert web[3] == "0"
    home = f"--home={sample_of(Workspace(drawn)).home}"
    assert rows == rows_of_shell(capsys, "--augmentation=study", "--not-augmented=sample-web", home)


def test_the_previews_are_the_copies_of_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shown: list[tuple[list[np.ndarray], list[str]]]
) -> None:
    home = Workspace(tmp_path / "home")
    faces = prepared(home, tmp_path / "data", {"with_mask": 10, "without_mask": 10})
    table = load_split(home, faces).table
    ids = table.loc[table["split"] == "train", "face_id"].reset_index(drop=True)
    assert len(ids) == 12
    stock = stored_images(home, faces, ids).take(np.arange(12))

    app = visit(home.home, monkeypatch)
    app = fine(app.number_input(key="augment_seed").set_value(6).run())
    app = fine(app.slider(key="augment_noise").set_value(20.0).run())
    app = press(app, "Next face")
    options = AugmentOptions(noise=20)
    one, variants, many = shown[-3:]
    assert one[1] == ["Original", "Flip", "Rotate", "Brightness", "Crop", "Noise"]
    expected = [augment(stock[1], method, seed=6, face_id=ids[1], options=options) for method in METHODS]
    for image, wanted in zip(one[0], [stock[1], *expected], strict=True):
        np.testing.assert_array_equal(image, wanted)
    for epoch, image in enumerate(variants[0]):
        wanted = random_variant(stock[1], seed=6, face_id=ids[1], epoch=epoch, options=options)
        np.testing.assert_array_equal(image, wanted)
    assert len(variants[0]) == len(many[0]) == 6

    method = next(box for box in app.selectbox if box.label == "Method")
    app = fine(method.set_value("noise").run())
    press(app, "Next")
    for i, pair in enumerate(shown[-1][0], start=6):  # the face above, its copy below
        np.testing.assert_array_equal(pair[:150], stock[i])
        wanted = augment(stock[i], "noise", seed=6, face_id=ids[i], options=options)
        np.testing.assert_array_equal(pair[-150:], wanted)


def test_faces_by_dataset_before_after_and_at_random(
    drawn: Path, monkeypatch: pytest.MonkeyPatch, shown: list[tuple[list[np.ndarray], list[str]]]
) -> None:
    def number(app: AppTest) -> str:
        return next(caption.value for caption in app.caption if caption.value.startswith("Face "))

    app = visit(drawn, monkeypatch)
    assert number(app).startswith("Face 1 of 81: ")
    app = press(app, "Previous face")
    assert number(app).startswith("Face 81 of 81: ")
    app = press(app, "Shuffle")
    dataset = next(box for box in app.selectbox if box.label == "Dataset")
    app = fine(dataset.set_value("sample-simulated").run())
    assert " of 22: `sample-simulated/" in number(app)
    assert all(caption.startswith("sample-simulated · ") for caption in shown[-1][1])


def test_without_a_split_the_galleries_work_and_the_sizes_say_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shown: list[tuple[list[np.ndarray], list[str]]]
) -> None:
    home = Workspace(tmp_path / "home")
    prepared(home, tmp_path / "data", {"with_mask": 10, "without_mask": 10})
    home.path("split.json").unlink()
    app = visit(home.home, monkeypatch)
    assert any("press *Apply and split*" in info.value for info in app.info)
    assert not app.dataframe
    assert len(shown[-3][0]) == 6
    assert any("Face 1 of 20" in caption.value for caption in app.caption)


def test_a_split_without_training_faces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Workspace(tmp_path / "home")
    faces = prepared(home, tmp_path / "data", {"with_mask": 10, "without_mask": 10})
    all_test = load_split(home, faces).table.assign(split="test")
    columns = ["face_id", "label", "phash", "split"]
    fingerprint = table_fingerprint(all_test.merge(faces.table[["face_id", "phash"]]), columns)
    save_split(home, Split(all_test, SplitOptions(), faces.fingerprint, fingerprint))
    app = visit(home.home, monkeypatch)
    assert any("no training face" in info.value for info in app.info)
    assert rows_of(app) == [["tiny", *"0000"], ["Total", *"0000"]]


def test_no_method_at_all_asks_for_one(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = visit(drawn, monkeypatch)
    for method in METHODS:
        app = fine(app.toggle(key=f"augment_on_{method}").set_value(False).run())
    assert "at least one method" in app.warning[0].value
    app = press(app, "Back to the defaults")
    assert not app.warning
    assert len(app.dataframe) == 2


def test_the_choice_is_kept_and_offered_on_the_training_page(
    drawn: Path, launched: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = visit(drawn, monkeypatch)
    app = fine(app.radio(key="augment_plan").set_value("study").run())
    app = fine(app.slider(key="augment_rotation").set_value(15).run())
    app = fine(app.toggle(key="augment_on_noise").set_value(False).run())
    app = fine(app.number_input(key="augment_seed").set_value(4).run())

    app = fine(app.switch_page("pages/training.py").run())
    assert any(caption.value.startswith("Study plan: flip, rotate by up to 15°") for caption in app.caption)
    press(app, "Start training")
    command = launched[0]
    assert command[command.index("--seed") + 1] == "4"
    kept = [f"--method={method}" for method in METHODS if method != "noise"]
    assert command[command.index("--augmentation=study") :] == ["--augmentation=study", *kept, "--rotation=15.0"]
    app.segmented_control(key="training_augmentation").set_value("none")
    press(app, "Start training")
    assert launched[1][-1] == "--augmentation=none"

    app = fine(app.switch_page("pages/augmentation.py").run())
    assert app.radio(key="augment_plan").value == "study"
    assert app.slider(key="augment_rotation").value == 15
    assert app.toggle(key="augment_on_noise").value is False
    app = press(app, "Back to the defaults")
    assert app.slider(key="augment_rotation").value == 30
    assert app.radio(key="augment_plan").value == "on-the-fly"


@pytest.mark.parametrize("options", CHOICES)
def test_the_shell_understands_the_arguments_of_every_choice(
    options: AugmentOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[AugmentOptions] = []

    def train(workspace: Any, model: str, given: dict[str, Any], **_more: Any) -> None:
        seen.append(CnnOptions(**given).augmentation)
        raise MaskDetError("seen")

    monkeypatch.setattr("maskdet.train.train", train)
    with pytest.raises(SystemExit):
        main(["train", "svm", *arguments(options), "--home", str(tmp_path)])
    assert seen == [options]


def test_summaries() -> None:
    assert [summary(options) for options in CHOICES] == [
        "On the fly: flip, rotate by up to 30°, brightness ±30 %, crop keeping 80 %, noise of 8 levels; "
        "each with a chance of 50 %.",
        "None: each face as it is.",
        "Study plan: flip, rotate by up to 30°, brightness ±30 %, crop keeping 80 %, noise of 8 levels; "
        "dataset 2.1 left as it is.",
        "Study plan: flip, noise of 0 levels.",
        "Study plan: flip, rotate by up to 30°, brightness ±30 %, crop keeping 65 %, noise of 8 levels; "
        r"dataset \-odd name, 2.1 left as it is.",
        "On the fly: crop keeping 80 %; each with a chance of 100 %.",
    ]


def test_the_chart_stacks_faces_as_they_are_and_copies() -> None:
    rows = [("main", "2.1", 5, 0, 5), ("main", "2.2", 3, 6, 9), ("main", "Total", 8, 6, 14)]
    sizes = pd.DataFrame(rows, columns=["pool", "dataset", "original", "augmented", "total"])
    plain, augmented = set_size_bars(sizes).data
    assert (plain.name, list(plain.y), list(plain.x)) == ("as they are", ["2.1", "2.2"], [5, 3])
    assert (augmented.name, list(augmented.x)) == ("augmented", [0, 6])
    on_the_fly = sizes.assign(original=0, augmented=sizes["original"], total=sizes["original"])
    assert [list(trace.x) for trace in set_size_bars(on_the_fly).data] == [[0, 0], [5, 3]]


def test_real_data(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two small ones of the real datasets, a pool each."""
    home = Workspace(tmp_path / "home")
    for dataset in ("1", "3.1"):
        faces = scan(home, shared_data / dataset)
    filtered = apply_filters(faces)
    save_filtered(home, filtered)
    save_split(home, split_faces(faces, filtered, load_catalog()))
    app = visit(home.home, monkeypatch)
    app = fine(app.radio(key="augment_plan").set_value("study").run())
    medical, main_total, simulated, pre_training_total = rows = rows_of(app)
    assert rows == rows_of_shell(capsys, "--augmentation=study", f"--home={home.home}")
    for dataset, total in ((medical, main_total), (simulated, pre_training_total)):
        original = int(dataset[1])
        assert original > 20
        assert dataset[1:] == total[1:] == [str(original), str(original), str(5 * original), str(6 * original)]
