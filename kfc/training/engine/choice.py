"""Choice of the engine's form, by a fixed rule: never by a measurement of time."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from kfc.errors import Finding, SpecError
from kfc.registry import BLOCKS
from kfc.spec import Spec
from kfc.training.callbacks import batch_hook_interval, callback_class
from kfc.training.engine.variables import STATELESS_OPTIMIZERS

_WORTH_COMPILING = 5e10
"""Multiplications that XLA must save to be worth its compilation: a training of about two
seconds on two cores takes as long in either form (`experiments/choosing`)."""

_SAVED_SHARE = 0.3
"""Share of the time of the multiplications that XLA saves, measured on two cores."""

_SAVED_PER_STEP = 1e7
"""Time that XLA saves per step besides, in multiplications: about 0.1 ms."""

_EPOCHS_WORTH_COMPILING = 500
"""Epochs of a training from which on XLA compiles all of it. The short last batch and the
evaluation take about a second to compile, and 2 ms more per epoch as a plain graph, both in
seconds of CPU; `experiments/choosing` trains in both ways."""

_EPOCHS_OF_PATIENCE = 3
"""Epochs of a training that stops early, in units of its patience: the best one is often in
the first two."""

_MOST_AT_ONCE = 1e9
"""Largest product of the weights of a network and the rows of its step for which networks
train at once on a GPU. Such a step has 6e9 operations, a fraction of a millisecond of a device
of today, which is the time that its hundred small kernels take to start. Not measured: on the
two cores of `experiments/many_networks`, no size is worth it."""

_MOST_ROW_BYTES = 2**30
"""Most bytes of the training rows of all networks for which these train at once on a GPU: the
rows of folds are in memory for each of them, on the host and on the device."""

_STATEFUL_OPTIONS = ("gradient_accumulation_steps", "ema_overwrite_frequency")
"""Options with updates inside a condition, where a `StatelessScope` loses them."""


def choose_engine(
    spec: Spec,
    *,
    num_rows: int,
    num_weights: int,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> str:
    """Returns `xla`, `graph` or `eager`: the form in the spec, or the choice for `auto`.

    XLA is chosen for a training that is long enough to be worth the compilation, has a
    stateless optimizer and a built-in block, and has no callback that is called at every step.

    Args:
        spec: A checked spec.
        num_rows: Number of training rows.
        num_weights: Number of weights of the network.
        callbacks: Callbacks of the caller, besides those of the spec.

    Raises:
        SpecError: If the spec asks for `xla` with an optimizer that is not stateless.
    """
    engine = spec.training.engine
    if engine == "xla" and not is_stateless(spec):
        raise SpecError(
            Finding(
                "training.engine",
                "graph or auto with this optimizer",
                "'xla'",
                f"XLA compiles {', '.join(sorted(STATELESS_OPTIMIZERS))}, without "
                f"{' and '.join(_STATEFUL_OPTIONS)}.",
            )
        )
    if engine == "auto" and spec.training.distribute in ("mirrored", "multi_worker"):
        return "graph"  # XLA compiles no operation that waits for another device
    if engine != "auto":
        return engine
    saved = xla_savings(spec, num_rows=num_rows, num_weights=num_weights)
    every_step = any(batch_hook_interval(callback) == 1 for callback in callbacks) or any(
        _is_called_at_every_step(callback_class(c)) for c in spec.training.callbacks
    )
    built_in = spec.network.block.name in BLOCKS.builtins
    use_xla = is_stateless(spec) and built_in and not every_step and saved >= _WORTH_COMPILING
    return "xla" if use_xla else "graph"


def choose_at_once(
    spec: Spec, *, num_weights: int, row_bytes: int, on_disk: bool, gpu: bool
) -> bool:
    """Returns whether several networks of a spec's shape train in one compiled step.

    Args:
        spec: A resolved spec of one of the networks.
        num_weights: Number of weights of one network.
        row_bytes: Bytes of the training rows of all networks, those that are equal once.
        on_disk: Whether rows are streamed from the disk.
        gpu: Whether TensorFlow sees a GPU.

    Raises:
        SpecError: If the spec asks for it, and it cannot be done.
    """
    check_at_once(spec)
    training = spec.training
    if training.at_once == "always" and on_disk:
        raise _refused("The rows are streamed from the disk.")
    if training.at_once != "auto":
        return training.at_once == "always"
    every_step = any(_is_called_at_every_step(callback_class(c)) for c in training.callbacks)
    small = num_weights * training.batch_size <= _MOST_AT_ONCE and row_bytes <= _MOST_ROW_BYTES
    return gpu and small and not (every_step or on_disk or _why_alone(spec))


def check_at_once(spec: Spec) -> None:
    """Refuses a spec whose networks shall train at once if its other keys exclude it.

    Args:
        spec: A checked spec.

    Raises:
        SpecError: If they do.
    """
    if spec.training.at_once == "always" and (reason := _why_alone(spec)):
        raise _refused(reason)


def _why_alone(spec: Spec) -> str:
    """Returns why the networks of a spec cannot share a step, or nothing if they can."""
    block, optimizer = spec.network.block.name, spec.training.optimizer.name
    if block not in BLOCKS.builtins:
        return f"The block {block} is a plug-in's, whose code may depend on anything."
    if not is_stateless(spec):
        return f"The optimizer {optimizer} assigns its variables in each step."
    if spec.training.engine == "eager":
        return "The engine eager makes one operation after the other."
    return ""


def _refused(reason: str) -> SpecError:
    remedy = f"{reason} Set training.at_once to auto: each network then trains alone."
    return SpecError(Finding("training.at_once", "auto or never", "'always'", remedy))


def xla_savings(spec: Spec, *, num_rows: int, num_weights: int) -> float:
    """Returns the time that XLA saves, in multiplications, without the compilation.

    Args:
        spec: A checked spec.
        num_rows: Number of training rows.
        num_weights: Number of weights of the network.
    """
    training, epochs = spec.training, expected_epochs(spec)
    steps = training.steps_per_epoch(num_rows) * epochs
    # Members make batches large: XLA's products of these take as long as those of a graph.
    products = 3.0 * num_weights * num_rows * epochs if spec.network.members == 1 else 0.0
    return _SAVED_SHARE * products + _SAVED_PER_STEP * steps


def compiles_steps_only(spec: Spec) -> bool:
    """Returns whether XLA compiles the loop over full batches alone, for few epochs.

    Args:
        spec: A checked spec.
    """
    return expected_epochs(spec) < _EPOCHS_WORTH_COMPILING


def expected_epochs(spec: Spec) -> int:
    """Returns the number of epochs that a training is expected to have.

    One that may stop early is expected to have three times its patience of epochs, or
    `training.epochs` if these are fewer.

    Args:
        spec: A checked spec.
    """
    epochs, stopping = spec.training.epochs, spec.training.early_stopping
    if stopping is not None and stopping.patience is not None:
        epochs = min(epochs, _EPOCHS_OF_PATIENCE * max(1, stopping.patience))
    return epochs


def _is_called_at_every_step(kind: type[keras.callbacks.Callback]) -> bool:
    # The attribute may be set by, or be a property of, the instances of the class.
    if hasattr(kind, "called_every"):
        return bool(kind.called_every == 1)
    return batch_hook_interval(kind) == 1


def is_stateless(spec: Spec) -> bool:
    """Returns whether the optimizer of a spec works on tensors in place of its variables."""
    optimizer = spec.training.optimizer
    stateful = any(optimizer.options.get(option) for option in _STATEFUL_OPTIONS)
    return optimizer.name in STATELESS_OPTIMIZERS and not stateful
