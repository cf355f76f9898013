"""Every kind of file of a workspace, damaged in every way: it is named with what mends it, and all else is in use."""

import ast
import json
from pathlib import Path, PurePosixPath

import pandas as pd
import pytest
from faulty import ANY_BYTES, DAMAGES, example, linked

import maskdet
from maskdet.file_readers import READERS
from maskdet.integrity import fault_of, inspect, kind_inside
from maskdet.kinds import KINDS, Kind
from maskdet.workspace import Workspace, read_table

PATTERNS = [kind.pattern for kind in KINDS]
#: Formats that carry no version of their own: a run's files have that of run.json, a job's that of job.json; a shard's
#: name and that of metrics by group are digests of what went in, the version among it.
VERSIONED = [
    pattern for pattern in PATTERNS
    if pattern.endswith(".parquet")
    or (
        pattern.endswith(".json")
        and not pattern.startswith("shards/")
        and "groups-" not in pattern
        and pattern not in ("runs/*/history.json", "runs/*/metrics.json", "runs/*/left_out.json")
    )
]  # fmt: skip
#: Files whose lack is told; without any other, what it says was never made, or is made again without a word.
NEEDED = {
    "datasets.json", "rejects.parquet", "shards/*.json", "shards/*.npy", "filtered.parquet", "split.parquet",
    "splits/*.parquet", "splits/*.json", "runs/*/run.json", "runs/*/history.json", "runs/*/metrics.json",
    "runs/*/predictions.parquet", "evaluations/*.parquet", "bias/*/shortcuts.parquet",
    "bias/*/*/counterfactuals.parquet", "bias/*/*/attention.parquet", "bias/*/*/attention.npz", "jobs/*/job.json",
    "runs/*/weights/model.weights.h5", "runs/*/weights/graph.onnx", "runs/*/weights/model.skops",
    "runs/*/balance.parquet",
}  # fmt: skip


def faults() -> list[tuple[str, str]]:
    """Every kind with every damage that can be done to it."""
    found = []
    for pattern in PATTERNS:
        for damage in DAMAGES:
            if damage == "later" and pattern not in VERSIONED:
                continue
            if damage == "empty" and pattern in ("datasets.toml", "jobs/*/events.jsonl"):  # nothing is told yet
                continue
            if pattern in ANY_BYTES and damage in ("empty", "half", "random", "flipped", "other kind", "missing"):
                continue
            found.append((pattern, damage))
    return found


def test_every_file_of_a_whole_workspace_is_of_a_kind_that_is_damaged_here(full_home: Path) -> None:
    condition = inspect(Workspace(full_home))
    assert condition.damaged == ()
    assert condition.unknown == ()
    files = [path.relative_to(full_home) for path in full_home.rglob("*") if path.is_file()]
    kinds = {kind_inside(PurePosixPath(path)) for path in files if path.parts[:2] != ("sample", "photos")}
    assert kinds == set(KINDS)
    assert set(READERS) == set(PATTERNS)


@pytest.mark.parametrize(("pattern", "damage"), faults())
def test_damage_is_named_with_what_mends_it(full_home: Path, tmp_path: Path, pattern: str, damage: str) -> None:
    path, kind = damaged_copy(full_home, tmp_path, pattern, damage)
    if damage == "missing" or (pattern, damage) == ("shards/*.npy", "flipped"):  # of pixels, digests tell
        said = told_of(path, thorough=damage == "flipped")
    else:
        said = fault_of(path, kind)
    if said is None:
        assert damage in ("missing", "flipped")
        assert damage != "missing" or pattern not in NEEDED
        assert damage != "flipped" or says_nearly_the_same(path, full_home / path.relative_to(tmp_path / "home"))
        return
    assert said.count(str(path)) == said.count(" cannot be read (") + said.count("later version of MaskDet") == 1
    assert kind.mend in said or (damage == "later" and "later version of MaskDet (format 99" in said)
    assert "\n" not in said


