import math

import numpy as np
import pytest

from kfc.data import prepare
from kfc.explaining.cost import memory_bytes, num_parameters, seconds_per_epoch
from kfc.network import build
from kfc.runs import make_plan
from kfc.spec import load_spec


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


def test_memory_is_near_that_of_a_plan():
    found = memory_bytes(load_spec("digits"), 64, 10, rows=1797, row_bytes=256)
    assert found == pytest.approx(make_plan("digits").memory_bytes, rel=0.8)


def test_an_epoch_of_more_steps_takes_longer():
    few, many = (
        seconds_per_epoch(load_spec("digits", {"training.batch_size": n}), 64, 10, rows=1000)
        for n in (1000, 1)
    )
    assert 0 < few < many
