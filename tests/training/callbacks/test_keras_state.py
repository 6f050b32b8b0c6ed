"""Every callback of Keras's: what it does here and in Keras's `fit`, and after a resume."""

import csv
import math
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import kfc
from kfc.errors import DiskError
from kfc.training import loop as loops
from kfc.training.callbacks import keras_state
from kfc.training.callbacks.from_spec import callback_notes, keeps_state
from kfc.training.checkpoints import store, training_state
from kfc.training.checkpoints.training_state import Progress

EMA = {"name": "sgd", "learning_rate": 0.5, "use_ema": True}
PLATEAU = {"monitor": "loss", "min_delta": 10.0, "patience": 2}

MAKE = {
    "BackupAndRestore": lambda at: keras.callbacks.BackupAndRestore(at / "backup"),
    "CSVLogger": lambda at: keras.callbacks.CSVLogger(at / "log.csv"),
    "EarlyStopping": lambda at: keras.callbacks.EarlyStopping(
        "loss", min_delta=10.0, patience=3, restore_best_weights=True
    ),
    "History": lambda at: keras.callbacks.History(),
    "LambdaCallback": lambda at: keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: logs.update(half=epoch / 2)
    ),
    "LearningRateScheduler": lambda at: keras.callbacks.LearningRateScheduler(
        lambda epoch, rate: rate * 0.5
    ),
    "ModelCheckpoint": lambda at: keras.callbacks.ModelCheckpoint(
        at / "{epoch}.weights.h5", "loss", save_best_only=True, save_weights_only=True
    ),
    "ModelCheckpoint, by steps": lambda at: keras.callbacks.ModelCheckpoint(
        at / "{epoch}-{batch}.weights.h5", save_freq=2, save_weights_only=True
    ),
    "ProgbarLogger": lambda at: keras.callbacks.ProgbarLogger(),
    "ReduceLROnPlateau": lambda at: keras.callbacks.ReduceLROnPlateau(**PLATEAU),
    "RemoteMonitor": lambda at: keras.callbacks.RemoteMonitor(),
    "SwapEMAWeights": lambda at: keras.callbacks.SwapEMAWeights(),
    "SwapEMAWeights, by epochs": lambda at: keras.callbacks.SwapEMAWeights(swap_on_epoch=True),
    "TensorBoard": lambda at: keras.callbacks.TensorBoard(at / "events", histogram_freq=1),
    "TensorBoard, by steps": lambda at: keras.callbacks.TensorBoard(
        at / "events", update_freq=2, write_steps_per_second=True
    ),
    "TerminateOnNaN": lambda at: keras.callbacks.TerminateOnNaN(),
}
NO_HOOKS = {"Callback", "CallbackList", *keras_state.REFUSED}
EVERY = pytest.mark.parametrize("name", MAKE)


@pytest.fixture(autouse=True)
def published(monkeypatch):
    """What RemoteMonitor would send."""
    sent = []
    monkeypatch.setattr(
        keras_state.keras.src.callbacks.remote_monitor.requests,
        "post",
        lambda url, data, headers: sent.append(data["data"]),
    )
    return sent


def overrides(name, epochs=4):
    optimizer = EMA if "EMA" in name else {"name": "sgd", "learning_rate": 0.5}
    return {"training.epochs": epochs, "training.optimizer": optimizer}


def fit_keras(problem, callbacks, settings):
    case = problem(settings)
    model = case.stock()
    model.run_eagerly = True  # a graph takes longer to trace than these steps
    history = model.fit(
        case.train.x,
        case.train.y,
        validation_data=(case.held_out.x, case.held_out.y),
        callbacks=callbacks,
        **case.fit_options,
    )
    return model, history.history


def fit_kfc(problem, callbacks, settings):
    loop = problem(settings).loop(callbacks)
    return loop, loop.run(Progress())


def check_alike(got, want):
    assert set(got) == set(want)
    for name, values in want.items():
        np.testing.assert_allclose(got[name], values, rtol=1e-5, atol=1e-6, err_msg=name)


def written(folder):
    """Names of files, rows of CSV, and tags and steps of events."""
    names = sorted(p.name for p in folder.rglob("*") if "tfevents" not in p.name)
    rows = [list(csv.reader(p.read_text().splitlines())) for p in folder.rglob("*.csv")]
    tags = {}
    for path in folder.rglob("events.out*"):
        events = EventAccumulator(str(path), {"tensors": 0})
        events.Reload()
        for tag in events.Tags()["tensors"]:
            tags[path.parent.name, tag] = [event.step for event in events.Tensors(tag)]
    return names, [[row[0] for row in table] for table in rows], tags


