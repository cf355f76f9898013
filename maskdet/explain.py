"""Where a model looked: Grad-CAM heatmaps (Selvaraju et al., 2017; study, 6.3)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from maskdet.errors import MaskDetError
from maskdet.labels import CLASSES, WITHOUT_MASK
from maskdet.models.base import Model
from maskdet.photos import RgbImage

#: Below this largest value a map holds no evidence: the ReLU of Grad-CAM left nothing for that label.
EMPTY: Final = 1e-8
#: Colours from little to much heat; R, G, B. Ends of Plotly's "Inferno", which also reads well in grey.
_COLOURS: Final = np.array([(0, 0, 4), (66, 10, 104), (147, 38, 103), (221, 81, 58), (252, 165, 10), (252, 255, 164)])

RawMaps = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Heatmap:
    """Evidence for one label over one face.

    Attributes
    ----------
    values : array of float32
        Shape (h, w) of the layer's maps, scaled to 0..1 by its largest value; all 0 if there is no evidence.
    label : str
        The label whose evidence it shows.
    layer : str
        The layer it was taken from.
    """

    values: npt.NDArray[np.float32]
    label: str
    layer: str

    @property
    def has_evidence(self) -> bool:
        """False where nothing in the layer speaks for the label, so that there is no heat to draw."""
        return bool(self.values.max(initial=0) > 0)


class GradCam:
    """Grad-CAM of one layer of one network, compiled once.

    Each map is the ReLU of the layer's channels, weighted by the mean gradient of the score with respect to each.
    The score is the logit for *without mask* and its negative for *with mask*.
    """

    def __init__(self, model: Model) -> None:
        layer, network = getattr(model, "gradcam_layer", None), getattr(model, "network", None)
        if layer is None or network is None:
            raise MaskDetError(f"Grad-CAM needs a convolutional network; {model.name} has no convolutional layer.")
        self.layer = str(layer)
        self._maps = _compile(network, self.layer)

    def raw(self, faces: RgbImage, label: str) -> RawMaps:
        """Unscaled maps for normalised faces of shape (n, 150, 150, 3); shape (n, h, w), at least 0."""
        sign = 1.0 if label == WITHOUT_MASK else -1.0
        return np.asarray(self._maps(faces.astype(np.float32), np.float32(sign)), dtype=np.float32)

    def __call__(self, face: RgbImage, label: str) -> Heatmap:
        """The heatmap of one normalised face, shape (150, 150, 3), for a label."""
        if label not in CLASSES:
            raise MaskDetError(f"A heatmap is of {' or '.join(CLASSES)}, not of {label!r}.")
        raw = self.raw(face[None], label)[0]
        top = float(raw.max())
        values = raw / top if top > EMPTY else np.zeros_like(raw)
        return Heatmap(values, label, self.layer)


def overlay(photo: RgbImage, heatmap: Heatmap, opacity: float = 0.6) -> RgbImage:
    """Lay a heatmap over a photo of the face, at the photo's size.

    Parameters
    ----------
    photo : array of uint8, shape (height, width, 3)
    opacity : float
        Opacity of the hottest place, 0..1; cold places stay clear, so that the face remains visible.
    """
    height, width = photo.shape[:2]
    heat = Image.fromarray(heatmap.values).resize((width, height), Image.Resampling.BICUBIC)
    values = np.clip(np.asarray(heat, dtype=np.float32), 0, 1)
    stops = np.linspace(0, 1, len(_COLOURS))
    colours = np.stack([np.interp(values, stops, _COLOURS[:, channel]) for channel in range(3)], axis=-1)
    alpha = (opacity * values)[..., None]
    return np.asarray(photo * (1 - alpha) + colours * alpha + 0.5).astype(np.uint8)


def _compile(network: Any, layer: str) -> Callable[[npt.NDArray[np.float32], np.float32], Any]:
    import keras
    import tensorflow as tf

    both = keras.Model(network.inputs, [network.get_layer(layer).output, network.output])

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
    def maps(faces: Any, sign: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(faces)
            activations, logit = both(faces, training=False)
            score = sign * logit
        weights = tf.reduce_mean(tape.gradient(score, activations), axis=(1, 2), keepdims=True)
        return tf.nn.relu(tf.reduce_sum(weights * activations, axis=-1))

    return maps  # type: ignore[no-any-return]
