import os
import pickle

import numpy as np
import pytest

from kfc.data import Rows, Source, prepare
from kfc.errors import DataError, SpecError
from kfc.spec import load_spec
from kfc.system.memmap import DiskArray, chunks, first_features


@pytest.fixture
def on_disk(tmp_path):
    """A file of 50 rows of 4 float32 numbers, as a memory map."""
    x = np.random.default_rng(0).random((50, 4), dtype=np.float32)
    np.save(tmp_path / "x.npy", x)
    return np.load(tmp_path / "x.npy", mmap_mode="r")


@pytest.fixture
def tiny_chunks(monkeypatch):
    """Chunks of 8 rows of 16 bytes."""
    monkeypatch.setattr("kfc.system.memmap.CHUNK_BYTES", 128)


def targets(rows=50):
    return np.arange(rows) % 2


def prepared(data, **data_keys):
    return prepare(load_spec({"data": data_keys}), data)


def test_rows_are_read_as_they_are_needed(on_disk):
    rows = DiskArray(on_disk).take(np.array([7, 3, 9, 1]))
    assert (len(rows), rows.shape, rows.nbytes) == (4, (4, 4), 64)
    np.testing.assert_array_equal(rows[1:3], on_disk[[3, 9]])
    np.testing.assert_array_equal(rows[np.array([3, 0])], on_disk[[1, 7]])
    np.testing.assert_array_equal(rows.take(np.array([2]))[:], on_disk[[9]])
    assert not isinstance(rows[:], np.memmap)


def pickled(rows):
    return pickle.loads(pickle.dumps(rows))


VIEWS = {
    "all": lambda x: x,
    "later rows": lambda x: x[20:],
    "reshaped": lambda x: x.reshape(100, 2)[3:],
    "columns": lambda x: x[:, 1:3],
    "in memory": np.array,
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
@pytest.mark.parametrize("order", ["C", "F"])
def test_what_is_unpickled_has_the_same_rows(view, order, tmp_path):
    x = np.random.default_rng(0).random((50, 4), dtype=np.float32)
    np.save(tmp_path / "x.npy", np.asarray(x, order=order))
    array = np.load(tmp_path / "x.npy", mmap_mode="r")
    rows = DiskArray(view(array))
    chosen = np.array([7, 3, 9, 1])
    for each in (rows, rows.take(chosen), rows.take(chosen).take(np.array([2, 0]))):
        again = pickled(each)
        assert (again.shape, again.dtype, again.nbytes) == (
            each.shape,
            each.dtype,
            each.nbytes,
        )
        np.testing.assert_array_equal(again[:], each[:])
        np.testing.assert_array_equal(again[1:3], each[1:3])
        np.testing.assert_array_equal(again[np.array([1, 0])], each[np.array([1, 0])])
        assert not isinstance(again[:], np.memmap)


@pytest.mark.parametrize("view", ["all", "later rows"])
def test_rows_of_a_file_are_pickled_as_its_place(view, tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((100_000, 4), np.float32))
    x = VIEWS[view](np.load(tmp_path / "x.npy", mmap_mode="r"))
    again = pickled(DiskArray(x))
    assert len(pickle.dumps(DiskArray(x))) < 1000
    assert len(pickle.dumps(again)) < 1000
    assert len(pickle.dumps(again.take(np.arange(10)))) < 1500


def test_writing_to_what_was_read_changes_no_file(tmp_path):
    x = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float32, (50, 4))
    for rows in (DiskArray(x), pickled(DiskArray(x))):
        rows[:][:] = 7
        rows[2:4][:] = 7
    assert not x.any()


def test_what_is_in_no_file_is_pickled_as_its_values(on_disk, tmp_path):
    private = np.load(tmp_path / "x.npy", mmap_mode="c")
    private[0] = 7
    assert pickled(DiskArray(private))[:1].tolist() == [[7] * 4]
    rows = DiskArray(on_disk)
    os.remove(tmp_path / "x.npy")
    np.testing.assert_array_equal(pickled(rows)[:], on_disk)


@pytest.mark.parametrize(
    ("harm", "got"),
    [
        (lambda path: path.unlink(), "no such file"),
        (lambda path: os.truncate(path, 100), "100 bytes"),
        (lambda path: os.utime(path, (0, 0)), "928 bytes, written since"),
    ],
    ids=["gone", "shorter", "written"],
)
def test_a_file_that_is_not_what_it_was_is_refused(harm, got, on_disk, tmp_path):
    data = pickle.dumps(DiskArray(on_disk))
    harm(tmp_path / "x.npy")
    with pytest.raises(
        DataError, match=f"x.npy: expected the unchanged file of 928 bytes, got {got}"
    ):
        pickle.loads(data)


def test_chunks_cover_every_row_once(on_disk, tiny_chunks):
    pieces = list(chunks(DiskArray(on_disk), multiple=3))
    assert [first for first, _ in pieces] == [0, 6, 12, 18, 24, 30, 36, 42, 48]
    np.testing.assert_array_equal(np.concatenate([part for _, part in pieces]), on_disk)


@pytest.mark.parametrize("kind", [np.array, DiskArray, lambda x: DiskArray(np.array(x))])
def test_the_first_features_are_read_alone(kind, on_disk, tiny_chunks):
    part = first_features(kind(on_disk), 3)
    np.testing.assert_array_equal(part[:], on_disk[:, :3])
    some = np.array([7, 3])
    np.testing.assert_array_equal(part[some], on_disk[some, :3])


