"""The cluster bootstrap: how far a figure would spread if other photos had been taken."""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

#: Confidence level of all intervals.
LEVEL: Final = 0.95
#: Intervals from fewer groups than this are too narrow to be trusted (our choice).
FEWEST_GROUPS: Final = 10
RESAMPLES: Final = 1000
_RESAMPLES_AT_ONCE: Final = 100  # 13 MB a table of 16,500 faces

Values = npt.NDArray[np.float64]
#: How often each face counts, shape (resamples, faces) -> a value a resample, NaN where it is not defined.
Measure = Callable[[Values], dict[str, Values]]


def bootstrap(
    groups: npt.NDArray[Any], measure: Measure, *, seed: int = 0, resamples: int = RESAMPLES
) -> dict[str, Values]:
    """Figures of bootstrap samples of some faces, each of shape (resamples,).

    Whole groups are drawn, not faces: faces of one photo are alike, and drawing them apart would make the intervals
    too narrow (the cluster bootstrap, Davison & Hinkley 1997, section 3.8).

    Parameters
    ----------
    groups : array, shape (faces,)
        The group of each face, at least one. Groups are numbered in the order of their names, so that the same groups
        and seed give the same samples, whatever is measured.
    measure : callable
        Figures of some resamples at once (see `Measure`).
    resamples : int
        At least 1.
    """
    _, group = np.unique(groups, return_inverse=True)
    size = int(group.max()) + 1
    rng = np.random.default_rng(seed)
    portions = []
    for begin in range(0, resamples, _RESAMPLES_AT_ONCE):
        rows = min(_RESAMPLES_AT_ONCE, resamples - begin)
        drawn = rng.integers(0, size, (rows, size)) + size * np.arange(rows)[:, None]
        times = np.bincount(drawn.ravel(), minlength=rows * size).reshape(rows, size)
        portions.append(measure(times[:, group].astype(np.float64)))
    return {name: np.concatenate([portion[name] for portion in portions]) for name in portions[0]}


def measured(
    groups: npt.NDArray[Any], measure: Measure
) -> tuple[dict[str, float | None], dict[str, list[float] | None]]:
    """Each figure of faces, of which there may be none, and its interval by `bootstrap`; None where not defined."""
    once = measure(np.ones((1, len(groups))))
    values = {name: None if np.isnan(value[0]) else float(value[0]) for name, value in once.items()}
    if not len(groups):
        return values, dict.fromkeys(values)
    return values, {name: percentiles(drawn) for name, drawn in bootstrap(groups, measure).items()}


def percentiles(values: Values) -> list[float] | None:
    """The interval at `LEVEL`: percentiles of the resamples in which a figure is defined, or None without any."""
    defined = values[~np.isnan(values)]
    if not len(defined):
        return None
    tail = 50 * (1 - LEVEL)
    return [float(value) for value in np.percentile(defined, [tail, 100 - tail])]
