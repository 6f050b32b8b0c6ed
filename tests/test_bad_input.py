"""Bad input of every kind ends in one error of four parts, and nothing is trained.

A case says what is done, the exit code, and words that the message must have: the file, the
row, the column and the value where they apply.
"""

import contextlib
import gzip
import io
import json
import re
import struct
import sys
import zipfile

import numpy as np
import pandas as pd
import pytest

from kfc import registry
from kfc.cli import app
from kfc.data import prepare
from kfc.data.input_files import read_inputs
from kfc.errors import KfcError
from kfc.spec import load_spec
from kfc.spec.plain_values import shown_value

RNG = np.random.default_rng(0)
X = RNG.random((60, 4))
Y = np.arange(60) % 3
PIXELS = (RNG.random((60, 4, 4)) * 255).astype(np.uint8)
LABELS = Y.astype(np.uint8)
FRAME = pd.DataFrame(X, columns=["age", "height", "weight", "pulse"])
LONGEST_MESSAGE = 1200


def changed(values, cell, value):
    values = values.copy()
    values[cell] = value
    return values


def check_message(findings, words):
    """Checks that every finding has four parts, is printable and short, and has the words."""
    for finding in findings:
        parts = (finding.where, finding.expected, finding.got, finding.remedy)
        assert all(part.strip() for part in parts), finding
        assert str(finding).isprintable()
        assert len(str(finding)) < LONGEST_MESSAGE
    message = "\n".join(map(str, findings))
    for word in words:
        assert word in message, message


def refused(code, words, do, *arguments):
    with pytest.raises(KfcError) as caught:
        do(*arguments)
    assert caught.value.exit_code == code, caught.value
    check_message(caught.value.findings, words)


# --- specs: values -----------------------------------------------------------------------


def at(path, value):
    for key in reversed(path.split(".")):
        value = {key: value}
    return value


VALUES = [
    # path, value, words besides the path
    ("training.batch_size", 0, ["at least 1", "got 0"]),
    ("training.batch_size", True, ["an integer", "got true"]),
    ("training.batch_size", "64 MB", ["an integer", "'64 MB'", "batch_size: 32"]),
    ("training.batch_size", 1.5, ["an integer", "1.5"]),
    ("training.batch_size", 2**40, ["below"]),
    ("training.epochs", 0, ["at least 1", "got 0"]),
    ("training.epochs", "10s", ["an integer", "'10s'"]),
    ("training.epochs", 10**5000, ["fewer digits", "thousands of digits"]),
    ("training.checkpoint_seconds", "10s", ["a number", "'10s'"]),
    ("training.checkpoint_seconds", -1, ["above 0", "-1"]),
    ("training.optimizer.learning_rate", 0, ["above 0", "got 0"]),
    ("training.optimizer.learning_rate", -1, ["above 0", "-1"]),
    ("training.optimizer.learning_rate", float("nan"), ["a finite number", "nan"]),
    ("training.optimizer.learning_rate", "1e-3x", ["a number", "'1e-3x'"]),
    ("training.optimizer.learning_rate", "0,1", ["a number", "'0,1'"]),
    ("training.optimizer.learning_rate", True, ["a number", "true"]),
    ("training.optimizer.learning_rate", 1e39, ["fits in float32"]),
    ("training.optimizer", "sdg", ["Did you mean 'sgd'?", "'sdg'"]),
    ("training.optimizer.lr", 0.1, ["unknown key 'lr'", "learning_rate"]),
    ("training.class_weight", {"1": -1}, ["at least 0", "-1"]),
    ("training.class_weight", "balance", ["Did you mean 'balanced'?"]),
    ("training.callbacks", "TerminateOnNaN", ["a list", "'TerminateOnNaN'"]),
    ("training.early_stopping", {"monitor": "val_acc"}, ["Did you mean 'val_accuracy'?"]),
    ("training.threads", "all", ["an integer", "'all'"]),
    ("network.hidden", [True], ["an integer", "true"]),
    ("network.hidden", [0], ["network.hidden[0]", "at least 1"]),
    ("network.hidden", "256,128", ["a list", "'256,128'"]),
    ("network.hidden", [{"units": 3, "unit": 4}], ["'unit'", "Did you mean 'units'?"]),
    ("network.dropout", "50%", ["a number", "'50%'"]),
    ("network.dropout", 1, ["below 1"]),
    ("network.l2", "1e-3x", ["a number", "'1e-3x'"]),
    ("network.activation", "rleu", ["Did you mean 'relu'?"]),
    ("network.block", "dens", ["Did you mean 'dense'?"]),
    ("data.validation", "10%", ["a share such as 0.1", "'10%'"]),
    ("data.validation", "0,1", ["a share such as 0.1", "'0,1'"]),
    ("data.validation", 1.5, ["below 1", "1.5"]),
    ("data.validation", True, ["a number", "true"]),
    ("data.rows", "1k", ["an integer", "'1k'"]),
    ("data.scale", "minmax", ["'minmax'", "'standard'"]),
    ("data.source", "mysql:table", ["a known source", "'mysql'", "sklearn"]),
    ("data.source", "digits", ["kind:argument", "'digits'"]),
    ("data.source", "npz:a\nb", ["printable", "a\\nb"]),
    ("data.source", "npz:" + "x" * 10_000, ["at most 4096"]),
    ("seed", -1, ["at least 0", "-1"]),
    ("seed", "0", ["an integer", "'0'"]),
    ("name", "../x", ["'../x'"]),
    ("name", "a\x1b[31m", ["\\x1b[31m"]),
    ("trainning", {}, ["unknown key 'trainning'", "Did you mean 'training'?"]),
    ("k" * 300, 1, ["at most 200 characters"]),
    ("search", {"space": {"a": {"low": 3, "high": 1}}}, ["the lower end first"]),
]


