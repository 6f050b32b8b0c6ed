import numpy as np
import pyarrow as pa
import pytest

from kfc.errors import DataError
from kfc.preprocessing.boolean_column import BooleanColumn
from kfc.preprocessing.column_encoding import row_place


def truths(*values):
    return pa.chunked_array([pa.array(values, pa.bool_())])


def test_true_is_one_and_false_minus_one():
    column = BooleanColumn.fit("on", truths(True, False))
    assert (column.number_names, column.flag_names) == ((), ("on",))
    np.testing.assert_array_equal(column.apply(truths(False, None, True)), [[-1], [0], [1]])


def test_gaps_in_training_have_a_flag():
    column = BooleanColumn.fit("on", truths(True, None))
    assert column.flag_names == ("on", "on is missing")
    np.testing.assert_array_equal(
        column.apply(truths(False, None, True)), [[-1, 0], [0, 1], [1, 0]]
    )


def test_a_gap_that_the_model_cannot_take_is_named():
    column = BooleanColumn.fit("on", truths(True, False))
    assert column.input_dtype == "bool"
    with pytest.raises(DataError, match="row 1, column 'on': expected true or false"):
        column.raw_input(truths(True, None), row_place)
