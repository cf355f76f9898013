"""Further filters, which the study had not: each asks for at least some value of one measurement of a face.

An entry of `FURTHER` is all that such a filter needs: options, margins, the shell and the Quality page take it from
there. ``docs/extending.md`` has an example.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any, Final

from maskdet.errors import MaskDetError, reason_of

if TYPE_CHECKING:
    import pandas as pd

#: Names of filters with the least value that each asks for, sorted by name.
Thresholds = tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class FurtherFilter:
    """A filter with one threshold.

    Attributes
    ----------
    title : str
        What it removes, for pages and tables: "Low contrast".
    measured : str
        What it looks at, with its unit: "standard deviation of the luma, 0 to 255".
    value : callable
        From rows of the face table to a value a face, at least 0, of which more is better.
    least : float
        The threshold to begin with: a face with less is removed.
    """

    title: str
    measured: str
    value: Callable[["pd.DataFrame"], "pd.Series[Any]"]
    least: float


#: By name; a name is that of no other filter and no option.
FURTHER: Final[dict[str, FurtherFilter]] = {
    "contrast": FurtherFilter(
        "Low contrast", "standard deviation of the luma, 0 to 255", lambda faces: faces["contrast"], 10.0
    )
}


def thresholds(given: Iterable[Iterable[Any]]) -> Thresholds:
    """Pairs of a filter's name and the least value, as they come from JSON too, checked and sorted.

    Raises
    ------
    MaskDetError
        If there is no such filter, or its threshold is no number of at least 0.
    """
    try:
        found = {str(name): float(least) for name, least in given}
    except (TypeError, ValueError, OverflowError) as error:
        raise MaskDetError(f"A further filter needs a name and a number ({reason_of(error)}).") from error
    for name, least in found.items():
        if name not in FURTHER:
            raise MaskDetError(f"There is no further filter {name!r}; choose one of {', '.join(FURTHER)}.")
        if not 0 <= least < inf:
            raise MaskDetError(f"The threshold of the filter {name!r} must be at least 0, not {least}.")
    return tuple(sorted(found.items()))


def parse_thresholds(texts: Iterable[str]) -> Thresholds:
    """Thresholds from ``NAME=LEAST`` or ``NAME``, which means where the filter begins.

    Raises
    ------
    MaskDetError
        As `thresholds` does, or if a text is of another form.
    """
    pairs = []
    for text in texts:
        name, equals, least = text.partition("=")
        if name not in FURTHER:
            thresholds([(name, 0)])
        try:
            pairs.append((name, float(least) if equals else FURTHER[name].least))
        except ValueError:
            raise MaskDetError(f"A further filter needs NAME=NUMBER, not {text!r}.") from None
    return thresholds(pairs)
