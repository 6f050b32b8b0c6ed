import dataclasses
import math

import numpy as np
import pandas as pd
import pytest

import kfc
from kfc.data import Task
from kfc.preprocessing import NumberBins
from kfc.spec import load_spec
from kfc.training.engine import Engine, graph_key
from kfc.training.engine.memory_estimate import predicted_memory

RNG = np.random.default_rng(0)
ROWS = 300
FRAME = pd.DataFrame(
    {
        "age": np.where(RNG.random(ROWS) < 0.1, np.nan, RNG.normal(40, 9, ROWS)),
        "plan": RNG.choice(["basic", "plus"], ROWS),
        "fee": RNG.exponential(size=ROWS),
        "churn": RNG.choice(["no", "yes"], ROWS),
    }
)
SPEC = {
    "data": {"target": "churn", "scale": "quantile"},
    "network": {"hidden": [6], "numeric_embedding": {"name": "piecewise_linear", "bins": 10}},
    "training": {"epochs": 2, "batch_size": 64},
}


def plan_of(spec, data=FRAME):
    from kfc.runs.plan import make_plan

    return make_plan(load_spec(spec), data=data)


def test_bins_are_quantiles_of_scaled_training_rows_where_gaps_are_filled():
    prepared = plan_of(SPEC).prepared
    task = prepared.task
    scaled = task.scaling.apply(prepared.train.x[:, : task.num_scaled])
    assert task.number_bins.num_features == task.num_scaled == 2
    for edges, column in zip(task.number_bins.get_config()["edges"], scaled.T, strict=True):
        wanted = np.unique(np.quantile(column, np.linspace(0, 1, 11)).astype(np.float32))
        np.testing.assert_allclose(edges, wanted, atol=1e-6)


def test_no_other_network_has_bins():
    for changed in (None, "periodic_linear"):
        spec = {**SPEC, "network": {"numeric_embedding": changed}}
        assert plan_of(spec).prepared.task.number_bins is None


def test_a_table_without_numbers_has_no_bins():
    plan = plan_of(SPEC, FRAME[["plan", "churn"]])
    assert plan.prepared.task.number_bins is None
    assert "numeric_embedding" not in [layer.name for layer in plan.network.layers]


def test_each_fold_learns_bins_of_its_own_and_all_are_averaged(tmp_path):
    validated = kfc.cross_validate(SPEC, folds=2, data=FRAME, runs=tmp_path, verbose=False)
    first, second = kfc.load(validated.folder).runs
    edges = first.task.number_bins.edges, second.task.number_bins.edges
    assert not np.array_equal(*edges)
    rows = FRAME[:20].drop(columns="churn")
    mean = np.mean([run.predict(rows).probabilities for run in (first, second)], axis=0)
    found = kfc.load(validated.folder).predict(rows).probabilities
    np.testing.assert_allclose(found, mean, atol=1e-6)


def test_bins_are_inputs_of_a_compiled_step():
    spec = load_spec({"network": SPEC["network"]})

    def key(edges):
        task = Task((2,), "float32", ("a", "b"))
        task = dataclasses.replace(task, number_bins=NumberBins.from_config({"edges": edges}))
        return graph_key(spec, task, num_rows=48).text

    assert key([[0, 1, 2], [3, 4]]) == key([[5, 6, 9], [7, 8]])
    assert key([[0, 1, 2], [3, 4]]) != key([[0, 1], [3, 4]])


def test_a_table_on_the_disk_has_the_same_bins_and_weights(tmp_path):
    FRAME.to_csv(tmp_path / "t.csv", index=False)
    found = []
    for stream in ("always", "never"):
        overrides = {"data.source": f"csv:{tmp_path / 't.csv'}", "data.stream": stream}
        run = kfc.fit(SPEC, overrides=overrides, runs=tmp_path, verbose=False)
        found.append((run.task.number_bins.edges, run.metrics["test_loss"]))
    np.testing.assert_array_equal(found[0][0], found[1][0])


def test_an_interrupted_training_goes_on_with_its_bins(tmp_path, monkeypatch):
    whole = kfc.fit(SPEC, data=FRAME, runs=tmp_path / "whole", verbose=False)
    monkeypatch.setattr("kfc.training.loop._CHECKPOINT_SHARE", math.inf)
    often = {"training.checkpoint_seconds": 1e-9, "training.log_every": 2}
    train, calls = Engine.run, []

    def interrupted(self, *arguments, **options):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return train(self, *arguments, **options)

    monkeypatch.setattr(Engine, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        kfc.fit(SPEC, overrides=often, data=FRAME, runs=tmp_path / "part", verbose=False)
    (folder,) = (tmp_path / "part").iterdir()
    run = kfc.resume(folder, data=FRAME, verbose=False)
    assert run.weights_sha256 == whole.weights_sha256
    assert run.task.number_bins.get_config() == whole.task.number_bins.get_config()


@pytest.mark.parametrize("bins", [10, 1000])
def test_the_encoding_takes_memory(bins, monkeypatch):
    monkeypatch.setattr("kfc.system.memory.used_bytes", lambda: 0)
    plan = plan_of(SPEC)
    embedding = {"name": "piecewise_linear", "bins": bins}
    spec = load_spec({**SPEC, "network": {"hidden": [6], "numeric_embedding": embedding}})
    task = dataclasses.replace(plan.prepared.task, number_bins=None)
    prepared = dataclasses.replace(plan.prepared, task=task)
    found = predicted_memory(spec, prepared) - predicted_memory(plan.spec, plan.prepared)
    encoded = 4 * 3 * 1024 * 2  # bytes of a bin of two columns for a batch
    assert found >= 0.9 * encoded * (bins - 10)
