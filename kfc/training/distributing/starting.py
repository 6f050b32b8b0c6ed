"""Starts the replicas of a process: its devices, or its part of a cluster.

TensorFlow makes a process part of a cluster before its first operation, and for good.
"""

from __future__ import annotations

import functools
from typing import Literal

import tensorflow as tf

from kfc.compat import workers_strategy
from kfc.errors import Finding, WorkerError, one_line
from kfc.spec import Spec
from kfc.system import Cluster, ended_by_signals, progress_console, read_cluster
from kfc.training.distributing.distribution_checks import spec_refusals
from kfc.training.distributing.rendezvous import meet
from kfc.training.distributing.replicas import OneReplica, StrategyReplicas, WorkerReplicas

SECONDS_TO_START = 600
"""Seconds in which all workers of a cluster must have started: a cluster may have to fetch
the image of a container first."""


def choose_distribution(
    spec: Spec, cluster: Cluster | None
) -> Literal["none", "mirrored", "multi_worker"]:
    """Returns how a training is distributed: as the spec says, or the choice for `auto`.

    Args:
        spec: A checked spec.
        cluster: Cluster of this process, see `kfc.system.read_cluster`.
    """
    asked = spec.training.distribute
    if asked != "auto":
        return asked
    if cluster is not None:
        return "multi_worker"
    several = len(tf.config.list_physical_devices("GPU")) > 1
    return "mirrored" if several and not any(spec_refusals(spec)) else "none"


def meet_workers(spec: Spec) -> None:
    """Waits until all workers have started, if the spec trains on several.

    TensorFlow itself waits without a word, so this function is called before it starts.

    Args:
        spec: Spec with its distribution resolved.

    Raises:
        WorkerError: If another worker does not start, or has another `TF_CONFIG`.
        SpecError: If `TF_CONFIG` is wrong.
    """
    if spec.training.distribute == "multi_worker" and (cluster := read_cluster()):
        _meet(cluster)


def join_cluster(spec: Spec) -> None:
    """Makes this process part of its cluster, if the spec trains on several workers.

    Args:
        spec: Spec with its distribution resolved.

    Raises:
        WorkerError: If another worker does not start.
        SpecError: If `TF_CONFIG` is wrong.
    """
    if spec.training.distribute == "multi_worker" and (cluster := read_cluster()):
        _workers(cluster)


def replicas_for(spec: Spec) -> OneReplica:
    """Returns the replicas that share the batches of a spec.

    A cluster of one task and a machine of one device have one replica.

    Args:
        spec: Spec with its distribution resolved.
    """
    distribute, batch_size = spec.training.distribute, spec.training.batch_size
    if distribute == "multi_worker" and (cluster := read_cluster()):
        return WorkerReplicas(_workers(cluster), batch_size, cluster)
    if distribute == "mirrored":
        logical = tf.config.list_logical_devices
        devices = tuple(each.name for each in logical("GPU") or logical("CPU"))
        if len(devices) > 1:
            return StrategyReplicas(_devices(devices), batch_size)
    return OneReplica()


@functools.cache
def _meet(cluster: Cluster) -> None:
    def say(line: str) -> None:
        progress_console().print(one_line(line), soft_wrap=True)

    meet(cluster, seconds=SECONDS_TO_START, say=say)


@functools.cache
def _workers(cluster: Cluster) -> tf.distribute.Strategy:
    try:
        with ended_by_signals():  # nothing has begun
            return workers_strategy(seconds_to_start=SECONDS_TO_START)
    except (RuntimeError, tf.errors.OpError) as error:
        raise WorkerError(
            Finding(
                cluster.name,
                f"all workers of TF_CONFIG within {SECONDS_TO_START} seconds: "
                f"{', '.join(cluster.addresses)}",
                f"{type(error).__name__}: {str(error).splitlines()[0][:200]}",
                "Read the logs of the other workers; kfc must be the first to use TensorFlow.",
            )
        ) from error


@functools.cache  # the operations of a second strategy would have the keys of the first
def _devices(names: tuple[str, ...]) -> tf.distribute.Strategy:
    return tf.distribute.MirroredStrategy(list(names))
