"""The study's CNN (4.3.1): an AlexNet-like plan with batch normalisation and dropout, one logit at the end.

The study's Appendix B with the layers' sizes is lost. Ours: AlexNet's eleven-pixel stem with a stride of four and its
five convolutions, at a third to a quarter of its width, since there are two classes instead of a thousand, and
since training has to be bearable on two cores. TensorFlow is imported inside the functions only.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Final

from maskdet.models.network import NetworkModel, NetworkOptions
from maskdet.photos import FACE_SIZE

#: Keras's default of 0.99 needs more than an epoch of this data to settle, and misjudges the first ones in validation.
_MOMENTUM: Final = 0.9


@dataclass(frozen=True)
class CnnOptions(NetworkOptions):
    """Options of the CNN: those of every network (see `NetworkOptions`)."""


def block(x: Any, number: int, filters: int, kernel: int, strides: int = 1) -> Any:
    """Convolution, batch normalisation, ReLU."""
    from keras import layers

    name = f"conv{number}"
    # Bias-free: batch normalisation brings its own shift.
    x = layers.Conv2D(filters, kernel, strides=strides, padding="same", use_bias=False, name=name)(x)
    x = layers.BatchNormalization(momentum=_MOMENTUM, name=f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def pool(x: Any, number: int) -> Any:
    """AlexNet's overlapping max pooling."""
    from keras import layers

    return layers.MaxPooling2D(3, strides=2, padding="same", name=f"pool{number}")(x)


def convolutions() -> tuple[Any, Any]:
    """The input, in 0..255, and the maps of the five convolutions: (n, 10, 10, 96)."""
    import keras
    from keras import layers

    inputs = keras.Input((FACE_SIZE, FACE_SIZE, 3), name="face")
    x = layers.Rescaling(1 / 255, name="to_unit_range")(inputs)
    x = pool(block(x, 1, 32, 11, strides=4), 1)
    x = pool(block(x, 2, 64, 5), 2)
    for number in (3, 4, 5):
        x = block(x, number, 96, 3)
    return inputs, x


def classifier(inputs: Any, x: Any, dropout: float, name: str) -> Any:
    """The network that ends in one logit, from the maps of its last convolution."""
    import keras
    from keras import layers

    x = layers.Flatten(name="flatten")(pool(x, 5))
    x = layers.Dropout(dropout, name="dropout1")(x)
    x = layers.Dense(256, activation="relu", name="dense")(x)
    x = layers.Dropout(dropout, name="dropout2")(x)
    return keras.Model(inputs, layers.Dense(1, dtype="float32", name="logit")(x), name=name)


def build_cnn(dropout: float) -> Any:
    """The network: a flat functional Keras model from (n, 150, 150, 3) in 0..255 to one logit (n, 1)."""
    return classifier(*convolutions(), dropout, "cnn")


class Cnn(NetworkModel):
    """The study's CNN without transfer learning."""

    name: ClassVar[str] = "cnn"
    title: ClassVar[str] = "CNN (AlexNet-like)"
    #: The last convolution, after its normalisation and ReLU.
    gradcam_layer: ClassVar[str] = "conv5_relu"

    @classmethod
    def options_type(cls) -> type[CnnOptions]:
        """The dataclass of this model's options."""
        return CnnOptions

    def build(self) -> Any:
        """The network with fresh weights."""
        return build_cnn(self.options.dropout)
