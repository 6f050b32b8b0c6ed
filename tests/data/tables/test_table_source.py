import hashlib
import itertools

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from kfc.data import prepare
from kfc.data.tables import (
    is_table_source,
    labelled_table,
    read_raw,
    read_tables,
    select_columns,
    table_in_memory,
    tables_in_memory,
)
from kfc.errors import DataError, PluginError, SpecError
from kfc.registry import ALL_SOURCES, TABLES
from kfc.spec import ColumnSpec, CsvSpec, load_spec

TABLE = {
    "size": [None if i == 3 else i + 0.25 for i in range(60)],
    "plan": [["basic", "plus", None][i % 3] for i in range(60)],
    "senior": [i % 4 == 0 for i in range(60)],
    "label": [["no", "yes"][i % 2] for i in range(60)],
}
NUMBERS = {"a": [0.5 * i for i in range(60)], "b": [0.25 * i * i for i in range(60)]}


def data(**of_data):
    return load_spec({"data": {"target": "label", **of_data}}).data


def read(values, **of_data):
    spec = data(**of_data)
    return read_tables(spec, tables_in_memory(values, spec))


def digest(table):
    found = hashlib.sha256()
    table.add_to_hash(found)
    return found.hexdigest()


def shuffled_index():
    frame = pd.DataFrame(TABLE)
    frame.index = np.random.default_rng(0).permutation(60)
    return frame


def file_of(kind, folder):
    path, table = folder / f"rows.{kind}", pa.table(TABLE)
    write = pyarrow.csv.write_csv if kind == "csv" else pyarrow.parquet.write_table
    write(table, path)
    return f"{kind}:{path}"


ORIGINS = {
    "dict": lambda: TABLE,
    "pandas": shuffled_index,
    "categories": lambda: pd.DataFrame(TABLE).astype({"plan": "category"}),
    "polars": lambda: pl.DataFrame(TABLE),
    "arrow": lambda: pa.table(TABLE),
}


@pytest.mark.parametrize("origin", ORIGINS)
def test_the_same_rows_are_equal_from_every_origin_in_memory(origin):
    found, wanted = read(ORIGINS[origin]()), read(TABLE)
    assert found.columns == wanted.columns
    assert digest(found.source.train.x) == digest(wanted.source.train.x)
    assert found.source.train.y.tolist() == TABLE["label"]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_the_same_rows_are_equal_from_a_file(kind, tmp_path):
    name, spec = file_of(kind, tmp_path), data()
    found, wanted = read_tables(spec, {"train": read_raw(name, spec.csv)}), read(TABLE)
    assert {n: c.type for n, c in found.columns.items()} == {
        **{"size": "number", "plan": "category", "senior": "boolean"}
    }
    assert found.columns == wanted.columns
    assert digest(found.source.train.x) == digest(wanted.source.train.x)
    assert (found.csv.delimiter == ",") == (kind == "csv")


def test_one_other_cell_has_another_hash():
    wanted = digest(read(TABLE).source.train.x)
    for name, value in (("size", 0.5), ("plan", "plus"), ("senior", False)):
        changed = {**TABLE, name: [value, *TABLE[name][1:]]}
        assert digest(read(changed).source.train.x) != wanted
    swapped = {**TABLE, "size": [None, *TABLE["size"][1:3], 0.25, *TABLE["size"][4:]]}
    assert digest(read(swapped).source.train.x) != wanted


def test_a_column_that_is_ignored_is_no_input():
    found = read(TABLE, columns={"size": "ignore"})
    assert found.source.feature_names == ("plan", "senior")
    assert found.columns["size"].type == "ignore"
    assert "size" not in found.source.train.x.columns


def test_the_target_may_be_passed_beside_the_frame():
    frame = pd.DataFrame(TABLE)
    inputs = frame.drop(columns="label")
    for targets in (frame["label"], frame["label"].to_numpy(), TABLE["label"]):
        found = read((inputs, targets))
        assert found.target == "label"
        assert found.source.train.y.tolist() == TABLE["label"]
        assert digest(found.source.train.x) == digest(read(TABLE).source.train.x)
    with pytest.raises(DataError, match="column 'label' in both"):
        read((frame, frame["label"]))
    with pytest.raises(DataError, match="one target per row"):
        read((inputs, TABLE["label"][1:]))


SEVERAL = pd.DataFrame(NUMBERS).rename(columns={"a": "near", "b": "far"})


@pytest.mark.parametrize(
    ("targets", "names"),
    [
        (SEVERAL, ("near", "far")),
        (pl.DataFrame(SEVERAL), ("near", "far")),
        (pa.table(SEVERAL), ("near", "far")),
        (SEVERAL.to_numpy(), ()),
        (SEVERAL.to_numpy().tolist(), ()),
    ],
    ids=["pandas", "polars", "arrow", "array", "lists"],
)
def test_several_targets_may_be_passed_beside_the_frame(targets, names):
    inputs = {**TABLE, "target": TABLE["size"]}  # a name that a single target may have
    spec = load_spec({}).data
    frame = pd.DataFrame(inputs) if isinstance(targets, pd.DataFrame) else pa.table(inputs)
    found = read_tables(spec, tables_in_memory((frame, targets), spec))
    assert found.target == ""
    assert found.source.feature_names == (*TABLE, "target")
    assert found.source.targets == names
    assert found.source.train.y.tolist() == SEVERAL.to_numpy().tolist()


