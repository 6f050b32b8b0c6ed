import os

import numpy as np
import pytest

from kfc.errors import DataError
from kfc.system.aligned import can_be_shared
from kfc.system.file_rows import FileRows

RNG = np.random.default_rng(0)
VIEWS = {
    "all": lambda x: x,
    "later rows": lambda x: x[20:],
    "every third row": lambda x: x[1::3],
    "backwards": lambda x: x[::-1],
    "some columns": lambda x: x[:, 1:3],
    "columns backwards": lambda x: x[:, ::-1],
    "other axes first": lambda x: x.transpose(1, 0, 2),
    "axes in another order": lambda x: x.transpose(0, 2, 1),
    "reshaped": lambda x: x.reshape(100, -1),
    "one column": lambda x: x[:, 1, 1],
    "other bytes": lambda x: x.view(np.uint32),
}


def mapped(folder, order="C", dtype=np.float32):
    x = (RNG.random((50, 4, 6)) * 200).astype(dtype)
    np.save(folder / "x.npy", np.asarray(x, order=order))
    return np.load(folder / "x.npy", mmap_mode="r")


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
@pytest.mark.parametrize("order", ["C", "F"])
def test_rows_of_any_view_are_those_of_the_array(view, order, tmp_path):
    x = mapped(tmp_path, order)
    try:
        array = view(x)
    except ValueError:
        pytest.skip("NumPy has no such view of an array in Fortran's order")
    rows = FileRows.of(array)
    if rows is None:  # NumPy had to copy
        assert not np.shares_memory(array, x)
        return
    numbers = RNG.permutation(len(array))[: len(array) // 2]
    np.testing.assert_array_equal(rows.between(0, len(array)), array)
    np.testing.assert_array_equal(rows.between(1, 3), array[1:3])
    np.testing.assert_array_equal(rows.between(3, 3), array[3:3])
    np.testing.assert_array_equal(rows.take(numbers), array[numbers])
    np.testing.assert_array_equal(rows.take(numbers[:0]), array[:0])
    np.testing.assert_array_equal(rows.take(np.array([1, 1, 0])), array[[1, 1, 0]])


@pytest.mark.parametrize("dtype", ["u1", ">f4", "i8", "f2"])
def test_values_of_any_type_are_read(dtype, tmp_path):
    x = mapped(tmp_path, dtype=dtype)
    rows = FileRows.of(x)
    assert rows.between(0, 9).dtype == x.dtype
    np.testing.assert_array_equal(rows.between(0, 9), x[:9])


def test_rows_are_read_into_memory_that_tensorflow_may_use(tmp_path):
    x = mapped(tmp_path)
    assert can_be_shared(FileRows.of(x).between(7, 30))
    assert can_be_shared(FileRows.of(x.reshape(100, -1)).between(1, 9))
    assert not can_be_shared(FileRows.of(x[:, 1:3]).between(7, 30)[:, 0])
    assert not can_be_shared(FileRows.of(mapped(tmp_path, dtype=">f4")).between(0, 9))


def test_rows_far_apart_are_read_by_themselves(tmp_path, monkeypatch):
    monkeypatch.setattr("kfc.system.file_rows._GAP_BYTES", 300)
    monkeypatch.setattr("kfc.system.file_rows._BLOCK_BYTES", 500)
    x = mapped(tmp_path)  # rows of 96 bytes
    rows, read = FileRows.of(x), []
    between = rows.between
    monkeypatch.setattr(
        rows, "between", lambda first, last: read.append((first, last)) or between(first, last)
    )
    numbers = np.array([40, 3, 1, 2, 9, 10, 30])
    np.testing.assert_array_equal(rows.take(numbers), x[numbers])
    assert read == [(1, 4), (9, 10), (10, 11), (30, 31), (40, 41)]


def test_what_lies_in_no_file_has_no_file_rows(tmp_path):
    x = mapped(tmp_path)
    assert FileRows.of(np.array(x)) is None
    assert FileRows.of(np.load(tmp_path / "x.npy", mmap_mode="c")) is None
    os.remove(tmp_path / "x.npy")
    assert FileRows.of(x) is None


@pytest.mark.parametrize("size", [100, 4000, 0])
def test_a_file_that_becomes_shorter_is_named(size, tmp_path):
    x = mapped(tmp_path)
    rows, whole = FileRows.of(x), os.path.getsize(tmp_path / "x.npy")
    os.truncate(tmp_path / "x.npy", size)
    for read in (lambda: rows.between(0, 50), lambda: rows.take(np.array([49, 0]))):
        with pytest.raises(DataError) as caught:
            read()
        (finding,) = caught.value.findings
        assert finding.where == str(tmp_path / "x.npy")
        assert finding.expected == f"the unchanged file of {whole:,} bytes"
        assert finding.got == f"{size:,} bytes"
        assert "kfc resume" in finding.remedy


def test_a_map_whose_file_is_shorter_by_now_is_refused_unread(tmp_path):
    x = mapped(tmp_path)
    os.truncate(tmp_path / "x.npy", 1000)
    with pytest.raises(DataError, match="got 1,000 bytes"):
        FileRows.of(x)


def test_a_disk_that_cannot_be_read_is_no_crash(tmp_path, monkeypatch):
    rows = FileRows.of(mapped(tmp_path))

    def preadv(*arguments):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("os.preadv", preadv)
    with pytest.raises(DataError, match="Input/output error"):
        rows.between(0, 1)


def test_a_read_that_returns_less_goes_on(tmp_path, monkeypatch):
    x, preadv = mapped(tmp_path), os.preadv
    monkeypatch.setattr("os.preadv", lambda file, to, place: preadv(file, [to[0][:7]], place))
    np.testing.assert_array_equal(FileRows.of(x).between(0, 50), x)


def test_the_file_is_closed_with_its_rows(tmp_path):
    x, before = mapped(tmp_path), len(os.listdir("/dev/fd"))
    rows = FileRows.of(x)
    assert len(os.listdir("/dev/fd")) == before + 1
    del rows
    assert len(os.listdir("/dev/fd")) == before
