"""The Training page: each model's form gives the right command; trials, the queue, live states, resume, discard."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
from scipy.stats import binomtest
from streamlit.testing.v1 import AppTest

from maskdet.augment import AugmentOptions
from maskdet.facetable import load_faces
from maskdet.jobs import list_jobs, read_job
from maskdet.models import MODELS
from maskdet.quality import FilterOptions, apply_filters
from maskdet.split import SplitOptions, load_split, save_split, saved_splits, split_faces
from maskdet.starter import sample_of, sample_workspace
from maskdet.workspace import Workspace, write_json
from ui.jobs import last_states
from ui.training_charts import curves, epoch_text, grid_chart, tick_step
from ui.training_command import NEW_BASE, Choice, commands, trials
from ui.training_options import options_of, parse_list, text_of

APP = str(Path(__file__).resolve().parents[1] / "app.py")
HISTORY = [
    {"epoch": 1, "phase": 1, "loss": 0.7, "accuracy": 0.5, "val_loss": 0.6, "val_accuracy": 0.75, "kept": 0},
    {"epoch": 2, "phase": 2, "loss": 0.5, "accuracy": 0.7, "val_loss": 0.4, "val_accuracy": 0.9, "kept": 1},
]
GRID = [
    {"kernel": "rbf", "C": 1.0, "gamma": 0.003, "f1_macro": 0.9, "f1_macro_std": 0.01, "explained_variance": 0.87},
    {"kernel": "linear", "C": 1.0, "gamma": 0.0, "f1_macro": 0.95, "f1_macro_std": 0.02, "explained_variance": 0.87},
    {"kernel": "rbf", "C": 10.0, "gamma": 0.003, "f1_macro": 0.93, "f1_macro_std": 0.01, "explained_variance": 0.87},
]


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that were launched; nothing is started."""
    started: list[list[str]] = []

    def launch(workspace: Workspace, command: list[str], queue: str) -> None:
        assert queue == "training"
        started.append(list(command))

    monkeypatch.setattr("ui.training_jobs.launch", launch)
    return started


@pytest.fixture
def sleepers() -> Iterator[list[subprocess.Popen[bytes]]]:
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        process.kill()
        process.wait()


