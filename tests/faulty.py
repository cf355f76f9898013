"""A workspace that holds every kind of file, and the faults that are done to them."""

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from zipfile import ZIP_DEFLATED

import numpy as np
import pandas as pd
import written_findings
from factories import prepared
from written_runs import GRID, write_run

from maskdet.balance import balance_faces, save_balanced
from maskdet.bias.attention import save_attention
from maskdet.bias.counterfactuals import save_counterfactuals
from maskdet.bias.cross_dataset import save_cross
from maskdet.bias.groups import judge_all, save_groups
from maskdet.bias.measurements import measure_data
from maskdet.bias.shortcuts import save_shortcuts
from maskdet.bias.store import own_path
from maskdet.bias.uploaded import UPLOADED_FILE
from maskdet.catalog import DATA_DIR
from maskdet.compare import own_faces
from maskdet.decisions import change_decisions
from maskdet.evaluations import Evaluation, save_evaluation
from maskdet.events import RESERVE, EventWriter
from maskdet.integrity import kind_inside
from maskdet.models.checkpoint import FolderCheckpoint
from maskdet.runs import Run, list_runs, write_plan
from maskdet.seals import sealed
from maskdet.split import load_split
from maskdet.workspace import Workspace, read_table, write_json, write_table

#: The runs, by model, and what each has beside what all have.
_MODELS = {"svm": (), "cnn": ("gradcam.json",), "inceptionv3": ("out_of_sample.parquet", "left_out.json")}
PARTIAL = ".svm-20260101-000000.partial"
_STUDY = DATA_DIR / "study"


def fill(workspace: Workspace, photos: Path) -> Workspace:
    """Scan, filter and split a drawn dataset, and write a file of every kind beside it; nothing is trained.

    The runs have the weights of the bundled study and predictions that a test says.
    """
    faces = prepared(workspace, photos, {"with_mask": 10, "without_mask": 10})
    split = load_split(workspace, faces)
    change_decisions(workspace, {faces.table["face_id"].iloc[0]: "keep"})
    workspace.path("datasets.toml").write_text('["1"]\nname = "Mine"\ntype = "SMFD"\n')
    write_json(workspace.path("study.json"), {"options": {}, "fingerprint": split.fingerprint, "steps": {}}, version=1)
    table = split.table.assign(logit=np.where(split.table["label"] == "with_mask", -2.0, 2.0))
    table["p_without_mask"] = 1 / (1 + np.exp(-table["logit"]))
    for model, files in _MODELS.items():
        shipped = sorted(_STUDY.glob(f"{model}-2*"))[-1]
        options = json.loads((shipped / "run.json").read_text())["options"]
        data = {"fingerprint": split.fingerprint}
        run = write_run(workspace, f"{model}-1", model, table=table, data=data, options=options)
        shutil.copytree(shipped / "weights", run.folder / "weights")
        for name in ("reliability.json", "reliability.npz", *files):
            if name.endswith(".parquet"):  # the study's were written before tables had checksums
                write_table(run.folder / name, read_table(shipped / name))
            else:
                shutil.copyfile(shipped / name, run.folder / name)
        if "out_of_sample.parquet" in files:
            write_json(
                run.folder / "out_of_sample.json", {"model": model, "options": options | {"epochs": 9}}, version=1
            )
        train = table[table["split"] == "train"]
        balanced = balance_faces(workspace, split.fingerprint, train, "brightness", "independent")
        save_balanced(run.folder, balanced)
        write_json(run.folder / "run.json", sealed(run.folder, run.record))
    run = run_of(workspace, "svm")
    evaluation = Evaluation(run.metrics, table[table["split"] == "test"], "abcdef", False, 0, 1.0)
    save_evaluation(workspace, run, "abcdef", evaluation)
    measure_data(workspace, faces, split)
    appearance = pd.DataFrame({"face_id": faces.table["face_id"], "version": 1})
    write_table(workspace.path("appearance", f"{faces.table['shard'].iloc[0]}.parquet"), appearance)
    fill_bias(workspace, run)
    fill_job(workspace)
    partial = workspace.path("runs", PARTIAL)
    partial.mkdir()
    write_plan(partial, {"id": "svm-20260101-000000", "model": "svm", "created": "2026-01-01T00:00:00Z", "options": {}})
    FolderCheckpoint(partial).save(GRID[:1], {"a": np.zeros(3)})
    workspace.path("sample").mkdir()
    for name in (".lock", f"runs/{PARTIAL}/.lock", ".decisions.lock", ".applying.lock", "sample/.drawing"):
        workspace.path(name).touch()
    return workspace


