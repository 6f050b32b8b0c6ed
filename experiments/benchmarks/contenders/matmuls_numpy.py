"""The bare matrix products of a step in NumPy, into arrays made beforehand."""

from __future__ import annotations

import math

import numpy as np
from data import Data
from measuring import Measurement, time_epochs
from workloads import Workload

OPERATIONS_PER_CALL = 1e10
"""Some tenths of a second of products, so that a call's own cost vanishes."""


def operands(workload: Workload) -> tuple[np.ndarray, list[np.ndarray]]:
    """Returns a batch and kernels that keep numbers near one."""
    generator = np.random.default_rng(0)
    x = generator.standard_normal((workload.batch_size, workload.sizes[0]), np.float32)
    kernels = [
        generator.standard_normal(shape, np.float32) / np.float32(math.sqrt(shape[0]))
        for shape in zip(workload.sizes, workload.sizes[1:], strict=False)
    ]
    return x, kernels


def steps_per_call(workload: Workload) -> int:
    """Returns how many steps are run at a time."""
    return math.ceil(OPERATIONS_PER_CALL / workload.operations())


def train(workload: Workload, data: Data, seconds: float) -> Measurement:
    """Measures the products; the rows themselves do not matter."""
    x, kernels = operands(workload)
    hidden = [x, *(np.empty((len(x), w.shape[1]), np.float32) for w in kernels)]
    deltas = [np.empty_like(array) for array in hidden]
    gradients = [np.empty_like(kernel) for kernel in kernels]
    layers = range(len(kernels))
    steps = steps_per_call(workload)

    def run() -> None:
        for _ in range(steps):
            for i in layers:
                np.matmul(hidden[i], kernels[i], out=hidden[i + 1])
            delta = hidden[-1]
            for i in reversed(layers):
                np.matmul(hidden[i].T, delta, out=gradients[i])
                if i:
                    delta = np.matmul(delta, kernels[i].T, out=deltas[i])

    return time_epochs(run, samples=steps * len(x), seconds=seconds, settings="NumPy")
