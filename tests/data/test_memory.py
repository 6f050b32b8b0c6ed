import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from kfc.data import Source, prepare
from kfc.data.memory import from_memory
from kfc.data.rows import Rows
from kfc.errors import DataError
from kfc.spec import load

X = np.arange(40, dtype=np.float32).reshape(10, 4)
Y = np.arange(10) % 2
FRAME = pd.DataFrame(X, columns=list("abcd"))


def refused(data):
    spec = load({"data": {"validation": 0}})
    with pytest.raises(DataError) as caught:
        prepare(spec, data)
    (fault,) = caught.value.faults
    assert fault.where.startswith("data")
    assert fault.expected
    assert fault.got
    assert fault.remedy
    return fault


def batches(size):
    return tf.data.Dataset.from_tensor_slices((X, Y)).batch(size)


SAME = {
    "arrays": (X, Y),
    "a list of arrays": [X, Y],
    "lists": (X.tolist(), Y.tolist()),
    "a frame with target": FRAME.assign(target=Y),
    "a frame with label": FRAME.assign(label=Y),
    "target in the middle": FRAME.assign(target=Y)[["a", "target", "b", "c", "d"]],
    "frame and array": (FRAME, Y),
    "frame and series": (FRAME, pd.Series(Y)),
    "frame and frame": (FRAME, pd.DataFrame({"y": Y})),
    "a nullable frame": FRAME.astype("Float64").assign(target=pd.array(Y, dtype="Int64")),
    "a tf.data of rows": tf.data.Dataset.from_tensor_slices((X, Y)),
    "a tf.data of batches": batches(5),
    "a tf.data with a short last batch": batches(3),
    "tensors": (tf.constant(X), tf.constant(Y)),
    "a source": Source(Rows(X, Y)),
}


@pytest.mark.parametrize("form", SAME)
def test_every_form_holds_the_same_rows(form):
    source = from_memory(SAME[form])
    np.testing.assert_array_equal(source.train.x, X)
    np.testing.assert_array_equal(source.train.y.reshape(-1), Y)
    assert source.test is None
    prepared = prepare(load({"data": {"validation": 0}}), SAME[form])
    assert prepared.task.labels == ("0", "1")


@pytest.mark.parametrize(
    "pair",
    [((X, Y), (X[:2], Y[:2])), [[X, Y], [X[:2], Y[:2]]], ((FRAME, Y), (FRAME[:2], Y[:2]))],
    ids=["tuples", "lists", "frames"],
)
def test_a_pair_of_pairs_is_training_and_test(pair):
    source = from_memory(pair)
    assert (len(source.train), len(source.test)) == (10, 2)


W = np.arange(10) / 4
WEIGHTED = {
    "arrays": (X, Y, W),
    "a list of arrays": [X, Y, W],
    "lists": (X.tolist(), Y.tolist(), W.tolist()),
    "a frame and series": (FRAME, pd.Series(Y), pd.Series(W)),
    "training and test": ((X, Y, W), (X, Y)),
    "lists of training and test": [[X, Y, W], [X, Y]],
    "frames of training and test": ((FRAME, Y, W), (FRAME, Y)),
    "a tf.data of rows": tf.data.Dataset.from_tensor_slices((X, Y, W)),
    "a tf.data of batches": tf.data.Dataset.from_tensor_slices((X, Y, W)).batch(3),
}


@pytest.mark.parametrize("form", WEIGHTED)
def test_a_third_part_is_the_weights_of_the_rows(form):
    source = from_memory(WEIGHTED[form])
    np.testing.assert_array_equal(source.train.x, X)
    np.testing.assert_array_equal(source.train.y, Y)
    np.testing.assert_array_equal(source.train.weight, W)
    assert (source.test is None) == ("test" not in form)
    assert source.test is None or source.test.weight is None


@pytest.mark.parametrize("rows", [2, 3])
def test_a_list_of_two_or_three_rows_is_no_part_with_inputs_of_its_own(rows):
    source = from_memory((list(X[:rows]), list(Y[:rows])))
    np.testing.assert_array_equal(source.train.x, X[:rows])
    assert source.test is None
    source = from_memory((list(X[:rows]), list(Y[:rows]), list(W[:rows])))
    np.testing.assert_array_equal(source.train.weight, W[:rows])


def test_a_row_of_pandas_numbers_with_a_missing_weight_is_refused():
    weights = pd.Series(pd.array([1.0, None] * 5, "Float64"))
    assert refused((FRAME, Y, weights)).expected == "finite weights"


