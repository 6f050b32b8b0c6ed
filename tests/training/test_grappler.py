import numpy as np
import pytest
import tensorflow as tf

from kfc.training.grappler import as_traced
from kfc.training.sharing import compiled


def rewrites():
    return not tf.config.optimizer.get_experimental_options().get("disable_meta_optimizer")


def test_the_setting_is_put_back_also_after_an_error():
    def fail():
        with as_traced():
            assert not rewrites()
        assert not rewrites()
        raise ArithmeticError

    assert rewrites()
    with pytest.raises(ArithmeticError), as_traced():
        fail()
    assert rewrites()


def test_what_is_compiled_runs_as_it_was_traced():
    seen = []

    def noted(x):
        return tf.py_function(lambda x: seen.append(rewrites()) or x, [x], tf.float32)

    function = compiled(noted, [tf.TensorSpec([3])], structure=None, facts=None)
    function(tf.ones(3))
    assert seen == [False]
    assert rewrites()


def test_it_has_the_bits_of_the_same_lines_run_eagerly():
    # Grappler fuses this product, its biases and tanh, and rounds otherwise.
    w, b = tf.random.stateless_normal([64, 100], [1, 2]), tf.linspace(-1.0, 1.0, 100)
    x = tf.random.stateless_normal([32, 64], [3, 4])

    def layer(x):
        return tf.tanh(tf.nn.bias_add(x @ w, b))

    function = compiled(layer, [tf.TensorSpec([32, 64])], structure=None, facts=None)
    np.testing.assert_array_equal(function(x), layer(x))
    assert not np.array_equal(tf.function(layer)(x), layer(x))
