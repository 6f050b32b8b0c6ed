import signal
from types import SimpleNamespace

import numpy as np
import pytest

from kfc.errors import WorkerError
from kfc.training.distributing import (
    OneReplica,
    agree_on_signal,
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


def test_a_worker_with_a_table_of_its_own_is_named():
    same, other = (lambda numbers: numbers), (lambda numbers: [*numbers[:-1], numbers[-1] + 1])
    (finding,) = own_tables(cluster_of(same, other), "7 100 5")
    assert str(finding).startswith("worker 3: expected the file of encoded rows that worker 1")
    assert finding.severity == "warning"
    assert own_tables(cluster_of(same, same), "7 100 5") == ()
    assert own_tables(OneReplica(), "7 100 5") == ()
