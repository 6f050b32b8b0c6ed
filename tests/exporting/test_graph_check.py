"""What a SavedModel may do when it is loaded and asked: compute."""

import dataclasses
import json
import shutil

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

import kfc
from kfc import spec
from kfc.data import TableTask, Task
from kfc.exporting import graph_check
from kfc.exporting.formats import write_saved_model
from kfc.exporting.graph_check import unlisted_in_saved_model
from kfc.exporting.loaded_export import load_export
from kfc.exporting.versions import CERTIFICATE, file_sha256s
from kfc.network import averaged_network, building
from kfc.preprocessing import (
    NumberBins,
    NumericScaling,
    TableEncoding,
    TargetScaling,
    fit_scaling,
)
from kfc.runs import result_file
from kfc.spec import CategoriesSpec, ColumnSpec, CsvSpec
from kfc.spec.keras_signatures import signatures

CLASSES = ("a", "b", "c")
COLUMNS = ("p", "q", "r", "s")


def read(folder):
    model = saved_model_pb2.SavedModel()
    model.ParseFromString((folder / "saved_model.pb").read_bytes())
    return model


def built(folder, network_of_spec, task, **training):
    """An export, of no run, of a network that is not trained."""
    checked = spec.load_spec({"network": network_of_spec, "training": training})
    folder.mkdir()
    write_saved_model(building.build(checked, task), task, folder)
    return folder


def averaged(folder):
    """An export of the average of two untrained networks of arrays."""
    folder.mkdir()
    networks = [building.build(spec.load_spec({"seed": seed}), task_of()) for seed in (0, 1)]
    average = averaged_network(networks, task_of(), joint=False)
    write_saved_model(average, task_of(), folder)
    return folder


def task_of(
    scale="standard", labels=CLASSES, dtype="float32", outputs=1, feature_names=COLUMNS
):
    x = np.random.default_rng(0).integers(0, 256, (50, 4)).astype(dtype)
    inputs = fit_scaling(scale, x)
    targets = TargetScaling.fit("standard", x[:, :outputs])
    return Task((4,), dtype, labels, outputs, inputs, targets, feature_names)


def with_bins(task):
    bins = NumberBins.from_config({"edges": [[0, 1, 2], [0, 1], [0], [-1, 0, 1]]})
    return dataclasses.replace(task, number_bins=bins)


def table_task():
    """A table with each type of column, with and without gaps."""
    columns = {
        "number": pa.array([1.0, None, 3.0]),
        "complete": pa.array([1.0, 2.0, 3.0]),
        "flag": pa.array([True, False, None]),
        "agreed": pa.array([True, False, True]),
        "day": pa.array([0, 10**15, None], pa.timestamp("us")),
        "hour": pa.array([0, 10**10, None], pa.timestamp("us")),
        "formatted": pa.array([0, 10**15, None], pa.timestamp("us")),
        "text": pa.array(["a", "b", None]).dictionary_encode(),
        "embedded": pa.array(["a", "b", "b"]).dictionary_encode(),
        "zip": pa.array(["1", "2", "3"]).dictionary_encode(),
        "zip with gaps": pa.array(["1", "2", None]).dictionary_encode(),
    }
    columns = {name: pa.chunked_array([values]) for name, values in columns.items()}
    kinds = dict(zip(columns, ["number"] * 2 + ["boolean"] * 2 + ["date"] * 3, strict=False))
    specs = {name: ColumnSpec(type=kinds.get(name, "category")) for name in columns}
    specs["formatted"] = ColumnSpec(type="date", format="%d/%m/%Y %H:%M:%S")
    specs["embedded"] = ColumnSpec(type="category", encoder="embedding")
    encoding = TableEncoding.fit(columns, specs, "auto", CategoriesSpec())
    x = encoding.apply(columns)
    scaling = NumericScaling.fit("standard", x[:, : encoding.num_numbers])
    table = TableTask(specs, "y", CsvSpec(), "slot", encoding)
    return Task(x.shape[1:], "float32", CLASSES, scaling=scaling, table=table)


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """Exports that together hold whatever a spec can ask for."""
    folder = tmp_path_factory.mktemp("graphs")
    needed = {"threshold": {"threshold": 0.1, "default_value": 0.2}}
    activations = [
        {"name": name, **needed.get(name, {})} for name in sorted(signatures("activation"))
    ]
    activations += [
        {"name": "elu", "alpha": 0.5},
        {"name": "leaky_relu", "negative_slope": 0.3},
        {"name": "relu", "max_value": 6.0, "threshold": 1.0, "negative_slope": 0.1},
        {"name": "celu", "alpha": 2.0},
    ]
    hidden = [{"units": 4, "activation": activation} for activation in activations]
    hidden += [{"units": 4, "normalization": kind} for kind in ("batch", "layer")]
    hidden += [{"units": 4, "parametric_activation": True}]
    small = {"hidden": [3, 3], "block": "residual", "dropout": 0.2}
    bfloat16 = {"precision": "bfloat16"}
    one_logit = {"loss": "binary_crossentropy"}
    pixels = task_of("unit", CLASSES[:2], "uint8", feature_names=())
    pieces = {"hidden": [3], "numeric_embedding": "piecewise_linear"}
    return [
        built(folder / "pieces", pieces, with_bins(task_of(feature_names=()))),
        built(
            folder / "classes",
            {"hidden": hidden, "input_scale": True, "numeric_embedding": "periodic_linear"},
            task_of(feature_names=()),
        ),
        built(folder / "values", small, task_of("none", (), outputs=2), **bfloat16),
        built(folder / "value", small, task_of("centered", ())),
        built(folder / "quantiles", small, task_of("quantile", feature_names=())),
        built(folder / "pixels", small, pixels, **one_logit),
        built(folder / "table", small, table_task()),
        averaged(folder / "average"),
        built(folder / "members", {"hidden": [3], "members": 2}, task_of(feature_names=())),
    ]


