"""An ONNX or LiteRT model of somebody's -> what it holds that none of ours does.

Neither runtime has an operation that writes files, but a model may name other files to be read
as its weights, and operations of a plug-in of the runtime's. So both have a list, like that of
`kfc.exporting.graph_check`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

ONNX = frozenset(
    {
        *("Abs", "Add", "And", "BatchNormalization", "Cast", "Clip", "Concat", "Constant"),
        *("ConstantOfShape", "CumSum", "Div", "Elu", "Equal", "Erf", "Exp", "Expand"),
        *("Flatten", "Gather", "Gemm", "Greater", "GreaterOrEqual", "Identity", "LeakyRelu"),
        *("Less", "LessOrEqual", "Log", "LogSoftmax", "MatMul", "Max", "Min", "Mul", "Neg"),
        *("Not", "Or", "Pow", "Range", "Reciprocal", "ReduceMax", "ReduceMean", "ReduceMin"),
        *("ReduceSum", "Relu", "Reshape", "Selu", "Shape", "Sigmoid", "Slice", "Softmax"),
        *("Softplus", "Softsign", "Sqrt", "Squeeze", "Sub", "Tanh", "TopK", "Transpose"),
        *("Unsqueeze", "Where"),
    }
)
"""Operations of the standard domain; a few more than were met, as converters choose them."""

LITERT = frozenset(
    {
        *("ABS", "ADD", "BROADCAST_TO", "CAST", "CONCATENATION", "CUMSUM", "DIV", "ELU"),
        *("EQUAL", "EXP", "EXPAND_DIMS", "FILL", "FULLY_CONNECTED", "GATHER", "GELU"),
        *("GREATER", "GREATER_EQUAL", "HARD_SWISH", "LEAKY_RELU", "LESS", "LESS_EQUAL", "LOG"),
        *("LOGICAL_AND", "LOGICAL_NOT", "LOGICAL_OR", "LOGISTIC", "LOG_SOFTMAX", "MAXIMUM"),
        *("MEAN", "MINIMUM", "MUL", "NEG", "NOT_EQUAL", "PACK", "POW", "RANGE", "REDUCE_ALL"),
        *("REDUCE_MAX", "REDUCE_MIN", "RELU", "RELU6", "RELU_0_TO_1", "RELU_N1_TO_1"),
        *("RESHAPE", "RSQRT", "SELECT_V2", "SHAPE", "SOFTMAX", "SQRT", "SQUARE"),
        *("SQUARED_DIFFERENCE", "SQUEEZE", "STRIDED_SLICE", "SUB", "SUM", "TANH", "TOPK_V2"),
        *("TRANSPOSE", "ZEROS_LIKE"),
    }
)
"""Built-in operations, by their names in LiteRT's schema."""

_FIELDS = {
    "ModelProto": {"graph", "ir_version", "opset_import", "producer_name", "producer_version"},
    "GraphProto": {
        "doc_string",
        "initializer",
        "input",
        "name",
        "node",
        "output",
        "value_info",
    },
}
"""Message of ONNX's -> the fields that an export of ours fills in."""


def unlisted_in_onnx(folder: Path) -> list[str]:
    """Returns what `model.onnx` holds that an export of ours does not, sorted.

    Args:
        folder: With `model.onnx`.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(folder / "model.onnx", load_external_data=False)
    except (OSError, DecodeError) as error:
        return [f"a model.onnx that cannot be read ({error})"]
    return sorted({*_of_onnx(model)})


def _of_onnx(model: Any) -> Iterator[str]:
    for message in (model, model.graph):
        name = message.DESCRIPTOR.name
        for field, _ in message.ListFields():
            if field.name not in _FIELDS[name]:
                yield f"{name}.{field.name}"
    tensors = [*model.graph.initializer]
    for node in model.graph.node:
        if node.domain or node.op_type not in ONNX:
            yield f"{node.domain}:{node.op_type}" if node.domain else node.op_type
        tensors += [attribute.t for attribute in node.attribute if attribute.HasField("t")]
    if any(tensor.data_location or tensor.external_data for tensor in tensors):
        yield "weights in other files"


def unlisted_in_litert(folder: Path) -> list[str]:
    """Returns what `model.tflite` holds that an export of ours does not, sorted.

    Args:
        folder: With `model.tflite`.
    """
    from ai_edge_litert import schema_py_generated as schema

    names = {
        code: name
        for name, code in vars(schema.BuiltinOperator).items()
        if isinstance(code, int)
    }
    try:
        model = schema.Model.GetRootAs((folder / "model.tflite").read_bytes())
        found = set()
        for number in range(model.OperatorCodesLength()):
            entry = model.OperatorCodes(number)
            # The older field holds the numbers that fit into it.
            code = max(entry.BuiltinCode(), entry.DeprecatedBuiltinCode())
            found.add(names.get(code, f"operation {code}"))
        found -= LITERT
        if model.ExternalBufferGroupsLength() or model.ExternalBuffersLength():
            found.add("weights in other files")
    # Its reader follows offsets wherever they point, and raises whatever that gives.
    except Exception as error:
        return [f"a model.tflite that cannot be read ({type(error).__name__})"]
    return sorted(found)
