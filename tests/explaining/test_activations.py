import keras
import numpy as np
import pytest

from kfc.explaining.activations import simulated_activation
from kfc.spec import ActivationSpec, signatures

X = np.linspace(-7.3, 7.3, 400)  # away from the corners
CASES = [
    *(name for name in signatures("activation") if name != "threshold"),
    {"name": "leaky_relu", "negative_slope": 0.3},
    {"name": "elu", "alpha": 0.5},
    {"name": "celu", "alpha": 2.0},
    {"name": "relu", "max_value": 2.0, "negative_slope": 0.1, "threshold": 0.5},
    {"name": "gelu", "approximate": True},
]
WITHOUT_FORMULA = {
    *("hard_shrink", "log_softmax", "soft_shrink", "softmax", "sparse_plus"),
    *("sparse_sigmoid", "sparsemax"),
}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_activation_is_that_of_keras_with_its_slope(case):
    spec = ActivationSpec.model_validate(case)
    activation = simulated_activation(spec)
    assert (activation is None) == (spec.name in WITHOUT_FORMULA)
    if activation is None:
        return
    options = {k: v for k, v in spec.options.items() if v is not None}
    expected = np.asarray(keras.activations.get(spec.name)(X.astype(np.float32), **options))
    np.testing.assert_allclose(activation.forward(X), expected, rtol=2e-5, atol=2e-6)
    step = 1e-5
    slopes = (activation.forward(X + step) - activation.forward(X - step)) / (2 * step)
    np.testing.assert_allclose(activation.backward(X, np.ones_like(X)), slopes, atol=1e-4)
