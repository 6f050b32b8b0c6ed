"""Weights of rows with which hardly any row counts, and healthy ones like them."""

import keras
import numpy as np
import pytest

import kfc

SGD = {"name": "sgd", "learning_rate": 0.1}
GENERATOR = np.random.default_rng(1)


def names(rows, weights=None, class_weight=None, **training):
    spec = {"network": {"hidden": [8]}, "data": {"scale": "standard"}}
    spec["training"] = {"class_weight": class_weight, "epochs": 10, **training}
    data = rows if weights is None else (*rows, np.asarray(weights, np.float32))
    diagnosis = kfc.doctor(spec, data=data)
    return [each.name for each in diagnosis.findings], diagnosis.changes


@pytest.mark.parametrize("class_weight", [{"1": 1e6}, {"1": 1e-6}, {"0": 0.0}])
def test_a_class_weight_that_silences_a_class_is_left_out(rows, class_weight):
    found, changes = names(rows, class_weight=class_weight)
    assert found == ["class_hardly_counts"]
    assert changes == {"training.class_weight": None}


def test_class_weights_that_balance_rare_classes_are_no_fault(rows):
    x, y = rows
    rare = np.r_[np.flatnonzero(y != 1), np.flatnonzero(y == 1)[:4]]
    for class_weight in ("balanced", {"1": 50.0}, {"1": 5.0, "2": 0.5}):
        assert names((x[rare], y[rare]), class_weight=class_weight)[0] == []


@pytest.mark.parametrize(
    ("weights", "found"),
    [
        (np.arange(300) % 60 == 0, ["few_rows_count"]),
        (1e6 ** (np.arange(300) % 100 == 0), ["few_rows_count"]),
        (np.arange(300) % 3 > 0, []),
        (GENERATOR.lognormal(9, 1, 300), []),  # rows that stand for many people each
    ],
)
def test_weights_of_few_rows_are_named(rows, weights, found):
    assert names(rows, weights)[0] == found


def test_weights_multiply_the_rate_of_gradient_descent_and_not_that_of_adam(rows):
    weights = np.full(300, 1e6)
    assert names(rows, weights, optimizer=SGD)[0] == ["weights_scale_updates"]
    assert names(rows, weights / 5e5, optimizer=SGD)[0] == []
    assert names(rows, weights)[0] == []
    assert names(rows, 1e-14 * weights)[0] == ["weights_scale_updates"]


def test_the_weights_of_a_plain_model_are_looked_at(rows, model, logits_loss):
    weights = np.where(rows[1] == 2, 1e-9, 1.0)
    found = kfc.doctor(model, data=(*rows, weights), loss=logits_loss, optimizer="adam")
    assert [each.name for each in found.findings] == ["class_hardly_counts"]
    assert "class '2'" in found.findings[0].got


def test_a_constraint_that_the_initial_weights_break_is_named(rows, logits_loss):
    uniform = keras.initializers.RandomUniform(0.0, 0.3, seed=0)
    for init, found in (("glorot_uniform", ["constraint_removes_weights"]), (uniform, [])):
        keras.utils.set_random_seed(0)
        hidden = keras.layers.Dense(
            8, "relu", kernel_constraint="non_neg", kernel_initializer=init
        )
        model = keras.Sequential([keras.Input((4,)), hidden, keras.layers.Dense(3)])
        diagnosis = kfc.doctor(model, data=rows, loss=logits_loss, optimizer="adam")
        assert [each.name for each in diagnosis.findings] == found


def test_a_class_that_the_loss_ignores_is_named(rows):
    loss = {"name": "cross_entropy", "ignore_class": 1}
    found, changes = names(rows, loss=loss)
    assert found == ["class_hardly_counts"]
    assert changes == {"training.loss": "cross_entropy"}
    assert names(rows, loss={**loss, "ignore_class": 255})[0] == []
