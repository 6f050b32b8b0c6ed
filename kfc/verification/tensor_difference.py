"""Weights by two paths -> how far apart they are, and how far they may be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

TOLERANCE = 1e-3
"""Of a step, that float32 may lose of it. A batch's gradients are off by some 1e-6 of the
largest; biases before a normalisation have gradients of nothing but such rounding."""

KINKED = 0.1
"""The same where a unit of relu is at 0 but for rounding, which lets a gradient in or out."""


class Difference(NamedTuple):
    """How far apart two versions of one tensor are.

    Args:
        max_abs: Largest difference of an element.
        max_ulps: The same in units in the last place of the tensor's largest element.
        relative: Root mean square, as a share of what is allowed.
    """

    max_abs: float
    max_ulps: float
    relative: float


def compare(
    found: Sequence[np.ndarray],
    wanted: Sequence[np.ndarray],
    before: Sequence[np.ndarray],
    *,
    tolerance: float = TOLERANCE,
) -> list[Difference]:
    """Returns how far each tensor is from where it should be.

    Allowed is, as root mean squares over a tensor's elements,

        tolerance * (movement of the tensor + largest movement of any tensor) + 1 ulp.

    Args:
        found: Weights by one path.
        wanted: By another.
        before: Where both began.
        tolerance: Share of the movement.
    """
    moves = [
        _rms(np.subtract(w, b, dtype=np.float64)) for w, b in zip(wanted, before, strict=True)
    ]
    largest = max(moves, default=0.0)
    return [
        _difference(f, w, tolerance * (move + largest))
        for f, w, move in zip(found, wanted, moves, strict=True)
    ]


def first_other_bits(
    one: Sequence[Sequence[np.ndarray]], other: Sequence[Sequence[np.ndarray]]
) -> tuple[int, int] | None:
    """Returns step and tensor at which two series of weights first differ, or None."""
    for step, (left, right) in enumerate(zip(one, other, strict=True)):
        for tensor, (a, b) in enumerate(zip(left, right, strict=True)):
            if a.tobytes() != b.tobytes():
                return step, tensor
    return None


def _difference(found: np.ndarray, wanted: np.ndarray, allowed: float) -> Difference:
    with np.errstate(invalid="ignore", over="ignore"):  # beyond float32
        ulp = float(np.spacing(np.abs(wanted).max(initial=0).astype(np.float32)))
        difference = np.subtract(found, wanted, dtype=np.float64)
        max_abs = float(np.abs(difference).max(initial=0))
        relative = _rms(difference) / (allowed + ulp)
    return Difference(max_abs, max_abs / ulp, relative)


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values)))) if values.size else 0.0
