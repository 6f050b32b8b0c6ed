"""Converts the columns of a table to the types that their encoding takes."""

from __future__ import annotations

import json
import weakref
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kfc.data.tables.cell_texts import (
    Distinct,
    distinct_values,
    is_text,
    named_categories,
    number_mask,
    numbers_of,
    other_mark_mask,
    truths_of,
    whole_numbers,
    with_texts,
)
from kfc.data.tables.date_texts import format_problem, read_dates
from kfc.data.tables.plain_cells import in_microseconds, plain_cell
from kfc.data.tables.raw_table import RawTable
from kfc.errors import DataError, Finding
from kfc.spec import ColumnSpec, shown_value

EXACT = 2.0**53  # integers beyond it differ in float64 no longer
_LONGEST_MARK = 20  # characters of a text that may mean a missing value

_Key = tuple[str, str, str | None]
_kept: dict[int, dict[_Key, pa.ChunkedArray]] = {}


def typed_column(raw: RawTable, name: str, column: ColumnSpec) -> pa.ChunkedArray:
    """Converts one column of a table to its type.

    Args:
        raw: Table.
        name: Name of one of its columns.
        column: Type of the column, other than `ignore`.

    Returns:
        `number`: float64; `boolean`: bool; `date`: timestamp[us], in UTC where there was a
        time zone; `category`: dictionary of int32 and string, all chunks with one
        dictionary. A missing cell is null.

    Raises:
        DataError: A cell is not of the type, or the format of dates cannot be read.
    """
    kept = _kept.get(id(raw.columns), {}).pop((name, column.type, column.format), None)
    if kept is not None:
        return kept
    values = raw.columns[name]
    if pa.types.is_large_string(values.type) or pa.types.is_string_view(values.type):
        values = values.cast(pa.string())
    convert = {"number": _numbers, "boolean": _booleans, "date": _dates}
    if column.type == "category":
        if pa.types.is_nested(values.type):
            raise _wrong_type(raw, name, "categories", values)
        return categories(values)
    if column.type == "ignore":
        raise ValueError(f"column {name!r} is ignored")
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if pa.types.is_null(values.type):
        values = values.cast(pa.string())
    return convert[column.type](raw, name, values, column)


def keep(raw: RawTable, name: str, column: ColumnSpec, values: pa.ChunkedArray) -> None:
    """Keeps a converted column, which the next `typed_column` of the same type takes.

    A table in files keeps none: its columns may not fit into memory together.
    """
    if raw.arrow_files is not None:
        return
    table = raw.columns
    if id(table) not in _kept:
        weakref.finalize(table, _kept.pop, id(table), None)
    if values.num_chunks > 1:  # of which Arrow makes one whenever rows are taken
        values = pa.chunked_array([values.combine_chunks()], values.type)
    _kept.setdefault(id(table), {})[name, column.type, column.format] = values


def decimal_mark(raw: RawTable) -> str:
    """Returns the decimal mark of the numbers in a table of texts."""
    return str(raw.csv.get("decimal") or ".")


def bad_cell(raw: RawTable, name: str, row: int, expected: str, remedy: str) -> Finding:
    """Returns the finding about one cell: file, row, column, the cell and the remedy."""
    cell = plain_cell(raw.columns[name], row)
    evidence = {"row": row, "column": name, "cell": str(cell)}
    place = raw.place(row, name)
    return Finding(place, expected, shown_value(cell), remedy, evidence=evidence)


def missing_remedy(raw: RawTable, cells: Iterable[str]) -> str:
    """Returns the advice for cells that may stand for a missing value."""
    cells = list(cells)
    if not raw.csv:
        verb = "means" if len(cells) == 1 else "mean"
        return f"If {' and '.join(map(repr, cells))} {verb} a missing value, use None there."
    listed = [*(text for text in raw.csv.get("missing_values") or () if text), *cells]
    listed = list(dict.fromkeys(listed))
    texts = json.dumps(listed, ensure_ascii=False)
    which = "it means" if len(cells) == 1 else "they mean"
    return f"Use data.csv.missing_values: {texts} if {which} a missing value."


def declare(name: str, column: str) -> str:
    """Returns the line of a spec that gives a column its type."""
    key = name if name.isidentifier() else json.dumps(name, ensure_ascii=False)
    return f"data.columns: {{{key}: {column}}}"


