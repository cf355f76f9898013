"""A network of two dense layers that is trained in no time, and a checkpoint in memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import keras
import numpy as np
from factories import fit_data

from maskdet.augment import AugmentOptions
from maskdet.models.checkpoint import Arrays, History
from maskdet.models.network import NetworkModel, NetworkOptions
from maskdet.models.session import Phase

DATA = fit_data(16, 8)
NONE = AugmentOptions(plan="none")


@dataclass(frozen=True)
class TinyOptions(NetworkOptions):
    frozen_epochs: int = 1
    fine_tuning_rate: float = 0.01


class Tiny(NetworkModel):
    """Nine mean colours, a base with batch normalisation, and a binary layer that is trained alone at first."""

    name: ClassVar[str] = "tiny"
    title: ClassVar[str] = "Tiny"
    gradcam_layer: ClassVar[str] = "none"

    def __init__(self, options: TinyOptions | None = None, *, batch_statistics: bool = True) -> None:
        super().__init__(options)
        self.batch_statistics = batch_statistics  # type: ignore[misc]
        self.begun_with: dict[str, np.ndarray] = {}
        self.dtypes: dict[str, tuple[str, str]] = {}

    @classmethod
    def options_type(cls) -> type[TinyOptions]:
        return TinyOptions

    def build(self) -> Any:
        inputs = keras.Input((150, 150, 3))
        x = keras.layers.Flatten()(keras.layers.AveragePooling2D(50)(keras.layers.Rescaling(1 / 255)(inputs)))
        x = keras.layers.Dense(4, use_bias=False, name="base")(x)
        x = keras.layers.BatchNormalization(momentum=0.5, name="norm")(x)
        x = keras.layers.Dropout(self.options.dropout)(x)
        return keras.Model(inputs, keras.layers.Dense(1, dtype="float32", name="logit")(x))

    def initialise(self, network: Any) -> None:
        self.begun_with = weights_of(network)
        self.dtypes = {layer.name: (layer.compute_dtype, layer.variable_dtype) for layer in network.layers}

    def phases(self) -> Sequence[Phase]:
        options = self.options
        return (
            Phase(options.frozen_epochs, options.learning_rate, lambda layer: layer == "logit"),
            Phase(options.epochs, options.fine_tuning_rate),
        )


def weights_of(network: Any) -> dict[str, np.ndarray]:
    names = [variable.path for variable in network.weights]
    return dict(zip(names, (value.copy() for value in network.get_weights()), strict=True))


class Kept:
    """A checkpoint in memory that keeps every state, and may begin with one."""

    def __init__(self, begin: tuple[History, Arrays] | None = None) -> None:
        self.begin = begin
        self.states: list[tuple[History, Arrays]] = []

    def load(self) -> tuple[History, Arrays] | None:
        return self.begin and ([dict(entry) for entry in self.begin[0]], dict(self.begin[1]))

    def save(self, history: History, arrays: Any) -> None:
        copied = {name: np.array(value) for name, value in arrays.items()}
        self.states.append(([dict(entry) for entry in history], copied))

    def weights(self, model: Tiny, epoch: int) -> dict[str, np.ndarray]:
        """The network's weights by name after an epoch, from 1."""
        arrays = self.states[epoch - 1][1]
        return {name: arrays[f"network/{i}"] for i, name in enumerate(model.begun_with)}


def options(**changed: Any) -> TinyOptions:
    plain = {"epochs": 2, "batch_size": 8, "learning_rate": 0.01, "dropout": 0.0, "augmentation": NONE,
             "precision": "float32"}  # fmt: skip
    return TinyOptions(**plain | changed)


def changed(before: dict[str, np.ndarray], after: dict[str, np.ndarray]) -> set[str]:
    return {name for name in before if not np.array_equal(before[name], after[name])}
