"""What a method is given: the model in the forms that methods look into, compiled once and kept."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import RLock
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from maskdet.attribution.options import AttributionOptions
from maskdet.photos import RgbImage
from maskdet.progress import Progress, silent

#: Logits of shape (n,), above 0 without mask, of normalised faces of shape (n, 150, 150, 3).
LogitsOf = Callable[[RgbImage], npt.NDArray[Any]]
#: Layers worth looking at: the ends of blocks, through which everything goes. Others are steps within one.
_BLOCK_ENDS: Final = re.compile(r"mixed\d+|conv\d+_relu")
#: A single cell says nothing of where.
SMALLEST_SIDE: Final = 2


@dataclass(frozen=True)
class Request:
    """What is asked of a method.

    Attributes
    ----------
    faces : array of uint8
        Normalised faces, shape (n, 150, 150, 3), n >= 1.
    sign : float
        What the logit is multiplied with to give the score: 1 for *without mask*, -1 for *with mask*.
    layer : str
        The layer to look into; "" for a method that uses none.
    """

    faces: RgbImage
    sign: float
    layer: str
    options: AttributionOptions
    progress: Progress = silent

    @property
    def pixels(self) -> npt.NDArray[np.float32]:
        """The faces as a network takes them: 0..255, shape (n, 150, 150, 3)."""
        return self.faces.astype(np.float32)


@dataclass
class Subject:
    """A model to be explained.

    Attributes
    ----------
    logits : callable
        Its logits, whatever computes them.
    network : keras.Model or None
        The flat network, None for a model without one.
    lock : RLock
        Held while something is compiled, and around tf-keras-vis, which does not say that threads may share it.
    """

    logits: LogitsOf
    network: Any
    lock: Any = field(default_factory=RLock)
    _kept: dict[object, Any] = field(default_factory=dict)

    def kept(self, key: object, make: Callable[[], Any]) -> Any:
        """What was made before under this key, or else is made now."""
        if key not in self._kept:  # else nobody waits for a slow method of another thread
            with self.lock:
                if key not in self._kept:
                    self._kept[key] = make()
        return self._kept[key]


def spatial_layers(network: Any) -> tuple[str, ...]:
    """Layers that a person would choose from, the last first: ends of blocks whose maps are at least 2 by 2."""
    return tuple(
        layer.name
        for layer in reversed(network.layers)
        if _BLOCK_ENDS.fullmatch(layer.name) and min(layer.output.shape[1:3]) >= SMALLEST_SIDE
    )
