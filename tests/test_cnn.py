"""The CNNs: what they take and give, how large their weights are, and what a transfer begins with."""

from pathlib import Path

import keras
import numpy as np
import pytest
from tiny_network import changed, weights_of

from maskdet.errors import RunError
from maskdet.models.cnn import Cnn, build_cnn
from maskdet.models.cnn_transfer import CnnTransfer
from maskdet.models.network import WEIGHTS_FILE
from maskdet.models.onnx_graph import GRAPH_FILE


def test_cnn_takes_0_to_255_and_gives_one_logit() -> None:
    network = build_cnn(0.5)
    assert network.input_shape == (None, 150, 150, 3)
    assert network.output_shape == (None, 1)
    assert network.get_layer(Cnn.gradcam_layer).output.shape == (None, 10, 10, 96)
    assert network.get_layer("to_unit_range").scale == pytest.approx(1 / 255)
    assert network.layers[-1].activation.__name__ == "linear"


def test_cnn_weights_are_no_larger_than_its_parameters(tmp_path: Path) -> None:
    """Adam's moments would triple the file."""
    model = Cnn()
    model._use(build_cnn(0.5))
    model.network.compile("adam", "mse")
    model.network.optimizer.build(model.network.trainable_variables)
    sizes = {}
    for half in (False, True):
        model.save(tmp_path, half=half)
        sizes[half] = (tmp_path / WEIGHTS_FILE).stat().st_size / (4 * model.network.count_params())
    assert 1 <= sizes[False] < 1.1
    assert 0.5 <= sizes[True] < 0.6
    assert {path.name for path in tmp_path.iterdir()} == {WEIGHTS_FILE, GRAPH_FILE}
    assert (tmp_path / GRAPH_FILE).stat().st_size < 0.01 * (tmp_path / WEIGHTS_FILE).stat().st_size  # no weights in it


def test_a_transfer_begins_with_the_convolutions_of_its_base(tmp_path: Path) -> None:
    """And with fresh layers above them; the first phase trains these alone."""
    base = Cnn()
    base._use(build_cnn(0.5))
    for layer in base.network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([value + 0.25 for value in layer.get_weights()])
    base.save(tmp_path)
    transfer = CnnTransfer()
    transfer.use_base(tmp_path)
    network = transfer.build()
    fresh = weights_of(network)
    transfer.initialise(network)
    given, begun = weights_of(base.network), weights_of(network)
    taken = {name for name in given if name.split("/")[0].split("_")[0] in {f"conv{n}" for n in range(1, 6)}}
    assert len(taken) == 5 * (1 + 4)
    for name in taken:
        np.testing.assert_array_equal(begun[name], given[name])
    assert changed(fresh, begun) == taken
    first, second = transfer.phases()
    trained = {layer.name for layer in network.layers if layer.weights and first.trains(layer.name)}
    assert trained == {"conv6", "conv6_norm", "conv7", "conv7_norm", "dense", "logit"}
    assert all(second.trains(layer.name) for layer in network.layers)
    assert network.get_layer(CnnTransfer.gradcam_layer).output.shape == (None, 10, 10, 96)
    with pytest.raises(RunError, match=rf"{tmp_path / WEIGHTS_FILE} cannot be read \("):
        transfer.load(tmp_path)  # those of another network
