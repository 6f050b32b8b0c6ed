"""Reads the texts of cells as numbers and booleans, whole columns at once."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kfc.preprocessing import one_text

MARKERS = (
    *("NA", "N/A", "n/a", "na", "NaN", "nan", "NULL", "Null", "null", "None", "none"),
    *("-", "--", "?", ".", "#N/A"),
)
TRUTHS = (
    {"true": True, "false": False},
    {"yes": True, "no": False},
    {"t": True, "f": False},
    {"y": True, "n": False},
)

_DIGITS = r"^\s*[+-]?\d+\s*$"
_NUMBER = r"^\s*[+-]?(?:\d+{mark}?\d*|{mark}\d+)(?:[eE][+-]?\d+)?\s*$"
# Numbers as people write them: 1,5 and 1'234.50 and $5 and 12 % and (3.00) and '7'.
_MARKED = r"(?:\d+(?:[.,]\d+)?|\d{1,3}(?:[.,' \x{a0}\x{202f}]\d{3})+(?:[.,]\d+)?)"
_OTHER_MARK = (
    rf"""^\s*(?:["'(]|=")?\s*[$€£¥]?\s*[+\-\x{{2212}}]?\s*[$€£¥]?\s*{_MARKED}\s*-?\s*"""
    r"""(?:[%$€£¥]|USD|EUR|GBP|CHF|JPY)?\s*["')]?\s*$"""
)
ZEROS = r"^\s*[+-]?0\d+\s*$"
_PROBE = 1000  # rows that are tried before all are
_WORK = 500_000  # rows of which the first bytes are looked at together


@dataclass(frozen=True)
class Distinct:
    """The different values of a column and their places.

    Args:
        values: The different values in the order of their first rows, without null.
        rows: Position of the value of each row, -1 where the cell is missing.
        encoded: The same as a column of dictionaries.
    """

    values: pa.Array
    rows: np.ndarray
    encoded: pa.ChunkedArray

    @property
    def counts(self) -> np.ndarray:
        """The number of rows of each value."""
        return np.bincount(self.rows + 1, minlength=len(self.values) + 1)[1:]

    def first_row(self, which: np.ndarray) -> int:
        """Returns the first row that holds one of the values that `which` marks."""
        return int(np.flatnonzero(np.append(which, False)[self.rows])[0])


def distinct_values(values: pa.ChunkedArray) -> Distinct:
    """Finds the different values of a column.

    Args:
        values: A column; one of dictionaries is decoded first, since its values need not be
            different, used or in the order of the rows.
    """
    if pa.types.is_dictionary(values.type):
        return _distinct_codes(values)
    encoded = values.dictionary_encode()
    if not encoded.num_chunks:
        return Distinct(pa.array([], values.type), np.zeros(0, np.int32), encoded)
    rows, start = np.empty(len(values), np.int32), 0
    for chunk in encoded.chunks:
        indices = chunk.indices.fill_null(-1) if chunk.null_count else chunk.indices
        rows[start : start + len(chunk)] = indices.to_numpy()
        start += len(chunk)
    return Distinct(encoded.chunk(0).dictionary, rows, encoded)


def _distinct_codes(values: pa.ChunkedArray) -> Distinct:
    """Returns the same for a column of dictionaries, of which a part is decoded at a time."""
    known = pa.array([], values.type.value_type)
    rows = np.empty(len(values), np.int32)
    for first in range(0, len(values), _WORK):
        part = values.slice(first, _WORK)
        encoded = part.cast(known.type).combine_chunks().dictionary_encode()
        new = pc.invert(pc.is_in(encoded.dictionary, known))
        known = pa.concat_arrays([known, encoded.dictionary.filter(new)])
        places = pc.index_in(encoded.dictionary, known).to_numpy()
        indices = encoded.indices.fill_null(len(places)).to_numpy()
        rows[first : first + len(part)] = np.append(places, -1)[indices]
    codes = pa.array(rows, mask=rows < 0)
    encoded = pa.chunked_array([pa.DictionaryArray.from_arrays(codes, known)])
    return Distinct(known, rows, encoded)


def named_categories(found: Distinct) -> pa.ChunkedArray:
    """Returns a column of texts as categories, each named by its one text.

    Args:
        found: Different texts of the column.
    """
    texts = one_text(found.values)
    return found.encoded if texts is found.values else with_texts(found, texts)


def with_texts(found: Distinct, texts: pa.Array) -> pa.ChunkedArray:
    """Returns a column as categories that are named by texts.

    Args:
        found: Different values of the column.
        texts: Text of each of these values; several may have the same.
    """
    again = texts.dictionary_encode()
    rows = pa.array(found.rows, mask=found.rows < 0)
    indices = again.indices.take(rows)
    return pa.chunked_array([pa.DictionaryArray.from_arrays(indices, again.dictionary)])


def is_text(kind: pa.DataType) -> bool:
    """Returns whether a column of this type holds text."""
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
    )


def matches(texts: pa.Array, pattern: str) -> np.ndarray:
    """Returns for each text whether the pattern is found in it."""
    found = pc.fill_null(pc.match_substring_regex(texts, pattern), False)
    return found.to_numpy(zero_copy_only=False)


def marker_mask(texts: pa.Array) -> np.ndarray:
    """Returns for each text whether people often write it for a missing value."""
    known = pc.is_in(pc.utf8_trim_whitespace(texts), pa.array([*MARKERS, ""], texts.type))
    return known.to_numpy(zero_copy_only=False)


