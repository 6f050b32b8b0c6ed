import numpy as np
import pytest

from kfc.data import prepare
from kfc.errors import DataError
from kfc.spec import load_spec

RNG = np.random.default_rng(0)
X = RNG.random((60, 4))
Y = np.arange(60) % 3


def refused(data, **of_data):
    with pytest.raises(DataError) as caught:
        prepare(load_spec({"data": of_data}), data)
    (finding,) = caught.value.findings
    assert finding.remedy
    return finding


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
