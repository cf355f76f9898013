"""What the Keras models have in common: the training loop in phases, checkpoints, distribution, prediction, weights.

The loop is our own and not `keras.Model.fit`, which fails under `MultiWorkerMirroredStrategy` in this version of Keras
and can neither stop nor go on in the middle with the same result. TensorFlow is imported inside the functions only.
"""

import time
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import cos, inf, isfinite, pi
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, Self, get_args
from zlib import crc32

import numpy as np
import numpy.typing as npt

from maskdet.augment import AugmentOptions
from maskdet.errors import MaskDetError
from maskdet.images import FaceImages, batches
from maskdet.metrics import confusion_matrix, scores
from maskdet.models.base import FitData, LabelledImages, Logits, Model, ModelOptions, damaged
from maskdet.models.checkpoint import Arrays, Checkpoint, History
from maskdet.models.distribution import (
    cluster_failures,
    current_strategy,
    draw_apart,
    place,
    require_agreement,
    sum_over_workers,
    synchronise_batch_statistics,
)
from maskdet.models.feeding import epoch_data, steps_per_epoch
from maskdet.models.precision import Precision, best_precision, precision_of_layers
from maskdet.progress import Progress, silent

WEIGHTS_FILE: Final = "model.weights.h5"
Schedule = Literal["constant", "cosine"]
_TRIAL_STEPS: Final = 4


@dataclass(frozen=True)
class NetworkOptions(ModelOptions):
    """Options that all Keras models share; defaults are the study's where it names one.

    Attributes
    ----------
    epochs, batch_size, learning_rate
        15 epochs of Adam at 1e-4, 64 images a batch (study, 4.3.1).
    dropout : float
        Share of the inputs that a dropout layer drops in training (the study gives no number).
    augmentation : AugmentOptions
        Which copies of the training faces an epoch shows, and how strong the methods are (see `maskdet.augment`). The
        default is one random variant of each face an epoch; the study's plan, which adds five copies of each, costs
        up to six times the time an epoch.
    keep_best : bool
        Keep the weights of the best epoch instead of the last (our choice). Best is the lowest validation loss; where
        a dataset that is left out of training is watched too, the highest mean of the macro F1 on both: a loss would
        let the other source, on which no network is well calibrated, decide alone.
    schedule : {"constant", "cosine"}
        "constant" keeps the learning rate, as the study does; "cosine" lowers it over the epochs of a phase to almost
        nothing (Loshchilov & Hutter, 2017, without restarts), after which the last epochs hardly differ.
    patience : int or None
        End a phase early after this many epochs without a better one; None trains all epochs, as the study does.
    precision : {"auto", "float32", "bfloat16"}
        What layers compute in while training. "auto" is bfloat16 where the hardware has it (see `best_precision`).
    """

    epochs: int = 15
    batch_size: int = 64
    learning_rate: float = 1e-4
    dropout: float = 0.5
    augmentation: AugmentOptions = field(default_factory=AugmentOptions)
    keep_best: bool = True
    schedule: Schedule = "constant"
    patience: int | None = None
    precision: Precision = "auto"

    def __post_init__(self) -> None:
        if isinstance(self.augmentation, dict):  # as it comes back from JSON
            object.__setattr__(self, "augmentation", AugmentOptions(**self.augmentation))
        if not isinstance(self.augmentation, AugmentOptions):
            raise MaskDetError(f"augmentation must be a set of options, not {self.augmentation!r}.")
        super().__post_init__()
        if self.epochs < 1 or self.batch_size < 1:
            raise MaskDetError(f"epochs and batch_size must be at least 1, not {self.epochs} and {self.batch_size}.")
        if not 0 < self.learning_rate < inf:
            raise MaskDetError(f"learning_rate must be above 0, not {self.learning_rate}.")
        if not 0 <= self.dropout < 1:
            raise MaskDetError(f"dropout must be at least 0 and below 1, not {self.dropout}.")
        if self.patience is not None and self.patience < 1:
            raise MaskDetError(f"patience must be at least 1 epoch, or none, not {self.patience}.")
        for name, kind in (("schedule", Schedule), ("precision", Precision)):
            if getattr(self, name) not in get_args(kind):
                raise MaskDetError(f"{name} must be one of {', '.join(get_args(kind))}, not {getattr(self, name)!r}.")

    def resolved(self) -> Self:
        """The options with the precision that "auto" means here."""
        return replace(self, precision=best_precision()) if self.precision == "auto" else self


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
class _State:
    """Where a training stands. ``best`` has the weights of the best epoch so far, by position."""

    history: History = field(default_factory=list)
    best_score: float = -inf
    best: list[npt.NDArray[Any]] = field(default_factory=list)


