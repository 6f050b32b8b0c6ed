"""Metrics at the end of each epoch: scikit-learn's own, on the run's own predictions."""

import keras
import numpy as np
import pytest
from sklearn import metrics

import kfc
from kfc.data import Task
from kfc.training.callbacks.early_stopping import EarlyStopping
from kfc.training.checkpoints.training_state import Progress, capture, prepare_callbacks
from kfc.training.output_metrics import OutputMetrics, measure_outputs

OF_CLASSES = ["log_loss", "auc", "balanced_accuracy", "f1", "average_precision", "mcc"]
OF_NUMBERS = ["rmse", "median_absolute_error", "pinball"]


class Weights(keras.callbacks.Callback):
    """Keeps the weights of each epoch."""

    def __init__(self):
        super().__init__()
        self.of_epochs = []

    def on_epoch_end(self, epoch, logs=None):
        self.of_epochs.append(self.model.get_weights())


def rows(classes, outputs=1):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(160, 4)).astype(np.float32)
    y = 1e3 + 50 * x[:, :outputs] + 20 * rng.normal(size=(160, outputs))
    if classes:
        y = np.digitize(x[:, 0] + 0.5 * rng.normal(size=160), np.linspace(-1, 1, classes - 1))
    return {
        part: (x[some], y[some])
        for part, some in (
            ("train", slice(0, 70)),
            ("validation", slice(70, 120)),
            ("test", slice(120, 160)),
        )
    }


def one_against_the_rest(score, y, p):
    if p.shape[1] == 2:
        return score(y == 1, p[:, 1])
    return np.mean([score(y == k, p[:, k]) for k in range(p.shape[1])])


def expected_of_classes(y, predictions):
    p = predictions.probabilities.astype(np.float64)
    p /= p.sum(axis=1, keepdims=True)
    label = p.argmax(axis=1)
    return {
        "log_loss": metrics.log_loss(y, p),
        "auc": one_against_the_rest(metrics.roc_auc_score, y, p),
        "balanced_accuracy": metrics.balanced_accuracy_score(y, label),
        "f1": metrics.f1_score(y, label, average="macro"),
        "average_precision": one_against_the_rest(metrics.average_precision_score, y, p),
        "mcc": metrics.matthews_corrcoef(y, label),
    }


def expected_of_numbers(y, predictions):
    y, value = y.astype(np.float32).astype(np.float64), predictions.value.astype(np.float64)
    return {
        "rmse": np.sqrt(((y - value) ** 2).mean(axis=0)).mean(),
        "median_absolute_error": np.median(np.abs(y - value), axis=0).mean(),
        "pinball": 0.5 * np.abs(y - value).mean(),
    }


def fitted(tmp_path, classes, training=None, callbacks=(), outputs=1):
    spec = {
        "data": {"task": "classification" if classes else "regression"},
        "network": {"hidden": [6]},
        "training": {"epochs": 3, "engine": "graph", **(training or {})},
    }
    data = rows(classes, outputs)
    return data, kfc.fit(spec, data=data, callbacks=callbacks, runs=tmp_path, verbose=False)


@pytest.mark.parametrize(("classes", "outputs"), [(2, 1), (4, 1), (0, 1), (0, 3)])
def test_each_epoch_has_the_metrics_of_its_own_predictions(classes, outputs, tmp_path):
    names, weights = OF_CLASSES if classes else OF_NUMBERS, Weights()
    data, run = fitted(tmp_path, classes, {"metrics": names}, [weights], outputs)
    expected = expected_of_classes if classes else expected_of_numbers
    final = run.network.get_weights()
    for epoch, of_epoch in enumerate(weights.of_epochs):
        run.network.set_weights(of_epoch)
        x, y = data["validation"]
        for name, value in expected(y, run.predict(x)).items():
            got = run.history[f"val_{name}"][epoch]
            assert got == pytest.approx(value, rel=1e-6), (epoch, name)
    run.network.set_weights(final)
    assert set(run.history) >= {f"val_{name}" for name in names}
    assert not set(run.history) & {*names, *(f"test_{name}" for name in names)}
    for name in names:  # to the bit: one function computes both
        assert run.metrics[f"val_{name}"] == run.history[f"val_{name}"][-1]
        assert f"test_{name}" in run.metrics
    assert kfc.load(run.folder).evaluate(data) == run.metrics


@pytest.mark.parametrize("form", ["eager", "xla"])
def test_every_form_records_the_numbers_of_the_graph(form, problem):
    def history(engine):
        case = problem({"training.engine": engine, "training.drop_last": True})
        loop = case.loop()
        loop.output_metrics = OutputMetrics(loop.evaluator, OF_CLASSES, case.task)
        return loop.run(Progress()).history

    got, graph = history(form), history("graph")
    assert got.keys() == graph.keys() >= {f"val_{name}" for name in OF_CLASSES}
    for name, values in graph.items():
        np.testing.assert_allclose(got[name], values, rtol=1e-5, err_msg=name)