def repr_of(value):
    return shown_value(value)[:40]


@pytest.mark.parametrize(("path", "value", "words"), VALUES, ids=repr_of)
def test_a_wrong_value_of_a_spec(path, value, words):
    refused(2, words, load_spec, at(path, value))


# --- specs: files ------------------------------------------------------------------------

TEXTS = {
    "yaml duplicate key": ("a.yaml", "seed: 1\nseed: 2", ["'seed' twice", "line 2"]),
    "json duplicate key": ("a.json", '{"seed": 1,\n"seed": 2}', ["'seed' twice", "line 2"]),
    "toml duplicate key": ("a.toml", "seed = 1\nseed = 2", ["overwrite", "line 2"]),
    "json NaN": ("a.json", '{"seed": NaN}', ["seed", "a finite number", "nan"]),
    "json Infinity": ("a.json", '{"network": {"l2": Infinity}}', ["network.l2", "inf"]),
    "toml nan": ("a.toml", "seed = nan", ["a finite number", "nan"]),
    "yaml inf": ("a.yaml", "network: {l2: .inf}", ["network.l2", "a finite number"]),
    "yaml alias bomb": (
        "a.yaml",
        "a: &a [x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n",
        ["the alias *a", "line 2"],
    ),
    "yaml tab": ("a.yaml", "seed: 1\n\tname: x", ["a.yaml", "line 2"]),
    "yaml deep": ("a.yaml", "a: " + "[" * 9000, ["at most 20 levels"]),
    "json deep": ("a.json", '{"a": ' * 5000, ["at most 20 levels"]),
    "toml deep": ("a.toml", "a = " + "[" * 9000, ["at most 20 levels"]),
    "not UTF-8": ("a.yaml", b"seed: 3\nname: \xe9", ["UTF-8", "0xe9", "line 2"]),
    "UTF-16": ("a.toml", "seed = 3".encode("utf-16"), ["UTF-8", "0xff"]),
    "more than a page": ("a.yaml", "#" * 200_000, ["at most 100,000 bytes"]),
    "a long number": ("a.yaml", "seed: 0x" + "F" * 9000, ["seed", "thousands of digits"]),
    "decimal comma": (
        "a.yaml",
        "training: {optimizer: {learning_rate: '0,01'}}",
        ["training.optimizer.learning_rate", "'0,01'", "line 1"],
    ),
    "very many findings": (
        "a.yaml",
        "network: {hidden: [" + "0, " * 2000 + "0]}",
        ["network.hidden[0]", "1,951 more errors", "Fix the errors above first"],
    ),
}


