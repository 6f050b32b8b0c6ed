import numpy as np
import pytest

from kfc.errors import DataError
from kfc.findings import checks_of, run_checks
from kfc.system.memmap import DiskArray

X = np.random.default_rng(0).random((60, 4))


def changed(values, cell, value):
    values = values.copy()
    values[cell] = value
    return values


# code: [(inputs, where behind "rows", expected, got)]
TABLE = {
    "input_not_array": [
        (np.float64(3), "", "an array of inputs", "3.0"),
        (np.asarray(None), "", "an array of inputs", "None"),
        (np.ma.masked_greater(X, 0.99), "", "values without a mask", "masked inputs"),
    ],
    "input_empty": [
        (X[:0], "", "at least one row", "(0, 4)"),
        (X[:, :0], "", "at least one value", "(60, 0)"),
    ],
    "input_shape": [
        (X[:, 0], "", "inputs (rows, features)", "(60,)"),
        (np.zeros(3, [("a", "f4"), ("b", "f4")]), "", "(rows, features)", "fields a, b"),
    ],
    "input_type": [
        (X + 0j, ", row 0, column 0", "real numbers", "complex128"),
        (X.astype(object), ", row 0, column 0", "real numbers", "object"),
        (X.astype(str), ", row 0, column 0", "real numbers", "'0.6"),
        (changed(X.astype(str), (3, 2), "0,1"), ", row 3, column 2", "numbers", "'0,1'"),
        (changed(X.astype(object), (3, 2), None), ", row 3, column 2", "numbers", "nothing"),
        (np.zeros((60, 1), "M8[D]"), ", row 0, column 0", "real numbers", "datetime64"),
    ],
    "input_not_finite": [
        (changed(X, (3, 2), np.nan), ", row 3, column 2", "finite inputs", "nan"),
        (changed(X, (3, 2), -np.inf), ", row 3, column 2", "finite inputs", "-inf"),
        (changed(X, 7, np.nan), ", row 7, column 0", "finite inputs", "nan and 3 more"),
        (
            changed(X.reshape(60, 2, 2), (5, 1, 0), np.inf),
            ", row 5, column (1, 0)",
            "finite inputs",
            "inf",
        ),
    ],
    "input_overflow": [
        (changed(X, (5, 1), 1e300), ", row 5, column 1", "fit in float32", "1e+300"),
        (changed(X.astype("g"), (5, 1), -1e300), ", row 5, column 1", "float32", "-1e+300"),
    ],
}


@pytest.mark.parametrize("check", checks_of("inputs"), ids=lambda check: check.name)
def test_every_check_refuses_its_problem(check):
    for x, where, expected, got in TABLE[check.name]:
        with pytest.raises(DataError) as caught:
            run_checks("inputs", x, "rows", ())
        (finding,) = caught.value.findings
        assert (finding.name, finding.where) == (check.name, f"rows{where}")
        assert expected in finding.expected
        assert got in finding.got
        assert finding.remedy


GOOD = {
    "floats": X,
    "float16": X.astype(np.float16),
    "bytes": (X * 255).astype(np.uint8),
    "integers": (X * 1e18).astype(np.int64),
    "booleans": X > 0.5,
    "images": X.reshape(60, 2, 2),
    "one row": X[:1],
    "the largest float32": changed(X, (0, 0), np.finfo(np.float32).max),
    "equal rows": np.ones((60, 4)),
    "rows on the disk": DiskArray(X),
}


@pytest.mark.parametrize("name", GOOD)
def test_good_inputs_pass_every_check(name):
    run_checks("inputs", GOOD[name], "rows", ())


def test_a_bad_cell_of_a_later_piece_is_found_by_its_row_and_its_name(monkeypatch):
    monkeypatch.setattr("kfc.system.memmap.CHUNK_BYTES", 64)
    x = DiskArray(changed(X, (43, 1), np.nan))
    with pytest.raises(DataError, match="row 43, column 'b'") as caught:
        run_checks("inputs", x, "rows", tuple("abcd"))
    assert caught.value.findings[0].evidence == {"row": 43, "bad_cells": 1}
