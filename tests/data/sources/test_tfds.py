import functools
import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow_datasets
from tensorflow_datasets import features as kinds

from kfc.data import read_source
from kfc.errors import DataError


@pytest.fixture
def refused(only_finding):
    """Returns the finding with which a source is refused."""
    return functools.partial(only_finding, DataError, read_source)


def hashes(rows):
    """The multiset of (input, target) rows; tfds keeps another order than the files."""
    flat = rows.x.reshape(len(rows.x), -1)
    pairs = zip(flat, rows.y, strict=True)
    return sorted(hashlib.md5(x.tobytes() + bytes([y])).digest() for x, y in pairs)


@pytest.fixture(scope="module")
def clothes(prepared_tfds):
    return read_source("tfds:fashion_mnist")


def test_tfds_and_idx_files_hold_the_same_rows(clothes, idx_datasets):
    of_idx = read_source(f"idx:{idx_datasets / 'fashion-mnist'}")
    assert clothes.train.x.shape == (60_000, 28, 28, 1)
    assert clothes.train.x.dtype == of_idx.train.x.dtype == np.uint8
    assert hashes(clothes.train) == hashes(of_idx.train)
    assert hashes(clothes.test) == hashes(of_idx.test)


def test_tfds_rows_come_in_the_order_of_tensorflow_datasets(clothes):
    options = {"split": "test", "batch_size": -1, "as_supervised": True}
    x, y = tensorflow_datasets.as_numpy(tensorflow_datasets.load("fashion_mnist", **options))
    np.testing.assert_array_equal(clothes.test.x, x)
    np.testing.assert_array_equal(clothes.test.y, y)


def test_tfds_knows_the_names_of_its_labels(clothes):
    assert clothes.class_names[0] == "T-shirt/top"
    assert len(clothes.class_names) == 10


@pytest.mark.parametrize(
    "name", ["mnst", "", "../x", "mnist/foo", "mnist:9.9.9", "huggingface:x"]
)
def test_an_unknown_tfds_set_is_refused(refused, name):
    assert refused(f"tfds:{name}").got == repr(f"tfds:{name}")


def test_a_misspelt_tfds_set_gets_the_nearest(refused):
    assert "Did you mean 'mnist'?" in refused("tfds:mnst").remedy


UNPREPARED = """
import socket, sys, urllib.request
def unreachable(*arguments, **keywords): raise OSError("no network here")
urllib.request.urlopen = socket.create_connection = unreachable
import kfc.data
try: kfc.data.read_source("tfds:mnist")
except kfc.DataError as error: print(error)
"""


