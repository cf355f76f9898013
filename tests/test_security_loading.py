"""Files that somebody passed on: nothing in them is run, nothing outside them is read, and a sentence says why not."""

import ast
import io
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from factories import fit_data
from onnx import TensorProto, helper

from maskdet.bias.files import read_result, write_result
from maskdet.catalog import DATA_DIR
from maskdet.errors import MaskDetError, RunError, WorkspaceError
from maskdet.images import StoredImages
from maskdet.models import svm
from maskdet.models.checkpoint import CHECKPOINT_FILE, FolderCheckpoint
from maskdet.models.onnx_graph import GRAPH_FILE, INPUT, WEIGHTS_FILE
from maskdet.models.svm import MODEL_FILE, Svm, SvmOptions
from maskdet.models.weights import check_hdf5
from maskdet.reliability import INDEX_FILE, RELIABILITY_FILE, load_reliability
from maskdet.runtime import OnnxRuntime
from maskdet.workspace import read_table, write_json

ROOT = DATA_DIR.parent
NAME = "layers/dense/vars/0"
SECRET = b"a secret of sixteen b"


class Payload:
    """What unpickling runs: it makes a file."""

    def __init__(self, sentinel: Path) -> None:
        self._sentinel = sentinel

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self._sentinel),)


@pytest.fixture
def sentinel(tmp_path: Path) -> Path:
    """The folder that a payload makes, which works: a test that could not fail would prove nothing."""
    pickle.loads(pickle.dumps(Payload(tmp_path / "proof")))
    assert (tmp_path / "proof").is_dir()
    return tmp_path / "sentinel"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret.txt"
    path.write_bytes(SECRET)
    return path


