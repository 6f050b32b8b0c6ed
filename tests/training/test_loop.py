import csv
import itertools
import math
from typing import ClassVar

import keras
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from kfc.errors import NumbersError, SpecError
from kfc.spec import load_spec
from kfc.training import loop as loops
from kfc.training.callbacks.from_spec import batch_hook_interval, named_callbacks
from kfc.training.checkpoints.training_state import Progress

TWO_EPOCHS = {"training.epochs": 2}


def run(problem, callbacks=(), overrides=None, **options):
    loop = problem({**TWO_EPOCHS, **(overrides or {})}).loop(callbacks, **options)
    return loop.run(Progress()), loop


# --- hooks --------------------------------------------------------------------------------


def test_hooks_are_called_in_the_order_of_keras(problem, recorder):
    ours, theirs = recorder(), recorder()
    run(problem, [ours])
    case = problem(TWO_EPOCHS)
    case.stock().fit(
        case.train.x,
        case.train.y,
        validation_data=(case.held_out.x, case.held_out.y),
        callbacks=[theirs],
        **case.fit_options,
    )
    assert ours.calls == theirs.calls
    assert ours.calls[:4] == [
        ("train begins",),
        ("epoch begins", 0),
        ("batch begins", 0),
        ("batch ends", 0),
    ]


def test_batch_hooks_get_the_numbers_that_keras_gives(problem, recorder):
    ours, theirs = recorder(), recorder()
    run(problem, [ours])
    case = problem(TWO_EPOCHS)
    case.stock().fit(
        case.train.x,
        case.train.y,
        validation_data=(case.held_out.x, case.held_out.y),
        callbacks=[theirs],
        **case.fit_options,
    )
    for got, want in zip(ours.logs, theirs.logs, strict=True):
        got.pop("batch_loss", None)
        assert got == pytest.approx(want, rel=1e-6)


@pytest.mark.parametrize(
    ("every", "batches"),
    [(1, [0, 1, 2, 0, 1, 2]), (4, [0]), ("execution", [2, 2]), (None, [])],
    ids=str,
)
def test_batch_hooks_are_called_at_the_steps_a_callback_wants(
    problem, recorder, every, batches
):
    callback = recorder(every)
    run(problem, [callback])
    assert [call[1] for call in callback.calls if call[0] == "batch ends"] == batches
    begins = [call[1] for call in callback.calls if call[0] == "batch begins"]
    assert begins == (batches if every == 1 else [])


def test_callbacks_with_other_wishes_do_not_disturb_each_other(problem, recorder):
    alone, together = recorder(2), recorder(2)
    expected, _ = run(problem, [alone])
    actual, _ = run(problem, [recorder(3), together, recorder("execution"), recorder(None)])
    assert together.calls == alone.calls
    assert actual.history == expected.history


def test_a_callback_without_batch_hooks_is_not_called_for_batches():
    assert batch_hook_interval(keras.callbacks.History()) is None


@pytest.mark.parametrize(
    "callback",
    [
        keras.callbacks.TerminateOnNaN(),
        keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None),
        keras.callbacks.LambdaCallback(on_train_batch_begin=lambda batch, logs: None),
    ],
    ids=["TerminateOnNaN", "LambdaCallback, end", "LambdaCallback, begin"],
)
def test_a_callback_with_batch_hooks_is_called_at_every_step(callback):
    assert batch_hook_interval(callback) == 1


@pytest.mark.parametrize("every", [0, -1, True, 1.5, "step"])
def test_a_wish_that_makes_no_sense_is_refused(recorder, every):
    with pytest.raises(SpecError, match=r"Recorder\.called_every: expected a number of steps"):
        batch_hook_interval(recorder(every))


