"""kfc's weights after an epoch on real MNIST, against NumPy in float64, written by hand."""

import pytest


@pytest.fixture(scope="module")
def float64(experiment):
    return experiment("float64")


@pytest.fixture(scope="module")
def rows(float64, idx_datasets):
    return float64.read_rows(idx_datasets / "mnist")


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
def test_469_steps_with_tanh_stay_within_rounding_of_float64(float64, rows, tmp_path, loss):
    options = {"loss": loss, "engines": ("xla", "graph"), "runs": tmp_path}
    for engine, error in float64.compare(*rows, activation="tanh", **options).items():
        assert error["weights"] <= 3e-5, engine
        assert error["loss"] <= 1e-6, engine


@pytest.mark.parametrize("engine", ["xla", "graph", "eager"])
def test_a_single_step_with_relu_agrees_as_tightly(float64, rows, tmp_path, engine):
    x, labels = (part[:128] for part in rows)
    options = {"loss": "cross_entropy", "engines": (engine,), "runs": tmp_path}
    error = float64.compare(x, labels, activation="relu", **options)[engine]
    assert error["weights"] <= 3e-5
