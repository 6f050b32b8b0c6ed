"""Networks whose calls are one train as they do alone, but for rounding."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from kfc.data import Task
from kfc.errors import NumbersError
from kfc.system.lockstep import in_lockstep
from kfc.training.callbacks.early_stopping import EarlyStopping
from kfc.training.checkpoints.training_state import Progress
from kfc.training.engine import joint_calls
from kfc.training.engine.graph_cache import traced
from kfc.training.engine.joint_calls import JointCalls
from kfc.training.engine.variables import STATELESS_OPTIMIZERS

ADAM = {"training.optimizer": "adam", "training.shuffle": True}
BOUND = {"rtol": 1e-5, "atol": 1e-5}
"""Of weights and of logged numbers after some epochs: rounding of another order of sums."""

VALUES = Task((4,), "float32", (), 2)
CASES = {
    "adam": {},
    "tape_sgd": {"training.optimizer": {"name": "tape_sgd", "weight_decay": 0.01}},
    "schedules of the rates and of the dropout": {
        "network.dropout": 0.3,
        "network.dropout_schedule": "flat_cosine",
        "training.optimizer": {
            "name": "adam",
            "learning_rate": {"name": "cosine", "initial_learning_rate": 0.02},
        },
    },
    "the last batch left out": {"training.drop_last": True},
    "compiled by XLA": {"training.engine": "xla", "network.dropout": 0.3},
    "members in one network": {"network.members": 2},
    "members with orders of their own": {
        "network.members": 2,
        "training.share_batches": False,
    },
    "batch normalization": {"network.normalization": "batch", "training.optimizer": "sgd"},
}
BINARY = Task((4,), "float32", ("a", "b"))
PARTS = {
    "two classes": ({}, BINARY),
    "absolute errors": ({"training.loss": "mae"}, VALUES),
    "smoothed labels": (
        {"training.loss": {"name": "categorical_crossentropy", "label_smoothing": 0.1}},
        None,
    ),
    "options of layers": (
        {
            "network.hidden": [6, 5],
            "network.normalization": "layer",
            "network.input_scale": True,
            "network.parametric_activation": True,
            "network.l2": 0.01,
        },
        None,
    ),
    "an embedding of the inputs": ({"network.numeric_embedding": "periodic_linear"}, None),
    "a residual block": ({"network.block": "residual", "network.hidden": [6, 6]}, None),
    "options of an optimizer": (
        {
            "training.optimizer": {
                "name": "adamw",
                "global_clipnorm": 0.1,
                "use_ema": True,
                "rate_factors": {"bias": 0.1},
            }
        },
        None,
    ),
    "bfloat16": ({"training.precision": "bfloat16"}, None),
}


class Stop(keras.callbacks.Callback):
    """Stops at the end of an epoch; the calls of the engine have one epoch each."""

    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = epoch == self.epoch


class CountedCalls(JointCalls):
    """Writes down how many networks each joint call has served."""

    def __init__(self):
        super().__init__()
        self.served = []

    def __call__(self, requests):
        answers = super().__call__(requests)
        self.served.append(sum(answer is not None for answer in answers))
        return answers


def trained(case, callbacks=(), **options):
    loop = case.loop(callbacks, **options)
    history = loop.run(Progress()).history
    return loop.engine.model, history


def problems(problem, overrides, count=3, task=None, own_rows=False):
    """Problems that differ in their seeds, and in their rows if asked."""
    found = []
    for seed in range(count):
        case = problem({**ADAM, **overrides, "seed": seed}, **({"task": task} if task else {}))
        if own_rows:
            case.train.x[:] = np.roll(case.train.x, 7 * seed, axis=1)
            case.held_out.x[:] = np.roll(case.held_out.x, 7 * seed, axis=1)
        found.append(case)
    return found


def at_once(cases, **options):
    calls = CountedCalls()
    found = list(
        in_lockstep([functools.partial(trained, case, **options) for case in cases], calls)
    )
    return found, calls


def assert_equal(got, wanted):
    (model, history), (expected, numbers) = got, wanted
    assert set(history) == set(numbers)
    for column, values in history.items():
        np.testing.assert_allclose(values, numbers[column], **BOUND, err_msg=column)
    for of in (lambda each: each.weights, lambda each: each.optimizer.variables):
        for a, b in zip(of(model), of(expected), strict=True):
            atol = BOUND["atol"] * max(1.0, np.max(np.abs(b), initial=0.0))
            np.testing.assert_allclose(a, b, rtol=BOUND["rtol"], atol=atol, err_msg=b.path)


@pytest.fixture(autouse=True)
def no_operation_in_turn(monkeypatch):
    """An operation that TensorFlow cannot stack would run for one network after the other."""
    strict = functools.partial(tf.vectorized_map, fallback_to_while_loop=False)
    monkeypatch.setattr(tf, "vectorized_map", strict)


@pytest.mark.parametrize("name", CASES)
def test_networks_at_once_train_as_each_does_alone(problem, name):
    cases = problems(problem, CASES[name])
    found, calls = at_once(cases)
    assert set(calls.served) == {3}
    for got, case in zip(found, cases, strict=True):
        assert_equal(got, trained(case))


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(STATELESS_OPTIMIZERS - {"adam", "sgd", "tape_sgd"}))
def test_every_optimizer_without_state_trains_at_once(problem, name):
    cases = problems(problem, {"training.optimizer": name, "training.epochs": 2}, count=2)
    found, calls = at_once(cases)
    assert set(calls.served) == {2}
    for got, case in zip(found, cases, strict=True):
        assert_equal(got, trained(case))


@pytest.mark.parametrize("name", PARTS)
def test_every_part_of_a_network_trains_at_once(problem, name):
    overrides, task = PARTS[name]
    cases = problems(problem, {"training.epochs": 2, **overrides}, count=2, task=task)
    found, calls = at_once(cases)
    assert set(calls.served) == {2}
    for got, case in zip(found, cases, strict=True):
        assert_equal(got, trained(case))


@pytest.mark.parametrize("name", ["adam", "compiled by XLA"])
def test_networks_of_other_rows_train_at_once(problem, name):
    cases = problems(problem, CASES[name], own_rows=True)
    found, calls = at_once(cases)
    assert set(calls.served) == {3}
    for got, case in zip(found, cases, strict=True):
        assert_equal(got, trained(case))


def test_values_are_learned_at_once_where_xla_compiles_the_steps_alone(problem):
    cases = problems(problem, {"training.engine": "xla"}, task=VALUES)
    found, calls = at_once(cases, steps_only=True)
    assert set(calls.served) == {3}
    for got, case in zip(found, cases, strict=True):
        assert_equal(got, trained(case, steps_only=True))


def test_networks_of_different_learning_rates_and_dropout_rates_train_at_once(problem):
    cases = [
        problem({**ADAM, "network.dropout": rate, "training.optimizer.learning_rate": step})
        for rate, step in ((0.1, 0.01), (0.4, 0.003))
    ]
    found, calls = at_once(cases)
    assert set(calls.served) == {2}
    for got, case in zip(found, cases, strict=True):
        assert_equal(got, trained(case))


def test_networks_of_other_shapes_train_beside_those_at_once(problem):
    cases = [*problems(problem, {}), problem({**ADAM, "network.hidden": [5]})]
    found, calls = at_once(cases)
    assert set(calls.served) == {3}
    for got, case in zip(found, cases, strict=True):
        assert_equal(got, trained(case))
    alone = trained(cases[-1])[0].get_weights()
    for a, b in zip(found[-1][0].get_weights(), alone, strict=True):
        np.testing.assert_array_equal(a, b)


def test_one_network_alone_has_the_bits_of_a_training_without_the_others(problem):
    case = problem(ADAM)
    (got,), calls = at_once([case])
    assert calls.served == []
    wanted = trained(case)
    for a, b in zip(got[0].get_weights(), wanted[0].get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert got[1] == wanted[1]


def test_a_network_that_stops_early_leaves_the_others(problem):
    """The rows of the second one are noise, so that its validation loss rises first."""
    cases = problems(problem, {"training.epochs": 12}, own_rows=True)
    stopping = functools.partial(EarlyStopping, monitor="val_loss", patience=1)
    calls = CountedCalls()
    functions = [functools.partial(trained, case, [stopping()]) for case in cases]
    found = list(in_lockstep(functions, calls))
    for got, case in zip(found, cases, strict=True):
        assert_equal(got, trained(case, [stopping()]))


def test_networks_that_end_leave_their_places_until_half_have_ended(problem, monkeypatch):
    graphs = []

    def noting(function, signature, *, constants, **options):
        graphs.append(constants[-1])
        return traced(function, signature, constants=constants, **options)

    monkeypatch.setattr(joint_calls, "traced", noting)
    # The cases stop after 1, 2, 3 and 4 epochs.
    cases = problems(problem, {}, count=4)
    functions = [
        functools.partial(trained, case, [Stop(epoch)]) for epoch, case in enumerate(cases)
    ]
    found = list(in_lockstep(functions, CountedCalls()))
    for epoch, (got, case) in enumerate(zip(found, cases, strict=True)):
        assert_equal(got, trained(case, [Stop(epoch)]))
    assert graphs == [4, 4, 2]


def test_a_network_whose_loss_is_not_finite_ends_as_it_does_alone(problem):
    cases = problems(problem, {}, own_rows=True)
    cases[1].train.x[40] = np.inf
    calls = CountedCalls()
    found = in_lockstep([functools.partial(trained, case) for case in cases], calls)
    assert_equal(next(found), trained(cases[0]))
    with pytest.raises(NumbersError) as at_once_error:
        next(found)
    with pytest.raises(NumbersError) as alone_error:
        trained(cases[1])
    assert str(at_once_error.value) == str(alone_error.value)
    assert 0 in calls.served  # the call of all was thrown away
