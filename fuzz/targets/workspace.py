"""Targets: the files of a workspace, each damaged in turn; what is still accepted must be fit for the pages."""

import json
import os
import time
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import psutil
import written_findings
from factories import prepared
from faulty import fill_bias, fill_job
from written_runs import predictions, write_run

from fuzz.mutate import json_lines
from fuzz.mutate_files import by_kind
from fuzz.target import (
    Damaged,
    Prepared,
    Target,
    after_first,
    check,
    check_finite,
    check_sentence,
    check_text,
    damaged_folder,
    refusals,
)
from maskdet.attribution.analysis import save_analysis
from maskdet.bundle import _runs as runs_of_study
from maskdet.bundle import require_place
from maskdet.catalog import load_catalog
from maskdet.decisions import DECISIONS, load_decisions, save_decisions
from maskdet.evaluations import load_evaluation, save_evaluation
from maskdet.explore import dataset_table, with_faces_in_photo
from maskdet.facetable import label_split, load_faces
from maskdet.images import stored_images
from maskdet.integrity import inspect
from maskdet.jobs import Job, State, list_jobs, read_job
from maskdet.labels import LABELS
from maskdet.measure import read_rows
from maskdet.models.checkpoint import FolderCheckpoint
from maskdet.quality import apply_filters, load_filtered, margins
from maskdet.review import removals
from maskdet.runs import Unfinished, unfinished_runs
from maskdet.seals import resealed
from maskdet.split import SPLITS, load_split, saved_splits, split_table
from maskdet.study import STATE_FILE, StudyOptions, _state
from maskdet.train import Evaluation
from maskdet.workspace import Workspace, read_json, read_table, write_json

_FACES = 12


