"""What fuzzing found: each input broke something before it was mended (see ``docs/fuzzing.md``)."""

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from factories import prepared
from written_runs import predictions, write_run

from maskdet.balance import Balanced, load_balanced, save_balanced
from maskdet.bias.files import read_result, write_result
from maskdet.catalog import load_catalog
from maskdet.errors import MaskDetError, RunError, WorkspaceError, reason_of
from maskdet.facetable import load_faces
from maskdet.images import StoredImages, stored_images
from maskdet.jobs import list_jobs, read_job
from maskdet.measure import read_rows
from maskdet.models.checkpoint import FolderCheckpoint
from maskdet.quality import FilterOptions, load_filtered, options_from
from maskdet.reliability import fit_reliability, load_reliability, save_reliability
from maskdet.runs import list_runs, open_run, runs_table, unfinished_runs
from maskdet.split import load_split, saved_splits
from maskdet.study import STATE_FILE, StudyOptions, _state
from maskdet.suspects import out_of_sample
from maskdet.training_data import Plan
from maskdet.workspace import Workspace, is_record, read_json, read_table, write_json, write_table

ENTRY = '[mine]\nname = "Mine"\n'


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("one\ntwo"), "one"),
        (ValueError("\n \nsecond."), "second"),
        (ValueError(""), "ValueError"),
        (KeyError("a"), "missing 'a'"),
        (ValueError("x" * 400), "x" * 299 + "…"),
    ],
)
def test_a_reason_is_one_line_of_bounded_length(error: Exception, reason: str) -> None:
    assert reason_of(error) == reason


def test_a_damaged_table_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pd.DataFrame({"face_id": ["a"]}).to_parquet(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:60] + b"\xff" * 40 + whole[100:])  # of which pyarrow tells in several lines
    with pytest.raises(WorkspaceError) as refused:
        read_table(path)
    assert "\n" not in str(refused.value)


def test_a_table_without_a_column_that_is_needed_is_refused(tmp_path: Path) -> None:
    write_table(tmp_path / "a.parquet", pd.DataFrame({"b": [1], "a": [2]}))
    assert list(read_table(tmp_path / "a.parquet", ("a",))) == ["b", "a"]
    with pytest.raises(WorkspaceError, match="no column c"):
        read_table(tmp_path / "a.parquet", ("a", "c"))


@pytest.mark.parametrize("text", ["[" * 5000, '{"a": "\\ud800"}', '["\\uDFFF"]'])
def test_json_that_could_go_into_no_table_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(WorkspaceError):
        read_json(tmp_path / "a.json")


def test_json_with_characters_beyond_the_first_plane_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('"\\ud83d\\ude37"')
    assert read_json(tmp_path / "a.json") == "\U0001f637"


@pytest.mark.parametrize(
    ("value", "kinds", "holds"),
    [
        ({"a": 1}, {"a": int}, True),
        ({"a": True}, {"a": int}, False),
        ({"a": True}, {"a": bool}, True),
        ({"a": None}, {"a": (int, type(None))}, True),
        ({"a": float("nan")}, {"a": (int, float)}, False),
        ({"a": 10**30}, {"a": int}, False),
        ({}, {"a": int}, False),
        ([], {}, False),
    ],
)
def test_a_record_has_entries_of_their_kinds(value: Any, kinds: Any, holds: bool) -> None:
    assert is_record(value, kinds) is holds


@pytest.mark.parametrize(
    "line",
    ["name = 5", "licence = true", "kaggle = []", "source = 1.5", "synthetic = 'no'",
     "study = {photos = 'a', with_mask = 1, without_mask = 1}",
     "study = {photos = -1, with_mask = 1, without_mask = 1}",
     "study = {photos = true, with_mask = 1, without_mask = 1}"],
)  # fmt: skip
def test_a_catalog_with_a_value_of_another_kind_is_refused(line: str, tmp_path: Path) -> None:
    (tmp_path / "datasets.toml").write_text(ENTRY + "type = 'RMFD'\n")
    assert load_catalog(tmp_path / "datasets.toml")["mine"].type == "RMFD"
    (tmp_path / "datasets.toml").write_text("[mine]\n" + ("name = 'Mine'\n" if "name =" not in line else "") + line)
    with pytest.raises(MaskDetError):
        load_catalog(tmp_path / "datasets.toml")


JOB = {
    "command": ["train"],
    "created": "2026-01-01T00:00:00Z",
    "began": 1.0,
    "queue": "",
    "pid": 1,
    "process_started": 1.0,
}


