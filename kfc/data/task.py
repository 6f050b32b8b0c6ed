"""The task of a network: the form of a row and the kind of its target."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from kfc.preprocessing import NumericScaling, TableEncoding, TargetScaling


@dataclass(frozen=True)
class Task:
    """Shape and type of a row, kind of target, class names and fitted scalings.

    Args:
        input_shape: Shape of one row, such as (28, 28, 1).
        input_dtype: `uint8` or `float32`.
        class_names: Names of the classes; empty for regression.
        outputs: Numbers per row of a regression; 1 for classes.
        scaling: Scaling of the inputs, which is part of the network.
        target_scaling: Scaling of regression targets, which only the loss uses.
        feature_names: Names of the inputs; empty where they have none.
        targets: Names of several regression targets; empty where they have none.
        encoding: Encoding of the columns of a table; None where inputs are arrays. The
            scaling is then that of its numbers, the first features of an encoded row.
        target: Name of the target's column in a table.
    """

    input_shape: tuple[int, ...]
    input_dtype: str
    class_names: tuple[str, ...]
    outputs: int = 1
    scaling: NumericScaling = field(default_factory=NumericScaling)
    target_scaling: TargetScaling = field(default_factory=TargetScaling)
    feature_names: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    encoding: TableEncoding | None = None
    target: str | None = None

    @property
    def num_scaled(self) -> int:
        """Number of features that the scaling is for, the first ones of a row."""
        if self.encoding is None:
            return math.prod(self.input_shape)
        return self.encoding.num_numbers

    def scaled_part(self, x: Any) -> Any:
        """Returns the features of rows that the scaling is for: all, or a table's numbers."""
        return x if self.encoding is None else x[:, : self.num_scaled]

    @property
    def classification(self) -> bool:
        """Whether targets are classes; otherwise they are numbers."""
        return bool(self.class_names)
