"""XLA compiles the loop over full batches alone in a training of few epochs."""

import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from kfc.data import Rows
from kfc.system.memmap import DiskArray
from kfc.training.checkpoints.training_state import Progress

ADAM = {"training.optimizer": "adam", "network.dropout": 0.2}
XLA = {**ADAM, "training.engine": "xla"}
CASES = {
    "a short last batch": {},
    "no short last batch": {"training.batch_size": 35},
    "a batch of all rows": {"training.batch_size": 70},
    "a batch larger than the rows": {"training.batch_size": 100},
    "the last batch left out": {"training.drop_last": True},
    "members with orders of their own": {"network.members": 2, "training.shuffle": True},
    # Adam turns the rounding errors of a bias before a normalization into whole steps.
    "batch normalization": {"network.normalization": "batch", "training.optimizer": "sgd"},
}


def trained(case, **options):
    loop = case.loop(**options)
    history = loop.run(Progress()).history
    return loop.engine.model, history


@pytest.mark.parametrize("name", CASES)
def test_compiled_steps_train_as_a_plain_graph_does(problem, name):
    compiled, history = trained(problem(XLA | CASES[name]), steps_only=True)
    plain, expected = trained(problem(ADAM | CASES[name]))
    assert set(history) == set(expected)
    for column, values in history.items():
        np.testing.assert_allclose(values, expected[column], rtol=1e-5, err_msg=column)
    for got, want in zip(compiled.weights, plain.weights, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-6, err_msg=want.path)


def test_compiled_steps_train_as_a_compiled_call_does(problem):
    of_steps, of_everything = (
        trained(problem({**XLA, "training.epochs": 1}), steps_only=steps_only)[0]
        for steps_only in (True, False)
    )
    for got, want in zip(of_steps.weights, of_everything.weights, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-7, err_msg=want.path)


def test_compiled_steps_of_streamed_rows_are_those_of_resident_rows(problem, monkeypatch):
    monkeypatch.setattr("kfc.system.memmap.CHUNK_BYTES", 24 * 16)  # windows of 24 rows
    on_disk, resident = (problem({**XLA, "training.batch_size": 8}) for _ in range(2))
    on_disk.train = Rows(DiskArray(on_disk.train.x), on_disk.train.y)
    streamed, history = trained(on_disk, steps_only=True)
    expected, expected_history = trained(resident, steps_only=True)
    for column, values in history.items():
        assert values == pytest.approx(expected_history[column], rel=1e-6), column
    for got, want in zip(streamed.weights, expected.weights, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-7, err_msg=want.path)


def test_one_call_of_compiled_steps_has_the_bits_of_single_steps(problem, same_weights):
    together, apart = (problem(XLA).loop(steps_only=True).engine for _ in range(2))
    orders = np.stack([np.roll(np.arange(70, dtype=np.int32), shift) for shift in range(3)])
    together.set_row_orders(orders)
    epochs = together.run(0, 9, evaluate=True).epochs
    for order, epoch in zip(orders, epochs, strict=True):
        apart.set_row_orders(order[None])
        results = [apart.run(step, step + 1, evaluate=True) for step in range(3)]
        assert results[-1].epochs == [epoch]
    same_weights(together.model, apart.model)


def test_a_bad_step_ends_compiled_steps(problem):
    case = problem(XLA)
    case.train.x[40] = np.inf
    engine = case.loop(steps_only=True).engine
    engine.set_row_orders(np.arange(70, dtype=np.int32)[None])
    result = engine.run(0, 3)
    assert (result.first_bad_step, result.epochs) == (1, [])


@pytest.mark.parametrize("steps_only", [True, False])
def test_compiling_leaves_every_variable_as_it_was(problem, steps_only):
    engine = problem(XLA).loop(steps_only=steps_only).engine
    variables = [*engine.model.variables, *engine.model.optimizer.variables]
    before = [np.array(variable) for variable in variables]
    engine.trace()
    for variable, value in zip(variables, before, strict=True):
        np.testing.assert_array_equal(variable, value, err_msg=variable.path)


TRAIN_TWO_EPOCHS = """
import sys
import numpy as np
import kfc

rng = np.random.default_rng(0)
rows = rng.random((70, 4), np.float32), rng.integers(0, 3, 70)
training = {"epochs": 2, "engine": "xla"}
spec = {"data": {"validation": 0}, "network": {"hidden": [6]}, "training": training}
kfc.fit(spec, data=(rows, rows), runs=sys.argv[1])
"""


def test_the_loop_that_compiles_beside_the_trace_is_compiled_once(tmp_path):
    environment = {"XLA_FLAGS": f"--xla_dump_to={tmp_path / 'dump'}", "KFC_REPORT": "off"}
    subprocess.run(
        [sys.executable, "-c", TRAIN_TWO_EPOCHS, str(tmp_path / "runs")],
        check=True,
        env={**os.environ, **environment},
    )
    compiled = {path.name.partition(".")[0] for path in (tmp_path / "dump").iterdir()}
    assert compiled == {"module_0000"}


def test_an_error_of_the_compiler_is_raised_where_the_loop_is_called(problem, monkeypatch):
    def fail(**batch):
        tf.strings.as_string(tf.zeros([]))  # an operation that XLA does not have
        return loss(**batch)

    case = problem({**XLA, "network.hidden": [6, 5, 7]})  # its graph is in no cache
    loop = case.loop(steps_only=True)
    loss = loop.engine.model.compute_loss
    monkeypatch.setattr(loop.engine.model, "compute_loss", fail)
    with pytest.raises(tf.errors.InvalidArgumentError, match="AsString"):
        loop.engine.trace()
