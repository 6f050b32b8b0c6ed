"""Compiled functions that several models of one process share."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from kfc.compat import without_graph_rewriting
from kfc.data import Task
from kfc.network import normalizes, num_outputs
from kfc.registry import BLOCKS
from kfc.spec import Spec
from kfc.training.engine.choice import is_carried

_MOST_COMPILED = 32
_compiled: OrderedDict[str, Any] = OrderedDict()  # the newest last


class Structure(NamedTuple):
    """What the compiled steps of a network depend on.

    Args:
        text: Equal where they do the same, for tensors of equal shapes.
        widths: Of hidden layers, from which a plain graph does not differ: it may be
            traced once for all of them.
    """

    text: str
    widths: frozenset[int]


def structure(spec: Spec, task: Task, *, num_rows: int) -> Structure | None:
    """Returns what is equal for trainings that may share compiled steps.

    What starts weights and what a variable holds does not count: initialisation, seed, a
    constant learning rate, a rate of dropout, the numbers of a learned scaling.

    Args:
        spec: A resolved spec.
        task: Shape of a row, classes and scaling.
        num_rows: Training rows, from which schedules know their steps.

    Returns:
        The structure, or None where steps belong to one model: with a plug-in, of which
        nobody knows what its steps depend on, and where variables cannot be carried.
    """
    training, block = spec.training, spec.network.block
    if block.name not in BLOCKS.builtins or not is_carried(spec):
        return None
    layers = [
        {**layer.model_dump(exclude={"init", "units"}), "dropout": bool(layer.dropout)}
        for layer in spec.network.layers()
    ]
    optimizer = training.optimizer.model_dump()
    schedule = training.optimizer.schedule()
    if schedule is None:
        optimizer.pop("learning_rate", None)
    length = [training.epochs, num_rows] if schedule else []
    # A learned scaling's numbers are inputs, so that only its kind counts.
    learned = task.scaling.shift.ndim > 0
    numbers = [task.scaling.shift.tolist(), task.scaling.divisor.tolist()]
    scaling = normalizes(task.scaling) if learned else numbers
    # A target's are written into the loss, which is in the training targets' deviations.
    target = [
        part.tolist() for part in (task.target_scaling.shift, task.target_scaling.divisor)
    ]
    loss = training.loss.model_dump() if training.loss else None
    shape = [task.input_shape, task.input_dtype, len(task.class_names), task.outputs]
    facts = [layers, block.model_dump(), optimizer, length, loss]
    text = repr([facts, training.precision, shape, scaling, target])

    hidden = spec.network.layers()
    units = {layer.units for layer in hidden}
    by_shape = (  # what looks at the shape of a weight, or of a batch, while it is traced
        block.name != "dense"
        or training.optimizer.name in ("adafactor", "muon")
        or any(layer.normalization == "layer" for layer in hidden)
    )
    if by_shape:
        return Structure(f"{text} {[layer.units for layer in hidden]}", frozenset())
    # A width that is also the number of inputs or outputs stands for either.
    fixed = {math.prod(task.input_shape), num_outputs(spec, task)}
    return Structure(text, frozenset(units - fixed))


def compiled(
    function: Callable[..., Any],
    signature: list[Any],
    *,
    structure: Structure | None,
    facts: Any,
    xla: bool = False,
) -> Callable[..., Any]:
    """Returns `function` as a graph, or one that does the same for another model.

    A plain graph runs as it was traced.

    Args:
        function: Of tensors.
        signature: A `tf.TensorSpec` for each of them, nested as they are.
        structure: Of the model whose function it is, or None where it shares none.
        facts: What the function depends on besides, such as the size of a batch.
        xla: Whether XLA compiles it, in its first call.
    """
    key = repr((structure and structure.text, function.__qualname__, facts, xla, signature))
    graph = _compiled.pop(key, None)
    if graph is None:
        # Concrete, since a `tf.function` counts its traces over all models of a process,
        # and warns on the terminal at the fifth.
        traced = tf.function(function, autograph=False, jit_compile=xla)
        with without_graph_rewriting():
            graph = traced.get_concrete_function(*signature)
    # A function that reads a variable itself, instead of carrying it, belongs to one model.
    reads = any(tensor.dtype == tf.resource for tensor in graph.captured_inputs)
    if structure is not None and not reads:
        _compiled[key] = graph
        if len(_compiled) > _MOST_COMPILED:
            _compiled.popitem(last=False)

    def call(*arguments: Any) -> Any:
        with without_graph_rewriting():
            return graph(*arguments)

    return call


def signature_of(values: list[Any], structure: Structure | None) -> list[tf.TensorSpec]:
    """Returns what a function takes for carried `values`: any width, where it is free."""
    free = structure.widths if structure else frozenset()
    return [
        tf.TensorSpec(
            [None if length in free else length for length in value.shape], value.dtype
        )
        for value in values
    ]