def npz_with(member: str, value: Any, others: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    holder = np.empty(1, dtype=object)
    holder[0] = value
    np.savez(buffer, **others, **{member: holder})
    return buffer.getvalue()


# --- pickles in arrays ------------------------------------------------------------------------------------------------


def test_a_checkpoint(tmp_path: Path, sentinel: Path) -> None:
    data = npz_with("weights", Payload(sentinel), {"history": np.array("[]")})
    (tmp_path / CHECKPOINT_FILE).write_bytes(data)
    with pytest.raises(RunError, match=r"checkpoint\.npz cannot be read \(Object arrays"):
        FolderCheckpoint(tmp_path).load()
    assert not sentinel.exists()


def test_a_reliability_index(tmp_path: Path, sentinel: Path) -> None:
    (tmp_path / RELIABILITY_FILE).write_text("{}")
    arrays = {name: np.zeros(2, np.float16) for name in ("mean", "components")}
    (tmp_path / INDEX_FILE).write_bytes(npz_with("index", Payload(sentinel), arrays))
    with pytest.raises(WorkspaceError, match=r"reliability\.npz cannot be read \(Object arrays"):
        load_reliability(tmp_path)
    assert not sentinel.exists()


def test_a_result_of_the_bias_lab(tmp_path: Path, sentinel: Path) -> None:
    import hashlib

    import pandas as pd

    path = tmp_path / "found.json"
    write_result(path, {"a": 1}, pd.DataFrame({"face_id": ["x"]}), {"map": np.zeros(2)})
    path.with_suffix(".npz").write_bytes(npz_with("map", Payload(sentinel), {}))
    record = json.loads(path.read_text())
    record["digests"][".npz"] = hashlib.sha256(path.with_suffix(".npz").read_bytes()).hexdigest()
    write_json(path, record)
    with pytest.raises(WorkspaceError, match="cannot be read"):
        read_result(path, arrays=True)
    assert not sentinel.exists()


def test_a_shard_of_faces(tmp_path: Path, sentinel: Path) -> None:
    holder = np.empty(1, dtype=object)
    holder[0] = Payload(sentinel)
    np.save(tmp_path / "s.npy", holder, allow_pickle=True)
    with pytest.raises(WorkspaceError, match="incomplete"):
        StoredImages(tmp_path, np.array(["s"], dtype=object), np.array([0]))
    assert not sentinel.exists()


def test_a_table(tmp_path: Path, sentinel: Path) -> None:
    """Arrow once unpickled the type of a column (CVE-2023-47248); now it is a column of bytes."""
    extension = {
        b"ARROW:extension:name": b"arrow.py_extension_type",
        b"ARROW:extension:metadata": pickle.dumps(Payload(sentinel)),
    }
    schema = pa.schema([pa.field("face_id", pa.binary(), metadata=extension)])
    table = pa.table({"face_id": [pickle.dumps(Payload(sentinel))]}, schema=schema)
    pq.write_table(table, tmp_path / "t.parquet")
    assert list(read_table(tmp_path / "t.parquet")) == ["face_id"]
    assert not sentinel.exists()


# --- PCA and SVM ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fitted() -> Svm:
    model = Svm(SvmOptions(components=4, C=(1.0,), gamma=("scale",), folds=2, jobs=1, kernel=("rbf",)))
    model.fit(fit_data(24, 10), seed=0)
    return model


def write_skops(folder: Path, schema: dict[str, Any], **members: bytes) -> None:
    whole = {"protocol": 2, "_skops_version": "0.16.0"} | schema
    with ZipFile(folder / MODEL_FILE, "w") as archive:
        archive.writestr("schema.json", json.dumps(whole))
        for name, data in members.items():
            archive.writestr(name, data)


@pytest.mark.parametrize(
    "loader",
    ["ObjectNode", "FunctionNode", "TypeNode", "MethodNode", "PartialNode", "OperatorFuncNode", "SetNode",
     "ConstructorFromReduceNode", "DefaultDictNode", "NdArrayNode", "RandomGeneratorNode", "TreeNode", "LossNode",
     "QuantileForestNode", "CachedNode", "SliceNode"],
)  # fmt: skip
@pytest.mark.parametrize("module", ["os", "posix", "operator", "builtins", "sklearn.utils", "maskdet.models.svm"])
def test_a_file_that_names_a_function(tmp_path: Path, sentinel: Path, loader: str, module: str) -> None:
    argument = {"__class__": "str", "__module__": "builtins", "__loader__": "JsonNode", "content": json.dumps(
        f"__import__('os').mkdir({str(sentinel)!r})"), "is_json": True, "__id__": 2}  # fmt: skip
    arguments = {"__class__": "tuple", "__module__": "builtins", "__loader__": "TupleNode", "content": [argument]}
    schema = {
        "__class__": {"os": "mkdir", "posix": "mkdir", "builtins": "eval"}.get(module, "methodcaller"),
        "__module__": module, "__loader__": loader, "__id__": 1, "type": "numpy", "file": "x", "reduce": arguments,
        "content": {"func": argument, "args": arguments, "attrs": arguments, "obj": argument, "module_path": module,
                    "function": "eval", "kwds": arguments, "namespace": arguments, "default_factory": argument},
        "args": arguments, "constructor": argument, "attrs": arguments, "default_factory": argument,
    }  # fmt: skip
    write_skops(tmp_path, schema, x=pickle.dumps(Payload(sentinel)))
    with pytest.raises(RunError, match="cannot be read"):
        Svm().load(tmp_path)
    assert not sentinel.exists()


@pytest.mark.parametrize("kind", ["numpy", "json"])
def test_a_pickle_in_the_place_of_an_array(tmp_path: Path, sentinel: Path, kind: str) -> None:
    holder = np.empty(1, dtype=object)
    holder[0] = Payload(sentinel)
    buffer = io.BytesIO()
    np.save(buffer, holder, allow_pickle=True)
    node = {"__class__": "ndarray", "__module__": "numpy", "__loader__": "NdArrayNode", "type": kind, "file": "x"}
    write_skops(tmp_path, node, x=buffer.getvalue())
    with pytest.raises(RunError, match="cannot be read"):
        Svm().load(tmp_path)
    assert not sentinel.exists()


def test_a_pickle_that_calls_itself_a_model(tmp_path: Path, sentinel: Path) -> None:
    (tmp_path / MODEL_FILE).write_bytes(pickle.dumps(Payload(sentinel)))
    with pytest.raises(RunError, match="cannot be read"):
        Svm().load(tmp_path)
    assert not sentinel.exists()


def test_a_model_that_unpacks_to_more_than_any_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(svm, "_MOST_BYTES", 20_000_000)
    with ZipFile(tmp_path / MODEL_FILE, "w", ZIP_DEFLATED) as archive, archive.open("schema.json", "w") as file:
        for _ in range(21):
            file.write(bytes(1_000_000))
    assert (tmp_path / MODEL_FILE).stat().st_size < 50_000
    with pytest.raises(RunError, match="unpacks to 21 MB"):
        Svm().load(tmp_path)


SPOILED: dict[str, Callable[[Any], None]] = {
    "fewer coefficients": lambda machine: setattr(machine, "_dual_coef_", machine._dual_coef_[:, :1]),
    "more vectors than there are": lambda machine: setattr(machine, "_n_support", np.array([1000, 1000], np.int32)),
    "wider vectors": lambda machine: setattr(machine, "support_vectors_", np.zeros((len(machine.support_), 9))),
    "no intercept": lambda machine: setattr(machine, "_intercept_", np.zeros(0)),
    "another kernel": lambda machine: setattr(machine, "kernel", "precomputed"),
    "other labels": lambda machine: setattr(machine, "classes_", np.array([0, 1, 2])),
}


@pytest.mark.parametrize("what", SPOILED)
def test_parts_that_do_not_fit_never_reach_libsvm(fitted: Svm, tmp_path: Path, what: str) -> None:
    """It would read past the end of an array, and end the whole server."""
    import copy

    model = Svm(fitted.options)
    model.pipeline, model.logit_scale = copy.deepcopy(fitted.pipeline), fitted.logit_scale
    SPOILED[what](model.pipeline[-1])
    model.save(tmp_path)
    with pytest.raises(RunError, match=r"do not fit|no PCA and SVM"):
        Svm().load(tmp_path)


def test_a_pipeline_of_other_things(tmp_path: Path) -> None:
    """As older versions stored it: two steps of any kind."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer
    from skops.io import dump

    steps = make_pipeline(FunctionTransformer(), FunctionTransformer())
    dump({"pipeline": steps, "logit_scale": 1.0}, tmp_path / MODEL_FILE)
    with pytest.raises(RunError, match="no PCA and SVM"):
        Svm().load(tmp_path)


# --- networks ---------------------------------------------------------------------------------------------------------


def write_graph_of(folder: Path, location: str) -> None:
    """A graph that gives out a weight, which it says lies elsewhere, beside one that lies in its file."""
    weights = []
    for name, place in ((NAME, WEIGHTS_FILE), ("stolen", location)):
        tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL, dims=[4])
        tensor.external_data.add(key="location", value=place)
        weights.append(tensor)
    graph = helper.make_graph(
        [helper.make_node("Add", [NAME, "stolen"], ["logit"]), helper.make_node("Cast", [INPUT], ["features"], to=1)],
        "g", [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["n", 2])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("logit", "features")], weights,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (folder / GRAPH_FILE).write_bytes(model.SerializeToString())
    with h5py.File(folder / WEIGHTS_FILE, "w") as file:
        file[NAME] = np.zeros(4, np.float32)


@pytest.mark.parametrize("way", ["absolute", "up", "beside", "working folder", "address in memory", "link"])
def test_a_graph_whose_weights_lie_elsewhere(
    tmp_path: Path, secret: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    folder = tmp_path / "weights"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    (folder / "beside.txt").write_bytes(SECRET)
    (folder / "link.txt").symlink_to(secret)
    places = {
        "absolute": str(secret), "up": "../secret.txt", "beside": "beside.txt", "working folder": "secret.txt",
        "address in memory": "*/_ORT_MEM_ADDR_/*", "link": "link.txt",
    }  # fmt: skip
    write_graph_of(folder, places[way])
    with pytest.raises(RunError, match="cannot be read"):
        OnnxRuntime(folder)


def outside(file: Any, secret: Path) -> None:
    file.create_dataset(NAME, shape=(4,), dtype="f4", external=[(str(secret), 0, 16)])


def virtual(file: Any, secret: Path) -> None:
    with h5py.File(secret.with_suffix(".h5"), "w") as other:
        other["x"] = np.arange(4, dtype=np.float32)
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource(str(secret.with_suffix(".h5")), "x", (4,))
    file.create_virtual_dataset(NAME, layout)


def linked(file: Any, secret: Path) -> None:
    file.require_group("layers/dense/vars")["0"] = h5py.ExternalLink(str(secret.with_suffix(".h5")), "x")


def soft(file: Any, secret: Path) -> None:
    file["other"] = np.zeros(4, np.float32)
    file.require_group("layers/dense/vars")["0"] = h5py.SoftLink("/other")


def claiming(file: Any, secret: Path) -> None:
    file.create_dataset(NAME, shape=(10**11,), chunks=(1024,), dtype="f4")


def compressed(file: Any, secret: Path) -> None:
    file.create_dataset(NAME, data=np.zeros(5_000_000, np.float32), compression="gzip")


def texts(file: Any, secret: Path) -> None:
    file.create_dataset(NAME, data=["a", "b"], dtype=h5py.string_dtype())


@pytest.mark.parametrize(
    ("make", "why"),
    [(outside, "in another file"), (virtual, "in another file"), (linked, "is a link"), (soft, "is a link"),
     (claiming, "claims 400,000,000,000 bytes"), (compressed, "claims 20,000,000 bytes"), (texts, "no numbers")],
)  # fmt: skip
def test_weights_that_are_not_in_their_file(
    tmp_path: Path, secret: Path, make: Callable[[Any, Path], None], why: str
) -> None:
    write_graph_of(tmp_path, "nowhere")
    with h5py.File(tmp_path / WEIGHTS_FILE, "w") as file:
        make(file, secret)
    with pytest.raises(ValueError, match=why):
        check_hdf5(tmp_path / WEIGHTS_FILE)
    with pytest.raises(RunError, match=why):
        OnnxRuntime(tmp_path)


def test_honest_weights(tmp_path: Path) -> None:
    paths = sorted((DATA_DIR / "study").glob("*/weights/*.h5"))
    assert len(paths) == 4, "each bundled network"
    assert [(path.parts[-3], why) for path in paths if (why := refusal(path))] == []
    half = tmp_path / WEIGHTS_FILE
    half.write_bytes(paths[0].read_bytes()[:1000])
    assert refusal(half), "else the test proves nothing"


def refusal(path: Path) -> str:
    try:
        check_hdf5(path)
    except (ValueError, OSError) as error:
        return str(error)
    return ""


def test_an_archive_of_layers_is_no_file_of_weights(tmp_path: Path, sentinel: Path) -> None:
    """Keras's own format may hold a Lambda layer, whose function is code; such a file is not even opened by Keras."""
    from maskdet.models.inception import InceptionOptions, InceptionV3

    layer = {"class_name": "Lambda", "config": {"function": {"class_name": "__lambda__", "config": {"code": "4w=="}}}}
    archive = tmp_path / "model.weights.h5"
    with ZipFile(archive, "w") as file:
        file.writestr("config.json", json.dumps({"module": "keras", "class_name": "Sequential", "config": [layer]}))
        file.writestr("metadata.json", "{}")
        file.writestr("model.weights.h5", pickle.dumps(Payload(sentinel)))
    with pytest.raises(MaskDetError, match="is no file of InceptionV3's weights"):
        InceptionV3(InceptionOptions(weights=str(archive))).initialise(None)
    assert not sentinel.exists()


# --- the tree ---------------------------------------------------------------------------------------------------------

#: What runs code that it is given. `pickle` and the like are not even imported.
MODULES = {"pickle", "cloudpickle", "dill", "marshal", "shelve", "torch", "yaml"}
CALLS = {"eval", "exec", "compile", "read_pickle", "deserialize", "model_from_json", "extractall"}


@pytest.mark.parametrize("folder", ["maskdet", "ui", "pages"])
def test_nothing_in_the_tree_loads_code(folder: str) -> None:
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
                assert not {name.split(".")[0] for name in names} & MODULES, f"{path}:{node.lineno}"
            if isinstance(node, ast.Call):
                function = node.func
                called = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
                regular = called == "compile" and ast.unparse(function) == "re.compile"
                assert called not in CALLS or regular, f"{path}:{node.lineno}"
                for keyword in node.keywords:
                    unsafe = keyword.arg in ("allow_pickle", "unsafe_allow_html", "unsafe_allow_javascript")
                    assert not unsafe or ast.unparse(keyword.value) == "False", f"{path}:{node.lineno}"
                    assert keyword.arg not in ("trusted", "safe_mode", "shell"), f"{path}:{node.lineno}"
