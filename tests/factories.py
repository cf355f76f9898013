"""What several tests build: face tables by hand, tiny separable faces, a tiny scanned workspace, a fake model."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
from joblib import parallel_config
from PIL import Image

from maskdet import study
from maskdet.catalog import Dataset
from maskdet.facetable import Faces, scan
from maskdet.images import ArrayImages, FaceImages
from maskdet.measure import HASH_KINDS
from maskdet.models import cnn, cnn_transfer, inception
from maskdet.models.base import Features, FitData, LabelledImages, Logits, Model, ModelOptions
from maskdet.models.checkpoint import Checkpoint, FolderCheckpoint, History
from maskdet.photos import FACE_SIZE, RgbImage
from maskdet.progress import Progress, silent
from maskdet.quality import apply_filters, save_filtered
from maskdet.split import SplitOptions, save_split, split_faces
from maskdet.study import StudyOptions
from maskdet.workspace import Workspace

#: Dataset "sim" has simulated masks, any other is real.
CATALOG = {"sim": Dataset("sim", "Simulated", "SMFD"), "a": Dataset("a", "Real", "RMFD")}


def random_hashes(count: int, seed: int = 0) -> np.ndarray:
    """Hashes of unrelated faces: about 32 bits apart."""
    return np.random.default_rng(seed).integers(0, 2**64, count, dtype=np.uint64)


def hexadecimal(value: int) -> str:
    return f"{int(value):016x}"


def make_faces(*rows: Mapping[str, Any]) -> Faces:
    """A face table with a row each; what a row leaves out is a good face of dataset "a", unlike any other.

    The fingerprint of the result, and all filters, see only what a scan would have written.
    """
    hashes = random_hashes(len(rows), seed=123)
    full = []
    for number, row in enumerate(rows):
        face: dict[str, Any] = {
            "dataset": "a", "photo": f"{number:04d}.jpg", "label": "with_mask", "width": 100, "height": 100,
            "mean_red": 128.0, "mean_green": 128.0, "mean_blue": 128.0, "brightness": 128.0, "contrast": 40.0,
            "sharpness": 100.0,
            "publisher_split": "", "shard": "s", "shard_row": number,
            **dict.fromkeys(HASH_KINDS, hexadecimal(hashes[number])), "pixels_digest": f"{number:032x}",
        } | row  # fmt: skip
        face.setdefault("face_id", f"{face['dataset']}/{face['photo']}#{number:04d}")
        face.setdefault("aspect_ratio", face["height"] / face["width"])
        face.setdefault("sqrt_size", float(np.sqrt(face["width"] * face["height"])))
        full.append(face)
    table = pd.DataFrame(full)
    return Faces(table, pd.DataFrame(columns=["dataset", "photo", "reason"]), {}, {})


def shuffled(faces: Faces, seed: int = 0) -> Faces:
    """The same faces in another order of rows."""
    order = np.random.default_rng(seed).permutation(len(faces.table))
    return Faces(faces.table.iloc[order].reset_index(drop=True), faces.rejects, faces.roots, faces.photos)


def draw_faces(labels: Sequence[int], seed: int = 0, size: int = FACE_SIZE) -> RgbImage:
    """Faces that a model can tell apart: blotches, dark below where the label is 0 (a mask), bright where it is 1."""
    rng = np.random.default_rng(seed)
    faces = np.empty((len(labels), size, size, 3), np.uint8)
    for number, label in enumerate(labels):
        cells = rng.integers(80, 176, (5, 5, 3)).astype(np.uint8)
        face = np.asarray(Image.fromarray(cells).resize((size, size), Image.Resampling.BICUBIC), dtype=np.float64)
        face[size // 2 :] += 70 if label else -70
        faces[number] = np.clip(face, 0, 255)
    return faces


def labelled(count: int, seed: int = 0) -> LabelledImages:
    """Separable faces, every other one without mask, each in a group of its own."""
    labels = np.arange(count) % 2
    return as_labelled(labels, np.arange(count), seed)


def as_labelled(labels: np.ndarray, groups: np.ndarray, seed: int = 0) -> LabelledImages:
    """Separable faces of these labels and groups, in dataset "a"."""
    images = ArrayImages(draw_faces(labels, seed))
    ids = tuple(f"a/{seed}/{number:04d}.png" for number in range(len(labels)))
    return LabelledImages(images, labels.astype(np.int64), groups, ids, ("a",) * len(labels))


def fit_data(train: int = 24, validation: int = 8, watched: int = 0) -> FitData:
    """Separable faces for a fit; no face is in two parts."""
    return FitData(labelled(train, 1), labelled(validation, 2), labelled(watched, 4) if watched else None)


def use_small_networks(patch: pytest.MonkeyPatch) -> None:
    """Put networks of the same layers, but few and small maps, in the place of the real ones: trained in no time."""
    patch.setattr(cnn, "convolutions", small_convolutions)
    patch.setattr(cnn_transfer, "convolutions", small_convolutions)
    patch.setattr(cnn_transfer, "_BASE", ("conv1", "conv5"))
    patch.setattr(cnn_transfer, "_FURTHER", (7,))
    patch.setattr(cnn_transfer, "_FILTERS", 4)
    patch.setattr(inception, "build_inception", small_inception)


def small_convolutions() -> tuple[Any, Any]:
    """In the place of `maskdet.models.cnn.convolutions`."""
    import keras

    inputs = keras.Input((FACE_SIZE, FACE_SIZE, 3), name="face")
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.AveragePooling2D(10)(x)
    for number in (1, 5):
        x = cnn.block(x, number, 4, 3)
    return inputs, x


def small_inception(cut: str, dropout: float) -> Any:
    """In the place of `maskdet.models.inception.build_inception`."""
    import keras
    from keras import layers

    inputs = keras.Input((FACE_SIZE, FACE_SIZE, 3), name="face")
    x = layers.AveragePooling2D(10)(layers.Rescaling(1 / 127.5, offset=-1)(inputs))
    for number, filters in enumerate((16, 64, 64)):
        x = layers.Conv2D(filters, 3, use_bias=False, name=f"conv{number}")(x)
        x = layers.BatchNormalization(scale=False, name=f"norm{number}")(x)
        x = layers.ReLU(name=cut if number == 2 else f"relu{number}")(x)
    x = layers.GlobalAveragePooling2D(name="mean_of_maps")(x)
    if dropout:
        x = layers.Dropout(dropout, name="dropout")(x)
    return keras.Model(inputs, layers.Dense(1, dtype="float32", name="logit")(x))


STUDY = StudyOptions(weights="none", cut="mixed5", epochs=1, limit=24)


@contextmanager
def small_study(root: Path) -> Iterator[Path]:
    """A folder of three drawn datasets, 15 faces a label, on which `STUDY` is done in seconds while this is entered.

    Dataset 1 has simulated masks; 2.2 and 3.2 are large enough to be watched then.
    """
    for seed, name in enumerate(("1", "2.2", "3.2"), start=1):
        write_tiny(root / name, {"with_mask": 15, "without_mask": 15}, seed)
    with pytest.MonkeyPatch.context() as patch, parallel_config("threading"):  # processes take seconds to start
        use_small_networks(patch)
        patch.setattr(study, "_FEWEST_WATCHED", 10)
        yield root


class Cut(Exception):  # noqa: N818 - it stands for the end of a process, which is no error
    """Ends a fit, as a process that is killed would."""


class CutAfter(FolderCheckpoint):
    """A checkpoint that cuts the fit once so many epochs or grid points are kept."""

    def __init__(self, folder: Path, count: int) -> None:
        super().__init__(folder)
        self._count = count

    def save(self, history: History, arrays: Mapping[str, Any]) -> None:
        super().save(history, arrays)
        if len(history) == self._count:
            raise Cut(f"after {self._count}")


def cut_after(count: int) -> Callable[[Path], CutAfter]:
    """In the place of `maskdet.train.FolderCheckpoint`."""
    return lambda folder: CutAfter(folder, count)


def write_tiny(folder: Path, counts: Mapping[str, int], seed: int = 0, size: int = 48) -> Path:
    """Draw a dataset of separable photos by label; no two datasets of different seeds share a photo."""
    for number, (label, count) in enumerate(counts.items()):
        (folder / label).mkdir(parents=True)
        drawn = draw_faces([int(label == "without_mask")] * count, seed=10 * seed + number, size=size)
        for i, face in enumerate(drawn):
            Image.fromarray(face).save(folder / label / f"{i:03d}.png")
    return folder


def prepared(workspace: Workspace, root: Path, counts: Mapping[str, int], seed: int = 0, size: int = 48) -> Faces:
    """Draw a dataset ``tiny`` of separable photos by label into ``root``, then scan, filter and split it."""
    write_tiny(root / "tiny", counts, seed, size)
    return scanned_and_split(workspace, root)


def prepared_pools(workspace: Workspace, root: Path, each: int = 15) -> Faces:
    """Draw the real datasets ``a`` and ``b`` and ``sim``, of simulated masks, then scan, filter and split them."""
    for seed, name in enumerate(("a", "b", "sim"), start=1):
        write_tiny(root / name, {"with_mask": each, "without_mask": each}, seed)
    return scanned_and_split(workspace, root)


def scanned_and_split(workspace: Workspace, root: Path) -> Faces:
    """Scan what lies in a folder, filter and split it as by default."""
    faces = scan(workspace, root, jobs=1)
    save_filtered(workspace, apply_filters(faces))
    resplit(workspace, faces, SplitOptions())
    return faces


def resplit(workspace: Workspace, faces: Faces, options: SplitOptions) -> None:
    """Split again what the default filters keep."""
    save_split(workspace, split_faces(faces, apply_filters(faces), CATALOG, options))


class FakeModel(Model):
    """A model without weights: the logit is how far the lower half is brighter than the upper, in tenths of a level."""

    name: ClassVar[str] = "fake"
    title: ClassVar[str] = "Fake"

    def __init__(self) -> None:
        self.batches: list[int] = []

    @classmethod
    def options_type(cls) -> type[ModelOptions]:
        return ModelOptions

    def fit(
        self, data: FitData, *, seed: int, progress: Progress = silent, checkpoint: Checkpoint | None = None
    ) -> History:
        return []

    def estimate_seconds(self, data: FitData, *, seed: int, progress: Progress = silent) -> float:
        return 1.0

    def predict_logit(self, images: FaceImages, progress: Progress = silent) -> Logits:
        self.batches.append(len(images))
        pixels = images.take(np.arange(len(images))).astype(np.float64)
        half = FACE_SIZE // 2
        return (pixels[:, half:].mean(axis=(1, 2, 3)) - pixels[:, :half].mean(axis=(1, 2, 3))) / 10

    def predict_features(self, images: FaceImages) -> tuple[Logits, Features]:
        logits = self.predict_logit(images)
        return logits, logits[:, None].astype(np.float32)

    def save(self, folder: Path, *, half: bool = False) -> None:
        pass

    def load(self, folder: Path) -> None:
        pass
