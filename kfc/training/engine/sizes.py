"""Numbers from which the memory of a training is predicted, without TensorFlow."""

from __future__ import annotations

from kfc.spec import OptimizerSpec

EVALUATION_BATCH = 1024
"""Rows per evaluation step if the loss is a mean over rows; fixed, so that an evaluation
repeats to the same bits."""

_GRAPH_BYTES = 40e6
_COMPILER_BYTES = 170e6

_FLOAT32_BYTES = 4
_COPIES = 10
_COPIES_OF_STATE = 3

_STATE = {
    **dict.fromkeys(["sgd", "tape_sgd"], 0),
    **dict.fromkeys(["adafactor", "adagrad", "lion", "rmsprop"], 1),
}
"""Numbers that an optimizer keeps for each weight; the others keep two."""


def optimizer_numbers(optimizer: OptimizerSpec) -> int:
    """Returns the count of numbers that an optimizer keeps for each weight.

    Args:
        optimizer: Optimizer of a spec; that of a plug-in is taken to keep two.
    """
    options = optimizer.options
    switches = ("momentum", "centered", "amsgrad", "use_ema")
    further = sum(bool(options.get(option)) for option in switches)
    return _STATE.get(optimizer.name, 2) + further


def training_bytes(*, weights: int, state: int, units: int, slots: int = 0) -> int:
    """Returns the bytes of weights, of the units of a batch, and of their gradients.

        4 bytes * ((10 + 3 * state) * weights + 3 * units + 2 * slots)

    The numbers of a weight were measured at the peak of a run, which is its last checkpoint:
    the variables, what a call takes and returns, gradients, the copies of the checkpoint.
    A unit of a batch has a value, an activation and a gradient.

    Args:
        weights: Number of weights.
        state: Numbers of the optimizer for each weight, see `optimizer_numbers`.
        units: Number of units of all layers, inputs included, times the rows of a batch.
        slots: Length of the one-hot rows of embeddings, times the rows of a batch.
    """
    of_weights = (_COPIES + _COPIES_OF_STATE * state) * weights
    return _FLOAT32_BYTES * (of_weights + 3 * units + 2 * slots)


def compiler_bytes(engine: str) -> float:
    """Returns the bytes of a traced graph, and of XLA where the engine may compile, measured.

    Args:
        engine: `training.engine` of a spec.
    """
    return _COMPILER_BYTES if engine in ("xla", "auto") else _GRAPH_BYTES