def test_several_targets_are_sorted_by_the_index_of_the_frame():
    frame = shuffled_index()
    spec, parts = load_spec({}).data, {"train": (frame, SEVERAL)}
    found = read_tables(spec, tables_in_memory(parts, spec)).source.train.y
    assert found[:, 0].tolist() == (0.5 * frame.index).tolist()


def test_parts_have_the_same_several_targets():
    spec, frame = load_spec({}).data, pd.DataFrame(TABLE)

    def read_parts(test):
        parts = {"train": (frame, SEVERAL), "test": test}
        return read_tables(spec, tables_in_memory(parts, spec))

    assert len(read_parts((frame[:9], SEVERAL[:9].to_numpy())).source.test.y) == 9
    with pytest.raises(DataError, match=r"targets near, far, in this order.* got none"):
        read_parts(frame[:9])
    with pytest.raises(DataError, match="got those named far, near"):
        read_parts((frame[:9], SEVERAL[["far", "near"]][:9]))
    with pytest.raises(DataError, match=r"Leave data\.target out"):
        read((frame, SEVERAL))


def test_parts_have_rows_of_their_own():
    frame = pd.DataFrame(TABLE)
    pair = read((frame, frame[:20])).source
    assert (len(pair.train), len(pair.test), pair.validation) == (60, 20, None)
    parts = {"train": frame, "validation": frame[:10], "test": frame[:20]}
    source = read(parts).source
    assert [len(part) for part in (source.train, source.validation, source.test)] == [
        60,
        10,
        20,
    ]
    with pytest.raises(DataError, match="no column 'plan'"):
        read({"train": frame, "test": frame.drop(columns="plan")})


def test_the_tables_of_test_and_validation_rows_are_read_too(tmp_path):
    name, other = file_of("csv", tmp_path), file_of("parquet", tmp_path)
    spec = data(source=name, test=other, validation=other)
    source = read_tables(spec, {"train": read_raw(name, spec.csv)}).source
    assert len(source.test) == len(source.validation) == 60


def test_weights_beside_a_frame_follow_its_index():
    frame = pd.DataFrame(TABLE)
    inputs, targets = frame.drop(columns="label"), frame["label"]
    weight = pd.Series(np.arange(60.0))
    shuffled = weight.sample(frac=1, random_state=0)
    source = read({"train": (inputs, targets, shuffled), "test": (inputs, targets)}).source
    np.testing.assert_array_equal(source.train.sample_weight, weight)
    assert source.test.sample_weight is None
    for values in ((inputs, targets, weight), [inputs, targets, weight.to_list()]):
        np.testing.assert_array_equal(read(values).source.train.sample_weight, weight)
    pair = read(((inputs, targets, weight), (inputs, targets))).source
    np.testing.assert_array_equal(pair.train.sample_weight, weight)
    assert len(pair.test) == 60


def test_weights_of_a_table_are_used_in_training_and_refused_elsewhere():
    frame = pd.DataFrame(TABLE)
    inputs, targets = frame.drop(columns="label"), frame["label"]
    weight = 1.0 + np.arange(60.0)
    spec = load_spec({"data": {"target": "label"}})
    prepared = prepare(spec, (inputs, targets, weight))
    assert set(prepared.train.sample_weight) < set(weight)
    assert prepared.test.sample_weight is None
    with pytest.raises(DataError, match="rows without weights"):
        prepare(spec, {"train": (inputs, targets), "test": (inputs, targets, weight)})
    with pytest.raises(DataError, match="one weight for each row"):
        prepare(spec, (inputs, targets, weight[:5]))
    with pytest.raises(DataError, match="weights without targets"):
        prepare(spec, (frame, None, weight))


def test_test_rows_that_are_given_twice_are_refused(tmp_path):
    frame = pd.DataFrame(TABLE)
    spec = load_spec({"data": {"target": "label", "test": file_of("csv", tmp_path)}})
    with pytest.raises(SpecError, match="one place from which test rows come"):
        prepare(spec, {"train": frame, "test": frame})