@pytest.mark.parametrize("case", TEXTS)
def test_a_spec_file(case, tmp_path):
    name, text, words = TEXTS[case]
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    refused(2, words, load_spec, path)


def test_a_folder_or_a_device_is_no_spec_file(tmp_path):
    (tmp_path / "a.yaml").mkdir()
    (tmp_path / "b.yaml").symlink_to("/dev/zero")
    (tmp_path / "c.yaml").symlink_to(tmp_path / "nowhere")
    refused(2, ["a.yaml", "a folder"], load_spec, tmp_path / "a.yaml")
    refused(2, ["b.yaml", "a device"], load_spec, tmp_path / "b.yaml")
    refused(2, ["c.yaml", "no such file"], load_spec, tmp_path / "c.yaml")


# --- data in memory ----------------------------------------------------------------------


def frame(**columns):
    return FRAME.assign(target=Y, **columns)


# case: (data, words, of the spec's data)
DATA = {
    "NaN cell": ((changed(X, (3, 2), np.nan), Y), ["row 3, column 2", "got nan"]),
    "inf cell": ((changed(X, (3, 2), np.inf), Y), ["row 3, column 2", "got inf"]),
    "overflows float32": ((changed(X, (5, 1), 1e300), Y), ["row 5, column 1", "float32"]),
    "inf cell of a frame": (
        frame(age=changed(X[:, 1], 7, -np.inf)),
        ["row 7", "'age'", "-inf"],
    ),
    "bad cell of a frame": (
        frame(pulse=[1.0] * 59 + ["n/a"]),
        ["row 59", "column 'pulse'", "'n/a'"],
    ),
    "decimal comma of a frame": (
        frame(pulse=["0.5"] * 8 + ["0,5"] * 52),
        ["row 8", "column 'pulse'", "'0,5'", "decimal mark"],
    ),
    "column twice": (pd.concat([frame(), FRAME[["age"]]], axis=1), ["'age' twice", "Rename"]),
    "no target": (FRAME, ["target or label", "age, height, weight, pulse"]),
    "two targets": (frame(label=Y), ["one column named target or label"]),
    "empty frame": (frame()[:0], ["at least one row", "(0, 4)"]),
    "very wide frame": (
        pd.DataFrame(np.zeros((3, 5000))),
        ["target or label", "and 4970 more"],
    ),
    "complex": ((X + 0j, Y), ["real numbers", "row 0, column 0", "complex128"]),
    "text": ((changed(X.astype(str), (4, 3), "x"), Y), ["row 4, column 3", "'x'", "numbers"]),
    "text of numbers": ((X.astype(str), Y), ["x.astype(float)"]),
    "decimal comma": (
        (changed(X.astype(str), (4, 3), "0,5"), Y),
        ["row 4, column 3", "'0,5'", "decimal=','"],
    ),
    "objects": ((changed(X.astype(object), (2, 1), None), Y), ["row 2, column 1", "object"]),
    "records": ((np.zeros(60, [("a", "f4"), ("b", "f4")]), Y), ["fields a, b"]),
    "masked cells": ((np.ma.masked_greater(X, 0.9), Y), ["masked inputs", "Drop or fill"]),
    "sparse matrix": ((__import__("scipy.sparse").sparse.csr_matrix(X), Y), ["x.toarray()"]),
    "ragged": (([[1, 2], [3]], [0, 1]), ["rows of the same shape"]),
    "no rows": ((X[:0], Y[:0]), ["at least one row", "(0, 4)"]),
    "no columns": ((X[:, :0], Y), ["at least one value", "(60, 0)"]),
    "one dimension": ((X[:, 0], Y), ["(rows, features)", "x[:, None]"]),
    "all features constant": ((np.ones((60, 4)), Y), ["rows that differ", "60 equal rows"]),
    "constant in float32": (
        (X + 1e12, Y),
        ["column 0", "of which float32 keeps 1", "x - x.mean(axis=0)"],
    ),
    "raw pixels": ((PIXELS, Y), ["data.scale: none", "accept: [unscaled_input]"], "none"),
    "other lengths": ((X, Y[:-1]), ["60 inputs and 59 targets"]),
    "one class": ((X, Y * 0 + 7), ["at least two classes", "only the class 7"]),
    "a class of one row": ((X, changed(Y, 9, 5)), ["at least 2 rows of each class", "row 9"]),
    "negative label": ((X, changed(Y, 9, -1)), ["row 9", "at least 0", "got -1"]),
    "missing label": ((X, changed(Y.astype(object), 9, None)), ["row 9", "NoneType"]),
    "NaN label": ((X, changed(Y.astype(float), 9, np.nan)), ["row 9", "finite targets"]),
    "NaN made text": ((X, changed(Y.astype(str), 9, "nan")), ["row 9", "a label", "'nan'"]),
    "empty label": ((X, changed(Y.astype(str), 9, " ")), ["row 9", "a label", "' '"]),
    "labels with blanks": ((X, changed(Y.astype(str), 9, "1 ")), ["'1' and '1 '", "strip"]),
    "labels of floats": ((X, Y.astype(float)), ["whole numbers", "y.astype(int)"]),
    "one-hot labels": ((X, np.eye(3, dtype=int)[Y]), ["one label per row", "argmax"]),
    "a table of labels": ((X, np.eye(3)[Y] * 2.5), ["one label"], "classification"),
    "text to predict numbers": ((X, Y.astype(str)), ["numbers", "data.task"], "regression"),
    "one number": ((X, np.full(60, 0.5)), ["targets that differ", "only 0.5"]),
    "infinite target": ((X, changed(X[:, 0], 4, np.inf)), ["row 4", "finite targets"]),
    "negative weight": ((X, Y, changed(np.ones(60), 3, -1)), ["row 3", "at least 0", "-1"]),
    "no weight": ((X, Y, np.zeros(60)), ["above 0", "only zeros"]),
    "test rows of other width": (((X, Y), (X[:, :3], Y)), ["test rows", "(4,)", "(3,)"]),
    "test label": (((X, Y), (X, changed(Y, 2, 9))), ["test rows, row 2", "got 9"]),
    "NaN test cell": (((X, Y), (changed(X, (3, 1), np.nan), Y)), ["test rows, row 3"]),
    "no test rows": (((X, Y), (X[:0], Y[:0])), ["test rows", "at least one row"]),
    "a dict": ({"x": X, "y": Y}, ["(x, y)", "got dict"]),
    "a file name": ("rows.txt", ["(x, y)", "got str"]),
    "one array": (X, ["(x, y)", "got ndarray"]),
    "nothing": ((None, Y), ["an array of inputs", "None"]),
}


