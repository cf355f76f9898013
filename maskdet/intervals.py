"""The interval of a share: exact, for few events or none, where resampling shows no spread."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from maskdet.bootstrap import FEWEST_GROUPS, LEVEL
from maskdet.labels import CLASSES

#: Ends that lie nearer to each other than this differ by rounding alone: sums in another order, not other faces.
_ROUNDING: Final = 1e-9


def share_interval(events: float, n: float, design_effect: float = 1.0, level: float = LEVEL) -> tuple[float, float]:
    """The two-sided exact interval (Clopper & Pearson 1934) of a share, of as many draws as the sample is worth.

    Related faces are worth less than as many unrelated ones: events and draws are divided by the design effect (Korn &
    Graubard 1998), and need not be whole numbers then. Where nothing happened the upper end is
    ``1 - ((1 - level) / 2) ** (1 / n)``, about 3.7 / n at 95 %. (The rule of three, 3 / n, is the end of a one-sided
    interval.)

    Parameters
    ----------
    events : float
        How often it happened, 0 to ``n``.
    n : float
        Of how many, at least 0. Of none, nothing is known: the interval is 0 to 1.
    design_effect : float
        Above 0. Where related faces are alike altogether, as many as are in a group on the mean.
    level : float
        Between 0 and 1.

    Returns
    -------
    low, high : float
        0 to 1.
    """
    from scipy.special import betaincinv

    if not 0 <= events <= n or not 0 < design_effect < np.inf or not 0 < level < 1 or not n < np.inf:
        raise ValueError(f"no share: {events} of {n}, design effect {design_effect}, level {level}")
    hits, draws, tail = events / design_effect, n / design_effect, (1 - level) / 2
    low = 0.0 if events == 0 else float(betaincinv(hits, draws - hits + 1, tail))
    high = 1.0 if events == n else float(betaincinv(hits + 1, draws - hits, 1 - tail))
    return low, high


def none_or_all(flags: npt.NDArray[np.bool_], groups: npt.NDArray[Any]) -> tuple[float, float] | None:
    """`share_interval` of the faces with a flag, where none or all have it, of as many draws as there are groups.

    None where some have it, which the bootstrap tells, and without a face.

    Parameters
    ----------
    flags : array of bool, shape (n,)
    groups : array, shape (n,)
        Related faces are in one group, and count as one draw together.
    """
    hits, faces = int(flags.sum()), len(flags)
    if not faces or 0 < hits < faces:
        return None
    return share_interval(hits, faces, faces / len(np.unique(groups)))


def exact_intervals(
    groups: npt.NDArray[Any], actual: npt.NDArray[np.int64], predicted: npt.NDArray[np.bool_]
) -> dict[str, list[float]]:
    """`none_or_all` of the shares of faces judged right, from `maskdet.bootstrap.FEWEST_GROUPS` groups on.

    Parameters
    ----------
    groups, actual, predicted : array, shape (faces,)
        Labels are 1 for without mask, and predicted is true for it.

    Returns
    -------
    dict
        Those that are 0 or 1 of ``accuracy``, a share of all faces, ``"recall with_mask"`` and so on, of the faces of
        a label, and ``"precision with_mask"`` and so on, of the faces that are said to be of it.
    """
    right = predicted == (actual == 1)
    among = {"accuracy": np.ones(len(groups), bool)}
    for value, label in enumerate(CLASSES):
        among |= {f"recall {label}": actual == value, f"precision {label}": predicted == bool(value)}
    enough = {name: of for name, of in among.items() if len(np.unique(groups[of])) >= FEWEST_GROUPS}
    found = {name: none_or_all(right[of], groups[of]) for name, of in enough.items()}
    return {name: list(interval) for name, interval in found.items() if interval is not None}


def has_spread(low: float, high: float) -> bool:
    """True for an interval that is wider than rounding makes it."""
    return high - low > _ROUNDING
