"""A spec and its rows -> the form of the engine, by a rule and never by a stopwatch."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from kfc.errors import Finding, SpecError
from kfc.registry import BLOCKS
from kfc.spec import Spec
from kfc.training.callbacks import callback_class, wants_batches
from kfc.training.engine.variables import CARRIED_OPTIMIZERS

_WORTH_COMPILING = 5e10
"""Multiplications that XLA must save: those of the trainings, of some four seconds on two
cores, that take as long in either form (`experiments/choosing`)."""

_SAVED_SHARE = 0.3
"""Of the multiplications' own time, measured on two cores."""

_SAVED_PER_STEP = 1e7
"""Of what a step costs besides, in the same unit: some 0.1 ms."""


_UNCARRIED_OPTIONS = ("gradient_accumulation_steps", "ema_overwrite_frequency")
"""Options whose updates are behind a condition, in which a StatelessScope loses them."""


def choose_engine(
    spec: Spec,
    *,
    num_rows: int,
    num_weights: int,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> str:
    """Returns `xla`, `graph` or `eager`: what the spec names, or `auto`'s choice.

    XLA is chosen for a training that is long enough to be worth compiling, with an
    optimizer that is known to ride through a compiled loop and a built-in block, unless a
    callback ends the loop at every step.

    Args:
        spec: A checked spec.
        num_rows: Training rows.
        num_weights: Weights of the network.
        callbacks: Those of the caller, besides the spec's.

    Raises:
        SpecError: If the spec asks for `xla` with an optimizer that XLA cannot carry.
    """
    engine = spec.training.engine
    if engine == "xla" and not is_carried(spec):
        raise SpecError(
            Finding(
                "training.engine",
                "graph or auto with this optimizer",
                "'xla'",
                f"XLA carries {', '.join(sorted(CARRIED_OPTIMIZERS))}, without "
                f"{' and '.join(_UNCARRIED_OPTIONS)}.",
            )
        )
    if engine != "auto":
        return engine
    saved = saved_by_xla(spec, num_rows=num_rows, num_weights=num_weights)
    every_step = any(wants_batches(callback) == 1 for callback in callbacks) or any(
        _is_called_at_every_step(callback_class(c)) for c in spec.training.callbacks
    )
    own = spec.network.block.name in BLOCKS.builtins
    compiled = is_carried(spec) and own and not every_step and saved >= _WORTH_COMPILING
    return "xla" if compiled else "graph"


def saved_by_xla(spec: Spec, *, num_rows: int, num_weights: int) -> float:
    """Returns what XLA makes a training shorter by, without compiling, in multiplications.

    Args:
        spec: A checked spec.
        num_rows: Training rows.
        num_weights: Weights of the network.
    """
    steps = -(-num_rows // spec.training.batch_size) * spec.training.epochs
    products = 3.0 * num_weights * num_rows * spec.training.epochs
    return _SAVED_SHARE * products + _SAVED_PER_STEP * steps


def _is_called_at_every_step(kind: type[keras.callbacks.Callback]) -> bool:
    # What a class declares may be set, or be a property, of its instances.
    if hasattr(kind, "called_every"):
        return bool(kind.called_every == 1)
    return wants_batches(kind) == 1


def is_carried(spec: Spec) -> bool:
    """Returns whether a compiled loop can carry the optimizer of `spec` through its steps."""
    optimizer = spec.training.optimizer
    uncarried = any(optimizer.options.get(option) for option in _UNCARRIED_OPTIONS)
    return optimizer.name in CARRIED_OPTIMIZERS and not uncarried
