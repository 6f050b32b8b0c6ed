import datetime

import pyarrow as pa
import pytest

from kfc.data.tables import RawTable, typed_column
from kfc.errors import DataError
from kfc.spec import ColumnSpec


def typed(values, kind, form=None, **csv):
    values = values if isinstance(values, (pa.Array, pa.ChunkedArray)) else pa.array(values)
    raw = RawTable(pa.table({"x": values}), "t", (("t.csv", len(values)),) if csv else (), csv)
    return typed_column(raw, "x", ColumnSpec(type=kind, format=form))


def problem(*args, **csv):
    with pytest.raises(DataError) as error:
        typed(*args, **csv)
    return error.value.findings[0]


def test_numbers_are_float64():
    column = typed(["1,5", " 2", None], "number", decimal=",")
    assert column.type == pa.float64()
    assert column.to_pylist() == [1.5, 2.0, None]
    assert typed([True, None], "number").to_pylist() == [1.0, None]
    assert typed(pa.array(["1", "2"]).dictionary_encode(), "number").to_pylist() == [1, 2]
    assert typed([1.5, float("nan")], "number").to_pylist() == [1.5, None]
    assert typed([2**53 + 1], "number").to_pylist() == [2.0**53]


@pytest.mark.parametrize("cell", ["x", "inf", "nan", "0x1F", "1_000", "", "1e400"])
def test_a_cell_that_is_no_number_is_refused_with_its_place(cell):
    found = problem(["1", None, cell, "y"], "number", decimal=".", missing_values=["", "NA"])
    assert found.where == "t.csv, row 3, column 'x'"
    assert found.got == repr(cell)
    assert 'data.csv.missing_values: ["NA"' in found.remedy


def test_infinite_numbers_and_other_types_are_refused():
    assert problem([1.0, None, float("inf")], "number").where == "t, row 2, column 'x'"
    assert "list" in problem([[1.0]], "number").got
    assert "timestamp" in problem([datetime.datetime(2013, 1, 1)], "boolean").got


def test_booleans_are_read_from_words_and_from_0_and_1():
    assert typed(["Yes", " no", None], "boolean").to_pylist() == [True, False, None]
    assert typed(["1", "0", None], "boolean", decimal=".").to_pylist() == [True, False, None]
    assert typed([1.0, 0.0, None], "boolean").to_pylist() == [True, False, None]
    assert problem(["yes", "no", "2"], "boolean").got == "'2'"
    assert problem(["0", "1", "2"], "boolean").got == "'2'"
    assert problem([0, 1, 2], "boolean").got == "2"


def test_dates_are_read_by_their_format():
    day = datetime.datetime(2013, 2, 1)
    assert typed(["1/2/2013", None], "date", "%d/%m/%Y").to_pylist() == [day, None]
    assert typed([20130201, None], "date", "%Y%m%d").to_pylist() == [day, None]
    assert typed(["2013-02-01"], "date").to_pylist() == [day]
    assert typed([day.date()], "date").to_pylist() == [day]
    moment = typed(["01.02.2013 04:05:06"], "date", "%d.%m.%Y %H:%M:%S")
    assert moment.to_pylist() == [datetime.datetime(2013, 2, 1, 4, 5, 6)]
    assert moment.type == pa.timestamp("us")


def test_zones_become_utc():
    expected = [datetime.datetime(2013, 2, 1, 8)]
    assert typed(["2013-02-01T10:00+02:00"], "date").to_pylist() == expected
    zoned = pa.array([datetime.datetime(2013, 2, 1, 8)], pa.timestamp("s")).cast(
        pa.timestamp("s", "Europe/Berlin")
    )
    assert typed(zoned, "date").to_pylist() == expected


@pytest.mark.parametrize(
    ("cells", "form", "got"),
    [
        (["2013-01-01", "2013-13-01"], None, "'2013-13-01'"),
        (["2013-01-01", "2013-02-30", "x"], None, "'2013-02-30'"),
        (["2013-01-01", "2013-01-01T10:00Z"], None, "'2013-01-01T10:00Z'"),
        (["x", "2013-01-01"], None, "'x'"),
        (["31/01/2013", "31/02/2013"], "%d/%m/%Y", "'31/02/2013'"),
        (["20130101", "2013011"], "%Y%m%d", "'2013011'"),
        (["2013-01-01 24:00"], "%Y-%m-%d %H:%M", "'2013-01-01 24:00'"),
        (["1.2.13"], "%d.%m.%Y", "'1.2.13'"),
    ],
)
def test_dates_that_do_not_exist_or_have_another_form_are_refused(cells, form, got):
    found = problem(cells, "date", form, decimal=".")
    assert found.got == got
    assert "missing_values" in found.remedy


@pytest.mark.parametrize("form", ["%d %b %Y", "%d/%m", "%Y %Y", "%y", "%"])
def test_formats_that_cannot_be_read_are_refused(form):
    assert problem(["1"], "date", form).where == "data.columns.x.format"


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        (pa.array(["01", " a", None, ""]), ["01", " a", None, ""]),
        (pa.array([1, None, 2]), ["1", None, "2"]),
        (
            pa.array([1.0, -0.0, 0.0, 1.5, 1e20, float("nan")]),
            ["1", "0", "0", "1.5", "1e+20", None],
        ),
        (pa.array([0.1, 2.0], pa.float32()), ["0.1", "2"]),
        (pa.array([True, False]), ["true", "false"]),
        (pa.array([3, 1, None]).dictionary_encode(), ["3", "1", None]),
        (pa.array(["b", None]).dictionary_encode(), ["b", None]),
        (pa.array([0], pa.date32()), ["1970-01-01"]),
        (pa.array([1_500_000], pa.timestamp("us")), ["1970-01-01T00:00:01.5"]),
        (pa.nulls(2), [None, None]),
        (pa.array([], pa.string()), []),
    ],
)
def test_categories_have_one_text(values, texts):
    column = typed(values, "category")
    assert column.type == pa.dictionary(pa.int32(), pa.string())
    assert column.to_pylist() == texts


def test_chunks_of_categories_share_a_dictionary_of_used_values():
    chunks = [
        pa.DictionaryArray.from_arrays([1], ["a", "b", "z"]),
        pa.DictionaryArray.from_arrays([0], ["c", "b"]),
    ]
    column = typed(pa.chunked_array(chunks), "category")
    assert column.to_pylist() == ["b", "c"]
    assert all(chunk.dictionary.to_pylist() == ["b", "c"] for chunk in column.chunks)


def test_an_ignored_column_is_not_converted():
    with pytest.raises(ValueError, match="is ignored"):
        typed(["a"], "ignore")
