"""Scaling of the targets of a regression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from kfc.preprocessing.affine import AffineScaling
from kfc.preprocessing.feature_statistics import moments, nonzero
from kfc.system import DiskArray

if TYPE_CHECKING:
    import keras

Values = TypeVar("Values")  # a NumPy array or a tensor


@dataclass(frozen=True)
class TargetScaling(AffineScaling):
    """Scales the targets of a regression for the loss; the network answers in their own units.

        scaled = (y - shift) / divisor        y = scaled * divisor + shift

    So a target of millions trains like one of ones.

    Args:
        shift: One number, or one per output, (outputs,).
        divisor: One number, or one per output, (outputs,); never 0.
    """

    @classmethod
    def fit(cls, name: str, y: np.ndarray | DiskArray) -> TargetScaling:
        """Learns the scaling called `name` from the targets of training rows.

        Args:
            name: `none`, which changes nothing, or `standard`: mean and standard deviation.
            y: Targets, (rows, outputs), float32.
        """
        if name == "none":
            return cls()
        mean, deviation = moments(y)
        # An output that is constant in training keeps its unit.
        return cls.from_numbers(mean, nonzero(deviation, np.abs(mean), 1.0))

    @property
    def is_identity(self) -> bool:
        """Whether the scaling changes nothing."""
        return bool(np.all(self.shift == 0) and np.all(self.divisor == 1))

    @property
    def unit(self) -> np.ndarray:
        """Difference of targets that is 1 after scaling, () or (outputs,)."""
        return self.divisor

    @property
    def numbers(self) -> tuple[np.ndarray, np.ndarray]:
        """Shift and divisor, () or (outputs,) each."""
        return self.shift, self.divisor

    def apply(self, y: Values, numbers: tuple[Any, Any] | None = None) -> Values:
        """Returns scaled targets or predictions.

        Args:
            y: Array or tensor, (rows, outputs), float32.
            numbers: Shift and divisor as tensors, which a compiled step takes as inputs; None
                for those of this scaling.
        """
        shift, divisor = self.numbers if numbers is None else numbers
        return (y - shift) / divisor

    def apply_float64(self, y: np.ndarray) -> np.ndarray:
        """Returns scaled targets, (rows, outputs), computed in float64 as a reference."""
        return (y.astype(np.float64) - self.shift) / self.divisor

    def inverse(self, scaled: np.ndarray) -> np.ndarray:
        """Returns values in the targets' own units, (rows, outputs), as `inverse_layer`."""
        return scaled * self.divisor + self.shift

    # --- in a graph ----------------------------------------------------------------------

    def inverse_layer(self) -> keras.layers.Layer:
        """Returns the Keras layer from scaled outputs to values in the targets' own units."""
        import keras

        divisor, shift = np.broadcast_arrays(self.divisor, self.shift)
        if divisor.size == 1:
            numbers: Any = float(divisor.item()), float(shift.item())
        else:
            numbers = divisor.tolist(), shift.tolist()
        return keras.layers.Rescaling(*numbers, name="value")

    def compile_key(self) -> Any:
        """Returns a value that is equal for scalings which may share a compiled step.

        The step takes the numbers as inputs.
        """
        return [self.shift.shape, self.divisor.shape]

    # --- in an ejected script ------------------------------------------------------------

    def script_lines(self) -> list[str]:
        """Returns the lines that fit this scaling to `y`, (rows, 1).

        XLA rewrites arithmetic with constants. So the numbers, which a step of kfc takes as
        inputs, are tensors in the script too.
        """
        return [
            "mean = tf.constant(np.float32(y.mean(dtype=np.float64)))",
            "deviation = tf.constant(np.float32(y.std(axis=0, dtype=np.float64)))",
        ]

    def script_error_lines(self, prediction: str) -> list[str]:
        """Returns the lines that compute `error`, scaled, from `y` and a prediction."""
        return [
            f"found = ({prediction} - mean) / deviation",
            "error = (y - mean) / deviation - found",
        ]

    def script_inverse(self, scaled: str) -> str:
        """Returns the expression for values in the targets' own units."""
        return f"({scaled}) * deviation + mean"
