"""Weights of a run start a training only where its inputs and outputs mean the same."""

from dataclasses import replace

import numpy as np
import pytest

import kfc
from kfc.data import Task
from kfc.errors import SpecError
from kfc.network import check_meaning

SPEC = {"network": {"hidden": [4]}, "training": {"epochs": 1, "batch_size": 16}}


def table(plans=("basic", "plus", "pro"), names=("fee", "plan"), classes=("no", "yes")):
    random = np.random.default_rng(0)
    columns = {
        names[0]: random.normal(size=60).tolist(),
        names[1]: [plans[i % len(plans)] for i in range(60)],
        "label": [classes[i % 3 % 2] for i in range(60)],
    }
    return columns


def fit(data, runs, **options):
    spec = {**SPEC, "data": {"target": "label"}}
    return kfc.fit(spec, data=data, runs=runs, verbose=False, **options)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return fit(table(), tmp_path_factory.mktemp("runs"))


def test_a_run_of_the_same_table_gives_its_weights(run, tmp_path):
    again = fit(table(), tmp_path, network=run)
    assert again.num_rows == run.num_rows
    assert again.weights_sha256 != run.weights_sha256  # it has trained on


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"plans": ("basic", "plus", "team")}, "'plan' with the values"),
        ({"names": ("price", "plan")}, "the columns price, plan"),
        ({"names": ("plan", "fee")}, "the columns plan, fee"),
        ({"classes": ("no", "maybe")}, "the classes maybe, no"),
    ],
    ids=["category", "name", "order", "class"],
)
def test_a_run_of_another_table_is_refused(run, changes, message, tmp_path):
    with pytest.raises(SpecError, match=message):
        fit(table(**changes), tmp_path, network=run)
    assert not any(tmp_path.iterdir())


def test_another_type_of_a_column_is_refused(run, tmp_path):
    data = table()
    data["fee"] = [value > 0 for value in data["fee"]]
    with pytest.raises(SpecError, match="column 'fee' as BooleanColumn"):
        fit(data, tmp_path, network=run)


def test_scalings_may_differ(run, tmp_path):
    data = table()
    data["fee"] = [10 * value + 1 for value in data["fee"]]
    check_meaning(fit(data, tmp_path).task, run.task)


def test_features_of_arrays_are_compared_by_their_names():
    task = Task((2,), "float32", ("no", "yes"), feature_names=("a", "b"))
    check_meaning(task, task)
    check_meaning(task, replace(task, feature_names=()))  # rows without names
    with pytest.raises(SpecError, match="the features a, b"):
        check_meaning(task, replace(task, feature_names=("b", "a")))


def test_a_run_of_arrays_is_no_start_for_a_table(run):
    arrays = Task((2,), "float32", run.task.class_names)
    with pytest.raises(SpecError, match="rows of a table, as in the data, got arrays"):
        check_meaning(run.task, arrays)


def test_a_run_of_numbers_is_no_start_for_classes():
    classes, numbers = Task((2,), "float32", ("no", "yes")), Task((2,), "float32", (), 2)
    with pytest.raises(SpecError, match="the classes no, yes, as in the data, got none"):
        check_meaning(classes, numbers)
