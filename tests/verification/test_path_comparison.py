import json

import pytest
import tensorflow as tf

from kfc.verification.baseline import run_baseline
from kfc.verification.problem import State
from kfc.verification.training_paths import EnginePath, UserPath
from kfc.verification.verifying import certify


def test_a_loss_beyond_float32_is_said_to_be_one(problem_of):
    rate = {"training.loss": "mse", "training.optimizer.learning_rate": 1e4}
    diverging = problem_of(rate)
    certificate = certify(run_baseline(diverging), [])
    failure = certificate.failures[0]
    assert failure["code"] == "range"
    assert "the training diverges" in failure["cause"]
    json.dumps(certificate.summary(), allow_nan=False)


def test_rounding_that_a_training_amplifies_passes(problem_of):
    unsteady = {"training.optimizer": {"name": "sgd", "learning_rate": 2.0}}
    problem = problem_of({**unsteady, "network.activation": "tanh"}, steps=40)
    certificate = certify(run_baseline(problem), [EnginePath(problem)])
    assert certificate.passed, certificate.failures
    assert certificate.paths[-1]["max_ulps"] > 1e4  # of float64 in a row


@pytest.fixture(scope="module")
def with_momentum(problem_of):
    momentum = {"training.optimizer": {"name": "sgd", "learning_rate": 0.07, "momentum": 0.9}}
    return run_baseline(problem_of(momentum))


def test_a_step_of_the_user_may_keep_momentum_of_its_own(with_momentum):
    velocities = {}

    def step(model, x, y):
        weights = [variable.value for variable in model.trainable_variables]
        with tf.GradientTape() as tape:
            logits = model(x, training=True)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits)
            loss = tf.reduce_mean(losses)
        for number, (w, g) in enumerate(
            zip(weights, tape.gradient(loss, weights), strict=True)
        ):
            velocities[number] = 0.9 * velocities.get(number, 0.0) - 0.07 * g
            w.assign_add(velocities[number])
        return loss

    assert certify(with_momentum, [UserPath(with_momentum.problem, step)]).passed


class ForgetfulPath(EnginePath):
    """An engine that resets the optimizer's state before each of several steps."""

    def __init__(self, engine):
        vars(self).update(vars(engine))

    def run(self, state, first, last):
        results = []
        for step in range(first, last):
            weights = results[-1].state.weights if results else state.weights
            results += super().run(State(weights, state.optimizer), step, step + 1)
        return results


def test_momentum_that_is_lost_between_steps_is_found_though_each_single_step_is_right(
    with_momentum,
):
    engine = EnginePath(with_momentum.problem)
    assert certify(with_momentum, [engine]).passed
    (failure,) = certify(with_momentum, [ForgetfulPath(engine)]).failures
    assert (failure["path"], failure["code"]) == ("engine", "optimizer_state")
    assert failure["step"] == 1
    assert "lost between steps" in failure["cause"]


def test_a_mistake_that_is_not_known_is_located(problem, baseline, hand_written):
    def step(model, x, y):
        loss = hand_written()(model, x, y)
        model.trainable_variables[2].assign_add(0.01 * tf.ones((16, 16)))
        return loss

    (failure,) = certify(baseline, [UserPath(problem, step)]).failures
    assert (failure["code"], failure["tensors"]) == ("update", ["hidden_2/kernel"])


def test_a_wrong_loss_is_found_even_if_the_update_is_right(problem, baseline, hand_written):
    def step(model, x, y):
        return 2 * hand_written()(model, x, y)

    (failure,) = certify(baseline, [UserPath(problem, step)]).failures
    assert failure["code"] == "loss"


def test_a_softmax_that_overflows_is_found_where_logits_are_large(problem_of, hand_written):
    large = problem_of({"network.init.stddev": 6.0}, steps=2)
    baseline = run_baseline(large)
    assert certify(baseline, [UserPath(large, hand_written())]).passed
    (failure,) = certify(baseline, [UserPath(large, hand_written("softmax"))]).failures
    assert failure["code"] == "overflow"
    assert "exp overflows" in failure["cause"]
