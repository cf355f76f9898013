"""Commands that are killed at any moment, that meet a full disk, or may not write: nothing that is finished is lost.

What a fault leaves is read before and after the same command is run once more (see `killer`).
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from factories import write_tiny
from shell_checks import SMALL

from maskdet.facetable import scan
from maskdet.workspace import Workspace

PROJECT = Path(__file__).resolve().parents[1]
#: Commands, and how many moments there are at the least at which they change the disk.
QUICK = {
    "scan": (["scan", "{photos}", "--jobs", "1"], 12),
    "filter": (["filter", "--hash-distance", "3"], 4),
    "decisions": (["decisions", "--import", "{decisions}"], 3),
}
#: The same; the longest are killed at every n-th moment only.
SLOW = {
    "split": (["split", "--seed", "1"], 8, "kill"),
    "evaluate": (["evaluate", "svm-1"], 4, "kill"),
    "train": (["train", "svm", *SMALL], 12, "kill"),
    "train-network": (["train", "cnn", "--epochs", "2"], 5, "kill/4"),
    "calibrate": (["calibrate", "svm-1"], 4, "kill"),
    "attributes": (["bias", "data", "--attributes", "{attributes}", "--part", "shortcuts"], 2, "kill"),
    "bias": (["bias", "svm-1", "--part", "counterfactuals", "--sample", "2", "--again"], 6, "kill"),
    "bias-heatmaps": (["bias", "svm-1", "--part", "attention", "--sample", "2", "--again"], 9, "kill"),
    "sample": (["sample"], 5, "kill/29"),
}


def struck(home: Path, tmp_path: Path, fault: str, command: list[str]) -> list[dict[str, Any]]:
    """Run a command under a fault; what `killer` reports of each run."""
    write_tiny(tmp_path / "photos/more", {"with_mask": 4, "without_mask": 4}, seed=5)
    (tmp_path / "decisions.csv").write_text("face_id,decision\ntiny/with_mask/001.png,drop\n")
    (tmp_path / "attributes.csv").write_text("face_id,age\ntiny/with_mask/001.png,old\n")
    paths = {"photos": tmp_path / "photos", "decisions": tmp_path / "decisions.csv",
             "attributes": tmp_path / "attributes.csv"}  # fmt: skip
    said = [part.format_map({name: str(path) for name, path in paths.items()}) for part in command]
    subprocess.run(
        [sys.executable, str(PROJECT / "tests/killer.py"), str(home), str(tmp_path / "out"), fault, *said],
        check=True, cwd=PROJECT, env={**os.environ, "PYTHONPATH": str(PROJECT), "CUDA_VISIBLE_DEVICES": ""},
    )  # fmt: skip
    report: dict[str, Any] = json.loads((tmp_path / "out/report.json").read_text())
    assert report["ended_unharmed"], f"{len(report['runs'])} runs, and the fault still strikes: let it skip moments"
    runs: list[dict[str, Any]] = report["runs"]
    return runs


def assert_nothing_is_lost(report: list[dict[str, Any]]) -> None:
    for entry in report:
        assert (entry["lost"], entry["again"], entry["damaged_after"], entry["unknown"]) == ([], 0, [], []), entry


def assert_killed_at_any_moment(home: Path, tmp_path: Path, fault: str, command: list[str], least: int) -> None:
    report = struck(home, tmp_path, fault, command)
    assert len(report) >= least
    assert {entry["status"] for entry in report} == {-9}
    assert_nothing_is_lost(report)


@pytest.mark.parametrize("name", QUICK)
def test_killed_at_every_moment(full_home: Path, tmp_path: Path, name: str) -> None:
    command, least = QUICK[name]
    assert_killed_at_any_moment(full_home, tmp_path, "kill", command, least)


@pytest.mark.sweep
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", SLOW)
def test_longer_work_killed_at_every_moment(full_home: Path, tmp_path: Path, name: str) -> None:
    command, least, fault = SLOW[name]
    assert_killed_at_any_moment(full_home, tmp_path, fault, command, least)


@pytest.mark.sweep
def test_forgetting_one_of_two_datasets_killed_at_every_moment(full_home: Path, tmp_path: Path) -> None:
    """It ends before or behind one moment. Forgetting the only one is no fault to look for: its tables have to go."""
    home = Workspace(tmp_path / "home")
    shutil.copytree(full_home, home.home)
    write_tiny(tmp_path / "other/more", {"with_mask": 4, "without_mask": 4}, seed=5)
    scan(home, tmp_path / "other", jobs=1)
    report = struck(home.home, tmp_path, "kill", ["forget", "more"])
    assert len(report) >= 8
    for entry in report:
        assert (entry["lost"], entry["damaged_after"], entry["unknown"]) == ([], [], []), entry
        assert entry["again"] == 0 or "There is no dataset 'more' here" in entry["said_again"], entry
    assert [entry["again"] for entry in report] == sorted(entry["again"] for entry in report)


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        ("full", "filter"),
        ("read-only", "filter"),
        pytest.param("full", "scan", marks=pytest.mark.sweep),
        pytest.param("read-only", "scan", marks=pytest.mark.sweep),
        pytest.param("read-only", "decisions", marks=pytest.mark.sweep),  # their file is too small to fill a disk
    ],
)
def test_a_disk_that_takes_nothing_is_a_sentence(full_home: Path, tmp_path: Path, fault: str, name: str) -> None:
    report = struck(full_home, tmp_path, fault, QUICK[name][0])
    assert report
    for entry in report:
        assert entry["status"] == 1, entry
        assert "Traceback" not in entry["said"]
        assert entry["said"].count("Error: ") == 1
    assert_nothing_is_lost(report)
