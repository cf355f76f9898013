"""What several pages read of one file is read once, and again when the file has changed."""

import os
from pathlib import Path

import pytest
from written_runs import predictions, write_run

import ui.cached
from maskdet.runs import open_run
from maskdet.workspace import write_table
from ui.cached import predictions_of, stamp


def test_a_file_has_another_stamp_after_each_write(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    assert stamp(path) == 0
    path.write_text("1")
    second = 1_700_000_000 * 10**9
    os.utime(path, ns=(second, second + 1_000))
    assert stamp(path) == second + 1_000
    os.utime(path, ns=(second, second + 1_100))  # within what a time in seconds, as a float, can tell apart
    assert stamp(path) == second + 1_100


def test_a_runs_test_faces_are_read_once_for_all_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read, own_faces = [], ui.cached.own_faces
    monkeypatch.setattr(ui.cached, "own_faces", lambda run: read.append(run.id) or own_faces(run))
    run = write_run(tmp_path, "a")
    first = predictions_of(run)
    assert predictions_of(run) is first
    assert read == ["a"]
    assert len(first) == 20  # of 60 faces, each third is one of the test

    write_table(run.folder / "predictions.parquet", predictions(30))
    assert len(predictions_of(open_run(run.folder))) == 10  # a run holds what it has read
    assert read == ["a", "a"]


def test_results_and_bias_share_what_was_read() -> None:
    import ui.bias_data
    import ui.results_data

    assert ui.bias_data.predictions_of is ui.results_data.predictions_of is predictions_of
