"""A training problem, its baseline, and a step that is written by hand."""

import pytest
import tensorflow as tf

from kfc.runs.plan import make_plan
from kfc.verification.baseline import run_baseline
from kfc.verification.problem import Problem

SPEC = {
    "name": "planted",
    "data": {"source": "sklearn:digits", "scale": "unit"},
    "network": {
        "hidden": [16, 16],
        "activation": "relu",
        "init": {"name": "truncated_normal", "stddev": 0.3},
    },
    "training": {
        "loss": "cross_entropy",
        "optimizer": {"name": "sgd", "learning_rate": 0.07},
        "batch_size": 32,
    },
}


def make_problem(overrides=None, steps=6):
    plan = make_plan(SPEC, overrides)
    return Problem.of(plan, steps)


@pytest.fixture(scope="session")
def problem_of():
    """Makes the problem of `SPEC` with overrides."""
    return make_problem


@pytest.fixture(scope="session")
def problem():
    return make_problem()


@pytest.fixture(scope="session")
def baseline(problem):
    return run_baseline(problem)


@pytest.fixture(scope="session")
def hand_written():
    """The class of a step as a beginner writes it, with a place for each classic mistake."""
    return HandWritten


class HandWritten:
    """The step as a beginner writes it, with a place for each classic mistake."""

    def __init__(self, mistake=""):
        self.mistake, self.before = mistake, None

    def __call__(self, model, x, y):
        mistake, rate = self.mistake, 0.07
        weights = [variable.value for variable in model.trainable_variables]
        kernels, biases = weights[::2], weights[1::2]
        x = model.get_layer("scaling")(x)
        rows = tf.cast(tf.shape(x)[0], tf.float32)
        inputs, sums = [], []
        for number, (kernel, bias) in enumerate(zip(kernels, biases, strict=True)):
            inputs.append(x)
            sums.append(x @ kernel + bias)
            x = tf.nn.relu(sums[-1]) if number < 2 else sums[-1]
        top = 0.0 if mistake == "softmax" else tf.reduce_max(x, axis=1, keepdims=True)
        powers = tf.exp(x - top)
        total = tf.reduce_sum(powers, axis=1, keepdims=True)
        p, truth = powers / total, tf.one_hot(y, 10)
        of_label = tf.reduce_sum(x * truth, axis=1, keepdims=True)
        loss = tf.reduce_mean(tf.math.log(total) + top - of_label)
        g = (p - truth) / {"sum": 1.0, "reduction": 32.0}.get(mistake, rows)
        gradients = []
        for number in (2, 1, 0):
            if number < 2:
                other = 1 if mistake == "mask" else number
                g = tf.where(sums[other] > 0, g, 0.0)
            found = [tf.transpose(inputs[number]) @ g, tf.reduce_sum(g, axis=0)]
            gradients = [*found, *gradients]
            kernel = kernels[number] - (rate * found[0] if mistake == "order" else 0.0)
            g = g @ tf.transpose(kernel)
        used = gradients
        if mistake == "stale" and self.before is not None:
            used = self.before
        self.before = gradients
        rate = {"sign": -rate, "rate": rate**2}.get(mistake, rate)
        for variable, gradient in zip(weights, used, strict=True):
            if mistake != "bias" or gradient.shape.rank > 1:
                variable.assign_sub(rate * gradient)
        return loss
