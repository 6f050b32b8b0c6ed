"""Paths agree; ten mistakes, made in steps written by hand, are each found and named."""

import json

import numpy as np
import pytest
import tensorflow as tf

import kfc
from kfc.cli import app
from kfc.data import prepare
from kfc.network.building import build
from kfc.runs.resolution import resolve_data, resolve_engine
from kfc.training.step import TapeModel
from kfc.verification.baseline import run_baseline
from kfc.verification.float64_path import Float64Path
from kfc.verification.problem import Problem, State, read_state
from kfc.verification.relu_zeros import ReluZero, find_relu_zeros
from kfc.verification.training_paths import EnginePath, UserPath
from kfc.verification.verifying import certify

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


def problem_of(spec, overrides=None, steps=6):
    spec = kfc.spec.load_spec(spec, overrides)
    prepared = prepare(spec)
    spec = resolve_data(spec, prepared, in_memory=False)
    network = build(spec, prepared.task)
    spec = resolve_engine(spec, network, len(prepared.train), ())
    return Problem.of(spec, prepared.train, prepared.task, steps)


@pytest.fixture(scope="module")
def problem():
    return problem_of(SPEC)


@pytest.fixture(scope="module")
def baseline(problem):
    return run_baseline(problem)


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


def test_a_step_written_by_hand_passes(problem, baseline):
    certificate = certify(baseline, [UserPath(problem, HandWritten())])
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
    problem, baseline, mistake, step, tensors
):
    certificate = certify(baseline, [UserPath(problem, HandWritten(mistake))])
    (failure,) = certificate.failures
    assert not certificate.passed
    assert (failure["path"], failure["code"], failure["step"]) == ("yours", mistake, step)
    assert len(failure["tensors"]) == tensors, failure


def test_a_batch_that_is_one_row_off_is_found_in_the_engine(problem, baseline, monkeypatch):
    engine = EnginePath(problem)
    begin = engine._engine.begin
    monkeypatch.setattr(engine._engine, "begin", lambda orders: begin(np.roll(orders, -1, 1)))
    (failure,) = certify(baseline, [engine]).failures
    assert (failure["path"], failure["code"], failure["step"]) == ("engine", "rows", 0)


def test_a_loss_beyond_float32_is_said_to_be_one():
    rate = {"training.loss": "mse", "training.optimizer.learning_rate": 1e4}
    diverging = problem_of(SPEC, rate)
    certificate = certify(run_baseline(diverging), [])
    failure = certificate.failures[0]
    assert failure["code"] == "range"
    assert "the training diverges" in failure["cause"]
    json.dumps(certificate.summary(), allow_nan=False)


def test_rounding_that_a_training_amplifies_passes():
    unsteady = {"training.optimizer": {"name": "sgd", "learning_rate": 2.0}}
    problem = problem_of(SPEC, {**unsteady, "network.activation": "tanh"}, steps=20)
    certificate = certify(run_baseline(problem), [EnginePath(problem)])
    assert certificate.passed, certificate.failures
    assert certificate.paths[-1]["max_ulps"] > 1e4  # of float64 in a row


@pytest.fixture(scope="module")
def with_momentum():
    momentum = {"training.optimizer": {"name": "sgd", "learning_rate": 0.07, "momentum": 0.9}}
    return run_baseline(problem_of(SPEC, momentum))


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


def test_a_softmax_that_overflows_is_found_where_logits_are_large():
    large = problem_of(SPEC, {"network.init.stddev": 6.0}, steps=2)
    baseline = run_baseline(large)
    assert certify(baseline, [UserPath(large, HandWritten())]).passed
    (failure,) = certify(baseline, [UserPath(large, HandWritten("softmax"))]).failures
    assert failure["code"] == "overflow"
    assert "exp overflows" in failure["cause"]


def test_a_mistake_in_kfcs_own_step_is_found_in_every_path_that_runs_it(problem, monkeypatch):
    right = TapeModel.train_step

    def up(self, data):
        before = [tf.identity(v.value) for v in self.trainable_variables]
        logs = right(self, data)
        for variable, old in zip(self.trainable_variables, before, strict=True):
            variable.assign(2 * old - variable.value)
        return logs

    monkeypatch.setattr(TapeModel, "train_step", up)
    certificate = certify(run_baseline(problem), [UserPath(problem, HandWritten())])
    assert [(f["path"], f["code"]) for f in certificate.failures] == [("graph", "sign")]


