import numpy as np
import pytest
import tensorflow as tf

from kfc.data import Task, prepare
from kfc.preprocessing import TargetScaling
from kfc.spec import load_spec
from kfc.training.engine.graph_cache import graph_key, traced


def structure_of(overrides=None, *, rows=70, labels="abc"):
    spec = load_spec({"training": {"loss": "cross_entropy"}}, overrides)
    return graph_key(spec, Task((4,), "float32", tuple(labels)), num_rows=rows)


def text(overrides=None, **facts):
    return structure_of(overrides, **facts).text


@pytest.mark.parametrize(
    "overrides",
    [
        {"seed": 7},
        {"network.init": {"name": "random_normal", "stddev": 0.3}},
        {"network.bias_init": "he_plus_5", "network.output_init": "zeros"},
        {"training.optimizer.learning_rate": 0.5},
        {"training.epochs": 3},
        {"name": "other"},
    ],
    ids=str,
)
def test_what_a_variable_holds_does_not_count(overrides):
    assert text(overrides) == text()


@pytest.mark.parametrize(
    "overrides",
    [
        {"network.hidden": [64, 64]},
        {"network.activation": "tanh"},
        {"network.parametric_activation": True},
        {"network.input_scale": True},
        {"network.members": 2},
        {"network.dropout": 0.1},
        {"network.l2": 0.1},
        {"network.use_bias": False},
        {"network.normalization": "batch"},
        {"network.block": "residual"},
        {"training.loss": "mse"},
        {"training.optimizer": "sgd"},
        {"training.optimizer": {"name": "adam", "beta_1": 0.8}},
        {"training.optimizer": {"name": "adam", "clipnorm": 1.0}},
        {"training.optimizer.learning_rate": {"name": "cosine", "initial_learning_rate": 0.1}},
        {"training.precision": "bfloat16"},
    ],
    ids=str,
)
def test_what_is_written_into_a_graph_does(overrides):
    assert text(overrides) != text()


def test_classes_and_the_length_of_a_schedule_count():
    cosine = {
        "training.optimizer.learning_rate": {"name": "cosine", "initial_learning_rate": 0.1}
    }
    assert text(labels="abcd") != text()
    assert text(rows=90) == text()
    assert text(cosine, rows=90) == text(cosine)  # three steps of at most 32 rows
    assert text(cosine, rows=97) != text(cosine)
    assert text({**cosine, "training.epochs": 3}) != text(cosine)


def test_widths_of_dense_layers_are_free_but_not_those_of_inputs_and_outputs():
    assert structure_of({"network.hidden": [64, 4, 32, 3]}).widths == {64, 32}
    assert text({"network.hidden": [64]}) == text({"network.hidden": [32]})


@pytest.mark.parametrize(
    "overrides",
    [
        {"network.block": "residual"},
        {"network.normalization": "layer"},
        {"training.optimizer": "muon"},
        {"training.optimizer": "adafactor"},
    ],
    ids=str,
)
def test_widths_are_not_free_where_a_shape_is_looked_at(overrides):
    narrow, wide = ({"network.hidden": [units], **overrides} for units in (32, 64))
    assert structure_of(narrow).widths == frozenset()
    assert text(narrow) != text(wide)


@pytest.mark.parametrize(
    "overrides",
    [
        {"training.optimizer": "nadam"},
        {"training.optimizer": {"name": "sgd", "gradient_accumulation_steps": 2}},
    ],
    ids=str,
)
def test_what_cannot_be_carried_shares_nothing(overrides):
    assert structure_of(overrides) is None


def test_the_shape_of_a_targets_scaling_counts_and_its_numbers_do_not():
    def of(*shift):
        scaling = TargetScaling(np.float32(shift), np.float32([2.0] * len(shift)))
        task = Task((4,), "float32", (), outputs=1, target_scaling=scaling)
        return graph_key(load_spec({"training": {"loss": "mse"}}), task, num_rows=70)

    assert of(1.0) == of(3.0)
    assert of(1.0) != of(1.0, 3.0)


def test_a_compiled_function_has_the_bits_of_the_same_lines_run_eagerly():
    """TensorFlow's graph optimizer would fuse product and bias, and round otherwise."""

    def layer(x):
        w = tf.random.stateless_normal([64, 100], [1, 2])
        return tf.tanh(tf.nn.bias_add(x @ w, tf.linspace(-1.0, 1.0, 100)))

    function = traced(layer, [tf.TensorSpec([32, 64])], key=None, constants=None)
    x = tf.random.stateless_normal([32, 64], [3, 4])
    np.testing.assert_array_equal(function(x), layer(x))


def test_the_codes_of_a_table_count_and_its_words_do_not():
    def key(kinds, prefix="plan", encoder="one_hot"):
        plan = [f"{prefix} {i % kinds}" for i in range(60)]
        columns = {"plan": {"type": "category", "encoder": encoder}}
        spec = load_spec({"data": {"target": "label", "columns": columns, "validation": 0}})
        task = prepare(spec, {"plan": plan, "label": ["no", "yes"] * 30}).task
        assert task.input_shape == (1,)
        return graph_key(spec, task, num_rows=48).text

    assert key(3) == key(3, prefix="tariff")
    assert len({key(3), key(4), key(3, encoder="embedding")}) == 3
