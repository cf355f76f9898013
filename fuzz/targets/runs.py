"""Targets: the folder of a run, and what the bias lab kept of it."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import written_findings
from written_runs import predictions, write_run

from fuzz.mutate_files import by_kind
from fuzz.target import (
    Damaged,
    Prepared,
    Target,
    after_first,
    check,
    check_finite,
    check_text,
    damaged_folder,
    refusals,
)
from fuzz.targets.workspace import small_workspace
from maskdet.attribution.analysis import GradCamAnalysis, read_analysis, save_analysis
from maskdet.balance import Balanced, load_balanced, save_balanced
from maskdet.bias import attention, counterfactuals, cross_dataset, groups, shortcuts
from maskdet.bias.appearance import COLUMNS as APPEARANCE
from maskdet.bias.appearance import VERSION, load_appearance
from maskdet.bias.attributes import ATTRIBUTES, group_of, load_attributes, save_attributes
from maskdet.bias.files import read_result
from maskdet.bias.uploaded import UploadedAttributes, keep_uploaded, kept_uploaded
from maskdet.compare import default_runs, left_out_rows, marks, own_faces, short_labels
from maskdet.facetable import load_faces
from maskdet.reliability import calibrated_probability, fit_reliability, load_reliability, save_reliability
from maskdet.runs import Run, list_runs, runs_table
from maskdet.suspects import out_of_sample
from maskdet.workspace import Workspace, write_json, write_table


def _run(folder: Path) -> Prepared:
    """The record of a run and its figures, beside a whole run."""
    home = Workspace(folder / "home")
    write_run(home, "cnn-1", "cnn")
    run = write_run(home, "svm-1", "svm")
    rows = [
        {
            "dataset": "a",
            "train_faces": 10,
            "faces": 5,
            "groups": 5,
            "macro_f1": 0.9,
            "low": 0.8,
            "high": 1.0,
            "reason": "",
        }
    ]
    write_json(run.folder / "left_out.json", [{"model": "svm", "options": {}, "fingerprint": "abc", "rows": rows}])
    write_table(run.folder / "out_of_sample.parquet", predictions().drop(columns="split"))
    noted = {"model": "svm", "options": {"weights": "a.h5", "folds": 9}, "fingerprint": "abc", "seed": 0}
    write_json(run.folder / "out_of_sample.json", noted, version=1)

    def use() -> None:
        with mock.patch("maskdet.runs.BUNDLED", folder / "no"):
            found = list_runs(home)
        check("cnn-1" in {one.folder.name for one in found}, "a damaged run hides another")
        for one in found:
            _check_run(one)
        check(len(runs_table(found)) == len(found), "a run without a row")
        check({one.id for one in default_runs(found)} <= {one.id for one in found}, "a run that is not there")

    names = (
        "run.json",
        "metrics.json",
        "history.json",
        "predictions.parquet",
        "left_out.json",
        "out_of_sample.parquet",
        "out_of_sample.json",
    )
    return damaged_folder(home.home, tuple(f"runs/svm-1/{name}" for name in names), use)


def _check_run(run: Run) -> None:
    """What every page takes for granted of a run that is listed."""
    for text in (run.id, run.title, run.model_name, run.pool, run.fingerprint, run.remark, str(run.record["created"])):
        check_text(text)
    check(run.pool in ("main", "pre-training"), f"the pool {run.pool!r:.80}")
    for sentence in (*marks(run), *short_labels([run]).values()):
        check_text(sentence)
    with refusals():
        check(isinstance(run.history, pd.DataFrame), "no history")
    with refusals():
        check(set(own_faces(run)["split"]) <= {"test"}, "a face of another split")
    with refusals():
        for row in left_out_rows(run):
            check_text(str(row["reason"]))
    with refusals():
        table, source = out_of_sample(run)
        check(len(table.columns) == 5, "other columns")
        check_text(source)


def _reliability(folder: Path) -> Prepared:
    rng = np.random.default_rng(1)
    train, validation = rng.random((40, 6), np.float32), rng.random((20, 6), np.float32)
    labels = np.arange(20) % 2
    ids = [f"a/{number}.png" for number in range(40)]
    save_reliability(folder, fit_reliability(train, ids, validation, labels * 4.0 - 2, labels))

    def use() -> None:
        with refusals():
            check(bool(np.isfinite(calibrated_probability(folder, [-2.0, 3.0])).all()), "a probability that is none")
        found = load_reliability(folder)
        if found is None:
            return
        check_finite(found.temperature, "the temperature", low=1e-300)
        check(0 <= found.low <= found.high <= 1, f"a band from {found.low} to {found.high}")
        check(found.distance_threshold > 0, f"the distance {found.distance_threshold}")
        if found.space.mean.shape == (6,):
            distances = found.distance(validation)
            check(distances.shape == (20,) and not np.isnan(distances).any(), "distances that are none")
            if found.face_ids:
                near, far = found.nearest(validation, 3)
                check(near.shape == far.shape and near.shape[0] == 20, "other neighbours")
        chances = found.probability(np.array([-3.0, 0, 3]))
        check(((chances >= 0) & (chances <= 1)).all(), f"the probabilities {chances}")
        check(found.not_sure(chances).dtype == bool, "no verdict")

    return damaged_folder(folder, ("reliability.json", "reliability.npz"), use)


def _findings(folder: Path) -> Prepared:
    """What the bias lab keeps as JSON, tables and arrays; the digests that join them are made right again."""
    run = write_run(folder / "runs", "cnn-1")
    found = written_findings.run(run)
    place = folder / "bias"
    assert found.attention is not None
    assert found.counterfactuals is not None
    attention.save_attention(place / "attention.json", found.attention)
    counterfactuals.save_counterfactuals(place / "counterfactuals.json", found.counterfactuals)
    groups.save_groups(place / "groups.json", found.groups)
    shortcuts.save_shortcuts(place / "shortcuts.json", written_findings.shortcuts())
    cross_dataset.save_cross(place / "cross.json", written_findings.cross())
    save_analysis(place / "gradcam.json", written_findings.gradcam(run))
    loaders: dict[str, Callable[[Path], Any]] = {
        "attention": attention.load_attention,
        "counterfactuals": counterfactuals.load_counterfactuals,
        "groups": groups.load_groups,
        "shortcuts": shortcuts.load_shortcuts,
        "cross": cross_dataset.load_cross,
        "gradcam": read_analysis,
    }
    damaged = Damaged(place, tuple(sorted(path.name for path in place.iterdir())))

    def use(name: str) -> None:
        stem = name.split(".")[0]
        if name.endswith((".parquet", ".npz")) and stem in ("attention", "counterfactuals"):
            record = json.loads(damaged.whole[f"{stem}.json"])
            record["digests"] = {suffix: _digest(place / f"{stem}{suffix}") for suffix in record["digests"]}
            (place / f"{stem}.json").write_text(json.dumps(record))
        try:
            with refusals():
                _check_findings(loaders[stem](place / f"{stem}.json"))
        finally:
            (place / f"{stem}.json").write_bytes(damaged.whole[f"{stem}.json"])

    def run_input(data: bytes) -> None:
        with damaged.by(data) as name:
            use(name)

    with refusals():
        read_result(place / "attention.json", arrays=True)
    return Prepared(run_input, damaged.seeds)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _check_findings(found: Any) -> None:
    """What is read shows as it was written."""
    if isinstance(found, attention.Attention):
        check(found.maps.ndim == 3 and len(found.maps) == len(found.faces), "maps of other faces")
        check_text(found.run)
        attention.mean_map(found, found.faces["face_id"])
    elif isinstance(found, counterfactuals.Counterfactuals):
        check_text(found.run)
    elif isinstance(found, shortcuts.ShortcutReport):
        for one in found.probes:
            check_text(one.sentence)
    elif isinstance(found, cross_dataset.CrossDataset):
        check_text(found.model)
    elif isinstance(found, GradCamAnalysis):
        for cell in found.cells:
            check(cell.mean_map.ndim == 2, f"a map of shape {cell.mean_map.shape}")
    else:
        for name, report in found.items():
            check_text(name)
            check_finite(report.faces, "the faces", low=0)


def _lab_tables(folder: Path) -> Prepared:
    """The tables of the bias lab: attributes, uploaded ones, appearance, and how training faces were balanced."""
    home = small_workspace(folder)
    faces = load_faces(home)
    ids, shard = faces.table["face_id"].to_numpy(), str(faces.table["shard"].iloc[0])
    place = home.path("bias", "abc")
    known = pd.DataFrame({"face_id": ids, **{name: np.arange(len(ids)) % 3 for name in ATTRIBUTES}})
    save_attributes(place / "attributes.parquet", known)
    keep_uploaded(
        home, "abc", UploadedAttributes(pd.DataFrame({"face_id": ids, "beard": ["yes", "no"] * (len(ids) // 2)}))
    )
    measured = {name: np.linspace(0, 1, len(ids)) for name in APPEARANCE}
    texts = {name: "" for name in APPEARANCE if "reason" in name or name == "mask_colour"}
    write_table(
        home.path("appearance", f"{shard}.parquet"),
        pd.DataFrame({"face_id": ids, **measured, **texts, "version": VERSION}),
    )
    group = pd.Categorical(["x", "y"] * (len(ids) // 2), ["x", "y", ""], ordered=True)
    save_balanced(
        place,
        Balanced(
            "size",
            "equal",
            pd.DataFrame({"face_id": ids, "label": faces.table["label"], "group": group, "weight": 1.0}),
        ),
    )

    def use() -> None:
        with refusals():
            attributes = load_attributes(place / "attributes.parquet")
            for name in list(attributes.columns.drop("face_id"))[:14]:
                with refusals():
                    check(len(group_of(attributes, name)) == len(attributes), "groups of other faces")
        with refusals():
            uploaded = kept_uploaded(home, "abc")
            check(uploaded is not None and not uploaded["face_id"].duplicated().any(), "a face twice")
        with refusals():
            appearance = load_appearance(home, faces)
            check(appearance is None or set(appearance["face_id"]) <= set(ids), "a face that is not there")
        with refusals():
            balanced = load_balanced(place, "size", "equal")
            check((balanced.faces["weight"] > 0).all(), "a face that counts nothing")

    names = (
        "bias/abc/attributes.parquet",
        "bias/abc/uploaded.parquet",
        f"appearance/{shard}.parquet",
        "bias/abc/balance.parquet",
    )
    return damaged_folder(home.home, names, use)


_FILES = after_first(by_kind)
TARGETS = (
    Target(
        "run",
        _run,
        (
            "maskdet.runs.open_run",
            "maskdet.runs.list_runs",
            "maskdet.runs.Run.metrics",
            "maskdet.runs.Run.predictions",
            "maskdet.run_records.read_predictions",
            "maskdet.compare.left_out_rows",
            "maskdet.suspects.out_of_sample",
        ),
        _FILES,
        most_bytes=1 << 15,
    ),
    Target(
        "reliability",
        _reliability,
        ("maskdet.reliability.load_reliability", "maskdet.reliability.calibrated_probability"),
        _FILES,
    ),
    Target(
        "findings",
        _findings,
        (
            "maskdet.bias.files.read_result",
            "maskdet.workspace.read_arrays",
            "maskdet.bias.attention.load_attention",
            "maskdet.bias.counterfactuals.load_counterfactuals",
            "maskdet.bias.groups.load_groups",
            "maskdet.bias.shortcuts.load_shortcuts",
            "maskdet.bias.cross_dataset.load_cross",
            "maskdet.attribution.analysis.read_analysis",
        ),
        _FILES,
        most_bytes=1 << 15,
    ),
    Target(
        "lab-tables",
        _lab_tables,
        (
            "maskdet.bias.attributes.load_attributes",
            "maskdet.bias.uploaded.kept_uploaded",
            "maskdet.bias.appearance.load_appearance",
            "maskdet.balance.load_balanced",
        ),
        _FILES,
        most_bytes=1 << 15,
    ),
)
