"""The models that can be trained, by name."""

from typing import Any, Final

from maskdet.errors import MaskDetError, reason_of
from maskdet.models.base import FitData, LabelledImages, Model, ModelOptions
from maskdet.models.cnn import Cnn
from maskdet.models.cnn_transfer import CnnTransfer
from maskdet.models.inception import InceptionV3
from maskdet.models.svm import Svm

MODELS: Final[dict[str, type[Any]]] = {model.name: model for model in (InceptionV3, Cnn, CnnTransfer, Svm)}

__all__ = ["MODELS", "FitData", "LabelledImages", "Model", "ModelOptions", "create_model", "require_model"]


def require_model(name: str) -> type[Any]:
    """The class of a model. Raises MaskDetError if there is none of this name."""
    if name not in MODELS:
        raise MaskDetError(f"There is no model {name!r}; choose one of {', '.join(MODELS)}.")
    return MODELS[name]


def create_model(name: str, options: dict[str, Any] | None = None) -> Model:
    """A model by name, with options that override its defaults.

    Raises
    ------
    MaskDetError
        If the name or an option is unknown, or an option's value is out of range or no value of its kind.
    """
    kind = require_model(name)
    try:
        model: Model = kind(kind.options_type()(**(options or {})))
    except TypeError as error:
        raise MaskDetError(f"Model {name} cannot be made with these options: {reason_of(error)}.") from error
    return model
