"""A training is looked at while it runs: each finding once, with its first epoch."""

import io
import signal
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from rich.console import Console

import kfc
from kfc.data import prepare
from kfc.runs import watching
from kfc.runs.watching import TrainingWatch
from kfc.spec import load_spec
from kfc.training import LayerNumbers
from kfc.training.callbacks import LayerLog
from kfc.training.engine import Engine

SPEC = load_spec("digits", {"training.epochs": 20})
PREPARED = prepare(SPEC)
STILL = {"training.optimizer": {"name": "sgd", "learning_rate": 1e-8}}
SINGLE = {"training.epochs": 12, "training.evaluate_every": 20}
"""With an evaluation within the epoch, each epoch is an execution of its own."""

GROWN = [1.0, 0.9, 0.8, 0.9, 1.5, 1.6, 1.7, 1.8, 1.9, 2.0]


class Watch(TrainingWatch):
    """A watch that keeps its lines, and has time for each look."""

    def __init__(self, spec=SPEC, callbacks=()):
        self.lines = []
        super().__init__(spec, PREPARED, callbacks, self.lines.append)
        self.set_params({"epochs": 20, "steps": 41, "flushed": True, "began": -1e9})


def trained(watch, losses, *, together=1, first=0, **others):
    """Calls the hooks of epochs, `together` of them before each flush."""
    for epoch, loss in enumerate(losses, first):
        watch.on_epoch_begin(epoch)
        logs = {name: np.float32(values[epoch]) for name, values in others.items()}
        watch.on_epoch_end(epoch, {"loss": np.float32(loss), **logs})
        if (epoch + 1 - first) % together == 0:
            watch.flush()
    return watch


def epochs_of(watch):
    return {name: each.epoch for name, each in watch.found.items()}


def test_a_loss_that_grows_is_said_once_at_its_first_epoch():
    watch = trained(Watch(), GROWN)
    assert epochs_of(watch) == {"loss_has_grown": 6}
    (line,) = watch.lines
    assert line.startswith("warning: epoch 6: training.optimizer.learning_rate: expected")
    assert line.endswith("[KFC411 loss_has_grown]")


@pytest.mark.parametrize("together", [2, 5, 10])
def test_epochs_of_one_execution_have_the_same_first_epoch(together):
    assert epochs_of(trained(Watch(), GROWN, together=together)) == {"loss_has_grown": 6}


def test_a_healthy_loss_says_nothing():
    assert trained(Watch(), [2.0 * 0.8**epoch for epoch in range(20)]).lines == []


def test_a_spec_accepts_a_warning_of_a_running_training():
    accepting = SPEC.model_copy(update={"accept": ("KFC411",)})
    assert trained(Watch(accepting), GROWN).lines == []


def test_a_loss_that_oscillates_is_said():
    losses = [2.0, 1.0, *([0.4, 0.9] * 6)]
    assert epochs_of(trained(Watch(), losses)) == {"loss_oscillates": 10}


def test_overfitting_is_said_unless_the_best_weights_are_kept():
    losses = [0.5] * 20
    validation = {
        "val_loss": [2.0, 1.5, 1.0, 0.5, 0.3, *np.linspace(0.4, 2.0, 15)],
        "val_accuracy": [0.2, 0.4, 0.6, 0.8, 0.95, *np.linspace(0.9, 0.5, 15)],
    }
    watch = trained(Watch(), losses, **validation)
    assert epochs_of(watch) == {"held_out_loss_has_grown": 10}
    keeps = keras.callbacks.EarlyStopping(restore_best_weights=True)
    keeps.best_epoch, keeps.best_weights = 4, [np.zeros(1)]
    assert trained(Watch(callbacks=[keeps]), losses, **validation).lines == []


def test_a_training_is_compared_with_a_constant_after_a_fifth_of_its_epochs():
    long = load_spec("digits", {"training.epochs": 50})
    metrics = {"val_loss": [2.6] * 20, "val_accuracy": [0.1] * 20}
    losses = np.linspace(2.6, 2.4, 20)
    assert epochs_of(trained(Watch(long), losses, **metrics)) == {
        "no_better_than_constant": 10
    }


