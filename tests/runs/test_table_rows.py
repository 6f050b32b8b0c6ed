import numpy as np
import pandas as pd
import pytest

from kfc.data import Task, prepare
from kfc.data.tables import table_in_memory
from kfc.errors import DataError, UnseenValuesWarning
from kfc.runs.table_rows import (
    encode_labelled_table,
    encoded_rows,
    table_of,
    typed_rows,
    unknown_counts,
)
from kfc.spec import load_spec

TABLE = {
    "size": [i + 0.25 for i in range(60)],
    "plan": [["basic", "plus", "pro"][i % 3] for i in range(60)],
    "label": [["no", "yes"][i % 2] for i in range(60)],
}


def task_with(**data):
    spec = load_spec({"data": {"target": "label", "scale": "standard", **data}})
    return prepare(spec, TABLE).task


TASK = task_with()


def test_columns_are_found_by_name_and_others_are_left_out():
    frame = pd.DataFrame(TABLE)
    other = frame[["label", "plan", "size"]].assign(more="x")
    wanted = encoded_rows(typed_rows(frame, TASK), TASK)
    np.testing.assert_array_equal(encoded_rows(typed_rows(other, TASK), TASK), wanted)
    raw = table_in_memory(other, "rows")
    np.testing.assert_array_equal(encoded_rows(typed_rows(raw, TASK), TASK), wanted)
    assert wanted.shape == (60, 2)
    assert wanted.dtype == np.float32


def test_a_missing_column_is_refused_with_the_nearest_name():
    with pytest.raises(DataError, match="no column 'plan'") as caught:
        typed_rows({"size": [1.0], "plans": ["pro"]}, TASK)
    assert "plans" in caught.value.findings[0].remedy
    assert caught.value.findings[0].name == "input_column_missing"


def test_an_array_is_no_table():
    with pytest.raises(DataError, match="a DataFrame or a dict of columns"):
        typed_rows(np.zeros((3, 2)), TASK)


def test_a_table_without_rows_is_refused():
    with pytest.raises(DataError, match="at least one row"):
        encoded_rows(typed_rows(pd.DataFrame(TABLE)[:0], TASK), TASK)


def test_labelled_rows_have_the_targets_of_the_frame_or_those_beside_it():
    frame = pd.DataFrame(TABLE)
    rows = encode_labelled_table(frame, TASK)
    assert rows.y.tolist() == TABLE["label"]
    beside = encode_labelled_table((frame.drop(columns="label"), frame["label"]), TASK)
    np.testing.assert_array_equal(beside.x, rows.x)
    assert beside.y.tolist() == TABLE["label"]
    with pytest.raises(DataError, match="the target's column"):
        encode_labelled_table(frame.drop(columns="label"), TASK)


def test_unknown_categories_are_counted():
    table = {"size": [1.0, 2.0, 3.0], "plan": ["pro", "gold", "gold"]}
    assert unknown_counts(typed_rows(table, TASK), TASK) == {"plan": 2}
    assert unknown_counts(typed_rows(TABLE, TASK), TASK) == {}


def test_unknown_categories_are_refused_where_the_spec_says_so():
    strict = task_with(unknown="refuse")
    table = {"size": [1.0, 2.0, 3.0], "plan": ["pro", "gold", "gold"]}
    with pytest.raises(DataError, match=r"row 1, column 'plan'.*'gold'.* 2 such cells"):
        encoded_rows(typed_rows(table, strict), strict)
    with pytest.warns(UnseenValuesWarning, match="2 of 3"):
        encoded_rows(typed_rows(table, TASK), TASK)


def test_only_a_table_has_columns():
    with pytest.raises(TypeError, match=r"task\.table"):
        table_of(Task((4,), "float32", ("a", "b")))
