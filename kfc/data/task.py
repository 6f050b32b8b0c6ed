"""The task of a network: the form of a row and the kind of its target."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from kfc.preprocessing import (
    InputScaling,
    NumberBins,
    NumericScaling,
    TableEncoding,
    TargetScaling,
    encoding_from_config,
)
from kfc.spec import ColumnSpec, CsvSpec


@dataclass(frozen=True)
class TableTask:
    """The columns that a network takes, and their encoding as numbers.

    Args:
        columns: Type of each column that is an input.
        target: Name of the target's column; empty for several targets beside the table.
        csv: Form of the CSV files of the training.
        unknown: Treatment of unknown categories, `slot` or `refuse`.
        encoding: Encoding that was fitted on the training rows.
        category_scaling: Scaling of flags and one-hot inputs; None where they have none.
    """

    columns: Mapping[str, ColumnSpec]
    target: str
    csv: CsvSpec
    unknown: str
    encoding: TableEncoding
    category_scaling: NumericScaling | None = None

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> TableTask:
        """Returns the task of a table whose `get_config` is given."""
        columns = {
            name: ColumnSpec.model_validate(column)
            for name, column in config["columns"].items()
        }
        scaling = config.get("category_scaling")
        return cls(
            columns,
            str(config["target"]),
            CsvSpec.model_validate(config["csv"]),
            str(config["unknown"]),
            encoding_from_config(config["encoding"]),
            NumericScaling.from_config(scaling) if scaling else None,
        )

    def get_config(self) -> dict[str, Any]:
        """Returns plain values, for JSON."""
        columns = {name: column.model_dump() for name, column in self.columns.items()}
        return {
            "columns": columns,
            "target": self.target,
            "csv": self.csv.model_dump(mode="json"),
            "unknown": self.unknown,
            "encoding": self.encoding.get_config(),
            **(
                {"category_scaling": self.category_scaling.get_config()}
                if self.category_scaling
                else {}
            ),
        }


@dataclass(frozen=True)
class Intervals:
    """Intervals around the predictions of a regression, [value - h, value + h].

    Args:
        coverage: Share of rows whose target they shall hold, in (0, 1), for each output.
        half_widths: Half of the width of the intervals of each output, (outputs,), in the
            target's own units.
    """

    coverage: float
    half_widths: tuple[float, ...]


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
        table: Columns of a table and their encoding; None where inputs are arrays. The
            scaling is then that of its numbers, the first features of an encoded row.
        temperature: Number by which the finished network divides its logits; None without
            `training.calibrate`, and before it is fitted.
        limits: Smallest and largest predictions of a regression, (outputs,) each; None
            without `data.clip_predictions`, and before the end of the training.
        intervals: Intervals around predictions; None without `training.interval_coverage`,
            and before they are fitted.
        number_bins: Bins of the scaled numbers, where the network embeds them by bins.
    """

    input_shape: tuple[int, ...]
    input_dtype: str
    class_names: tuple[str, ...]
    outputs: int = 1
    scaling: InputScaling = field(default_factory=NumericScaling)
    target_scaling: TargetScaling = field(default_factory=TargetScaling)
    feature_names: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    table: TableTask | None = None
    temperature: float | None = None
    limits: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    intervals: Intervals | None = None
    number_bins: NumberBins | None = None

    @property
    def encoding(self) -> TableEncoding | None:
        """The encoding of a table; None where inputs are arrays."""
        return None if self.table is None else self.table.encoding

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
    def core(self) -> Task:
        """The task of the network of a table alone, whose rows are arrays: the encoded ones.

        Its scaling is still that of the first features of a row.
        """
        return replace(self, table=None)

    @property
    def classification(self) -> bool:
        """Whether targets are classes; otherwise they are numbers."""
        return bool(self.class_names)
