import json

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kfc.errors import SpecError
from kfc.training.callbacks.early_stopping import BestWeights, EarlyStopping, monitor_mode
from kfc.training.checkpoints.training_state import Progress


class Model:
    """Has the number of the epoch as its only weight."""

    def __init__(self):
        self.stop_training, self.weight = False, -1

    def get_weights(self):
        return [np.array(self.weight)]

    def set_weights(self, weights):
        self.weight = int(weights[0])


def play(callback, values):
    """Returns after which epoch it stops, and the epoch of the weights it ends with."""
    # Keras asks the model which way its metric improves.
    model = Model()
    callback._model = model
    if isinstance(callback, keras.callbacks.EarlyStopping):
        callback._set_monitor_op = lambda: None
        callback.monitor_op = np.greater if callback.monitor == "val_accuracy" else np.less
        callback.min_delta *= 1 if callback.monitor_op is np.greater else -1
        callback.on_train_begin()
        callback.best = -np.inf if callback.monitor_op is np.greater else np.inf
    else:
        callback.on_train_begin()
    last = -1
    for last, value in enumerate(values):
        model.weight = last
        callback.on_epoch_end(last, {callback.monitor: value})
        if model.stop_training:
            break
    callback.on_train_end()
    return last, model.weight


VALUES = st.lists(
    st.one_of(st.integers(0, 6).map(lambda n: n / 4), st.just(float("nan"))), max_size=12
)


@given(
    values=VALUES,
    patience=st.integers(0, 4),
    min_delta=st.sampled_from([0.0, 0.25, 0.1]),
    restore=st.booleans(),
    monitor=st.sampled_from(["val_loss", "val_accuracy"]),
)
def test_early_stopping_stops_and_restores_as_keras_does(
    values, patience, min_delta, restore, monitor
):
    options = {
        "monitor": monitor,
        "patience": patience,
        "min_delta": min_delta,
        "restore_best_weights": restore,
    }
    expected = play(keras.callbacks.EarlyStopping(**options), values)
    assert play(EarlyStopping(**options), values) == expected


@pytest.mark.parametrize(
    ("patience", "values", "stops_after", "ends_with"),
    [
        (0, [3, 2, 2, 1], 2, 1),
        (1, [3, 2, 2, 1], 2, 1),
        (2, [3, 2, 2, 1], 3, 3),
        (2, [3, 2, 2, 2, 1], 3, 1),
        (5, [3, 2, 1], 2, 2),
    ],
)
def test_patience_counts_epochs_without_progress(patience, values, stops_after, ends_with):
    assert play(EarlyStopping(patience=patience), values) == (stops_after, ends_with)


@pytest.mark.parametrize("values", [[3, 1, 2, 2], [float("nan")] * 3, [1, 1, 1]])
def test_best_weights_ends_with_the_best_and_never_stops(values):
    last, weight = play(BestWeights(), values * 4)
    assert (last, weight) == (len(values) * 4 - 1, 1 if values[0] == 3 else 0)


@pytest.mark.parametrize(
    ("ties", "stops_after", "ends_with"), [("first", 4, 1), ("last", 4, 3)]
)
def test_the_best_epoch_among_equals_is_the_first_or_the_last(ties, stops_after, ends_with):
    values = [3, 1, 2, 1, 2, 0]
    assert play(EarlyStopping(patience=3, ties=ties), values) == (stops_after, ends_with)
    assert play(BestWeights(ties=ties), values[:5]) == (4, ends_with)


def test_without_patience_it_only_finds_the_best_epoch():
    values = [2, 1, *[3] * 50]
    assert play(EarlyStopping(patience=None), values) == (51, 1)


def test_other_ties_are_refused():
    with pytest.raises(SpecError, match="ties: expected first or last, got 'any'"):
        EarlyStopping(ties="any")


def test_a_callback_used_again_forgets_the_earlier_training():
    callback = EarlyStopping(patience=2)
    first = play(callback, [0.1, 0.2, 0.3])
    assert play(callback, [5, 4, 3, 2]) == (3, 3)
    assert first == (2, 0)


@pytest.mark.parametrize("split", range(1, 6))
def test_its_state_makes_a_new_callback_go_on(split):
    values = [3, 2, 2.5, 2.2, 1.9, 2, 2, 2, 2]
    expected = play(EarlyStopping(patience=3), values)

    first, model = EarlyStopping(patience=3), Model()
    first._model = model
    first.on_train_begin()
    for epoch, value in enumerate(values[:split]):
        model.weight = epoch
        first.on_epoch_end(epoch, {"val_loss": value})
    state = first.get_state()
    facts = {key: value for key, value in state.items() if not isinstance(value, np.ndarray)}
    state |= json.loads(json.dumps(facts))  # as in a checkpoint

    second = EarlyStopping(patience=3)
    second.set_state(state)
    assert second.get_state() == state
    second._model = model
    second.on_train_begin()
    for epoch, value in enumerate(values[split:], start=split):
        model.weight = epoch
        second.on_epoch_end(epoch, {"val_loss": value})
        if model.stop_training:
            break
    second.on_train_end()
    assert (epoch, model.weight) == expected


@pytest.mark.parametrize(
    ("metric", "expected"),
    [("val_loss", "min"), ("accuracy", "max"), ("mae", "min"), ("val_r2", "max")],
)
def test_the_mode_of_a_metric_is_known(metric, expected):
    assert monitor_mode(metric) == expected


def test_a_metric_that_nobody_records_is_refused():
    with pytest.raises(SpecError, match=r"monitor: expected one of loss, .* got 'val_gini'"):
        EarlyStopping(monitor="val_gini")
    with pytest.raises(SpecError, match="expected one of the recorded metrics: loss"):
        EarlyStopping(monitor="val_loss").on_epoch_end(0, {"loss": 1.0})


@pytest.mark.parametrize("kind", [EarlyStopping, keras.callbacks.EarlyStopping])
def test_alone_under_keras_it_stops_and_restores(problem, kind):
    # Too large a rate: the loss falls, then rises.
    case = problem({"training.optimizer": {"name": "sgd", "learning_rate": 25.0}})
    model = case.stock()
    options = {**case.fit_options, "epochs": 12}
    callback = kind(monitor="loss", patience=2, restore_best_weights=True)
    losses = model.fit(case.train.x, case.train.y, callbacks=[callback], **options).history
    best = int(np.argmin(losses["loss"]))
    assert len(losses["loss"]) == best + 3 < 12

    again = case.stock()
    again.fit(case.train.x, case.train.y, **{**options, "epochs": best + 1})
    for got, want in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(got, want)


def test_in_the_loop_it_ends_with_the_best_epochs_weights(problem):
    slow = {
        "training.optimizer": {"name": "sgd", "learning_rate": 25.0},
        "training.epochs": 12,
    }
    loop = problem(slow).loop([EarlyStopping(monitor="val_loss", patience=2)])
    progress = loop.run(Progress())
    losses = progress.history["val_loss"]
    assert progress.stopped
    assert len(losses) == int(np.argmin(losses)) + 3
    assert loop.evaluator.evaluate(loop.held_out[1])["loss"] == min(losses)


def test_a_foreign_metric_needs_a_direction():
    with pytest.raises(SpecError, match="mode='min' or 'max'"):
        EarlyStopping("val_gini")
    assert EarlyStopping("val_gini", mode="max")._sign == -1
