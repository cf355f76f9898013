"""Runtimes: which engine serves a run, and what happens where files are missing or damaged."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from factories import draw_faces, fit_data, use_small_networks
from fresh_python import run_python

from maskdet.errors import RunError
from maskdet.models import create_model
from maskdet.models.onnx_graph import GRAPH_FILE, WEIGHTS_FILE
from maskdet.runs import Run
from maskdet.runtime import OnnxRuntime, open_runtime

FACES = draw_faces([0, 1, 1, 0, 1])
SVM = {"components": 4, "C": [1.0], "gamma": ["scale"], "kernel": ["rbf"], "folds": 3, "jobs": 1}


@pytest.fixture(scope="module")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small CNN."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "weights").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        use_small_networks(patch)
        model = create_model("cnn")
        model._use(model.build())  # type: ignore[attr-defined] - as a fit ends
        model.save(folder / "weights")
    return folder


@pytest.fixture
def folder(small_run: Path, tmp_path: Path) -> Path:
    shutil.copytree(small_run, tmp_path / "run")
    return tmp_path / "run"


def as_run(folder: Path, model: str = "cnn", options: dict[str, Any] | None = None) -> Run:
    return Run(folder, {"id": "a-run", "model": model, "options": options or {}})


def test_a_network_runs_in_onnx_runtime_or_as_before(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_small_networks(monkeypatch)
    quick = open_runtime(as_run(folder))
    (folder / "weights" / GRAPH_FILE).unlink()  # a run of an earlier version
    slow = open_runtime(as_run(folder))
    assert (quick.engine, slow.engine) == ("onnxruntime", "tensorflow")
    for found, wanted in zip(quick(FACES), slow(FACES), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_shapes_and_batches(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maskdet.runtime._BATCH", 2)
    runtime = open_runtime(as_run(folder))
    logits, features = runtime(FACES)
    assert (logits.shape, logits.dtype, features.shape, features.dtype) == ((5,), np.float64, (5, 4), np.float32)
    for number in range(len(FACES)):
        np.testing.assert_allclose(runtime(FACES[number : number + 1])[0], logits[number], atol=1e-5)
    none, no_features = runtime(FACES[:0])
    assert (none.shape, no_features.shape) == ((0,), (0, 4))


def test_svm(tmp_path: Path) -> None:
    model = create_model("svm", SVM)
    model.fit(fit_data(32, 12), seed=0)
    (tmp_path / "weights").mkdir()
    model.save(tmp_path / "weights")
    runtime = open_runtime(as_run(tmp_path, "svm", SVM))
    logits, features = runtime(FACES)
    assert runtime.engine == "scikit-learn"
    assert features.shape == (5, 4)
    assert ((logits > 0) == [False, True, True, False, True]).all()


@pytest.mark.parametrize("name", [GRAPH_FILE, WEIGHTS_FILE])
@pytest.mark.parametrize("content", [b"", b"not a model" * 50])
def test_damaged_files(folder: Path, name: str, content: bytes) -> None:
    (folder / "weights" / name).write_bytes(content)
    with pytest.raises(RunError, match=rf"{folder / 'weights' / name} cannot be read \("):
        open_runtime(as_run(folder))


def test_missing_weights(folder: Path) -> None:
    (folder / "weights" / WEIGHTS_FILE).unlink()
    with pytest.raises(RunError, match="cannot be read"):
        OnnxRuntime(folder / "weights")


def test_files_of_two_networks(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_small_networks(monkeypatch)
    other = create_model("inceptionv3", {"weights": "none", "cut": "mixed5"})
    other._use(other.build())  # type: ignore[attr-defined]
    (tmp_path / "other").mkdir()
    other.save(tmp_path / "other")
    shutil.copy(tmp_path / "other" / WEIGHTS_FILE, folder / "weights" / WEIGHTS_FILE)
    with pytest.raises(RunError, match="cannot be read"):
        open_runtime(as_run(folder))


def test_verdicts_of_the_bundled_runs_need_no_tensorflow() -> None:
    code = """
import sys
import numpy as np
from maskdet.predict import open_judge
from maskdet.runs import BUNDLED, open_run
for path in sorted(BUNDLED.glob("*/run.json")):
    judge = open_judge(open_run(path.parent))
    print(judge.runtime.engine, judge(np.zeros((1, 150, 150, 3), np.uint8))[0].verdict)
print([m for m in ("tensorflow", "keras", "onnx") if m in sys.modules])
"""
    lines = run_python(code).splitlines()
    assert [line.split()[0] for line in lines[:-1]] == ["onnxruntime"] * 4 + ["scikit-learn"]
    assert lines[-1] == "[]"


def test_a_graph_that_fits_no_face_is_damaged_when_it_is_called(folder: Path) -> None:
    runtime = OnnxRuntime(folder / "weights")
    with pytest.raises(RunError, match=rf"{folder / 'weights' / GRAPH_FILE} cannot be read \("):
        runtime(FACES[:, :7])
