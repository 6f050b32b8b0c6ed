"""Ten mistakes, made in steps written by hand, are each found, located and named."""

import numpy as np
import pytest
import tensorflow as tf

from kfc.training.step import TapeModel
from kfc.verification.baseline import run_baseline
from kfc.verification.training_paths import EnginePath, UserPath
from kfc.verification.verifying import certify


def test_a_step_written_by_hand_passes(problem, baseline, hand_written):
    certificate = certify(baseline, [UserPath(problem, hand_written())])
    assert certificate.passed, certificate.failures
    assert certificate.float64_unsupported == ""


@pytest.mark.parametrize(
    ("mistake", "step", "tensors"),
    [
        ("sign", 0, 6),
        ("sum", 0, 6),
        ("reduction", 2, 6),  # only the short last batch of an epoch is reduced otherwise
        ("stale", 1, 6),
        ("bias", 0, 3),
        ("rate", 0, 6),
        ("mask", 0, 2),
        ("order", 0, 4),
    ],
)
def test_a_mistake_made_on_purpose_is_found_located_and_named(
    problem, baseline, hand_written, mistake, step, tensors
):
    certificate = certify(baseline, [UserPath(problem, hand_written(mistake))])
    (failure,) = certificate.failures
    assert not certificate.passed
    assert (failure["path"], failure["code"], failure["step"]) == ("yours", mistake, step)
    assert len(failure["tensors"]) == tensors, failure


@pytest.mark.parametrize("mistake", ["", "average", "sum"])
def test_a_mistake_in_the_loss_of_members_is_named(problem_of, mistake):
    problem = problem_of({"network.members": 3}, steps=2)

    def step(model, x, y):
        with tf.GradientTape() as tape:
            outputs = model(x, training=True)  # (batch, members, classes)
            if mistake == "average":
                outputs = tf.reduce_mean(outputs, axis=1, keepdims=True)
            targets = tf.repeat(y[:, None], outputs.shape[1], axis=1)
            rows = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, outputs)
            loss = tf.reduce_mean(rows)
            if mistake == "sum":
                loss = 3 * loss  # over the members
        variables = model.trainable_variables
        gradients = tape.gradient(loss, [variable.value for variable in variables])
        model.optimizer.apply(gradients, variables)
        return loss

    certificate = certify(run_baseline(problem), [UserPath(problem, step)])
    codes = [failure["code"] for failure in certificate.failures]
    assert codes == ([{"sum": "reduction"}.get(mistake, mistake)] if mistake else [])


def test_a_batch_that_is_one_row_off_is_found_in_the_engine(problem, baseline, monkeypatch):
    engine = EnginePath(problem)
    inner = engine._engine
    begin = inner.set_row_orders
    monkeypatch.setattr(inner, "set_row_orders", lambda orders: begin(np.roll(orders, -1, 1)))
    (failure,) = certify(baseline, [engine]).failures
    assert (failure["path"], failure["code"], failure["step"]) == ("engine", "rows", 0)


def test_a_mistake_in_kfcs_own_step_is_found_in_every_path_that_runs_it(
    problem, hand_written, monkeypatch
):
    right = TapeModel.train_step

    def up(self, data):
        before = [tf.identity(v.value) for v in self.trainable_variables]
        logs = right(self, data)
        for variable, old in zip(self.trainable_variables, before, strict=True):
            variable.assign(2 * old - variable.value)
        return logs

    monkeypatch.setattr(TapeModel, "train_step", up)
    certificate = certify(run_baseline(problem), [UserPath(problem, hand_written())])
    assert [(f["path"], f["code"]) for f in certificate.failures] == [("graph", "sign")]
