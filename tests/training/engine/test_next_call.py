"""Epochs that compute while the hooks of the last ones are called change nothing."""

import gc
import threading
import weakref

import keras
import numpy as np
import pytest

from kfc.training import loop as loops
from kfc.training.callbacks import EarlyStopping
from kfc.training.callbacks.layer_log import LayerLog
from kfc.training.checkpoints import training_state
from kfc.training.checkpoints.training_state import Progress
from kfc.training.engine import call_length
from kfc.training.engine.next_call import NextCall

FORMS = ("graph", "xla")
EPOCHS = 11  # calls of 4, 4 and 3


@pytest.fixture(autouse=True)
def four_epochs_in_a_call(monkeypatch):
    monkeypatch.setattr(call_length, "_MAX_EPOCHS", 4)


def loop_of(problem, callbacks=(), *, form="graph", **options):
    overrides = {
        "training.epochs": EPOCHS,
        "training.engine": form,
        "training.shuffle": True,
        "network.dropout": 0.3,
        "training.optimizer": {"name": "adam", "learning_rate": 0.1},
    }
    return problem(overrides).loop(callbacks, **options)


def in_turn(loop):
    """Returns the loop, whose calls each begin after the hooks of the last one."""
    loop.engine._begins_next = False
    return loop


def everything(model):
    return [variable.numpy() for variable in [*model.variables, *model.optimizer.variables]]


def assert_equal(got, want):
    for one, other in zip(everything(got), everything(want), strict=True):
        np.testing.assert_array_equal(one, other)


class Reader(keras.callbacks.Callback):
    """Keeps the weights that it sees at the end of each epoch, and the calls begun by then."""

    only_reads = True

    def __init__(self, engine=lambda: None):
        super().__init__()
        self.engine, self.seen, self.begun = engine, [], []

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append(np.concatenate([w.ravel() for w in self.model.get_weights()]))
        self.begun.append(self.engine().epochs_begun)


@pytest.mark.parametrize("form", FORMS)
def test_a_training_has_the_bits_of_one_whose_calls_are_in_turn(problem, form):
    readers = Reader(lambda: ahead.engine), Reader(lambda: turns.engine)
    ahead = loop_of(problem, [readers[0]], form=form)
    turns = in_turn(loop_of(problem, [readers[1]], form=form))
    histories = [loop.run(Progress()).history for loop in (ahead, turns)]
    assert histories[0] == histories[1]
    assert_equal(ahead.engine.model, turns.engine.model)
    np.testing.assert_array_equal(readers[0].seen, readers[1].seen)
    # Hooks of four epochs are called while four others run, and so on; the last have none.
    assert readers[0].begun == [4] * 4 + [3] * 4 + [0] * 3
    assert set(readers[1].begun) == {0}


def test_epochs_that_are_calls_of_their_own_begin_too(problem, monkeypatch):
    monkeypatch.setattr(call_length, "_MAX_EPOCHS", 1)
    readers = Reader(lambda: ahead.engine), Reader(lambda: turns.engine)
    ahead, turns = loop_of(problem, [readers[0]]), in_turn(loop_of(problem, [readers[1]]))
    histories = [loop.run(Progress()).history for loop in (ahead, turns)]
    assert histories[0] == histories[1]
    assert readers[0].begun == [1] * 10 + [0]
    np.testing.assert_array_equal(readers[0].seen, readers[1].seen)


def test_what_reads_and_moves_the_weights_meanwhile_changes_nothing(problem, tmp_path):
    def loop_with_logs(name):
        # It tries an update, and takes it back.
        layers = LayerLog(tmp_path / name, problem().train)
        layers._next = 0.0
        metrics = ("auc",)  # measured with the weights of each epoch
        return loop_of(problem, [layers], output_metrics=metrics)

    ahead, turns = loop_with_logs("ahead"), in_turn(loop_with_logs("turns"))
    histories = [loop.run(Progress()).history for loop in (ahead, turns)]
    assert histories[0] == histories[1]
    assert_equal(ahead.engine.model, turns.engine.model)
    logs = [(tmp_path / name).read_text("utf-8") for name in ("ahead", "turns")]
    assert logs[0].count("\n") == logs[1].count("\n") > 0


