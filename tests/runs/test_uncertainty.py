"""A run has the temperature or the intervals that its spec asks for, until it is exported."""

import json

import keras
import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import log_loss

import kfc
from kfc.data import prepare
from kfc.runs.calibration import calibration_error, fit_temperature
from kfc.runs.scores import compute_outputs
from kfc.runs.uncertainty import uncertainty_lines
from kfc.spec import load_spec
from kfc.training.engine.engine import Engine

CALIBRATED = {
    "training.calibrate": "temperature",
    "training.epochs": 3,
    "network.hidden": [16],
    "training.checkpoint_seconds": 1e-9,
    "training.log_every": 1,
}
WITHIN = {"training.interval_coverage": 0.9, "training.epochs": 3, "network.hidden": [8]}
GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(400, 3)).astype(np.float32)
TWO = np.c_[X.sum(axis=1), 1e4 * X[:, 0]] + GENERATOR.normal(size=(400, 2)) * [1, 3e3]


@pytest.fixture(scope="module")
def calibrated(fit, tmp_path_factory):
    """A calibrated run on digits; do not change it."""
    return fit(tmp_path_factory.mktemp("calibrated"), overrides=CALIBRATED)


@pytest.fixture(scope="module")
def within(fit, tmp_path_factory):
    """A run on disease progression with intervals; do not change it."""
    return fit(tmp_path_factory.mktemp("within"), "diabetes", WITHIN)


@pytest.fixture(scope="module")
def several(fit, tmp_path_factory):
    """A run of two targets of very different size, with intervals."""
    spec = {"name": "two", "training": {"interval_coverage": 0.8, "epochs": 3}}
    return fit(tmp_path_factory.mktemp("two"), spec, {}, data=(X, TWO))


def logits_of(run, part):
    """Returns the logits before the temperature, and class numbers."""
    rows = run.prepared(None).held_out[part]
    before = keras.Model(run.network.inputs[0], run.network.get_layer("logits").output)
    return compute_outputs(before, rows.x).astype(np.float64), rows.y


# --- classes --------------------------------------------------------------------------------


def test_the_temperature_is_fitted_on_the_validation_rows(calibrated):
    temperature = calibrated.uncertainty["temperature"]
    assert temperature == pytest.approx(
        fit_temperature(*logits_of(calibrated, "val")), rel=1e-5
    )
    assert temperature != 1
    assert calibrated.task.temperature == temperature
    assert calibrated.uncertainty["rows"] == calibrated.rows["val"]


@pytest.mark.parametrize("part", ["val", "test"])
def test_the_calibration_error_is_measured_before_and_after(part, calibrated):
    logits, y = logits_of(calibrated, part)
    for moment, divisor in (("before", 1), ("after", calibrated.task.temperature)):
        wanted = calibration_error(softmax(logits / divisor, axis=1), y)
        assert calibrated.uncertainty[f"{part}_ece_{moment}"] == pytest.approx(
            wanted, abs=1e-5
        )


def test_metrics_are_those_of_the_calibrated_network(calibrated):
    logits, y = logits_of(calibrated, "test")
    wanted = log_loss(y, softmax(logits / calibrated.task.temperature, axis=1))
    assert calibrated.metrics["test_log_loss"] == pytest.approx(wanted, rel=1e-5)
    assert calibrated.metrics["test_loss"] == pytest.approx(wanted, rel=1e-5)
    assert calibrated.evaluate() == calibrated.metrics


def test_a_calibrated_run_is_loaded_again(calibrated):
    again = kfc.load(calibrated.folder)
    assert again.uncertainty == calibrated.uncertainty
    assert again.evaluate() == calibrated.metrics
    rows = calibrated.rows("test").x
    np.testing.assert_array_equal(
        again.predict(rows).probabilities, calibrated.predict(rows).probabilities
    )
    result = json.loads((calibrated.folder / "result.json").read_text())
    assert result["uncertainty"] == calibrated.uncertainty
    assert result["task"]["temperature"] == calibrated.task.temperature


