"""The Training page's forms: each model's gives the right command, on the split and the base that are chosen."""

import json
import shutil
from pathlib import Path

import pytest
from training_page import APP, add_base, choose, fine, fingerprint_of, press, texts, visit

from maskdet.augment import AugmentOptions
from maskdet.compare import SHORT_NAMES
from maskdet.facetable import load_faces
from maskdet.models import MODELS
from maskdet.quality import FilterOptions, apply_filters
from maskdet.split import SplitOptions, save_split, saved_splits, split_faces
from maskdet.starter import sample_of, sample_workspace
from maskdet.workspace import Workspace, write_json
from ui.training_command import NEW_BASE, Choice, commands, trials
from ui.training_options import options_of, parse_list, text_of
from ui.training_setup import caption_of


def test_a_title_is_listed_with_the_short_name_that_charts_have() -> None:
    assert caption_of("cnn-transfer").endswith(" real ones. Short: CNN transfer.")
    assert caption_of("cnn").endswith(" Short: CNN.")
    assert "Short:" not in caption_of("svm")  # its title is short enough for charts
    assert SHORT_NAMES["svm"] == MODELS["svm"].title


@pytest.mark.parametrize("model", list(MODELS))
def test_the_defaults_of_each_model_need_no_word_in_the_command(
    model: str, sample: Workspace, launched: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = choose(visit(sample, monkeypatch), model)
    assert not app.warning
    app = press(app, "training_start")
    command = ["train", model, f"--data={fingerprint_of(sample)}", "--seed", "0"]
    assert launched == [command + ["--augmentation=on-the-fly"] * (model != "svm")]


@pytest.mark.parametrize("model", list(MODELS))
def test_every_option_of_each_model_has_a_widget_with_its_default(
    model: str, sample: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = choose(visit(sample, monkeypatch), model)
    for option in options_of(MODELS[model].options_type()):
        assert f"training_{model}_{option.name}" in app.session_state
    shown = [caption.value for caption in app.caption]
    if model == "cnn":
        assert {"Study: 15", "Study: 64", "Study: 0.0001", "Ours: 0.5", "Ours: off"} <= set(shown)


def test_changed_options_go_into_the_command_and_back(
    sample: Workspace, launched: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = visit(sample, monkeypatch)
    app.number_input(key="training_cnn_epochs").set_value(3)
    app.number_input(key="training_cnn_learning_rate").set_value(0.0005)
    app.number_input(key="training_cnn_patience").set_value(2)
    app.toggle(key="training_cnn_keep_best").set_value(False)
    app.selectbox(key="training_cnn_precision").set_value("float32")
    app.number_input(key="training_limit").set_value(30)
    app.multiselect[0].set_value(["sample-group"])
    app.multiselect[1].set_value([])
    app = fine(app.segmented_control(key="training_augmentation").set_value("none").run())
    assert "Different from the defaults: Epochs 3, Learning rate 0.0005" in texts(app)
    press(app, "training_start")
    assert set(launched[0][5:]) == {
        "--set=epochs=3", "--set=learning_rate=0.0005", "--set=keep_best=false", "--set=patience=2",
        '--set=precision="float32"', "--limit", "30", "--leave-out=sample-group", "--watch=", "--augmentation=none",
    }  # fmt: skip
    app = press(app, "training_defaults")
    press(app, "training_start")
    assert launched[1][5:] == ["--augmentation=on-the-fly"]
    app = press(app, "training_study")
    press(app, "training_start")
    assert launched[2][5:] == ["--watch=", "--augmentation=study"]


def test_the_options_are_kept_over_a_visit_to_another_page(sample: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    app = choose(visit(sample, monkeypatch), "svm")
    app = fine(app.number_input(key="training_svm_components").set_value(20).run())
    app = fine(app.switch_page("pages/home.py").run())
    app = fine(app.switch_page("pages/training.py").run())
    assert app.radio(key="training_model").value == "svm"
    assert app.number_input(key="training_svm_components").value == 20


def test_the_grid_of_the_svm(sample: Workspace, launched: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    app = choose(visit(sample, monkeypatch), "svm")
    app.text_input(key="training_svm_C").set_value("0.5, 5")
    app = fine(app.text_input(key="training_svm_gamma").set_value("scale").run())
    press(app, "training_start")
    assert launched[0][5:] == ["--set=C=[0.5, 5.0]", '--set=gamma=["scale"]']
    app = fine(app.text_input(key="training_svm_C").set_value("0.5, many").run())
    assert "C and gamma need at least one value each" in app.warning[0].value
    assert app.button(key="training_start").disabled
    assert app.button(key="training_try").disabled


def test_the_weights_of_inceptionv3(
    sample: Workspace, launched: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = choose(visit(sample, monkeypatch), "inceptionv3")
    app = fine(app.radio(key="training_weights").set_value("none").run())
    press(app, "training_start")
    assert "--weights=none" in launched[0]
    app = fine(app.radio(key="training_weights").set_value("file").run())
    assert "Name the file" in app.warning[0].value
    for text, message in ((tmp_path / "none.h5", "There is no file"), (APP, "ends in .h5")):
        app = fine(app.text_input(key="training_weights_file").set_value(str(text)).run())
        assert message in app.warning[0].value
        assert app.button(key="training_start").disabled
    weights = tmp_path / "inception.weights.h5"
    weights.touch()
    app = fine(app.text_input(key="training_weights_file").set_value(f'"{weights}"').run())
    press(app, "training_start")
    assert f"--weights={weights}" in launched[1]


def test_a_transfer_begins_with_a_pre_training_run_of_the_same_split(
    sample: Workspace, launched: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = choose(visit(sample, monkeypatch), "cnn-transfer")
    assert "There is no pre-training run of this split yet" in texts(app)
    fingerprint = fingerprint_of(sample)
    add_base(sample, "cnn-1", fingerprint)
    add_base(sample, "cnn-2", "another")
    app = fine(app.run())
    base = app.selectbox(key=f"training_base_{fingerprint}")
    assert base.options == ["cnn-1 · 22 faces", "Train a new one first"]
    press(app, "training_start")
    assert "--base=cnn-1" in launched[0]
    app = fine(app.selectbox(key=f"training_base_{fingerprint}").set_value(NEW_BASE).run())
    press(app, "training_start")
    first, second = launched[1:]
    assert first == ["train", "cnn", f"--data={fingerprint}", "--seed", "0", "--pool=pre-training"]
    assert second[:2] == ["train", "cnn-transfer"]
    assert not any(part.startswith("--base") for part in second)


def test_a_transfer_without_simulated_masks_is_not_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Workspace(tmp_path / "home")
    shutil.copytree(sample_workspace(home).home, tmp_path / "own")
    faces = load_faces(Workspace(tmp_path / "own"))
    filtered = apply_filters(faces)
    all_real = split_faces(faces, filtered, {})  # nobody says that a dataset is simulated
    save_split(sample_of(home), all_real)
    app = choose(visit(sample_of(home), monkeypatch), "cnn-transfer")
    assert "this set has none" in app.warning[0].value
    assert app.button(key="training_start").disabled
    assert len(app.multiselect[0].options) == 3


def test_an_earlier_split_is_chosen_by_its_fingerprint(
    sample: Workspace, launched: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = fingerprint_of(sample)
    faces = load_faces(sample)
    filtered = apply_filters(faces, FilterOptions(duplicates=False))
    save_split(sample, split_faces(faces, filtered, {}, SplitOptions(seed=3)))
    app = visit(sample, monkeypatch)
    data = app.selectbox(key="training_data")
    assert data.value == fingerprint_of(sample) != first
    assert data.options[0].startswith("in force · ")
    assert first in data.options[1]
    app = fine(data.set_value(first).run())
    assert "59 train" in texts(app)
    press(app, "training_start")
    assert f"--data={first}" in launched[0]


def test_splits_of_faces_that_changed_are_counted_not_offered(
    sample: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    faces = load_faces(sample)
    other = saved_splits(sample, faces)[0]
    stored = json.loads(sample.path("splits", f"{other.fingerprint}.json").read_text())
    write_json(sample.path("splits", "00000000.json"), stored | {"fingerprint": "00000000", "faces_fingerprint": "x"})
    app = visit(sample, monkeypatch)
    assert len(app.selectbox(key="training_data").options) == 1
    assert "Older sets of faces that have changed since: 1." in texts(app)


def test_commands_of_a_choice() -> None:
    choice = Choice("cnn", "f", {"cut": "mixed8"}, AugmentOptions(plan="none"), 4, None, ("3.1",), ("-x", "2.1"))
    assert commands(choice) == [
        ["train", "cnn", "--data=f", "--seed", "4", '--set=cut="mixed8"', "--leave-out=3.1", "--watch=-x",
         "--watch=2.1", "--augmentation=none"]
    ]  # fmt: skip
    assert len(trials(Choice("cnn-transfer", "f", base="cnn-1"))) == 1


def test_values_in_words_and_back() -> None:
    assert text_of((1.0, "scale", 0.001)) == "1, scale, 0.001"
    assert parse_list("1, scale,, 0.001 ") == (1.0, "scale", 0.001)
    assert [text_of(value) for value in (True, False, None, 1e-4, "auto")] == ["on", "off", "off", "0.0001", "auto"]
