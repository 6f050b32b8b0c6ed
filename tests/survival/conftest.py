"""A disk that fails where a test says, and a NumPy network that kfc's own loop trains."""

import functools
import json
import math
import types

import numpy as np
import pytest

from kfc.data import Rows
from kfc.errors import DiskError
from kfc.spec import load_spec
from kfc.system import atomic, disk
from kfc.training import loop as loops
from kfc.training.callbacks.early_stopping import EarlyStopping
from kfc.training.callbacks.logs import MetricsLog
from kfc.training.checkpoints import store, training_state
from kfc.training.checkpoints.training_state import Progress
from kfc.training.distributing import OneReplica
from kfc.training.engine import ExecutionResult

OPERATIONS = (
    *("write_new", "write_new_by", "append", "truncate", "fsync", "rename"),
    *("mkdir", "unlink", "rmtree"),
)


class Dead(BaseException):
    """The process is gone: nothing that comes after has an effect on the disk."""


class FaultyDisk:
    """The operations of `kfc.system.disk`, written down, one of which goes wrong.

    It is in place within a `with` block, which `Dead` and DiskError end quietly.

    Args:
        at: Its number, from 1; None for a disk that works.
        failure: `die` before it, `tear` halfway through it, or an errno from then on.
        durable: Whether what is synced really is, which takes its time.
    """

    def __init__(self, at=None, failure="die", *, durable=False):
        self.at, self.failure, self.durable = at, failure, durable
        self.log, self.is_dead, self.is_broken, self.has_failed = [], False, False, False

    def __enter__(self):
        self._patch = pytest.MonkeyPatch()
        for name in OPERATIONS:
            real = getattr(disk, name)
            self._patch.setattr(disk, name, functools.partial(self._do, name, real))
        return self

    def __exit__(self, kind, error, trace):
        self._patch.undo()
        self.has_failed = kind is not None
        return isinstance(error, (Dead, DiskError))

    def die(self):
        self.is_dead = True
        raise Dead

    def _do(self, name, real, *arguments):
        if self.is_dead:
            raise Dead
        self.log.append((name, *arguments))
        if len(self.log) == self.at:
            if self.failure == "tear":
                self._tear(name, real, *arguments)
            if self.failure in ("die", "tear"):
                self.die()
            self.is_broken = True
        if self.is_broken and name != "rmtree":  # which removes what it can
            raise OSError(self.failure, "planted")
        if name == "fsync" and not self.durable:
            return None
        return real(*arguments)

    def _tear(self, name, real, *arguments):
        if name in ("write_new", "append"):
            path, data = arguments
            real(path, data[: len(data) // 2])
        elif name != "fsync":
            real(*arguments)


@pytest.fixture
def faulty_disk():
    """Makes a disk that fails."""
    return FaultyDisk


@pytest.fixture
def check_syncs():
    """Checks that what is renamed was synced before, and its folder is before the next."""

    def check(log):
        dirty, awaited = set(), set()
        for name, *arguments in log:
            if name in ("write_new", "append", "truncate", "mkdir"):
                dirty.add(arguments[0])
            elif name == "write_new_by":
                dirty.add(arguments[1])
            elif name == "fsync":
                dirty.discard(arguments[0])
                awaited.discard(arguments[0])
            elif name == "rename":
                old, new = arguments
                assert not awaited, f"{new} is renamed before {awaited} is synced"
                assert not [p for p in dirty if p == old or old in p.parents], (
                    f"{old} unsynced"
                )
                awaited.add(new.parent)
        assert not awaited

    return check


# --- a toy behind the same loop -----------------------------------------------------------


class Variable:
    def __init__(self, value):
        self.value = np.array(value, np.float64)

    @property
    def shape(self):
        return self.value.shape

    def assign(self, value):
        self.value = np.array(value, np.float64)

    def __array__(self, dtype=None, copy=None):
        return np.array(self.value, dtype)


class ToyModel:
    """Linear regression with momentum, and noise from a seed that each step moves."""

    def __init__(self):
        rng = np.random.default_rng(7)
        self.weights = self.trainable_variables = [Variable(rng.normal(size=3))]
        self.seed, self.momentum = Variable(1.0), Variable(np.zeros(3))
        self.loss_sum, self.rows = Variable(0.0), Variable(0.0)
        self.variables = [*self.weights, self.seed]
        self.metrics = [types.SimpleNamespace(variables=[self.loss_sum, self.rows])]
        self.optimizer = types.SimpleNamespace(
            variables=[self.momentum], finalize_variable_values=lambda variables: None
        )
        self.stop_training, self.replicas = False, OneReplica()

    def get_weights(self):
        return [weight.value.copy() for weight in self.weights]

    def set_weights(self, values):
        for weight, value in zip(self.weights, values, strict=True):
            weight.assign(value)


class ToyEngine:
    """What `Loop` asks of an engine, a step per call.

    Args:
        rows: Training rows.
        before_step: Called with the number of steps this engine has made.
    """

    batch_size, steps_per_execution, epochs_per_execution, window_rows = 4, 1, 1, None
    num_orders = 1
    epochs_begun = 0
    evaluates = keeps_epochs = False

    def __init__(self, rows, before_step):
        self.model, self._rows, self._before_step = ToyModel(), rows, before_step
        self.num_rows = len(rows.x)
        self.steps_per_epoch = -(-self.num_rows // self.batch_size)
        self.steps_made = 0

    def set_row_orders(self, orders):
        (self._order,) = orders

    def drop_begun(self):
        pass

    def run(self, first, last, *, evaluate=False, next_orders=None):
        model = self.model
        if first == 0:
            model.loss_sum.assign(0.0)
            model.rows.assign(0.0)
        for step in range(first, last):
            self._before_step(self.steps_made)
            self.steps_made += 1
            self._step(self._order[step * self.batch_size : (step + 1) * self.batch_size])
        loss = float(model.loss_sum.value / model.rows.value)
        ended = [{"loss": loss}] if last == self.steps_per_epoch else []
        return ExecutionResult({"loss": loss, "batch_loss": loss}, ended, -1)

    def _step(self, batch):
        model, (weight,) = self.model, self.model.weights
        x, y = self._rows.x[batch], self._rows.y[batch]
        noise = np.random.default_rng(int(model.seed.value)).normal(0, 0.01, x.shape)
        model.seed.assign(model.seed.value * 3 % 1_000_003)
        error = (x + noise) @ weight.value - y
        model.loss_sum.assign(model.loss_sum.value + (error**2).sum())
        model.rows.assign(model.rows.value + len(batch))
        model.momentum.assign(0.9 * model.momentum.value + (x + noise).T @ error / len(batch))
        weight.assign(weight.value - 0.1 * model.momentum.value)

    def weights_are_finite(self):
        return bool(np.isfinite(self.model.weights[0].value).all())


class ToyEvaluator:
    def __init__(self, model):
        self._model = model

    def evaluate(self, rows):
        error = rows.x @ self._model.weights[0].value - rows.y
        return {"loss": float((error**2).mean())}


def toy_rows(number, seed):
    x = np.random.default_rng(seed).normal(size=(number, 3))
    return Rows(x, x @ np.array([1.0, -2.0, 0.5]))


TOY = {"training": {"epochs": 3, "batch_size": 4, "checkpoint_seconds": 1e-9}}


def train_toy(folder, before_step=lambda number: None):
    """Trains the toy in a folder, or goes on there; returns the steps it made."""
    if (folder / "result.json").exists():
        return 0
    engine = ToyEngine(toy_rows(10, seed=0), before_step)
    model, place = engine.model, folder / "checkpoints"
    callbacks = [
        MetricsLog(folder / "metrics.jsonl", every=1),
        EarlyStopping("val_loss", patience=1),
    ]

    def checkpoint(progress):
        store.save(place, training_state.capture(model, callbacks, progress))

    start, progress = None, Progress()
    if store.has_checkpoints(place):
        start = store.newest(place)
        store.drop_damaged(place, start)
        progress = training_state.prepare_callbacks(start, callbacks)
    else:
        training_state.discard_logs(callbacks, folder)
    training, held_out = load_spec(TOY).training, ("val", toy_rows(6, seed=1))
    loop = loops.Loop(
        engine, ToyEvaluator(model), training, 0, callbacks, held_out, checkpoint
    )
    progress = loop.run(progress, state=start)
    checkpoint(progress)
    result = {"history": progress.history, "stopped": progress.stopped}
    atomic.write_file(folder / "result.json", json.dumps(result))
    return engine.steps_made


def outcome(folder):
    """Everything that a training left, but for seconds: arrays, history, metrics, stop."""
    state = store.newest(folder / "checkpoints")
    lines = [json.loads(x) for x in (folder / "metrics.jsonl").read_text().splitlines()]
    arrays = {name: values.tobytes() for name, values in state.arrays.items()}
    untimed = [{k: v for k, v in line.items() if k != "seconds"} for line in lines]
    return arrays, untimed, (folder / "result.json").read_text()


@pytest.fixture
def toy(monkeypatch):
    """Trains the toy with a checkpoint after every step: `train`, `outcome`."""
    monkeypatch.setattr(loops, "_CHECKPOINT_SHARE", math.inf)
    return types.SimpleNamespace(train=train_toy, outcome=outcome)


@pytest.fixture
def expected(toy, tmp_path, faulty_disk):
    """What an undisturbed training of the toy leaves, and the operations it takes."""
    (tmp_path / "whole").mkdir()
    with faulty_disk() as whole:
        steps = toy.train(tmp_path / "whole")
    return types.SimpleNamespace(
        outcome=toy.outcome(tmp_path / "whole"), log=whole.log, steps=steps
    )