# --- as in Keras's fit --------------------------------------------------------------------


def test_every_callback_of_keras_is_compared_or_refused():
    classes = {
        name
        for name in dir(keras.callbacks)
        if isinstance(getattr(keras.callbacks, name), type)
    }
    assert classes == {name.split(",")[0] for name in MAKE} | NO_HOOKS


@EVERY
def test_a_callback_does_what_it_does_in_keras(problem, tmp_path, published, name, capsys):
    settings = overrides(name)
    (tmp_path / "theirs").mkdir()
    (tmp_path / "ours").mkdir()
    theirs = MAKE[name](tmp_path / "theirs")
    model, history = fit_keras(problem, [theirs], settings)
    sent = published.copy()
    ours = MAKE[name](tmp_path / "ours")
    loop, progress = fit_kfc(problem, [ours], settings)
    check_alike(progress.history, history)
    check_alike(loop.engine.model.history.history, history)
    assert loop.engine.model.history.epoch == list(range(len(history["loss"])))
    for got, want in zip(loop.engine.model.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-6)

    def by_steps(tag):
        return name == "TensorBoard, by steps" and tag[1].startswith("evaluation_")

    names, tables, tags = written(tmp_path / "ours")
    their_names, their_tables, their_tags = written(tmp_path / "theirs")
    assert (names, tables) == (their_names, their_tables)
    # kfc tells callbacks the loss of a batch too, and has no batches within a test by
    # which TensorBoard would choose the evaluations that it writes.
    for part in (tags, their_tags):
        for tag in [tag for tag in part if "batch_batch_loss" in tag or by_steps(tag)]:
            del part[tag]
    assert tags == their_tags
    assert len(published) - len(sent) == len(sent)
    assert capsys.readouterr().out == ""


