"""Class activation maps that tf-keras-vis has: Grad-CAM++, LayerCAM, Score-CAM."""

from typing import Any, Final

import numpy as np

from maskdet.attribution.heatmap import RawMaps
from maskdet.attribution.layered import two_layers, two_logits
from maskdet.attribution.subject import Request, Subject
from maskdet.labels import CLASSES, WITH_MASK, WITHOUT_MASK
from maskdet.progress import Progress, silent

#: A layer such as mixed7 is no convolution: tf-keras-vis would silently take the convolution before it.
_AS_ASKED: Final[dict[str, Any]] = {
    "seek_penultimate_conv_layer": False, "expand_cam": False, "normalize_cam": False,
}  # fmt: skip


def grad_cam_plus_plus(subject: Subject, request: Request) -> RawMaps:
    """Grad-CAM++ (Chattopadhay et al., 2018): each place of a channel has a weight of its own.

    The method takes the exponential of the score, which only multiplies the map of a face and leaves the range of
    floating point numbers for a sure verdict. So it is given the score less its own value, whose exponential is 1.
    """
    from tf_keras_vis.gradcam_plus_plus import GradcamPlusPlus

    return _gradient_cam(subject, request, GradcamPlusPlus)


def layer_cam(subject: Subject, request: Request) -> RawMaps:
    """LayerCAM (Jiang et al., 2021): channels times the positive part of their gradients, place by place."""
    from tf_keras_vis.layercam import Layercam

    return _gradient_cam(subject, request, Layercam)


def score_cam(subject: Subject, request: Request) -> RawMaps:
    """Score-CAM (Wang et al., 2020): channels weighted by the probability of the label where only they are seen.

    What a channel does not show becomes black. Of a layer with more than ``channels`` channels, those whose maps vary
    most are tried (Faster Score-CAM, in tf-keras-vis). Faces go one by one: the choice would mix them.
    """
    from tf_keras_vis.scorecam import Scorecam

    def make() -> Any:
        told: list[Progress] = [silent]
        return two_logits(subject.network, request.layer, lambda: told[0]), told

    index = CLASSES.index(WITHOUT_MASK if request.sign > 0 else WITH_MASK)
    network, told = subject.kept(("score-cam", request.layer), make)
    channels = min(request.options.channels, network.outputs[0].shape[-1])
    maps = []
    for face in request.pixels:
        with subject.lock:
            told[0] = request.progress
            found = Scorecam(network, clone=False)(
                lambda probabilities: probabilities[:, index], face[None], penultimate_layer=request.layer,
                max_N=channels, **_AS_ASKED,
            )  # fmt: skip
        maps.append(np.asarray(found, dtype=np.float32))
    return np.concatenate(maps)


def _gradient_cam(subject: Subject, request: Request, kind: Any) -> RawMaps:
    import tensorflow as tf

    key = ("two layers", request.layer, request.sign)
    with subject.lock:
        network = subject.kept(key, lambda: two_layers(subject.network, request.layer, request.sign))
        found = kind(network, clone=False)(
            lambda score: score[:, 0] - tf.stop_gradient(score[:, 0]), request.pixels,
            penultimate_layer=request.layer, **_AS_ASKED,
        )  # fmt: skip
    return np.asarray(found, dtype=np.float32)
