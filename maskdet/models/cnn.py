"""The study's CNN (4.3.1): an AlexNet-like plan with batch normalisation and dropout, one logit at the end.

The study's Appendix B with the layers' sizes is lost. Ours: AlexNet's eleven-pixel stem with a stride of four and its
five convolutions, at a third to a quarter of its width, since there are two classes instead of a thousand, and
since training has to be bearable on two cores. TensorFlow is imported inside the functions only.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import inf, isfinite
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from maskdet.augment import AugmentOptions, draw_copy, epoch_copies
from maskdet.errors import MaskDetError
from maskdet.images import FaceImages, batches
from maskdet.models.base import History, LabelledImages, Logits, Model, ModelOptions, damaged
from maskdet.photos import FACE_SIZE
from maskdet.progress import Progress, silent

WEIGHTS_FILE: Final = "model.weights.h5"
_PREFETCHED_BATCHES: Final = 4
#: Keras's default of 0.99 needs more than an epoch of this data to settle, and misjudges the first ones in validation.
_MOMENTUM: Final = 0.9


@dataclass(frozen=True)
class CnnOptions(ModelOptions):
    """Options of the CNN; defaults are the study's where it names one.

    Attributes
    ----------
    epochs, batch_size, learning_rate
        15 epochs of Adam at 1e-4, 64 images a batch (study, 4.3.1).
    dropout : float
        Share of the dense layer's inputs and outputs dropped in training (the study gives no number).
    augmentation : AugmentOptions
        Which copies of the training faces an epoch shows, and how strong the methods are (see `maskdet.augment`). The
        default is one random variant of each face an epoch; the study's plan, which adds five copies of each, costs
        up to six times the time an epoch.
    keep_best : bool
        Keep the weights of the epoch with the lowest validation loss instead of the last (our choice).
    """

    epochs: int = 15
    batch_size: int = 64
    learning_rate: float = 1e-4
    dropout: float = 0.5
    augmentation: AugmentOptions = field(default_factory=AugmentOptions)
    keep_best: bool = True

    def __post_init__(self) -> None:
        if isinstance(self.augmentation, dict):  # as it comes back from JSON
            object.__setattr__(self, "augmentation", AugmentOptions(**self.augmentation))
        if self.epochs < 1 or self.batch_size < 1:
            raise MaskDetError(f"epochs and batch_size must be at least 1, not {self.epochs} and {self.batch_size}.")
        if not 0 < self.learning_rate < inf:
            raise MaskDetError(f"learning_rate must be above 0, not {self.learning_rate}.")
        if not 0 <= self.dropout < 1:
            raise MaskDetError(f"dropout must be at least 0 and below 1, not {self.dropout}.")


def build_cnn(dropout: float) -> Any:
    """The network: a flat functional Keras model from (n, 150, 150, 3) in 0..255 to one logit (n, 1)."""
    import keras
    from keras import layers

    def block(x: Any, number: int, filters: int, kernel: int, strides: int = 1) -> Any:
        # Bias-free: batch normalisation brings its own shift.
        name = f"conv{number}"
        x = layers.Conv2D(filters, kernel, strides=strides, padding="same", use_bias=False, name=name)(x)
        x = layers.BatchNormalization(momentum=_MOMENTUM, name=f"{name}_norm")(x)
        return layers.ReLU(name=f"{name}_relu")(x)

    def pool(x: Any, number: int) -> Any:
        return layers.MaxPooling2D(3, strides=2, padding="same", name=f"pool{number}")(x)

    inputs = keras.Input((FACE_SIZE, FACE_SIZE, 3), name="face")
    x = layers.Rescaling(1 / 255, name="to_unit_range")(inputs)
    x = pool(block(x, 1, 32, 11, strides=4), 1)
    x = pool(block(x, 2, 64, 5), 2)
    x = block(x, 3, 96, 3)
    x = block(x, 4, 96, 3)
    x = pool(block(x, 5, 96, 3), 5)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dropout(dropout, name="dropout1")(x)
    x = layers.Dense(256, activation="relu", name="dense")(x)
    x = layers.Dropout(dropout, name="dropout2")(x)
    return keras.Model(inputs, layers.Dense(1, name="logit")(x), name="cnn")


class Cnn(Model):
    """The study's CNN without transfer learning."""

    name: ClassVar[str] = "cnn"
    title: ClassVar[str] = "CNN (AlexNet-like)"
    needs_tensorflow: ClassVar[bool] = True
    #: The last convolution, after its normalisation and ReLU.
    gradcam_layer: ClassVar[str] = "conv5_relu"

    def __init__(self, options: CnnOptions | None = None) -> None:
        self.options = options or CnnOptions()
        self.network: Any = None
        self._forward: Callable[[Any], Any] | None = None

    @classmethod
    def options_type(cls) -> type[CnnOptions]:
        """The dataclass of this model's options."""
        return CnnOptions

    def fit(self, train: LabelledImages, validation: LabelledImages, *, seed: int, progress: Progress) -> History:
        """Train for the options' epochs. One entry an epoch: loss, accuracy, val_loss, val_accuracy."""
        import keras

        keras.utils.set_random_seed(seed)
        self._use(build_cnn(self.options.dropout))
        self.network.compile(
            optimizer=keras.optimizers.Adam(self.options.learning_rate),
            loss=keras.losses.BinaryCrossentropy(from_logits=True),
            metrics=[keras.metrics.BinaryAccuracy(name="accuracy", threshold=0.0)],
        )
        steps = -(-len(epoch_copies(train.datasets, self.options.augmentation)) // self.options.batch_size)
        total = steps * self.options.epochs
        history: History = []
        best_loss, best_weights = inf, None
        for epoch in range(self.options.epochs):
            reporter = _reporter(progress, epoch * steps, total, f"epoch {epoch + 1} of {self.options.epochs}")
            fitted = self.network.fit(
                _training_data(train, self.options, seed, epoch),
                steps_per_epoch=steps, epochs=1, verbose=0, shuffle=False, callbacks=[reporter],
            )  # fmt: skip
            measured = {key: float(values[-1]) for key, values in fitted.history.items()}
            history.append({"epoch": epoch + 1, **measured, **self._validate(validation)})
            if not isfinite(history[-1]["loss"] + history[-1]["val_loss"]):
                raise MaskDetError(f"The loss is no number any more in epoch {epoch + 1}; lower the learning rate.")
            if history[-1]["val_loss"] < best_loss:
                best_loss, best_weights = history[-1]["val_loss"], self.network.get_weights()
            progress((epoch + 1) * steps, total, _epoch_text(history[-1], self.options.epochs))
        if self.options.keep_best and best_weights is not None:
            self.network.set_weights(best_weights)
        return history

    def predict_logit(self, images: FaceImages, progress: Progress = silent) -> Logits:
        """Logits in the order of the images."""
        if self._forward is None:
            raise ValueError("fit or load the model before predicting")
        logits = np.empty(len(images), dtype=np.float64)
        for positions in batches(len(images), self.options.batch_size):
            logits[positions] = np.asarray(self._forward(images.take(positions)))[:, 0]
            progress(int(positions[-1]) + 1, len(images), "predicting")
        return logits

    def save(self, folder: Path) -> None:
        """Write the weights, without the optimizer's state, which would triple the file."""
        bare = build_cnn(self.options.dropout)
        bare.set_weights(self.network.get_weights())
        bare.save_weights(folder / WEIGHTS_FILE)

    def load(self, folder: Path) -> None:
        """Read weights that `save` wrote."""
        network = build_cnn(self.options.dropout)
        try:
            network.load_weights(folder / WEIGHTS_FILE)
        except Exception as error:
            raise damaged(folder, error) from error
        self._use(network)

    def _use(self, network: Any) -> None:
        import tensorflow as tf

        self.network = network
        # A compiled function costs a tenth of `network.predict` for one image.
        self._forward = tf.function(lambda batch: network(batch, training=False), reduce_retracing=True)

    def _validate(self, validation: LabelledImages) -> dict[str, float]:
        logits = self.predict_logit(validation.images)
        signed = np.where(validation.labels == 1, -logits, logits)
        return {
            "val_loss": float(np.logaddexp(0, signed).mean()),
            "val_accuracy": float(((logits > 0) == (validation.labels == 1)).mean()),
        }


def _training_data(train: LabelledImages, options: CnnOptions, seed: int, epoch: int) -> Any:
    """One epoch of all copies as a tf.data set: order and pixels follow from seed and epoch, so it can be repeated."""
    import tensorflow as tf

    def generate() -> Iterator[tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]]:
        copies = epoch_copies(train.datasets, options.augmentation)
        order = np.random.default_rng([seed, epoch]).permutation(len(copies))
        for at in batches(len(order), options.batch_size):
            chosen = [copies[i] for i in order[at]]
            positions = np.array([position for position, _ in chosen])
            images = train.images.take(positions)
            for i, (position, copy) in enumerate(chosen):
                images[i] = draw_copy(
                    images[i], copy, seed=seed, face_id=train.face_ids[position], epoch=epoch,
                    options=options.augmentation,
                )  # fmt: skip
            yield images, train.labels[positions].astype(np.float32)[:, None]

    signature = (
        tf.TensorSpec((None, FACE_SIZE, FACE_SIZE, 3), tf.uint8),
        tf.TensorSpec((None, 1), tf.float32),
    )
    data = tf.data.Dataset.from_generator(generate, output_signature=signature).prefetch(_PREFETCHED_BATCHES)
    settings = tf.data.Options()
    settings.autotune.enabled = False  # with autotune, tearing an iterator down was seen to block for seconds
    return data.with_options(settings)


def _reporter(progress: Progress, done: int, total: int, text: str) -> Any:
    import keras

    class Reporter(keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
            progress(done + batch + 1, total, f"{text}, loss {(logs or {}).get('loss', float('nan')):.3f}")

    return Reporter()


def _epoch_text(entry: dict[str, float], epochs: int) -> str:
    return (
        f"epoch {entry['epoch']:.0f} of {epochs}: loss {entry['loss']:.3f}, validation loss {entry['val_loss']:.3f}, "
        f"validation accuracy {entry['val_accuracy']:.3f}"
    )
