"""Check of a SavedModel from elsewhere: it may hold only listed operations.

TensorFlow runs every operation of a graph, and some operations write files, read them, connect
to other machines or call back into Python. So the operations that an export of kfc can contain
are listed here, and a test exports everything that a spec can ask for, to keep the list short
and complete. An operation that is not listed is reported, even if nothing calls it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from kfc.compat import attributes_of_operation, saved_model_proto

GRAPH = frozenset(
    {
        *("AssignVariableOp", "Const", "HashTableV2", "NoOp", "Placeholder"),
        *("ReadVariableOp", "StatefulPartitionedCall", "VarHandleOp", "VarIsInitializedOp"),
    }
)
"""Operations of the graph itself: its variables, its inputs and calls of its functions."""

COMPUTE = frozenset(
    {
        *("Abs", "AddV2", "All", "ArgMax", "BatchMatMulV2", "BiasAdd", "BroadcastTo", "Cast"),
        *("ConcatV2", "Const", "Cos", "Cumsum", "Elu", "Equal", "Erfc", "Exp", "ExpandDims"),
        *("Expm1", "Floor"),
        *("FloorDiv", "FloorMod", "GatherV2", "Greater", "GreaterEqual", "HashTableV2"),
        *("Identity", "IdentityN", "IsInf", "IsNan", "LeakyRelu", "Less", "LessEqual"),
        *("Log", "LogSoftmax", "LogicalAnd", "LogicalNot", "LogicalOr", "LookupTableFindV2"),
        *("LookupTableImportV2", "MatMul", "Max", "Maximum", "Mean", "Minimum", "Mul", "Neg"),
        *("NoOp", "Pack", "Pow", "Prod", "RaggedTensorToTensor", "Range", "ReadVariableOp"),
        *("RealDiv", "Relu", "Relu6", "Reshape", "Rsqrt", "SelectV2", "Selu", "Shape"),
        *(
            "Sigmoid",
            "Softmax",
            "Softplus",
            "Softsign",
            "Split",
            "Sqrt",
            "Square",
            "SquaredDifference",
        ),
        *("StatefulPartitionedCall", "StopGradient", "StridedSlice", "Sub", "Sum", "Tanh"),
        *("TopKV2", "Transpose", "UnicodeDecode", "UnicodeEncode", "Unpack", "ZerosLike"),
    }
)
"""Operations of a function that predicts, or that fills a table of categories.

The content of such a table is a constant of the graph; the operation that reads it from a file
is not listed.
"""

SAVE = frozenset(
    {
        *("Const", "DisableCopyOnRead", "Identity", "MergeV2Checkpoints", "NoOp", "Pack"),
        *("ReadVariableOp", "SaveV2", "Select", "ShardedFilename", "StaticRegexFullMatch"),
        "StringJoin",
    }
)
"""Operations of the function that saves variables, which only the saver may call."""

RESTORE = frozenset({"AssignVariableOp", "Const", "Identity", "NoOp", "RestoreV2"})
"""Operations of the function that restores variables, which only the saver may call."""

_PRIVATE = frozenset(
    {
        *("_class", "_collective_manager_ids", "_gradient_op_type", "_output_shapes"),
        *("_has_manual_control_dependencies", "_read_only_resource_inputs"),
    }
)
"""Attributes that tracing adds to the attributes which TensorFlow declares."""

_FIELDS = {
    "SavedModel": {"meta_graphs", "saved_model_schema_version"},
    "MetaGraphDef": {
        *("collection_def", "graph_def", "meta_info_def", "object_graph_def", "saver_def"),
        "signature_def",
    },
    "MetaInfoDef": {
        *("stripped_default_attrs", "stripped_op_list", "tags", "tensorflow_git_version"),
        "tensorflow_version",
    },
    "GraphDef": {"library", "node", "versions"},
    "FunctionDefLibrary": {"function"},
    "FunctionDef": {"arg_attr", "attr", "control_ret", "node_def", "ret", "signature"},
    "SavedObject": {
        *("bare_concrete_function", "children", "constant", "dependencies", "function"),
        *("registered_name", "resource", "user_object", "variable"),
    },
}
"""Name of a message of TensorFlow -> the fields that an export of kfc fills in."""

_FUNCTION_ATTRIBUTES = frozenset({"_construction_context", "_input_shapes"})
_OBJECTS = frozenset({"_generic_user_object", "signature_map", "trackable_list_wrapper"})
_SIGNATURES = frozenset({"__saved_model_init_op", "rows", "serving_default"})
_FILES = re.compile(
    r"saved_model\.pb|fingerprint\.pb|card\.md|certificate\.json|assets/labels\.txt|"
    r"variables/variables\.(index|data-00000-of-00001)|"
    r"assets\.extra/(request\.json|tf_serving_warmup_requests)"
)
_DEVICE = re.compile(
    r"(/job:localhost/replica:0/task:0)?/device:[CG]PU:([0-9]+|\*)|", re.IGNORECASE
)
_TYPES = frozenset({1, 2, 3, 4, 5, 6, 7, 9, 10, 14, 17, 19, 22, 23})
"""TensorFlow's numbers of dtypes: numbers, text and booleans, but no resources or variants."""
_TEXT = frozenset({7})
_LARGEST_CONSTANT = 1 << 27
"""Most elements of one constant: a few bytes of a file can stand for any number of them."""