def test_a_mistake_that_is_not_known_is_located(problem, baseline):
    def step(model, x, y):
        loss = HandWritten()(model, x, y)
        model.trainable_variables[2].assign_add(0.01 * tf.ones((16, 16)))
        return loss

    (failure,) = certify(baseline, [UserPath(problem, step)]).failures
    assert (failure["code"], failure["tensors"]) == ("update", ["hidden_2/kernel"])


def test_a_wrong_loss_is_found_even_if_the_update_is_right(problem, baseline):
    def step(model, x, y):
        return 2 * HandWritten()(model, x, y)

    (failure,) = certify(baseline, [UserPath(problem, step)]).failures
    assert failure["code"] == "loss"


@pytest.mark.parametrize(
    "overrides",
    [
        {"network.hidden": [], "training.engine": "xla"},
        {"training.optimizer": {"name": "sgd", "learning_rate": 0.1, "momentum": 0.9}},
        {"network.normalization": "batch", "network.dropout": 0.2},
        {"training.optimizer": "adam", "network.activation": "elu"},
        {"training.optimizer": "adamw", "network.activation": "mish"},
        {"training.loss": "mse", "network.activation": "tanh"},
    ],
    ids=str,
)
@pytest.mark.slow
def test_every_path_makes_the_same_steps(overrides):
    check_paths(kfc.verify(SPEC, overrides=overrides, steps=6), overrides)


def check_paths(certificate, overrides):
    assert certificate.passed, certificate.failures
    by_name = {path["name"]: path for path in certificate.paths}
    assert "fit" in by_name["graph"]["same_bits"]
    unreached = {"adamw": "adamw", "normalization": "dropout, normalization"}
    wanted = next((v for k, v in unreached.items() if k in str(overrides)), "")
    assert wanted in certificate.float64_unsupported
    assert ("float64" in by_name) == (not certificate.float64_unsupported)


@pytest.mark.slow
def test_the_graph_optimizer_is_named_where_it_alone_makes_the_difference():
    certificate = kfc.verify("breast_cancer", steps=4)
    if certificate.first_difference["path"] == "eager":
        assert "graph optimizer" in certificate.first_difference["why"]
    else:
        assert "XLA" in certificate.first_difference["why"]


def test_a_unit_of_relu_at_0_is_listed_by_step_layer_unit_and_row(problem):
    exact, state = Float64Path(problem), read_state(problem.model())
    x, _ = exact.rows(*problem.batch(1))
    i, j = np.flatnonzero(x[5])[:2]
    column = np.zeros(64, np.float32)
    column[i], column[j] = x[5, j], -x[5, i]  # whose product with row 5 cancels
    state.weights[0][:, 3], state.weights[1][3] = column, 0
    found = [z for z in find_relu_zeros(exact, state, 1) if (z.unit, z.row) == (3, 5)]
    assert found == [ReluZero(1, "hidden_1", 3, 5, 0.0)]


def test_sums_of_zeros_are_0_in_every_precision_and_not_listed(problem):
    exact, state = Float64Path(problem), read_state(problem.model())
    state.weights[0][:], state.weights[1][:] = 0, 0
    assert not [z for z in find_relu_zeros(exact, state, 0) if z.layer == "hidden_1"]


@pytest.mark.parametrize("steps", [0, 1, -3, True])
def test_fewer_than_two_steps_are_refused(steps):
    with pytest.raises(kfc.SpecError, match="a whole number of at least 2"):
        kfc.verify("digits", steps=steps)


def test_the_command_prints_a_table_and_the_certificate_joins_the_folder_of_the_run(
    tmp_path, capsys, monkeypatch
):
    made, verify = [], kfc.verify
    monkeypatch.setattr(kfc, "verify", lambda *a, **k: made.append(verify(*a, **k)) or made[0])
    overrides = {"training.epochs": 1, "network.hidden": [8], "data.rows": 200}
    run = kfc.fit("digits", overrides=overrides, runs=tmp_path, verbose=False)
    with pytest.raises(SystemExit) as ended:
        app.main(["verify", str(run.folder), "--steps", "2"])
    assert not ended.value.code
    printed = capsys.readouterr().out
    assert printed.rstrip().endswith("passed")
    for name in ("graph", "eager", "fit", "xla", "engine", "float64"):
        assert name in printed
    (certificate,) = made
    check_paths(certificate, overrides)
    assert json.loads((run.folder / "verification.json").read_text()) == json.loads(
        json.dumps(certificate.summary())
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "spec", ["digits", "breast_cancer", "diabetes", "mnist", "fashion_mnist"]
)
def test_every_built_in_spec_is_verified(spec, prepared_tfds):
    certificate = kfc.verify(spec)
    assert certificate.passed, certificate.failures
    assert "fit" in certificate.paths[0]["same_bits"]
