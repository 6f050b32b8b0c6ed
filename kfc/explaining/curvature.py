"""The largest learning rate at which steps along the steepest direction do not grow."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from kfc.explaining.simulated_network import SimulatedNetwork

Array = np.ndarray

_STEPS = 12  # of Lanczos's iteration, at most
_CHANGE = 0.001  # of the largest eigenvalue in a step, below which the iteration ends
_SHIFT = 1e-5  # relative step of the difference of two gradients


def largest_eigenvalue(
    network: SimulatedNetwork, x: Array, y: Array, *, divisors: Sequence[Array] | None = None
) -> float:
    """Returns the largest eigenvalue of D^(-1/2) H D^(-1/2), H the Hessian of the loss.

    H v is the difference of two gradients, (g(w + h v) - g(w)) / h: Pearlmutter, "Fast exact
    multiplication by the Hessian", 1994, https://doi.org/10.1162/neco.1994.6.1.147. The
    eigenvalue is that of Lanczos, "An iteration method for the solution of the eigenvalue
    problem", 1950, https://doi.org/10.6028/jres.045.026, which needs fewer products than power
    iteration.

    Args:
        network: Network whose weights are unchanged afterwards.
        x: Scaled rows, (batch, inputs).
        y: Targets.
        divisors: Diagonal D by weight, above 0; None for ones.
    """
    weights = network.weights
    flat = _flat(weights)
    root = np.sqrt(_flat(divisors)) if divisors is not None else np.ones_like(flat)
    gradient = _flat(network.run(x, y).gradients)
    size = _SHIFT * max(1.0, float(np.linalg.norm(flat)))

    def product(v: Array) -> Array:
        direction = v / root
        h = size / max(float(np.linalg.norm(direction)), 1e-300)
        network.assign(_like(flat + h * direction, weights))
        return (_flat(network.run(x, y).gradients) - gradient) / (h * root)

    try:
        return _lanczos(product, flat.size)
    finally:
        network.assign(weights)


def _lanczos(product: Callable[[Array], Array], size: int) -> float:
    """Returns the largest eigenvalue of a symmetric matrix, by its products with vectors."""
    w = np.random.default_rng(0).standard_normal(size)
    basis: list[Array] = []
    small = np.zeros((0, 0))  # the matrix in this basis, tridiagonal
    norm, found = float(np.linalg.norm(w)), 0.0
    while len(basis) < min(_STEPS, size) and norm > 1e-10 * abs(found):
        basis.append(w / norm)
        w = product(basis[-1])
        small = np.pad(small, (0, 1))
        small[-1, -1] = w @ basis[-1]
        if len(basis) > 1:
            small[-1, -2] = small[-2, -1] = norm
        for each in basis:  # all of them, since rounding makes them less orthogonal
            w = w - (w @ each) * each
        if not np.isfinite(small).all():
            return float("inf")
        before, found = found, float(np.linalg.eigvalsh(small)[-1])
        norm = float(np.linalg.norm(w))
        if len(basis) > 2 and abs(found - before) < _CHANGE * abs(found):
            break
    return found


def _flat(arrays: Sequence[Array]) -> Array:
    return np.concatenate([array.reshape(-1) for array in arrays])


def _like(flat: Array, arrays: Sequence[Array]) -> list[Array]:
    found, first = [], 0
    for array in arrays:
        found.append(flat[first : first + array.size].reshape(array.shape))
        first += array.size
    return found
