import datetime as dt
import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kfc.data.tables import draft_spec, read_table
from kfc.data.tables.plain_cells import in_microseconds, plain_cell
from kfc.data.tables.table_source import read_tables
from kfc.errors import DataError
from kfc.spec import DataSpec

NANOSECONDS = 1_600_000_000_123_456_789
TYPES = {
    "moment": pa.timestamp("ns"),
    "zoned": pa.timestamp("ns", "UTC"),
    "clock": pa.time64("ns"),
    "length": pa.duration("ns"),
}


def times(kind, rows=60):
    start = NANOSECONDS % 86_400_000_000_000 if kind == TYPES["clock"] else NANOSECONDS
    return pa.array(start + np.arange(rows) * 1_000_000_007, kind)


@pytest.mark.parametrize("kind", TYPES.values(), ids=TYPES)
def test_nanoseconds_are_cut_to_microseconds(kind):
    values = times(kind).slice(1)
    cell = plain_cell(values, 0)
    assert type(cell).__module__ == "datetime"
    assert cell == in_microseconds(values)[0].as_py()
    assert in_microseconds(values)[0].value == values[0].value // 1000


def test_other_cells_are_objects_of_python():
    assert plain_cell(pa.array([1, 2]), 1) == 2
    assert plain_cell(pa.chunked_array([["a"], ["b"]]), 1) == "b"
    assert plain_cell(pa.array([dt.date(2024, 1, 2)]), 0) == dt.date(2024, 1, 2)
    assert plain_cell(pa.array([None, 1]), 0) is None


def without_lists(draft):
    return [line for line in draft.splitlines() if "inside" not in line]


def test_a_table_with_times_is_drafted_without_pandas(tmp_path):
    """The columns are inputs of one draft and the target of another one each."""
    columns = {name: times(kind) for name, kind in TYPES.items()}
    lists = pa.array([[at] for at in times(TYPES["moment"]).cast(pa.int64()).to_pylist()])
    columns["inside"] = lists.cast(pa.list_(TYPES["moment"]))
    file = tmp_path / "times.parquet"
    pq.write_table(pa.table(columns), file)
    story = (
        "import json, sys\n"
        "from kfc.cli.startup import forgo_pandas\n"
        "forgo_pandas()\n"
        "from kfc.data.tables import draft_spec\n"
        "from kfc.spec import DataSpec\n"
        f"file, names = {str(file)!r}, {[*TYPES]!r}\n"
        "drafts = [draft_spec(file, name, DataSpec()).text for name in names]\n"
        "assert 'pandas' not in sys.modules\n"
        "print(json.dumps(drafts))"
    )
    done = subprocess.run([sys.executable, "-c", story], capture_output=True, check=True)
    drafts = json.loads(done.stdout)
    with_pandas = [draft_spec(str(file), name, DataSpec()).text for name in TYPES]
    assert list(map(without_lists, drafts)) == list(map(without_lists, with_pandas))
    assert "such as 2020-09-13 12:26:40.123456\n" in drafts[-1]
    assert "such as list<element: timestamp[ns]>\n" in drafts[-1]


@pytest.mark.parametrize("task", ["classification", "regression", None])
def test_a_target_of_lists_is_refused(task):
    table = read_table({"x": np.arange(9.0), "y": pa.array([[1], [2], [3]] * 3)}, "data")
    with pytest.raises(DataError, match=r"'y' with values of type list<item: int64>"):
        read_tables(DataSpec(target="y", task=task), {"train": table})


def test_lists_are_no_categories():
    columns = {"x": pa.array([[1], [2], [3]] * 3), "y": np.arange(9.0)}
    spec = DataSpec.model_validate({"target": "y", "columns": {"x": "category"}})
    with pytest.raises(DataError, match="expected categories, got values of type list"):
        read_tables(spec, {"train": read_table(columns, "data")})
