"""Scaling of numeric inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from kfc.errors import Finding, SpecError
from kfc.preprocessing.affine import AffineScaling
from kfc.preprocessing.counted_columns import CountedColumns
from kfc.preprocessing.feature_statistics import (
    flattened,
    moments,
    nonzero,
    quartiles,
    ranges,
    root_mean_square,
)
from kfc.system import DiskArray

if TYPE_CHECKING:
    import keras

_CONSTANT = 1e18
"""Divisor of a feature that is constant in training, so that any other value of it becomes 0.

The network learns nothing about such a feature, and the first weights of it are random: a
border pixel that is 0 in training and 255 later must not outweigh all others. The square of
this divisor is the largest variance that float32 holds in a Keras layer.
"""

_ROBUST_CONSTANT = 1.0
"""The same for `robust`, since the quartiles of a feature that varies may be equal too."""


class ScriptLines(NamedTuple):
    """Lines of Python that scale the inputs of an ejected script.

    Args:
        before: Lines that define the names in the expression.
        expression: Expression for scaled rows, with `{0}` in place of the raw rows.
        dtype: Type of the raw rows that the expression takes: `float32` or `uint8`.
    """

    before: list[str]
    expression: str
    dtype: str = "float32"


@dataclass(frozen=True)
class NumericScaling(AffineScaling):
    """Scales numeric inputs before the first layer.

        scaled = (x - shift) / divisor
        clipped = scaled / sqrt(1 + (scaled / 3)^2)

    The smooth clip keeps values between -3 and 3. It is from Holzmüller, Grinsztajn and
    Steinwart, "Better by default: strong pre-tuned MLPs and boosted trees on tabular data",
    2024, https://arxiv.org/abs/2407.04491.

    Args:
        shift: One number, or one per feature, (features,).
        divisor: One number, or one per feature, (features,); never 0.
        clip: Whether scaled values are clipped.
    """

    clip: bool = False

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> NumericScaling:
        """Returns the scaling whose `get_config` is given."""
        affine = cls.from_numbers(config["shift"], config["divisor"])
        return replace(affine, clip=bool(config.get("clip", False)))

    def get_config(self) -> dict[str, Any]:
        """Returns the numbers as plain values, for JSON."""
        return {**super().get_config(), **({"clip": True} if self.clip else {})}

    @classmethod
    def fit(cls, name: str, x: np.ndarray | DiskArray | CountedColumns) -> NumericScaling:
        """Learns the scaling called `name` from training rows.

        `none` changes nothing. `unit` divides 8-bit pixels (dtype uint8) by 255, and maps
        other numbers from their smallest and largest value to 0 and 1; `centered` is `unit`
        minus one half. `standard` takes mean and standard deviation, `robust` median and
        interquartile range, and `robust_clip` clips the result of `robust`; where the
        quartiles of a feature are equal, it takes half of the range instead. All numbers but
        those of pixels are learned per feature.

        Args:
            name: One of `none`, `unit`, `centered`, `standard`, `robust`, `robust_clip`.
            x: Training inputs, (rows, ...), uint8 for pixels or else float32, or the counts
                of their values.

        Raises:
            SpecError: If quartiles are to be learned from rows that are on the disk.
        """
        if name == "none":
            return cls()
        if name in ("unit", "centered"):
            pixels = np.zeros(()), np.full((), 255.0)
            low, high = pixels if x.dtype == np.uint8 else ranges(x)
            size = np.maximum(np.abs(low), np.abs(high))
            width = nonzero(high - low, size, _CONSTANT)
            return cls.from_numbers(low + width / 2 if name == "centered" else low, width)
        if name == "standard":
            mean, deviation = moments(x)
            return cls.from_numbers(mean, nonzero(deviation, np.abs(mean), _CONSTANT))
        if isinstance(x, DiskArray):
            finding = Finding(
                "data.scale",
                "none, unit, centered, standard or quantile, for rows that stay on the disk",
                repr(name),
                "Quartiles need all rows at once: use standard.",
            )
            raise SpecError(finding)
        low, median, high = quartiles(x)
        if name == "robust":
            divisor = nonzero(high - low, np.abs(median), _ROBUST_CONSTANT)
            return cls.from_numbers(median, divisor)
        smallest, largest = ranges(x)
        half_range = nonzero((largest - smallest) / 2, np.abs(median), _CONSTANT)
        divisor = np.where(high > low, nonzero(high - low, np.abs(median), 0.0), 0.0)
        divisor = np.where(divisor == 0, half_range, divisor)
        return replace(cls.from_numbers(median, divisor), clip=True)

    @property
    def is_per_feature(self) -> bool:
        """Whether each feature has numbers of its own, learned from training rows."""
        return self.shift.ndim > 0

    @property
    def num_features(self) -> int:
        """Number of features with a shift of their own; 1 if all have the same."""
        return self.shift.size

    def apply(self, x: np.ndarray) -> np.ndarray:
        """Returns scaled rows, (rows, features), float32; `layer` computes the same."""
        flat = flattened(x).astype(np.float32)
        return self._clipped((flat - self.shift) / self.divisor)

    def apply_float64(self, x: np.ndarray) -> np.ndarray:
        """Returns scaled rows, (rows, features), computed in float64 as a reference."""
        flat = flattened(x).astype(np.float64)
        return self._clipped((flat - self.shift) / self.divisor)

    def _clipped(self, scaled: np.ndarray) -> np.ndarray:
        if not self.clip:
            return scaled
        with np.errstate(over="ignore", invalid="ignore"):  # infinity becomes NaN
            third = scaled / scaled.dtype.type(3)
            return scaled / np.sqrt(1 + third * third)

    def rms(self, x: np.ndarray | DiskArray) -> float:
        """Returns the root mean square of scaled rows, from a sample of at most 4,000."""
        return root_mean_square(self.apply, x)

    # --- in a graph ----------------------------------------------------------------------

    def graph(self, x: Any, layer: keras.layers.Layer | None = None) -> Any:
        """Returns scaled rows as a tensor, (batch, features), float32.

        Args:
            x: Raw rows, (batch, features), a tensor or a symbolic one.
            layer: Layer that shifts and divides; by default a new `layer()`.
        """
        import keras

        scaled = (layer or self.layer())(x)
        if not self.clip:
            return scaled
        return scaled / keras.ops.sqrt(1.0 + keras.ops.square(scaled / 3.0))

    def layer(self, name: str = "scaling") -> keras.layers.Layer:
        """Returns the Keras layer that shifts and divides, to float32, as it is saved.

        Args:
            name: Name of the layer.
        """
        import keras

        if self._is_normalization:
            variance = np.square(self.divisor)
            return keras.layers.Normalization(mean=self.shift, variance=variance, name=name)
        scale = 1.0 / self.divisor.astype(np.float64)
        offset = -self.shift * scale
        return keras.layers.Rescaling(scale.tolist(), offset.tolist(), name=name)

    def export_layer(self) -> keras.layers.Layer:
        """Returns the layer that replaces `layer` in a network that is converted to ONNX."""
        from kfc.preprocessing.scaling_layers import ConstantScaling

        # tf2onnx turns the tensors of a `Normalization` into further inputs of the model. Here
        # the numbers are constants of the graph.
        if self._is_normalization:
            return ConstantScaling(self.shift, self.divisor, name="scaling")
        return self.layer()

    def compile_key(self) -> Any:
        """Returns a value that is equal for scalings which may share a compiled step.

        The learned numbers of a feature are inputs of the step (`TensorScaling`), so that
        only the kind of the layer counts; others are constants in it.
        """
        if self.is_per_feature:
            return [self._is_normalization, self.clip]
        return [self.shift.tolist(), self.divisor.tolist()]

    @property
    def _is_normalization(self) -> bool:
        """Whether `layer` is a Keras `Normalization` rather than a `Rescaling`.

        A `Normalization` subtracts first, which is exact where a mean is large. But its square
        root of the variance is at least 1e-7, and the variance must fit into float32.
        """
        divisor = self.divisor
        return bool(self.is_per_feature and divisor.min() >= 1e-6 and divisor.max() <= 1e18)

    # --- in an ejected script ------------------------------------------------------------

    def script_lines(
        self, name: str, x: np.ndarray, *, rows: str = "x", fused: bool = False
    ) -> ScriptLines | None:
        """Returns lines of NumPy that scale to the same bits as the layer in training.

        Args:
            name: Name of the scaling, as for `fit`.
            x: Training inputs from which this scaling was fitted, (rows, ...).
            rows: Expression for the training inputs, (rows, features), float32, in the script.
            fused: Whether training multiplies and adds with one rounding, as XLA does.

        Returns:
            The lines, or None if short ones would compute other numbers, as for features that
            are almost constant.
        """
        if name == "none":
            return ScriptLines([], "{0}")
        if not self.is_per_feature:
            return self._pixel_lines(fused=fused)
        if self.clip or not self._is_normalization:
            return None
        constant = _ROBUST_CONSTANT if name == "robust" else _CONSTANT
        width = _width(name, flattened(x))
        learned = np.where(width == 0, constant, width).astype(np.float32)
        in_layer = np.sqrt(np.square(self.divisor))  # of the variance
        if not (np.array_equal(learned, self.divisor) and np.array_equal(learned, in_layer)):
            return None
        before, after = _FIT_LINES[name]
        text = f"{constant:g}".replace("e+", "e")
        guard = [f"divisor[divisor == 0] = {text}  # features that never change"]
        lines = [line.format(x=rows) for line in before]
        lines += guard if (width == 0).any() else []
        scaled = "({0} - np.float32(shift)) / np.float32(divisor)"
        return ScriptLines([*lines, *after], scaled)

    def _pixel_lines(self, *, fused: bool) -> ScriptLines:
        divisor, shift = float(self.divisor), float(self.shift)
        factor, offset = f"np.float32(1 / {divisor:g})", f"{shift / divisor:g}"
        if not shift:
            return ScriptLines([], f"{{0}} * {factor}")
        if not fused:
            return ScriptLines([], f"{{0}} * {factor} - np.float32({offset})")
        # The product of two float32 numbers is exact in float64, so that only the difference
        # is rounded to float32, as by XLA's one instruction (FMA).
        levels = f"np.float32(np.arange(256) * np.float64({factor}) - {offset})"
        return ScriptLines([f"levels = {levels}  # of a pixel"], "levels[{0}]", "uint8")


_FIT_LINES: dict[str, tuple[list[str], list[str]]] = {
    "standard": (
        [
            "shift = {x}.mean(axis=0, dtype=np.float64)",
            "divisor = {x}.std(axis=0, dtype=np.float64)",
        ],
        [],
    ),
    "unit": (
        ["shift = {x}.min(axis=0).astype(np.float64)", "divisor = {x}.max(axis=0) - shift"],
        [],
    ),
    "centered": (
        ["low = {x}.min(axis=0).astype(np.float64)", "divisor = {x}.max(axis=0) - low"],
        ["shift = low + divisor / 2"],
    ),
    "robust": (
        [
            "quartiles = np.quantile({x}.astype(np.float64), (0.25, 0.5, 0.75), axis=0)",
            "low, shift, high = quartiles",
            "divisor = high - low",
        ],
        [],
    ),
}
"""Lines that fit a divisor to `x`, and lines that fit a shift once no divisor is 0."""


def _width(name: str, x: np.ndarray) -> np.ndarray:
    """Returns the divisor that the lines of `_FIT_LINES` find, (features,), float64."""
    if name == "standard":
        return x.std(axis=0, dtype=np.float64)
    if name == "robust":
        low, _, high = quartiles(x)
        return high - low
    return x.max(axis=0) - x.min(axis=0).astype(np.float64)
