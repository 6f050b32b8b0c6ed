"""The log of layers: what it measures, what it costs, and that it changes nothing."""

import itertools
import json
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from kfc.data import Rows, Task
from kfc.training.callbacks import layer_log
from kfc.training.callbacks.early_stopping import EarlyStopping
from kfc.training.callbacks.layer_log import LayerLog, read_layers
from kfc.training.checkpoints.training_state import Progress

ADAM = {"training.optimizer": {"name": "adam", "learning_rate": 0.01}}
DROPOUT = {**ADAM, "network.dropout": 0.3, "training.shuffle": True}
MEMBERS = {**ADAM, "network.members": 3, "training.share_batches": False}
MOVING = {"training.optimizer": {"name": "sgd", "use_ema": True, "momentum": 0.9}}


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def assert_same_optimizer(got, want):
    """Asserts that moments and counters of two models are the same bits."""
    pairs = zip(got.optimizer.variables, want.optimizer.variables, strict=True)
    for mine, other in pairs:
        np.testing.assert_array_equal(mine, other)


@pytest.fixture
def unlimited(monkeypatch):
    monkeypatch.setattr(layer_log, "_SHARE", np.inf)


@pytest.mark.parametrize("engine", ["eager", "graph", "xla"])
@pytest.mark.parametrize(
    "overrides", [ADAM, DROPOUT, MEMBERS, MOVING], ids=["adam", "dropout", "members", "ema"]
)
def test_a_training_has_the_same_bits_with_the_log(
    problem, recorder, same_weights, tmp_path, unlimited, engine, overrides
):
    case = problem({**overrides, "training.engine": engine})
    log = LayerLog(tmp_path / "layers.jsonl", case.train)
    logged, plain = case.loop([recorder(), log]), case.loop([recorder()])
    assert logged.run(Progress()).history == plain.run(Progress()).history
    same_weights(logged.engine.model, plain.engine.model)
    assert_same_optimizer(logged.engine.model, plain.engine.model)
    assert [line["epoch"] for line in lines(tmp_path / "layers.jsonl")] == [1, 2, 3]


def test_the_numbers_are_those_of_a_step_by_keras(problem, recorder, tmp_path, unlimited):
    case = problem({**ADAM, "training.epochs": 1})
    loop = case.loop([recorder(), LayerLog(tmp_path / "layers.jsonl", case.train)])
    loop.run(Progress())
    (line,) = lines(tmp_path / "layers.jsonl")
    model, stock = loop.engine.model, case.stock()
    stock.set_weights(model.get_weights())
    for mine, other in zip(stock.optimizer.variables, model.optimizer.variables, strict=True):
        mine.assign(other)
    before = [layer.kernel.numpy() for layer in stock.layers if hasattr(layer, "kernel")]
    with tf.GradientTape() as tape:
        y_pred = stock(case.train.x)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(
            case.train.y, y_pred
        )
    gradients = tape.gradient(loss, [v.value for v in stock.trainable_variables])
    stock.optimizer.apply(gradients, stock.trainable_variables)
    after = [layer.kernel.numpy() for layer in stock.layers if hasattr(layer, "kernel")]
    assert [each["layer"] for each in line["layers"]] == ["hidden_1", "logits"]
    for number, each in enumerate(line["layers"]):
        update = np.sqrt(((after[number] - before[number]) ** 2).mean())
        gradient = np.sqrt((np.asarray(gradients[2 * number]) ** 2).mean())
        assert each["update"] == pytest.approx(update, rel=1e-3)
        assert each["gradient"] == pytest.approx(gradient, rel=1e-3)
    assert line["layers"][1]["signal"] == pytest.approx(np.asarray(y_pred).std(), rel=1e-4)
    assert line["step"] == 3


def test_measurements_take_three_percent_of_the_time(problem, tmp_path, monkeypatch):
    seconds = itertools.count(0.0, 0.1)  # each look at the clock is a tenth of a second later
    log = LayerLog(tmp_path / "layers.jsonl", problem().train)
    monkeypatch.setattr(layer_log.time, "monotonic", lambda: next(seconds))
    measured = []
    monkeypatch.setattr(log, "_measure", lambda epoch, step, rows: measured.append(epoch))
    monkeypatch.setattr(log, "_copy", lambda epoch: None)
    log.set_model(SimpleNamespace(stop_training=False))
    log.params = {"began": 0.0, "steps": 3}
    for epoch in range(2000):
        log.on_epoch_end(epoch)
        log.flush()
    elapsed = next(seconds)
    assert measured[0] >= 66  # the first one only after 6.7 seconds
    assert 0.02 * elapsed < 0.1 * len(measured) <= 0.03 * elapsed


@pytest.fixture
def no_time(monkeypatch):
    """No measurement while a network trains."""
    monkeypatch.setattr(layer_log, "_SHARE", 0.0)


