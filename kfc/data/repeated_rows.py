"""Finds rows of the training among the rows that measure it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from kfc.data.rows import Rows
from kfc.errors import Finding
from kfc.preprocessing import TableEncoding
from kfc.system import chunks

_LEAST = 10  # repeated rows, and
_LEAST_SHARE = 0.01  # their share of a part, from which they are said
_MORE = 2.0  # times the share of training rows that equal another training row
_ODD = np.uint64(0x9E3779B97F4A7C15)
"""2^64 divided by the golden ratio: a product with it spreads keys (Fibonacci hashing)."""


def training_rows_repeated(
    encoding: TableEncoding, train: Rows, others: Mapping[str, Rows]
) -> list[Finding]:
    """Finds tables of test or validation rows that repeat training rows, target included.

    A table with few different rows has repeated ones by nature, in the training rows as well,
    and is left alone.

    Args:
        encoding: Encoding of the table.
        train: Encoded training rows.
        others: Encoded rows of other files by their name in messages.
    """
    if not others:
        return []
    known = np.sort(_row_keys(train))
    natural = float((known[1:] == known[:-1]).mean()) if len(known) > 1 else 0.0
    found = []
    for where, rows in others.items():
        repeated = int(np.isin(_row_keys(rows), known).sum())
        share = repeated / len(rows)
        if repeated >= _LEAST and share >= max(_LEAST_SHARE, _MORE * natural):
            got = f"{repeated:,} of {len(rows):,} rows that are training rows too"
            remedy = "Remove them from one of the files; metrics on them are too good."
            evidence = {"rows": repeated, "share": share}
            expected = "rows that the training does not have"
            found.append(Finding(where, expected, got, remedy, evidence=evidence))
    return found


def _row_keys(rows: Rows) -> np.ndarray:
    """Returns a number for each row, uint64, which equal rows share and others do not.

    Two different rows share one with a probability of about 2^-64.
    """
    keys = np.empty(len(rows), np.uint64)
    for first, x in chunks(rows.x):
        y = np.asarray(rows.y[first : first + len(x)], np.float32).reshape(len(x), -1)
        key = np.zeros(len(x), np.uint64)
        for column in (*np.asarray(x, np.float32).T, *y.T):
            bits = np.ascontiguousarray(column + np.float32(0)).view(np.uint32)
            key = (key ^ bits) * _ODD
            key ^= key >> np.uint64(29)
        keys[first : first + len(x)] = key
    return keys
