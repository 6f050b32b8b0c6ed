import datetime
import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from kfc.data.tables import is_table, read_table
from kfc.errors import DataError

CELLS = {"n": [1.5, None, 3.0], "t": ["x", None, "z"], "b": [True, False, None]}


class OnlyArrow:
    """Offers what DuckDB and other libraries do: columns and the Arrow stream."""

    columns = property(lambda self: self._table.column_names)

    def __init__(self, cells):
        self._table = pa.table(cells)

    def __arrow_c_stream__(self, requested_schema=None):
        return self._table.__arrow_c_stream__(requested_schema)


FRAMES = {
    "pandas": pd.DataFrame,
    "pandas nullable": lambda cells: pd.DataFrame(cells).convert_dtypes(),
    "pandas on Arrow": lambda cells: pd.DataFrame(cells).convert_dtypes(
        dtype_backend="pyarrow"
    ),
    "polars": pl.DataFrame,
    "an Arrow table": pa.table,
    "an Arrow batch": lambda cells: pa.RecordBatch.from_pydict(cells),
    "an Arrow reader": lambda cells: pa.table(cells).to_reader(),
    "the Arrow stream": OnlyArrow,
    "a dict of lists": dict,
    "a dict of series": lambda cells: {key: pl.Series(cells[key]) for key in cells},
    "a dict of arrays": lambda cells: {
        "n": np.array([1.5, np.nan, 3.0]),
        "t": pd.Series(cells["t"]),
        "b": pa.array(cells["b"]),
    },
}


def columns(values):
    return read_table(values, "data").columns


@pytest.fixture
def refused(only_finding):
    return lambda values: only_finding(DataError, read_table, values, "data")


@pytest.mark.parametrize("frame", FRAMES.values(), ids=[*FRAMES])
def test_frames_of_all_libraries_are_read_alike(frame):
    values = frame(CELLS)
    assert is_table(values)
    table = columns(values)
    assert table.to_pydict() == CELLS
    assert table.schema.types == [pa.float64(), pa.string(), pa.bool_()]


def test_an_index_of_pandas_is_left_out_and_the_order_kept():
    frame = pd.DataFrame({"a": [10, 20, 30], "b": list("xyz")}, index=[7, 7, 1])
    assert columns(frame).to_pydict() == {"a": [10, 20, 30], "b": ["x", "y", "z"]}
    assert columns({"a": frame["a"], "b": [1, 2, 3]})["a"].to_pylist() == [10, 20, 30]


@pytest.mark.parametrize("ordered", [False, True])
def test_categories_of_pandas_are_dictionaries(ordered):
    text = pd.Categorical(["b", "a", None], categories=["b", "a", "c"], ordered=ordered)
    table = columns(pd.DataFrame({"t": text, "n": pd.Categorical([3, 1, 3])}))
    assert table.to_pydict() == {"t": ["b", "a", None], "n": [3, 1, 3]}
    assert pa.types.is_dictionary(table["t"].type)
    assert table["t"].type.value_type == pa.string()


def test_types_of_pandas_are_kept():
    frame = pd.DataFrame(
        {
            "i": pd.array([1, None, 2**53 + 1], "Int64"),
            "d": pd.to_datetime(["2013-01-02", None, "2014-01-01"]),
            "z": pd.to_datetime(["2013-01-02"] * 3).tz_localize("Europe/Berlin"),
            "o": [datetime.date(2013, 1, 2), None, datetime.date(2014, 1, 1)],
            "s": pd.array(["a", None, "b"], "string"),
            "f": np.array([1, np.nan, 2], np.float32),
        }
    )
    table = columns(frame)
    assert table["i"].to_pylist() == [1, None, 2**53 + 1]
    assert table["d"].null_count == table["f"].null_count == table["s"].null_count == 1
    assert pa.types.is_timestamp(table["d"].type)
    assert table["z"].type.tz == "Europe/Berlin"
    assert table["o"].type == pa.date32()
    assert table["f"].type == pa.float32()


def test_categories_of_polars_and_dictionaries_of_chunks_are_unified():
    frame = pl.DataFrame({"t": pl.Series(["x", "y", None], dtype=pl.Categorical)})
    assert columns(frame)["t"].to_pylist() == ["x", "y", None]
    chunks = [pa.array(["x", "y"]).dictionary_encode(), pa.array(["z"]).dictionary_encode()]
    table = columns(pa.table({"t": pa.chunked_array(chunks)}))
    assert table["t"].to_pylist() == ["x", "y", "z"]
    assert table["t"].chunk(0).dictionary == table["t"].chunk(1).dictionary


def test_several_chunks_of_polars_are_read():
    frame = pl.concat([pl.DataFrame({"t": ["x"]}), pl.DataFrame({"t": ["y"]})], rechunk=False)
    assert columns(frame)["t"].to_pylist() == ["x", "y"]


def test_nested_columns_are_kept():
    table = pa.table({"n": [1, 2], "l": [[1], [2, 3]]})
    assert columns(table) == table


@pytest.mark.parametrize("cells", [[1, "x", 3], ["1", 2, "3"], [None, 1.5, "x"]])
def test_a_column_of_numbers_and_texts_is_refused(refused, cells):
    row = 1 if cells[0] else 2
    finding = refused(pd.DataFrame({"a": [1, 2, 3], "mix": pd.Series(cells, dtype=object)}))
    assert finding.where == f"data, row {row}, column 'mix'"
    assert repr(cells[row]) in finding.got
    assert refused({"mix": cells}).where == f"data, row {row}, column 'mix'"


def test_objects_that_arrow_cannot_hold_are_refused(refused):
    assert "column 'o'" in refused(pd.DataFrame({"o": [object(), object()]})).where


def test_lazy_frames_are_refused(refused):
    frame = pl.DataFrame(CELLS).lazy()
    assert "Collect it first" in refused(frame).remedy
    assert not is_table(frame)


@pytest.mark.parametrize(
    "values",
    [
        None,
        [[1, 2]],
        np.zeros((3, 2)),
        pd.Series([1]),
        pl.Series([1]),
        pa.array([1]),
        pa.chunked_array([[1]]),
        "rows.csv",
        {},
        {"a": 1},
        {"a": "text"},
        {"a": np.zeros((3, 2))},
        {"train": ([[1.0]], [0])},
    ],
)
def test_other_values_are_no_tables(refused, values):
    assert not is_table(values)
    assert refused(values)


def test_names_are_texts_and_differ(refused):
    assert columns(pd.DataFrame([[1, 2]])).column_names == ["0", "1"]
    assert "'a'" in refused(pd.DataFrame([[1, 2]], columns=["a", "a"])).got
    assert "'1'" in refused({1: [1], "1": [2]}).got
    assert "'a'" in refused(pa.table([[1], [2]], names=["a", "a"])).got
    assert "('a', 'b')" in refused(pd.DataFrame({("a", "b"): [1]})).got


def test_columns_of_other_lengths_and_frames_without_rows_are_refused(refused):
    assert refused({"a": [1, 2], "b": [1]}).got == "2 in 'a' and 1 in 'b'"
    assert refused(pd.DataFrame({"a": []})).expected == "at least one row"
    assert refused(pl.DataFrame()).expected == "at least one row"


def test_no_library_of_frames_is_imported_to_know_a_table():
    code = (
        "import sys; from kfc.data.tables import is_table; is_table({'a': [1]}); "
        "assert not {'pandas', 'polars', 'tensorflow'} & {*sys.modules}"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
