import functools
import json
import os
import re
import threading

import numpy as np
import pandas as pd
import pytest

from kfc.cli import app
from kfc.data import prepare
from kfc.data.tables import csv_files, parquet_files
from kfc.errors import DataError, DiskError, SpecError
from kfc.spec import dump_spec, load_spec
from kfc.system import DiskArray

ROWS = 400
ARRAYS = np.random.default_rng(1).random((60, 2)), np.arange(60) % 2
RNG = np.random.default_rng(0)
FRAME = pd.DataFrame(
    {
        "id": np.arange(ROWS),
        "age": np.where(RNG.random(ROWS) < 0.1, np.nan, RNG.normal(40, 9, ROWS)),
        "plan": RNG.choice(["basic", "plus", None], ROWS),
        "town": RNG.choice([f"town {i}" for i in range(50)], ROWS),
        "since": pd.Timestamp("2021-01-01") + pd.to_timedelta(RNG.integers(0, 900, ROWS), "D"),
        "senior": RNG.random(ROWS) < 0.2,
        "churn": RNG.choice(["no", "yes"], ROWS),
    }
)


def csv_file(folder):
    FRAME.to_csv(folder / "t.csv", index=False)
    return f"csv:{folder / 't.csv'}"


def csv_folder(folder):
    (folder / "parts").mkdir()
    FRAME[:150].to_csv(folder / "parts" / "0.csv", index=False)
    FRAME[150:].to_csv(folder / "parts" / "1.csv", index=False)
    return f"csv:{folder / 'parts'}"


def utf16_file(folder):
    FRAME.to_csv(folder / "t.csv", index=False, encoding="utf-16", sep=";", decimal=",")
    return f"csv:{folder / 't.csv'}"


def parquet_folder(folder):
    (folder / "parts").mkdir()
    frame = FRAME.assign(plan=FRAME["plan"].astype("category"), **{"a.b": 1.0, "a": 2})
    frame[:150].to_parquet(folder / "parts" / "0.parquet")
    frame[150:].to_parquet(folder / "parts" / "1.parquet")
    return f"parquet:{folder / 'parts'}"


SOURCES = {
    "csv file": csv_file,
    "csv folder": csv_folder,
    "utf-16": utf16_file,
    "parquet folder": parquet_folder,
}


@pytest.fixture(params=SOURCES.values(), ids=SOURCES)
def source(request, tmp_path):
    return request.param(tmp_path)


@pytest.fixture
def table(tmp_path):
    return csv_file(tmp_path)


@pytest.fixture
def tiny_chunks(monkeypatch):
    """Chunks of some 30 rows, and blocks of CSV of a few hundred bytes."""
    monkeypatch.setattr("kfc.data.encoded_tables._ENCODED_BYTES", 1500)
    monkeypatch.setattr("kfc.data.tables.csv_files._BLOCK", 700)
    monkeypatch.setattr("kfc.data.encoded_tables._PART_ROWS", 30)
    monkeypatch.setattr("kfc.data.tables.column_types._ROWS", 30)
    monkeypatch.setattr("kfc.data.tables.cell_texts._WORK", 30)
    monkeypatch.setattr("kfc.data.tables.typed_table._ROWS", 30)
    monkeypatch.setattr("kfc.data.tables.table_source._ROWS", 30)
    monkeypatch.setattr("kfc.preprocessing.merged_statistics.MOST_VALUES", 50)


def spec_of(source, **of_data):
    return load_spec({"data": {"source": source, "target": "churn", **of_data}})


def streamed(source, folder, **of_data):
    return prepare(spec_of(source, stream="always", **of_data), cache=folder / "cache")


def check_same(got, expected):
    assert got.sha256 == expected.sha256
    assert got.task.table == expected.task.table
    assert got.task.class_names == expected.task.class_names
    assert got.task.scaling.get_config() == expected.task.scaling.get_config()
    assert got.reports == expected.reports
    assert {**got.resolved, "stream": ""} == {**expected.resolved, "stream": ""}
    for name in ("train", "validation", "test"):
        one, two = getattr(got, name), getattr(expected, name)
        np.testing.assert_array_equal(one.x[:], two.x[:])
        assert (one.y.dtype, one.y.tolist()) == (two.y.dtype, two.y.tolist())
        assert one.sample_weight is None
    assert list(got.test_columns.columns) == list(expected.test_columns.columns)
    for name, values in got.test_columns.columns.items():
        assert values.to_pylist() == expected.test_columns.columns[name].to_pylist()
        assert values.type == expected.test_columns.columns[name].type