def test_a_chunk_of_first_features_counts_the_bytes_between_rows(on_disk, tiny_chunks):
    assert (
        first_features(DiskArray(on_disk), 1).chunk_rows() == DiskArray(on_disk).chunk_rows()
    )


def test_an_array_in_memory_is_one_chunk(on_disk):
    x = np.array(on_disk)
    assert [(first, part is x) for first, part in chunks(x)] == [(0, True)]


def test_a_memory_map_that_fits_is_loaded(on_disk):
    train = prepared((on_disk, targets())).train
    assert isinstance(train.x, np.ndarray)
    assert not isinstance(train.x, np.memmap)


def test_a_memory_map_too_large_for_this_machine_is_streamed(on_disk, monkeypatch):
    monkeypatch.setattr("kfc.system.memory.limit_bytes", lambda: 1000)
    parts = prepared((on_disk, targets()))
    assert isinstance(parts.train.x, DiskArray)
    assert len(parts.train) + len(parts.validation) + len(parts.test) == 50


@pytest.mark.parametrize("scale", ["none", "unit", "centered", "standard"])
def test_streamed_rows_are_those_that_would_be_resident(on_disk, tiny_chunks, scale):
    streamed = prepared((on_disk, targets()), stream="always", scale=scale)
    resident = prepared((on_disk, targets()), stream="never", scale=scale)
    assert streamed.sha256 == resident.sha256
    for name in ("train", "validation", "test"):
        np.testing.assert_array_equal(getattr(streamed, name).x[:], getattr(resident, name).x)
    for part in ("shift", "divisor"):
        np.testing.assert_allclose(
            getattr(streamed.task.scaling, part),
            getattr(resident.task.scaling, part),
            rtol=1e-6,
        )


def test_quantiles_of_streamed_rows_are_those_of_resident_ones(on_disk, tiny_chunks):
    streamed = prepared((on_disk, targets()), stream="always", scale="quantile")
    resident = prepared((on_disk, targets()), stream="never", scale="quantile")
    for part in ("values", "scores"):
        np.testing.assert_array_equal(
            getattr(streamed.task.scaling, part), getattr(resident.task.scaling, part)
        )


def test_quartiles_of_streamed_rows_are_refused(on_disk):
    with pytest.raises(SpecError, match="Quartiles need all rows at once"):
        prepared((on_disk, targets()), stream="always", scale="robust")


def test_streamed_rows_are_of_a_type_that_needs_no_copy(tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).random((50, 4)))
    x = np.load(tmp_path / "x.npy", mmap_mode="r")
    with pytest.raises(DataError, match="expected uint8 or float32"):
        prepared((x, targets()), stream="always")


def test_a_bad_cell_of_a_later_chunk_is_found_by_its_row(on_disk, tmp_path, tiny_chunks):
    x = np.array(on_disk)
    x[43, 2] = np.nan
    np.save(tmp_path / "bad.npy", x)
    bad = np.load(tmp_path / "bad.npy", mmap_mode="r")
    with pytest.raises(DataError, match=r"row 43, column 2: expected finite inputs"):
        prepared((bad, targets()), stream="always")


def test_equal_rows_on_the_disk_are_refused(tmp_path, tiny_chunks):
    np.save(tmp_path / "x.npy", np.ones((50, 4), np.float32))
    x = np.load(tmp_path / "x.npy", mmap_mode="r")
    with pytest.raises(DataError, match="expected rows that differ, got 50 equal rows"):
        prepared((x, targets()), stream="always")


def test_a_source_may_map_its_rows(on_disk):
    source = Source(Rows(DiskArray(on_disk), targets()))
    assert isinstance(prepared(source, stream="always").train.x, DiskArray)


def test_a_mask_is_refused_though_rows_are_to_be_streamed(on_disk):
    x = np.ma.masked_array(np.array(on_disk), mask=np.eye(50, 4, dtype=bool))
    with pytest.raises(DataError, match="expected values without a mask"):
        prepared((x, targets()), stream="always")


def test_streamed_tables_of_bytes_are_cast_as_they_are_read(on_disk, tmp_path, tiny_chunks):
    bytes_ = np.random.default_rng(0).integers(0, 256, (50, 4)).astype(np.uint8)
    np.save(tmp_path / "bytes.npy", bytes_)
    data = np.load(tmp_path / "bytes.npy", mmap_mode="r")
    source = Source(
        Rows(DiskArray(data), targets()), Rows(DiskArray(data).take(np.arange(9)), targets(9))
    )
    streamed = prepared(source, stream="always")
    resident = prepared(source, stream="never")
    for part in ("train", "test"):
        x = getattr(streamed, part).x
        assert x.dtype == np.float32
        assert x.nbytes == 4 * x.size
        np.testing.assert_array_equal(x[:], getattr(resident, part).x)
        np.testing.assert_array_equal(x[np.array([3, 1])], x[:][[3, 1]])
        again = pickle.loads(pickle.dumps(x))
        np.testing.assert_array_equal(again[:], x[:])
        assert again.dtype == np.float32
    np.testing.assert_array_equal(streamed.task.scaling.divisor, resident.task.scaling.divisor)


@pytest.mark.parametrize("array", [np.float32(3), np.zeros(0)[:, None]], ids=["one", "none"])
def test_a_folder_without_rows_is_refused(tmp_path, array):
    for name in ("x.npy", "y.npy"):
        np.save(tmp_path / name, array)
    with pytest.raises(DataError):
        prepare(load_spec({"data": {"source": f"npy:{tmp_path}", "stream": "always"}}))
