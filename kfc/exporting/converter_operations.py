"""Check of ONNX and LiteRT models from elsewhere: they may hold only listed operations.

Neither runtime has an operation that writes files, but a model may name other files as its
weights, and operations of a plug-in of the runtime. So both formats have a list, like the list
for a SavedModel in `kfc.exporting.graph_check`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

ONNX = frozenset(
    {
        *("Abs", "Add", "And", "BatchNormalization", "Cast", "Clip", "Concat", "Constant"),
        *("ConstantOfShape", "Cos", "CumSum", "Div", "Elu", "Equal", "Erf", "Exp", "Expand"),
        *("Flatten", "Gather", "Gemm", "Greater", "GreaterOrEqual", "Identity", "LeakyRelu"),
        *("Less", "LessOrEqual", "Log", "LogSoftmax", "MatMul", "Max", "Min", "Mul", "Neg"),
        *("Not", "Or", "Pow", "Range", "Reciprocal", "ReduceMax", "ReduceMean", "ReduceMin"),
        *("ReduceSum", "Relu", "Reshape", "Selu", "Shape", "Sigmoid", "Slice", "Softmax"),
        *(
            "Softplus",
            "Softsign",
            "Split",
            "Sqrt",
            "Squeeze",
            "Sub",
            "Tanh",
            "TopK",
            "Transpose",
        ),
        *("Unsqueeze", "Where"),
    }
)
"""Operations of the standard domain; a few more than tests find, since converters vary."""

LITERT = frozenset(
    {
        *("ABS", "ADD", "BROADCAST_TO", "CAST", "CONCATENATION", "COS", "CUMSUM", "DIV"),
        *("ELU", "EQUAL", "EXP", "EXPAND_DIMS", "FILL", "FULLY_CONNECTED", "GATHER", "GELU"),
        *("GREATER", "GREATER_EQUAL", "HARD_SWISH", "LEAKY_RELU", "LESS", "LESS_EQUAL", "LOG"),
        *("LOGICAL_AND", "LOGICAL_NOT", "LOGICAL_OR", "LOGISTIC", "LOG_SOFTMAX", "MAXIMUM"),
        *("MEAN", "MINIMUM", "MUL", "NEG", "NOT_EQUAL", "PACK", "POW", "RANGE", "REDUCE_ALL"),
        *("REDUCE_MAX", "REDUCE_MIN", "RELU", "RELU6", "RELU_0_TO_1", "RELU_N1_TO_1"),
        *("RESHAPE", "RSQRT", "SELECT_V2", "SHAPE", "SOFTMAX", "SPLIT", "SQRT", "SQUARE"),
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
"""Name of a message of ONNX -> the fields that an export of kfc fills in."""


def unlisted_in_onnx(folder: Path) -> list[str]:
    """Returns the operations of an ONNX model that an export of kfc does not hold, sorted.

    Args:
        folder: Folder of the file `model.onnx`.
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
    """Returns the operations of a LiteRT model that an export of kfc does not hold, sorted.

    Args:
        folder: Folder of the file `model.tflite`.
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
            # The older field holds codes up to 127 only.
            code = max(entry.BuiltinCode(), entry.DeprecatedBuiltinCode())
            found.add(names.get(code, f"operation {code}"))
        found -= LITERT
        if model.ExternalBufferGroupsLength() or model.ExternalBuffersLength():
            found.add("weights in other files")
    # The reader follows any offsets in the file, and so may raise any error.
    except Exception as error:
        return [f"a model.tflite that cannot be read ({type(error).__name__})"]
    return sorted(found)
