"""PCA and support vector machine, the study's non-neural benchmark (4.3.3)."""

from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from maskdet.errors import MaskDetError
from maskdet.images import FaceImages, batches
from maskdet.models.base import History, LabelledImages, Logits, Model, ModelOptions, damaged
from maskdet.progress import Progress, silent

MODEL_FILE: Final = "model.skops"
_BATCH: Final = 256


@dataclass(frozen=True)
class SvmOptions(ModelOptions):
    """Options of PCA and SVM; defaults are the study's where it names one.

    Attributes
    ----------
    components : int
        Principal components kept (study: 100, about 87 % of the variance); fewer if there are fewer faces.
    C, gamma : tuple
        The grid (the study does not give its own). "scale" is 1 / (components x variance of the components).
    folds : int
        Folds of the cross-validation that chooses from the grid (study: 5), by macro F1.
    jobs : int
        Processes; -1 is one a core.
    """

    components: int = 100
    C: tuple[float, ...] = (1.0, 10.0, 100.0)
    gamma: tuple[float | str, ...] = ("scale", 0.001, 0.003)
    folds: int = 5
    jobs: int = -1

    def __post_init__(self) -> None:
        object.__setattr__(self, "C", tuple(self.C))
        object.__setattr__(self, "gamma", tuple(self.gamma))
        if self.components < 1:
            raise MaskDetError(f"components must be at least 1, not {self.components}.")
        if self.folds < 2:
            raise MaskDetError(f"folds must be at least 2, not {self.folds}.")
        numbers = [*self.C, *(value for value in self.gamma if value != "scale")]
        if not self.C or not self.gamma or not all(isinstance(v, int | float) and 0 < v < inf for v in numbers):
            raise MaskDetError(
                f'C and gamma need at least one value each, above 0 or gamma "scale", not {self.C} and {self.gamma}.'
            )
        if self.jobs != -1 and self.jobs < 1:
            raise MaskDetError(f"jobs must be at least 1, or -1 for one a core, not {self.jobs}.")


