import numpy as np
import pytest

from kfc.data import prepare
from kfc.spec import load_spec

ROWS = 120
RNG = np.random.default_rng(0)
TABLE = {"size": RNG.random(ROWS), "target": RNG.choice(["no", "yes"], ROWS)}


def warned(column, kind, **more):
    spec = {"data": {"target": "target", "columns": {"other": kind}}}
    return prepare(load_spec(spec), {**TABLE, "other": column, **more}).warnings


@pytest.mark.parametrize(
    ("column", "kind", "code", "got"),
    [
        ([2.5] * ROWS, "number", "column_constant", "one value in every row"),
        (["a"] * ROWS, "category", "column_constant", "one value in every row"),
        ([None] * ROWS, "category", "column_constant", "no value in any row"),
        (
            [f"name {i}" for i in range(ROWS)],
            "category",
            "category_nearly_unique",
            "120 different values in 120 rows",
        ),
        (range(1000, 1000 + ROWS), "number", "number_is_id", "a different integer"),
    ],
)
def test_a_column_that_the_spec_names_is_looked_at(column, kind, code, got):
    (finding,) = warned(list(column), kind)
    assert (finding.name, finding.severity) == (code, "warning")
    assert "column 'other'" in finding.where
    assert got in finding.got
    assert "ignore" in finding.remedy


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        ([2.5, *[None] * (ROWS - 1)], "number"),  # the gap is a value of its own
        ([f"name {i % 90}" for i in range(ROWS)], "category"),
        (RNG.permutation(ROWS * 7)[:ROWS], "number"),
    ],
)
def test_a_column_that_may_tell_something_is_not_said(column, kind):
    assert warned(list(column), kind) == ()


def test_measurements_that_are_declared_categories_lose_their_order():
    measured = RNG.integers(0, 60, ROWS) / 10
    (finding,) = warned(list(measured), "category")
    assert finding.name == "category_of_measurements"
    assert finding.cure == {"data.columns.other": "number"}
    assert warned(list(measured), "number") == ()
    for sizes in (measured.round(), RNG.integers(0, 9, ROWS) / 2):  # codes, and sizes of shoes
        assert warned(list(sizes), "category") == ()


def test_a_column_that_only_the_test_rows_have_is_said():
    spec = load_spec({"data": {"target": "target"}})
    other = {**TABLE, "size": RNG.random(ROWS), "note": ["x"] * ROWS}
    (finding,) = prepare(spec, {"train": TABLE, "test": other}).warnings
    assert finding.name == "column_not_in_training"
    assert "note" in finding.got
