"""The training loop of the Keras models: phases, epochs, distribution, and the state that a checkpoint keeps.

The loop is our own and not `keras.Model.fit`, which fails under `MultiWorkerMirroredStrategy` in this version of Keras
and can neither stop nor go on in the middle with the same result. TensorFlow is imported inside the functions only.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import cos, inf, isfinite, pi
from typing import TYPE_CHECKING, Any, Literal
from zlib import crc32

import numpy as np
import numpy.typing as npt

from maskdet.errors import MaskDetError
from maskdet.images import batches
from maskdet.metrics import confusion_matrix, scores
from maskdet.models.base import FitData, LabelledImages, Logits
from maskdet.models.checkpoint import Arrays, History
from maskdet.models.distribution import (
    current_strategy,
    draw_apart,
    place,
    require_agreement,
    sum_over_workers,
    synchronise_batch_statistics,
)
from maskdet.models.feeding import drawn_ahead, epoch_batches, epoch_data, steps_per_epoch
from maskdet.models.precision import precision_of_layers
from maskdet.progress import Progress

if TYPE_CHECKING:
    from maskdet.models.network import NetworkModel

Schedule = Literal["constant", "cosine"]


@dataclass(frozen=True)
class Phase:
    """A part of a training that has its own layers, optimizer and learning rate.

    Attributes
    ----------
    trains : callable
        Whether a layer, by its name, is trained in this phase; all others are frozen, batch statistics with them.
    """

    epochs: int
    learning_rate: float
    trains: Callable[[str], bool] = lambda name: True

    def rate(self, epoch: int, schedule: Schedule) -> float:
        """The learning rate of an epoch of the phase, from 0."""
        factor = (1 + cos(pi * epoch / self.epochs)) / 2 if schedule == "cosine" else 1.0
        return self.learning_rate * factor


@dataclass
class State:
    """Where a training stands. ``best`` has the weights of the best epoch so far, by position."""

    history: History = field(default_factory=list)
    best_score: float = -inf
    best: list[npt.NDArray[Any]] = field(default_factory=list)


class Session:
    """One fit: the network that is trained, and what is needed to train it."""

    def __init__(
        self, model: "NetworkModel", data: FitData, seed: int, progress: Progress, *, initialise: bool = True
    ) -> None:
        import keras

        self.options, self.data, self.seed, self.progress = model.options, data, seed, progress
        self.phases = model.phases()
        if place().workers > 1:
            progress(0, 1, "waiting for the other workers")
        self.strategy = current_strategy()
        keras.utils.set_random_seed(seed)
        with self.strategy.scope(), precision_of_layers(self.options.resolved().precision):
            self.network = model.build()
            if initialise:
                model.initialise(self.network)
        synchronise_batch_statistics(self.network, self.strategy)
        self.batch_statistics = model.batch_statistics
        self.forward = compiled_forward(self.network)
        replicas = self.strategy.num_replicas_in_sync
        self.steps = steps_per_epoch(data.train, self.options.augmentation, self.options.batch_size, replicas)
        self.epochs = sum(phase.epochs for phase in self.phases)
        self.total = self.epochs * self.steps

    def begin(self, phase: Phase) -> tuple[Callable[..., Any], Any]:
        """Freeze what the phase does not train; its training step and optimizer."""
        import keras

        for layer in self.network.layers:
            layer.trainable = phase.trains(layer.name)
        with self.strategy.scope():
            optimizer = keras.optimizers.Adam(phase.learning_rate)
            optimizer.build(self.network.trainable_variables)
        return _compiled_step(self.network, optimizer, self.strategy, self.batch_statistics), optimizer

    def batches(self, epoch: int) -> Any:
        """The batches of an epoch, on the devices of the strategy."""
        import tensorflow as tf

        train, options = self.data.train, self.options

        def dataset(context: Any = None) -> Any:
            return epoch_data(train, options.augmentation, options.batch_size, self.seed, epoch, context)

        if self.strategy.num_replicas_in_sync == 1:
            drawn = epoch_batches(train, options.augmentation, options.batch_size, self.seed, epoch)
            return drawn_ahead(tuple(tf.constant(part) for part in batch) for batch in drawn)
        return self.strategy.distribute_datasets_from_function(dataset)

    def train_epoch(self, state: State, step: Callable[..., Any], epoch: int, phase: int) -> None:
        """Train one epoch, judge it, and add both to the state. Raises MaskDetError if the loss is no number."""
        begin = time.perf_counter()
        reseed(self.network, self.seed, epoch)
        draw_apart(self.network, self.strategy)
        loss = right = count = 0.0
        text = f"epoch {epoch + 1} of {self.epochs}"
        for number, batch in enumerate(self.batches(epoch), start=1):
            batch_loss, batch_right, batch_count = (float(value) for value in step(*batch))
            loss, right, count = loss + batch_loss, right + batch_right, count + batch_count
            now = f"{text}, batch {number} of {self.steps}, loss {loss / count:.3f}"
            self.progress(epoch * self.steps + number, self.total, now)
        entry: dict[str, float | str] = {
            "epoch": epoch + 1, "phase": phase, "loss": loss / count, "accuracy": right / count,
            **self.judge("val", self.data.validation),
        }  # fmt: skip
        if self.data.watched is not None:
            entry |= self.judge("watched", self.data.watched)
        if not all(isfinite(float(value)) for value in entry.values()):
            raise MaskDetError(f"The loss is no number any more in epoch {epoch + 1}; lower the learning rate.")
        state.history.append(entry | {"seconds": time.perf_counter() - begin})
        if score(entry) > state.best_score:
            state.best_score, state.best = score(entry), self.network.get_weights()
        self.progress((epoch + 1) * self.steps, self.total, epoch_text(entry, self.epochs))

    def judge(self, name: str, faces: LabelledImages) -> dict[str, float]:
        """Loss, accuracy and macro F1 on faces as they are."""
        here = place()  # each worker of a cluster judges its share
        logits = np.zeros(len(faces))
        for number, at in enumerate(batches(len(faces), self.options.batch_size)):
            if number % here.workers == here.index:
                logits[at] = self.logits(faces.images.take(at))
        logits = sum_over_workers(self.strategy, logits)
        return {f"{name}_{key}": value for key, value in judge_logits(logits, faces.labels).items()}

    def logits(self, images: npt.NDArray[np.uint8]) -> Logits:
        """Logits, shape (n,), of faces of shape (n, 150, 150, 3) by the network as it is now."""
        return np.asarray(self.forward(images), dtype=np.float64)[:, 0]

    def arrays(self, state: State, optimizer: Any) -> Arrays:
        """All that is needed to go on after this epoch."""
        arrays = {f"network/{i}": value for i, value in enumerate(self.network.get_weights())}
        arrays |= {f"optimizer/{i}": np.asarray(variable) for i, variable in enumerate(optimizer.variables)}
        return arrays | {f"best/{i}": value for i, value in enumerate(state.best)}

    def require_agreement(self, state: State) -> None:
        """Raise MaskDetError unless all workers of a cluster begin with the same."""
        weights = [crc32(weights.tobytes()) for weights in self.network.get_weights()]
        parts = [part.face_ids for part in (self.data.train, self.data.validation, self.data.watched) if part]
        counts = self.data.train.weights
        facts = (self.seed, parts, counts if counts is None else counts.tolist(), state.history, weights)
        require_agreement(self.strategy, self.options, *facts)

    def restore(self, history: History, arrays: Arrays) -> State:
        """The state that `arrays` kept; the optimizer's is put back when its phase begins."""
        assign(self.network.weights, arrays, "network")
        best = [arrays[f"best/{i}"] for i in range(sum(name.startswith("best/") for name in arrays))]
        done = len(history)
        self.progress(done * self.steps, self.total, f"going on after epoch {done} of {self.epochs}")
        return State(history, max(score(entry) for entry in history), best)