def test_a_lambda_callback_is_called_with_logs(problem):
    seen = []
    callback = keras.callbacks.LambdaCallback(
        on_train_begin=lambda logs: seen.append("begin"),
        on_epoch_begin=lambda epoch, logs: seen.append(epoch),
        on_train_batch_begin=lambda batch, logs: seen.append(f"batch {batch}"),
        on_train_batch_end=lambda batch, logs: seen.append("loss" in logs),
        on_epoch_end=lambda epoch, logs: seen.append("val_loss" in logs),
        on_train_end=lambda logs: seen.append("end"),
    )
    run(problem, [callback], {"training.epochs": 1})
    batches = [item for step in range(3) for item in (f"batch {step}", True)]
    assert seen == ["begin", 0, *batches, True, "end"]


def test_log_steps_and_evaluations_come_at_their_steps(problem, recorder):
    callback = recorder(4)
    run(problem, [callback], {"training.epochs": 3, "training.evaluate_every": 5})
    batches = [logs for logs in callback.logs if "batch_loss" in logs]
    # Steps 4 and 8 are due; 5 is evaluated.
    ends = [call[1] for call in callback.calls if call[0] == "batch ends"]
    assert ends == [0, 1, 1]  # steps 4, 5 and 8 of 9, three to an epoch
    assert ["val_loss" in logs for logs in batches] == [False, True, False]


def test_an_evaluation_within_an_epoch_changes_nothing_else(problem):
    expected, _ = run(problem)
    actual, _ = run(problem, [], {"training.evaluate_every": 1})
    assert actual.history == expected.history


# --- Keras's callbacks by name ------------------------------------------------------------

BY_NAME = {
    "CSVLogger": {"filename": "log.csv"},
    "EarlyStopping": {"monitor": "val_loss", "patience": 3},
    "ModelCheckpoint": {"filepath": "best.keras"},
    "ReduceLROnPlateau": {"monitor": "loss", "patience": 3},
    "TensorBoard": {"log_dir": "keras"},
    "TerminateOnNaN": {},
    "best_weights": {},
    "csv_log": {},
    "metrics_log": {"filename": "more.jsonl", "every": 2},
    "tensorboard_log": {"log_dir": "more", "every": 2},
}


def named(tmp_path, name, **options):
    spec = load_spec({"training": {"callbacks": [{"name": name, **options}]}})
    return named_callbacks(spec, tmp_path)[-1]


def test_callbacks_named_in_a_spec_do_not_change_what_is_trained(problem, tmp_path):
    expected, _ = run(problem)
    callbacks = [named(tmp_path, name, **options) for name, options in BY_NAME.items()]
    actual, _ = run(problem, callbacks)
    assert actual.history.pop("learning_rate") == pytest.approx([0.001, 0.001])
    assert actual.history == expected.history


