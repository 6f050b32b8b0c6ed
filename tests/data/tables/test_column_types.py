import pyarrow as pa
import pytest

from kfc.data.tables import RawTable, find_missing_markers, resolve_columns, typed_column
from kfc.errors import DataError
from kfc.spec import ColumnSpec


def of_text(*cells, decimal=".", name="x"):
    table = pa.table({name: pa.array(cells, pa.string()), "y": ["a"] * len(cells)})
    files = (("t.csv", len(cells)),)
    return RawTable(table, "csv:t.csv", files, {"decimal": decimal, "missing_values": [""]})


def of_values(values, name="x"):
    return RawTable(pa.table({name: values, "y": ["a"] * len(values)}), "a frame")


def report(raw, said=None):
    (only,) = resolve_columns(raw, said or {}, "y")
    return only


def kind(*cells, **options):
    return report(of_text(*cells, **options)).column.type


def finding(*cells, **options):
    with pytest.raises(DataError) as error:
        report(of_text(*cells, **options))
    return error.value.findings[0]


@pytest.mark.parametrize(
    ("cells", "expected", "why"),
    [
        ([None, None], "ignore", "empty"),
        (["a", "a"], "ignore", "the same in every row"),
        (["7", "7"], "ignore", "the same in every row"),
        (["0", None], "number", "integers"),
        (["true", "False", None], "boolean", "only true and False"),
        (["Yes", "no"], "boolean", "only Yes and no"),
        (["T", "f"], "boolean", "only T and f"),
        (["Y", None], "boolean", "only Y"),
        (["yes", "f"], "category", "text"),
        (["0", "1"], "number", "integers"),
        (["1.5", "-2e3", "+.5", None, "7."], "number", "numbers"),
        ([" 1.5", "2 "], "number", "numbers"),
        (["1.5\u00a0", "\u00a02"], "number", "numbers"),
        (["0", "0.5", "-0.5"], "number", "numbers"),
        (["0", "-0"], "ignore", "the same in every row"),
        (["01234", "12345", "01234"], "category", "leading zeros: a code, not a number"),
        (["+07", "1.5"], "category", "leading zeros: a code, not a number"),
        ([" 07", "1.5"], "category", "leading zeros: a code, not a number"),
        (["0", "0.5", "-0.5", "+0"], "number", "numbers"),
        (["-05", "12"], "category", "leading zeros: a code, not a number"),
        (
            ["9007199254740993", "1", "1"],
            "category",
            "integers beyond 2^53: codes, not numbers",
        ),
        (["20130131", "20140228"], "date", "dates %Y%m%d"),
        (["20130131", "20140230"], "number", "integers"),
        (["2013-01-31", "2014-02-28"], "date", "dates, ISO"),
        (["2013-01-31", "2014-02-28 10:30"], "date", "dates, ISO"),
        (["2013-01-31T10:00:00.5", "2014-02-28 10:30"], "date", "dates, ISO"),
        (
            ["2013-01-31T10:00Z", "2014-02-28 10:30Z"],
            "date",
            "dates, ISO with a time zone",
        ),
        (["31/1/2013", "01/02/2013"], "date", "dates, %d/%m/%Y"),
        (["1/31/2013", "01/02/2013"], "date", "dates, %m/%d/%Y"),
        (["31.01.2013 10:20", "1.2.2013 08:00"], "date", "dates, %d.%m.%Y %H:%M"),
        (["31-01-2013", "01-02-2013"], "date", "dates, %d-%m-%Y"),
        (["2013/01/02", "2013/1/3"], "date", "dates, %Y/%m/%d"),
        (["a", "b", "a"], "category", "text"),
        (["NA", "b", "a"], "category", "text"),
        (["0x1F", "0x2A"], "category", "text"),
    ],
)
def test_each_line_of_the_rule_decides(cells, expected, why):
    found = report(of_text(*cells))
    assert (found.column.type, found.why) == (expected, why)
    if expected != "ignore":
        raw = of_text(*cells)  # without the columns that the inference keeps
        again = typed_column(raw, "x", found.column)
        assert again.null_count == found.missing
        assert len(again) == len(cells)


