"""What one row looks like and what is asked of it, for whoever builds, scores or predicts."""

from __future__ import annotations

from dataclasses import dataclass, field

from kfc.preprocessing import NumericScaling, TargetScaling


@dataclass(frozen=True)
class Task:
    """What one row looks like, and what is asked of it.

    Args:
        input_shape: Shape of one row, such as (28, 28, 1).
        input_dtype: `uint8` or `float32`.
        class_names: Names of the classes; empty for regression.
        outputs: Numbers per row of a regression; 1 for classes.
        scaling: Of the inputs.
        target_scaling: Of regression targets, for the loss alone.
        feature_names: Names of the inputs, where they have any.
        targets: Names of the numbers of a regression, where there are several with names.
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
        """Whether rows belong to classes, rather than to numbers."""
        return bool(self.class_names)
