"""Calibration of probabilities: the temperature of logits, and the error that remains."""

from __future__ import annotations

import numpy as np
from scipy.special import logsumexp, softmax

BINS = 15
"""Bins of the calibration error, as in Guo et al., 2017."""
_LARGEST = 100.0
"""Temperatures are between 1 / 100 and 100; a network trained too long may need 15."""
_COST = 2.0
"""Twice the gain in log-likelihood that one more parameter must bring, after Akaike."""


def fit_temperature(logits: np.ndarray, y: np.ndarray) -> float:
    """Returns the temperature of logits, or 1 where another one is not clearly better.

    It is `best_temperature` if that improves Akaike's criterion, which estimates the log-loss
    of other rows:

        2 * rows * (log-loss of T = 1  -  log-loss of the best T)  >  2

    A temperature of few rows is mostly noise, which makes a network worse that is calibrated
    already. Akaike, "A new look at the statistical model identification", 1974,
    https://doi.org/10.1109/TAC.1974.1100705.

    Args:
        logits: Logits of held-out rows, (rows, classes).
        y: Class numbers, (rows,).
    """
    best, margins = best_temperature(logits, y), _margins(logits, y)
    gain = _log_loss(margins) - _log_loss(margins / best)
    return best if 2 * len(y) * gain > _COST else 1.0


def best_temperature(logits: np.ndarray, y: np.ndarray) -> float:
    """Returns the temperature T > 0 that minimizes the log-loss of softmax(logits / T).

        T = argmin  mean over rows of  logsumexp(logits / T) - logits[y] / T

    A network that is too sure of itself gets T > 1, one that is not sure enough, as after
    label smoothing, T < 1. No label changes. The loss is convex in 1 / T, so that it has one
    minimum. Where all rows are right, that is at 0; so T makes no network surer, by the mean
    of the largest probabilities, than (rows + 1) / (rows + 2), Laplace's rule of succession
    for rows that are all right. Guo, Pleiss, Sun, Weinberger, "On calibration of modern neural
    networks", 2017, https://arxiv.org/abs/1706.04599.

    Args:
        logits: Logits of held-out rows, (rows, classes).
        y: Class numbers, (rows,).
    """
    from scipy.optimize import minimize_scalar  # few trainings need its import

    margins = _margins(logits, y)
    found = minimize_scalar(
        lambda log_temperature: _log_loss(margins / np.exp(log_temperature)),
        bounds=(_smallest(margins), float(np.log(_LARGEST))),
        method="bounded",
        options={"xatol": 1e-9},
    )
    return float(np.exp(found.x))


def _smallest(margins: np.ndarray) -> float:
    """Returns the logarithm, at most 0, of the smallest temperature that the rows support."""
    from scipy.optimize import brentq  # few trainings need its import

    most = (len(margins) + 1) / (len(margins) + 2)

    def surplus(log_temperature: float) -> float:
        scaled = margins / np.exp(log_temperature)
        return float(softmax(scaled, axis=1).max(axis=1).mean()) - most

    lowest = -float(np.log(_LARGEST))
    if surplus(0.0) >= 0:
        return 0.0
    return lowest if surplus(lowest) <= 0 else float(brentq(surplus, lowest, 0.0))


def _margins(logits: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Returns logits minus that of the true class, (rows, classes), float64."""
    z = np.asarray(logits, np.float64)
    return z - z[np.arange(len(y)), y][:, None]


def _log_loss(margins: np.ndarray) -> float:
    return float(logsumexp(margins, axis=1).mean())


def calibration_error(probabilities: np.ndarray, y: np.ndarray, bins: int = BINS) -> float:
    """Returns the expected calibration error of the most likely class, in [0, 1].

        sum over bins of  (rows in the bin / rows) * |accuracy - mean probability|

    The bins divide [0, 1] into equal widths: bin b has the rows whose largest probability is
    in (b / bins, (b + 1) / bins]. Naeini, Cooper, Hauskrecht, "Obtaining well calibrated
    probabilities using Bayesian binning", 2015, https://doi.org/10.1609/aaai.v29i1.9602;
    Guo, Pleiss, Sun, Weinberger, "On calibration of modern neural networks", 2017,
    https://arxiv.org/abs/1706.04599.

    Args:
        probabilities: Probability of each class, (rows, classes).
        y: Class numbers, (rows,).
        bins: Number of bins.
    """
    top = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == y
    bin_of = np.clip(np.ceil(top * bins).astype(int) - 1, 0, bins - 1)
    # In a bin, rows times the difference of two means is the difference of two sums.
    gap = np.bincount(bin_of, right, bins) - np.bincount(bin_of, top, bins)
    return float(np.abs(gap).sum() / len(y))
