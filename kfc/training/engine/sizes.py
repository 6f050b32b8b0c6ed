"""Numbers from which the memory of a training is predicted, without TensorFlow."""

from __future__ import annotations

from kfc.spec import OptimizerSpec, TrainingSpec

EVALUATION_BATCH = 1024
"""Rows per evaluation step if the loss is a mean over rows; fixed, so that an evaluation
repeats to the same bits."""

_GRAPH_BYTES = 40e6  # of the tracing of a graph, measured
_COMPILER_BYTES = 190e6  # of tracing and XLA with its mapped code: 100e6 to 240e6 measured

_FLOAT32_BYTES = 4

# Copies of all weights at the peak, measured for networks of 4 to 20 million weights as graphs
# and by XLA.
_COPIES = 5.5  # three of them of the network, with its initializers
_COPIES_OF_STATE = 5.5  # of each number of the optimizer: slots, a call, the checkpoint
_COPIES_TO_STOP = 5.5  # of the epochs of a call and the best one, of early stopping
_COPIES_TO_STOP_OF_STATE = 1.25
_PROBED = 4e11  # multiplications of about five seconds on two cores
_COPIES_OF_PROBE = 10.0  # of the log of the layers, which tries an update

_STATE = {
    **dict.fromkeys(["sgd", "tape_sgd"], 0),
    **dict.fromkeys(["adafactor", "adagrad", "lion", "rmsprop"], 1),
}
"""Numbers that an optimizer keeps for each weight; the others, and plug-ins, keep two."""


def _optimizer_numbers(optimizer: OptimizerSpec) -> int:
    """Returns the count of numbers that an optimizer keeps for each weight."""
    options = optimizer.options
    switches = ("momentum", "centered", "amsgrad", "use_ema")
    further = sum(bool(options.get(option)) for option in switches)
    return _STATE.get(optimizer.name, 2) + further


def weight_copies(training: TrainingSpec, *, products: float) -> float:
    """Returns the copies of all weights that a training holds at its peak.

        max(5.5 + 5.5 * state, 10 if probed) + (5.5 + 1.25 * state if it stops early)

    Args:
        training: `training` of a spec.
        products: Multiplications of all its steps. A long training is probed: the log of its
            layers tries updates.
    """
    state, probed = _optimizer_numbers(training.optimizer), products > _PROBED
    copies = max(_COPIES + _COPIES_OF_STATE * state, _COPIES_OF_PROBE * probed)
    stops_early = training.early_stopping is not None
    return copies + stops_early * (_COPIES_TO_STOP + _COPIES_TO_STOP_OF_STATE * state)


def training_bytes(*, weights: int, copies: float, units: int, slots: int = 0) -> float:
    """Returns the bytes of weights, of the units of a batch, and of their gradients.

        4 bytes * (copies * weights + 3 * units + 2 * slots)

    A unit of a batch has a value, an activation and a gradient.

    Args:
        weights: Number of weights.
        copies: Copies of them, see `weight_copies`.
        units: Number of units of all layers, inputs included, times the rows of a batch.
        slots: Length of the one-hot rows of embeddings, times the rows of a batch.
    """
    return _FLOAT32_BYTES * (copies * weights + 3 * units + 2 * slots)


def compiler_bytes(engine: str) -> float:
    """Returns the bytes of a traced graph, and of XLA where the engine may compile, measured.

    Args:
        engine: `training.engine` of a spec.
    """
    return _COMPILER_BYTES if engine in ("xla", "auto") else _GRAPH_BYTES
