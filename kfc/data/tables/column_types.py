"""Finds the types of the columns of a table.

The rule looks at all rows, and the first line that fits decides. A type that the spec says
always wins. Blanks around a number, a boolean or a date do not matter.

1. A column without a value, or with one value in every row, is ignored.
2. Booleans: only true and false, yes and no, T and F, or Y and N, in any case. 0 and 1 are
   numbers.
3. Numbers: decimal numbers with the table's decimal mark, optionally with an exponent; no
   marks of thousands, no hexadecimal, infinite or NaN text. Of these columns
   a. integers with a leading zero (007) or beyond 2^53 are codes: they go on as text (6);
   b. eight digits that are days from 1900 to 2100 in every row are dates, `%Y%m%d`;
   c. integers that differ in every row are an id, and ignored, if they grow by 1 from row to
      row (at least 10 rows), are consecutive in another order (more than 50 rows), or if the
      column is named as one (id, *_id, number, index, key, ...).
4. Dates: ISO 8601, or one of dd/mm/yyyy, mm/dd/yyyy, yyyy/mm/dd, also with `.` or `-`, and
   with a time. A part above 12 tells the day from the month; where no row has one, the
   column is refused and the spec must say the format.
5. A column of which at least half of the values, markers of missing values such as NA not
   counted, are numbers or dates of one form, but not all, is refused: a cell may be wrong, or
   the marker unnamed. So is one whose numbers have another decimal mark or thousands.
6. Text: ignored as free text if more than half of the values differ and have more than three
   words on average; ignored as an id or a name if all values differ (at least 20) or nine of
   ten do (more than 50); else a category.

Columns that have a type already, as in Parquet and frames: booleans, numbers (also decimals,
by 3b and 3c) and dates keep it, text goes through 1 to 6, dictionaries (pandas' categories)
are categories by 1 and 6, and all other types are ignored.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kfc.data.tables.cell_texts import (
    Distinct,
    distinct_values,
    has_leading_zeros,
    is_text,
    looks_numeric,
    marker_mask,
    matches,
    number_mask,
    only_digits,
    other_mark_mask,
    truths_of,
    whole_numbers,
)
from kfc.data.tables.date_texts import day_and_month, forms, read_dates
from kfc.data.tables.raw_table import RawTable
from kfc.data.tables.typed_columns import (
    EXACT,
    bad_cell,
    categories,
    declare,
    keep,
    missing_remedy,
    number_cell_remedy,
    plain_numbers,
    spread,
)
from kfc.errors import DataError, Finding, nearest, one_line
from kfc.spec import ColumnSpec

_ID_NAME = re.compile(
    r"(?:^|[^A-Za-z])(?:id|ids|nr|no|number|index|idx|key|row|uuid|guid)$|^[a-z]?id$", re.I
)
_CAMEL_ID = re.compile(r"[a-z](?:Id|ID)$")
_FREE_WORDS = 3
_EXAMPLE = 30
_NESTED = {"list": "lists", "struct": "records", "binary": "bytes", "duration": "durations"}
_COMPACT = "%Y%m%d"


@dataclass(frozen=True)
class ColumnReport:
    """The type of one column and the reason for it.

    Args:
        name: Name of the column.
        column: Its type and options, as the resolved spec holds them.
        distinct: Number of different values, missing ones not counted.
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


