"""Estimate of the memory that a training takes, made before it starts."""

from __future__ import annotations

import itertools
import math

from kfc.data import Prepared, Task
from kfc.errors import Finding, SpecError
from kfc.network import num_outputs
from kfc.spec import Spec
from kfc.system import CHUNK_BYTES, Mapped, memory
from kfc.training.engine.evaluation import EVALUATION_BATCH

_FLOAT32_BYTES = 4
_COMPILER_BYTES = 300e6  # TensorFlow tracing and compiling, measured


def check_memory(spec: Spec, prepared: Prepared, *, processes: int = 1) -> int:
    """Estimates the memory of a training, and refuses one that cannot fit.

    Without the check, TensorFlow would end the process, or raise an error that names no cause.

    The estimate is the memory of the process so far, and

        4 bytes * (2 * 4 * weights + 3 * batch * widths) + inputs + compiler

    A weight counts four times: itself, its gradient and two slots of the optimizer; and all
    of these twice, for the tensors of a call or for a checkpoint. A unit of a batch counts
    three times: its value, its activation and its gradient.

    Args:
        spec: A resolved spec.
        prepared: Data of the training.
        processes: Number of processes that train such networks at the same time, each with
            its own copy of the data.

    Returns:
        Bytes of all processes together.

    Raises:
        SpecError: If this machine, or its container, has less memory.
    """
    widths = _widths(spec, prepared.task)
    weights = sum((before + 1) * units for before, units in itertools.pairwise(widths))
    batch = max(spec.training.batch_size, EVALUATION_BATCH)
    training = _FLOAT32_BYTES * (8 * weights + 3 * batch * sum(widths))
    inputs = _inputs(prepared)
    needed = int(processes * (memory.used_bytes() + training + inputs + _COMPILER_BYTES))
    if needed > memory.limit_bytes():
        raise SpecError(
            Finding(
                "network.hidden",
                f"a training that fits in {memory.limit_bytes() / 1e9:.1f} GB of memory",
                f"{weights:,} weights, batches of {spec.training.batch_size:,} and "
                f"{inputs / 1e9:.1f} GB of inputs, which need {needed / 1e9:,.1f} GB",
                "Make the layers narrower or the batches smaller, or set data.stream: always.",
            )
        )
    return needed


def _widths(spec: Spec, task: Task) -> list[int]:
    hidden = [layer.units for layer in spec.network.layers()]
    return [math.prod(task.input_shape), *hidden, num_outputs(spec, task)]


def _inputs(prepared: Prepared) -> int:
    """Returns the bytes of the inputs that are in memory at the same time."""
    train, held_out = prepared.train.x, [rows.x for rows in prepared.held_out.values()]
    resident = sum(x.nbytes for x in (train, *held_out) if not isinstance(x, Mapped))
    # Streamed training rows: a window, the next one, and TensorFlow's copy of one. Streamed
    # held-out rows are evaluated one set after the other: a chunk and its copy.
    window = min(3 * CHUNK_BYTES, train.nbytes) if isinstance(train, Mapped) else 0
    pieces = [min(2 * CHUNK_BYTES, x.nbytes) for x in held_out if isinstance(x, Mapped)]
    return resident + window + max(pieces, default=0)
