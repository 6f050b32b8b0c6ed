"""Encoded rows are shown as the cells that they were, and columns by what they tell."""

import pandas as pd
from sklearn.linear_model import LogisticRegression

from kfc.reporting.column_importance import column_importance
from kfc.reporting.decoded_cells import MISSING, RARE, UNSEEN, decoded_cells
from kfc.reporting.honest_baselines import linear_model
from kfc.reporting.run_facts import RunFacts


def test_cells_are_those_of_the_table(table_run, people):
    rows = people.drop(columns="target").head(40)
    cells = decoded_cells(table_run.task.encoding, table_run.encode(rows))
    for name in rows:
        for text, value in zip(cells[name], rows[name], strict=True):
            if name in ("age", "noise"):
                assert text == MISSING if pd.isna(value) else abs(float(text) - value) < 1e-4
            elif name == "joined":
                assert text == f"{value:%Y-%m-%d}"
            else:
                assert text == str(value) or text.lower() == str(value).lower()


def test_a_category_that_training_lacks_is_named(table_run, people, recwarn):
    rows = people.drop(columns="target").head(1).assign(plan="platinum")
    cells = decoded_cells(table_run.task.encoding, table_run.encode(rows))
    assert cells["plan"][0] in (UNSEEN, RARE)


def test_a_column_that_tells_the_target_is_more_important_than_noise(table_run, people):
    facts = RunFacts.of(table_run, data=people)
    found = {each.column: each for each in column_importance(table_run, facts.watched)}
    assert set(found) == set(people.columns) - {"target"}
    assert found["age"].mean > found["noise"].mean + found["noise"].spread
    assert column_importance(table_run, facts.watched) == list(found.values())


def test_the_linear_model_is_scikit_learn_s(digits_run):
    prepared = digits_run.prepared(None)
    found = linear_model(prepared, digits_run.task)
    assert found.name == LogisticRegression.__name__
    assert found.rows == len(prepared.train)
    assert 0.9 < found.metrics["test"]["accuracy"] < 1
