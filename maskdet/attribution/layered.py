"""Networks as tf-keras-vis takes them, but compiled: it runs each layer apart, which takes ten times as long.

A network becomes one of two or one layers, each of which is a compiled function. The last gives the score of each face
and keeps its gradient, so that the maps of tf-keras-vis come out the same. TensorFlow is imported inside the functions.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from maskdet.progress import Progress

#: Faces that a network judges at once.
_BATCH: Final = 32


def two_layers(network: Any, layer: str, sign: float) -> Any:
    """From faces to the maps of a layer, under its name, and from these to the score, of shape (n, 1)."""
    import keras

    inputs = keras.Input(network.inputs[0].shape[1:])
    maps = _compiled_layer(keras.Model(network.inputs, network.get_layer(layer).output), layer)(inputs)
    rest = keras.Model(network.get_layer(layer).output, network.output)
    return keras.Model([inputs], _score_layer(rest, sign)(maps))


def one_layer(network: Any, sign: float) -> Any:
    """From faces to the score, of shape (n, 1)."""
    import keras

    inputs = keras.Input(network.inputs[0].shape[1:])
    return keras.Model([inputs], _score_layer(network, sign)(inputs))


def two_logits(network: Any, layer: str, told: Callable[[], Progress]) -> Any:
    """From faces to the maps of a layer, under its name; ``predict`` gives a logit a class, shape (n, 2).

    Score-CAM takes the softmax of what is predicted, which is 1 for any single logit. That of 0 and the logit are the
    probabilities of both classes.
    """
    import keras
    import tensorflow as tf

    forward = tf.function(lambda faces: network(faces, training=False), input_signature=[any_number(network)])

    class TwoLogits(keras.Model):
        def predict(self, faces: Sequence[npt.NDArray[np.float32]], batch_size: int) -> npt.NDArray[np.float32]:
            (pixels,) = faces
            report, logits = told(), np.zeros((len(pixels), 2), np.float32)
            for begin in range(0, len(pixels), batch_size):
                chosen = slice(begin, begin + batch_size)
                logits[chosen, 1] = np.asarray(forward(pixels[chosen].astype(np.float32)))[:, 0]
                report(min(begin + batch_size, len(pixels)), len(pixels), "Score-CAM")
            return logits

    inputs = keras.Input(network.inputs[0].shape[1:])
    maps = _compiled_layer(keras.Model(network.inputs, network.get_layer(layer).output), layer)(inputs)
    return TwoLogits([inputs], maps)


def with_activation_layers(network: Any) -> Any:
    """A copy of a network whose ReLU layers are Activation layers, whose function can be exchanged."""
    import keras

    def copy(layer: Any) -> Any:
        if isinstance(layer, keras.layers.ReLU):
            return keras.layers.Activation("relu", name=layer.name)
        return layer.__class__.from_config(layer.get_config())

    copied = keras.models.clone_model(network, clone_function=copy)
    copied.set_weights(network.get_weights())
    return copied


def any_number(network: Any) -> Any:
    """What a network takes, however many: a function that names it is compiled once, not again for each number."""
    import tensorflow as tf

    return tf.TensorSpec((None, *network.inputs[0].shape[1:]), tf.float32)


def _compiled_layer(part: Any, name: str) -> Any:
    """A layer that is a whole network."""
    import keras
    import tensorflow as tf

    forward = tf.function(lambda pixels: part(pixels, training=False), input_signature=[any_number(part)])

    @tf.custom_gradient
    def maps(pixels: Any) -> Any:
        # The tape goes on beyond the maps, down to the pixels, whose gradient nobody asks for.
        def slope(upstream: Any, variables: Sequence[Any] = ()) -> Any:
            return tf.zeros_like(pixels), [None] * len(variables)

        return forward(pixels), slope

    class Compiled(keras.layers.Layer):
        def call(self, pixels: Any) -> Any:
            return maps(pixels)

        def compute_output_shape(self, shape: Any) -> Any:
            return part.output.shape

    return Compiled(name=name)


def _score_layer(part: Any, sign: float) -> Any:
    """A layer from a network's input to the sign times its logit, whose gradient is found on the way."""
    import keras
    import tensorflow as tf

    @tf.function(input_signature=[any_number(part)])
    def both(values: Any) -> Any:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(values)
            score = sign * part(values, training=False)
        return score, tape.gradient(score, values)

    @tf.custom_gradient
    def score(values: Any) -> Any:
        found, gradient = both(values)

        def slope(upstream: Any, variables: Sequence[Any] = ()) -> Any:  # nobody asks for those of the weights
            return upstream[..., None, None] * gradient, [None] * len(variables)

        return found, slope

    class Score(keras.layers.Layer):
        def call(self, values: Any) -> Any:
            return score(values)

        def compute_output_shape(self, shape: Any) -> Any:
            return (None, 1)

    return Score(name="score")
