import sys

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from kfc.data import prepare
from kfc.data.sources.frames import column, is_frame, read_frame
from kfc.data.sources.in_memory import as_inputs, from_memory
from kfc.errors import DataError
from kfc.spec import load_spec

X = np.random.default_rng(0).normal(size=(20, 3))
Y = np.arange(20) % 2
TEXT = np.array(["no", "yes"])[Y].tolist()
CELLS = {name: X[:, number] for number, name in enumerate("abc")}


class OnlyArrow:
    """Offers what DuckDB and other libraries do: columns and the Arrow stream interface."""

    columns = property(lambda self: self._table.column_names)

    def __init__(self, table):
        self._table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return self._table.__arrow_c_stream__(requested_schema)


class OnlyArrowColumn:
    """A column with nothing but the Arrow stream interface."""

    def __init__(self, values):
        self._values = values

    def __arrow_c_stream__(self, requested_schema=None):
        return self._values.__arrow_c_stream__(requested_schema)


FRAMES = {
    "pandas": pd.DataFrame,
    "pandas on Arrow": lambda cells: pd.DataFrame(cells).convert_dtypes(
        dtype_backend="pyarrow"
    ),
    "polars": pl.DataFrame,
    "an Arrow table": pa.table,
    "an Arrow record batch": lambda cells: pa.record_batch(
        {name: pa.array(values) for name, values in cells.items()}
    ),
    "the Arrow interface": lambda cells: OnlyArrow(pa.table(cells)),
}
COLUMNS = {
    "pandas": pd.Series,
    "polars": pl.Series,
    "an Arrow array": pa.array,
    "Arrow chunks": lambda values: pa.chunked_array([values[:7], values[7:]]),
    "an Arrow dictionary": lambda values: pa.array(values).dictionary_encode(),
    "the Arrow interface": lambda values: OnlyArrowColumn(pa.chunked_array([values])),
}


@pytest.mark.parametrize("library", FRAMES)
def test_a_frame_of_any_library_is_inputs(library):
    frame = FRAMES[library](CELLS)
    source = from_memory((frame, Y))
    np.testing.assert_array_equal(source.train.x, X)
    assert source.feature_names == ("a", "b", "c")
    np.testing.assert_array_equal(as_inputs(frame, source.feature_names), X)


@pytest.mark.parametrize("library", FRAMES)
@pytest.mark.parametrize("target", [Y, TEXT], ids=["numbers", "text"])
def test_a_frame_of_any_library_may_hold_its_target(library, target):
    frame = FRAMES[library]({**CELLS, "target": target})
    source = from_memory(frame)
    np.testing.assert_array_equal(source.train.x, X)
    labels = ("0", "1") if target is Y else ("no", "yes")
    assert prepare(load_spec({}), source).task.class_names == labels
    train, test = from_memory((frame, frame)), from_memory({"train": frame, "test": frame})
    np.testing.assert_array_equal(train.test.x, X)
    np.testing.assert_array_equal(test.test.x, X)


@pytest.mark.parametrize("library", COLUMNS)
def test_a_column_of_any_library_is_targets(library):
    text, numbers = COLUMNS[library](TEXT), COLUMNS[library](Y.tolist())
    assert prepare(load_spec({}), (X, text)).task.class_names == ("no", "yes")
    np.testing.assert_array_equal(from_memory((X, numbers)).train.y, Y)
    np.testing.assert_array_equal(from_memory((X, Y, numbers)).train.sample_weight, Y)


@pytest.mark.parametrize("library", FRAMES)
@pytest.mark.parametrize(
    "cells",
    [TEXT, [1.0, None] * 10, [1, None] * 10],
    ids=["text", "missing numbers", "missing integers"],
)
def test_a_frame_with_text_or_gaps_is_a_table(library, cells):
    frame = FRAMES[library]({**CELLS, "c": cells})
    task = prepare(load_spec({}), (frame, Y)).task
    assert task.table is not None
    assert task.table.columns["c"].type == ("boolean" if cells is TEXT else "number")


@pytest.mark.parametrize("kind", [pl.Enum(["no", "yes"]), pl.Categorical])
def test_categories_are_no_numbers(kind):
    frame = pl.DataFrame({**CELLS, "c": pl.Series(TEXT, dtype=kind)})
    with pytest.raises(DataError, match="column 'c': expected numbers, got values such as"):
        from_memory((frame, Y))
    numbered = pd.DataFrame({**CELLS, "c": pd.Categorical(Y)})
    with pytest.raises(DataError, match="column 'c': expected numbers, got a column of type"):
        from_memory((numbered, Y))
    source = from_memory((X, pl.Series(TEXT, dtype=kind)))
    assert prepare(load_spec({}), source).task.class_names == ("no", "yes")


@pytest.mark.parametrize("library", ["pandas", "polars", "an Arrow table"])
def test_columns_of_several_types_keep_their_numbers(library):
    cells = {"a": X[:, 0].astype("f4"), "b": Y.astype("u1"), "c": Y > 0, "d": Y - 5}
    x = from_memory((FRAMES[library](cells), Y)).train.x
    np.testing.assert_array_equal(x, np.stack(list(cells.values()), axis=1))


@pytest.mark.parametrize("library", ["polars", "an Arrow table"])
def test_rows_to_predict_have_the_columns_of_the_training(library):
    frame = FRAMES[library](dict(reversed(CELLS.items())))
    with pytest.raises(DataError, match="columns a, b, c, in this order, got c, b, a"):
        as_inputs(frame, ("a", "b", "c"))


def test_a_frame_that_is_not_in_memory_is_refused_by_its_type():
    with pytest.raises(DataError, match="LazyFrame") as caught:
        from_memory(pl.DataFrame({**CELLS, "target": Y}).lazy())
    assert "collect()" in caught.value.findings[0].remedy


def test_an_arrow_frame_without_pyarrow_says_what_to_install(monkeypatch):
    frame = OnlyArrow(pa.table(CELLS))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DataError, match="Install pyarrow"):
        read_frame(frame)


def test_a_polars_frame_needs_no_pyarrow(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    source = from_memory(pl.DataFrame({**CELLS, "target": TEXT}))
    np.testing.assert_array_equal(source.train.x, X)
    assert source.train.y.tolist() == TEXT


@pytest.mark.parametrize("values", [X, X.tolist(), pd.Series(Y), pl.Series(Y), pa.array(Y)])
def test_arrays_and_columns_are_no_frames(values):
    assert not is_frame(values)
    assert isinstance(column(values), np.ndarray)


class Broken:
    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("Can't call numpy() on a tensor that needs gradients.\nMore")


def test_an_array_that_another_library_cannot_hand_over_is_refused():
    with pytest.raises(DataError, match=r"data, x: .*needs gradients\.\. Pass a NumPy array"):
        from_memory((Broken(), Y))


@pytest.mark.parametrize("words", [[None, "no", "yes", "no"], [None, 5, 7, 5]])
@pytest.mark.parametrize("chunks", [1, 2])
def test_a_missing_value_of_an_arrow_dictionary_is_no_other_value(words, chunks):
    array = pa.array(words).dictionary_encode()
    found = column(pa.chunked_array([array] * chunks)).tolist()
    assert found[1:4] == words[1:]
    assert pd.isna(found[:: len(words)]).all()
