"""An average has a temperature or intervals of its own, fitted where no member was trained."""

import json

import numpy as np
import pytest
from scipy.special import softmax

import kfc
from kfc.ensembles import Ensemble
from kfc.ensembles.averaging import OUT_OF_FOLD, average_uncertainty
from kfc.runs.calibration import fit_temperature
from kfc.spec import load_spec

CALIBRATED = {"training.calibrate": "temperature", "training.epochs": 4}
WITHIN = {"training.interval_coverage": 0.8, "training.epochs": 3, "network.hidden": [8]}


@pytest.fixture(scope="module")
def warm_seeds(tmp_path_factory):
    """Two calibrated seeds on digits, averaged."""
    runs = tmp_path_factory.mktemp("warm")
    overrides = {**CALIBRATED, "training.members": 2, "network.hidden": [16]}
    return kfc.fit("digits", overrides=overrides, runs=runs, verbose=False)


@pytest.fixture(scope="module")
def warm_folds(tmp_path_factory, customers):
    """A calibrated cross-validation of a table."""
    data = {"target": "label", "columns": {"code": "category", "member": "boolean"}}
    spec = {"name": "warm", "data": data, "network": {"hidden": [64, 64]}}
    spec["training"] = {"calibrate": "temperature", "epochs": 40}
    runs = tmp_path_factory.mktemp("folds")
    return kfc.cross_validate(
        spec, folds=3, repeats=2, data=customers, runs=runs, verbose=False
    )