def operations(folder):
    (graph,) = read(folder).meta_graphs
    found = {"graph": {node.op for node in graph.graph_def.node}}
    for function in graph.graph_def.library.function:
        name = function.signature.name
        place = next((p for p in ("save", "restore") if f"_traced_{p}" in name), "compute")
        found.setdefault(place, set()).update(node.op for node in function.node_def)
    return found


def test_whatever_a_spec_can_ask_for_is_listed(everything):
    assert [unlisted_in_saved_model(folder) for folder in everything] == [[]] * len(everything)


def test_the_lists_hold_what_some_export_needs_and_no_more(everything):
    found = {}
    for folder in everything:
        for place, names in operations(folder).items():
            found[place] = found.get(place, set()) | names
    assert found == {
        "graph": graph_check.GRAPH,
        "compute": graph_check.COMPUTE,
        "save": graph_check.SAVE,
        "restore": graph_check.RESTORE,
    }


class Model(tf.Module):
    """A model that does something besides adding."""

    def __init__(self, does):
        super().__init__()
        self.weight = tf.Variable(2.0)
        self._does = does

    @tf.function(input_signature=[tf.TensorSpec([None, 4])])
    def serve(self, features):
        value = self.weight * tf.reduce_sum(features, axis=1)
        with tf.control_dependencies([self._does(value)]):
            return {"value": tf.identity(value)}


def save(folder, does):
    model = Model(does)
    tf.saved_model.save(model, str(folder), signatures={"serving_default": model.serve})
    return folder


def inner(value):
    """The same, a function further down, behind a condition."""

    @tf.function
    def write():
        tf.io.write_file("evil", "x")
        return 1

    return tf.cond(tf.reduce_sum(value) > 0, write, lambda: 0)


def cached(value):
    rows = tf.data.Dataset.from_tensor_slices(["x"])._variant_tensor
    return tf.raw_ops.CacheDataset(
        input_dataset=rows, filename="evil", output_types=[tf.string], output_shapes=[[]]
    )


ATTACKS = {
    "WriteFile": lambda value: tf.io.write_file("evil", "x"),
    "ReadFile": lambda value: tf.io.read_file("/etc/passwd"),
    "MatchingFiles": lambda value: tf.io.matching_files("/*"),
    "EagerPyFunc": lambda value: tf.py_function(lambda x: x, [value], tf.float32),
    "PrintV2": lambda value: tf.print(value),
    "SaveV2": lambda value: tf.raw_ops.SaveV2(
        prefix="evil", tensor_names=["x"], shape_and_slices=[""], tensors=[value]
    ),
    "RestoreV2": lambda value: tf.raw_ops.RestoreV2(
        prefix="evil", tensor_names=["x"], shape_and_slices=[""], dtypes=[tf.float32]
    )[0],
    "DebugIdentity": lambda value: tf.raw_ops.DebugIdentity(
        input=value, debug_urls=["file:///evil"]
    ),
    "CacheDataset": cached,
    "GenerateVocabRemapping": lambda value: tf.raw_ops.GenerateVocabRemapping(
        new_vocab_file="/etc/passwd",
        old_vocab_file="/etc/passwd",
        new_vocab_offset=0,
        num_new_vocab=3,
    )[0],
    "VarHandleOp": lambda value: tf.raw_ops.AssignVariableOp(
        resource=tf.raw_ops.VarHandleOp(dtype=tf.float32, shape=[]), value=1.0
    ),
}


