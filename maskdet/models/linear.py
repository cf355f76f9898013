"""A linear layer fitted to its optimum: logistic regression on features that do not change."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from maskdet.models.base import Features

_ITERATIONS: Final = 1000


def fit_logistic(
    features: Features, labels: npt.NDArray[np.int64], weights: npt.NDArray[np.float64] | None = None
) -> tuple[npt.NDArray[Any], float]:
    """Kernel (d,) and bias of L2-regularised logistic regression (C = 1) on standardised features of shape (n, d).

    ``weights`` (n,) say how much each row counts, None: all the same.

    The standardisation is folded into kernel and bias, so that they apply to the features as they are.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(features, sample_weight=weights)
    found = LogisticRegression(max_iter=_ITERATIONS).fit(scaler.transform(features), labels, sample_weight=weights)
    kernel = found.coef_[0] / scaler.scale_
    return kernel, float(found.intercept_[0] - kernel @ scaler.mean_)
