import logging
from collections import OrderedDict

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.eager.polymorphic_function import polymorphic_function

from kfc.data import Rows, Task
from kfc.training.checkpoints.training_state import Progress
from kfc.training.compiling import compile_for_evaluation
from kfc.training.engine.engine import Engine
from kfc.training.engine.evaluation import EVALUATION_BATCH, Evaluator
from kfc.training.engine.graph_cache import GraphKey
from kfc.training.step import TapeModel

IN_ORDER = np.arange(70, dtype=np.int32)


def train_in_blocks(problem, blocks, shared):
    case = problem({"network.dropout": 0.3, "training.optimizer": "adam"})
    loop = case.loop(shared=shared)
    for _ in range(2):
        loop.engine.set_row_orders(IN_ORDER[::-1].copy()[None])
        loop.engine.model.reset_metrics()
        for first, last in blocks:
            block = loop.engine.run(first, last)
    return loop.engine.model, block


@pytest.mark.parametrize("shared", [True, pytest.param(False, marks=pytest.mark.slow)])
@pytest.mark.parametrize("blocks", [[(0, 3)], [(0, 2), (2, 3)]], ids=str)
def test_blocks_of_any_length_give_the_bits_of_single_steps(
    problem, same_weights, blocks, shared
):
    expected, last = train_in_blocks(problem, [(0, 1), (1, 2), (2, 3)], shared)
    actual, block = train_in_blocks(problem, blocks, shared)
    same_weights(actual, expected)
    assert block == last


class Identity(keras.losses.Loss):
    """The mean of the outputs, so that a loss tells which rows it saw."""

    def call(self, y_true, y_pred):
        return y_pred[:, 0] + 0 * tf.cast(y_true, y_pred.dtype)


def counting_engine(batch_size=32, values=None):
    """A network of one weight, 1, whose loss on row n is n (or `values[n]`)."""
    inputs = keras.Input((1,))
    dense = keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")
    model = TapeModel(keras.Model(inputs, dense(inputs)))
    model.compile(optimizer=keras.optimizers.SGD(1e-12), loss=Identity(), jit_compile=False)
    x = np.arange(70, dtype=np.float32) if values is None else values
    return Engine(model, Rows(x[:, None], np.zeros(70, np.int32)), batch_size)


