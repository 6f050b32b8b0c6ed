import json
import os
import subprocess
import sys

import numpy as np
import pytest

import kfc
from kfc.data import prepare
from kfc.errors import SpecError
from kfc.findings import run_checks
from kfc.runs import result_file
from kfc.spec import load_spec
from kfc.training.engine.memory_estimate import predicted_memory


def predicted(overrides=None, rows=200):
    x = np.random.default_rng(0).random((rows, 20), dtype=np.float32)
    spec = load_spec({}, overrides)
    prepared = prepare(spec, (x, np.arange(rows) % 2))
    run_checks("before_training", spec, prepared)
    return predicted_memory(spec, prepared)


def test_more_weights_larger_batches_and_more_rows_take_more():
    least = predicted()
    adam = predicted({"network.hidden": [4000, 4000]})
    assert adam - least > 16 * 4 * 16_000_000
    sgd = predicted({"network.hidden": [4000, 4000], "training.optimizer": "sgd"})
    assert adam - sgd > 5 * 4 * 16_000_000
    assert predicted({"training.batch_size": 1_000_000}) - least > 4 * 3 * 900_000 * 20
    assert predicted(rows=400_000) - least > 4 * 20 * 399_000


def test_each_network_that_trains_at_once_takes_its_own_weights_and_no_rows():
    x = np.random.default_rng(0).random((200, 20), dtype=np.float32)
    spec = load_spec({}, {"network.hidden": [2000, 2000]})
    prepared = prepare(spec, (x, np.arange(200) % 2))
    one, two, three = (
        predicted_memory(spec, prepared, networks=count, used=10**9) for count in (1, 2, 3)
    )
    assert three - two == two - one > 16 * 2000 * 2000
    assert two < 2 * one - 10**9 + 10**6  # what the process has taken counts once


def test_a_training_that_cannot_fit_is_refused(monkeypatch):
    monkeypatch.setattr("kfc.system.memory.limit_bytes", lambda: 2**20)
    with pytest.raises(SpecError, match=r"network\.hidden: expected a training that fits"):
        predicted()


def test_streamed_rows_take_the_windows_that_are_in_memory_at_once(monkeypatch):
    x = np.random.default_rng(0).random((5000, 20), dtype=np.float32)  # 400,000 bytes
    monkeypatch.setattr("kfc.system.memory.used_bytes", lambda: 0)
    monkeypatch.setattr("kfc.training.engine.memory_estimate.CHUNK_BYTES", 10_000)
    needed = {
        stream: predicted_memory(spec, prepare(spec, (x, np.arange(5000) % 2)))
        for stream in ("always", "never")
        for spec in [load_spec({"data": {"stream": stream}})]
    }
    # Three windows to train on and two pieces to measure; rows in memory are there already.
    assert needed["always"] - needed["never"] == 5 * 10_000


def test_a_run_says_what_was_predicted_and_what_it_took(tmp_path):
    x = np.random.default_rng(0).random((200, 20), dtype=np.float32)
    spec = {"training": {"epochs": 1}}
    run = kfc.fit(spec, data=(x, np.arange(200) % 2), runs=tmp_path, verbose=False)
    recorded = result_file.read_result(run.folder)[0]["memory"]
    assert recorded["peak"] > 1e8
    assert recorded["predicted"] > 1e8


TRAIN_ONCE = """
import sys, kfc, numpy as np
x = np.random.default_rng(0).random((4000, 50), dtype=np.float32)
kfc.fit(sys.argv[1], data=(x, np.arange(4000) % 2), runs="runs", verbose=False)
"""


@pytest.mark.parametrize(
    ("hidden", "training"),
    [
        ([64], {"engine": "graph"}),
        ([64], {"engine": "xla"}),
        ([3000, 3000], {"engine": "graph", "optimizer": "adam", "batch_size": 512}),
        ([3000, 3000], {"engine": "xla", "optimizer": "sgd", "batch_size": 512}),
        ([3000, 3000], {"engine": "xla", "optimizer": "adam", "batch_size": 512}),
    ],
    ids=str,
)
def test_the_peak_of_a_process_is_within_15_percent_of_the_prediction(
    hidden, training, tmp_path
):
    spec = tmp_path / "spec.yaml"
    training = {**training, "epochs": 2}
    spec.write_text(json.dumps({"network": {"hidden": hidden}, "training": training}))
    command = [sys.executable, "-c", TRAIN_ONCE, str(spec)]
    subprocess.run(command, cwd=tmp_path, check=True, env={**os.environ, "KFC_REPORT": "off"})
    (folder,) = (tmp_path / "runs").iterdir()
    recorded = result_file.read_result(folder)[0]["memory"]
    assert recorded["predicted"] == pytest.approx(recorded["peak"], rel=0.15), recorded


def test_the_matrix_of_an_embedding_takes_memory(monkeypatch):
    monkeypatch.setattr("kfc.system.memory.used_bytes", lambda: 0)
    plan = [f"plan {i % 500}" for i in range(2000)]
    table = {"plan": plan, "label": [str(i % 2) for i in range(2000)]}

    def needed(size):
        column = {"type": "category", "encoder": "embedding", "embedding_size": size}
        data = {"target": "label", "columns": {"plan": column}, "validation": 0}
        spec = load_spec({"data": data, "network": {"hidden": [1]}})
        return predicted_memory(spec, prepare(spec, table))

    assert needed(1001) - needed(1) >= 4 * 8 * 500 * 1000


def embedded(num_values, **training):
    """Returns the spec and the data of a table with one category, which has an embedding."""
    plan = [f"plan {i % num_values}" for i in range(2000)]
    table = {"plan": plan, "label": [str(i % 2) for i in range(2000)]}
    column = {"type": "category", "encoder": "embedding", "embedding_size": 1}
    data = {"target": "label", "columns": {"plan": column}, "validation": 0}
    spec = load_spec({"data": data, "network": {"hidden": [1]}, "training": training})
    return spec, prepare(spec, table)


def test_the_one_hot_rows_of_an_embedding_take_memory(monkeypatch):
    monkeypatch.setattr("kfc.system.memory.used_bytes", lambda: 0)

    def growth(num_values):  # of the memory, for 100,000 more rows in a batch
        more = predicted_memory(*embedded(num_values, batch_size=200_000))
        return more - predicted_memory(*embedded(num_values, batch_size=100_000))

    assert growth(400) - growth(100) == 100_000 * 300 * 4 * 2


def test_a_table_with_too_many_categories_is_refused_with_their_key(monkeypatch):
    monkeypatch.setattr("kfc.system.memory.limit_bytes", lambda: 2**20)
    with pytest.raises(SpecError, match=r"raise data\.categories\.min_count"):
        run_checks("before_training", *embedded(400))
