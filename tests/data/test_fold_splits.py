"""Folds are scikit-learn's, or the given ones; groups stay together, and time runs on."""

import numpy as np
import pytest
from sklearn import model_selection

from kfc.data import as_folds, prepare, read_folds
from kfc.errors import DataError, SpecError
from kfc.spec import load_spec

X = np.random.default_rng(0).random((61, 3))
CLASSES = np.arange(61) % 3
NUMBERS = X.sum(axis=1)
GROUPS = np.arange(61) // 4
DAYS = np.random.default_rng(1).permutation(61)


def folds(data, x, of=4, seed=7, **keys):
    """The held-out rows of each fold, and its prepared data."""
    found = []
    for number in range(of):
        fold = {"fold": {"number": number, "of": of}}
        spec = load_spec({"seed": seed, "data": {**keys, **fold}})
        found.append(prepare(spec, data if data is not None else x))
    return found


def table(**columns):
    return {"a": X[:, 0], "b": X[:, 1], "day": DAYS, "g": GROUPS, "label": CLASSES, **columns}


@pytest.mark.parametrize(
    ("y", "kind"),
    [(CLASSES, model_selection.StratifiedKFold), (NUMBERS, model_selection.KFold)],
)
def test_folds_of_arrays_are_those_of_scikit_learn(y, kind):
    wanted = kind(4, shuffle=True, random_state=7).split(X, y)
    for prepared, (_, held_out) in zip(folds((X, y), None), wanted, strict=True):
        np.testing.assert_array_equal(prepared.test_numbers, held_out)
        np.testing.assert_array_equal(prepared.test.x, X[held_out].astype(np.float32))


def test_folds_by_groups_are_those_of_scikit_learn_and_groups_are_no_input():
    found = folds(table(), None, target="label", groups="g")
    splitter = model_selection.StratifiedGroupKFold(4, shuffle=True, random_state=7)
    wanted = splitter.split(X, CLASSES, GROUPS)
    for prepared, (_, held_out) in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(prepared.test_numbers, held_out)
        assert "g" not in prepared.task.table.columns


def test_no_group_is_in_two_parts():
    places = np.arange(61) + 0.25  # not whole, since these would be an id
    prepared = folds(table(a=places), None, target="label", groups="g")[1]
    # The encoding subtracts a centre from column `a`, the number of the row.
    centre = prepared.test_numbers[0] - prepared.test.x[0, 0]
    parts = prepared.train, prepared.validation, prepared.test
    rows = [np.round(part.x[:, 0] + centre).astype(int) for part in parts]
    assert sorted(np.concatenate(rows)) == [*range(61)]
    first, second, third = (set(GROUPS[each]) for each in rows)
    assert not first & second
    assert not (first | second) & third


def test_folds_by_order_train_on_the_past_only():
    found = folds(table(), None, target="label", order="day")
    by_day = np.argsort(DAYS, kind="stable")
    wanted = model_selection.TimeSeriesSplit(4).split(by_day)
    for prepared, (past, future) in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(prepared.test_numbers, np.sort(by_day[future]))
        assert len(prepared.train) + len(prepared.validation) == len(past)


def test_an_ordinary_split_by_order_holds_the_last_rows_out():
    spec = load_spec({"data": {"target": "label", "order": "day"}})
    prepared = prepare(spec, table())
    np.testing.assert_array_equal(prepared.test_numbers, np.flatnonzero(DAYS >= 61 - 13))


def test_given_folds_leave_out_the_rows_that_they_do_not_name(tmp_path):
    rows, fold = np.arange(0, 60, 2)[::-1], np.arange(30) % 3 // 1
    np.savez(tmp_path / "folds.npz", rows=rows, fold=fold)
    keys = {"number": 1, "file": str(tmp_path / "folds.npz")}
    prepared = prepare(load_spec({"data": {"fold": keys}}), (X, NUMBERS))
    np.testing.assert_array_equal(prepared.test_numbers, np.sort(rows[fold == 1]))
    assert len(prepared.train) + len(prepared.validation) == 20


def test_other_given_folds_give_other_data(tmp_path):
    def sha256(fold):
        np.save(tmp_path / "folds.npy", fold)
        keys = {"number": 0, "file": str(tmp_path / "folds.npy")}
        return prepare(load_spec({"data": {"fold": keys}}), (X, NUMBERS)).sha256

    assert sha256(np.arange(61) % 2) != sha256(np.arange(61) % 3)


def test_scalings_and_encodings_do_not_see_the_fold():
    for prepared in folds((X, CLASSES), None, scale="standard"):
        seen = np.asarray(prepared.train.x, np.float64)
        np.testing.assert_allclose(prepared.task.scaling.shift, seen.mean(axis=0), rtol=1e-5)


def test_test_rows_of_the_data_are_outside_of_a_fold():
    prepared = folds(((X, CLASSES), (X[:9] + 1, CLASSES[:9])), None)[0]
    assert len(prepared.outside) == 9
    assert len(prepared.train) + len(prepared.validation) + len(prepared.test) == 61


@pytest.mark.parametrize("given", [[-1, 0, 1], [0.5, 1.0], [[0, 1]], "ab"])
def test_folds_that_are_no_whole_numbers_are_refused(given):
    with pytest.raises(DataError, match="whole numbers from 0"):
        as_folds(given)


def test_a_row_in_two_folds_is_refused():
    with pytest.raises(DataError, match="different rows"):
        as_folds((np.array([1, 1]), np.array([0, 1])))


def test_a_file_without_folds_is_refused(tmp_path):
    (tmp_path / "folds.npz").write_bytes(b"no folds")
    with pytest.raises(DataError, match=r"folds\.npz"):
        read_folds(str(tmp_path / "folds.npz"))


@pytest.mark.parametrize(
    ("keys", "where"),
    [
        ({"fold": {"number": 5, "of": 5}}, r"data\.fold\.number"),
        ({"fold": {"number": 0}}, r"data\.fold"),
        ({"groups": "a", "order": "b"}, r"data\.order"),
        ({"groups": "a", "target": "a"}, r"data\.groups"),
        ({"groups": "a", "columns": {"a": "number"}}, r"data\.columns\.a"),
    ],
)
def test_keys_that_contradict_each_other_are_refused(keys, where):
    with pytest.raises(SpecError, match=where):
        load_spec({"data": keys})
