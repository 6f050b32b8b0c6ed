import math

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from kfc.data import prepare
from kfc.explaining.cost import (
    memory_bytes,
    num_parameters,
    operations_per_second,
    seconds_per_epoch,
)
from kfc.network import build
from kfc.runs import make_plan
from kfc.spec import load_spec
from kfc.system import memory


@pytest.mark.parametrize(
    "network",
    [
        {},
        {"hidden": []},
        {"hidden": [7, 5], "use_bias": False},
        {"hidden": [7, 5], "normalization": "layer"},
        {"hidden": [7, 5], "parametric_activation": True, "input_scale": True},
        {"hidden": [7, 7, 5], "block": "residual"},
    ],
    ids=str,
)
def test_parameters_are_those_of_the_network(network):
    spec = load_spec({"network": network})
    x = np.random.default_rng(0).normal(size=(40, 6))
    built = build(spec, prepare(spec, (x, np.arange(40) % 3)).task)
    trained = sum(math.prod(v.shape) for v in built.trainable_variables)
    assert num_parameters(spec, 6, 3) == trained


def test_memory_is_near_that_of_a_plan(monkeypatch):
    # A plan counts what the process has taken, which other tests may have filled.
    monkeypatch.setattr(memory, "used_bytes", lambda: 330_000_000)
    monkeypatch.setattr(memory, "mapped_bytes", lambda: 440_000_000)
    spec = load_spec("digits", {"training.engine": "graph"})
    found = memory_bytes(spec, 64, 10, rows=1797, row_bytes=256)
    assert found == pytest.approx(make_plan(spec).memory_bytes, rel=0.1)


# Milliseconds of a step and operations per second by network: experiments/benchmarks, of
# 2026-11-21, on two cores of an Intel Xeon whose small steps take twice as long as elsewhere.
MEASURED = [
    ([784, 256, 128, 10], 128, 1.016, 218e9),
    ([784, 256, 128, 10], 256, 2.048, 215e9),
    ([784, 256, 128, 64, 32, 10], 100, 1.067, 218e9),
    ([64, 32, 10], 32, 0.031, 218e9),
    ([784, 2048, 2048, 10], 512, 77.6, 249e9),
]


@pytest.mark.parametrize(("widths", "batch", "milliseconds", "rate"), MEASURED, ids=str)
def test_the_seconds_of_an_epoch_are_near_those_of_the_benchmarks(
    widths, batch, milliseconds, rate
):
    inputs, *hidden, outputs = widths
    spec = load_spec({"network": {"hidden": hidden}, "training": {"batch_size": batch}})
    found = seconds_per_epoch(spec, inputs, outputs, rows=100 * batch, rate=rate)
    assert found == pytest.approx(100 * milliseconds / 1000, rel=0.15)


def test_the_rate_of_the_matrix_product_is_that_of_some_machine():
    assert 1e8 < operations_per_second(1) < 1e15


def test_each_thread_multiplies_matrices_of_its_own(monkeypatch):
    # A product that two threads share takes 28 ms in place of 0.2 where one core is taken.
    threads = set()

    def fastest(_):
        pools = [each for each in threadpool_info() if each["user_api"] == "blas"]
        threads.update(each["num_threads"] for each in pools)
        return 1e-3

    monkeypatch.setattr("kfc.explaining.cost._fastest", fastest)
    assert operations_per_second(3) == pytest.approx(3 * 2 * 256**3 / 1e-3)
    assert threads == {1}
