"""Proposes the types of columns of texts, or says which cell the user must decide about."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kfc.data.tables.cell_texts import (
    ZEROS,
    Distinct,
    distinct_values,
    has_leading_zeros,
    longest,
    looks_numeric,
    marker_mask,
    matches,
    number_mask,
    numbers_of,
    only_digits,
    other_mark_mask,
    truths_of,
    whole_numbers,
)
from kfc.data.tables.date_texts import OTHER_DATE, day_and_month, forms, read_dates
from kfc.data.tables.different_texts import different_texts
from kfc.data.tables.number_types import (
    ProposedType,
    are_days,
    day_type,
    name_type,
    number_type,
    word_type,
)
from kfc.data.tables.raw_table import RawTable
from kfc.data.tables.typed_columns import (
    EXACT,
    bad_cell,
    decimal_mark,
    declare,
    missing_remedy,
    number_cell_remedy,
    spread,
)
from kfc.errors import Finding

_FIRST = 1000  # different texts that are looked at for dates in words
_EXACT_DIGITS = 16  # of 2^53


def text_type(raw: RawTable, name: str, values: pa.ChunkedArray) -> ProposedType | Finding:
    """Finds the type of a column of texts, lines 2 to 6 of the rule."""
    missing = values.null_count
    if (numbers := whole_numbers(values, decimal_mark(raw))) is not None:
        codes = _codes(values, numbers)
        if not codes:
            result = number_type(name, numbers)
            if are_days(numbers) and pc.max(pc.binary_length(values)).as_py() == 8:
                return day_type(values, result.distinct)
            return result
        return word_type(distinct_values(values), codes)
    if (ignored := _name_type(values)) is not None:
        return ignored
    found = distinct_values(values)
    if len(found.values) == 1 and not missing:
        return ProposedType("ignore", "the same in every row", 1)
    if (truths := truths_of(found.values)) is not None:
        pair = " and ".join(text.strip() for text in found.values.to_pylist()[:2])
        truth = spread(pa.array(truths, pa.bool_()), found)
        return ProposedType("boolean", f"only {pair}", len(found.values), values=truth)
    markers = marker_mask(found.values)
    if markers.all():
        return ProposedType("ignore", "only marks of missing values", len(found.values))
    return _by_most_cells(raw, name, found, markers) or word_type(found, "text")


def _by_most_cells(
    raw: RawTable, name: str, found: Distinct, markers: np.ndarray
) -> ProposedType | Finding | None:
    """Judges texts of which most begin like numbers, or are dates in words; else None."""
    plain = looks_numeric(found.values) & ~markers
    other = _other_dates(found.values) & ~markers
    if not (plain.any() or other.any()):
        return None
    counts = found.counts
    half = max(counts[~markers].sum(), 1) / 2
    if counts[plain].sum() >= half:
        judged = _numeric_texts(raw, name, found, counts, markers)
        if judged is not None:
            return judged
    if counts[other].sum() >= half:
        return _unread_date(raw, name, found, other)
    return None


def _other_dates(texts: pa.Array) -> np.ndarray:
    return matches(pc.utf8_trim_whitespace(texts), OTHER_DATE)


def _name_type(values: pa.ChunkedArray) -> ProposedType | None:
    """Returns the type of an id, a name or free text that nothing else can be, or None."""
    texts = different_texts(values)
    if texts is None or marker_mask(texts[:1])[0] or looks_numeric(texts).any():
        return None
    if _other_dates(texts[:_FIRST]).any():
        return None
    return name_type(texts, len(values) - values.null_count)


def _codes(values: pa.ChunkedArray, numbers: pa.ChunkedArray) -> str:
    """Returns the reason why numbers are codes, or an empty text."""
    if has_leading_zeros(values):
        return "leading zeros: a code, not a number"
    if longest(values) < _EXACT_DIGITS:
        return ""
    large = pc.greater_equal(pc.abs(numbers), EXACT)  # 2^53 + 1 reads as 2^53
    if pc.any(large).as_py() and only_digits(values.filter(large)):
        return "integers beyond 2^53: codes, not numbers"
    return ""


def _numeric_texts(
    raw: RawTable, name: str, found: Distinct, counts: np.ndarray, markers: np.ndarray
) -> ProposedType | Finding | None:
    """Judges texts that begin like numbers, lines 3 to 5; None where they are only text."""
    texts, total = found.values, int(counts[~markers].sum())
    numbers = number_mask(texts, decimal_mark(raw))
    if 2 * counts[numbers].sum() >= total:
        if matches(texts, ZEROS).any():  # 007 and K7: codes
            return word_type(found, "leading zeros: a code, not a number")
        if numbers.all():  # with blanks around them
            values = spread(pa.array(numbers_of(texts, decimal_mark(raw))), found)
            return number_type(name, values)
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


def _odd_cell(
    raw: RawTable, name: str, found: Distinct, odd: np.ndarray, markers: np.ndarray
) -> Finding:
    """Returns the finding for a column of numbers in which some cells are none."""
    cells = found.values.filter(pa.array(odd)).to_pylist()
    if (odd & ~markers).any():
        row = found.first_row(odd & ~markers)
        cell = found.values[int(found.rows[row])].as_py()
        marks = found.values.filter(pa.array(odd & markers)).to_pylist()
        remedy = number_cell_remedy(raw, name, cell, marks)
    else:
        row = found.first_row(odd)
        remedy = f"{missing_remedy(raw, cells)} Else use {declare(name, 'category')}."
    return bad_cell(raw, name, row, "a number, as in the other rows", remedy)


def _odd_date(
    raw: RawTable, name: str, found: Distinct, form: str, odd: np.ndarray, markers: np.ndarray
) -> Finding:
    """Returns the finding for a column of dates in which some cells have another form."""
    shown = form.replace("%?", "%d", 1).replace("%?", "%m")
    expected = f"a date in the form of the other rows ({shown})"
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
        remedy = f"Remove such signs, or use {declare(name, 'category')}."
    expected = f"numbers with the decimal mark {decimal_mark(raw)!r} and no other sign"
    return bad_cell(raw, name, row, expected, remedy)


def _unread_date(raw: RawTable, name: str, found: Distinct, dates: np.ndarray) -> Finding:
    """Returns the finding for a column of dates in a form that is not read."""
    expected = "dates with digits only, a year of four and hours up to 23"
    remedy = (
        "Write them as 2020-01-31 or 31/01/2020, or use "
        f"{declare(name, 'category')} or {declare(name, 'ignore')}."
    )
    return bad_cell(raw, name, found.first_row(dates), expected, remedy)


def _date(raw: RawTable, name: str, found: Distinct, form: str) -> ProposedType | Finding:
    """Reads a column of dates of one form; the order of day and month may be open."""
    chosen = None if form.startswith("ISO") else form
    if "%?" in form:
        orders = day_and_month(found.values, form)
        if len(orders) != 1:
            got = "dates that fit both" if orders else "dates of both forms"
            said = declare(name, f'{{type: date, format: "{form.replace("%?", "%d", 1)}"}}')
            return Finding(
                f"{raw.name}, column {name!r}",
                "dates whose day and month can be distinguished",
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
    return ProposedType("date", why, len(found.values), chosen, spread(dates, found))
