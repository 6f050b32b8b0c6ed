import functools

import numpy as np
import pytest
from sklearn.datasets import load_iris

import kfc
from kfc.data import prepare
from kfc.runs import IN_MEMORY, fit_in_memory, read_run, write_run
from kfc.spec import load_spec

SHORT = {"data": {"scale": "standard"}, "network": {"hidden": [4]}, "training": {"epochs": 2}}
ROWS = load_iris(return_X_y=True)


@pytest.fixture
def in_memory():
    return fit_in_memory(load_spec(SHORT), functools.partial(prepare, data=ROWS))


def test_a_run_in_memory_has_the_bits_and_the_metrics_of_a_run_folder(in_memory, tmp_path):
    in_folder = kfc.fit(SHORT, data=ROWS, runs=tmp_path, verbose=False)
    assert in_memory.run.weights_sha256 == in_folder.weights_sha256
    assert in_memory.run.history == in_folder.history
    assert in_memory.with_scores().metrics == in_folder.metrics
    assert in_memory.with_scores().baseline == in_folder.baseline
    assert in_memory.run.folder == IN_MEMORY


def test_a_run_in_memory_is_written_and_read(in_memory, tmp_path):
    written = write_run(in_memory, tmp_path)
    loaded = kfc.load(tmp_path)
    assert loaded.metrics == written.metrics == in_memory.with_scores().metrics
    again = read_run(tmp_path)
    x = ROWS[0].astype(np.float32)
    assert np.array_equal(again.run.network(x), in_memory.run.network(x))
    assert again.run.folder == IN_MEMORY


def test_a_training_may_have_neither_test_nor_validation_rows(tmp_path):
    spec = load_spec(SHORT, {"data.test": "none", "data.validation": 0.0})
    run = kfc.fit(spec, data=ROWS, runs=tmp_path, verbose=False)
    assert dict(run.rows) == {"train": 150}
    assert run.metrics == {}
    assert sorted(run.history) == ["accuracy", "loss"]
    assert kfc.load(run.folder).predict(ROWS[0]).label.shape == (150,)


def test_without_test_rows_validation_rows_are_measured(tmp_path):
    run = kfc.fit(
        load_spec(SHORT, {"data.test": "none"}), data=ROWS, runs=tmp_path, verbose=False
    )
    assert dict(run.rows) == {"train": 135, "val": 15}
    assert {name.partition("_")[0] for name in run.metrics} == {"val"}
    metrics = {"training.metrics": ["f1"], "data.test": "none", "data.validation": 0.0}
    with pytest.raises(kfc.DataError, match="neither validation nor test rows"):
        kfc.fit(load_spec(SHORT, metrics), data=ROWS, runs=tmp_path, verbose=False)
