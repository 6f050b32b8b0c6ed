"""Statistics of a column in pieces, merged to those of the whole column, to the same bits.

Nothing here holds a whole column: a piece is read, its statistics are merged, and it is
dropped. A value in the middle needs several passes, so pieces can be read again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Pieces = Callable[[], Iterable[np.ndarray]]
"""Function that reads a column from its first row on: numbers, (rows,), without NaN."""

MOST_VALUES = 1 << 23
"""Values that are sorted at a time, 64 MB of float64. Shorter columns are sorted at once."""

_SAMPLE = 1 << 16  # values from which the ends of blocks are chosen
_FILL = 0.75  # of a block, so that chance does not make it too long
_BITS = 53  # of a float64's significand
_LOWEST = 1126  # every float64 is a multiple of 2^-1126
_HALF = 27  # bits of the lower part of a significand; sums of 2^26 such parts are exact
_PIECE = 1 << 26


def exact_mean(pieces: Iterable[np.ndarray]) -> float:
    """Returns the mean of numbers, rounded once: whatever the pieces, it has the same bits.

        mean = round(sum_i m_i 2^(e_i)) / n)    with integers m_i, summed for each exponent e_i

    `numpy.mean` rounds each sum of two numbers, so that its last bits depend on where a column
    is divided.

    Args:
        pieces: Finite numbers, (rows,) each, float64.

    Returns:
        The mean; 0 of no numbers.

    Example:
        >>> exact_mean([np.array([1e16, 1.0]), np.array([-1e16, 2.0])])
        0.75
    """
    total, count = 0, 0
    for piece in pieces:
        for first in range(0, len(piece), _PIECE):
            part = np.asarray(piece[first : first + _PIECE], np.float64)
            count += len(part)
            total += _scaled_sum(part)
    return float(Fraction(total, max(count, 1) << _LOWEST))


def _scaled_sum(numbers: np.ndarray) -> int:
    """Returns the exact sum of numbers, times 2^1126."""
    if not len(numbers):
        return 0
    significands, exponents = np.frexp(numbers)
    integers = np.ldexp(significands, _BITS).astype(np.int64)
    lowest = int(exponents.min())
    exponents -= lowest
    # `bincount` adds float64 numbers; these are integers whose sums stay below 2^53.
    high = np.bincount(exponents, integers >> _HALF)
    low = np.bincount(exponents, integers & ((1 << _HALF) - 1))
    total = 0
    for place in np.flatnonzero((high != 0) | (low != 0)):
        both = (int(high[place]) << _HALF) + int(low[place])
        total += both << (int(place) + lowest - _BITS + _LOWEST)
    return total


def median(pieces: Pieces) -> float:
    """Returns the median of numbers, exactly; 0 of no numbers.

    Args:
        pieces: Function that reads the column.

    Example:
        >>> median(lambda: [np.array([5.0, 1.0]), np.array([9.0])])
        5.0
    """
    count = sum(len(piece) for piece in pieces())
    if not count:
        return 0.0
    middle = count // 2
    if count % 2:
        return float(at_ranks(pieces, [middle])[0])
    return float(np.mean(at_ranks(pieces, [middle - 1, middle])))


def at_ranks(pieces: Pieces, ranks: Sequence[int]) -> np.ndarray:
    """Returns the numbers that have given places in the sorted column, (ranks,), exactly.

    The column is read twice, and once more for each block of at most 2^23 values, of
    neighbouring ranks, that holds one of the places.

    Args:
        pieces: Function that reads the column.
        ranks: Places from 0, rising, less than the number of values.
    """
    count = sum(len(piece) for piece in pieces())
    ends = _block_ends(pieces, count)
    sizes = np.zeros(len(ends) + 1, np.int64)
    if len(ends):
        for piece in pieces():
            blocks = np.searchsorted(ends, piece, side="left")
            sizes += np.bincount(blocks, minlength=len(sizes))
    else:
        sizes[0] = count
    last = np.cumsum(sizes)  # ranks after each block
    found = np.empty(len(ranks))
    blocks = np.searchsorted(last, ranks, side="right")
    for block in np.unique(blocks):
        places = np.asarray(ranks)[blocks == block] - (last[block] - sizes[block])
        if sizes[block] <= 2 * MOST_VALUES:  # a partition is faster than a sort
            values = np.concatenate([*_parts_of_block(pieces, ends, int(block))])
            found[blocks == block] = np.partition(values, places)[places]
            continue
        values, counts = _block(pieces, ends, int(block))
        found[blocks == block] = values[np.searchsorted(np.cumsum(counts), places, "right")]
    return found


def counted_values(pieces: Pieces) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields the different numbers of a column, rising, and how often each occurs.

    The column is read twice, and once more for each block after the first one.

    Args:
        pieces: Function that reads the column.

    Yields:
        Values and counts of a block, (values,) each. A block has about 2^23 numbers at most,
        apart from equal ones.
    """
    count = sum(len(piece) for piece in pieces())
    ends = _block_ends(pieces, count)
    for block in range(len(ends) + 1):
        yield _block(pieces, ends, block)


