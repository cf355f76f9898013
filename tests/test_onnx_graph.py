"""Networks as ONNX graphs: logits and features as in Keras, to 1e-4 for single layers and 1e-3 for whole models."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from factories import draw_faces

from maskdet.errors import MaskDetError
from maskdet.models import MODELS, create_model
from maskdet.models.onnx_graph import GRAPH_FILE, INPUT, OUTPUTS, WEIGHTS_FILE, last_maps, open_session, write_graph
from maskdet.models.weights import halve
from maskdet.photos import RgbImage

SIZE = 13  # odd and prime, so that every padding is uneven somewhere
RNG = np.random.default_rng(0)
PICTURES: RgbImage = RNG.integers(0, 256, (5, SIZE, SIZE, 3)).astype(np.uint8)


def build(middle: Callable[[Any], Any], top: Callable[[Any], Any] | None = None) -> Any:
    """A network around some layers, all of whose weights are random, the statistics of normalisations too."""
    import keras
    from keras import layers

    inputs = keras.Input((SIZE, SIZE, 3))
    x = middle(layers.Rescaling(1 / 127.5, offset=-1)(inputs))
    x = (top or layers.GlobalAveragePooling2D())(x)
    network = keras.Model(inputs, layers.Dense(1)(x))
    rng = np.random.default_rng(1)
    network.set_weights([rng.uniform(0.2, 1, value.shape) - 0.5 * (value.ndim > 1) for value in network.get_weights()])
    return network


def expected(network: Any, pictures: RgbImage) -> tuple[np.ndarray, np.ndarray]:
    import keras

    both = keras.Model(network.inputs, [network.outputs[0], last_maps(network)])
    logits, maps = both(pictures.astype(np.float32), training=False)
    return np.asarray(logits), np.asarray(maps).mean(axis=(1, 2))


def assert_equal_to_keras(network: Any, folder: Path, pictures: RgbImage, tolerance: float) -> None:
    network.save_weights(folder / WEIGHTS_FILE)
    write_graph(network, folder / WEIGHTS_FILE)
    found = open_session(folder).run(OUTPUTS, {INPUT: pictures})
    for values, wanted in zip(found, expected(network, pictures), strict=True):
        np.testing.assert_allclose(values, wanted, rtol=tolerance, atol=tolerance)


def layers_named(name: str) -> tuple[Callable[[Any], Any], Callable[[Any], Any] | None]:
    from keras import layers

    def branches(x: Any) -> Any:
        return layers.Concatenate()([layers.Conv2D(3, 1)(x), layers.AveragePooling2D(3, strides=1, padding="same")(x)])

    def blocks(x: Any) -> Any:
        for number in range(3):  # several of a kind, so that their weights lie under numbered names
            x = layers.Conv2D(4 + number, 3, padding="same", use_bias=False)(x)
            x = layers.Activation("relu")(layers.BatchNormalization(scale=number == 1, center=number < 2)(x))
        return x

    def dense(x: Any) -> Any:
        x = layers.Dropout(0.5)(layers.Flatten()(x))
        return layers.Dropout(0.5)(layers.Dense(7, activation="relu")(x))

    middles: dict[str, Callable[[Any], Any]] = {
        "conv same": layers.Conv2D(4, 3, padding="same"),
        "conv valid, strides": layers.Conv2D(4, 5, strides=2),
        "conv same, strides, even": layers.Conv2D(4, (4, 2), strides=(3, 2), padding="same", activation="relu"),
        "max same": layers.MaxPooling2D(3, strides=2, padding="same"),
        "max valid": layers.MaxPooling2D(2),
        "average same": layers.AveragePooling2D(3, strides=2, padding="same"),
        "average valid": layers.AveragePooling2D((3, 2), strides=1),
        "relu": layers.ReLU(),
        "branches": branches,
        "blocks": blocks,
        "dense top": layers.Conv2D(4, 3),
    }
    return middles[name], dense if name == "dense top" else None


@pytest.mark.parametrize(
    "name",
    [
        *("conv same", "conv valid, strides", "conv same, strides, even", "max same", "max valid", "average same"),
        *("average valid", "relu", "branches", "blocks", "dense top"),
    ],
)
def test_layers_give_what_keras_gives(name: str, tmp_path: Path) -> None:
    assert_equal_to_keras(build(*layers_named(name)), tmp_path, PICTURES, 1e-4)


def test_an_average_leaves_the_padding_out(tmp_path: Path) -> None:
    """White is 1 after the scaling: so is the mean of what is there of it, at the edges too."""
    from keras import layers

    network = build(layers.AveragePooling2D(3, strides=1, padding="same"))
    network.save_weights(tmp_path / WEIGHTS_FILE)
    write_graph(network, tmp_path / WEIGHTS_FILE)
    white = np.full((1, SIZE, SIZE, 3), 255, np.uint8)
    np.testing.assert_allclose(open_session(tmp_path).run(["features"], {INPUT: white})[0], 1, atol=1e-6)


@pytest.mark.parametrize("name", [name for name, kind in MODELS.items() if kind.needs_tensorflow])
def test_every_network_gives_what_keras_gives(name: str, tmp_path: Path) -> None:
    import keras

    keras.utils.set_random_seed(3)
    network = create_model(name).build()
    faces = np.concatenate([draw_faces([0, 1]), RNG.integers(0, 256, (2, 150, 150, 3)).astype(np.uint8)])
    assert_equal_to_keras(network, tmp_path, faces, 1e-3)
    assert (tmp_path / GRAPH_FILE).stat().st_size < 100_000  # the weights are in the other file


def test_half_precision_is_read_as_full(tmp_path: Path) -> None:
    network = build(*layers_named("blocks"))
    network.save_weights(tmp_path / WEIGHTS_FILE)
    write_graph(network, tmp_path / WEIGHTS_FILE)
    full = open_session(tmp_path).run(OUTPUTS, {INPUT: PICTURES})
    halve(tmp_path / WEIGHTS_FILE)
    half = open_session(tmp_path).run(OUTPUTS, {INPUT: PICTURES})
    assert not np.array_equal(half[0], full[0])
    np.testing.assert_allclose(half[0], full[0], rtol=0.05)
    write_graph(network, tmp_path / WEIGHTS_FILE)  # as for runs that have no graph yet


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    first, second = build(*layers_named("conv same")), build(*layers_named("blocks"))
    first.save_weights(tmp_path / WEIGHTS_FILE)
    with pytest.raises(MaskDetError, match="holds no weights of layers/"):
        write_graph(second, tmp_path / WEIGHTS_FILE)
    first.set_weights([value + 1 for value in first.get_weights()])
    with pytest.raises(MaskDetError, match="holds no weights of layers/conv2d/vars/0"):
        write_graph(first, tmp_path / WEIGHTS_FILE)
    assert not (tmp_path / GRAPH_FILE).exists()


def test_what_is_not_known_is_refused(tmp_path: Path) -> None:
    from keras import layers

    cases: list[tuple[Callable[[Any], Any], str]] = [
        (layers.UpSampling2D(name="up"), r"kind UpSampling2D \(up\) cannot be written"),
        (layers.ReLU(6, name="six"), "six has a bent ReLU"),
        (layers.Conv2D(3, 3, dilation_rate=2, name="wide"), "wide has groups or dilation"),
        (layers.Conv2D(3, 3, activation="tanh", name="round"), "round has the activation tanh"),
        (layers.BatchNormalization(axis=1, name="rows"), "rows has the axis 1"),
    ]
    for layer, message in cases:
        network = build(layer)
        network.save_weights(tmp_path / WEIGHTS_FILE)
        with pytest.raises(MaskDetError, match=message):
            write_graph(network, tmp_path / WEIGHTS_FILE)


def test_without_convolutions_there_are_no_maps() -> None:
    import keras

    inputs = keras.Input((4,))
    network = keras.Model(inputs, keras.layers.Dense(1)(inputs), name="flat")
    with pytest.raises(MaskDetError, match="flat has no convolutions"):
        last_maps(network)
