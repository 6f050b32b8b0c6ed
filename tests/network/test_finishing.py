"""A calibrated network divides its logits by a temperature, by a layer of Keras."""

import dataclasses

import keras
import numpy as np
import pytest

from kfc.data import Task
from kfc.network import averaged_network, build
from kfc.network.finishing import finished_network
from kfc.spec import load_spec

X = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
TASK = Task((4,), "float32", ("a", "b", "c"))
WARM = dataclasses.replace(TASK, temperature=1.25)
SPECS = {
    "dense": {"network": {"hidden": [8]}},
    "a sum": {"network": {"hidden": [8, 8, 6], "block": "residual"}},
    "one logit": {"network": {"hidden": [8]}, "training": {"loss": "binary_crossentropy"}},
    "embedded": {"network": {"hidden": [8], "numeric_embedding": "periodic_linear"}},
}


@pytest.fixture(params=SPECS)
def spec_and_tasks(request):
    two = request.param == "one logit"
    names = ("a", "b") if two else ("a", "b", "c")
    return load_spec(SPECS[request.param]), *(
        dataclasses.replace(task, class_names=names) for task in (TASK, WARM)
    )


def test_it_answers_with_divided_logits(spec_and_tasks):
    spec, task, warm = spec_and_tasks
    wanted = np.asarray(build(spec, task)(X)) / 1.25
    np.testing.assert_allclose(np.asarray(build(spec, warm)(X)), wanted, rtol=1e-6)


def test_the_network_of_a_task_and_the_one_that_was_trained_have_the_same_weights(
    spec_and_tasks,
):
    spec, task, warm = spec_and_tasks
    trained = build(spec, task)
    built, calibrated = build(spec, warm), finished_network(trained, warm)
    paths = [[weight.path for weight in each.weights] for each in (trained, built, calibrated)]
    assert paths[0] == paths[1] == paths[2]
    np.testing.assert_array_equal(built(X), calibrated(X))


def test_a_network_without_a_temperature_stays_itself():
    network = build(load_spec(SPECS["dense"]), TASK)
    assert finished_network(network, TASK) is network
    assert "calibrated" not in [layer.name for layer in network.layers]


def test_it_is_a_layer_of_keras(tmp_path):
    network = build(load_spec(SPECS["dense"]), WARM)
    network.save(tmp_path / "model.keras")
    assert type(network.layers[-1]) is keras.layers.Rescaling
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again(X), network(X))


def test_an_average_of_calibrated_networks_has_a_temperature_of_its_own():
    spec = load_spec(SPECS["dense"])
    other = spec.model_copy(update={"seed": 1})
    members = [build(spec, WARM), build(other, dataclasses.replace(TASK, temperature=0.5))]
    mean = np.mean([keras.ops.softmax(each(X)) for each in members], axis=0)
    average = averaged_network(members, TASK, joint=False)
    np.testing.assert_allclose(keras.ops.softmax(average(X)), mean, rtol=1e-5)
    warm = averaged_network(members, WARM, joint=False)
    np.testing.assert_allclose(warm(X), np.log(mean) / 1.25, rtol=1e-5)
