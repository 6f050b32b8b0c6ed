"""An ensemble averages probabilities, or values, wherever it takes the place of a run."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_iris

import kfc
from kfc.errors import CheckpointError, DataError, SpecError
from kfc.training.engine.engine import Engine

X, Y = load_iris(return_X_y=True)


def mean_of(runs, x):
    return np.mean([run.predict(x).probabilities for run in runs], axis=0)


def test_the_probabilities_are_the_mean_of_the_members(seeds):
    predictions = seeds.predict(X)
    np.testing.assert_allclose(predictions.probabilities, mean_of(seeds.runs, X), atol=1e-6)
    best = mean_of(seeds.runs, X).argmax(axis=1)
    assert (predictions.label == np.array(seeds.task.class_names)[best]).all()


def test_members_have_other_seeds_and_the_same_rows(seeds):
    assert [run.spec.seed for run in seeds.runs] == [0, 1]
    first, second = (run.rows("test").x for run in seeds.runs)
    np.testing.assert_array_equal(first, second)
    assert seeds.runs[0].weights_sha256 != seeds.runs[1].weights_sha256


def test_the_scores_are_those_of_the_average(seeds):
    rows = seeds.runs[0].rows("test")
    average = mean_of(seeds.runs, rows.x)
    names = np.array(seeds.task.class_names)
    assert seeds.metrics["test_accuracy"] == np.mean(names[average.argmax(axis=1)] == rows.y)
    assert seeds.evaluate() == seeds.metrics
    assert kfc.load(seeds.folder).metrics == seeds.metrics


def test_values_are_averaged(tmp_path):
    y = np.c_[X @ [1.0, 2.0, -1.0, 0.5], X[:, 0]]
    spec = {"name": "values", "training": {"epochs": 1, "members": 2}}
    ensemble = kfc.fit(spec, data=(X, y), runs=tmp_path, verbose=False)
    wanted = np.mean([run.predict(X).value for run in ensemble.runs], axis=0)
    np.testing.assert_allclose(ensemble.predict(X).value, wanted, rtol=1e-5)


def test_an_interrupted_ensemble_ends_with_the_same_weights(
    small, seeds, tmp_path, monkeypatch
):
    run, calls = Engine.run, []

    def interrupted(self, *arguments, **options):
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return run(self, *arguments, **options)

    monkeypatch.setattr(Engine, "run", interrupted)
    overrides = {"training.members": 2}
    with pytest.raises(KeyboardInterrupt):
        kfc.fit(small, overrides=overrides, runs=tmp_path, verbose=False)
    with pytest.raises(CheckpointError, match="unfinished"):
        kfc.load(tmp_path / "0001-small")
    resumed = kfc.resume(tmp_path / "0001-small", verbose=False)
    assert resumed.weights_sha256 == seeds.weights_sha256
    assert resumed.metrics == seeds.metrics


def test_members_of_a_table_encode_each_in_their_own_way(of_table, customers):
    predictions = of_table.predict(customers)
    wanted = mean_of(of_table.runs, customers)
    np.testing.assert_allclose(predictions.probabilities, wanted, atol=1e-6)


def test_the_model_of_a_table_takes_raw_columns(of_table, customers, tmp_path):
    of_table.model.save(tmp_path / "model.keras")
    program = (
        "import sys, keras, numpy as np\n"
        f"model = keras.models.load_model({str(tmp_path / 'model.keras')!r})\n"
        "assert 'kfc' not in sys.modules\n"
        "row = {i.name: np.zeros(1, i.dtype) if i.dtype != 'string' else ['b']"
        " for i in model.inputs}\n"
        "row = {name: keras.ops.convert_to_tensor(value) for name, value in row.items()}\n"
        "print(np.exp(np.asarray(model(row))).sum())\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert float(ended.stdout) == pytest.approx(1, abs=1e-5) or ended.stdout == "nan\n"


@pytest.mark.parametrize("format", ["saved_model", "onnx"])
def test_an_export_of_arrays_answers_as_the_ensemble(seeds, format, tmp_path):
    exported = kfc.export(seeds, tmp_path / format, format=format, verbose=False)
    np.testing.assert_allclose(
        exported.predict(X).probabilities, mean_of(seeds.runs, X), atol=1e-5
    )


@pytest.mark.parametrize(("format", "encoded"), [("saved_model", False), ("onnx", True)])
def test_an_export_of_a_table_answers_as_the_ensemble(
    of_table, customers, format, encoded, tmp_path
):
    options = {"format": format, "encoded": encoded, "verbose": False}
    exported = kfc.export(of_table.folder, tmp_path / format, **options)
    np.testing.assert_allclose(
        exported.predict(customers).probabilities, mean_of(of_table.runs, customers), atol=1e-5
    )


def test_without_test_rows_the_ensemble_asks_for_some(validated):
    ensemble = validated.ensemble
    with pytest.raises(DataError, match="test rows"):
        ensemble.evaluate()
    accuracy = np.mean(mean_of(ensemble.runs, X).argmax(axis=1) == Y)
    assert ensemble.evaluate((X, Y))["accuracy"] == pytest.approx(accuracy)


def test_runs_of_other_classes_are_refused(seeds, tmp_path):
    spec = {"name": "other", "training": {"epochs": 1}}
    other = kfc.fit(spec, data=(X, Y > 0), runs=tmp_path, verbose=False)
    with pytest.raises(SpecError, match="classes"):
        kfc.Ensemble.of([seeds.runs[0], other])
    with pytest.raises(SpecError, match="at least two"):
        kfc.Ensemble.of([other])


def test_finalists_of_a_search_are_averaged(small, tmp_path):
    space = {"training.optimizer.learning_rate": {"low": 0.001, "high": 0.1}}
    overrides = {"search": {"trials": 2, "repeats": 0, "finalists": 2, "space": space}}
    search = kfc.tune(small, overrides=overrides, folder=tmp_path / "search", verbose=False)
    assert len(search.ensemble.runs) >= 2
    assert search.ensemble.predict(X[:3]).probabilities.shape == (3, 3)


def test_several_members_are_refused_in_a_search(small, tmp_path):
    with pytest.raises(SpecError, match=r"training\.members"):
        kfc.tune(small, overrides={"training.members": 2}, folder=tmp_path / "s")