def ignoring(names: Iterable[str]) -> dict[str, str]:
    """Returns the changes of a spec, by dotted path, that leave columns out.

    A name that no path can hold, such as one with a blank, has none.
    """
    return {f"data.columns.{name}": "ignore" for name in names if name.isidentifier()}


def number_cell_remedy(raw: RawTable, name: str, cell: str, marks: Iterable[str] = ()) -> str:
    """Returns the advice for one cell that is no number in a column of numbers.

    Args:
        raw: Table.
        name: Name of the column.
        cell: Text of the cell.
        marks: Marks of missing values that the column holds besides.
    """
    decimal = decimal_mark(raw)
    other = "," if decimal == "." else "."
    if raw.csv and number_mask(pa.array([cell]), other)[0]:
        return f'Use data.csv.decimal: "{other}" if it is the decimal mark, else fix the cell.'
    change = f"fix the cell, or use {declare(name, 'category')}."
    if len(cell) > _LONGEST_MARK or other_mark_mask(pa.array([cell]))[0]:
        return f"F{change[1:]}"
    return f"{missing_remedy(raw, [*marks, cell])} Else {change}"


def _refuse(
    raw: RawTable, name: str, row: int, expected: str, remedy: str | None = None
) -> DataError:
    cell = str(plain_cell(raw.columns[name], row))
    return DataError(bad_cell(raw, name, row, expected, remedy or missing_remedy(raw, [cell])))


def _numbers(
    raw: RawTable, name: str, values: pa.ChunkedArray, column: ColumnSpec
) -> pa.ChunkedArray:
    if is_text(values.type):
        decimal = decimal_mark(raw)
        if (numbers := whole_numbers(values, decimal)) is not None:
            return numbers
        found = distinct_values(values)
        good = number_mask(found.values, decimal)
        if not good.all():
            row = found.first_row(~good)
            cell = values[row].as_py()
            raise _refuse(raw, name, row, "a number", number_cell_remedy(raw, name, cell))
        return spread(pa.array(numbers_of(found.values, decimal)), found)
    numbers = plain_numbers(values)
    if numbers is None:
        raise _wrong_type(raw, name, "numbers", values)
    finite = pc.is_finite(numbers)
    if pc.all(finite).as_py() is False:
        row = pc.index(finite, pa.scalar(False)).as_py()
        raise _refuse(raw, name, row, "a finite number")
    return numbers