@pytest.mark.parametrize("pattern", PATTERNS)
def test_all_else_is_whole_beside_a_damaged_file(full_home: Path, tmp_path: Path, pattern: str) -> None:
    path, _ = damaged_copy(full_home, tmp_path, pattern, "folder")
    said = inspect(Workspace(tmp_path / "home"), thorough=False).damaged
    assert any(str(path) in sentence for sentence in said)
    near = [path, *path.parent.glob(f"{path.stem}.*"), *path.parent.parent.glob(f"{path.parent.name}/*.on*")]
    assert [sentence for sentence in said if not any(str(one) in sentence for one in near)] == []


def damaged_copy(full_home: Path, tmp_path: Path, pattern: str, damage: str) -> tuple[Path, Kind]:
    workspace = linked(full_home, tmp_path / "home")
    path = example(workspace, pattern)
    DAMAGES[damage](path)
    return path, next(kind for kind in KINDS if kind.pattern == pattern)


def told_of(path: Path, thorough: bool) -> str | None:
    """What is said of the whole workspace about a file that is not there, or of its pixels."""
    home = next(parent for parent in path.parents if parent.name == "home")
    return next((said for said in inspect(Workspace(home), thorough=thorough).damaged if str(path) in said), None)


def says_nearly_the_same(path: Path, whole: Path) -> bool:
    """True for a table with all its values; of text without a digest, one letter may be another one."""
    if path.suffix == ".parquet":
        return read_table(path).equals(read_table(whole))
    return path.suffix in (".json", ".jsonl", ".toml")


@pytest.mark.parametrize("pattern", VERSIONED)
def test_a_file_without_a_version_is_read_as_of_version_1(full_home: Path, tmp_path: Path, pattern: str) -> None:
    if pattern == "runs/*/run.json":
        pytest.skip("a run has carried its version from the first")
    workspace = linked(full_home, tmp_path / "home")
    path, kind = example(workspace, pattern), next(kind for kind in KINDS if kind.pattern == pattern)
    if path.suffix == ".parquet":
        table = pd.read_parquet(path)
        assert table.attrs.pop("format", 1) == 1  # the bundled study has tables without
        path.unlink()
        table.to_parquet(path, index=False)
        allowed = ("it is not as it was written", "does not belong to")  # its digest is that of the other bytes
        said = fault_of(path, kind) or ""
        assert not said or any(reason in said for reason in allowed)
        return
    value = json.loads(path.read_text())
    assert value.pop("format", 1) == 1  # the bundled study has files without
    path.unlink()
    path.write_text(json.dumps(value))
    assert fault_of(path, kind) is None


WRITERS = {"replacing", "write_json", "write_table", "write_result", "write_text", "write_bytes", "to_parquet", "savez",
           "savez_compressed", "dump", "save_weights", "touch", "symlink_to", "FileLock"}  # fmt: skip
#: Modules that write into a workspace or elsewhere; one that begins to must name its files in maskdet.kinds.
WHO_WRITES = {
    "calibrate", "crossval",
    "facetable", "measure", "quality", "split", "decisions", "runs", "seals", "train", "balance", "study",
    "reliability",
    "evaluations", "jobs", "events", "workspace", "integrity", "starter", "samples", "bundle", "models.svm",
    "models.network", "models.onnx_graph", "models.checkpoint", "models.weights", "attribution.analysis", "bias.files",
    "bias.shortcuts", "bias.cross_dataset", "bias.groups", "bias.attributes", "bias.uploaded", "bias.appearance",
    "bias.measurements", "bias.attention", "bias.counterfactuals", "bias.analysis", "bias.shipping", "cli.bias",
    "cli.data", "cli.photos", "cli.card", "cli.mistakes",
}  # fmt: skip


def test_no_other_module_writes_files() -> None:
    root = Path(maskdet.__file__).parent
    found = set()
    for path in root.rglob("*.py"):
        calls = (node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
        names = {call.attr if isinstance(call, ast.Attribute) else getattr(call, "id", "") for call in calls}
        if names & WRITERS:
            found.add(".".join(path.relative_to(root).with_suffix("").parts))
    assert found - WHO_WRITES == set()
