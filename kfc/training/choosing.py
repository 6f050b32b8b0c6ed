"""A spec and its rows -> the engine that trains it, by a rule and never by a stopwatch."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from kfc.errors import Fault, SpecError
from kfc.registry import BLOCKS
from kfc.spec import Spec
from kfc.training.callbacks import callback_class, wants_batches
from kfc.training.carried import CARRIED_OPTIMIZERS

_WORTH_COMPILING = 5e10
"""Multiplications of a whole training: about two seconds without XLA, which takes one to
three to compile."""


def choose_engine(
    spec: Spec,
    *,
    num_rows: int,
    num_weights: int,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> str:
    """Returns `xla` or `graph`.

    XLA is chosen for a long training with an optimizer that is known to ride through a
    compiled loop, unless something in it is slow there: dropout, whose random bits cost
    XLA thirteen times the rest on a processor, and callbacks that end the loop at every
    step.

    Args:
        spec: A checked spec.
        num_rows: Training rows.
        num_weights: Weights of the network.
        callbacks: Those of the caller, besides the spec's.

    Raises:
        SpecError: If the spec asks for `xla` with an optimizer that XLA cannot carry.
    """
    engine, name = spec.training.engine, spec.training.optimizer.name
    options = spec.training.optimizer.options
    carried = name in CARRIED_OPTIMIZERS and "gradient_accumulation_steps" not in options
    if engine == "xla" and not carried:
        raise SpecError(
            Fault(
                "training.engine",
                "graph or auto with this optimizer",
                "'xla'",
                f"XLA carries {', '.join(sorted(CARRIED_OPTIMIZERS))}, and no gradient "
                "accumulation.",
            )
        )
    if engine != "auto":
        return engine
    work = 3.0 * num_weights * num_rows * spec.training.epochs
    slow = any(layer.dropout for layer in spec.network.layers())
    slow |= any(wants_batches(callback) == 1 for callback in callbacks)
    slow |= any(wants_batches(callback_class(c)) == 1 for c in spec.training.callbacks)
    own = spec.network.block.name in BLOCKS.builtins
    compiled = carried and own and not slow and work >= _WORTH_COMPILING
    return "xla" if compiled else "graph"
