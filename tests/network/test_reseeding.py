import numpy as np
import pytest

from kfc.data import Task
from kfc.network import build, can_reseed, reseed
from kfc.spec import load_spec

TASK = Task((4,), "float32", ("a", "b", "c"))


@pytest.mark.parametrize(
    "network",
    [
        {"hidden": [5, 3]},
        {"hidden": [5], "bias_init": "random_normal", "output_init": "zeros"},
        {"hidden": [5], "bias_init": "fan_in_uniform", "input_scale": True},
        {"hidden": [5], "use_bias": False, "parametric_activation": True},
    ],
    ids=["plain", "biases", "an input scale", "no bias"],
)
def test_the_weights_of_another_seed_are_those_of_a_new_network(network):
    spec = load_spec({"network": network, "seed": 1})
    other = load_spec(spec, {"seed": 2})
    reseeded, wanted = build(spec, TASK), build(other, TASK)
    reseed(reseeded, other)
    for got, want in zip(reseeded.get_weights(), wanted.get_weights(), strict=True):
        np.testing.assert_array_equal(got, want)


def test_a_network_takes_the_widths_and_the_initializers_of_another_spec():
    spec = load_spec({"network": {"hidden": [5, 3]}, "seed": 1})
    init = {"name": "truncated_normal", "stddev": 0.3}
    other = load_spec(
        {"network": {"hidden": [2, 7], "init": init, "bias_init": "fan_in_uniform"}}
    )
    reseeded, wanted = build(spec, TASK), build(other, TASK)
    reseed(reseeded, other)
    for got, want in zip(reseeded.get_weights(), wanted.get_weights(), strict=True):
        np.testing.assert_array_equal(got, want)
    assert reseeded.count_params() == wanted.count_params()
    rows = np.random.default_rng(0).random((6, 4), np.float32)
    np.testing.assert_array_equal(reseeded(rows), wanted(rows))


@pytest.mark.parametrize(
    "network",
    [{"dropout": 0.5}, {"members": 2}, {"normalization": "batch"}, {"init": "unit_variance"}],
    ids=str,
)
def test_a_seed_that_decides_more_than_weights_is_not_exchanged(network):
    assert can_reseed(load_spec({}), TASK)
    assert not can_reseed(load_spec({"network": network}), TASK)