def test_dead_units_are_said_once_the_layers_were_measured(tmp_path):
    log = LayerLog(tmp_path / "layers.jsonl", None)
    watch = trained(Watch(callbacks=[log]), [1.0, 0.9])
    assert watch.lines == []
    log.last = (3, [LayerNumbers("hidden_1", 10, 1.0, 0.6, 0.1, 0.1, 0.001)])
    trained(watch, [0.8], first=2)
    assert epochs_of(watch) == {"units_have_died": 3}


def test_looks_take_at_most_a_hundredth_of_the_time():
    watch = Watch()
    watch.set_params({**watch.params, "began": 1e9})  # no time has passed yet
    assert trained(watch, GROWN).lines == []
    watch.on_train_end()  # the last look takes place in any case
    assert epochs_of(watch) == {"loss_has_grown": 6}


def test_a_resumed_watch_says_nothing_twice():
    first = trained(Watch(), GROWN[:7])
    second = Watch()
    history = {"loss": [float(np.float32(loss)) for loss in GROWN[:7]]}
    second.set_model(SimpleNamespace(history=SimpleNamespace(history=history)))
    second.set_state(first.get_state())
    trained(second, GROWN[7:], first=7)
    assert second.lines == []
    assert epochs_of(second) == {"loss_has_grown": 6}


@pytest.fixture
def with_time(monkeypatch):
    """A look after each execution, whatever it takes."""
    monkeypatch.setattr(watching, "_SHARE", 1e9)


def test_a_run_keeps_the_first_epoch_and_says_a_finding_once(tmp_path, capsys):
    run = kfc.fit("digits", overrides={**STILL, "training.epochs": 10}, runs=tmp_path)
    (warning,) = run.warnings
    assert (warning["code"], warning["evidence"]["first_epoch"]) == ("KFC415", 5)
    assert capsys.readouterr().err.count("KFC415") == 1


def test_a_finding_that_passes_is_kept_apart(tmp_path, capsys, with_time):
    schedule = {"name": "step", "values": [1e-9, 0.1], "boundaries": [6]}
    rate = {"training.optimizer": {"name": "sgd", "learning_rate": schedule}}
    run = kfc.fit("digits", overrides={**SINGLE, **rate}, runs=tmp_path)
    assert run.warnings == []
    (passed,) = kfc.load(run.folder).passed_warnings
    assert (passed["code"], passed["evidence"]["first_epoch"]) == ("KFC415", 5)
    said = capsys.readouterr().err
    assert "KFC415 loss_stands_still, found after epoch 5, no longer holds" in said


def test_an_interrupted_run_goes_on_with_its_findings_and_its_bits(
    tmp_path, capsys, monkeypatch, with_time
):
    overrides = {**STILL, **SINGLE}
    whole = kfc.fit("digits", overrides=overrides, runs=tmp_path)
    capsys.readouterr()
    run = Engine.run

    def interrupting(self, *arguments, **options):
        if self.model.optimizer.iterations.numpy() >= 41 * 7:
            signal.raise_signal(signal.SIGINT)  # obeyed after these steps and a checkpoint
        return run(self, *arguments, **options)

    monkeypatch.setattr(Engine, "run", interrupting)
    with pytest.raises(KeyboardInterrupt):
        kfc.fit("digits", overrides=overrides, runs=tmp_path)
    monkeypatch.setattr(Engine, "run", run)
    assert capsys.readouterr().err.count("warning: epoch 5") == 1
    resumed = kfc.resume(tmp_path / "0002-digits")
    assert "warning" not in capsys.readouterr().err
    assert resumed.weights_sha256 == whole.weights_sha256
    assert resumed.warnings == whole.warnings


def test_the_line_of_a_finding_stands_above_the_bar(tmp_path, monkeypatch):
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=60)
    monkeypatch.setattr("kfc.runs.fitting.progress_console", lambda verbose: console)
    kfc.fit("digits", overrides={**STILL, "training.epochs": 10}, runs=tmp_path)
    (line,) = [line for line in text.getvalue().splitlines() if "KFC415" in line]
    assert "\x1b[2Kwarning: epoch " in line  # in the place of the bar