@pytest.fixture(scope="module")
def wide_folds(tmp_path_factory):
    """A cross-validation of numbers with intervals, and test rows of its own."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(300, 3))
    y = x.sum(axis=1) + generator.normal(size=300)
    spec = {"name": "wide", "training": {"interval_coverage": 0.8, "epochs": 5}}
    return kfc.cross_validate(
        spec,
        folds=3,
        data=((x[:200], y[:200]), (x[200:], y[200:])),
        runs=tmp_path_factory.mktemp("wide"),
        verbose=False,
    )


def mean_of(runs, x):
    return np.mean([run.predict(x).probabilities for run in runs], axis=0)


def test_calibrated_members_are_averaged_and_their_average_is_calibrated(warm_seeds):
    assert all(run.task.temperature is not None for run in warm_seeds.runs)
    rows = warm_seeds.runs[0].prepared(None).validation
    logits = np.log(mean_of(warm_seeds.runs, rows.x))
    temperature = warm_seeds.uncertainty["temperature"]
    assert temperature == pytest.approx(fit_temperature(logits, rows.y), rel=1e-4)
    assert temperature < 1  # members disagree, so that their average is less sure
    x = warm_seeds.runs[0].rows("test").x
    wanted = softmax(np.log(mean_of(warm_seeds.runs, x)) / temperature, axis=1)
    np.testing.assert_allclose(warm_seeds.predict(x).probabilities, wanted, atol=1e-6)


def test_the_scores_are_those_of_the_calibrated_average(warm_seeds):
    again = kfc.load(warm_seeds.folder)
    assert again.uncertainty == warm_seeds.uncertainty
    assert again.evaluate() == warm_seeds.metrics
    rows = warm_seeds.runs[0].prepared(None).test
    found = warm_seeds.predict(rows.x).probabilities[np.arange(len(rows)), rows.y]
    assert warm_seeds.metrics["test_log_loss"] == pytest.approx(
        -np.log(found).mean(), rel=1e-4
    )
    assert {"val_ece_after", "test_ece_after"} < set(warm_seeds.uncertainty)


@pytest.mark.parametrize("format", ["saved_model", "onnx"])
def test_the_exported_average_is_calibrated(format, warm_seeds, tmp_path):
    exported = kfc.export(warm_seeds, tmp_path, format=format, verbose=False)
    x = warm_seeds.runs[0].rows("test").x
    found = exported.predict(x).probabilities
    np.testing.assert_allclose(found, warm_seeds.predict(x).probabilities, atol=1e-6)


def test_an_average_of_given_runs_has_calibrated_members_and_no_temperature(warm_seeds):
    average = Ensemble.of(warm_seeds.runs)
    assert average.uncertainty == {}
    assert average.task.temperature is None
    x = warm_seeds.runs[0].rows("test").x
    found = average.predict(x).probabilities
    np.testing.assert_allclose(found, mean_of(warm_seeds.runs, x), atol=1e-6)


def test_folds_fit_the_temperature_on_all_rows_out_of_fold(warm_folds, customers):
    rows = warm_folds.out_of_fold
    first, second = (rows.probabilities[rows.repeat == repeat] for repeat in (0, 1))
    y = (rows.target[rows.repeat == 0] == "yes").astype(int)
    wanted = min(1.0, fit_temperature(np.log((first + second) / 2), y))
    assert warm_folds.uncertainty["temperature"] == pytest.approx(wanted, rel=1e-4)
    assert warm_folds.uncertainty["rows"] == len(customers)
    assert warm_folds.ensemble.task.temperature == warm_folds.uncertainty["temperature"]
    assert not any(name.startswith("test_") for name in warm_folds.uncertainty)


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_rows_out_of_fold_make_an_average_only_surer(temperature):
    logits = np.random.default_rng(0).normal(size=(2000, 1)) * [[0.0, 2.0]]
    chance = softmax(logits / temperature, axis=1)[:, 1]
    y = (np.random.default_rng(1).random(2000) < chance).astype(int)
    spec = load_spec({"training": {"calibrate": "temperature"}})
    seeds = average_uncertainty(spec, {"val": (logits, y), "test": None})
    folds = average_uncertainty(spec, {OUT_OF_FOLD: (logits, y)})
    assert seeds["temperature"] == pytest.approx(temperature, rel=0.1)
    assert folds["temperature"] == min(seeds["temperature"], 1.0)


def test_a_table_is_exported_with_the_temperature(warm_folds, customers, tmp_path):
    ensemble = warm_folds.ensemble
    exported = kfc.export(ensemble, tmp_path, verbose=False)
    found = exported.predict(customers).probabilities
    np.testing.assert_allclose(found, ensemble.predict(customers).probabilities, atol=1e-6)


def test_folds_fit_intervals_on_all_rows_out_of_fold(wide_folds):
    rows, facts = wide_folds.out_of_fold, wide_folds.uncertainty
    residuals = np.sort(np.abs(rows.target - rows.value)[:, 0])
    assert facts["half_widths"][0] == pytest.approx(residuals[int(np.ceil(201 * 0.8)) - 1])
    assert facts["rows"] == 200
    assert 0.65 < facts["test_coverage"][0] < 0.95  # 100 rows: 0.8, +- 3 times 0.045


def test_the_average_has_intervals_where_it_is_exported(wide_folds, tmp_path):
    ensemble, x = wide_folds.ensemble, np.zeros((1, 3), np.float32)
    found = ensemble.predict(x)
    (half_width,) = wide_folds.uncertainty["half_widths"]
    assert found.upper - found.value == pytest.approx(half_width, rel=1e-5)
    exported = kfc.export(ensemble, tmp_path, verbose=False)
    assert exported.predict(x).upper == pytest.approx(found.upper, rel=1e-5)


def test_seeds_fit_intervals_on_validation_rows_apart(tmp_path):
    overrides = {**WITHIN, "training.members": 2}
    ensemble = kfc.fit("diabetes", overrides=overrides, runs=tmp_path, verbose=False)
    rows = ensemble.runs[0].prepared(None).interval_rows
    value = np.mean([run.predict(rows.x).value for run in ensemble.runs], axis=0)
    residuals = np.sort(np.abs(rows.y - value)[:, 0])
    wanted = residuals[int(np.ceil(19 * 0.8)) - 1]
    assert ensemble.uncertainty["half_widths"] == [pytest.approx(wanted, rel=1e-5)]
    assert Ensemble.of(ensemble.runs).predict(rows.x).lower.size == 0


def test_an_average_without_the_keys_is_written_as_ever(seeds):
    facts = json.loads((seeds.folder / "average.json").read_text())
    assert set(facts) == {"members", "metrics", "baseline", "sha256"}
