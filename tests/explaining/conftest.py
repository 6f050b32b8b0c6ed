import numpy as np
import pytest

from kfc import reference
from kfc.explaining.simulated_network import SimulatedLayer, SimulatedNetwork


@pytest.fixture
def linear():
    """Returns a linear network without hidden layers, for one target, and its rows."""
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(50, 4)), generator.normal(size=(50, 1))
    weights = {"kernel": generator.normal(size=(4, 1)), "bias": np.zeros(1)}
    layer = SimulatedLayer("logits", weights, reference.ACTIVATIONS["linear"])
    return SimulatedNetwork([layer], reference.mse), x, y
