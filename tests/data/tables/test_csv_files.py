import bz2
import codecs
import csv as csv_module
import gzip
import io
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from kfc.data.tables import read_csv
from kfc.errors import DataError
from kfc.spec import CsvSpec

ROWS = "a;b;c\n1,5;x;7\n2,25;y;8\n"


@pytest.fixture
def table(tmp_path):
    """Returns a CSV file of some text or bytes as a table."""

    def read(content, **said):
        path = tmp_path / "rows.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_csv(path, CsvSpec(**said), "csv:rows.csv")

    return read


@pytest.fixture
def cells(table):
    """Returns the columns of a CSV file as lists."""
    return lambda content, **said: table(content, **said).columns.to_pydict()


@pytest.fixture
def refused(table, only_finding):
    """Returns the finding with which a CSV file is refused."""
    return lambda content, **said: only_finding(DataError, table, content, **said)


def test_all_columns_are_text_and_empty_cells_are_null(cells):
    assert cells('a,b\n007,x\n,""\n') == {"a": ["007", None], "b": ["x", None]}


def test_the_form_that_was_used_is_kept(table):
    raw = table(ROWS, missing_values=["NA"])
    form = {"delimiter": ";", "decimal": ",", "encoding": "utf-8", "missing_values": ["NA"]}
    assert raw.csv == form
    again = table(ROWS, **raw.csv)
    assert (again.csv, again.columns) == (form, raw.columns)


def test_a_place_counts_the_rows_below_the_header(table):
    assert table("a,b\n1,x\n\n2,y\n").place(1, "a").endswith("rows.csv, row 2, column 'a'")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_unicode_is_recognised(table, encoding):
    raw = table("größe,ort\n1,Köln\n".encode(encoding))
    assert raw.columns.to_pydict() == {"größe": ["1"], "ort": ["Köln"]}
    assert raw.csv["encoding"] == encoding.removesuffix("-sig")


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark_is_refused_until_it_is_named(cells, refused, encoding):
    content = "a,b\n1,Köln\n2,Rom\n".encode(encoding)
    assert encoding in refused(content).remedy
    assert cells(content, encoding=encoding)["b"] == ["Köln", "Rom"]


def test_latin_1_is_refused_until_it_is_named(cells, refused):
    content = "a,ort\n1,Rom\n2,Köln\n".encode("latin-1")
    finding = refused(content)
    assert "line 3" in finding.where
    assert "0xf6" in finding.got
    assert "data.csv.encoding: latin-1" in finding.remedy
    assert cells(content, encoding="latin-1")["ort"] == ["Rom", "Köln"]


def test_latin_1_in_the_first_line_is_refused(refused):
    assert "line 1" in refused("größe,ort\n1,Rom\n".encode("latin-1")).where


@pytest.mark.parametrize("size", range(4, 12))
def test_a_character_may_be_in_two_of_the_parts_that_are_looked_at(
    cells, refused, monkeypatch, size
):
    monkeypatch.setattr("kfc.data.tables.csv_bytes.CHUNK", size)
    text = "a,ort\n1,größe\n2,日本\n3,😀😀\n"
    assert cells(text)["ort"] == ["größe", "日本", "😀😀"]
    for bad in (b"\x80", b"\x80\x80\x80\x80", b"\xe6", b"\xf0\x9f\x98"):
        content = text.encode() + b"4," + bad + "\n5,ö\n".encode()
        with pytest.raises(UnicodeDecodeError) as error:
            content.decode()
        line = content[: error.value.start].count(b"\n") + 1
        finding = refused(content)
        assert finding.evidence == {"line": line}
        assert finding.got == f"the byte 0x{bad[0]:02x}"
    assert "0x00" in refused(text + "4,\0\n").got


@pytest.mark.parametrize("encoding", ["klingon", "rot13", "base64"])
def test_an_encoding_must_be_one_of_text(refused, encoding):
    assert refused("a,b\n1,2\n", encoding=encoding).where == "data.csv.encoding"


