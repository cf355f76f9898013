"""A small classifier of measurements: out-of-fold scores, their AUC with an interval, and what the AUC rests on.

Gradient boosting over histograms takes gaps and categories as they are, and finds steps and interactions, such as one
size that only one label has (Friedman 2001; scikit-learn's HistGradientBoostingClassifier).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from threadpoolctl import threadpool_limits

from maskdet.bootstrap import FEWEST_GROUPS, LEVEL, Values, bootstrap
from maskdet.metrics import weighted_auc

#: Small trees and few of them: a probe has some ten features, and larger trees learn the noise of a few hundred faces.
_CLASSIFIER: Final = {"max_iter": 60, "max_leaf_nodes": 4, "min_samples_leaf": 20, "early_stopping": False}
#: Held-out faces on which features are shuffled; more say the same and take longer.
_SHUFFLED_FACES: Final = 2000
#: Steps of rank among which bootstrap samples tell scores apart; three times as quick as all ranks, and as exact.
_RANKS: Final = 1000


#: Rows to fit to and rows held out, a pair a fold.
Folds = list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]


@dataclass(frozen=True)
class ProbeData:
    """Measurements, and what is to be told from them.

    Attributes
    ----------
    features : DataFrame
        A row a face; text columns are categories.
    target : array of int, shape (n,)
        Classes 0, 1 and so on; every one occurs.
    groups : array, shape (n,)
        Related faces, which no fold parts.
    folds : Folds
    seed : int
    """

    features: pd.DataFrame
    target: npt.NDArray[np.int64]
    groups: npt.NDArray[Any]
    folds: Folds
    seed: int

    @cached_property
    def encoded(self) -> pd.DataFrame:
        """The features as numbers; what does not vary is left out, since nothing can be told from it."""
        known = {name: column for name, column in self.features.items() if column.nunique(dropna=False) > 1}
        return pd.DataFrame({name: _numbers(column) for name, column in known.items()}, index=self.features.index)

    def fitted(self, names: Sequence[str]) -> "Fitted":
        """Classifiers of some features, one a fold, and their scores of the faces that they did not see."""
        known = [name for name in names if name in self.encoded]
        scores = np.zeros((len(self.target), self.target.max() + 1))
        if not known:
            return Fitted((), [], scores)
        values, models = self.encoded[known].to_numpy(), []
        with threadpool_limits(1, "openmp"):  # where other programs want the cores too, threads wait for each other
            for rest, held_out in self.folds:
                model = _classifier(self.features[known], self.seed).fit(values[rest], self.target[rest])
                scores[np.ix_(held_out, model.classes_)] = model.predict_proba(values[held_out])
                models.append(model)
        return Fitted(tuple(models), known, scores)


@dataclass(frozen=True)
class Fitted:
    """Classifiers of some features, one a fold.

    Attributes
    ----------
    names : list of str
        Their features, in order.
    scores : array, shape (n, classes)
        Out-of-fold probabilities; zeros where no feature varies.
    """

    models: tuple[Any, ...]
    names: list[str]
    scores: Values


@dataclass(frozen=True)
class Auc:
    """An AUC with its interval at `maskdet.bootstrap.LEVEL`.

    Attributes
    ----------
    value : float
        0 to 1; of more than two classes, the mean over each against the rest (macro).
    low, high : float or None
        None where nothing varies.
    low_of_many : float or None
        The lower end after Bonferroni's correction for all AUCs that are looked at together.
    """

    value: float
    low: float | None
    high: float | None
    low_of_many: float | None


def deal(target: npt.NDArray[np.int64], groups: npt.NDArray[Any], folds: int, seed: int) -> Folds:
    """Folds that part no group, each with its share of each class."""
    from sklearn.model_selection import StratifiedGroupKFold

    dealer = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    return list(dealer.split(target, target, groups))


def aucs_of(data: ProbeData, scores: Mapping[str, Values]) -> dict[str, Auc]:
    """The AUC of each of several out-of-fold scores, with intervals by the cluster bootstrap of the scores.

    Resampling scores takes the classifiers as they are. But each fold's was fitted to the others' held-out faces: what
    the faces share by chance raises, or lowers, all folds at once, and percentiles alone come out too narrow (Bengio &
    Grandvalet 2004). They are therefore widened about the AUC as Nadeau & Bengio (2003) correct the variance of a
    cross-validation: by the root of 1 + K / (K - 1), 1.5 for five folds. None from too few groups.

    Parameters
    ----------
    scores : mapping of array, shape (n, classes)
        Of two classes, only the second is looked at.
    """
    once = np.ones((1, len(data.target)))
    values = {name: float(_macro(data.target, each)(once)[0]) for name, each in scores.items()}
    varying = {name: each for name, each in scores.items() if np.ptp(each)}
    if len(np.unique(data.groups)) < FEWEST_GROUPS or not varying:
        return {name: Auc(value, None, None, None) for name, value in values.items()}
    measures = {name: _macro(data.target, _coarse_ranks(each)) for name, each in varying.items()}

    def measure(weights: Values) -> dict[str, Values]:
        return {name: each(weights) for name, each in measures.items()}

    tail, widened = 50 * (1 - LEVEL), np.sqrt(1 + len(data.folds) / (len(data.folds) - 1))
    found = {name: Auc(value, None, None, None) for name, value in values.items()}
    for name, drawn in bootstrap(data.groups, measure, seed=data.seed).items():
        ends = np.nanpercentile(drawn, [tail, 100 - tail, tail / len(scores)])
        low, high, corrected = np.clip(values[name] + widened * (ends - values[name]), 0, 1).tolist()
        found[name] = Auc(values[name], low, high, corrected)
    return found


def importance_of(data: ProbeData, fitted: Fitted, repeats: int) -> dict[str, dict[str, float]]:
    """By how much the AUC on held-out faces drops when a feature is shuffled among them (Breiman 2001).

    Returns
    -------
    dict
        For each feature that varies ``mean`` and ``sd`` over folds and repeats, in AUC. Features that say the same, as
        width and height of a square face do, stand in for each other: each alone matters little then.
    """
    from sklearn.inspection import permutation_importance

    values, drops = data.encoded[fitted.names].to_numpy(), []
    with threadpool_limits(1, "openmp"):
        for model, (_, held_out) in zip(fitted.models, data.folds, strict=False):
            found = permutation_importance(
                model, values[held_out], data.target[held_out], scoring=_score, n_repeats=repeats,
                random_state=data.seed, max_samples=min(_SHUFFLED_FACES, len(held_out)),
            )  # fmt: skip
            drops.append(found["importances"])
    together = np.concatenate(drops, axis=1) if drops else np.empty((0, 0))
    return {
        name: {"mean": float(row.mean()), "sd": float(row.std())}
        for name, row in zip(fitted.names, together, strict=True)
    }


def _classifier(features: pd.DataFrame, seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    categories = [not pd.api.types.is_numeric_dtype(column) for _, column in features.items()]
    return HistGradientBoostingClassifier(categorical_features=categories, random_state=seed, **_CLASSIFIER)


def _numbers(column: "pd.Series[Any]") -> npt.NDArray[np.float64]:
    if pd.api.types.is_numeric_dtype(column):
        return column.to_numpy(np.float64)
    codes = pd.factorize(column, sort=True)[0]
    return np.where(codes < 0, np.nan, codes)


def _score(model: Any, features: Values, target: npt.NDArray[np.int64]) -> float:
    scores = np.zeros((len(target), model.classes_.max() + 1))
    scores[:, model.classes_] = model.predict_proba(features)
    return float(_macro(target, scores)(np.ones((1, len(target))))[0])


def _coarse_ranks(scores: Values) -> Values:
    ranks = pd.DataFrame(scores).rank(method="min").to_numpy()
    return np.asarray(np.floor(ranks * _RANKS / len(ranks)), dtype=np.float64)


def _macro(target: npt.NDArray[np.int64], scores: Values) -> Callable[[Values], Values]:
    """Mean AUC of each class against the rest, of the second alone where there are two."""
    classes = range(scores.shape[1]) if scores.shape[1] > 2 else [1]
    each = [weighted_auc((target == which).astype(np.int64), scores[:, which]) for which in classes]

    def measure(weights: Values) -> Values:
        return np.asarray(np.nanmean([auc(weights) for auc in each], axis=0), dtype=np.float64)

    return measure