@pytest.fixture
def no_reading(monkeypatch):
    """A context in which no table is read."""

    def refuse(*arguments, **options):
        raise AssertionError("a table is read")

    def begin():
        monkeypatch.setattr(csv_files, "read_csv_bytes", refuse)
        monkeypatch.setattr(parquet_files, "_columns", refuse)

    return begin


# --- the same rows ------------------------------------------------------------------------


@pytest.mark.parametrize("scale", ["unit", "standard"])
def test_streamed_rows_are_the_resident_ones(source, scale, tiny_chunks, tmp_path):
    resident = prepare(spec_of(source, scale=scale))
    found = streamed(source, tmp_path, scale=scale)
    assert isinstance(found.train.x, DiskArray)
    assert (found.resolved["stream"], resident.resolved["stream"]) == ("always", "never")
    check_same(found, resident)


def test_a_cell_is_named_as_in_memory(tmp_path):
    FRAME.assign(age=["x" if i == 77 else i for i in range(ROWS)]).to_csv(
        tmp_path / "t.csv", index=False
    )
    read = functools.partial(spec_of, f"csv:{tmp_path / 't.csv'}")
    with pytest.raises(DataError) as resident:
        prepare(read())
    with pytest.raises(DataError, match=re.escape("row 78, column 'age'")) as found:
        prepare(read(stream="always"), cache=tmp_path / "cache")
    assert str(found.value) == str(resident.value)
    assert not (tmp_path / "cache").exists()


def test_markers_in_quotes_are_read_as_in_memory(tmp_path):
    text = FRAME.assign(plan='"NA"', age='"-"').to_csv(index=False, quoting=3)
    (tmp_path / "t.csv").write_text(text.replace("town 7,", '"-",').replace("town 8,", "NA,"))
    said = {"csv": {"missing_values": ["NA", "-"]}, "columns": {"plan": "category"}}
    source = f"csv:{tmp_path / 't.csv'}"
    check_same(streamed(source, tmp_path, **said), prepare(spec_of(source, **said)))


def test_a_regression_with_tables_of_its_own_is_the_same(tmp_path):
    frame = FRAME.assign(churn=RNG.normal(size=ROWS))
    for name, part in (("a", frame[:300]), ("b", frame[300:350]), ("c", frame[350:])):
        part.to_csv(tmp_path / f"{name}.csv", index=False)
    named = [f"csv:{tmp_path / name}.csv" for name in "abc"]
    said = {"validation": named[1], "test": named[2]}
    check_same(streamed(named[0], tmp_path, **said), prepare(spec_of(named[0], **said)))


