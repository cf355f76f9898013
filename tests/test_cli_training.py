"""The shell's commands that train: options of any model, jobs, what was cut and goes on, and the study."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Shell
from factories import Cut, cut_after, prepared, use_small_networks
from shell_checks import SMALL, assert_one_line, status_and_error

from maskdet.errors import MaskDetError
from maskdet.runs import unfinished_runs
from maskdet.train import train as train_model
from maskdet.workspace import Workspace, write_json

# --- training --------------------------------------------------------------------------------------------------------


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


def test_train_hands_the_balancing_on(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Any, Any]] = []

    def train(workspace: Any, model: str, options: Any, *, balance: Any, balance_target: Any, **_more: Any) -> None:
        seen.append((balance, balance_target))
        raise MaskDetError("seen")

    monkeypatch.setattr("maskdet.train.train", train)
    shell("train", "svm")
    shell("train", "svm", "--balance", "size")
    shell("train", "svm", "--balance", "skin_tone", "--balance-target", "equal")
    assert seen == [(None, "independent"), ("size", "independent"), ("skin_tone", "equal")]


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What `train` was asked to do."""
    seen: list[dict[str, Any]] = []

    def train(_workspace: Any, model: str, options: dict[str, Any], **more: Any) -> None:
        seen.append({"model": model, "options": options, **more})
        raise MaskDetError("seen")

    monkeypatch.setattr("maskdet.train.train", train)
    return seen


@pytest.fixture
def split(workspace: Workspace, tmp_path: Path) -> Workspace:
    """The shell's workspace, with forty faces that are split."""
    prepared(workspace, tmp_path / "tiny-data", {"with_mask": 20, "without_mask": 20})
    return workspace


@pytest.fixture
def cut(split: Workspace, monkeypatch: pytest.MonkeyPatch) -> str:
    """The id of a training that was cut after its first grid point."""
    options = {"components": 4, "C": [1.0, 10.0], "kernel": ["linear"], "folds": 2, "jobs": 1}
    with monkeypatch.context() as patch:
        patch.setattr("maskdet.train.FolderCheckpoint", cut_after(1))
        with pytest.raises(Cut):
            train_model(split, "svm", options)
    return unfinished_runs(split)[0].id


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[dict[str, Any]]]:
    """Let the shell be a job; what it tells of itself but progress."""
    folder = tmp_path / "job"
    record = {"command": ["train"], "created": "2026-01-01T00:00:00", "began": 0, "pid": None, "process_started": 0}
    write_json(folder / "job.json", record)
    monkeypatch.setenv("MASKDET_JOB", str(folder))

    def told() -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
        return [{name: value for name, value in line.items() if name != "time"}
                for line in lines if line["event"] != "progress"]  # fmt: skip

    return told


def test_set_sets_any_option(shell: Shell, plans: list[dict[str, Any]]) -> None:
    shell("train", "cnn", "--set", "keep-best=false", "--set", "patience=3", "--set", "precision=float32",
          "--set", 'augmentation={"plan": "none"}', "--set", "learning_rate=1e-3", "--epochs", 2)  # fmt: skip
    shell("train", "svm", "--set", "C=[1, 2.5]", "--set", 'gamma=["scale"]')
    shell("train", "inceptionv3", "--weights", "a=b.h5", "--set", "frozen=true", "--set", "cut=mixed8")
    assert [plan["options"] for plan in plans] == [
        {"keep_best": False, "patience": 3, "precision": "float32", "augmentation": {"plan": "none"},
         "learning_rate": 0.001, "epochs": 2},
        {"C": [1, 2.5], "gamma": ["scale"]},
        {"weights": "a=b.h5", "frozen": True, "cut": "mixed8"},
    ]  # fmt: skip


def test_what_to_train_on(shell: Shell, plans: list[dict[str, Any]]) -> None:
    shell("train", "cnn")
    shell("train", "cnn", "--watch", "")
    shell("train", "cnn", "--watch", "2.2", "--watch", "3.1", "--leave-out", "3.2", "--leave-out", "2.1")
    shell("train", "cnn-transfer", "--base", "cnn-1", "--data", "abcdef", "--limit", 50, "--seed", 4)
    shell("train", "cnn", "--pool", "pre-training")
    names = ("fingerprint", "pool", "left_out", "watched", "base", "limit", "seed")
    assert [tuple(plan[name] for name in names) for plan in plans] == [
        (None, "main", (), ("auto",), None, None, 0),
        (None, "main", (), (), None, None, 0),
        (None, "main", ("3.2", "2.1"), ("2.2", "3.1"), None, None, 0),
        ("abcdef", "main", (), ("auto",), "cnn-1", 50, 4),
        (None, "pre-training", (), ("auto",), None, None, 0),
    ]
    assert [plan["model"] for plan in plans] == ["cnn", "cnn", "cnn", "cnn-transfer", "cnn"]


