"""Scores at the end of a run: scikit-learn's own, on the run's own predictions."""

import numpy as np
import pytest
from sklearn import metrics
from sklearn.dummy import DummyClassifier, DummyRegressor

import kfc
from kfc.data import Rows, Task
from kfc.runs.scores import baseline_scores, scores

SMALL = {"training.epochs": 3, "network.hidden": [16], "training.engine": "graph"}


def task(classes=0, outputs=1):
    return Task((4,), "float32", tuple(map(str, range(classes))), outputs)


def softmax(logits):
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def test_scores_of_several_classes_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    logits, y = rng.normal(size=(200, 4)), rng.integers(0, 4, 200)
    found, p = scores(logits, y, task(4)), softmax(logits)
    expected = {
        "accuracy": metrics.accuracy_score(y, p.argmax(axis=1)),
        "balanced_accuracy": metrics.balanced_accuracy_score(y, p.argmax(axis=1)),
        "f1": metrics.f1_score(y, p.argmax(axis=1), average="macro"),
        "auc": metrics.roc_auc_score(y, p, multi_class="ovr"),
        "log_loss": metrics.log_loss(y, p),
    }
    assert found == pytest.approx(expected, rel=1e-12)


def test_scores_of_one_logit_are_those_of_two_classes():
    rng = np.random.default_rng(0)
    logit, y = rng.normal(size=(50, 1)), rng.integers(0, 2, 50)
    two = np.hstack([np.zeros_like(logit), logit])
    assert scores(logit, y, task(2)) == pytest.approx(scores(two, y, task(2)), rel=1e-12)


def test_a_score_without_a_meaning_is_left_out():
    """Rows of one class have no ranking, and one target has no variance."""
    assert "auc" not in scores(np.eye(3), np.array([1, 1, 2]), task(3))
    assert "r2" not in scores(np.ones((1, 1)), np.ones((1, 1)), task())
    assert "r2" not in scores(np.ones((3, 1)), np.full((3, 1), 7.0), task())
    assert scores(np.eye(3), np.array([1, 1, 2]), task(3))["balanced_accuracy"] == 0.75


def test_scores_of_numbers_do_not_cancel_far_from_zero():
    rng = np.random.default_rng(0)
    y = (1.6e9 + 1e5 * rng.normal(size=(300, 2))).astype(np.float32)
    values = (y + 3e4 * rng.normal(size=y.shape)).astype(np.float32)
    found = scores(values, y, task(outputs=2))
    wide = y.astype(np.float64), values.astype(np.float64)
    assert found["r2"] == pytest.approx(metrics.r2_score(*wide), abs=1e-12)
    assert found["rmse"] == pytest.approx(metrics.root_mean_squared_error(*wide), rel=1e-12)


def test_the_baseline_is_scikit_learns_dummy():
    rng = np.random.default_rng(0)
    y, held_out = rng.choice(3, 100, p=[0.6, 0.3, 0.1]), rng.integers(0, 3, 40)
    x = np.zeros((100, 4), np.float32)
    found = baseline_scores(Rows(x, y), Rows(x[:40], held_out), task(3))
    dummy = DummyClassifier(strategy="prior").fit(x, y)
    assert found["accuracy"] == dummy.score(x[:40], held_out)
    expected = metrics.log_loss(held_out, dummy.predict_proba(x[:40]), labels=[0, 1, 2])
    assert found["log_loss"] == pytest.approx(expected, rel=1e-12)
    assert found["auc"] == 0.5

    numbers = rng.normal(size=(100, 1)).astype(np.float32)
    found = baseline_scores(Rows(x, numbers), Rows(x[:40], numbers[:40]), task())
    mean = DummyRegressor().fit(x, numbers.astype(np.float64))
    assert found["r2"] == pytest.approx(mean.score(x[:40], numbers[:40]), abs=1e-6)


@pytest.mark.parametrize("spec", ["breast_cancer", "diabetes"])
def test_a_run_records_the_scores_of_its_own_predictions(spec, tmp_path):
    run = kfc.fit(spec, overrides=SMALL, runs=tmp_path, verbose=False)
    rows = run.rows("test")
    if spec == "diabetes":
        error = metrics.root_mean_squared_error(rows.y, rows.predictions.value)
        assert run.metrics["test_rmse"] == pytest.approx(error, rel=1e-6)
        assert run.metrics["test_r2"] == pytest.approx(
            metrics.r2_score(rows.y, rows.predictions.value), abs=1e-5
        )
        assert run.baseline["test_r2"] < 0.05
    else:
        balanced = metrics.balanced_accuracy_score(rows.y, rows.predictions.label)
        assert run.metrics["test_balanced_accuracy"] == pytest.approx(balanced, rel=1e-12)
        assert run.metrics["test_log_loss"] == pytest.approx(
            run.metrics["test_loss"], rel=1e-5
        )
        assert run.baseline["test_balanced_accuracy"] == 0.5
    again = kfc.load(run.folder)
    assert (again.metrics, again.baseline) == (run.metrics, run.baseline)
    assert again.evaluate() == run.metrics
