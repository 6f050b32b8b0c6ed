"""Encoding of a column of dates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kfc.errors import DataError, Finding
from kfc.preprocessing.column_encoding import (
    Block,
    Column,
    ColumnEncoding,
    Place,
    flag_block,
    missing_rows,
    moved,
    parts_of,
    row_place,
    text_input,
)
from kfc.preprocessing.date_text import MICROSECONDS, DateParts, DateText
from kfc.preprocessing.merged_statistics import exact_mean

if TYPE_CHECKING:
    import keras

_PARTS = ("days", "year", "month", "day of week", "hour")
_FIRST_YEAR, _LAST_YEAR = 1, 9999  # of which the text has four digits


@dataclass(frozen=True)
class DateColumn(ColumnEncoding):
    """Encodes dates as days, year, month, day of week and hour, less their training means.

    The hour is left out if all dates of the training rows are midnight. A missing date is 0
    in all; a flag follows where the training rows had gaps.

    Args:
        name: Name of the column.
        gaps: Whether the training rows had missing values.
        centers: Mean of each part in the training rows, of four or, with the hour, of five.
        format: Form of the text with %Y, %m, %d, %H, %M and %S, or None for ISO 8601.
    """

    centers: tuple[float, ...]
    format: str | None

    @classmethod
    def fit(
        cls,
        name: str,
        values: Column,
        form: str | None = None,
        place: Place | None = None,
    ) -> Self:
        """Learns the means from training rows.

        Args:
            name: Name of the column.
            values: The column, timestamps of microseconds, with null for a missing date; in
                parts where it does not fit into memory, as for numbers.
            form: Format of the dates' text, or None for ISO 8601.
            place: Function that names a cell in an error.

        Raises:
            SpecError: If the format has other parts than those above, or no year.
            DataError: If a date is not in the years 1 to 9999.
        """
        DateText.of(form, f"data.columns.{name}.format")
        parts = parts_of(values)
        gaps = any(part.null_count for part in parts)
        found = _Dates(name, parts, place or row_place)
        hours = any((days != np.floor(days)).any() for days in found.present(0))
        count = len(_PARTS) if hours else len(_PARTS) - 1
        return cls(name, gaps, tuple(found.mean(number) for number in range(count)), form)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Returns the encoding whose `get_config` is given."""
        return cls(**{**config, "centers": tuple(config["centers"])})

    def get_config(self) -> dict[str, Any]:
        """Returns the learned values as plain ones, for JSON."""
        return {
            "name": self.name,
            "gaps": self.gaps,
            "centers": list(self.centers),
            "format": self.format,
        }

    @property
    def number_names(self) -> tuple[str, ...]:
        """Names of the parts."""
        return tuple(f"{self.name} {part}" for part in _PARTS[: len(self.centers)])

    def write(
        self, values: pa.ChunkedArray, features: Sequence[np.ndarray], place: Place
    ) -> None:
        """Writes the parts less their means, and the flag if there is one.

        Raises:
            DataError: If a date is not in the years 1 to 9999.
        """
        missing = missing_rows(values)
        parts = _date_parts(self.name, values, place)
        for feature, part, center in zip(features, parts, self.centers, strict=False):
            part -= center
            part[missing] = 0
            feature[:] = part
        if self.gaps:
            features[len(self.centers)][:] = missing

    # --- in a graph ----------------------------------------------------------------------

    @property
    def input_dtype(self) -> str:
        """Type of the raw column: text in the column's format, empty for a missing date."""
        return "string"

    def raw_input(self, values: pa.ChunkedArray, place: Place) -> Any:
        """Returns the dates, (rows,), as text in the column's format.

        Raises:
            DataError: If a date is not in the years 1 to 9999.
        """
        _date_parts(self.name, values, place)
        if self.format is not None:
            # The seconds of microseconds have a fraction.
            seconds = pc.floor_temporal(values, unit="second").cast(pa.timestamp("s"))
            return text_input(pc.strftime(seconds, self.format))
        times = values.fill_null(0).cast(pa.int64()).to_numpy() % MICROSECONDS
        has_time = bool(times.any())
        return text_input(pc.strftime(values, "%Y-%m-%dT%H:%M:%S" if has_time else "%Y-%m-%d"))

    @classmethod
    def graph(
        cls, columns: Sequence[Self], inputs: Sequence[keras.KerasTensor]
    ) -> list[Block]:
        """Returns the parts and the flags of several columns from their raw inputs.

        A text that is no date, nor empty, gives NaN.
        """
        by_format: dict[str | None, list[int]] = {}
        for i, column in enumerate(columns):
            by_format.setdefault(column.format, []).append(i)
        blocks = []
        for form, chosen in by_format.items():
            group = [columns[i] for i in chosen]
            text = DateText.of(form, f"data.columns.{group[0].name}.format")
            blocks += _blocks(group, text.read([inputs[i] for i in chosen]))
        return blocks


