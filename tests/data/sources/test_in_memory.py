import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from kfc.data import Source, prepare
from kfc.data.rows import Rows
from kfc.data.sources.in_memory import from_memory
from kfc.errors import DataError
from kfc.spec import load_spec

X = np.arange(40, dtype=np.float32).reshape(10, 4)
Y = np.arange(10) % 2
FRAME = pd.DataFrame(X, columns=list("abcd"))


def refused(data):
    spec = load_spec({"data": {"validation": 0}})
    with pytest.raises(DataError) as caught:
        prepare(spec, data)
    (finding,) = caught.value.findings
    assert finding.where.startswith("data")
    assert finding.expected
    assert finding.got
    assert finding.remedy
    return finding


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
    prepared = prepare(load_spec({"data": {"validation": 0}}), SAME[form])
    assert prepared.task.class_names == ("0", "1")


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
    np.testing.assert_array_equal(source.train.sample_weight, W)
    assert (source.test is None) == ("test" not in form)
    assert source.test is None or source.test.sample_weight is None


@pytest.mark.parametrize("rows", [2, 3])
def test_a_list_of_two_or_three_rows_is_no_part_with_inputs_of_its_own(rows):
    source = from_memory((list(X[:rows]), list(Y[:rows])))
    np.testing.assert_array_equal(source.train.x, X[:rows])
    assert source.test is None
    source = from_memory((list(X[:rows]), list(Y[:rows]), list(W[:rows])))
    np.testing.assert_array_equal(source.train.sample_weight, W[:rows])


def test_a_row_of_pandas_numbers_with_a_missing_weight_is_refused():
    weights = pd.Series(pd.array([1.0, None] * 5, "Float64"))
    assert refused((FRAME, Y, weights)).expected == "finite weights"


@pytest.mark.parametrize("train", [(X, Y, W), (X, Y)], ids=["weighted", "unweighted"])
def test_weights_of_test_rows_are_refused(train):
    finding = refused((train, (X, Y, W)))
    assert finding.where == "data, test rows"
    assert "evaluation" in finding.expected
    assert finding.remedy == "Pass ((x, y, sample_weight), (x_test, y_test))."


def test_booleans_beside_numbers_in_a_frame_are_numbers():
    source = from_memory(FRAME.assign(e=Y == 1, target=Y))
    np.testing.assert_array_equal(source.train.x[:, 4], Y)


REFUSED = {
    "nothing in a pair": ((None, None), "None"),
    "no targets": ((X, None), "None"),
    "an array alone": (X, "ndarray"),
    "four arrays": ((X, Y, Y, Y), "tuple"),
    "three parts": (((X, Y), (X, Y), (X, Y)), "three parts with inputs of their own"),
    "a dict of arrays": ({"x": X, "y": Y}, "dict with the key 'x'"),
    "an empty dict": ({}, "an empty mapping"),
    "a mapping without training rows": ({"test": (X, Y)}, "only test"),
    "a mapping with nothing to train on": (
        {"train": None, "test": (X, Y)},
        "only train, test",
    ),
    "a mapping of inputs": ({"train": X}, "ndarray"),
    "a misspelt part": ({"train": (X, Y), "valid": (X, Y)}, "the key 'valid'"),
    "text": ("digits", "str"),
    "a series": (pd.Series(Y), "Series"),
    "a generator": ((i for i in range(3)), "generator"),
    "a number": (3, "int"),
    "ragged rows": (([[1, 2], [3]], [0, 1]), "inhomogeneous"),
    "no target column": (FRAME, "the columns a, b, c, d"),
    "two target columns": (FRAME.assign(target=Y, label=Y), "target, label"),
    "a column twice, as a number and as text": (
        FRAME.set_axis([1, "1", "c", "d"], axis=1).assign(target=Y),
        "'1' twice",
    ),
    "a column twice": (pd.concat([FRAME, FRAME], axis=1).assign(target=Y), "'a' twice"),
    "only targets": (pd.DataFrame({"target": Y}), "(10, 0)"),
    "no rows": (FRAME.iloc[:0].assign(target=Y[:0]), "(0, 4)"),
    "other columns in test": (((FRAME, Y), (FRAME[list("dcba")], Y)), "d, c, b, a"),
    "a missing target": ((FRAME, pd.Series(pd.array([1, None] * 5, "Int64"))), "nan"),
    "a missing label": ((FRAME, pd.Series(["a", None] * 5)), "float such as nan"),
    "a masked cell": ((np.ma.masked_equal(X, 9), Y), "1 masked inputs"),
}


