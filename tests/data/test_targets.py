import numpy as np
import pytest

from kfc.data import prepare
from kfc.spec import load_spec

RNG = np.random.default_rng(0)
X = RNG.random((60, 4))
Y = np.arange(60) % 3


def test_one_class_is_refused(refused):
    assert refused((X, Y * 0 + 7)).got == "only the class 7"


def test_labels_from_1_to_10_become_ten_classes():
    labels = np.arange(200) % 10 + 1
    prepared = prepare(load_spec({}), (RNG.random((200, 4)), labels))
    assert prepared.task.class_names == tuple(str(n) for n in range(1, 11))
    assert set(prepared.train.y) == set(range(10))
    assert prepared.train.y.dtype == np.int32


def test_a_negative_label_among_several_is_refused_until_the_task_is_said(refused):
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
def test_integer_amounts_are_told_to_be_a_regression(refused, y):
    assert "data.task: regression" in refused((X, y)).remedy.replace("task to", "task:")
    assert prepare(load_spec({"data": {"task": "regression"}}), (X, y)).task.class_names == ()


def test_an_amount_that_only_the_test_rows_have_is_told_to_be_a_regression(refused):
    finding = refused(((X, Y), (X, Y + 1)))
    assert finding.remedy.endswith("Amounts need data.task: regression.")


@pytest.mark.parametrize(
    ("y", "remedy"),
    [
        (np.eye(3, dtype=int)[Y], "y.argmax(axis=1)"),
        (np.c_[Y > 0, Y > 1], "train one run per label"),
        (np.c_[Y > 0, Y > 1].astype(int), "train one run per label"),
        (np.c_[Y, Y + 5], "need data.task: regression"),
        (np.array([["a", "b"]] * 60), "a single column of labels"),
    ],
    ids=["one-hot", "flags", "several labels", "several amounts", "text"],
)
def test_several_targets_per_row_are_told_apart(refused, y, remedy):
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


def test_an_unknown_label_in_the_test_rows_is_named(refused):
    finding = refused(((X, Y), (X, np.where(np.arange(60) == 41, 3, Y))))
    assert finding.where == "data, test rows, row 41"
    assert finding.expected == "one of the 3 labels 0, 1, 2"
    assert finding.got == "3"


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
def test_targets_that_are_not_for_the_task_are_refused(refused, y, task, expected):
    assert expected in refused((X, y), task=task).expected