def test_nothing_begins_before_the_hooks_of_a_callback_that_may_act(problem):
    class Acting(Reader):
        only_reads = False

    reader = Acting(lambda: loop.engine)
    loop = loop_of(problem, [reader])
    loop.run(Progress())
    assert reader.begun == [0] * EPOCHS


@pytest.mark.parametrize("patience", [1, 2, 3, 4])
def test_epochs_that_have_begun_are_dropped_after_a_stop(problem, patience):
    def stopping():
        return EarlyStopping("val_loss", patience, min_delta=0.5, restore_best_weights=False)

    ahead, turns = loop_of(problem, [stopping()]), in_turn(loop_of(problem, [stopping()]))
    got, want = ahead.run(Progress()), turns.run(Progress())
    assert got.stopped
    assert (got.epoch, got.history) == (want.epoch, want.history)
    assert got.epoch < EPOCHS
    assert ahead.engine.epochs_begun == 0
    assert_equal(ahead.engine.model, turns.engine.model)


def test_a_checkpoint_has_the_state_before_the_epochs_that_have_begun(problem, monkeypatch):
    monkeypatch.setattr(loops, "_CHECKPOINT_SHARE", 1e9)  # one after each call
    whole = loop_of(problem)
    whole.run(Progress())
    epochs, states = [], []

    def save(progress):
        epochs.append(progress.epoch)
        states.append(training_state.capture(saved.engine.model, [], progress))

    saved = loop_of(problem, save_checkpoint=save)
    saved.training = saved.training.model_copy(update={"checkpoint_seconds": 1e-9})
    saved.run(Progress())
    assert epochs == [4, 8, 11]
    for state in states:
        resumed = loop_of(problem)
        progress = training_state.prepare_callbacks(state, [])
        resumed.run(progress, state=state)
        assert_equal(resumed.engine.model, whole.engine.model)


def test_nothing_begins_after_a_loss_that_is_not_finite(problem):
    loop = loop_of(problem)
    loop.engine.model.set_weights([w * np.nan for w in loop.engine.model.get_weights()])
    orders = np.tile(np.arange(70, dtype=np.int32), (4, 1))
    loop.engine.set_row_orders(orders)
    result = loop.engine.run(0, 12, next_orders=lambda: orders)
    assert result.first_bad_step == 0
    assert loop.engine.epochs_begun == 0


def test_an_interrupted_training_waits_for_the_epochs_that_have_begun(problem):
    class Failing(Reader):
        def on_epoch_end(self, epoch, logs=None):
            super().on_epoch_end(epoch)
            if epoch == 5:
                raise KeyboardInterrupt

    reader = Failing(lambda: loop.engine)
    loop = loop_of(problem, [reader])
    with pytest.raises(KeyboardInterrupt):
        loop.run(Progress())
    assert reader.begun[-1] == 3
    assert loop.engine.epochs_begun == 0


def test_the_order_of_the_next_epochs_is_drawn_while_these_run(problem):
    loop = loop_of(problem)
    orders = np.tile(np.arange(70, dtype=np.int32), (4, 1))
    loop.engine.set_row_orders(orders)
    entered, drawn = threading.Event(), threading.Event()
    call = loop.engine._call

    def slow_call(inputs):
        entered.set()
        assert drawn.wait(10)
        return call(inputs)

    loop.engine._call = slow_call

    def next_orders():
        assert entered.wait(10)
        drawn.set()

    assert len(loop.engine.run(0, 12, next_orders=next_orders).epochs) == 4


def test_a_call_that_fails_raises_where_its_results_are_needed():
    def fail(inputs):
        raise ValueError("no memory")

    following = NextCall()
    following.begin(fail, None, 2)
    with pytest.raises(ValueError, match="no memory"):
        following.take()
    following.drop()
    assert following.epochs == 0
    with pytest.raises(RuntimeError, match="expected a call that has begun"):
        following.take()


@pytest.mark.parametrize("form", FORMS)
def test_an_engine_is_freed_with_its_last_reference(problem, form):
    loop = loop_of(problem, form=form, steps_only=form == "xla")
    loop.run(Progress())
    engine = weakref.ref(loop.engine)
    multi_step = weakref.ref(loop.engine._multi_step)
    gc.disable()
    try:
        del loop
        assert engine() is None
        assert multi_step() is None
    finally:
        gc.enable()