class NetworkModel(Model):
    """A model that is a flat functional Keras graph from (n, 150, 150, 3) in 0..255 to one logit (n, 1)."""

    needs_tensorflow: ClassVar[bool] = True
    #: The layer whose maps Grad-CAM shows unless another is chosen.
    gradcam_layer: ClassVar[str]
    #: False where batch normalisation keeps the statistics it came with, in training too.
    batch_statistics: ClassVar[bool] = True

    def __init__(self, options: Any = None) -> None:
        self.options = options or self.options_type()()
        self.network: Any = None
        self._forward: Callable[[Any], Any] | None = None

    @abstractmethod
    def build(self) -> Any:
        """The network with fresh weights."""

    @abstractmethod
    def phases(self) -> Sequence[Phase]:
        """The parts of the training, in order."""

    def initialise(self, network: Any) -> None:
        """Put in the weights that training begins with, where they are not fresh."""

    def fit(
        self, data: FitData, *, seed: int, progress: Progress = silent, checkpoint: Checkpoint | None = None
    ) -> History:
        """Train in phases. One entry an epoch: epoch, phase, loss, accuracy, val_loss, val_accuracy, seconds, kept.

        Where datasets are watched, also watched_loss and watched_accuracy.
        """
        with cluster_failures():
            return self._fit(_Session(self, data, seed, progress), checkpoint)

    def _fit(self, session: "_Session", checkpoint: Checkpoint | None) -> History:
        phases = self.phases()
        stored = checkpoint.load() if checkpoint else None
        state = session.restore(*stored) if stored else _State()
        session.require_agreement(state)
        for number, phase in enumerate(phases, start=1):
            done = sum(entry["phase"] == number for entry in state.history)
            over = done >= phase.epochs or self._has_waited(state, number)
            if over or any(float(entry["phase"]) > number for entry in state.history):
                continue
            step, optimizer = session.begin(phase)
            if stored and done:
                _assign(optimizer.variables, stored[1], "optimizer")
            for epoch in range(done, phase.epochs):
                if self._has_waited(state, number):
                    break
                optimizer.learning_rate = phase.rate(epoch, self.options.schedule)
                session.train_epoch(state, step, len(state.history), number)
                if checkpoint:
                    checkpoint.save(state.history, session.arrays(state, optimizer))
        self._finish(session.network, state)
        session.progress(session.total, session.total, _epoch_text(state.history[-1]))
        return state.history

    def estimate_seconds(self, data: FitData, *, seed: int, progress: Progress = silent) -> float:
        """Seconds from a few steps of each phase and from the prediction of a few batches, at the options' epochs."""
        session = _Session(self, data, seed, progress)
        batch = self.options.batch_size
        seconds = 0.0
        for number, phase in enumerate(self.phases(), start=1):
            progress(number - 1, len(self.phases()) + 1, f"a few steps of phase {number}")
            step, _ = session.begin(phase)
            times = []
            for images, labels, count in session.batches(epoch=0):
                begin = time.perf_counter()
                float(step(images, labels, count)[0])
                times.append(time.perf_counter() - begin)
                if len(times) > _TRIAL_STEPS:
                    break
            once, each = times[0], float(np.mean(times[1:] or times))
            seconds += once + phase.epochs * session.steps * each
        progress(len(self.phases()), len(self.phases()) + 1, "a few predictions")
        watched = data.watched
        judged = len(data.validation) + (len(watched) if watched else 0)
        sample = data.validation.images.take(np.arange(min(batch, len(data.validation))))
        session.logits(sample)  # compiled for this shape, it is quicker the next time
        begin = time.perf_counter()
        session.logits(sample)
        seconds += (time.perf_counter() - begin) / len(sample) * judged * sum(p.epochs for p in self.phases())
        return seconds

    def predict_logit(self, images: FaceImages, progress: Progress = silent) -> Logits:
        """Logits in the order of the images, computed in float32 however the network was trained."""
        if self._forward is None:
            raise ValueError("fit or load the model before predicting")
        logits = np.empty(len(images), dtype=np.float64)
        for positions in batches(len(images), self.options.batch_size):
            logits[positions] = np.asarray(self._forward(images.take(positions)))[:, 0]
            progress(int(positions[-1]) + 1, len(images), "predicting")
        return logits

    def save(self, folder: Path, *, half: bool = False) -> None:
        """Write the weights, without the optimizer's state, which would triple the file."""
        with precision_of_layers("float32"):
            bare = self.build()
        bare.set_weights(self.network.get_weights())
        bare.save_weights(folder / WEIGHTS_FILE)
        if half:
            _halve(folder / WEIGHTS_FILE)

    def load(self, folder: Path) -> None:
        """Read weights that `save` wrote."""
        with precision_of_layers("float32"):
            network = self.build()
        try:
            network.load_weights(folder / WEIGHTS_FILE)
        except Exception as error:
            raise damaged(folder, error) from error
        self._use(network)

    def _finish(self, trained: Any, state: _State) -> None:
        for entry in state.history:
            entry["kept"] = 0
        kept = len(state.history) - 1
        if self.options.keep_best and state.best:
            kept = int(np.argmax([_score(entry) for entry in state.history]))
            trained.set_weights(state.best)
        state.history[kept]["kept"] = 1
        with precision_of_layers("float32"):
            network = self.build()
        network.set_weights(trained.get_weights())
        self._use(network)

    def _has_waited(self, state: _State, phase: int) -> bool:
        """Whether a phase has had enough epochs that are no better; those of the phase before do not count in it."""
        if self.options.patience is None or not state.history:
            return False
        best = int(np.argmax([_score(entry) for entry in state.history]))
        waited = sum(entry["phase"] == phase for entry in state.history[best + 1 :])
        return bool(waited >= self.options.patience)

    def _use(self, network: Any) -> None:
        self.network = network
        self._forward = _compiled_forward(network)


