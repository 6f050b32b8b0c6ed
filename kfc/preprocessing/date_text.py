"""Reading of dates from text in a Keras graph, by arithmetic on the codes of characters.

The number of days comes from Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms"
(2013), https://howardhinnant.github.io/date_algorithms.html.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from kfc.errors import Finding, SpecError

if TYPE_CHECKING:
    import keras

MICROSECONDS = 86_400_000_000
"""Microseconds of a day."""

_FIELDS = {"%Y": 4, "%m": 2, "%d": 2, "%H": 2, "%M": 2, "%S": 2}
"""Number of digits of each part of a format."""

_LEAST = np.array([1, 1, 1, 0, 0, 0])
_MOST = np.array([9999, 12, 31, 23, 59, 59])
_DEFAULT = np.array([0, 1, 1, 0, 0, 0])  # a format always has the year
_DAYS = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])

_HOUR_END = 13  # position behind the hour in ISO 8601, where an offset may begin
_ZONE = 6  # characters of the longest offset, +HH:MM

# Kinds of characters; the literals of a format are the kinds from 3.
_END, _OTHER, _DIGIT = 0, 1, 2


@dataclass(frozen=True)
class DateText:
    """The form of a date's text.

    Args:
        literals: The characters that are no digits.
        allowed: Whether a character may follow another one, by position, kind of the
            character before and kind of the character, (length, kinds, kinds). At the first
            position both kinds are the same. The last position is beyond the text.
        weights: Value of a digit in each of year, month, day, hour, minute, second and
            microsecond, (length, 7).
        default: Value of each but the microsecond where the text has none, (6,).
        zoned: Whether an offset from UTC may follow the time.
    """

    literals: str
    allowed: np.ndarray
    weights: np.ndarray
    default: np.ndarray
    zoned: bool = False

    @classmethod
    def of(cls, form: str | None, where: str) -> DateText:
        """Returns the form of dates in a format, or of ISO 8601.

        Args:
            form: Format with %Y, %m, %d, %H, %M and %S, or None for ISO 8601.
            where: Name of the format in messages.

        Raises:
            SpecError: If the format has other parts, or no year.
        """
        return _iso() if form is None else _custom(form, where)

    @cached_property
    def length(self) -> int:
        """Number of characters that are looked at."""
        return len(self.allowed)

    # --- in a graph ----------------------------------------------------------------------

    def read(self, texts: Sequence[keras.KerasTensor]) -> DateParts:
        """Returns the parts of dates, in UTC where the texts name an offset from it.

        Args:
            texts: Columns, (batch,), text.
        """
        import keras

        ops = keras.ops
        digits = "0123456789"
        # Code 0 is the end of the text, 1 an unknown character.
        characters = keras.layers.TextVectorization(
            standardize=None,
            split="character",
            vocabulary=list(digits + self.literals),
            output_sequence_length=self.length + (2 * _ZONE + 1 if self.zoned else 0),
        )
        codes = ops.stack([characters(text) for text in texts], axis=1)
        offset = None
        if self.zoned:
            codes, offset = _without_offset(codes, self.length, self.literals)
        kinds = _kinds(codes)
        before = ops.take(kinds, np.array([0, *range(self.length - 1)]), axis=-1)
        count = self.allowed.shape[-1]
        position = np.arange(self.length) * count * count
        follows = ops.take(
            self.allowed.ravel().astype(np.int64), before * count + kinds + position
        )
        numbers = ops.cast(ops.where(ops.equal(kinds, _DIGIT), codes - 2, 0), "float64")
        fields = ops.cast(ops.matmul(numbers, self.weights.astype(np.float64)), "int64")
        empty = ops.equal(ops.take(kinds, 0, axis=-1), _END)
        valid = ops.all(ops.equal(follows, 1), axis=-1)
        if offset is not None:
            valid = ops.logical_and(valid, offset.valid)
        return _date_parts(
            fields, self.default, valid, empty, None if offset is None else offset.minutes
        )


@dataclass(frozen=True)
class DateParts:
    """Parts of dates in a graph, each (batch, columns).

    Args:
        numbers: Days since 1970 with their fraction, year, month, day of week from Monday 0,
            and hour, float64.
        valid: Whether the text is a date.
        missing: Whether the text is empty.
    """

    numbers: list[keras.KerasTensor]
    valid: keras.KerasTensor
    missing: keras.KerasTensor


class _Offset(NamedTuple):
    """Offsets from UTC in a graph, each (batch, columns).

    Args:
        minutes: Minutes by which the time is ahead of UTC, int64; 0 where none is named.
        valid: Whether the rest of the text is an offset, or nothing.
    """

    minutes: keras.KerasTensor
    valid: keras.KerasTensor


def _kinds(codes: keras.KerasTensor) -> keras.KerasTensor:
    """Returns the kinds of characters from their codes."""
    import keras

    return keras.ops.maximum(codes - 9, keras.ops.minimum(codes, _DIGIT))


def _without_offset(
    codes: keras.KerasTensor, length: int, literals: str
) -> tuple[keras.KerasTensor, _Offset]:
    """Separates dates from the offsets that follow their times: Z, +HH, +HHMM or +HH:MM.

    Args:
        codes: Codes of characters, (batch, columns, length + 2 * _ZONE + 1).
        length: Number of characters of a date.
        literals: The characters that are no digits.

    Returns:
        Codes of the dates, (batch, columns, length), and the offsets.
    """
    import keras

    ops = keras.ops
    plus, minus, utc, colon = (3 + literals.index(character) for character in "+-Z:")
    end_of_text = length + _ZONE
    position, kinds = np.arange(end_of_text + _ZONE + 1), _kinds(codes)
    marks = ops.equal(kinds, plus) | ops.equal(kinds, minus) | ops.equal(kinds, utc)
    marks = (marks & (position >= _HOUR_END)) | (position == end_of_text)
    first = ops.cast(ops.argmax(ops.cast(marks, "int32"), axis=-1), "int64")
    first = ops.expand_dims(first, -1)
    dates = ops.where(first > position[:length], ops.take(codes, position[:length], -1), 0)
    zone = ops.take_along_axis(codes, first + np.arange(_ZONE + 1), axis=-1)
    kinds = _kinds(zone)
    digit, end = ops.equal(kinds, _DIGIT), ops.equal(kinds, _END)
    digits = ops.where(digit, zone - 2, 0)
    sign = ops.take(kinds, 0, -1)
    has_colon = ops.equal(ops.take(kinds, 3, -1), colon)

    def all_of(flags: keras.KerasTensor, *places: int) -> keras.KerasTensor:
        return ops.all(ops.take(flags, np.array(places), -1), -1)

    def number(place: int) -> keras.KerasTensor:
        return ops.take(digits, place, -1) * 10 + ops.take(digits, place + 1, -1)

    hour, minute = number(1), ops.where(has_colon, number(4), number(3))
    ends = all_of(end, 3) | (all_of(digit, 3, 4) & all_of(end, 5))
    ends = ends | (has_colon & all_of(digit, 4, 5) & all_of(end, 6))
    signed = ops.equal(sign, plus) | ops.equal(sign, minus)
    signed = signed & all_of(digit, 1, 2) & ends & (hour <= 23) & (minute <= 59)
    valid = signed | all_of(end, 0) | (ops.equal(sign, utc) & all_of(end, 1))
    minutes = ops.where(ops.equal(sign, minus), -1, 1) * (hour * 60 + minute)
    return dates, _Offset(ops.where(signed, minutes, 0), valid)


def _date_parts(
    fields: keras.KerasTensor,
    default: np.ndarray,
    follows: keras.KerasTensor,
    missing: keras.KerasTensor,
    offset: keras.KerasTensor | None,
) -> DateParts:
    import keras

    ops = keras.ops
    parts = ops.take(fields, np.arange(6), axis=-1) + default
    inside = ops.all(ops.logical_and(parts >= _LEAST, parts <= _MOST), axis=-1)
    year, month, day, hour, minute, second, microsecond = (
        ops.take(parts if i < 6 else fields, i, axis=-1) for i in range(7)
    )
    by_4, by_100, by_400 = (ops.equal(year % years, 0) for years in (4, 100, 400))
    leap = ops.logical_and(by_4, ops.logical_or(ops.logical_not(by_100), by_400))
    last = ops.take(_DAYS, ops.clip(month, 1, 12) - 1)
    last = last + ops.cast(ops.logical_and(leap, ops.equal(month, 2)), "int64")
    valid = ops.logical_and(ops.logical_and(follows, inside), day <= last)
    days, minutes = _days(year, month, day), hour * 60 + minute
    if offset is not None:
        minutes = minutes - offset
        shift = minutes // 1440
        days, minutes = days + shift, minutes - shift * 1440
        year, month = _year_and_month(days)
        hour, valid = minutes // 60, valid & (year >= _LEAST[0]) & (year <= _MOST[0])
    time = ops.cast(minutes * 60 + second, "float64") * 1e6
    time = time + ops.cast(microsecond, "float64")
    numbers = [
        ops.cast(days, "float64") + time / float(MICROSECONDS),
        *(ops.cast(part, "float64") for part in (year, month, (days + 3) % 7, hour)),
    ]
    return DateParts(numbers, valid, missing)


def _days(
    year: keras.KerasTensor, month: keras.KerasTensor, day: keras.KerasTensor
) -> keras.KerasTensor:
    """Returns the number of days since 1970, of years from 1."""
    import keras

    # A year that begins in March ends with the leap day.
    early = keras.ops.cast(month <= 2, "int64")
    year = year - early
    era = year // 400
    of_era = year - era * 400
    of_year = (153 * (month - 3 + 12 * early) + 2) // 5 + day - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468


def _year_and_month(
    days: keras.KerasTensor,
) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Returns year and month of days since 1970, the reverse of `_days`."""
    import keras

    days = days + 719_468
    era = days // 146_097
    of_era = days - era * 146_097
    year = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153  # from March
    early = keras.ops.cast(month >= 10, "int64")
    return era * 400 + year + early, month + 3 - 12 * early


