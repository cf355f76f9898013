"""The fuzz targets without a fuzzer: on their seeds, on some inputs like them, and that none is missing."""

import ast
import logging
import random
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from fuzz.__main__ import main
from fuzz.mutate import raw
from fuzz.target import BrokenError, check_sentence, refusals
from fuzz.targets import NAMES, find
from maskdet.errors import MaskDetError, PhotoError

PROJECT = Path(__file__).resolve().parents[1]
#: Calls that take bytes or text from outside.
READING = {
    "json.loads", "tomllib.loads", "csv.reader", "csv.DictReader", "parse_xml", "read_json", "read_table", "np.load",
    "Image.open", "av.open", "h5py.File", "load", "onnxruntime.InferenceSession", "load_weights", "read_result",
    "read_parquet", "from_csv", "get_all", "read_photo", "read_bytes", "read_text", "read_tail", "read_events",
}  # fmt: skip
#: What calls one of them and is no target: why.
NO_TARGET = {
    "maskdet.bias.analysis._known": "by the functions that load findings",
    "maskdet.bias.findings.data_findings": "by the functions that load findings",
    "maskdet.bias.measurements._measured_shards": "read_table, of what it has just written",
    "maskdet.bias.transformations._compressed": "its own JPEG",
    "maskdet.bundle.write_bundle": "_runs reads",
    "maskdet.calibrate._with_graph": "the models read, after what open_run looked at",
    "maskdet.cli.bias._take_attributes": "read_attribute_csv reads",
    "maskdet.cli.data.decisions": "from_csv reads",
    "maskdet.cli.photos._lay_heatmaps": "read_photo reads",
    "maskdet.cli.photos._write_report": "upload",
    "maskdet.cli.photos.explain": "find_faces reads",
    "maskdet.detection._load_network": "ships with MaskDet",
    "maskdet.environment._processor": "of the machine",
    "maskdet.runs.Run.load_model": "by the models",
    "maskdet.models.svm.Svm.fit": "its own checkpoint",
    "maskdet.jobs.cancel": "read_job reads the same record",
    "maskdet.models.cnn_transfer.CnnTransfer.initialise": "Keras, after check_hdf5",
    "maskdet.models.inception.InceptionV3.initialise": "Keras, after check_hdf5",
    "maskdet.models.inception.InceptionV3.load": "by NetworkModel.load",
    "maskdet.models.network.NetworkModel.fit": "its own checkpoint",
    "maskdet.models.precision._cpu_flags": "of the machine",
    "maskdet.models.weights.halve": "its own weights",
    "maskdet.samples._save_again": "its own photo",
    "maskdet.samples._write_oddities": "its own photo",
    "ui.bias_attention._show_faces": "its own picture",
    "ui.by_hand._show_import": "from_csv reads",
    "ui.explain_analysis._show_faces": "its own picture",
    "ui.explain_state.picture_of": "read_photo reads",
    "ui.explain_video._opened": "its own picture",
    "ui.explain_whatif._sweeps": "read_photo reads",
    "ui.explain_whatif._with_masks": "read_photo reads",
    "ui.face._show_photo": "read_photo reads",
}
#: Inputs beside the seeds, by target; fewer where one takes long.
INPUTS = {
    "upload-real": 3,
    "shell": 20,
    "run": 25,
    "faces": 20,
    "decided": 20,
    "lab-tables": 20,
    "condition": 20,
    "video": 25,
    "html": 25,
}


def called(function: ast.AST) -> set[str]:
    """Names of what a function calls, with the module or without."""
    calls = [node.func for node in ast.walk(function) if isinstance(node, ast.Call)]
    return {ast.unparse(call) for call in calls} | {call.attr for call in calls if isinstance(call, ast.Attribute)}


def reading_functions() -> Iterator[str]:
    """Functions of the core and of the pages that take something from outside by themselves, as ``module.function``."""
    for folder in ("maskdet", "ui", "pages"):
        for path in sorted((PROJECT / folder).rglob("*.py")):
            module = ".".join(path.relative_to(PROJECT).with_suffix("").parts)
            for node in ast.parse(path.read_text()).body:
                methods = node.body if isinstance(node, ast.ClassDef) else [node]
                owner = f"{module}.{node.name}" if isinstance(node, ast.ClassDef) else module
                for function in methods:
                    if isinstance(function, ast.FunctionDef) and called(function) & READING:
                        yield f"{owner}.{function.name}"


