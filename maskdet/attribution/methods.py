"""The methods that say where a model looked."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from maskdet.attribution.cams import grad_cam_plus_plus, layer_cam, score_cam
from maskdet.attribution.gradcam import grad_cam
from maskdet.attribution.gradients import deconvolution, guided_backpropagation, smooth_grad
from maskdet.attribution.heatmap import RawMaps
from maskdet.attribution.occlusion import occlusion
from maskdet.attribution.subject import Request, Subject


@dataclass(frozen=True)
class AttributionMethod:
    """A method.

    Attributes
    ----------
    name, title, source : str
        Its key, its name for people, and the paper that describes it.
    maps : callable
        From a subject and a request to raw maps.
    uses_layer : bool
        True for a method that looks into one layer of the network.
    needs_network : bool
        False for a method that explains any model.
    at_once : int
        Faces that it is given at once.
    cap : float
        Percentile at which a map is cut for display (see `maskdet.attribution.heatmap.scaled`).
    """

    name: str
    title: str
    source: str
    maps: Callable[[Subject, Request], RawMaps]
    uses_layer: bool = False
    needs_network: bool = True
    at_once: int = 32
    cap: float = 100.0


_PIXELS: Final[dict[str, Any]] = {"cap": 99.0}
_ALL: Final = (
    AttributionMethod("grad-cam", "Grad-CAM", "Selvaraju et al., 2017", grad_cam, uses_layer=True),
    # One by one: its weights are quotients of which some are nearly 0 / 0, so that the last bit, which is another in a
    # batch, shows in a thousandth of the map.
    AttributionMethod(
        "grad-cam++", "Grad-CAM++", "Chattopadhay et al., 2018", grad_cam_plus_plus, uses_layer=True, at_once=1
    ),
    AttributionMethod("score-cam", "Score-CAM", "Wang et al., 2020", score_cam, uses_layer=True, at_once=1),
    AttributionMethod("layer-cam", "LayerCAM", "Jiang et al., 2021", layer_cam, uses_layer=True),
    AttributionMethod("smoothgrad", "SmoothGrad", "Smilkov et al., 2017", smooth_grad, **_PIXELS),
    AttributionMethod(
        "guided-backpropagation", "Guided backpropagation", "Springenberg et al., 2014", guided_backpropagation,
        **_PIXELS,
    ),
    AttributionMethod("deconvolution", "Deconvolution", "Zeiler & Fergus, 2014", deconvolution, **_PIXELS),
    AttributionMethod("occlusion", "Occlusion", "Zeiler & Fergus, 2014", occlusion, needs_network=False),
)  # fmt: skip
#: The methods by key, in the order in which they are offered.
METHODS: Final[dict[str, AttributionMethod]] = {method.name: method for method in _ALL}