def test_only_metrics_that_something_asks_for_are_recorded(tmp_path):
    _, run = fitted(tmp_path, 3)
    assert set(run.history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    _, run = fitted(tmp_path, 3, {"early_stopping": {"monitor": "val_mcc"}})
    assert set(run.history) - {"loss", "accuracy", "val_loss", "val_accuracy"} == {"val_mcc"}
    given = keras.callbacks.EarlyStopping("val_auc", mode="max")
    _, run = fitted(tmp_path, 3, callbacks=[given])
    assert "val_auc" in run.history


def test_without_validation_rows_the_test_rows_are_measured(tmp_path):
    spec = {"data": {"validation": 0}, "network": {"hidden": []}}
    training = {"epochs": 2, "metrics": ["auc"], "engine": "graph"}
    data = rows(3)
    pair = (data["train"], data["test"])
    run = kfc.fit({**spec, "training": training}, data=pair, runs=tmp_path, verbose=False)
    assert len(run.history["test_auc"]) == 2
    assert run.history["test_auc"][-1] == run.metrics["test_auc"]


@pytest.mark.parametrize("ties", ["first", "last"])
def test_training_ends_with_the_best_epoch_of_a_metric_of_outputs(ties, tmp_path):
    stopping = {"monitor": "val_balanced_accuracy", "patience": None, "ties": ties}
    training = {
        "epochs": 12,
        "early_stopping": stopping,
        "optimizer": {"name": "sgd", "learning_rate": 2.0},
    }
    weights = Weights()
    _, run = fitted(tmp_path, 4, training, [weights])
    values = np.array(run.history["val_balanced_accuracy"])
    best = np.flatnonzero(values == values.max())
    epoch = best[0 if ties == "first" else -1]
    assert run.epochs == 12
    for got, want in zip(run.network.get_weights(), weights.of_epochs[epoch], strict=True):
        np.testing.assert_array_equal(got, want)
    assert run.metrics["val_balanced_accuracy"] == values.max()
    result = kfc.runs.result_file.read_result(run.folder)[0]
    assert result["best_epoch"] == epoch + 1


def test_early_stopping_by_log_loss_stops_where_it_rises(tmp_path):
    training = {
        "epochs": 200,
        "early_stopping": {"monitor": "val_log_loss", "patience": 3},
        "optimizer": {"name": "adam", "learning_rate": 0.1},
    }
    _, run = fitted(tmp_path, 4, training)
    values = run.history["val_log_loss"]
    assert len(values) == np.argmin(values) + 1 + 3 < 200
    assert run.metrics["val_log_loss"] == min(values)


def test_a_callback_of_keras_knows_the_direction_of_a_metric(tmp_path):
    plateau = {"name": "ReduceLROnPlateau", "monitor": "val_auc", "patience": 1}
    training = {"epochs": 8, "callbacks": [plateau], "optimizer": {"name": "adam"}}
    _, run = fitted(tmp_path, 3, training)
    best, rate, rates = -np.inf, 0.001, []
    for value in run.history["val_auc"]:
        rates.append(rate)
        if value - 1e-4 > best:
            best = value
        else:
            rate *= 0.1
    np.testing.assert_allclose(run.history["learning_rate"], rates, rtol=1e-5)


def test_a_pause_changes_neither_the_metrics_nor_the_weights(problem, same_weights):
    def make():
        case = problem({"training.epochs": 6, "training.optimizer.learning_rate": 0.3})
        stopping = EarlyStopping("val_auc", patience=None, ties="last")
        loop = case.loop([stopping])
        loop.output_metrics = OutputMetrics(loop.evaluator, ["auc"], case.task)
        return loop, [stopping]

    whole, _ = make()
    history = whole.run(Progress()).history
    first, callbacks = make()
    progress = first.run(Progress(), 3)
    state = capture(first.engine.model, callbacks, progress)
    second, callbacks = make()
    resumed = second.run(prepare_callbacks(state, callbacks), state=state)
    assert resumed.history == history
    same_weights(second.engine.model, whole.engine.model)


def test_outputs_that_are_not_finite_have_no_value():
    task = Task((4,), "float32", ("a", "b"))
    found = measure_outputs(["auc", "f1"], np.array([[0.0], [np.nan]]), np.array([0, 1]), task)
    assert found.keys() == {"auc", "f1"}
    assert np.isnan(list(found.values())).all()
