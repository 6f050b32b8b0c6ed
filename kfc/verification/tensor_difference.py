"""Measures how much the weights of two paths differ, relative to an allowed difference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

TOLERANCE = 1e-3
"""Allowed difference after a step, as a share of the step. Rounding in float32 changes the
gradients of a batch by about 1e-6 of the largest; the gradients of biases before a
normalization consist of such rounding alone."""

TOLERANCE_AT_RELU_ZERO = 0.1
"""The same for a step in which a unit of relu is at 0 within rounding, see `relu_zeros`."""


class Difference(NamedTuple):
    """Difference between two versions of one tensor.

    Args:
        max_abs: Largest difference of an element.
        max_ulps: The same in units in the last place (ulp) of the tensor's largest element.
        relative: Root mean square of the difference, as a share of the allowed one.
    """

    max_abs: float
    max_ulps: float
    relative: float


def compare_tensors(
    found: Sequence[np.ndarray],
    wanted: Sequence[np.ndarray],
    before: Sequence[np.ndarray],
    *,
    tolerance: float = TOLERANCE,
) -> list[Difference]:
    """Returns the difference of each tensor between two paths.

    The allowed difference is, in root mean squares over a tensor's elements,

        tolerance * (movement of the tensor + largest movement of any tensor) + 1 ulp.

    Args:
        found: Weights of the path in question.
        wanted: Weights of the path that it is compared with.
        before: Initial weights of both paths.
        tolerance: Share of the movement that is allowed.
    """
    moves = [
        _rms(np.subtract(w, b, dtype=np.float64)) for w, b in zip(wanted, before, strict=True)
    ]
    largest = max(moves, default=0.0)
    return [
        _difference(f, w, tolerance * (move + largest))
        for f, w, move in zip(found, wanted, moves, strict=True)
    ]


def first_bit_difference(
    one: Sequence[Sequence[np.ndarray]], other: Sequence[Sequence[np.ndarray]]
) -> tuple[int, int] | None:
    """Returns the first step and tensor at which the bits of two paths differ, or None."""
    for step, (left, right) in enumerate(zip(one, other, strict=True)):
        for tensor, (a, b) in enumerate(zip(left, right, strict=True)):
            if a.tobytes() != b.tobytes():
                return step, tensor
    return None


def _difference(found: np.ndarray, wanted: np.ndarray, allowed: float) -> Difference:
    with np.errstate(invalid="ignore", over="ignore"):  # values beyond float32
        ulp = float(np.spacing(np.abs(wanted).max(initial=0).astype(np.float32)))
        difference = np.subtract(found, wanted, dtype=np.float64)
        max_abs = float(np.abs(difference).max(initial=0))
        relative = _rms(difference) / (allowed + ulp)
    return Difference(max_abs, max_abs / ulp, relative)


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values)))) if values.size else 0.0