def test_a_mark_of_another_encoding_than_the_named_one_is_refused(refused):
    assert "utf-8" in refused(codecs.BOM_UTF8 + b"a,b\n1,2\n", encoding="latin-1").got
    assert "mark" in refused("a,b\n1,2\n".encode("utf-16-le"), encoding="utf-16").expected
    assert "utf-16" in refused("a,b\n1,2\n".encode("utf-16"), encoding="utf-8").got


def test_a_file_that_is_cut_within_a_character_is_refused(refused):
    assert "half" in refused(b"\xff\xfea\0,\0b\0\n\0\x00\xd8").got or True
    assert refused(b"\xff\xfea\0,\0b\0\n\x00x").expected == "text"
    assert "line" in refused("a,b\n1,x".encode("utf-16")[:-1]).where
    assert refused("a,b\n1,ö".encode()[:-1]).evidence == {"line": 2}


def test_the_bytes_of_a_workbook_are_refused(refused):
    assert "Save the sheet as CSV" in refused(b"PK\x03\x04" + bytes(100)).remedy


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_recognised(table, delimiter):
    raw = table(ROWS.replace(",", ".").replace(";", delimiter))
    assert raw.csv["delimiter"] == delimiter
    assert raw.columns.to_pydict()["c"] == ["7", "8"]


def test_delimiters_within_quotes_do_not_count(cells):
    text = 'a,b\n"x;1",y\n"z;2, ""q""",w\n'
    assert cells(text) == {"a": ["x;1", 'z;2, "q"'], "b": ["y", "w"]}


@pytest.mark.parametrize("text", ["a\n1\n2\n", "a b\n1 2\n", "a;b,c\n1;2,3\n", "a~b\n1~2\n"])
def test_an_unclear_delimiter_is_refused(refused, text):
    assert "data.csv.delimiter" in refused(text).remedy


def test_a_named_delimiter_is_used(cells, refused):
    assert cells("a;b,c\nx;2,y\n", delimiter=",") == {"a;b": ["x;2"], "c": ["y"]}
    assert cells("a~b\n1~2\n", delimiter="~") == {"a": ["1"], "b": ["2"]}
    assert "one cell" in refused("a,b\n1,2\n", delimiter=";").got
    assert refused("a,b\n1,2\n", delimiter='"').where == "data.csv.delimiter"
    assert refused("a,b\n1,2\n", delimiter="§").where == "data.csv.delimiter"


@pytest.mark.parametrize(
    ("text", "decimal"),
    [
        (ROWS, ","),
        ("a;b\n1,5;n/a\nn/a;x\n", ","),
        ("a;b\n1.234,5;x\n-2,5e3;y\n", ","),
        ("a;b\n1,234;0,5\n", ","),
        ("a;b\n1.5;x\n", "."),
        ("a;b\nx, y;1.5\nz;2\n", "."),
        ("a;b\n01.02.2013;3\n", "."),
        ('a,b\n"1, 2",3\n', "."),
    ],
)
def test_the_decimal_mark_is_recognised(table, text, decimal):
    assert table(text).csv["decimal"] == decimal


@pytest.mark.parametrize(
    "text",
    [
        "a;b\n1,234;x\n",
        "a;b\n1.234;x\n",
        "a;b\n1,5;2.5\n",
        "a;b\n1,5;x\n2.5;x\n",
        'a,b\n"1,5",x\n',
        'a,b\n"1,234",x\n',
    ],
)
def test_an_unclear_decimal_mark_is_refused_until_it_is_said(table, refused, text):
    assert "data.csv.decimal" in refused(text).remedy
    assert table(text, decimal=",").csv["decimal"] == ","


def test_a_decimal_comma_far_from_the_first_rows_is_seen(table):
    text = "a;b\n" + "1;x\n" * 3001 + "1,5;x\n" + "2;x\n" * 3001
    assert table(text).csv["decimal"] == ","


@pytest.mark.parametrize(
    "text", ["5.1,3.5,setosa\n4.9,3,setosa\n", "2013-01-02,a\n2013-01-03,b\n"]
)
def test_numbers_are_no_names(refused, text):
    assert "Add a first line" in refused(text).remedy


