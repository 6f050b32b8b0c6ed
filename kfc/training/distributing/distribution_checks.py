"""Finds what devices or processes that share each batch cannot train."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence

import keras

from kfc.data import Prepared
from kfc.errors import Finding
from kfc.registry import BLOCKS, CALLBACKS
from kfc.spec import CallbackSpec, Spec
from kfc.training.callbacks import callback_class
from kfc.training.engine import is_stateless

_KEY = "training.distribute"


def not_distributed(
    spec: Spec, prepared: Prepared, callbacks: Sequence[keras.callbacks.Callback]
) -> Iterator[Finding]:
    """Yields findings about what cannot be distributed, if the spec is.

    Args:
        spec: Spec with its distribution resolved.
        prepared: Data of the spec.
        callbacks: Callbacks of the caller.
    """
    how = spec.training.distribute
    if how == "none":
        return
    yield from spec_refusals(spec)
    if how == "multi_worker":
        yield from _of_processes(spec, callbacks)


def spec_refusals(spec: Spec) -> Iterator[Finding]:
    """Yields findings about keys of a spec with which no batch can be shared."""
    engine, network, optimizer = spec.training.engine, spec.network, spec.training.optimizer
    if engine in ("xla", "eager"):
        expected = "auto or graph, which waits for other devices within a step"
        yield _finding("training.engine", expected, engine, "Set it to auto")
    if any(layer.normalization == "batch" for layer in network.layers()):
        # Each replica would normalize by the statistics of its own rows.
        expected = "layer or none: the statistics of a batch are not shared"
        yield _finding("network.normalization", expected, "batch", "Use layer")
    if not is_stateless(spec):
        expected = "an optimizer of Keras or kfc whose update is a function of tensors"
        yield _finding("training.optimizer", expected, optimizer.name, "Use adam")
    if network.block.name not in BLOCKS.builtins:
        expected = f"a block of kfc: {', '.join(BLOCKS.builtins)}"
        yield _finding("network.block", expected, network.block.name, "Use dense")
    if spec.num_orders > 1:
        expected = "true: a row of the batch is one row for all members"
        yield _finding("training.share_batches", expected, "false", "Set it to true")
    dropout = network.dropout or any(layer.dropout for layer in network.layers())
    if network.members > 1 and dropout:
        expected = "0 with members, whose masks depend on the rows of the whole batch"
        yield _finding("network.dropout", expected, str(network.dropout), "Set it to 0")


def _of_processes(
    spec: Spec, callbacks: Sequence[keras.callbacks.Callback]
) -> Iterator[Finding]:
    """Yields findings about callbacks that every process would call."""
    for index, callback in enumerate(spec.training.callbacks):
        if callback.name in CALLBACKS.names() and callback.name not in CALLBACKS.builtins:
            got = f"{callback.name!r} of a plug-in"
        elif _writes(callback):
            got = f"{callback.name!r}, which writes files"
        else:
            continue
        expected = "callbacks that every worker can call, and that write nothing"
        where = f"training.callbacks[{index}].name"
        yield _finding(where, expected, got, "Leave it out: the first worker writes the logs")
    if callbacks:
        names = ", ".join(type(each).__name__ for each in callbacks)
        yield _finding("callbacks", "none on several workers", names, "Name them in the spec")


def _writes(callback: CallbackSpec) -> bool:
    kind = callback_class(callback)
    return bool(CallbackSpec.PATHS & inspect.signature(kind).parameters.keys())


def _finding(where: str, expected: str, got: str, remedy: str) -> Finding:
    return Finding(where, expected, got, f"{remedy}, or set {_KEY} to none.")