def unlisted_in_saved_model(folder: Path) -> list[str]:
    """Returns the operations of a SavedModel that an export of kfc does not hold, sorted.

    Args:
        folder: Folder of the file `saved_model.pb`.

    Returns:
        Names of operations, and descriptions of other content, such as files and signatures;
        empty if the SavedModel only computes.
    """
    from google.protobuf.message import DecodeError

    files = (path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    found = {
        f"the file {name}"
        for name in files
        if not (folder / name).is_dir() and not _FILES.fullmatch(name)
    }
    model = saved_model_proto()
    try:
        model.ParseFromString((folder / "saved_model.pb").read_bytes())
    except (OSError, DecodeError) as error:
        return sorted({*found, f"a saved_model.pb that cannot be read ({error})"})
    known = saved_model_proto()
    known.CopyFrom(model)
    known.DiscardUnknownFields()
    if known.ByteSize() != model.ByteSize():
        found.add("fields that this TensorFlow does not know")
    if len(model.meta_graphs) != 1:
        found.add(f"{len(model.meta_graphs)} meta graphs")
    found.update(_unlisted_fields(model))
    for graph in model.meta_graphs:
        found.update(_of_meta_graph(graph))
        found.update(_of_saver(graph))
        found.update(_of_objects(graph.object_graph_def))
    return sorted(found)


def _unlisted_fields(message: Any) -> Iterator[str]:
    name = message.DESCRIPTOR.name
    for field, _ in message.ListFields():
        if field.name not in _FIELDS[name]:
            yield f"{name}.{field.name}"


def _of_meta_graph(graph: Any) -> Iterator[str]:
    yield from _unlisted_fields(graph)
    yield from _unlisted_fields(graph.meta_info_def)
    yield from _unlisted_fields(graph.graph_def)
    library = graph.graph_def.library
    yield from _unlisted_fields(library)
    if list(graph.meta_info_def.tags) != ["serve"]:
        yield "other tags than serve"
    yield from (f"the signature {name}" for name in {*graph.signature_def} - _SIGNATURES)
    saved, restored = _saver_functions(graph)
    yield from _of_nodes(graph.graph_def.node, GRAPH)
    for function in library.function:
        yield from _unlisted_fields(function)
        unknown = {*function.attr} - _FUNCTION_ATTRIBUTES
        yield from (f"the attribute {name} of a function" for name in unknown)
        name = function.signature.name
        listed = SAVE if name == saved else RESTORE if name == restored else COMPUTE
        yield from _of_nodes(function.node_def, listed)


def _of_nodes(nodes: Iterable[Any], listed: frozenset[str]) -> Iterator[str]:
    """Yields operations that are not listed, and unknown attributes of listed ones."""
    for node in nodes:
        if node.op not in listed:
            yield node.op
            continue
        for name in {*node.attr} - attributes_of_operation(node.op) - _PRIVATE:
            yield f"the attribute {name} of {node.op}"
        if not _DEVICE.fullmatch(node.device):
            yield f"the device {node.device}"
        if node.op == "Const" and "value" in node.attr:
            constant = node.attr["value"].tensor
            sizes = [dim.size for dim in constant.tensor_shape.dim]
            if constant.dtype not in _TYPES or _product(sizes) > _LARGEST_CONSTANT:
                yield f"a constant of type {constant.dtype} and shape {sizes}"


def _product(sizes: list[int]) -> int:
    total = 1
    for size in sizes:
        total *= max(size, 0)
    return total


def _saver_nodes(graph: Any) -> tuple[str, str]:
    """Returns the names of the nodes that save and restore; each is "" if there is none."""
    saver = graph.saver_def
    return saver.save_tensor_name.partition(":")[0], saver.restore_op_name


def _saver_functions(graph: Any) -> tuple[str, str]:
    """Returns the names of the functions that those nodes call."""
    called = {
        node.name: node.attr["f"].func.name
        for node in graph.graph_def.node
        if "f" in node.attr  # a look-up would insert it
    }
    save, restore = _saver_nodes(graph)
    return called.get(save, ""), called.get(restore, "")


def _of_saver(graph: Any) -> Iterator[str]:
    """Yields nodes and signatures that run the nodes which only the saver may run."""
    nodes, functions = {*_saver_nodes(graph)} - {""}, {*_saver_functions(graph)} - {""}
    objects = graph.object_graph_def
    named = {*objects.concrete_functions}
    for each in objects.nodes:
        named.update(each.function.concrete_functions)
        named.add(each.bare_concrete_function.concrete_function_name)
    inner = [node for each in graph.graph_def.library.function for node in each.node_def]
    for node in graph.graph_def.node:
        if any(_node_of(name) in nodes for name in node.input):
            yield f"{node.op}, which runs the saver"
        if node.name not in nodes:
            inner.append(node)
    for node in inner:
        named.update(_called(node.attr))
    for signature in graph.signature_def.values():
        tensors = (*signature.inputs.values(), *signature.outputs.values())
        if any(_node_of(tensor.name) in nodes for tensor in tensors):
            yield "a signature that runs the saver"
    yield from (f"{name}, which is the saver's, in use" for name in named & functions)
    kinds = {node.name: node.op for node in graph.graph_def.node}
    for key, value in graph.collection_def.items():
        at_start = [kinds.get(_node_of(name)) for name in value.node_list.value]
        if key != "saved_model_main_op" or at_start != ["NoOp"]:
            yield f"the collection {key}"


def _node_of(name: str) -> str:
    """Returns the name of a node from its tensor, `node:0`, or control input, `^node`."""
    return name.removeprefix("^").partition(":")[0]


def _called(attributes: Any) -> Iterator[str]:
    """Yields the names of functions in attributes, and in the functions' attributes."""
    for value in attributes.values():
        for function in (value.func, *value.list.func):
            if function.name:
                yield function.name
            yield from _called(function.attr)


def _of_objects(objects: Any) -> Iterator[str]:
    """Yields objects that loading would create, but that no export of kfc has."""
    if not objects.nodes:
        yield "no table of objects, so that TensorFlow 1 would load it"
    for each in objects.nodes:
        yield from _unlisted_fields(each)
        kind = each.WhichOneof("kind")
        if kind == "user_object" and each.user_object.identifier not in _OBJECTS:
            yield f"the object {each.user_object.identifier}"
        if each.registered_name and (kind, each.registered_name) not in _REGISTERED:
            yield f"the registered object {each.registered_name}"
        if kind == "resource" and (each.resource.device or not each.registered_name):
            yield f"a resource on {each.resource.device or 'no table'}"
        variable = each.variable
        if kind == "variable" and (variable.dtype not in _TYPES - _TEXT or variable.device):
            yield f"a variable of type {variable.dtype} on {variable.device or 'any device'}"


_REGISTERED = {("constant", "tf.TrackableConstant"), ("resource", "tf.StaticHashTable")}
