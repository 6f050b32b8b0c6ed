import keras
import numpy as np
import pytest

from kfc.explaining import philox

SEEDS = (0, 1, 123_456_789, 2**31 - 1)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", ["uniform", "normal", "truncated_normal"])
def test_numbers_are_those_of_keras(name, seed):
    for count in (1, 1003, 60_000):
        expected = np.asarray(getattr(keras.random, name)((count,), seed=seed))
        found = getattr(philox, name)(count, seed)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, atol=2e-6)


def test_a_group_without_four_small_numbers_draws_more_blocks():
    found = philox.truncated_normal(2_000_000, 3)  # one group of 100,000 needs them
    assert np.abs(found).max() < 2
    assert found.std() == pytest.approx(0.8796, abs=2e-3)