@pytest.mark.parametrize("op", ATTACKS)
def test_an_operation_that_no_export_has_is_found_by_name(tmp_path, op):
    assert op in unlisted_in_saved_model(save(tmp_path, ATTACKS[op]))


def test_a_graph_is_looked_through_to_its_last_function(tmp_path):
    assert "WriteFile" in unlisted_in_saved_model(save(tmp_path, inner))


def test_a_graph_that_computes_is_none_the_worse_for_its_saver(tmp_path):
    assert unlisted_in_saved_model(save(tmp_path, lambda value: value + 1)) == []


def test_a_function_that_nothing_calls_is_looked_at_all_the_same(tmp_path):
    folder = save(tmp_path, ATTACKS["WriteFile"])
    model = read(folder)
    (graph,) = model.meta_graphs
    graph.object_graph_def.concrete_functions.clear()
    for each in graph.object_graph_def.nodes:
        del each.function.concrete_functions[:]
        if each.WhichOneof("kind") == "function" and not each.function.ByteSize():
            each.ClearField("function")
    kept = [node for node in graph.graph_def.node if "PartitionedCall" not in node.op]
    del graph.graph_def.node[:]
    graph.graph_def.node.extend(kept)
    (folder / "saved_model.pb").write_bytes(model.SerializeToString())
    assert "WriteFile" in unlisted_in_saved_model(folder)


def test_what_tensorflow_1_would_load_is_refused_with_its_restore_operation(tmp_path):
    builder = tf.compat.v1.saved_model.Builder(str(tmp_path / "v1"))
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.compat.v1.get_variable("v", initializer=1.0)
        session.run(tf.compat.v1.global_variables_initializer())
        builder.add_meta_graph_and_variables(session, ["serve"])
    builder.save()
    found = unlisted_in_saved_model(tmp_path / "v1")
    assert {"SaveV2", "RestoreV2"} < {*found}
    assert "no table of objects, so that TensorFlow 1 would load it" in found


def saver_as_signature(graph):
    node = graph.saver_def.save_tensor_name
    graph.signature_def["serving_default"].outputs["label"].name = node


def saver_as_function(graph):
    node = graph.saver_def.save_tensor_name.partition(":")[0]
    (call,) = (each for each in graph.graph_def.node if each.name == node)
    graph.object_graph_def.concrete_functions[call.attr["f"].func.name].SetInParent()


def saver_at_start(graph):
    (start,) = (node for node in graph.graph_def.node if node.op == "NoOp")
    start.input.append("^" + graph.saver_def.save_tensor_name.partition(":")[0])


def saver_for_a_variable(graph):
    variable = next(n for n in graph.object_graph_def.nodes if n.HasField("variable"))
    variable.saveable_objects["x"].restore_function = 1


def function_that_writes(graph):
    node = graph.graph_def.library.function[0].node_def.add()
    node.op = node.name = "WriteFile"


def constant_of(count):
    def change(graph):
        node = graph.graph_def.node.add(name="large", op="Const")
        node.attr["value"].tensor.dtype = 1
        node.attr["value"].tensor.tensor_shape.dim.add(size=count)

    return change