def test_a_backup_of_keras_goes_on_at_its_epoch(problem, tmp_path):
    class Fails(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise RuntimeError("power cut")

    def both(make):
        with pytest.raises(RuntimeError, match="power cut"):
            make([keras.callbacks.BackupAndRestore(tmp_path / "b"), Fails()])
        return make([keras.callbacks.BackupAndRestore(tmp_path / "b")])

    settings = overrides("")
    model, history = both(lambda callbacks: fit_keras(problem, callbacks, settings))
    shutil.rmtree(tmp_path / "b", ignore_errors=True)
    loop, progress = both(lambda callbacks: fit_kfc(problem, callbacks, settings))
    assert progress.epoch == 4
    check_alike(progress.history, history)
    assert loop.engine.model.history.epoch == [2, 3]
    for got, want in zip(loop.engine.model.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-6)


# --- resumed ------------------------------------------------------------------------------


class Interrupted(Exception):
    """A training ended after a checkpoint."""


@pytest.fixture
def often(monkeypatch):
    monkeypatch.setattr(loops, "_CHECKPOINT_SHARE", math.inf)  # a checkpoint wherever possible


def train(problem, callbacks, settings, folder, *, stop_at=None):
    """Trains, or goes on from the last checkpoint; ends after that of `stop_at`."""
    settings = {**settings, "training.checkpoint_seconds": 1e-9, "training.evaluate_every": 1}
    case = problem(settings)
    model = case.model()

    def checkpoint(progress):
        store.save(folder, training_state.capture(model, callbacks, progress))
        if (progress.epoch, progress.step) == stop_at:
            raise Interrupted

    start = store.newest(folder) if store.has_checkpoints(folder) else None
    progress = training_state.prepare_callbacks(start, callbacks) if start else Progress()
    progress = case.loop(callbacks, checkpoint, model).run(progress, state=start)
    return model, progress


ALONE = ["EarlyStopping", "SwapEMAWeights", "SwapEMAWeights, by epochs"]
TOGETHER = [name for name in MAKE if name not in ALONE]


@pytest.mark.parametrize("place", [(2, 0), (3, 2)], ids=["between", "within"])
@pytest.mark.parametrize(
    "names",
    # Together they take as long as one; test_resume.py has one of those alone by default.
    [TOGETHER, *(pytest.param([name], marks=pytest.mark.slow) for name in ALONE)],
    ids=["all others", *ALONE],
)
def test_resumed_callbacks_go_on_where_they_were(
    problem, tmp_path, often, published, names, place
):
    def callbacks(part):
        made = []
        for name in names:
            (tmp_path / part / name).mkdir(parents=True, exist_ok=True)
            made.append(MAKE[name](tmp_path / part / name))
        return made

    settings = overrides(names[0], 6)
    model, whole = train(problem, callbacks("whole"), settings, tmp_path / "w")
    with pytest.raises(Interrupted):
        train(problem, callbacks("parts"), settings, tmp_path / "p", stop_at=place)
    again, resumed = train(problem, callbacks("parts"), settings, tmp_path / "p")
    assert resumed.history == whole.history
    assert resumed.logs == whole.logs
    assert again.history.history == model.history.history
    for got, want in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(got, want)
    assert written(tmp_path / "whole")[:2] == written(tmp_path / "parts")[:2]


@EVERY
def test_a_state_is_known_of_every_callback_but_a_function(tmp_path, name):
    assert keeps_state(MAKE[name](tmp_path)) == (name != "LambdaCallback")


HOOKS = (
    *("on_epoch_begin", "on_epoch_end", "on_train_batch_begin", "on_train_batch_end"),
    *("on_test_begin", "on_test_end", "on_train_end"),
)


def recorder(calls, hooks=HOOKS):
    """A callback without a state, which writes down each call with its arguments."""
    made = type("Records", (keras.callbacks.Callback,), {})
    for hook in hooks:

        def called(self, *arguments, hook=hook, **options):
            *numbers, logs = (*arguments, *options.values())  # Keras gives some by name
            calls.append((hook, *numbers, dict(logs or {})))

        setattr(made, hook, called)
    return made()


@pytest.mark.parametrize(
    ("place", "hooks"),
    [((1, 0), HOOKS), ((1, 1), HOOKS), ((2, 2), ("on_epoch_begin", "on_epoch_end"))],
    ids=["between", "within", "within, without hooks of batches"],
)
def test_every_hook_is_called_as_often_as_without_an_interruption(
    problem, tmp_path, often, place, hooks
):
    settings = overrides("", 4)
    expected, calls = [], []
    train(problem, [recorder(expected, hooks)], settings, tmp_path / "w")
    with pytest.raises(Interrupted):
        train(problem, [recorder(calls, hooks)], settings, tmp_path / "p", stop_at=place)
    train(problem, [recorder(calls, hooks)], settings, tmp_path / "p")
    assert calls == expected


def test_a_callback_without_a_state_finds_what_it_set_when_the_epoch_began(
    problem, tmp_path, often
):
    class Timer(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.began, self.losses = epoch, []

        def on_train_batch_end(self, batch, logs=None):
            self.losses.append(logs["loss"])

        def on_epoch_end(self, epoch, logs=None):
            assert self.began == epoch
            logs["batches"] = len(self.losses)

    settings = overrides("", 3)
    with pytest.raises(Interrupted):
        train(problem, [Timer()], settings, tmp_path / "p", stop_at=(1, 2))
    _, progress = train(problem, [Timer()], settings, tmp_path / "p")
    assert progress.history["batches"] == [3.0] * 3


def test_a_pause_between_epochs_calls_no_hook_twice(problem):
    calls, expected = [], []
    settings = overrides("", 4)
    problem(settings).loop([recorder(expected)]).run(Progress())
    loop = problem(settings).loop([recorder(calls)])
    loop.run(loop.run(Progress(), last_epoch=2))
    assert calls == expected


# --- stop_training ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["on_train_begin", *HOOKS])
def test_a_stop_asked_for_in_any_hook_ends_the_training_as_in_keras(problem, name):
    """The same hooks, the same lengths of history, the same weights."""

    class Stop(keras.callbacks.Callback):
        pass

    def stop(self, *arguments, **options):
        if name in ("on_train_begin", "on_train_end") or self.model.optimizer.iterations >= 3:
            self.model.stop_training = True

    setattr(Stop, name, stop)
    settings, ours, theirs = overrides("", 3), [], []
    model, history = fit_keras(problem, [recorder(theirs), Stop()], settings)
    loop = problem(settings).loop([recorder(ours), Stop()])
    progress = loop.run(Progress())
    check_alike(progress.history, history)
    assert [call[:-1] for call in ours] == [call[:-1] for call in theirs]
    for got, want in zip(ours, theirs, strict=True):
        got[-1].pop("batch_loss", None)
        assert got[-1] == pytest.approx(want[-1], rel=1e-5)
    for got, want in zip(loop.engine.model.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-6)


# --- what callbacks add to logs -----------------------------------------------------------


class Adds(keras.callbacks.Callback):
    def __init__(self, value):
        super().__init__()
        self.value = value

    def on_epoch_end(self, epoch, logs=None):
        logs["added"] = self.value

    def on_test_end(self, logs=None):
        logs["lost"] = 1.0  # as in Keras, whose `evaluate` copies them

    def on_train_end(self, logs=None):
        self.last = logs


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        *((1, 1.0), (np.float32(0.5), 0.5), (np.arange(2), [0, 1]), ("warm", "warm")),
        *((True, True), (keras.ops.ones(()), 1.0)),
    ],
    ids=str,
)
def test_a_history_holds_what_callbacks_add(problem, value, kept):
    adds = Adds(value)
    progress = problem(overrides("", 2)).loop([adds]).run(Progress())
    assert progress.history["added"] == [kept, kept]
    assert type(progress.history["added"][0]) is type(kept)
    assert not any("lost" in name for name in progress.history)
    assert adds.last.keys() == progress.history.keys() - {"added"}


