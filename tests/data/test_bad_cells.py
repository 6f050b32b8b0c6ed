import numpy as np
import pytest

from kfc.data.bad_cells import (
    cell_place,
    column_place,
    first_bad_cell,
    has_decimal_comma,
    is_finite,
    reads_as_number,
)


@pytest.mark.parametrize("value", [1, 2.5, np.float32(3), "4", " 5e-1 ", True, "nan", np.inf])
def test_numbers_and_text_of_numbers_read_as_numbers(value):
    assert reads_as_number(value)


@pytest.mark.parametrize("value", [None, "", "0,1", "x", 1j, np.complex64(1), [1, 2]])
def test_other_values_do_not_read_as_numbers(value):
    assert not reads_as_number(value)


@pytest.mark.parametrize(("value", "finite"), [("1", True), ("nan", False), (np.inf, False)])
def test_nan_and_infinity_are_not_finite(value, finite):
    assert is_finite(value) == finite


@pytest.mark.parametrize(
    ("value", "has"), [("0,1", True), (" -12,50 ", True), ("1,2,3", False)]
)
def test_a_decimal_comma_is_between_digits(value, has):
    assert has_decimal_comma(value) == has


def test_the_first_bad_cell_is_named_and_the_others_are_counted():
    values = np.array([[1.0, 2.0], [np.nan, 3.0], [4.0, np.nan]])
    finding = first_bad_cell(
        values, np.isnan(values), "rows", "numbers", first_row=10, feature_names=("a", "b")
    )
    assert finding.where == "rows, row 11, column 'a'"
    assert finding.got == "nan and 1 more"
    assert finding.evidence == {"row": 11, "bad_cells": 2}
    assert first_bad_cell(values, values < 0, "rows", "numbers") is None


def test_a_cell_without_a_name_is_named_by_its_number():
    assert cell_place("rows", 0, (3,)) == "rows, row 3"
    assert cell_place("rows", 5, (3, 1)) == "rows, row 8, column 1"
    assert column_place((1, 0), ("a", "b")) == "column (1, 0)"