class _Layout:
    """Builds a form from the characters that may stand at each position."""

    def __init__(self, length: int, literals: str) -> None:
        count = 3 + len(literals)
        self.literals = literals
        self.allowed = np.zeros((length, count, count), bool)
        self.weights = np.zeros((length, 7), np.int64)

    def kinds(self, characters: str) -> list[int]:
        """Returns the kinds of characters; `0` stands for a digit, `$` for the end."""
        own = {"0": _DIGIT, "$": _END}
        return [own[c] if c in own else 3 + self.literals.index(c) for c in characters]

    def allow(self, position: int, before: str, after: str) -> None:
        """Allows each character of `after` at a position after each of `before`."""
        for kind in self.kinds(before):
            self.allowed[position, kind, self.kinds(after)] = True

    def number(self, first: int, width: int, part: int) -> None:
        """Makes the digits from a position on the number of a part."""
        self.weights[first : first + width, part] = 10 ** np.arange(width)[::-1]


def _iso() -> DateText:
    """Returns the form YYYY-MM-DD, with or without a time.

    The time is THH, THH:MM, THH:MM:SS or THH:MM:SS.ffffff, perhaps with a blank for T; a
    fraction has up to nine digits, of which six count. An offset from UTC may follow.
    """
    layout = _Layout(30, "-:T .Z+")
    layout.allowed[0, _DIGIT, _DIGIT] = True
    for position, form in enumerate("0000-00-00", start=0):
        if position:
            layout.allow(position, "0000-00-00"[position - 1], form)
    layout.allow(10, "0", "T $")
    for position, before, after in [
        (11, "T ", "0"),
        (12, "0", "0"),
        (13, "0", ":$"),
        (14, ":", "0"),
        (15, "0", "0"),
        (16, "0", ":$"),
        (17, ":", "0"),
        (18, "0", "0"),
        (19, "0", ".$"),
        (20, ".", "0"),
        *((position, "0", "0$") for position in range(21, 29)),
        (29, "0", "$"),
    ]:
        layout.allow(position, before, after)
    for position in range(11, 30):  # an end ends the text
        layout.allow(position, "$", "$")
    for part, (first, width) in enumerate(
        [(0, 4), (5, 2), (8, 2), (11, 2), (14, 2), (17, 2), (20, 6)]
    ):
        layout.number(first, width, part)
    return DateText(
        layout.literals, layout.allowed, layout.weights, np.zeros(6, np.int64), True
    )


