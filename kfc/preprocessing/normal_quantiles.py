"""Quantiles of the normal distribution, with the bits of SciPy and mostly without its import.

The import of `scipy.special` takes as long as those of NumPy and pyarrow together.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

_ERROR = 1e-14
"""Bound for the difference of Python's and SciPy's results, of which each is off by less than
1e-15: relative for a quantile, absolute for a share."""


def quantiles(shares: np.ndarray) -> np.ndarray:
    """Returns the standard normal quantiles of shares, float32, as SciPy computes them.

    Where every number that SciPy may have found is rounded to the same float32, the quantile
    of Python is; elsewhere SciPy is asked.

    Examples:
        >>> quantiles(np.array([0.5, 0.975])).tolist()
        [0.0, 1.9599640369415283]

    Args:
        shares: Numbers between 0 and 1, (n,), float64.
    """
    inverse = NormalDist().inv_cdf
    found = np.array([inverse(share) for share in shares.tolist()])
    low, high = ((found * factor).astype(np.float32) for factor in (1 - _ERROR, 1 + _ERROR))
    unsure = low != high
    if unsure.any():
        from scipy.special import ndtri

        found[unsure] = ndtri(shares[unsure])
    return found.astype(np.float32)


def evenly_in_quantiles(rows: int, pieces: int, least: float) -> np.ndarray:
    """Returns places among sorted rows whose normal quantiles have equal distances.

    Examples:
        >>> evenly_in_quantiles(100, 4, 0.01).tolist()
        [0, 12, 50, 87, 99]

    Args:
        rows: Number of rows.
        pieces: Number of pieces between the places.
        least: Share of the rows that are below the first place, before it is moved to 0.

    Returns:
        Numbers of rows, (pieces + 1,), int64, from 0 to the last row.
    """
    largest = -NormalDist().inv_cdf(least)
    ends = np.linspace(-largest, largest, pieces + 1)
    shares = np.array([0.5 * math.erfc(-end / math.sqrt(2)) for end in ends.tolist()])
    exact = shares * (rows - 1)
    # The share of 0 is one half in SciPy, too.
    unsure = np.abs(exact - np.floor(exact) - 0.5) <= _ERROR * rows
    if (unsure & (ends != 0)).any():
        from scipy.special import ndtr, ndtri

        largest = -ndtri(least)
        exact = ndtr(np.linspace(-largest, largest, pieces + 1)) * (rows - 1)
    places = np.rint(exact).astype(np.int64)
    places[0], places[-1] = 0, rows - 1
    return places
