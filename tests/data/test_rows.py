import numpy as np

from kfc.data.rows import Rows
from kfc.system.memmap import DiskArray

X, Y = np.arange(20.0).reshape(10, 2), np.arange(10)
W = Y / 4


def test_taken_rows_keep_their_weights_and_their_order():
    taken = Rows(X, Y, W).take(np.array([3, 1, 3]))
    assert taken.y.tolist() == [3, 1, 3]
    np.testing.assert_array_equal(taken.x, X[[3, 1, 3]])
    np.testing.assert_array_equal(taken.sample_weight, W[[3, 1, 3]])


def test_rows_on_the_disk_stay_there_until_they_are_loaded():
    rows = Rows(DiskArray(X), Y, W)
    taken = rows.take(np.array([8, 2]))
    assert rows.on_disk
    assert taken.on_disk
    loaded = taken.loaded()
    assert not loaded.on_disk
    np.testing.assert_array_equal(loaded.x, X[[8, 2]])
    np.testing.assert_array_equal(loaded.sample_weight, W[[8, 2]])


def test_rows_in_memory_are_loaded_already():
    rows = Rows(X, Y)
    assert rows.loaded() is rows
    assert rows.parts == (rows.x, rows.y)
