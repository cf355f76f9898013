"""The one interface of all models. A contract test runs over every entry of `maskdet.models.MODELS`."""

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, Self, get_type_hints

import numpy as np
import numpy.typing as npt

from maskdet.errors import MaskDetError, RunError
from maskdet.images import FaceImages
from maskdet.labels import CLASSES
from maskdet.models.checkpoint import Checkpoint, History
from maskdet.progress import Progress, silent
from maskdet.workspace import unreadable

Logits = npt.NDArray[np.float64]
#: What a model sees in each face, shape (n, d): means of a network's last maps, or principal components.
Features = npt.NDArray[np.float32]
#: Kinds of options, what they may be made of, and their names for people. In Python True is a number too.
_KINDS: Final[dict[Any, tuple[Any, str]]] = {
    bool: (bool, "true or false"),
    int: (int, "a whole number"),
    int | None: (int | None, "a whole number or null"),
    float: (int | float, "a number"),
    str: (str, "a text"),
}


@dataclass(frozen=True)
class LabelledImages:
    """Faces, and what is known of each.

    Attributes
    ----------
    labels : array of int
        1 where the face is without mask, the positive class, else 0.
    groups : array of int
        Equal for faces of one photo or duplicate cluster, which no cross-validation may part.
    face_ids, datasets : tuple of str
        They decide how a face is augmented (see `maskdet.augment`).
    weights : array of float or None
        How much each face counts in a fit, above 0 (see `maskdet.balance`); None: all the same.
    """

    images: FaceImages
    labels: npt.NDArray[np.int64]
    groups: npt.NDArray[np.int64]
    face_ids: tuple[str, ...]
    datasets: tuple[str, ...]
    weights: npt.NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        for name in ("labels", "groups", "face_ids", "datasets", "weights"):
            known = getattr(self, name)
            if known is not None and len(known) != len(self.images):
                raise ValueError(f"{len(self.images)} images have {len(known)} {name}")
        if self.weights is not None and not (self.weights > 0).all():
            raise ValueError("weights must be above 0")

    def __len__(self) -> int:
        return len(self.labels)

    def require_both_classes(self, split: str) -> None:
        """Raise MaskDetError unless both labels occur: no model can be fitted to, or judged by, one class."""
        for value, label in enumerate(CLASSES):
            if not (self.labels == value).any():
                raise MaskDetError(f"The {split} split has no face {label}; a model needs both labels in it.")


@dataclass(frozen=True)
class ModelOptions:
    """Base of every model's options: frozen, validated on construction, saved with each run."""

    def __post_init__(self) -> None:
        """Raise MaskDetError for a value of another kind: options come from JSON and from the shell too."""
        for name, hint in get_type_hints(type(self)).items():
            value = getattr(self, name)
            kind, title = _KINDS.get(hint, (object, ""))
            if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool and title):
                raise MaskDetError(f"{name} must be {title}, not {value!r}.")

    def as_dict(self) -> dict[str, Any]:
        """The options as plain values for JSON."""
        return asdict(self)

    def resolved(self) -> Self:
        """The options as they are carried out on this machine, where one of them leaves the choice to it."""
        return self


@dataclass(frozen=True)
class FitData:
    """What a fit may look at. Test faces are never among it.

    Attributes
    ----------
    train, validation : LabelledImages
        The validation faces may only choose among states of the model.
    watched : LabelledImages or None
        Faces of datasets that are left out of training: what is learned of one source may be lost on another, and
        only such faces show it. Models that choose among states look at them as well as at the validation faces.
    """

    train: LabelledImages
    validation: LabelledImages
    watched: LabelledImages | None = None


class Model(ABC):
    """A classifier of normalised faces. Its logit is above 0 for faces without mask (study, 6.3)."""

    name: ClassVar[str]
    title: ClassVar[str]
    needs_tensorflow: ClassVar[bool] = False
    #: True where a face can be drawn again from its features: those of many faces beside each other are an album.
    features_show_faces: ClassVar[bool] = False
    #: True where the logit is scaled to the validation faces: a temperature fitted to the same faces is about 1 then.
    logit_is_fitted: ClassVar[bool] = False
    #: True for a model that begins with the weights of a run on the pre-training pool (see `use_base`).
    needs_base: ClassVar[bool] = False
    options: Any

    @classmethod
    @abstractmethod
    def options_type(cls) -> type[ModelOptions]:
        """The dataclass of this model's options."""

    @abstractmethod
    def fit(
        self, data: FitData, *, seed: int, progress: Progress = silent, checkpoint: Checkpoint | None = None
    ) -> History:
        """Fit to the training faces.

        Parameters
        ----------
        checkpoint : Checkpoint, optional
            Keeps each finished epoch or grid point; a fit that finds one there goes on after it.

        Returns
        -------
        list of dict
            What was measured on the way, one entry an epoch or grid point.
        """

    @abstractmethod
    def estimate_seconds(self, data: FitData, *, seed: int, progress: Progress = silent) -> float:
        """About how long `fit` would take here, by doing a little of its work; the model stays as it was."""

    @abstractmethod
    def predict_logit(self, images: FaceImages, progress: Progress = silent) -> Logits:
        """Logits in the order of the images, shape (n,)."""

    def predict_faces(self, faces: LabelledImages, progress: Progress = silent) -> Logits:
        """Logits of faces that are told apart by their ids: those that a fit looked at may be known already."""
        return self.predict_logit(faces.images, progress)

    @abstractmethod
    def predict_features(self, images: FaceImages) -> tuple[Logits, Features]:
        """Logits, shape (n,), and what the model sees in each face, shape (n, d)."""

    @abstractmethod
    def save(self, folder: Path, *, half: bool = False) -> None:
        """Write the weights needed for prediction into an existing folder, in half precision where ``half``."""

    @abstractmethod
    def load(self, folder: Path) -> None:
        """Read weights that `save` wrote. Raises RunError if they are missing or damaged."""

    def use_base(self, folder: Path | None) -> None:
        """Begin with the weights of a pre-training run, where `needs_base`; None: with fresh weights, to try it out."""
        raise TypeError(f"{self.name} begins with no other run")


def damaged(path: Path, error: Exception) -> RunError:
    """The error for a file of weights that cannot be read."""
    return RunError(str(unreadable(path, error)))


def probability(logits: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Probability of being without mask, in 0..1, from logits: the logistic function."""
    from scipy.special import expit

    return np.asarray(expit(np.asarray(logits, dtype=np.float64)), dtype=np.float64)
