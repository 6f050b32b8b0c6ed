"""Encoding of a column of numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa

from kfc.errors import DataError, Finding
from kfc.preprocessing.column_encoding import (
    Block,
    Column,
    ColumnEncoding,
    Place,
    flag_block,
    moved,
    parts_of,
    row_place,
)
from kfc.preprocessing.merged_statistics import exact_mean, median

if TYPE_CHECKING:
    import keras

_SAFE = 1e38


@dataclass(frozen=True)
class NumberColumn(ColumnEncoding):
    """Encodes numbers as their distance from a center; a missing one is 0.

    The distance is computed in float64, so that 1.6e9 and 1.6e9 + 1 stay different in
    float32. Where the training rows had gaps, a flag follows.

    Args:
        name: Name of the column.
        gaps: Whether the training rows had missing values.
        center: Mean or median of the training rows, which also replaces a missing number.
        refuse: Whether a missing number is an error.
    """

    center: float
    refuse: bool = False

    @classmethod
    def fit(cls, name: str, values: Column, missing: str, place: Place | None = None) -> Self:
        """Learns the center from training rows.

        Args:
            name: Name of the column.
            values: The column, float64, with null or NaN for a missing number; in parts where
                it does not fit into memory. Then a mean is rounded once, and may differ by
                rounding from that of the complete column; a median has the same bits.
            missing: `mean`, `median`, `auto` (the median) or `refuse`.
            place: Function that names a cell in an error.

        Raises:
            DataError: If a number is missing and `missing` is `refuse`, or if one is infinite
                or too large.
        """
        parts, place = parts_of(values), place or row_place
        rows = count = 0
        low, high = np.inf, -np.inf
        for present, size in _present(parts):
            rows, count = rows + size, count + len(present)
            if len(present):
                low, high = min(low, present.min()), max(high, present.max())
        # Half of float32's range, so that the distance from a center is in it as well.
        safe = bool(count) and low > -_SAFE and high < _SAFE
        if not safe:
            cls(name, False, 0.0)._check_all(parts, place)  # so that the center is finite
        center = 0.0
        if count:
            by_mean = missing in ("mean", "refuse")
            center = _mean(parts) if by_mean else _median(parts)
        refuse = missing == "refuse"
        column = cls(name, count < rows and not refuse, center, refuse)
        if refuse or not safe:
            column._check_all(parts, place)
        return column

    def get_config(self) -> dict[str, Any]:
        """Returns the learned values as plain ones, for JSON."""
        return {
            "name": self.name,
            "gaps": self.gaps,
            "center": self.center,
            "refuse": self.refuse,
        }

    @property
    def number_names(self) -> tuple[str, ...]:
        """Name of the number."""
        return (self.name,)

    def write(
        self, values: pa.ChunkedArray, features: Sequence[np.ndarray], place: Place
    ) -> None:
        """Writes the distance from the center, and the flag if there is one.

        Raises:
            DataError: If a number is too large for float32, or missing though `refuse`.
        """
        numbers = _float64(values)
        features[0][:] = self._checked(numbers, place)
        if self.gaps:
            features[1][:] = np.isnan(numbers)

    def _check_all(self, parts: Sequence[pa.ChunkedArray], place: Place) -> None:
        """Refuses the first number that has no encoding."""
        first = 0
        for part in parts:
            self._checked(_float64(part), moved(place, first))
            first += len(part)

    def _checked(self, numbers: np.ndarray, place: Place) -> np.ndarray:
        missing = np.isnan(numbers)
        if self.refuse and missing.any():
            raise self._error(
                int(missing.argmax()),
                place,
                "a number, since data.missing is refuse",
                "a missing value",
                "Fill it, or choose data.missing: median.",
            )
        with np.errstate(over="ignore", invalid="ignore"):
            centered = (numbers - self.center).astype(np.float32)
        centered[missing] = 0.0
        finite = np.isfinite(centered)
        if not finite.all():
            row = int(finite.argmin())
            got = repr(float(numbers[row]))
            remedy = "Correct the cell, or name it in data.csv.missing_values."
            raise self._error(row, place, "a number that fits in float32", got, remedy)
        return centered

    def _error(
        self, row: int, place: Place, expected: str, got: str, remedy: str
    ) -> DataError:
        where = place(row, self.name)
        evidence = {"row": row, "column": self.name}
        return DataError(Finding(where, expected, got, remedy, evidence=evidence))

    # --- in a graph ----------------------------------------------------------------------

    @property
    def input_dtype(self) -> str:
        """Type of the raw column: NaN is a missing number."""
        return "float64"

    def raw_input(self, values: pa.ChunkedArray, place: Place) -> np.ndarray:
        """Returns the numbers, (rows,), float64, with NaN for a missing one."""
        return _float64(values)

    @classmethod
    def graph(
        cls, columns: Sequence[Self], inputs: Sequence[keras.KerasTensor]
    ) -> list[Block]:
        """Returns the numbers and the flags of several columns from their raw inputs.

        A number that is too large, or missing though `refuse`, gives NaN.
        """
        import keras

        ops = keras.ops
        # Arithmetic on symbolic tensors stays float64; that of Keras's scaling layers does
        # not, after saving at the latest.
        raw = ops.stack(list(inputs), axis=1)
        missing = ops.isnan(raw)
        centered = ops.cast(raw - np.array([column.center for column in columns]), "float32")
        centered = ops.where(ops.isinf(centered), np.float32("nan"), centered)
        fill = np.array([np.nan if column.refuse else 0.0 for column in columns], np.float32)
        numbers = ops.where(missing, fill, centered)
        keys = [(column.name, 0) for column in columns]
        return [Block(keys, numbers), *flag_block(columns, missing)]


def _present(parts: Sequence[pa.ChunkedArray]) -> Iterator[tuple[np.ndarray, int]]:
    """Yields the numbers of each part that are not missing, and its number of rows."""
    for part in parts:
        numbers = _float64(part)
        yield numbers[~np.isnan(numbers)], len(numbers)


def _mean(parts: Sequence[pa.ChunkedArray]) -> float:
    """Returns the mean of a column that has a number."""
    if len(parts) == 1:
        ((present, _),) = _present(parts)
        return float(present.mean())
    return exact_mean(present for present, _ in _present(parts))


def _median(parts: Sequence[pa.ChunkedArray]) -> float:
    """Returns the median of a column that has a number.

    It is four times as fast as `numpy.median`, which looks for NaN in a way that keeps NumPy
    from its fast partition.
    """
    if len(parts) > 1:
        return median(lambda: (present for present, _ in _present(parts)))
    ((numbers, _),) = _present(parts)
    middle = len(numbers) // 2
    parted = np.partition(numbers, middle)
    if len(numbers) % 2:
        return float(parted[middle])
    return float(np.mean([parted[:middle].max(), parted[middle]]))


def _float64(values: pa.ChunkedArray) -> np.ndarray:
    """Returns numbers, (rows,), float64, with NaN for null."""
    return np.asarray(values.cast(pa.float64()).to_numpy(), np.float64)
