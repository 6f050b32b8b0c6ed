import threading

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.eager import context

from kfc.training.engine.compile_cache import compiled
from kfc.training.engine.graph_options import as_traced


def rewrites():
    """Whether graphs that this thread calls are rewritten."""
    config = context.context().function_call_options.config_proto_serialized
    graph_options = tf.compat.v1.ConfigProto.FromString(config).graph_options
    return not graph_options.rewrite_options.disable_meta_optimizer


def layer(x):
    w, b = tf.random.stateless_normal([64, 100], [1, 2]), tf.linspace(-1.0, 1.0, 100)
    return tf.tanh(tf.nn.bias_add(x @ w, b))


ROWS = [tf.TensorSpec([32, 64])]


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


def test_other_threads_rewrite_as_before():
    seen = []
    with as_traced():
        thread = threading.Thread(target=lambda: seen.append(rewrites()))
        thread.start()
        thread.join()
    assert seen == [True]


def operations(function):
    """Returns the kinds of operations that ran, after all rewriting."""
    with context.collect_graphs(optimized=True) as graphs:
        function(tf.ones([32, 64]))
    functions = [f for graph in graphs for f in graph.library.function]
    nodes = [node for graph in graphs for node in graph.node]
    return {node.op for node in [*nodes, *(n for f in functions for n in f.node_def)]}


def test_what_is_compiled_runs_as_it_was_traced():
    function = compiled(layer, ROWS, structure=None, facts=None)
    assert "_FusedMatMul" not in operations(function)
    assert "_FusedMatMul" in operations(tf.function(layer))  # what TensorFlow makes of it


def test_it_has_the_bits_of_the_same_lines_run_eagerly():
    x = tf.random.stateless_normal([32, 64], [3, 4])
    function = compiled(layer, ROWS, structure=None, facts=None)
    np.testing.assert_array_equal(function(x), layer(x))
