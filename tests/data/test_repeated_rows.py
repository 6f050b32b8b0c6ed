import numpy as np

from kfc.data import prepare
from kfc.spec import load_spec


def table(seed, rows=300, values=None):
    rng = np.random.default_rng(seed)
    draw = (lambda: rng.integers(0, values, rows) / 4) if values else lambda: rng.random(rows)
    return {
        "size": draw(),
        "kind": rng.choice(["a", "b", "c"], rows),
        "target": rng.choice(["no", "yes"], rows),
    }


def with_rows_of(train, test, count):
    return {name: np.r_[test[name], train[name][:count]] for name in test}


def warned(train, test, **spec):
    checked = load_spec({"data": {"target": "target", "validation": 0}, **spec})
    return prepare(checked, {"train": train, "test": test}).warnings


def test_training_rows_in_the_test_rows_are_counted():
    (finding,) = warned(table(0), with_rows_of(table(0), table(1), 30))
    assert finding.name == "training_rows_repeated"
    assert finding.evidence == {"rows": 30, "share": 30 / 330}
    assert "30 of 330 rows" in str(finding)


def test_rows_with_another_target_are_no_repetition():
    other = with_rows_of(table(0), table(1), 30)
    other["target"] = np.where(other["target"] == "no", "yes", "no")
    assert warned(table(0), other) == ()


def test_few_repeated_rows_are_not_said():
    assert warned(table(0), with_rows_of(table(0), table(1), 9)) == ()


def test_rows_of_few_values_repeat_by_nature():
    assert warned(table(0, values=4), table(1, values=4)) == ()


def test_a_spec_accepts_repeated_rows():
    test = with_rows_of(table(0), table(1), 30)
    assert warned(table(0), test, accept=["training_rows_repeated"]) == ()


def test_rows_that_a_split_of_one_table_separates_are_said():
    rows = with_rows_of(table(0), table(0), 300)
    found = prepare(load_spec({"data": {"target": "target"}}), rows).warnings
    assert [finding.name for finding in found] == ["training_rows_repeated"] * 2
    assert "test rows" in found[0].where
    assert "validation rows" in found[1].where
