"""Early stopping and metrics of outputs, where several epochs are one call of the graph."""

import keras
import numpy as np
import pytest

import kfc
from kfc.training.callbacks import EarlyStopping, need_single_epochs, only_stops
from kfc.training.checkpoints import training_state
from kfc.training.checkpoints.training_state import Progress
from kfc.training.engine.engine import Engine

EPOCHS = 12
FORMS = ("graph", "xla")


class Meddler(keras.callbacks.Callback):
    """Might act at the end of an epoch, so that each epoch is a call."""

    def on_epoch_end(self, epoch, logs=None):
        pass


def calls_of_the_engine(loop):
    made, run = [], loop.engine.run
    loop.engine.run = lambda *args, **kwargs: made.append(args) or run(*args, **kwargs)
    return made


def trained(problem, stopping, *others, form="graph", shared=True, metrics=(), **training):
    """Returns the loop after its training, its progress and its calls of the engine."""
    overrides = {
        "training.epochs": EPOCHS,
        "training.engine": form,
        "training.optimizer": {"name": "adam", "learning_rate": 0.1},
        **{f"training.{key}": value for key, value in training.items()},
    }
    case = problem(overrides)
    loop = case.loop([stopping, *others], shared=shared, output_metrics=metrics)
    calls = calls_of_the_engine(loop)
    return loop, loop.run(Progress()), calls


def everything(model):
    optimizer = [variable.numpy() for variable in model.optimizer.variables]
    return [*model.get_weights(), *optimizer]


def assert_equal(together, apart):
    for got, want in zip(everything(together), everything(apart), strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "options",
    [
        {"monitor": "val_loss", "patience": None},
        {"monitor": "val_accuracy", "patience": None, "ties": "last"},
        {"monitor": "val_loss", "patience": 1, "min_delta": 0.02},
        {
            "monitor": "val_loss",
            "patience": 2,
            "restore_best_weights": False,
            "min_delta": 0.05,
        },
    ],
    ids=["best", "last of equals", "stops", "stops and keeps"],
)
def test_many_epochs_in_a_call_stop_and_restore_as_single_epochs_do(problem, form, options):
    together, apart = EarlyStopping(**options), EarlyStopping(**options)
    loop, progress, calls = trained(problem, together, form=form)
    single, expected, single_calls = trained(problem, apart, Meddler(), form=form)
    assert len(calls) == 1 < len(single_calls)
    assert (progress.history, progress.epoch) == (expected.history, expected.epoch)
    assert (together.best_epoch, together.best) == (apart.best_epoch, apart.best)
    assert progress.stopped is (options["patience"] is not None)
    assert_equal(loop.engine.model, single.engine.model)


def test_the_weights_are_those_of_the_best_epoch(problem):
    stopping = EarlyStopping("val_loss", None)
    loop, progress, _ = trained(
        problem, stopping, optimizer={"name": "sgd", "learning_rate": 3}
    )
    losses = progress.history["val_loss"]
    assert stopping.best_epoch == int(np.argmin(losses)) < EPOCHS - 1
    assert loop.evaluator.evaluate(loop.held_out[1])["loss"] == min(losses)


def test_a_metric_of_outputs_is_measured_with_the_weights_of_its_epoch(problem):
    monitor = {"monitor": "val_log_loss", "patience": 2, "min_delta": 0.05}
    together, apart = EarlyStopping(**monitor), EarlyStopping(**monitor)
    metrics = ("log_loss", "auc")
    loop, progress, calls = trained(problem, together, metrics=metrics)
    single, expected, single_calls = trained(problem, apart, Meddler(), metrics=metrics)
    assert len(calls) == 1 < len(single_calls)
    assert progress.stopped
    assert progress.history == expected.history
    history = progress.history
    assert history["val_log_loss"] == pytest.approx(history["val_loss"], rel=1e-6)
    assert_equal(loop.engine.model, single.engine.model)


@pytest.mark.parametrize("training", [{}, {"optimizer": {"name": "adam", "use_ema": True}}])
def test_a_graph_that_assigns_its_variables_runs_one_epoch_in_a_call(problem, training):
    shared = training != {}
    together, apart = EarlyStopping("val_loss", None), EarlyStopping("val_loss", None)
    loop, progress, calls = trained(problem, together, shared=shared, **training)
    single, expected, _ = trained(problem, apart, Meddler(), shared=shared, **training)
    assert len(calls) == (1 if shared else EPOCHS)
    assert progress.history == expected.history
    assert_equal(loop.engine.model, single.engine.model)


def test_a_resumed_training_stops_at_the_same_epoch(problem):
    def options():
        return EarlyStopping("val_loss", 2, min_delta=0.05)

    whole, expected, _ = trained(problem, options())
    assert 2 < expected.epoch < EPOCHS

    stopping = options()
    overrides = {
        "training.epochs": EPOCHS,
        "training.engine": "graph",
        "training.optimizer": {"name": "adam", "learning_rate": 0.1},
    }
    first = problem(overrides).loop([stopping])
    progress = first.run(Progress(), 2)
    state = training_state.capture(first.engine.model, [stopping], progress)
    again = options()
    second = problem(overrides).loop([again])
    progress = training_state.prepare_callbacks(state, [again])
    progress = second.run(progress, state=state)
    assert (progress.epoch, progress.history) == (expected.epoch, expected.history)
    assert_equal(second.engine.model, whole.engine.model)


def test_a_large_network_keeps_few_epochs(problem):
    loop = problem({"network.hidden": [2_000, 2_000]}).loop([EarlyStopping("val_loss", None)])
    kept = loop.engine.epochs_per_execution
    assert kept * 12 * loop.engine.model.count_params() <= 2**26 or kept == 1


def test_the_promise_of_a_class_is_not_one_of_its_subclasses():
    class Rescaling(EarlyStopping):
        def on_epoch_end(self, epoch, logs=None):
            super().on_epoch_end(epoch, logs)
            self.model.optimizer.learning_rate = 0.0

    assert only_stops(EarlyStopping())
    assert not only_stops(Rescaling())


def test_callbacks_that_act_within_epochs_or_between_them_need_single_epochs():
    class Every(keras.callbacks.Callback):
        called_every = 100

    assert not need_single_epochs([EarlyStopping()])
    assert need_single_epochs([EarlyStopping(), Every()])
    assert need_single_epochs([EarlyStopping(), Meddler()])


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({}, True),
        ({"training.log_every": 2}, False),
        ({"training.evaluate_every": 2}, False),
        ({"training.early_stopping": None}, False),
        ({"training.early_stopping": None, "training.metrics": ["auc"]}, True),
    ],
    ids=str,
)
def test_a_run_keeps_epochs_only_where_a_call_may_have_several(
    changes, kept, monkeypatch, tmp_path
):
    given, begin = [], Engine.__init__

    def noted(self, *arguments, **options):
        begin(self, *arguments, **options)
        given.append(self.keeps_epochs)

    monkeypatch.setattr(Engine, "__init__", noted)
    overrides = {"training.epochs": 2, "training.early_stopping.patience": 1, **changes}
    kfc.fit("digits", overrides=overrides, runs=tmp_path, verbose=False)
    assert given == [kept]
