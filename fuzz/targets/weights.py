"""Targets: the weights of a run, as graph, as arrays and as a machine."""

import io
import random
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import onnx
from onnx import TensorProto, helper

from fuzz.mutate import raw
from fuzz.mutate_files import archive, or_raw
from fuzz.target import Prepared, Target, after_first, check, damaged_file, damaged_folder
from maskdet.models.cnn import Cnn
from maskdet.models.onnx_graph import GRAPH_FILE, INPUT, OUTPUTS, WEIGHTS_FILE
from maskdet.models.svm import MODEL_FILE, Svm
from maskdet.runtime import OnnxRuntime

_FACES = np.random.default_rng(3).integers(0, 256, (2, 150, 150, 3), dtype=np.uint8)


def tiny_graph() -> bytes:
    """A network of one convolution as MaskDet writes them: its weights lie outside of it."""
    weights = {"layers/conv2d/vars/0": (2, 3, 1, 1), "layers/dense/vars/0": (2, 1), "layers/dense/vars/1": (1,)}
    initialisers = []
    for name, shape in weights.items():
        outside = TensorProto(name=name, data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL, dims=shape)
        outside.external_data.add(key="location", value=WEIGHTS_FILE)
        initialisers.append(outside)
    conv, kernel, bias = weights
    nodes = [
        helper.make_node("Transpose", [INPUT], ["t"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["t"], ["c"], to=TensorProto.FLOAT),
        helper.make_node("Conv", ["c", conv], ["m"], kernel_shape=[1, 1], strides=[15, 15], pads=[0, 0, 0, 0]),
        helper.make_node("GlobalAveragePool", ["m"], ["g"]),
        helper.make_node("Flatten", ["g"], [OUTPUTS[1]]),
        helper.make_node("Gemm", [OUTPUTS[1], kernel, bias], [OUTPUTS[0]]),
    ]
    graph = helper.make_graph(
        nodes,
        "maskdet",
        [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["n", 150, 150, 3])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", width])
            for name, width in zip(OUTPUTS, (1, 2), strict=True)
        ],
        initialisers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def tiny_weights() -> bytes:
    """The weights of `tiny_graph`, as Keras keeps them."""
    file = io.BytesIO()
    with h5py.File(file, "w") as stored:
        stored["layers/conv2d/vars/0"] = np.ones((1, 1, 3, 2), np.float32)
        stored["layers/dense/vars/0"] = np.ones((2, 1), np.float16)
        stored["layers/dense/vars/1"] = np.zeros(1, np.float32)
    return file.getvalue()


@or_raw
def graph_or_weights(data: bytes, rng: random.Random) -> bytes:
    """A graph with a node changed, or weights with one changed."""
    if rng.random() < 0.3:
        return raw(data, rng)
    if data[:4] == b"\x89HDF":
        return _h5(data, rng)
    model = onnx.load_model_from_string(data)
    nodes, what = model.graph.node, rng.randrange(6)
    node = rng.choice(nodes)
    if what == 0:
        nodes.remove(node)
    elif what == 1:
        node.op_type = rng.choice(
            ("Relu", "Conv", "Reshape", "Loop", "If", "Gather", "Resize", "MaxPool", "Expand", "Pad")
        )
    elif what == 2 and node.attribute:
        attribute = rng.choice(node.attribute)
        attribute.i = rng.choice((-1, 0, 2**31, 2**62, 7))
        del attribute.ints[:]
        attribute.ints.extend(rng.choices((-1, 0, 1, 3, 10**6, 2**62), k=rng.randrange(5)))
    elif what == 3 and node.input:
        node.input[rng.randrange(len(node.input))] = rng.choice(("", INPUT, "t", "c", "m", "g", "nowhere", OUTPUTS[0]))
    elif what == 4 and model.graph.initializer:
        tensor = rng.choice(model.graph.initializer)
        del tensor.dims[:]
        tensor.dims.extend(rng.choices((0, 1, 2, 3, 2**31, -1), k=rng.randrange(5)))
        tensor.data_type = rng.randrange(20)
    elif model.graph.initializer:
        tensor = rng.choice(model.graph.initializer)
        for entry in tensor.external_data:
            entry.value = rng.choice(("/etc/passwd", "../x", "", "model.weights.h5", "/dev/zero"))
    return bytes(model.SerializeToString())


@or_raw
def _h5(data: bytes, rng: random.Random) -> bytes:
    file = io.BytesIO(data)
    with h5py.File(file, "r+") as stored:
        names: list[str] = []
        stored.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        name = rng.choice(names)
        del stored[name]
        what = rng.randrange(7)
        if what == 0:
            stored[name] = rng.choice(
                (np.zeros((3, 1)), np.array("a", "S3"), np.array(1), np.full((2, 1), np.nan), np.zeros(0))
            )
        elif what == 1:
            stored[name] = h5py.ExternalLink(rng.choice(("/etc/passwd", "x.h5", "/dev/zero")), "/a")
        elif what == 2:
            stored[name] = h5py.SoftLink(rng.choice(("/layers", "/nowhere", f"/{name}")))
        elif what == 3:
            stored.create_group(name)
        elif what == 4:
            stored.create_dataset(name, shape=(2**40,), dtype="f4", chunks=(1024,), compression="gzip")
        elif what == 5:
            stored.create_dataset(name, data=np.array([b"a" * 9]), dtype=h5py.string_dtype())
    return file.getvalue()


def _graph(folder: Path) -> Prepared:
    (folder / GRAPH_FILE).write_bytes(tiny_graph())
    (folder / WEIGHTS_FILE).write_bytes(tiny_weights())

    def use() -> None:
        logits, features = OnnxRuntime(folder)(_FACES)
        check(logits.shape == (2,) and features.ndim == 2 and len(features) == 2, f"{logits.shape}, {features.shape}")

    return damaged_folder(folder, (GRAPH_FILE, WEIGHTS_FILE), use)


def _network(folder: Path) -> Prepared:
    import keras

    inputs = keras.Input((150, 150, 3))
    x = keras.layers.BatchNormalization()(keras.layers.Conv2D(2, 1, strides=15)(inputs))
    network = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.GlobalAveragePooling2D()(x)))

    class Tiny(Cnn):
        def build(self) -> Any:
            return network

    network.save_weights(folder / WEIGHTS_FILE)
    whole = network.get_weights()

    unread = [np.full_like(one, 12345.0) for one in whole]

    def use() -> None:
        network.set_weights(unread)
        Tiny().load(folder)
        check(not any((one == 12345.0).all() for one in network.get_weights()), "weights that were not read")

    return damaged_file(folder, WEIGHTS_FILE, use)


