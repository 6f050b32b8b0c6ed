"""Computes the numbers about predicted values that a page shows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn import metrics

_TENTHS = 10


@dataclass(frozen=True)
class Decile:
    """Errors of the rows in one tenth of the true values.

    Args:
        low: Smallest true value.
        high: Largest true value.
        rows: Number of rows.
        mae: Mean absolute error, in units of the target.
        rmse: Root of the mean squared error, in units of the target.
        bias: Mean of predicted minus true, in units of the target.
    """

    low: float
    high: float
    rows: int
    mae: float
    rmse: float
    bias: float


def deciles(y: np.ndarray, value: np.ndarray) -> list[Decile]:
    """Returns the errors in each tenth of the rows, in the order of their true value.

    Args:
        y: True values of one target, (rows,).
        value: Predicted values, (rows,).
    """
    y, value = y.astype(np.float64), value.astype(np.float64)
    order = np.argsort(y, kind="stable")
    parts = [part for part in np.array_split(order, min(_TENTHS, len(y))) if len(part)]
    return [
        Decile(
            float(y[part[0]]),
            float(y[part[-1]]),
            len(part),
            float(metrics.mean_absolute_error(y[part], value[part])),
            float(metrics.root_mean_squared_error(y[part], value[part])),
            float((value[part] - y[part]).mean()),
        )
        for part in parts
    ]
