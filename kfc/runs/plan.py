"""Plans a training: turns a spec and its data into everything that the training needs."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import keras

from kfc.data import Prepared, prepare, weighted, with_number_bins
from kfc.findings import run_checks
from kfc.network import build, initialize_from_rows
from kfc.runs.caller_callbacks import as_callback_list
from kfc.runs.phases import Phases
from kfc.runs.plugins import bind_plugins
from kfc.spec import Spec, SpecLike, load_spec, settle_preset
from kfc.system import DiskArray, memory, read_cluster, tensorflow_startup
from kfc.training import default_loss
from kfc.training.distributing import (
    OneReplica,
    choose_distribution,
    join_cluster,
    meet_workers,
    own_tables,
    replicas_for,
)
from kfc.training.engine import choose_engine, predicted_memory


@dataclass(frozen=True)
class Plan:
    """Everything that a training needs.

    Args:
        spec: Resolved spec: each `auto` and each omitted value has been replaced by the value
            chosen for these data, so training this spec again gives the same weights.
        prepared: Data of the spec. The sample weights of the training rows include the class
            weights.
        network: Untrained network, (batch, *input_shape) -> logits.
        memory_bytes: Predicted peak of the memory of the training, mapped files included.
        callbacks: Keras callbacks that the caller passed.
        replicas: Devices or processes that share each batch.
    """

    spec: Spec
    prepared: Prepared
    network: keras.Model
    memory_bytes: int
    callbacks: Sequence[keras.callbacks.Callback] = ()
    replicas: OneReplica = field(default_factory=OneReplica)


def make_plan(
    spec: SpecLike,
    overrides: Mapping[str, Any] | None = None,
    *,
    data: Any = None,
    callbacks: Any = None,
    cache: Path | None = None,
    preparer: Callable[[Spec], Prepared] | None = None,
    insist_on_threads: bool = True,
    phases: Phases | None = None,
    build_network: Callable[[Spec, Prepared], keras.Model] | None = None,
    distributed: bool = False,
) -> Plan:
    """Plans the training of a spec, from the spec's text to the untrained network.

    Args:
        spec: A built-in spec's name, a file, a dict or a `Spec`. A `Spec` is not validated
            again.
        overrides: Dotted path -> value, such as `{"training.epochs": 3}`.
        data: Rows that replace `data.source`, as for `kfc.fit`.
        callbacks: Keras callbacks of the caller: a list, a single one or None.
        cache: Folder of encoded tables, see `kfc.data.prepare`.
        preparer: Function that prepares the data of a spec; by default `kfc.data.prepare`.
        insist_on_threads: Whether TensorFlow may not run with another number of threads than
            the spec's.
        phases: Stopwatch; it ends the phases `import` and `data`.
        build_network: Function that gives the untrained network of prepared data.
        distributed: Whether devices or processes may share each batch, as the spec says.

    Raises:
        SpecError: If the spec is wrong, does not fit its data, or needs more memory than this
            machine has.
        DataError: If the data cannot be read or must not be trained on.
        PluginError: If a plug-in fails.
    """
    phases = phases or Phases()
    valid = load_spec(spec, overrides)
    if distributed:
        how = choose_distribution(valid, read_cluster())
        valid = _with_values(valid, training={"distribute": how})
    start_for_spec(valid, insist_on_threads=insist_on_threads, distributed=distributed)
    phases.end("import")
    listed = as_callback_list(callbacks, valid)
    preparer = preparer or functools.partial(prepare, data=data, cache=cache)
    resolved, prepared = prepare_data(valid, data, preparer=preparer)
    phases.end("data")
    plan = plan_training(
        resolved, prepared, listed, build_network=build_network, distributed=distributed
    )
    x = plan.prepared.train.x
    identity = x.file_identity() if isinstance(x, DiskArray) else ""
    found = own_tables(plan.replicas, identity if plan.prepared.reports else "")
    return replace(
        plan, prepared=replace(plan.prepared, warnings=(*plan.prepared.warnings, *found))
    )


def start_for_spec(
    spec: Spec, *, insist_on_threads: bool = True, distributed: bool = False
) -> int | None:
    """Starts TensorFlow and imports the plug-ins that a spec names.

    Args:
        spec: Any spec.
        insist_on_threads: Whether another number of threads than the spec's is an error.
        distributed: Whether this process becomes part of its cluster, as the spec says.

    Returns:
        Number of TensorFlow's threads; None is one per core.

    Raises:
        SpecError: If TensorFlow runs with other threads, or a plug-in does not accept its
            options.
        PluginError: If a plug-in cannot be imported.
    """
    if distributed:
        meet_workers(spec)
    threads = tensorflow_startup.start_tensorflow(
        spec.training.threads,
        insist=insist_on_threads,
        join=functools.partial(join_cluster, spec) if distributed else None,
    )
    bind_plugins(spec)
    return threads


def prepare_data(
    spec: Spec, data: Any = None, *, preparer: Callable[[Spec], Prepared] | None = None
) -> tuple[Spec, Prepared]:
    """Prepares the data of a spec, and resolves the values that depend on them.

    Args:
        spec: Any spec.
        data: Rows that replace `data.source`, as for `kfc.fit`.
        preparer: Function that prepares the data of a spec; by default `kfc.data.prepare`.

    Returns:
        The spec with its task, loss and data keys filled in, and with the values of its
        preset in place of the preset; and the data. Its engine may still be `auto`.

    Raises:
        SpecError: If the values of the preset contradict the spec, or it monitors a metric
            that its task does not have.
        DataError: If the data cannot be read or must not be trained on.
    """
    prepared = preparer(spec) if preparer else prepare(spec, data)
    spec = settle_preset(spec, classification=prepared.task.classification)
    found = dict(prepared.resolved)
    if data is not None:
        found["source"] = None
    resolved = _with_values(
        spec, data=found, training={"loss": spec.training.loss or default_loss(prepared.task)}
    )
    run_checks("spec", resolved)  # again: only now it is known which metrics are recorded
    return resolved, prepared


def plan_training(
    spec: Spec,
    prepared: Prepared,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    *,
    build_network: Callable[[Spec, Prepared], keras.Model] | None = None,
    distributed: bool = False,
) -> Plan:
    """Plans the training of a spec whose data are prepared.

    Args:
        spec: Spec as `prepare_data` returns it.
        prepared: Data of the spec.
        callbacks: Keras callbacks of the caller, which influence the choice of the engine.
        build_network: Function that gives the untrained network; by default it is built.
        distributed: Whether devices or processes may share each batch, as the spec says.

    Raises:
        SpecError: If a class weight, the memory or the engine does not fit.
        DataError: If a monitored metric has no value on its rows.
        PluginError: If a plug-in's block fails.
    """
    if not distributed:
        spec = _with_values(spec, training={"distribute": "none"})
    prepared = replace(
        prepared,
        train=weighted(prepared.train, spec, prepared.task),
        task=with_number_bins(prepared.task, spec, prepared.train),
    )
    run_checks("distribution", spec, prepared, callbacks)
    run_checks("before_training", spec, prepared)  # before the weights take any memory
    used = memory.used_bytes()
    network = (build_network or new_network)(spec, prepared)
    engine = choose_engine(
        spec,
        num_rows=len(prepared.train),
        num_weights=network.count_params(),
        callbacks=callbacks,
    )
    resolved = _with_values(spec, training={"engine": engine})
    memory_bytes = predicted_memory(resolved, prepared, used=used) + memory.mapped_bytes()
    replicas = replicas_for(resolved)
    return Plan(resolved, prepared, network, memory_bytes, callbacks, replicas)


def new_network(spec: Spec, prepared: Prepared) -> keras.Model:
    """Returns the untrained network of a spec whose data are prepared."""
    network = build(spec, prepared.task)
    initialize_from_rows(network, spec, prepared.train)
    return network


def _with_values(spec: Spec, **sections: Mapping[str, Any]) -> Spec:
    """Returns a spec with other values in some of its sections, such as `training`."""
    return spec.model_copy(
        update={
            name: getattr(spec, name).model_copy(update=values)
            for name, values in sections.items()
        }
    )