def test_an_unprepared_tfds_set_without_a_network_names_three_ways_out(tmp_path):
    # tensorflow-datasets alone tries for 205 s; the limit is the issue's, plus its import.
    done = subprocess.run(
        [sys.executable, "-c", UNPREPARED],
        env={**os.environ, "TFDS_DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.startswith("tfds:mnist: expected prepared data, or a network")
    for way in ("TFDS_DATA_DIR", str(tmp_path), "idx:FOLDER", "connect to a network"):
        assert way in done.stdout
    assert list(tmp_path.iterdir()) == []


# --- sets of every kind -------------------------------------------------------------------

RNG = np.random.default_rng(0)
LABEL = kinds.ClassLabel(names=["cat", "dog", "owl"])
X = RNG.random((12, 5)).astype(np.float32)
Y = np.arange(12) % 3


def rows(**columns):
    return [
        dict(zip(columns, each, strict=True)) for each in zip(*columns.values(), strict=True)
    ]


def numbers(shape=(5,), dtype=np.float32):
    return kinds.Tensor(shape=shape, dtype=dtype)


@pytest.fixture
def prepared_set(tmp_path, monkeypatch):
    """Prepares a small set with the given features, keys and rows by split."""
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    # The variable is read once, when the library is imported.
    monkeypatch.setattr(tensorflow_datasets.core.constants, "DATA_DIR", str(tmp_path))

    def prepare(features, keys, **splits):
        def info(self):
            return tensorflow_datasets.core.DatasetInfo(
                builder=self, features=kinds.FeaturesDict(features), supervised_keys=keys
            )

        def examples(self, each):
            yield from enumerate(each)

        body = {
            "VERSION": tensorflow_datasets.core.Version("1.0.0"),
            "pkg_dir_path": tmp_path,
            "_info": info,
            "_generate_examples": examples,
            "_split_generators": lambda self, _: {
                split: self._generate_examples(each) for split, each in splits.items()
            },
        }
        with tensorflow_datasets.core.registered.skip_registration():
            kind = type("Small", (tensorflow_datasets.core.GeneratorBasedBuilder,), body)
        kind(data_dir=str(tmp_path)).download_and_prepare()
        return "tfds:small"

    return prepare


XY = {"x": numbers(), "y": LABEL}


def test_splits_of_all_three_names_are_read(prepared_set):
    given = rows(x=X, y=Y)
    name = prepared_set(XY, ("x", "y"), train=given, validation=given[:5], test=given[:4])
    source = read_source(name)
    assert [len(part) for part in (source.train, source.validation, source.test)] == [12, 5, 4]
    order = np.lexsort(source.train.x.T)
    np.testing.assert_array_equal(source.train.x[order], X[np.lexsort(X.T)])
    assert source.class_names == ("cat", "dog", "owl")


def test_a_third_key_weighs_the_training_rows(prepared_set):
    weights = np.linspace(0, 1, 12).astype(np.float32)
    given = rows(x=X, y=Y, w=weights)
    features = {**XY, "w": kinds.Scalar(np.float32)}
    source = read_source(prepared_set(features, ("x", "y", "w"), train=given, test=given))
    assert sorted(source.train.sample_weight) == sorted(weights)
    assert source.test.sample_weight is None


def test_features_that_are_one_number_each_become_columns(prepared_set):
    features = {"in": {"a": kinds.Scalar(np.float32), "b": kinds.Scalar(np.int64)}, "y": LABEL}
    given = [{"in": {"a": x[0], "b": n}, "y": n % 3} for n, x in enumerate(X)]
    source = read_source(prepared_set(features, ("in", "y"), train=given))
    assert source.feature_names == ("a", "b")
    order = np.argsort(source.train.x[:, 1])
    np.testing.assert_array_equal(source.train.x[order], np.stack([X[:, 0], range(12)], 1))
    np.testing.assert_array_equal(source.train.y[order], Y)


def test_a_nested_feature_is_found_by_its_path(prepared_set):
    given = [{"in": {"deep": x}, "y": y} for x, y in zip(X, Y, strict=True)]
    features = {"in": {"deep": numbers()}, "y": LABEL}
    assert read_source(
        prepared_set(features, ("in/deep", "y"), train=given)
    ).train.x.shape == (
        12,
        5,
    )


@pytest.mark.parametrize("same", [True, False])
def test_rows_of_an_open_shape_are_read_if_they_are_alike(refused, same, prepared_set):
    given = rows(x=[x[: 4 if same else 2 + n % 3] for n, x in enumerate(X)], y=Y)
    features = {"x": numbers((None,)), "y": LABEL}
    name = prepared_set(features, ("x", "y"), train=given)
    if same:
        assert read_source(name).train.x.shape == (12, 4)
    else:
        assert refused(name).expected == "rows of the same shape"


VECTOR = kinds.Sequence(kinds.Scalar(np.int64))
WRONG = {  # features, keys, a row, expected
    "text": ({"x": kinds.Text(), "y": LABEL}, ("x", "y"), {"x": "a"}, "an input of numbers"),
    "a category": ({"x": LABEL, "y": LABEL}, ("x", "y"), {"x": 1}, "an input of numbers"),
    "ragged": (
        {"x": kinds.Sequence(VECTOR), "y": LABEL},
        ("x", "y"),
        {"x": [[1], [2, 3]]},
        "an input of numbers",
    ),
    "two targets": ({**XY, "z": LABEL}, ("x", ("y", "z")), {"z": 0}, "one target per row"),
    "a dict of targets": (
        {**XY, "z": LABEL},
        ("x", {"y": "y", "z": "z"}),
        {"z": 0},
        "one target per row",
    ),
    "several labels": (
        {"x": numbers(), "y": kinds.Sequence(LABEL)},
        ("x", "y"),
        {"y": [0, 1]},
        "one label, one number or a vector",
    ),
    "a picture as target": (XY, ("y", "x"), {}, "an input of numbers"),
    "one class": (
        {"x": numbers(), "y": kinds.ClassLabel(names=["only"])},
        ("x", "y"),
        {"y": 0},
        "at least two classes",
    ),
    "no keys": (XY, None, {}, "says which features are its input and its target"),
    "a vector as weight": ({**XY, "w": numbers()}, ("x", "y", "w"), {"w": X[0]}, "weight"),
}


@pytest.mark.parametrize("case", WRONG)
def test_features_that_are_not_for_a_dense_network_are_refused(refused, case, prepared_set):
    features, keys, row, expected = WRONG[case]
    name = prepared_set(features, keys, train=[{"x": X[0], "y": 0, **row}])
    finding = refused(name)
    assert finding.where == "tfds:small"
    assert expected in finding.expected


def test_a_set_without_training_rows_is_refused(refused, prepared_set):
    name = prepared_set(XY, ("x", "y"), test=rows(x=X, y=Y))
    assert refused(name).got == "the splits test"


def test_rows_without_labels_are_refused(refused, prepared_set):
    given = rows(x=X, y=Y)
    name = prepared_set(XY, ("x", "y"), train=given, test=rows(x=X, y=[-1] * 12))
    finding = refused(name)
    assert finding.where == "tfds:small, test rows"
    assert finding.got.startswith("-1 in each of the 12 rows")


def test_a_set_larger_than_memory_is_refused_unread(refused, prepared_set, monkeypatch):
    name = prepared_set(XY, ("x", "y"), train=rows(x=X, y=Y))
    monkeypatch.setattr("kfc.system.memory.limit_bytes", lambda: 100)
    assert refused(name).expected == "a split that fits in memory"


def records(folder):
    return next(folder.rglob("*train.tfrecord*"))


def description(folder):
    return next(folder.rglob("dataset_info.json"))


def replace_by_pipe(path):
    path.unlink()
    os.mkfifo(path)


DAMAGES = {
    "truncated records": lambda folder: os.truncate(records(folder), 100),
    "no records": lambda folder: records(folder).unlink(),
    "a pipe of records": lambda folder: replace_by_pipe(records(folder)),
    "a damaged description": lambda folder: description(folder).write_text("{"),
    "no description": lambda folder: description(folder).unlink(),
    "a pipe as description": lambda folder: replace_by_pipe(description(folder)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_set_is_refused(refused, damage, prepared_set, tmp_path):
    name = prepared_set(XY, ("x", "y"), train=rows(x=X, y=Y))
    DAMAGES[damage](tmp_path)
    refused(name)


def test_a_set_without_a_list_of_checksums_says_how_to_get_it(refused, tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(tensorflow_datasets.core.constants, "DATA_DIR", str(tmp_path))

    def unreachable(*arguments, **keywords):
        raise OSError("no network here")

    monkeypatch.setattr("urllib.request.urlopen", unreachable)
    assert (
        refused("tfds:wine_quality").expected == "prepared data, or a network to download it"
    )
