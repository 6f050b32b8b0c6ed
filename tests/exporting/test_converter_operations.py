"""What an ONNX or LiteRT model may do when it is asked: compute."""

import shutil

import onnx
import pytest

from kfc.exporting.converter_operations import unlisted_in_litert, unlisted_in_onnx


@pytest.fixture
def changed(exported, tmp_path):
    """The folder of an export whose ONNX model is another."""

    def made(change):
        folder = shutil.copytree(exported("table", "onnx").path, tmp_path / "1")
        model = onnx.load(folder / "model.onnx")
        change(model)
        (folder / "model.onnx").write_bytes(model.SerializeToString())
        return folder

    return made


def external(model):
    tensor = model.graph.initializer[0]
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")


CHANGES = {
    "weights in other files": external,
    "Loop": lambda model: model.graph.node.add(op_type="Loop"),
    "com.microsoft:Inverse": lambda model: model.graph.node.add(
        op_type="Inverse", domain="com.microsoft"
    ),
    "ModelProto.functions": lambda model: model.functions.add(name="f"),
    "GraphProto.sparse_initializer": lambda model: model.graph.sparse_initializer.add(),
}


@pytest.mark.parametrize("kind", ["table", "quantiles", "members", "periodic", "piecewise"])
def test_exports_of_ours_hold_nothing_else(exported, kind):
    assert unlisted_in_onnx(exported(kind, "onnx").path) == []
    assert unlisted_in_litert(exported(kind, "litert").path) == []


@pytest.mark.parametrize("found", CHANGES)
def test_what_no_onnx_export_has_is_named(found, changed):
    assert unlisted_in_onnx(changed(CHANGES[found])) == [found]


@pytest.mark.parametrize("size", [0, 4, 40, 400])
def test_what_is_no_model_is_said_to_be_none(size, tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"\xff" * (size or 1))
    (tmp_path / "model.tflite").write_bytes(b"\xff" * size)
    assert "cannot be read" in unlisted_in_onnx(tmp_path)[0]
    assert "cannot be read" in unlisted_in_litert(tmp_path)[0]


def test_an_operation_of_a_runtime_s_plug_in_is_named(exported, tmp_path):
    from ai_edge_litert import schema_py_generated as schema
    from flatbuffers import Builder

    model = schema.ModelT()
    model.version, model.operatorCodes = 3, [schema.OperatorCodeT()]
    code = model.operatorCodes[0]
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    code.customCode = "FlexWriteFile"
    builder = Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    (tmp_path / "model.tflite").write_bytes(bytes(builder.Output()))
    assert unlisted_in_litert(tmp_path) == ["CUSTOM"]