def small_workspace(folder: Path) -> Workspace:
    """Twelve drawn faces, scanned, filtered and split, one of them decided by hand."""
    home = Workspace(folder / "home")
    faces = prepared(home, folder / "data", {"with_mask": _FACES // 2, "without_mask": _FACES // 2}, size=24)
    save_decisions(home, {str(faces.table["face_id"].iloc[0]): "keep"})
    return home


def _faces(folder: Path) -> Prepared:
    home = small_workspace(folder)

    def use() -> None:
        faces = load_faces(home)
        table = faces.table
        check(set(table["label"]) <= set(LABELS), "a label that there is not")
        check(not table["face_id"].duplicated().any(), "a face twice")
        for name in ("face_id", "dataset", "photo"):
            for value in table[name].head(3):
                check_text(value)
        for reason in faces.rejects["reason"].head(3):
            check_text(reason)
        check(len(faces.fingerprint) == 16, "no fingerprint")
        check(set(faces.missing) <= set(faces.roots), "a dataset that is not there is gone")
        check(label_split(faces)["faces"].iloc[-1] == len(table), "another number of faces")
        dataset_table(faces, load_catalog(), "drop")
        check(len(with_faces_in_photo(table)) == len(table), "another number of rows")
        filtered = apply_filters(faces)
        check(len(filtered.table) == len(table), "another number of decisions")
        check(len(margins(table, filtered.options)) == len(table), "another number of margins")

    return damaged_folder(home.home, ("datasets.json", "faces.parquet", "rejects.parquet"), use)


def _decided(folder: Path) -> Prepared:
    home = small_workspace(folder)
    faces = load_faces(home)
    archived = next(path.relative_to(home.home).as_posix() for path in home.path("splits").glob("*.json"))

    def use() -> None:
        with refusals():
            decisions = load_decisions(home)
            check(set(decisions.values()) <= set(DECISIONS), "a decision that there is not")
        with refusals():
            filtered = load_filtered(home, faces)
            check({"face_id", "label", "removed_by"} <= set(filtered.table), "a column is missing")
            removals(faces, filtered)
        with refusals():
            split = load_split(home, faces)
            check(set(split.table["split"]) <= set(SPLITS), "a split that there is not")
            check(int(split_table(split)["faces"].sum()) == len(split.table), "another number of faces")
        for saved in saved_splits(home, faces):
            check_text(saved.fingerprint)
            check_text(saved.created)
            check(saved.counts["train"].sum() >= 0, "less than no faces")

    names = ("filter.json", "filtered.parquet", "split.json", "split.parquet", "decisions.json", archived)
    return damaged_folder(home.home, names, use)


def _shards(folder: Path) -> Prepared:
    home = small_workspace(folder)
    faces = load_faces(home)
    key = str(faces.table["shard"].iloc[0])

    def use() -> None:
        with refusals():
            for row in read_rows(key, home.path("shards")):
                check(isinstance(row, dict), "a row that is none")
        with refusals():
            images = stored_images(home, faces, faces.table["face_id"])
            pixels = images.take(np.arange(len(faces.table)))
            check(pixels.shape == (len(faces.table), 150, 150, 3) and pixels.dtype == np.uint8, f"{pixels.shape}")

    prepared_shards = damaged_folder(home.home, (f"shards/{key}.json", f"shards/{key}.npy"), use)
    content = home.path("shards", f"{key}.npy").read_bytes()
    return Prepared(prepared_shards.run, [prepared_shards.seeds[0], b"\1" + content[:6000]])


def _training(folder: Path) -> Prepared:
    """The folder of a training that was cut."""
    home = Workspace(folder / "home")
    partial = home.path("runs", ".cnn-1.partial")
    partial.mkdir(parents=True)
    plan = {
        "id": "cnn-1",
        "model": "cnn",
        "created": "2026-01-02T03:04:05Z",
        "options": {"epochs": 3},
        "seed": 0,
        "limit": 24,
        "fingerprint": "abc",
        "pool": "main",
        "left_out": [],
        "watched": [],
        "base": None,
    }
    write_json(partial / "plan.json", plan)
    history: list[dict[str, float | str]] = [{"epoch": 1, "phase": 1, "loss": 0.5, "val_loss": 0.4}]
    FolderCheckpoint(partial).save(history, {"network/0": np.ones((2, 3), np.float32), "epoch": np.array(1)})

    def use() -> None:
        for unfinished in unfinished_runs(home):
            _check_unfinished(unfinished)
        with refusals():
            kept = FolderCheckpoint(partial).load()
            if kept is not None:
                check(isinstance(kept[0], list) and all(isinstance(entry, dict) for entry in kept[0]), "no history")
                check(all(array.dtype.kind != "O" for array in kept[1].values()), "objects, which are pickled")

    names = ("plan.json", "history.json", "checkpoint.npz")
    return damaged_folder(home.home, tuple(f"runs/.cnn-1.partial/{name}" for name in names), use)


def _check_unfinished(unfinished: Unfinished) -> None:
    for value in (unfinished.id, unfinished.model_name):
        check_text(value)
        check(value, "a training without a name")
    check(isinstance(unfinished.resumable, bool) and isinstance(unfinished.active, bool), "neither cut nor not")
    with refusals():
        check(isinstance(unfinished.history, pd.DataFrame), "no history")


def _job(folder: Path) -> Prepared:
    home = Workspace(folder / "home")
    job = home.path("jobs", "20260102-030405-000000-train")
    job.mkdir(parents=True)
    this = psutil.Process()
    record = {
        "command": ["train", "svm"],
        "created": "2026-01-02T03:04:05Z",
        "began": time.time() - 60,
        "queue": "training",
        "pid": os.getpid(),
        "process_started": this.create_time(),
    }
    write_json(job / "job.json", record)
    now = time.time()
    events: list[dict[str, Any]] = [
        {"event": "queued", "time": now - 50},
        {"event": "started", "time": now - 40},
        {"event": "run", "time": now - 39, "run": "svm-1"},
        *(
            {"event": "progress", "time": now - 30 + n, "done": n, "total": 9, "text": f"grid point {n}"}
            for n in range(5)
        ),
    ]
    (job / "events.jsonl").write_text("".join(f"{json.dumps(event)}\n" for event in events))
    (job / "output.log").write_bytes(b"Traceback (most recent call last):\n  File\nValueError: x\n")

    def use() -> None:
        for found in list_jobs(home):
            _check_job(found)
        with refusals():
            read_job(job)

    base = job.relative_to(home.home).as_posix()
    prepared_job = damaged_folder(home.home, (f"{base}/job.json", f"{base}/events.jsonl", f"{base}/output.log"), use)
    ended = b"\1" + json.dumps({"event": "failed", "time": now, "reason": "No faces."}).encode() + b"\n"
    return Prepared(prepared_job.run, [*prepared_job.seeds, ended])


def _check_job(found: Job) -> None:
    """What the pages show of a job."""
    check(found.state in get_args(State), f"the state {found.state!r:.80}")
    texts = (found.created, found.text, found.result, found.reason, found.run, found.queue, found.log)
    for value in (*texts, *found.command):
        check_text(value)
    check_finite(found.seconds, "the working time", low=0)
    check_finite(found.done, "what is done")
    check_finite(found.total, "what there is to do")
    if found.seconds_left is not None:
        check_finite(found.seconds_left, "the time left", low=0)


def _study(folder: Path) -> Prepared:
    """How far a study has come, and a bundle's description."""
    home = Workspace(folder / "home")
    options = StudyOptions()
    state = {
        "options": {
            "weights": options.weights,
            "cut": options.cut,
            "seed": options.seed,
            "epochs": options.epochs,
            "limit": options.limit,
        },
        "fingerprint": "abc",
        "environment": {},
        "steps": {"svm": {"run": "svm-1", "seconds": 3.0}},
        "shipped": [],
    }
    write_json(home.path(STATE_FILE), state)

    def use() -> None:
        with refusals():
            known = _state(home, options)
            check(isinstance(known["steps"], dict) and isinstance(known["fingerprint"], str), "a state without steps")
            for step in known["steps"].values():
                step.get("run")
            runs_of_study(home, known)
        with refusals():
            require_place(home.home)

    return damaged_folder(home.home, (STATE_FILE,), use)


def _evaluation(folder: Path) -> Prepared:
    home = Workspace(folder / "home")
    run = write_run(home, "svm-1", "svm")
    table = predictions()[["face_id", "dataset", "label", "group", "split", "logit", "p_without_mask"]]
    save_evaluation(home, run, "abcdef", Evaluation(dict(run.metrics), table, "abcdef", False, 0, 1.0))

    def use() -> None:
        found = load_evaluation(home, run, "abcdef")
        if found is not None:
            check_finite(found.seconds, "the seconds", low=0)
            check_finite(found.left_out, "the faces left out", low=0)
            check({"face_id", "logit", "p_without_mask"} <= set(found.predictions), "a column is missing")

    stem = "evaluations/svm-1-abcdef"
    return damaged_folder(home.home, (f"{stem}.json", f"{stem}.parquet"), use)


def _condition(folder: Path) -> Prepared:
    """What is said of a workspace one of whose files is damaged: it is told, whatever the file holds, never raised."""
    # Three workspaces, each with a part of what there is: an input takes as long as all files of the one it damages.
    scanned, trained, judged = small_workspace(folder), Workspace(folder / "trained"), Workspace(folder / "judged")
    run = write_run(trained, "svm-1", "svm")
    (run.folder / "weights").mkdir()
    # One digest, so that it is damaged too; of what has one, nothing but the digest is looked at.
    write_json(run.folder / "run.json", resealed(run.folder, run.record, "history.json"))
    save_analysis(run.folder / "gradcam.json", written_findings.gradcam(run))
    fill_job(trained)
    fill_bias(judged, run)
    # Metrics by group alone take as long as all else of it; `findings` damages those.
    for path in judged.path("bias").rglob("groups-*.json"):
        path.unlink()
    files = {}
    for home in (scanned, trained, judged):
        whole = inspect(home)
        check(not whole.damaged and not whole.unknown, f"damaged from the start: {whole}")
        files[home.home.name] = whole.files
    names = tuple(
        path.relative_to(folder).as_posix()
        for home in files
        for path in sorted((folder / home).rglob("*"))
        if path.suffix in (".json", ".jsonl", ".parquet", ".npz")
    )
    damaged = Damaged(folder, names)

    def run_input(data: bytes) -> None:
        with damaged.by(data) as name:
            home = name.partition("/")[0]
            found = inspect(Workspace(folder / home))
        check(found.files == files[home], "a file that was not looked at")
        for sentence in found.damaged:
            check_sentence(sentence)

    return Prepared(run_input, damaged.seeds)


def _file(folder: Path) -> Prepared:
    """Any JSON or Parquet file, by the two functions that read all of them."""
    path, other = folder / "a.json", folder / "a.parquet"

    def run(data: bytes) -> None:
        path.write_bytes(data)
        other.write_bytes(data)
        with refusals():
            read_json(path)
        with refusals():
            check(isinstance(read_table(other), pd.DataFrame), "no table")

    table = pd.DataFrame(
        {"face_id": ["a/1.png", "a/2.png"], "size": [1.5, np.nan], "group": pd.Categorical(["x", "y"])}
    )
    table.to_parquet(other)
    return Prepared(run, [other.read_bytes(), b'{"a": [1, 2.5, null, "\\u00e4"]}', b"[" * 3000, b"NaN"])


_FILES = after_first(by_kind)
TARGETS = (
    Target("faces", _faces, ("maskdet.facetable.load_faces",), _FILES, most_bytes=1 << 16),
    Target(
        "decided",
        _decided,
        (
            "maskdet.quality.load_filtered",
            "maskdet.split.load_split",
            "maskdet.split.saved_splits",
            "maskdet.decisions.load_decisions",
        ),
        _FILES,
        most_bytes=1 << 16,
    ),
    Target(
        "shards", _shards, ("maskdet.measure.read_rows", "maskdet.images.StoredImages.take"), _FILES, most_bytes=1 << 15
    ),
    Target(
        "training",
        _training,
        (
            "maskdet.runs.unfinished_runs",
            "maskdet.models.checkpoint.FolderCheckpoint.load",
            "maskdet.models.checkpoint.read_history",
        ),
        _FILES,
    ),
    Target(
        "job",
        _job,
        ("maskdet.jobs.read_job", "maskdet.jobs.Job.log", "maskdet.events.read_events", "maskdet.events.read_tail"),
        after_first(lambda data, rng: json_lines(data, rng) if b"\n" in data else by_kind(data, rng)),
    ),
    Target("study", _study, ("maskdet.study._state", "maskdet.bundle.require_place", "maskdet.bundle._runs"), _FILES),
    Target("evaluation", _evaluation, ("maskdet.evaluations.load_evaluation",), _FILES, most_bytes=1 << 15),
    Target(
        "condition",
        _condition,
        ("maskdet.integrity.inspect", "maskdet.measure.open_pixels", "maskdet.file_readers._table"),
        _FILES,
        most_bytes=1 << 16,
    ),
    Target("file", _file, ("maskdet.workspace.read_json", "maskdet.workspace.read_table"), by_kind),
)
