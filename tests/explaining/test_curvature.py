import numpy as np
import pytest

from kfc.explaining.curvature import largest_eigenvalue


def hessian(x):
    """Returns the Hessian of the mean squared error of a linear network with a bias."""
    rows = np.c_[x, np.ones(len(x))]
    return 2 * rows.T @ rows / len(x)


def test_the_eigenvalue_of_a_quadratic_loss_is_found(linear):
    network, x, y = linear
    expected = np.linalg.eigvalsh(hessian(x))[-1]
    assert largest_eigenvalue(network, x, y) == pytest.approx(expected, rel=2e-3)


def test_divisors_scale_the_hessian_from_both_sides(linear):
    network, x, y = linear
    divisors = [np.array([[1.0], [4.0], [9.0], [0.5]]), np.array([2.0])]
    root = np.sqrt(np.concatenate([d.reshape(-1) for d in divisors]))
    expected = np.linalg.eigvalsh(hessian(x) / np.outer(root, root))[-1]
    found = largest_eigenvalue(network, x, y, divisors=divisors)
    assert found == pytest.approx(expected, rel=2e-3)


def test_the_weights_are_unchanged_afterwards(linear):
    network, x, y = linear
    before = [w.copy() for w in network.weights]
    largest_eigenvalue(network, x, y)
    for old, new in zip(before, network.weights, strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_loss_that_is_not_finite_has_no_finite_eigenvalue(linear):
    network, x, y = linear
    with np.errstate(all="ignore"):
        assert largest_eigenvalue(network, x * 1e200, y) == float("inf")
