import numpy as np
import pytest

import kfc
from kfc.estimators.inputs import Inputs
from kfc.estimators.training_rows import LabelledRows, in_one_order, weighted_rows

QUICK = {"hidden": [8], "epochs": 2, "random_state": 0}


@pytest.fixture
def rows():
    x = np.random.default_rng(0).normal(size=(6, 2))
    return LabelledRows(Inputs(x, None, ()), np.arange(6) % 2)


def test_a_weight_of_zero_removes_a_row_and_a_whole_one_repeats_it(rows):
    found = weighted_rows(rows, np.array([0, 1, 2, 1, 0, 3]))
    assert found.sample_weight is None
    assert np.array_equal(found.x.matrix, rows.x.matrix[[1, 2, 2, 3, 5, 5, 5]])


def test_other_weights_are_divided_by_their_mean(rows):
    weight = np.array([0, 0.5, 1.5, 0.5, 1.5, 1.0])
    found = weighted_rows(rows, weight)
    np.testing.assert_allclose(found.sample_weight, [0.5, 1.5, 0.5, 1.5, 1.0])
    np.testing.assert_allclose(
        weighted_rows(rows, 1e6 * weight).sample_weight, found.sample_weight
    )
    assert weighted_rows(rows, np.full(6, 0.3)).sample_weight is None


def test_large_whole_weights_are_factors(rows):
    found = weighted_rows(rows, np.array([1000, 1, 1, 1, 1, 1]))
    assert len(found) == 6
    assert found.sample_weight is not None


def test_the_order_of_rows_makes_no_difference(rows, iris):
    shuffled = rows.take(np.array([3, 1, 0, 5, 4, 2]))
    once, again = in_one_order(rows), in_one_order(shuffled)
    assert np.array_equal(once.x.matrix, again.x.matrix)
    assert np.array_equal(once.y, again.y)
    x, y = iris
    order = np.random.default_rng(0).permutation(150)
    fitted = kfc.Classifier(**QUICK).fit(x, y)
    again = kfc.Classifier(**QUICK).fit(x[order], y[order])
    assert fitted.run_.weights_sha256 == again.run_.weights_sha256


def test_weights_mean_the_same_for_a_table(frame):
    x, y = frame
    weight = np.arange(60) % 3
    weighted = kfc.Classifier(**QUICK).fit(x, y, weight)
    repeated = np.repeat(np.arange(60), weight)
    again = kfc.Classifier(**QUICK).fit(x.iloc[repeated], y[repeated])
    assert weighted.run_.weights_sha256 == again.run_.weights_sha256


@pytest.mark.parametrize(
    "weight",
    [np.zeros(150), -np.ones(150), np.ones(149), np.ones((150, 2)), np.full(150, np.nan)],
    ids=["all zero", "negative", "too few", "two for a row", "NaN"],
)
def test_weights_without_a_meaning_are_refused(weight, iris):
    with pytest.raises(ValueError, match=r".+"):
        kfc.Classifier(**QUICK).fit(*iris, sample_weight=weight)
