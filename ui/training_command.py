"""What a visitor chose to train, and the shell's command that trains it."""

import json
from dataclasses import dataclass, field
from typing import Any, Final

from maskdet.augment import AugmentOptions
from maskdet.balance import Target
from maskdet.errors import MaskDetError, reason_of
from maskdet.labels import CLASSES
from maskdet.models import MODELS
from maskdet.split import SavedSplit
from maskdet.workspace import typed_path
from ui.augmentation import arguments

#: Each model in a line, in the order of the study's text.
CAPTIONS: Final = {
    "cnn": "Learns its own features, from the faces alone. Has heatmaps.",
    "cnn-transfer": "First learns on simulated masks, then goes on with real ones.",
    "inceptionv3": "Knows a million photos of ImageNet, and is tuned to faces. The study's best.",
    "svm": "Principal components and a grid search, no network. The quickest; no heatmaps.",
}
#: Begins a transfer with a pre-training run that is trained for it.
NEW_BASE: Final = "new"


@dataclass(frozen=True)
class Choice:
    """What to train.

    Attributes
    ----------
    options : dict
        The model's options that differ from their defaults.
    augmentation : AugmentOptions or None
        None for a model that augments nothing.
    watched : tuple of str or None
        Datasets that early stopping looks at beside the validation faces; None: those that suit (see
        `maskdet.training_data.Plan`).
    base : str or None
        The pre-training run of a transfer: its id, `NEW_BASE`, or None where there is none, and the shell makes one.
    weights : str
        Of InceptionV3: imagenet, none, or a path.
    balance : str or None
        The attribute by which training faces are balanced, with its target (see `maskdet.balance`).
    """

    model: str
    fingerprint: str
    options: dict[str, Any] = field(default_factory=dict)
    augmentation: AugmentOptions | None = None
    seed: int = 0
    limit: int | None = None
    left_out: tuple[str, ...] = ()
    watched: tuple[str, ...] | None = None
    base: str | None = None
    weights: str = "imagenet"
    balance: str | None = None
    balance_target: Target = "independent"


def commands(choice: Choice) -> list[list[str]]:
    """What the shell is to do, in this order: only what differs from the defaults is said."""
    command = ["train", choice.model, f"--data={choice.fingerprint}", "--seed", str(choice.seed)]
    command += [f"--set={name}={json.dumps(value)}" for name, value in choice.options.items()]
    if choice.weights != "imagenet":
        command.append(f"--weights={choice.weights}")
    if choice.limit is not None:
        command += ["--limit", str(choice.limit)]
    command += [f"--leave-out={dataset}" for dataset in choice.left_out]
    if choice.watched is not None:
        command += [f"--watch={dataset}" for dataset in choice.watched or ("",)]
    if choice.base not in (None, NEW_BASE):
        command.append(f"--base={choice.base}")
    if choice.balance is not None:
        command.append(f"--balance={choice.balance}")
        command += [f"--balance-target={choice.balance_target}"] * (choice.balance_target != "independent")
    if choice.augmentation is not None:
        command += arguments(choice.augmentation)
    return [pre_training(choice), command] if choice.base == NEW_BASE else [command]


def trials(choice: Choice) -> list[list[str]]:
    """The commands that estimate how long it would take, of the pre-training too where one is made."""
    trained_first = MODELS[choice.model].needs_base and choice.base in (None, NEW_BASE)
    parts = [pre_training(choice)] * trained_first + [commands(choice)[-1]]
    return [[*part, "--dry-run"] for part in parts]


def pre_training(choice: Choice) -> list[str]:
    """The command that trains the base of a transfer, as the shell does by itself."""
    return ["train", "cnn", f"--data={choice.fingerprint}", "--seed", str(choice.seed), "--pool=pre-training"]


def automatic_watch(saved: SavedSplit, model: str) -> tuple[str, ...]:
    """The datasets that are watched unless others are chosen (see `maskdet.training_data.automatic_watch`)."""
    kind = MODELS[model]
    return () if kind.needs_base or not kind.needs_tensorflow else _whole_datasets(saved, "pre-training")


def watchable(saved: SavedSplit, model: str) -> tuple[str, ...]:
    """The datasets that can be watched: with faces of both labels, and no part of what the model begins with."""
    beside = () if MODELS[model].needs_base else _whole_datasets(saved, "pre-training")
    return _whole_datasets(saved, "main") + beside


def training_faces(saved: SavedSplit, left_out: tuple[str, ...]) -> int:
    """Training faces of the main pool without these datasets."""
    rows = saved.counts
    kept = (rows["pool"] == "main") & rows["label"].isin(CLASSES) & ~rows["dataset"].isin(left_out)
    return int(rows.loc[kept, "train"].sum())


def weights_file(text: str) -> str:
    """The path of InceptionV3's weights that a person typed. Raises MaskDetError if no such file can be read."""
    text = text.strip().strip("\"'")
    if not text:
        raise MaskDetError("Name the file with InceptionV3's weights, or choose others.")
    path = typed_path(text)
    if path.suffix != ".h5":
        raise MaskDetError(f"Weights are a file that ends in .h5, not {path.name!r}.")
    try:
        found = path.is_file()
    except OSError as error:  # its name is too long, or a folder above it is closed
        raise MaskDetError(f"The file {path} cannot be read: {reason_of(error)}.") from error
    if not found:
        raise MaskDetError(f"There is no file {path}.")
    return str(path.absolute())


def _whole_datasets(saved: SavedSplit, pool: str) -> tuple[str, ...]:
    """Datasets of a pool that have training or validation faces of both labels."""
    rows = saved.counts[(saved.counts["pool"] == pool) & saved.counts["label"].isin(CLASSES)]
    rows = rows[rows["train"] + rows["validation"] > 0]
    labels = rows.groupby("dataset")["label"].nunique()
    return tuple(sorted(labels.index[labels == len(CLASSES)]))