CHANGES = {
    "2 meta graphs": None,  # made by the test
    "WriteFile": function_that_writes,
    "fields that this TensorFlow does not know": lambda g: g.graph_def.node[0].MergeFromString(
        b"\xba\x3e\x01x"
    ),
    "FunctionDefLibrary.registered_gradients": lambda g: (
        g.graph_def.library.registered_gradients.add(gradient_func="f")
    ),
    "FunctionDefLibrary.gradient": lambda g: g.graph_def.library.gradient.add(
        function_name="f"
    ),
    "MetaGraphDef.asset_file_def": lambda g: g.asset_file_def.add(filename="x"),
    "MetaInfoDef.function_aliases": lambda g: g.meta_info_def.function_aliases.update(a="b"),
    "other tags than serve": lambda g: g.meta_info_def.tags.append("gpu"),
    "the signature more": lambda g: g.signature_def["more"].SetInParent(),
    "the collection queue_runners": lambda g: g.collection_def["queue_runners"].SetInParent(),
    "the collection saved_model_main_op": lambda g: g.collection_def[
        "saved_model_main_op"
    ].node_list.value.append("StatefulPartitionedCall"),
    "a signature that runs the saver": saver_as_signature,
    ", which is the saver's, in use": saver_as_function,
    "NoOp, which runs the saver": saver_at_start,
    "SavedObject.saveable_objects": saver_for_a_variable,
    "no table of objects, so that TensorFlow 1 would load it": lambda g: g.ClearField(
        "object_graph_def"
    ),
    "SavedObject.registered_saver": lambda g: setattr(
        g.object_graph_def.nodes[0], "registered_saver", "x"
    ),
    "the registered object mine": lambda g: setattr(
        g.object_graph_def.nodes[0], "registered_name", "mine"
    ),
    "the object _tf_keras_layer": lambda g: setattr(
        g.object_graph_def.nodes[0].user_object, "identifier", "_tf_keras_layer"
    ),
    "a resource on no table": lambda g: g.object_graph_def.nodes.add().resource.SetInParent(),
    "SavedObject.asset": lambda g: g.object_graph_def.nodes.add().asset.SetInParent(),
    "a variable of type 21 on any device": lambda g: setattr(
        g.object_graph_def.nodes.add().variable, "dtype", 21
    ),
    "the device /job:worker": lambda g: setattr(g.graph_def.node[0], "device", "/job:worker"),
    "the attribute _evil of ": lambda g: setattr(g.graph_def.node[0].attr["_evil"], "b", True),
    "a constant of type 1 and shape [1000000000]": constant_of(10**9),
}


@pytest.mark.parametrize("found", CHANGES)
def test_what_no_export_has_is_found_wherever_it_is(found, everything, tmp_path):
    model = read(everything[2])
    if CHANGES[found] is None:
        model.meta_graphs.add().CopyFrom(model.meta_graphs[0])
    else:
        CHANGES[found](model.meta_graphs[0])
    (tmp_path / "saved_model.pb").write_bytes(model.SerializeToString())
    assert any(found in each for each in unlisted_in_saved_model(tmp_path))


@pytest.mark.parametrize("name", ["saved_model.pbtxt", "assets/words.txt", "evil.so"])
def test_a_file_that_no_export_has_is_named(name, everything, tmp_path):
    folder = shutil.copytree(everything[2], tmp_path / "1")
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("")
    assert unlisted_in_saved_model(folder) == [f"the file {name}"]


def test_what_is_no_graph_is_said_to_be_none(tmp_path):
    assert "cannot be read" in unlisted_in_saved_model(tmp_path)[0]
    (tmp_path / "saved_model.pb").write_bytes(b"\xff" * 40)
    assert "cannot be read" in unlisted_in_saved_model(tmp_path)[0]


def replaced(export, folder, evil):
    """A copy of an export whose SavedModel is another, sealed as if it were its own."""
    shutil.copytree(export.path, folder)
    for name in ("variables", "saved_model.pb", "fingerprint.pb"):
        place = folder / name
        shutil.rmtree(place) if place.is_dir() else place.unlink()
    shutil.copytree(evil, folder, dirs_exist_ok=True)
    facts = json.loads((folder / CERTIFICATE).read_text())
    del facts["sha256"]
    sealed = result_file.with_sha256({**facts, "files": file_sha256s(folder)})
    (folder / CERTIFICATE).write_text(result_file.as_json(sealed))
    return folder


def test_a_sealed_export_of_somebody_else_s_is_refused(exported, tmp_path, monkeypatch):
    evil = save(tmp_path / "evil", ATTACKS["WriteFile"])
    folder = replaced(exported("table"), tmp_path / "1", evil)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(kfc.CheckpointError, match=r"a model that was exported, .*WriteFile"):
        load_export(folder)


def test_a_graph_that_tensorflow_cannot_load_or_ask_is_refused(exported, table, tmp_path):
    other = save(tmp_path / "other", lambda value: value + 1)  # which answers a `value`
    folder = replaced(exported("table"), tmp_path / "1", other)
    rows = np.zeros((2, 4), "float32")
    with pytest.raises(kfc.CheckpointError, match=r"one that answers value \(2,\)"):
        load_export(folder).predict(rows)
    model = read(other)
    del model.meta_graphs[0].graph_def.library.function[:]
    (other / "saved_model.pb").write_bytes(model.SerializeToString())
    folder = replaced(exported("table"), tmp_path / "2", other)
    with pytest.raises(kfc.CheckpointError, match="one that saved_model cannot run"):
        load_export(folder).predict(rows)