@pytest.mark.parametrize("batch_size", [1, 32, 35, 70, 100])
def test_each_step_gathers_the_rows_of_the_order(batch_size):
    order = np.random.default_rng(0).permutation(70).astype(np.int32)
    engine = counting_engine(batch_size)
    engine.set_row_orders(order[None])
    assert engine.steps_per_epoch == -(-70 // batch_size)
    for step in range(engine.steps_per_epoch):
        rows = order[step * batch_size : (step + 1) * batch_size]
        loss = engine.run(step, step + 1).logs["batch_loss"]
        assert loss == pytest.approx(rows.mean(), rel=1e-5)


def test_an_epoch_mean_counts_every_row_once():
    engine = counting_engine()
    engine.set_row_orders(IN_ORDER[None])
    assert engine.run(0, 3).logs["loss"] == pytest.approx(34.5, rel=1e-5)


@pytest.mark.parametrize(("row", "step"), [(0, 0), (31, 0), (32, 1), (69, 2)])
def test_the_first_bad_step_is_the_one_that_saw_the_bad_row(row, step):
    values = np.ones(70, np.float32)
    values[row] = np.inf
    engine = counting_engine(values=values)
    engine.set_row_orders(IN_ORDER[None])
    assert engine.run(0, 3).first_bad_step == step


def test_without_a_bad_step_there_is_none():
    engine = counting_engine()
    engine.set_row_orders(IN_ORDER[None])
    assert engine.run(0, 3).first_bad_step == -1


def test_a_weight_that_is_not_finite_is_seen(problem):
    loop = problem({"network.normalization": "batch"}).loop()
    assert loop.engine.weights_are_finite()
    weights = loop.engine.model.get_weights()
    for number in range(len(weights)):  # moving averages included
        spoilt = [weight.copy() for weight in weights]
        spoilt[number].flat[-1] = np.nan
        loop.engine.model.set_weights(spoilt)
        assert not loop.engine.weights_are_finite()


def test_an_evaluation_within_an_epoch_leaves_its_means_alone(problem):
    results = []
    for evaluates in (False, True):
        loop = problem().loop()
        loop.engine.set_row_orders(IN_ORDER[None])
        loop.engine.run(0, 2)
        if evaluates:
            loop.evaluator.evaluate(loop.held_out[1])
        results.append(loop.engine.run(2, 3))
    assert results[0] == results[1]


REGRESSION = Task((4,), "float32", (), outputs=2)


@pytest.mark.parametrize("rows", [1, EVALUATION_BATCH + 7])
@pytest.mark.parametrize(
    "overrides", [{}, {"training.loss": "mse", "network.l2": 0.01}], ids=str
)
def test_an_evaluation_gives_the_numbers_of_keras(problem, overrides, rows):
    case = problem({**overrides, "network.dropout": 0.5})
    part = Rows(*(np.resize(a, (rows, *a.shape[1:])) for a in (case.train.x, case.train.y)))
    actual = case.loop().evaluator.evaluate(part)
    expected = case.stock().evaluate(
        part.x, part.y, batch_size=EVALUATION_BATCH, verbose=0, return_dict=True
    )
    assert actual == pytest.approx(expected, rel=1e-6)


def test_a_regression_is_evaluated_as_keras_does(problem):
    case = problem({}, REGRESSION)
    actual = case.loop().evaluator.evaluate(case.train)
    expected = case.stock().evaluate(
        case.train.x, case.train.y, batch_size=70, verbose=0, return_dict=True
    )
    assert set(actual) == {"loss", "mae", "r2"}
    assert actual == pytest.approx(expected, rel=1e-6)


def test_an_evaluation_repeats_to_the_same_bits(problem):
    loop = problem().loop()
    first = loop.evaluator.evaluate(loop.held_out[1])
    loop.evaluator.evaluate(loop.engine.model and problem().train)
    assert loop.evaluator.evaluate(loop.held_out[1]) == first


@pytest.mark.slow
def test_many_engines_in_one_process_cause_no_warning(caplog, monkeypatch):
    # TensorFlow warns twice per process; earlier tests must not use that up.
    limit = "FREQUENT_TRACING_WARNING_MAX_WARNING_PER_DETECTOR"
    monkeypatch.setattr(polymorphic_function, limit, 10**6)
    logging.getLogger("tensorflow").addHandler(caplog.handler)
    try:
        for _ in range(7):
            engine = counting_engine()
            engine.set_row_orders(IN_ORDER[None])
            engine.run(0, 1)
            Evaluator(engine.model).evaluate(Rows(np.ones((3, 1)), np.zeros(3, np.int32)))
    finally:
        logging.getLogger("tensorflow").removeHandler(caplog.handler)
    assert caplog.text == ""


# --- several epochs at once ---------------------------------------------------------------

FORMS = pytest.mark.parametrize("form", ["xla", "graph", "eager"])


@pytest.mark.parametrize("form", ["xla", pytest.param("graph", marks=pytest.mark.slow)])
def test_epochs_in_one_call_give_the_bits_and_numbers_of_single_epochs(
    problem, same_weights, form
):
    overrides = {"training.engine": form, "training.optimizer": "adam", "network.dropout": 0.2}
    orders = np.stack([np.roll(IN_ORDER, shift) for shift in range(3)])
    together, apart = (problem(overrides).loop().engine for _ in range(2))
    together.set_row_orders(orders)
    block = together.run(0, 9, evaluate=True)
    epochs = []
    for order in orders:
        apart.set_row_orders(order[None])
        last = apart.run(0, 3, evaluate=True)
        epochs += last.epochs
    assert block == last._replace(epochs=epochs)
    assert set(epochs[0]) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    same_weights(together.model, apart.model)


@pytest.mark.parametrize(
    ("form", "shared", "batch"),
    [  # of 30 held-out rows: two whole batches and a short one, or whole ones, or one
        pytest.param("xla", True, 12),
        pytest.param("xla", True, 15, marks=pytest.mark.slow),
        pytest.param("xla", True, 1024, marks=pytest.mark.slow),
        pytest.param("graph", True, 12),
        pytest.param("graph", False, 12),
        pytest.param("eager", True, 12),
    ],
)
def test_the_end_of_an_epoch_measures_what_an_evaluation_measures(
    problem, monkeypatch, form, shared, batch
):
    monkeypatch.setattr("kfc.training.engine.evaluation.EVALUATION_BATCH", batch)
    monkeypatch.setattr("kfc.training.engine.graph_cache._graphs", OrderedDict())
    overrides = {"training.engine": form, "training.optimizer": "adam", "network.dropout": 0.5}
    loop = problem(overrides).loop(shared=shared)
    assert len(loop.held_out[1]) == 30
    loop.engine.set_row_orders(IN_ORDER[None])
    (epoch,) = loop.engine.run(0, 3, evaluate=True).epochs
    measured = loop.evaluator.evaluate(loop.held_out[1])
    assert {name: epoch[f"val_{name}"] for name in measured} == pytest.approx(
        measured, rel=1e-6
    )


@pytest.mark.parametrize(
    ("form", "shared"), [("xla", True), ("graph", True), ("graph", False), ("eager", True)]
)
def test_held_out_rows_that_nobody_asks_for_are_not_measured(problem, form, shared):
    loop = problem({"training.engine": form}).loop(shared=shared)
    loop.engine.set_row_orders(IN_ORDER[None])
    (epoch,) = loop.engine.run(0, 3, evaluate=False).epochs
    assert set(epoch) == {"loss", "accuracy"}
    assert not any(float(v) for v in loop.evaluator.model.metrics_variables)


def test_an_epoch_that_has_not_ended_reports_no_numbers_of_its_own(problem):
    engine = problem().loop().engine
    engine.set_row_orders(IN_ORDER[None])
    assert engine.run(0, 2, evaluate=True).epochs == []
    assert len(engine.run(2, 3, evaluate=True).epochs) == 1


def test_a_block_goes_no_further_than_its_first_bad_step():
    values = np.ones(70, np.float32)
    values[40] = np.inf
    engine = counting_engine(values=values)
    engine.set_row_orders(IN_ORDER[None])
    block = engine.run(0, 3)
    assert (block.first_bad_step, block.epochs) == (1, [])
    assert int(engine.model.optimizer.iterations) == 2


def test_eager_steps_agree_with_compiled_ones(problem):
    weights = {}
    for form in ("eager", "graph"):
        engine = problem({"training.engine": form, "network.dropout": 0.3}).loop().engine
        engine.set_row_orders(IN_ORDER[None])
        engine.run(0, 3)
        weights[form] = engine.model.get_weights()
    for got, want in zip(weights["eager"], weights["graph"], strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def test_an_eager_step_can_be_looked_into(problem, monkeypatch):
    seen = []
    step = TapeModel.train_step
    monkeypatch.setattr(
        TapeModel,
        "train_step",
        lambda self, data: seen.append(data[0].numpy()) or step(self, data),
    )
    engine = problem({"training.engine": "eager"}).loop().engine
    engine.set_row_orders(IN_ORDER[None])
    engine.run(0, 3)
    assert [len(batch) for batch in seen] == [32, 32, 6]


# --- compiling once -----------------------------------------------------------------------


def engine_of(case, graph_key):
    model = case.model()
    network = keras.Model(model.inputs, model.outputs)
    evaluator = compile_for_evaluation(network, case.spec, case.task)
    return Engine(
        model,
        case.train,
        35,
        form="xla",
        evaluator=evaluator,
        held_out=("val", case.held_out),
        graph_key=graph_key,
    )


def test_engines_of_one_key_compile_once_and_train_their_own_weights(
    problem, same_weights, monkeypatch
):
    monkeypatch.setattr("kfc.training.engine.graph_cache._graphs", (kept := OrderedDict()))

    def trained(seed, rate, graph_key):
        optimizer = {"name": "adam", "learning_rate": rate}
        case = problem({"seed": seed, "training.optimizer": optimizer, "network.dropout": 0.2})
        engine = engine_of(case, graph_key)
        engine.set_row_orders(IN_ORDER[None])
        return engine.run(0, 2, evaluate=True), engine.model

    the_same = GraphKey("the same", frozenset())
    first, _ = trained(0, 0.01, the_same)
    shared, model = trained(1, 0.1, the_same)
    own, expected = trained(1, 0.1, None)
    assert first != shared == own
    same_weights(model, expected)
    assert len(kept) == 1


@pytest.mark.slow
def test_what_is_held_out_keeps_its_name_where_functions_are_shared(problem):
    case = problem()
    for prefix in ("val", "test"):
        model = case.model()
        network = keras.Model(model.inputs, model.outputs)
        evaluator = compile_for_evaluation(network, case.spec, case.task)
        engine = Engine(
            model,
            case.train,
            32,
            form="xla",
            evaluator=evaluator,
            held_out=(prefix, case.held_out),
            graph_key=GraphKey("of both", frozenset()),
        )
        engine.set_row_orders(IN_ORDER[None])
        (epoch,) = engine.run(0, 3, evaluate=True).epochs
        assert f"{prefix}_loss" in epoch


def test_another_batch_size_or_number_of_rows_compiles_anew(problem, monkeypatch):
    monkeypatch.setattr("kfc.training.engine.graph_cache._graphs", (kept := OrderedDict()))
    case = problem()
    one = GraphKey("one", frozenset())
    for rows in (70, 64):
        part = Rows(case.train.x[:rows], case.train.y[:rows])
        Engine(case.model(), part, 32, form="graph", graph_key=one).trace()
    Engine(case.model(), case.train, 35, form="graph", graph_key=one).trace()
    assert len(kept) == 3


def test_a_plain_graph_is_traced_once_for_all_widths(problem, monkeypatch):
    monkeypatch.setattr("kfc.training.engine.graph_cache._graphs", (kept := OrderedDict()))
    overrides = {"network.dropout": 0.2, "training.epochs": 2}
    for widths in ([6, 7], [8, 8]):
        case = problem({**overrides, "network.hidden": widths})
        shared, own = case.loop(), case.loop(shared=False)
        expected = own.run(Progress()).history
        for name, values in shared.run(Progress()).history.items():
            np.testing.assert_allclose(values, expected[name], rtol=2e-6, err_msg=name)
        for got, want in zip(
            shared.engine.model.weights, own.engine.model.weights, strict=True
        ):
            np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-7, err_msg=want.path)
    assert len(kept) == 2  # the training, and the evaluation that it calls


@pytest.mark.parametrize("earlier", [[9], pytest.param([7, 9], marks=pytest.mark.slow)])
def test_a_width_gives_the_same_bits_whichever_came_first(
    problem, same_weights, monkeypatch, earlier
):
    models = []
    for order in ([5], [*earlier, 5]):
        monkeypatch.setattr("kfc.training.engine.graph_cache._graphs", OrderedDict())
        for width in order:
            loop = problem({"network.hidden": [width]}).loop()
            loop.run(Progress())
        models.append(loop.engine.model)
    same_weights(*models)


def test_a_graph_without_a_structure_belongs_to_its_model(problem, monkeypatch):
    monkeypatch.setattr("kfc.training.engine.graph_cache._graphs", (kept := OrderedDict()))
    Engine(problem().model(), problem().train, 32, form="graph").trace()
    assert not kept


def test_an_optimizer_is_built_once(problem):
    """A plug-in's may lack Keras's guard, and would make its variables again."""

    class Unguarded(keras.optimizers.SGD):
        def build(self, variables):
            super().build(variables)
            self.slots = [self.add_variable_from_reference(v, "slot") for v in variables]

    case = problem()
    model = case.model()
    model.compile(Unguarded(0.1), loss=model.loss)
    model.optimizer.build(model.trainable_variables)
    before = len(model.optimizer.variables)
    case.loop(model=model, shared=False)
    assert len(model.optimizer.variables) == before
