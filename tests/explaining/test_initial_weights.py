import numpy as np
import pytest

from kfc.explaining.initial_weights import initial_bias, initial_kernel, kernel_variance
from kfc.network.building import bias_initializer, initializer
from kfc.spec import BiasInitializerSpec, InitializerSpec

NAMES = [name for name in InitializerSpec.known() if name != "unit_variance"]
OPTIONS = [
    {"name": "variance_scaling", "mode": "fan_avg", "distribution": "untruncated_normal"},
    {"name": "variance_scaling", "scale": 3.0, "distribution": "uniform"},
    {"name": "random_normal", "mean": 1.0, "stddev": 0.3},
    {"name": "random_uniform", "minval": -0.3, "maxval": 0.1},
    {"name": "orthogonal", "gain": 2.0},
    {"name": "constant", "value": 0.1},
]


@pytest.mark.parametrize("shape", [(7, 5), (5, 9)])
@pytest.mark.parametrize("init", NAMES + OPTIONS, ids=str)
def test_a_kernel_is_that_of_keras(init, shape):
    spec = InitializerSpec.model_validate(init)
    expected = np.asarray(initializer(spec, 12345)(shape))
    np.testing.assert_allclose(initial_kernel(spec, shape, 12345), expected, atol=1e-5)


@pytest.mark.parametrize("init", ["zeros", "ones", "fan_in_uniform", "random_normal"])
def test_a_bias_is_that_of_keras(init):
    spec = BiasInitializerSpec.model_validate(init)
    expected = np.asarray(bias_initializer(spec, 77, 20)((6,)))
    np.testing.assert_allclose(initial_bias(spec, 6, 77, 20), expected, atol=1e-6)


def test_a_bias_without_an_initializer_is_zero():
    assert not initial_bias(None, 4, 0, 3).any()


@pytest.mark.parametrize("init", NAMES + OPTIONS, ids=str)
def test_the_variance_of_a_kernel_is_that_of_its_numbers(init):
    spec = InitializerSpec.model_validate(init)
    expected = kernel_variance(spec, (300, 200))
    if expected is None:
        assert spec.name in ("zeros", "ones", "constant", "identity")
        return
    found = initial_kernel(spec, (300, 200), 5).var()
    assert found == pytest.approx(expected, rel=0.03)


def test_an_initializer_that_needs_rows_is_refused_without_any():
    kernel = InitializerSpec.model_validate("unit_variance")
    with pytest.raises(ValueError, match="expected rows"):
        initial_kernel(kernel, (3, 3), 0)
    bias = BiasInitializerSpec.model_validate("he_plus_5")
    with pytest.raises(ValueError, match="expected rows"):
        initial_bias(bias, 3, 0, 3)
