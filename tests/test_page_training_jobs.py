"""Trainings on the Training page: trials, the queue, live states, resume, discard, and the charts of an epoch."""

import os
import subprocess
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from scipy.stats import binomtest
from training_page import HISTORY, add_base, add_job, add_unfinished, choose, fine, press, texts, visit

from maskdet.errors import MaskDetError
from maskdet.jobs import list_jobs, read_job
from maskdet.workspace import Workspace
from ui.charts import explained_variance, grid_scores, learning_curves, tick_step
from ui.jobs import last_states
from ui.training_charts import epoch_text

GRID = [
    {"kernel": "rbf", "C": 1.0, "gamma": 0.003, "f1_macro": 0.9, "f1_macro_std": 0.01, "explained_variance": 0.87},
    {"kernel": "linear", "C": 1.0, "gamma": 0.0, "f1_macro": 0.95, "f1_macro_std": 0.02, "explained_variance": 0.87},
    {"kernel": "rbf", "C": 10.0, "gamma": 0.003, "f1_macro": 0.93, "f1_macro_std": 0.01, "explained_variance": 0.87},
]


@pytest.fixture
def sleepers() -> Iterator[list[subprocess.Popen[bytes]]]:
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        process.kill()
        process.wait()


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
    monkeypatch.setattr("maskdet.jobs.time", SimpleNamespace(time=lambda: now, sleep=time.sleep))
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
    assert "Waits for 1 job before it." in shown
    assert "2 trainings are not done yet: this one is queued behind." in shown
    (bar,) = app.get("progress")
    assert bar.proto.text == "epoch 2 of 3, batch 1 · 44 % · about 45 s left"
    low, high = binomtest(18, 20).proportion_ci(method="wilson")
    assert f"Epoch 2: validation accuracy 0.900 ({low:.3f}–{high:.3f}, n = 20)" in shown
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


def test_what_hinders_a_resumption_is_said_in_its_place(sample: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def launch(*args: Any) -> None:
        raise MaskDetError("The disk is full.")

    monkeypatch.setattr("ui.training_jobs.launch", launch)
    add_unfinished(sample, "cnn-1", "cnn", HISTORY)
    app = press(visit(sample, monkeypatch), "resume_cnn-1")
    assert [error.value for error in app.error] == ["The disk is full."]


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
    assert "Macro F1 **0.500 (0.250–0.750)** on n = 8 test faces" in shown


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


def test_the_curves() -> None:
    figure = learning_curves(pd.DataFrame(HISTORY), "loss", epochs=4, uirevision="a")
    lines = {trace.name: list(trace.y) for trace in figure.data}
    assert lines == {"training": [0.7, 0.5], "validation": [0.6, 0.4], "epoch kept": [0.4]}
    assert tuple(figure.layout.xaxis.range) == (0.5, 4.5)
    assert figure.layout.uirevision == "a"
    assert learning_curves(pd.DataFrame(HISTORY), "loss").layout.xaxis.range is None  # of a run that is finished
    assert figure.layout.shapes[0].x0 == 1.5  # all layers are trained from the second epoch on
    watched = pd.DataFrame([entry | {"watched_loss": 0.9, "watched_accuracy": 0.25} for entry in HISTORY])
    assert list(learning_curves(watched, "accuracy", epochs=4).data[3].y) == [0.25, 0.25]
    assert "No intervals" in epoch_text(watched, {})
    assert "watched accuracy 0.250 (" in epoch_text(watched, {"val_": 20, "watched_": 4})


def test_ticks_at_round_numbers() -> None:
    assert [tick_step(epochs) for epochs in (1, 10, 11, 20, 21, 50, 70, 101, 1000)] == [1, 1, 2, 2, 5, 5, 10, 20, 100]


def test_the_grid_chart_has_a_line_a_kernel_and_gamma() -> None:
    figure = grid_scores(pd.DataFrame(GRID), uirevision="a")
    assert figure.layout.uirevision == "a"
    assert explained_variance(pd.DataFrame(GRID)).startswith("The principal components keep 87.0 % of the variance")
    assert explained_variance(pd.DataFrame(HISTORY)) == ""
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
