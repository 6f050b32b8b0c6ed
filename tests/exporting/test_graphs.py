"""What a SavedModel may do when it is asked: compute."""

import json
import shutil

import pytest
import tensorflow as tf

import kfc
from kfc import record
from kfc.errors import CheckpointError
from kfc.exporting.exported import load_export
from kfc.exporting.graphs import check_graph
from kfc.exporting.versions import CERTIFICATE, sha256s


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
}


@pytest.mark.parametrize("op", ATTACKS)
def test_a_graph_that_does_more_than_compute_is_refused(tmp_path, op):
    with pytest.raises(CheckpointError, match=rf"a graph that only computes, got .*{op}"):
        check_graph(save(tmp_path, ATTACKS[op]))


def test_a_graph_is_looked_through_to_its_last_function(tmp_path):
    with pytest.raises(CheckpointError, match="WriteFile"):
        check_graph(save(tmp_path, inner))


def test_a_graph_that_computes_is_none_the_worse_for_its_saver(tmp_path):
    check_graph(save(tmp_path, lambda value: value + 1))


def test_what_is_no_graph_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="cannot be read"):
        check_graph(tmp_path)
    (tmp_path / "saved_model.pb").write_bytes(b"\xff" * 40)
    with pytest.raises(CheckpointError, match="cannot be read"):
        check_graph(tmp_path)


def test_a_sealed_export_of_somebody_else_s_is_refused(exported, tmp_path, monkeypatch):
    folder = shutil.copytree(exported("table", "saved_model").path, tmp_path / "1")
    load_export(folder)
    for name in ("variables", "saved_model.pb", "fingerprint.pb"):
        place = folder / name
        shutil.rmtree(place) if place.is_dir() else place.unlink()
    save(tmp_path / "evil", ATTACKS["WriteFile"])
    shutil.copytree(tmp_path / "evil", folder, dirs_exist_ok=True)
    facts = json.loads((folder / CERTIFICATE).read_text())
    del facts["sha256"]
    sealed = record.sealed({**facts, "files": sha256s(folder)})
    (folder / CERTIFICATE).write_text(record.as_json(sealed))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(kfc.CheckpointError, match="WriteFile"):
        load_export(folder)
    assert not (tmp_path / "evil.txt").exists()
