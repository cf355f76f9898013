"""InceptionV3 with ImageNet's weights and a binary layer on top (study, 4.3.2 and Appendix C; Szegedy et al., 2016).

Batch normalisation keeps ImageNet's statistics throughout: those of small batches of faces would undo what the
convolutions learned, and weights whose statistics are folded into the convolutions have no others.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, get_args

import numpy as np
import numpy.typing as npt

from maskdet.errors import MaskDetError, reason_of
from maskdet.images import batches
from maskdet.models.base import FitData, LabelledImages, Logits
from maskdet.models.checkpoint import Checkpoint, History
from maskdet.models.linear import fit_logistic
from maskdet.models.network import NetworkModel, NetworkOptions
from maskdet.models.precision import precision_of_layers
from maskdet.models.session import Phase, judge_logits
from maskdet.models.weights import check_hdf5
from maskdet.photos import FACE_SIZE
from maskdet.progress import Progress, silent
from maskdet.workspace import typed_path

Cut = Literal["mixed5", "mixed6", "mixed7", "mixed8", "mixed9", "mixed10"]
_LOGIT: Final = "logit"
_TRIAL_BATCHES: Final = 3


@dataclass(frozen=True)
class InceptionOptions(NetworkOptions):
    """Options of InceptionV3; ``epochs`` counts the second phase.

    Attributes
    ----------
    weights : str
        "imagenet" (downloaded once by Keras), a path to InceptionV3's weights without its top, or "none".
    cut : {"mixed5", ..., "mixed10"}
        The block whose maps the binary layer reads: "mixed10" is the whole of InceptionV3, as in the study; an earlier
        one is smaller, quicker and has finer maps.
    frozen : bool
        Train the binary layer alone, on features that are computed once: minutes on a processor. No augmentation then;
        the layer is a logistic regression fitted to its optimum (L2, C = 1; our choice), ``epochs`` do not count.
    frozen_epochs, learning_rate
        The first phase, the binary layer alone (study: one epoch; it gives no rate).
    fine_tuning_rate : float
        Learning rate of the second phase, all weights (study: "a lower learning rate").
    """

    epochs: int = 5
    batch_size: int = 32
    learning_rate: float = 1e-3
    dropout: float = 0.0
    weights: str = "imagenet"
    cut: Cut = "mixed10"
    frozen: bool = False
    frozen_epochs: int = 1
    fine_tuning_rate: float = 1e-4

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.cut not in get_args(Cut):
            raise MaskDetError(f"cut must be one of {', '.join(get_args(Cut))}, not {self.cut!r}.")
        if self.frozen_epochs < 0:
            raise MaskDetError(f"frozen_epochs must be at least 0, not {self.frozen_epochs}.")
        if not 0 < self.fine_tuning_rate < inf:
            raise MaskDetError(f"fine_tuning_rate must be above 0, not {self.fine_tuning_rate}.")
        if not self.weights:
            raise MaskDetError('weights must be "imagenet", "none", or a path.')


def build_inception(cut: str, dropout: float) -> Any:
    """The network with fresh weights: a flat graph, since heatmaps cannot look into a nested one."""
    import keras
    from keras import layers

    inputs = keras.Input((FACE_SIZE, FACE_SIZE, 3), name="face")
    scaled = layers.Rescaling(1 / 127.5, offset=-1, name="to_minus_one_to_one")(inputs)
    whole = keras.applications.InceptionV3(include_top=False, weights=None, input_tensor=scaled)
    x = layers.GlobalAveragePooling2D(name="mean_of_maps")(whole.get_layer(cut).output)
    if dropout:
        x = layers.Dropout(dropout, name="dropout")(x)
    return keras.Model(inputs, layers.Dense(1, dtype="float32", name=_LOGIT)(x), name="inceptionv3")


def check_weights(weights: str) -> None:
    """Raise MaskDetError if a path of weights leads nowhere, or to what is no file of weights alone."""
    if weights in ("imagenet", "none"):
        return
    path = typed_path(weights)
    if not path.is_file():
        raise MaskDetError(f"There are no weights at {weights}: give the path of a .weights.h5 file, imagenet or none.")
    try:
        check_hdf5(path)  # an archive of Keras's is none: its layers may be code
    except (OSError, ValueError) as error:
        raise _no_weights(weights, error) from error


class InceptionV3(NetworkModel):
    """InceptionV3, whose top is a binary layer."""

    name: ClassVar[str] = "inceptionv3"
    title: ClassVar[str] = "InceptionV3 (ImageNet)"
    batch_statistics: ClassVar[bool] = False

    def __init__(self, options: InceptionOptions | None = None) -> None:
        super().__init__(options)
        #: Features of the frozen network by face id: they are the same in every fit that begins with the same weights.
        self._features: dict[str, npt.NDArray[np.float32]] = {}
        self._features_seed: int | None = None

    @classmethod
    def options_type(cls) -> type[InceptionOptions]:
        """The dataclass of this model's options."""
        return InceptionOptions

    @property
    def gradcam_layer(self) -> str:  # type: ignore[override]
        """The last block with maps of 7 by 7; those of 3 by 3 after it show too little."""
        return str(min(self.options.cut, "mixed7", key=lambda name: int(name.removeprefix("mixed"))))

    def build(self) -> Any:
        """The network with fresh weights."""
        return build_inception(self.options.cut, self.options.dropout)

    def initialise(self, network: Any) -> None:
        """Put in ImageNet's weights. Raises MaskDetError where they cannot be had; the sentence says what to do."""
        check_weights(self.options.weights)
        if self.options.weights == "none":
            return
        import keras

        shape = (FACE_SIZE, FACE_SIZE, 3)
        try:
            if self.options.weights == "imagenet":
                source = keras.applications.InceptionV3(include_top=False, weights="imagenet", input_shape=shape)
            else:
                source = keras.applications.InceptionV3(include_top=False, weights=None, input_shape=shape)
                source.load_weights(typed_path(self.options.weights))
        except Exception as error:
            named = self.options.weights
            raise (_cannot_be_had(error) if named == "imagenet" else _no_weights(named, error)) from error
        _copy_layers(source, network)

    def phases(self) -> Sequence[Phase]:
        """First the binary layer alone, then all weights at a lower rate (study, 4.3.2)."""
        top = Phase(self.options.frozen_epochs, self.options.learning_rate, lambda layer: layer == _LOGIT)
        return (top, Phase(self.options.epochs, self.options.fine_tuning_rate))

    def fit(
        self, data: FitData, *, seed: int, progress: Progress = silent, checkpoint: Checkpoint | None = None
    ) -> History:
        """Train in two phases, or fit the binary layer alone on features computed once (one entry, epoch 1)."""
        if not self.options.frozen:
            return super().fit(data, seed=seed, progress=progress, checkpoint=checkpoint)
        import keras

        keras.utils.set_random_seed(seed)
        begin = time.perf_counter()
        network, features = self._frozen(data, seed, progress)
        kernel, bias = fit_logistic(features["train"], data.train.labels, data.train.weights)
        network.get_layer(_LOGIT).set_weights([kernel[:, None], np.array([bias])])
        self._use(network)
        entry: dict[str, float | str] = {"epoch": 1, "phase": 1}
        for name, part in _parts(data).items():
            judged = judge_logits(features[name] @ kernel + bias, part.labels)
            entry |= {key if name == "train" else f"{name}_{key}": value for key, value in judged.items()}
        return [entry | {"seconds": time.perf_counter() - begin, "kept": 1}]

    def load(self, folder: Path) -> None:
        """Read weights that `save` wrote."""
        self._features = {}  # those of other weights
        super().load(folder)

    def estimate_seconds(self, data: FitData, *, seed: int, progress: Progress = silent) -> float:
        """As of any network, or from a few batches of features."""
        if not self.options.frozen:
            return super().estimate_seconds(data, seed=seed, progress=progress)
        with precision_of_layers("float32"):
            network = self.build()
        forward = _features_of(network)
        few = data.train.images.take(np.arange(min(len(data.train), _TRIAL_BATCHES * self.options.batch_size)))
        np.asarray(forward(few[: self.options.batch_size]))
        begin = time.perf_counter()
        for at in batches(len(few), self.options.batch_size):
            np.asarray(forward(few[at]))
        return (time.perf_counter() - begin) / len(few) * sum(len(part) for part in _parts(data).values())

    def predict_faces(self, faces: LabelledImages, progress: Progress = silent) -> Logits:
        """As `predict_logit`; a binary layer that was fitted alone judges features that are computed once."""
        if not self.options.frozen or not self._features or self.network is None:
            return super().predict_faces(faces, progress)
        kernel, bias = self.network.get_layer(_LOGIT).get_weights()
        known = self._features_by_part(self.network, {"judged": faces}, progress)["judged"]
        return np.asarray((known @ kernel + bias)[:, 0], dtype=np.float64)

    def _frozen(self, data: FitData, seed: int, progress: Progress) -> tuple[Any, dict[str, npt.NDArray[np.float32]]]:
        """The network with ImageNet's weights, and the features of each part of the data."""
        with precision_of_layers("float32"):
            network = self.build()
            self.initialise(network)
        if self.options.weights == "none" and seed != self._features_seed:  # other weights at random
            self._features, self._features_seed = {}, seed
        return network, self._features_by_part(network, _parts(data), progress)

    def _features_by_part(
        self, network: Any, parts: dict[str, LabelledImages], progress: Progress
    ) -> dict[str, npt.NDArray[np.float32]]:
        forward = _features_of(network)
        total, done = sum(len(part) for part in parts.values()), 0
        for part in parts.values():
            new = np.array([at for at, face_id in enumerate(part.face_ids) if face_id not in self._features], np.int64)
            for chosen in batches(len(new), self.options.batch_size):
                at = new[chosen]
                rows = np.asarray(forward(part.images.take(at)), dtype=np.float32)
                self._features |= {part.face_ids[i]: row for i, row in zip(at, rows, strict=True)}
                progress(done + int(at[-1]) + 1, total, "features of the frozen network")
            done += len(part)
        progress(total, total, "features of the frozen network")
        return {name: np.stack([self._features[face_id] for face_id in part.face_ids]) for name, part in parts.items()}