def visit(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setenv("MASKDET_HOME", str(workspace.home.parent))
    return fine(AppTest.from_file(APP, default_timeout=120).run().switch_page("pages/training.py").run())


def fine(app: AppTest) -> AppTest:
    assert not app.exception, app.exception
    return app


def choose(app: AppTest, model: str) -> AppTest:
    return fine(app.radio(key="training_model").set_value(model).run())


def press(app: AppTest, key: str) -> AppTest:
    return fine(app.button(key=key).click().run())


def texts(app: AppTest) -> str:
    everything = [*app.markdown, *app.caption, *app.error, *app.warning, *app.info, *app.success, *app.toast]
    return "\n".join(str(element.value) for element in everything)


def fingerprint_of(workspace: Workspace) -> str:
    return load_split(workspace, load_faces(workspace)).fingerprint


def add_job(
    workspace: Workspace, name: str, command: list[str], *events: dict[str, Any], alive: bool = False,
    sleepers: list[subprocess.Popen[bytes]] | None = None,
) -> Path:  # fmt: skip
    """Write a job's folder by hand; a job that is alive has a process that sleeps."""
    pid, started = 1, 0.0
    if alive and sleepers is not None:
        sleepers.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(99)"], start_new_session=True))
        pid, started = sleepers[-1].pid, psutil.Process(sleepers[-1].pid).create_time()
    folder = workspace.path("jobs", f"{name}-{command[0]}")
    folder.mkdir(parents=True)
    record = {
        "command": command, "created": "2026-01-01T00:00:00Z", "began": time.time() - 100,
        "queue": "" if command[0] == "scan" else "training", "pid": pid, "process_started": started,
    }  # fmt: skip
    write_json(folder / "job.json", record)
    lines = [json.dumps({"event": event["event"], "time": time.time(), **event}) for event in events]
    (folder / "events.jsonl").write_text("".join(f"{line}\n" for line in lines))
    return folder


def add_unfinished(
    workspace: Workspace, run: str, model: str, history: list[dict[str, Any]], resumable: bool = True
) -> Path:
    folder = workspace.path("runs", f".{run}.partial")
    folder.mkdir(parents=True)
    plan = {
        "id": run, "model": model, "options": {"epochs": 3, "frozen_epochs": 1}, "seed": 0, "limit": None,
        "fingerprint": "0", "faces": {"train": 59, "validation": 20, "test": 14},
    }  # fmt: skip
    write_json(folder / "plan.json", plan)
    write_json(folder / "history.json", history)
    if resumable:
        (folder / "checkpoint.npz").touch()
    return folder


def add_base(workspace: Workspace, run: str, fingerprint: str) -> None:
    """A finished run on the pre-training pool."""
    folder = workspace.path("runs", run)
    folder.mkdir(parents=True)
    record = {
        "format": 3, "id": run, "model": "cnn", "created": "2026-01-01T00:00:00Z", "options": {}, "seconds": {},
        "limit": None, "seed": 0, "base": None,
        "data": {"fingerprint": fingerprint, "pool": "pre-training", "faces": {"train": 22}, "datasets": []},
    }  # fmt: skip
    write_json(folder / "run.json", record)
    write_json(folder / "metrics.json", {"macro_f1": 0.5, "faces": 8, "intervals": {"macro_f1": [0.25, 0.75]}})


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
    assert "1 older sets are of faces that have changed since" in texts(app)


def test_a_trial_says_how_long_it_would_take(
    sample: Workspace, launched: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = choose(visit(sample, monkeypatch), "cnn-transfer")
    app = press(app, "training_try")
    assert [command[1] for command in launched] == ["cnn", "cnn-transfer"]  # both have to be trained
    assert all(command[-1] == "--dry-run" for command in launched)
    add_job(sample, "1", launched[1], {"event": "finished", "result": "About 53 seconds to train *cnn*."})
    app = fine(app.run())
    assert app.success[0].value == r"About 53 seconds to train \*cnn\*."
    assert "CNN with transfer learning, trial" in texts(app)


def test_a_running_training_and_one_that_waits(
    sample: Workspace, launched: list[list[str]], sleepers: list[subprocess.Popen[bytes]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    now = time.time()
    steps = [
        {"event": "progress", "time": now - 10 + 5 * n, "done": 5 + n, "total": 16, "text": "epoch 2 of 3, batch 1"}
        for n in range(3)
    ]
    add_unfinished(sample, "cnn-1", "cnn", HISTORY)
    started = {"event": "started", "time": now - 60}
    add_job(
        sample, "1", ["train", "cnn", "--set=epochs=3"], {"event": "queued"}, started, {"event": "run", "run": "cnn-1"},
        *steps, alive=True, sleepers=sleepers,
    )  # fmt: skip
    waiting = add_job(sample, "2", ["train", "svm"], {"event": "queued"}, alive=True, sleepers=sleepers)
    add_job(sample, "0", ["scan", "x"], {"event": "started"}, alive=True, sleepers=sleepers)  # the Datasets page's
    app = visit(sample, monkeypatch)
    shown = texts(app)
    assert "**CNN (AlexNet-like)** :blue-badge[:material/progress_activity: running]" in shown
    assert "**PCA + SVM** :gray-badge[:material/hourglass_empty: queued]" in shown
    assert "Waits for 1 training before it." in shown
    assert "2 trainings are not done yet: this one is queued behind." in shown
    (bar,) = app.get("progress")
    assert bar.proto.text.startswith("epoch 2 of 3, batch 1 · 44% · about ")
    assert bar.proto.text.split("about ")[1] in ("45 s left", "44 s left", "43 s left", "42 s left")
    low, high = binomtest(18, 20).proportion_ci(method="wilson")
    assert f"Epoch 2: validation accuracy 0.900 ({low:.3f} to {high:.3f}, n = 20)" in shown
    assert len(app.get("plotly_chart")) == 2
    assert not any(button.key.startswith("resume") for button in app.button)

    press(app, "training_start")
    app = press(app, "stop_2-train")
    assert read_job(waiting).state == "cancelled"
    assert "stopped" in texts(app)
    assert read_job(sample.path("jobs", "1-train")).state == "running"
    assert sleepers[0].poll() is None


def test_an_interrupted_training_is_resumed(
    sample: Workspace, launched: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    add_unfinished(sample, "cnn-1", "cnn", HISTORY)
    add_job(sample, "1", ["train", "cnn"], {"event": "started"}, {"event": "run", "run": "cnn-1"})
    app = visit(sample, monkeypatch)
    assert "Its process is gone and said nothing" in app.warning[0].value
    app = press(app, "resume_1-train")
    assert launched == [["resume", "cnn-1"]]
    add_job(sample, "2", ["resume", "cnn-1"], {"event": "started"}, {"event": "run", "run": "cnn-1"})
    app = fine(app.run())
    assert "CNN (AlexNet-like), resumed" in texts(app)
    assert "Gone on with in a later training." in texts(app)
    assert [button.key for button in app.button if button.key.startswith("resume")] == ["resume_2-resume"]


def test_an_unfinished_run_is_discarded_for_good(sample: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = add_unfinished(sample, "svm-1", "svm", GRID)
    app = visit(sample, monkeypatch)  # no job: made in a shell
    assert "Made in a shell" in texts(app)
    assert "3 finished grid points of `svm-1` are lost" in texts(app)
    table = app.dataframe[0].value
    assert table["kernel"].tolist() == ["linear", "rbf", "rbf"]
    assert table["f1_macro"].tolist() == [0.95, 0.93, 0.9]
    app = press(app, "discard_sure_svm-1")
    assert not folder.exists()
    assert "Nothing was trained here yet" in texts(app)


def test_a_training_cut_before_its_first_epoch_cannot_be_resumed(
    sample: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_unfinished(sample, "cnn-1", "cnn", [], resumable=False)
    add_job(sample, "1", ["train", "cnn-transfer"], {"event": "run", "run": "cnn-1"}, {"event": "cancelled"})
    app = visit(sample, monkeypatch)
    assert "had not finished a single epoch" in texts(app)
    assert not any(button.key.startswith("resume") for button in app.button)


def test_a_failed_training_says_why(sample: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = add_job(sample, "1", ["train", "cnn"], {"event": "failed", "reason": "The disk *is* full."})
    (folder / "output.log").write_text("first\n10 %\r20 %\r\x1b[31mlast\x1b[0m\n")
    app = visit(sample, monkeypatch)
    assert app.error[0].value == r"The disk \*is\* full."
    assert app.code[-1].value == "first\nlast"
    app = press(app, "remove_1-train")
    assert list_jobs(sample) == []


def test_a_finished_training_shows_its_figure_and_its_results(
    sample: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_base(sample, "cnn-1", "x")
    add_job(
        sample, "1", ["train", "cnn"], {"event": "run", "run": "cnn-1"}, {"event": "finished", "result": "cnn-1"}
    )  # fmt: skip
    shown = texts(visit(sample, monkeypatch))
    assert "Macro F1 **0.500** (0.250 to 0.750) on n = 8 test faces" in shown


def test_of_many_trainings_the_newest_five_are_shown(sample: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(8):
        add_job(sample, str(number), ["train", "svm"], {"event": "cancelled"})
    app = visit(sample, monkeypatch)
    assert sum("stopped" in text.value for text in app.markdown) == 5
    app = fine(app.toggle(key="trainings_older").set_value(True).run())
    assert sum("stopped" in text.value for text in app.markdown) == 8


def test_a_workspace_that_cannot_be_written_starts_nothing(sample: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    app = visit(sample, monkeypatch)
    (sample.path("jobs")).write_text("a file where the jobs should be")
    app = press(app, "training_start")
    assert "cannot be started" in app.error[0].value


def test_a_real_trial_from_the_page(sample: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the button to the sentence: a process of its own, in the queue, on the split by its fingerprint."""
    app = choose(visit(sample, monkeypatch), "svm")
    app = press(app, "training_try")
    (job,) = list_jobs(sample)
    end = time.monotonic() + 120
    while (job := read_job(job.folder)).is_active:
        assert time.monotonic() < end, job
        time.sleep(0.2)
    assert job.state == "finished", job.log
    app = fine(app.run())
    assert app.success[0].value.startswith("About ")


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


def test_the_curves() -> None:
    figure = curves(pd.DataFrame(HISTORY), "loss", epochs=4)
    lines = {trace.name: list(trace.y) for trace in figure.data}
    assert lines == {"training": [0.7, 0.5], "validation": [0.6, 0.4], "kept": [0.4]}
    assert tuple(figure.layout.xaxis.range) == (0.5, 4.5)
    assert figure.layout.shapes[0].x0 == 1.5  # all layers are trained from the second epoch on
    watched = pd.DataFrame([entry | {"watched_loss": 0.9, "watched_accuracy": 0.25} for entry in HISTORY])
    assert list(curves(watched, "accuracy", 4).data[2].y) == [0.25, 0.25]
    assert "No intervals" in epoch_text(watched, {})
    assert "watched accuracy 0.250 (" in epoch_text(watched, {"val_": 20, "watched_": 4})


def test_ticks_at_round_numbers() -> None:
    assert [tick_step(epochs) for epochs in (1, 10, 11, 20, 21, 50, 70, 101, 1000)] == [1, 1, 2, 2, 5, 5, 10, 20, 100]


def test_the_grid_chart_has_a_line_a_kernel_and_gamma() -> None:
    figure = grid_chart(pd.DataFrame(GRID))
    assert {trace.name: list(trace.y) for trace in figure.data} == {"linear": [0.95], "rbf, gamma 0.003": [0.9, 0.93]}


def test_a_log_as_a_terminal_shows_it() -> None:
    assert last_states("a\r\nb 1\rb 2\r\nc\r") == "a\nb 2\nc"


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_a_killed_training_shows_as_interrupted(
    sample: Workspace, sleepers: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    add_job(sample, "1", ["train", "cnn"], {"event": "started"}, alive=True, sleepers=sleepers)
    app = visit(sample, monkeypatch)
    assert "running]" in texts(app)
    os.kill(sleepers[0].pid, 9)
    time.sleep(0.5)
    assert "interrupted]" in texts(fine(app.run()))