def test_rows_of_a_row_longer_than_a_block_are_the_same(tmp_path, tiny_chunks):
    FRAME.assign(town=["t" * 900, "u" * 900] * (ROWS // 2)).to_csv(
        tmp_path / "t.csv", index=False
    )
    source = f"csv:{tmp_path / 't.csv'}"
    check_same(streamed(source, tmp_path), prepare(spec_of(source)))


def test_a_ragged_row_is_refused_with_its_number(table, tmp_path):
    with (tmp_path / "t.csv").open("a") as file:
        file.write("1,2,3\n")
    with pytest.raises(DataError, match=r"t\.csv, row 401"):
        streamed(table, tmp_path)


def test_quartiles_of_streamed_rows_are_refused_after_the_rows_are_kept(
    table, tmp_path, no_reading
):
    with pytest.raises(SpecError, match="Quartiles need all rows at once"):
        streamed(table, tmp_path, scale="robust")
    no_reading()
    assert streamed(table, tmp_path, scale="standard").train.on_disk


# --- the choice ---------------------------------------------------------------------------


def test_a_table_is_streamed_if_its_files_are_large_for_the_memory(
    table, tmp_path, monkeypatch
):
    cache = tmp_path / "cache"
    assert not prepare(spec_of(table), cache=cache).train.on_disk
    monkeypatch.setattr("kfc.system.memory.limit_bytes", lambda: 20_000)
    assert prepare(spec_of(table), cache=cache).train.on_disk
    assert not prepare(spec_of(table, stream="never"), cache=cache).train.on_disk


def test_the_spec_names_the_cache(table, tmp_path):
    own = tmp_path / "own"
    found = streamed(table, tmp_path, cache=str(own))
    assert own in [*map(type(own), own.parents), own]
    assert own.is_dir()
    assert not (tmp_path / "cache").exists()
    assert found.train.on_disk


def test_a_frame_is_not_streamed():
    spec = load_spec({"data": {"target": "churn", "stream": "always"}})
    with pytest.raises(SpecError, match="always, for a table that is in memory"):
        prepare(spec, FRAME)


def test_arrays_have_no_cache():
    with pytest.raises(SpecError, match=r"data\.cache"):
        prepare(
            load_spec({"data": {"cache": "here"}}), (RNG.random((60, 2)), np.arange(60) % 2)
        )


# --- the entries --------------------------------------------------------------------------


def entries(folder):
    return sorted(path.parent.name for path in (folder / "cache").glob("*/table"))


def test_an_encoded_table_is_not_read_again(source, tmp_path, no_reading):
    first = streamed(source, tmp_path)
    files = [*(tmp_path / "cache").rglob("*")]
    times = [path.stat().st_mtime_ns for path in files]
    no_reading()
    check_same(streamed(source, tmp_path), first)
    assert [*(tmp_path / "cache").rglob("*")] == files
    assert [path.stat().st_mtime_ns for path in files] == times


def test_a_run_s_own_spec_finds_the_same_table(source, tmp_path, no_reading):
    spec = spec_of(source, stream="always")
    first = prepare(spec, cache=tmp_path / "cache")
    data = spec.data.model_copy(update=dict(first.resolved))
    (tmp_path / "spec.yaml").write_text(dump_spec(spec.model_copy(update={"data": data})))
    no_reading()
    again = prepare(load_spec(tmp_path / "spec.yaml"), cache=tmp_path / "cache")
    assert {report.why for report in again.reports} == {"named by the spec"}
    assert (again.sha256, again.task.table) == (first.sha256, first.task.table)
    np.testing.assert_array_equal(again.train.x[:], first.train.x[:])


def test_a_scaling_is_learned_once_and_kept_with_its_table(table, tmp_path, monkeypatch):
    first = streamed(table, tmp_path, scale="standard").task.scaling
    monkeypatch.setattr("kfc.data.preparation.fit_scaling", None)
    again = streamed(table, tmp_path, scale="standard").task.scaling
    assert again.get_config() == first.get_config()
    with pytest.raises(TypeError):  # another scaling is learned
        streamed(table, tmp_path, scale="unit")


def test_scalings_and_paths_share_a_table(table, tmp_path, no_reading):
    streamed(table, tmp_path)
    os.rename(tmp_path / "t.csv", tmp_path / "moved.csv")
    no_reading()
    moved = streamed(f"csv:{tmp_path / 'moved.csv'}", tmp_path, scale="standard")
    assert moved.task.scaling.is_per_feature


@pytest.mark.parametrize(
    "said", [{"missing": "mean"}, {"columns": {"id": "number"}}, {"rows": 90}, {"seed": 4}]
)
def test_other_keys_make_another_table(said, table, tmp_path):
    streamed(table, tmp_path)
    seed = said.pop("seed", 0)
    spec = spec_of(table, stream="always", **said).model_copy(update={"seed": seed})
    check_same(
        prepare(spec, cache=tmp_path / "cache"),
        prepare(spec.model_copy(update={"data": spec_of(table, **said).data})),
    )
    assert len(entries(tmp_path)) == 2


def test_another_content_makes_another_table(table, tmp_path):
    first = streamed(table, tmp_path)
    FRAME.assign(age=FRAME["age"] + 1).to_csv(tmp_path / "t.csv", index=False)
    assert streamed(table, tmp_path).sha256 != first.sha256
    assert len(entries(tmp_path)) == 2


def cut(path):
    os.truncate(path, path.stat().st_size - 4)


def flipped(path):
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("harm", [cut, flipped, os.remove])
@pytest.mark.parametrize("name", ["train_x.npy", "test_y.npy", "manifest.json"])
def test_a_damaged_table_is_made_again(harm, name, table, tmp_path):
    first = streamed(table, tmp_path)
    (entry,) = (tmp_path / "cache").glob("*/table")
    expected = first.train.x[:]
    harm(entry / name)
    again = streamed(table, tmp_path)
    np.testing.assert_array_equal(again.train.x[:], expected)
    check_same(streamed(table, tmp_path), again)


def test_a_half_made_table_is_removed(table, tmp_path):
    first = streamed(table, tmp_path)
    (entry,) = (tmp_path / "cache").glob("*/table")
    half = entry.with_name(f".partial-{'0' * 16}-table")
    os.rename(entry, half)
    check_same(streamed(table, tmp_path), first)
    assert not half.exists()


def test_a_slow_process_takes_the_entry_that_another_has_completed(tmp_path, monkeypatch):
    source = parquet_folder(tmp_path)

    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("kfc.data.table_cache._load", interrupt)
        with pytest.raises(KeyboardInterrupt):
            streamed(source, tmp_path)
    assert len([*(tmp_path / "cache").glob("*/work")]) == len(entries(tmp_path)) == 1
    monkeypatch.setattr("kfc.data.table_cache._find", lambda *arguments: None)
    check_same(streamed(source, tmp_path), prepare(spec_of(source)))
    assert not [*(tmp_path / "cache").glob("*/work")]


def test_pieces_that_are_needed_no_more_are_removed(table, tmp_path, no_reading):
    first = streamed(table, tmp_path)
    (entry,) = (tmp_path / "cache").glob("*/table")
    entry.with_name("work").mkdir()
    (entry.with_name("work") / "rows").write_text("of a process that was killed at the end")
    no_reading()
    check_same(streamed(table, tmp_path), first)
    assert not entry.with_name("work").exists()


@pytest.mark.parametrize("missing", ["mean", "refuse"])
def test_the_mean_of_a_streamed_column_is_that_in_memory_but_for_rounding(
    missing, tiny_chunks, tmp_path
):
    FRAME.assign(age=FRAME["age"].fillna(3.7)).to_parquet(tmp_path / "t.parquet")
    source = f"parquet:{tmp_path / 't.parquet'}"
    got = streamed(source, tmp_path, missing=missing).task.table.encoding
    expected = prepare(spec_of(source, missing=missing)).task.table.encoding
    for one, two in zip(got.columns, expected.columns, strict=True):
        center, other = (getattr(each, "center", 0.0) for each in (one, two))
        assert center == pytest.approx(other, rel=1e-14)


def test_four_users_read_each_part_of_a_folder_once(tmp_path, monkeypatch):
    (tmp_path / "parts").mkdir()
    for number in range(5):
        FRAME[number * 80 : (number + 1) * 80].to_parquet(
            tmp_path / "parts" / f"{number}.parquet"
        )
    reads = []
    read = parquet_files._columns

    def counted(paths, names):
        reads.extend((path.name, name) for path in paths for name in names)
        return read(paths, names)

    monkeypatch.setattr(parquet_files, "_columns", counted)
    source = f"parquet:{tmp_path / 'parts'}"
    threads = [threading.Thread(target=streamed, args=(source, tmp_path)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(reads) == len(set(reads)) == 5 * len(FRAME.columns)


def test_two_users_encode_a_table_once(table, tmp_path, monkeypatch):
    reads = []
    read = csv_files.read_csv_bytes

    def counted(*arguments):
        reads.append(arguments)
        return read(*arguments)

    monkeypatch.setattr(csv_files, "read_csv_bytes", counted)
    threads = [threading.Thread(target=streamed, args=(table, tmp_path)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(reads) == 1


def test_a_file_that_changes_as_it_is_read_is_refused(table, tmp_path, monkeypatch):
    read = csv_files.read_csv_bytes

    def changing(*arguments):
        os.utime(tmp_path / "t.csv", (1, 1))
        return read(*arguments)

    monkeypatch.setattr(csv_files, "read_csv_bytes", changing)
    with pytest.raises(DataError, match="files that changed meanwhile"):
        streamed(table, tmp_path)
    assert not (tmp_path / "cache").exists()


def test_what_is_no_file_is_refused(tmp_path):
    (tmp_path / "parts").mkdir()
    os.mkfifo(tmp_path / "parts" / "a.csv")
    with pytest.raises(DataError, match="a device or a pipe"):
        streamed(f"csv:{tmp_path / 'parts'}", tmp_path)
    os.symlink(tmp_path / "gone", tmp_path / "parts" / "0.csv")
    with pytest.raises(DataError, match="no such file"):
        prepare(spec_of(f"csv:{tmp_path / 'parts'}"))


def test_a_cache_that_cannot_be_written_is_refused(table, tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(DiskError):
        streamed(table, tmp_path)


# --- runs ---------------------------------------------------------------------------------


def command(*words):
    with pytest.raises(SystemExit) as ended:
        app.main([str(word) for word in words])
    assert not ended.value.code


def test_the_command_line_streams_a_table(table, tmp_path, capsys, no_reading):
    spec = {
        "name": "churn",
        "data": {"source": table, "target": "churn"},
        "network": {"hidden": [4]},
        "training": {"epochs": 1},
    }
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    runs = tmp_path / "runs"
    command("fit", tmp_path / "spec.json", "data.stream=always", "--runs", runs)
    assert sorted(path.name for path in runs.iterdir()) == [".tables", "0001-churn"]
    no_reading()
    command("evaluate", runs / "0001-churn")
    capsys.readouterr()
    command("runs", runs)
    assert capsys.readouterr().out.count("churn") == 1


def test_the_warnings_of_a_table_are_kept_with_it(table, tmp_path):
    of_data = {"columns": {"id": "number"}}
    expected = prepare(spec_of(table, **of_data)).warnings
    assert [finding.name for finding in expected] == ["number_is_id"]
    assert streamed(table, tmp_path, **of_data).warnings == expected  # made
    assert streamed(table, tmp_path, **of_data).warnings == expected  # found
