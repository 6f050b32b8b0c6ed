import datetime
import decimal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kfc.data.tables import read_parquet
from kfc.data.tables.parquet_files import refusing_damage
from kfc.errors import DataError

TABLE = pa.table({"n": [1, None, 3], "t": ["x", "y", None]})


@pytest.fixture
def refused(only_finding):
    return lambda path: only_finding(DataError, read_parquet, path, "parquet")


def test_a_file_is_read_with_its_types(tmp_path):
    table = pa.table(
        {
            "i": pa.array([2**53 + 1, None]),
            "d": pa.array(["x", None]).dictionary_encode(),
            "z": pa.array([datetime.datetime(2013, 1, 2)] * 2, pa.timestamp("us", "UTC")),
            "m": [decimal.Decimal("1.5"), None],
            "l": [[1], None],
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    raw = read_parquet(tmp_path / "a.parquet", "parquet:a")
    assert raw.columns == table
    assert raw.csv == {}
    assert raw.place(1).endswith("a.parquet, row 2")


def test_parts_of_one_schema_are_read_in_order_of_their_names(tmp_path):
    for name, texts in (("b", ["z", "x"]), ("a", ["x", "y"])):
        part = pa.table({"t": pa.array(texts).dictionary_encode()})
        pq.write_table(part, tmp_path / f"{name}.parquet")
    (tmp_path / "_SUCCESS").touch()
    column = read_parquet(tmp_path, "parquet").columns["t"]
    assert column.to_pylist() == ["x", "y", "z", "x"]
    assert column.chunk(0).dictionary == column.chunk(1).dictionary


def test_a_part_of_another_schema_is_refused(tmp_path, refused):
    pq.write_table(TABLE, tmp_path / "a.parquet")
    pq.write_table(
        TABLE.cast(pa.schema({"n": "float64", "t": "string"})), tmp_path / "b.parquet"
    )
    finding = refused(tmp_path)
    assert finding.where.endswith("b.parquet")
    assert "'n' of type int64" in finding.expected
    assert finding.got == "'n' of type double"
    pq.write_table(TABLE.select(["n"]), tmp_path / "b.parquet")
    assert refused(tmp_path).got == "no more columns"


def test_an_index_of_pandas_without_a_name_is_left_out(tmp_path):
    frame = pd.DataFrame({"a": [1, 2]}, index=[5, 3])
    frame.to_parquet(tmp_path / "a.parquet")
    assert read_parquet(tmp_path / "a.parquet", "p").columns.to_pydict() == {"a": [1, 2]}
    frame.rename_axis("id").to_parquet(tmp_path / "a.parquet")
    assert read_parquet(tmp_path / "a.parquet", "p").columns.column_names == ["a", "id"]


def test_names_of_folders_are_no_columns(tmp_path):
    folder = tmp_path / "year=2013"
    folder.mkdir()
    pq.write_table(TABLE, folder / "a.parquet")
    assert read_parquet(folder, "p").columns.column_names == ["n", "t"]


def test_damaged_files_are_refused(tmp_path, refused):
    path = tmp_path / "a.parquet"
    assert refused(path).got == "no such file"
    for content in (b"", b"a,b\n1,2\n", b"PAR1" + bytes(50) + b"PAR1"):
        path.write_bytes(content)
        assert refused(path).where == str(path)
    pq.write_table(TABLE, path)
    whole = path.read_bytes()
    path.write_bytes(whole[:4] + bytes(60) + whole[64:])
    assert refused(path).where == str(path)


def test_files_without_rows_and_folders_without_parts_are_refused(tmp_path, refused):
    assert refused(tmp_path).got == "none"
    pq.write_table(TABLE.slice(0, 0), tmp_path / "a.parquet")
    assert refused(tmp_path).expected == "at least one row"


def test_names_that_occur_twice_are_refused(tmp_path, refused):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table([[1], [2]], names=["a", "a"]), path)
    assert "'a' for the columns 1 and 2" in refused(path).got


def test_too_little_memory_is_no_damage_of_the_file(tmp_path):
    with pytest.raises(MemoryError), refusing_damage(tmp_path / "part.parquet"):
        raise pa.ArrowMemoryError("malloc of size 64 failed")
