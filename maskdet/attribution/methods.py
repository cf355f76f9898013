"""The methods that say where a model looked."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from maskdet.attribution.gradcam import grad_cam
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
    tells_labels_apart : bool
        False for a method whose map is the same for both labels, since it takes the size of a gradient, not its sign.
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
    tells_labels_apart: bool = True
    at_once: int = 32
    cap: float = 100.0


_ALL: Final = (
    AttributionMethod("grad-cam", "Grad-CAM", "Selvaraju et al., 2017", grad_cam, uses_layer=True),
    AttributionMethod("occlusion", "Occlusion", "Zeiler & Fergus, 2014", occlusion, needs_network=False),
)
#: The methods by key, in the order in which they are offered.
METHODS: Final[dict[str, AttributionMethod]] = {method.name: method for method in _ALL}
