import numpy as np
import pytest

from kfc.data.row_keys import row_keys

X = np.random.default_rng(0).integers(0, 256, (5000, 7))


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
def test_equal_rows_share_a_key_and_others_do_not(dtype):
    x = X.astype(dtype)
    x[4321] = x[17]
    keys = row_keys(x)
    assert keys[4321] == keys[17]
    assert len(np.unique(keys)) == len(np.unique(x, axis=0))


def test_the_key_depends_on_the_order_of_the_cells_and_on_the_target():
    x = np.array([[1.0, 2.0], [2.0, 1.0]])
    one, other = row_keys(x)
    assert one != other
    same = np.ones((2, 3))
    assert len(set(row_keys(same, np.array([0, 1])))) == 2
    assert len(set(row_keys(same, np.array([1, 1])))) == 1


def test_minus_zero_is_zero():
    one, other = row_keys(np.array([[0.0], [-0.0]]))
    assert one == other


def test_pictures_are_rows():
    pictures = X[:4900].astype(np.uint8).reshape(-1, 7, 7)
    assert len(row_keys(pictures)) == 700
