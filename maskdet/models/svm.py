"""PCA and support vector machine, the study's non-neural benchmark (4.3.3)."""

import time
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, get_args
from zipfile import ZIP_DEFLATED

import numpy as np
import numpy.typing as npt

from maskdet.errors import MaskDetError
from maskdet.images import FaceImages, batches
from maskdet.models.base import Features, FitData, LabelledImages, Logits, Model, ModelOptions, damaged
from maskdet.models.checkpoint import Checkpoint, History
from maskdet.progress import Progress, silent
from maskdet.workspace import require_unpacked

MODEL_FILE: Final = "model.skops"
Kernel = Literal["rbf", "linear"]
_BATCH: Final = 256
_CACHE_MB: Final = 1000
#: A hundred components take 27 MB, and so do as many support vectors as there are components.
_MOST_BYTES: Final = 2_000_000_000
#: Faces of the two trials from which the time of a fit is estimated.
_TRIAL_FACES: Final = (400, 800)


@dataclass(frozen=True)
class SvmOptions(ModelOptions):
    """Options of PCA and SVM; defaults are the study's where it names one.

    Attributes
    ----------
    components : int
        Principal components kept (study: 100, about 87 % of the variance); fewer if there are fewer faces.
    kernel, C, gamma : tuple
        The grid (the study searches kernels too, without saying which; there, "rbf" wins). gamma counts for "rbf"
        only; "scale" is 1 / (components x variance of the components), and the linear kernel is multiplied by it, so
        that C means alike for both. The defaults lie around what cross-validation chooses on the study's datasets.
    folds : int
        Folds of the cross-validation that chooses from the grid (study: 5), by macro F1.
    jobs : int
        Processes; -1 is one a core.
    """

    components: int = 100
    kernel: tuple[Kernel, ...] = ("rbf", "linear")
    C: tuple[float, ...] = (1.0, 10.0, 100.0)
    gamma: tuple[float | str, ...] = ("scale", 0.0001, 0.0005)
    folds: int = 5
    jobs: int = -1

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("kernel", "C", "gamma"):
            if isinstance(getattr(self, name), str | float | int):
                raise MaskDetError(f"{name} must be a list of values, not {getattr(self, name)!r}.")
        object.__setattr__(self, "kernel", tuple(self.kernel))
        object.__setattr__(self, "C", tuple(self.C))
        object.__setattr__(self, "gamma", tuple(self.gamma))
        if self.components < 1:
            raise MaskDetError(f"components must be at least 1, not {self.components}.")
        if self.folds < 2:
            raise MaskDetError(f"folds must be at least 2, not {self.folds}.")
        if not self.kernel or not set(self.kernel) <= set(get_args(Kernel)):
            raise MaskDetError(f"kernel needs at least one of {', '.join(get_args(Kernel))}, not {self.kernel}.")
        numbers = [*self.C, *(value for value in self.gamma if value != "scale")]
        if not self.C or not self.gamma or not all(_is_positive(v) for v in numbers):
            raise MaskDetError(
                f'C and gamma need at least one value each, above 0 or gamma "scale", not {self.C} and {self.gamma}.'
            )
        if self.jobs != -1 and self.jobs < 1:
            raise MaskDetError(f"jobs must be at least 1, or -1 for one a core, not {self.jobs}.")


