import numpy as np
import pytest

from kfc.data import prepare
from kfc.data.checks import CHECKS, check_inputs, check_rows
from kfc.data.rows import Rows
from kfc.errors import DataError
from kfc.spec import load_spec

RNG = np.random.default_rng(0)
X = RNG.random((60, 4))
Y = np.arange(60) % 3


def changed(values, cell, value):
    values = values.copy()
    values[cell] = value
    return values


# code: [(inputs, targets, where behind "rows", expected, got)]
TABLE = {
    "no_rows": [
        (np.float64(3), Y, "", "an array of inputs", "3.0"),
        (X, np.asarray(None), "", "an array of targets", "None"),
        (np.ma.masked_greater(X, 0.99), Y, "", "values without a mask", "masked inputs"),
    ],
    "empty_data": [
        (X[:0], Y[:0], "", "at least one row", "(0, 4)"),
        (X[:, :0], Y, "", "at least one value", "(60, 0)"),
    ],
    "row_mismatch": [(X, Y[:-1], "", "one target for each row", "60 inputs and 59 targets")],
    "input_shape": [(X[:, 0], Y, "", "inputs (rows, features)", "(60,)")],
    "input_type": [
        (X + 0j, Y, ", row 0, column 0", "real numbers", "complex128"),
        (X.astype(object), Y, ", row 0, column 0", "real numbers", "object"),
        (X.astype(str), Y, ", row 0, column 0", "real numbers", "'0.6"),
        (changed(X.astype(str), (3, 2), "0,1"), Y, ", row 3, column 2", "numbers", "'0,1'"),
        (
            changed(X.astype(object), (3, 2), None),
            Y,
            ", row 3, column 2",
            "numbers",
            "nothing",
        ),
        (np.zeros((60, 1), "M8[D]"), Y, ", row 0, column 0", "real numbers", "datetime64"),
    ],
    "input_not_finite": [
        (changed(X, (3, 2), np.nan), Y, ", row 3, column 2", "finite inputs", "nan"),
        (changed(X, (3, 2), -np.inf), Y, ", row 3, column 2", "finite inputs", "-inf"),
        (changed(X, 7, np.nan), Y, ", row 7, column 0", "finite inputs", "nan and 3 more"),
        (
            changed(X.reshape(60, 2, 2), (5, 1, 0), np.inf),
            Y,
            ", row 5, column (1, 0)",
            "finite inputs",
            "inf",
        ),
    ],
    "input_overflow": [
        (changed(X, (5, 1), 1e300), Y, ", row 5, column 1", "fit in float32", "1e+300"),
        (changed(X.astype("g"), (5, 1), -1e300), Y, ", row 5, column 1", "float32", "-1e+300"),
    ],
    "input_constant": [
        (np.ones((60, 4)), Y, "", "rows that differ", "60 equal rows"),
        (X * 1e-60, Y, ", column 0", "keeps apart", "float32 keeps 1"),
        (X + 1e12, Y, ", column 0", "keeps apart", "float32 keeps 1"),
        (1 + X * 1e-15, Y, "", "rows that differ", "60 equal rows, once they are float32"),
    ],
    "target_type": [
        (X, Y + 0j, "", "numbers or text", "complex128"),
        (X, Y.astype("M8[D]"), "", "numbers or text", "datetime64"),
        (X, np.array(["a", None] * 30, object), ", row 1", "or all text", "NoneType"),
        (X, np.array(["a", 1] * 30, object), ", row 1", "or all text", "int such as 1"),
    ],
    "target_not_finite": [
        (X, changed(X[:, 0], 4, np.nan), ", row 4", "finite targets", "nan"),
        (X, changed(X[:, 0], 4, 1e300), ", row 4", "finite targets", "1e+300"),
        (X, changed(X[:, :2], (4, 1), np.inf), ", row 4, column 1", "finite targets", "inf"),
    ],
}


