"""Runtimes: a run's logits and features by the quickest engine that can give them.

Networks run in ONNX Runtime, at the logits of Keras within 1e-3, and PCA and SVM in scikit-learn: neither imports
TensorFlow, which only older runs, without a graph, still need (see `maskdet.models.onnx_graph`).
"""

from pathlib import Path
from typing import Final, Protocol

import numpy as np

from maskdet.images import ArrayImages, batches
from maskdet.models.base import Features, Logits, Model, damaged
from maskdet.models.onnx_graph import GRAPH_FILE, INPUT, OUTPUTS, WEIGHTS_FILE, open_session, read_weights
from maskdet.photos import RgbImage
from maskdet.runs import Run

#: Faces in one pass; more take no less time each, and more memory.
_BATCH: Final = 128


class Runtime(Protocol):
    """A trained run as a function.

    Attributes
    ----------
    engine : {"onnxruntime", "tensorflow", "scikit-learn"}
    """

    engine: str

    def __call__(self, faces: RgbImage) -> tuple[Logits, Features]:
        """Logits, shape (n,), and features, shape (n, d), of normalised faces, shape (n, 150, 150, 3).

        Features are the means of a network's last maps (see `maskdet.models.onnx_graph.last_maps`), or the principal
        components.
        """
        ...


class OnnxRuntime:
    """A network in ONNX Runtime, from the folder of its weights.

    Raises
    ------
    RunError
        If they are missing or damaged, also when it is called: some damage shows only then.
    """

    engine = "onnxruntime"

    def __init__(self, folder: Path) -> None:
        self._graph = folder / GRAPH_FILE
        try:
            self._session = open_session(folder)
        except Exception as error:
            raise damaged(_culprit(folder), error) from error

    def __call__(self, faces: RgbImage) -> tuple[Logits, Features]:
        """Logits and features (see `Runtime`)."""
        try:
            parts = [self._session.run(OUTPUTS, {INPUT: faces[at]}) for at in batches(len(faces), _BATCH)]
        except Exception as error:  # whatever ONNX Runtime raises for a graph that fits no face
            raise damaged(self._graph, error) from error
        if not parts:
            return np.empty(0), np.empty((0, self._session.get_outputs()[1].shape[1]), np.float32)
        logits, features = (np.concatenate(part) for part in zip(*parts, strict=True))
        return logits[:, 0].astype(np.float64), features


def _culprit(folder: Path) -> Path:
    """The file to blame where no session opens: the graph, unless the weights beside it cannot be read either."""
    try:
        read_weights(folder / WEIGHTS_FILE)
    except Exception:  # noqa: BLE001 - whatever HDF5's reader raises for damaged bytes
        return folder / WEIGHTS_FILE
    return folder / GRAPH_FILE


class ModelRuntime:
    """A model that was loaded, in the library it was trained with."""

    def __init__(self, model: Model) -> None:
        self.engine = "tensorflow" if model.needs_tensorflow else "scikit-learn"
        self._model = model

    def __call__(self, faces: RgbImage) -> tuple[Logits, Features]:
        """Logits and features (see `Runtime`)."""
        return self._model.predict_features(ArrayImages(faces))


def open_runtime(run: Run) -> Runtime:
    """The quickest runtime of a run. Raises RunError if its weights are missing or damaged."""
    folder = run.weights
    return OnnxRuntime(folder) if (folder / GRAPH_FILE).is_file() else ModelRuntime(run.load_model())