def _keras_weights(data: bytes, rng: random.Random) -> bytes:
    return raw(data, rng) if rng.random() < 0.3 else _h5(data, rng)


def _svm(folder: Path) -> Prepared:
    from sklearn.decomposition import PCA
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import SVC

    model = Svm()
    labels = np.arange(12) % 2
    pixels = np.random.default_rng(1).random((12, 12)).astype(np.float32) + labels[:, None]
    pca = PCA(2).fit(pixels)
    model.pipeline = make_pipeline(pca, SVC().fit(pca.transform(pixels), labels))
    model.save(folder)

    def use() -> None:
        found = Svm()
        found.load(folder)
        check(np.isfinite(found.logit_scale), f"the scale {found.logit_scale}")
        check(isinstance(found.pipeline[0], PCA), f"no components but {type(found.pipeline[0])}")
        check(isinstance(found.pipeline[-1], SVC), f"no machine but {type(found.pipeline[-1])}")

    return damaged_file(folder, MODEL_FILE, use)


TARGETS = (
    Target(
        "graph",
        _graph,
        (
            "maskdet.models.onnx_graph.open_session",
            "maskdet.models.onnx_graph.read_weights",
            "maskdet.models.weights.check_hdf5",
        ),
        after_first(graph_or_weights),
    ),
    Target("network", _network, ("maskdet.models.network.NetworkModel.load",), _keras_weights, most_bytes=1 << 16),
    Target("svm", _svm, ("maskdet.models.svm.Svm.load",), archive),
)