@pytest.mark.parametrize("case", DATA)
def test_data_in_memory(case):
    data, words, *wanted = DATA[case]
    spec = {}
    if wanted:
        spec = {"data": {"scale" if wanted[0] == "none" else "task": wanted[0]}}
    refused(4, words, prepare, load_spec(spec), data)


def test_labels_may_begin_at_1_have_gaps_or_a_second_dimension():
    for labels in (Y + 1, Y * 5, Y[:, None], np.array(["b", "a", "c"])[Y]):
        prepared = prepare(load_spec({}), (X, labels))
        assert set(prepared.train.y) == {0, 1, 2}


def broken():
    yield X[0], 0
    raise OSError("the disk is gone")


def datasets():
    """Data sets of TensorFlow, which is imported now."""
    import tensorflow as tf

    slices = tf.data.Dataset.from_tensor_slices
    spec = (tf.TensorSpec((4,), tf.float64), tf.TensorSpec((), tf.int32))
    generated = tf.data.Dataset.from_generator
    return {
        "repeats": (slices((X, Y)).repeat(), ["a data set that ends", "repeat()"]),
        "raises": (generated(broken, output_signature=spec), ["can be read", "disk is gone"]),
        "of dicts": (slices({"x": X, "y": Y}), ["(x, y)", "TensorSpec"]),
        "empty": (slices((X, Y)).take(0), ["at least one row"]),
        "NaN": (slices((changed(X, (9, 1), np.nan), Y)).batch(7), ["row 9, column 1", "nan"]),
    }


