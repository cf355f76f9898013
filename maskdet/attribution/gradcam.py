"""Grad-CAM (Selvaraju et al., 2017; study, 6.3), compiled once for each layer of a network."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from maskdet.attribution.heatmap import RawMaps
from maskdet.attribution.layered import any_number
from maskdet.attribution.subject import Request, Subject


def grad_cam(subject: Subject, request: Request) -> RawMaps:
    """The ReLU of the layer's channels, weighted by the mean gradient of the score with respect to each.

    The same as tf-keras-vis computes, at an eighth of the time and less (see ``docs/benchmarks.md``).
    """
    maps = subject.kept(("grad-cam", request.layer), lambda: _compile(subject.network, request.layer))
    return np.asarray(maps(request.pixels, np.float32(request.sign)), dtype=np.float32)


def _compile(network: Any, layer: str) -> Callable[[npt.NDArray[np.float32], np.float32], Any]:
    import keras
    import tensorflow as tf

    both = keras.Model(network.inputs, [network.get_layer(layer).output, network.output])

    @tf.function(input_signature=[any_number(network), tf.TensorSpec((), tf.float32)])
    def maps(faces: Any, sign: Any) -> Any:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(faces)
            activations, logit = both(faces, training=False)
            score = sign * logit
        weights = tf.reduce_mean(tape.gradient(score, activations), axis=(1, 2), keepdims=True)
        return tf.nn.relu(tf.reduce_sum(weights * activations, axis=-1))

    return maps
