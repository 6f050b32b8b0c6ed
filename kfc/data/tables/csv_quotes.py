"""Finds quotes that do not enclose a whole cell, of which pyarrow makes other cells."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kfc.data.tables.csv_bytes import CHUNK, CsvBytes
from kfc.errors import DataError, Finding

_QUOTE, _BACKSLASH = ord('"'), ord("\\")
_BLANKS = b" \t"
_WHOLE = "a quoted cell that ends with its closing quote"


def check_quotes(data: CsvBytes, delimiter: str) -> None:
    """Refuses quotes that begin or end inside of a cell, or never end.

    Args:
        data: Content of a file.
        delimiter: Character between two cells.

    Raises:
        DataError: If text follows the closing quote of a cell, as it does where a quote is
            escaped with a backslash, if blanks precede the opening one, or if the last quote
            is never closed. A quote inside of a cell without quotes is text.
    """
    path, view = data.path, np.frombuffer(data.content, np.uint8)
    ends = np.zeros(256, bool)
    ends[[ord(delimiter), ord("\n"), ord("\r")]] = True
    opened = -1  # position of the quote that is open before a chunk
    for start in data.chunk_starts():
        places = np.flatnonzero(view[start : start + CHUNK] == _QUOTE) + start
        if len(places) and _well_formed(view, places, ends, opened >= 0):
            if len(places) % 2:
                opened = -1 if opened >= 0 else int(places[-1])
        elif len(places):
            opened = _walk(path, view, places, ends, opened)
    if opened >= 0:
        if b'\\"' in view[max(0, opened - 200) : opened + 200].tobytes():
            raise _escaped(path, view, opened)
        remedy = "Close the quote, or double a quote that belongs to the text."
        raise _refusal(path, view, opened, "a closing quote", "none up to the end", remedy)


def _well_formed(view: np.ndarray, places: np.ndarray, ends: np.ndarray, inside: bool) -> bool:
    """Returns whether all quotes of a chunk stand at the beginning or the end of a cell.

    A doubled quote counts as an end and a beginning.

    Args:
        view: All bytes of the file.
        places: Positions of the quotes of the chunk.
        ends: Whether each byte may stand beside a quoted cell.
        inside: Whether the chunk begins within quotes.
    """
    begins, closes = (places[1::2], places[::2]) if inside else (places[::2], places[1::2])
    before, after = view[begins - 1], view[np.minimum(closes + 1, len(view) - 1)]
    begin_fits = ends[before] | (before == _QUOTE) | (begins == 0)
    close_fits = ends[after] | (after == _QUOTE) | (closes == len(view) - 1)
    return bool(begin_fits.all() and close_fits.all())


def _walk(
    path: Path, view: np.ndarray, places: np.ndarray, ends: np.ndarray, opened: int
) -> int:
    """Reads the quotes of a chunk one by one; returns the position of the open one or -1."""
    last_close = -2
    for place in places.tolist():
        if opened >= 0:  # this quote closes a cell, or is the first of two
            after = view[place + 1] if place + 1 < len(view) else ord("\n")
            if not ends[after] and after != _QUOTE:
                raise _text_after_quote(path, view, place)
            opened, last_close = -1, place
        elif place == 0 or ends[view[place - 1]] or last_close == place - 1:
            opened = place
        else:
            _check_literal(path, view, place, ends)
    return opened


def _check_literal(path: Path, view: np.ndarray, place: int, ends: np.ndarray) -> None:
    """Refuses a quote within a cell without quotes where it was hardly meant as text."""
    start = place
    while start and not ends[view[start - 1]]:
        start -= 1
    before = view[start:place].tobytes()
    if not before.strip(_BLANKS):
        remedy = "Remove the blank, or double the quotes and enclose the cell."
        got = "a blank before it"
        raise _refusal(path, view, place, "a quote at the beginning of a cell", got, remedy)
    # The end of a cell such as "a \", b", whose first part was taken for a whole cell.
    line = view[:start].tobytes()[-200:].rpartition(b"\n")[2]
    if b'\\"' in line or before.endswith(b"\\"):
        raise _escaped(path, view, place)


def _text_after_quote(path: Path, view: np.ndarray, place: int) -> DataError:
    if place and view[place - 1] == _BACKSLASH:
        return _escaped(path, view, place)
    remedy = 'Double a quote that belongs to the text: "".'
    return _refusal(path, view, place, _WHOLE, "text after it", remedy)


def _escaped(path: Path, view: np.ndarray, place: int) -> DataError:
    """Returns the refusal of a quote that a backslash escapes, at or after a place."""
    remedy = 'Write such a quote as "", as in pandas.to_csv without escapechar.'
    return _refusal(path, view, place, _WHOLE, "a quote escaped with a backslash", remedy)


def _refusal(
    path: Path, view: np.ndarray, place: int, expected: str, got: str, remedy: str
) -> DataError:
    line = int(np.count_nonzero(view[:place] == ord("\n"))) + 1
    text = view[max(0, place - 20) : place + 20].tobytes().decode("utf-8", "replace")
    where = f"{path}, line {line}"
    return DataError(
        Finding(where, expected, f"{got}, near {text!r}", remedy, evidence={"line": line})
    )
