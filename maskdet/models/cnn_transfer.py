"""The study's CNN with transfer learning (4.3.1): pre-trained on simulated masks, then further layers on top.

The study adds "some additional layers" without saying which. Ours: two more convolutions of the width of the last
ones, before the pooling that the base ends with, so that the maps a heatmap shows stay 10 by 10.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

from maskdet.errors import MaskDetError
from maskdet.models.cnn import Cnn, block, classifier, convolutions
from maskdet.models.network import NetworkModel, NetworkOptions
from maskdet.models.session import Phase

#: Layers that come from the base. The dense layers are trained anew, above maps they have not seen.
_BASE: Final = ("conv1", "conv2", "conv3", "conv4", "conv5")
_FURTHER: Final = (6, 7)
_FILTERS: Final = 96


@dataclass(frozen=True)
class CnnTransferOptions(NetworkOptions):
    """Options of the transfer; ``epochs`` counts the second phase.

    Attributes
    ----------
    frozen_epochs : int
        Epochs of the first phase, in which the base is frozen (study: 1).
    """

    frozen_epochs: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.frozen_epochs < 0:
            raise MaskDetError(f"frozen_epochs must be at least 0, not {self.frozen_epochs}.")


class CnnTransfer(NetworkModel):
    """The CNN whose convolutions were pre-trained on simulated masks, with two more on top of them."""

    name: ClassVar[str] = "cnn-transfer"
    title: ClassVar[str] = "CNN with transfer learning"
    needs_base: ClassVar[bool] = True
    gradcam_layer: ClassVar[str] = f"conv{_FURTHER[-1]}_relu"

    def __init__(self, options: CnnTransferOptions | None = None) -> None:
        super().__init__(options)
        self._base: Path | None = None
        self._base_is_chosen = False

    @classmethod
    def options_type(cls) -> type[CnnTransferOptions]:
        """The dataclass of this model's options."""
        return CnnTransferOptions

    def use_base(self, folder: Path | None) -> None:
        """Begin with the weights of a CNN, from its folder of weights; None begins with fresh ones."""
        self._base, self._base_is_chosen = folder, True

    def build(self) -> Any:
        """The network with fresh weights."""
        inputs, x = convolutions()
        for number in _FURTHER:
            x = block(x, number, _FILTERS, 3)
        return classifier(inputs, x, self.options.dropout, "cnn_transfer")

    def initialise(self, network: Any) -> None:
        """Copy the base's convolutions. Raises MaskDetError without a base, RunError if it cannot be read."""
        if not self._base_is_chosen:
            raise MaskDetError(
                "cnn-transfer begins with a pre-training run: `python -m maskdet train cnn --pool pre-training` makes "
                "one."
            )
        if self._base is None:
            return
        base = Cnn()
        base.load(self._base)
        for name in _BASE:
            for layer in (name, f"{name}_norm"):
                network.get_layer(layer).set_weights(base.network.get_layer(layer).get_weights())

    def phases(self) -> Sequence[Phase]:
        """First the new layers alone, then all (study, 4.3.1)."""
        new = Phase(self.options.frozen_epochs, self.options.learning_rate, lambda layer: not layer.startswith(_BASE))
        return (new, Phase(self.options.epochs, self.options.learning_rate))