def test_a_dry_run_says_how_long_it_would_take(
    shell: Shell, split: Workspace, job: Callable[[], list[dict[str, Any]]]
) -> None:
    status, out, err = shell("train", "svm", *SMALL, "--dry-run")
    assert status == 0, err
    sentence = out.strip()
    assert re.fullmatch(r"About [\d hmins]+ to train svm with these options on this machine\.", sentence)
    assert job() == [{"event": "finished", "result": sentence}]
    assert not split.path("runs").exists()


def test_a_job_tells_which_run_it_writes(
    shell: Shell, split: Workspace, job: Callable[[], list[dict[str, Any]]]
) -> None:
    status, out, err = shell("train", "svm", *SMALL)
    assert status == 0, err
    run = out.strip().splitlines()[-1]
    assert (status, (split.path("runs", run, "run.json")).is_file()) == (0, True)
    assert job() == [{"event": "run", "run": run}, {"event": "finished", "result": run}]


def test_a_training_whose_history_is_damaged_is_listed_with_the_others(
    shell: Shell, split: Workspace, cut: str
) -> None:
    history = split.path("runs", f".{cut}.partial", "history.json")
    other = split.path("runs", ".svm-9.partial")
    shutil.copytree(history.parent, other)
    plan = json.loads((other / "plan.json").read_text())
    (other / "plan.json").write_text(json.dumps(plan | {"id": "svm-9"}))
    history.write_text("[")
    status, out, err = shell("runs")
    assert (status, err) == (0, "")
    assert f"{cut} was cut; `python -m maskdet resume {cut}` goes on. {history} cannot be read (" in out
    assert "svm-9 was cut after 1 epochs or grid points; `python -m maskdet resume svm-9` goes on." in out


def test_a_training_that_was_cut_is_listed_and_goes_on(
    shell: Shell, split: Workspace, cut: str, job: Callable[[], list[dict[str, Any]]]
) -> None:
    status, out, _ = shell("runs")
    assert status == 0
    assert f"{cut} was cut after 1 epochs or grid points; `python -m maskdet resume {cut}` goes on." in out
    status, out, err = shell("resume", cut)
    assert status == 0, err
    assert out.strip().splitlines()[-1] == cut
    assert "macro F1" in out
    assert job() == [{"event": "run", "run": cut}, {"event": "finished", "result": cut}]
    assert unfinished_runs(split) == []
    status, out, _ = shell("runs")
    assert "was cut" not in out
    assert cut in out
    assert_one_line(*status_and_error(shell("resume", cut)), "There is no unfinished training")


def test_a_training_that_was_cut_may_be_discarded(shell: Shell, split: Workspace, cut: str) -> None:
    status, out, _ = shell("runs", "--discard", cut)
    assert (status, cut in out) == (0, False)
    assert list(split.path("runs").iterdir()) == []
    assert_one_line(*status_and_error(shell("runs", "--discard", cut)), "There is no unfinished training")


# --- the study -------------------------------------------------------------------------------------------------------


STUDY = ["--weights", "none", "--cut", "mixed5", "--epochs", 1, "--limit", 24]


@pytest.fixture
def _studied(studied: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shell's workspace holds a study that is done."""
    shutil.copytree(studied / "home", workspace.home)
    use_small_networks(monkeypatch)
    monkeypatch.setattr("maskdet.study._FEWEST_WATCHED", 10)


@pytest.mark.usefixtures("_studied")
def test_a_study_goes_on_and_ships(shell: Shell, studied: Path, tmp_path: Path) -> None:
    status, out, err = shell("study", studied / "data", *STUDY, "--out", tmp_path / "ships")
    assert status == 0, err
    steps = json.loads((studied / "home/study.json").read_text())["steps"]
    runs = [step["run"] for step in steps.values() if "run" in step]
    assert len(runs) == 6
    for run in runs:
        assert run in out
    assert err.count("done already") == 6
    assert "the study of split" in err
    assert "float16" in out
    assert sum(path.is_dir() for path in (tmp_path / "ships").iterdir()) == 5
    assert_one_line(*status_and_error(shell("study", studied / "data")), "begun with other options")


@pytest.mark.parametrize(("folder", "words"), [("missing", "There is no folder"), ("empty", "No dataset found")])
def test_a_study_without_data(shell: Shell, tmp_path: Path, folder: str, words: str) -> None:
    """It says what it does, and then why it cannot."""
    (tmp_path / "empty").mkdir()
    status, _, err = shell("study", tmp_path / folder)
    scanning, error = err.strip().splitlines()
    assert scanning.startswith(f"Scanning {tmp_path / folder}")
    assert_one_line(status, error, words)


def test_a_place_that_a_study_cannot_ship_to_is_told_before_any_work(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not after hours of training."""
    monkeypatch.setattr("maskdet.study.run_study", lambda *_a, **_k: pytest.fail("work started"))
    (tmp_path / "mine/holiday").mkdir(parents=True)
    status, _, err = shell("study", tmp_path, "--out", tmp_path / "mine")
    assert_one_line(status, err, "holds other things than a study")
