"""Finds rows of the training among the rows that measure it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from kfc.data.row_keys import row_keys
from kfc.data.rows import Rows
from kfc.errors import Finding
from kfc.preprocessing import TableEncoding

_LEAST = 10  # repeated rows, and
_LEAST_SHARE = 0.01  # their share of a part, from which they are said
_OFTENER = 10.0  # times the share that equal a training row by chance
_SAMPLE = 1000  # rows from which that chance is estimated


def training_rows_repeated(
    encoding: TableEncoding, train: Rows, others: Mapping[str, Rows]
) -> list[Finding]:
    """Finds test or validation rows that repeat training rows, target included.

    Rows of a few categories repeat by chance, and are left alone.

    Args:
        encoding: Encoding of the table.
        train: Encoded training rows.
        others: Encoded test and validation rows by their name in messages.
    """
    known = row_keys(train.x, train.y)
    by_chance = _equal_by_chance(encoding, train, known)
    known.sort()
    found = []
    for where, rows in others.items():
        keys = row_keys(rows.x, rows.y)
        places = np.searchsorted(known, keys).clip(max=len(known) - 1)
        repeated = int((known[places] == keys).sum())
        share = repeated / max(len(rows), 1)
        if repeated >= _LEAST and share >= _LEAST_SHARE and not is_by_chance(share, by_chance):
            got = f"{repeated:,} of {len(rows):,} rows that are training rows too"
            remedy = "Remove repeated rows from the table; metrics on them are too good."
            evidence = {"rows": repeated, "share": share}
            expected = "rows that the training does not have"
            found.append(Finding(where, expected, got, remedy, evidence=evidence))
    return found


def _equal_by_chance(encoding: TableEncoding, train: Rows, keys: np.ndarray) -> float:
    """Returns the number of rows that equal a given one, target included."""
    some = np.linspace(0, len(train) - 1, min(len(train), _SAMPLE)).astype(np.int64)
    x, y = np.asarray(train.x[some]), train.y[some].reshape(len(some), -1)
    # The first feature of a column: a date's others follow from it.
    columns = [x[:, places[0]] for places in encoding.places.values()]
    return len(train) * chance_of_equal_rows([*columns, *y.T], keys[some])


def is_by_chance(share: float, equal_rows: float) -> bool:
    """Returns whether chance may explain that rows repeat.

    Args:
        share: Share of the rows that repeat others.
        equal_rows: Number of rows that equal a given one by chance.
    """
    return share < _OFTENER * equal_rows


def chance_of_equal_rows(columns: Sequence[np.ndarray], keys: np.ndarray) -> float:
    """Returns the probability that two rows are equal, if their columns were independent.

    Args:
        columns: Values of each column, (rows,).
        keys: Keys of the rows. Rows that repeat are left out: they would make the values of
            all columns seem to repeat.
    """
    distinct = np.unique(keys, return_index=True)[1]
    count, equal = len(distinct), 1.0
    for values in columns:
        counts = np.unique(values[distinct], return_counts=True)[1]
        equal *= float((counts * (counts - 1)).sum()) / max(count * (count - 1), 1)
    return equal
