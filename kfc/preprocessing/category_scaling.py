"""Scaling of the flags and the one-hot inputs of a table, from counts of their values."""

from __future__ import annotations

import numpy as np

from kfc.preprocessing.counted_columns import CountedColumns
from kfc.preprocessing.numeric import NumericScaling
from kfc.preprocessing.table_encoding import TableEncoding
from kfc.system import DiskArray, chunks

_VALUES = (-1.0, 0.0, 1.0)  # of a flag, of a one-hot input and of a sign


def fit_category_scaling(
    name: str, x: np.ndarray | DiskArray, encoding: TableEncoding
) -> NumericScaling:
    """Learns the scaling called `name` of flags, signs and one-hot inputs, in this order.

    Args:
        name: Name that `NumericScaling.fit` takes.
        x: Encoded training rows, (rows, features).
        encoding: Encoding of the rows.
    """
    first, last = encoding.num_numbers, encoding.num_numbers + encoding.num_flags
    sizes = [code.size + 1 for code in encoding.codes]
    flags = np.zeros((encoding.num_flags, len(_VALUES)), np.int64)
    codes = [np.zeros(size, np.int64) for size in sizes]
    for _, part in chunks(x):
        of_flags = part[:, first:last]  # (rows, flags)
        flags += np.stack([(of_flags == value).sum(axis=0) for value in _VALUES], axis=1)
        for place, size in enumerate(sizes):
            numbers = part[:, last + place].astype(np.int64)
            codes[place] += np.bincount(numbers, minlength=size)

    counts = [*flags]
    counted = list(zip(encoding.codes, codes, strict=True))
    one_hot = [(code, count) for code, count in counted if code.embedding_size is None]
    counts += [count[[2, 0, 1]] for code, count in one_hot if code.sign]
    for code, count in one_hot:
        if not code.sign:
            counts += [np.array([0, len(x) - number, number]) for number in count[1:]]
    values = np.broadcast_to(np.array(_VALUES), (len(counts), len(_VALUES)))
    return NumericScaling.fit(name, CountedColumns(values, np.array(counts)))