def job_with(folder: Path, record: Any, *events: Any) -> Path:
    job = folder / "jobs/1"
    job.mkdir(parents=True)
    (job / "job.json").write_text(json.dumps(record))
    (job / "events.jsonl").write_text("".join(f"{json.dumps(event)}\n" for event in events))
    return job


@pytest.mark.parametrize(
    "change",
    [{"command": []}, {"command": [1]}, {"began": "a"}, {"pid": "1"}, {"pid": -1}, {"pid": 2**40}, {"created": None},
     {"process_started": None}],
)  # fmt: skip
def test_a_job_whose_record_is_damaged_is_refused_and_passed_over(change: dict[str, Any], tmp_path: Path) -> None:
    job = job_with(tmp_path, JOB | change)
    with pytest.raises(WorkspaceError):
        read_job(job)
    assert list_jobs(Workspace(tmp_path)) == []


@pytest.mark.parametrize(
    "event",
    [{"event": "progress", "time": 2.0}, {"event": "progress", "time": 2.0, "done": 1, "total": []},
     {"event": "progress", "time": "a", "done": 1, "total": 2}, {"event": "progress", "done": 1, "total": 2},
     {"event": "progress", "time": 2.0, "done": float("nan"), "total": 2}, {"event": ["finished"], "time": 2.0},
     {"event": "failed", "time": 2.0, "reason": {"a": 1}}],
)  # fmt: skip
def test_an_event_that_no_job_writes_is_passed_over(event: Any, tmp_path: Path) -> None:
    whole = {"event": "progress", "time": 2.0, "done": 1, "total": 4, "text": "one of four"}
    found = read_job(job_with(tmp_path, JOB, whole, event))
    assert (found.done, found.total, found.text) == (1, 4, "one of four")


@pytest.mark.parametrize(
    ("name", "text"),
    [("run.json", None), ("metrics.json", '{"intervals": []}'), ("metrics.json", '{"macro_f1": "a"}'),
     ("metrics.json", "[]")],
)  # fmt: skip
def test_a_run_of_odd_values_is_passed_over(name: str, text: str | None, tmp_path: Path, no_bundled_runs: None) -> None:
    run = write_run(Workspace(tmp_path), "svm-1", "svm")
    write_run(Workspace(tmp_path), "svm-2", "svm")
    (run.folder / name).write_text(text or json.dumps(run.record | {"data": {"fingerprint": 1, "faces": {}}}))
    assert [one.id for one in list_runs(Workspace(tmp_path))] == ["svm-2"]


@pytest.mark.parametrize(
    "change",
    [{"id": ["a"]}, {"model": {}}, {"created": 1}, {"seconds": {"fit": "a"}}, {"limit": "x"}, {"bundle": 1.5},
     {"balance": {"attribute": 1}}, {"format": True}, {"data": {"fingerprint": "a", "faces": {}, "pool": "x"}},
     {"data": {"fingerprint": "a", "faces": {}, "datasets": [1]}}],
)  # fmt: skip
def test_a_record_of_odd_values_is_no_run(change: dict[str, Any], tmp_path: Path) -> None:
    run = write_run(tmp_path, "svm-1", "svm")
    write_json(run.folder / "run.json", run.record | change)
    with pytest.raises(RunError):
        open_run(run.folder)


def test_a_run_with_few_figures_has_a_row(tmp_path: Path) -> None:
    run = write_run(tmp_path, "svm-1", "svm", seconds={})
    write_json(run.folder / "metrics.json", {})
    row = runs_table([open_run(run.folder)]).iloc[0]
    assert row["run"] == "svm-1"
    assert row[["macro_f1", "low", "test_faces", "fit_seconds"]].isna().all()


@pytest.mark.parametrize("text", ["10000000000.0", '[{"phase": []}]', '{"a": 1}', '[{"loss": "\\ud800"}]'])
def test_a_history_of_another_kind_is_refused(text: str, tmp_path: Path) -> None:
    run = write_run(tmp_path, "svm-1", "svm")
    (run.folder / "history.json").write_text(text)
    with pytest.raises((RunError, WorkspaceError)):
        _ = open_run(run.folder).history


def test_a_plan_without_names_is_passed_over(tmp_path: Path) -> None:
    partial = tmp_path / "runs/.svm-1.partial"
    partial.mkdir(parents=True)
    write_json(partial / "plan.json", {"id": "svm-1", "model": "svm"})
    assert [one.id for one in unfinished_runs(Workspace(tmp_path))] == ["svm-1"]
    write_json(partial / "plan.json", {"id": None, "model": {}})
    assert unfinished_runs(Workspace(tmp_path)) == []


