"""Half-widths of prediction intervals, from the residuals of held-out rows."""

from __future__ import annotations

import math

import numpy as np


def rank_of(coverage: float, num_rows: int) -> int:
    """Returns the rank of the residual that is the half-width, ceil((n + 1) c).

    A rank above the number of rows means that there are too few of them.

    Args:
        coverage: Share of future rows that an interval shall hold, in (0, 1).
        num_rows: Number of held-out rows, n.
    """
    # 0.9 * 10 is 9 and no more, although 1.1 * 10 is 11.000000000000002.
    return math.ceil(round((num_rows + 1) * coverage, 9))


def fewest_rows(coverage: float) -> int:
    """Returns the smallest number of held-out rows with which `coverage` can be kept."""
    few = math.floor(coverage / (1 - coverage))
    return next(n for n in range(max(few - 1, 1), few + 3) if rank_of(coverage, n) <= n)


def fit_half_widths(y: np.ndarray, value: np.ndarray, coverage: float) -> tuple[float, ...]:
    """Returns the half-width of the intervals of each output, by split-conformal prediction.

        r_i = |y_i - value_i|        half-width = the ceil((n + 1) c)-th smallest r_i

    A new row's target is in [value - half-width, value + half-width] with a probability of at
    least c, if its residual and those of the held-out rows are exchangeable. So the rows must
    not have chosen the best epoch, which would make their residuals too small, the more so the
    fewer rows there are. Every interval has the same width: it is right on average over rows.
    Papadopoulos, Proedrou, Vovk, Gammerman, "Inductive confidence machines for regression",
    2002, https://doi.org/10.1007/3-540-36755-1_29; Lei, G'Sell, Rinaldo, Tibshirani,
    Wasserman, "Distribution-free predictive inference for regression", 2018,
    https://arxiv.org/abs/1604.04173.

    Args:
        y: Targets of held-out rows, (rows, outputs).
        value: Their predictions, (rows, outputs).
        coverage: Share of future rows that an interval shall hold, in (0, 1); each output
            has it alone.

    Raises:
        ValueError: If there are fewer than `fewest_rows(coverage)` rows.
    """
    rank = rank_of(coverage, len(y))
    if rank > len(y):
        raise ValueError(f"{len(y)} rows: expected at least {fewest_rows(coverage)}.")
    residuals = np.abs(np.asarray(y, np.float64) - np.asarray(value, np.float64))
    return tuple(np.sort(residuals, axis=0)[rank - 1].tolist())


def measure_coverage(
    y: np.ndarray, value: np.ndarray, half_widths: tuple[float, ...]
) -> list[float]:
    """Returns the share of targets within their intervals, for each output.

    Args:
        y: Targets, (rows, outputs).
        value: Their predictions, (rows, outputs).
        half_widths: Half-width of the intervals of each output.
    """
    residuals = np.abs(np.asarray(y, np.float64) - np.asarray(value, np.float64))
    return (residuals <= np.asarray(half_widths)).mean(axis=0).tolist()