def _is_positive(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < inf


@dataclass(frozen=True)
class _Point:
    """A point of the grid; the linear kernel has no gamma, here 0. ``scale`` is what gamma "scale" stands for."""

    kernel: str
    C: float
    gamma: float
    scale: float

    def machine(self) -> Any:
        from sklearn.svm import SVC

        if self.kernel == "linear":
            # As if the kernel were scaled like rbf's "scale". At C = 1 on the features as they are, which are large,
            # the margin counts for nothing, and the fit takes a hundred times as long.
            return SVC(kernel="linear", cache_size=_CACHE_MB, C=self.C * self.scale)
        return SVC(kernel=self.kernel, cache_size=_CACHE_MB, C=self.C, gamma=self.gamma)

    def __str__(self) -> str:
        return f"{self.kernel}, C {self.C:g}" + (f", gamma {self.gamma:.2g}" if self.gamma else "")


class Svm(Model):
    """Randomised PCA, then a support vector machine chosen by grid search."""

    name: ClassVar[str] = "svm"
    title: ClassVar[str] = "PCA + SVM"
    #: Principal components are linear in the pixels.
    features_show_faces: ClassVar[bool] = True
    #: By `_fit_scale`.
    logit_is_fitted: ClassVar[bool] = True

    def __init__(self, options: SvmOptions | None = None) -> None:
        self.options: SvmOptions = options or SvmOptions()
        self.pipeline: Any = None
        self.logit_scale = 1.0

    @classmethod
    def options_type(cls) -> type[SvmOptions]:
        """The dataclass of this model's options."""
        return SvmOptions

    def fit(
        self, data: FitData, *, seed: int, progress: Progress = silent, checkpoint: Checkpoint | None = None
    ) -> History:
        """Fit PCA on the training faces, choose a grid point by cross-validation on them, fit the chosen SVM.

        Where faces weigh differently, the machines' losses and the macro F1 of the folds count each by its weight; the
        components, which know of no label, do not.
        The validation faces only scale the decision value to a logit (see `_fit_scale`). One entry a grid point:
        kernel, C, gamma (0 for the linear kernel), mean and standard deviation of the folds' macro F1, the explained
        variance of the PCA, and seconds.
        """
        from sklearn.pipeline import make_pipeline

        folds = self._folds(data.train, seed)
        stored = checkpoint.load() if checkpoint else None
        history: History = stored[0] if stored else []
        progress(len(history), self._total, "principal components")
        pca, features = self._components(data.train.images, seed)
        explained = float(pca.explained_variance_ratio_.sum())
        grid = self._grid(float(features.var()), features.shape[1])
        for number, point in enumerate(grid[len(history) :], start=len(history) + 1):
            progress(number, self._total, f"grid point {number} of {len(grid)}: {point}")
            begin = time.perf_counter()
            scores = self._cross_validated(point, features, data.train, folds)
            history.append(
                {"kernel": point.kernel, "C": point.C, "gamma": point.gamma, "f1_macro": float(scores.mean()),
                 "f1_macro_std": float(scores.std()), "explained_variance": explained,
                 "seconds": time.perf_counter() - begin}
            )  # fmt: skip
            if checkpoint:
                checkpoint.save(history, {})
        best = int(np.argmax([float(entry["f1_macro"]) for entry in history]))
        progress(self._total - 1, self._total, f"fitting {grid[best]}")
        machine = grid[best].machine().fit(features, data.train.labels, sample_weight=data.train.weights)
        self.pipeline = make_pipeline(pca, machine)
        self.logit_scale = _fit_scale(self._decide(data.validation.images, silent), data.validation.labels)
        found = f"chosen {grid[best]}: macro F1 {float(history[best]['f1_macro']):.3f}"
        progress(self._total, self._total, found)
        return history

    def estimate_seconds(self, data: FitData, *, seed: int, progress: Progress = silent) -> float:
        """From two small fits: PCA grows with the faces, an SVM by the power that the two show (1 to 2).

        Raises
        ------
        MaskDetError
            If there are too few faces of a label to fit to.
        """
        self._folds(data.train, seed)
        seconds = []
        sizes = [min(size, len(data.train)) for size in _TRIAL_FACES]
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(data.train))
        _, first = np.unique(data.train.labels[order], return_index=True)  # of a rare label there may be none
        order = np.concatenate([order[first], np.delete(order, first)])
        for number, size in enumerate(sizes):
            progress(number, len(sizes), f"trial with {size} faces")
            positions = order[:size]
            begin = time.perf_counter()
            pixels = _flatten(data.train.images, positions)
            _, features = self._reduce(pixels, seed)
            reduced = time.perf_counter()
            machine = self._grid(float(features.var()), features.shape[1])[0].machine()
            machine.fit(features, data.train.labels[positions]).predict(features)
            seconds.append((reduced - begin, time.perf_counter() - reduced))
        growth = len(data.train) / sizes[-1]
        doubled = np.log2(max(seconds[1][1], 1e-6) / max(seconds[0][1], 1e-6)) if sizes[1] > sizes[0] else 1.0
        machines = (self._total - 2) * self.options.folds / self._processes + 1
        return float(seconds[1][0] * growth + seconds[1][1] * growth ** np.clip(doubled, 1, 2) * machines)

    @property
    def _total(self) -> int:
        options = self.options
        linear = options.kernel.count("linear")
        rbf = (len(options.kernel) - linear) * len(options.gamma)
        return len(options.C) * (rbf + linear) + 2

    @property
    def _processes(self) -> int:
        from joblib import effective_n_jobs

        return min(int(effective_n_jobs(self.options.jobs)), self.options.folds)

    def _folds(self, train: LabelledImages, seed: int) -> list[Any]:
        from sklearn.model_selection import StratifiedGroupKFold

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
        return folds

    def _cross_validated(
        self, point: _Point, features: npt.NDArray[np.float64], train: LabelledImages, folds: list[Any]
    ) -> npt.NDArray[np.float64]:
        """Macro F1 of each fold."""
        from sklearn import config_context
        from sklearn.metrics import f1_score, make_scorer
        from sklearn.model_selection import cross_val_score

        machine, scorer = point.machine(), make_scorer(f1_score, average="macro")
        weights = {}
        with config_context(enable_metadata_routing=train.weights is not None):
            if train.weights is not None:
                machine.set_fit_request(sample_weight=True)
                scorer.set_score_request(sample_weight=True)
                weights = {"sample_weight": train.weights}
            found = cross_val_score(
                machine, features, train.labels, cv=folds, scoring=scorer, n_jobs=self.options.jobs, params=weights
            )
        return np.asarray(found, dtype=np.float64)

    def _components(self, images: FaceImages, seed: int) -> tuple[Any, npt.NDArray[np.float64]]:
        return self._reduce(_flatten(images), seed)

    def _reduce(self, pixels: npt.NDArray[np.float32], seed: int) -> tuple[Any, npt.NDArray[np.float64]]:
        """The fitted PCA and the components of the pixels, which are overwritten."""
        from sklearn.decomposition import PCA

        components = min(self.options.components, *pixels.shape)
        pca = PCA(components, svd_solver="randomized", random_state=seed, copy=False)
        return pca, pca.fit_transform(pixels).astype(np.float64)

    def _grid(self, variance: float, components: int) -> list[_Point]:
        scale = 1 / (components * variance)
        gammas = [scale if gamma == "scale" else float(gamma) for gamma in self.options.gamma]
        by_kernel = {"rbf": gammas, "linear": [0.0]}
        return [
            _Point(kernel, float(C), gamma, scale)
            for kernel in self.options.kernel
            for C in self.options.C
            for gamma in by_kernel[kernel]
        ]

    def predict_logit(self, images: FaceImages, progress: Progress = silent) -> Logits:
        """Scaled decision values in the order of the images: above 0 exactly where the SVM says without mask."""
        if self.pipeline is None:
            raise ValueError("fit or load the model before predicting")
        return self._decide(images, progress) * self.logit_scale

    def predict_features(self, images: FaceImages) -> tuple[Logits, Features]:
        """Logits, and the principal components."""
        if self.pipeline is None:
            raise ValueError("fit or load the model before predicting")
        pca, machine = self.pipeline[0], self.pipeline[-1]
        parts = [pca.transform(_flatten(images, positions)) for positions in batches(len(images), _BATCH)]
        features = np.concatenate(parts)
        return machine.decision_function(features) * self.logit_scale, features.astype(np.float32)

    def save(self, folder: Path, *, half: bool = False) -> None:
        """Write the pipeline with skops, which, unlike pickle, runs no code when it is read."""
        from skops.io import dump

        pca, machine = self.pipeline[0], self.pipeline[-1]
        kind = np.float16 if half else pca.components_.dtype
        stored = {
            "components": pca.components_.astype(kind),  # nearly all of the file
            "mean": pca.mean_, "explained_variance": pca.explained_variance_, "machine": machine,
            "logit_scale": self.logit_scale,
        }  # fmt: skip
        dump(stored, folder / MODEL_FILE, compression=ZIP_DEFLATED)

    def load(self, folder: Path) -> None:
        """Read what `save` wrote."""
        from sklearn.decomposition import PCA
        from sklearn.pipeline import make_pipeline
        from skops.io import load

        try:
            require_unpacked(folder / MODEL_FILE, _MOST_BYTES)
            stored = load(folder / MODEL_FILE)  # of no types but those that skops trusts: numpy's and scikit-learn's
            if "pipeline" in stored:  # as versions before 0.2 wrote it
                self.pipeline = stored["pipeline"]
            else:
                pca = PCA(len(stored["components"]))
                pca.components_ = stored["components"].astype(stored["mean"].dtype)
                pca.mean_, pca.explained_variance_ = stored["mean"], stored["explained_variance"]
                self.pipeline = make_pipeline(pca, stored["machine"])
            self.logit_scale = float(stored["logit_scale"])
            _require_whole(self.pipeline)
        except Exception as error:
            raise damaged(folder / MODEL_FILE, error) from error

    def _decide(self, images: FaceImages, progress: Progress) -> Logits:
        decisions = np.empty(len(images), dtype=np.float64)
        for positions in batches(len(images), _BATCH):
            decisions[positions] = self.pipeline.decision_function(_flatten(images, positions))
            progress(int(positions[-1]) + 1, len(images), "predicting")
        return decisions


