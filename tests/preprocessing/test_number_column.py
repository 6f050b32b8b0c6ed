import numpy as np
import pyarrow as pa
import pytest

from kfc.errors import DataError
from kfc.preprocessing.number_column import NumberColumn


def numbers(*values):
    return pa.chunked_array([pa.array(values, pa.float64())])


def test_large_numbers_that_differ_by_one_stay_different():
    values = numbers(1.6e9 - 1, 1.6e9, 1.6e9 + 1)
    column = NumberColumn.fit("time", values, "auto")
    np.testing.assert_array_equal(column.apply(values), [[-1], [0], [1]])


@pytest.mark.parametrize(
    ("missing", "center"), [("mean", 4.0), ("median", 2.0), ("auto", 2.0)]
)
def test_a_missing_number_is_the_center_and_has_a_flag(missing, center):
    values = numbers(1, 2, 9, None, float("nan"))
    column = NumberColumn.fit("age", values, missing)
    assert column.center == center
    assert (column.number_names, column.flag_names) == (("age",), ("age is missing",))
    np.testing.assert_array_equal(
        column.apply(values),
        [[1 - center, 0], [2 - center, 0], [9 - center, 0], [0, 1], [0, 1]],
    )


@pytest.mark.parametrize("count", [1, 2, 3, 1000, 1001])
def test_the_median_is_that_of_numpy(count):
    values = np.random.default_rng(count).normal(size=count)
    column = NumberColumn.fit("age", numbers(*values), "median")
    assert column.center == np.median(values)


def test_a_column_without_gaps_has_no_flag():
    column = NumberColumn.fit("age", numbers(1, 3), "mean")
    np.testing.assert_array_equal(column.apply(numbers(None, 2.5)), [[0], [0.5]])


def test_a_refused_gap_is_named():
    column = NumberColumn.fit("age", numbers(1, 3, 8), "refuse")
    assert column.center == 4
    for refused in (
        lambda: column.apply(numbers(1, None)),
        lambda: NumberColumn.fit("age", numbers(1, None), "refuse"),
    ):
        with pytest.raises(DataError, match=r"row 1, column 'age': .*refuse, got a missing"):
            refused()


@pytest.mark.parametrize("value", [1e39, -1e39, float("inf"), 1.7e308])
def test_a_number_beyond_float32_is_named(value):
    message = "row 3, column 'age': expected a number that fits in float32"
    with pytest.raises(DataError, match=message):
        NumberColumn.fit("age", numbers(1, 2, None, value, value), "mean")
    with pytest.raises(DataError, match=r"my\.csv"):
        NumberColumn("age", False, 0.0).write(
            numbers(value), [np.empty(1, np.float32)], lambda row, column: "my.csv"
        )


def test_a_column_that_is_all_missing_is_all_zero():
    column = NumberColumn.fit("age", numbers(None, None), "auto")
    np.testing.assert_array_equal(column.apply(numbers(None, 3)), [[0, 1], [3, 0]])


@pytest.mark.parametrize("missing", ["mean", "median"])
def test_a_column_in_parts_is_learned_as_a_whole(missing):
    values = np.random.default_rng(0).normal(size=101)
    values[7] = np.nan
    parts = [numbers(*values[first : first + 20]) for first in range(0, 101, 20)]
    column = NumberColumn.fit("age", parts, missing)
    whole = NumberColumn.fit("age", numbers(*values), missing)
    assert column.gaps
    assert column.center == pytest.approx(whole.center, rel=1e-14)
    assert missing == "mean" or column.center == whole.center


@pytest.mark.parametrize(("bad", "missing"), [(None, "refuse"), (1e39, "median")])
def test_a_bad_cell_of_a_later_part_is_named_by_its_row_in_the_column(bad, missing):
    with pytest.raises(DataError, match="row 3, column 'age'"):
        NumberColumn.fit("age", [numbers(1, 2), numbers(3, bad)], missing)
