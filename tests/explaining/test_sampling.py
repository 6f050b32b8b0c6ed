import numpy as np
import pytest

from kfc.data import prepare
from kfc.errors import DataError
from kfc.explaining.sampling import MOST_ROWS, RowSample, sample_of
from kfc.spec import load_spec


@pytest.mark.parametrize("name", ["digits", "breast_cancer", "diabetes", "wine", "iris"])
@pytest.mark.parametrize("scale", ["unit", "standard", "none"])
def test_rows_of_scikit_learn_are_those_of_a_training(name, scale):
    data = {"source": f"sklearn:{name}", "scale": scale}
    spec = load_spec({"data": data, "accept": ["unscaled_input"]})
    found = sample_of(spec)
    whole = {**data, "test": "none", "validation": 0.0}
    prepared = prepare(load_spec({"data": whole, "accept": ["unscaled_input"]}))
    task = prepared.task
    np.testing.assert_allclose(found.x, task.scaling.apply_float64(prepared.train.x))
    y = prepared.train.y
    expected = y if task.classification else task.target_scaling.apply_float64(y)
    np.testing.assert_allclose(found.y, expected)
    assert found.classes == len(task.class_names)
    assert found.num_rows == len(prepare(spec).train)


@pytest.mark.parametrize("validation", [None, 0.3])
@pytest.mark.parametrize("test", [None, "none"])
def test_the_number_of_training_rows_is_that_of_a_training(validation, test):
    x = np.random.default_rng(0).normal(size=(211, 4))
    data = {"validation": validation, "test": test}
    spec = load_spec({"data": {k: v for k, v in data.items() if v is not None}})
    rows = (x, np.arange(211) % 3)
    assert sample_of(spec, rows).num_rows == len(prepare(spec, rows).train)


def test_a_sample_of_many_rows_is_evenly_spaced():
    x = np.arange(9000.0).reshape(-1, 1)
    found = sample_of(load_spec({"data": {"scale": "none"}}), (x, x[:, 0] * 0.5))
    assert len(found.x) == MOST_ROWS
    assert (found.x[0, 0], found.x[-1, 0]) == (0, 8999)
    few, targets = found.spaced(5)
    assert len(few) == len(targets) == 5


def test_a_table_of_numbers_is_sampled():
    rows = {"a": np.arange(50.0) % 7, "b": np.arange(50.0) % 5, "target": np.arange(50) % 2}
    found = sample_of(load_spec({"data": {"target": "target"}}), rows)
    assert isinstance(found, RowSample)
    assert found.x.std() == pytest.approx(1.0, abs=0.05)


def test_data_without_rows_for_a_prediction_say_why():
    assert "no data.source" in sample_of(load_spec({}))
    assert "TensorFlow" in sample_of(load_spec("mnist"))
    table = {"kind": ["a", "b"] * 20, "size": np.arange(40.0), "target": [0, 1] * 20}
    assert "categories" in sample_of(load_spec({"data": {"target": "target"}}), table)


def test_data_that_a_training_refuses_are_refused():
    with pytest.raises(DataError, match="finite"):
        sample_of(load_spec({}), (np.array([[1.0], [np.nan]]), [0, 1]))