def test_the_saved_network_is_calibrated(calibrated):
    rows = calibrated.rows("test").x
    saved = keras.saving.load_model(calibrated.folder / "model.keras")
    np.testing.assert_array_equal(
        keras.ops.softmax(saved(rows)), keras.ops.softmax(calibrated.network(rows))
    )


@pytest.mark.parametrize("format", ["saved_model", "onnx", "litert"])
def test_the_exported_model_is_calibrated(format, calibrated, tmp_path):
    exported = kfc.export(calibrated, tmp_path, format=format, verbose=False)
    rows = calibrated.rows("test").x
    wanted = calibrated.predict(rows).probabilities
    np.testing.assert_allclose(exported.predict(rows).probabilities, wanted, atol=1e-6)
    assert f"temperature {calibrated.task.temperature:.4f}" in (
        exported.path / "card.md"
    ).read_text("utf-8")


def test_training_does_not_depend_on_it(calibrated, fit, tmp_path):
    plain = fit(tmp_path, overrides={**CALIBRATED, "training.calibrate": None})
    assert plain.weights_sha256 == calibrated.weights_sha256
    assert plain.history == calibrated.history
    assert plain.uncertainty == {}
    assert plain.metrics["test_accuracy"] == calibrated.metrics["test_accuracy"]


def test_a_run_without_the_keys_has_no_trace_of_them(run):
    result = json.loads((run.folder / "result.json").read_text())
    assert "uncertainty" not in result
    assert {"temperature", "intervals"} & set(result["task"]) == set()
    assert run.predict(run.rows("test").x[:1]).lower.size == 0


