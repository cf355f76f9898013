"""The layers of a network as a table (study, Appendices B and C)."""

from math import prod
from typing import TYPE_CHECKING

from maskdet.errors import MaskDetError
from maskdet.models.base import Model
from maskdet.models.network import NetworkModel

if TYPE_CHECKING:
    import pandas as pd


def layer_table(model: Model) -> "pd.DataFrame":
    """The layers of a model's network, in order.

    Returns
    -------
    DataFrame
        A row a layer: layer, kind, output (height × width × channels, or width), parameters, of which trainable.

    Raises
    ------
    MaskDetError
        If the model is no network.
    """
    import pandas as pd

    if not isinstance(model, NetworkModel):
        raise MaskDetError(f"{model.title} is no network: it has no layers.")
    rows = [
        {
            "layer": layer.name,
            "kind": type(layer).__name__,
            "output": "×".join(str(side) for side in layer.output.shape[1:]),
            "parameters": int(layer.count_params()),
            "trainable": sum(prod(weight.shape) for weight in layer.trainable_weights),
        }
        for layer in model.build().layers
    ]
    return pd.DataFrame(rows)