@pytest.mark.parametrize("form", REFUSED)
def test_what_is_no_data_is_refused(form):
    data, got = REFUSED[form]
    assert got in refused(data).got


# --- parts --------------------------------------------------------------------------------

WHOLE = FRAME.assign(target=Y)
LATER = FRAME[:2] + 1, Y[:2]
PARTS = {
    "tuples": ((X, Y), (LATER[0].to_numpy(), LATER[1])),
    "lists": ([X.tolist(), Y.tolist()], [LATER[0].to_numpy().tolist(), LATER[1].tolist()]),
    "frames": (WHOLE, LATER[0].assign(target=LATER[1])),
    "frames and tuples": (WHOLE, LATER),
    "data sets": tuple(
        tf.data.Dataset.from_tensor_slices(part).batch(4)
        for part in ((X, Y), (LATER[0].to_numpy(), LATER[1]))
    ),
}


@pytest.mark.parametrize("form", PARTS)
def test_a_mapping_names_the_parts(form):
    train, later = PARTS[form]
    source = from_memory({"train": train, "validation": later, "test": None})
    np.testing.assert_array_equal(source.train.x, X)
    np.testing.assert_array_equal(source.validation.x, X[:2] + 1)
    np.testing.assert_array_equal(source.validation.y, Y[:2])
    assert source.test is None
    source = from_memory({"train": train, "test": later})
    np.testing.assert_array_equal(source.test.x, X[:2] + 1)
    assert source.validation is None


@pytest.mark.parametrize("form", ["frames", "frames and tuples", "data sets"])
def test_a_pair_of_parts_of_any_kind_is_training_and_test(form):
    source = from_memory(PARTS[form])
    np.testing.assert_array_equal(source.train.x, X)
    np.testing.assert_array_equal(source.test.x, X[:2] + 1)
    np.testing.assert_array_equal(source.test.y, Y[:2])


def test_validation_rows_of_a_mapping_are_measured():
    spec = load_spec({})
    prepared = prepare(spec, {"train": (X, Y), "validation": LATER, "test": LATER})
    np.testing.assert_array_equal(prepared.validation.x, X[:2] + 1)
    assert len(prepared.train) == len(X)


def test_parts_that_are_misspelt_are_named():
    assert "Did you mean 'validation'?" in refused({"train": (X, Y), "valid": (X, Y)}).remedy


def test_training_and_test_frames_without_a_target_column_are_not_inputs_and_targets():
    species = FRAME.assign(species=Y)
    finding = refused((species, species[:5] + 1))
    assert finding.got == "two DataFrames with the columns a, b, c, d, species"
    assert "target" in finding.remedy
    assert "two DataFrames" in refused((WHOLE, FRAME)).got


@pytest.mark.parametrize(
    "data",
    [
        (FRAME.assign(species=Y), pd.Series(Y, name="species")),
        (FRAME.assign(species=Y), pd.DataFrame({"species": Y})),
        (WHOLE, Y),
        (WHOLE, Y, W),
        {"train": (WHOLE, Y)},
    ],
    ids=["a series", "a frame", "an array", "with weights", "in a mapping"],
)
def test_inputs_that_hold_the_target_are_refused(data):
    assert "that is equal to y" in refused(data).got


