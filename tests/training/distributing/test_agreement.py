import signal
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from kfc.errors import WorkerError
from kfc.runs import run_follower
from kfc.training import loop as loops
from kfc.training.callbacks import LayerLog, build_callbacks, named_callbacks
from kfc.training.checkpoints import Progress
from kfc.training.distributing import (
    OneReplica,
    agree_on_signal,
    check_same_pace,
    check_same_training,
    own_tables,
)


def cluster_of(*others):
    """Two or more processes, of which the others answer with these numbers' changes."""

    def table(numbers):
        return np.array([numbers, *(change(list(numbers)) for change in others)], np.float32)

    return SimpleNamespace(cluster=object(), table=table)


def test_a_signal_of_any_process_is_obeyed_by_all():
    other = cluster_of(lambda numbers: [float(signal.SIGTERM), *numbers[1:]])
    assert agree_on_signal(other, None, []) == signal.SIGTERM
    assert agree_on_signal(other, signal.SIGINT, []) == signal.SIGINT
    assert agree_on_signal(cluster_of(lambda numbers: numbers), None, []) is None


def test_one_process_asks_nobody():
    assert agree_on_signal(OneReplica(), signal.SIGINT, []) == signal.SIGINT
    check_same_training(OneReplica(), "a spec")


def test_other_weights_on_a_worker_are_refused():
    same, other = (lambda numbers: numbers), (lambda numbers: [*numbers[:-1], numbers[-1] + 1])
    with pytest.raises(WorkerError, match=r"worker 3: expected the weights of worker 1"):
        agree_on_signal(cluster_of(same, other), None, [np.ones(3)])


def test_another_spec_on_a_worker_is_refused():
    with pytest.raises(WorkerError, match="the spec, rows and versions of worker 1"):
        check_same_training(cluster_of(lambda numbers: [0.5, *numbers[1:]]), "a spec")


def test_callbacks_that_act_after_other_steps_on_a_worker_are_refused():
    check_same_pace(OneReplica(), "every 10 steps")
    check_same_pace(cluster_of(lambda numbers: numbers), "every 10 steps")
    with pytest.raises(WorkerError, match="worker 2: expected callbacks that act after the"):
        check_same_pace(cluster_of(lambda numbers: [0.5, *numbers[1:]]), "every 10 steps")


@pytest.fixture
def workers_of_one_process(monkeypatch):
    """Makes a training that of two workers, of which the other one always agrees."""
    monkeypatch.setattr(OneReplica, "cluster", object())
    monkeypatch.setattr(
        OneReplica, "table", lambda self, numbers: np.array([numbers] * 2), raising=False
    )


@pytest.fixture
def calls(problem):
    """Trains with callbacks; returns the paces that were compared, and the engine's calls."""

    def trained(overrides, callbacks, monkeypatch):
        loop, paces, made = problem(overrides).loop(callbacks), [], []
        run = loop.engine.run
        monkeypatch.setattr(
            loop.engine, "run", lambda *a, **k: made.append((a, k["evaluate"])) or run(*a, **k)
        )
        monkeypatch.setattr(loops, "check_same_pace", lambda _, pace: paces.append(pace))
        loop.run(Progress())
        return paces, made

    return trained


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"log_every": 3},
        {"evaluate_every": 2, "log_every": 3},
        {"early_stopping": {"patience": 1}},
        {"callbacks": [{"name": "ReduceLROnPlateau", "monitor": "loss"}]},
        {"callbacks": [{"name": "TerminateOnNaN"}]},
    ],
    ids=str,
)
@pytest.mark.usefixtures("workers_of_one_process")
def test_the_logs_of_the_first_worker_end_no_call_that_another_worker_makes_longer(
    calls, problem, settings, tmp_path, monkeypatch
):
    overrides = {f"training.{key}": value for key, value in settings.items()}
    overrides["training.epochs"] = 6
    case = problem(overrides)
    spec, quiet = case.spec, Console(quiet=True)
    layers = LayerLog(tmp_path / "layers.jsonl", case.train)  # which wants calls of its own
    first = build_callbacks(spec, tmp_path, quiet, [], layers)
    pace = run_follower._Pace(spec.training.log_every)
    other = [*named_callbacks(spec, tmp_path), pace]
    assert calls(overrides, first, monkeypatch) == calls(overrides, other, monkeypatch)


@pytest.mark.usefixtures("workers_of_one_process")
def test_a_callback_that_one_worker_alone_has_changes_its_pace(calls, recorder, monkeypatch):
    plain, _ = calls({}, [], monkeypatch)
    other, _ = calls({}, [recorder()], monkeypatch)
    assert len(plain) == len(other) == 1
    assert plain != other


def test_a_worker_with_a_table_of_its_own_is_named():
    same, other = (lambda numbers: numbers), (lambda numbers: [*numbers[:-1], numbers[-1] + 1])
    (finding,) = own_tables(cluster_of(same, other), "7 100 5")
    assert str(finding).startswith("worker 3: expected the file of encoded rows that worker 1")
    assert finding.severity == "warning"
    assert own_tables(cluster_of(same, same), "7 100 5") == ()
    assert own_tables(OneReplica(), "7 100 5") == ()