class Svm(Model):
    """Randomised PCA, then an RBF support vector machine chosen by grid search."""

    name: ClassVar[str] = "svm"
    title: ClassVar[str] = "PCA + SVM"

    def __init__(self, options: SvmOptions | None = None) -> None:
        self.options = options or SvmOptions()
        self.pipeline: Any = None
        self.logit_scale = 1.0

    @classmethod
    def options_type(cls) -> type[SvmOptions]:
        """The dataclass of this model's options."""
        return SvmOptions

    def fit(self, train: LabelledImages, validation: LabelledImages, *, seed: int, progress: Progress) -> History:
        """Fit PCA on the training faces, choose C and gamma by cross-validation on them, fit the chosen SVM.

        The validation faces only scale the decision value to a logit (see `_fit_scale`). One entry a grid point:
        C, gamma, mean and standard deviation of the folds' macro F1, and the explained variance of the PCA.
        """
        from sklearn.decomposition import PCA
        from sklearn.model_selection import ParameterGrid, StratifiedGroupKFold, cross_val_score
        from sklearn.pipeline import make_pipeline
        from sklearn.svm import SVC

        smallest_class = int(min(np.bincount(train.labels, minlength=2)))
        if smallest_class < self.options.folds:
            raise MaskDetError(
                f"{self.options.folds}-fold cross-validation needs {self.options.folds} training faces of each label, "
                f"not {smallest_class}."
            )
        dealer = StratifiedGroupKFold(self.options.folds, shuffle=True, random_state=seed)
        folds = list(dealer.split(train.labels, train.labels, train.groups))
        if any(len(np.unique(train.labels[rest])) < 2 for rest, _ in folds):  # all of a label in one held-out fold
            raise MaskDetError("The training faces of a label come from too few different photos to cross-validate.")
        grid = list(ParameterGrid({"C": self.options.C, "gamma": self.options.gamma}))
        total = len(grid) + 2
        progress(0, total, "principal components")
        pixels = _flatten(train.images)
        components = min(self.options.components, *pixels.shape)
        pca = PCA(components, svd_solver="randomized", random_state=seed, copy=False)
        features = pca.fit_transform(pixels).astype(np.float64)
        del pixels
        explained = float(pca.explained_variance_ratio_.sum())
        history: History = []
        for number, point in enumerate(grid, start=1):
            progress(number, total, f"grid point {number} of {len(grid)}: C {point['C']:g}, gamma {point['gamma']}")
            machine = SVC(kernel="rbf", cache_size=1000, **point)
            scores = cross_val_score(
                machine, features, train.labels, cv=folds, scoring="f1_macro", n_jobs=self.options.jobs
            )
            gamma = 1 / (components * features.var()) if point["gamma"] == "scale" else float(point["gamma"])
            history.append(
                {"C": float(point["C"]), "gamma": float(gamma), "f1_macro": float(scores.mean()),
                 "f1_macro_std": float(scores.std()), "explained_variance": explained}
            )  # fmt: skip
        best = history[int(np.argmax([entry["f1_macro"] for entry in history]))]
        progress(total - 1, total, f"fitting C {best['C']:g}, gamma {best['gamma']:.2g}")
        machine = SVC(kernel="rbf", cache_size=1000, C=best["C"], gamma=best["gamma"]).fit(features, train.labels)
        self.pipeline = make_pipeline(pca, machine)
        self.logit_scale = _fit_scale(self._decide(validation.images, silent), validation.labels)
        progress(total, total, f"chosen C {best['C']:g}, gamma {best['gamma']:.2g}: macro F1 {best['f1_macro']:.3f}")
        return history

    def predict_logit(self, images: FaceImages, progress: Progress = silent) -> Logits:
        """Scaled decision values in the order of the images: above 0 exactly where the SVM says without mask."""
        if self.pipeline is None:
            raise ValueError("fit or load the model before predicting")
        return self._decide(images, progress) * self.logit_scale

    def save(self, folder: Path) -> None:
        """Write the pipeline with skops, which, unlike pickle, runs no code when it is read."""
        from skops.io import dump

        dump({"pipeline": self.pipeline, "logit_scale": self.logit_scale}, folder / MODEL_FILE)

    def load(self, folder: Path) -> None:
        """Read what `save` wrote."""
        from skops.io import load

        try:
            stored = load(folder / MODEL_FILE)
            self.pipeline, self.logit_scale = stored["pipeline"], float(stored["logit_scale"])
        except Exception as error:
            raise damaged(folder, error) from error

    def _decide(self, images: FaceImages, progress: Progress) -> Logits:
        decisions = np.empty(len(images), dtype=np.float64)
        for positions in batches(len(images), _BATCH):
            decisions[positions] = self.pipeline.decision_function(_flatten(images, positions))
            progress(int(positions[-1]) + 1, len(images), "predicting")
        return decisions


def _flatten(images: FaceImages, positions: npt.NDArray[np.int64] | None = None) -> npt.NDArray[np.float32]:
    """Faces as rows of numbers in [0, 1] (study, 4.2.2), filled batch by batch to bound the memory."""
    if positions is None:
        positions = np.arange(len(images))
    first = images.take(positions[:1])
    rows = np.empty((len(positions), first[0].size), dtype=np.float32)
    for at in batches(len(positions), _BATCH):
        rows[at] = images.take(positions[at]).reshape(len(at), -1)
    rows /= 255
    return rows


def _fit_scale(decisions: Logits, labels: npt.NDArray[np.int64]) -> float:
    """Factor that makes a logit of a decision value, by maximum likelihood on validation faces.

    This is Platt's calibration (Platt, 1999) without its shift: the sign, and so every verdict, stays the SVM's own.
    """
    from scipy.optimize import minimize_scalar

    signed = np.where(labels == 1, decisions, -decisions)
    found = minimize_scalar(
        lambda log_scale: np.logaddexp(0, -np.exp(log_scale) * signed).mean(), bounds=(-5, 5), method="bounded"
    )
    return float(np.exp(found.x))
