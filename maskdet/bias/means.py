"""Means over faces with intervals, many figures at once, and for groups of faces."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from maskdet.bootstrap import FEWEST_GROUPS, Values, bootstrap, percentiles
from maskdet.intervals import FEWEST_FACES, has_width, paired_interval, share_interval

#: Name of the group that is all faces.
ALL: Final = "all"
#: What a column holds.
Kind = Literal["figures", "shares", "changes"]
_NO_SPREAD: Final = "no interval: no two faces differ"
#: Groups of fewer faces are too few to say anything (as `maskdet.bias.groups.GroupOptions`).
FEWEST: Final = FEWEST_FACES


@dataclass(frozen=True)
class Means:
    """Means of some columns.

    Attributes
    ----------
    n : array of int, shape (columns,)
        Faces that have a value.
    mean, low, high : array of float, shape (columns,)
        The mean of those, NaN without any, and its interval, NaN where ``reason`` says why there is none.
    reason : list of str
        "", or why there is no interval, a column.
    """

    n: npt.NDArray[np.int64]
    mean: Values
    low: Values
    high: Values
    reason: list[str]


def means(values: npt.ArrayLike, groups: npt.NDArray[Any], fewest: int = FEWEST, kind: Kind = "figures") -> Means:
    """The mean of each column, and its interval.

    Of figures by the cluster bootstrap (see `maskdet.bootstrap`); of shares by `maskdet.intervals.share_interval`, and
    of changes of verdicts by `maskdet.intervals.paired_interval`, which are right of rare ones too. Where no two faces
    differ in a figure, resampling shows no spread, and there is no interval.

    Parameters
    ----------
    values : array of float or bool, shape (n, columns)
        NaN where a face has none.
    groups : array, shape (n,)
        Related faces, which are drawn together.
    fewest : int
        With fewer faces, or fewer than `maskdet.bootstrap.FEWEST_GROUPS` groups, a column has no interval.
    kind : {"figures", "shares", "changes"}
        Shares are 0 or 1 of each face, changes -1, 0 or 1.
    """
    values = np.asarray(values, dtype=np.float64)
    known = ~np.isnan(values)
    filled, counted = np.where(known, values, 0), known.astype(np.float64)
    count = known.sum(axis=0)
    mean = np.full(values.shape[1], np.nan)
    np.divide(filled.sum(axis=0), count, out=mean, where=count > 0)
    low, high = np.full_like(mean, np.nan), np.full_like(mean, np.nan)
    reason = [_too_few(groups[column], fewest) for column in known.T]
    asked = [number for number, why in enumerate(reason) if not why]
    drawn = bootstrap(groups, lambda times: _drawn(times, filled, counted)) if asked and kind == "figures" else {}
    for at in asked:
        column, clusters = values[known[:, at], at], groups[known[:, at]]
        if kind == "shares":
            ends = share_interval(column > 0, clusters)
        elif kind == "changes":
            ends = paired_interval(column, clusters)
        else:
            low_end, high_end = percentiles(drawn[str(at)]) or (np.nan, np.nan)
            ends = low_end, high_end
        if has_width(*ends):
            low[at], high[at] = ends
        else:
            reason[at] = _NO_SPREAD
    return Means(count, mean, low, high, reason)


def split_by(faces: pd.DataFrame, groups: "pd.Series[Any] | None") -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
    """All faces, then each group that some of them are in: its name, and which faces those are.

    Parameters
    ----------
    faces : DataFrame
        ``face_id``.
    groups : Series or None
        Names of groups by face id; "" or missing where a face is in none. Of a Categorical, groups come in the order of
        its categories, else by name.
    """
    yield ALL, np.ones(len(faces), dtype=np.bool_)
    if groups is None:
        return
    own = groups.reindex(faces["face_id"])
    names = own.cat.categories if isinstance(own.dtype, pd.CategoricalDtype) else sorted(own.dropna().unique())
    for name in names:
        inside = (own == name).fillna(value=False).to_numpy(dtype=np.bool_)
        if name != "" and inside.any():
            yield f"{ALL} (group)" if name == ALL else str(name), inside  # a value of a CSV may be called so


def _drawn(times: Values, filled: Values, counted: Values) -> dict[str, Values]:
    total = times @ counted
    mean = np.full_like(total, np.nan)
    np.divide(times @ filled, total, out=mean, where=total > 0)
    return {str(number): column for number, column in enumerate(mean.T)}


def _too_few(groups: npt.NDArray[Any], fewest: int) -> str:
    if len(groups) < fewest:
        return f"too few to say: {len(groups):,} face{'s' if len(groups) != 1 else ''}"
    clusters = len(np.unique(groups))
    return f"too few to say: {clusters} groups of related faces" if clusters < FEWEST_GROUPS else ""
