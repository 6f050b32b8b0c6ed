import numpy as np
import pandas as pd
import pytest

from kfc.data import prepare
from kfc.spec import load_spec

RNG = np.random.default_rng(0)
ROWS = 400
SIZE, NOISE = RNG.normal(size=ROWS), RNG.normal(size=ROWS)
PRICE = 3 * SIZE + NOISE
CLASS = np.where(PRICE > 0, "high", "low")


def warned(target, task="regression", **columns):
    table = {"size": SIZE, **columns, "target": target}
    spec = load_spec({"data": {"target": "target", "task": task}})
    return prepare(spec, table).warnings


@pytest.mark.parametrize(
    "column",
    [
        PRICE * 1.1 + 5,
        -PRICE,
        np.exp(PRICE),
        np.round(PRICE, 6),
        np.where(PRICE > 1, "dear", "cheap"),
    ],
    ids=["in another currency", "negative", "in another scale", "rounded", "in bands"],
)
def test_a_column_with_the_order_of_a_numeric_target_is_said(column):
    (finding,) = warned(PRICE, other=column)
    assert (finding.name, finding.severity) == ("target_in_column", "warning")
    assert finding.where == "training rows, column other"


@pytest.mark.parametrize(
    "column",
    [
        np.where(CLASS == "high", RNG.choice(["a", "b"], ROWS), RNG.choice(["c", "d"], ROWS)),
        PRICE,
        CLASS == "low",
    ],
    ids=["of categories", "of numbers with a threshold", "of booleans"],
)
def test_a_column_that_tells_the_class_is_said(column):
    (finding,) = warned(CLASS, "classification", other=column)
    assert finding.name == "target_in_column"


def test_each_of_several_targets_is_looked_at():
    table = {"size": SIZE, "plan": np.where(NOISE > 0, "a", "b"), "dear": PRICE * 1.1 + 5}
    spec = load_spec({"data": {"task": "regression"}})
    found = prepare(spec, {"train": (table, np.c_[NOISE**3, PRICE])}).warnings
    assert {each.where for each in found} == {
        "training rows, column plan",  # the sign of the first target
        "training rows, column dear",  # the second target in another unit
    }


def test_columns_that_add_up_to_the_target_are_said():
    (finding,) = warned(SIZE + NOISE, noise=NOISE)
    assert finding.where == "training rows, columns size, noise"
    assert "a sum" in finding.got


def test_a_sum_of_many_columns_is_named_unless_each_has_a_factor_of_its_own():
    months = RNG.normal(size=(ROWS, 12)) * np.arange(1, 13)
    columns = {f"month_{number}": month for number, month in enumerate(months.T)}
    (finding,) = warned(months.sum(axis=1), **columns)
    assert "a sum" in finding.got
    assert warned(months @ RNG.normal(size=12), **columns) == ()


@pytest.mark.parametrize(
    ("target", "task", "column"),
    [
        (PRICE, "regression", PRICE + 0.1 * RNG.normal(size=ROWS)),
        (PRICE, "regression", np.where(PRICE + NOISE > 1, "dear", "cheap")),
        (CLASS, "classification", PRICE + 0.1 * RNG.normal(size=ROWS)),
        (CLASS, "classification", np.arange(ROWS).astype(float) / 7),
        (CLASS, "classification", np.where(np.arange(ROWS) < 3, "rare", "usual")),
    ],
    ids=["nearly equal", "nearly in bands", "nearly a threshold", "never equal", "too rare"],
)
def test_a_column_that_leaves_the_target_open_is_not_said(target, task, column):
    assert warned(target, task, other=column) == ()


def test_a_few_wrong_cells_do_not_hide_a_column():
    rows = 10_000
    rate = np.random.default_rng(1).normal(size=rows)
    grade = np.array(["d", "c", "b", "a"])[np.digitize(rate, [-1.0, 0.0, 1.0])]
    grade[[3, 700]] = "a"
    table = {"size": np.random.default_rng(2).normal(size=rows), "grade": grade, "rate": rate}
    (finding,) = prepare(load_spec({"data": {"target": "rate"}}), table).warnings
    assert finding.where == "training rows, column grade"


def test_gaps_do_not_hide_a_column():
    column = [None if i % 5 == 0 else value for i, value in enumerate(PRICE * 1.1 + 5)]
    (finding,) = warned(PRICE, other=column)
    assert finding.where == "training rows, column other"


def test_a_relation_of_the_first_rows_alone_is_not_said():
    rows = 20_001
    target = RNG.normal(size=rows)
    column = target.copy()
    column[1::2] = RNG.normal(size=rows // 2)  # between the rows that are looked at first
    table = {"other": column, "target": target}
    spec = load_spec({"data": {"target": "target", "validation": 0}})
    assert prepare(spec, {"train": table, "test": table}).warnings[1:] == ()


def test_a_date_with_gaps_that_has_the_order_of_the_target_is_said():
    days = np.round(PRICE * 1000).astype("timedelta64[D]") + np.datetime64("2000-01-01")
    column = [None if i % 5 == 0 else str(day) for i, day in enumerate(days)]
    (finding,) = warned(np.round(PRICE * 1000), seen=column)
    assert finding.where == "training rows, column seen"


def test_a_column_of_many_rows_on_the_disk_is_said_too(tmp_path):
    rows = 15_000
    target = np.random.default_rng(1).normal(size=rows)
    column = pd.Series(target * 2 + 1).where(np.arange(rows) % 7 > 0)
    table = {"size": np.random.default_rng(2).normal(size=rows), "other": column}
    pd.DataFrame({**table, "target": target}).to_csv(tmp_path / "rows.csv", index=False)
    data = {"source": f"csv:{tmp_path / 'rows.csv'}", "target": "target", "stream": "always"}
    (finding,) = prepare(load_spec({"data": data}), cache=tmp_path / "cache").warnings
    assert finding.where == "training rows, column other"