def module_of(name: str) -> str:
    """The module of a function or method; a private function is reached by the others of its module."""
    parts = name.split(".")
    return next(
        ".".join(parts[:at])
        for at in range(len(parts) - 1, 0, -1)
        if (PROJECT / Path(*parts[:at])).with_suffix(".py").is_file()
        or (PROJECT / Path(*parts[:at]) / "__init__.py").is_file()
    )


def test_every_reader_is_a_target() -> None:
    reads = {name for target in map(find, NAMES) for name in target.reads}
    found = set(reading_functions())
    assert len(found) > 60
    modules = {module for module in map(module_of, reads) if module}
    by_private = {name for name in found if name.rpartition(".")[2].startswith("_") and module_of(name) in modules}
    assert sorted(found - reads - by_private - set(NO_TARGET)) == []
    assert set(NO_TARGET) <= found, "no reason for what is not there"
    assert not set(NO_TARGET) & reads


@pytest.mark.parametrize("name", NAMES)
def test_what_a_target_reads_is_there(name: str) -> None:
    for path in find(name).reads:
        module = module_of(path)
        value = import_module(module)
        for part in path.removeprefix(f"{module}.").split("."):
            value = getattr(value, part)
        assert callable(value) or hasattr(value, "__get__")


@pytest.mark.parametrize("name", NAMES)
def test_seeds_and_some_inputs_like_them_break_nothing(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    target, rng = find(name), random.Random(7)
    prepared = target.prepare(tmp_path)
    assert prepared.seeds
    for seed in prepared.seeds:
        prepared.run(seed)
    for _ in range(INPUTS.get(name, 60)):
        seed = rng.choice(list(prepared.seeds))
        mutate = target.mutate if target.mutate and rng.random() < 0.7 else raw
        prepared.run(mutate(seed, rng)[: target.most_bytes])


def test_a_condition_that_is_raised_rather_than_told_is_a_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raising(*_: object) -> None:
        raise MaskDetError("A sentence that nobody is told.")

    prepared = find("condition").prepare(tmp_path)
    monkeypatch.setattr("maskdet.integrity.fault_of", raising)
    with pytest.raises(MaskDetError):
        prepared.run(prepared.seeds[0])


@pytest.mark.parametrize("text", ["", " ", "one\ntwo", "x" * 3000, "Traceback (most recent call last)", "\ud800"])
def test_what_is_no_sentence(text: str) -> None:
    with pytest.raises(BrokenError):
        check_sentence(text)


def test_a_refusal_is_of_the_kinds_that_are_named() -> None:
    with refusals():
        raise MaskDetError("Choose another file.")
    with refusals(PhotoError):
        raise PhotoError("no image")
    with pytest.raises(MaskDetError), refusals(PhotoError):
        raise MaskDetError("Choose another file.")
    with pytest.raises(BrokenError), refusals():
        raise MaskDetError("")
    with pytest.raises(ValueError, match="a bug"), refusals():
        raise ValueError("a bug")


@pytest.mark.parametrize(
    ("said", "status", "expected"),
    [
        ("stat::number_of_executed_units: 10", 0, 0),
        ("stat::number_of_executed_units: 9", 0, 1),  # it did not run all
        ("ModuleNotFoundError", 1, 1),  # it never ran
        ("stat::number_of_executed_units: 10", 77, 1),  # an input ended it
        ("FINDING 0a ValueError x.py:1 'y' (known)\nstat::number_of_executed_units: 10", 0, 1),  # still broken
    ],
)
def test_fuzzing_succeeds_only_where_every_input_was_run_and_broke_nothing(
    said: str, status: int, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def started(command: list[str], **options: Any) -> subprocess.Popen[str]:
        return popen([sys.executable, "-c", f"print({said!r}); raise SystemExit({status})"], **options)

    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", started)
    monkeypatch.setattr("sys.argv", ["fuzz", "catalog", "--runs", "10", "--corpus", str(tmp_path)])
    assert main() == expected