class _Session:
    """One fit: the network that is trained, and what is needed to train it."""

    def __init__(self, model: NetworkModel, data: FitData, seed: int, progress: Progress) -> None:
        import keras

        self.options, self.data, self.seed, self.progress = model.options, data, seed, progress
        self.phases = model.phases()
        if place().workers > 1:
            progress(0, 1, "waiting for the other workers")
        self.strategy = current_strategy()
        keras.utils.set_random_seed(seed)
        with self.strategy.scope(), precision_of_layers(self.options.resolved().precision):
            self.network = model.build()
            model.initialise(self.network)
        synchronise_batch_statistics(self.network, self.strategy)
        self.batch_statistics = model.batch_statistics
        self.forward = _compiled_forward(self.network)
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
        train, options = self.data.train, self.options

        def dataset(context: Any = None) -> Any:
            return epoch_data(train, options.augmentation, options.batch_size, self.seed, epoch, context)

        if self.strategy.num_replicas_in_sync == 1:
            return dataset()
        return self.strategy.distribute_datasets_from_function(dataset)

    def train_epoch(self, state: _State, step: Callable[..., Any], epoch: int, phase: int) -> None:
        """Train one epoch, judge it, and add both to the state."""
        begin = time.perf_counter()
        _reseed(self.network, self.seed, epoch)
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
        if _score(entry) > state.best_score:
            state.best_score, state.best = _score(entry), self.network.get_weights()
        self.progress((epoch + 1) * self.steps, self.total, _epoch_text(entry, self.epochs))

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
        """Logits of some faces by the network as it is now."""
        return np.asarray(self.forward(images), dtype=np.float64)[:, 0]

    def arrays(self, state: _State, optimizer: Any) -> Arrays:
        """All that is needed to go on after this epoch."""
        arrays = {f"network/{i}": value for i, value in enumerate(self.network.get_weights())}
        arrays |= {f"optimizer/{i}": np.asarray(variable) for i, variable in enumerate(optimizer.variables)}
        return arrays | {f"best/{i}": value for i, value in enumerate(state.best)}

    def require_agreement(self, state: _State) -> None:
        """Raise MaskDetError unless all workers of a cluster begin with the same."""
        weights = [crc32(weights.tobytes()) for weights in self.network.get_weights()]
        parts = [part.face_ids for part in (self.data.train, self.data.validation, self.data.watched) if part]
        require_agreement(self.strategy, self.options, self.seed, parts, state.history, weights)

    def restore(self, history: History, arrays: Arrays) -> _State:
        """The state that `arrays` kept; the optimizer's is put back when its phase begins."""
        _assign(self.network.weights, arrays, "network")
        best = [arrays[f"best/{i}"] for i in range(sum(name.startswith("best/") for name in arrays))]
        done = len(history)
        self.progress(done * self.steps, self.total, f"going on after epoch {done} of {self.epochs}")
        return _State(history, max(_score(entry) for entry in history), best)


