import dataclasses
import math

import keras
import numpy as np
import pytest

from kfc.findings import find_check, run_checks
from kfc.first_steps import (
    LossFacts,
    Start,
    Steps,
    Subject,
    examine_network,
    quiet_copy,
    without_consequences,
)

BINARY = keras.losses.BinaryCrossentropy(from_logits=True)


def test_the_copy_has_the_same_weights_and_no_dropout(model, rows):
    copy = quiet_copy(model, rows[0][:1])
    for one, other in zip(model.get_weights(), copy.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    x, _ = rows
    np.testing.assert_array_equal(copy(x, training=True), copy(x, training=True))
    np.testing.assert_allclose(copy(x, training=True), model(x, training=False), rtol=1e-5)


def test_a_copy_is_as_its_original_again_after_the_steps(subject):
    before = subject.copy.get_weights()
    steps = Steps(Start(subject))
    assert steps.loss_by_heart < steps.guess_by_heart
    assert math.isfinite(steps.loss_after)
    for old, new in zip(before, subject.copy.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_the_first_update_of_gradient_descent_is_the_rate_times_the_gradient(subject):
    for kernel in Start(subject).kernels:
        np.testing.assert_allclose(kernel.update, -0.1 * kernel.gradient, atol=1e-7)
        rms = np.sqrt(np.square(kernel.value).mean())
        usual = 1 / np.sqrt(kernel.value.shape[0])
        expected = 0.1 * kernel.gradient_rms / max(rms, usual)
        assert kernel.update_ratio == pytest.approx(expected, rel=1e-3)


def test_the_loss_of_a_guess_is_the_logarithm_of_the_number_of_classes(subject):
    start = Start(subject)
    assert start.guess_loss == pytest.approx(np.log(3), rel=1e-5)
    outputs = subject.outputs
    _, y = subject.some
    expected = np.log(np.exp(outputs).sum(axis=1)) - outputs[np.arange(len(y)), y]
    assert start.loss == pytest.approx(expected.mean(), rel=1e-5)


def test_the_sharpness_of_least_squares_is_the_largest_eigenvalue():
    """Of mean((x w + b - y)^2) the Hessian is 2 [x 1]^T [x 1] / rows."""
    generator = np.random.default_rng(0)
    x = (generator.normal(size=(200, 4)) * [3, 1, 1, 1]).astype("float32")
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    subject = Subject(model, LossFacts.of("mse"), x, x[:, 0])
    rows = np.c_[x, np.ones(200)]
    expected = np.linalg.eigvalsh(2 * rows.T @ rows / 200)[-1]
    assert Steps(Start(subject)).sharpness == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(("share", "found"), [(0.5, False), (4.0, True)])
def test_a_rate_above_two_over_the_sharpness_diverges(subject, share, found):
    sharpness = Steps(Start(subject)).sharpness
    rate = share * 2 / sharpness
    faster = dataclasses.replace(
        subject, make_optimizer=lambda: keras.optimizers.SGD(rate), learning_rate=rate
    )
    steps = Steps(Start(faster))
    findings = find_check("steps_diverge").find(steps)
    assert bool(findings) <= found
    if findings:
        assert findings[0].evidence["stable_rate"] == pytest.approx(2 / sharpness, rel=0.05)


def structure_of(*layers, batch_size=32):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), *layers])
    x = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)
    y = np.arange(64) % 3
    loss = LossFacts.of(keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    found = Subject(model, loss, x, y, batch_size=batch_size, num_classes=3)
    return [each.name for each in run_checks("structure", found)]


def test_rows_that_depend_on_others_are_found():
    dense = keras.layers.Dense
    mixed = structure_of(dense(8, "relu"), dense(3), keras.layers.Softmax(axis=0))
    assert mixed == ["rows_depend_on_others"]
    assert structure_of(dense(8, "relu"), dense(3), keras.layers.Softmax()) == []


@pytest.mark.parametrize(("batch_size", "found"), [(1, ["batch_of_one"]), (2, [])])
def test_batch_normalization_of_one_row_is_found(batch_size, found):
    layers = (
        keras.layers.Dense(8, "relu"),
        keras.layers.BatchNormalization(),
        keras.layers.Dense(3),
    )
    assert structure_of(*layers, batch_size=batch_size) == found


@pytest.mark.filterwarnings("ignore:Gradients do not exist")
def test_a_gradient_that_does_not_arrive_is_no_failure_of_the_doctor():
    stop = keras.layers.Lambda(keras.ops.stop_gradient)
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(8, "relu"), stop, keras.layers.Dense(3)]
    )
    x = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)
    loss = LossFacts.of(keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    subject = Subject(model, loss, x, np.arange(64) % 3, num_classes=3)
    found, _ = examine_network(subject, plain=True)
    assert [each.name for each in found] == ["gradient_missing"]


def test_an_output_layer_may_start_at_zero(subject):
    keras.utils.set_random_seed(0)
    zeros = keras.layers.Dense(3, kernel_initializer="zeros")
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu"), zeros])
    start = Start(dataclasses.replace(subject, network=model))
    for name in ("units_identical", "gradient_vanishes", "units_dead"):
        assert find_check(name).find(start) == ()


def test_what_another_finding_explains_is_left_out(subject):
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(n, kernel_initializer="zeros") for n in (8, 3)]
    model = keras.Sequential([keras.Input((4,)), *layers])
    start = Start(dataclasses.replace(subject, network=model))
    steps = Steps(start)
    found = [
        *find_check("units_identical").find(start),
        *find_check("output_constant").find(steps),
    ]
    assert len(found) == 2
    assert [each.name for each in without_consequences(found)] == ["units_identical"]


@pytest.mark.parametrize(
    ("loss", "name", "compared", "from_logits"),
    [
        ("mse", "mean_squared_error", "numbers", False),
        ("categorical_crossentropy", "categorical_crossentropy", "one_hot", False),
        (
            BINARY,
            "binary_crossentropy",
            "flags",
            True,
        ),
        (keras.losses.Poisson(), "poisson", "other", False),
    ],
)
def test_a_loss_is_read(loss, name, compared, from_logits):
    facts = LossFacts.of(loss)
    assert (facts.name, facts.compared, facts.from_logits) == (name, compared, from_logits)
