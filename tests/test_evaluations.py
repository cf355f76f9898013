"""Runs judged on other data: which faces are fair, what is known of them, and evaluations that are kept."""

import json
from pathlib import Path

import pandas as pd
import pytest
from written_runs import predictions, write_run

from maskdet.errors import WorkspaceError
from maskdet.evaluations import Evaluation, coverage, load_evaluation, save_evaluation, seen_faces, unseen_test_faces
from maskdet.metrics import evaluate_predictions
from maskdet.runs import Run
from maskdet.workspace import Workspace, write_table


def split_of(*rows: tuple[str, str, int, str, str]) -> pd.DataFrame:
    """A split's table: face, label, group, split, pool."""
    table = pd.DataFrame(rows, columns=["face_id", "label", "group", "split", "pool"])
    return table.assign(dataset="a")


def evaluation(table: pd.DataFrame) -> Evaluation:
    return Evaluation(evaluate_predictions(table), table, "new", False, 3, 1.25)


def test_a_look_alike_of_a_face_seen_is_not_fair() -> None:
    table = split_of(
        ("a/1", "with_mask", 1, "test", "main"),
        ("a/2", "with_mask", 2, "test", "main"),  # seen
        ("a/3", "with_mask", 2, "test", "main"),  # a look-alike of it
        ("a/4", "with_mask", 3, "train", "main"),
        ("a/5", "incorrect_mask", 4, "test", "main"),
        ("a/6", "without_mask", 5, "test", "main"),
    )
    assert unseen_test_faces(table, ["a/2", "gone"])["face_id"].tolist() == ["a/1", "a/6"]


def test_what_the_base_saw_counts_as_seen(tmp_path: Path) -> None:
    base = write_run(tmp_path, "base", table=predictions(6, first=600))
    run = write_run(tmp_path, "run", "cnn-transfer", base="base", table=predictions(6))
    own = {"a/0000.png", "a/0001.png", "a/0003.png", "a/0004.png"}
    assert seen_faces(run, [run]) == own
    assert seen_faces(run, [base, run]) == own | {"a/0600.png", "a/0601.png", "a/0603.png", "a/0604.png"}


def test_coverage_takes_labels_and_groups_of_the_split(tmp_path: Path) -> None:
    run = write_run(tmp_path, "run", table=predictions(6, datasets=("a",)))  # test faces a/0002.png and a/0005.png
    table = split_of(
        ("a/0002.png", "without_mask", 7, "test", "main"),  # relabelled since
        ("a/0005.png", "without_mask", 8, "train", "main"),  # no test face any more
        ("a/0001.png", "with_mask", 9, "test", "main"),  # it validated on it
        ("a/new.png", "with_mask", 10, "test", "main"),  # not predicted yet
        ("a/sim.png", "with_mask", 11, "test", "pre-training"),  # of the other pool
    )
    covered = coverage(run, table, seen_faces(run, [run]))
    assert covered.predictions[["face_id", "label", "group"]].to_numpy().tolist() == [["a/0002.png", "without_mask", 7]]
    assert covered.predictions["logit"].tolist() == [-2.0]
    assert (covered.missing, covered.seen) == (1, 1)
    again = pd.DataFrame({"face_id": ["a/new.png", "a/0002.png"], "logit": [1.0, 3.0], "p_without_mask": [0.7, 0.95]})
    fuller = coverage(run, table, seen_faces(run, [run]), Evaluation({}, again, "new", False, 0, 1.0))
    assert fuller.predictions["logit"].tolist() == [3.0, 1.0]  # what was predicted last counts
    assert (fuller.missing, fuller.seen) == (0, 1)


def test_an_evaluation_is_kept(workspace: Workspace, tmp_path: Path) -> None:
    run = write_run(tmp_path, "run")
    assert load_evaluation(workspace, run, "new") is None
    table = predictions()
    save_evaluation(workspace, run, "new", evaluation(table))
    kept = load_evaluation(workspace, run, "new")
    assert kept is not None
    pd.testing.assert_frame_equal(kept.predictions, table)
    assert (kept.fingerprint, kept.same_data, kept.left_out, kept.seconds) == ("new", False, 3, 1.25)
    assert kept.metrics == evaluate_predictions(table)
    assert load_evaluation(workspace, run, "another") is None


def test_a_damaged_evaluation_is_a_sentence(workspace: Workspace, tmp_path: Path) -> None:
    run = write_run(tmp_path, "run")
    save_evaluation(workspace, run, "new", evaluation(predictions()))
    record = workspace.path("evaluations", "run-new.json")
    text = record.read_text()
    left_out = f'"left_out": {json.loads(text)["left_out"]}'
    odd = [text.replace(left_out, f'"left_out": {number}') for number in ("Infinity", "-1", "9" * 400)]
    for damaged in (
        "{", "[]", text.replace('"run": "run"', '"run": "other"'), text.replace('"seconds"', '"s"'), *odd
    ):  # fmt: skip
        assert damaged != text
        record.write_text(damaged)
        with pytest.raises(WorkspaceError, match=r"run-new\.json"):
            load_evaluation(workspace, run, "new")
    record.write_text(text)
    write_table(record.with_suffix(".parquet"), predictions().drop(columns="logit"))
    with pytest.raises(
        WorkspaceError,
        match=r"run-new\.parquet cannot be read \(it has no column logit\): `python -m maskdet evaluate RUN` makes",
    ):
        load_evaluation(workspace, run, "new")


def test_an_unreadable_run_is_a_sentence(tmp_path: Path) -> None:
    run = write_run(tmp_path, "run")
    (run.folder / "predictions.parquet").unlink()
    with pytest.raises(WorkspaceError, match="cannot be read"):
        seen_faces(Run(run.folder, run.record), [])