def test_a_first_row_whose_cells_occur_again_is_no_header(refused):
    finding = refused("alice,london,yes\nbob,paris,no\nalice,london,yes\n")
    assert "'alice', 'london', 'yes'" in finding.got
    assert "Add a first line" in finding.remedy


def test_a_line_for_excel_is_refused(refused):
    assert refused("sep=;\na;b\n1;2\n").remedy == "Remove this line."


def test_bad_names_are_refused(refused):
    assert "'a' for the columns 1 and 3" in refused("a,b,a\n1,2,3\n").got
    assert "blanks" in refused("a,b,a \n1,2,3\n").got
    assert "column 2" in refused("a,,c\n1,2,3\n").got
    assert "index=False" in refused(",b,c\n0,2,3\n").remedy


def test_empty_columns_without_a_name_at_the_end_are_dropped(cells):
    assert cells("a;b;;\n1;2;;\n3;4;;\n") == {"a": ["1", "3"], "b": ["2", "4"]}


def test_names_are_kept_verbatim(cells):
    assert [*cells('" a (mm)","b\n""c"""\n1,2\n')] == [" a (mm)", 'b\n"c"']


@pytest.mark.parametrize(
    ("row", "found"), [("4,5", "2"), ("4,5,6,7", "4"), ("4,5,6,", "4"), ("x", "1")]
)
def test_a_ragged_row_is_refused(refused, row, found):
    finding = refused(f"a,b,c\n1,2,3\n\n{row}\n7,8,9\n")
    assert finding.where.endswith("rows.csv, row 2")
    assert finding.expected.startswith("3 cells")
    assert finding.got == f"{found} in {row!r}"


def test_a_comma_at_the_end_of_all_rows_but_the_first_line_is_refused(refused):
    assert refused("a,b\n1,2,\n3,4,\n").where.endswith("row 1")


def test_a_ragged_row_behind_many_blocks_has_its_number(refused):
    rows = f"{'x' * 1000},y\n" * 9000
    assert refused(f"a,b\n{rows}z\n").where.endswith("row 9001")


def test_a_ragged_row_that_is_no_utf_8_is_refused(refused):
    assert refused("a,b\n1,2\nö,5,6\n".encode("latin-1")).where


def test_quoted_line_ends_are_read(cells):
    assert cells('a,b\n"x\ny",1\r\n"z\r\n",2\n') == {"a": ["x\ny", "z\r\n"], "b": ["1", "2"]}


def test_quoted_line_ends_at_the_ends_of_blocks_are_read(cells):
    long = "line\n" * 200
    rows = "".join(f'{n},"{long}"\n' for n in range(9000))
    read = cells(f"a,b\n{rows}")
    assert read["a"] == [str(n) for n in range(9000)]
    assert {*read["b"]} == {long}


