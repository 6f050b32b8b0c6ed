"""Predictions that are limited to the range of the training targets."""

import keras
import numpy as np
import pytest

import kfc

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(300, 3)).astype(np.float32)
Y = np.stack([X.sum(axis=1), 1e4 * X[:, 0] - X[:, 1]], axis=1).astype(np.float32)
FAR = 50 * GENERATOR.normal(size=(40, 3)).astype(np.float32)
SPEC = {
    "name": "limited",
    "data": {"clip_predictions": True, "validation": 0.4},
    "network": {"hidden": [8]},
    "training": {"epochs": 4, "optimizer": {"name": "adam", "learning_rate": 0.02}},
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The same training with limits, and without them."""
    folder = tmp_path_factory.mktemp("runs")

    def fit(clip):
        changes = {"data.clip_predictions": clip}
        return kfc.fit(SPEC, overrides=changes, data=(X, Y), runs=folder, verbose=False)

    return fit(True), fit(False)


def test_predictions_stay_within_the_training_targets(runs):
    limited, free = runs
    smallest, largest = limited.task.limits
    train = limited.prepared((X, Y)).train.y
    np.testing.assert_array_equal([smallest, largest], [train.min(axis=0), train.max(axis=0)])
    wanted = np.clip(free.predict(FAR).value, np.float32(smallest), np.float32(largest))
    assert (wanted != free.predict(FAR).value).mean() > 0.5
    np.testing.assert_array_equal(limited.predict(FAR).value, wanted)


def test_the_training_is_the_same(runs):
    limited, free = runs
    assert limited.weights_sha256 == free.weights_sha256
    assert limited.history == free.history


def test_metrics_are_those_of_the_limited_network(runs):
    limited, free = runs
    assert kfc.load(limited.folder).evaluate((X, Y)) == limited.evaluate((X, Y))
    assert limited.evaluate((FAR, Y[:40]))["rmse"] < free.evaluate((FAR, Y[:40]))["rmse"]
    rows = limited.prepared((X, Y)).held_out["test"]
    errors = limited.predict(rows.x).value - rows.y
    assert limited.metrics["test_rmse"] == pytest.approx(
        np.sqrt((errors**2).mean(axis=0)).mean(), rel=1e-5
    )


@pytest.mark.parametrize("format", ["saved_model", "onnx", "litert"])
def test_exports_have_the_limits(runs, format, tmp_path):
    exported = kfc.export(runs[0].folder, tmp_path, format=format)
    assert exported.certificate["max_difference"] <= 1e-2  # of values up to 3e4


def test_a_saved_network_has_the_limits_in_plain_keras(runs):
    model = keras.models.load_model(runs[0].folder / "model.keras")
    np.testing.assert_allclose(model(FAR), runs[0].predict(FAR).value, rtol=1e-6)


def test_intervals_are_those_of_limited_predictions(tmp_path):
    changes = {"training.interval_coverage": 0.8}
    run = kfc.fit(SPEC, overrides=changes, data=(X, Y), runs=tmp_path, verbose=False)
    rows = run.prepared((X, Y)).interval_rows
    residuals = np.abs(run.predict(rows.x).value - rows.y)
    place = int(np.ceil((len(rows) + 1) * 0.8)) - 1
    wanted = np.sort(residuals, axis=0)[place]
    np.testing.assert_allclose(run.task.intervals.half_widths, wanted, rtol=1e-5)
    again = kfc.load(run.folder).task
    assert (again.limits, again.intervals) == (run.task.limits, run.task.intervals)


def test_members_and_averages_are_limited_too(tmp_path):
    changes = {"network.members": 3, "training.members": 2}
    average = kfc.fit(SPEC, overrides=changes, data=(X, Y), runs=tmp_path, verbose=False)
    values = [run.predict(FAR).value for run in average.runs]
    for run, value in zip(average.runs, values, strict=True):
        smallest, largest = run.task.limits
        assert (value >= np.float32(smallest)).all()
        assert (value <= np.float32(largest)).all()
    np.testing.assert_allclose(average.predict(FAR).value, np.mean(values, axis=0), rtol=1e-5)


def test_a_limited_network_gives_the_initial_weights_of_another_run(runs, tmp_path):
    again = kfc.fit(SPEC, data=(X, Y), network=runs[0].network, runs=tmp_path, verbose=False)
    assert again.history["loss"][0] < runs[0].history["loss"][0]