@dataclass(frozen=True)
class _Found:
    """A proposed type; `values` is the converted column where it is at hand."""

    kind: str
    why: str
    distinct: int
    form: str | None = None
    values: pa.ChunkedArray | None = None


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
    with ThreadPoolExecutor(2) as pool:  # Arrow and NumPy release the interpreter's lock
        results = list(pool.map(lambda name: _resolve(raw, name, said.get(name)), names))
    if findings := [result for result in results if isinstance(result, Finding)]:
        raise DataError(*findings)
    return tuple(result for result in results if isinstance(result, ColumnReport))


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
        if whole_numbers(values, _decimal(raw)) is not None:
            continue
        distinct = distinct_values(values)
        markers = marker_mask(distinct.values)
        if markers.all() or not markers.any():
            continue
        others = distinct.values.filter(pa.array(~markers))
        if looks_numeric(others).all() and (
            number_mask(others, _decimal(raw)).all()
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


def _decimal(raw: RawTable) -> str:
    return str(raw.csv.get("decimal") or ".")


def _resolve(raw: RawTable, name: str, said: ColumnSpec | None) -> ColumnReport | Finding:
    """Returns the report of a column, or the reason for which the user must decide."""
    values = raw.columns[name]
    if pa.types.is_large_string(values.type) or pa.types.is_string_view(values.type):
        values = values.cast(pa.string())
    missing = values.null_count
    if pa.types.is_floating(values.type):
        missing += int(pc.sum(pc.is_nan(values)).as_py() or 0)
    if said is not None:
        return ColumnReport(
            name, said, _count(values), missing, _example(values), "named by the spec"
        )
    found = _infer(raw, name, values, missing)
    if isinstance(found, Finding):
        return found
    column = ColumnSpec(type=found.kind, format=found.form)  # type: ignore[arg-type]
    if found.values is not None:
        keep(raw, name, column, found.values)
    return ColumnReport(name, column, found.distinct, missing, _example(values), found.why)


def _count(values: pa.ChunkedArray) -> int:
    """Returns the number of different present values, 0 for a type without equality."""
    try:
        return int(pc.count_distinct(_decoded(values), mode="only_valid").as_py())
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        return 0


def _decoded(values: pa.ChunkedArray) -> pa.ChunkedArray:
    dictionary = pa.types.is_dictionary(values.type)
    return values.cast(values.type.value_type) if dictionary else values


def _example(values: pa.ChunkedArray) -> str:
    """Returns the first present value as a short text."""
    for chunk in values.chunks:
        if chunk.null_count < len(chunk):
            place = int(pc.index(chunk.is_valid(), pa.scalar(True)).as_py())
            cell = chunk[place].as_py()
            text = one_line(str(cell).lower() if isinstance(cell, bool) else str(cell))
            return text if len(text) <= _EXAMPLE else f"{text[: _EXAMPLE - 3]}..."
    return ""


def _infer(
    raw: RawTable, name: str, values: pa.ChunkedArray, missing: int
) -> _Found | Finding:
    if missing == len(values):
        return _Found("ignore", "empty", 0)
    kind = values.type
    if is_text(kind):
        return _text(raw, name, values)
    if pa.types.is_dictionary(kind):
        found = distinct_values(categories(values))
        return _words(name, found, missing, "a category of the source")
    distinct = _count(values)
    same = distinct == 1 and not missing
    if same:
        return _Found("ignore", "the same in every row", 1)
    if pa.types.is_boolean(kind):
        return _Found("boolean", "booleans of the source", distinct)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return _Found("date", "dates of the source", distinct)
    if pa.types.is_integer(kind) and _beyond_exact(values):
        found = distinct_values(categories(values))
        return _words(name, found, missing, "integers beyond 2^53: codes, not numbers")
    if (numbers := plain_numbers(values)) is not None:
        result = _number(name, numbers)
        whole = pa.types.is_integer(kind) and _days(numbers)
        return _compact_dates(values, result.distinct) if whole else result
    noun = next((noun for word, noun in _NESTED.items() if word in str(kind)), str(kind))
    return _Found("ignore", f"a column of {noun}", distinct)


def _beyond_exact(values: pa.ChunkedArray) -> bool:
    ends = pc.min_max(values).as_py()
    return bool(ends["max"] > EXACT or ends["min"] < -EXACT)


def _text(raw: RawTable, name: str, values: pa.ChunkedArray) -> _Found | Finding:
    """Finds the type of a column of texts, lines 2 to 6 of the rule."""
    missing = values.null_count
    if (numbers := whole_numbers(values, _decimal(raw))) is not None:
        codes = _codes(values, numbers)
        if not codes:
            result = _number(name, numbers)
            if _days(numbers) and pc.max(pc.binary_length(values)).as_py() == 8:
                return _compact_dates(values, result.distinct)
            return result
        return _words(name, distinct_values(values), missing, codes)
    found = distinct_values(values)
    if len(found.values) == 1 and not missing:
        return _Found("ignore", "the same in every row", 1)
    if (truths := truths_of(found.values)) is not None:
        pair = " and ".join(found.values.to_pylist()[:2])
        truth = spread(pa.array(truths, pa.bool_()), found)
        return _Found("boolean", f"only {pair}", len(found.values), values=truth)
    counts = found.counts
    markers = marker_mask(found.values)
    plain = looks_numeric(found.values) & ~markers
    if 2 * counts[plain].sum() >= max(counts[~markers].sum(), 1):
        result = _numeric_texts(raw, name, found, counts, markers)
        if result is not None:
            return result
    return _words(name, found, missing, "text")


def _codes(values: pa.ChunkedArray, numbers: pa.ChunkedArray) -> str:
    """Returns the reason why numbers are codes, or an empty text."""
    if has_leading_zeros(values):
        return "leading zeros: a code, not a number"
    large = pc.greater(pc.abs(numbers), EXACT)
    if pc.any(large).as_py() and only_digits(values.filter(large)):
        return "integers beyond 2^53: codes, not numbers"
    return ""


def _number(name: str, numbers: pa.ChunkedArray) -> _Found:
    """Finds whether numbers are an id, line 3c, or one value in every row."""
    rows = len(numbers)
    present = (numbers.drop_null() if numbers.null_count else numbers).to_numpy()
    ordered = np.sort(present)
    distinct = 1 + int(np.count_nonzero(ordered[1:] != ordered[:-1]))
    if distinct == 1 and rows == len(present):
        return _Found("ignore", "the same in every row", 1)
    whole = bool(np.all(np.isfinite(present))) and bool(np.all(present == np.floor(present)))
    if whole and distinct == rows and _is_id(name, present, ordered):
        return _Found("ignore", "an id: a different integer in every row", distinct)
    why = "integers" if whole else "numbers"
    return _Found("number", why, distinct, values=numbers)


def _is_id(name: str, values: np.ndarray, ordered: np.ndarray) -> bool:
    rows = len(values)
    if is_id_name(name):
        return True
    if rows >= 10 and bool(np.all(np.diff(values) == 1)):
        return True
    return rows > 50 and float(ordered[-1] - ordered[0]) == rows - 1


def is_id_name(name: str) -> bool:
    """Returns whether the name of a column says that it holds an id."""
    return bool(_ID_NAME.search(name) or _CAMEL_ID.search(name))


def _days(numbers: pa.ChunkedArray) -> bool:
    """Returns whether all numbers are days such as 20130131, from 1900 to 2100."""
    ends = pc.min_max(numbers).as_py()
    if not 19000101 <= ends["min"] <= ends["max"] <= 21001231:
        return False
    days = numbers.drop_null().to_numpy()
    if bool(np.any(days != np.floor(days))):
        return False
    texts = pa.array(np.unique(days).astype(np.int64)).cast(pa.string())
    return bool(read_dates(texts, _COMPACT)[1].all())


def _compact_dates(values: pa.ChunkedArray, distinct: int) -> _Found:
    same = distinct == 1 and not values.null_count
    if same:
        return _Found("ignore", "the same in every row", 1)
    return _Found("date", f"dates {_COMPACT}", distinct, _COMPACT)


def _numeric_texts(
    raw: RawTable, name: str, found: Distinct, counts: np.ndarray, markers: np.ndarray
) -> _Found | Finding | None:
    """Judges texts that begin like numbers, lines 3 to 5; None where they are only text."""
    texts, total = found.values, int(counts[~markers].sum())
    numbers = number_mask(texts, _decimal(raw))
    if 2 * counts[numbers].sum() >= total:
        if matches(texts, r"^\s*[+-]?0\d+\s*$").any():  # 007 and K7: codes
            return _words(name, found, -1, "leading zeros: a code, not a number")
        if numbers.all():  # with blanks around them
            values = spread(_read(texts, raw), found)
            return _Found(**{**_number(name, values).__dict__, "values": values})
        return _odd_cell(raw, name, found, ~numbers, markers)
    patterns = {
        form: matches(pc.utf8_trim_whitespace(texts), p) for form, p in forms().items()
    }
    dates = np.logical_or.reduce(list(patterns.values()))
    if 2 * counts[dates].sum() >= total:
        form = max(patterns, key=lambda form: int(counts[patterns[form]].sum()))
        if patterns[form].all():
            return _date(raw, name, found, form)
        return _odd_date(raw, name, found, form, ~patterns[form], markers)
    if 2 * counts[other_mark_mask(texts) | numbers].sum() >= total:
        return _other_mark(raw, name, found, ~numbers)
    return None


def _read(texts: pa.Array, raw: RawTable) -> pa.Array:
    plain = pc.replace_substring(pc.utf8_trim_whitespace(texts), _decimal(raw), ".")
    return plain.cast(pa.float64())


def _odd_cell(
    raw: RawTable, name: str, found: Distinct, odd: np.ndarray, markers: np.ndarray
) -> Finding:
    """Returns the finding for a column of numbers in which some cells are none."""
    cells = found.values.filter(pa.array(odd)).to_pylist()
    if (odd & ~markers).any():
        row = found.first_row(odd & ~markers)
        cell = found.values[int(found.rows[row])].as_py()
        remedy = number_cell_remedy(raw, name, cell)
    else:
        row = found.first_row(odd)
        remedy = f"{missing_remedy(raw, cells)} Else use {declare(name, 'category')}."
    return bad_cell(raw, name, row, "a number, as in the other rows", remedy)


def _odd_date(
    raw: RawTable, name: str, found: Distinct, form: str, odd: np.ndarray, markers: np.ndarray
) -> Finding:
    """Returns the finding for a column of dates in which some cells have another form."""
    expected = f"a date in the form of the other rows ({form.replace('%?', '%d or %m')})"
    cells = found.values.filter(pa.array(odd)).to_pylist()
    others = odd & ~markers
    row = found.first_row(others if others.any() else odd)
    remedy = f"Use one form for all, or {declare(name, 'category')}."
    if not others.any():
        remedy = f"{missing_remedy(raw, cells)} Else use {declare(name, 'category')}."
    return bad_cell(raw, name, row, expected, remedy)


def _other_mark(raw: RawTable, name: str, found: Distinct, odd: np.ndarray) -> Finding:
    """Returns the finding for numbers with another decimal mark, or with thousands."""
    row = found.first_row(odd & other_mark_mask(found.values))
    cell = found.values[int(found.rows[row])].as_py()
    remedy = number_cell_remedy(raw, name, cell)
    if "data.csv.decimal" not in remedy:
        remedy = f"Remove the marks of thousands, or use {declare(name, 'category')}."
    expected = f"numbers with the decimal mark {_decimal(raw)!r} and no mark of thousands"
    return bad_cell(raw, name, row, expected, remedy)


def _date(raw: RawTable, name: str, found: Distinct, form: str) -> _Found | Finding:
    """Reads a column of dates of one form; the order of day and month may be open."""
    chosen = None if form.startswith("ISO") else form
    if "%?" in form:
        orders = day_and_month(found.values, form)
        if len(orders) != 1:
            got = "dates that fit both" if orders else "dates of both forms"
            said = declare(name, f'{{type: date, format: "{form.replace("%?", "%d", 1)}"}}')
            return Finding(
                f"{raw.name}, column {name!r}",
                "dates whose day and month can be told apart",
                f"{got}, such as {found.values[0].as_py()!r}",
                f"Use {said.replace('%?', '%m')} or the format with %d and %m exchanged."
                if orders
                else "Write all dates in one form.",
            )
        chosen = orders[0]
    dates, good = read_dates(found.values, chosen)
    if not good.all():
        row = found.first_row(~good)
        cell = found.values[int(found.rows[row])].as_py()
        return bad_cell(raw, name, row, "a date that exists", missing_remedy(raw, [cell]))
    why = f"dates, {chosen or form}"
    return _Found("date", why, len(found.values), chosen, spread(dates, found))


def _words(name: str, found: Distinct, missing: int, why: str) -> _Found:
    """Tells categories from ids, names and free text, line 6 of the rule."""
    distinct = len(found.values)
    present = int(np.count_nonzero(found.rows >= 0))
    if distinct == 1 and present == len(found.rows):
        return _Found("ignore", "the same in every row", 1)
    if 2 * distinct > present and present > 1 and is_text(found.values.type):
        words = 1 + float(pc.mean(pc.count_substring_regex(found.values, r"\S\s+\S")).as_py())
        if words > _FREE_WORDS and present >= 20:
            return _Found("ignore", f"free text: {words:.0f} words on average", distinct)
    if (distinct == present >= 20) or (distinct > 0.9 * present and present > 50):
        return _Found("ignore", "an id or a name: different in nearly every row", distinct)
    return _Found("category", why, distinct, values=found.encoded)