def test_a_cell_larger_than_a_block_is_read(cells):
    long = "x" * 9_000_000
    assert cells(f"a,b\n1,{long}\n2,y\n")["b"] == [long, "y"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_all_ends_of_lines_are_read(cells, end):
    assert cells(ROWS.replace("\n", end))["c"] == ["7", "8"]


@pytest.mark.parametrize(
    "row", [r'"say \"hi\"",5', r'"a \", b",5', r'"\"",5', r'5,"he said \"no\", then"']
)
def test_a_quote_escaped_with_a_backslash_is_refused(refused, row):
    finding = refused(f'a,b\n"x",1\n{row}\n')
    assert finding.where.endswith("line 3")
    assert "backslash" in finding.got


def test_a_backslash_at_the_end_of_a_quoted_cell_is_text(cells):
    text = 'a,b\n"C:\\dir\\","D:\\"\n"C:\\",x\n'
    assert cells(text) == {"a": ["C:\\dir\\", "C:\\"], "b": ["D:\\", "x"]}


def test_a_quote_within_a_cell_without_quotes_is_text(cells):
    text = 'a,b\n5" disk,"x, ""y"""\n3.5",z\n'
    assert cells(text) == {"a": ['5" disk', '3.5"'], "b": ['x, "y"', "z"]}


def test_misplaced_quotes_are_refused(refused):
    assert "near" in refused('a,b\n"x"y,1\n').got
    assert "blank" in refused('a,b\n1, "x"\n').got
    finding = refused('a,b\n1,x\n2,"y\n3,z\n')
    assert (finding.expected, finding.evidence) == ("a closing quote", {"line": 3})


def test_named_missing_values_are_null(cells):
    text = "a,b\nNA,x\n-,NA\n5,None\n"
    assert cells(text) == {"a": ["NA", "-", "5"], "b": ["x", "NA", "None"]}
    assert cells(text, missing_values=["NA", "-"]) == {
        "a": [None, None, "5"],
        "b": ["x", None, "None"],
    }


def test_a_quoted_missing_value_is_text_in_a_column_of_text(cells):
    text = 'n,code,age\n1,"NA","NA"\n2,NA,5\n3,DE,\n4,"",7\n'
    assert cells(text, missing_values=["NA"]) == {
        "n": ["1", "2", "3", "4"],
        "code": ["NA", None, "DE", None],
        "age": [None, "5", None, "7"],
    }


def test_quotes_around_all_cells_say_nothing(cells):
    text = '"a","b"\n"NA","x"\n"1","NA"\n'
    assert cells(text, missing_values=["NA"]) == {"a": [None, "1"], "b": ["x", None]}


@pytest.mark.parametrize("content", ["", "\n\n", "a,b\n", "a,b", "\ufeff", b"\xff\xfe"])
def test_a_file_without_rows_is_refused(refused, content):
    assert refused(content).where.endswith("rows.csv")


def test_a_missing_file_and_folders_without_parts_are_refused(tmp_path, only_finding):
    def refused(path):
        return only_finding(DataError, read_csv, Path(path), CsvSpec(), "csv")

    assert refused(tmp_path / "none.csv").got == "no such file"
    (tmp_path / ".hidden.csv").write_text("a,b\n1,2\n")
    assert refused(tmp_path).got == "none"
    (tmp_path / "folder.csv").mkdir()
    assert refused(tmp_path).got == "none"
    assert refused("/dev/zero").got == "a device or a pipe"
    assert refused("a\0b").where == "a\0b"


def write_parts(folder, **parts):
    for name, text in parts.items():
        (folder / f"{name}.csv").write_text(text)


def test_the_parts_of_a_folder_are_read_in_order_of_their_names(tmp_path):
    write_parts(tmp_path, b="x,y\n3,c\n", a="x,y\n1,a\n2,b\n", c="x,y\n")
    (tmp_path / ".a.csv").write_text("other")
    (tmp_path / "_SUCCESS").write_text("")
    raw = read_csv(tmp_path, CsvSpec(), "csv")
    assert raw.columns.to_pydict() == {"x": ["1", "2", "3"], "y": ["a", "b", "c"]}
    assert raw.place(2).endswith("b.csv, row 1")


def test_a_part_with_another_first_line_is_refused(tmp_path, only_finding):
    write_parts(tmp_path, a="x,y\n1,a\n", b="x,z\n2,b\n")
    finding = only_finding(DataError, read_csv, tmp_path, CsvSpec(), "csv")
    assert finding.where.endswith("b.csv")
    assert finding.expected.endswith("'y' as column 2")
    assert finding.got == "'z'"


@pytest.fixture(scope="module")
def real_tables():
    """The folder of real tables in the shared data sets."""
    folder = Path(os.environ.get("KFC_DATASETS", "")) / "tables"
    if not os.environ.get("KFC_DATASETS") or not folder.is_dir():
        pytest.skip("set KFC_DATASETS to a folder with real tables in its folder tables")
    return folder


def test_real_tables_are_read_as_the_csv_module_reads_them(real_tables):
    for path in sorted(real_tables.glob("*.csv")):
        if path.stat().st_size > 1_000_000:
            continue
        raw = read_csv(path, CsvSpec(), "csv")
        with path.open(encoding="utf-8", newline="") as file:
            names, *rows = csv_module.reader(file)
        assert raw.columns.column_names == names
        read = zip(*(column.to_pylist() for column in raw.columns.columns), strict=True)
        assert [[cell or "" for cell in row] for row in read] == rows


def test_a_point_before_three_digits_is_clear_beside_another_point(table):
    assert table("a;b\n1.234;0.5\n2.345;1.5\n").csv["decimal"] == "."
    assert table("a,b\n1.234,x\n").csv["decimal"] == "."
    assert table("a;b\n1.234;0,5\n").csv["decimal"] == ","


@pytest.mark.parametrize("word", ["Total", " grand total:", "Summe"])
def test_a_last_row_of_sums_is_refused_by_its_cell(table, word):
    with pytest.raises(DataError) as caught:
        table(f"plan,fee\na,1\nb,2\n{word},3\n")
    (finding,) = caught.value.findings
    assert finding.where.endswith("rows.csv, row 3, column 'plan'")
    assert finding.remedy.startswith("Remove the last row")


def test_a_last_row_with_a_word_of_other_rows_is_a_row(cells):
    assert cells("plan,fee\nTotal,1\nb,2\nTotal,3\n")["plan"] == ["Total", "b", "Total"]
    assert cells("plan,fee\ntotal cover,1\n")["plan"] == ["total cover"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_second_byte_order_mark_is_no_part_of_a_name(table, encoding):
    raw = table(f"\ufeff\ufeff{ROWS}".encode(encoding))
    assert raw.columns.column_names == ["a", "b", "c"]


PACK = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "zst": lambda content: pa.Codec("zstd").compress(content, asbytes=True),
}


@pytest.mark.parametrize("suffix", PACK)
def test_a_compressed_file_is_read(suffix, tmp_path):
    path = tmp_path / f"rows.csv.{suffix}"
    path.write_bytes(PACK[suffix]("a;b\n1,5;ä\n2,5;ö\n".encode("utf-16")))
    raw = read_csv(path, CsvSpec(), "csv")
    assert raw.columns.to_pydict() == {"a": ["1,5", "2,5"], "b": ["ä", "ö"]}
    assert (raw.csv["encoding"], raw.csv["decimal"]) == ("utf-16", ",")
    (tmp_path / "more.CSV").write_text("a;b\n3,5;ü\n", encoding="utf-16")
    assert read_csv(tmp_path, CsvSpec(), "csv").columns["b"].to_pylist() == ["ü", "ä", "ö"]


@pytest.mark.parametrize("suffix", PACK)
def test_a_damaged_compressed_file_is_refused(suffix, tmp_path):
    content = PACK[suffix](b"a,b\n" + np.random.default_rng(0).bytes(900).hex().encode())
    path = tmp_path / "rows.csv"
    for damaged in (content[:-9], content[:40] + b"?" + content[41:]):
        path.write_bytes(damaged)
        with pytest.raises(DataError) as caught:
            read_csv(path, CsvSpec(), "csv")
        assert caught.value.findings[0].where.startswith(str(path))
    path.write_bytes(PACK[suffix](b""))
    with pytest.raises(DataError, match="an empty file"):
        read_csv(path, CsvSpec(), "csv")


def test_a_part_that_is_there_twice_is_refused(tmp_path):
    (tmp_path / "rows.csv").write_bytes(b"a,b\n1,2\n")
    (tmp_path / "rows.csv.gz").write_bytes(gzip.compress(b"a,b\n1,2\n"))
    with pytest.raises(DataError, match=r"rows\.csv and rows\.csv\.gz"):
        read_csv(tmp_path, CsvSpec(), "csv")


def test_random_tables_are_read_as_they_were_written(cells):
    random = np.random.default_rng(0)
    letters = list('ab1,;"\n |\t-.ä')
    for _ in range(200):
        texts = [
            "".join(random.choice(letters, size=random.integers(0, 6))) for _ in range(20)
        ]
        rows = [[f"r{n}", text, "end"] for n, text in enumerate(texts)]
        file = io.StringIO(newline="")
        quoting = csv_module.QUOTE_ALL if random.random() < 0.5 else csv_module.QUOTE_MINIMAL
        csv_module.writer(file, quoting=quoting, lineterminator="\n").writerows(
            [["id", "text", "last"], *rows]
        )
        read = cells(file.getvalue(), delimiter=",", decimal=".")
        assert [cell or "" for cell in read["text"]] == texts