def _block_ends(pieces: Pieces, count: int) -> np.ndarray:
    """Returns the largest values of all blocks but the last one, rising, (blocks - 1,)."""
    number = -(-count // int(MOST_VALUES * _FILL)) if count > MOST_VALUES else 1
    if number == 1:
        return np.empty(0)
    step = max(1, count // _SAMPLE)
    sample = np.sort(np.concatenate([piece[::step] for piece in pieces()]))
    places = np.arange(1, number) * len(sample) // number
    return np.unique(sample[places])


def _block(pieces: Pieces, ends: np.ndarray, block: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the different values of a block, rising, and their counts."""
    taken, held = [], 0
    for part in _parts_of_block(pieces, ends, block):
        taken.append((part, np.ones(0, np.int64)))
        held += len(part)
        # Many equal values would fill the memory; their counts do not.
        if held > 2 * MOST_VALUES:
            taken = [_merged(taken)]
            held = len(taken[0][0])
    return _merged(taken)


def _parts_of_block(pieces: Pieces, ends: np.ndarray, block: int) -> Iterator[np.ndarray]:
    """Yields the values of each piece that are in a block."""
    for piece in pieces():
        part = piece
        if block < len(ends):
            part = part[part <= ends[block]]
        if block > 0:
            part = part[part > ends[block - 1]]
        yield part


def _merged(parts: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Merges values with counts; values that come without have been counted once each."""
    values = np.concatenate([part for part, _ in parts]) if parts else np.empty(0)
    if not any(len(counts) for _, counts in parts):
        values.sort()
        starts = np.flatnonzero(np.append(True, values[1:] != values[:-1]))[: len(values)]
        return values[starts], np.diff(np.append(starts, len(values)))
    weights = np.concatenate(
        [counts if len(counts) else np.ones(len(part), np.int64) for part, counts in parts]
    )
    different, places = np.unique(values, return_inverse=True)
    return different, np.bincount(places, weights, len(different)).astype(np.int64)


def merged_counts(parts: Iterable[tuple[pa.Array, np.ndarray]]) -> tuple[pa.Array, np.ndarray]:
    """Merges vocabularies with counts; texts keep the order in which they came first.

    Args:
        parts: Different texts of a piece, and the number of rows of each.

    Returns:
        Different texts, (texts,), and the rows of each, int64.

    Example:
        >>> texts, counts = merged_counts(
        ...     [(pa.array(["a", "b"]), np.array([1, 2])), (pa.array(["b"]), np.array([5]))]
        ... )
        >>> texts.to_pylist(), counts.tolist()
        (['a', 'b'], [1, 7])
    """
    texts, counts = pa.array([], pa.string()), np.zeros(0, np.int64)
    for more, rows in parts:
        if not more.equals(texts):
            new = more.filter(pc.invert(pc.is_in(more, texts)))
            texts = pa.concat_arrays([texts, new])
            counts = np.append(counts, np.zeros(len(new), np.int64))
        counts[pc.index_in(more, texts).to_numpy()] += rows
    return texts, counts