def _parts(data: FitData) -> dict[str, LabelledImages]:
    parts = {"train": data.train, "val": data.validation}
    return parts | ({"watched": data.watched} if data.watched else {})


def _features_of(network: Any) -> Any:
    import keras
    import tensorflow as tf

    inner = keras.Model(network.input, network.get_layer("mean_of_maps").output)
    return tf.function(lambda batch: inner(batch, training=False), reduce_retracing=True)


def _copy_layers(source: Any, network: Any) -> None:
    """Copy weights in the order in which layers were made: depths depend on the cut, names on the session."""
    for kind in ("Conv2D", "BatchNormalization"):
        for layer, original in zip(_as_made(network, kind), _as_made(source, kind), strict=False):  # the cut has fewer
            layer.set_weights(original.get_weights())


def _as_made(network: Any, kind: str) -> list[Any]:
    def number(layer: Any) -> int:
        suffix = layer.name.rpartition("_")[2]
        return int(suffix) if suffix.isdigit() else 0

    return sorted((layer for layer in network.layers if type(layer).__name__ == kind), key=number)


def _no_weights(path: str, error: BaseException) -> MaskDetError:
    return MaskDetError(
        f"{path} is no file of InceptionV3's weights ({reason_of(error)}): give one without the top with --weights "
        "PATH, or imagenet or none in its place."
    )


def _cannot_be_had(error: BaseException) -> MaskDetError:
    return MaskDetError(
        f"InceptionV3's weights cannot be had ({reason_of(error)}): without a way to the internet, give the path of "
        "a file of weights without the top with --weights PATH, or --weights none to begin at random."
    )