@pytest.mark.parametrize("case", ["repeats", "raises", "of dicts", "empty", "NaN"])
def test_a_dataset_of_tensorflow(case):
    data, words = datasets()[case]
    refused(4, words, prepare, load_spec({}), data)


def test_a_dataset_without_an_end_is_refused_when_memory_is_full(monkeypatch):
    import tensorflow as tf

    monkeypatch.setattr("kfc.system.memory.limit_bytes", lambda: 10_000)
    endless = tf.data.Dataset.from_tensors((X[0], 1)).repeat().filter(lambda x, y: y == 1)
    refused(4, ["fits in memory", "take(n)"], prepare, load_spec({}), endless)


# --- data in files -----------------------------------------------------------------------


def header(shape, dtype="<f8"):
    file = io.BytesIO()
    facts = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, facts)
    return file.getvalue()


def npy(values):
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


def npz(**members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return file.getvalue()


def idx(values, shape=None, code=8):
    shape = shape or values.shape
    return (
        bytes([0, 0, code, len(shape)])
        + struct.pack(f">{len(shape)}I", *shape)
        + bytes(values)
    )


def idx_folder(**changes):
    """Returns the four files of MNIST's format, changed or (None) left out."""
    contents = {
        "train-images-idx3": idx(PIXELS),
        "train-labels-idx1": idx(LABELS),
        "t10k-images-idx3": idx(PIXELS),
        "t10k-labels-idx1": idx(LABELS),
    }
    names = dict(zip(("images", "labels", "tests", "test_labels"), contents, strict=True))
    contents |= {names[what]: content for what, content in changes.items()}
    return {
        f"f/{name}-ubyte": content for name, content in contents.items() if content is not None
    }


GOOD = {"y": npy(Y)}
# case: (files, source, words)
FILES = {
    "missing npz": ({}, "npz:a.npz", ["a.npz", "no such file"]),
    "folder as npz": ({"a.npz/x": b""}, "npz:a.npz", ["a.npz", "a folder"]),
    "npz of terabytes": (
        {"a.npz": npz(x=header((10**12,)), **GOOD)},
        "npz:a.npz",
        ["a.npz", "declares 8,000,000,000,000 bytes and holds 0"],
    ),
    "truncated npz": ({"a.npz": npz(x=npy(X), **GOOD)[:-60]}, "npz:a.npz", ["a.npz", "zip"]),
    "npz without y": ({"a.npz": npz(x=npy(X))}, "npz:a.npz", ["an array named y", "got x"]),
    "npz with a test half": (
        {"a.npz": npz(x=npy(X), x_test=npy(X), **GOOD)},
        "npz:a.npz",
        ["x_test and y_test together"],
    ),
    "npz with a NaN": (
        {"a.npz": npz(x=npy(changed(X, (3, 2), np.nan)), **GOOD)},
        "npz:a.npz",
        ["a.npz", "row 3, column 2", "nan"],
    ),
    "npz of text": (
        {"a.npz": npz(x=npy(X.astype(str)), **GOOD)},
        "npz:a.npz",
        ["a.npz", "row 0, column 0", "real numbers"],
    ),
    "missing npy folder": ({}, "npy:f", ["f/x.npy", "no such file"]),
    "npy of terabytes": (
        {"f/x.npy": header((10**12, 4)), "f/y.npy": npy(Y)},
        "npy:f",
        ["f/x.npy", "declares"],
    ),
    "npy of a single number": (
        {"f/x.npy": npy(np.float32(1)), "f/y.npy": npy(Y)},
        "npy:f",
        ["f/x.npy", "a single number"],
    ),
    "npy with a NaN": (
        {"f/x.npy": npy(changed(X, (5, 1), np.nan)), "f/y.npy": npy(Y)},
        "npy:f",
        ["npy:f", "row 5, column 1"],
    ),
    "missing idx folder": ({}, "idx:f", ["a folder of IDX files", "idx:f"]),
    "missing idx file": (idx_folder(test_labels=None), "idx:f", ["t10k-labels-idx1-ubyte"]),
    "wrong idx magic": (idx_folder(images=b"PNG!data"), "idx:f", ["train-images", "b'PNG!'"]),
    "idx of terabytes": (
        idx_folder(images=idx(PIXELS, (2**32 - 1, 2**20, 2**10))),
        "idx:f",
        ["train-images", "bytes for shape (4294967295"],
    ),
    "truncated idx": (
        idx_folder(labels=idx(LABELS)[:-1]),
        "idx:f",
        ["train-labels", "60 bytes for shape (60,)", "got 59"],
    ),
    "truncated gz": (
        {f"{k}.gz": gzip.compress(v)[:-9] for k, v in idx_folder().items()},
        "idx:f",
        ["train-images-idx3-ubyte.gz", "end-of-stream"],
    ),
    "idx counts differ": (
        idx_folder(labels=idx(LABELS[:-1])),
        "idx:f",
        ["idx:f, training rows", "60 inputs and 59 targets"],
    ),
    "idx label of no class": (
        idx_folder(test_labels=idx(LABELS + 5)),
        "idx:f",
        ["test rows, row 0", "got 5"],
    ),
    "idx exchanged": (idx_folder(images=idx(LABELS), labels=idx(PIXELS)), "idx:f", ["(60,)"]),
    "unknown sklearn set": ({}, "sklearn:digit", ["Did you mean 'digits'?"]),
    "validation of other width": ({}, "sklearn:wine", ["validation rows", "(13,)", "(4,)"]),
}


@pytest.mark.parametrize("case", FILES)
def test_data_in_files(case, tmp_path, monkeypatch):
    files, source, words = FILES[case]
    monkeypatch.chdir(tmp_path)
    write(tmp_path, files)
    spec = {"data": {"source": source}}
    if case == "validation of other width":
        spec = {"data": {"source": source, "validation": "sklearn:iris"}}
    refused(4, words, prepare, load_spec(spec))


def write(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


ROWS = {
    "missing": ("a.npy", None, ["a.npy", "no such file"]),
    "text": ("rows.txt", b"1,2", ["rows.txt", ".npy, .npz or an IDX file"]),
    "terabytes": ("a.npy", header((10**12,)), ["a.npy", "declares"]),
    "no x": ("a.npz", npz(y=npy(Y)), ["a.npz", "an array named x", "got y"]),
    "a PNG": ("a-idx3-ubyte", b"\x89PNG", ["a-idx3-ubyte", "an IDX header"]),
    "no gzip": ("a-idx3-ubyte.gz", b"\x89PNG", ["a-idx3-ubyte.gz", "gzip"]),
}


@pytest.mark.parametrize("case", ROWS)
def test_rows_to_predict(case, tmp_path):
    name, content, words = ROWS[case]
    if content is not None:
        (tmp_path / name).write_bytes(content)
    refused(4, words, read_inputs, tmp_path / name)


# --- the command line --------------------------------------------------------------------


def run_kfc(*arguments, folder):
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(folder),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as ended,
    ):
        app.main(list(arguments))
    assert out.getvalue() == ""
    assert "Traceback" not in err.getvalue()
    return ended.value.code, err.getvalue()


COMMANDS = [
    (["fit", "training.epochs="], 2, ["training.epochs (override)", "got nothing"]),
    (["fit", "training.epochs=ten"], 2, ["'ten'", "epochs: 20"]),
    (["fit", "=3"], 2, ["a dotted path"]),
    (["fit", "seed.x=3"], 2, ["seed.x", "keys below seed"]),
    (["fit", f"network.hidden[{'9' * 5000}]=1"], 2, ["a dotted path"]),
    (["fit", "network.hidden[7]=1"], 2, ["network.hidden[7]", "override"]),
    (["fit", "my\x1b[31mspec"], 2, ["\\x1b[31m", "Known: "]),
    (["fit", "spec.ini"], 2, ["spec.ini", ".yaml, .yml, .toml, .json"]),
    (["fit", "here.yaml"], 2, ["here.yaml", "a folder"]),
    (["fit", "seed=1", "seed=2"], 2, ["each key once", "seed twice"]),
    (["tune", "search.trials=0"], 2, ["search.trials", "at least 1"]),
    (["specs", "digitz"], 2, ["Did you mean 'digits'?"]),
    (["fit", "data.source=npz:none.npz"], 4, ["none.npz", "no such file"]),
    (["predict", "nowhere", "rows.txt"], 4, ["rows.txt", "numpy.save"]),
    (["fit", "--runs", "a-file"], 5, ["a-file", "can be written"]),
    (["fit", "network.hidden=[1000000, 1000000]"], 2, ["fits in", "GB of memory", "narrower"]),
    (["fit", "data.source=tfds:mnisst"], 4, ["tfds:mnisst", "Did you mean 'mnist'?"]),
    (["fit", "data.source=tfds:mnist/data_dir=here.yaml"], 4, ["tfds:mnist/data_dir"]),
    (["evaluate", "nowhere"], 7, ["nowhere", "the folder of a run"]),
    (["export", "nowhere", "models", "--format", "onxx"], 2, ["Did you mean 'onnx'?"]),
]


@pytest.mark.parametrize(
    ("arguments", "code", "words"), COMMANDS, ids=[" ".join(c[0])[:50] for c in COMMANDS]
)
def test_a_command(arguments, code, words, tmp_path):
    (tmp_path / "here.yaml").mkdir()
    (tmp_path / "a-file").write_text("")
    ended, printed = run_kfc(*arguments, folder=tmp_path)
    assert ended == code, printed
    for line in printed.splitlines():
        assert re.fullmatch(r"error: .+: expected .+, got .+\. .+", line), line
    for word in words:
        assert word in printed


# --- plug-ins ----------------------------------------------------------------------------


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Lays out an installed distribution with one module and its entry points."""

    def lay_out(name, points, code):
        folder = tmp_path / name
        info = folder / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(points.replace("MODULE", f"{name}_module"))
        (folder / f"{name}_module.py").write_text(code)
        monkeypatch.syspath_prepend(folder)
        monkeypatch.delitem(sys.modules, f"{name}_module", raising=False)
        registry._own_entry_points.cache_clear()

    yield lay_out
    registry._own_entry_points.cache_clear()


SOURCE = "[kfc.sources]\ntheirs = MODULE:source\n"
HEAD = """
import numpy as np
from kfc.data import Rows, Source
x, y = np.eye(60), np.arange(60) % 3
"""
# case: (code of the module, exit code, words)
PLUGINS = {
    "raises at import": ("raise RuntimeError('broken')", 8, ["RuntimeError: broken", "alpha"]),
    "ends at import": ("import sys; sys.exit(3)", 8, ["SystemExit: 3", "alpha"]),
    "ends with nothing at import": ("raise SystemExit", 8, ["SystemExit", "alpha"]),
    "a base exception": ("class E(BaseException): pass\nraise E('odd')", 8, ["E: odd"]),
    "no such attribute": ("", 8, ["AttributeError", "alpha"]),
    "no Python": ("def (", 8, ["SyntaxError", "alpha"]),
    "not callable": ("source = 3", 8, ["TypeError", "theirs"]),
    "raises when called": ("def source(a): raise KeyError(a)", 8, ["KeyError: 'any'"]),
    "ends when called": ("def source(a): raise SystemExit(0)", 8, ["SystemExit: 0"]),
    "returns nothing": ("def source(a): pass", 8, ["a kfc.data.Source", "NoneType"]),
    "returns lists": (
        HEAD + "def source(a): return Source(Rows([[1]], [1]))",
        8,
        ["NumPy arrays", "list"],
    ),
    "returns no rows": (HEAD + "def source(a): return Source(None)", 8, ["NumPy arrays"]),
    "labels that are no text": (
        HEAD + "def source(a): return Source(Rows(x, y), class_names=(1, 2, 3))",
        8,
        ["class names as a tuple of text", "(1, 2, 3)"],
    ),
    "equal labels": (
        HEAD + "def source(a): return Source(Rows(x, y), class_names=('a', 'a', 'b'))",
        8,
        ["class names that differ"],
    ),
    "too few labels": (
        HEAD + "def source(a): return Source(Rows(x, y), class_names=('a', 'b'))",
        4,
        ["row 2", "one of the 2 labels a, b", "got 2"],
    ),
    "another length": (
        HEAD + "def source(a): return Source(Rows(x, y[1:]))",
        4,
        ["60 inputs and 59 targets"],
    ),
    "a NaN": (
        HEAD + "x[3, 1] = np.nan\ndef source(a): return Source(Rows(x, y))",
        4,
        ["theirs:any", "row 3, column 1"],
    ),
}


@pytest.mark.parametrize("case", PLUGINS)
def test_a_plug_in(case, install):
    code, exit_code, words = PLUGINS[case]
    install("alpha", SOURCE, code)
    spec = load_spec({"data": {"source": "theirs:any"}})
    refused(exit_code, words, prepare, spec)


def test_a_plug_in_that_presses_ctrl_c_stops_the_command(install, tmp_path):
    install("alpha", SOURCE, "raise KeyboardInterrupt")
    code, printed = run_kfc("fit", "data.source=theirs:any", folder=tmp_path)
    assert code == 130, printed


@pytest.mark.parametrize("name", ["sklearn", "theirs"])
def test_a_name_of_two_owners(name, install):
    install("alpha", f"[kfc.sources]\n{name} = MODULE:source\n", "raise RuntimeError")
    install("beta", f"[kfc.sources]\n{name} = MODULE:source\n", "raise RuntimeError")
    refused(2, ["alpha", "beta", "Uninstall"], load_spec, at("data.source", f"{name}:any"))


@pytest.mark.parametrize("name", ["npz", "parquet"])
def test_a_source_and_a_table_of_one_name_have_two_owners(name, install):
    other = "tables" if name == "npz" else "sources"
    install("alpha", f"[kfc.{other}]\n{name} = MODULE:source\n", "raise RuntimeError")
    refused(2, ["kfc", "alpha", "Uninstall"], load_spec, at("data.source", f"{name}:any"))


def test_a_damaged_distribution_harms_no_other(install):
    install("alpha", SOURCE, HEAD + "def source(a): return Source(Rows(x, y))")
    install("beta", "[kfc.sources]\nthis is no entry point\n", "")
    assert registry.SOURCES.owners()["theirs"] == ["alpha"]
    assert len(prepare(load_spec(at("data.source", "theirs:any"))).train) > 0


def test_an_unknown_plug_in_names_the_nearest(install):
    install("alpha", SOURCE, "")
    refused(2, ["Did you mean 'theirs'?"], load_spec, at("data.source", "their:any"))


def test_the_table_has_at_least_90_cases():
    tables = (VALUES, TEXTS, DATA, FILES, ROWS, COMMANDS, PLUGINS)
    assert sum(map(len, tables)) >= 90


def test_json_of_a_refused_command_is_nothing(tmp_path):
    _, printed = run_kfc("fit", "seed=-1", "--json", folder=tmp_path)
    with pytest.raises(json.JSONDecodeError):
        json.loads(printed)
