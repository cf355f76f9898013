"""Where the cells of maps lie: by hand, and where the gradient of a cell says that it looks."""

import numpy as np
import pytest

from maskdet.attribution.placement import Axis, placed, receptive_axes
from maskdet.models.cnn import build_cnn


def test_centres_by_hand() -> None:
    """A convolution of 3 without padding moves the first centre by 1; one with padding, of an odd size, does not."""
    import keras
    from keras import layers

    inputs = keras.Input((150, 150, 3))
    x = layers.Conv2D(2, 3, strides=2, padding="valid", name="a")(inputs)  # centres 1, 3, ...
    x = layers.BatchNormalization(name="b")(x)
    side = layers.Conv2D(2, (1, 7), padding="same", name="c")(x)
    other = layers.AveragePooling2D(3, strides=1, padding="same", name="d")(x)
    x = layers.Concatenate(name="e")([side, other])
    x = layers.MaxPooling2D(3, strides=2, padding="valid", name="f")(x)  # 1 + 2, then every fourth
    network = keras.Model(inputs, layers.Conv2D(1, (3, 5), strides=(1, 2), padding="valid", name="g")(x))
    assert receptive_axes(network, "a") == (Axis(1, 2), Axis(1, 2))
    assert receptive_axes(network, "b") == receptive_axes(network, "e") == (Axis(1, 2), Axis(1, 2))
    assert receptive_axes(network, "f") == (Axis(3, 4), Axis(3, 4))
    assert receptive_axes(network, "g") == (Axis(7, 4), Axis(11, 8))


def test_padding_of_an_even_input_is_less_at_the_top() -> None:
    """150 pixels in steps of 4 and a kernel of 11 need 9 more: 4 before and 5 after, so that the first centre is 1."""
    network = build_cnn(0.5)
    assert receptive_axes(network, "conv1_relu") == (Axis(1, 4), Axis(1, 4))
    assert receptive_axes(network, "conv2_relu") == (Axis(5, 8), Axis(5, 8))
    assert receptive_axes(network, "conv5_relu") == (Axis(5, 16), Axis(5, 16))


def test_a_cell_looks_where_it_is_said_to_lie() -> None:
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(0)
    network = build_cnn(0.5)
    down, _ = receptive_axes(network, "conv3_relu")
    part = keras.Model(network.inputs, network.get_layer("conv3_relu").output)
    centres = []
    for seed in range(4):
        pixels = tf.constant(np.random.default_rng(seed).uniform(0, 255, (1, 150, 150, 3)).astype(np.float32))
        with tf.GradientTape() as tape:
            tape.watch(pixels)
            cell = tf.reduce_sum(part(pixels, training=False)[:, 5, 5])
        energy = np.square(tape.gradient(cell, pixels).numpy()[0]).sum(axis=-1)
        centres += [energy.sum(axis=axis) @ np.arange(150) / energy.sum() for axis in (0, 1)]
    assert np.mean(centres) == pytest.approx(down.first + 5 * down.step, abs=2)


def test_maps_are_put_in_their_place() -> None:
    """Centres at 24.5 and 124.5 of 150, of two cells in each direction: 100 pixels apart, so two places."""
    raw = np.array([[[0, 1], [0, 1]]], np.float32)
    found = placed(raw, (Axis(24.5, 50), Axis(24.5, 100)))
    assert (found.shape, found.dtype) == ((1, 3, 2), np.float32)
    # The middles of two places of 75 pixels are 37 and 112: 12.5 pixels from the centre of each cell.
    np.testing.assert_allclose(found[0], [[0.125, 0.875]] * 3, atol=1e-6)


def test_even_heat_stays_even_up_to_the_edge() -> None:
    found = placed(np.full((2, 7, 7), 3, np.float32), (Axis(21, 16), Axis(21, 16)))
    assert found.shape == (2, 10, 10)
    np.testing.assert_allclose(found, 3)


def test_heat_of_the_last_row_of_inception_comes_up_from_the_edge() -> None:
    """mixed7: its last centre is 117 pixels down, not 139, so that the heat begins 16 pixels above that."""
    raw = np.zeros((1, 7, 7), np.float32)
    raw[0, 6] = 1
    rows = placed(raw, (Axis(21, 16), Axis(21, 16)))[0, :, 0]
    assert (rows[:6] == 0).all()  # middles up to 89.5
    assert rows[7:].tolist() == pytest.approx([(111.5 + 0.5 - 101) / 16, 1, 1], abs=0.05)
