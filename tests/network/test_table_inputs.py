import json
import math

import keras
import numpy as np
import pytest

from kfc.data import prepare
from kfc.network import (
    build,
    embedded_one_hots,
    num_inputs,
    raw_model,
    table_features_float64,
)
from kfc.runs.table_rows import typed_rows
from kfc.spec import load_spec

RNG = np.random.default_rng(0)
TABLE = {
    "fee": [None if i % 9 == 0 else float(v) for i, v in enumerate(RNG.normal(50, 20, 60))],
    "plan": RNG.choice(["basic", "plus", "pro"], 60).tolist(),
    "senior": (RNG.random(60) > 0.5).tolist(),
    "city": [f"city {i % 5}" for i in range(60)],
    "label": [["no", "yes"][i % 2] for i in range(60)],
}
EMBEDDED = {"city": {"type": "category", "encoder": "embedding", "embedding_size": 3}}


def made(columns=None):
    """Returns the spec, the task and the encoded training rows."""
    data = {"target": "label", "scale": "standard", "columns": columns or {}}
    spec = load_spec({"data": data, "network": {"hidden": [4]}})
    prepared = prepare(spec, TABLE)
    return spec, prepared.task, prepared.train.x


def first_inputs(spec, task, x):
    """Returns the inputs of the first hidden layer in float32."""
    network = build(spec, task)
    inputs = keras.Model(network.input, network.get_layer("hidden_1").input)
    return network, np.asarray(inputs(x))


def test_numbers_are_scaled_flags_stay_and_categories_are_one_hot():
    spec, task, x = made()
    _, got = first_inputs(spec, task, x)
    first = task.encoding.num_numbers
    assert got.shape == (len(x), num_inputs(load_spec({}), task))
    np.testing.assert_allclose(got[:, 0].mean(), 0, atol=1e-5)
    np.testing.assert_allclose(got[:, 0].std(), 1, atol=1e-4)
    after = first + task.encoding.num_flags
    np.testing.assert_array_equal(got[:, first:after], x[:, first:after])
    np.testing.assert_array_equal(got[:, after : after + 3].sum(axis=1), 1)
    np.testing.assert_array_equal(got[:, after + 3 :].sum(axis=1), 1)


def test_the_reference_in_float64_computes_the_same():
    spec, task, x = made()
    _, got = first_inputs(spec, task, x)
    wanted = table_features_float64(x, task)
    assert wanted.dtype == np.float64
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)


def test_a_code_of_zero_gives_zeros():
    spec, task, x = made(EMBEDDED)
    x = x[:1].copy()
    x[:, -len(task.encoding.codes) :] = 0
    _, got = first_inputs(spec, task, x)
    slots = sum(code.embedding_size or code.size for code in task.encoding.codes)
    np.testing.assert_array_equal(got[:, -slots:], 0)


def test_an_embedding_is_the_row_of_a_matrix():
    spec, task, x = made(EMBEDDED)
    network, got = first_inputs(spec, task, x)
    (one_hot,) = embedded_one_hots(x, task).values()
    _, plain, plain_x = made()
    assert not embedded_one_hots(plain_x, plain)
    (name,) = (layer.name for layer in network.layers if "embedding" in layer.name)
    matrix = network.get_layer(name).get_weights()[0]
    assert matrix.shape == (5, 3)
    place = task.feature_names.index("city")
    wanted = matrix[x[:, place].astype(int) - 1]
    np.testing.assert_allclose(got[:, -3:], wanted, rtol=1e-6)
    np.testing.assert_allclose(one_hot @ matrix, wanted, rtol=1e-6)


def test_the_initial_embedding_depends_on_the_seed_alone():
    spec, task, _ = made(EMBEDDED)
    one, two = (build(spec, task).get_weights() for _ in range(2))
    other = build(load_spec(spec.model_dump(), {"seed": 1}), task).get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))
    assert not np.array_equal(one[0], other[0])


def test_the_network_of_numbers_alone_has_no_other_inputs():
    data = {"target": "label"}
    table = {"fee": TABLE["fee"], "size": [*range(59), 0], "label": TABLE["label"]}
    task = prepare(load_spec({"data": data}), table).task
    assert (
        num_inputs(load_spec({}), task) == task.encoding.num_numbers + task.encoding.num_flags
    )
    assert not task.encoding.codes


@pytest.mark.parametrize("columns", [None, EMBEDDED], ids=["one-hot", "embedding"])
def test_the_model_of_raw_columns_gives_the_outputs_of_the_network(columns, tmp_path):
    spec, task, _ = made(columns)
    network = build(spec, task)
    model = raw_model(network, task)
    typed = typed_rows(TABLE, task)
    raw = task.encoding.raw_inputs(typed.columns, (network.name,))
    wanted = np.asarray(network(task.encoding.apply(typed.columns)))
    np.testing.assert_allclose(np.asarray(model(raw)), wanted, rtol=0, atol=1e-5)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(np.asarray(loaded(raw)), np.asarray(model(raw)))
    assert "kfc" not in json.dumps(loaded.get_config())


def test_inputs_that_are_arrays_stay_as_they_are():
    spec = load_spec({"network": {"hidden": [4]}})
    x = RNG.normal(size=(60, 2, 3))
    task = prepare(spec, (x, np.arange(60) % 2)).task
    network = build(spec, task)
    assert raw_model(network, task) is network
    assert num_inputs(load_spec({}), task) == math.prod(task.input_shape) == 6
