"""Losses of the caller that cannot be learned, and healthy ones that look like them."""

import keras
import numpy as np
import pytest
from keras import ops

import kfc
from kfc.first_steps import LossFacts
from kfc.first_steps.loss_recognition import recognised_loss

LOSSES = keras.losses
CROSS = LOSSES.categorical_crossentropy
SPARSE = LOSSES.sparse_categorical_crossentropy


def squared(true, guess):
    return ops.mean(ops.square(true - guess), axis=-1)


def found_names(rows, targets, loss, output):
    keras.utils.set_random_seed(0)
    layers = keras.layers.Dense(8, "relu"), keras.layers.Dense(*output)
    model = keras.Sequential([keras.Input((4,)), *layers])
    found = kfc.doctor(model, data=(rows[0], targets), loss=loss, optimizer="adam")
    return [each.name for each in found.findings]


@pytest.mark.parametrize(
    ("loss", "found"),
    [
        (lambda true, guess: -squared(true, guess), "loss_prefers_wrong"),
        (lambda true, guess: ops.mean(true * guess), "loss_prefers_wrong"),
        (lambda true, guess: squared(ops.reshape(true, (-1,)), guess), "loss_ignores_rows"),
        (lambda true, guess: squared(true, 0 * guess), "loss_ignores_rows"),
        (lambda true, guess: squared(true, ops.round(guess)), "gradient_missing"),
        (lambda true, guess: ops.matmul(true, guess), "loss_not_computed"),
        (lambda true, guess: 1e-7 * squared(true, guess), "loss_hardly_changes"),
        (lambda true, guess: ops.log(guess) - true, "start_not_finite"),
        (
            lambda true, guess: squared(true, guess) + ops.sqrt(0 * ops.sum(guess)),
            "start_not_finite",
        ),
        (squared, None),
        (lambda true, guess: squared(guess, true), None),
        (lambda true, guess: ops.maximum(0.9 * (true - guess), 0.1 * (guess - true)), None),
        (lambda true, guess: ops.sum(squared(true, guess)), None),
    ],
)
def test_a_function_of_numbers_is_judged_by_its_values(rows, loss, found):
    targets = np.tanh(rows[0][:, 0] + rows[0][:, 1])
    assert found_names(rows, targets, loss, (1,)) == ([found] if found else [])


@pytest.mark.parametrize(
    ("loss", "found"),
    [
        (lambda true, guess: CROSS(guess, true), "loss_arguments_swapped"),
        (lambda true, guess: LOSSES.kl_divergence(guess, true), "loss_arguments_swapped"),
        (lambda true, guess: -CROSS(true, guess), "loss_prefers_wrong"),
        (keras.metrics.categorical_accuracy, "loss_prefers_wrong"),
        (lambda true, guess: -true[:, 0] * ops.log(guess[:, 0]), "loss_hardly_changes"),
        (lambda true, guess: CROSS(true, guess, from_logits=True), "softmax_twice"),
        (lambda true, guess: -ops.sum(true * ops.log(guess + 1e-7), axis=-1), None),
        (lambda true, guess: 1 - ops.mean(ops.sum(true * guess, axis=-1)), None),
    ],
)
def test_a_function_of_classes_is_judged_by_its_values(rows, loss, found):
    targets = np.eye(3, dtype="float32")[rows[1]]
    names = found_names(rows, targets, loss, (3, "softmax"))
    assert names == ([found] if found else [])


def test_a_function_around_a_loss_of_keras_is_judged_as_that_loss(rows):
    loss = lambda true, guess: 2.0 * SPARSE(true, guess)  # noqa: E731
    assert found_names(rows, rows[1], loss, (3, "softmax")) == []
    assert found_names(rows, rows[1], loss, (3,)) == ["logits_as_probabilities"]
    assert found_names(rows, rows[1] + 1, loss, (3, "softmax")) == ["label_out_of_range"]


@pytest.mark.parametrize("from_logits", [False, True])
@pytest.mark.parametrize(
    "name",
    ["binary_crossentropy", "categorical_crossentropy", "sparse_categorical_crossentropy"],
)
def test_a_cross_entropy_is_recognised_with_its_kind_of_outputs(name, from_logits):
    loss = getattr(LOSSES, name)
    facts = LossFacts.of(lambda true, guess: 0.5 * loss(true, guess, from_logits=from_logits))
    assert (facts.name, facts.from_logits, facts.swapped) == (name, from_logits, False)


@pytest.mark.parametrize(
    "name", ["mean_squared_error", "mean_absolute_error", "huber", "poisson"]
)
def test_a_distance_is_recognised(name):
    loss = getattr(LOSSES, name)
    assert recognised_loss(lambda true, guess: loss(true, guess)).name == name


def test_other_functions_are_no_loss_of_keras():
    for function in (
        lambda true, guess: -squared(true, guess),
        lambda *_: 1 / 0,
        ops.subtract,
    ):
        assert recognised_loss(function) is None


@pytest.mark.parametrize(
    ("loss", "targets", "output", "found"),
    [
        ("poisson", [-1.0, 2.0], "exponential", "target_outside_loss"),
        ("poisson", [1.0, 2.0], None, "output_outside_loss"),
        ("mean_squared_logarithmic_error", [-1.0, 2.0], "softplus", "target_outside_loss"),
        ("mean_absolute_percentage_error", [0.0, 2.0], None, "target_outside_loss"),
        ("mean_absolute_error", [0.0, 1.0], "sigmoid", "squared_error_for_classes"),
    ],
)
def test_numbers_that_a_loss_cannot_take_are_named(rows, loss, targets, output, found):
    numbers = np.array(targets)[(rows[0].sum(axis=1) > 0) * 1]
    assert found_names(rows, numbers, loss, (1, output)) == [found]


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_class_numbers_with_a_fraction_are_named(rows, scale):
    names = found_names(
        rows, scale * rows[1], "sparse_categorical_crossentropy", (3, "softmax")
    )
    assert names == ([] if scale == 1 else ["code_not_whole"])


def test_outputs_for_classes_that_no_row_has_are_named(rows):
    for outputs, found in ((4, []), (40, ["outputs_unused"])):
        names = found_names(
            rows, rows[1], "sparse_categorical_crossentropy", (outputs, "softmax")
        )
        assert names == found
