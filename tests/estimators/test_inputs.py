import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp

import kfc
from kfc.estimators import inputs
from kfc.estimators.inputs import read_x

QUICK = {"hidden": [8], "epochs": 2, "random_state": 0}


def read(x):
    return read_x(kfc.Classifier(), x, reset=True)


def test_complete_numbers_are_a_matrix_and_other_columns_a_table():
    numbers = pd.DataFrame({"a": [1, 2], "b": [True, False]})
    assert read(numbers).matrix.tolist() == [[1, 1], [2, 0]]
    assert read(numbers.assign(c=["x", None])).matrix is None
    assert read([[1, 2], [3, 4]]).matrix.dtype == np.float64
    assert read(np.array([[1, 2]], np.float32)).matrix.dtype == np.float32


def test_an_array_with_text_is_a_table_of_unnamed_columns():
    found = read(np.array([[1, "a"], [2.5, "b"], [None, "c"]], dtype=object))
    assert found.names == ("x0", "x1")
    assert found.table.column("x0").to_pylist() == [1.0, 2.5, None]


def test_the_cells_of_a_frame_are_the_same_table_as_the_frame(frame):
    x, y = frame
    cells = x.astype(object).where(x.notna(), None).to_numpy()
    cells[3, 4], cells[5, 3] = pd.NaT, pd.NA
    found = read(cells).table
    assert found.column("x3").to_pylist()[:3] == x["ok"].tolist()[:3]
    assert found.column("x4").to_pylist()[:3] == x["when"].dt.to_pydatetime().tolist()[:3]
    assert found.column("x4").null_count == found.column("x3").null_count == 1
    fitted = kfc.Classifier(**QUICK).fit(x, y)
    with pytest.warns(UserWarning, match="valid feature names"):
        by_cells = fitted.predict_proba(x.to_numpy())
    assert np.array_equal(by_cells, fitted.predict_proba(x))


@pytest.mark.parametrize(
    ("x", "got"),
    [
        (pl.LazyFrame({"a": [1.0, 2.0]}), "Collect it first"),
        ({"a": [1.0, 2.0]}, r"got a dict\. Pass pandas.DataFrame\(X\)"),
        ([{"a": 1.0}, {"a": 2.0}], "got a list of dicts"),
    ],
    ids=["lazy", "dict", "dicts"],
)
def test_rows_that_are_nearly_a_frame_are_refused_with_the_remedy(x, got):
    with pytest.raises(kfc.DataError, match=got):
        read(x)


@pytest.mark.parametrize(
    "x",
    [
        [1, 2],
        [[1, np.inf]],
        [[1j, 2]],
        np.zeros((0, 2)),
        np.zeros((2, 0)),
        np.zeros((2, 2, 2)),
    ],
    ids=["one axis", "infinity", "complex", "no row", "no column", "three axes"],
)
def test_rows_of_no_meaning_are_refused(x):
    with pytest.raises(ValueError, match=r".+"):
        read(x)


def test_a_sparse_matrix_is_dense_below_a_size(monkeypatch, iris):
    assert read(sp.csr_array(iris[0])).matrix.shape == (150, 4)
    assert read(sp.dok_array(iris[0])).matrix.shape == (150, 4)  # which is a dict, too
    monkeypatch.setattr(inputs, "LARGEST_DENSE", 4799)
    with pytest.raises(kfc.DataError, match="150 x 4, 4,800 bytes"):
        read(sp.coo_array(iris[0]))


@pytest.mark.parametrize("kind", [pd.DataFrame, pl.DataFrame, pa.table])
def test_columns_of_numbers_in_another_order_are_refused(kind, iris):
    numbers = pd.DataFrame(iris[0], columns=["a", "b", "c", "d"])
    fitted = kfc.Classifier(**QUICK).fit(kind(numbers), iris[1])
    assert fitted.feature_names_in_.tolist() == ["a", "b", "c", "d"]
    assert np.array_equal(fitted.predict(numbers), fitted.predict(kind(numbers)))
    with pytest.raises(ValueError, match="same order"):
        fitted.predict(kind(numbers[["b", "a", "c", "d"]]))


def test_other_columns_than_those_of_the_training_are_refused(frame):
    x, y = frame
    fitted = kfc.Classifier(**QUICK).fit(x, y)
    with pytest.raises(ValueError, match="feature names should match"):
        fitted.predict(x[x.columns[::-1]])
    numbers = kfc.Classifier(**QUICK).fit(x[["age"]], y)
    with pytest.raises(kfc.DataError, match="numbers, as in training"):
        numbers.predict(x[["plan"]].rename(columns={"plan": "age"}))