def whole_numbers(values: pa.ChunkedArray, decimal: str) -> pa.ChunkedArray | None:
    """Reads a column of texts as numbers, if every present text is one.

    Args:
        values: Column of texts.
        decimal: Decimal mark, `.` or `,`.

    Returns:
        The numbers as float64, or None.
    """
    first = values.slice(0, _PROBE)
    if len(values) > len(first) and whole_numbers(first, decimal) is None:
        return None
    if decimal == ",":
        if pc.any(pc.match_substring(values, ".")).as_py():
            return None
        values = pc.replace_substring(values, ",", ".")
    try:
        numbers = values.cast(pa.float64())
    except pa.ArrowInvalid:
        return None
    # The cast takes nan and inf for numbers, and what exceeds float64 for inf.
    finite = pc.all(pc.is_finite(numbers)).as_py()
    return numbers if finite is not False else None


def number_mask(texts: pa.Array, decimal: str) -> np.ndarray:
    """Returns for each text whether it is a finite decimal number."""
    texts = pc.utf8_trim_whitespace(texts)  # also blanks that `\s` is not, as U+00A0
    mask = matches(texts, _NUMBER.format(mark=re.escape(decimal)))
    mask[mask] = np.isfinite(numbers_of(texts.filter(pa.array(mask)), decimal))
    return mask


def numbers_of(texts: pa.Array, decimal: str) -> np.ndarray:
    """Reads texts, each of which is known to be a number."""
    plain = pc.replace_substring(pc.utf8_trim_whitespace(texts), decimal, ".")
    return np.asarray(plain.cast(pa.float64()).to_numpy(zero_copy_only=False))


def other_mark_mask(texts: pa.Array) -> np.ndarray:
    """Returns for each text whether it is a number in some way of writing the marks."""
    return matches(texts, _OTHER_MARK)


def any_match(values: pa.ChunkedArray, pattern: str) -> bool:
    """Returns whether the pattern is found in any text of a column."""
    return bool(pc.any(pc.match_substring_regex(values, pattern)).as_py())


def only_digits(values: pa.ChunkedArray) -> bool:
    """Returns whether all texts of a column are integers without mark or exponent."""
    return bool(pc.all(pc.match_substring_regex(values, _DIGITS)).as_py())


def has_leading_zeros(values: pa.ChunkedArray) -> bool:
    """Returns whether a column of texts holds an integer with a leading zero, such as 007.

    Args:
        values: Column of strings with 32-bit offsets.
    """
    for chunk in values.chunks:
        for start in range(0, len(chunk), _WORK):
            part = chunk.slice(start, _WORK)
            if _may_lead_with_zero(part) and matches(part, ZEROS).any():
                return True
    return False


def _may_lead_with_zero(part: pa.Array) -> bool:
    """Returns whether a text begins with a zero and a digit, or with a blank."""
    offsets = _offsets(part)
    if part.buffers()[2] is None or offsets[0] == offsets[-1]:
        return False
    data = np.frombuffer(part.buffers()[2], np.uint8)
    starts, longer = offsets[:-1], np.diff(offsets) > 1
    # An empty cell, and a sign and a zero, may end the buffer, which `clip` allows.
    first = data.take(starts, mode="clip")
    if bool((longer & ((first == 0x20) | (first == 0x09))).any()):
        return True
    signed = (first == 0x2B) | (first == 0x2D)
    if signed.any():
        starts = starts + signed
        first = data.take(starts, mode="clip")
    zeros = longer & (first == 0x30)
    if not zeros.any():
        return False
    second = data.take(starts + 1, mode="clip")
    return bool((zeros & (second >= 0x30) & (second <= 0x39)).any())


def longest(values: pa.ChunkedArray) -> int:
    """Returns the number of bytes of the longest text of a column.

    Args:
        values: Column of strings with 32-bit offsets.
    """
    return max((int(np.diff(_offsets(c)).max()) for c in values.chunks if len(c)), default=0)


def _offsets(texts: pa.Array) -> np.ndarray:
    """Returns the place of each text in the bytes of all, and the end of the last one."""
    return np.frombuffer(texts.buffers()[1], np.int32, len(texts) + 1, texts.offset * 4)


def looks_numeric(texts: pa.Array) -> np.ndarray:
    """Returns for each text whether it begins like a number or a date, the rest unseen."""
    if not len(texts):
        return np.zeros(0, bool)
    offsets = _offsets(texts)
    if texts.buffers()[2] is None or offsets[0] == offsets[-1]:
        return np.zeros(len(texts), bool)
    data = np.frombuffer(texts.buffers()[2], np.uint8)
    first = data[np.minimum(offsets[:-1], len(data) - 1)]
    digits = (first >= 0x30) & (first <= 0x39)
    others = np.isin(first, np.frombuffer(" \t+-.,$€£¥\u2212'(=\u00a0".encode(), np.uint8))
    return np.asarray((digits | others) & (np.diff(offsets) > 0))


def truths_of(texts: pa.Array) -> list[bool] | None:
    """Reads the different texts of a column as booleans.

    Returns:
        The booleans, or None if the texts are not one pair such as yes and no, in any case.
    """
    if not 0 < len(texts) <= 16:  # both words, each in several cases
        return None
    words = [text.strip().lower() for text in texts.to_pylist()]
    for truths in TRUTHS:
        if set(words) <= set(truths):
            return [truths[word] for word in words]
    return None
