"""Reads the texts of cells as dates: ISO 8601, or a format of fixed parts."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kfc.data.tables.cell_texts import matches

_DAY = r"\d{4}-\d{2}-\d{2}"
_TIME = r"[T ]\d{2}(?::\d{2}(?::\d{2}(?:\.\d{1,9})?)?)?"
ISO = rf"{_DAY}(?:{_TIME})?"
ISO_ZONE = rf"{_DAY}{_TIME}(?:Z|[+-]\d{{2}}(?::?\d{{2}})?)"

_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}\.?"
OTHER_DATE = (
    r"(?i)^(?:\d{1,2}[/-]\d{1,2}[/-]\d{2}|\d{2}\.\d{2}\.\d{2}"
    rf"|\d{{1,2}}[ /-]{_MONTH},?[ /-](?:\d{{4}}|\d{{2}})|{_MONTH} \d{{1,2}},? \d{{4}}"
    r"|\d{1,4}[/.-]\d{1,2}[/.-]\d{1,4},? \d{1,2}:\d{2}(?::\d{2})? ?[ap]m)(?:[ T]\d{1,2}:.*)?$"
)
"""Dates that are not read: a year of two digits, the name of a month, am and pm."""

_DIGITS = {"Y": 4, "m": 2, "d": 2, "H": 2, "M": 2, "S": 2}
_TIMES = ("", " %H:%M", " %H:%M:%S")


def forms() -> dict[str, str]:
    """Returns the patterns of the dates that are recognised, by the name of the form.

    A name is `ISO`, `ISO with a time zone`, a format such as `%Y/%m/%d`, or one such as
    `%?/%?/%Y` in which the order of day and month is open.
    """
    known = {"ISO": f"^{ISO}$", "ISO with a time zone": f"^{ISO_ZONE}$"}
    for mark in "/.-":
        for days in (f"%?{mark}%?{mark}%Y", f"%Y{mark}%m{mark}%d"):
            for time in _TIMES:
                known.setdefault(days + time, _pattern(days + time))
    return known


def _pattern(form: str) -> str:
    """Returns the regular expression of a format; each part of it is a group."""
    pieces = re.split(r"(%.)", form)
    text = "^"
    for index, piece in enumerate(pieces):
        if index % 2 == 0:
            text += re.escape(piece)
        elif piece == "%?":
            text += r"\d{1,2}"
        else:
            part = piece[1]
            # A part between two marks may lack its zero: 1/2/2013.
            apart = pieces[index - 1] or index == 1
            ends = pieces[index + 1] or index + 2 == len(pieces)
            digits = (
                r"\d{1,2}" if part != "Y" and apart and ends else rf"\d{{{_DIGITS[part]}}}"
            )
            text += f"(?P<{part}>{digits})"
    return text + "$"


def format_problem(form: str) -> str:
    """Returns the reason why a format cannot be read, or an empty text."""
    parts = re.findall(r"%(.?)", form)
    if unknown := [part for part in parts if part not in _DIGITS]:
        return f"%{unknown[0]}"
    if twice := [part for part in parts if parts.count(part) > 1]:
        return f"%{twice[0]} twice"
    return "" if "Y" in parts else "no %Y"


def read_dates(texts: pa.Array, form: str | None) -> tuple[pa.Array, np.ndarray]:
    """Reads texts as dates.

    Args:
        texts: Texts without null.
        form: Format, see `format_problem`, or None for ISO 8601.

    Returns:
        The dates as timestamp[us], in UTC where the texts name a time zone, and for each
        text whether it is a date that exists.
    """
    trimmed = pc.utf8_trim_whitespace(texts)
    return _read_iso(trimmed) if form is None else _read_format(trimmed, form)


def _read_iso(texts: pa.Array) -> tuple[pa.Array, np.ndarray]:
    if (dates := _cast_iso(texts)) is not None:
        return dates, np.ones(len(texts), bool)
    good = np.zeros(len(texts), bool)
    for pattern in (ISO, ISO_ZONE):
        # Columns with and without a zone are two forms; the first text decides.
        if len(texts) and (mask := matches(texts, f"^{pattern}$"))[0]:
            good = mask
    _drop_bad(texts, np.flatnonzero(good), good)
    dates = _cast_iso(texts.filter(pa.array(good)))
    places = np.where(good, np.cumsum(good) - 1, 0)
    if dates is None or not len(dates):
        return pa.nulls(len(texts), pa.timestamp("us")), good
    return dates.take(pa.array(places, mask=~good)), good


def _drop_bad(texts: pa.Array, places: np.ndarray, good: np.ndarray) -> None:
    """Clears the mark of each place whose date does not exist, by halving."""
    if not len(places) or _cast_iso(texts.take(pa.array(places))) is not None:
        return
    if len(places) == 1:
        good[places] = False
        return
    half = len(places) // 2
    _drop_bad(texts, places[:half], good)
    _drop_bad(texts, places[half:], good)


def _cast_iso(texts: pa.Array) -> pa.Array | None:
    """Reads texts that are all ISO dates of one form, or returns None."""
    naive = pa.timestamp("us")
    for kind in (
        naive,
        pa.timestamp("us", "UTC"),
        pa.timestamp("ns"),
        pa.timestamp("ns", "UTC"),
    ):
        try:
            return texts.cast(kind).cast(pa.timestamp(kind.unit)).cast(naive, safe=False)
        except pa.ArrowInvalid:
            continue
    return None


def _read_format(texts: pa.Array, form: str) -> tuple[pa.Array, np.ndarray]:
    parts = pc.extract_regex(texts, _pattern(form))
    good = parts.is_valid().to_numpy(zero_copy_only=False)
    number = {"Y": 1970, "m": 1, "d": 1, "H": 0, "M": 0, "S": 0}
    read = {}
    for part, default in number.items():
        if f"%{part}" not in form:
            read[part] = np.full(len(texts), default, np.int64)
            continue
        digits = pc.struct_field(parts, part)
        digits = pc.if_else(pa.array(good), digits, str(default))
        read[part] = digits.cast(pa.int64()).to_numpy(zero_copy_only=False)
    months = (read["Y"] - 1970) * 12 + read["m"] - 1
    days = months.astype("datetime64[M]").astype("datetime64[D]") + (read["d"] - 1)
    good &= (read["m"] >= 1) & (read["m"] <= 12) & (read["d"] >= 1)
    good &= days.astype("datetime64[M]").astype(np.int64) == months
    good &= (read["H"] < 24) & (read["M"] < 60) & (read["S"] < 60)
    seconds = read["H"] * 3600 + read["M"] * 60 + read["S"]
    moments = days.astype("datetime64[s]").astype(np.int64) + seconds
    return pa.array((moments * 1_000_000).astype("datetime64[us]"), mask=~good), good


def day_and_month(texts: pa.Array, form: str) -> list[str]:
    """Finds the formats that a column may have whose order of day and month is open.

    Args:
        texts: Texts of the form.
        form: Name of the form, such as `%?/%?/%Y`.

    Returns:
        The formats under which no part exceeds its range.
    """
    orders = [
        form.replace("%?", a, 1).replace("%?", b, 1) for a, b in (("%d", "%m"), ("%m", "%d"))
    ]
    trimmed = pc.utf8_trim_whitespace(texts)
    parts = pc.extract_regex(trimmed, r"^(?P<a>\d{1,2}).(?P<b>\d{1,2})")
    first, second = (
        pc.max(pc.struct_field(parts, name).cast(pa.int64())).as_py() for name in "ab"
    )
    possible = (second <= 12, first <= 12)
    return [order for order, fits in zip(orders, possible, strict=True) if fits]
