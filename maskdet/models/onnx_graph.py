"""A network as an ONNX graph, so that verdicts need no TensorFlow, whose import alone takes seconds.

The graph holds no weights: its initialisers carry the names under which they lie in the weights file beside it, and are
read from there when a session is opened. So weights are stored once, in full or half precision. tf2onnx (1.17), which
Keras exports with, works too, but folds weights into one another and stores them again: 43 MB for InceptionV3, whose
weights take 22 MB in half precision. A flat graph of a dozen kinds of layers needs little more than their names.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from maskdet.errors import MaskDetError
from maskdet.models.weights import check_hdf5
from maskdet.workspace import replacing

GRAPH_FILE: Final = "graph.onnx"
WEIGHTS_FILE: Final = "model.weights.h5"
#: What a graph takes, and what it gives: faces (n, 150, 150, 3) of uint8, logits (n, 1), features (n, d).
INPUT: Final = "faces"
OUTPUTS: Final = ("logit", "features")
#: Versions of the operators and of the file that every ONNX Runtime since 2022 reads.
_OPSET: Final = 17
_IR_VERSION: Final = 8
#: Axes from a kernel as Keras keeps it (height, width, in, out) to one as ONNX has it.
_KERNEL_AXES: Final = (3, 2, 0, 1)
_TO_CHANNELS_FIRST: Final = (0, 3, 1, 2)
_TO_CHANNELS_LAST: Final = (0, 2, 3, 1)

Weights = dict[str, npt.NDArray[Any]]


def write_graph(network: Any, weights: Path) -> None:
    """Write the graph of a flat functional Keras network beside the file of its weights.

    Parameters
    ----------
    network : keras.Model
        From (n, 150, 150, 3) in 0..255 to one logit (n, 1).
    weights : Path
        What ``network.save_weights`` wrote, in full or half precision.

    Raises
    ------
    MaskDetError
        If the network has a layer that is not known here, or the file is not of this network.
    """
    graph = _Graph(network)
    stored = read_weights(weights)
    for name, value in graph.values.items():
        # Names follow a rule of Keras's that may change; weights under wrong names would be a model nobody trained.
        here = stored.get(name)
        if here is None or here.shape != value.shape or not np.allclose(here, value, 1e-3, 1e-4, equal_nan=True):
            raise MaskDetError(f"{weights} holds no weights of {name} as this network has them.")
    with replacing(weights.with_name(GRAPH_FILE)) as temporary:
        temporary.write_bytes(graph.model(weights.name).SerializeToString())


def open_session(folder: Path) -> Any:
    """An ``onnxruntime.InferenceSession`` of the graph and weights in a folder; it imports no TensorFlow.

    Raises whatever the files' readers raise if they are missing, damaged, or do not belong together.
    """
    import onnxruntime

    graph = (folder / GRAPH_FILE).read_bytes()
    stored = {name: _as_onnx(value) for name, value in read_weights(folder / WEIGHTS_FILE).items()}
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # what goes wrong is raised anyway
    # Work in small pieces: with large ones all wait for the core that another program holds.
    options.add_session_config_entry("session.dynamic_block_base", "4")
    values = [onnxruntime.OrtValue.ortvalue_from_numpy(value) for value in stored.values()]
    options.add_external_initializers(list(stored), values)
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def last_maps(network: Any) -> Any:
    """The last maps of a network, shape (n, height, width, d), whose means over the places are its features.

    For a network that averages maps before its last layer these means are that layer's input. One that has dense layers
    above its maps keeps only what tells the labels apart there, and non-faces from faces not at all.

    Raises
    ------
    MaskDetError
        If the network has no convolutions.
    """
    maps = [layer.output for layer in network.layers if len(layer.output.shape) == 4]
    if len(maps) < 2:
        raise MaskDetError(f"{network.name} has no convolutions; it cannot be written as ONNX.")
    return maps[-1]


def read_weights(path: Path) -> Weights:
    """The layers' weights of a file that Keras wrote, by their names in it, in float32.

    Raises what `maskdet.models.weights.check_hdf5` raises.
    """
    import h5py

    check_hdf5(path)

    values: Weights = {}

    def collect(name: str, item: Any) -> None:
        # Such as layers/conv2d_3/vars/0; deeper ones are the states of random generators.
        if isinstance(item, h5py.Dataset) and len(name.split("/")) == 4:
            values[name] = np.asarray(item, dtype=np.float32)

    with h5py.File(path) as file:
        file.visititems(collect)
    return values


def _as_onnx(value: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.ascontiguousarray(value.transpose(_KERNEL_AXES)) if value.ndim == 4 else value


class _Graph:
    """The nodes of a network. Maps are channels first inside, which is what ONNX's convolutions take."""

    def __init__(self, network: Any) -> None:
        from onnx import TensorProto, helper

        self._helper, self._float = helper, TensorProto.FLOAT
        self._nodes: list[Any] = []
        self._constants: dict[str, npt.NDArray[Any]] = {}
        self._names: dict[int, str] = {}
        self.values: Weights = {}
        self._size = tuple(network.input_shape[1:])
        paths = _stored_names(network.layers)
        for layer in network.layers:
            self._add(layer, paths[id(layer)])
        maps = last_maps(network)
        mean = self.node("Flatten", [self.node("GlobalAveragePool", [self._names[id(maps)]])])
        for name, result in zip(OUTPUTS, (self._names[id(network.outputs[0])], mean), strict=True):
            self._nodes.append(helper.make_node("Identity", [result], [name]))
        self._features = int(maps.shape[-1])

    def model(self, weights_file: str) -> Any:
        """The graph as ONNX's ``ModelProto``, whose initialisers are said to lie in the weights file."""
        from onnx import TensorProto, helper, numpy_helper

        initialisers = [numpy_helper.from_array(value, name) for name, value in self._constants.items()]
        for name, value in self.values.items():
            outside = TensorProto(name=name, data_type=self._float, data_location=TensorProto.EXTERNAL)
            outside.dims.extend(_as_onnx(value).shape)
            outside.external_data.add(key="location", value=weights_file)
            initialisers.append(outside)
        faces = helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["n", *self._size])
        outputs = [
            helper.make_tensor_value_info(name, self._float, ["n", width])
            for name, width in zip(OUTPUTS, (1, self._features), strict=True)
        ]
        graph = helper.make_graph(self._nodes, "maskdet", [faces], outputs, initialisers)
        versions = {"opset_imports": [helper.make_opsetid("", _OPSET)], "ir_version": _IR_VERSION}
        return helper.make_model(graph, producer_name="maskdet", **versions)

    def _add(self, layer: Any, path: str) -> None:
        kind = type(layer).__name__
        if kind not in _LAYERS:
            raise MaskDetError(f"A layer of the kind {kind} ({layer.name}) cannot be written as ONNX.")
        names = [f"{path}/vars/{number}" for number in range(len(layer.weights))]
        values = [np.asarray(value) for value in layer.get_weights()]
        if kind != "Dropout":  # whose only state is that of its random numbers
            self.values |= dict(zip(names, values, strict=True))
        inputs = [] if kind == "InputLayer" else _as_list(layer.input)
        result = _LAYERS[kind](self, layer, [self._names[id(tensor)] for tensor in inputs], names)
        self._names[id(layer.output)] = _activated(self, layer, result)

    def node(self, operator: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Add a node and return its output's name."""
        name = f"{operator}_{len(self._nodes)}"
        self._nodes.append(self._helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def constant(self, name: str, value: npt.ArrayLike) -> str:
        """Add a small constant, once a name, and return its name."""
        self._constants[name] = np.asarray(value, dtype=np.float32)
        return name

    def channel_vector(self, what: str, fill: float, channels: int) -> str:
        """A vector that stands for a weight which a layer does without."""
        return self.constant(f"{what}_{channels}", np.full(channels, fill))


def _stored_names(layers: Sequence[Any]) -> dict[int, str]:
    """Names of layers in a file of weights, by id: their kind, numbered in the order of the layers (Keras 3)."""
    from keras.src.utils.naming import to_snake_case

    names, seen = {}, Counter[str]()
    for layer in layers:
        kind = to_snake_case(type(layer).__name__)
        names[id(layer)] = f"layers/{kind}_{seen[kind]}" if seen[kind] else f"layers/{kind}"
        seen[kind] += 1
    return names


def _as_list(tensors: Any) -> list[Any]:
    return list(tensors) if isinstance(tensors, list | tuple) else [tensors]


def _require(holds: bool, layer: Any, what: str) -> None:
    if not holds:
        raise MaskDetError(f"{layer.name} has {what}, which cannot be written as ONNX.")


def _activated(graph: _Graph, layer: Any, result: str) -> str:
    activation = getattr(getattr(layer, "activation", None), "__name__", "linear")
    _require(activation in ("linear", "relu"), layer, f"the activation {activation}")
    return graph.node("Relu", [result]) if activation == "relu" else result


def _input(graph: _Graph, layer: Any, inputs: Sequence[str], weights: Sequence[str]) -> str:
    from onnx import TensorProto

    first = graph.node("Transpose", [INPUT], perm=_TO_CHANNELS_FIRST)
    return graph.node("Cast", [first], to=TensorProto.FLOAT)


def _rescaling(graph: _Graph, layer: Any, inputs: Sequence[str], weights: Sequence[str]) -> str:
    scaled = graph.node("Mul", [*inputs, graph.constant(f"{layer.name}_scale", layer.scale)])
    return graph.node("Add", [scaled, graph.constant(f"{layer.name}_offset", layer.offset)])


def _convolution(graph: _Graph, layer: Any, inputs: Sequence[str], weights: Sequence[str]) -> str:
    _require(layer.groups == 1 and tuple(layer.dilation_rate) == (1, 1), layer, "groups or dilation")
    return graph.node("Conv", [*inputs, *weights], **_window(layer, layer.kernel_size))


def _normalisation(graph: _Graph, layer: Any, inputs: Sequence[str], weights: Sequence[str]) -> str:
    _require(layer.axis in (-1, len(layer.input.shape) - 1), layer, f"the axis {layer.axis}")
    channels, names = int(layer.input.shape[-1]), list(weights)
    scale = names.pop(0) if layer.scale else graph.channel_vector("ones", 1, channels)
    shift = names.pop(0) if layer.center else graph.channel_vector("zeros", 0, channels)
    return graph.node("BatchNormalization", [*inputs, scale, shift, *names], epsilon=layer.epsilon)


def _activation(graph: _Graph, layer: Any, inputs: Sequence[str], weights: Sequence[str]) -> str:
    return inputs[0]  # `_activated` adds it


def _relu(graph: _Graph, layer: Any, inputs: Sequence[str], weights: Sequence[str]) -> str:
    plain = layer.max_value is None and layer.negative_slope == 0 and layer.threshold == 0
    _require(plain, layer, "a bent ReLU")
    return graph.node("Relu", inputs)


def _max_pooling(graph: _Graph, layer: Any, inputs: Sequence[str], weights: Sequence[str]) -> str:
    return graph.node("MaxPool", inputs, **_window(layer, layer.pool_size))


def _average_pooling(graph: _Graph, layer: Any, inputs: Sequence[str], weights: Sequence[str]) -> str:
    return graph.node("AveragePool", inputs, count_include_pad=0, **_window(layer, layer.pool_size))


def _concatenate(graph: _Graph, layer: Any, inputs: Sequence[str], weights: Sequence[str]) -> str:
    _require(layer.axis in (-1, len(layer.output.shape) - 1), layer, f"the axis {layer.axis}")
    return graph.node("Concat", inputs, axis=1)


def _global_average(graph: _Graph, layer: Any, inputs: Sequence[str], weights: Sequence[str]) -> str:
    return graph.node("Flatten", [graph.node("GlobalAveragePool", inputs)])


def _flatten(graph: _Graph, layer: Any, inputs: Sequence[str], weights: Sequence[str]) -> str:
    maps = len(layer.input.shape) == 4
    return graph.node("Flatten", [graph.node("Transpose", inputs, perm=_TO_CHANNELS_LAST)] if maps else inputs)


def _dropout(graph: _Graph, layer: Any, inputs: Sequence[str], weights: Sequence[str]) -> str:
    return inputs[0]  # it drops in training only


def _dense(graph: _Graph, layer: Any, inputs: Sequence[str], weights: Sequence[str]) -> str:
    return graph.node("Gemm", [*inputs, *weights])


def _window(layer: Any, size: Any) -> dict[str, Any]:
    """Attributes of what slides over maps. TensorFlow's "same" puts what is left over at the right and the bottom."""
    size, strides = tuple(size), tuple(layer.strides)
    begin, end = [0, 0], [0, 0]
    if layer.padding == "same":
        for axis, (length, step) in enumerate(zip(size, strides, strict=True)):
            extent = int(layer.input.shape[axis + 1])
            missing = max((-(-extent // step) - 1) * step + length - extent, 0)
            begin[axis], end[axis] = missing // 2, missing - missing // 2
    return {"kernel_shape": size, "strides": strides, "pads": [*begin, *end]}


#: How each kind of layer is written: graph, layer, names of its inputs and of its weights -> name of its output.
_LAYERS: Final[dict[str, Callable[[_Graph, Any, Sequence[str], Sequence[str]], str]]] = {
    "InputLayer": _input,
    "Rescaling": _rescaling,
    "Conv2D": _convolution,
    "BatchNormalization": _normalisation,
    "Activation": _activation,
    "ReLU": _relu,
    "MaxPooling2D": _max_pooling,
    "AveragePooling2D": _average_pooling,
    "Concatenate": _concatenate,
    "GlobalAveragePooling2D": _global_average,
    "Flatten": _flatten,
    "Dropout": _dropout,
    "Dense": _dense,
}