def judge_logits(logits: npt.NDArray[Any], labels: npt.NDArray[np.int64]) -> dict[str, float]:
    """Loss (mean binary cross-entropy), accuracy and macro F1 of logits, shape (n,)."""
    measured = scores(confusion_matrix(labels, logits > 0))
    return {
        "loss": float(np.logaddexp(0, np.where(labels == 1, -logits, logits)).mean()),
        "accuracy": float(measured["accuracy"]),
        "macro_f1": float(measured["macro_f1"]),
    }


def _score(entry: Mapping[str, float | str]) -> float:
    """How good an epoch is (see `NetworkOptions.keep_best`)."""
    if "watched_macro_f1" in entry:
        return (float(entry["val_macro_f1"]) + float(entry["watched_macro_f1"])) / 2
    return -float(entry["val_loss"])


def _reseed(network: Any, seed: int, epoch: int) -> None:
    """Dropout of an epoch follows from seed and epoch, so that a resumed training draws what it would have drawn."""
    drawn = np.random.default_rng([seed, epoch, 1])
    for layer in network.layers:
        generator = getattr(layer, "seed_generator", None)
        if generator is not None:
            generator.state.assign(drawn.integers(0, 2**31, 2).astype(generator.state.dtype))


def _compiled_forward(network: Any) -> Callable[[Any], Any]:
    import tensorflow as tf

    # A compiled function costs a tenth of `network.predict` for one image.
    return tf.function(lambda batch: network(batch, training=False), reduce_retracing=True)  # type: ignore[no-any-return]


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

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
    def step(images: Any, labels: Any, count: Any) -> Any:
        sums = strategy.run(replica, args=(images, labels, count))
        return [strategy.reduce(tf.distribute.ReduceOp.SUM, value, axis=None) for value in sums]

    return step  # type: ignore[no-any-return]


def _assign(variables: Sequence[Any], arrays: Arrays, prefix: str) -> None:
    for i, variable in enumerate(variables):
        variable.assign(arrays[f"{prefix}/{i}"])


def _halve(path: Path) -> None:
    """Turn a file of float32 weights into one of half precision; Keras reads it as it reads the other."""
    import h5py

    values: dict[str, npt.NDArray[Any]] = {}

    def collect(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            values[name] = np.asarray(item)

    with h5py.File(path, "r+") as file:
        file.visititems(collect)
        for name, value in values.items():
            attributes = dict(file[name].attrs)
            del file[name]
            file.create_dataset(name, data=value.astype(np.float16) if value.dtype == np.float32 else value)
            file[name].attrs.update(attributes)
    # HDF5 keeps the room of what was deleted: only a fresh file is smaller.
    fresh = path.with_name(f".{path.name}.half")
    with h5py.File(path) as file, h5py.File(fresh, "w") as target:
        for name in file:
            file.copy(name, target)
        target.attrs.update(dict(file.attrs))
    fresh.replace(path)


def _epoch_text(entry: Mapping[str, float | str], epochs: int | None = None) -> str:
    of = f" of {epochs}" if epochs else ""
    text = (
        f"epoch {float(entry['epoch']):.0f}{of}: loss {float(entry['loss']):.3f}, "
        f"validation loss {float(entry['val_loss']):.3f}, validation accuracy {float(entry['val_accuracy']):.3f}"
    )
    return text + (f", watched {float(entry['watched_accuracy']):.3f}" if "watched_accuracy" in entry else "")