W = np.ones(60)
# code: [(weights, where behind "rows", expected, got)]
WEIGHTS = {
    "no_rows": [
        (np.float64(2), "", "an array of weights", "2.0"),
        (np.asarray(None), "", "an array of weights", "None"),
        (np.ma.masked_equal(changed(W, 3, 2), 2), "", "without a mask", "1 masked weights"),
    ],
    "weight_shape": [
        (W[:-1], "", "one weight for each row", "weights of shape (59,) for 60 rows"),
        (W[:, None], "", "one weight for each row", "(60, 1)"),
        (W[:0], "", "one weight for each row", "(0,)"),
    ],
    "weight_type": [
        (W.astype(str), "", "real numbers", "'1.0'"),
        (W.astype(object), "", "real numbers", "object"),
        (W + 0j, "", "real numbers", "complex128"),
    ],
    "weight_not_finite": [
        (changed(W, 7, np.nan), ", row 7", "finite weights", "nan"),
        (changed(W, slice(7, 9), np.inf), ", row 7", "finite weights", "inf and 1 more"),
        (changed(W, 7, 1e300), ", row 7", "finite weights", "1e+300"),
    ],
    "weight_negative": [
        (changed(W, 7, -0.5), ", row 7", "weights of at least 0", "-0.5"),
        (changed(W.astype(int), 7, -1), ", row 7", "weights of at least 0", "-1"),
    ],
    "weight_all_zero": [
        (W * 0, "", "above 0 for at least one row", "only zeros"),
        (W * 1e-60, "", "above 0 for at least one row", "only zeros"),  # in float32
        (W > 1, "", "above 0 for at least one row", "only zeros"),
    ],
}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.code)
def test_every_row_of_the_table_refuses_what_it_is_for(check):
    cases = [(Rows(x, y), *rest) for x, y, *rest in TABLE.get(check.code, ())]
    cases += [(Rows(X, Y, weight), *rest) for weight, *rest in WEIGHTS.get(check.code, ())]
    assert cases
    for rows, where, expected, got in cases:
        with pytest.raises(DataError) as caught:
            check_rows(rows, "rows")
        (finding,) = caught.value.findings
        assert finding == check.find(rows, "rows")
        assert finding.where == f"rows{where}"
        assert expected in finding.expected
        assert got in finding.got
        assert finding.remedy


GOOD = {
    "floats": (X, Y),
    "float16": (X.astype(np.float16), Y),
    "bytes": ((X * 255).astype(np.uint8), Y),
    "integers": ((X * 1e18).astype(np.int64), Y),
    "booleans": (X > 0.5, Y > 0),
    "images": (X.reshape(60, 2, 2), Y),
    "text labels": (X, Y.astype(str)),
    "byte labels": (X, Y.astype("S1")),
    "text objects": (X, Y.astype(str).astype(object)),
    "several targets": (X, X),
    "one row": (X[:1], Y[:1]),
    "the largest float32": (changed(X, (0, 0), np.finfo(np.float32).max), Y),
    "weights": (X, Y, W),
    "one weight": (X, Y, changed(W * 0, 7, 1)),
    "whole weights": (X, Y, Y),
    "weights that choose rows": (X, Y, Y > 0),
}


@pytest.mark.parametrize("name", GOOD)
def test_good_rows_pass_every_check(name):
    check_rows(Rows(*GOOD[name]), "rows")


@pytest.mark.parametrize(
    "x", [changed(X, (3, 2), np.nan), X + 0j, X[:0], np.float64(3), X[:, 0]]
)
def test_inputs_without_targets_pass_the_same_checks(x):
    with pytest.raises(DataError):
        check_inputs(x, "rows")
    check_inputs(X[:1], "rows")


# --- what only shows in the whole ---------------------------------------------------------


def refused(data, **of_data):
    with pytest.raises(DataError) as caught:
        prepare(load_spec({"data": of_data}), data)
    (finding,) = caught.value.findings
    assert finding.remedy
    return finding


def test_one_class_is_refused():
    assert refused((X, Y * 0 + 7)).got == "only the class 7"


def test_labels_from_1_to_10_become_ten_classes():
    labels = np.arange(200) % 10 + 1
    prepared = prepare(load_spec({}), (RNG.random((200, 4)), labels))
    assert prepared.task.class_names == tuple(str(n) for n in range(1, 11))
    assert set(prepared.train.y) == set(range(10))
    assert prepared.train.y.dtype == np.int32


def test_a_negative_label_among_several_is_refused_until_the_task_is_said():
    finding = refused((X, Y - 1))
    assert finding.got == "-1, among 3 different integers"
    for task in ("regression", "classification"):
        assert task in finding.remedy


@pytest.mark.parametrize("dtype", ["i1", "i8"])
def test_negative_integers_are_classes_where_the_spec_says_so(dtype):
    spec = load_spec({"data": {"task": "classification"}})
    prepared = prepare(spec, (X, (Y - 1).astype(dtype)))
    assert prepared.task.class_names == ("-1", "0", "1")
    assert set(prepared.train.y) == {0, 1, 2}


AMOUNTS = np.round(1000 * RNG.normal(size=(60, 1)))[:, 0].astype(int)


