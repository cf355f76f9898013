"""What the Keras models have in common: options, phases and checkpoints of a training, prediction, weights.

TensorFlow is imported inside the functions only.
"""

import time
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path
from typing import Any, ClassVar, Final, Self, get_args

import numpy as np

from maskdet.augment import AugmentOptions
from maskdet.errors import MaskDetError
from maskdet.images import FaceImages, batches
from maskdet.models.base import Features, FitData, Logits, Model, ModelOptions, damaged
from maskdet.models.checkpoint import Arrays, Checkpoint, History
from maskdet.models.distribution import cluster_failures, place
from maskdet.models.onnx_graph import WEIGHTS_FILE, last_maps, write_graph
from maskdet.models.precision import Precision, best_precision, precision_of_layers
from maskdet.models.session import Phase, Schedule, Session, State, assign, compiled_forward, epoch_text, score
from maskdet.models.weights import check_hdf5, halve
from maskdet.progress import Progress, silent

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
        self._forward_both: Callable[[Any], Any] | None = None

    @abstractmethod
    def build(self) -> Any:
        """The network with fresh weights."""

    @classmethod
    def options_type(cls) -> type[NetworkOptions]:
        """The dataclass of this model's options."""
        return NetworkOptions

    def phases(self) -> Sequence[Phase]:
        """The parts of the training, in order; one, of all layers, unless a model says otherwise."""
        return (Phase(self.options.epochs, self.options.learning_rate),)

    def initialise(self, network: Any) -> None:
        """Put in the weights that training begins with, where they are not fresh."""

    def fit(
        self, data: FitData, *, seed: int, progress: Progress = silent, checkpoint: Checkpoint | None = None
    ) -> History:
        """Train in phases. One entry an epoch: epoch, phase, loss, accuracy, val_loss, val_accuracy, seconds, kept.

        Where datasets are watched, also watched_loss and watched_accuracy.
        """
        with cluster_failures():
            alone = place().workers == 1
            stored = checkpoint.load() if checkpoint and alone else None
            # Weights from a checkpoint take the place of those to begin with, which may be gone by now.
            session = Session(self, data, seed, progress, initialise=stored is None)
            if checkpoint and not alone:  # once the workers have met: before, the chief may still be writing it
                stored = checkpoint.load()
            return self._fit(session, checkpoint, stored)

    def _fit(self, session: Session, checkpoint: Checkpoint | None, stored: tuple[History, Arrays] | None) -> History:
        phases = self.phases()
        state = session.restore(*stored) if stored else State()
        session.require_agreement(state)
        for number, phase in enumerate(phases, start=1):
            done = sum(entry["phase"] == number for entry in state.history)
            over = done >= phase.epochs or self._has_waited(state, number)
            if over or any(float(entry["phase"]) > number for entry in state.history):
                continue
            step, optimizer = session.begin(phase)
            if stored and done:
                assign(optimizer.variables, stored[1], "optimizer")
            for epoch in range(done, phase.epochs):
                if self._has_waited(state, number):
                    break
                optimizer.learning_rate = phase.rate(epoch, self.options.schedule)
                session.train_epoch(state, step, len(state.history), number)
                if checkpoint:
                    checkpoint.save(state.history, session.arrays(state, optimizer))
        self._finish(session.network, state)
        session.progress(session.total, session.total, epoch_text(state.history[-1]))
        return state.history

    def estimate_seconds(self, data: FitData, *, seed: int, progress: Progress = silent) -> float:
        """Seconds from a few steps of each phase and from the prediction of a few batches, at the options' epochs."""
        session = Session(self, data, seed, progress)
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

    def predict_features(self, images: FaceImages) -> tuple[Logits, Features]:
        """Logits, and the means of the last maps (see `maskdet.models.onnx_graph.last_maps`)."""
        if self.network is None:
            raise ValueError("fit or load the model before predicting")
        if self._forward_both is None:
            import keras

            means = keras.layers.GlobalAveragePooling2D()(last_maps(self.network))
            self._forward_both = compiled_forward(keras.Model(self.network.inputs, [self.network.outputs[0], means]))
        parts = [
            self._forward_both(images.take(positions)) for positions in batches(len(images), self.options.batch_size)
        ]
        logits, features = (np.concatenate([np.asarray(each) for each in part]) for part in zip(*parts, strict=True))
        return logits[:, 0].astype(np.float64), features

    def save(self, folder: Path, *, half: bool = False) -> None:
        """Write the weights, without the optimizer's state, which would triple the file, and the graph as ONNX."""
        with precision_of_layers("float32"):
            bare = self.build()
        bare.set_weights(self.network.get_weights())
        bare.save_weights(folder / WEIGHTS_FILE)
        write_graph(bare, folder / WEIGHTS_FILE)
        if half:
            halve(folder / WEIGHTS_FILE)

    def load(self, folder: Path) -> None:
        """Read weights that `save` wrote."""
        with precision_of_layers("float32"):
            network = self.build()
        try:
            check_hdf5(folder / WEIGHTS_FILE)
            network.load_weights(folder / WEIGHTS_FILE)
        except Exception as error:
            raise damaged(folder / WEIGHTS_FILE, error) from error
        self._use(network)

    def _finish(self, trained: Any, state: State) -> None:
        for entry in state.history:
            entry["kept"] = 0
        kept = len(state.history) - 1
        if self.options.keep_best and state.best:
            kept = int(np.argmax([score(entry) for entry in state.history]))
            trained.set_weights(state.best)
        state.history[kept]["kept"] = 1
        with precision_of_layers("float32"):
            network = self.build()
        network.set_weights(trained.get_weights())
        self._use(network)

    def _has_waited(self, state: State, phase: int) -> bool:
        """Whether a phase has had enough epochs that are no better; those of the phase before do not count in it."""
        if self.options.patience is None or not state.history:
            return False
        best = int(np.argmax([score(entry) for entry in state.history]))
        waited = sum(entry["phase"] == phase for entry in state.history[best + 1 :])
        return bool(waited >= self.options.patience)

    def _use(self, network: Any) -> None:
        self.network = network
        self._forward, self._forward_both = compiled_forward(network), None