@pytest.mark.parametrize(
    "stored",
    [
        {},
        {"model": []},
        {"model": "svm", "left_out": None},
        {"model": "svm", "limit": "a"},
        {"model": "svm", "watched": [1]},
    ],
)
def test_a_plan_of_odd_values_is_refused(stored: dict[str, Any]) -> None:
    with pytest.raises(MaskDetError):
        Plan.of(stored)


def test_a_checkpoint_without_a_history_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "checkpoint.npz", history=np.array('{"a": 1}'))
    with pytest.raises(RunError, match="no history"):
        FolderCheckpoint(tmp_path).load()


@pytest.mark.parametrize("steps", [None, [], {"svm": 1}, {"svm": {"run": ["a"]}}])
def test_a_state_without_steps_is_no_study(steps: Any, tmp_path: Path) -> None:
    options = {"weights": "imagenet", "cut": "mixed10", "seed": 0, "epochs": None, "limit": None}
    write_json(tmp_path / STATE_FILE, {"options": options, "fingerprint": "", "environment": {}, "steps": steps})
    with pytest.raises(WorkspaceError, match="no state of a study"):
        _state(Workspace(tmp_path), StudyOptions())


@pytest.mark.parametrize("change", ["twice", "face_id", "p_without_mask"])
def test_predictions_that_name_a_face_twice_or_lack_a_column_are_refused(change: str, tmp_path: Path) -> None:
    run = write_run(tmp_path, "svm-1", "svm")
    table = predictions().drop(columns="split")
    table = pd.concat([table, table]) if change == "twice" else table.drop(columns=change)
    write_table(run.folder / "out_of_sample.parquet", table)
    with pytest.raises(RunError, match="damaged"):
        out_of_sample(run)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    prepared(Workspace(folder / "home"), folder / "data", {"with_mask": 6, "without_mask": 6}, size=24)
    return folder / "home"


@pytest.fixture
def home(small: Path, tmp_path: Path) -> Workspace:
    import shutil

    shutil.copytree(small, tmp_path / "home")
    return Workspace(tmp_path / "home")


@pytest.mark.parametrize(
    ("column", "value"),
    [("width", None), ("width", "a"), ("brightness", float("inf")), ("phash", "x"), ("label", "Total"), ("dataset", 1),
     ("face_id", "a"), ("pixels_digest", None)],
)  # fmt: skip
def test_a_face_table_of_odd_values_is_refused(column: str, value: Any, home: Workspace) -> None:
    table = pd.read_parquet(home.path("faces.parquet"))
    write_table(home.path("faces.parquet"), table.assign(**{column: value}))
    with pytest.raises(WorkspaceError):
        load_faces(home)


@pytest.mark.parametrize("column", ["dataset", "photo", "reason"])
def test_rejects_without_a_column_are_refused(column: str, home: Workspace) -> None:
    rejects = pd.DataFrame(columns=["dataset", "photo", "reason"]).drop(columns=column)
    write_table(home.path("rejects.parquet"), rejects)
    with pytest.raises(WorkspaceError):
        load_faces(home)


def test_decisions_and_splits_without_a_column_are_refused(home: Workspace) -> None:
    faces = load_faces(home)
    for name, column, load in (("filtered", "removed_by", load_filtered), ("split", "split", load_split)):
        path = home.path(f"{name}.parquet")
        write_table(path, pd.read_parquet(path).drop(columns=column))
        with pytest.raises(WorkspaceError, match=f"no column {column}"):
            load(home, faces)


@pytest.mark.parametrize("text", ["{}", "[]", '{"options": 1, "faces_fingerprint": "a"}'])
def test_a_filter_of_odd_values_is_refused(text: str, home: Workspace) -> None:
    faces = load_faces(home)
    home.path("filter.json").write_text(text)
    with pytest.raises(WorkspaceError):
        load_filtered(home, faces)


@pytest.mark.parametrize("further", [[1], [[1, 2, 3]], ["a"], 5])
def test_options_of_odd_values_are_refused(further: Any) -> None:
    with pytest.raises(MaskDetError):
        options_from(FilterOptions, {"further": further})


