"""Curves of predicted probabilities: calibration (reliability) and ROC."""

from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit

from maskdet.bootstrap import LEVEL
from maskdet.labels import CLASSES

#: Bins of the calibration, of equal width (Guo et al. 2017 take 15). Bins of equal mass would nearly all lie at 0 and
#: 1, where these models' probabilities are, and hide the doubtful faces between; the price is that few faces are in a
#: bin there, which is why each bin has an interval.
BINS: Final = 15

Counts = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]


def reliability(predictions: pd.DataFrame, bins: int = BINS) -> pd.DataFrame:
    """The reliability curve: in bins of the probability, how many faces really are without mask.

    Returns
    -------
    DataFrame
        A row a bin that holds faces: ``bin_low, bin_high`` (its edges), ``faces``, ``mean_probability``, ``share``
        without mask, and ``share_low, share_high``, Wilson's interval (1927) at `LEVEL`, which takes faces for
        independent.
    """
    from scipy.stats import binomtest

    actual, probability = actual_of(predictions), probability_of(predictions)
    number = bin_of(probability, bins)
    rows = []
    for index in np.unique(number):
        inside = number == index
        hits, faces = int(actual[inside].sum()), int(inside.sum())
        wilson = binomtest(hits, faces).proportion_ci(LEVEL, method="wilson")
        rows.append(
            {
                "bin_low": float(index / bins), "bin_high": float((index + 1) / bins), "faces": faces,
                "mean_probability": float(probability[inside].mean()), "share": hits / faces,
                "share_low": float(wilson.low), "share_high": float(wilson.high),
            }
        )  # fmt: skip
    columns = ["bin_low", "bin_high", "faces", "mean_probability", "share", "share_low", "share_high"]
    return pd.DataFrame(rows, columns=columns)


def roc_points(predictions: pd.DataFrame) -> pd.DataFrame:
    """The ROC curve: ``threshold`` (a probability), ``false_positive_rate`` and ``true_positive_rate``.

    A true positive is a face without mask that is judged so. No row where a label is missing.
    """
    from sklearn.metrics import roc_curve

    columns = ["threshold", "false_positive_rate", "true_positive_rate"]
    actual = actual_of(predictions)
    if len(np.unique(actual)) < 2:
        return pd.DataFrame(columns=columns, dtype=np.float64)
    false, true, logit = roc_curve(actual, predictions["logit"].to_numpy(np.float64))
    return pd.DataFrame({columns[0]: expit(logit), columns[1]: false, columns[2]: true})


def actual_of(predictions: pd.DataFrame) -> Counts:
    """1 for a face without mask, 0 for one with; shape (n,)."""
    return (predictions["label"] == CLASSES[1]).to_numpy().astype(np.int64)


def probability_of(predictions: pd.DataFrame) -> Values:
    """Probability of being without mask, in 0..1, from the logits, which lose less than stored probabilities do."""
    return np.asarray(expit(predictions["logit"].to_numpy(np.float64)), dtype=np.float64)


def bin_of(probability: Values, bins: int = BINS) -> Counts:
    """Number of the bin, of equal width, that holds each probability; 1 is in the last."""
    return np.minimum((probability * bins).astype(np.int64), bins - 1)
