"""The models that can be trained, by name."""

from typing import Any, Final

from maskdet.errors import MaskDetError
from maskdet.models.base import Model, ModelOptions
from maskdet.models.cnn import Cnn
from maskdet.models.svm import Svm

MODELS: Final[dict[str, type[Any]]] = {model.name: model for model in (Cnn, Svm)}

__all__ = ["MODELS", "Model", "ModelOptions", "create_model"]


def create_model(name: str, options: dict[str, Any] | None = None) -> Model:
    """A model by name, with options that override its defaults.

    Raises
    ------
    MaskDetError
        If the name or an option is unknown, or an option's value is out of range.
    """
    if name not in MODELS:
        raise MaskDetError(f"There is no model {name!r}; choose one of {', '.join(MODELS)}.")
    kind = MODELS[name]
    try:
        model: Model = kind(kind.options_type()(**(options or {})))
    except TypeError as error:
        raise MaskDetError(f"Model {name} cannot be made with these options: {error}.") from error
    return model