@pytest.mark.parametrize("engine", ["eager", "graph", "xla"])
@pytest.mark.parametrize(
    "overrides", [ADAM, DROPOUT, MEMBERS, MOVING], ids=["adam", "dropout", "members", "ema"]
)
def test_copies_measured_later_have_the_numbers_of_the_training(
    problem, recorder, same_weights, tmp_path, monkeypatch, engine, overrides
):
    case = problem({**overrides, "training.engine": engine, "training.epochs": 4})
    monkeypatch.setattr(layer_log, "_SHARE", np.inf)
    case.loop([recorder(), LayerLog(tmp_path / "at_once", case.train)]).run(Progress())
    monkeypatch.setattr(layer_log, "_SHARE", 0.0)
    monkeypatch.setattr(layer_log, "_SECONDS_AFTERWARDS", np.inf)
    log = LayerLog(tmp_path / "later", case.train)
    copied, plain = case.loop([recorder(), log]), case.loop([recorder()])
    assert copied.run(Progress()).history == plain.run(Progress()).history
    log.measure_copies()
    same_weights(copied.engine.model, plain.engine.model)
    assert_same_optimizer(copied.engine.model, plain.engine.model)
    at_once = {line["epoch"]: line for line in lines(tmp_path / "at_once")}
    later = lines(tmp_path / "later")
    assert [line["epoch"] for line in later] == [4, 1, 2]
    assert later == [at_once[4], at_once[1], at_once[2]]


def test_a_training_in_one_execution_is_copied_at_powers_of_two(problem, tmp_path, no_time):
    case = problem({**ADAM, "training.epochs": 11})
    log = LayerLog(tmp_path / "layers.jsonl", case.train)
    case.loop([log]).run(Progress())
    assert [copy.epoch for copy in log._copies] == [1, 2, 4, 8, 11]


def test_the_epoch_that_stops_early_is_copied(problem, tmp_path, no_time):
    case = problem({**ADAM, "training.epochs": 50})
    log = LayerLog(tmp_path / "layers.jsonl", case.train)
    stop = EarlyStopping(monitor="loss", patience=1, min_delta=10.0)
    case.loop([stop, log]).run(Progress())
    assert [copy.epoch for copy in log._copies] == [1, 2]


def test_one_of_several_runs_is_not_copied(problem, tmp_path, no_time):
    case = problem({**ADAM, "training.epochs": 11})
    log = LayerLog(tmp_path / "layers.jsonl", case.train, copies=False)
    assert log.next_due(3) is None
    case.loop([log]).run(Progress())
    assert log._copies == []


def test_copies_have_at_most_their_bytes(problem, tmp_path, no_time, monkeypatch):
    case = problem({**ADAM, "training.epochs": 11})
    log = LayerLog(tmp_path / "layers.jsonl", case.train)
    loop = case.loop([log])
    weights = loop.engine.model.count_params()
    monkeypatch.setattr(layer_log, "_COPIED_BYTES", 3 * 4 * weights + 100)  # Adam has moments
    loop.run(Progress())
    assert [copy.epoch for copy in log._copies] == [1]


def test_copies_take_at_most_their_time_the_widest_gaps_first(
    problem, tmp_path, no_time, monkeypatch
):
    seconds = itertools.count(0.0, 0.1)
    case = problem({**ADAM, "training.epochs": 32})
    log = LayerLog(tmp_path / "layers.jsonl", case.train)
    case.loop([log]).run(Progress())
    monkeypatch.setattr(layer_log, "time", SimpleNamespace(monotonic=lambda: next(seconds)))
    monkeypatch.setattr(layer_log, "_SECONDS_AFTERWARDS", 0.35)
    log.measure_copies()
    assert [line["epoch"] for line in lines(tmp_path / "layers.jsonl")] == [32, 1, 4]
    assert [epoch for epoch, _ in read_layers(tmp_path)] == [1, 4, 32]


def test_a_checkpoint_keeps_the_seconds_spent(problem, tmp_path):
    log = LayerLog(tmp_path / "layers.jsonl", problem().train)
    log._spent = 0.7
    resumed = LayerLog(tmp_path / "layers.jsonl", problem().train)
    resumed.set_state(log.get_state())
    assert resumed._spent == 0.7


def test_lines_after_a_checkpoint_are_removed_by_a_resume(problem, tmp_path, unlimited):
    path, case = tmp_path / "layers.jsonl", problem()
    log = LayerLog(path, case.train)
    case.loop([log]).run(Progress(), 1)
    state, first = log.get_state(), path.read_text()
    with path.open("a") as file:
        file.write('{"epoch": 2')  # killed while it wrote
    resumed = LayerLog(path, case.train)
    resumed.set_state(state)
    assert path.read_text() == first


def test_a_line_that_was_cut_by_a_kill_is_not_read(problem, tmp_path, unlimited):
    case = problem({**ADAM, "training.epochs": 2})
    case.loop([LayerLog(tmp_path / "layers.jsonl", case.train)]).run(Progress())
    with (tmp_path / "layers.jsonl").open("a") as file:
        file.write('{"epoch": 3, "lay')
    assert [epoch for epoch, _ in read_layers(tmp_path)] == [1, 2]


def test_at_most_256_rows_are_measured(tmp_path):
    rows = Rows(np.zeros((1000, 4), np.float32), np.zeros(1000, np.int32))
    assert len(LayerLog(tmp_path / "layers.jsonl", rows)._rows) == 256


def test_values_of_a_regression_are_measured(problem, tmp_path, unlimited):
    case = problem(task=Task((4,), "float32", (), outputs=2))
    case.loop([LayerLog(tmp_path / "layers.jsonl", case.train)]).run(Progress())
    assert all(each["update"] > 0 for each in lines(tmp_path / "layers.jsonl")[0]["layers"])


def test_without_rows_nothing_is_measured(problem, tmp_path, unlimited):
    log = LayerLog(tmp_path / "layers.jsonl", None)
    assert log.next_due(0) is None  # the other workers have no log that ends executions
    problem().loop([log]).run(Progress())
    assert not (tmp_path / "layers.jsonl").exists()
