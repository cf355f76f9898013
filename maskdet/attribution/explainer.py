"""One interface for all methods: where a model finds evidence for a label in a face."""

from typing import Any

import numpy as np
import numpy.typing as npt

from maskdet.attribution.heatmap import Heatmap, RawMaps, scaled
from maskdet.attribution.methods import METHODS, AttributionMethod
from maskdet.attribution.options import AttributionOptions
from maskdet.attribution.placement import placed, receptive_axes
from maskdet.attribution.subject import SMALLEST_SIDE, LogitsOf, Request, Subject, spatial_layers
from maskdet.errors import MaskDetError
from maskdet.images import ArrayImages
from maskdet.labels import CLASSES, WITHOUT_MASK
from maskdet.models.base import Model
from maskdet.photos import FACE_SIZE, RgbImage
from maskdet.progress import Progress, silent


class Explainer:
    """Explains the verdicts of one model. What a method compiles is kept; threads may share an explainer.

    Parameters
    ----------
    model : Model
        Loaded or fitted.
    options : AttributionOptions
    logits : callable, optional
        A quicker way to the same logits, for occlusion: from faces of shape (n, 150, 150, 3) to shape (n,).
    """

    def __init__(
        self, model: Model, options: AttributionOptions | None = None, *, logits: LogitsOf | None = None
    ) -> None:
        self.model = model
        self.options = options or AttributionOptions()
        network = getattr(model, "network", None)
        self._subject = Subject(logits or (lambda faces: model.predict_logit(ArrayImages(faces))), network)
        self._layers = spatial_layers(network) if network is not None else ()

    @property
    def methods(self) -> tuple[str, ...]:
        """Keys of the methods that suit the model: all for a network, occlusion for any other."""
        networks = self._subject.network is not None
        return tuple(name for name, method in METHODS.items() if networks or not method.needs_network)

    @property
    def layers(self) -> tuple[str, ...]:
        """Layers to choose from, the last first: ends of blocks whose maps are at least 2 by 2."""
        return self._layers

    @property
    def default_layer(self) -> str | None:
        """The layer that is taken where none is chosen; None for a model without layers."""
        if self._subject.network is None:
            return None
        layer: str | None = getattr(self.model, "gradcam_layer", self._layers[0] if self._layers else None)
        return layer

    def logits(self, faces: RgbImage) -> npt.NDArray[Any]:
        """Logits of the model, above 0 without mask: shape (n,), from faces of shape (n, 150, 150, 3)."""
        return self._subject.logits(faces)

    def uses_layer(self, method: str) -> bool:
        """Whether a layer can be chosen for a method. Raises MaskDetError for an unknown one."""
        return _method(method).uses_layer

    def raw(
        self, method: str, faces: RgbImage, label: str, layer: str | None = None, progress: Progress = silent
    ) -> RawMaps:
        """Unscaled maps of some faces.

        Parameters
        ----------
        method : str
            Key of `METHODS`.
        faces : array of uint8
            Normalised faces, shape (n, 150, 150, 3).
        label : {"with_mask", "without_mask"}
            Whose evidence: the score is the logit for *without mask* and its negative for *with mask*.
        layer : str, optional
            One of `layers`, for a method that uses one; `default_layer` if none is given.
        progress : Progress
            Told of Score-CAM, SmoothGrad and occlusion, which take longer than a second for a few faces.

        Returns
        -------
        array of float32
            Shape (n, h, w), at least 0, finite. Values of different methods, and those of Grad-CAM++ and Score-CAM of
            different faces, have no common scale.

        Raises
        ------
        MaskDetError
            If method or label are unknown, the method does not suit the model, or there is no such layer.
        """
        known = self._require(method, label, layer)
        if faces.ndim != 4 or faces.shape[1:] != (FACE_SIZE, FACE_SIZE, 3):
            raise ValueError(f"faces must have shape (n, {FACE_SIZE}, {FACE_SIZE}, 3), not {faces.shape}")
        chosen = (layer or self.default_layer or "") if known.uses_layer else ""
        sign = 1.0 if label == WITHOUT_MASK else -1.0
        total = len(faces)
        parts = []
        for begin in range(0, total, known.at_once):
            batch = faces[begin : begin + known.at_once]
            request = Request(batch, sign, chosen, self.options, _part(progress, begin, len(batch), total))
            parts.append(known.maps(self._subject, request))
        return np.concatenate(parts) if parts else np.empty((0, 0, 0), np.float32)

    def heatmap(
        self, method: str, face: RgbImage, label: str, layer: str | None = None, progress: Progress = silent
    ) -> Heatmap:
        """The heatmap of one normalised face, shape (150, 150, 3); parameters and errors as in `raw`."""
        return self.heatmaps(method, face[None], label, layer, progress)[0]

    def heatmaps(
        self, method: str, faces: RgbImage, label: str, layer: str | None = None, progress: Progress = silent
    ) -> list[Heatmap]:
        """The heatmaps of some faces; parameters and errors as in `raw`."""
        raw = self.raw(method, faces, label, layer, progress)
        known = METHODS[method]
        chosen = layer or self.default_layer if known.uses_layer else None
        return [Heatmap(scaled(each, known.cap), label, chosen, method) for each in self.on_face(raw, chosen)]

    def on_face(self, raw: RawMaps, layer: str | None) -> RawMaps:
        """Raw maps with each cell of the layer where it lies on the face (see `maskdet.attribution.placement`)."""
        if layer is None or not len(raw) or min(raw.shape[1:]) < SMALLEST_SIDE:
            return raw
        network = self._subject.network
        return placed(raw, self._subject.kept(("axes", layer), lambda: receptive_axes(network, layer)))

    def _require(self, method: str, label: str, layer: str | None) -> AttributionMethod:
        if label not in CLASSES:
            raise MaskDetError(f"A heatmap is of {' or '.join(CLASSES)}, not of {label!r}.")
        known = _method(method)
        if method not in self.methods:
            raise MaskDetError(
                f"{known.title} needs a convolutional network, which {self.model.name} is not; occlusion explains any "
                "model."
            )
        if layer is not None and not known.uses_layer:
            raise MaskDetError(f"{known.title} looks at no single layer, so that {layer!r} cannot be chosen for it.")
        if layer is not None and layer not in {*self._layers, self.default_layer}:
            raise MaskDetError(f"The layer must be one of {', '.join(self._layers)}, not {layer!r}.")
        if known.uses_layer and self.default_layer is None:
            raise MaskDetError(f"{self.model.name} has no layer with maps of at least 2 by 2 to look into.")
        return known


def _method(name: str) -> AttributionMethod:
    if name not in METHODS:
        raise MaskDetError(f"The method must be one of {', '.join(METHODS)}, not {name!r}.")
    return METHODS[name]


def _part(progress: Progress, begin: int, count: int, faces: int) -> Progress:
    """Progress of one batch of faces, told as that of all, in thousandths of a face."""

    def report(done: int, total: int, text: str) -> None:
        progress(int(1000 * (begin + count * done / total)), 1000 * faces, text)

    return report