def _custom(form: str, where: str) -> DateText:
    parts = re.findall("%.?|[^%]", form, re.DOTALL)
    fields = [part for part in parts if part[0] == "%"]
    literals = "".join(dict.fromkeys(part for part in parts if part[0] != "%"))
    wrong = [part for part in fields if part not in _FIELDS]
    if wrong or "%Y" not in fields or len(set(fields)) < len(fields):
        expected = "a format with %Y, and %m, %d, %H, %M and %S at most once"
        raise SpecError(Finding(where, expected, repr(form), "Change the format."))
    if re.search("[0-9$]", literals):
        expected = "a format without digits and $ between its parts"
        raise SpecError(Finding(where, expected, repr(form), "Change the format."))
    shape = "".join("0" * _FIELDS.get(part, 0) or part for part in parts)
    layout = _Layout(len(shape) + 1, literals)
    first = layout.kinds(shape[0])
    layout.allowed[0, first, first] = True
    for position in range(1, len(shape) + 1):
        layout.allow(position, shape[position - 1], (shape + "$")[position])
    position, names = 0, list(_FIELDS)
    default = _DEFAULT.copy()
    for part in parts:
        if part in _FIELDS:
            layout.number(position, _FIELDS[part], names.index(part))
            default[names.index(part)] = 0
        position += _FIELDS.get(part, 1)
    return DateText(layout.literals, layout.allowed, layout.weights, default)
