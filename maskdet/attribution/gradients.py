"""Maps of single pixels from gradients: SmoothGrad, guided backpropagation, deconvolution.

tf-keras-vis takes the gradients and of each pixel the largest absolute value of the three channels.
"""

from typing import Any, Final

import numpy as np

from maskdet.attribution.heatmap import RawMaps
from maskdet.attribution.layered import one_layer, with_activation_layers
from maskdet.attribution.subject import Request, Subject

#: Noisy copies whose gradients are taken at once.
_COPIES_AT_ONCE: Final = 8


def smooth_grad(subject: Subject, request: Request) -> RawMaps:
    """SmoothGrad (Smilkov et al., 2017): mean size of the gradient over noisy copies of a face.

    It tells where the score changes most with a pixel, whichever way, so that the map is the same for both labels.
    The noise is drawn here: tf-keras-vis draws it from NumPy's global generator, which no seed of ours may touch.
    """
    network = subject.kept(("one layer", 1.0), lambda: one_layer(subject.network, 1.0))
    options, faces = request.options, request.pixels
    maps = np.empty(faces.shape[:3], np.float32)
    for number, face in enumerate(faces):
        rng = np.random.default_rng(options.seed)
        noise = rng.normal(0, options.noise * (face.max() - face.min()), (options.samples, *face.shape))
        copies = (face + noise).astype(np.float32)
        total = np.zeros(face.shape, np.float64)
        for begin in range(0, len(copies), _COPIES_AT_ONCE):
            chosen = copies[begin : begin + _COPIES_AT_ONCE]
            total += _saliency(subject, network, chosen, keepdims=True).sum(axis=0)
            done = number * options.samples + begin + len(chosen)
            request.progress(done, len(faces) * options.samples, "SmoothGrad")
        maps[number] = (total / options.samples).max(axis=-1)
    return maps


def guided_backpropagation(subject: Subject, request: Request) -> RawMaps:
    """Guided backpropagation (Springenberg et al., 2014): no ReLU passes a negative gradient back.

    On its way back a gradient passes a ReLU where it is positive itself and the ReLU's input was.
    """
    return _modified(subject, request, "guided")


def deconvolution(subject: Subject, request: Request) -> RawMaps:
    """Deconvolution (Zeiler & Fergus, 2014): a ReLU on the way back instead of the derivative of that on the way.

    A gradient passes where it is positive itself, whatever the ReLU's input was; max pooling passes it to the place of
    the largest value, their "switch". Ours, since tf-keras-vis has none.
    """
    return _modified(subject, request, "deconvolution")


def _modified(subject: Subject, request: Request, kind: str) -> RawMaps:
    """Both change how ReLUs pass a gradient, and so work on a copy of the network, never on the model's own."""

    def copy() -> Any:
        return _guided(subject.network) if kind == "guided" else _deconvolved(subject.network)

    with subject.lock:
        changed = subject.kept(kind, copy)
        network = subject.kept((kind, request.sign), lambda: one_layer(changed, request.sign))
    return _saliency(subject, network, request.pixels)


def _saliency(subject: Subject, network: Any, pixels: Any, *, keepdims: bool = False) -> RawMaps:
    from tf_keras_vis.saliency import Saliency

    with subject.lock:
        found = Saliency(network, clone=False)(
            lambda score: score[:, 0], pixels, keepdims=keepdims, normalize_map=False
        )  # fmt: skip
    return np.asarray(found, dtype=np.float32)


def _guided(network: Any) -> Any:
    from tf_keras_vis.utils.model_modifiers import GuidedBackpropagation

    changed = with_activation_layers(network)
    GuidedBackpropagation()(changed)
    return changed


def _deconvolved(network: Any) -> Any:
    import keras
    import tensorflow as tf

    @tf.custom_gradient
    def relu_both_ways(values: Any) -> Any:
        return tf.nn.relu(values), tf.nn.relu

    changed = with_activation_layers(network)
    for layer in changed.layers:
        if getattr(layer, "activation", None) is keras.activations.relu:
            layer.activation = relu_both_ways
    return changed