@pytest.mark.parametrize("y", [AMOUNTS, abs(AMOUNTS), abs(AMOUNTS) // 100 * 100])
def test_integer_amounts_are_told_to_be_a_regression(y):
    assert "data.task: regression" in refused((X, y)).remedy.replace("task to", "task:")
    assert prepare(load_spec({"data": {"task": "regression"}}), (X, y)).task.class_names == ()


def test_an_amount_that_only_the_test_rows_have_is_told_to_be_a_regression():
    finding = refused(((X, Y), (X, Y + 1)))
    assert finding.remedy.endswith("Amounts need data.task: regression.")


@pytest.mark.parametrize(
    ("y", "remedy"),
    [
        (np.eye(3, dtype=int)[Y], "y.argmax(axis=1)"),
        (np.c_[Y > 0, Y > 1], "train a run per column"),
        (np.c_[Y > 0, Y > 1].astype(int), "train a run per column"),
        (np.c_[Y, Y + 5], "need data.task: regression"),
        (np.array([["a", "b"]] * 60), "a single column of labels"),
    ],
    ids=["one-hot", "flags", "several labels", "several amounts", "text"],
)
def test_several_targets_per_row_are_told_apart(y, remedy):
    finding = refused((X, y))
    assert finding.expected == "one label per row"
    assert remedy in finding.remedy


def test_minus_one_and_one_are_two_classes():
    prepared = prepare(load_spec({}), (X, np.where(Y > 0, 1, -1)))
    assert prepared.task.class_names == ("-1", "1")


@pytest.mark.parametrize(
    ("y", "labels"),
    [
        (np.array(["no", "yes", "maybe"])[Y], ("maybe", "no", "yes")),
        (np.array(["no", "yes", "maybe"], object)[Y], ("maybe", "no", "yes")),
        (np.array([b"a", b"b", "ü".encode()], object)[Y], ("a", "b", "ü")),
        (Y > 0, ("False", "True")),
        (Y[:, None], ("0", "1", "2")),
        (Y.astype(np.uint64) + 2**63, tuple(str(2**63 + n) for n in range(3))),
    ],
    ids=["text", "text objects", "bytes", "booleans", "a column", "huge integers"],
)
def test_classes_are_the_different_targets_sorted(y, labels):
    prepared = prepare(load_spec({}), (X, y))
    assert prepared.task.class_names == labels


def test_an_unknown_label_in_the_test_rows_is_named():
    finding = refused(((X, Y), (X, np.where(np.arange(60) == 41, 3, Y))))
    assert finding.where == "data, test rows, row 41"
    assert finding.expected == "one of the 3 labels 0, 1, 2"
    assert finding.got == "3"


ALIKE = {
    "fewer features": ((X[:, :3], Y), "inputs of shape (4,) as in training"),
    "another shape": ((X.reshape(60, 2, 2), Y), "inputs of shape (4,) as in training"),
    "one-hot labels": ((X, np.eye(3)[Y]), "one label per row"),
    "other labels": ((X, np.array(list("abc"))[Y]), "one of the 3 labels"),
    "half labels": ((X, Y + 0.5), "one of the 3 labels"),
}


@pytest.mark.parametrize("case", ALIKE)
def test_test_rows_must_be_like_training_rows(case):
    test, expected = ALIKE[case]
    assert expected in refused(((X, Y), test)).expected


def test_regression_targets_of_test_rows_must_be_as_many():
    finding = refused(((X, RNG.random((60, 2))), (X, RNG.random((60, 3)))))
    assert finding.expected == "targets of shape (2,) as in training"


def test_pixels_and_fractions_are_not_mixed():
    fractions = X.reshape(60, 2, 2)
    pixels = (fractions * 255).astype(np.uint8)
    assert "uint8" in refused(((pixels, Y), (fractions, Y))).expected
    prepared = prepare(load_spec({}), ((fractions * 255, Y), (pixels, Y)))
    assert prepared.test.x.dtype == np.float32


@pytest.mark.parametrize("dtype", [np.float64, np.uint8])
def test_unscaled_pixels_are_refused_with_scale_none_unless_accepted(dtype):
    data = ((X * 255).astype(dtype), Y)
    finding = refused(data, scale="none")
    assert finding.where == "data, training rows"
    assert "data.scale: none" in finding.got
    assert "accept: [unscaled_input]" in finding.remedy
    prepare(load_spec({"data": {"scale": "none"}, "accept": ["unscaled_input"]}), data)


@pytest.mark.parametrize("scale", ["unit", "centered", "standard", "robust"])
def test_scaled_pixels_are_fine(scale):
    prepare(load_spec({"data": {"scale": scale}}), (X * 255, Y))


@pytest.mark.parametrize(
    ("y", "task", "expected"),
    [
        (np.array(list("abc"))[Y], "regression", "numbers, (rows,) or (rows, outputs)"),
        (np.zeros((60, 2, 2)), None, "numbers, (rows,) or (rows, outputs)"),
        (np.eye(3)[Y], "classification", "one label per row"),
        (np.eye(3, dtype=int)[Y], None, "one label per row"),
        (X[:, 0], "classification", "at least 2 rows of each class"),
        (np.arange(60), None, "at least 2 rows of each class"),
    ],
    ids=["text", "a table per row", "one-hot", "one-hot integers", "fractions", "row numbers"],
)
def test_targets_that_are_not_for_the_task_are_refused(y, task, expected):
    assert expected in refused((X, y), task=task).expected
