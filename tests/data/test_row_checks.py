import numpy as np
import pytest

from kfc.data.row_checks import check_rows
from kfc.data.rows import Rows
from kfc.errors import DataError
from kfc.findings import checks_of, run_checks

X = np.random.default_rng(0).random((60, 4))
Y = np.arange(60) % 3
W = np.ones(60)


def changed(values, cell, value):
    values = values.copy()
    values[cell] = value
    return values


# code: [(rows, where behind "rows", expected, got)]
TABLE = {
    "target_not_array": [
        (Rows(X, np.asarray(None)), "", "an array of targets", "None"),
        (Rows(X, np.ma.masked_equal(Y, 2)), "", "values without a mask", "20 masked targets"),
    ],
    "weight_not_array": [
        (Rows(X, Y, np.float64(2)), "", "an array of weights", "2.0"),
        (Rows(X, Y, np.asarray(None)), "", "an array of weights", "None"),
        (
            Rows(X, Y, np.ma.masked_equal(changed(W, 3, 2), 2)),
            "",
            "without a mask",
            "1 masked weights",
        ),
    ],
    "target_empty": [
        (Rows(X, Y[:0]), "", "at least one row", "(0,)"),
        (Rows(X, X[:, :0]), "", "at least one target", "(60, 0)"),
    ],
    "row_mismatch": [
        (Rows(X, Y[:-1]), "", "one target for each row", "60 inputs and 59 targets")
    ],
    "input_constant": [
        (Rows(np.ones((60, 4)), Y), "", "rows that differ", "60 equal rows"),
        (Rows(X * 1e-60, Y), ", column 0", "keeps apart", "float32 keeps 1"),
        (Rows(X + 1e12, Y), ", column 0", "keeps apart", "float32 keeps 1"),
        (
            Rows(1 + X * 1e-15, Y),
            "",
            "rows that differ",
            "60 equal rows, once they are float32",
        ),
    ],
    "target_type": [
        (Rows(X, Y + 0j), "", "numbers or text", "complex128"),
        (Rows(X, Y.astype("M8[D]")), "", "numbers or text", "datetime64"),
        (Rows(X, np.array(["a", None] * 30, object)), ", row 1", "or all text", "NoneType"),
        (Rows(X, np.array(["a", 1] * 30, object)), ", row 1", "or all text", "int such as 1"),
    ],
    "target_not_finite": [
        (Rows(X, changed(X[:, 0], 4, np.nan)), ", row 4", "finite targets", "nan"),
        (Rows(X, changed(X[:, 0], 4, 1e300)), ", row 4", "finite targets", "1e+300"),
        (
            Rows(X, changed(X[:, :2], (4, 1), np.inf)),
            ", row 4, column 1",
            "finite targets",
            "inf",
        ),
    ],
    "weight_shape": [
        (Rows(X, Y, W[:-1]), "", "one weight for each row", "weights of shape (59,) for 60"),
        (Rows(X, Y, W[:, None]), "", "one weight for each row", "(60, 1)"),
        (Rows(X, Y, W[:0]), "", "one weight for each row", "(0,)"),
    ],
    "weight_type": [
        (Rows(X, Y, W.astype(str)), "", "real numbers", "'1.0'"),
        (Rows(X, Y, W.astype(object)), "", "real numbers", "object"),
        (Rows(X, Y, W + 0j), "", "real numbers", "complex128"),
    ],
    "weight_not_finite": [
        (Rows(X, Y, changed(W, 7, np.nan)), ", row 7", "finite weights", "nan"),
        (
            Rows(X, Y, changed(W, slice(7, 9), np.inf)),
            ", row 7",
            "finite weights",
            "inf and 1 more",
        ),
        (Rows(X, Y, changed(W, 7, 1e300)), ", row 7", "finite weights", "1e+300"),
    ],
    "weight_negative": [
        (Rows(X, Y, changed(W, 7, -0.5)), ", row 7", "weights of at least 0", "-0.5"),
        (Rows(X, Y, changed(W.astype(int), 7, -1)), ", row 7", "weights of at least 0", "-1"),
    ],
    "weight_all_zero": [
        (Rows(X, Y, W * 0), "", "above 0 for at least one row", "only zeros"),
        (Rows(X, Y, W * 1e-60), "", "above 0 for at least one row", "only zeros"),  # float32
        (Rows(X, Y, W > 1), "", "above 0 for at least one row", "only zeros"),
    ],
}


@pytest.mark.parametrize("check", checks_of("data"), ids=lambda check: check.name)
def test_every_check_refuses_its_problem(check):
    for rows, where, expected, got in TABLE[check.name]:
        with pytest.raises(DataError) as caught:
            check_rows(rows, "rows")
        (finding,) = caught.value.findings
        assert (finding.name, finding.where) == (check.name, f"rows{where}")
        assert expected in finding.expected
        assert got in finding.got
        assert finding.remedy


GOOD = {
    "floats": (X, Y),
    "images": (X.reshape(60, 2, 2), Y),
    "booleans": (X > 0.5, Y > 0),
    "text labels": (X, Y.astype(str)),
    "byte labels": (X, Y.astype("S1")),
    "text objects": (X, Y.astype(str).astype(object)),
    "several targets": (X, X),
    "one row": (X[:1], Y[:1]),
    "weights": (X, Y, W),
    "one weight": (X, Y, changed(W * 0, 7, 1)),
    "whole weights": (X, Y, Y),
    "weights that choose rows": (X, Y, Y > 0),
}


@pytest.mark.parametrize("name", GOOD)
def test_good_rows_pass_every_check(name):
    check_rows(Rows(*GOOD[name]), "rows")


def test_inputs_are_checked_before_targets():
    with pytest.raises(DataError, match="rows, row 3, column 2: expected finite inputs"):
        check_rows(Rows(changed(X, (3, 2), np.nan), Y[:-1]), "rows")


@pytest.mark.parametrize("y", [Y * 0 + 7, Y * 0.0, 1 + 1e-15 * Y])
def test_targets_of_a_regression_that_are_all_the_same_are_refused(y):
    with pytest.raises(DataError, match="rows: expected targets that differ, got only"):
        run_checks("training_data", Rows(X, y), "rows", regression=True)
    run_checks("training_data", Rows(X, y), "rows", regression=False)
    run_checks("training_data", Rows(X[:1], y[:1]), "rows", regression=True)