def _blocks(columns: Sequence[DateColumn], parts: DateParts) -> list[Block]:
    import keras

    ops = keras.ops
    blocks = []
    for i, numbers in enumerate(parts.numbers):
        chosen = [k for k, column in enumerate(columns) if i < len(column.centers)]
        if not chosen:
            continue
        centers = np.zeros(len(columns))
        centers[chosen] = [columns[k].centers[i] for k in chosen]
        values = ops.cast(numbers - centers, "float32")
        values = ops.where(parts.valid, values, np.float32("nan"))
        values = ops.where(parts.missing, np.float32(0), values)
        if len(chosen) < len(columns):
            values = ops.take(values, np.array(chosen), axis=1)
        blocks.append(Block([(columns[k].name, i) for k in chosen], values))
    return [*blocks, *flag_block(columns, parts.missing)]


@dataclass(frozen=True)
class _Dates:
    """The dates of a column in parts.

    Args:
        name: Name of the column.
        parts: Timestamps of microseconds.
        place: Function that names a cell in an error.
    """

    name: str
    parts: Sequence[pa.ChunkedArray]
    place: Place

    def present(self, number: int) -> Iterator[np.ndarray]:
        """Yields one part of the dates that are not missing, such as the year."""
        first = 0
        for values in self.parts:
            found = self._read(values, first)[number]
            yield found[~missing_rows(values)] if values.null_count else found
            first += len(values)

    def _read(self, values: pa.ChunkedArray, first: int) -> list[np.ndarray]:
        if len(self.parts) > 1:
            return _date_parts(self.name, values, moved(self.place, first))
        return self._complete

    @cached_property
    def _complete(self) -> list[np.ndarray]:
        return _date_parts(self.name, self.parts[0], self.place)

    def mean(self, number: int) -> float:
        """Returns the mean of one part of the dates; 0 of none."""
        if len(self.parts) == 1:
            (found,) = self.present(number)
            return float(found.mean()) if len(found) else 0.0
        return exact_mean(self.present(number))


def _date_parts(name: str, values: pa.ChunkedArray, place: Place) -> list[np.ndarray]:
    """Returns the parts of dates, each (rows,), float64; those of 1970 for a missing one."""
    times = values.fill_null(0).cast(pa.int64()).to_numpy()
    day = times // MICROSECONDS
    time = times - day * MICROSECONDS
    first, last = (int(day.min()), int(day.max())) if len(day) else (0, 0)
    # The calendar of each day once, where fewer days than rows are between the ends.
    listed = last - first < len(day)
    days = np.arange(first, last + 1) if listed else day
    place_of = day - first if listed else slice(None)
    dates = days.astype("M8[D]")
    year = dates.astype("M8[Y]").astype(np.int64) + 1970
    wrong = (year < _FIRST_YEAR) | (year > _LAST_YEAR)
    if wrong.any() and (wrong := wrong[place_of]).any():
        row = int(wrong.argmax())
        raise DataError(
            Finding(
                place(row, name),
                f"a date in the years {_FIRST_YEAR} to {_LAST_YEAR}",
                f"the year {year[place_of][row]}",
                "Correct the cell.",
                evidence={"row": row, "column": name},
            )
        )
    month = dates.astype("M8[M]").astype(np.int64) % 12 + 1
    calendar = (part.astype(np.float64)[place_of] for part in (year, month, (days + 3) % 7))
    moment, hour = day.astype(np.float64), np.zeros(len(day))
    if time.any():  # a slow division
        moment += time.astype(np.float64) / MICROSECONDS
        hour += time // (MICROSECONDS // 24)
    return [moment, *calendar, hour]