def test_a_series_computed_from_a_column_keeps_its_name_and_is_a_target():
    data = FRAME, (FRAME["a"] > 18).astype(int)
    assert data[1].name == "a"
    assert from_memory(data).feature_names == ("a", "b", "c", "d")


def test_frames_whose_columns_are_numbered_may_be_inputs_and_targets():
    source = from_memory((pd.DataFrame(X), pd.DataFrame(X[:, :2])))
    assert source.train.y.shape == (10, 2)


def test_test_targets_in_another_order_are_refused():
    pair = pd.DataFrame({"u": X[:, 0], "v": X[:, 1]})
    finding = refused(((FRAME, pair), (FRAME, pair[["v", "u"]])))
    assert (finding.where, finding.got) == ("data, test rows, targets", "v, u")


def test_a_frame_of_one_column_of_text_is_a_column_of_classes():
    source = from_memory((FRAME, pd.DataFrame({"species": np.array(["no", "yes"])[Y]})))
    assert prepare(load_spec({"data": {"validation": 0}}), source).task.class_names == (
        "no",
        "yes",
    )


# --- indexes ------------------------------------------------------------------------------

NAMED = FRAME.set_index(pd.Index(list("klmnopqrst")))
ORDER = np.random.default_rng(0).permutation(10)


@pytest.mark.parametrize(
    "frame", [FRAME, NAMED, FRAME.set_index(["a", "b"])], ids=["numbers", "text", "levels"]
)
@pytest.mark.parametrize("kind", [pd.Series, pd.DataFrame])
def test_targets_and_weights_take_the_order_of_the_index_of_the_inputs(frame, kind):
    y, w = kind(Y, index=frame.index), kind(W, index=frame.index)
    source = from_memory((frame, y.iloc[ORDER], w.iloc[ORDER[::-1]]))
    np.testing.assert_array_equal(source.train.x, frame)
    np.testing.assert_array_equal(source.train.y, Y)
    np.testing.assert_array_equal(source.train.sample_weight, W)


def test_test_rows_are_aligned_too():
    y = pd.Series(Y, index=NAMED.index)
    source = from_memory(((NAMED, y), (NAMED, y.iloc[ORDER])))
    np.testing.assert_array_equal(source.test.y, Y)
    source = from_memory({"train": (NAMED, y), "validation": (NAMED.iloc[ORDER], y)})
    np.testing.assert_array_equal(source.validation.y, Y[ORDER])


def test_weights_take_the_order_of_the_targets_where_the_inputs_have_no_index():
    y, w = pd.Series(Y, index=NAMED.index), pd.Series(W, index=NAMED.index)
    source = from_memory((X, y, w.iloc[ORDER]))
    np.testing.assert_array_equal(source.train.y, Y)
    np.testing.assert_array_equal(source.train.sample_weight, W)


def test_equal_indexes_may_have_duplicates():
    drawn = [0, 0, 3, 4, 4, 4, 7, 8, 9, 1]
    source = from_memory((FRAME.loc[drawn], pd.Series(Y).loc[drawn]))
    np.testing.assert_array_equal(source.train.y, Y[drawn])


@pytest.mark.parametrize(
    ("y", "got"),
    [
        (pd.Series(Y, index=range(1, 11)), "an index without the label 0"),
        (pd.Series(Y, index=list("klmnopqrst")), "an index without the label 0"),
        (pd.Series(Y, index=[0, 0, *range(2, 10)]), "duplicate labels"),
        (pd.DataFrame({"y": Y}, index=range(1, 11)), "an index without the label 0"),
    ],
    ids=["shifted", "other labels", "duplicates", "a frame"],
)
def test_indexes_that_differ_by_more_than_their_order_are_refused(y, got):
    finding = refused((FRAME, y))
    assert finding.where == "data, y"
    assert got in finding.got
    assert "reset_index(drop=True)" in finding.remedy


def test_rows_of_other_numbers_are_refused_as_such():
    assert refused((FRAME, pd.Series(Y[:9]))).got == "10 inputs and 9 targets"