def fill_bias(workspace: Workspace, run: Run) -> None:
    """Write what the bias lab finds of a run and of its data."""

    def path(name: str, run_id: str | None = None) -> Path:
        return own_path(workspace, run.fingerprint, name, run_id)

    save_shortcuts(path("shortcuts.json"), written_findings.shortcuts())
    save_cross(path("cross-dataset-svm.json"), written_findings.cross())
    write_table(path("not_measurable.parquet"), written_findings.data().not_measurable)
    write_table(path(UPLOADED_FILE), pd.DataFrame({"face_id": run.predictions["face_id"], "age": 1.0}))
    save_counterfactuals(path("counterfactuals.json", run.id), written_findings.counterfactuals(run))
    save_attention(path("attention.json", run.id), written_findings.attention(run))
    path("attention.npz.before", run.id).touch()
    faces = own_faces(run)
    reports = judge_all(faces, written_findings.tones(faces), written_findings.QUICK)
    save_groups(path("groups-0123456789abcdef.json", run.id), reports)


def fill_job(workspace: Workspace) -> None:
    """Write a job that is done."""
    folder = workspace.path("jobs", "20260101-000000-000000-scan")
    folder.mkdir(parents=True)
    record = {"command": ["scan", "x"], "created": "2026-01-01T00:00:00Z", "began": time.time(), "queue": "",
              "pid": None, "process_started": 0.0}  # fmt: skip
    write_json(folder / "job.json", record, version=1)
    (folder / "output.log").write_text("said\n")
    (folder / RESERVE).write_bytes(bytes(10))
    EventWriter(folder).write("finished", result="")


def run_of(workspace: Workspace, model: str) -> Run:
    """The workspace's newest own run of a model."""
    return next(run for run in list_runs(workspace)[::-1] if run.model_name == model and not run.is_bundled)


def linked(home: Path, target: Path) -> Workspace:
    """A copy whose files share their place on the disk with the original: they must be replaced, not changed."""
    shutil.copytree(home, target, copy_function=os.link, symlinks=True)
    return Workspace(target)


def example(workspace: Workspace, pattern: str) -> Path:
    """A file of the workspace of a kind."""
    files = sorted(path for path in workspace.home.rglob("*") if path.is_file())
    inside = ((path, kind_inside(path.relative_to(workspace.home))) for path in files)
    own = [path for path, kind in inside if kind and kind.pattern == pattern]
    plain = [path for path in own if ".partial" not in str(path) and "sample" not in path.parts]
    return (plain or own)[0]


def replace(path: Path, content: bytes) -> None:
    """Put a file in another's place, whose content other copies may share."""
    path.unlink()
    path.write_bytes(content)


def _flip(path: Path, seed: int) -> None:
    content = bytearray(path.read_bytes())
    rng = np.random.default_rng(seed)
    # Parquet has no checksum of its foot, where the columns' names stand; of its pages it has.
    foot = int.from_bytes(content[-8:-4], "little") + 8 if path.suffix == ".parquet" else 0
    content[int(rng.integers(len(content) - foot))] ^= 1 << int(rng.integers(8))
    replace(path, bytes(content))


def _other_kind(path: Path) -> None:
    """A whole file of the same type that holds something else."""
    path.unlink()
    match path.suffix:
        case ".parquet":
            pd.DataFrame({"something": [1, 2]}).to_parquet(path)
        case ".json":
            path.write_text('{"something": [1, 2]}')
        case ".jsonl":
            path.write_text('{"something": 1}\n')
        case ".npz":
            np.savez(path, something=np.arange(3))
        case ".npy":
            np.save(path, np.arange(3.0))
        case ".h5":
            shutil.copyfile(next(DATA_DIR.glob("study/cnn-transfer-2*/weights/model.weights.h5")), path)
        case ".onnx":
            shutil.copyfile(next(DATA_DIR.glob("study/cnn-transfer-2*/weights/graph.onnx")), path)
        case ".skops":
            from skops.io import dump

            dump({"something": 1}, path, compression=ZIP_DEFLATED)
        case ".toml":
            path.write_text("[one]\nsomething = 1\n")
        case _:
            path.write_text("something else")


def _later(path: Path) -> None:
    """The same, as a later version would mark it."""
    if path.suffix == ".parquet":
        table = pd.read_parquet(path)
        table.attrs = {"format": 99}
        path.unlink()
        table.to_parquet(path, index=False)
    else:
        replace(path, json.dumps(json.loads(path.read_text()) | {"format": 99}).encode())


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _link(path: Path, target: str) -> None:
    path.unlink()
    path.symlink_to(target)


#: What is done to a file, by name.
DAMAGES: dict[str, Callable[[Path], None]] = {
    "empty": lambda path: replace(path, b""),
    "half": lambda path: replace(path, path.read_bytes()[: path.stat().st_size // 2]),
    "random": lambda path: replace(path, np.random.default_rng(7).bytes(5000)),
    "flipped": lambda path: _flip(path, 11),
    "other kind": _other_kind,
    "later": _later,
    "missing": lambda path: path.unlink(),
    "folder": _folder,
    "dangling link": lambda path: _link(path, "/nowhere/at/all"),
    "looping link": lambda path: _link(path, path.name),
}
#: Kinds whose content says nothing: any bytes will do.
ANY_BYTES = (
    "runs/*/.lock", "jobs/*/output.log", "jobs/*/reserve", ".lock", ".decisions.lock", ".applying.lock", ".drawing",
    "bias/*/*/*.before",
)  # fmt: skip
