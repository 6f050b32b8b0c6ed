"""Parameters, memory and time of a training, from its sizes alone."""

from __future__ import annotations

import itertools
import math
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from threadpoolctl import threadpool_limits

from kfc.spec import Spec
from kfc.system import num_cores
from kfc.training.engine import (
    EVALUATION_BATCH,
    compiler_bytes,
    training_bytes,
    weight_copies,
)

_TENSORFLOW_BYTES = 770e6  # of a process that has started it, its libraries included
# Both from numbers of kfc in `experiments/benchmarks`, on an Intel Xeon.
_STEP_SECONDS = 30e-6  # of a step, without its matrix products
_WEIGHT_SECONDS = 1e-9  # of the update of a weight
_PASSES = 6  # floating-point operations of a step for each weight and row: 2 forward, 4 back
_PROBE_SIZE = 256
_PROBE_SECONDS = 0.006


def num_parameters(spec: Spec, inputs: int, outputs: int) -> int:
    """Returns the number of trained weights of a network without embeddings.

    Args:
        spec: Valid spec.
        inputs: Number of inputs of the first layer.
        outputs: Number of outputs.
    """
    width, count = inputs, inputs if spec.network.input_scale else 0
    for hidden in spec.network.layers():
        count += hidden.units * (width + bool(hidden.use_bias))
        count += 2 * hidden.units * (hidden.normalization != "none")
        count += hidden.units * bool(hidden.parametric_activation)
        if spec.network.block.name == "residual" and width != hidden.units:
            count += hidden.units * width
        width = hidden.units
    members = spec.network.members
    if members > 1:
        count += members * inputs
    return count + members * outputs * (width + 1)


def memory_bytes(spec: Spec, inputs: int, outputs: int, *, rows: int, row_bytes: int) -> int:
    """Returns the bytes of memory of a training; the rows are those in memory.

    Args:
        spec: Valid spec.
        inputs: Number of inputs of the first layer.
        outputs: Number of outputs.
        rows: Number of rows, the held-out ones included.
        row_bytes: Bytes of an encoded row.
    """
    widths = [inputs, *(layer.units for layer in spec.network.layers()), outputs]
    batch = max(spec.training.batch_size, EVALUATION_BATCH) * spec.network.members
    weights = num_parameters(spec, inputs, outputs)
    products = 3.0 * weights * rows * spec.training.epochs
    copies = weight_copies(spec.training, products=products)
    needed = training_bytes(weights=weights, copies=copies, units=batch * sum(widths))
    started = _TENSORFLOW_BYTES + compiler_bytes(spec.training.engine)
    return int(needed + rows * row_bytes + started)


def operations_per_second(threads: int | None = None) -> float:
    """Returns the floating-point operations that NumPy's matrix products make in a second.

    Each thread multiplies float32 matrices of its own for six milliseconds, and its fastest
    product counts: a product that threads share waits for the slowest of them, a hundred
    times as long where another program has its core.

    Args:
        threads: Number of threads; None for every core.
    """
    count = threads or num_cores()
    with threadpool_limits(1), ThreadPoolExecutor(count) as pool:
        return (
            2
            * _PROBE_SIZE**3
            * sum(1 / seconds for seconds in pool.map(_fastest, range(count)))
        )


def _fastest(_: int) -> float:
    """Returns the seconds of the fastest of some products."""
    a, fastest = np.ones((_PROBE_SIZE, _PROBE_SIZE), np.float32), math.inf
    end = time.perf_counter() + _PROBE_SECONDS
    while (began := time.perf_counter()) < end or math.isinf(fastest):
        a @ a
        fastest = min(fastest, time.perf_counter() - began)
    return fastest


def seconds_per_epoch(
    spec: Spec, inputs: int, outputs: int, *, rows: int, rate: float
) -> float:
    """Returns the seconds of an epoch after the first, which compiles.

        steps * (30 us + weights * 1 ns + 6 * batch * products / rate)

    `products` is the number of weights of kernels. On the idle machine of
    `experiments/benchmarks` this is within 15 % for its five networks; on a machine that
    others use, an epoch takes several times as long.

    Args:
        spec: Valid spec.
        inputs: Number of inputs of the first layer.
        outputs: Number of outputs.
        rows: Number of training rows.
        rate: Floating-point operations of the machine in a second.
    """
    widths = [inputs, *(layer.units for layer in spec.network.layers()), outputs]
    products = sum(a * b for a, b in itertools.pairwise(widths))
    weights = num_parameters(spec, inputs, outputs)
    batch = min(spec.training.batch_size, rows) * spec.network.members
    step = _STEP_SECONDS + weights * _WEIGHT_SECONDS + _PASSES * batch * products / rate
    return spec.training.steps_per_epoch(rows) * step