@pytest.mark.parametrize("train", [(X, Y, W), (X, Y)], ids=["weighted", "unweighted"])
def test_weights_of_test_rows_are_refused(train):
    fault = refused((train, (X, Y, W)))
    assert fault.where == "data, test rows"
    assert "evaluation" in fault.expected
    assert fault.remedy == "Pass ((x, y, sample_weight), (x_test, y_test))."


def test_a_tf_data_of_rows_with_several_targets_is_stacked():
    targets = np.ones((10, 3), np.float32)
    source = from_memory(tf.data.Dataset.from_tensor_slices((X, targets)))
    assert source.train.x.shape == (10, 4)
    assert source.train.y.shape == (10, 3)


def test_text_labels_of_a_tf_data_are_text():
    names = np.array(["no", "yés"])[Y]
    data = tf.data.Dataset.from_tensor_slices((X, names)).batch(4)
    prepared = prepare(load({"data": {"validation": 0}}), data)
    assert prepared.task.labels == ("no", "yés")


def test_booleans_beside_numbers_in_a_frame_are_numbers():
    source = from_memory(FRAME.assign(e=Y == 1, target=Y))
    np.testing.assert_array_equal(source.train.x[:, 4], Y)


def test_a_data_set_without_end_is_refused():
    assert "Drop repeat()" in refused(batches(5).repeat()).remedy


REFUSED = {
    "nothing in a pair": ((None, None), "None"),
    "no targets": ((X, None), "None"),
    "an array alone": (X, "ndarray"),
    "four arrays": ((X, Y, Y, Y), "tuple"),
    "three parts": (((X, Y), (X, Y), (X, Y)), "three parts with inputs of their own"),
    "a dict": ({"x": X, "y": Y}, "dict"),
    "text": ("digits", "str"),
    "a series": (pd.Series(Y), "Series"),
    "a generator": ((i for i in range(3)), "generator"),
    "a number": (3, "int"),
    "ragged rows": (([[1, 2], [3]], [0, 1]), "inhomogeneous"),
    "no target column": (FRAME, "the columns a, b, c, d"),
    "two target columns": (FRAME.assign(target=Y, label=Y), "target, label"),
    "a column of text": (FRAME.assign(e="x", target=Y), "values such as 'x'"),
    "a column of categories": (
        FRAME.assign(e=pd.Categorical(["u"] * 10), target=Y),
        "values such as 'u'",
    ),
    "a column of dates": (
        FRAME.assign(e=pd.Timestamp("2026-01-31"), target=Y),
        "the date 2026",
    ),
    "a column twice": (pd.concat([FRAME, FRAME], axis=1).assign(target=Y), "'a' twice"),
    "only targets": (pd.DataFrame({"target": Y}), "(10, 0)"),
    "no rows": (FRAME.iloc[:0].assign(target=Y[:0]), "(0, 4)"),
    "other columns in test": (((FRAME, Y), (FRAME[list("dcba")], Y)), "d, c, b, a"),
    "a missing cell": (FRAME.astype("Float64").mask(FRAME == 9).assign(target=Y), "nan"),
    "a missing target": ((FRAME, pd.Series(pd.array([1, None] * 5, "Int64"))), "nan"),
    "a missing label": ((FRAME, pd.Series(["a", None] * 5)), "float such as nan"),
    "a masked cell": ((np.ma.masked_equal(X, 9), Y), "1 masked inputs"),
    "a tf.data of inputs": (tf.data.Dataset.from_tensor_slices(X), "tf.data.Dataset of"),
    "a tf.data of four": (
        tf.data.Dataset.from_tensor_slices((X, Y, Y, Y)),
        "tf.data.Dataset of",
    ),
    "a tf.data of dicts": (
        tf.data.Dataset.from_tensor_slices(({"a": X}, Y)),
        "tf.data.Dataset of",
    ),
    "an empty tf.data": (batches(5).take(0), "an empty"),
}


@pytest.mark.parametrize("form", REFUSED)
def test_what_is_no_data_is_refused(form):
    data, got = REFUSED[form]
    assert got in refused(data).got


def test_a_tf_data_of_uneven_rows_is_refused():
    uneven = tf.data.Dataset.from_generator(
        lambda: iter([(np.ones(3), 0), (np.ones(4), 1)]),
        output_signature=(tf.TensorSpec([None]), tf.TensorSpec([], tf.int32)),
    )
    assert refused(uneven).expected == "rows of the same shape"
