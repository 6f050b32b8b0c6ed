"""Rows that TensorFlow reads where NumPy has them."""

import numpy as np
import pytest
import tensorflow as tf

from kfc.system import can_be_shared, take_aligned
from kfc.training.engine.row_tensors import row_tensor

TYPES = ["float32", "float64", "uint8", "int32", "int64"]


@pytest.mark.parametrize("dtype", TYPES)
def test_taken_rows_are_those_of_numpy_in_shared_memory(dtype):
    array = np.arange(60).reshape(20, 3).astype(dtype)
    rows = np.array([3, 3, 19, 0])
    taken = take_aligned(array, rows)
    np.testing.assert_array_equal(taken, array[rows])
    assert taken.dtype == dtype
    assert can_be_shared(taken)
    tensor = row_tensor(taken)
    taken[0, 0] = 7  # seen through the tensor: the memory is the same
    assert tensor[0, 0].numpy() == 7


def test_booleans_take_rows_too():
    array, keep = np.arange(6.0), np.array([True, False, True, True, False, False])
    np.testing.assert_array_equal(take_aligned(array, keep), array[keep])


def test_text_and_no_rows_are_taken_as_numpy_does():
    assert take_aligned(np.array(["a", "b"], object), np.array([1])).tolist() == ["b"]
    none = take_aligned(np.zeros((4, 3), np.float32), np.array([], np.int64))
    assert none.shape == (0, 3)
    assert row_tensor(none).shape == (0, 3)


@pytest.mark.parametrize("row", [-1, 4])
def test_a_row_that_is_not_there_is_an_error(row):
    with pytest.raises(IndexError):
        take_aligned(np.zeros(4), np.array([row]))


def test_the_array_of_a_caller_is_copied():
    # Whatever its alignment, its owner may write to it while a network trains.
    ours = take_aligned(np.ones((64, 4), np.float32), np.arange(64))
    theirs = np.frombuffer(ours, np.float32).reshape(64, 4)
    for array in (np.ones((64, 4), np.float32), theirs[1:], ours[:, 1:], ours[1:, :3]):
        before = row_tensor(array).numpy()
        assert not can_be_shared(array) or before.ctypes.data == array.ctypes.data
    array = np.ones((64, 4), np.float32)
    tensor = row_tensor(array)
    array[0, 0] = 9
    assert tensor.numpy()[0, 0] == 1


def test_shared_rows_outlive_their_array():
    taken = take_aligned(np.arange(1_000_000.0), np.arange(1_000_000))
    tensor = row_tensor(taken)
    del taken
    np.ones(1_000_000)
    assert float(tf.reduce_sum(tensor)) == 499_999_500_000


def test_every_operation_of_a_step_reads_shared_rows():
    x = take_aligned(np.random.default_rng(0).random((90, 5), np.float32), np.arange(90))
    tensor, rows = row_tensor(x), tf.constant([5, 2, 88])
    for xla in (False, True):
        gather = tf.function(lambda t: tf.gather(t, rows) * 2, jit_compile=xla)
        np.testing.assert_array_equal(gather(tensor), x[[5, 2, 88]] * 2)
