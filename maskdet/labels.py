"""The labels of a face, and the names that publishers give them.

The positive class is *without mask*: a logit above 0, or a probability above 0.5, means no mask (study, 6.3).
"""

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    import pandas as pd

Label = Literal["with_mask", "without_mask", "incorrect_mask"]

WITH_MASK: Final = "with_mask"
WITHOUT_MASK: Final = "without_mask"
INCORRECT_MASK: Final = "incorrect_mask"
LABELS: Final[tuple[Label, ...]] = (WITH_MASK, WITHOUT_MASK, INCORRECT_MASK)
#: The two labels a model tells apart, in the order of the logit: index 1 is the positive class.
CLASSES: Final[tuple[Label, Label]] = (WITH_MASK, WITHOUT_MASK)

#: What becomes of faces whose mask is worn incorrectly: left out, counted as without mask, or a class of their own.
IncorrectMask = Literal["drop", "without_mask", "class"]

_PUBLISHERS_NAMES: Final[dict[str, Label]] = {
    "withmask": WITH_MASK,
    "facewithmask": WITH_MASK,
    "mask": WITH_MASK,
    "masked": WITH_MASK,
    "withoutmask": WITHOUT_MASK,
    "facewithoutmask": WITHOUT_MASK,
    "facenomask": WITHOUT_MASK,
    "nomask": WITHOUT_MASK,
    "unmasked": WITHOUT_MASK,
    "incorrectmask": INCORRECT_MASK,
    "facewithmaskincorrect": INCORRECT_MASK,
    "maskwearedincorrect": INCORRECT_MASK,
    "maskwornincorrectly": INCORRECT_MASK,
}


@lru_cache(maxsize=1024)
def parse_label(name: str) -> Label | None:
    """The label that a publisher's folder or class name stands for, or None if it is not about masks.

    Case, spaces and punctuation don't count: ``WithMask``, ``with_mask`` and ``face with mask`` are one name.
    """
    return _PUBLISHERS_NAMES.get(re.sub("[^a-z]", "", name.lower()))


def treat_incorrect(labels: "pd.Series[str]", treatment: IncorrectMask) -> "pd.Series[str]":
    """Labels as they count: ``incorrect_mask`` becomes ``without_mask`` where the treatment says so.

    Dropping is a decision on faces, not on labels: see `maskdet.quality.apply_filters`.
    """
    return labels.replace({INCORRECT_MASK: WITHOUT_MASK}) if treatment == "without_mask" else labels
