"""The task of a network: the form of a row and the kind of its target."""

from __future__ import annotations

from dataclasses import dataclass, field

from kfc.preprocessing import NumericScaling, TargetScaling


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
    """

    input_shape: tuple[int, ...]
    input_dtype: str
    class_names: tuple[str, ...]
    outputs: int = 1
    scaling: NumericScaling = field(default_factory=NumericScaling)
    target_scaling: TargetScaling = field(default_factory=TargetScaling)
    feature_names: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()

    @property
    def classification(self) -> bool:
        """Whether targets are classes; otherwise they are numbers."""
        return bool(self.class_names)
