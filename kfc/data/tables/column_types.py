"""Finds the types of the columns of a table.

The rule looks at all rows, and the first line that fits decides. A type that the spec says
always wins. Blanks around a number, a boolean or a date do not matter.

1. A column without a value, or with one value in every row, is ignored. One value beside
   missing cells says something, and is kept.
2. Booleans: only true and false, yes and no, T and F, or Y and N, in any case. 0 and 1 are
   numbers.
3. Numbers: decimal numbers with the table's decimal mark, optionally with an exponent; no
   marks of thousands, no hexadecimal, infinite or NaN text. Of these columns
   a. integers with a leading zero (007) or beyond 2^53 are codes: they count as text (6);
   b. eight digits that are days from 1900 to 2100 in every row are dates, `%Y%m%d`;
   c. integers that differ in every row are an id, and ignored, if they grow by 1 from row to
      row (at least 10 rows), are consecutive in another order (more than 50 rows), or if the
      column is named as one (id, *_id, number, index, key, ...).
4. Dates: ISO 8601, or one of dd/mm/yyyy, mm/dd/yyyy, yyyy/mm/dd, also with `.` or `-`, and
   with a time. A part above 12 tells the day from the month; where no row has one, the
   column is refused and the spec must say the format. So is one of dates with two digits
   for the year, names of months, or am and pm, which are not read.
5. A column of which at least half of the values, markers of missing values such as NA not
   counted, are numbers or dates of one form, but not all, is refused: a cell may be wrong, or
   the marker unnamed. So is one whose numbers have another decimal mark, marks of
   thousands, or a sign of a currency or of percent. Where a cell is an integer with a
   leading zero, all are codes instead (6). A column of markers alone is ignored.
6. Text: ignored as free text if more than half of at least 20 values differ, of over three
   words on average; ignored as an id or a name if all values differ (at least 20) or nine of
   ten do (more than 50); else a category.

Columns that have a type already, as in Parquet and frames: booleans, numbers (also decimals,
by 3b and 3c) and dates keep it, text goes through 1 to 6, dictionaries (pandas' categories)
are categories by 1 and 6, and all other types are ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kfc.data.tables.cell_texts import (
    distinct_values,
    is_text,
    looks_numeric,
    marker_mask,
    matches,
    number_mask,
    whole_numbers,
)
from kfc.data.tables.date_texts import forms
from kfc.data.tables.number_types import (
    ProposedType,
    are_days,
    day_type,
    number_type,
    number_type_of,
    word_type,
)
from kfc.data.tables.plain_cells import plain_cell
from kfc.data.tables.raw_table import RawTable
from kfc.data.tables.text_types import text_type
from kfc.data.tables.typed_columns import (
    EXACT,
    categories,
    decimal_mark,
    keep,
    plain_numbers,
)
from kfc.errors import DataError, Finding, nearest, one_line
from kfc.preprocessing import Pieces, counted_values
from kfc.spec import ColumnSpec
from kfc.system import in_threads

NAMED = "named by the spec"
"""Reason for the type of a column that the spec says."""

_EXAMPLE = 30
_PROBE = 1000  # rows that are tried before all are
_ROWS = 1 << 20  # of a long column that are converted at a time
_NESTED = {"list": "lists", "struct": "records", "binary": "bytes", "duration": "durations"}


@dataclass(frozen=True)
class ColumnReport:
    """The type of one column and the reason for it.

    Args:
        name: Name of the column.
        column: Its type and options, as the resolved spec holds them.
        distinct: Number of different values, missing ones not counted; 0 for lists and other
            values that cannot be compared.
        missing: Number of missing cells.
        example: First value, as text of at most 30 characters; empty if there is none.
        why: Reason for the type, a short phrase.
    """

    name: str
    column: ColumnSpec
    distinct: int
    missing: int
    example: str
    why: str

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> ColumnReport:
        """Returns the report whose `get_config` is given."""
        return cls(**{**config, "column": ColumnSpec.model_validate(config["column"])})

    def get_config(self) -> dict[str, Any]:
        """Returns the facts as plain values, for JSON."""
        return {**asdict(self), "column": self.column.model_dump(mode="json")}


def resolve_columns(
    raw: RawTable, said: Mapping[str, ColumnSpec], target: str
) -> tuple[ColumnReport, ...]:
    """Finds the type of each column but the target, see the rule above.

    Args:
        raw: Training table.
        said: Types that the spec names, by column; they win.
        target: Name of the column to predict.

    Returns:
        One report for each column, in the order of the table.

    Raises:
        DataError: The spec names a column that is missing or the target, or columns need a
            decision of the user; there is one finding for each.
    """
    names = [name for name in raw.columns.column_names if name != target]
    if target in said:
        raise DataError(
            Finding(
                f"data.columns.{target}",
                "an input column",
                "the target",
                "Remove it: the task decides how the target is read.",
            )
        )
    if unknown := [name for name in said if name not in names]:
        raise DataError(*(_unknown_column(raw, name, names) for name in unknown))
    results = _results(raw, said, names)
    if findings := [result for result in results if isinstance(result, Finding)]:
        raise DataError(*findings)
    return tuple(result for result in results if isinstance(result, ColumnReport))


def target_report(raw: RawTable, target: str) -> ColumnReport:
    """Finds the type that the target's column would have as an input.

    Args:
        raw: Training table.
        target: Name of the column to predict.

    Raises:
        DataError: If the column needs a decision of the user.
    """
    alone = replace(raw, columns=raw.columns.select([target]))
    (report,) = resolve_columns(alone, {}, "")
    return report


def find_missing_markers(raw: RawTable) -> tuple[str, ...]:
    """Finds the usual markers of missing values in columns of numbers or dates.

    Args:
        raw: Table of texts.

    Returns:
        The markers, such as `NA`, of columns whose other values are all numbers or all dates
        of one form; in the order of the table.
    """
    found: dict[str, None] = {}
    for name in raw.columns.column_names:
        values = raw.columns[name]
        if not is_text(values.type):
            continue
        values = values.cast(pa.string())
        if whole_numbers(values, decimal_mark(raw)) is not None:
            continue
        distinct = distinct_values(values)
        markers = marker_mask(distinct.values)
        if markers.all() or not markers.any():
            continue
        others = distinct.values.filter(pa.array(~markers))
        if looks_numeric(others).all() and (
            number_mask(others, decimal_mark(raw)).all()
            or any(matches(pc.utf8_trim_whitespace(others), p).all() for p in forms().values())
        ):
            found.update(dict.fromkeys(distinct.values.filter(pa.array(markers)).to_pylist()))
    return tuple(found)


def _unknown_column(raw: RawTable, name: str, names: list[str]) -> Finding:
    return Finding(
        f"data.columns.{name}",
        f"a column of {raw.name}",
        f"the unknown name {name!r}",
        nearest(name, names) + f"The columns are {', '.join(names[:20])}.",
    )


def _results(
    raw: RawTable, said: Mapping[str, ColumnSpec], names: list[str]
) -> list[ColumnReport | Finding]:
    """Returns the report of each column, or the reason for which the user must decide."""
    files = raw.arrow_files
    if files is None:
        return in_threads(lambda name: _resolve(raw, name, said.get(name)), names)

    def plain(name: str) -> dict[str, Any]:
        result = _resolve(raw, name, said.get(name))
        files.release()
        if isinstance(result, Finding):
            return {"finding": asdict(result)}
        return {"report": result.get_config()}

    about = {name: column.model_dump_json() for name, column in said.items()}
    return [
        ColumnReport.from_config(found["report"])
        if "report" in found
        else Finding(**found["finding"])
        for found in files.results("type", plain, names, about)
    ]


def _resolve(raw: RawTable, name: str, said: ColumnSpec | None) -> ColumnReport | Finding:
    """Returns the report of a column, or the reason for which the user must decide."""
    values = raw.columns[name]
    if pa.types.is_large_string(values.type) or pa.types.is_string_view(values.type):
        values = values.cast(pa.string())
    missing = values.null_count
    if pa.types.is_floating(values.type):
        missing += int(pc.sum(pc.is_nan(values)).as_py() or 0)
    if said is not None:
        return ColumnReport(name, said, _count(values), missing, _example(values), NAMED)
    found = _infer(raw, name, values, missing)
    if isinstance(found, Finding):
        return found
    column = ColumnSpec(type=found.kind, format=found.form)
    if found.values is not None:
        keep(raw, name, column, found.values)
    return ColumnReport(name, column, found.distinct, missing, _example(values), found.why)


def _count(values: pa.ChunkedArray) -> int:
    """Returns the number of different present values, 0 for a type without equality."""
    kind = values.type
    if pa.types.is_timestamp(kind) or pa.types.is_date64(kind):
        return _count(values.cast(pa.int64()))
    if pa.types.is_date32(kind):
        return _count(values.cast(pa.int32()))
    if pa.types.is_integer(kind) or pa.types.is_float32(kind) or pa.types.is_float64(kind):
        # Sorting takes less time and memory than a hash of each value does.
        nan = pa.types.is_floating(kind) and bool(pc.any(pc.is_nan(values)).as_py())
        return nan + sum(len(found) for found, _ in counted_values(_pieces(values)))
    try:
        return int(pc.count_distinct(_decoded(values), mode="only_valid").as_py())
    except pa.ArrowNotImplementedError:
        return 0


def _pieces(
    values: pa.ChunkedArray,
    convert: Callable[[pa.ChunkedArray], pa.ChunkedArray] = lambda part: part,
) -> Pieces:
    """Returns a reader of the present numbers of a column, a few converted at a time."""

    def read() -> Iterator[np.ndarray]:
        for first in range(0, len(values), _ROWS):
            part = convert(values.slice(first, _ROWS)).drop_null().to_numpy()
            yield part[~np.isnan(part)] if part.dtype.kind == "f" else part

    return read


def _decoded(values: pa.ChunkedArray) -> pa.ChunkedArray:
    dictionary = pa.types.is_dictionary(values.type)
    return values.cast(values.type.value_type) if dictionary else values


def _example(values: pa.ChunkedArray) -> str:
    """Returns the first present value as a short text."""
    for chunk in values.chunks:
        if chunk.null_count < len(chunk):
            place = int(pc.index(chunk.is_valid(), pa.scalar(True)).as_py())
            cell = plain_cell(chunk, place)
            text = one_line(str(cell).lower() if isinstance(cell, bool) else str(cell))
            return text if len(text) <= _EXAMPLE else f"{text[: _EXAMPLE - 3]}..."
    return ""


def _infer(
    raw: RawTable, name: str, values: pa.ChunkedArray, missing: int
) -> ProposedType | Finding:
    if missing == len(values):
        return ProposedType("ignore", "empty", 0)
    kind = values.type
    if is_text(kind):
        return text_type(raw, name, values)
    if pa.types.is_dictionary(kind):
        found = distinct_values(categories(values))
        return word_type(found, "a category of the source")
    number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    distinct = 0 if number else _count(values)  # of numbers it is found below
    same = distinct == 1 and not missing
    if same:
        return ProposedType("ignore", "the same in every row", 1)
    if pa.types.is_boolean(kind):
        return ProposedType("boolean", "booleans of the source", distinct)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return ProposedType("date", "dates of the source", distinct)
    if pa.types.is_integer(kind) and _beyond_exact(values):
        found = distinct_values(categories(values))
        return word_type(found, "integers beyond 2^53: codes, not numbers")
    if number or pa.types.is_decimal(kind):
        return _numeric(raw, name, values)
    noun = next((noun for word, noun in _NESTED.items() if word in str(kind)), str(kind))
    return ProposedType("ignore", f"a column of {noun}", distinct)


def _numeric(raw: RawTable, name: str, values: pa.ChunkedArray) -> ProposedType:
    """Returns the type of a column of numbers that its origin knows as such."""
    if raw.arrow_files is None:
        numbers = _as_numbers(values)
        result = number_type(name, numbers)
    else:  # a column may not fit into memory as float64
        decimal = pa.types.is_decimal(values.type)
        pieces = _pieces(values, _as_numbers) if decimal else _pieces(values)
        result = number_type_of(name, pieces, len(values))
    days = pa.types.is_integer(values.type) and all(
        are_days(_as_numbers(part)) for part in (values.slice(0, _PROBE), values)
    )
    return day_type(values, result.distinct) if days else result


def _as_numbers(values: pa.ChunkedArray) -> pa.ChunkedArray:
    numbers = plain_numbers(values)
    if numbers is None:
        raise TypeError(f"{values.type}: no type of numbers")
    return numbers


def _beyond_exact(values: pa.ChunkedArray) -> bool:
    ends = pc.min_max(values).as_py()
    return bool(ends["max"] > EXACT or ends["min"] < -EXACT)