def plain_numbers(values: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Returns a column of numbers or booleans as float64 with null for NaN, else None."""
    kind = values.type
    if pa.types.is_boolean(kind):
        values = values.cast(pa.int8())
    elif not (
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    ):
        return None
    numbers = values.cast(pa.float64(), safe=False)
    if pa.types.is_floating(kind) and pc.any(pc.is_nan(numbers)).as_py():
        numbers = pc.if_else(pc.is_nan(numbers), pa.scalar(None, pa.float64()), numbers)
    return numbers


def _wrong_type(raw: RawTable, name: str, expected: str, values: pa.ChunkedArray) -> DataError:
    where = f"{raw.name}, column {name!r}"
    remedy = f"Use {declare(name, 'ignore')} or another type."
    return DataError(Finding(where, expected, f"values of type {values.type}", remedy))


def _booleans(
    raw: RawTable, name: str, values: pa.ChunkedArray, column: ColumnSpec
) -> pa.ChunkedArray:
    if pa.types.is_boolean(values.type):
        return values
    expected = "true or false, yes or no, T or F, Y or N, 1 or 0"
    if not is_text(values.type):
        numbers = plain_numbers(values)
        if numbers is None:
            raise _wrong_type(raw, name, "booleans", values)
        known = pc.is_in(numbers, pa.array([0.0, 1.0, None], pa.float64()))
        if pc.all(known).as_py() is False:
            raise _refuse(raw, name, pc.index(known, pa.scalar(False)).as_py(), expected)
        return numbers.cast(pa.bool_())
    found = distinct_values(values)
    truths = truths_of(found.values)
    if truths is None:
        decimal = decimal_mark(raw)
        good = number_mask(found.values, decimal)
        numbers = np.full(len(good), np.nan)
        numbers[good] = numbers_of(found.values.filter(pa.array(good)), decimal)
        good &= (numbers == 0) | (numbers == 1)
        if not good.all():
            row = found.first_row(_bad_words(found.values, good))
            raise _refuse(raw, name, row, expected)
        truths = [bool(number) for number in numbers]
    return spread(pa.array(truths, pa.bool_()), found)


def _bad_words(texts: pa.Array, zero_one: np.ndarray) -> np.ndarray:
    """Marks the texts that no pair of words explains, by the pair of the first one."""
    first = truths_of(texts.slice(0, 1))
    if first is None:
        return ~zero_one if zero_one[0] else np.arange(len(texts)) == 0
    bad = [truths_of(pa.concat_arrays([texts.slice(0, 1), texts.slice(i, 1)])) is None
           for i in range(len(texts))]  # fmt: skip
    return np.array(bad)


def _dates(
    raw: RawTable, name: str, values: pa.ChunkedArray, column: ColumnSpec
) -> pa.ChunkedArray:
    kind = values.type
    if pa.types.is_timestamp(kind):
        # The instant counts: a zone names it in UTC, and then the zone is dropped.
        if kind.tz is not None:
            values = values.cast(pa.timestamp(kind.unit, "UTC"))
            values = values.cast(pa.timestamp(kind.unit))
        return values.cast(pa.timestamp("us"), safe=False)
    if pa.types.is_date(kind):
        return values.cast(pa.timestamp("us"))
    form = column.format
    if form and (problem := format_problem(form)):
        raise DataError(
            Finding(
                f"data.columns.{name}.format",
                "a format of %Y, %m, %d, %H, %M and %S, each once, with %Y",
                f"{form!r} ({problem})",
                'An example is "%d/%m/%Y".',
            )
        )
    if not is_text(kind):
        if plain_numbers(values) is None:
            raise _wrong_type(raw, name, "dates", values)
        values = categories(values).cast(pa.string())
    found = distinct_values(values)
    dates, good = read_dates(found.values, form)
    if good.all():
        return spread(dates, found)
    row = found.first_row(~good)
    expected = (
        f"a date that exists, in the format {form!r}" if form else "an ISO date that exists"
    )
    remedy = missing_remedy(raw, [values[row].as_py()])
    if not form:
        example = declare(name, '{type: date, format: "%d/%m/%Y"}')
        remedy += f" For another form use {example}."
    raise _refuse(raw, name, row, expected, remedy)


def spread(values: pa.Array, found: Distinct) -> pa.ChunkedArray:
    """Returns the column that has `values` where it had the different values."""
    rows = pa.array(found.rows, mask=found.rows < 0)
    return pa.chunked_array([values.take(rows)], values.type)


def categories(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Converts a column to categories, each named by one text.

    Integers and floats without a fraction are `1`, other floats their shortest text,
    booleans `true` and `false`, dates ISO 8601. Text stays as it is, but `1.0` is `1`, and
    `True` and `TRUE` are `true`, see `kfc.preprocessing.one_text`.

    Args:
        values: Column of any type with one text for each value.
    """
    found = distinct_values(values)
    if found.encoded.num_chunks and found.values.type == pa.string():
        return named_categories(found)
    texts = pa.array([_text_of(value) for value in _plain(found.values)], pa.string())
    return with_texts(found, texts)


def _plain(values: pa.Array) -> list[Any]:
    """Returns the values as objects, floats of less than 64 bits as NumPy's."""
    if pa.types.is_floating(values.type) and values.type != pa.float64():
        return list(values.to_numpy(zero_copy_only=False))
    if pa.types.is_timestamp(values.type):
        if values.type.tz is not None:
            values = values.cast(pa.timestamp(values.type.unit, "UTC"))
        return [_moment(text) for text in np.datetime_as_string(values.to_numpy(False))]
    try:
        return list(values.to_pylist())
    except ValueError:
        return list(in_microseconds(values).to_pylist())


def _moment(text: np.str_) -> str:
    """Returns an ISO time without the zeros of its fraction."""
    seconds, _, fraction = str(text).partition(".")
    fraction = fraction.rstrip("0")
    return f"{seconds}.{fraction}" if fraction else seconds


def _text_of(value: Any) -> str | None:
    """Returns the text by which a category is compared, None for NaN."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (float, np.floating)):
        if np.isnan(value):
            return None
        whole = float(value).is_integer() and abs(float(value)) < EXACT
        return str(int(value)) if whole else str(value)
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
