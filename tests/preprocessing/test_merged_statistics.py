import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kfc.preprocessing import merged_statistics
from kfc.preprocessing.merged_statistics import (
    at_ranks,
    counted_values,
    exact_mean,
    median,
    merged_counts,
)

NUMBERS = st.floats(allow_nan=False, allow_infinity=False, width=64, max_value=1e300)
RNG = np.random.default_rng(0)
COLUMNS = {
    "normal": RNG.normal(size=1001),
    "even": RNG.normal(size=1000),
    "mostly zero": np.where(RNG.random(1000) < 0.9, 0, RNG.normal(size=1000)),
    "integers": RNG.integers(-5, 5, 700),
    "float32": RNG.normal(size=500).astype(np.float32),
    "equal": np.full(300, 7.0),
    "one": np.array([3.0]),
}


@pytest.fixture(params=COLUMNS.values(), ids=COLUMNS)
def column(request):
    return request.param


@pytest.fixture
def short_blocks(monkeypatch):
    """Blocks of some 50 values, so that a column of 1,000 has many."""
    monkeypatch.setattr(merged_statistics, "MOST_VALUES", 50)


def pieces(values, size=37):
    return lambda: (values[first : first + size] for first in range(0, len(values), size))


def test_the_median_of_pieces_is_that_of_the_column(column, short_blocks):
    assert median(pieces(column)) == np.median(column)


def test_values_at_ranks_are_those_of_the_sorted_column(column, short_blocks):
    ranks = sorted({0, len(column) // 4, len(column) // 2, len(column) - 1})
    np.testing.assert_array_equal(at_ranks(pieces(column), ranks), np.sort(column)[ranks])


def test_values_and_counts_of_pieces_are_those_of_the_column(column, short_blocks):
    blocks = list(counted_values(pieces(column)))
    values, counts = np.unique(column, return_counts=True)
    np.testing.assert_array_equal(np.concatenate([block for block, _ in blocks]), values)
    np.testing.assert_array_equal(np.concatenate([count for _, count in blocks]), counts)


def test_a_short_column_is_one_block(column):
    assert len(list(counted_values(pieces(column)))) == 1


def test_a_block_of_a_long_column_is_short(short_blocks):
    longest = max(len(values) for values, _ in counted_values(pieces(COLUMNS["normal"])))
    assert longest <= 50


def test_no_numbers_have_the_median_and_the_mean_zero():
    assert median(lambda: []) == exact_mean([]) == 0
    assert [len(values) for values, _ in counted_values(lambda: [])] == [0]


@settings(deadline=None)
@given(st.lists(st.lists(NUMBERS.filter(lambda x: x > -1e300), max_size=5), max_size=5))
def test_a_mean_is_rounded_once_wherever_the_column_is_divided(parts):
    numbers = [number for part in parts for number in part]
    expected = math.fsum(numbers) / max(len(numbers), 1)
    got = exact_mean(np.array(part, np.float64) for part in parts)
    assert got == exact_mean([np.array(numbers, np.float64)])
    assert got == pytest.approx(expected, rel=1e-15, abs=5e-324)


def test_a_mean_loses_nothing_to_large_numbers():
    assert exact_mean([np.array([1e300, 1.0]), np.array([-1e300, 2.0, 5e-324])]) == 0.6


def test_the_mean_of_numpy_is_within_a_few_roundings(column):
    assert exact_mean(pieces(column)()) == pytest.approx(
        float(column.mean(dtype=np.float64)), rel=1e-13, abs=1e-15
    )


def test_vocabularies_are_merged_with_their_counts():
    words = RNG.choice([f"word {i}" for i in range(30)], 500)
    parts = []
    for first in range(0, 500, 60):
        texts, counts = np.unique(words[first : first + 60], return_counts=True)
        parts.append((pa.array(texts), counts))
    texts, counts = merged_counts(parts)
    expected = dict(zip(*np.unique(words, return_counts=True), strict=True))
    assert dict(zip(texts.to_pylist(), counts.tolist(), strict=True)) == expected
