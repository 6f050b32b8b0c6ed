"""Finds the different texts of a column in which nearly all rows differ, as in one of ids.

A hash table of a million texts is slow, since each text is compared at a random place of the
memory. Sorted hashes show which rows are alone, and only the others are compared.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_PROBE = 20_000  # rows that show whether to look at all
_SHARE = 0.9  # of the rows that must differ
_LONGEST = 64  # bytes of a text on average, beyond which hashing is no faster
_ODD = np.uint64(0x9E3779B97F4A7C15)  # 2^64 divided by the golden ratio, as in splitmix64


def different_texts(values: pa.ChunkedArray) -> pa.Array | None:
    """Returns the different texts of a column if more than nine of ten rows differ.

    Args:
        values: Column of strings with 32-bit offsets; missing cells do not count.

    Returns:
        The texts in no particular order, or None for other columns.
    """
    probe = values.slice(0, _PROBE).drop_null()
    if len(values) <= _PROBE or len(probe.unique()) <= _SHARE * len(probe):
        return None
    texts = (values.drop_null() if values.null_count else values).combine_chunks()
    if isinstance(texts, pa.ChunkedArray) or texts.nbytes > _LONGEST * len(texts):
        return None  # more than 2 GiB of text stay in chunks
    hashes = _hashes(texts)
    ordered = np.sort(hashes)
    again = ordered[1:][ordered[1:] == ordered[:-1]]
    if not len(again):
        return texts
    if len(again) > (1 - _SHARE) * len(texts):
        return None
    place = np.searchsorted(again, hashes).clip(max=len(again) - 1)
    compared = pa.array(again[place] == hashes)
    found = [texts.filter(pc.invert(compared)), texts.filter(compared).unique()]
    return pa.concat_arrays(found)


def _hashes(texts: pa.Array) -> np.ndarray:
    """Returns a number for each text, (rows,), uint64, the same for equal texts."""
    offsets = np.frombuffer(texts.buffers()[1], np.int32, len(texts) + 1, texts.offset * 4)
    starts, lengths = offsets[:-1] - offsets[0], np.diff(offsets)
    content = texts.buffers()[2] or b""
    data = np.frombuffer(content, np.uint8)[offsets[0] : offsets[-1]]
    data = np.append(data, np.zeros(8, np.uint8))
    # The eight bytes from each position on.
    words = np.ndarray(len(data) - 7, "<u8", data, strides=(1,))
    hashes = lengths.astype(np.uint64) * _ODD
    for first in range(0, int(lengths.max(initial=0)), 8):
        left = lengths - first
        rows = slice(None) if left.min() > 0 else np.flatnonzero(left > 0)
        unused = (8 - np.minimum(left[rows], 8)).astype(np.uint64) * np.uint64(8)
        # The first byte of a text is the lowest one of its word.
        word = words[starts[rows] + first] << unused
        hashes[rows] = mixed_keys(hashes[rows], word)
    return hashes


def mixed_keys(keys: np.ndarray, more: np.ndarray) -> np.ndarray:
    """Returns keys, uint64, that depend on both arguments and are spread over all bits.

    Args:
        keys: Keys, uint64.
        more: Unsigned integers to mix into them, of the same shape.
    """
    mixed: np.ndarray = (keys ^ more) * _ODD
    return mixed ^ (mixed >> np.uint64(29))
