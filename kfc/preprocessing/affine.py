"""Subtraction of a shift and division by a divisor, which all scalings have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np


@dataclass(frozen=True)
class AffineScaling:
    """A shift and a divisor, float32; by default they change nothing.

        scaled = (values - shift) / divisor

    Args:
        shift: One number, or one per feature, (features,).
        divisor: One number, or one per feature, (features,); never 0.
    """

    shift: np.ndarray = field(default_factory=lambda: np.zeros((), np.float32))
    divisor: np.ndarray = field(default_factory=lambda: np.ones((), np.float32))

    @classmethod
    def from_numbers(cls, shift: Any, divisor: Any) -> Self:
        """Returns a scaling by these numbers, rounded to float32."""
        return cls(np.asarray(shift, np.float32), np.asarray(divisor, np.float32))

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Returns the scaling whose `get_config` is given."""
        return cls.from_numbers(config["shift"], config["divisor"])

    def get_config(self) -> dict[str, Any]:
        """Returns the numbers as plain values, for JSON."""
        return {"shift": self.shift.tolist(), "divisor": self.divisor.tolist()}
