import gzip

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kfc.data.tables import file_sample, read_raw, sample_files
from kfc.errors import DataError
from kfc.spec import CsvSpec

ROWS = 60_000


@pytest.fixture(autouse=True)
def small_files_are_large(monkeypatch):
    monkeypatch.setattr(file_sample, "_LARGE", 1 << 17)
    monkeypatch.setattr(file_sample, "_BLOCK", 1 << 12)
    monkeypatch.setattr(file_sample, "_ROWS", 1024)


def line(row, note="plain"):
    return f"{row},{row % 7 / 4},{note},{'no' if row % 3 else 'yes'}\n"


def write(path, lines, head="row,size,note,target\n"):
    path.write_text(head + "".join(lines), "utf-8")
    return f"csv:{path}"


def rows_of(sample):
    return np.array(sample.table.columns.column("row").to_pylist(), np.int64)


def check_rows(sample, name):
    """The rows of a sample are rows of the file, in its order, and of all columns."""
    all_rows = read_raw(name, CsvSpec()).columns
    rows = rows_of(sample)
    assert (np.diff(rows) > 0).all()
    assert sample.table.columns.equals(all_rows.take(rows.tolist()))


def test_lines_of_the_whole_file_are_read(tmp_path):
    name = write(tmp_path / "rows.csv", map(line, range(ROWS)))
    sample = sample_files(name, CsvSpec())
    check_rows(sample, name)
    assert 1000 < len(sample.table) < 5000
    assert np.histogram(rows_of(sample), 8, (0, ROWS))[0].min() > 100
    assert sample.num_rows == pytest.approx(ROWS, rel=0.05)


def test_the_first_lines_are_read_where_a_cell_may_have_several(tmp_path):
    name = write(tmp_path / "rows.csv", (line(row, '"two\nlines"') for row in range(ROWS)))
    sample = sample_files(name, CsvSpec())
    check_rows(sample, name)
    assert rows_of(sample)[-1] == len(sample.table) - 1
    assert sample.num_rows == pytest.approx(ROWS, rel=0.2)


def test_some_files_of_a_folder_are_read(tmp_path):
    for part in range(20):
        lines = (line(row) for row in range(3000 * part, 3000 * (part + 1)))
        write(tmp_path / f"{part:02}.csv", lines)
    sample = sample_files(f"csv:{tmp_path}", CsvSpec())
    check_rows(sample, f"csv:{tmp_path}")
    assert len(set(rows_of(sample) // 3000)) == 8
    assert sample.num_rows == pytest.approx(ROWS, rel=0.05)


def test_row_groups_of_the_whole_file_are_read(tmp_path):
    path, kinds = tmp_path / "rows.parquet", ["a", "b", "c"]
    rows = np.arange(ROWS)
    table = {"row": rows, "x": rows / 7, "kind": pa.array(kinds).take(pa.array(rows % 3))}
    pq.write_table(pa.table(table), path, row_group_size=4000)
    sample = sample_files(f"parquet:{path}", CsvSpec())
    check_rows(sample, f"parquet:{path}")
    assert len(set(rows_of(sample) // 4000)) == 15
    assert sample.num_rows == ROWS


@pytest.mark.parametrize("encoding", ["cp1252", "utf-8-sig"])
def test_an_encoding_of_bytes_is_sampled(tmp_path, encoding):
    text = "row,size,note,target\n" + "".join(line(row, "é") for row in range(ROWS))
    (tmp_path / "rows.csv").write_bytes(text.encode(encoding))
    form = CsvSpec(encoding=encoding)
    sample = sample_files(f"csv:{tmp_path / 'rows.csv'}", form)
    assert set(sample.table.columns.column("note").to_pylist()) == {"é"}


def small(path):
    write(path, map(line, range(200)))


def compressed(path):
    generator = np.random.default_rng(0)
    lines = (line(row, generator.random()) for row in range(ROWS))
    path.write_bytes(gzip.compress(("row,size,note,target\n" + "".join(lines)).encode()))


def in_utf_16(path):
    path.write_bytes(
        "".join(["row,size,note,target\n", *map(line, range(ROWS))]).encode("utf-16")
    )


def ragged(path):
    write(path, (line(row) + "1,2\n" for row in range(ROWS)))


def without_line_ends(path):
    path.write_text("a" * (1 << 19), "utf-8")


def no_parquet(path):
    path.write_bytes(bytes(1 << 19))


@pytest.mark.parametrize(
    "make", [small, compressed, in_utf_16, ragged, without_line_ends, no_parquet]
)
def test_what_cannot_be_read_in_pieces_has_no_sample(tmp_path, make):
    kind = "parquet" if make is no_parquet else "csv"
    path = tmp_path / f"rows.{kind}"
    make(path)
    assert sample_files(f"{kind}:{path}", CsvSpec()) is None


def test_other_sources_have_no_sample_and_a_missing_file_is_refused(tmp_path):
    assert sample_files("sklearn:digits", CsvSpec()) is None
    with pytest.raises(DataError, match="no such file"):
        sample_files(f"csv:{tmp_path / 'rows.csv'}", CsvSpec())
