import math

import keras
import numpy as np
import pytest
from sklearn.metrics import r2_score

import kfc
from kfc.data import Task
from kfc.preprocessing import TargetScaling
from kfc.training.metrics import R2, build_metrics, defined


def in_batches(metric, y, values, weight=None, size=32):
    for first in range(0, len(y), size):
        part = slice(first, first + size)
        metric.update_state(y[part], values[part], None if weight is None else weight[part])
    return float(metric.result())


def numbers(mean, spread, rows=150, outputs=1):
    rng = np.random.default_rng(0)
    y = mean + spread * rng.normal(size=(rows, outputs))
    values = y + 0.3 * spread * rng.normal(size=y.shape)
    return y.astype(np.float32), values.astype(np.float32)


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize(
    ("mean", "spread", "unit"),
    [
        (0, 1, 1),
        (2000, 11, 1),
        (1e6, 10, 1),
        (-1e7, 5, 1),
        (1.6e9, 1e5, 1e5),
        (1e30, 1e28, 1e28),  # squares overflow without a unit
        (0, 1e-25, 1e-25),  # and vanish
    ],
)
def test_r2_is_that_of_scikit_learn_wherever_the_targets_are(mean, spread, unit, outputs):
    """150 rows in batches of 32: the last one has 22."""
    y, values = numbers(mean, spread, outputs=outputs)
    expected = r2_score(y.astype(np.float64), values.astype(np.float64))
    assert in_batches(R2(outputs, unit), y, values) == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize("size", [1, 7])
def test_r2_of_many_small_batches_does_not_drift(size):
    y, values = numbers(1e7, 5, rows=100 * size)
    expected = r2_score(y.astype(np.float64), values.astype(np.float64))
    assert in_batches(R2(1), y, values, size=size) == pytest.approx(expected, abs=1e-4)


def test_sums_that_overflow_are_no_missing_value():
    y, values = numbers(0, 1e30)
    assert in_batches(R2(1), y, values) == -math.inf


def test_r2_near_zero_is_that_of_keras():
    y, values = numbers(0, 1, outputs=2)
    expected = in_batches(keras.metrics.R2Score(), y, values)
    assert in_batches(R2(2), y, values) == pytest.approx(expected, abs=1e-5)


def test_r2_weighs_rows_as_scikit_learn_does():
    y, values = numbers(1e5, 10)
    weight = np.random.default_rng(1).random(len(y)).astype(np.float32)
    expected = r2_score(y.astype(float), values.astype(float), sample_weight=weight)
    assert in_batches(R2(1), y, values, weight) == pytest.approx(expected, abs=1e-4)


def test_r2_begins_again_after_a_reset():
    y, values = numbers(10, 1)
    metric = R2(1)
    in_batches(metric, y, -values)
    metric.reset_state()
    assert in_batches(metric, y, values) == pytest.approx(r2_score(y, values), abs=1e-5)


@pytest.mark.parametrize(
    ("y", "why"),
    [([[7.0]], "one row"), ([[7.0], [7.0], [7.0]], "equal targets"), ([], "none")],
)
def test_r2_has_no_value_without_variance(y, why):
    y = np.array(y, np.float32).reshape(-1, 1)
    assert math.isnan(in_batches(R2(1), y, y + 1)), why


def test_only_a_metric_that_is_undefined_beside_a_finite_loss_is_left_out():
    nan = math.nan
    logs = {"loss": 1.0, "r2": 0.5, "val_loss": 2.0, "val_r2": nan}
    assert defined(logs) == {"loss": 1.0, "r2": 0.5, "val_loss": 2.0}
    broken = {"loss": nan, "r2": nan}
    assert defined(broken).keys() == broken.keys()
    assert "mae" in defined({"loss": 1.0, "mae": nan})


@pytest.mark.parametrize(
    "engine", [pytest.param("eager", marks=pytest.mark.slow), "graph", "xla"]
)
def test_a_run_reports_the_r2_of_its_own_predictions(engine, tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 3)).astype(np.float32)
    y = 1e6 + 100 * (x.sum(axis=1) + 0.3 * rng.normal(size=300))
    spec = {
        "data": {"scale": "none", "validation": 0},
        "network": {"hidden": []},
        "training": {"epochs": 3, "optimizer": "adam", "engine": engine},
    }
    data = ((x[:200], y[:200]), (x[200:], y[200:]))
    run = kfc.fit(spec, data=data, runs=tmp_path, verbose=False)
    targets = y[200:].astype(np.float32).astype(np.float64)
    expected = r2_score(targets, run.predict(x[200:]).value[:, 0].astype(np.float64))
    assert run.metrics["test_r2"] == pytest.approx(expected, abs=1e-4)
    assert run.history["test_r2"][-1] == pytest.approx(expected, abs=1e-4)


def test_a_single_validation_row_has_no_r2(tmp_path):
    x = np.arange(20.0)[:, None]
    spec = {
        "data": {"scale": "standard", "validation": 0},
        "network": {"hidden": []},
        "training": {"epochs": 2},
    }
    data = ((x[:19], 2 * x[:19, 0]), (x[19:], 2 * x[19:, 0]))
    run = kfc.fit(spec, data=data, runs=tmp_path, verbose=False)
    assert "test_r2" not in run.metrics
    assert "test_r2" not in run.history
    assert {"loss", "mae", "r2", "test_loss", "test_mae"} == set(run.history)
    assert kfc.load(run.folder).evaluate(data) == run.metrics


def test_metrics_of_a_regression_are_measured_in_deviations_of_the_training_targets():
    scaling = TargetScaling.fit("standard", np.array([[10.0], [14.0]], np.float32))
    _, r2 = build_metrics(Task((1,), "float32", (), 1, target_scaling=scaling), 1)
    np.testing.assert_array_equal(r2.given[0], [2.0])
