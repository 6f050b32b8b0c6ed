"""Gives each row a number that equal rows share, to find rows that repeat."""

from __future__ import annotations

import numpy as np

from kfc.system import DiskArray, chunks

_SEED = 0
_ROWS = 4096  # hashed at once, so that the products stay in the cache


def row_keys(x: np.ndarray | DiskArray, y: np.ndarray | None = None) -> np.ndarray:
    """Returns a number for each row, uint64, which equal rows share and others do not.

        key = sum over words w_i of a row of r_i w_i    (mod 2^64)

    with random odd r_i. Two different rows share a key with a probability below 2^-32: Carter
    and Wegman, "Universal classes of hash functions", 1979,
    https://doi.org/10.1016/0022-0000(79)90044-8.

    Args:
        x: Inputs, (rows, ...), uint8 or floats, which count as float32.
        y: Targets, of which the key depends too; None to leave them out.
    """
    keys = np.empty(len(x), np.uint64)
    for first, part in chunks(x):
        for start in range(0, len(part), _ROWS):
            rows = part[start : start + _ROWS]
            place = slice(first + start, first + start + len(rows))
            words = [_words(rows)]
            if y is not None:
                words.append(_words(np.asarray(y[place], np.float32)))
            keys[place] = _summed(np.concatenate(words, axis=1))
    return keys


def _words(rows: np.ndarray) -> np.ndarray:
    """Returns rows as words of 32 bits, (rows, words); -0 is 0."""
    flat = rows.reshape(len(rows), -1)
    if flat.dtype == np.uint8:
        flat = np.pad(flat, ((0, 0), (0, -flat.shape[1] % 4)))
        return np.ascontiguousarray(flat).view(np.uint32)
    return np.ascontiguousarray(flat.astype(np.float32) + np.float32(0)).view(np.uint32)


def _summed(words: np.ndarray) -> np.ndarray:
    generator = np.random.default_rng(_SEED)
    factors = generator.integers(2**63, size=words.shape[1], dtype=np.uint64)
    return (words * (2 * factors + 1)).sum(axis=1, dtype=np.uint64)
