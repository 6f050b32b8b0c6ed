import keras
import numpy as np
import pytest

from kfc.spec.keras_signatures import signatures
from kfc.training.checkpoints.training_state import Progress
from kfc.training.engine.variables import STATELESS_OPTIMIZERS

NUMBERS = dict(rtol=2e-5, atol=2e-6)


def train(problem, overrides, engine, shared=True):
    loop = problem({**overrides, "training.engine": engine}).loop(shared=shared)
    return loop.run(Progress()).history, loop.engine.model


def assert_same_training(problem, overrides, form):
    """Weights, slots and every logged number, over epochs with a short last batch."""
    expected, ordinary = train(problem, overrides, "graph", shared=False)
    actual, carried = train(problem, overrides, form)
    assert actual.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(actual[name], values, **NUMBERS, err_msg=name)
    for got, want in zip(carried.weights, ordinary.weights, strict=True):
        np.testing.assert_allclose(got, want, **NUMBERS, err_msg=want.path)
    for got, want in zip(
        carried.optimizer.variables, ordinary.optimizer.variables, strict=True
    ):
        tolerance = NUMBERS
        if want.path.startswith("ftrl/") and want.path.endswith("_linear"):
            # A sum of large numbers of both signs, which may end small.
            tolerance = NUMBERS | {"atol": NUMBERS["atol"] * float(np.max(np.abs(want)))}
        np.testing.assert_allclose(got, want, **tolerance, err_msg=want.path)


def cases(values, usual=()):
    """Each value in both forms; by default the usual ones in XLA, which compiles each."""
    return [
        pytest.param(
            value,
            form,
            id=f"{value}-{form}",
            marks=[] if form == "xla" and value in usual else pytest.mark.slow,
        )
        for value in values
        for form in ("xla", "graph")
    ]


@pytest.mark.parametrize(("name", "form"), cases(sorted(STATELESS_OPTIMIZERS), ("adam",)))
def test_a_carried_optimizer_trains_as_it_does_in_place(problem, name, form):
    assert_same_training(problem, {"training.optimizer": name}, form)


def test_only_optimizers_that_keras_or_kfc_offer_are_carried():
    assert set(signatures("optimizer")) >= STATELESS_OPTIMIZERS


SHAPES = [
    {"network.hidden": []},
    {"network.hidden": [5, 9, 9]},
    {"network.hidden": [5, 9], "network.normalization": "layer"},
    {"network.block": "residual"},
    {"network.dropout": 0.3},
    {"training.batch_size": 200},
]
TOGETHER = {
    "network.hidden": [5, 9],
    "network.normalization": "layer",
    "network.l2": 0.01,
    "training.loss": "mse",
    "training.shuffle": True,
    "training.optimizer": {
        "name": "adam",
        "learning_rate": {"name": "cosine", "initial_learning_rate": 0.01},
        "weight_decay": 0.01,
        "loss_scale_factor": 8.0,
    },
}
OPTIONS = [
    {"training.optimizer": {"name": "adam", "clipnorm": 0.5, "use_ema": True}},
    {"training.optimizer": {"name": "adam", "weight_decay": 0.01, "loss_scale_factor": 8.0}},
    {"network.l2": 0.01, "training.loss": "mse", "training.shuffle": True},
    {"training.optimizer.learning_rate": {"name": "cosine", "initial_learning_rate": 0.1}},
    {"training.optimizer": {"name": "adam", "amsgrad": True}},
    {"training.optimizer": {"name": "sgd", "momentum": 0.9, "nesterov": True}},
    {"training.batch_size": 70},
]


FORMS = pytest.mark.parametrize("form", ["xla", pytest.param("graph", marks=pytest.mark.slow)])


@FORMS
def test_a_carried_training_is_the_same_with_many_options_together(problem, form):
    assert_same_training(problem, {"training.batch_size": 35, **TOGETHER}, form)


@pytest.mark.parametrize(("overrides", "form"), cases(SHAPES))
def test_a_carried_training_is_the_same_with_the_shapes(problem, overrides, form):
    # Without a short batch, which XLA would compile apart; the optimizers have one.
    assert_same_training(problem, {"training.batch_size": 35, **overrides}, form)


@pytest.mark.parametrize(("overrides", "form"), cases(OPTIONS))
def test_a_carried_training_is_the_same_with(problem, overrides, form):
    assert_same_training(problem, {"training.batch_size": 35, **overrides}, form)


@FORMS
def test_batch_normalization_is_carried(problem, form):
    # Not Adam: the bias before a normalisation has no gradient but rounding, and Adam
    # makes a full step of that.
    overrides = {"network.normalization": "batch", "training.optimizer": "tape_sgd"}
    assert_same_training(problem, overrides, form)


def test_carried_blocks_of_any_length_give_the_same_bits(problem, same_weights):
    overrides = {"training.engine": "xla", "training.optimizer": "adam"}
    whole, pieces = problem(overrides).loop().engine, problem(overrides).loop().engine
    order = np.arange(70, dtype=np.int32)[::-1].copy()
    for engine, blocks in ((whole, [(0, 3)]), (pieces, [(0, 1), (1, 2), (2, 3)])):
        engine.set_row_orders(order[None])
        for first, last in blocks:
            block = engine.run(first, last)
        engine.last = block
    same_weights(whole.model, pieces.model)
    assert whole.last == pieces.last


def test_a_new_learning_rate_takes_effect_in_a_compiled_loop(problem):
    overrides = {"training.engine": "xla", "training.optimizer": "sgd", "training.loss": "mse"}
    engine = problem(overrides).loop().engine
    engine.set_row_orders(np.arange(70, dtype=np.int32)[None])
    engine.run(0, 1)
    before = [np.array(weight) for weight in engine.model.weights]
    engine.model.optimizer.learning_rate = 0.0
    engine.run(1, 2)
    for weight, old in zip(engine.model.weights, before, strict=True):
        np.testing.assert_array_equal(weight, old)


def test_the_first_bad_step_is_found_in_a_compiled_loop(problem):
    hot = {"name": "sgd", "learning_rate": 1e30}
    overrides = {"training.engine": "xla", "training.optimizer": hot, "training.loss": "mse"}
    engine = problem(overrides).loop().engine
    engine.set_row_orders(np.arange(70, dtype=np.int32)[None])
    assert engine.run(0, 3).first_bad_step in (1, 2)
    assert isinstance(engine.model.optimizer, keras.optimizers.SGD)
