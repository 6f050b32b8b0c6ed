"""A row that holds something else than numbers is answered with NaN, the others as ever."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kfc import spec
from kfc.data import Task
from kfc.exporting.nan_guard import add_nan_guard
from kfc.network import building
from kfc.preprocessing import NumericScaling

ACTIVATIONS = ("relu", "relu6", "elu", "leaky_relu", "tanh", "gelu", "softmax")
BAD = {"NaN": np.nan, "infinity": np.inf, "minus infinity": -np.inf}


@pytest.fixture(scope="module")
def made():
    """A network of every activation that TensorFlow fuses, and its guarded copy."""
    x = np.random.default_rng(0).normal(5, 3, (50, 4)).astype("float32")
    hidden = [{"units": 6, "activation": activation} for activation in ACTIVATIONS]
    checked = spec.load_spec({"network": {"hidden": hidden, "block": "residual"}})
    task = Task((4,), "float32", ("a", "b"), scaling=NumericScaling.fit("standard", x))
    plain = building.build(checked, task)
    return plain, add_nan_guard(plain, task), x


@pytest.fixture(scope="module")
def rewritten(made):
    """The guarded network as a graph that TensorFlow rewrites."""
    return tf.function(lambda x: made[1](x, training=False))


def test_rows_of_numbers_are_answered_to_the_bit(made):
    plain, copy, x = made
    assert np.array_equal(copy(x, training=False), plain(x, training=False))


@pytest.mark.parametrize("what", BAD)
def test_one_cell_that_is_no_number_makes_its_row_nan_and_no_other(what, made, rewritten):
    x = made[2].copy()
    wanted = rewritten(x).numpy()
    x[3, 2] = BAD[what]
    found = rewritten(x).numpy()
    assert np.isnan(found[3]).all()
    assert np.array_equal(np.delete(found, 3, axis=0), np.delete(wanted, 3, axis=0))


def test_a_member_that_overflows_makes_its_row_nan_and_no_other():
    checked = spec.load_spec({"network": {"hidden": [6], "members": 3}})
    plain = building.build(checked, Task((4,), "float32", ("a", "b")))
    x = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    scale = plain.get_layer("member_scale").kernel
    scale.assign(np.float32([[1, 1, 1, 1], [1, 1, 1, 1e30], [1, 1, -1, 1]]))
    x[2, 3] = 1e20
    guarded = add_nan_guard(plain, Task((4,), "float32", ("a", "b")))
    found, wanted = guarded(x).numpy(), plain(x).numpy()
    assert np.isnan(found[2]).all()
    np.testing.assert_allclose(np.delete(found, 2, 0), np.delete(wanted, 2, 0), rtol=1e-5)


def test_numbers_that_overflow_within_are_no_class_either(made, rewritten):
    x = np.float32(3e38) * np.array([[1, -1, 1, -1]], "float32")
    assert np.isnan(rewritten(x)).all()


def test_the_network_itself_stays_as_it_is(made):
    plain, copy, _ = made
    assert all(len(layer._inbound_nodes) == 1 for layer in plain.layers)
    assert not {id(w) for w in plain.weights} & {id(w) for w in copy.weights}


def test_whole_numbers_need_no_guard():
    task = Task((4,), "uint8", ("a", "b"))
    plain = building.build(spec.load_spec({"network": {"hidden": [3]}}), task)
    copy = add_nan_guard(plain, task)
    assert [type(layer) for layer in copy.layers] == [type(layer) for layer in plain.layers]


def test_bfloat16_stays_bfloat16():
    task = Task((4,), "float32", ("a", "b"))
    checked = spec.load_spec(
        {"network": {"hidden": [3, 3]}, "training": {"precision": "bfloat16"}}
    )
    plain = building.build(checked, task)
    x = np.ones((2, 4), "float32")
    assert np.array_equal(add_nan_guard(plain, task)(x), plain(x))
    kinds = {layer.compute_dtype for layer in add_nan_guard(plain, task).layers[2:-1]}
    assert keras.backend.standardize_dtype("bfloat16") in kinds