def test_an_interrupted_run_ends_with_the_same_temperature(calibrated, tmp_path, monkeypatch):
    run, calls = Engine.run, []

    def interrupted(self, *arguments, **options):
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return run(self, *arguments, **options)

    monkeypatch.setattr(Engine, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        kfc.fit("digits", overrides=CALIBRATED, runs=tmp_path, verbose=False)
    resumed = kfc.resume(tmp_path / "0001-digits", verbose=False)
    assert resumed.uncertainty == calibrated.uncertainty
    assert resumed.metrics == calibrated.metrics


def test_a_calibrated_network_gives_the_initial_weights_of_another_run(
    calibrated, fit, tmp_path
):
    again = fit(tmp_path, overrides=CALIBRATED, network=calibrated.network)
    assert again.metrics["val_accuracy"] >= calibrated.metrics["val_accuracy"]


def test_label_smoothing_gives_a_temperature_below_1(fit, tmp_path):
    smooth = {"name": "categorical_crossentropy", "label_smoothing": 0.3}
    changes = {"training.loss": smooth, "training.epochs": 15, "network.hidden": [64]}
    assert fit(tmp_path, overrides=CALIBRATED | changes).task.temperature < 0.8


def test_one_logit_of_two_classes_has_a_temperature(fit, tmp_path):
    noise = 2 * np.random.default_rng(1).normal(size=400)
    y = (X.sum(axis=1) + noise > 0).astype(int)
    data = {"validation": 0.5, "scale": "standard"}
    spec = {"name": "one", "network": {"hidden": [64, 64]}, "data": data}
    spec["training"] = {"loss": "binary_crossentropy", "epochs": 60}
    rate = {"training.optimizer.learning_rate": 0.01}
    run = fit(tmp_path, spec, {"training.calibrate": "temperature", **rate}, data=(X, y))
    assert run.task.temperature > 1  # it has learned the noise
    before = keras.Model(run.network.inputs[0], run.network.get_layer("logits").output)
    wanted = 1 / (1 + np.exp(-np.asarray(before(X))[:, 0] / run.task.temperature))
    np.testing.assert_allclose(run.predict(X).probabilities[:, 1], wanted, atol=1e-6)


# --- numbers --------------------------------------------------------------------------------


def test_the_half_width_is_a_residual_of_rows_apart(within):
    rows = within.prepared(None).interval_rows
    residuals = np.sort(np.abs(rows.y - within.predict(rows.x).value)[:, 0])
    (half_width,) = within.uncertainty["half_widths"]
    assert half_width == pytest.approx(residuals[int(np.ceil(0.9 * 19)) - 1], rel=1e-5)
    assert within.uncertainty["rows"] == len(residuals) == 18


def test_rows_that_give_intervals_choose_no_epoch(within):
    prepared = within.prepared(None)
    assert within.rows["val"] == len(prepared.validation) == 18
    every = prepare(load_spec("diabetes")).validation
    np.testing.assert_array_equal(prepared.validation.x, every.x[::2])
    np.testing.assert_array_equal(prepared.interval_rows.x, every.x[1::2])
    assert within.evaluate() == within.metrics


def test_predictions_have_bounds(within):
    rows = within.rows("test")
    (half_width,) = within.uncertainty["half_widths"]
    found = rows.predictions
    np.testing.assert_allclose(found.upper - found.value, half_width, rtol=1e-5)
    np.testing.assert_allclose(found.value - found.lower, half_width, rtol=1e-5)
    share = np.mean((found.lower <= rows.y) & (rows.y <= found.upper))
    assert within.uncertainty["test_coverage"] == [share]


def test_a_run_with_intervals_is_loaded_again(within):
    again, rows = kfc.load(within.folder), within.rows("test").x
    assert (again.uncertainty, again.task.intervals) == (
        within.uncertainty,
        within.task.intervals,
    )
    np.testing.assert_array_equal(again.predict(rows).lower, within.predict(rows).lower)


def test_the_bounds_are_columns_of_the_table(within, several):
    text = kfc.runs.table(within.predict(within.rows("test").x[:2]), within.task)
    assert text.splitlines()[0] == "value,lower,upper"
    value, lower, upper = map(float, text.splitlines()[1].split(","))
    assert lower < value < upper
    text = kfc.runs.table(several.predict(X[:2]), several.task)
    assert text.splitlines()[0] == "value_0,value_1,lower_0,lower_1,upper_0,upper_1"


@pytest.mark.parametrize(
    ("kind", "format"),
    [("within", "saved_model"), ("within", "litert"), ("several", "onnx")],
)
def test_the_exported_model_has_the_bounds(kind, format, request, tmp_path):
    run = request.getfixturevalue(kind)
    rows = X if kind == "several" else run.rows("test").x
    exported = kfc.export(run, tmp_path, format=format, verbose=False)
    found, wanted = exported.predict(rows), run.predict(rows)
    assert found.lower.shape == found.upper.shape == found.value.shape
    size = np.abs(wanted.upper).max(axis=0)
    for name in ("value", "lower", "upper"):
        off = np.abs(getattr(found, name) - getattr(wanted, name)) / size
        assert off.max() < 1e-5
    assert "`lower` and `upper`" in (exported.path / "card.md").read_text("utf-8")


def test_each_target_has_its_own_width(several):
    small, large = several.task.intervals.half_widths
    assert large > 1000 * small
    assert len(several.uncertainty["test_coverage"]) == 2


def test_more_coverage_than_the_rows_can_give_is_refused(fit, tmp_path):
    with pytest.raises(kfc.DataError) as caught:
        fit(tmp_path, "diabetes", {**WITHIN, "training.interval_coverage": 0.99})
    (finding,) = caught.value.findings
    assert finding.where == "training.interval_coverage"
    assert (finding.name, finding.got) == ("too_few_for_intervals", "18")
    assert finding.expected.startswith("at least 99 held-out rows")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("spec", "key", "value"),
    [
        ("diabetes", "training.calibrate", "temperature"),
        ("digits", "training.interval_coverage", 0.9),
    ],
)
def test_the_wrong_kind_of_task_is_refused(spec, key, value, fit, tmp_path):
    with pytest.raises(kfc.SpecError) as caught:
        fit(tmp_path, spec, {key: value})
    assert caught.value.findings[0].where == key


def test_the_facts_are_short_lines(calibrated, within):
    assert list(uncertainty_lines(calibrated.uncertainty)) == [
        "temperature",
        "calibration error",
    ]
    lines = uncertainty_lines(within.uncertainty)
    assert lines["interval"].endswith(" for 0.9, from 18 rows")
    assert uncertainty_lines({}) == {}