def _require_whole(pipeline: Any) -> None:
    """Raise ValueError unless it is a PCA and an SVM whose parts fit: libsvm, which is C, asks for no sizes itself."""
    from sklearn.decomposition import PCA
    from sklearn.svm import SVC

    pca, machine = pipeline[0], pipeline[-1]
    if len(pipeline) != 2 or type(pca) is not PCA or type(machine) is not SVC or machine.kernel not in get_args(Kernel):
        raise ValueError("it is no PCA and SVM")
    count, width = machine.support_vectors_.shape
    fits = (
        not machine._sparse and width == machine.n_features_in_ == len(pca.components_)
        and machine.classes_.tolist() == [0, 1]
        and machine._n_support.shape == (2,) and min(machine._n_support) >= 0 and sum(machine._n_support) == count
        and machine.support_.shape == (count,)
        and machine._dual_coef_.shape == machine.dual_coef_.shape == (1, count)
        and machine._intercept_.shape == machine.intercept_.shape == (1,)
    )  # fmt: skip
    if not fits:
        raise ValueError("its parts do not fit each other")


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

    This is Platt's calibration (Platt, 1999) without its shift: the sign, and so every verdict, stays the SVM's own. A
    temperature that is fitted to the same faces afterwards (`maskdet.reliability.fit_temperature`) is 1 nearly for
    certain: that it is says nothing of how well calibrated the model is.
    """
    from scipy.optimize import minimize_scalar

    signed = np.where(labels == 1, decisions, -decisions)
    found = minimize_scalar(
        lambda log_scale: np.logaddexp(0, -np.exp(log_scale) * signed).mean(), bounds=(-5, 5), method="bounded"
    )
    return float(np.exp(found.x))
