"""A spec and its rows -> the memory that its training takes."""

from __future__ import annotations

import itertools
import math

from kfc.data import Prepared, Task
from kfc.errors import Finding, SpecError
from kfc.network import num_outputs
from kfc.spec import Spec
from kfc.system import CHUNK_BYTES, Mapped, memory
from kfc.training.engine.evaluation import EVALUATION_BATCH

_NUMBER = 4  # bytes of a float32
_COMPILING = 300e6  # bytes that TensorFlow takes to trace and compile, measured


def check_memory(spec: Spec, prepared: Prepared, *, processes: int = 1) -> int:
    """Predicts the memory of a training, and refuses one that cannot fit.

    TensorFlow would end the process, or raise where nobody can read it.

    The prediction is what the process has taken so far, and

        4 bytes * (2 * 4 * weights + 3 * batch * widths) + inputs + compiler

    where a weight comes with its gradient and two numbers of the optimizer, all of them
    twice (carried through a compiled loop, or written to a checkpoint), and a unit of a
    batch with its value, its activation and its gradient.

    Args:
        spec: A resolved spec.
        prepared: Its data.
        processes: That train such networks at once, each with data of its own.

    Returns:
        Bytes, of all of them.

    Raises:
        SpecError: If that is more than this machine, or its container, has.
    """
    widths = _widths(spec, prepared.task)
    weights = sum((before + 1) * units for before, units in itertools.pairwise(widths))
    batch = max(spec.training.batch_size, EVALUATION_BATCH)
    training = _NUMBER * (8 * weights + 3 * batch * sum(widths))
    inputs = _inputs(prepared)
    needed = int(processes * (memory.used_bytes() + training + inputs + _COMPILING))
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
    """Returns the bytes of inputs that are in memory at once; TensorFlow copies them."""
    train, held_out = prepared.train.x, [rows.x for rows in prepared.held_out.values()]
    resident = sum(x.nbytes for x in (train, *held_out) if not isinstance(x, Mapped))
    # Of training rows: a window, the next one, one being copied. Held-out rows are measured
    # one part after the other: a piece of them, and its copy.
    window = min(3 * CHUNK_BYTES, train.nbytes) if isinstance(train, Mapped) else 0
    pieces = [min(2 * CHUNK_BYTES, x.nbytes) for x in held_out if isinstance(x, Mapped)]
    return resident + window + max(pieces, default=0)
