"""A SavedModel of somebody's -> refused where its graph does more than compute.

TensorFlow runs whatever operations the graph holds, and some of them write files, read them,
or call back into Python.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from kfc.errors import CheckpointError, Fault

_STATEFUL = frozenset(
    {
        *("AssignVariableOp", "Placeholder", "ReadVariableOp", "StatefulPartitionedCall"),
        *("VarHandleOp", "VarIsInitializedOp"),
    }
)
"""Operations with an effect that an export needs; all others with one are refused."""

_READING = frozenset({"MatchingFiles", "PyFuncStateless", "ReadFile"})
"""Operations that TensorFlow counts among those without an effect, and are more than sums."""


def check_graph(folder: Path) -> None:
    """Refuses a SavedModel whose functions hold an operation that is no computation.

    The functions that save and restore variables are left out, where nothing else calls them:
    loading a model does not run them.

    Args:
        folder: With `saved_model.pb`.

    Raises:
        CheckpointError: With the operations, or if the file cannot be read.
    """
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    model = saved_model_pb2.SavedModel()
    try:
        model.ParseFromString((folder / "saved_model.pb").read_bytes())
    except (OSError, DecodeError) as error:
        raise _refused(folder, f"one that cannot be read ({error})") from error
    found = {
        op for graph in model.meta_graphs for op in _operations(graph) if not _is_pure(op)
    }
    if found:
        raise _refused(folder, f"one with {', '.join(sorted(found))}")


def _operations(graph: Any) -> Iterator[str]:
    """Yields the operations of everything but what only saves and restores variables."""
    saver = {graph.saver_def.save_tensor_name, graph.saver_def.restore_op_name}
    saver = {name.partition(":")[0] for name in saver}
    nodes = [node for node in graph.graph_def.node if node.name not in saver]
    functions = {each.signature.name: each for each in graph.graph_def.library.function}
    pending = [*graph.object_graph_def.concrete_functions, *_called(nodes)]
    yield from (node.op for node in nodes)
    seen: set[str] = set()
    while pending:
        name = pending.pop()
        if name not in seen and name in functions:
            seen.add(name)
            inner = functions[name].node_def
            pending += _called(inner)
            yield from (node.op for node in inner if node.op not in functions)
            pending += (node.op for node in inner)


def _called(nodes: Iterable[Any]) -> Iterator[str]:
    """Yields the names of functions in the attributes of nodes."""
    for node in nodes:
        for value in node.attr.values():
            yield from (each.name for each in (value.func, *value.list.func) if each.name)


def _is_pure(op: str) -> bool:
    from tensorflow.python.framework import op_def_registry

    known = op_def_registry.get(op)
    if known is None or op in _READING:
        return False
    return op in _STATEFUL or not known.is_stateful


def _refused(folder: Path, got: str) -> CheckpointError:
    remedy = "Export the run again with `kfc export`, or get the model from who made it."
    return CheckpointError(Fault(str(folder), "a graph that only computes", got, remedy))
