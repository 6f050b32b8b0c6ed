"""Formulas of the initial weights that are computed from the outputs of a layer for rows.

They are from Holzmueller, Grinsztajn and Steinwart, "Better by default: strong pre-tuned MLPs
and boosted trees on tabular data", 2024, https://arxiv.org/abs/2407.04491; `he_plus_5` follows
Steinwart, "A sober look at neural network initializations", 2019,
https://arxiv.org/abs/1903.11482.
"""

from __future__ import annotations

import numpy as np

_CONSTANT = 2.0**-20  # share of the root mean square that rounding alone may reach
_MIXED_ROWS = 5


def unit_variance(kernel: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Returns a kernel whose outputs have variance 1, instead of those of `z`.

        w_ij / s_j    with s_j^2 = mean_r (z_rj - mean z_j)^2

    A column that is constant up to the rounding of float32, whose s_j is at most 2^-20 times
    the root mean square of z_j, keeps its weights: no scale gives it variance 1.

    Args:
        kernel: Kernel, (inputs, units), or one for each member, (members, inputs, units).
        z: Its outputs, (rows, units) or (rows, members * units).
    """
    exact = z.astype(np.float64)
    spread = exact.std(axis=0)
    varies = spread > _CONSTANT * np.sqrt((exact**2).mean(axis=0))
    divisor = np.where(varies & np.isfinite(spread), spread, 1.0)
    shape = (*kernel.shape[:-2], 1, kernel.shape[-1])
    return (kernel / divisor.reshape(shape)).astype(np.float32)


def he_plus_5(z: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Returns biases that put the zero of each unit at a random mean of five rows.

        b_j = - sum_k u_jk z_(row jk),j    with u ~ Exp(1), divided by its sum over k

    The rows of each unit are drawn with replacement.

    Args:
        z: Outputs before the bias, (rows, units).
        generator: Source of the random numbers: first the rows, then the weights.

    Returns:
        Biases, (units,), float32.
    """
    units = z.shape[1]
    rows = generator.integers(0, len(z), (_MIXED_ROWS, units))
    weights = generator.exponential(size=(_MIXED_ROWS, units))
    weights /= weights.sum(axis=0)
    bias = -(weights * z[rows, np.arange(units)]).sum(axis=0)
    return bias.astype(np.float32)
