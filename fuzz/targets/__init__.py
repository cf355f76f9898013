"""The targets, by name. Only the module of the one that is asked for is imported: some take seconds."""

from importlib import import_module
from typing import Final

from fuzz.target import Target

#: The modules, with the names of their targets.
MODULES: Final[dict[str, tuple[str, ...]]] = {
    "annotations": ("voc", "json", "csv", "folders", "label", "catalog", "related"),
    "photos": ("photo", "photo-iso", "video", "source"),
    "tables": ("decisions-csv", "attributes-csv", "export"),
    "texts": ("markdown", "html"),
    "typed": ("options", "typed", "address", "cluster", "shell", "plan"),
    "workspace": ("faces", "decided", "shards", "training", "job", "study", "evaluation", "condition", "file"),
    "runs": ("run", "reliability", "findings", "lab-tables"),
    "weights": ("graph", "network", "svm"),
    "uploads": ("upload", "upload-real"),
}
NAMES: Final[tuple[str, ...]] = tuple(name for names in MODULES.values() for name in names)


def find(name: str) -> Target:
    """A target by name."""
    module = next(module for module, names in MODULES.items() if name in names)
    targets: tuple[Target, ...] = import_module(f"fuzz.targets.{module}").TARGETS
    return next(target for target in targets if target.name == name)