def judge_logits(logits: npt.NDArray[Any], labels: npt.NDArray[np.int64]) -> dict[str, float]:
    """Loss (mean binary cross-entropy), accuracy and macro F1 of logits, shape (n,)."""
    measured = scores(confusion_matrix(labels, logits > 0))
    return {
        "loss": float(np.logaddexp(0, np.where(labels == 1, -logits, logits)).mean()),
        "accuracy": float(measured["accuracy"]),
        "macro_f1": float(measured["macro_f1"]),
    }


def score(entry: Mapping[str, float | str]) -> float:
    """How good an epoch is (see `maskdet.models.network.NetworkOptions.keep_best`)."""
    if "watched_macro_f1" in entry:
        return (float(entry["val_macro_f1"]) + float(entry["watched_macro_f1"])) / 2
    return -float(entry["val_loss"])


def reseed(network: Any, seed: int, epoch: int) -> None:
    """Dropout of an epoch follows from seed and epoch, so that a resumed training draws what it would have drawn."""
    drawn = np.random.default_rng([seed, epoch, 1])
    for layer in network.layers:
        generator = getattr(layer, "seed_generator", None)
        if generator is not None:
            generator.state.assign(drawn.integers(0, 2**31, 2).astype(generator.state.dtype))


def compiled_forward(network: Any) -> Callable[[Any], Any]:
    """A function from images of shape (n, 150, 150, 3), in 0..255, to logits of shape (n, 1)."""
    import tensorflow as tf

    # A compiled function costs a tenth of `network.predict` for one image.
    return tf.function(lambda batch: network(batch, training=False), reduce_retracing=True)


def _compiled_step(network: Any, optimizer: Any, strategy: Any, batch_statistics: bool) -> Callable[..., Any]:
    """One step on one batch: sums of loss and of right verdicts over all replicas, and the number of images."""
    import tensorflow as tf

    def replica(images: Any, labels: Any, count: Any) -> Any:
        with tf.GradientTape() as tape:
            logits = tf.cast(network(images, training=batch_statistics), tf.float32)
            losses = tf.nn.sigmoid_cross_entropy_with_logits(labels, logits)
            loss = tf.reduce_sum(losses) / count  # each replica's share of the batch's mean
        variables = network.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        right = tf.reduce_sum(tf.cast((logits > 0) == (labels > 0), tf.float32))
        return tf.reduce_sum(losses), right, tf.cast(tf.shape(labels)[0], tf.float32)

    @tf.function(reduce_retracing=True)
    def step(images: Any, labels: Any, count: Any) -> Any:
        sums = strategy.run(replica, args=(images, labels, count))
        return [strategy.reduce(tf.distribute.ReduceOp.SUM, value, axis=None) for value in sums]

    return step


def assign(variables: Sequence[Any], arrays: Arrays, prefix: str) -> None:
    """Give variables the values that a checkpoint keeps under a prefix, by position."""
    for i, variable in enumerate(variables):
        variable.assign(arrays[f"{prefix}/{i}"])


def epoch_text(entry: Mapping[str, float | str], epochs: int | None = None) -> str:
    """What an epoch gave, in one line."""
    of = f" of {epochs}" if epochs else ""
    text = (
        f"epoch {float(entry['epoch']):.0f}{of}: loss {float(entry['loss']):.3f}, "
        f"validation loss {float(entry['val_loss']):.3f}, validation accuracy {float(entry['val_accuracy']):.3f}"
    )
    return text + (f", watched {float(entry['watched_accuracy']):.3f}" if "watched_accuracy" in entry else "")