def test_csv_logger_writes_the_history(problem, tmp_path):
    progress, _ = run(problem, [named(tmp_path, "CSVLogger", filename="log.csv")])
    with (tmp_path / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    for name in ("loss", "val_accuracy"):
        assert [float(row[name]) for row in rows] == pytest.approx(progress.history[name])


def test_model_checkpoint_writes_a_plain_network(problem, tmp_path, same_weights):
    _, loop = run(problem, [named(tmp_path, "ModelCheckpoint", filepath="best.keras")])
    loaded = keras.models.load_model(tmp_path / "best.keras")
    assert type(loaded).__module__.startswith("keras.")
    same_weights(loaded, loop.engine.model)


def test_reduce_lr_on_plateau_lowers_the_rate(problem, tmp_path):
    callback = named(tmp_path, "ReduceLROnPlateau", monitor="loss", patience=1, min_delta=10.0)
    _, loop = run(problem, [callback], {"training.optimizer": "adam"})
    assert float(loop.engine.model.optimizer.learning_rate) == pytest.approx(1e-4)


def test_keras_tensorboard_writes_every_epoch(problem, tmp_path):
    progress, _ = run(problem, [named(tmp_path, "TensorBoard", log_dir="keras")])
    events = EventAccumulator(str(tmp_path / "keras/validation"), {"tensors": 0})
    events.Reload()
    assert len(events.Tensors("epoch_loss")) == len(progress.history["val_loss"])


def test_swap_ema_weights_evaluates_the_averages(problem, tmp_path):
    ema = {"training.optimizer": {"name": "sgd", "learning_rate": 0.5, "use_ema": True}}
    callback = named(tmp_path, "SwapEMAWeights")
    actual, _ = run(problem, [callback], ema)
    case = problem({**TWO_EPOCHS, **ema})
    expected = case.stock().fit(
        case.train.x,
        case.train.y,
        validation_data=(case.held_out.x, case.held_out.y),
        callbacks=[keras.callbacks.SwapEMAWeights()],
        **case.fit_options,
    )
    np.testing.assert_allclose(
        actual.history["val_loss"], expected.history["val_loss"], rtol=1e-5
    )
    plain, _ = run(problem, [], ema)
    assert plain.history["val_loss"][-1] != actual.history["val_loss"][-1]


def test_history_is_an_ordinary_callback(problem):
    history = keras.callbacks.History()
    progress, _ = run(problem, [history])
    assert history.history == progress.history


def test_a_callback_may_not_write_over_the_files_of_a_run(tmp_path):
    for name, options in (
        ("ModelCheckpoint", {"filepath": "model.keras"}),
        ("TensorBoard", {"log_dir": "checkpoints/logs"}),
        ("metrics_log", {}),
    ):
        with pytest.raises(SpecError, match="a file or folder that kfc does not write itself"):
            named(tmp_path, name, **options)


# --- stopping -----------------------------------------------------------------------------


def test_a_stop_within_an_epoch_ends_it_as_keras_does(problem, recorder):
    ours, theirs = recorder(stop_after=1), recorder(stop_after=1)
    progress, _ = run(problem, [ours])
    case = problem(TWO_EPOCHS)
    case.stock().fit(
        case.train.x,
        case.train.y,
        validation_data=(case.held_out.x, case.held_out.y),
        callbacks=[theirs],
        **case.fit_options,
    )
    assert ours.calls == theirs.calls
    assert ours.calls[-2:] == [("epoch ends", 0), ("train ends",)]
    assert (progress.epoch, progress.step, progress.stopped) == (1, 0, True)


def test_a_stop_between_epochs_ends_the_training(problem):
    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = True

    progress, _ = run(problem, [Stop()], {"training.epochs": 5})
    assert (progress.epoch, progress.stopped) == (1, True)
    assert len(progress.history["loss"]) == 1


def test_a_stopped_training_does_not_go_on(problem):
    loop = problem().loop()
    assert loop.run(Progress(epoch=1, stopped=True)).epoch == 1


def test_a_training_that_ran_its_epochs_is_not_stopped(problem):
    assert not run(problem)[0].stopped


def test_a_stop_within_an_epoch_is_saved_only_once_the_epoch_has_ended(
    problem, recorder, monkeypatch
):
    monkeypatch.setattr(loops, "_CHECKPOINT_SHARE", math.inf)
    checkpoints = []
    run(
        problem,
        [recorder(stop_after=1)],
        {"training.checkpoint_seconds": 1e-9},
        save_checkpoint=lambda progress: checkpoints.append((progress.epoch, progress.step)),
    )
    assert checkpoints == [(0, 1), (1, 0)]


@pytest.fixture
def clock(monkeypatch):
    """A clock that only these tests set, and a callback by which an epoch takes 20 seconds."""
    now = [0.0]
    monkeypatch.setattr(loops.time, "monotonic", lambda: now[0])

    class Clock(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            now[0] += 20.0

    return now, Clock()


EVERY_10_SECONDS = {"training.epochs": 20, "training.checkpoint_seconds": 10}


def test_checkpoints_take_a_small_share_of_the_time(problem, clock):
    """After a checkpoint of three seconds, a hundred seconds pass before the next begins."""
    (now, callback), checkpoints = clock, []

    def checkpoint(progress):
        checkpoints.append(now[0])
        now[0] += 3.0

    run(problem, [callback], {"training.epochs": 20}, save_checkpoint=checkpoint)
    assert checkpoints == []
    run(problem, [callback], EVERY_10_SECONDS, save_checkpoint=checkpoint)
    between = [later - earlier for earlier, later in itertools.pairwise(checkpoints)]
    assert checkpoints
    assert between == [pytest.approx(103.0)] * len(between)


@pytest.mark.parametrize(
    ("size", "first"),
    [(10_000_000, 20.0), (100_000_000, 60.0), (10_000_000_000, 60.0)],
    ids=["3 % of 4 s", "3 % of 44 s", "3 % of more than an hour"],
)
def test_the_first_checkpoint_waits_by_an_estimate_but_a_minute_at_most(
    problem, clock, size, first
):
    (now, callback), checkpoints = clock, []
    case = problem(EVERY_10_SECONDS)
    loop = case.loop([callback], save_checkpoint=lambda progress: checkpoints.append(now[0]))
    loop.checkpoint_bytes = size
    loop.run(Progress())
    # The second comes when the first was found to take no time.
    assert checkpoints[:2] == [first, first + 20]


def test_weights_that_are_not_finite_are_not_saved_within_an_epoch(
    problem, recorder, monkeypatch
):
    checkpoints = []
    loop = problem({"training.checkpoint_seconds": 1e-9}).loop(
        [recorder(1)], save_checkpoint=lambda progress: checkpoints.append(progress.step)
    )
    monkeypatch.setattr(loop.engine, "weights_are_finite", lambda: False)
    with pytest.raises(NumbersError, match="epoch 1, step 1: expected finite weights"):
        loop.run(Progress())
    assert checkpoints == []


# --- order --------------------------------------------------------------------------------


def orders(problem, seed):
    """The order of rows in each epoch of a training."""
    case = problem({"training.shuffle": True, "seed": seed})
    loop, seen = case.loop(), []
    begin = loop.engine.set_row_orders
    loop.engine.set_row_orders = lambda orders: (seen.extend(orders.tolist()), begin(orders))
    history = loop.run(Progress()).history
    return seen, history


def test_each_epoch_visits_every_row_in_a_new_order_that_a_seed_repeats(problem):
    first, history = orders(problem, 0)
    again, same = orders(problem, 0)
    other, _ = orders(problem, 1)
    assert all(sorted(order) == list(range(70)) for order in first)
    assert len({tuple(order) for order in first}) == 3
    assert (again, same) == (first, history)
    assert other != first


# --- numbers that go wrong ----------------------------------------------------------------


def test_a_loss_that_is_not_finite_is_an_error_with_epoch_and_step(problem, recorder):
    case = problem({"training.epochs": 3})
    case.train.x[40] = np.inf  # in the second batch
    callback = recorder(1)
    with pytest.raises(NumbersError, match=r"epoch 1, step 2: expected a finite loss"):
        case.loop([callback]).run(Progress())
    assert math.isnan(callback.logs[-1]["batch_loss"])


def test_a_weight_that_is_not_finite_is_an_error(problem):
    loop = problem().loop()

    class Spoil(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                loop.engine.weights_are_finite = lambda: False

    loop.callbacks = [Spoil()]
    with pytest.raises(NumbersError, match=r"epoch 2, step 3: expected finite weights"):
        loop.run(Progress())


def test_callbacks_are_closed_when_training_fails(problem):
    class Closing(keras.callbacks.Callback):
        closed = False

        def close(self):
            self.closed = True

    case, callback = problem(), Closing()
    case.train.x[0] = np.nan
    with pytest.raises(NumbersError):
        case.loop([callback]).run(Progress())
    assert callback.closed


def test_a_callback_may_have_an_attribute_of_its_own_called_every(problem):
    class EachThird(keras.callbacks.Callback):
        every = 3
        seen: ClassVar[list[int]] = []

        def on_train_batch_end(self, batch, logs=None):
            self.seen.append(batch)

    run(problem, [EachThird()])
    assert EachThird.seen == [0, 1, 2] * 2


def test_a_block_of_a_tiny_network_does_not_last_for_ever(problem):
    loop = problem({"network.hidden": [], "training.batch_size": 1}).loop()
    assert loop.engine.steps_per_execution <= 2_000


# --- several epochs in one call -----------------------------------------------------------


class Reader(keras.callbacks.Callback):
    """Promises to read only, and writes down what it reads."""

    only_reads = True
    called_every = "execution"

    def __init__(self):
        super().__init__()
        self.calls, self.seconds = [], []

    def on_epoch_begin(self, epoch, logs=None):
        self.calls.append(("begins", epoch))

    def on_test_end(self, logs=None):
        self.calls.append(("tested", logs))

    def on_epoch_end(self, epoch, logs=None):
        self.calls.append(("ends", epoch, logs))
        self.seconds.append(self.params["seconds"])


class Actor(keras.callbacks.Callback):
    """Might act at the end of an epoch."""

    def on_epoch_end(self, epoch, logs=None):
        pass


def calls_of_the_engine(loop):
    made, run = [], loop.engine.run
    loop.engine.run = lambda *args, **kwargs: made.append(args) or run(*args, **kwargs)
    return made


def test_short_epochs_become_one_call_while_callbacks_only_read(problem, same_weights):
    reader, acted = Reader(), Reader()
    together = problem().loop([reader])
    apart = problem().loop([acted, Actor()])
    blocks, single = calls_of_the_engine(together), calls_of_the_engine(apart)
    history = together.run(Progress()).history
    assert apart.run(Progress()).history == history
    assert (blocks, single) == ([(0, 9)], [(0, 3)] * 3)
    assert reader.calls == acted.calls
    assert [call[0] for call in reader.calls] == ["begins", "tested", "ends"] * 3
    assert reader.seconds == sorted(reader.seconds)
    assert reader.seconds[0] > 0
    same_weights(together.engine.model, apart.engine.model)


def test_epochs_stay_apart_where_somebody_wants_to_be_called_within(problem):
    loop = problem({"training.evaluate_every": 2}).loop([Reader()])
    made = calls_of_the_engine(loop)
    loop.run(Progress())
    assert all(last <= 3 for _, last in made)


def test_the_epochs_before_a_bad_one_are_reported_though_they_shared_a_call(problem):
    # Too large for the second epoch, in a call with the first.
    rate = {"name": "step", "boundaries": [1], "values": [0.01, 1e30]}
    optimizer = {"name": "sgd", "learning_rate": rate}
    reader = Reader()
    case = problem({"training.optimizer": optimizer, "training.loss": "mse"})
    with pytest.raises(NumbersError, match=r"epoch 2, step [123]: expected a finite loss"):
        case.loop([reader]).run(Progress())
    assert [call[:2] for call in reader.calls if call[0] == "ends"] == [("ends", 0)]


def test_a_callback_of_its_own_mind_may_have_other_uses_for_our_names(problem):
    class Named(keras.callbacks.Callback):
        flush = close = "mine"

    assert problem().loop([Named()]).run(Progress()).epoch == 3


def test_a_step_with_a_bad_loss_is_found_in_the_epoch_it_belongs_to(problem):
    hot = {"name": "sgd", "learning_rate": 3e18}
    loop = problem({"training.optimizer": hot, "training.loss": "mse"}).loop([Reader()])
    with pytest.raises(NumbersError, match=r"epoch 1, step [23]: expected a finite loss"):
        loop.run(Progress())


def test_what_collects_its_lines_is_flushed_at_the_end_of_each_block(problem):
    class Collecting(Reader):
        def flush(self):
            self.calls.append(("flushed",))

    collecting = Collecting()
    problem().loop([collecting]).run(Progress())
    assert collecting.calls[-2:] == [("flushed",)] * 2  # after the block, and at the end
    assert collecting.params["flushed"]
