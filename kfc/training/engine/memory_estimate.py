"""Predicts the memory of a training, and refuses one that does not fit."""

from __future__ import annotations

import itertools

from kfc.data import Prepared, Task
from kfc.errors import Finding
from kfc.network import embedding_terms, embedding_weights, num_inputs, num_outputs
from kfc.spec import Spec
from kfc.system import CHUNK_BYTES, memory, number_in_lockstep
from kfc.training.engine.sizes import (
    EVALUATION_BATCH,
    compiler_bytes,
    training_bytes,
    weight_copies,
)


def memory_too_small(
    spec: Spec, prepared: Prepared, *, processes: int = 1, networks: int | None = None
) -> Finding | None:
    """Finds a training that needs more memory than this machine, or its container, has.

    TensorFlow would end the process without a message.

    Args:
        spec: A resolved spec.
        prepared: Data of the spec.
        processes: Number of processes that train so, each with data of its own.
        networks: Number of networks that train at once in each; None for those in lockstep
            with the caller.
    """
    networks = number_in_lockstep() if networks is None else networks
    needed = predicted_memory(spec, prepared, processes=processes, networks=networks)
    limit = memory.limit_bytes()
    if needed <= limit:
        return None
    weights, inputs = _num_weights(spec, prepared.task), _resident(prepared)
    remedy = "Make the layers narrower or the batches smaller, or set data.stream: always."
    if _embedded_slots(prepared.task):
        remedy = (
            "Make the layers narrower or the batches smaller, or raise "
            "data.categories.min_count, so that fewer categories have a code of their own."
        )
    return Finding(
        "network.hidden",
        f"a training that fits in {limit / 1e9:.1f} GB of memory",
        f"{weights:,} weights, batches of {spec.training.batch_size:,} and "
        f"{inputs / 1e9:.1f} GB of inputs, which need {needed / 1e9:,.1f} GB",
        remedy,
        evidence={"needed_bytes": needed, "limit_bytes": limit, "weights": weights},
    )


def predicted_memory(
    spec: Spec,
    prepared: Prepared,
    *,
    processes: int = 1,
    networks: int = 1,
    used: int | None = None,
) -> int:
    """Returns the bytes of memory that a training is predicted to take, without mapped files.

    The prediction is the memory that the process has taken so far, the rows included, and

        training_bytes(...) + windows of streamed rows + compiler

    See `training_bytes`, where the units are those of a batch times the widths. A parametric
    unit counts twice. Each member has units of its own. An embedding is the product of a
    matrix with a one-hot row for each row of the batch, which has a number for each slot of
    the category, and is made of another such row. A wave or a bin of an embedded number has
    three numbers, as a unit has. Members that do not share their rows have embeddings of their
    own.

    Args:
        spec: A resolved spec.
        prepared: Data of the spec.
        processes: Number of processes that train so, each with data of its own.
        networks: Number of networks that train at once in each process, on the same rows.
        used: Bytes that the process has taken without the network; None for those of now.
    """
    used = memory.used_bytes() if used is None else used
    widths = _widths(spec, prepared.task)
    weights = _num_weights(spec, prepared.task)
    batch = max(spec.training.batch_size, EVALUATION_BATCH)
    rows = batch * spec.network.members
    embedded = batch * spec.num_orders
    terms = prepared.task.num_scaled * embedding_terms(spec, prepared.task)
    products = 3.0 * weights * len(prepared.train) * spec.training.epochs
    training = training_bytes(
        weights=weights,
        copies=weight_copies(spec.training, products=products),
        units=rows * (sum(widths) + sum(_bent_widths(spec))) + embedded * terms,
        slots=embedded * _embedded_slots(prepared.task),
    )
    compiling = compiler_bytes(spec.training.engine)
    return int(processes * (used + networks * training + _windows(prepared) + compiling))


def _num_weights(spec: Spec, task: Task) -> int:
    widths = _widths(spec, task)
    dense = sum((before + 1) * units for before, units in itertools.pairwise(widths))
    dense += sum(_bent_widths(spec)) + (widths[0] if spec.network.input_scale else 0)
    if (members := spec.network.members) > 1:
        dense += members * widths[0] + (members - 1) * (widths[-2] + 1) * widths[-1]
    codes = task.encoding.codes if task.encoding is not None else ()
    embedded = task.num_scaled * embedding_weights(spec, task)
    return dense + embedded + sum(code.size * (code.embedding_size or 0) for code in codes)


def _bent_widths(spec: Spec) -> list[int]:
    """Returns the widths of the layers with a parametric activation."""
    return [layer.units for layer in spec.network.layers() if layer.parametric_activation]


def _embedded_slots(task: Task) -> int:
    """Returns the length of the one-hot rows of all embeddings together."""
    codes = task.encoding.codes if task.encoding is not None else ()
    return sum(code.size for code in codes if code.embedding_size is not None)


def _widths(spec: Spec, task: Task) -> list[int]:
    hidden = [layer.units for layer in spec.network.layers()]
    return [num_inputs(spec, task), *hidden, num_outputs(spec, task)]


def _resident(prepared: Prepared) -> int:
    """Returns the bytes of inputs in memory, which TensorFlow reads where they are."""
    parts = (prepared.train, *prepared.held_out.values())
    return sum(rows.x.nbytes for rows in parts if not rows.on_disk)


def _windows(prepared: Prepared) -> int:
    """Returns the bytes of rows on the disk that are in memory at once."""
    train, held_out = prepared.train, prepared.held_out.values()
    # Of training rows: a window, the next one, one being copied. Held-out rows are measured
    # one part after the other: a piece of them, and its copy.
    window = min(3 * CHUNK_BYTES, train.x.nbytes) if train.on_disk else 0
    pieces = [min(2 * CHUNK_BYTES, rows.x.nbytes) for rows in held_out if rows.on_disk]
    return window + max(pieces, default=0)