def test_a_history_refuses_what_no_file_can_hold(problem):
    with pytest.raises(kfc.PluginError, match=r"logs\['added'\].*got object\. Add plain"):
        problem(overrides("", 2)).loop([Adds(object())]).run(Progress())


def test_numbers_that_callbacks_add_are_in_every_file_of_a_run(tmp_path):
    spec = {
        "data": {"source": "sklearn:iris"},
        "network": {"hidden": []},
        "training": {"epochs": 2, "engine": "graph", "callbacks": ["csv_log"]},
    }
    run = kfc.fit(
        spec,
        runs=tmp_path,
        verbose=False,
        callbacks=[keras.callbacks.ReduceLROnPlateau(), Adds(math.nan)],
    )
    assert run.history["learning_rate"] == pytest.approx([0.001] * 2)
    assert (run.folder / "metrics.jsonl").read_text().count('"learning_rate"') == 2
    assert "learning_rate 0.001" in (run.folder / "run.log").read_text()
    loaded = kfc.load(run.folder).history
    assert loaded["learning_rate"] == run.history["learning_rate"]
    assert all(math.isnan(value) for value in loaded["added"])


# --- said, and full disks -----------------------------------------------------------------


def test_a_callback_at_every_step_is_said_once_on_the_terminal_and_in_the_log(
    tmp_path, capsys
):
    spec = {
        "data": {"source": "sklearn:iris"},
        "network": {"hidden": []},
        "training": {
            "epochs": 2,
            "engine": "graph",
            "callbacks": [{"name": "TensorBoard", "log_dir": "keras"}],
        },
    }
    run = kfc.fit(spec, runs=tmp_path)
    for text in (capsys.readouterr().err, (run.folder / "run.log").read_text()):
        assert (
            text.count("TensorBoard is called at every step: each step is an execution") == 1
        )
    assert callback_notes([keras.callbacks.History()], "xla") == []


def test_hooks_of_batches_of_a_test_are_said_to_be_missing():
    class Heard(keras.callbacks.Callback):
        def on_test_batch_end(self, batch, logs=None):
            pass

    (note,) = callback_notes([Heard()], "graph")
    assert note.startswith("Heard: on_test_batch_end is not called")


def test_an_interrupted_tensorboard_leaves_no_writer_to_a_later_training(
    problem, tmp_path, often
):
    with pytest.raises(Interrupted):
        train(
            problem,
            [MAKE["TensorBoard, by steps"](tmp_path)],
            overrides("", 2),
            tmp_path / "p",
            stop_at=(0, 1),
        )
    assert tf.summary.experimental.get_step() is None
    assert not tf.summary.should_record_summaries()


def test_a_full_disk_that_a_callback_meets_is_a_disk_error(problem):
    callback = keras.callbacks.CSVLogger("/dev/full")
    with pytest.raises(DiskError, match=r"CSVLogger.*got No space left on device"):
        problem(overrides("", 2)).loop([callback]).run(Progress())
