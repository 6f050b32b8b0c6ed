import pyarrow as pa
import pytest

from kfc.data.tables import RawTable, report_table, resolve_columns


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        (pa.array([[1], [2, 3], [1]]), "-"),  # lists, which Arrow does not compare
        (pa.array([None, None, None], pa.string()), "0"),
        (pa.array([1.5, None, 2.5]), "2"),
    ],
)
def test_a_count_of_values_that_is_not_known_is_not_shown_as_none(values, shown):
    raw = RawTable(pa.table({"x": values, "y": ["a", "b", "a"]}), "a frame")
    table = report_table(resolve_columns(raw, {}, "y"))
    heads = [str(column.header) for column in table.columns]
    (cell,) = table.columns[heads.index("distinct")].cells
    assert str(cell) == shown