def test_a_report_counts_values_and_missing_cells_and_shows_one():
    found = report(of_text(None, "b" * 40, "a", "a"))
    assert (found.name, found.distinct, found.missing) == ("x", 2, 1)
    assert found.example == "b" * 27 + "..."


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("x", range(10)),
        ("x", [60 - i for i in range(60)]),
        ("customer_id", [5, 9, 2]),
        ("userId", [5, 9, 2]),
        ("PID", [5, 9, 2]),
        ("number", [5, 9, 2]),
    ],
)
def test_integers_that_differ_in_every_row_are_an_id(name, cells):
    found = report(of_text(*map(str, cells), name=name))
    assert found.why == "an id: a different integer in every row"
    assert report(of_values(list(cells), name)).why == found.why


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("x", [5, 9, 2]),
        ("x", range(9)),
        ("valid", [5, 9, 2]),
        ("id", [5, 5, 2]),
        ("humid", [1, 3]),
    ],
)
def test_other_integers_are_numbers(name, cells):
    assert kind(*map(str, cells), name=name) == "number"


def test_text_that_nearly_always_differs_is_ignored():
    assert report(of_text(*(f"c{i}" for i in range(20)))).why.startswith("an id or a name")
    assert report(of_text(*(f"0{i}" for i in range(20)))).column.type == "ignore"
    prose = [f"this is the remark {i // 2} of many" for i in range(40)]
    assert report(of_text(*prose)).column.type == "category"
    prose = [f"this is the remark number {i % 30}" for i in range(40)]
    assert report(of_text(*prose)).why == "free text: 6 words on average"


def test_one_bad_cell_in_numbers_is_refused():
    found = finding("1", "2", "3,5", None, "x")
    assert found.where == "t.csv, row 3, column 'x'"
    assert "data.csv.decimal" in found.remedy
    found = finding("1", "2", "oops")
    assert found.got == "'oops'"
    assert 'data.csv.missing_values: ["oops"]' in found.remedy
    assert "data.columns: {x: category}" in found.remedy


def test_all_markers_of_a_column_of_numbers_are_named():
    found = finding("NA", "-", "1.5", "NA", "NA")
    assert 'data.csv.missing_values: ["NA", "-"]' in found.remedy
    assert '["NA", "x"]' in finding("1", "NA", "2", "x").remedy
    assert "missing" not in finding("1", "2", "a long text of many words").remedy
    assert report(of_text("NA", "-", None)).why == "only marks of missing values"
    assert finding("nan", "1.5").got == "'nan'"
    assert finding("1", "2", "inf").got == "'inf'"
    assert finding("1", "2", "1e400").got == "'1e400'"


def test_numbers_with_another_mark_are_refused():
    assert "data.csv.decimal" in finding("1,5", "2,5").remedy
    for cell in ("1,234,000", "1 234", "1'234.50", "$5", "5 %", "-1.234,50 €", "£3"):
        assert "Remove such signs" in finding(cell, "oops").remedy
    assert 'decimal: "."' in finding("1.5", "2.5", decimal=",").remedy
    assert kind("1,5", "2", decimal=",") == "number"


def test_dates_in_two_forms_are_refused():
    found = finding("2013-01-02", "2013-01-03", "03.04.2013")
    assert found.got == "'03.04.2013'"
    assert finding("31/01/2013", "01/31/2013").got.startswith("dates of both forms")
    assert (
        finding("2013-01-02T10:00Z", "2013-01-02T11:00Z", "2013-01-02").got == "'2013-01-02'"
    )
    assert "missing_values" in finding("2013-01-02", "-").remedy


def test_dates_whose_day_and_month_cannot_be_told_apart_are_refused():
    remedy = finding("01/02/2013", "03/04/2013").remedy
    assert 'data.columns: {x: {type: date, format: "%d/%m/%Y"}}' in remedy


def test_a_date_that_does_not_exist_is_refused():
    assert finding("2013-02-28", "2013-02-30").got == "'2013-02-30'"
    assert finding("31/12/2013", "31/02/2013").got == "'31/02/2013'"