@pytest.mark.parametrize("count", [{"a": 1}, "a", None])
def test_a_split_whose_counts_are_none_is_passed_over(count: Any, home: Workspace) -> None:
    faces = load_faces(home)
    for path in (home.path("split.json"), *home.path("splits").glob("*.json")):
        stored = read_json(path)
        assert len(saved_splits(home, faces)) == 1
        stored["counts"][0]["train"] = count
        write_json(path, stored)
    assert saved_splits(home, faces) == []


@pytest.mark.parametrize("weight", [0.0, float("nan"), float("inf"), "a"])
def test_training_faces_that_count_nothing_are_refused(weight: Any, tmp_path: Path) -> None:
    group = pd.Categorical(["x", "y"], ["x", "y", ""], ordered=True)
    faces = pd.DataFrame({"face_id": ["a", "b"], "label": ["with_mask", "without_mask"], "group": group, "weight": 1.0})
    save_balanced(tmp_path, Balanced("size", "equal", faces))
    assert len(load_balanced(tmp_path, "size", "equal").faces) == 2
    save_balanced(tmp_path, Balanced("size", "equal", faces.assign(weight=weight)))
    with pytest.raises(RunError):
        load_balanced(tmp_path, "size", "equal")


def test_arrays_that_cannot_be_unpacked_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_result(path, {}, pd.DataFrame({"a": [1]}), {"maps": np.arange(999.0)})
    part = path.with_suffix(".npz")
    whole = part.read_bytes()
    at = whole.index(b"maps.npy") + 28  # in the middle of what is packed
    part.write_bytes(whole[:at] + b"\xff" * 60 + whole[at + 60 :])
    record = read_json(path)
    record["digests"][".npz"] = hashlib.sha256(part.read_bytes()).hexdigest()
    write_json(path, record)
    with pytest.raises(WorkspaceError, match="cannot be read"):
        read_result(path, arrays=True)


HEAD = b"\x93NUMPY\x01\x00v\x00{'descr': '|u1', 'fortran_order': False, 'shape': (1, 150, 150, "


@pytest.mark.parametrize("head", [HEAD, b"PK", b"", HEAD.replace(b"|u1", b"<f4") + b"3), }"])
def test_measured_faces_with_a_damaged_head_are_refused(head: bytes, home: Workspace) -> None:
    faces = load_faces(home)
    home.path("shards", f"{faces.table['shard'].iloc[0]}.npy").write_bytes(head.ljust(127) + b"\n" + bytes(67500))
    with pytest.raises(WorkspaceError, match="incomplete"):
        stored_images(home, faces, faces.table["face_id"])


def test_an_archive_in_the_place_of_measured_faces_is_refused(tmp_path: Path) -> None:
    written = io.BytesIO()
    np.savez(written, a=np.zeros(3))
    (tmp_path / "s.npy").write_bytes(written.getvalue())
    with pytest.raises(WorkspaceError, match="incomplete"):
        StoredImages(tmp_path, np.array(["s"], dtype=object), np.array([0]))


@pytest.mark.parametrize("text", ["{}", "[1]", "[" * 5000])
def test_rows_that_are_none_are_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "k.json").write_text(text)
    with pytest.raises(WorkspaceError, match=r"k\.json cannot be read"):
        read_rows("k", tmp_path)


@pytest.mark.parametrize(
    "change",
    [{"mean": np.zeros((6, 1))}, {"components": np.zeros(6)}, {"index": np.full((40, 7), np.nan)}, {"temperature": 0.0},
     {"low": 0.9, "high": 0.1}, {"step": 0}, {"neighbour": -1}, {"distance_threshold": float("nan")}],
)  # fmt: skip
def test_reliability_of_odd_values_is_refused(change: dict[str, Any], tmp_path: Path) -> None:
    rng, labels = np.random.default_rng(1), np.arange(20) % 2
    fitted = fit_reliability(
        rng.random((40, 6), np.float32),
        [f"{n}" for n in range(40)],
        rng.random((20, 6), np.float32),
        labels * 4.0 - 2,
        labels,
    )
    save_reliability(tmp_path, fitted)
    assert load_reliability(tmp_path) is not None
    with np.load(tmp_path / "reliability.npz") as stored:
        arrays = {name: stored[name] for name in stored.files}
    numbers = read_json(tmp_path / "reliability.json")
    np.savez(tmp_path / "reliability.npz", **{name: change.get(name, array) for name, array in arrays.items()})
    (tmp_path / "reliability.json").write_text(
        json.dumps({**numbers, **{k: v for k, v in change.items() if k in numbers}})
    )
    with pytest.raises(RunError):
        load_reliability(tmp_path)
