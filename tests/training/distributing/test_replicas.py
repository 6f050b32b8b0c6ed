from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from kfc.training.distributing import OneReplica, StrategyReplicas
from kfc.training.row_order import epoch_order


def replica(number, count, batch_size=8):
    """One replica of several, whose operations are traced one after the other."""
    extended = SimpleNamespace(worker_devices=("CPU:0",))
    strategy = SimpleNamespace(num_replicas_in_sync=count, extended=extended)
    replicas = StrategyReplicas(strategy, batch_size)
    replicas.first = number
    return replicas


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("num_rows", [1, 2, 70])
def test_each_row_is_visited_once_per_epoch_over_all_replicas(count, num_rows):
    order = epoch_order(num_rows, seed=0, epoch=3, shuffle=True)
    seen = [
        int(row)
        for first in range(0, num_rows, 8)
        for number in range(count)
        for row in replica(number, count).own(tf.constant(order[first : first + 8]))
    ]
    assert sorted(seen) == list(range(num_rows))


def test_the_places_of_the_rows_are_those_in_the_batch():
    rows = tf.constant([5, 9, 2, 7, 1])
    for number in range(3):
        each = replica(number, 3)
        own = each.own(rows)
        assert tf.gather(rows, each.places(len(own))).numpy().tolist() == own.numpy().tolist()


def test_gathered_outputs_are_in_the_order_of_the_batch(monkeypatch):
    outputs = np.arange(10.0, dtype=np.float32).reshape(5, 2)
    placed = []
    for number in range(3):
        each = replica(number, 3, batch_size=7)
        monkeypatch.setattr(each, "_sum", lambda values: placed.append(values) or values)
        each.gather(each.own(tf.constant(outputs)), tf.constant(5))
    assert {tuple(values.shape) for values in placed} == {(9, 2)}  # one shape for each batch
    np.testing.assert_array_equal(sum(placed)[:5], outputs)


def test_one_replica_has_the_whole_batch():
    one, rows = OneReplica(), tf.constant([3, 1, 2])
    assert one.own(rows) is rows
    assert one.gather(rows, tf.constant(3)) is rows
    assert one.places(tf.constant(3)).numpy().tolist() == [0, 1, 2]
    assert one.from_chief(b"state") == b"state"