def test_a_category_is_one_value_in_every_form_of_a_table(tmp_path):
    kinds = ["1", "2.0", "2", "x"] * 15
    frame = pd.DataFrame({**NUMBERS, "kind": kinds, "label": [0.0, 1.0] * 30})
    spec = {"target": "label", "task": "classification", "columns": {"kind": "category"}}
    frame.to_csv(tmp_path / "rows.csv", index=False)
    name = f"csv:{tmp_path}/rows.csv"
    for values in ({"source": name}, frame):
        of_file = isinstance(values, dict)
        checked = load_spec({"data": spec | (values if of_file else {})}).data
        tables = {"train": read_raw(name, checked.csv)}
        tables = tables if of_file else tables_in_memory(values, checked)
        source = read_tables(checked, tables).source
        assert source.train.x.columns["kind"].to_pylist() == ["1", "2", "2", "x"] * 15
        assert source.train.y.tolist() == [0, 1] * 30
        assert source.train.y.dtype == np.int64


def test_a_frame_of_complete_numbers_without_a_target_is_a_matrix():
    spec = load_spec({}).data
    frame = pd.DataFrame({**NUMBERS, "label": [i % 2 for i in range(60)]})
    assert tables_in_memory(frame, spec) is None
    assert tables_in_memory((np.zeros((3, 2)), np.zeros(3)), spec) is None
    assert tables_in_memory(frame, data()) is not None
    assert tables_in_memory(frame.assign(plan="a"), spec) is not None


def test_a_frame_of_text_without_a_target_asks_for_it():
    with pytest.raises(DataError, match=r"data\.target.*size, plan, senior"):
        prepare(load_spec({}), pd.DataFrame(TABLE).drop(columns="label"))


def test_a_target_that_is_missing_is_refused_with_the_nearest_name():
    with pytest.raises(DataError, match="no column 'lable'") as caught:
        read(TABLE, target="lable")
    assert "label" in caught.value.findings[0].remedy


def test_a_missing_target_is_refused_by_its_row():
    with pytest.raises(DataError, match=r"row 5, column 'label'.*1 of 60 rows"):
        read({**TABLE, "label": [*TABLE["label"][:5], None, *TABLE["label"][6:]]})


@pytest.mark.parametrize(
    ("values", "task", "kind"),
    [
        (["a", "b"], None, "U"),
        ([True, False], None, "U"),
        ([3, 4], None, "i"),
        ([0.5, 1.0], None, "f"),
        ([3, 4], "regression", "i"),
    ],
    ids=str,
)
def test_a_target_is_text_or_a_number(values, task, kind):
    label = list(itertools.islice(itertools.cycle(values), 60))
    y = read({**TABLE, "label": label}, task=task).source.train.y
    assert y.dtype.kind == kind


@pytest.mark.parametrize(
    ("texts", "kind"), [(["1", "2"], "i"), (["1.0", "2.0"], "f")], ids=str
)
def test_a_target_of_a_csv_file_is_an_integer_where_it_is_written_so(texts, kind, tmp_path):
    lines = "".join(f"{i + 0.25},{texts[i % 2]}\n" for i in range(20))
    (tmp_path / "rows.csv").write_text(f"size,label\n{lines}")
    train = read_raw(f"csv:{tmp_path / 'rows.csv'}", CsvSpec())
    assert read_tables(data(), {"train": train}).source.train.y.dtype.kind == kind


def test_columns_are_selected_by_name():
    columns = {"plan": ColumnSpec(type="category"), "size": ColumnSpec(type="number")}
    table = select_columns(table_in_memory(TABLE, "rows"), columns)
    assert (list(table.columns), table.shape) == (["plan", "size"], (60, 2))
    taken = table.take(np.array([2, 0]))
    assert taken.columns["size"].to_pylist() == [2.25, 0.25]
    assert taken.columns["plan"].to_pylist() == [None, "basic"]


def test_another_labelled_table_has_classes_as_text_or_numbers():
    raw = table_in_memory({**TABLE, "label": list(range(60))}, "rows")
    columns = {"size": ColumnSpec(type="number")}
    assert labelled_table(raw, columns, "label", classes=True).y[:2].tolist() == ["0", "1"]
    assert labelled_table(raw, columns, "label", classes=False).y[:2].tolist() == [0, 1]


def test_the_kinds_of_tables():
    assert is_table_source("csv:a.csv")
    assert is_table_source("parquet:folder")
    assert not is_table_source("npz:a.npz")
    assert not is_table_source(None)


def test_a_plug_in_adds_a_kind_of_table_by_returning_a_frame(monkeypatch):
    def shelf(argument, form):
        return None if argument == "nothing" else {"size": [1.0, 2.0], "plan": [argument] * 2}

    monkeypatch.setitem(TABLES.builtins, "shelf", "kfc.compat:shelf")
    monkeypatch.setattr("kfc.compat.shelf", shelf, raising=False)
    assert is_table_source("shelf:a")
    assert "shelf" in ALL_SOURCES.names()
    raw = read_raw("shelf:pro", CsvSpec())
    assert raw.columns.to_pydict() == {"size": [1, 2], "plan": ["pro", "pro"]}
    assert raw.name == "shelf:pro"
    with pytest.raises(PluginError, match=r"a frame, such as a pyarrow\.Table, got NoneType"):
        read_raw("shelf:nothing", CsvSpec())
