"""Traced graphs that several models of one process share."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from kfc.compat import without_graph_rewriting
from kfc.data import Task
from kfc.network import num_inputs, num_outputs
from kfc.registry import BLOCKS
from kfc.spec import Spec
from kfc.system import without_collection
from kfc.training.engine.choice import is_stateless

_MAX_GRAPHS = 32
_graphs: OrderedDict[str, Any] = OrderedDict()  # the one used last at the end


class GraphKey(NamedTuple):
    """Cache key of the graphs of a model.

    Args:
        text: Text that is equal for models whose graphs compute the same, for tensors of
            equal shapes.
        widths: Widths of hidden layers that a plain graph leaves open, so that it is traced
            once for all of them.
    """

    text: str
    widths: frozenset[int]


def graph_key(spec: Spec, task: Task, *, num_rows: int) -> GraphKey | None:
    """Returns the cache key of the graphs that train and evaluate the network of a spec.

    The initial weights and the values of variables are not part of it: initialisation, seed,
    a constant learning rate, the rate of a dropout, the constants of a learned scaling.

    Args:
        spec: A resolved spec.
        task: Shape of a row, classes and scaling.
        num_rows: Number of training rows, by which a schedule knows its steps.

    Returns:
        The key, or None if a graph belongs to one model: with a plug-in, since its code may
        depend on anything, and with an optimizer that is not stateless.
    """
    training, block = spec.training, spec.network.block
    if block.name not in BLOCKS.builtins or not is_stateless(spec):
        return None
    layers = [
        {
            **layer.model_dump(exclude={"init", "bias_init", "units"}),
            "dropout": bool(layer.dropout),
        }
        for layer in spec.network.layers()
    ]
    optimizer = training.optimizer.model_dump()
    if training.optimizer.schedule() is None:
        optimizer.pop("learning_rate", None)
    scheduled = training.optimizer.follows_time or spec.network.dropout_schedule
    steps = training.steps_per_epoch(num_rows)
    length = [training.epochs, steps, spec.network.dropout_schedule] if scheduled else []
    scalings = [task.scaling.compile_key(), task.target_scaling.compile_key()]
    if task.table is not None and task.table.category_scaling is not None:
        scalings.append(task.table.category_scaling.compile_key())
    if task.number_bins is not None:
        scalings.append(task.number_bins.compile_key())
    loss = training.loss.model_dump() if training.loss else None
    shape = [task.input_shape, task.input_dtype, len(task.class_names), task.outputs]
    if task.encoding is not None:  # the codes of categories are constants of the graph
        codes = [code[1:] for code in task.encoding.codes]
        shape += [task.encoding.num_numbers, task.encoding.num_flags, codes]
    facts: list[Any] = [layers, block.model_dump(), optimizer, length, loss]
    embedding, members = spec.network.numeric_embedding, spec.network.members
    facts += [spec.network.input_scale, members, spec.num_orders]
    facts += [embedding and embedding.model_dump()]
    facts += [task.temperature, task.limits]
    text = repr([facts, training.precision, shape, *scalings])

    hidden = spec.network.layers()
    units = {layer.units for layer in hidden}
    # Code that reads the shape of a weight or a batch while it is traced fixes the widths.
    reads_shapes = (
        block.name != "dense"
        or training.optimizer.name in ("adafactor", "muon")
        or any(layer.normalization == "layer" for layer in hidden)
    )
    if reads_shapes:
        return GraphKey(f"{text} {[layer.units for layer in hidden]}", frozenset())
    # A width that equals another number of a weight's shape could be either, so it is fixed.
    fixed = {num_inputs(spec, task), num_outputs(spec, task), members}
    return GraphKey(text, frozenset(units - fixed))


def traced(
    function: Callable[..., Any],
    signature: Sequence[Any],
    *,
    key: GraphKey | None,
    constants: Any,
    xla: bool = False,
    before: Callable[[], None] = lambda: None,
) -> Callable[..., Any]:
    """Returns a function as a graph: traced now, or found in the cache.

    Args:
        function: Function of tensors.
        signature: A `tf.TensorSpec` for each tensor, nested as the arguments are.
        key: Cache key of the model; None disables sharing.
        constants: Values besides those in the key that the graph depends on, such as the
            batch size.
        xla: Whether XLA compiles the graph, which it does in the first call.
        before: Function that is called before the graph is traced, unless it is found.
    """
    cache_key = repr((key and key.text, function.__qualname__, constants, xla, signature))
    graph = _graphs.pop(cache_key, None)
    if graph is None:
        # A concrete function: `tf.function` counts its traces over all models of a process,
        # and warns on the terminal at the fifth.
        with_autograph_off = tf.function(function, autograph=False, jit_compile=xla)
        with without_graph_rewriting(), without_collection():
            before()
            graph = with_autograph_off.get_concrete_function(*signature)

    # A graph that reads a variable itself, instead of taking its value, serves one model.
    reads_variable = any(tensor.dtype == tf.resource for tensor in graph.captured_inputs)
    if key is not None and not reads_variable:
        _graphs[cache_key] = graph
        if len(_graphs) > _MAX_GRAPHS:
            _graphs.popitem(last=False)  # the one that was not used for longest

    def call(*arguments: Any) -> Any:
        with without_graph_rewriting():
            return graph(*arguments)

    return call


def free_widths(
    signature: Sequence[tf.TensorSpec], key: GraphKey | None
) -> list[tf.TensorSpec]:
    """Returns the signature of stateless variables, with None for each width that is open."""
    widths = key.widths if key else frozenset()
    return [
        tf.TensorSpec([None if size in widths else size for size in spec.shape], spec.dtype)
        for spec in signature
    ]
