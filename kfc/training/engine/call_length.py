"""Length of a call: long enough that its own cost vanishes, short enough to be stopped."""

from __future__ import annotations

_OPERATIONS_PER_CALL = 4e10
"""Multiplications per call, about half a second on two cores: a progress bar moves and Ctrl-C
is answered soon, and the call's own cost vanishes."""

_OPERATIONS_PER_STEP = 2e7
"""Cost of a step of a plain graph besides its multiplications, in multiplications: 0.2 ms."""

_OPERATIONS_PER_EXCHANGE = 1e8
"""Cost of the two sums over replicas in a step, in multiplications: about a millisecond."""

_OPERATIONS_PER_COPIED_WEIGHT = 2e4
"""Cost of copying a weight into a call and out of it, fifty times, in multiplications: a
large network is copied less often."""

_MAX_EPOCHS = 64

_KEPT_BYTES = 2**26
"""Memory for the variables at the end of each epoch of a call."""

_BYTES_PER_WEIGHT = 12
"""Bytes of a weight and its two moments."""


def steps_per_call(weights: int, rows: int, *, steps_per_epoch: int, replicas: int = 1) -> int:
    """Returns the number of steps of a call, at least 1.

    Args:
        weights: Number of weights.
        rows: Number of rows per step, those of all members.
        steps_per_epoch: Number of steps of an epoch. The calls of an epoch, if it needs
            several, have about equally many.
        replicas: Number of replicas that share the rows.
    """
    per_step = 3 * weights * rows  # one product forward, two for gradients
    if replicas > 1:
        per_step = per_step // replicas + int(_OPERATIONS_PER_EXCHANGE)
    per_call = min(
        _OPERATIONS_PER_CALL + _OPERATIONS_PER_COPIED_WEIGHT * weights,
        4 * _OPERATIONS_PER_CALL,
    )
    steps = max(1, int(per_call / (per_step + _OPERATIONS_PER_STEP)))
    if steps >= steps_per_epoch:
        return steps
    # A call may be longer by half: an epoch in one call needs no second, short one.
    calls = round(steps_per_epoch / steps)
    return -(-steps_per_epoch // calls)  # rounded up


def epochs_per_call(steps: int, steps_per_epoch: int, *, kept_weights: int | None) -> int:
    """Returns the largest number of epochs of a call, at least 1.

    Args:
        steps: Number of steps of a call.
        steps_per_epoch: Number of steps of an epoch.
        kept_weights: Number of weights that are kept at the end of each epoch; None keeps
            none.
    """
    epochs = min(steps // steps_per_epoch, _MAX_EPOCHS)
    if kept_weights is not None:
        epochs = min(epochs, _KEPT_BYTES // (_BYTES_PER_WEIGHT * kept_weights + 1))
    return max(epochs, 1)