def test_every_column_that_needs_a_decision_is_named_at_once():
    table = pa.table({"a": ["1", "2", "x"], "b": ["1", "2", "-"], "y": ["1", "2", "z"]})
    with pytest.raises(DataError) as error:
        resolve_columns(RawTable(table, "t", (), {"decimal": "."}), {}, "y")
    assert len(error.value.findings) == 2


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pa.array([True, False]), "boolean"),
        (pa.array([1, 2, None], pa.int8()), "number"),
        (pa.array([1.5, float("nan")], pa.float32()), "number"),
        (pa.array([1, 3]).cast(pa.decimal128(21, 2)), "number"),
        (pa.array([20130131, 20140228]), "date"),
        (pa.array([2**53 + 3, 1, 1]), "category"),
        (pa.array([0, 10**9], pa.timestamp("ns", "Europe/Berlin")), "date"),
        (pa.array([0, 1], pa.date32()), "date"),
        (pa.array(["a", "b"], pa.large_string()), "category"),
        (pa.array([1, 2, 1]).dictionary_encode(), "category"),
        (pa.array([[1], [2]]), "ignore"),
        (pa.array([{"a": 1}, {"a": 2}]), "ignore"),
        (pa.array([b"a", b"b"]), "ignore"),
        (pa.array([1, 2], pa.duration("s")), "ignore"),
        (pa.array([1, 2], pa.time32("s")), "ignore"),
        (pa.array([float("nan")] * 2), "ignore"),
        (pa.nulls(2), "ignore"),
    ],
)
def test_columns_with_a_type_keep_it(values, expected):
    raw = of_values(values)
    found = report(raw)
    assert found.column.type == expected
    if expected != "ignore":
        assert typed_column(raw, "x", found.column).null_count == found.missing


def test_the_type_that_is_said_wins():
    said = {"x": ColumnSpec(type="category", min_count=3)}
    found = report(of_text("01", "2", None), said)
    assert found.column == said["x"]
    assert (found.distinct, found.missing, found.why) == (2, 1, "named by the spec")


def test_said_columns_must_be_inputs_of_the_table():
    with pytest.raises(DataError, match="Did you mean 'x'"):
        report(of_text("1"), {"X": ColumnSpec(type="number")})
    with pytest.raises(DataError, match="the target"):
        report(of_text("1"), {"y": ColumnSpec(type="number")})


def test_markers_are_found_where_the_other_values_are_numbers_or_dates():
    columns = {
        "a": ["1", "NA", "?"],
        "b": ["a", "n/a", "b"],
        "c": ["2013-01-01", "-", None],
        "d": ["1", "null", "x"],
    }
    raw = RawTable(pa.table(columns), "t", (), {"decimal": "."})
    assert find_missing_markers(raw) == ("NA", "?", "-")


def test_empty_tables_and_chunks_are_understood():
    chunks = pa.chunked_array(
        [pa.array([], pa.string()), pa.array(["a", "b"]), pa.array(["a"])]
    )
    assert report(of_values(chunks.slice(1))).distinct == 2
    assert report(of_text()).why == "empty"


@pytest.mark.parametrize(
    "cells",
    [
        ("(1.50)", "(2.00)"),
        ("\u22121.5", "\u22122"),
        ("1.5-", "2-"),
        ("'1'", "'2'"),
        ('="007"', '="008"'),
        ("1.50 EUR", "2.00 EUR"),
    ],
)
def test_numbers_with_other_signs_are_refused(cells):
    found = finding(*cells)
    assert found.where.endswith("row 1, column 'x'")
    assert found.remedy.startswith("Remove such signs")


@pytest.mark.parametrize("cell", ["1,201.5", "5%", "(3.0)"])
def test_a_cell_with_other_signs_is_no_mark_of_a_missing_value(cell):
    assert finding("1.5", "2.5", cell).remedy.startswith("Fix the cell")


@pytest.mark.parametrize(
    "cells",
    [
        ("01/02/20", "3/4/21"),
        ("01.02.20", "03.04.21"),
        ("1-Jan-2020", "3 March 2021"),
        ("Jan 1, 2020", "Sep. 3, 2021"),
        ("01/02/2020 1:30 PM", "01/02/2020 11:30:00 am"),
        ("01/02/20 13:30", None),
    ],
)
def test_dates_that_are_not_read_are_refused(cells):
    found = finding(*cells, "x")
    assert found.got == repr(cells[0])
    assert "2020-01-31" in found.remedy


@pytest.mark.parametrize("cells", [("1.10.2", "1.11.3"), ("10-20", "20-30"), ("may", "june")])
def test_texts_like_dates_are_categories(cells):
    assert kind(*cells) == "category"
