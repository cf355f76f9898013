"""Where a model looked: heatmaps by several methods behind one interface (study, 6.3), and how far to trust them."""

from maskdet.attribution.explainer import Explainer
from maskdet.attribution.heatmap import COLOUR_MAPS, Heatmap, RawMaps, overlay
from maskdet.attribution.methods import METHODS, AttributionMethod
from maskdet.attribution.options import AttributionOptions

__all__ = [
    "COLOUR_MAPS", "METHODS", "AttributionMethod", "AttributionOptions", "Explainer", "Heatmap", "RawMaps", "overlay",
]  # fmt: skip
